//! The bounds of the data, by name (protocol §11).

pub use crate::data::{CHANGES, ITEMS, NUMBERS, SIBLINGS};

/// Bytes of a key, at least one.
pub const KEY: usize = 1024;
/// Bytes of a value, and of the content of a record.
pub const VALUE: usize = 1 << 20;
/// Bytes of a topic's name, at least one.
pub const TOPIC: usize = 256;
/// Bytes of all values of a key together, when groups meet. A key beyond is kept aside.
pub const ENTRY: usize = 8 << 20;
/// Bytes of a piece of an offer or an adoption, and of a part of a joined whole, before the last thing is added.
pub const PIECE: usize = 256 << 10;
/// Bytes of the changes of a batch before the last one is added.
pub const BATCH: usize = 1 << 20;
/// Bytes of what arrives: a batch or a piece that one key fills by itself.
pub const ARRIVING: usize = ENTRY + SIBLINGS * 128 + VALUE + PIECE;
/// Bytes of batches that are ordered and not committed. A leader beyond takes no requests; a follower holds twice as much.
pub const PENDING: usize = 64 << 20;
/// Records that one trim drops. More go with the next.
pub const TRIM: usize = 4096;
/// How many trims, of one topic in one reign each, are remembered before further ones are refused.
pub const TRIMS: u64 = 1 << 20;
/// Tombstones that are remembered.
pub const TOMBSTONES: u64 = 100_000;
/// Executions of requests on keys that are remembered.
pub const REQUESTS: u64 = 1_000_000;
/// Reigns that a context remembers, and the joins that are remembered beside them.
pub const REIGNS: usize = 65_536;
/// Bytes of a joined whole up to which it is held in memory until it is committed. A longer one lies aside, and the
/// leader orders nothing meanwhile. When more is pending, no more records of an offer are taken in: what is pending takes
/// several times its length in memory. When so much is not durable, nothing is taken in before it is.
pub const UNFOLD: usize = 4 << 20;

/// What is kept aside of reunions, before further ones wait.
pub const KEPT: usize = 10_000;

/// How much is remembered. All members of a cluster must have the same, for all forget the same thing at the same change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Tombstones.
    pub tombstones: u64,
    /// Rows of the request table.
    pub requests: u64,
    /// Reigns of a context, at least 2.
    pub reigns: usize,
    /// Bytes of what comes that are held in memory. This one may differ between members.
    pub unfold: usize,
}

impl Default for Limits {
    /// The limits of a real store.
    fn default() -> Limits {
        Limits { tombstones: TOMBSTONES, requests: REQUESTS, reigns: REIGNS, unfold: UNFOLD }
    }
}
