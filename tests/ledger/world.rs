//! Members, splits, leaders, readers; and what happens to them.

use crate::dice::Dice;
use crate::ghost::{Bits, Ghost};
use crate::member::{Lead, Member, Sent};
use crate::watching::Watcher;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use tanist::data::{Context, ReignId, Request, RequestId, Revision};
use tanist::ledger::limits::Limits;
use tanist::ledger::{Encoded, Ledger, Memory, Table};

/// What a life is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) limits: Limits,
    pub(crate) members: usize,
    pub(crate) keys: usize,
    pub(crate) steps: usize,
    /// The most bytes of a piece, and of a part of a whole.
    pub(crate) piece: usize,
}

/// All of it.
pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) setup: Setup,
    pub(crate) members: Vec<Member>,
    /// In which part of the network each member is.
    pub(crate) group: Vec<u8>,
    /// The request of each execution on a key.
    pub(crate) executions: Vec<RequestId>,
    /// Of them, those that deleted.
    pub(crate) deletions: Bits,
    /// The execution of each birth.
    pub(crate) births: BTreeMap<Revision, usize>,
    /// Births of what was imported.
    pub(crate) imported: BTreeSet<Revision>,
    /// The executions of each request.
    pub(crate) same: BTreeMap<RequestId, Bits>,
    /// Records that were asked for, and their topics.
    pub(crate) records: Vec<(RequestId, String)>,
    pub(crate) requests: u128,
    /// Requests that may be sent again.
    pub(crate) again: Vec<Request>,
    /// Requests that were acknowledged, with one copy and with two; none as key is a record.
    pub(crate) acknowledged: [Vec<(RequestId, Option<String>)>; 2],
    /// Executions and records that some leader committed.
    pub(crate) committed: (Bits, Bits),
    pub(crate) ghosts: BTreeMap<Revision, Rc<Ghost>>,
    /// A store at each position, made batch by batch.
    pub(crate) states: BTreeMap<Revision, Memory>,
    pub(crate) watchers: Vec<Watcher>,
    /// What was saved of members, a few.
    pub(crate) files: Vec<Memory>,
    pub(crate) lost_disk: bool,
    pub(crate) step: u64,
    pub(crate) told: bool,
    pub(crate) kinds: BTreeMap<&'static str, u64>,
    pub(crate) flaws: Vec<(&'static str, String)>,
}

impl World {
    pub(crate) fn new(seed: u64, setup: Setup) -> World {
        let members = (0..setup.members).map(|_| Member::new(setup.limits)).collect();
        World {
            dice: Dice::new(seed),
            setup,
            members,
            group: vec![0; setup.members],
            executions: Vec::new(),
            deletions: 0,
            births: BTreeMap::new(),
            imported: BTreeSet::new(),
            same: BTreeMap::new(),
            records: Vec::new(),
            requests: 0,
            again: Vec::new(),
            acknowledged: [Vec::new(), Vec::new()],
            committed: (0, 0),
            ghosts: BTreeMap::from([(Revision::ZERO, Rc::default())]),
            states: BTreeMap::from([(Revision::ZERO, Memory::new())]),
            watchers: vec![Watcher::default(), Watcher::default()],
            files: Vec::new(),
            lost_disk: false,
            step: 0,
            told: false,
            kinds: BTreeMap::new(),
            flaws: Vec::new(),
        }
    }

    pub(crate) fn tell(&self, text: impl FnOnce() -> String) {
        if self.told {
            println!("{:4} {}", self.step, text());
        }
    }

    pub(crate) fn must(&mut self, holds: bool, what: &'static str, text: impl FnOnce() -> String) {
        if !holds {
            let text = text();
            self.tell(|| format!("*** {what}: {text}"));
            self.flaws.push((what, text));
        }
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.kinds.entry(what).or_insert(0) += 1;
    }

    /// Whether no limit makes anybody forget what would have been needed.
    pub(crate) fn is_strict(&self) -> bool {
        self.setup.limits.requests > 1000 && self.setup.limits.reigns > 1000
    }

    pub(crate) fn context_of(&self, store: &Memory) -> Context {
        let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
        let rows = store.rows(Table::Seen).into_iter();
        rows.map(|(reign, n)| Revision::new(ReignId(number(&reign)), number(&n))).collect()
    }

    pub(crate) fn leaders(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|x| self.members[*x].lead.is_some()).collect()
    }

    pub(crate) fn lead(&mut self, l: usize) -> &mut Lead {
        self.members[l].lead.as_mut().expect("it leads")
    }

    /// What stands at a leader after all that it ordered.
    pub(crate) fn ahead(&self, l: usize) -> (Revision, Memory, Rc<Ghost>) {
        let position = self.members[l].ledger.position();
        (position, self.states[&position].clone(), self.ghosts[&position].clone())
    }

    /// Stops leading and following. An acknowledgement, and the name of the successor, belong to a session.
    pub(crate) fn leave(&mut self, x: usize) {
        self.members[x].ledger.cancel_join();
        if self.members[x].lead.take().is_some() {
            for member in &mut self.members {
                member.follows = member.follows.filter(|follows| follows.leader != x);
            }
        }
        self.members[x].follows = None;
        for lead in self.members.iter_mut().filter_map(|member| member.lead.as_mut()) {
            lead.acked.remove(&x);
            lead.successor = lead.successor.filter(|(successor, _)| *successor != x);
        }
    }

    /// Begins a reign, with what is pending as it is.
    pub(crate) fn begin(&mut self, x: usize) {
        self.leave(x);
        let reign = ReignId(self.dice.next() << 16 | 1);
        let member = &mut self.members[x];
        let start = member.ledger.committed();
        let pending = member.ledger.pending_after(&member.store, start).expect("memory does not fail");
        let pending = pending.expect("it is the position of the store");
        let stream: Vec<Sent> = pending.into_iter().map(sent).collect();
        if !stream.is_empty() {
            self.count("a reign began with pending changes");
        }
        self.tell(|| format!("{x} begins {reign:?} at {start:?} with {} pending", stream.len()));
        self.members[x].lead = Some(Lead {
            reign,
            start,
            stream,
            acked: BTreeMap::new(),
            successor: None,
            commit: 0,
            committed_once: false,
            waiting: Vec::new(),
        });
    }

    /// A leader's batch goes into its stream and to its disk, and the oracle makes the store that it leads to.
    pub(crate) fn emit(&mut self, l: usize, batch: &Encoded, ghost: impl FnOnce(&mut Ghost)) {
        let Encoded { after, last, complete, ref bytes } = *batch;
        self.lead(l).stream.push(Sent { after, last, complete, bytes: bytes.clone() });
        self.members[l].write(bytes.clone());
        if !complete {
            return;
        }
        let parts = self.lead(l).stream.iter().rev().take_while(|sent| sent.after == after);
        let mut parts: Vec<Bytes> = parts.map(|sent| sent.bytes.clone()).collect();
        parts.reverse();
        let mut made = self.states[&after].clone();
        let mut ledger = Ledger::open(&mut made, self.setup.limits).expect("memory does not fail");
        for part in &parts {
            let done = ledger.append(&mut made, part);
            self.must(done.is_ok(), "a batch does not fit its own position", || format!("{done:?}"));
        }
        let done = ledger.commit(&mut made, last);
        self.must(done == Ok(last), "a batch does not lead to its end", || format!("{done:?}"));
        let mut known = Ghost::clone(&self.ghosts[&after]);
        ghost(&mut known);
        let now = crate::ghost::keys(&made);
        for (key, done) in known.done.iter().filter(|(key, _)| !now.contains_key(*key)) {
            known.forgotten |= done & !Ghost::of(&known.dead, key) & self.deletions;
        }
        self.tell(|| {
            let changes = tanist::ledger::read_batch(bytes).map(|batch| batch.changes);
            let tips = |entry: &tanist::data::KeyEntry| {
                entry.siblings.iter().map(|s| (s.birth, s.request, s.value.clone())).collect::<Vec<_>>()
            };
            let now: Vec<_> = now.iter().map(|(key, (at, entry))| (key, at, tips(entry))).collect();
            format!("{l} orders up to {last:?}: {changes:?}\n       -> {now:?}")
        });
        let fresh = !self.states.contains_key(&last);
        self.must(fresh, "a position twice", || format!("{last:?}"));
        self.states.insert(last, made);
        self.ghosts.insert(last, Rc::new(known));
        self.judge(last);
    }

    /// A member's store has changed: readers see it.
    pub(crate) fn show(&mut self, x: usize) {
        let (old, new) = (self.members[x].shown, self.members[x].ledger.committed());
        let (before, now) = (self.ghosts[&old].clone(), self.ghosts[&new].clone());
        let unknown = now.all_done() & !self.committed.0 | now.records & !self.committed.1;
        self.must(unknown == 0, "what is not acknowledged is visible", || format!("at {x}: {new:?}"));
        let lost = before.done.iter().any(|(key, bits)| bits & !Ghost::of(&now.done, key) != 0)
            || before.records & !now.records != 0;
        self.must(!lost, "what was visible vanished", || format!("at {x}: {old:?} {new:?}"));
        self.must(new.number >= old.number, "a revision fell", || format!("at {x}: {old:?} {new:?}"));
        let other = differs(&self.members[x].store, &self.states[&new]);
        self.must(other.is_none(), "P7 one position, two stores", || format!("at {x}: {new:?}: {other:?}"));
        self.members[x].shown = new;
    }

    pub(crate) fn run(&mut self) {
        for _ in 0..self.setup.steps {
            self.step += 1;
            let x = self.dice.below(self.members.len());
            let leaders = self.leaders();
            let l = if leaders.is_empty() { None } else { Some(self.dice.pick(&leaders)) };
            match (self.dice.below(100), l) {
                (0..=4, _) => self.split(x),
                (5..=7, _) => self.group.iter_mut().for_each(|group| *group = 0),
                (8..=11, _) => self.begin(x),
                (12..=14, _) => self.crash(x),
                (15..=27, Some(l)) => self.follow(x, l, false),
                (28..=45, Some(l)) => {
                    for _ in 0..=self.dice.below(3) {
                        self.write(l);
                    }
                }
                (46..=62, _) => {
                    for _ in 0..=self.dice.below(4) {
                        self.deliver(x);
                    }
                }
                (63..=77, _) => self.sync(x),
                (78..=90, Some(l)) => self.commit(l),
                (91..=96, _) => self.notice(x),
                (97..=99, _) => {
                    let watcher = self.dice.below(2);
                    self.watch(watcher, x);
                }
                _ => {}
            }
            if self.flaws.len() > 20 {
                return;
            }
        }
        self.end();
    }

    fn split(&mut self, x: usize) {
        let alone = self.dice.percent(40);
        for at in 0..self.group.len() {
            let other = self.dice.below(2 + usize::from(self.members.len() > 3)) as u8;
            self.group[at] = if alone { u8::from(at == x) } else { other };
        }
    }
}

/// The first table of the state in which two stores differ, and what they have there.
pub(crate) fn differs(a: &Memory, b: &Memory) -> Option<String> {
    let state = &Table::ALL[Table::Entries as usize..Table::Aside as usize];
    let differ = |table: &&Table| a.rows(**table) != b.rows(**table);
    let table = *state.iter().chain([&Table::Facts]).find(differ)?;
    let (a, b) = (a.rows(table), b.rows(table));
    let only = |a: &[(Vec<u8>, Vec<u8>)], b: &[(Vec<u8>, Vec<u8>)]| {
        let rows = a.iter().filter(|row| !b.contains(row));
        rows.map(|(key, value)| format!("{}={}", key.escape_ascii(), value.escape_ascii())).collect::<Vec<_>>()
    };
    Some(format!("{}: {:?} {:?}", table.name(), only(&a, &b), only(&b, &a)))
}

/// A batch as it goes into a stream.
pub(crate) fn sent(bytes: Bytes) -> Sent {
    let batch = tanist::ledger::read_batch(&bytes).expect("it was made here");
    let complete = !matches!(batch.part, tanist::data::Part::Piece(_));
    Sent { after: batch.after, last: batch.last(), complete, bytes }
}
