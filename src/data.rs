//! The data as plain values: what the leader orders, what a store holds, what users ask for.
//!
//! The rules of these values are in [`crate::ledger`], and the names of their bounds in [`crate::ledger::limits`].

mod bounded;
mod change;
mod context;
mod entry;
mod request;
mod revision;
mod share;

pub(crate) use bounded::list;
pub use bounded::{CHANGES, ITEMS, NUMBERS, SIBLINGS};
pub use change::{Add, Batch, Carried, Change, JoinedKey, Merge, Part, Replaces, Trim, Write};
pub use context::Context;
pub use entry::{Entry, KeyEntry, Record, RequestId, Row, Sibling, Slice};
pub use request::{Answer, Ask, Before, Condition, Judged, Keep, Refusal, Request, Saved};
pub use revision::{Malformed, ReignId, Revision, Tagged};
pub use share::{Ending, Item, Piece, Share};
