//! What is kept of a state in memory: its facts, its context, and what it forgot.

use super::storage::{EVERYTHING, Read, Storage, Table, number_of, reign_of};
use super::{Trouble, codec, digest, rows};
use crate::data::{Context, Revision};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// The one row of [`Table::Facts`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Facts {
    /// The revision of the last change that was taken in.
    pub position: Revision,
    /// Rows of requests up to this number are forgotten.
    pub floor: u64,
    /// Reigns were forgotten, so the context does not say all that was seen.
    pub pruned: bool,
    /// The sum of [`super::recount`].
    pub sum: u128,
    /// Keys that are no tombstones.
    pub keys: u64,
    /// Tombstones.
    pub tombstones: u64,
    /// Keys that have more than one sibling.
    pub conflicts: u64,
    /// Records.
    pub records: u64,
    /// Rows of the request table.
    pub requests: u64,
    /// Joins that are remembered.
    pub merges: u64,
    /// Trims, of one topic in one reign each.
    pub trims: u64,
}

impl Facts {
    /// The facts of a store; those of an empty one when it has none.
    ///
    /// # Errors
    /// Those of the store, and when the row cannot be read.
    pub fn read<R: Read>(rows: &R) -> Result<Facts, Trouble<R::Error>> {
        Ok(rows::get(rows, Table::Facts, b"", |row| codec::decode(row))?.unwrap_or_default())
    }

    /// The digest: two stores at one position have the same.
    pub fn digest(&self) -> u128 {
        digest::of_facts(self)
    }
}

/// What a store holds is the truth from now on: its sum is made anew.
///
/// # Errors
/// Those of the store, and when the row cannot be read.
pub fn accept<S: Storage>(rows: &mut S) -> Result<(), Trouble<S::Error>> {
    let facts = Facts { sum: digest::recount(rows).map_err(Trouble::Storage)?, ..Facts::read(rows)? };
    rows.put(Table::Facts, b"", &codec::encode(&facts)).map_err(Trouble::Storage)
}

/// The part of a state that is kept in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub facts: Facts,
    /// The context.
    pub seen: Context,
    /// For each reign the highest revision of a tombstone that was forgotten; no reign that the context has not.
    pub forgotten: Context,
    /// No tombstone stands under a lower revision.
    pub tombstones_from: Revision,
}

impl Head {
    /// What a store holds.
    pub(super) fn load<R: Read>(rows: &R) -> Result<Head, Trouble<R::Error>> {
        let facts = Facts::read(rows)?;
        let (seen, forgotten) = (context(rows, Table::Seen)?, context(rows, Table::Forgotten)?);
        Ok(Head { facts, seen, forgotten, tombstones_from: Revision::ZERO })
    }
}

/// The context of a store.
///
/// # Errors
/// Those of the store, and when a row cannot be read.
pub(super) fn context<R: Read>(store: &R, table: Table) -> Result<Context, Trouble<R::Error>> {
    let mut context = Context::new();
    rows::each(store, table, EVERYTHING, |reign, number| {
        let (Some(reign), Some(number)) = (reign_of(reign), number_of(number)) else {
            return Err(Trouble::Damaged(table));
        };
        context.raise(Revision::new(reign, number));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(context)
}
