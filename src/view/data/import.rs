//! What an import says when it is over.

use super::Point;
use serde::{Deserialize, Serialize};

/// `POST /v1/import`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Imported {
    /// What became of the lines of records.
    pub records: Taken,
    /// What became of the lines of keys.
    pub keys: Taken,
    /// Values that were added to keys which had one: each is a conflict now.
    pub conflicts: u64,
    /// Lines that the leader did not take, at most [`NAMED`].
    pub refused: Vec<Fault>,
    /// Lines that cannot be read, at most [`NAMED`].
    pub broken: Vec<Fault>,
    /// How many more lines were refused, or are broken, than are named.
    pub unnamed: u64,
    /// The file has its first and its last line, and as many in between as that says.
    pub complete: bool,
    /// A reader that has seen this point finds all that was added.
    pub cursor: Point,
    /// The epoch of the leader that took the last line; null when nothing was asked of a leader.
    pub epoch: Option<u64>,
    /// In how many places all of it was durable then: 2, or 1 when there was no successor for some of it. Null when nothing
    /// was asked of a leader.
    pub copies: Option<u8>,
}

/// How many lines are named that were refused, and how many that are broken.
pub const NAMED: usize = 100;

/// What became of lines.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Taken {
    /// They were added; of a key at least one value.
    pub added: u64,
    /// They were here, or had been.
    pub known: u64,
}

/// A line that did not come in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// Its number in the file, from 1.
    pub line: u64,
    /// Why not.
    pub reason: String,
}

impl Imported {
    /// Whether every line came in, or was here.
    pub fn is_whole(&self) -> bool {
        self.complete && self.refused.is_empty() && self.broken.is_empty()
    }
}
