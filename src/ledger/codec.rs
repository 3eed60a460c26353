//! Values and bytes: a byte that tells the version, then MessagePack without names. The same value always gives the same
//! bytes, on every machine: the digest and P7 rely on it.

use super::limits::{ARRIVING, KEY, TOPIC, VALUE};
use crate::data::{Add, Batch, Carried, Change, Item, JoinedKey, Piece, Replaces, Share, Write};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The version of everything that is written here. It grows when an older program could not read it.
const VERSION: u8 = 1;

/// Why bytes were not read. Nothing has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Unread {
    /// A later version wrote them, in this format.
    #[error("it has the format {0} of a later version of tanist")]
    Later(u8),
    /// They are garbage, and why.
    #[error("{0}")]
    Garbage(&'static str),
}

/// The bytes of a value.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.push(VERSION);
    rmp_serde::encode::write(&mut bytes, value).expect("memory takes everything");
    bytes
}

/// The value of the bytes. What it borrows stays in them.
pub(super) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Unread> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => {
            rmp_serde::from_slice(rest).map_err(|_| Unread::Garbage("it is cut off, or not what was expected"))
        }
        Some((&later, _)) if later > VERSION => Err(Unread::Later(later)),
        _ => Err(Unread::Garbage("it has no version")),
    }
}

/// Reads a batch, from the log or from the leader.
///
/// # Errors
/// Says why it was not read, also when something in it is beyond its limit.
pub fn read_batch(bytes: &[u8]) -> Result<Batch, Unread> {
    let batch: Batch = arriving(bytes)?;
    if batch.changes.is_empty() {
        return Err(Unread::Garbage("a batch without changes"));
    }
    if batch.first == 0 {
        return Err(Unread::Garbage("a change without a number"));
    }
    batch.changes.iter().try_for_each(check_change)?;
    Ok(batch)
}

/// Reads a piece of an offer or an adoption.
///
/// # Errors
/// Says why it was not read, also when something in it is beyond its limit.
pub fn read_piece(bytes: &[u8]) -> Result<Piece, Unread> {
    let piece: Piece = arriving(bytes)?;
    piece.items.iter().try_for_each(check_item)?;
    Ok(piece)
}

fn arriving<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Unread> {
    if bytes.len() > ARRIVING {
        return Err(Unread::Garbage("it is too long"));
    }
    decode(bytes)
}

fn check_change(change: &Change) -> Result<(), Unread> {
    match change {
        Change::Add(Add { topic, value, .. }) => check_topic(topic).and_then(|()| check_value(value)),
        Change::Write(Write { key, value, replaces, .. }) => {
            check_key(key)?;
            value.iter().try_for_each(|value| check_value(value))?;
            match replaces {
                Replaces::Births(births) if births.is_empty() => Err(Unread::Garbage("a resolution of nothing")),
                _ => Ok(()),
            }
        }
        Change::Trim(trim) => check_topic(&trim.topic),
        Change::Key(key) => check_joined(key),
        Change::Keep(entry) => {
            check_key(&entry.key)?;
            entry.siblings.iter().filter_map(|s| s.value.as_ref()).try_for_each(|value| check_value(value))
        }
        Change::Share(share) => check_share(share),
        Change::Again(..) | Change::Merge(_) => Ok(()),
    }
}

fn check_item(item: &Item) -> Result<(), Unread> {
    match item {
        Item::Record(_, record) if record.births.is_empty() => Err(Unread::Garbage("a record without a birth")),
        Item::Record(_, record) => check_topic(&record.topic).and_then(|()| check_value(&record.value)),
        Item::Key(_, key) => check_joined(key),
        Item::Share(share) => check_share(share),
        Item::Listed(keys) => keys.iter().try_for_each(|key| check_key(key)),
        Item::Again(..) | Item::End(_) => Ok(()),
    }
}

fn check_joined(key: &JoinedKey) -> Result<(), Unread> {
    check_key(&key.key)?;
    let values = key.siblings.iter().filter_map(|sibling| match sibling {
        Carried::New(sibling) => sibling.value.as_ref(),
        Carried::Held(_) => None,
    });
    values.into_iter().try_for_each(|value| check_value(value))
}

fn check_share(share: &Share) -> Result<(), Unread> {
    match share {
        Share::Rows(rows) => rows.iter().try_for_each(|(_, row)| check_key(&row.key)),
        Share::Trims(trims) => trims.iter().try_for_each(|(topic, _)| check_topic(topic)),
        Share::Seen(_) | Share::Begins(_) | Share::Merges(_) | Share::Forgotten(_) => Ok(()),
    }
}

/// A topic has 1 to [`TOPIC`] bytes and no NUL.
pub(super) fn check_topic(topic: &str) -> Result<(), Unread> {
    match topic {
        "" => Err(Unread::Garbage("the topic is empty")),
        _ if topic.len() > TOPIC => Err(Unread::Garbage("the topic is too long")),
        _ if topic.contains('\0') => Err(Unread::Garbage("the topic has a NUL")),
        _ => Ok(()),
    }
}

/// A key has 1 to [`KEY`] bytes.
pub(super) fn check_key(key: &str) -> Result<(), Unread> {
    match key.len() {
        0 => Err(Unread::Garbage("the key is empty")),
        1..=KEY => Ok(()),
        _ => Err(Unread::Garbage("the key is too long")),
    }
}

/// A value has at most [`VALUE`] bytes.
pub(super) fn check_value(value: &[u8]) -> Result<(), Unread> {
    if value.len() > VALUE { Err(Unread::Garbage("the value is too long")) } else { Ok(()) }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
