//! Users that change keys: each reads a key with its conflicts, and replaces what it has read, by a value or by nothing.
//!
//! What a change had seen is known: itself, and all that the values that it replaced had seen. So P5 can be judged: what was
//! acknowledged is seen by what stands at the end, and of two values that stand side by side neither has seen the other.

use crate::lan::Lan;
use crate::network::M;
use std::collections::{BTreeMap, BTreeSet};
use tanist::data::{Ask, Condition, Keep, KeyEntry, RequestId, Revision, Sibling};
use tanist::ledger::lists;

/// The keys that they change.
const KEYS: [&str; 3] = ["edited/0", "edited/1", DELETED];

/// The one that they also take away. Two deletions that stand side by side are one to users, and go together, also when only
/// one of them was read: so what was lost cannot be told as exactly.
const DELETED: &str = "edited/2";

/// The changes of a run.
#[derive(Default)]
pub(super) struct Edits {
    /// What each had seen of its key, itself included. bound: the length of a run
    seen: BTreeMap<RequestId, BTreeSet<RequestId>>,
    /// The births that each replaced. bound: the length of a run
    replaced: BTreeMap<RequestId, Vec<Revision>>,
    /// The key of each that was acknowledged. bound: the length of a run
    done: BTreeMap<RequestId, &'static str>,
    /// The key of each. bound: the length of a run
    key_of: BTreeMap<RequestId, &'static str>,
    /// Births that were replaced by what was acknowledged: by which request, and under which revision. bound: the length of
    /// a run
    by: BTreeMap<Revision, Vec<(RequestId, Revision)>>,
    /// bound: the length of a run
    deletions: BTreeSet<RequestId>,
    /// How often a key was read that had conflicts.
    pub(super) conflicts: u64,
}

impl Edits {
    pub(super) fn sent(&self, id: RequestId) -> bool {
        self.seen.contains_key(&id)
    }

    /// A request was acknowledged; perhaps it was a change. Within one reign nothing is replaced twice.
    pub(super) fn done(&mut self, id: RequestId, birth: Revision) {
        let Some(key) = self.key_of.get(&id) else { return };
        if self.done.insert(id, key).is_some() {
            return;
        }
        // One that names several is done as long as one of them is left.
        if let Some([replaced]) = self.replaced.get(&id).map(|births| &births[..]) {
            let others = self.by.entry(*replaced).or_default();
            let twice = others.iter().find(|(other, at)| *other != id && at.reign == birth.reign);
            assert!(twice.is_none(), "{id:?} and {twice:?} both replaced {replaced:?}");
            others.push((id, birth));
        }
    }

    /// Whether a deletion had seen this.
    fn may_be_deleted(&self, id: RequestId) -> bool {
        self.deletions.iter().any(|deletion| self.of(*deletion).contains(&id))
    }

    fn of(&self, id: RequestId) -> &BTreeSet<RequestId> {
        self.seen.get(&id).unwrap_or_else(|| panic!("nobody asked for {id:?}"))
    }

    /// P5: of what stands side by side neither had seen the other.
    fn no_conflict_is_invented(&self, m: M, entry: &KeyEntry) {
        for one in &entry.siblings {
            let seen = self.of(one.request);
            // Whoever writes where nothing is names no deletion; a member whose disk fails passes that on before it has
            // offered the one that its user read.
            let named = |other: &&Sibling| other.value.is_some() || self.replaced.contains_key(&one.request);
            let seen = |other: &&Sibling| other.birth != one.birth && seen.contains(&other.request);
            let other = entry.siblings.iter().filter(named).find(seen);
            assert!(other.is_none(), "P5: on pc-{m} {} has {one:?} beside {other:?}, which it had seen", entry.key);
        }
    }
}

impl Lan {
    /// One user gives the keys their first values, so that nobody has to guess what a missing key means.
    pub(crate) fn user_begins_keys(&mut self, m: M) {
        for key in KEYS {
            let id = self.users.next_id();
            let value = id.0.to_string().into_bytes().into();
            let request = self.signed(m, id, Ask::Put { key: key.to_owned(), value, condition: Condition::Absent });
            self.users.edits.seen.insert(id, BTreeSet::from([id]));
            self.users.edits.key_of.insert(id, key);
            self.ask(m, &request);
        }
    }

    fn entry(&mut self, m: M, key: &str) -> Option<KeyEntry> {
        let snapshot = self.user_reads(m)?;
        let entry = lists::key(&snapshot, key).expect("the disk works")?.1;
        self.users.edits.no_conflict_is_invented(m, &entry);
        self.users.edits.conflicts += u64::from(entry.has_conflict());
        Some(entry)
    }

    /// A user of this machine changes a key: the value that it reads, or that and its first conflict, or it takes it away.
    pub(super) fn user_edits(&mut self, m: M) {
        let key = KEYS[self.dice.index(KEYS.len())];
        self.user_edits_key(m, key);
    }

    /// The same for this key. Gives what makes the request the same when it is sent again; nothing where nothing is to be
    /// read.
    pub(crate) fn user_edits_key(&mut self, m: M, key: &'static str) -> Option<tanist::data::Request> {
        let entry = self.entry(m, key)?;
        let settles = entry.siblings.len() > 1 && self.dice.chance(0.4);
        let deletes = key == DELETED && self.dice.chance(0.3);
        self.user_replaces(m, key, &entry, settles, deletes)
    }

    /// A user of this machine settles the first conflict of a key that it reads there.
    pub(crate) fn user_settles(&mut self, m: M, key: &'static str) -> Option<tanist::data::Request> {
        let entry = self.entry(m, key)?;
        self.user_replaces(m, key, &entry, true, false)
    }

    /// A user of this machine gives a key another value than the one that it reads there.
    pub(crate) fn user_writes_over(&mut self, m: M, key: &'static str) -> Option<tanist::data::Request> {
        let entry = self.entry(m, key)?;
        self.user_replaces(m, key, &entry, false, false)
    }

    /// A user of this machine takes away the value that it reads there.
    pub(crate) fn user_deletes(&mut self, m: M, key: &'static str) -> Option<tanist::data::Request> {
        let entry = self.entry(m, key)?;
        self.user_replaces(m, key, &entry, false, true)
    }

    /// Whether readers of this machine see the value of this request.
    pub(crate) fn value_is_of(&self, m: M, key: &str, id: RequestId) -> bool {
        let entry = lists::key(&self.shown_by(m), key).expect("the disk works");
        entry.is_some_and(|(_, entry)| entry.siblings.first().is_some_and(|first| first.request == id))
    }

    fn user_replaces(
        &mut self,
        m: M,
        key: &'static str,
        entry: &KeyEntry,
        settles: bool,
        deletes: bool,
    ) -> Option<tanist::data::Request> {
        let id = self.users.next_id();
        let value = (!deletes).then(|| id.0.to_string().into_bytes().into());
        let first = entry.siblings.first()?;
        let named = if settles { &entry.siblings[..2] } else { &entry.siblings[..1] };
        let key_of = key.to_owned();
        let present = first.value.is_some().then(|| first.birth.tagged());
        let ask = match (value, present) {
            (value, present) if settles => {
                let conflict = entry.siblings[1].birth.tagged();
                Ask::Resolve { key: key_of, conflict, present, keep: Keep::Value(value) }
            }
            (Some(value), Some(version)) => Ask::Put { key: key_of, value, condition: Condition::Is(version) },
            (Some(value), None) => Ask::Put { key: key_of, value, condition: Condition::Absent },
            (None, Some(version)) => Ask::Delete { key: key_of, condition: Condition::Is(version) },
            (None, None) => return None,
        };
        let edits = &mut self.users.edits;
        let mut seen: BTreeSet<RequestId> = named.iter().flat_map(|s| edits.of(s.request).clone()).collect();
        seen.insert(id);
        edits.seen.insert(id, seen);
        // Whoever writes where nothing is may find another deletion than the one that was read.
        if present.is_some() {
            edits.replaced.insert(id, named.iter().map(|sibling| sibling.birth).collect());
        }
        edits.key_of.insert(id, key);
        if deletes {
            edits.deletions.insert(id);
        }
        let request = self.signed(m, id, ask);
        self.ask(m, &request);
        Some(request)
    }

    /// How many values stand under these keys on this machine.
    pub(crate) fn values_of(&self, m: M, key: &str) -> usize {
        lists::key(&self.shown_by(m), key).expect("the disk works").map_or(0, |(_, entry)| entry.siblings.len())
    }

    /// P5, when all follow one leader: every acknowledged change was seen by what stands, and no conflict is invented.
    pub(super) fn expect_every_edit_seen(&mut self) {
        for m in self.running() {
            for key in KEYS {
                let Some(entry) = self.entry(m, key) else { continue };
                let edits = &self.users.edits;
                let seen: BTreeSet<RequestId> =
                    entry.siblings.iter().flat_map(|s| edits.of(s.request).clone()).collect();
                let of_key = edits.done.iter().filter(|(_, of)| **of == key).map(|(id, _)| *id);
                let lost = of_key.filter(|id| !seen.contains(id));
                let lost: Vec<RequestId> = lost.filter(|id| key != DELETED || !edits.may_be_deleted(*id)).collect();
                assert!(lost.is_empty(), "P5: on pc-{m} {key} has lost {lost:?}: {:?}", entry.siblings);
            }
        }
    }
}
