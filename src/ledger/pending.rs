//! What is ordered and not committed: the rows that it will write, in memory, over a store that does not have them yet.
//!
//! A batch is applied once, when it is ordered or appended, to a view of the store that shows what is pending. What it
//! writes is remembered with it and written to the store when it is committed. A row that several batches of one commit
//! write is written once.

use super::limits::PENDING;
use super::memory::is_backwards;
use super::small::Small;
use super::storage::{Range, Read, Storage, Table, Visit, by_number, id_of, number_first};
use crate::data::{ReignId, RequestId, Revision};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;

/// The tables of the state; what lies aside is written at once.
const TABLES: usize = Table::Aside as usize;

/// A batch that is pending.
#[derive(Debug)]
pub(super) struct Held {
    /// The position that it continues.
    pub after: Revision,
    /// The position when it is taken in.
    pub last: Revision,
    /// The parts of it as they were ordered: one, or those of a joined whole. Together they are at most `PENDING` long.
    pub parts: Vec<Bytes>,
    /// What it writes: as much as its parts bring about, which are bounded by `PENDING`.
    writes: Vec<Written>,
    /// The values of those, one behind the other: bounded by `PENDING` too.
    values: Vec<u8>,
}

/// A row that is to be written, or removed.
#[derive(Debug)]
struct Written {
    table: Table,
    key: Small,
    /// Where its value stands.
    value: Option<(usize, usize)>,
}

/// Where the newest of what is pending for a row stands.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The number of the batch, counted from the start of the process.
    batch: u64,
    /// Which of its writes.
    at: usize,
}

/// All batches that are pending, and what they write.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// In their order, together at most 2 * `PENDING` bytes. While one is being made, it is the last.
    batches: VecDeque<Held>,
    /// How many batches were there before these.
    before: u64,
    /// The newest of what is pending for each row: at most as many as all batches write, and so bounded by `PENDING`.
    rows: [BTreeMap<Small, Slot>; TABLES],
    /// Rows of requests among them, by id. Bounded by `PENDING` too.
    requests: BTreeSet<(RequestId, Revision)>,
    /// The length of all parts.
    bytes: usize,
}

impl Pending {
    /// Begins a batch: what is put and removed from now on belongs to it.
    pub(super) fn begin(&mut self, after: Revision) {
        self.batches.push_back(Held { after, last: after, parts: Vec::new(), writes: Vec::new(), values: Vec::new() });
    }

    /// Ends the batch that was begun.
    pub(super) fn end(&mut self, last: Revision, parts: Vec<Bytes>) {
        self.bytes += parts.iter().map(Bytes::len).sum::<usize>();
        let held = self.batches.back_mut().expect("a batch was begun");
        assert!(last.number > held.after.number, "numbers grow");
        held.last = last;
        held.parts = parts;
    }

    /// Takes the batch back that was begun, because it has no changes.
    pub(super) fn nothing(&mut self) {
        let held = self.batches.pop_back().expect("a batch was begun");
        assert!(held.writes.is_empty(), "a batch without changes writes nothing");
    }

    /// Those that are pending, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.batches.iter()
    }

    /// Whether nothing is pending.
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The length of all batches.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a leader must not order more.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= PENDING
    }

    /// Whether not even a follower takes more.
    pub(super) fn is_over(&self) -> bool {
        self.bytes >= 2 * PENDING
    }

    /// Writes the batches up to this number to the store. Says up to where it is then, if there were any.
    pub(super) fn commit<S: Storage>(&mut self, store: &mut S, through: u64) -> Result<Option<Revision>, S::Error> {
        let count = self.batches.iter().take_while(|held| held.last.number <= through).count();
        let end = self.before + count as u64;
        let last = count.checked_sub(1).map(|last| self.batches[last].last);
        for held in self.batches.drain(..count) {
            self.bytes -= held.parts.iter().map(Bytes::len).sum::<usize>();
            for (at, Written { table, key, value }) in held.writes.into_iter().enumerate() {
                let rows = &mut self.rows[table as usize];
                let newest = *rows.get(&key).expect("every write has a slot");
                if (newest.batch, newest.at) == (self.before, at) {
                    rows.remove(&key);
                } else if newest.batch < end {
                    continue;
                }
                let Some((from, to)) = value else {
                    store.remove(table, key.as_slice())?;
                    continue;
                };
                let value = &held.values[from..to];
                store.put(table, key.as_slice(), value)?;
                if let Some(known) = request_of(table, key.as_slice(), value) {
                    self.requests.remove(&known);
                }
            }
            self.before += 1;
        }
        Ok(last)
    }

    fn find(&self, table: Table, key: &[u8]) -> Option<Option<&[u8]>> {
        let slot = self.rows.get(table as usize)?.get(key)?;
        Some(self.value(*slot))
    }

    fn value(&self, slot: Slot) -> Option<&[u8]> {
        let held = &self.batches[usize::try_from(slot.batch - self.before).expect("it is in memory")];
        let (from, to) = held.writes[slot.at].value?;
        Some(&held.values[from..to])
    }

    fn write(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) {
        if table == Table::Requests {
            self.index_request(key, value);
        }
        let batch = self.before + self.batches.len() as u64 - 1;
        let held = self.batches.back_mut().expect("a batch was begun");
        let value = value.map(|value| {
            held.values.extend_from_slice(value);
            (held.values.len() - value.len(), held.values.len())
        });
        let rows = &mut self.rows[table as usize];
        let at = held.writes.len();
        match rows.get_mut(key) {
            Some(slot) if slot.batch == batch => {
                held.writes[slot.at].value = value;
                return;
            }
            Some(slot) => *slot = Slot { batch, at },
            None => {
                rows.insert(key.into(), Slot { batch, at });
            }
        }
        held.writes.push(Written { table, key: key.into(), value });
    }

    fn index_request(&mut self, key: &[u8], value: Option<&[u8]>) {
        let before = self.rows[Table::Requests as usize].get(key).copied();
        let before = before.and_then(|slot| request_of(Table::Requests, key, self.value(slot)?));
        if let Some(known) = before {
            self.requests.remove(&known);
        }
        self.requests.extend(value.and_then(|value| request_of(Table::Requests, key, value)));
    }
}

/// The request of a row of requests.
fn request_of(table: Table, key: &[u8], row: &[u8]) -> Option<(RequestId, Revision)> {
    if table == Table::Requests { id_of(row).zip(number_first(key)) } else { None }
}

/// A store as it will be when everything pending is committed.
pub(super) struct Ahead<'a, S> {
    pub store: &'a S,
    pub pending: &'a Pending,
}

/// The same, with a batch that is being made.
pub(super) struct Making<'a, S> {
    pub store: &'a S,
    pub pending: &'a mut Pending,
}

impl<S: Read> Read for Ahead<'_, S> {
    type Error = S::Error;

    fn get<R>(&self, table: Table, key: &[u8], visit: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, S::Error> {
        match self.pending.find(table, key) {
            Some(row) => Ok(row.map(visit)),
            None => self.store.get(table, key, visit),
        }
    }

    fn range(&self, table: Table, range: Range<'_>, visit: Visit<'_>) -> Result<(), S::Error> {
        let rows = match self.pending.rows.get(table as usize) {
            Some(rows) if !is_backwards(range) => rows,
            _ => return self.store.range(table, range, visit),
        };
        let mut ahead = rows.range::<[u8], _>(range).peekable();
        let mut enough = false;
        self.store.range(table, range, &mut |key, value| {
            while let Some((pending, slot)) = ahead.next_if(|(pending, _)| pending.as_slice() < key) {
                if self.pending.value(*slot).is_some_and(|value| visit(pending.as_slice(), value).is_break()) {
                    enough = true;
                    return ControlFlow::Break(());
                }
            }
            let row = match ahead.next_if(|(pending, _)| pending.as_slice() == key) {
                Some((_, slot)) => self.pending.value(*slot),
                None => Some(value),
            };
            enough = row.is_some_and(|value| visit(key, value).is_break());
            if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        for (key, slot) in ahead {
            if enough || self.pending.value(*slot).is_some_and(|value| visit(key.as_slice(), value).is_break()) {
                break;
            }
        }
        Ok(())
    }
}

impl<S> Making<'_, S> {
    fn ahead(&self) -> Ahead<'_, S> {
        Ahead { store: self.store, pending: self.pending }
    }
}

impl<S: Read> Read for Making<'_, S> {
    type Error = S::Error;

    fn get<R>(&self, table: Table, key: &[u8], visit: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, S::Error> {
        self.ahead().get(table, key, visit)
    }

    fn range(&self, table: Table, range: Range<'_>, visit: Visit<'_>) -> Result<(), S::Error> {
        self.ahead().range(table, range, visit)
    }
}

impl<S: Storage> Storage for Making<'_, S> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), S::Error> {
        self.pending.write(table, key, Some(value));
        Ok(())
    }

    fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), S::Error> {
        self.pending.write(table, key, None);
        Ok(())
    }

    fn find_request(&self, id: RequestId) -> Result<Vec<Revision>, S::Error> {
        let mut births = self.store.find_request(id)?;
        births.retain(|birth| self.pending.find(Table::Requests, &by_number(*birth)) != Some(None));
        let last = Revision::new(ReignId(u64::MAX), u64::MAX);
        births.extend(self.pending.requests.range((id, Revision::ZERO)..=(id, last)).map(|(_, birth)| birth));
        Ok(births)
    }
}

#[cfg(test)]
#[path = "pending_tests.rs"]
mod tests;
