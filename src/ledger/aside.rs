//! What has come in part lies aside, in the store and not in memory, until it is complete: an offer at a leader, a copy
//! at a member that adopts.

use super::codec::encode;
use super::limits::{ITEMS, PIECE};
use super::shares::{Pair, to_rows};
use super::storage::{Read, Storage, Table, by_reign, end_of, id_of, number_first, number_of, reign_of};
use super::{Trouble, codec, rows};
use crate::data::{Context, Ending, Item, Piece, RequestId, Revision};
use std::ops::{Bound, ControlFlow};

/// Of an offer.
pub(super) const OFFER: u8 = b'o';
/// Of a copy.
pub(super) const COPY: u8 = b'c';

/// What comes behind the first byte of a key in [`Table::Aside`].
#[derive(Clone, Copy)]
pub(super) enum Sort {
    /// (reign, number) to an item: what is put in as it is.
    Entry,
    /// Key to an offered key.
    Key,
    /// A key of the list of all keys.
    Listed,
    /// Id and birth of an offered row of requests.
    Request,
    /// A row of a shared table.
    Row(Table),
    /// The ending.
    End,
}

impl Sort {
    fn prefix(self, kind: u8) -> Vec<u8> {
        match self {
            Sort::Entry => vec![kind, b'e'],
            Sort::Key => vec![kind, b'k'],
            Sort::Listed => vec![kind, b'l'],
            Sort::Request => vec![kind, b'i'],
            Sort::Row(table) => vec![kind, b'r', table as u8],
            Sort::End => vec![kind, b'z'],
        }
    }

    fn key(self, kind: u8, key: &[u8]) -> Vec<u8> {
        let mut all = self.prefix(kind);
        all.extend_from_slice(key);
        all
    }
}

fn put<S: Storage>(store: &mut S, key: &[u8], value: &[u8]) -> Result<(), Trouble<S::Error>> {
    store.put(Table::Aside, key, value).map_err(Trouble::Storage)
}

/// Lays a piece aside, but for what `take` takes itself. Says whether it was the last.
pub(super) fn lay<S: Storage>(
    store: &mut S,
    kind: u8,
    piece: Piece,
    mut take: impl FnMut(Item) -> Option<Item>,
) -> Result<Option<Ending>, Trouble<S::Error>> {
    let mut end = None;
    for item in piece.items.into_iter().filter_map(&mut take) {
        match &item {
            Item::Record(revision, _) | Item::Again(revision, ..) => {
                put(store, &Sort::Entry.key(kind, &by_reign(*revision)), &encode(&item))?;
            }
            Item::Key(revision, _) if kind == COPY => {
                put(store, &Sort::Entry.key(kind, &by_reign(*revision)), &encode(&item))?;
            }
            Item::Key(_, key) => put(store, &Sort::Key.key(kind, key.key.as_bytes()), &encode(key))?,
            Item::Listed(keys) => {
                for key in keys {
                    put(store, &Sort::Listed.key(kind, key.as_bytes()), b"")?;
                }
            }
            Item::Share(share) => {
                let (table, pairs) = to_rows(share);
                for (key, value) in pairs {
                    put(store, &Sort::Row(table).key(kind, &key), &value)?;
                    if let (OFFER, Table::Requests, Some(id)) = (kind, table, id_of(&value)) {
                        put(store, &Sort::Request.key(kind, &[&id.0.to_be_bytes(), &key[..]].concat()), b"")?;
                    }
                }
            }
            Item::End(ending) => {
                put(store, &Sort::End.prefix(kind), &encode(ending))?;
                end = Some(*ending);
            }
        }
    }
    Ok(end)
}

/// What lies aside under a key.
pub(super) fn get<R: Read, T>(
    store: &R,
    kind: u8,
    sort: Sort,
    key: &[u8],
    visit: impl FnOnce(&[u8]) -> Result<T, codec::Unread>,
) -> Result<Option<T>, Trouble<R::Error>> {
    rows::get(store, Table::Aside, &sort.key(kind, key), visit)
}

/// A part of the rows of one sort that lie aside, behind a key: at most [`ITEMS`] and, before the last, [`PIECE`] bytes.
pub(super) fn some<R: Read>(
    store: &R,
    kind: u8,
    sort: Sort,
    after: Option<&[u8]>,
    most: usize,
) -> Result<Vec<Pair>, Trouble<R::Error>> {
    let prefix = sort.prefix(kind);
    let end = end_of(&prefix).expect("it begins with a letter");
    let first = after.map_or_else(|| prefix.clone(), |after| sort.key(kind, after));
    let first = if after.is_some() { Bound::Excluded(&first[..]) } else { Bound::Included(&first[..]) };
    part(store, Table::Aside, (first, Bound::Excluded(&end)), most.min(PIECE), |key, value| {
        Some((key[prefix.len()..].to_vec(), value.to_vec()))
    })
}

/// A part of a table: at most [`ITEMS`] rows that `pick` picks and, before the last, so many bytes.
pub(super) fn part<R: Read>(
    store: &R,
    table: Table,
    range: super::Range<'_>,
    most: usize,
    pick: impl Fn(&[u8], &[u8]) -> Option<Pair>,
) -> Result<Vec<Pair>, Trouble<R::Error>> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    rows::each(store, table, range, |key, value| {
        if let Some(pair) = pick(key, value) {
            bytes += pair.0.len() + pair.1.len();
            found.push(pair);
        }
        Ok(if bytes >= most || found.len() >= ITEMS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(found)
}

/// The ending of what lies aside, when it is complete.
pub(super) fn ending<R: Read>(store: &R, kind: u8) -> Result<Option<Ending>, Trouble<R::Error>> {
    get(store, kind, Sort::End, b"", |row| codec::decode(row))
}

/// A context that lies aside.
pub(super) fn context<R: Read>(store: &R, kind: u8, table: Table) -> Result<Context, Trouble<R::Error>> {
    let (mut context, mut after) = (Context::new(), None);
    loop {
        let found = some(store, kind, Sort::Row(table), after.as_deref(), PIECE)?;
        for (reign, number) in &found {
            let (Some(reign), Some(number)) = (reign_of(reign), number_of(number)) else {
                return Err(Trouble::Damaged(Table::Aside));
            };
            context.raise(Revision::new(reign, number));
        }
        let Some((last, _)) = found.into_iter().next_back() else { return Ok(context) };
        after = Some(last);
    }
}

/// The births of the offered rows of a request.
pub(super) fn offered_births<R: Read>(store: &R, id: RequestId) -> Result<Vec<Revision>, Trouble<R::Error>> {
    let prefix = Sort::Request.key(OFFER, &id.0.to_be_bytes());
    let end = end_of(&prefix);
    let mut births = Vec::new();
    rows::each(store, Table::Aside, super::storage::beginning(&prefix, &end), |key, _| {
        births.push(number_first(&key[prefix.len()..]).ok_or(Trouble::Damaged(Table::Aside))?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(births)
}
