//! What can go wrong with the data while it is in use.

use crate::ledger::{Unfit, Unread};
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why the data did not do what it was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// The disk failed, or is full. What was not durable is gone from memory, too; the next call tries again.
    #[error("the data could not be read or written: {0}")]
    Disk(#[source] io::Error),
    /// The copy was damaged, and was set aside: now there is none.
    #[error("the data was damaged: {}", .0.what)]
    SetAside(SetAside),
    /// A row is not what was written. What was not durable is gone from memory, and the copy is where it was.
    #[error("the data is damaged: {0}")]
    Altered(String),
    /// A later version of tanist made it, in this format. Nothing was touched.
    #[error("the data has the format {0} of a later version of tanist")]
    Later(u64),
    /// What came cannot be read. Nothing has happened.
    #[error(transparent)]
    Unread(#[from] Unread),
    /// What came does not fit here. Nothing has happened.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// What came refers to a value that is not here: the copy is to be fetched with all values. What was not durable is
    /// gone from memory.
    #[error("a value that should be here already is not")]
    Missing,
    /// A copy that was adopted differs from the original: it is to be fetched into an empty store. What was not durable
    /// is gone from memory.
    #[error("the copy differs from the original")]
    Differs,
}

/// A damaged copy that was moved out of the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetAside {
    /// What is wrong with it.
    pub what: String,
    /// Where it is now; none when it was never written.
    pub path: Option<PathBuf>,
}
