//! Records, and the counts of their topics.

use super::codec::{Unread, decode, encode};
use super::draft::{Draft, EntryHere};
use super::limits::SIBLINGS;
use super::storage::{Read, Storage, Table, by_reign, in_topic, number_first, number_of, reign_first, split_topic};
use super::{Trouble, digest, rows};
use crate::data::{Entry, Record, ReignId, RequestId, Revision, Slice};
use crate::time::Wall;
use std::ops::{Bound, ControlFlow};

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
    /// The revision of that one.
    last: Revision,
    /// How many came over from another group, or were met in one: their revision is not their birth.
    pub(super) joined: u64,
}

impl Counts {
    fn row(self) -> [u8; 48] {
        let fields = [self.records, self.bytes, self.newest.0, self.last.number, self.last.reign.0, self.joined];
        let mut row = [0; 48];
        for (place, field) in row.chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        row
    }

    pub(super) fn read(row: &[u8]) -> Result<Counts, Unread> {
        let fields: Option<Vec<u64>> = row.chunks(8).map(number_of).collect();
        let Some([records, bytes, newest, number, reign, joined]) =
            fields.as_deref().and_then(|fields| fields.as_array())
        else {
            return Err(Unread::Garbage("counts"));
        };
        let last = Revision::new(ReignId(*reign), *number);
        Ok(Counts { records: *records, bytes: *bytes, newest: Wall(*newest), last, joined: *joined })
    }

    /// Another stands under this revision, which may be the last.
    fn with(self, revision: Revision, at: Wall) -> Counts {
        if revision > self.last { Counts { newest: at, last: revision, ..self } } else { self }
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

/// A record of a topic, without its content.
pub(super) struct Sight {
    pub revision: Revision,
    /// At most SIBLINGS.
    pub births: Vec<Revision>,
    pub at: Wall,
}

/// Shows the records of a topic between two numbers in the order of their revisions.
pub(super) fn each<R: Read>(
    store: &R,
    topic: &str,
    (first, last): (u64, u64),
    mut visit: impl FnMut(Sight) -> ControlFlow<()>,
) -> Result<(), Trouble<R::Error>> {
    let first = in_topic(topic, Revision::new(ReignId::NONE, first));
    let last = in_topic(topic, Revision::new(ReignId(u64::MAX), last));
    rows::each(store, Table::Topics, (Bound::Included(&first), Bound::Included(&last)), |key, _| {
        let revision = split_topic(key).and_then(|(_, revision)| number_first(revision));
        let revision = revision.ok_or(Trouble::Damaged(Table::Topics))?;
        let (births, at) = with(store, revision, |record| (record.births, record.at))?;
        Ok(visit(Sight { revision, births, at }))
    })
}

/// The births of two sides in order, the last ones when they are too many.
pub(super) fn all_births(a: &[Revision], b: &[Revision]) -> Vec<Revision> {
    let mut all: Vec<Revision> = a.iter().chain(b).copied().collect();
    all.sort_unstable();
    all.dedup();
    all.split_off(all.len().saturating_sub(SIBLINGS))
}

impl<R: Storage> Draft<'_, R> {
    /// Puts a record under a revision, in the place of the one with its id.
    pub(super) fn put_record(&mut self, revision: Revision, record: RecordHere<'_>) -> Result<(), Trouble<R::Error>> {
        if let Some(present) = find(&*self.rows, record.id)? {
            let topic = self.drop_record(present)?;
            self.count_anew(&topic)?;
        }
        let (id, topic, birth, at) = (record.id, record.topic, record.birth(), record.at);
        let size = record.value.0.len() as u64;
        self.put_counted(Table::Entries, &by_reign(revision), None, &encode(&Entry::Record(record)))?;
        self.put(Table::Ids, &id.0.to_be_bytes(), &by_reign(revision))?;
        self.put(Table::Topics, &in_topic(topic, revision), b"")?;
        self.head.facts.records += 1;
        let mut counts = Counts::of(&*self.rows, topic)?;
        counts.records += 1;
        counts.bytes += size;
        counts.joined += u64::from(birth != revision);
        self.put(Table::Counts, topic.as_bytes(), &counts.with(revision, at).row())
    }

    /// The births of a record, if it is here.
    pub(super) fn births_of(&self, id: RequestId) -> Result<Option<Vec<Revision>>, Trouble<R::Error>> {
        let Some(present) = find(&*self.rows, id)? else { return Ok(None) };
        with(&*self.rows, present, |record| record.births).map(Some)
    }

    /// Gives a record that is here a new revision, and the births that are made of those that it has.
    pub(super) fn again(
        &mut self,
        revision: Revision,
        id: RequestId,
        births: impl FnOnce(&[Revision]) -> Vec<Revision>,
    ) -> Result<(), Trouble<R::Error>> {
        let Some(present) = find(&*self.rows, id)? else { return Ok(()) };
        let row = self.get(Table::Entries, &by_reign(present), |row| Ok(row.to_vec()))?;
        let row = row.ok_or(Trouble::Damaged(Table::Ids))?;
        let mut record = record_here(&row).map_err(|_| Trouble::Damaged(Table::Entries))?;
        record.births = births(&record.births);
        let (topic, at, birth) = (record.topic, record.at, record.birth());
        self.take(Table::Entries, &by_reign(present))?;
        self.put_counted(Table::Entries, &by_reign(revision), None, &encode(&Entry::Record(record)))?;
        self.put(Table::Ids, &id.0.to_be_bytes(), &by_reign(revision))?;
        self.remove(Table::Topics, &in_topic(topic, present))?;
        self.put(Table::Topics, &in_topic(topic, revision), b"")?;
        let mut counts = Counts::of(&*self.rows, topic)?;
        counts.joined += u64::from(birth == present);
        self.put(Table::Counts, topic.as_bytes(), &counts.with(revision, at).row())?;
        if counts.last == present && revision < present { self.count_anew(topic) } else { Ok(()) }
    }

    /// Removes the record that stands under a revision. Says of which topic it was; whether it was the last of it must be
    /// seen to ([`Draft::count_anew`]).
    pub(super) fn drop_record(&mut self, revision: Revision) -> Result<String, Trouble<R::Error>> {
        let at = by_reign(revision);
        let gone = self.get(Table::Entries, &at, |row| {
            let record = record_here(row)?;
            let sum = digest::of_row(Table::Entries, &at, row);
            Ok((sum, record.id, record.topic.to_owned(), record.birth(), record.value.0.len() as u64))
        })?;
        let (sum, id, topic, birth, size) = gone.ok_or(Trouble::Damaged(Table::Ids))?;
        self.remove_counted(Table::Entries, &at, sum)?;
        self.remove(Table::Ids, &id.0.to_be_bytes())?;
        self.remove(Table::Topics, &in_topic(&topic, revision))?;
        self.head.facts.records -= 1;
        let mut counts = Counts::of(&*self.rows, &topic)?;
        counts.records -= 1;
        counts.bytes -= size;
        counts.joined -= u64::from(birth != revision);
        if counts.records == 0 {
            self.remove(Table::Counts, topic.as_bytes())?;
        } else {
            self.put(Table::Counts, topic.as_bytes(), &counts.row())?;
        }
        Ok(topic)
    }

    /// Says which record of a topic is the last, when the one that was is gone.
    pub(super) fn count_anew(&mut self, topic: &str) -> Result<(), Trouble<R::Error>> {
        let counts = Counts::of(&*self.rows, topic)?;
        let last = self.get(Table::Topics, &in_topic(topic, counts.last), |_| Ok(()))?;
        if counts.records == 0 || last.is_some() {
            return Ok(());
        }
        let mut anew = Counts { last: Revision::ZERO, ..counts };
        each(&*self.rows, topic, (0, u64::MAX), |record| {
            anew = anew.with(record.revision, record.at);
            ControlFlow::Continue(())
        })?;
        self.put(Table::Counts, topic.as_bytes(), &anew.row())
    }
}
