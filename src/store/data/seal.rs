//! What shows that a row is what was written: a few bytes behind its value, for the database does not look at its own sums
//! when it reads.

use super::super::StoreError;
use crate::ledger::Table;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// So many bytes has a seal.
const SEAL: usize = 4;

/// Puts a value and its seal into a buffer.
pub(super) fn seal(table: Table, key: &[u8], value: &[u8], row: &mut Vec<u8>) {
    row.clear();
    row.extend_from_slice(value);
    row.extend_from_slice(&of(table, key, value));
}

fn of(table: Table, key: &[u8], value: &[u8]) -> [u8; SEAL] {
    let hash = xxh3_64_with_seed(value, xxh3_64_with_seed(key, table as u64)).to_be_bytes();
    hash[..SEAL].try_into().expect("it is longer")
}

/// What the readers of one copy, and its owner, know of its damage. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubt(Arc<Doubted>);

#[derive(Debug, Default)]
struct Doubted {
    /// What was found first.
    why: OnceLock<String>,
    /// The owner goes on all the same.
    borne: AtomicBool,
}

impl Doubt {
    /// What was found.
    pub(super) fn why(&self) -> Option<&str> {
        self.0.why.get().map(String::as_str)
    }

    /// The owner reads on what is not what was written. Readers do not.
    pub(super) fn bear(&self) {
        self.0.borne.store(true, Ordering::Relaxed);
    }

    /// Something is not what was written.
    pub(super) fn raise(&self, what: String) -> StoreError {
        let _ = self.0.why.set(what.clone());
        StoreError::Altered(what)
    }
}

/// Looks at the seals of rows that are read.
#[derive(Clone, Debug)]
pub(super) struct Seals {
    pub(super) doubt: Doubt,
    /// The reader is the owner.
    pub(super) owner: bool,
}

impl Seals {
    /// The value of a row that is not what was written.
    pub(super) fn altered<'a>(table: Table, key: &[u8], row: &'a [u8]) -> Option<&'a [u8]> {
        let (value, seal) = row.split_last_chunk::<SEAL>()?;
        (*seal != of(table, key, value)).then_some(value)
    }

    /// The value of a row.
    pub(super) fn open<'a>(&self, table: Table, key: &[u8], row: &'a [u8]) -> Result<&'a [u8], StoreError> {
        let parts = row.split_last_chunk::<SEAL>();
        match parts {
            Some((value, seal))
                if *seal == of(table, key, value) || self.owner && self.doubt.0.borne.load(Ordering::Relaxed) =>
            {
                Ok(value)
            }
            _ => Err(self.doubt.raise(format!("a row of {} is not what was written", table.name()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_what_was_written_or_is_not_shown() {
        let mut row = Vec::new();
        seal(Table::Keys, b"key", b"value", &mut row);
        let seals = |owner| Seals { doubt: Doubt::default(), owner };
        assert_eq!(seals(false).open(Table::Keys, b"key", &row).expect("it is whole"), b"value");
        for bit in 0..row.len() * 8 {
            let mut other = row.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let seals = seals(false);
            assert!(matches!(seals.open(Table::Keys, b"key", &other), Err(StoreError::Altered(_))), "bit {bit}");
            assert!(seals.doubt.why().is_some());
        }
        for (table, key, row) in [
            (Table::Topics, &b"key"[..], &row[..]),
            (Table::Keys, b"kez", &row),
            (Table::Keys, b"key", &row[..8]),
            (Table::Keys, b"key", b""),
        ] {
            assert!(seals(true).open(table, key, row).is_err());
        }
        let owner = seals(true);
        owner.doubt.bear();
        assert_eq!(owner.open(Table::Keys, b"kez", &row).expect("it is borne"), b"value");
        let reader = Seals { owner: false, ..owner };
        assert!(reader.open(Table::Keys, b"kez", &row).is_err(), "readers do not bear it");
    }
}
