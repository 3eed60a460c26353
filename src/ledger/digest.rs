//! The digest: a sum over what members that follow one leader must have in common (P7).
//!
//! Each row counts with a hash of its table, its key and its value, and a sum does not ask for the order in which its
//! rows came. So a change costs one subtraction and one addition for each row that it touches. What can be made from
//! other rows (indexes, counts) does not count. It finds mistakes; it is no defence against malice.

use super::head::Facts;
use super::storage::{EVERYTHING, Read, Table, by_number};
use std::ops::ControlFlow;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

/// The tables whose rows count.
const COUNTED: [Table; 7] =
    [Table::Entries, Table::Requests, Table::Seen, Table::Begins, Table::Merges, Table::Forgotten, Table::Trims];

/// Whether the rows of a table count.
pub(super) fn counts(table: Table) -> bool {
    COUNTED.contains(&table)
}

/// What a row adds to the sum.
pub(super) fn of_row(table: Table, key: &[u8], value: &[u8]) -> u128 {
    xxh3_128_with_seed(value, xxh3_64_with_seed(key, table as u64))
}

/// The digest of a store with these facts.
pub(super) fn of_facts(facts: &Facts) -> u128 {
    let floor = facts.floor.to_be_bytes();
    let rest = [&floor[..], &[u8::from(facts.pruned)]].concat();
    facts.sum.wrapping_add(of_row(Table::Facts, &by_number(facts.position), &rest))
}

/// The sum over all rows, made from scratch.
///
/// # Errors
/// Those of the store.
pub fn recount<R: Read>(rows: &R) -> Result<u128, R::Error> {
    let mut sum = 0_u128;
    for table in COUNTED {
        rows.range(table, EVERYTHING, &mut |key, value| {
            sum = sum.wrapping_add(of_row(table, key, value));
            ControlFlow::Continue(())
        })?;
    }
    Ok(sum)
}
