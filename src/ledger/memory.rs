//! A store in memory: for tests, and for the simulator where no disk is meant.

use super::storage::{EVERYTHING, Range, Read, Storage, Table, Visit, by_number, id_of, number_first};
use crate::data::{ReignId, RequestId, Revision};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

type Rows = BTreeMap<Box<[u8]>, Arc<[u8]>>;

/// Tables in memory. A copy shares the tables with its original until one of the two is written to.
#[derive(Clone, Default, Debug)]
pub struct Memory {
    tables: [Arc<Rows>; Table::ALL.len()],
    /// As many as there are rows of requests: REQUESTS at the most.
    fingerprints: Arc<BTreeSet<(u32, Revision)>>,
}

impl Memory {
    /// Empty tables.
    pub fn new() -> Memory {
        Memory::default()
    }

    /// How many rows a table has.
    pub fn len(&self, table: Table) -> usize {
        self.tables[table as usize].len()
    }

    /// Whether nothing was ever written, or nothing is left.
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(|table| table.is_empty())
    }

    /// A hash of everything in these tables.
    pub fn fingerprint(&self, tables: impl IntoIterator<Item = Table>) -> u64 {
        let mut all = Vec::new();
        for table in tables {
            for (key, value) in self.tables[table as usize].iter() {
                for part in [key.as_ref(), value] {
                    all.extend_from_slice(&(part.len() as u32).to_be_bytes());
                    all.extend_from_slice(part);
                }
            }
            all.push(b'|');
        }
        xxh3_64(&all)
    }
}

impl PartialEq for Memory {
    fn eq(&self, other: &Memory) -> bool {
        self.tables == other.tables
    }
}

fn fingerprint(id: RequestId) -> u32 {
    xxh3_64(&id.0.to_be_bytes()) as u32
}

impl Read for Memory {
    type Error = Infallible;

    fn get<R>(&self, table: Table, key: &[u8], visit: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, Infallible> {
        Ok(self.tables[table as usize].get(key).map(|value| visit(value)))
    }

    fn range(&self, table: Table, range: Range<'_>, visit: Visit<'_>) -> Result<(), Infallible> {
        if is_backwards(range) {
            return Ok(());
        }
        for (key, value) in self.tables[table as usize].range::<[u8], _>(range) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Whether a range ends before it begins, or has nothing between its bounds: the standard library panics at some of these.
pub(super) fn is_backwards(range: Range<'_>) -> bool {
    match range {
        (Bound::Included(a), Bound::Included(b)) => a > b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => a >= b,
        _ => false,
    }
}

impl Storage for Memory {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), Infallible> {
        if table == Table::Requests {
            self.remove(table, key)?;
            if let (Some(birth), Some(id)) = (number_first(key), id_of(value)) {
                Arc::make_mut(&mut self.fingerprints).insert((fingerprint(id), birth));
            }
        }
        Arc::make_mut(&mut self.tables[table as usize]).insert(key.into(), value.into());
        Ok(())
    }

    fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), Infallible> {
        if !self.tables[table as usize].contains_key(key) {
            return Ok(());
        }
        let old = Arc::make_mut(&mut self.tables[table as usize]).remove(key);
        if let (Table::Requests, Some(old), Some(birth)) = (table, old, number_first(key))
            && let Some(id) = id_of(&old)
        {
            Arc::make_mut(&mut self.fingerprints).remove(&(fingerprint(id), birth));
        }
        Ok(())
    }

    fn find_request(&self, id: RequestId) -> Result<Vec<Revision>, Infallible> {
        let last = Revision::new(ReignId(u64::MAX), u64::MAX);
        let print = fingerprint(id);
        let candidates = self.fingerprints.range((print, Revision::ZERO)..=(print, last)).map(|(_, birth)| *birth);
        let rows = &self.tables[Table::Requests as usize];
        let is = |birth: &Revision| {
            let row = rows.get(by_number(*birth).as_slice());
            row.and_then(|row| id_of(row)) == Some(id)
        };
        Ok(candidates.filter(is).collect())
    }
}

/// Everything that a table holds, as text: for messages of tests.
impl Memory {
    /// The rows of a table, in order.
    pub fn rows(&self, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut rows = Vec::new();
        let Ok(()) = self.range(table, EVERYTHING, &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        });
        rows
    }
}
