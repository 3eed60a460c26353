//! What a store holds: the present state of each record and each key, and the rows of the request table.
//!
//! The types are generic over who owns the text and the values: [`String`] and [`Bytes`] as a rule, `&str` and
//! [`Slice`] where a row is read in place.

use super::Revision;
use super::bounded::{SIBLINGS, list};
use crate::ident::NodeId;
use crate::time::Wall;
use bytes::Bytes;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use uuid::Uuid;

/// The id of a request: what makes it the same when it is sent again. The id of the request that added a record is the
/// record's. Ids of records and ids of writes on keys are two sets: the same one in both means two requests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u128);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0).fmt(f)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// The present state of one record or one key. It stands in the store under the revision of the last change that
/// touched it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Entry<T = String, V = Bytes> {
    /// A record.
    #[serde(rename = "r")]
    Record(Record<T, V>),
    /// A key.
    #[serde(rename = "k")]
    Key(KeyEntry<T, V>),
}

/// A record: immutable, and its topic.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record<T = String, V = Bytes> {
    /// Under which revisions it was added, in order: more than one when its request was sent in several groups. At most
    /// [`crate::ledger::limits::SIBLINGS`]; the content is that of the last.
    #[serde(deserialize_with = "list::<_, _, SIBLINGS>", bound(deserialize = "V: Deserialize<'de>"))]
    pub births: Vec<Revision>,
    /// The id of the request that added it.
    pub id: RequestId,
    /// The topic, at most [`crate::ledger::limits::TOPIC`] bytes without a NUL.
    pub topic: T,
    /// When it was added, by the clock of the member that took the request.
    pub at: Wall,
    /// The member that took the request.
    pub node: NodeId,
    /// The content, at most [`crate::ledger::limits::VALUE`] bytes.
    pub value: V,
}

impl<T, V> Record<T, V> {
    /// The birth of its content; a record has one.
    pub fn birth(&self) -> Revision {
        self.births.last().copied().unwrap_or_default()
    }
}

/// A key. Its first sibling is its value, the others are its conflicts. Without a value it is a *tombstone*, which
/// stands for the deletion until it is forgotten.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyEntry<T = String, V = Bytes> {
    /// The key, at most [`crate::ledger::limits::KEY`] bytes.
    pub key: T,
    /// At most [`crate::ledger::limits::SIBLINGS`], in order. None are left when two sides had each deleted what the
    /// other held.
    #[serde(deserialize_with = "list::<_, _, SIBLINGS>", bound(deserialize = "V: Deserialize<'de>"))]
    pub siblings: Vec<Sibling<V>>,
}

impl<T, V> KeyEntry<T, V> {
    /// Whether nothing but deletions is left.
    pub fn is_tombstone(&self) -> bool {
        self.siblings.iter().all(|sibling| sibling.value.is_none())
    }

    /// Whether there is something to choose: more than one sibling, and not deletions alone.
    pub fn has_conflict(&self) -> bool {
        self.siblings.len() > 1 && !self.is_tombstone()
    }

    /// The value, when the key has one: its birth is the key's version.
    pub fn present(&self) -> Option<&Sibling<V>> {
        self.siblings.first().filter(|first| first.value.is_some())
    }
}

/// One of the values that a key has, or a deletion.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sibling<V = Bytes> {
    /// Under which revision it was first written.
    pub birth: Revision,
    /// The request that wrote it.
    pub request: RequestId,
    /// When it was written, by the clock of the member that took the request.
    pub at: Wall,
    /// The member that took the request.
    pub node: NodeId,
    /// The value, at most [`crate::ledger::limits::VALUE`] bytes; none is a deletion.
    pub value: Option<V>,
}

/// A row of the request table: an execution of a request on a key. It stands under the revision of the execution.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The request.
    pub id: RequestId,
    /// The hash of what it asked for.
    pub hash: u64,
    /// The key that it wrote.
    pub key: String,
}

/// A value that is read in place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Slice<'a>(pub &'a [u8]);

impl AsRef<[u8]> for Slice<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

impl Serialize for Slice<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Slice<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_bytes(InPlace)
    }
}

struct InPlace;

impl<'de> Visitor<'de> for InPlace {
    type Value = Slice<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Slice<'de>, E> {
        Ok(Slice(bytes))
    }
}

impl KeyEntry<&str, Slice<'_>> {
    /// A copy that owns what it holds.
    pub fn owned(&self) -> KeyEntry {
        KeyEntry { key: self.key.to_owned(), siblings: self.siblings.iter().map(Sibling::owned).collect() }
    }
}

impl Sibling<Slice<'_>> {
    /// A copy that owns what it holds.
    pub fn owned(&self) -> Sibling {
        let value = self.value.map(|value| Bytes::copy_from_slice(value.0));
        Sibling { birth: self.birth, request: self.request, at: self.at, node: self.node, value }
    }
}

impl Record<&str, Slice<'_>> {
    /// A copy that owns what it holds.
    pub fn owned(&self) -> Record {
        Record {
            births: self.births.clone(),
            id: self.id,
            topic: self.topic.to_owned(),
            at: self.at,
            node: self.node,
            value: Bytes::copy_from_slice(self.value.0),
        }
    }
}

impl Entry<&str, Slice<'_>> {
    /// A copy that owns what it holds.
    pub fn owned(&self) -> Entry {
        match self {
            Entry::Record(record) => Entry::Record(record.owned()),
            Entry::Key(key) => Entry::Key(key.owned()),
        }
    }
}

impl Sibling {
    /// The same, read in place.
    pub fn borrowed(&self) -> Sibling<Slice<'_>> {
        let value = self.value.as_deref().map(Slice);
        Sibling { birth: self.birth, request: self.request, at: self.at, node: self.node, value }
    }
}
