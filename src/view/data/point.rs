//! Points in the order of all changes, as users write them.

use crate::data::{Malformed, Revision, Tagged};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// A point in the order of all changes: a cursor, a version or a revision. For users it is a text that means nothing
/// (`5210.0a1b2c3d`) and that stays true when two groups meet, because it names the reign too.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Point(pub Tagged);

impl Point {
    /// Before the first change.
    pub const START: Point = Point(Tagged { number: 0, tag: 0 });
}

impl From<Revision> for Point {
    fn from(revision: Revision) -> Self {
        Self(revision.tagged())
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Through `pad`, so that columns can be made of it.
        f.pad(&self.0.to_string())
    }
}

impl FromStr for Point {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        text.parse().map(Self)
    }
}

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}
