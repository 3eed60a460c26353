use super::*;
use crate::claim::Claim;
use crate::data::{Ask, Condition};
use crate::ident::NodeId;
use crate::ledger::write_request;
use crate::protocol::Compared;
use crate::store::data::DataStore;
use crate::time::Wall;
use crate::wire::samples;
use tempfile::TempDir;

const SESSION: ConnId = ConnId(1);

/// A machine's data, and its thread.
struct Machine {
    worker: Worker,
    jobs: u64,
    _dir: TempDir,
}

impl Machine {
    fn new() -> Machine {
        let dir = tempfile::tempdir().expect("a directory");
        let store = DataStore::open(&dir.path().join("data")).expect("it opens").store;
        Machine { worker: Worker::new(store), jobs: 0, _dir: dir }
    }

    /// Does one job to its end, and gives what was said of it, but for that it is done.
    fn does(&mut self, job: Job) -> Vec<Report> {
        self.jobs += 1;
        let mut reports = Vec::new();
        self.worker.take(JobId(self.jobs), job, &mut reports);
        self.worker.finish(&mut reports);
        while self.worker.goes_on(&mut reports) {
            self.worker.finish(&mut reports);
        }
        self.worker.show(&mut reports);
        let report = |input| match input {
            Input::Report { report, .. } => Some(report),
            Input::Done { .. } => None,
            other => panic!("{other:?}"),
        };
        reports.into_iter().filter_map(report).collect()
    }

    fn leads(&mut self, epoch: u64, n: u64) {
        let claim = Claim { epoch, at: Wall(1), node: samples::node(n) };
        assert!(matches!(self.does(Job::Lead { claim, above: 0 })[..], [Report::Led { .. }]));
    }

    /// Puts some keys, and commits that. Gives the batches.
    fn puts(&mut self, keys: &[(u128, &str)]) -> Vec<Stretch> {
        self.writes(keys.iter().map(|(id, key)| (*id, put(key, format!("{id}").into()))))
    }

    /// Orders what these ask, and commits that. Gives the batches.
    fn writes(&mut self, asks: impl Iterator<Item = (u128, Ask)>) -> Vec<Stretch> {
        let request = |(id, ask): (u128, Ask)| {
            let node = NodeId(uuid::Uuid::nil());
            write_request(&Request { id: crate::data::RequestId(id), at: Wall(5), node, ask })
        };
        let reports = self.does(Job::Order(asks.map(request).collect()));
        let batch = |report| if let Report::Ordered { batch, .. } = report { batch } else { None };
        let batches: Vec<Stretch> = reports.into_iter().filter_map(batch).collect();
        self.does(Job::Commit { through: batches.last().expect("a change").last });
        batches
    }

    fn holds(&mut self) -> (Revision, bool, Bytes) {
        match &self.does(Job::Follow)[..] {
            [Report::Holds { position, all, seen }] => (*position, *all, seen.clone()),
            other => panic!("{other:?}"),
        }
    }

    fn state(&mut self) -> (u64, u128) {
        match self.does(Job::Digest)[..] {
            [Report::Digest { number, digest }] => (number, digest),
            ref other => panic!("{other:?}"),
        }
    }

    fn commits(&mut self) -> u64 {
        self.worker.store().committed().number
    }

    /// How another goes on after this one, which leads.
    fn compare(&mut self, other: &mut Machine) -> Compared {
        let (position, all, seen) = other.holds();
        match &self.does(Job::Compare { to: SESSION, position, all, seen, copy: true })[..] {
            [Report::Compared(compared)] => compared.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// All pieces of what was begun.
    fn pieces(&mut self) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        loop {
            match &self.does(Job::Scan { to: SESSION })[..] {
                [Report::Scanned { piece, last }] => {
                    pieces.push(piece.clone());
                    if *last {
                        return pieces;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// All pieces of what a leader lacks of what is here.
    fn offers(&mut self, leader: &mut Machine) -> Vec<Bytes> {
        let Compared::Lacks { seen, .. } = leader.compare(self) else { panic!("it lacks something") };
        self.does(Job::Offer { to: SESSION, seen });
        self.pieces()
    }

    /// Catches up with a leader, in whatever way that says.
    fn catches_up(&mut self, leader: &mut Machine) -> &'static str {
        match leader.compare(self) {
            Compared::Continues(batches) => {
                for Stretch { last, batch } in batches {
                    self.does(Job::Append { batch, committed: last });
                }
                "continues"
            }
            Compared::Copied => {
                for (n, piece) in leader.pieces().into_iter().enumerate() {
                    assert!(matches!(self.does(Job::Adopt { piece, first: n == 0 })[..], [Report::Taken { .. }]));
                }
                "copied"
            }
            Compared::Lacks { seen, .. } => {
                self.does(Job::Offer { to: SESSION, seen });
                let mut last = 0;
                for (n, piece) in self.pieces().into_iter().enumerate() {
                    for report in leader.does(Job::Join { piece, first: n == 0 }) {
                        if let Report::Ordered { batch: Some(batch), .. } = report {
                            last = batch.last;
                        }
                    }
                }
                assert_eq!(leader.compare(self), Compared::Early, "what it offered is not acknowledged");
                leader.does(Job::Commit { through: last });
                assert_eq!(self.catches_up(leader), "copied");
                "offered"
            }
            Compared::Early | Compared::Behind => "early",
        }
    }
}

fn put(key: &str, value: Bytes) -> Ask {
    Ask::Put { key: key.to_owned(), value, condition: Condition::None }
}

/// The lengths of the batches among these, together.
fn length(reports: &[Report]) -> usize {
    let batch = |report: &Report| if let Report::Ordered { batch, .. } = report { batch.clone() } else { None };
    reports.iter().filter_map(batch).map(|stretch| stretch.batch.len()).sum()
}

/// Bytes of a large value.
const LARGE: usize = 512 << 10;
/// How many there are of them.
const MANY: u64 = 24;
/// What may be in memory at once: so much, and what was begun before it was that much.
const AT_ONCE: usize = crate::ledger::limits::UNFOLD + 2 * LARGE;

#[test]
fn a_member_goes_on_where_it_was_or_is_given_what_it_lacks() {
    let (mut leader, mut member) = (Machine::new(), Machine::new());
    leader.leads(1, 1);
    leader.puts(&[(1, "a"), (2, "b")]);
    assert_eq!(member.catches_up(&mut leader), "continues", "from nothing on, as all is still in memory");
    assert_eq!(member.state(), leader.state());
    leader.puts(&[(3, "b")]);
    // Another process has no tail, only what is on its disk.
    leader.worker.tail.clear();
    assert_eq!(member.catches_up(&mut leader), "copied");
    assert_eq!(member.state(), leader.state());
    assert_eq!(member.catches_up(&mut leader), "continues");
    let mut fresh = Machine::new();
    assert_eq!(fresh.catches_up(&mut leader), "copied");
    assert_eq!(fresh.state(), leader.state());
}

#[test]
fn a_copy_that_was_set_aside_shows_nothing_until_another_has_taken_its_place() {
    let (mut leader, mut member) = (Machine::new(), Machine::new());
    leader.leads(1, 1);
    leader.puts(&[(1, "a"), (2, "b")]);
    member.catches_up(&mut leader);
    let shows = |machine: &Machine| machine.worker.store().reader().snapshot().is_ok();
    let (number, digest) = (2, 7);
    assert!(matches!(member.does(Job::Check { number, digest, replace: true })[..], [Report::Differs { .. }]));
    assert!(!shows(&member));
    assert_eq!(member.catches_up(&mut leader), "copied", "a part of it is not shown either");
    assert!(shows(&member));
    assert_eq!(member.state(), leader.state());
    member.worker.store.set_aside("it is damaged").expect("set aside");
    assert!(!shows(&member));
    member.leads(2, 2);
    assert!(shows(&member), "nobody has a better one");
}

#[test]
fn a_member_that_has_what_the_leader_lacks_offers_it_first() {
    let (mut old, mut leader) = (Machine::new(), Machine::new());
    old.leads(1, 1);
    old.puts(&[(1, "a"), (2, "b")]);
    leader.catches_up(&mut old);
    old.puts(&[(3, "only here")]);
    leader.leads(2, 2);
    leader.puts(&[(4, "only there")]);
    assert_eq!(old.catches_up(&mut leader), "offered");
    assert_eq!(old.state(), leader.state());
    let keys = |machine: &Machine| {
        let mut keys = Vec::new();
        let store = machine.worker.store().snapshot().expect("it reads");
        let shown = crate::ledger::lists::keys(&store, "", None, &mut |_, entry| {
            keys.push(entry.key.to_owned());
            std::ops::ControlFlow::Continue(())
        });
        shown.expect("it reads");
        keys
    };
    assert_eq!(keys(&old), ["a", "b", "only here", "only there"]);
    leader.puts(&[(5, "a")]);
    assert_eq!(old.catches_up(&mut leader), "continues");
    assert_eq!(old.state(), leader.state());
}

#[test]
fn a_long_whole_is_made_and_told_of_in_rounds() {
    let (mut old, mut leader) = (Machine::new(), Machine::new());
    old.leads(1, 1);
    old.writes((1..=MANY).map(|n| (n.into(), put(&format!("key-{n}"), vec![7; LARGE].into()))));
    leader.leads(2, 2);
    let mut pieces = old.offers(&mut leader);
    let last = pieces.pop().expect("there are some");
    for (n, piece) in pieces.into_iter().enumerate() {
        leader.does(Job::Join { piece, first: n == 0 });
    }
    leader.jobs += 1;
    let (job, mut rounds, mut joined) = (JobId(leader.jobs), 0, None);
    let mut said = Vec::new();
    leader.worker.take(job, Job::Join { piece: last, first: false }, &mut said);
    loop {
        rounds += 1;
        let reports: Vec<_> = said
            .drain(..)
            .filter_map(|r| if let Input::Report { report, .. } = r { Some(report) } else { None })
            .collect();
        assert!(length(&reports) <= AT_ONCE, "{} bytes in round {rounds}", length(&reports));
        joined = reports
            .into_iter()
            .find_map(|r| if let Report::Joined(brought) = r { Some(brought) } else { None })
            .or(joined);
        leader.worker.finish(&mut said);
        let done = said.drain(..).any(|r| matches!(r, Input::Done { through } if through == job));
        assert_eq!(done, joined.is_some(), "it is done when all of it is durable, in round {rounds}");
        if !leader.worker.goes_on(&mut said) {
            break;
        }
    }
    assert_eq!(joined.map(|brought| brought.keys), Some(MANY));
    assert!(rounds >= 3, "{rounds} rounds");
    leader.does(Job::Commit { through: leader.worker.store().position().number });
    assert_eq!(old.catches_up(&mut leader), "copied");
    assert_eq!(old.state(), leader.state());
}

/// More records than may be pending are offered to a leader. Gives also what it said.
fn records_are_offered() -> (Machine, Machine, Vec<Report>) {
    let (mut old, mut leader) = (Machine::new(), Machine::new());
    old.leads(1, 1);
    old.writes((1..=MANY).map(|n| (n.into(), Ask::Add { topic: "t".to_owned(), value: vec![7; LARGE].into() })));
    leader.leads(2, 2);
    let mut said = Vec::new();
    for (n, piece) in old.offers(&mut leader).into_iter().enumerate() {
        said.extend(leader.does(Job::Join { piece, first: n == 0 }));
    }
    (old, leader, said)
}

#[test]
fn records_of_an_offer_wait_until_those_before_are_acknowledged() {
    let (mut old, mut leader, mut said) = records_are_offered();
    let mut waits = 0;
    while !said.iter().any(|report| matches!(report, Report::Joined(brought) if brought.records == MANY)) {
        assert!(length(&said) <= AT_ONCE, "{} bytes that nobody acknowledged", length(&said));
        assert!(!said.is_empty(), "it goes on when there is room");
        waits += 1;
        said = leader.does(Job::Commit { through: leader.worker.store().position().number });
    }
    assert!(waits >= 2, "it waited {waits} times");
    leader.does(Job::Commit { through: leader.worker.store().position().number });
    assert_eq!(old.catches_up(&mut leader), "copied");
    assert_eq!(old.state(), leader.state());
}

#[test]
fn a_copy_that_differs_is_set_aside_and_fetched_anew() {
    let (mut leader, mut other) = (Machine::new(), Machine::new());
    // Two that have given the same numbers in the same reign to other things: that never happens, so it is as good as any
    // damage that cannot be seen otherwise.
    for (machine, key) in [(&mut leader, "right"), (&mut other, "wrong")] {
        machine.leads(1, 1);
        machine.puts(&[(1, key)]);
    }
    assert_eq!(other.catches_up(&mut leader), "continues", "nothing is seen of it");
    let (number, digest) = leader.state();
    assert!(leader.does(Job::Check { number, digest, replace: true }).is_empty());
    assert!(other.does(Job::Check { number: number + 1, digest, replace: true }).is_empty(), "it is not there");
    let differs = [Report::Differs { why: "differs from the leader's".to_owned() }];
    assert_eq!(other.does(Job::Check { number, digest, replace: false }), differs);
    assert_eq!(other.holds().0.number, number, "it stays");
    assert_eq!(other.does(Job::Check { number, digest, replace: true }), differs);
    assert_eq!(other.holds().0, Revision::ZERO, "it is gone");
    assert_eq!(other.catches_up(&mut leader), "copied");
    assert_eq!(other.state(), (number, digest));
}

#[test]
fn what_comes_and_does_not_fit_ends_nothing_else() {
    let mut leader = Machine::new();
    leader.leads(1, 1);
    let garbage = || Bytes::from_static(b"garbage");
    for job in [
        Job::Append { batch: garbage(), committed: 9 },
        Job::Compare { to: SESSION, position: Revision::ZERO, all: false, seen: garbage(), copy: true },
        Job::Offer { to: SESSION, seen: garbage() },
        Job::Join { piece: garbage(), first: true },
        Job::Adopt { piece: garbage(), first: true },
        Job::Scan { to: SESSION },
    ] {
        let said = leader.does(job.clone());
        assert!(matches!(said[..], [Report::Unfit { .. }]), "{job:?}: {said:?}");
    }
    let said = leader.does(Job::Order(vec![garbage()]));
    assert!(matches!(&said[..], [Report::Ordered { batch: None, answers }] if answers.len() == 1), "{said:?}");
    assert_eq!(leader.puts(&[(1, "a")]).len(), 1);
}

#[test]
fn a_comparison_shows_nothing_that_is_not_acknowledged() {
    let (mut leader, mut follower) = (Machine::new(), Machine::new());
    leader.leads(1, 1);
    let first = leader.puts(&[(1, "a")]);
    assert_eq!(follower.catches_up(&mut leader), "continues");
    let (acknowledged, digest) = leader.state();
    assert_eq!((acknowledged, follower.commits()), (first[0].last, first[0].last));
    let [Stretch { last, batch }] = &leader.puts(&[(2, "b")])[..] else { panic!("one batch") };
    follower.does(Job::Append { batch: batch.clone(), committed: acknowledged });
    assert!(follower.does(Job::Check { number: acknowledged, digest, replace: true }).is_empty(), "they are alike");
    assert_eq!((follower.commits(), follower.worker.store().position().number), (acknowledged, *last));
}

#[test]
fn after_a_failure_nothing_is_ordered_until_it_is_told_to_begin_again() {
    let mut leader = Machine::new();
    leader.leads(1, 1);
    leader.puts(&[(1, "a")]);
    leader.worker.ends(JobId(9), Ends::Fails("no space".to_owned()), &mut Vec::new());
    // They were given before the failure was known.
    for job in [Job::Order(vec![Bytes::new()]), Job::Join { piece: Bytes::new(), first: true }] {
        let mut reports = Vec::new();
        leader.worker.take(JobId(10), job, &mut reports);
        assert_eq!(reports, [Input::Failed { job: JobId(10), why: "no space".to_owned() }]);
    }
    leader.leads(1, 1);
    assert_eq!(leader.puts(&[(2, "b")]).len(), 1);
}

/// Any job may have made the room for which an offer waits: it goes on with the next showing.
#[test]
fn what_waits_for_room_goes_on_whoever_made_it() {
    let (_old, mut leader, mut said) = records_are_offered();
    let mut waits = 0;
    while !said.iter().any(|report| matches!(report, Report::Joined(_))) {
        assert!(waits < 100, "it goes on when there is room");
        waits += 1;
        let through = leader.worker.store().position().number;
        leader.jobs += 1;
        leader.worker.take(JobId(leader.jobs), Job::Commit { through }, &mut Vec::new());
        said = leader.does(Job::Digest);
    }
    assert!(waits >= 2, "it waited {waits} times");
}
