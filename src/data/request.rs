//! What users ask for, and what they are answered.

use super::{RequestId, Revision, Tagged};
use crate::ident::NodeId;
use crate::time::Wall;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A request, as the member that took it passes it to the leader.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// What makes it the same when it is sent again.
    pub id: RequestId,
    /// When it was taken, by the clock of the member that took it.
    pub at: Wall,
    /// The member that took it.
    pub node: NodeId,
    /// What is asked for.
    pub ask: Ask,
}

/// What a request asks for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ask {
    /// Add a record.
    #[serde(rename = "a")]
    Add {
        /// Its topic.
        topic: String,
        /// Its content.
        value: Bytes,
    },
    /// Give a key a value.
    #[serde(rename = "p")]
    Put {
        /// The key.
        key: String,
        /// The value.
        value: Bytes,
        /// On this condition.
        condition: Condition,
    },
    /// Delete the value of a key.
    #[serde(rename = "d")]
    Delete {
        /// The key.
        key: String,
        /// On this condition.
        condition: Condition,
    },
    /// Settle one conflict of a key. Its value and that one are replaced by one value; other conflicts stay.
    #[serde(rename = "s")]
    Resolve {
        /// The key.
        key: String,
        /// The birth of the conflict.
        conflict: Tagged,
        /// The version of the value that the author has read; none when the key was deleted.
        present: Option<Tagged>,
        /// What the key is to be.
        keep: Keep,
    },
    /// Drop old records of a topic.
    #[serde(rename = "t")]
    Trim {
        /// The topic.
        topic: String,
        /// Which ones.
        before: Before,
    },
    /// Take in what an export saved, unless it is here or was. The id, the time and the member of the request are those of
    /// its origin.
    #[serde(rename = "i")]
    Import {
        /// Under which revision it was born in the store that it comes from.
        birth: Tagged,
        /// What it is.
        saved: Saved,
    },
}

/// One thing that an export saved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Saved {
    /// A record; the id of its request is its own.
    #[serde(rename = "r")]
    Record {
        /// Its topic.
        topic: String,
        /// Its content.
        value: Bytes,
    },
    /// One of the values of a key.
    #[serde(rename = "s")]
    Sibling {
        /// The key.
        key: String,
        /// The value; none is a deletion.
        value: Option<Bytes>,
    },
}

/// What a key is to be when a conflict is settled.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Keep {
    /// What it is.
    #[serde(rename = "p")]
    Present,
    /// What the conflict has: a value, or a deletion.
    #[serde(rename = "o")]
    Other,
    /// This value; none deletes.
    #[serde(rename = "v")]
    Value(Option<Bytes>),
}

/// What a write demands of the present value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Condition {
    /// Nothing.
    #[serde(rename = "n")]
    None,
    /// There is none.
    #[serde(rename = "a")]
    Absent,
    /// It was born under this revision.
    #[serde(rename = "i")]
    Is(Tagged),
}

/// Which records of a topic a trim drops.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Before {
    /// Those that a reader at this cursor has seen.
    #[serde(rename = "c")]
    Cursor(Tagged),
    /// All but so many of the latest births. More are kept when several were born under one number.
    #[serde(rename = "k")]
    Keep(u64),
    /// Those that were born before all that are as young as this.
    #[serde(rename = "o")]
    Older(Wall),
}

impl Ask {
    /// What tells it from another request that comes with the same id.
    pub fn hash(&self) -> u64 {
        let mut hash = 0;
        let mut part = |bytes: &[u8]| hash = xxh3_64_with_seed(bytes, hash);
        match self {
            Ask::Add { topic, value } => [b"add", topic.as_bytes(), value].into_iter().for_each(part),
            Ask::Put { key, value, condition } => {
                [b"put", key.as_bytes(), value, &condition.form()].into_iter().for_each(part);
            }
            Ask::Delete { key, condition } => {
                [b"delete", key.as_bytes(), &condition.form()].into_iter().for_each(part);
            }
            // Whoever sends it again may find another value by then: what was read is no part of what is wanted.
            Ask::Resolve { key, conflict, present: _, keep } => {
                let (kind, value) = match keep {
                    Keep::Present => (&b"present"[..], None),
                    Keep::Other => (&b"other"[..], None),
                    Keep::Value(value) => (&b"value"[..], value.as_ref()),
                };
                [b"settle", key.as_bytes(), &Condition::Is(*conflict).form(), kind].into_iter().for_each(&mut part);
                value.into_iter().for_each(|value| part(value));
            }
            Ask::Trim { topic, before } => {
                [b"trim", topic.as_bytes(), &before.form()].into_iter().for_each(part);
            }
            Ask::Import { birth, saved } => {
                let (kind, name, value): (&[u8], _, _) = match saved {
                    Saved::Record { topic, value } => (b"record", topic, Some(value)),
                    Saved::Sibling { key, value } => (b"sibling", key, value.as_ref()),
                };
                [b"import", kind, name.as_bytes(), &Condition::Is(*birth).form()].into_iter().for_each(&mut part);
                value.into_iter().for_each(|value| part(value));
            }
        }
        hash
    }
}

impl Before {
    fn form(self) -> [u8; 13] {
        let (kind, number, tag) = match self {
            Before::Cursor(tagged) => (0, tagged.number, tagged.tag),
            Before::Keep(number) => (1, number, 0),
            Before::Older(at) => (2, at.0, 0),
        };
        form(kind, number, tag)
    }
}

impl Condition {
    fn form(self) -> [u8; 13] {
        let (kind, number, tag) = match self {
            Condition::None => (0, 0, 0),
            Condition::Absent => (1, 0, 0),
            Condition::Is(tagged) => (2, tagged.number, tagged.tag),
        };
        form(kind, number, tag)
    }
}

fn form(kind: u8, number: u64, tag: u32) -> [u8; 13] {
    let mut form = [0; 13];
    form[0] = kind;
    form[1..9].copy_from_slice(&number.to_be_bytes());
    form[9..].copy_from_slice(&tag.to_be_bytes());
    form
}

/// What became of a request, and when its author may be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Judged {
    /// What became of it.
    pub answer: Answer,
    /// The position by which it was judged. The answer waits until this is committed, a refusal too.
    pub by: Revision,
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// It is the change of this revision.
    #[serde(rename = "d")]
    Done(Revision),
    /// It was done before: the record or the value was born under this revision.
    #[serde(rename = "k")]
    Known(Revision),
    /// It is the change of this revision, and stands behind what its key has: a conflict.
    #[serde(rename = "b")]
    Beside(Revision),
    /// A trim: so many records go, and whether it must be sent again because more were due
    /// ([`crate::ledger::limits::TRIM`]). The revision is that of the change, none when nothing was due.
    #[serde(rename = "t")]
    Trimmed {
        /// Of the change.
        revision: Option<Revision>,
        /// How many records go.
        dropped: u64,
        /// More are due.
        more: bool,
    },
    /// It had no effect.
    #[serde(rename = "r")]
    Refused(Refusal),
}

/// Why a request had no effect. A refusal is not remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Refusal {
    /// Its id belongs to another request (HTTP 422).
    #[serde(rename = "r")]
    Reused,
    /// The present value is not the one that it demands, or that its author has read: the birth of the present value, if
    /// there is one (HTTP 412).
    #[serde(rename = "c")]
    Changed(Option<Revision>),
    /// The key that it deletes has no value, or what it settles is no conflict of the key, or no more (HTTP 404).
    #[serde(rename = "m")]
    Missing,
    /// The key, the topic or the value is empty where it may not be, too long, or has a NUL where it may not (HTTP 400,
    /// 413).
    #[serde(rename = "b")]
    Malformed(&'static str),
    /// The cursor is of a reign that is not known here (HTTP 410), or of a revision not seen yet.
    #[serde(rename = "f")]
    Forgotten,
    /// There are as many trims as may be remembered (HTTP 409).
    #[serde(rename = "x")]
    Full,
    /// The key has as many values, or as many bytes of them, as it may have (HTTP 409).
    #[serde(rename = "l")]
    Crowded,
}

/// Why a request may be malformed.
const REASONS: [&str; 6] = [
    "the key is empty",
    "the key is too long",
    "the topic is empty",
    "the topic is too long",
    "the topic has a NUL",
    "the value is too long",
];

/// A refusal on its way.
#[derive(Deserialize)]
enum Arrived {
    #[serde(rename = "r")]
    Reused,
    #[serde(rename = "c")]
    Changed(Option<Revision>),
    #[serde(rename = "m")]
    Missing,
    #[serde(rename = "b")]
    Malformed(String),
    #[serde(rename = "f")]
    Forgotten,
    #[serde(rename = "x")]
    Full,
    #[serde(rename = "l")]
    Crowded,
}

impl<'de> Deserialize<'de> for Refusal {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Refusal, D::Error> {
        Ok(match Arrived::deserialize(from)? {
            Arrived::Reused => Refusal::Reused,
            Arrived::Changed(present) => Refusal::Changed(present),
            Arrived::Missing => Refusal::Missing,
            // A later version may have another reason.
            Arrived::Malformed(said) => {
                let known = REASONS.into_iter().find(|reason| *reason == said);
                Refusal::Malformed(known.unwrap_or("it is not what it should be"))
            }
            Arrived::Forgotten => Refusal::Forgotten,
            Arrived::Full => Refusal::Full,
            Arrived::Crowded => Refusal::Crowded,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_request_makes_another_hash() {
        let (key, value) = ("k".to_owned(), Bytes::from_static(b"v"));
        let is = |number, tag| Condition::Is(Tagged { number, tag });
        let put = |key: &str, value: &'static str, condition| Ask::Put {
            key: key.to_owned(),
            value: Bytes::from_static(value.as_bytes()),
            condition,
        };
        let resolve = |number, keep| Ask::Resolve {
            key: key.clone(),
            conflict: Tagged { number, tag: 1 },
            present: Some(Tagged { number: 9, tag: 1 }),
            keep,
        };
        let import = |number, saved| Ask::Import { birth: Tagged { number, tag: 1 }, saved };
        let sibling = |value: Option<&'static str>| {
            let value = value.map(|v| Bytes::from_static(v.as_bytes()));
            Saved::Sibling { key: key.clone(), value }
        };
        let asks = [
            put("k", "v", Condition::None),
            put("kv", "", Condition::None),
            put("k", "w", Condition::None),
            put("k", "v", Condition::Absent),
            put("k", "v", is(1, 1)),
            put("k", "v", is(2, 1)),
            put("k", "v", is(1, 2)),
            Ask::Add { topic: key.clone(), value: value.clone() },
            Ask::Delete { key: key.clone(), condition: Condition::None },
            Ask::Delete { key: key.clone(), condition: is(1, 1) },
            resolve(1, Keep::Present),
            resolve(2, Keep::Present),
            resolve(1, Keep::Other),
            resolve(1, Keep::Value(Some(value.clone()))),
            resolve(1, Keep::Value(Some(Bytes::new()))),
            resolve(1, Keep::Value(None)),
            Ask::Trim { topic: key.clone(), before: Before::Keep(1) },
            Ask::Trim { topic: key.clone(), before: Before::Keep(2) },
            Ask::Trim { topic: key.clone(), before: Before::Older(Wall(1)) },
            import(1, Saved::Record { topic: key.clone(), value: value.clone() }),
            import(1, Saved::Record { topic: key.clone(), value: Bytes::new() }),
            import(1, sibling(Some("v"))),
            import(2, sibling(Some("v"))),
            import(1, sibling(Some(""))),
            import(1, sibling(None)),
        ];
        for (i, a) in asks.iter().enumerate() {
            for (j, b) in asks.iter().enumerate() {
                assert_eq!(a.hash() == b.hash(), i == j, "{a:?} {b:?}");
            }
        }
        let read_anew = Ask::Resolve {
            key: key.clone(),
            conflict: Tagged { number: 1, tag: 1 },
            present: None,
            keep: Keep::Present,
        };
        assert_eq!(read_anew.hash(), resolve(1, Keep::Present).hash(), "another value may be there by then");
        assert_eq!(asks[0].hash(), 4_019_415_640_708_312_070, "another version must find the same");
    }
}
