//! What readers see: the tables as they were committed last, and as they stay for whoever has taken a snapshot.

use super::super::StoreError;
use super::super::files::judge;
use super::requests::{Requests, id_of, number_of};
use super::seal::Seals;
use super::tables::{Shared, definition};
use crate::ledger::{EVERYTHING, Facts, Range, Read, Table, Trouble, Visit, recount};
use redb::{AccessGuard, ReadOnlyTable, ReadTransaction, ReadableTable};
use std::fmt;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, OnceLock};

/// The way to snapshots for those who do not own the store, in any thread.
#[derive(Clone, Debug)]
pub struct Reader(pub(super) Arc<Shared>);

impl Reader {
    /// What is committed now.
    ///
    /// # Errors
    /// While the store has a disk that fails.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.0.snapshot()
    }

    /// What somebody has read in the present copy that is not what was written, the first time.
    pub fn doubt(&self) -> Option<String> {
        self.0.doubt().why().map(str::to_owned)
    }
}

/// The tables at one moment. To copy it costs nothing; while it is held, the file keeps the pages that it needs, so it
/// should not be held for long. When the store closes its file, because the disk failed or its copy is set aside, reading
/// is an error.
#[derive(Clone)]
pub struct Snapshot {
    inner: Arc<Inner>,
    pub(super) seals: Seals,
}

/// A key and a value.
type Row = (Vec<u8>, Vec<u8>);

type Opened = ReadOnlyTable<&'static [u8], &'static [u8]>;

struct Inner {
    /// None of a store that was never written to.
    read: Option<ReadTransaction>,
    /// Opened when they are asked for.
    tables: [OnceLock<Opened>; Table::ALL.len()],
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a snapshot")
    }
}

impl Snapshot {
    pub(super) fn empty(seals: Seals) -> Snapshot {
        Snapshot { inner: Arc::new(Inner { read: None, tables: Default::default() }), seals }
    }

    pub(super) fn of(read: ReadTransaction, seals: Seals) -> Snapshot {
        Snapshot { inner: Arc::new(Inner { read: Some(read), tables: Default::default() }), seals }
    }

    /// The same, for another reader.
    pub(super) fn with(&self, seals: Seals) -> Snapshot {
        Snapshot { inner: self.inner.clone(), seals }
    }

    /// Position, digest and counts.
    ///
    /// # Errors
    /// When the disk fails, or the row is damaged.
    pub fn facts(&self) -> Result<Facts, StoreError> {
        Facts::read(self).map_err(|trouble| match trouble {
            Trouble::Storage(error) => error,
            other => StoreError::Damaged(other.to_string()),
        })
    }

    /// Reads everything. A million rows take about a second. It is for a thread of its own: damage that nobody comes across
    /// is not noticed otherwise.
    ///
    /// # Errors
    /// When the disk fails, or something is not what was written.
    pub fn check(&self) -> Result<(), StoreError> {
        for table in Table::ALL {
            self.range(table, EVERYTHING, &mut |_, _| ControlFlow::Continue(()))?;
        }
        // A row that nothing leads to any more is missed by the sum alone.
        if recount(self)? != self.facts()?.sum {
            return Err(self.seals.doubt.raise("rows are missing".to_owned()));
        }
        Ok(())
    }

    /// The rows of a table that are not what was written.
    pub(super) fn altered(&self, table: Table) -> Result<Vec<Row>, StoreError> {
        let Some(rows) = self.table(table)? else { return Ok(Vec::new()) };
        judge(|| {
            let mut altered = Vec::new();
            for row in rows.range::<&[u8]>(..)? {
                let (key, row) = row?;
                let value = Seals::altered(table, key.value(), row.value());
                altered.extend(value.map(|value| (key.value().to_vec(), value.to_vec())));
            }
            Ok(altered)
        })
    }

    /// Reads the ids of all rows of requests.
    pub(super) fn requests(&self) -> Result<Requests, StoreError> {
        let count = self.facts()?.requests;
        let Some(rows) = self.table(Table::Requests)? else { return Ok(Requests::default()) };
        judge(|| {
            let mut outcome = Ok(());
            let rows = rows.range::<&[u8]>(..)?.map_while(|row| row.map_err(|error| outcome = Err(error)).ok());
            let rows = rows.filter_map(|(key, row)| Some((id_of(row.value())?, number_of(key.value())?)));
            let requests = Requests::load(count, rows);
            outcome?;
            Ok(requests)
        })
    }

    fn table(&self, table: Table) -> Result<Option<&Opened>, StoreError> {
        let Some(read) = &self.inner.read else { return Ok(None) };
        let slot = &self.inner.tables[table as usize];
        if slot.get().is_none() {
            // Another thread may be faster: both have the same.
            let _ = slot.set(judge(|| Ok(read.open_table(definition(table))?))?);
        }
        Ok(slot.get())
    }
}

impl Read for Snapshot {
    type Error = StoreError;

    fn get<R>(&self, table: Table, key: &[u8], visit: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, StoreError> {
        self.table(table)?.map_or(Ok(None), |rows| get(rows, (&self.seals, table), key, visit))
    }

    fn range(&self, table: Table, range: Range<'_>, visit: Visit<'_>) -> Result<(), StoreError> {
        self.table(table)?.map_or(Ok(()), |rows| self::range(rows, (&self.seals, table), range, visit))
    }
}

/// Shows a row. redb asserts much of what it reads, so a panic of its is damage; one of `visit` is not caught.
pub(super) fn get<R>(
    rows: &impl ReadableTable<&'static [u8], &'static [u8]>,
    (seals, table): (&Seals, Table),
    key: &[u8],
    visit: impl FnOnce(&[u8]) -> R,
) -> Result<Option<R>, StoreError> {
    let Some(row) = judge(|| Ok(rows.get(key)?))? else { return Ok(None) };
    Ok(Some(visit(seals.open(table, key, value(&row)?)?)))
}

/// Shows rows in order.
pub(super) fn range(
    rows: &impl ReadableTable<&'static [u8], &'static [u8]>,
    (seals, table): (&Seals, Table),
    range: Range<'_>,
    visit: Visit<'_>,
) -> Result<(), StoreError> {
    if is_backwards(range) {
        return Ok(());
    }
    let mut rows = judge(|| Ok(rows.range::<&[u8]>(range)?))?;
    while let Some((key, row)) = judge(|| Ok(rows.next().transpose()?))? {
        let key = value(&key)?;
        if visit(key, seals.open(table, key, value(&row)?)?).is_break() {
            break;
        }
    }
    Ok(())
}

/// The bytes of a row, or of a key.
pub(super) fn value<'a>(guard: &'a AccessGuard<'_, &'static [u8]>) -> Result<&'a [u8], StoreError> {
    judge(|| Ok(guard.value()))
}

fn is_backwards(range: Range<'_>) -> bool {
    match range {
        (Bound::Included(a), Bound::Included(b)) => a > b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => a >= b,
        _ => false,
    }
}
