//! The tables as one call of the ledger has them: it reads what is committed, and all that it writes is one transaction.

use super::super::StoreError;
use super::super::files::judge;
use super::requests::{Requests, id_of, number_of};
use super::seal::seal;
use super::snapshot::{self, Snapshot};
use super::tables::definition;
use crate::data::{ReignId, RequestId, Revision};
use crate::ledger::{Range, Read, Storage, Table, Visit, name_of};
use redb::{Database, Durability, WriteTransaction};
use std::cell::OnceCell;
use std::fmt;
use std::ops::{Bound, ControlFlow};

type Opened<'a> = redb::Table<'a, &'static [u8], &'static [u8]>;

/// The tables within one call.
pub struct Writing<'a> {
    before: Snapshot,
    /// None when nothing may be written.
    database: Option<&'a Database>,
    /// Begun by the first write.
    transaction: &'a OnceCell<WriteTransaction>,
    /// Those that were written to.
    tables: [Option<Opened<'a>>; Table::ALL.len()],
    requests: &'a mut Requests,
    /// The row that is written.
    row: Vec<u8>,
    /// The last thing that was done to the parts of a joined whole that lie aside: one was put there, or removed.
    pub(super) put_aside: Option<bool>,
}

/// What the keys of parts of a joined whole begin with, among what lies aside.
const PARTS: u8 = b'w';

impl fmt::Debug for Writing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tables that are written to")
    }
}

impl<'a> Writing<'a> {
    pub(super) fn new(
        before: Snapshot,
        database: Option<&'a Database>,
        transaction: &'a OnceCell<WriteTransaction>,
        requests: &'a mut Requests,
    ) -> Writing<'a> {
        let (tables, row) = ([const { None }; Table::ALL.len()], Vec::new());
        Writing { before, database, transaction, tables, requests, row, put_aside: None }
    }

    fn table(&mut self, table: Table) -> Result<&mut Opened<'a>, StoreError> {
        let slot = &mut self.tables[table as usize];
        if slot.is_none() {
            if self.transaction.get().is_none() {
                let database = self.database.expect("the tables are made before anything is written");
                let write = judge(|| {
                    let mut write = database.begin_write()?;
                    write.set_durability(Durability::None).expect("no savepoints are used");
                    Ok(write)
                })?;
                assert!(self.transaction.set(write).is_ok(), "there was none");
            }
            let transaction: &'a WriteTransaction = self.transaction.get().expect("it was begun");
            *slot = Some(judge(|| Ok(transaction.open_table(definition(table))?))?);
        }
        Ok(slot.as_mut().expect("it was opened"))
    }

    /// Rows that are not what was written are from now on. Says which.
    pub(super) fn accept(&mut self) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        for table in Table::ALL {
            for (key, value) in self.before.altered(table)? {
                self.put(table, &key, &value)?;
                names.push(name_of(table, &value));
            }
        }
        Ok(names)
    }

    fn changed(&mut self, table: Table, key: &[u8], old: Option<RequestId>, new: Option<&[u8]>) {
        match table {
            Table::Requests => {
                let Some(number) = number_of(key) else { return };
                if let Some(id) = old {
                    self.requests.remove(id, number);
                }
                if let Some(id) = new.and_then(id_of) {
                    self.requests.insert(id, number);
                }
            }
            Table::Aside if key.first() == Some(&PARTS) => self.put_aside = Some(new.is_some()),
            _ => {}
        }
    }
}

impl Read for Writing<'_> {
    type Error = StoreError;

    fn get<R>(&self, table: Table, key: &[u8], visit: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, StoreError> {
        match &self.tables[table as usize] {
            Some(rows) => snapshot::get(rows, (&self.before.seals, table), key, visit),
            None => self.before.get(table, key, visit),
        }
    }

    fn range(&self, table: Table, range: Range<'_>, visit: Visit<'_>) -> Result<(), StoreError> {
        match &self.tables[table as usize] {
            Some(rows) => snapshot::range(rows, (&self.before.seals, table), range, visit),
            None => self.before.range(table, range, visit),
        }
    }
}

impl Storage for Writing<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let mut row = std::mem::take(&mut self.row);
        seal(table, key, value, &mut row);
        let rows = self.table(table)?;
        let old = judge(|| Ok(rows.insert(key, &row[..])?.and_then(|old| id_of(old.value()))))?;
        self.row = row;
        self.changed(table, key, old, Some(value));
        Ok(())
    }

    fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        let rows = self.table(table)?;
        let old = judge(|| Ok(rows.remove(key)?.and_then(|old| id_of(old.value()))))?;
        self.changed(table, key, old, None);
        Ok(())
    }

    fn find_request(&self, id: RequestId) -> Result<Vec<Revision>, StoreError> {
        let mut births = Vec::new();
        let mut last = None;
        for number in self.requests.find(id).filter(|number| last.replace(*number) != Some(*number)) {
            let (lowest, highest) = (key_of(number, 0), key_of(number, u64::MAX));
            let range = (Bound::Included(&lowest[..]), Bound::Included(&highest[..]));
            self.range(Table::Requests, range, &mut |key, row| {
                if id_of(row) == Some(id) {
                    let reign = key.get(8..16).and_then(number_of).unwrap_or(0);
                    births.push(Revision::new(ReignId(reign), number));
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(births)
    }
}

/// A birth as a key: its number, and its reign.
fn key_of(number: u64, reign: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number.to_be_bytes());
    key[8..].copy_from_slice(&reign.to_be_bytes());
    key
}
