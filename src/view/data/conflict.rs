//! Conflicts: what a reunion found beside the value of a key, and how one is settled.

use super::{Base64, Content, Point};
use crate::data::Keep;
use crate::ident::NodeId;
use crate::view::Stamp;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

/// A value, or a deletion, that a reunion found beside the value of a key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Conflict {
    /// What names it: the version that it would have if it were the value.
    pub id: Point,
    /// The key.
    pub key: String,
    /// When it was written, by the clock of the machine that took the request.
    pub at: Stamp,
    /// The machine that took the request.
    pub node: NodeId,
    /// It is a deletion.
    pub deleted: bool,
    /// The value; none when it is a deletion.
    #[serde(flatten)]
    pub content: Option<Content>,
    /// What the key is now.
    pub present: Present,
}

/// What a key is while it has conflicts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Present {
    /// The version of the value; null when the key is deleted.
    pub version: Option<Point>,
    /// When it was written or deleted, by the clock of the machine that took the request.
    pub at: Stamp,
    /// The machine that took the request.
    pub node: NodeId,
    /// The key is deleted.
    pub deleted: bool,
    /// The value; none when the key is deleted.
    #[serde(flatten)]
    pub content: Option<Content>,
}

/// `GET /v1/conflicts`: a page in the order of the keys' bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Conflicts {
    /// The conflicts. A key may have several.
    pub conflicts: Vec<Conflict>,
    /// The point at which the page was read.
    pub cursor: Point,
    /// The `after` of the next page; null behind the last one.
    pub next: Option<String>,
}

/// The body of `POST /v1/conflicts/{id}`: one of the three.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settlement {
    /// One of the values that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Which>,
    /// A value that is text; null deletes.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub value: Option<Option<String>>,
    /// Any value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_base64: Option<Base64>,
}

/// Which of two values is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// The value that the key has.
    Present,
    /// The one that is in conflict with it.
    Other,
}

/// A body that does not say one thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("it says nothing, or more than one thing")]
pub struct NotOne;

/// A null that was said is something else than nothing.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl TryFrom<Settlement> for Keep {
    type Error = NotOne;

    fn try_from(said: Settlement) -> Result<Keep, NotOne> {
        match (said.keep, said.value, said.value_base64) {
            (Some(Which::Present), None, None) => Ok(Keep::Present),
            (Some(Which::Other), None, None) => Ok(Keep::Other),
            (None, Some(value), None) => Ok(Keep::Value(value.map(Into::into))),
            (None, None, Some(Base64(value))) => Ok(Keep::Value(Some(value))),
            _ => Err(NotOne),
        }
    }
}

impl From<&Keep> for Settlement {
    fn from(keep: &Keep) -> Settlement {
        let value = match keep {
            Keep::Present => return Settlement { keep: Some(Which::Present), ..Settlement::default() },
            Keep::Other => return Settlement { keep: Some(Which::Other), ..Settlement::default() },
            Keep::Value(value) => value.as_deref().map(Content::new),
        };
        match value {
            None => Settlement { value: Some(None), ..Settlement::default() },
            Some(Content::Text { value }) => Settlement { value: Some(Some(value)), ..Settlement::default() },
            Some(Content::Binary { value_base64 }) => {
                Settlement { value_base64: Some(value_base64), ..Settlement::default() }
            }
        }
    }
}
