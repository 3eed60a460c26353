//! What the oracle knows of a position, beside what the ledger says, and what must hold of a store that stands there.

use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::rc::Rc;
use tanist::data::{Context, KeyEntry, RequestId, Revision};
use tanist::ledger::{Facts, Memory, context_at, lists, recount};

/// Executions, or records, one bit each.
pub(crate) type Bits = u128;

/// What is true of a position, whoever stands there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ghost {
    /// For each key the executions in the past of this position.
    pub(crate) done: BTreeMap<String, Bits>,
    /// Of them, those that a later one replaced which had seen them.
    pub(crate) dead: BTreeMap<String, Bits>,
    /// Records that were added.
    pub(crate) records: Bits,
    /// Under which revisions.
    pub(crate) births: BTreeMap<RequestId, BTreeSet<Revision>>,
    /// Executions of requests that were sent on both sides in opposite order.
    pub(crate) excused: Bits,
    /// Deletions whose tombstone was forgotten.
    pub(crate) forgotten: Bits,
    /// Trims.
    pub(crate) trims: Vec<(String, Context)>,
}

impl Ghost {
    pub(crate) fn of(map: &BTreeMap<String, Bits>, key: &str) -> Bits {
        map.get(key).copied().unwrap_or(0)
    }

    pub(crate) fn all_done(&self) -> Bits {
        self.done.values().fold(0, |all, bits| all | bits)
    }

    pub(crate) fn union(&mut self, other: &Ghost) {
        for (mine, theirs) in [(&mut self.done, &other.done), (&mut self.dead, &other.dead)] {
            for (key, bits) in theirs {
                *mine.entry(key.clone()).or_insert(0) |= bits;
            }
        }
        self.records |= other.records;
        for (id, births) in &other.births {
            self.births.entry(*id).or_default().extend(births);
        }
        self.excused |= other.excused;
        self.forgotten |= other.forgotten;
        for trim in &other.trims {
            if !self.trims.contains(trim) {
                self.trims.push(trim.clone());
            }
        }
    }

    /// The births of a record that are not trimmed: when there are none, it is gone.
    pub(crate) fn due(&self, id: RequestId, topic: &str) -> Vec<Revision> {
        let trimmed = |birth: &Revision| self.trims.iter().any(|(of, context)| of == topic && context.covers(*birth));
        self.births.get(&id).into_iter().flatten().filter(|birth| !trimmed(birth)).copied().collect()
    }
}

/// Every key of a store, tombstones too.
pub(crate) fn keys(store: &Memory) -> BTreeMap<String, (Revision, KeyEntry)> {
    let names =
        store.rows(tanist::ledger::Table::Keys).into_iter().map(|(key, _)| String::from_utf8(key).expect("text"));
    names.map(|name| (name.clone(), lists::key(store, &name).expect("it can be read").expect("it is there"))).collect()
}

/// Every record of a store: its revision and its last birth.
pub(crate) fn records(store: &Memory) -> BTreeMap<RequestId, (Revision, Revision)> {
    let mut found = BTreeMap::new();
    let all = lists::changes(store, &Context::new(), None, usize::MAX, &mut |revision, entry| {
        if let tanist::data::Entry::Record(record) = entry {
            found.insert(record.id, (revision, record.birth()));
        }
        ControlFlow::Continue(())
    });
    all.expect("it can be read");
    found
}

impl World {
    /// Judges a new position once.
    pub(crate) fn judge(&mut self, position: Revision) {
        let (store, ghost) = (self.states[&position].clone(), self.ghosts[&position].clone());
        let keys = keys(&store);
        for name in ghost.done.keys() {
            let bits = keys.get(name).map_or(0, |(_, entry)| self.bits(entry));
            self.judge_key(name, bits, keys.get(name).map(|(_, entry)| entry), &ghost);
        }
        self.judge_records(&store, &ghost);
        let numbers = keys.values().map(|(revision, _)| revision.number);
        let mut numbers: Vec<u64> =
            numbers.chain(records(&store).values().map(|(revision, _)| revision.number)).collect();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        self.must(numbers.len() == all, "a number twice", || format!("{position:?}"));
        let facts = Facts::read(&store).expect("it can be read");
        self.must(facts.position == position, "a store elsewhere", || format!("{facts:?}"));
        self.must(recount(&store) == Ok(facts.sum), "the digest is not the sum", || format!("{facts:?}"));
        self.judge_counts(&store, facts, &keys);
    }

    fn judge_counts(&mut self, store: &Memory, facts: Facts, keys: &BTreeMap<String, (Revision, KeyEntry)>) {
        use tanist::ledger::Table;
        let tombstones = keys.values().filter(|(_, entry)| entry.is_tombstone()).count();
        let conflicts = keys.values().filter(|(_, entry)| entry.has_conflict()).count();
        let counts = [
            (facts.keys, keys.len() - tombstones),
            (facts.tombstones, tombstones),
            (facts.tombstones, store.len(Table::Tombstones)),
            (facts.conflicts, conflicts),
            (facts.conflicts, store.len(Table::Conflicts)),
            (facts.records, store.len(Table::Ids)),
            (facts.records, store.len(Table::Topics)),
            (facts.requests, store.len(Table::Requests)),
            (facts.merges, store.len(Table::Merges)),
            (facts.trims, store.len(Table::Trims)),
        ];
        self.must(counts.iter().all(|(a, b)| *a == *b as u64), "a count is wrong", || format!("{facts:?} {counts:?}"));
        let limits = self.setup.limits;
        let within = facts.tombstones <= limits.tombstones
            && facts.requests <= limits.requests
            && store.len(Table::Seen) <= limits.reigns
            && store.len(Table::Begins) <= limits.reigns
            && facts.merges <= limits.reigns as u64;
        self.must(within, "a limit is exceeded", || format!("{facts:?}"));
        if self.setup.limits.reigns > 1000 {
            let own = context_at(store, facts.position).expect("it can be read");
            let seen = self.context_of(store);
            self.must(own == Ok(seen), "a position does not determine its context", || format!("{facts:?}"));
        }
    }

    fn judge_key(&mut self, name: &str, held: Bits, entry: Option<&KeyEntry>, ghost: &Rc<Ghost>) {
        let (done, dead) = (Ghost::of(&ghost.done, name), Ghost::of(&ghost.dead, name));
        let strict = self.is_strict();
        if held & dead & !ghost.excused != 0 {
            let text = || format!("{name}: {entry:?} {dead:b}");
            self.must(!strict, "an overwritten one is back, or a conflict is invented", text);
            self.count("a conflict too many, by a limit");
        }
        for at in 0..self.executions.len() {
            let bit = 1 << at;
            let same = self.same[&self.executions[at]];
            let lost = done & bit != 0 && (dead | held) & bit == 0 && same & (held | dead | ghost.forgotten) == 0;
            self.must(!lost, "P5 lost", || format!("execution {at} of {name}: {entry:?}"));
        }
        let siblings = entry.map_or(&[][..], |entry| &entry.siblings);
        let back = siblings.iter().any(|sibling| {
            let own = self.births.get(&sibling.birth).map_or(0, |at| 1 << at);
            self.same.get(&sibling.request).copied().unwrap_or(0) & dead & !own & !ghost.excused != 0
        });
        self.must(!strict || !back, "a request came back", || format!("{name}: {entry:?} {dead:b}"));
        let empty = done != 0 && siblings.is_empty() && done & ghost.forgotten == 0;
        self.must(!empty, "P5 a key became empty", || name.to_owned());
    }

    fn judge_records(&mut self, store: &Memory, ghost: &Rc<Ghost>) {
        let held = records(store);
        for at in 0..self.records.len() {
            let (id, topic) = self.records[at].clone();
            let due = ghost.records & (1 << at) != 0;
            let trimmed = due && ghost.due(id, &topic).is_empty();
            let there = held.contains_key(&id);
            self.must(due || !there, "a record from nowhere", || format!("{id:?}"));
            self.must(there || trimmed || !due, "P5 a record is lost", || format!("{id:?}"));
            self.must(!there || !trimmed, "a trimmed record is there", || format!("{id:?} {:?}", ghost.trims));
        }
    }

    /// The executions that a key holds.
    pub(crate) fn bits(&self, entry: &KeyEntry) -> Bits {
        entry.siblings.iter().fold(0, |bits, sibling| bits | 1 << self.births[&sibling.birth])
    }
}
