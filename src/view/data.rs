//! What the API says of the data: records, keys, topics, conflicts, and the changes of all of them.

mod conflict;
mod content;
pub mod export;
mod import;
mod point;

pub use conflict::{Conflict, Conflicts, NotOne, Present, Settlement, Which};
pub use content::{Base64, Content, NotBase64};
pub use import::{Fault, Imported, NAMED, Taken};
pub use point::Point;

use super::Stamp;
use crate::ident::NodeId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// `POST /v1/records/{topic}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Added {
    /// The id of the record, which is the id of the request.
    pub id: Uuid,
    /// Its topic.
    pub topic: String,
    /// Where it stands in the order of all changes.
    pub revision: Point,
    /// What a reader who knows of it names to go on from there.
    pub cursor: Point,
    /// The epoch of the leader that said so.
    pub epoch: u64,
    /// In how many places it was durable then: 2, or 1 when there was no successor.
    pub copies: u8,
}

/// `PUT` and `DELETE /v1/keys/{key}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Written {
    /// The key.
    pub key: String,
    /// The version of the value that was written, or of the deletion.
    pub version: Point,
    /// Where the write stands in the order of all changes.
    pub revision: Point,
    /// What a reader who knows of it names to go on from there.
    pub cursor: Point,
    /// The epoch of the leader that said so.
    pub epoch: u64,
    /// In how many places it was durable then: 2, or 1 when there was no successor.
    pub copies: u8,
}

/// A record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: Uuid,
    /// Its topic.
    pub topic: String,
    /// When it was added, by the clock of the machine that took the request.
    pub at: Stamp,
    /// The machine that took the request.
    pub node: NodeId,
    /// Where it stands in the order of all changes. It may stand further back after a reunion.
    pub revision: Point,
    /// What it holds.
    #[serde(flatten)]
    pub content: Content,
}

/// `GET /v1/records/{topic}`: a page in the order of revisions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Records {
    /// The records, none when there are no more.
    pub records: Vec<Record>,
    /// The `after` of the next page; behind the last one, of what will be added later.
    pub cursor: Point,
}

/// A key without its value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Key {
    /// The key.
    pub key: String,
    /// The version of its value.
    pub version: Point,
    /// Where it stands in the order of all changes. It may stand further back after a reunion.
    pub revision: Point,
    /// When the value was written, by the clock of the machine that took the request.
    pub at: Stamp,
    /// The machine that took the request.
    pub node: NodeId,
    /// The length of the value, in bytes.
    pub size: u64,
    /// How many other values or deletions a reunion found beside it.
    pub conflicts: usize,
}

/// `GET /v1/keys`: a page in the order of the keys' bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Keys {
    /// The keys that have a value. There may be more even when there are none here.
    pub keys: Vec<Key>,
    /// The point at which the page was read.
    pub cursor: Point,
    /// The `after` of the next page; null behind the last one.
    pub next: Option<String>,
}

/// A topic.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Topic {
    /// Its name.
    pub topic: String,
    /// How many records it has.
    pub records: u64,
    /// The bytes of their contents.
    pub bytes: u64,
    /// When the first of them was added.
    pub oldest: Stamp,
    /// When the last of them was added.
    pub newest: Stamp,
}

/// `GET /v1/topics`: a page in the order of the topics' bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Topics {
    /// The topics that have records.
    pub topics: Vec<Topic>,
    /// The point at which the page was read.
    pub cursor: Point,
    /// The `after` of the next page; null behind the last one.
    pub next: Option<String>,
}

/// `DELETE /v1/records/{topic}`: old records were dropped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trimmed {
    /// The topic.
    pub topic: String,
    /// How many records were dropped.
    pub dropped: u64,
    /// More are to go: send it again.
    #[serde(default)]
    pub more: bool,
    /// Where the last change that dropped some stands in the order of all changes; null when there was nothing to drop.
    pub revision: Option<Point>,
    /// What a reader who knows of it names to go on from there; null when there was nothing to drop.
    pub cursor: Option<Point>,
    /// The epoch of the leader that said so.
    pub epoch: u64,
    /// In how many places it was durable then: 2, or 1 when there was no successor.
    pub copies: u8,
}

impl Trimmed {
    /// Both parts of a trim; the other came later.
    pub(crate) fn and(self, later: Trimmed) -> Trimmed {
        Trimmed {
            dropped: self.dropped + later.dropped,
            revision: later.revision.or(self.revision),
            cursor: later.cursor.or(self.cursor),
            copies: later.copies.min(self.copies),
            ..later
        }
    }
}

/// What a change did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// It added a record.
    Add,
    /// It gave a key a value.
    Put,
    /// It deleted the value of a key.
    Delete,
}

/// A change, as the stream of changes tells it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Change {
    /// The `after` of a stream that goes on behind this change.
    pub cursor: Point,
    /// Where it stands in the order of all changes.
    pub revision: Point,
    /// What it did.
    pub op: Op,
    /// The topic of the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The version of the key's new value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Point>,
    /// The id of the request, which is that of the record. Null when a reunion left nothing of the key.
    pub id: Option<Uuid>,
    /// When the request was taken, by the clock of the machine that took it.
    pub at: Option<Stamp>,
    /// The machine that took the request.
    pub node: Option<NodeId>,
    /// The record's content, or the key's new value.
    #[serde(flatten)]
    pub content: Option<Content>,
}

/// One line of `GET /v1/watch`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// Everything up to here was told; what follows happens while one watches. Comes once.
    CaughtUp {
        /// The point.
        caught_up: Point,
    },
    /// Two groups met: what followed this point comes again, under other revisions.
    Again {
        /// The point.
        again_from: Point,
    },
    /// More keys were deleted behind the reader's point than are remembered one by one. Of the keys behind `after` and up
    /// to `through` only these may still be there; a reader drops whichever others it holds.
    Only {
        /// The keys.
        only: Vec<String>,
        /// Null: from the first on.
        after: Option<String>,
        /// Null: to the last.
        through: Option<String>,
    },
    /// A change.
    Change(Box<Change>),
}

#[cfg(test)]
mod tests;
