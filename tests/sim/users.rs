//! The users of a simulated office: what they ask for, what they are told, and what they may therefore rely on (P4 to P7).

mod edits;
mod steps;
mod trims;
mod watchers;

use crate::data::open;
use crate::lan::Lan;
use crate::machine::{Machine, Work};
use crate::network::M;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use tanist::data::{Answer, Ask, Condition, Refusal, Request, RequestId};
use tanist::ledger::{EVERYTHING, Read, Table, read_answer, write_request};
use tanist::protocol::{Input, Outcome, RoleName};
use tanist::store::data::Snapshot;
use tanist::time::Wall;

/// What users know.
#[derive(Default)]
pub(crate) struct Users {
    /// All that was asked for. bound: the length of a run
    sent: Vec<Request>,
    /// Of it, the records. bound: the length of a run
    records: BTreeSet<RequestId>,
    /// What was acknowledged, with the machine that did. bound: the length of a run
    pub(crate) acknowledged: BTreeMap<RequestId, M>,
    /// Records that a reader saw somewhere. bound: the length of a run
    shown: BTreeSet<RequestId>,
    /// The highest number that a leader acknowledged.
    through: u64,
    steps: steps::Steps,
    edits: edits::Edits,
    trims: trims::Trims,
    /// Some change keys with what they read there, and some trim.
    pub(crate) edit: bool,
    /// One on each machine. bound: the machines
    watchers: Vec<watchers::Watcher>,
    /// How requests ended. bound: the words for it
    pub(crate) outcomes: BTreeMap<&'static str, u64>,
    /// The longest time for which one of this machine waited for an answer, since somebody last looked. bound: the
    /// machines
    longest: BTreeMap<M, u64>,
    next: u128,
}

impl Users {
    fn next_id(&mut self) -> RequestId {
        self.next += 1;
        RequestId(self.next)
    }

    fn ended(&mut self, word: &'static str) {
        *self.outcomes.entry(word).or_default() += 1;
    }
}

impl Lan {
    /// A user of this machine does something: adds a record, writes a key, counts a step, reads what is new; or sends
    /// again what another has sent elsewhere.
    pub(crate) fn user_acts(&mut self, m: M) {
        if self.machines[m].process.is_none() {
            return;
        }
        match self.dice.below(10) {
            0 if !self.users.sent.is_empty() => {
                let at = self.dice.index(self.users.sent.len());
                let request = self.users.sent[at].clone();
                self.ask(m, &request);
            }
            1 | 2 => self.user_watches(m),
            3 => self.user_steps(m),
            4 | 5 if self.users.edit => self.user_edits(m),
            6 if self.users.edit => self.user_trims(m),
            _ => {
                let request = self.new_request(m);
                self.ask(m, &request);
            }
        }
    }

    /// The longest time for which somebody waited for an answer, or still waits, since this was asked last; those do not
    /// count whose agent has died, nor those of one machine.
    pub(crate) fn longest_wait(&mut self, but: Option<M>) -> u64 {
        let answered = std::mem::take(&mut self.users.longest);
        let oldest = |m: &M| self.machines[*m].process.as_ref().and_then(|process| process.data.oldest());
        let waiting = (0..self.machines.len()).filter_map(|m| Some((m, self.now - oldest(&m)?)));
        answered.into_iter().chain(waiting).filter(|(m, _)| Some(*m) != but).map(|(_, wait)| wait).max().unwrap_or(0)
    }

    /// A user sends this to this machine.
    pub(crate) fn ask(&mut self, m: M, request: &Request) {
        let now = self.now;
        let number = self.machines[m].process.as_mut().expect("it runs").data.asks(request.id, now);
        let body = write_request(request);
        self.deliver(m, Work::Input(Input::Request { request: number, body }));
    }

    fn new_request(&mut self, m: M) -> Request {
        let most = if self.dice.chance(0.02) { 60_000 } else { 200 };
        let length = self.dice.index(most);
        if self.dice.chance(0.7) {
            return self.new_record(m, length);
        }
        let id = self.users.next_id();
        let key = format!("key-{}", self.dice.below(5));
        self.signed(m, id, Ask::Put { key, value: vec![0; length].into(), condition: Condition::None })
    }

    fn new_record(&mut self, m: M, length: usize) -> Request {
        let id = self.users.next_id();
        self.users.records.insert(id);
        let value = vec![u8::try_from(id.0 % 251).expect("small"); length].into();
        self.signed(m, id, Ask::Add { topic: "notes".to_owned(), value })
    }

    /// A user of this machine adds a record of so many bytes. Gives what makes it the same when it is sent again.
    pub(crate) fn user_adds(&mut self, m: M, length: usize) -> Request {
        let request = self.new_record(m, length);
        self.ask(m, &request);
        request
    }

    /// A user of this machine adds a record with this text.
    pub(crate) fn user_notes(&mut self, m: M, text: &'static [u8]) {
        let id = self.users.next_id();
        self.users.records.insert(id);
        let request = self.signed(m, id, Ask::Add { topic: "notes".to_owned(), value: text.into() });
        self.ask(m, &request);
    }

    /// A request as this machine passes it on.
    fn signed(&mut self, m: M, id: RequestId, ask: Ask) -> Request {
        let request = self.signs(m, id, ask);
        self.users.sent.push(request.clone());
        request
    }

    /// The same for one that nobody sends again.
    fn signs(&self, m: M, id: RequestId, ask: Ask) -> Request {
        let node = self.machines[m].process.as_ref().expect("it runs").node.sender().node.id;
        Request { id, at: Wall(self.now), node, ask }
    }

    /// A user is answered: what is acknowledged is there from that moment on, whatever happens.
    pub(crate) fn data_answer(&mut self, m: M, request: u64, outcome: Outcome) {
        let (id, at) = self.machines[m].process.as_mut().expect("it runs").data.answered(request);
        let longest = self.users.longest.entry(m).or_default();
        *longest = (*longest).max(self.now - at);
        let word = match outcome {
            Outcome::Judged { body, copies, .. } => match read_answer(&body).expect("this program's own") {
                Answer::Done(birth) | Answer::Known(birth) => {
                    if !self.users.trims.adds(id) {
                        self.there_are(id, copies);
                    }
                    self.users.acknowledged.insert(id, m);
                    self.users.steps.done(id, birth);
                    self.users.edits.done(id, birth);
                    self.users.trims.done(id);
                    if copies == 1 { "acknowledged alone" } else { "acknowledged" }
                }
                Answer::Trimmed { more: false, .. } => {
                    self.users.trims.done(id);
                    "trimmed"
                }
                Answer::Refused(Refusal::Changed(_)) if self.users.steps.sent(id) || self.users.edits.sent(id) => {
                    "refused"
                }
                Answer::Refused(Refusal::Missing) if self.users.edits.sent(id) => "refused",
                Answer::Refused(Refusal::Forgotten) if self.users.trims.trims(id) => "refused",
                answer => panic!("pc-{m} says {answer:?}"),
            },
            Outcome::Later(_) => "later",
            Outcome::Busy => "busy",
            Outcome::NoSpace(_) => "no space",
        };
        self.users.ended(word);
    }

    /// P4: at this moment so many disks have it that would survive a power cut.
    fn there_are(&mut self, id: RequestId, copies: u8) {
        if !self.dice.chance(0.02) {
            return;
        }
        let there = |m: &M| holds(&self.machines[*m], id);
        let found = (0..self.machines.len()).filter(there).count();
        assert!(found >= usize::from(copies), "P4: {id:?} is to have {copies} copies, and {found} have it");
    }

    /// The core of this machine has its data's thread show what is acknowledged: a leader decides that.
    pub(crate) fn acknowledges(&mut self, m: M, through: u64) {
        if self.role(m) == Some(RoleName::Leading) {
            self.users.through = self.users.through.max(through);
        }
    }

    /// What readers of this machine see.
    fn shown_by(&self, m: M) -> Snapshot {
        let process = self.machines[m].process.as_ref().expect("it runs");
        process.data.store().snapshot().expect("it can be read")
    }

    /// What a reader of this machine gets, who is told when a disk that is in trouble cannot be read.
    fn user_reads(&mut self, m: M) -> Option<Snapshot> {
        let mut snapshot = self.machines[m].process.as_ref().expect("it runs").data.store().reader().snapshot();
        if self.machines[m].damaged {
            // Nothing is shown of what is not what was written; here of the rest neither.
            snapshot = snapshot.and_then(|snapshot| snapshot.check().map(|()| snapshot));
        }
        if snapshot.is_err() {
            self.users.ended("unread");
        }
        snapshot.ok()
    }

    /// Records that readers of this machine see.
    pub(crate) fn records(&self, m: M) -> BTreeSet<RequestId> {
        let mut all = BTreeSet::new();
        let read = self.shown_by(m).range(Table::Ids, EVERYTHING, &mut |key, _| {
            let id = key.try_into().map(u128::from_be_bytes).expect("an id");
            assert!(all.insert(RequestId(id)), "a record is there once");
            ControlFlow::Continue(())
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
    /// acknowledged, or shown to a reader, is on each of them once, all have the same, and watchers were told all of it.
    pub(crate) fn expect_same_data(&mut self) {
        let all = self.running();
        let facts = |m: M| {
            let store = self.machines[m].process.as_ref().expect("it runs").data.store();
            (store.facts().expect("the disk works"), store.position())
        };
        let first = facts(all[0]);
        let acknowledged = self.users.acknowledged.keys().filter(|id| self.users.records.contains(id));
        let shown = self.users.shown.iter().filter(|id| !self.users.trims.adds(**id));
        let owed: BTreeSet<RequestId> = acknowledged.chain(shown).copied().collect();
        for m in &all {
            let here = self.records(*m);
            let lost: Vec<_> = owed.difference(&here).collect();
            assert!(lost.is_empty(), "P5: pc-{m} has lost {lost:?} of {}", owed.len());
            let (found, position) = facts(*m);
            assert_eq!(
                (found.position, position),
                (first.0.position, first.1),
                "P7: pc-{m} is not where pc-{} is",
                all[0]
            );
            assert_eq!(found, first.0, "P7: pc-{m} differs from pc-{}", all[0]);
            assert_eq!(found.position, position, "P7: pc-{m} shows less than it has");
            assert!(self.rereads(*m), "pc-{m} has what was not written");
        }
        self.expect_watchers_know_all();
        self.expect_every_edit_seen();
        self.expect_trimmed_stays_trimmed();
    }
}

/// Whether the data of a machine's disk has what this request made, acknowledged or not. What is damaged has nothing.
fn holds(machine: &Machine, id: RequestId) -> bool {
    let mut store = match open(&machine.disk.copy()) {
        Ok(store) => store,
        Err(_) if machine.damaged => return false,
        Err(why) => panic!("what survives a power cut is damaged: {why:?}"),
    };
    let position = store.position();
    store.commit(position).expect("the copy of a disk works");
    let snapshot = store.snapshot().expect("the copy of a disk works");
    let mut found = snapshot.get(Table::Ids, &id.0.to_be_bytes(), |_| ()).expect("the disk works").is_some();
    let read = snapshot.range(Table::Requests, EVERYTHING, &mut |_, row| {
        found |= row.starts_with(&id.0.to_be_bytes());
        ControlFlow::Continue(())
    });
    read.expect("the disk works");
    found
}
