//! The file that an export is: one JSON object a line. First the header, then records and keys, last the end.

use super::{Base64, Content, Point};
use crate::data::list;
use crate::ident::NodeId;
use crate::ledger::limits::{ENTRY, KEY, SIBLINGS, TOPIC, VALUE};
use crate::view::Stamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

/// The format of the file. It grows when an older program could not read it.
pub const FORMAT: u32 = 1;

/// The longest line, in bytes: a key that has as many bytes of values as a key may have, all of them in base64.
pub const LINE: usize = (ENTRY + VALUE) / 3 * 4 + SIBLINGS * 256 + KEY * 6 + 256;

/// The first line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Header {
    /// The format: [`FORMAT`].
    pub tanist_export: u32,
    /// When the export began, by the clock of the machine that made it.
    pub at: Stamp,
    /// The cluster.
    pub cluster: String,
    /// The machine that made it.
    pub node: NodeId,
    /// What the machine had seen when the export began: all of that is in the file.
    pub cursor: Point,
}

/// A record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Record {
    /// Its id, which is that of the request that added it.
    pub record: Uuid,
    /// Its topic.
    pub topic: String,
    /// Under which revision it was added.
    pub birth: Point,
    /// When it was added, by the clock of the machine that took the request.
    pub at: Stamp,
    /// The machine that took the request.
    pub node: NodeId,
    /// What it holds.
    #[serde(flatten)]
    pub content: Content,
}

/// A key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Key {
    /// The key.
    pub key: String,
    /// Its value and its conflicts, in order: 1 to [`SIBLINGS`], one of them at least no deletion.
    pub siblings: Vec<Sibling>,
    /// A reunion refused this, because it would have been beyond a limit. Where it came from it is known, and does not come
    /// in again.
    #[serde(skip_serializing_if = "is_false")]
    pub kept_aside: bool,
}

/// One of the values of a key, or a deletion.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Sibling {
    /// Under which revision it was written.
    pub birth: Point,
    /// The request that wrote it.
    pub id: Uuid,
    /// When it was written, by the clock of the machine that took the request.
    pub at: Stamp,
    /// The machine that took the request.
    pub node: NodeId,
    /// The value; none is a deletion.
    #[serde(flatten)]
    pub content: Option<Content>,
    /// It is a deletion.
    #[serde(skip_serializing_if = "is_false")]
    pub deleted: bool,
}

/// The last line: without it the file was cut off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct End {
    /// True.
    pub end: bool,
    /// Lines of records.
    pub records: u64,
    /// Lines of keys.
    pub keys: u64,
    /// Siblings beyond the first of each key.
    pub conflicts: u64,
}

/// A line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum Line {
    /// The first.
    Header(Header),
    /// A record.
    Record(Record),
    /// A key.
    Key(Key),
    /// The last.
    End(End),
}

/// Why a line was not read.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum NotALine {
    /// A later version wrote the file, in this format.
    #[error("the file has the format {0} of a later version of tanist: import it with that version")]
    Later(u32),
    /// It is broken, and how.
    #[error("{0}")]
    Broken(String),
}

fn broken<T>(why: impl Into<String>) -> Result<T, NotALine> {
    Err(NotALine::Broken(why.into()))
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Any line, as it came. What is not known is passed over: later versions may say more.
#[derive(Deserialize)]
struct Raw {
    tanist_export: Option<u32>,
    cluster: Option<String>,
    cursor: Option<Point>,
    record: Option<Uuid>,
    topic: Option<String>,
    key: Option<String>,
    #[serde(default, deserialize_with = "siblings")]
    siblings: Option<Vec<RawSibling>>,
    #[serde(default)]
    kept_aside: bool,
    birth: Option<Point>,
    at: Option<Stamp>,
    node: Option<NodeId>,
    value: Option<String>,
    value_base64: Option<Base64>,
    end: Option<bool>,
    records: Option<u64>,
    keys: Option<u64>,
    conflicts: Option<u64>,
}

#[derive(Deserialize)]
struct RawSibling {
    birth: Option<Point>,
    id: Option<Uuid>,
    at: Option<Stamp>,
    node: Option<NodeId>,
    value: Option<String>,
    value_base64: Option<Base64>,
    #[serde(default)]
    deleted: bool,
}

fn siblings<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Vec<RawSibling>>, D::Error> {
    list::<_, _, SIBLINGS>(from).map(Some)
}

impl Line {
    /// Reads a line, which is at most [`LINE`] bytes long, without its end.
    ///
    /// # Errors
    /// Says why it was not read, also when something in it is beyond the limits of tanist.
    pub fn read(text: &[u8]) -> Result<Line, NotALine> {
        let raw: Raw = serde_json::from_slice(text).map_err(|error| unread(text, &error))?;
        match raw {
            Raw { tanist_export: Some(FORMAT), .. } => header(raw).map(Line::Header),
            Raw { tanist_export: Some(other), .. } if other > FORMAT => Err(NotALine::Later(other)),
            Raw { tanist_export: Some(other), .. } => broken(format!("there is no format {other}")),
            Raw { record: Some(id), .. } => record(raw, id).map(Line::Record),
            Raw { key: Some(_), .. } => key(raw).map(Line::Key),
            Raw { end: Some(true), .. } => end(&raw).map(Line::End),
            _ => broken("it is neither a record nor a key: it has no `record`, `key`, `end` or `tanist_export`"),
        }
    }
}

/// Why a line is not made of what lines are made of.
fn unread(text: &[u8], error: &serde_json::Error) -> NotALine {
    #[derive(Deserialize)]
    struct Format {
        tanist_export: u32,
    }
    if let Ok(Format { tanist_export }) = serde_json::from_slice(text)
        && tanist_export > FORMAT
    {
        return NotALine::Later(tanist_export);
    }
    let (why, at) = (error.to_string(), error.column());
    let why = why.split(" at line ").next().unwrap_or_default();
    let what = if error.is_data() { "not as an export has it" } else { "not JSON" };
    NotALine::Broken(format!("{what}: {why}, at byte {at} of the line"))
}

fn has<T>(value: Option<T>, name: &str) -> Result<T, NotALine> {
    value.ok_or_else(|| NotALine::Broken(format!("it has no `{name}`")))
}

fn header(raw: Raw) -> Result<Header, NotALine> {
    Ok(Header {
        tanist_export: FORMAT,
        at: has(raw.at, "at")?,
        cluster: has(raw.cluster, "cluster")?,
        node: has(raw.node, "node")?,
        cursor: has(raw.cursor, "cursor")?,
    })
}

fn record(raw: Raw, record: Uuid) -> Result<Record, NotALine> {
    let topic = has(raw.topic, "topic")?;
    name("topic", &topic, TOPIC)?;
    let content = match content(raw.value, raw.value_base64)? {
        Some(content) => content,
        None => return broken("it has no `value`, and no `value_base64`"),
    };
    let (birth, at, node) = (has(raw.birth, "birth")?, has(raw.at, "at")?, has(raw.node, "node")?);
    Ok(Record { record, topic, birth, at, node, content })
}

fn key(raw: Raw) -> Result<Key, NotALine> {
    let key = has(raw.key, "key")?;
    name("key", &key, KEY)?;
    let siblings = has(raw.siblings, "siblings")?.into_iter().map(sibling).collect::<Result<Vec<_>, _>>()?;
    if siblings.iter().all(|sibling| sibling.deleted) {
        return broken("the key has no value: a deletion alone is not imported");
    }
    let bytes: usize =
        siblings.iter().skip(1).filter_map(|sibling| Some(sibling.content.as_ref()?.bytes().len())).sum();
    if bytes > ENTRY {
        return broken(format!("the conflicts of the key have {bytes} bytes, and may have {ENTRY}"));
    }
    Ok(Key { key, siblings, kept_aside: raw.kept_aside })
}

fn sibling(raw: RawSibling) -> Result<Sibling, NotALine> {
    let content = content(raw.value, raw.value_base64)?;
    if content.is_some() == raw.deleted {
        return broken("a sibling has one of `value`, `value_base64` and `\"deleted\":true`");
    }
    Ok(Sibling {
        birth: has(raw.birth, "birth")?,
        id: has(raw.id, "id")?,
        at: has(raw.at, "at")?,
        node: has(raw.node, "node")?,
        content,
        deleted: raw.deleted,
    })
}

fn content(text: Option<String>, base64: Option<Base64>) -> Result<Option<Content>, NotALine> {
    let content = match (text, base64) {
        (Some(_), Some(_)) => return broken("it has both `value` and `value_base64`"),
        (Some(value), None) => Content::Text { value },
        (None, Some(value_base64)) => Content::Binary { value_base64 },
        (None, None) => return Ok(None),
    };
    match content.bytes().len() {
        0..=VALUE => Ok(Some(content)),
        bytes => broken(format!("the value has {bytes} bytes, and may have {VALUE}")),
    }
}

fn name(what: &str, name: &str, most: usize) -> Result<(), NotALine> {
    match name.len() {
        0 => broken(format!("the {what} is empty")),
        bytes if bytes > most => broken(format!("the {what} has {bytes} bytes, and may have {most}")),
        _ if name.contains('\0') => broken(format!("the {what} has a NUL")),
        _ => Ok(()),
    }
}

fn end(raw: &Raw) -> Result<End, NotALine> {
    Ok(End {
        end: true,
        records: has(raw.records, "records")?,
        keys: has(raw.keys, "keys")?,
        conflicts: has(raw.conflicts, "conflicts")?,
    })
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
