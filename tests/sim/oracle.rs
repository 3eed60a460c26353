//! What is judged after every step: epochs that grow (P3), what must be durable before it is said, and the changes of
//! leader that P2 counts.

use crate::machine::Machine;
use crate::network::M;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tanist::claim::Claim;
use tanist::event::{Event, Kind};
use tanist::ident::Ticket;
use tanist::message::{Cast, Frame, Says};
use tanist::protocol::{Durable, Output, RoleName, Status, Write};

/// What is known of one machine's memory: the judge keeps its own books, from what was begun and what came back.
#[derive(Clone, Default)]
struct Memory {
    shown: Option<Claim>,
    promised: Option<Claim>,
    /// Every claim whose promise became durable. bound: the length of a run
    promises: BTreeSet<Claim>,
    /// Begun and not come back. bound: the core's own
    pending: VecDeque<(Ticket, Vec<Write>)>,
    /// Failed, and perhaps on the disk all the same. bound: the length of a run
    maybe: Vec<Write>,
    /// The highest that it has shown to users.
    last_shown: Option<Claim>,
    begun_promise: Option<Claim>,
    /// The claim whose durable promise vouches for it.
    vouches: Option<Claim>,
    /// What it said that it backs, by epoch. bound: the length of a run
    said: BTreeMap<u64, Claim>,
    leads: Option<Claim>,
    /// Whoever follows its events takes it for the leader.
    told_leads: bool,
}

impl Memory {
    fn take_in(&mut self, write: &Write) {
        match write {
            Write::Shown(claim) if self.shown.is_none_or(|old| old.epoch <= claim.epoch) => self.shown = Some(*claim),
            Write::Promised(promise) => {
                self.promises.insert(promise.claim);
                self.vouches = promise.may_be_shown();
                if self.promised.is_none_or(|old| old.epoch <= promise.claim.epoch) {
                    self.promised = Some(promise.claim);
                }
            }
            _ => {}
        }
    }
}

/// A change of leader, as P2 counts it.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) m: M,
}

/// The judge.
#[derive(Default)]
pub(crate) struct Oracle {
    memory: Vec<Memory>,
    /// How often an agent began to lead that did not lead before, since the start (P2).
    pub(crate) changes: usize,
    /// Agents that began to lead and did not lead before. bound: the length of a run
    pub(crate) entries: Vec<Change>,
    /// Agents that stopped leading while their process lived. bound: the length of a run
    pub(crate) depositions: Vec<Change>,
    /// Whose claim a claim is. bound: the length of a run
    owners: BTreeMap<Claim, (M, u64)>,
    /// Answers to users. bound: the length of a run
    pub(crate) replies: Vec<(M, u64, Option<String>)>,
    /// What was told to users. bound: the length of a run
    pub(crate) told: Vec<(M, u64, Kind, String)>,
    /// Whether events are kept, for a story that asks for them.
    pub(crate) listen: bool,
}

impl Oracle {
    pub(crate) fn add(&mut self) {
        self.memory.push(Memory::default());
    }

    /// The disk of `m` is gone, and an empty one is in its place.
    pub(crate) fn lost(&mut self, m: M) {
        self.memory[m] = Memory::default();
    }

    /// The disk of `from` was copied to `to`.
    pub(crate) fn copied(&mut self, from: M, to: M) {
        let mut copy = self.memory[from].clone();
        (copy.leads, copy.last_shown, copy.begun_promise) = (None, copy.shown, copy.promised);
        copy.told_leads = false;
        copy.said.clear();
        // What was under way may or may not be in the copy, but nothing later.
        copy.maybe.extend(copy.pending.drain(..).flat_map(|(_, writes)| writes));
        self.memory[to] = copy;
    }

    pub(crate) fn holds_something(&self, m: M) -> bool {
        self.memory[m].shown.is_some() || self.memory[m].promised.is_some()
    }

    /// A store was opened: it holds everything that came back, and nothing that was never begun.
    pub(crate) fn opened(&mut self, m: M, found: &Durable) {
        let memory = &mut self.memory[m];
        let begun: Vec<Write> =
            memory.pending.drain(..).flat_map(|(_, writes)| writes).chain(memory.maybe.drain(..)).collect();
        let shown = found.shown;
        let promised = found.promised.map(|p| p.claim);
        let knows = |claim: Option<Claim>, old: Option<Claim>| {
            claim == old
                || begun.iter().any(|write| match write {
                    Write::Shown(c) => Some(*c) == claim,
                    Write::Promised(p) => Some(p.claim) == claim,
                    _ => false,
                })
        };
        let epoch = |claim: Option<Claim>| claim.map_or(0, |c| c.epoch);
        assert!(
            epoch(shown) >= epoch(memory.shown) && knows(shown, memory.shown),
            "durability: pc-{m} had shown {:?} on its disk and found {shown:?}",
            memory.shown
        );
        assert!(
            epoch(promised) >= epoch(memory.promised) && knows(promised, memory.promised),
            "durability: pc-{m} had promised {:?} on its disk and found {promised:?}",
            memory.promised
        );
        memory.promises.extend(promised);
        (memory.shown, memory.promised, memory.begun_promise) = (shown, promised, promised);
        memory.vouches = found.promised.and_then(|p| p.may_be_shown());
    }

    pub(crate) fn ended(&mut self, m: M, _now: u64) {
        (self.memory[m].leads, self.memory[m].told_leads) = (None, false);
    }

    pub(crate) fn begun(&mut self, m: M, ticket: Ticket, writes: &[Write]) {
        let memory = &mut self.memory[m];
        for write in writes {
            if let Write::Promised(promise) = write {
                let before = memory.begun_promise.map_or(0, |c| c.epoch);
                assert!(promise.claim.epoch >= before, "P3: pc-{m} promises {:?} after epoch {before}", promise.claim);
                memory.begun_promise = Some(promise.claim);
            }
        }
        memory.pending.push_back((ticket, writes.to_vec()));
    }

    pub(crate) fn durable(&mut self, m: M, ticket: Ticket, done: bool) {
        let memory = &mut self.memory[m];
        let Some((first, writes)) = memory.pending.pop_front() else { return };
        assert_eq!(first, ticket, "contract: writes come back in the order in which they were begun");
        if done {
            writes.iter().for_each(|write| memory.take_in(write));
        } else {
            memory.maybe.extend(writes);
        }
    }

    /// Nothing is said that is not durable.
    pub(crate) fn output(&mut self, m: M, output: &Output, machine: &Machine) {
        let me = machine.process.as_ref().expect("it runs").node.sender().node;
        let life = machine.process.as_ref().expect("it runs").life;
        let own = match output {
            Output::Cast { cast: Cast::Heartbeat(beat), .. } => Some(beat.claim),
            Output::Cast { cast: Cast::Welcome(welcome), .. } => Some(welcome.claim),
            Output::Cast { cast: Cast::Notice(notice), .. } => {
                self.claimed(m, life, notice.claim);
                None
            }
            Output::Send { frame: Frame::Joined(joined), .. } => Some(joined.claim),
            Output::Send { frame: Frame::Reigns(reigns), .. } => Some(reigns.claim),
            Output::Send { frame: Frame::Decided(decided), .. } => Some(decided.stays),
            Output::Send { frame: Frame::Voice(voice), .. } => {
                if matches!(voice.says, Says::Backed) {
                    self.backs(m, me, voice.claim);
                }
                None
            }
            _ => None,
        };
        if let Some(claim) = own.filter(|claim| claim.node == me) {
            self.claimed(m, life, claim);
            let memory = &self.memory[m];
            assert!(
                memory.promises.contains(&claim),
                "durable before said: pc-{m} announces {claim:?}, and its disk has promised {:?}",
                memory.promised
            );
        }
    }

    fn backs(&mut self, m: M, me: tanist::ident::Incarnation, claim: Claim) {
        let memory = &mut self.memory[m];
        assert!(
            memory.promises.contains(&claim),
            "durable before said: pc-{m} backs {claim:?}, and its disk has promised {:?}",
            memory.promised
        );
        let other = memory.said.insert(claim.epoch, claim).filter(|other| *other != claim && other.node != me);
        assert!(other.is_none(), "one claim per epoch: pc-{m} backs {claim:?} after {other:?}");
    }

    fn claimed(&mut self, m: M, life: u64, claim: Claim) {
        let owner = *self.owners.entry(claim).or_insert((m, life));
        assert!(owner == (m, life), "P3: two claims are equal: {claim:?} of pc-{m} and pc-{}", owner.0);
    }

    pub(crate) fn event(&mut self, m: M, now: u64, event: &Event) {
        match event.kind {
            Kind::Leading => self.memory[m].told_leads = true,
            Kind::Following | Kind::Listening => self.memory[m].told_leads = false,
            _ => {}
        }
        if self.listen {
            self.told.push((m, now, event.kind, event.text.clone()));
        }
    }

    pub(crate) fn status(&mut self, m: M, life: u64, status: &Status) {
        let memory = &mut self.memory[m];
        if let Some(claim) = status.shown {
            if let Some(last) = memory.last_shown {
                assert!(
                    claim.epoch > last.epoch || claim == last,
                    "P3: pc-{m} shows {claim:?} after it had shown {last:?}"
                );
            }
            memory.last_shown = Some(claim);
            assert!(
                memory.shown.is_some_and(|s| s.epoch >= claim.epoch) || memory.vouches == Some(claim),
                "durable before shown: pc-{m} shows {claim:?}, and its disk {:?}",
                memory.shown
            );
        }
        let leads = status.shown.filter(|_| status.role == RoleName::Leading);
        assert_eq!(memory.told_leads, leads.is_some(), "events tell who leads: pc-{m} is {:?}", status.role);
        match (memory.leads, leads) {
            (None, Some(_)) => {
                self.changes += 1;
                self.entries.push(Change { m });
            }
            (Some(_), None) => self.depositions.push(Change { m }),
            _ => {}
        }
        memory.leads = leads;
        if let Some(claim) = leads.filter(|c| c.node == status.node) {
            self.claimed(m, life, claim);
        }
    }
}
