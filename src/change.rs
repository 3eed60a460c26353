//! What a member holds of the cluster's data, as messages and the store speak of it (protocol §1, §10). The data itself
//! comes later; its ground is laid here, so that messages and files need no new shape then.

use crate::claim::Claim;
use serde::{Deserialize, Serialize};

/// One reign of a line: the first and last revision of it that a member holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stretch {
    /// The reign.
    pub claim: Claim,
    /// Its first revision held.
    pub first: u64,
    /// Its last revision held.
    pub last: u64,
}

/// In which reign, at which revision and by which request a change was first made; it never changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Birth {
    /// The reign.
    pub claim: Claim,
    /// The revision.
    pub revision: u64,
    /// The id of the request.
    pub request: u128,
}

/// How far a member's data goes: its line (the newest reigns), its position and whether it is whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holding {
    /// The newest reigns that the data went through, oldest first, at most [`Holding::LINE`].
    pub line: Vec<Stretch>,
    /// The revision up to which everything of the line is held.
    pub position: u64,
    /// Not in the middle of catching up.
    pub whole: bool,
}

impl Holding {
    /// How many reigns of a line travel in a message.
    pub const LINE: usize = 8;
}

impl Default for Holding {
    /// Nothing, and all of it.
    fn default() -> Self {
        Self { line: Vec::new(), position: 0, whole: true }
    }
}
