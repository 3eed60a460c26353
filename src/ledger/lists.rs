//! What readers ask of a store: values, records, topics, conflicts, and what changed since a cursor.
//!
//! All of it reads the store, or a snapshot of it, and so shows what is committed. Rows are shown in place, in order,
//! until the reader has enough; the next call goes on behind the last.

use super::codec::{Unread, decode};
use super::draft::{EntryHere, KeyHere, key_here};
use super::head::context;
use super::records::{Counts, find, record_here};
use super::storage::{
    EVERYTHING, Read, Table, beginning, behind, by_number, by_reign, end_of, in_topic, number_first, reign_first,
    split_topic, topic_prefix,
};
use super::{Trouble, contexts, requests, rows};
use crate::data::{Context, Entry, KeyEntry, Record, ReignId, RequestId, Revision, Slice, Tagged};
use crate::time::Wall;
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

/// What is shown of a key: its revision and its entry.
pub type ShowKey<'v> = &'v mut dyn FnMut(Revision, &KeyEntry<&str, Slice<'_>>) -> ControlFlow<()>;
/// What is shown of a record: its revision and itself.
pub type ShowRecord<'v> = &'v mut dyn FnMut(Revision, &Record<&str, Slice<'_>>) -> ControlFlow<()>;
/// What is shown of a change: its revision, and the present state of what it changed.
pub type ShowEntry<'v> = &'v mut dyn FnMut(Revision, &Entry<&str, Slice<'_>>) -> ControlFlow<()>;

/// A topic: its counts, and when its first record was added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopicView {
    /// How many records and bytes, and when the last was added.
    pub counts: Counts,
    /// When the first of them, in the order of revisions, was added.
    pub oldest: Wall,
}

/// A key, and the version of the value that it has now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyNow {
    /// The key.
    pub key: String,
    /// The birth of its value; none when it is deleted, or is not there.
    pub present: Option<Revision>,
}

/// What a row is about, for users.
pub fn name_of(table: Table, row: &[u8]) -> String {
    match (table, decode::<Entry<&str, Slice<'_>>>(row)) {
        (Table::Entries, Ok(Entry::Key(entry))) => format!("key {}", entry.key),
        (Table::Entries, Ok(Entry::Record(record))) => format!("record {} of {}", record.id, record.topic),
        _ => format!("a row of {}", table.name()),
    }
}

/// The entry of a key, and its revision. A tombstone is an entry too.
///
/// # Errors
/// Those of the store, and when a row cannot be read.
pub fn key<R: Read>(store: &R, key: &str) -> Result<Option<(Revision, KeyEntry)>, Trouble<R::Error>> {
    with_key(store, key, |revision, entry| (revision, entry.owned()))
}

/// Shows the entry of a key in place.
fn with_key<R: Read, T>(
    store: &R,
    key: &str,
    show: impl FnOnce(Revision, KeyHere<'_>) -> T,
) -> Result<Option<T>, Trouble<R::Error>> {
    let at =
        rows::get(store, Table::Keys, key.as_bytes(), |row| reign_first(row).ok_or(Unread::Garbage("a revision")))?;
    let Some(revision) = at else { return Ok(None) };
    let shown = rows::get(store, Table::Entries, &by_reign(revision), |row| Ok(show(revision, key_here(row)?)))?;
    shown.map(Some).ok_or(Trouble::Damaged(Table::Keys))
}

/// Shows the keys that begin so, tombstones not, behind one of them.
///
/// # Errors
/// Those of the store, and when a row cannot be read.
pub fn keys<R: Read>(store: &R, prefix: &str, after: Option<&str>, show: ShowKey<'_>) -> Result<(), Trouble<R::Error>> {
    each_key(store, Table::Keys, prefix, after, &mut |revision, entry| {
        if entry.is_tombstone() { ControlFlow::Continue(()) } else { show(revision, entry) }
    })
}

/// Shows the keys that have conflicts, behind one of them.
///
/// # Errors
/// Those of the store, and when a row cannot be read.
pub fn conflicts<R: Read>(store: &R, after: Option<&str>, show: ShowKey<'_>) -> Result<(), Trouble<R::Error>> {
    each_key(store, Table::Conflicts, "", after, show)
}

/// How many keys reunions refused that this store has aside.
///
/// # Errors
/// Those of the store.
pub fn kept_count<R: Read>(store: &R) -> Result<u64, Trouble<R::Error>> {
    let mut count = 0;
    rows::each(store, Table::Kept, EVERYTHING, |_, _| {
        count += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(count)
}

/// Shows what reunions refused and this store has aside, behind the revision of one: about [`super::limits::KEPT`] keys at
/// most.
///
/// # Errors
/// Those of the store, and when a row cannot be read.
pub fn kept<R: Read>(store: &R, after: Option<Revision>, show: ShowKey<'_>) -> Result<(), Trouble<R::Error>> {
    let after = after.map(by_reign);
    let range = match &after {
        Some(after) => behind(after),
        None => EVERYTHING,
    };
    rows::each(store, Table::Kept, range, |key, row| {
        let entry = key_here(row).map_err(|_| Trouble::Damaged(Table::Kept))?;
        Ok(show(reign_first(key).ok_or(Trouble::Damaged(Table::Kept))?, &entry))
    })
}

/// The key under which a value was written, by the value's birth. None when the write is not remembered, and the value is in
/// no conflict.
///
/// # Errors
/// Those of the store, and when a row cannot be read.
pub fn written<R: Read>(store: &R, birth: Tagged) -> Result<Option<KeyNow>, Trouble<R::Error>> {
    if let Ok(birth) = contexts::resolve(store, birth)? {
        let of = |row: &[u8]| Ok(requests::of_bytes(row)?.key);
        if let Some(name) = rows::get(store, Table::Requests, &by_number(birth), of)? {
            let present = with_key(store, &name, |_, entry| entry.present().map(|present| present.birth))?;
            return Ok(Some(KeyNow { key: name, present: present.flatten() }));
        }
    }
    let mut found = None;
    conflicts(store, None, &mut |_, entry| {
        if !entry.siblings.iter().skip(1).any(|sibling| sibling.birth.tagged() == birth) {
            return ControlFlow::Continue(());
        }
        let present = entry.present().map(|present| present.birth);
        found = Some(KeyNow { key: entry.key.to_owned(), present });
        ControlFlow::Break(())
    })?;
    Ok(found)
}

fn each_key<R: Read>(
    store: &R,
    table: Table,
    prefix: &str,
    after: Option<&str>,
    show: ShowKey<'_>,
) -> Result<(), Trouble<R::Error>> {
    let end = end_of(prefix.as_bytes());
    let mut range = beginning(prefix.as_bytes(), &end);
    if let Some(after) = after.filter(|after| *after >= prefix) {
        range.0 = behind(after.as_bytes()).0;
    }
    rows::each(store, table, range, |key, row| {
        let revision = match table {
            Table::Keys => reign_first(row),
            _ => rows::get(store, Table::Keys, key, |row| Ok(reign_first(row)))?.flatten(),
        };
        let revision = revision.ok_or(Trouble::Damaged(Table::Keys))?;
        let shown = rows::get(store, Table::Entries, &by_reign(revision), |row| Ok(show(revision, &key_here(row)?)))?;
        shown.ok_or(Trouble::Damaged(table))
    })
}

/// A record, and its revision.
///
/// # Errors
/// Those of the store, and when a row cannot be read.
pub fn record<R: Read>(store: &R, id: RequestId) -> Result<Option<(Revision, Record)>, Trouble<R::Error>> {
    let Some(revision) = find(store, id)? else { return Ok(None) };
    let record = rows::get(store, Table::Entries, &by_reign(revision), |row| Ok(record_here(row)?.owned()))?;
    record.map(|record| Some((revision, record))).ok_or(Trouble::Damaged(Table::Ids))
}

/// Shows the records of a topic that a reader who has seen this lacks, in the order of revisions, behind one of them.
///
/// # Errors
/// Those of the store, and when a row cannot be read.
pub fn records<R: Read>(
    store: &R,
    topic: &str,
    known: &Context,
    after: Option<Revision>,
    show: ShowRecord<'_>,
) -> Result<(), Trouble<R::Error>> {
    let start = match after {
        Some(after) => in_topic(topic, after),
        None => match first_lacking(store, &context(store, Table::Seen)?, known)? {
            Some(number) => in_topic(topic, Revision::new(ReignId::NONE, number)),
            None => return Ok(()),
        },
    };
    let end = end_of(&topic_prefix(topic)).expect("it has a NUL");
    rows::each(store, Table::Topics, (Bound::Excluded(&start), Bound::Excluded(&end)), |key, _| {
        let revision = split_topic(key).and_then(|(_, revision)| number_first(revision));
        let revision = revision.ok_or(Trouble::Damaged(Table::Topics))?;
        if known.covers(revision) {
            return Ok(ControlFlow::Continue(()));
        }
        let shown =
            rows::get(store, Table::Entries, &by_reign(revision), |row| Ok(show(revision, &record_here(row)?)))?;
        shown.ok_or(Trouble::Damaged(Table::Topics))
    })
}

/// Shows the topics behind one of them.
///
/// # Errors
/// Those of the store, and when a row cannot be read.
pub fn topics<R: Read>(
    store: &R,
    after: Option<&str>,
    show: &mut dyn FnMut(&str, TopicView) -> ControlFlow<()>,
) -> Result<(), Trouble<R::Error>> {
    let range = after.map_or((Bound::Unbounded, Bound::Unbounded), |after| behind(after.as_bytes()));
    rows::each(store, Table::Counts, range, |topic, row| {
        let broken = |_| Trouble::Damaged(Table::Counts);
        let counts = Counts::read(row).map_err(broken)?;
        let topic = std::str::from_utf8(topic).map_err(|_| Trouble::Damaged(Table::Counts))?;
        let mut oldest = None;
        records(store, topic, &Context::new(), None, &mut |_, record| {
            oldest = Some(record.at);
            ControlFlow::Break(())
        })?;
        Ok(show(topic, TopicView { counts, oldest: oldest.ok_or(Trouble::Damaged(Table::Counts))? }))
    })
}

/// Shows what changed, for a reader who has seen this, in the order of revisions and behind one of them: each record and
/// each key once, as it is now, tombstones too. At most `most` are shown; says whether there may be more.
///
/// Of deletions whose tombstone is forgotten nothing is left to be shown: when [`forgot`] says so, the reader must drop
/// the keys that are not there any more.
///
/// # Errors
/// Those of the store, and when a row cannot be read.
pub fn changes<R: Read>(
    store: &R,
    known: &Context,
    after: Option<Revision>,
    most: usize,
    show: ShowEntry<'_>,
) -> Result<bool, Trouble<R::Error>> {
    let mut firsts: BTreeMap<[u8; 16], ()> = BTreeMap::new();
    let mut start = None;
    while let Some(first) = next_reign(store, start)? {
        start = Some(first.reign);
        let from = known.of(first.reign).max(after.map_or(0, |after| after.number.saturating_sub(1)));
        let (low, high) = (by_reign(Revision::new(first.reign, from)), by_reign(Revision::new(first.reign, u64::MAX)));
        rows::each(store, Table::Entries, (Bound::Excluded(&low), Bound::Included(&high)), |key, _| {
            let revision = reign_first(key).ok_or(Trouble::Damaged(Table::Entries))?;
            if after.is_none_or(|after| revision > after) {
                firsts.insert(by_number(revision), ());
            }
            let beyond = firsts.len() > most;
            let last = if beyond { firsts.pop_last().map(|(last, ())| last) } else { None };
            Ok(if last == Some(by_number(revision)) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
    }
    let full = firsts.len() >= most;
    for revision in firsts.into_keys() {
        let revision = number_first(&revision).expect("it was made here");
        let shown = rows::get(store, Table::Entries, &by_reign(revision), |row| {
            Ok(show(revision, &decode::<EntryHere<'_>>(row)?))
        })?;
        if shown.ok_or(Trouble::Damaged(Table::Entries))?.is_break() {
            return Ok(true);
        }
    }
    Ok(full)
}

/// The first entry of the next reign that has any.
fn next_reign<R: Read>(store: &R, after: Option<ReignId>) -> Result<Option<Revision>, Trouble<R::Error>> {
    let last = after.map(|reign| by_reign(Revision::new(reign, u64::MAX)));
    let range = last.as_ref().map_or((Bound::Unbounded, Bound::Unbounded), |last| behind(last));
    rows::first(store, Table::Entries, range, |key, _| reign_first(key))
}

/// Whether a reader who has seen this may have missed a deletion whose tombstone is forgotten.
///
/// # Errors
/// Those of the store, and when a row cannot be read.
pub fn forgot<R: Read>(store: &R, known: &Context) -> Result<bool, Trouble<R::Error>> {
    Ok(super::Facts::read(store)?.pruned || !context(store, Table::Forgotten)?.below(known))
}

/// No change that another lacks has a lower number; none when it lacks nothing of what was seen here.
pub(super) fn first_lacking<R: Read>(
    store: &R,
    seen: &Context,
    other: &Context,
) -> Result<Option<u64>, Trouble<R::Error>> {
    if super::Facts::read(store)?.pruned {
        return Ok(Some(0));
    }
    let mut first: Option<u64> = None;
    for revision in seen.iter().filter(|revision| !other.covers(*revision)) {
        let begin = |row: &[u8]| reign_first(row).ok_or(Unread::Garbage("a position"));
        let begin = rows::get(store, Table::Begins, &revision.reign.0.to_be_bytes(), begin)?.unwrap_or_default();
        let number = other.of(revision.reign).max(begin.number) + 1;
        first = Some(first.map_or(number, |first| first.min(number)));
    }
    Ok(first)
}

#[cfg(test)]
#[path = "lists_tests.rs"]
mod tests;
