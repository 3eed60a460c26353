//! The data of a simulated machine: the real store and the real rules on its simulated disk, and the users that ask.

use crate::disk::{Disk, Trouble};
use crate::lan::Lan;
use crate::machine::{Event, Work};
use crate::network::M;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tanist::data::{Answer, Ask, Condition, Request, RequestId};
use tanist::ident::JobId;
use tanist::ledger::limits::Limits;
use tanist::ledger::{Read, Table, read_answer, recount, write_request};
use tanist::protocol::{Input, Job, Outcome};
use tanist::store::Worker;
use tanist::store::data::DataStore;
use tanist::time::Wall;

/// Bytes of the log between two checkpoints: small, so that there are many.
const SEGMENT: u64 = 16 << 10;

/// What a process has of the data.
pub(crate) struct Data {
    worker: Worker,
    /// Jobs that wait for the thread. bound: the core's own
    waiting: VecDeque<(JobId, Job)>,
    /// What the thread reports when it is done with what it has now, the disk's mark, and when. bound: the core's own
    under_way: Option<(Vec<Input>, u64, u64)>,
    /// Requests of users that were not answered, by the host's numbers. bound: the users'
    asked: BTreeMap<u64, RequestId>,
    requests: u64,
}

impl Data {
    pub(crate) fn position(&self) -> u64 {
        self.worker.store().position().number
    }
}

/// What users know.
#[derive(Default)]
pub(crate) struct Users {
    /// All that was asked for. bound: the length of a run
    sent: Vec<Request>,
    /// Of it, the records. bound: the length of a run
    records: BTreeSet<RequestId>,
    /// What was acknowledged, with the machine that did. bound: the length of a run
    pub(crate) acknowledged: BTreeMap<RequestId, M>,
    /// How requests ended. bound: the words for it
    pub(crate) outcomes: BTreeMap<&'static str, u64>,
    next: u128,
}

impl Users {
    /// How many requests were acknowledged.
    pub(crate) fn acknowledgements(&self) -> u64 {
        ["acknowledged", "acknowledged alone"].iter().filter_map(|word| self.outcomes.get(word)).sum()
    }
}

impl Lan {
    /// Opens the data as the real host does: what is damaged is set aside, and nothing here may be.
    pub(crate) fn open_data(&mut self, m: M) -> Data {
        let files = Box::new(self.machines[m].disk.folder());
        let disk = self.machines[m].disk.clone();
        let trouble = disk.trouble();
        disk.set_trouble(Trouble::None);
        let opened = DataStore::with_files(files, Limits::default(), SEGMENT).expect("the disk works");
        assert!(opened.set_aside.is_none(), "the data of pc-{m} did not survive a crash: {:?}", opened.set_aside);
        disk.set_trouble(trouble);
        let worker = Worker::new(opened.store);
        Data { worker, waiting: VecDeque::new(), under_way: None, asked: BTreeMap::new(), requests: 0 }
    }

    pub(crate) fn data_job(&mut self, m: M, id: JobId, job: Job) {
        let process = self.machines[m].process.as_mut().expect("it runs");
        process.data.waiting.push_back((id, job));
        let life = process.life;
        // The thread is woken a little later.
        let at = self.now + self.dice.below(50);
        self.plan(at, Event::Data { m, life });
    }

    /// The thread has something to do, or is done.
    pub(crate) fn data_done(&mut self, m: M, life: u64) {
        if self.life(m) != Some(life) || self.machines[m].disk.trouble() == Trouble::Stuck {
            return;
        }
        let machine = &mut self.machines[m];
        let data = &mut machine.process.as_mut().expect("it runs").data;
        if let Some((_, _, at)) = data.under_way {
            if at > self.now {
                return;
            }
            let (reports, mark, _) = data.under_way.take().expect("looked at");
            machine.disk.complete(mark);
            for report in reports {
                if self.life(m) == Some(life) {
                    self.deliver(m, Work::Input(report));
                }
            }
        }
        if self.life(m) == Some(life) {
            self.data_begins(m, life);
        }
    }

    /// The thread takes what waits: what it orders leaves at once, and the rest when the disk is done.
    fn data_begins(&mut self, m: M, life: u64) {
        let machine = &mut self.machines[m];
        let data = &mut machine.process.as_mut().expect("it runs").data;
        if data.under_way.is_some() || data.waiting.is_empty() {
            return;
        }
        let (mut at_once, mut later) = (Vec::new(), Vec::new());
        for (id, job) in std::mem::take(&mut data.waiting) {
            data.worker.take(id, job, &mut at_once);
        }
        data.worker.finish(&mut later);
        let mark = machine.disk.mark();
        let (low, high) = machine.sync;
        let at = self.now + self.dice.between(low, high);
        let data = &mut self.machines[m].process.as_mut().expect("it runs").data;
        data.under_way = Some((later, mark, at));
        self.plan(at, Event::Data { m, life });
        for report in at_once {
            if self.life(m) == Some(life) {
                self.deliver(m, Work::Input(report));
            }
        }
    }

    /// A user of this machine adds a record, or writes a key; or one sends again what another has sent elsewhere.
    pub(crate) fn user_writes(&mut self, m: M) {
        if self.machines[m].process.is_none() {
            return;
        }
        let again = !self.users.sent.is_empty() && self.dice.chance(0.1);
        let request = if again {
            let at = self.dice.index(self.users.sent.len());
            self.users.sent[at].clone()
        } else {
            self.new_request(m)
        };
        let process = self.machines[m].process.as_mut().expect("it runs");
        process.data.requests += 1;
        let number = process.data.requests;
        process.data.asked.insert(number, request.id);
        let body = write_request(&request);
        self.deliver(m, Work::Input(Input::Request { request: number, body }));
    }

    fn new_request(&mut self, m: M) -> Request {
        self.users.next += 1;
        let id = RequestId(self.users.next);
        let most = if self.dice.chance(0.02) { 60_000 } else { 200 };
        let value = vec![u8::try_from(self.users.next % 251).expect("small"); self.dice.index(most)].into();
        let record = self.dice.chance(0.7);
        let ask = if record {
            Ask::Add { topic: "notes".to_owned(), value }
        } else {
            let key = format!("key-{}", self.dice.below(5));
            Ask::Put { key, value, condition: Condition::None }
        };
        let node = self.machines[m].process.as_ref().expect("it runs").node.sender().node.id;
        let request = Request { id, at: Wall(self.now), node, ask };
        self.users.sent.push(request.clone());
        if record {
            self.users.records.insert(id);
        }
        request
    }

    /// A user is answered: what is acknowledged is there from that moment on, whatever happens.
    pub(crate) fn data_answer(&mut self, m: M, request: u64, outcome: Outcome) {
        let process = self.machines[m].process.as_mut().expect("it runs");
        let id = process.data.asked.remove(&request).expect("each is answered once");
        let word = match outcome {
            Outcome::Judged { body, copies, .. } => {
                let answer = read_answer(&body).expect("this program's own");
                assert!(matches!(answer, Answer::Done(_) | Answer::Known(_)), "pc-{m} says {answer:?}");
                self.two_copies(id, copies);
                self.users.acknowledged.insert(id, m);
                if copies == 1 { "acknowledged alone" } else { "acknowledged" }
            }
            Outcome::Later(_) => "later",
            Outcome::Busy => "busy",
            Outcome::NoSpace(_) => "no space",
        };
        *self.users.outcomes.entry(word).or_default() += 1;
    }

    /// P4: at the moment of the acknowledgement so many disks have it that would survive a power cut.
    fn two_copies(&mut self, id: RequestId, copies: u8) {
        if !self.dice.chance(0.02) {
            return;
        }
        let there = |m: &M| holds(&self.machines[*m].disk.copy(), id);
        let found = (0..self.machines.len()).filter(there).count();
        assert!(found >= usize::from(copies), "P4: {id:?} was acknowledged with {copies} copies, and {found} have it");
    }

    /// Records that readers of this machine see.
    pub(crate) fn records(&self, m: M) -> BTreeSet<RequestId> {
        let process = self.machines[m].process.as_ref().expect("it runs");
        let snapshot = process.data.worker.store().snapshot().expect("the disk works");
        let mut all = BTreeSet::new();
        let every = tanist::ledger::EVERYTHING;
        let read = snapshot.range(Table::Ids, every, &mut |key, _| {
            let id = key.try_into().map(u128::from_be_bytes).expect("an id");
            assert!(all.insert(RequestId(id)), "a record is there once");
            std::ops::ControlFlow::Continue(())
        });
        read.expect("the disk works");
        all
    }

    /// P5 for machines that do not hear one another: everything that each acknowledged is there.
    pub(crate) fn nothing_acknowledged_is_lost(&self) {
        for m in 0..self.machines.len() {
            let here = self.records(m);
            let lost = self.users.acknowledged.iter();
            let lost =
                lost.filter(|(id, _)| self.users.records.contains(id)).find(|(id, by)| **by == m && !here.contains(id));
            assert!(lost.is_none(), "P5: pc-{m} has lost {lost:?} of {}", self.users.acknowledged.len());
        }
    }

    /// P5 to P7 for machines that follow one leader, when nobody has written for a while: every record that was ever
    /// acknowledged is on each of them once, and all have the same.
    pub(crate) fn expect_same_data(&self) {
        let all = self.running();
        let facts = |m: M| {
            let store = self.machines[m].process.as_ref().expect("it runs").data.worker.store();
            (store.facts().expect("the disk works"), store.position())
        };
        let first = facts(all[0]);
        for m in &all {
            let here = self.records(*m);
            let acknowledged = self.users.acknowledged.keys().filter(|id| self.users.records.contains(id));
            let lost: Vec<_> = acknowledged.filter(|id| !here.contains(id)).collect();
            assert!(lost.is_empty(), "P5: pc-{m} has lost {lost:?} of {}", self.users.acknowledged.len());
            let (found, position) = facts(*m);
            assert_eq!(
                (found.position, position),
                (first.0.position, first.1),
                "P7: pc-{m} is not where pc-{} is",
                all[0]
            );
            assert_eq!(found, first.0, "P7: pc-{m} differs from pc-{}", all[0]);
            assert_eq!(found.position, position, "P7: pc-{m} shows less than it has");
        }
        let sum = recount(
            &self.machines[all[0]].process.as_ref().expect("it runs").data.worker.store().snapshot().expect("it works"),
        );
        assert_eq!(sum.expect("the disk works"), first.0.sum, "the digest is that of what is there");
    }
}

/// Whether the data of a disk has what this request made, acknowledged or not.
fn holds(disk: &Disk, id: RequestId) -> bool {
    let opened =
        DataStore::with_files(Box::new(disk.folder()), Limits::default(), SEGMENT).expect("the copy of a disk works");
    assert!(opened.set_aside.is_none(), "what survives a power cut is damaged: {:?}", opened.set_aside);
    let mut store = opened.store;
    let position = store.position();
    store.commit(position).expect("the copy of a disk works");
    let snapshot = store.snapshot().expect("the copy of a disk works");
    let mut found = snapshot.get(Table::Ids, &id.0.to_be_bytes(), |_| ()).expect("the disk works").is_some();
    let every = tanist::ledger::EVERYTHING;
    let read = snapshot.range(Table::Requests, every, &mut |_, row| {
        found |= row.starts_with(&id.0.to_be_bytes());
        std::ops::ControlFlow::Continue(())
    });
    read.expect("the disk works");
    found
}
