//! What a leader orders. Each change was judged before it was ordered: whoever applies it asks nothing.

use super::bounded::{CHANGES, SIBLINGS, list, number};
use super::{KeyEntry, RequestId, Revision, Share, Sibling};
use crate::data::{Context, ReignId};
use crate::ident::NodeId;
use crate::time::Wall;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Changes with consecutive numbers: one write of the log, one frame to each follower, committed as a whole.
///
/// It is encoded once, where it is ordered, and at most [`crate::ledger::limits::BATCH`] bytes long.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Batch {
    /// The position that it continues. For a part of a joined whole: where the whole continues.
    pub after: Revision,
    /// The position up to which everything was acknowledged when it was ordered: so a log says by itself what readers may
    /// see again after a restart.
    pub committed: Revision,
    /// The reign whose leader ordered it.
    pub reign: ReignId,
    /// The number of the first change.
    #[serde(deserialize_with = "number")]
    pub first: u64,
    /// Whether it stands alone.
    pub part: Part,
    /// The changes: never none, and at most [`crate::ledger::limits::CHANGES`].
    #[serde(deserialize_with = "list::<_, _, CHANGES>")]
    pub changes: Vec<Change>,
}

impl Batch {
    /// The revision of its last change: the position of a store that has taken it in.
    pub fn last(&self) -> Revision {
        Revision::new(self.reign, self.first.saturating_add((self.changes.len() as u64).saturating_sub(1)))
    }
}

/// A joined whole may be longer than a batch. Its parts lie aside until the last has come, and are applied as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Part {
    /// Complete in itself.
    #[serde(rename = "a")]
    Alone,
    /// The part of a whole with this number, from 0; more follow.
    #[serde(rename = "p")]
    Piece(u32),
    /// The last part of a whole, and its number.
    #[serde(rename = "l")]
    Last(u32),
}

/// One change. Each takes a number, also those that leave no entry under it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// Adds a record.
    #[serde(rename = "r")]
    Add(Add),
    /// A record that both sides of a reunion have gets a new revision, and the births that it does not have, all of them
    /// before its own.
    #[serde(rename = "g")]
    Again(RequestId, #[serde(deserialize_with = "list::<_, _, SIBLINGS>")] Vec<Revision>),
    /// Writes a key.
    #[serde(rename = "w")]
    Write(Write),
    /// Drops records of a topic, for ever.
    #[serde(rename = "t")]
    Trim(Trim),
    /// Of a joined whole: what a key became.
    #[serde(rename = "k")]
    Key(JoinedKey),
    /// Of a joined whole: what the other side had under a key, and is beyond a limit here. It is kept aside by all that take
    /// in this change, under its revision, and is no part of their state.
    #[serde(rename = "x")]
    Keep(KeyEntry),
    /// Of a joined whole: what is taken over of the other side's knowledge.
    #[serde(rename = "s")]
    Share(Share),
    /// Of a joined whole, and its last change.
    #[serde(rename = "m")]
    Merge(Merge),
}

/// A record that a store does not have, or has with an earlier birth.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Add {
    /// Its births, when it comes over from another group. A new one is born under the revision of this change.
    #[serde(deserialize_with = "list::<_, _, SIBLINGS>")]
    pub births: Vec<Revision>,
    /// The id of the request that added it.
    pub id: RequestId,
    /// The topic.
    pub topic: String,
    /// When it was added, by the clock of the member that took the request.
    pub at: Wall,
    /// The member that took the request.
    pub node: NodeId,
    /// The content.
    pub value: Bytes,
}

/// A put, a delete or a resolution.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Write {
    /// The key.
    pub key: String,
    /// The new value; none deletes.
    pub value: Option<Bytes>,
    /// The request.
    pub request: RequestId,
    /// The hash of what it asked for.
    pub hash: u64,
    /// When it was taken, by the clock of the member that took it.
    pub at: Wall,
    /// The member that took it.
    pub node: NodeId,
    /// Which siblings it replaces.
    pub replaces: Replaces,
}

/// Which siblings a write replaces. Those of equal value go with them: users see them as one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Replaces {
    /// The first, if there is one.
    #[serde(rename = "f")]
    First,
    /// Those with these births, at most [`crate::ledger::limits::SIBLINGS`].
    #[serde(rename = "b", deserialize_with = "list::<_, _, SIBLINGS>")]
    Births(Vec<Revision>),
    /// None: it goes behind all that are there, as a conflict. So nothing that is imported takes the place of anything.
    #[serde(rename = "n")]
    Nothing,
}

/// Records of the topic whose birth the context covers are gone, for ever and on every side of a split.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trim {
    /// The topic.
    pub topic: String,
    /// At most [`crate::ledger::limits::REIGNS`] reigns.
    pub context: Context,
}

/// What a key became when two groups met.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JoinedKey {
    /// The key.
    pub key: String,
    /// Its siblings in order, at most [`crate::ledger::limits::SIBLINGS`].
    #[serde(deserialize_with = "list::<_, _, SIBLINGS>")]
    pub siblings: Vec<Carried>,
}

/// A sibling on its way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Carried {
    /// The receiver holds the sibling with this birth.
    #[serde(rename = "h")]
    Held(Revision),
    /// All of it.
    #[serde(rename = "n")]
    New(Sibling),
}

impl Carried {
    /// The birth of the sibling.
    pub fn birth(&self) -> Revision {
        match self {
            Carried::Held(birth) => *birth,
            Carried::New(sibling) => sibling.birth,
        }
    }
}

/// The end of a joined whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Merge {
    /// The position of the store that was joined.
    pub with: Revision,
    /// Its rows of requests up to this number were forgotten.
    #[serde(deserialize_with = "number")]
    pub floor: u64,
    /// It has forgotten reigns.
    pub pruned: bool,
}
