//! What goes from one store to another when it is offered or adopted.

use super::bounded::{ITEMS, SIBLINGS, list, number};
use super::{JoinedKey, Record, ReignId, RequestId, Revision, Row};
use serde::{Deserialize, Serialize};

/// A piece of what another store lacks, at most [`crate::ledger::limits::PIECE`] bytes as a rule: what is longer by
/// itself comes alone.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Piece {
    /// What it brings, at most [`crate::ledger::limits::ITEMS`]. The last item of the last piece is an [`Item::End`].
    #[serde(deserialize_with = "list::<_, _, ITEMS>")]
    pub items: Vec<Item>,
}

/// One thing that another store lacks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Item {
    /// A record, and its revision.
    #[serde(rename = "r")]
    Record(Revision, Record),
    /// A record that the receiver has with the last of these births, all of them, and its new revision.
    #[serde(rename = "g")]
    Again(Revision, RequestId, #[serde(deserialize_with = "list::<_, _, SIBLINGS>")] Vec<Revision>),
    /// A key, and its revision.
    #[serde(rename = "k")]
    Key(Revision, JoinedKey),
    /// Knowledge.
    #[serde(rename = "s")]
    Share(Share),
    /// Keys that the sender has, of a list of all.
    #[serde(rename = "l", deserialize_with = "list::<_, _, ITEMS>")]
    Listed(Vec<String>),
    /// That was all.
    #[serde(rename = "e")]
    End(Ending),
}

/// What a store knows beside its entries, at most [`crate::ledger::limits::ITEMS`] rows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Share {
    /// Rows of the request table, each with the birth under which it stands.
    #[serde(rename = "r", deserialize_with = "list::<_, _, ITEMS>")]
    Rows(Vec<(Revision, Row)>),
    /// Topics, and up to which number of a reign they were trimmed.
    #[serde(rename = "t", deserialize_with = "list::<_, _, ITEMS>")]
    Trims(Vec<(String, Revision)>),
    /// Of the context.
    #[serde(rename = "s", deserialize_with = "list::<_, _, ITEMS>")]
    Seen(Vec<Revision>),
    /// Reigns, and the positions that they began from.
    #[serde(rename = "b", deserialize_with = "list::<_, _, ITEMS>")]
    Begins(Vec<(ReignId, Revision)>),
    /// Positions of joins, and the positions that were joined.
    #[serde(rename = "m", deserialize_with = "list::<_, _, ITEMS>")]
    Merges(Vec<(Revision, Revision)>),
    /// The highest revision of each reign of a tombstone that was forgotten.
    #[serde(rename = "f", deserialize_with = "list::<_, _, ITEMS>")]
    Forgotten(Vec<Revision>),
}

/// The last item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ending {
    /// The sender's position.
    pub position: Revision,
    /// Its rows of requests up to this number are forgotten.
    #[serde(deserialize_with = "number")]
    pub floor: u64,
    /// It has forgotten reigns.
    pub pruned: bool,
    /// The list of all keys was part of it.
    pub listed: bool,
    /// The sender's digest.
    pub digest: u128,
}
