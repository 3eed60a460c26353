//! The request table: which requests on keys were executed, and under which revision (P6).
//!
//! A request that was executed in two groups has two rows, one for each birth. Rows never change; they are forgotten by
//! count, in the order of their births, as part of a change.

use super::Trouble;
use super::codec::Unread;
use super::draft::Draft;
use super::limits::ITEMS;
use super::storage::{Storage, Table, by_number, from, id_of, number_first, number_of};
use super::{digest, rows};
use crate::data::{ReignId, RequestId, Revision, Row};
use std::ops::{Bound, ControlFlow};

/// In the place of a hash: the row came from an export, which does not say what exactly was asked for. The request is known
/// whatever it asks.
pub(super) const SAVED: u64 = 0;

/// The bytes of a row: id, hash, key.
pub(super) fn to_bytes(id: RequestId, hash: u64, key: &str) -> Vec<u8> {
    let mut row = Vec::with_capacity(24 + key.len());
    row.extend_from_slice(&id.0.to_be_bytes());
    row.extend_from_slice(&hash.to_be_bytes());
    row.extend_from_slice(key.as_bytes());
    row
}

/// Reads a row.
pub(super) fn of_bytes(row: &[u8]) -> Result<Row, Unread> {
    let broken = Unread::Garbage("a request");
    let (id, hash) = (id_of(row).ok_or(broken)?, hash_of(row).ok_or(broken)?);
    let key = row.get(24..).and_then(|key| std::str::from_utf8(key).ok()).ok_or(broken)?;
    Ok(Row { id, hash, key: key.to_owned() })
}

fn hash_of(row: &[u8]) -> Option<u64> {
    number_of(row.get(16..24)?)
}

/// The latest execution of a request: its birth, and the hash of what was asked for.
pub(super) fn known<S: Storage>(store: &S, id: RequestId) -> Result<Option<(Revision, u64)>, Trouble<S::Error>> {
    let Some(birth) = store.find_request(id).map_err(Trouble::Storage)?.into_iter().max() else { return Ok(None) };
    let hash = |row: &[u8]| hash_of(row).ok_or(Unread::Garbage("a request"));
    let hash = rows::get(store, Table::Requests, &by_number(birth), hash)?;
    Ok(Some((birth, hash.ok_or(Trouble::Damaged(Table::Requests))?)))
}

impl<R: Storage> Draft<'_, R> {
    /// Adds the row of an execution that is new.
    pub(super) fn put_request(
        &mut self,
        birth: Revision,
        id: RequestId,
        hash: u64,
        key: &str,
    ) -> Result<(), Trouble<R::Error>> {
        self.head.facts.requests += 1;
        self.put_counted(Table::Requests, &by_number(birth), None, &to_bytes(id, hash, key))
    }

    /// Adds a row that comes over from another store, unless it is here or was forgotten already.
    pub(super) fn take_request(&mut self, birth: Revision, row: &Row) -> Result<(), Trouble<R::Error>> {
        let forgotten = birth.number <= self.head.facts.floor;
        if forgotten || self.get(Table::Requests, &by_number(birth), |_| Ok(()))?.is_some() {
            return Ok(());
        }
        self.put_request(birth, row.id, row.hash, &row.key)
    }

    /// Forgets the rows up to a number.
    pub(super) fn forget_requests(&mut self, floor: u64) -> Result<(), Trouble<R::Error>> {
        if floor <= self.head.facts.floor {
            return Ok(());
        }
        let lowest = by_number(Revision::new(ReignId::NONE, self.head.facts.floor + 1));
        let highest = by_number(Revision::new(ReignId(u64::MAX), floor));
        loop {
            let mut gone = Vec::new();
            let range = (Bound::Included(&lowest[..]), Bound::Included(&highest[..]));
            rows::each(&*self.rows, Table::Requests, range, |key, row| {
                let birth = number_first(key).ok_or(Trouble::Damaged(Table::Requests))?;
                gone.push((birth, digest::of_row(Table::Requests, key, row)));
                Ok(if gone.len() < ITEMS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
            for (birth, sum) in &gone {
                self.remove_counted(Table::Requests, &by_number(*birth), *sum)?;
                self.head.facts.requests -= 1;
            }
            if gone.len() < ITEMS {
                break;
            }
        }
        self.head.facts.floor = floor;
        Ok(())
    }

    /// Forgets the oldest rows until no more are left than may be.
    pub(super) fn limit_requests(&mut self) -> Result<(), Trouble<R::Error>> {
        while self.head.facts.requests > self.limits.requests {
            let lowest = by_number(Revision::new(ReignId::NONE, self.head.facts.floor + 1));
            let oldest = rows::first(&*self.rows, Table::Requests, from(&lowest), |key, _| number_first(key))?;
            let oldest = oldest.ok_or(Trouble::Damaged(Table::Requests))?;
            self.forget_requests(oldest.number)?;
        }
        Ok(())
    }
}
