//! Lists that end where they are too long: what arrives from elsewhere must not make a reader build more than it may hold.

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// Changes of a batch.
pub const CHANGES: usize = 4096;
/// Siblings of a key: its value and its conflicts.
pub const SIBLINGS: usize = 64;
/// Things in a piece, rows in a share, and keys in a part of a list.
pub const ITEMS: usize = 16_384;

/// Numbers of revisions are below this.
pub const NUMBERS: u64 = 1 << 62;

/// Reads a number of a revision.
pub(super) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(from)?;
    if number < NUMBERS { Ok(number) } else { Err(D::Error::custom("a number out of range")) }
}

/// Reads a list of at most `MOST`.
pub(crate) fn list<'de, D, T, const MOST: usize>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    from.deserialize_seq(List::<T, MOST>(PhantomData))
}

struct List<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MOST}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = from.next_element()? {
            if list.len() == MOST {
                return Err(A::Error::invalid_length(MOST + 1, &self));
            }
            list.push(item);
        }
        Ok(list)
    }
}
