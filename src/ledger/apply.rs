//! What a change does to a state. Nothing is asked here: the same changes in the same order always make the same rows.

use super::Trouble;
use super::codec::encode;
use super::draft::{Draft, KeyHere, Shape};
use super::records::{RecordHere, all_births};
use super::storage::{Storage, Table, by_reign};
use crate::data::{
    Add, Carried, Change, Entry, JoinedKey, KeyEntry, ReignId, Replaces, Revision, Sibling, Slice, Write,
};

impl<R: Storage> Draft<'_, R> {
    /// Before the first change of a batch: a reign begins from where its first change finds the state.
    pub(super) fn begin(&mut self, reign: ReignId) -> Result<(), Trouble<R::Error>> {
        if self.head.seen.knows(reign) {
            return Ok(());
        }
        let key = reign.0.to_be_bytes();
        self.take(Table::Begins, &key)?;
        self.put_counted(Table::Begins, &key, None, &by_reign(self.head.facts.position))
    }

    /// One change under the next revision.
    pub(super) fn apply(&mut self, revision: Revision, change: &Change) -> Result<(), Trouble<R::Error>> {
        match change {
            Change::Add(add) => self.add(revision, add),
            Change::Again(id, births) => self.again(revision, *id, |known| all_births(known, births)),
            Change::Write(write) => self.write(revision, write),
            Change::Trim(trim) => self.trim(trim),
            Change::Key(key) => self.take_key(revision, key),
            Change::Keep(entry) => {
                let row = encode(&Entry::<&str, _>::Key(KeyEntry {
                    key: &entry.key,
                    siblings: entry.siblings.iter().map(Sibling::borrowed).collect(),
                }));
                self.put(Table::Kept, &by_reign(revision), &row)
            }
            Change::Share(share) => self.take_share(share),
            Change::Merge(merge) => self.merge(revision, merge),
        }
    }

    /// After the last change of a batch.
    pub(super) fn end(&mut self, last: Revision) -> Result<(), Trouble<R::Error>> {
        self.see(last)?;
        self.head.facts.position = last;
        self.limit()?;
        self.put(Table::Facts, b"", &encode(&self.head.facts))
    }

    /// Takes a revision into the context.
    pub(super) fn see(&mut self, revision: Revision) -> Result<(), Trouble<R::Error>> {
        if self.head.seen.raise(revision) {
            self.put_number(Table::Seen, &revision.reign.0.to_be_bytes(), revision.number)?;
        }
        Ok(())
    }

    fn add(&mut self, revision: Revision, add: &Add) -> Result<(), Trouble<R::Error>> {
        let births = if add.births.is_empty() { vec![revision] } else { add.births.clone() };
        if !add.births.is_empty() && self.is_trimmed(&add.topic, &births)? {
            return Ok(());
        }
        let Add { id, ref topic, at, node, ref value, .. } = *add;
        self.put_record(revision, RecordHere { births, id, topic, at, node, value: Slice(value) })
    }

    fn write(&mut self, revision: Revision, write: &Write) -> Result<(), Trouble<R::Error>> {
        let new = Sibling {
            birth: revision,
            request: write.request,
            at: write.at,
            node: write.node,
            value: write.value.as_deref().map(Slice),
        };
        let (present, (shape, row)) = self.with_key(&write.key, |present| {
            let siblings = match present {
                None => vec![new],
                Some((_, entry)) => after_write(new, entry.siblings, &write.replaces),
            };
            Ok(encoded(KeyEntry { key: &write.key, siblings }))
        })?;
        self.put_entry(revision, &write.key, present, shape, &row)?;
        self.put_request(revision, write.request, write.hash, &write.key)
    }

    /// What a key became when two groups met.
    pub(super) fn take_key(&mut self, revision: Revision, joined: &JoinedKey) -> Result<(), Trouble<R::Error>> {
        let (present, made) =
            self.with_key(&joined.key, |present| Ok(assembled(joined, present.map(|(_, entry)| entry)).map(encoded)))?;
        let (shape, row) = made.ok_or(Trouble::Missing)?;
        self.put_entry(revision, &joined.key, present, shape, &row)
    }
}

fn encoded(entry: KeyHere<'_>) -> (Shape, Vec<u8>) {
    (Shape::from(&entry), encode(&Entry::Key(entry)))
}

/// The siblings of a key after a write: the new one first, then those that it does not replace. One that replaces nothing
/// comes last.
fn after_write<'a>(
    new: Sibling<Slice<'a>>,
    present: Vec<Sibling<Slice<'a>>>,
    replaces: &Replaces,
) -> Vec<Sibling<Slice<'a>>> {
    if *replaces == Replaces::Nothing {
        return present.into_iter().chain([new]).collect();
    }
    let gone = replaced(&present, replaces);
    let stay = present.into_iter().zip(gone).filter(|(_, gone)| !gone).map(|(sibling, _)| sibling);
    std::iter::once(new).chain(stay).collect()
}

/// Which of the siblings a write replaces: those that it names, and with them all that have the same value, for users
/// see these as one.
pub(super) fn replaced<V: PartialEq>(siblings: &[Sibling<V>], replaces: &Replaces) -> Vec<bool> {
    let named = |at: usize| match replaces {
        Replaces::First => at == 0,
        Replaces::Births(births) => births.contains(&siblings[at].birth),
        Replaces::Nothing => false,
    };
    let same = |at: usize| (0..siblings.len()).any(|n| named(n) && siblings[n].value == siblings[at].value);
    (0..siblings.len()).map(same).collect()
}

/// The entry of a joined key. None when it names a sibling that is not there.
fn assembled<'a>(joined: &'a JoinedKey, present: Option<KeyHere<'a>>) -> Option<KeyHere<'a>> {
    let present = present.map_or_else(Vec::new, |entry| entry.siblings);
    let sibling = |carried: &'a Carried| match carried {
        Carried::New(sibling) => Some(sibling.borrowed()),
        Carried::Held(birth) => present.iter().find(|sibling| sibling.birth == *birth).cloned(),
    };
    let siblings = joined.siblings.iter().map(sibling).collect::<Option<Vec<_>>>()?;
    Some(KeyEntry { key: &joined.key, siblings })
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
