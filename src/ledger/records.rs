//! Records, and the counts of their topics.

use super::codec::{Unread, decode, encode};
use super::draft::{Draft, EntryHere};
use super::storage::{Read, Storage, Table, by_reign, in_topic, number_of, reign_first};
use super::{Trouble, digest, rows};
use crate::data::{Entry, Record, RequestId, Revision, Slice};
use crate::time::Wall;

/// A record, read in place.
pub(super) type RecordHere<'a> = Record<&'a str, Slice<'a>>;

/// What is known of a topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// How many records it has.
    pub records: u64,
    /// The bytes of their contents.
    pub bytes: u64,
    /// When the last of them, in the order of revisions, was added.
    pub newest: Wall,
    /// How many came over from another group, or were met in one: their revision is not their birth.
    pub(super) joined: u64,
}

impl Counts {
    fn row(self) -> [u8; 32] {
        let mut row = [0; 32];
        for (field, at) in [(self.records, 0), (self.bytes, 8), (self.newest.0, 16), (self.joined, 24)] {
            row[at..at + 8].copy_from_slice(&field.to_be_bytes());
        }
        row
    }

    pub(super) fn read(row: &[u8]) -> Result<Counts, Unread> {
        let field = |at: usize| row.get(at..at + 8).and_then(number_of).ok_or(Unread::Garbage("counts"));
        Ok(Counts { records: field(0)?, bytes: field(8)?, newest: Wall(field(16)?), joined: field(24)? })
    }

    pub(super) fn of<R: Read>(store: &R, topic: &str) -> Result<Counts, Trouble<R::Error>> {
        Ok(rows::get(store, Table::Counts, topic.as_bytes(), Counts::read)?.unwrap_or_default())
    }
}

/// Reads a record; a key in its place is damage.
pub(super) fn record_here(row: &[u8]) -> Result<RecordHere<'_>, Unread> {
    match decode::<EntryHere<'_>>(row)? {
        Entry::Record(record) => Ok(record),
        Entry::Key(_) => Err(Unread::Garbage("a key in the place of a record")),
    }
}

/// Under which revision a record stands.
pub(super) fn find<R: Read>(store: &R, id: RequestId) -> Result<Option<Revision>, Trouble<R::Error>> {
    rows::get(store, Table::Ids, &id.0.to_be_bytes(), |row| reign_first(row).ok_or(Unread::Garbage("a revision")))
}

/// Shows a record in place.
pub(super) fn with<R: Read, T>(
    store: &R,
    revision: Revision,
    visit: impl FnOnce(RecordHere<'_>) -> T,
) -> Result<T, Trouble<R::Error>> {
    let shown = rows::get(store, Table::Entries, &by_reign(revision), |row| record_here(row).map(visit))?;
    shown.ok_or(Trouble::Damaged(Table::Ids))
}

impl<R: Storage> Draft<'_, R> {
    /// Puts a record under a revision, in the place of the one with its id.
    pub(super) fn put_record(&mut self, revision: Revision, record: RecordHere<'_>) -> Result<(), Trouble<R::Error>> {
        if let Some(present) = find(&*self.rows, record.id)? {
            self.drop_record(present)?;
        }
        let (id, topic, birth, at) = (record.id, record.topic, record.birth, record.at);
        let size = record.value.0.len() as u64;
        self.put_counted(Table::Entries, &by_reign(revision), None, &encode(&Entry::Record(record)))?;
        self.put(Table::Ids, &id.0.to_be_bytes(), &by_reign(revision))?;
        self.put(Table::Topics, &in_topic(topic, revision.number), &revision.reign.0.to_be_bytes())?;
        self.head.facts.records += 1;
        let mut counts = Counts::of(&*self.rows, topic)?;
        counts.records += 1;
        counts.bytes += size;
        counts.joined += u64::from(birth != revision);
        counts.newest = at;
        self.put(Table::Counts, topic.as_bytes(), &counts.row())
    }

    /// Gives a record a new revision, and nothing else. Says whether it is there.
    pub(super) fn again(&mut self, revision: Revision, id: RequestId) -> Result<bool, Trouble<R::Error>> {
        let Some(present) = find(&*self.rows, id)? else { return Ok(false) };
        let row = self.get(Table::Entries, &by_reign(present), |row| Ok(row.to_vec()))?;
        let row = row.ok_or(Trouble::Damaged(Table::Ids))?;
        let record = record_here(&row).map_err(|_| Trouble::Damaged(Table::Entries))?;
        let topic = record.topic;
        self.take(Table::Entries, &by_reign(present))?;
        self.put_counted(Table::Entries, &by_reign(revision), None, &row)?;
        self.put(Table::Ids, &id.0.to_be_bytes(), &by_reign(revision))?;
        self.remove(Table::Topics, &in_topic(topic, present.number))?;
        self.put(Table::Topics, &in_topic(topic, revision.number), &revision.reign.0.to_be_bytes())?;
        let mut counts = Counts::of(&*self.rows, topic)?;
        counts.joined += u64::from(record.birth == present);
        counts.newest = record.at;
        self.put(Table::Counts, topic.as_bytes(), &counts.row())?;
        Ok(true)
    }

    /// Removes the record that stands under a revision.
    pub(super) fn drop_record(&mut self, revision: Revision) -> Result<(), Trouble<R::Error>> {
        let at = by_reign(revision);
        let gone = self.get(Table::Entries, &at, |row| {
            let record = record_here(row)?;
            let sum = digest::of_row(Table::Entries, &at, row);
            Ok((sum, record.id, record.topic.to_owned(), record.birth, record.value.0.len() as u64))
        })?;
        let (sum, id, topic, birth, size) = gone.ok_or(Trouble::Damaged(Table::Ids))?;
        self.remove_counted(Table::Entries, &at, sum)?;
        self.remove(Table::Ids, &id.0.to_be_bytes())?;
        self.remove(Table::Topics, &in_topic(&topic, revision.number))?;
        self.head.facts.records -= 1;
        let mut counts = Counts::of(&*self.rows, &topic)?;
        counts.records -= 1;
        counts.bytes -= size;
        counts.joined -= u64::from(birth != revision);
        if counts.records == 0 {
            return self.remove(Table::Counts, topic.as_bytes());
        }
        self.put(Table::Counts, topic.as_bytes(), &counts.row())
    }

    /// Says when the last record of a topic was added, after others of it went.
    pub(super) fn count_anew(&mut self, topic: &str, newest: Option<Wall>) -> Result<(), Trouble<R::Error>> {
        let Some(newest) = newest else { return Ok(()) };
        let counts = Counts { newest, ..Counts::of(&*self.rows, topic)? };
        self.put(Table::Counts, topic.as_bytes(), &counts.row())
    }
}
