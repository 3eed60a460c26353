//! Frames of the data (protocol §10). What they carry is bytes to everybody but the ledger.

use crate::claim::Claim;
use crate::data::{ReignId, Revision};
use crate::ident::NodeId;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The longest body of a frame, in bytes: a key with all its conflicts is one piece.
pub const BODY_MAX: usize = 10 * 1024 * 1024;

/// Requests of a member's users, several together, for the leader.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Requests {
    /// The member's number for each, and the length of the request in the body. At most [`TOGETHER_MAX`].
    pub requests: Vec<(u64, u32)>,
    /// The requests, one behind the other. They travel as they are, behind the fields, and are not copied when they arrive.
    #[serde(skip)]
    pub body: Bytes,
}

/// How many requests or outcomes one frame has, at most.
pub const TOGETHER_MAX: usize = 4096;

/// What became of a member's requests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Outcomes {
    /// The epoch of the leader.
    pub epoch: u64,
    /// The member's number for each, how it ended, and the length of what is said of it in the body. At most
    /// [`TOGETHER_MAX`].
    pub outcomes: Vec<(u64, Ended, u32)>,
    /// What is said, one behind the other.
    #[serde(skip)]
    pub body: Bytes,
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ended {
    /// It was judged, and is durable in so many places. The body says how, as the ledger wrote it.
    #[serde(rename = "j")]
    Judged(u8),
    /// Too much waits at the leader.
    #[serde(rename = "b")]
    Busy,
    /// The leader's disk does not take it, and there is nobody else. The body says why.
    #[serde(rename = "n")]
    NoSpace,
}

/// What a member has of the data, durable: its first words of it on a session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holds {
    /// The last change that it has taken in.
    pub position: Revision,
    /// It needs all values, also those whose birth it has seen.
    pub all: bool,
    /// What it has seen, as the ledger wrote it.
    #[serde(skip)]
    pub body: Bytes,
}

/// The leader lacks something that the member has: the member is to offer what a store lacks that has seen this.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// What the leader has seen, as the ledger wrote it.
    #[serde(skip)]
    pub body: Bytes,
}

/// A piece of a copy for a member, or of a member's offer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Piece {
    /// Its place among the pieces, from 0.
    pub number: u64,
    /// No other follows.
    pub last: bool,
    /// The piece, as the ledger wrote it.
    #[serde(skip)]
    pub body: Bytes,
}

/// What an offer brought to its leader.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Brought {
    /// Records that were not there.
    pub records: u64,
    /// Keys of which something was not there.
    pub keys: u64,
    /// Keys that have a conflict since.
    pub conflicts: u64,
    /// Keys that were beyond a limit, and are kept aside.
    pub kept_aside: u64,
    /// The first of the keys that have a conflict since: at most [`NAMED_MAX`].
    pub conflicting: Vec<String>,
    /// The first of the keys that are kept aside: at most [`NAMED_MAX`].
    pub refused: Vec<String>,
}

/// How many keys are named, at most.
pub const NAMED_MAX: usize = 16;

impl Brought {
    /// Nothing that users would see.
    pub fn is_nothing(&self) -> bool {
        self.records + self.keys + self.conflicts + self.kept_aside == 0
    }

    /// These keys have a conflict now, and these were refused.
    pub fn names(&mut self, conflicting: Vec<String>, refused: Vec<String>) {
        let add = |count: &mut u64, named: &mut Vec<String>, keys: Vec<String>| {
            *count += keys.len() as u64;
            let room = NAMED_MAX.saturating_sub(named.len());
            named.extend(keys.into_iter().take(room));
        };
        add(&mut self.conflicts, &mut self.conflicting, conflicting);
        add(&mut self.kept_aside, &mut self.refused, refused);
    }
}

/// The leader tells its followers what a member brought, as soon as that is acknowledged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reunited {
    /// The member that offered it.
    pub with: NodeId,
    /// The reign in which the last of it was ordered.
    pub reign: ReignId,
    /// What it was.
    pub brought: Brought,
}

/// Changes in their leader's order, as one batch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Changes {
    /// The reign whose leader sends them.
    pub claim: Claim,
    /// The number of the last change.
    pub last: u64,
    /// Everything up to this number is acknowledged.
    pub committed: u64,
    /// The changes, as the ledger wrote them.
    #[serde(skip)]
    pub body: Bytes,
}

/// Everything up to this number is acknowledged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Committed {
    /// The reign whose leader says so.
    pub claim: Claim,
    /// The number.
    pub number: u64,
}

/// What a store is like in which just so much is acknowledged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Digest {
    /// The reign whose leader says so.
    pub claim: Claim,
    /// The number of the last change.
    pub number: u64,
    /// The digest of all that it holds.
    pub digest: u128,
}

/// Everything up to this number is durable at the member that says so.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stored {
    /// The number.
    pub number: u64,
}
