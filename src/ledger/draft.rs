//! A state while changes are applied to it: every row that counts goes through here, so the digest and the counts follow.

use super::codec::{Unread, decode};
use super::head::Head;
use super::limits::Limits;
use super::storage::{Storage, Table, by_number, by_reign, number_first, number_of, reign_first};
use super::{Trouble, digest, rows};
use crate::data::{Entry, KeyEntry, Revision, Slice};

/// A state that is being changed.
pub(super) struct Draft<'a, R> {
    pub rows: &'a mut R,
    pub head: &'a mut Head,
    pub limits: &'a Limits,
}

/// An entry, read in place.
pub(super) type EntryHere<'a> = Entry<&'a str, Slice<'a>>;
/// A key's entry, read in place.
pub(super) type KeyHere<'a> = KeyEntry<&'a str, Slice<'a>>;

/// What is to be known of the entry of a key to take it out of the tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// It has no value.
    tombstone: bool,
    /// There is something to choose.
    conflict: bool,
}

/// The entry of a key that is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Present {
    pub revision: Revision,
    /// What it adds to the digest.
    sum: u128,
    pub shape: Shape,
}

impl<V> From<&KeyEntry<&str, V>> for Shape {
    fn from(entry: &KeyEntry<&str, V>) -> Shape {
        Shape { tombstone: entry.is_tombstone(), conflict: entry.has_conflict() }
    }
}

impl Shape {
    pub(super) fn is_tombstone(self) -> bool {
        self.tombstone
    }
}

/// Reads the entry of a key; one of a record in its place is damage.
pub(super) fn key_here(row: &[u8]) -> Result<KeyHere<'_>, Unread> {
    match decode::<EntryHere<'_>>(row)? {
        Entry::Key(entry) => Ok(entry),
        Entry::Record(_) => Err(Unread::Garbage("a record in the place of a key")),
    }
}

impl<R: Storage> Draft<'_, R> {
    /// What a row says.
    pub(super) fn get<T>(
        &self,
        table: Table,
        key: &[u8],
        visit: impl FnOnce(&[u8]) -> Result<T, Unread>,
    ) -> Result<Option<T>, Trouble<R::Error>> {
        rows::get(&*self.rows, table, key, visit)
    }

    /// Writes a row that does not count.
    pub(super) fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), Trouble<R::Error>> {
        debug_assert!(!digest::counts(table));
        self.rows.put(table, key, value).map_err(Trouble::Storage)
    }

    /// Removes a row that does not count.
    pub(super) fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), Trouble<R::Error>> {
        debug_assert!(!digest::counts(table));
        self.rows.remove(table, key).map_err(Trouble::Storage)
    }

    /// Writes a row that counts, in the place of one that added `old` to the digest.
    pub(super) fn put_counted(
        &mut self,
        table: Table,
        key: &[u8],
        old: Option<u128>,
        value: &[u8],
    ) -> Result<(), Trouble<R::Error>> {
        debug_assert!(digest::counts(table));
        let sum = &mut self.head.facts.sum;
        *sum = sum.wrapping_sub(old.unwrap_or(0)).wrapping_add(digest::of_row(table, key, value));
        self.rows.put(table, key, value).map_err(Trouble::Storage)
    }

    /// Removes a row that counts and added `old` to the digest.
    pub(super) fn remove_counted(&mut self, table: Table, key: &[u8], old: u128) -> Result<(), Trouble<R::Error>> {
        debug_assert!(digest::counts(table));
        self.head.facts.sum = self.head.facts.sum.wrapping_sub(old);
        self.rows.remove(table, key).map_err(Trouble::Storage)
    }

    /// Writes a number under a key of a table that counts. Says what was there.
    pub(super) fn put_number(
        &mut self,
        table: Table,
        key: &[u8],
        value: u64,
    ) -> Result<Option<u64>, Trouble<R::Error>> {
        let old = self.get(table, key, |row| number_of(row).ok_or(Unread::Garbage("a number")))?;
        let sum = old.map(|old| digest::of_row(table, key, &old.to_be_bytes()));
        self.put_counted(table, key, sum, &value.to_be_bytes())?;
        Ok(old)
    }

    /// Removes a row that counts, if it is there. Says whether it was.
    pub(super) fn take(&mut self, table: Table, key: &[u8]) -> Result<bool, Trouble<R::Error>> {
        let Some(sum) = self.get(table, key, |row| Ok(digest::of_row(table, key, row)))? else { return Ok(false) };
        self.remove_counted(table, key, sum)?;
        Ok(true)
    }

    /// The revision under which a key's entry stands.
    pub(super) fn revision_of(&self, key: &str) -> Result<Option<Revision>, Trouble<R::Error>> {
        self.get(Table::Keys, key.as_bytes(), |row| reign_first(row).ok_or(Unread::Garbage("a revision")))
    }

    /// Shows the entry of a key in place, if there is one, and says what is to be known to replace it.
    pub(super) fn with_key<T>(
        &self,
        key: &str,
        visit: impl FnOnce(Option<(Revision, KeyHere<'_>)>) -> Result<T, Unread>,
    ) -> Result<(Option<Present>, T), Trouble<R::Error>> {
        let Some(revision) = self.revision_of(key)? else {
            let shown = visit(None).map_err(|_| Trouble::Damaged(Table::Entries))?;
            return Ok((None, shown));
        };
        let at = by_reign(revision);
        let shown = self.get(Table::Entries, &at, |row| {
            let entry = key_here(row)?;
            let present =
                Present { revision, sum: digest::of_row(Table::Entries, &at, row), shape: Shape::from(&entry) };
            Ok((Some(present), visit(Some((revision, entry)))?))
        })?;
        shown.ok_or(Trouble::Damaged(Table::Keys))
    }

    /// Puts a key's entry, which is encoded already, under a revision, in the place of the one that is there.
    pub(super) fn put_entry(
        &mut self,
        revision: Revision,
        key: &str,
        present: Option<Present>,
        shape: Shape,
        row: &[u8],
    ) -> Result<(), Trouble<R::Error>> {
        if let Some(present) = present {
            self.remove_counted(Table::Entries, &by_reign(present.revision), present.sum)?;
            self.leave(present);
        }
        if let Some(tombstone) = present.filter(|present| present.shape.tombstone) {
            self.remove(Table::Tombstones, &by_number(tombstone.revision))?;
        }
        self.put_counted(Table::Entries, &by_reign(revision), None, row)?;
        self.put(Table::Keys, key.as_bytes(), &by_reign(revision))?;
        if shape.tombstone {
            self.put(Table::Tombstones, &by_number(revision), key.as_bytes())?;
        }
        let before = present.is_some_and(|present| present.shape.conflict);
        match (before, shape.conflict) {
            (false, true) => self.put(Table::Conflicts, key.as_bytes(), b"")?,
            (true, false) => self.remove(Table::Conflicts, key.as_bytes())?,
            _ => {}
        }
        let facts = &mut self.head.facts;
        *(if shape.tombstone { &mut facts.tombstones } else { &mut facts.keys }) += 1;
        facts.conflicts += u64::from(shape.conflict);
        Ok(())
    }

    /// Removes a key and its entry.
    pub(super) fn drop_key(&mut self, key: &str, present: Present) -> Result<(), Trouble<R::Error>> {
        self.remove_counted(Table::Entries, &by_reign(present.revision), present.sum)?;
        self.remove(Table::Keys, key.as_bytes())?;
        if present.shape.tombstone {
            self.remove(Table::Tombstones, &by_number(present.revision))?;
        }
        if present.shape.conflict {
            self.remove(Table::Conflicts, key.as_bytes())?;
        }
        self.leave(present);
        Ok(())
    }

    fn leave(&mut self, present: Present) {
        let facts = &mut self.head.facts;
        *(if present.shape.tombstone { &mut facts.tombstones } else { &mut facts.keys }) -= 1;
        facts.conflicts -= u64::from(present.shape.conflict);
    }
}

/// A tombstone in order.
pub(super) fn tombstone(revision: &[u8], key: &[u8]) -> Option<(Revision, String)> {
    Some((number_first(revision)?, std::str::from_utf8(key).ok()?.to_owned()))
}
