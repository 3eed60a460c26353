//! What the ledger asks of a store: tables of bytes.
//!
//! Keys are compared byte by byte; numbers in them are big-endian, so that their order is the order of the numbers.

use crate::data::{ReignId, RequestId, Revision};
use std::ops::{Bound, ControlFlow};

/// The tables.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Table {
    /// One row, with an empty key: position, digest, counts.
    Facts,
    /// (reign, number) to the entry that stands under this revision.
    Entries,
    /// Id of a record to its revision.
    Ids,
    /// (topic, number, reign): the records of a topic in order. The rows are empty.
    Topics,
    /// Topic to its counts.
    Counts,
    /// Key to its revision.
    Keys,
    /// The keys that have more than one sibling; the rows are empty.
    Conflicts,
    /// (number, reign) to the key: the tombstones in order.
    Tombstones,
    /// (number, reign) of a birth to the execution of a request. A row begins with the id of the request, 16 bytes.
    Requests,
    /// Reign to the highest number of it that was seen: the context.
    Seen,
    /// Reign to the position that it began from.
    Begins,
    /// (reign, number) of a join to the position that was joined.
    Merges,
    /// Reign to the highest number of a tombstone that was forgotten.
    Forgotten,
    /// (topic, reign) to the number up to which it was trimmed.
    Trims,
    /// (reign, number) of a change of a join to an entry that it refused. It is no part of the state: who takes over a copy
    /// later does not have it.
    Kept,
    /// What has come in part: it is no part of the state, and its first byte says of what it is a part.
    Aside,
}

impl Table {
    /// All of them, in order.
    pub const ALL: [Table; 16] = [
        Table::Facts,
        Table::Entries,
        Table::Ids,
        Table::Topics,
        Table::Counts,
        Table::Keys,
        Table::Conflicts,
        Table::Tombstones,
        Table::Requests,
        Table::Seen,
        Table::Begins,
        Table::Merges,
        Table::Forgotten,
        Table::Trims,
        Table::Kept,
        Table::Aside,
    ];

    /// Its name, for a store that names its tables.
    pub fn name(self) -> &'static str {
        match self {
            Table::Facts => "facts",
            Table::Entries => "entries",
            Table::Ids => "ids",
            Table::Topics => "topics",
            Table::Counts => "counts",
            Table::Keys => "keys",
            Table::Conflicts => "conflicts",
            Table::Tombstones => "tombstones",
            Table::Requests => "requests",
            Table::Seen => "seen",
            Table::Begins => "begins",
            Table::Merges => "merges",
            Table::Forgotten => "forgotten",
            Table::Trims => "trims",
            Table::Aside => "aside",
            Table::Kept => "kept",
        }
    }
}

/// What is shown of each row, its key and its value, and whether to go on.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// A part of a table.
pub type Range<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// Tables that can be read: a store, or a snapshot of one.
pub trait Read {
    /// Why a table could not be read or written. The ledger passes it on.
    type Error;

    /// Shows the row of this key, in place.
    ///
    /// # Errors
    /// Those of the store.
    fn get<R>(&self, table: Table, key: &[u8], visit: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, Self::Error>;

    /// Shows the rows of a part of the table in the order of their keys, until `visit` has enough. A part that ends
    /// before it begins is empty.
    ///
    /// # Errors
    /// Those of the store.
    fn range(&self, table: Table, range: Range<'_>, visit: Visit<'_>) -> Result<(), Self::Error>;
}

/// Tables that can be written. What one call of the ledger writes is one transaction: a crash leaves all of it or none.
pub trait Storage: Read {
    /// Writes a row, over the one that is there.
    ///
    /// # Errors
    /// Those of the store.
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), Self::Error>;

    /// Removes a row, if it is there.
    ///
    /// # Errors
    /// Those of the store.
    fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), Self::Error>;

    /// The births of all rows of [`Table::Requests`] with this id, in no order.
    ///
    /// It is asked for every write, and ids are random: a tree by id would be read all over. So the store keeps a map of
    /// fingerprints in memory, made anew when it is opened, and looks at the rows that have the same.
    ///
    /// # Errors
    /// Those of the store.
    fn find_request(&self, id: RequestId) -> Result<Vec<Revision>, Self::Error>;
}

/// The whole table.
pub const EVERYTHING: Range<'static> = (Bound::Unbounded, Bound::Unbounded);

/// The rows whose keys begin so.
pub(super) fn beginning<'a>(prefix: &'a [u8], end: &'a Option<Vec<u8>>) -> Range<'a> {
    (Bound::Included(prefix), end.as_deref().map_or(Bound::Unbounded, Bound::Excluded))
}

/// The first key behind all that begin so; none when there is none.
pub(super) fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// From this key on.
pub(super) fn from(key: &[u8]) -> Range<'_> {
    (Bound::Included(key), Bound::Unbounded)
}

/// Behind this key.
pub(super) fn behind(key: &[u8]) -> Range<'_> {
    (Bound::Excluded(key), Bound::Unbounded)
}

/// (reign, number): entries and joins.
pub(super) fn by_reign(revision: Revision) -> [u8; 16] {
    pair(revision.reign.0, revision.number)
}

/// (number, reign): births of requests.
pub(super) fn by_number(revision: Revision) -> [u8; 16] {
    pair(revision.number, revision.reign.0)
}

fn pair(first: u64, second: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&first.to_be_bytes());
    key[8..].copy_from_slice(&second.to_be_bytes());
    key
}

/// A topic and a revision, by number and then reign.
pub(super) fn in_topic(topic: &str, revision: Revision) -> Vec<u8> {
    let mut key = topic_prefix(topic);
    key.extend_from_slice(&by_number(revision));
    key
}

/// What the rows of a topic begin with. A topic has no NUL, so no topic is the beginning of another's.
pub(super) fn topic_prefix(topic: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(topic.len() + 17);
    key.extend_from_slice(topic.as_bytes());
    key.push(0);
    key
}

/// Takes a topic from the front.
pub(super) fn split_topic(key: &[u8]) -> Option<(&str, &[u8])> {
    let (topic, rest) = key.split_at_checked(key.iter().position(|byte| *byte == 0)?)?;
    Some((std::str::from_utf8(topic).ok()?, &rest[1..]))
}

/// Takes (reign, number) apart.
pub(super) fn reign_first(key: &[u8]) -> Option<Revision> {
    let (reign, number) = key.split_at_checked(8)?;
    Some(Revision::new(reign_of(reign)?, number_of(number)?))
}

/// Takes (number, reign) apart.
pub(super) fn number_first(key: &[u8]) -> Option<Revision> {
    let (number, reign) = key.split_at_checked(8)?;
    Some(Revision::new(reign_of(reign)?, number_of(number)?))
}

/// Eight bytes as a number.
pub(super) fn number_of(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// Eight bytes as a reign.
pub(super) fn reign_of(bytes: &[u8]) -> Option<ReignId> {
    number_of(bytes).map(ReignId)
}

/// The id that a row of requests begins with.
pub(super) fn id_of(row: &[u8]) -> Option<RequestId> {
    Some(RequestId(u128::from_be_bytes(row.get(..16)?.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_stand_in_the_order_of_their_numbers() {
        for (number, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!(table as usize, number, "{}", table.name());
        }
    }

    #[test]
    fn keys_sort_as_what_they_mean() {
        let r = |reign, number| Revision::new(ReignId(reign), number);
        assert!(by_reign(r(1, 256)) < by_reign(r(2, 1)) && by_reign(r(1, 255)) < by_reign(r(1, 256)));
        assert!(by_number(r(2, 1)) < by_number(r(1, 256)) && by_number(r(1, 1)) < by_number(r(2, 1)));
        assert!(in_topic("a", r(1, u64::MAX)) < in_topic("ab", r(1, 0)));
        assert!(in_topic("a", r(2, 1)) < in_topic("a", r(1, 256)) && in_topic("a", r(1, 1)) < in_topic("a", r(2, 1)));
    }

    #[test]
    fn keys_can_be_taken_apart() {
        let revision = Revision::new(ReignId(7), 9);
        assert_eq!(reign_first(&by_reign(revision)), Some(revision));
        assert_eq!(number_first(&by_number(revision)), Some(revision));
        assert_eq!(split_topic(&in_topic("a/b", revision)), Some(("a/b", &by_number(revision)[..])));
        assert_eq!((split_topic(b"topic"), split_topic(b"\xff\x00")), (None, None));
        for broken in [&b""[..], b"1234567", b"12345678", b"123456789012345678"] {
            assert_eq!(reign_first(broken), None, "{broken:?}");
            assert_eq!(number_first(broken), None, "{broken:?}");
        }
    }
}
