//! Requests of the data at one agent, with its ledger played by hand.

use super::hosted::*;
use super::*;
use crate::data::Revision;
use crate::event::Kind;
use crate::message::{Checked, Holds, Standing};
use crate::wire::samples;

fn body(n: u8) -> Bytes {
    Bytes::from(vec![n; 8])
}

impl Hosted {
    fn users_ask(&mut self, requests: &[u8]) {
        self.by_hand = true;
        let asked = requests.iter().map(|n| Input::Request { request: u64::from(*n), body: body(*n) });
        self.step_all(asked.collect());
    }

    /// What the ledger was asked to order last, and by which job.
    fn ordering(&self) -> (JobId, Vec<Bytes>) {
        let order = |(id, job): &(JobId, Job)| match job {
            Job::Order(bodies) => Some((*id, bodies.clone())),
            _ => None,
        };
        self.jobs.iter().rev().find_map(order).expect("it orders")
    }

    /// The ledger makes a change of each request of that job, the last one under this number.
    fn judges(&mut self, job: JobId, last: u64, count: u64) {
        let judged = |by| Judged { by, body: Bytes::from(vec![by as u8]) };
        let answers = (last + 1 - count..=last).map(judged).collect();
        let batch = Some(Stretch { last, batch: body(last as u8) });
        self.step(Input::Report { job, report: Report::Ordered { batch, answers } });
    }

    /// A user asks; the ledger makes a change of it under this number, which is durable here.
    fn has_durable(&mut self, request: u8, number: u64) {
        self.users_ask(&[request]);
        let (job, _) = self.ordering();
        self.judges(job, number, 1);
        self.step(Input::Done { through: job });
    }

    fn reigns_of_the_ledger(&self) -> Vec<Claim> {
        let led = |(_, job): &(JobId, Job)| if let Job::Lead { claim, .. } = job { Some(*claim) } else { None };
        self.jobs.iter().filter_map(led).collect()
    }

    fn commits(&self) -> Vec<u64> {
        let through = |(_, job): &(JobId, Job)| if let Job::Commit { through } = job { Some(*through) } else { None };
        self.jobs.iter().filter_map(through).collect()
    }
}

/// §10: what arrives together is ordered together, and each user is told when it is durable and committed, not before.
#[test]
fn a_lone_leader_answers_when_it_is_durable() {
    let mut leader = Hosted::leading();
    assert!(leader.jobs.is_empty(), "without data the data's thread has nothing to do");
    leader.users_ask(&[1, 2]);
    assert_eq!(leader.reigns_of_the_ledger(), [leader.node.status().shown.expect("it leads")]);
    let (job, bodies) = leader.ordering();
    assert_eq!(bodies, [body(1), body(2)]);
    leader.users_ask(&[3]);
    let (later, bodies) = leader.ordering();
    assert_eq!(bodies, [body(3)], "each is ordered once");
    leader.judges(job, 12, 2);
    leader.judges(later, 13, 1);
    assert!(leader.answers.is_empty() && leader.commits().is_empty());
    leader.step(Input::Done { through: job });
    let epoch = leader.node.status().shown.expect("it leads").epoch;
    let judged = |by: u8| Outcome::Judged { body: Bytes::from(vec![by]), copies: 1, epoch };
    assert_eq!((leader.commits(), leader.answers.clone()), (vec![12], vec![(1, judged(11)), (2, judged(12))]));
    leader.step(Input::Done { through: later });
    assert_eq!((leader.commits(), leader.answers.last()), (vec![12, 13], Some(&(3, judged(13)))));
}

/// A refusal changes nothing, and waits all the same for what it was judged by.
#[test]
fn a_refusal_waits_for_what_it_was_judged_by() {
    let mut leader = Hosted::leading();
    leader.users_ask(&[1]);
    let (first, _) = leader.ordering();
    leader.users_ask(&[2]);
    let (second, _) = leader.ordering();
    leader.judges(first, 5, 1);
    let refused = Judged { by: 5, body: body(9) };
    leader.step(Input::Report { job: second, report: Report::Ordered { batch: None, answers: vec![refused] } });
    assert!(leader.answers.is_empty());
    leader.step(Input::Done { through: second });
    assert_eq!(leader.answers.iter().map(|(request, _)| *request).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn what_cannot_be_written_is_refused_and_can_be_asked_again() {
    let mut leader = Hosted::leading();
    leader.users_ask(&[1]);
    let (job, _) = leader.ordering();
    leader.judges(job, 5, 1);
    leader.step(Input::Failed { job, why: "no space left".to_owned() });
    assert_eq!(leader.answers, [(1, Outcome::NoSpace("no space left".to_owned()))]);
    assert_eq!(leader.told.iter().filter(|k| **k == Kind::StoreTrouble).count(), 1);
    assert_eq!(leader.node.status().role, RoleName::Leading);
    leader.users_ask(&[2]);
    let (job, bodies) = leader.ordering();
    assert_eq!(bodies, [body(2)]);
    leader.judges(job, 7, 1);
    leader.step(Input::Done { through: job });
    assert!(matches!(leader.answers.last(), Some((2, Outcome::Judged { .. }))), "{:?}", leader.answers);
    let told = |leader: &Hosted| leader.told.iter().filter(|k| **k == Kind::StoreTrouble).count();
    assert_eq!(told(&leader), 1, "a disk that is full takes what is small");
    let commit = leader.jobs.last().expect("it commits").0;
    leader.step(Input::Done { through: commit });
    leader.run(limits::DISK_CALM);
    leader.has_durable(3, 8);
    assert_eq!(told(&leader), 2, "it works again");
}

/// A leader that stood still finds that another leads: it orders nothing and acknowledges nothing before they have met, for
/// that would be a second truth among machines that reach one another.
#[test]
fn a_leader_that_was_replaced_while_it_stood_still_acknowledges_nothing() {
    let (mut leader, _) = Hosted::leading_with([3]);
    leader.users_ask(&[1]);
    let (job, _) = leader.ordering();
    leader.judges(job, 5, 1);
    leader.at(leader.now.time + Duration::from_secs(2));
    leader.step(Input::Tick);
    let check = leader.connects(3);
    let standing = Standing::Leads(samples::claim(9, 3));
    leader.frame(check, Frame::Checked(Checked { standing }));
    leader.step(Input::Done { through: job });
    leader.users_ask(&[2]);
    leader.run(Duration::from_millis(10));
    assert_eq!((leader.answers.clone(), leader.commits()), (vec![], vec![]));
    assert_eq!(leader.ordering().1, [body(1)], "the other may get what is asked now");
    let meeting = leader.connects(3);
    assert!(leader.sent.iter().any(|(conn, frame)| *conn == meeting && matches!(frame, Frame::Meet(_))));
    // The other is gone again.
    leader.run(Duration::from_secs(4));
    assert_eq!(leader.ordering().1, [body(2)]);
    assert_eq!(leader.commits(), [5]);
}

/// A request waits for a leader, and no longer than it may.
#[test]
fn a_request_waits_for_a_leader_and_is_told_when_there_is_none() {
    let mut agent = Hosted::listening();
    agent.users_ask(&[1]);
    assert!(agent.jobs.is_empty() && agent.answers.is_empty());
    agent.run(Duration::from_secs(1));
    assert_eq!(agent.node.status().role, RoleName::Leading);
    assert_eq!(agent.ordering().1, [body(1)], "it leads itself now");
    let mut follower = Hosted::following();
    follower.users_ask(&[1, 2]);
    follower.run(Duration::from_millis(9_900));
    assert!(follower.answers.is_empty());
    follower.run(Duration::from_millis(200));
    let late = |(_, outcome): &(u64, Outcome)| matches!(outcome, Outcome::Later(_));
    assert!(follower.answers.len() == 2 && follower.answers.iter().all(late), "{:?}", follower.answers);
}

#[test]
fn too_many_requests_are_told_to_come_back() {
    let mut agent = Hosted::listening();
    for n in 0..=limits::DATA_REQUESTS as u64 {
        agent.step(Input::Request { request: n, body: Bytes::new() });
    }
    assert_eq!(agent.answers, [(limits::DATA_REQUESTS as u64, Outcome::Busy)]);
}

/// The successor is gone, and a follower is there that changes do not flow to yet: users wait for two copies, but not for
/// ever, as it may never be ready.
#[test]
fn a_leader_waits_for_the_next_successor_before_it_acknowledges_alone() {
    let mut leader = Hosted::leading();
    let three = leader.asks_to_join(3);
    leader.pings(three, 1, 0);
    let four = leader.asks_to_join(4);
    leader.has_durable(1, 5);
    assert!(leader.commits().is_empty(), "the successor does not have it yet");
    leader.step(Input::Closed { conn: three, how: Closed::Reset });
    assert!(leader.commits().is_empty());
    let wait = Settings::default().silence().max(limits::SUCCESSOR_WAIT);
    let moment = Duration::from_millis(20);
    for seq in 2..4 {
        leader.pings(four, seq, 0);
        leader.run(wait / 2 - moment);
    }
    assert!(leader.commits().is_empty());
    leader.run(moment * 3);
    assert_eq!(leader.commits(), [5]);
    assert!(matches!(leader.answers.last(), Some((1, Outcome::Judged { copies: 1, .. }))), "{:?}", leader.answers);
}

/// Readers on other machines see what is acknowledged soon, also when no later change tells these.
#[test]
fn followers_are_told_what_is_acknowledged_when_no_changes_come() {
    let mut leader = Hosted::leading();
    let three = leader.asks_to_join(3);
    leader.pings(three, 1, 0);
    leader.has_durable(1, 4);
    leader.frame(three, Frame::Stored(crate::message::Stored { number: 4 }));
    assert_eq!(leader.commits(), [4]);
    let told =
        |(conn, frame): &(ConnId, Frame)| *conn == three && matches!(frame, Frame::Committed(c) if c.number == 4);
    assert!(!leader.sent.iter().any(told), "the next changes may tell it");
    leader.run(limits::TOLD_WITHIN);
    assert!(leader.sent.iter().any(told), "{:?}", leader.sent);
}

/// While the role is on its way nothing is ordered; what was is finished.
#[test]
fn a_leader_that_hands_over_orders_nothing_more() {
    let mut leader = Hosted::leading();
    let three = leader.asks_to_join(3);
    leader.pings(three, 1, 0);
    leader.users_ask(&[1]);
    let (job, _) = leader.ordering();
    leader.step(Input::Handover { request: 1, to: None });
    leader.users_ask(&[2]);
    assert_eq!(leader.ordering().0, job, "the second waits");
    leader.judges(job, 4, 1);
    leader.step(Input::Done { through: leader.jobs.last().expect("a barrier").0 });
    let asked = |leader: &Hosted| leader.sent.iter().any(|(_, frame)| matches!(frame, Frame::Abdicate(_)));
    assert!(leader.answers.is_empty() && !asked(&leader), "the heir does not have it yet");
    leader.frame(three, Frame::Stored(crate::message::Stored { number: 4 }));
    assert!(matches!(leader.answers[..], [(1, Outcome::Judged { copies: 2, .. })]), "{:?}", leader.answers);
    assert!(asked(&leader));
    leader.run(Duration::from_secs(2));
    leader.pings(three, 2, 0);
    leader.run(Duration::from_secs(1));
    assert_eq!(leader.node.status().role, RoleName::Leading, "the heir never claimed");
    assert_eq!(leader.ordering().1, [body(2)], "it goes on in its new reign");
    let reigns = leader.reigns_of_the_ledger();
    assert!(reigns.len() == 2 && reigns[0] < reigns[1], "{reigns:?}");
}

/// What a failing disk lost may be at a follower already: it has more, which its leader cannot take in, and so everything.
#[test]
fn a_leader_whose_disk_fails_hands_over_to_one_that_has_more() {
    let mut leader = Hosted::leading();
    let three = leader.asks_to_join(3);
    leader.pings(three, 1, 0);
    leader.has_durable(1, 4);
    leader.compares = true;
    let position = Revision { number: 9, ..Revision::ZERO };
    leader.frame(three, Frame::Holds(Holds { position, all: false, body: body(9) }));
    let (compare, _) =
        leader.jobs.iter().rfind(|(_, job)| matches!(job, Job::Compare { .. })).expect("it compares").clone();
    let compared = Compared::Lacks { seen: body(4), has_all: true };
    leader.step(Input::Report { job: compare, report: Report::Compared(compared) });
    leader.users_ask(&[2]);
    let (job, _) = leader.ordering();
    leader.step(Input::Failed { job, why: "no space left".to_owned() });
    assert!(leader.sent.iter().any(|(_, frame)| matches!(frame, Frame::Abdicate(_))), "{:?}", leader.sent);
}

/// What a start finds on its disk may have been acknowledged: it is, with the first copies of the next reign.
#[test]
fn what_was_pending_is_acknowledged_in_the_new_reign() {
    let mut leader = Hosted::leading_with_data(9);
    let lead = leader.jobs[0].clone();
    assert!(matches!(lead.1, Job::Lead { .. }), "{:?}", leader.jobs);
    leader.step(Input::Report { job: lead.0, report: Report::Led { ordered: 9, committed: 7 } });
    assert!(leader.commits().is_empty());
    leader.step(Input::Done { through: lead.0 });
    assert_eq!(leader.commits(), [9]);
}
