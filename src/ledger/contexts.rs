//! Cursors: what had been seen at a position.
//!
//! A position determines its context. For that a store keeps a row where a reign begins, and one for each join, as git
//! keeps parents; both are shared when stores meet, so that a cursor of one member means the same at another.

use super::codec::Unread;
use super::head::context;
use super::storage::{Read, Table, by_reign, reign_first};
use super::{Trouble, rows};
use crate::data::{Context, ReignId, Revision, Tagged};
use std::ops::{Bound, ControlFlow};
use thiserror::Error;

/// Why a cursor means nothing here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Unknown {
    /// Its reign is forgotten, or was never heard of here: a reader begins anew (HTTP 410).
    #[error("the cursor is of a reign that is not known here")]
    Reign,
    /// Its reign is known, and so much of it was not seen here yet: a reader may wait.
    #[error("the cursor is ahead of what this member has seen")]
    Ahead,
}

/// The revision that a user names, among those that this store has seen.
///
/// When the reigns of several have the same tag, the one counts that had this number: between the position that it began
/// from and the highest that was seen of it.
///
/// # Errors
/// Those of the store. Inside: [`Unknown`] when the revision was not seen here.
pub fn resolve<R: Read>(store: &R, named: Tagged) -> Result<Result<Revision, Unknown>, Trouble<R::Error>> {
    if named == Revision::ZERO.tagged() {
        return Ok(Ok(Revision::ZERO));
    }
    let low = ReignId(u64::from(named.tag) << 32).0.to_be_bytes();
    let high = ReignId(u64::from(named.tag) << 32 | 0xffff_ffff).0.to_be_bytes();
    let (mut found, mut ahead) = (Vec::new(), false);
    rows::each(store, Table::Seen, (Bound::Included(&low), Bound::Included(&high)), |reign, number| {
        let seen = super::storage::number_of(number).ok_or(Trouble::Damaged(Table::Seen))?;
        let began = begin(store, reign)?.unwrap_or_default();
        ahead |= named.number > seen;
        if named.number > began.number && named.number <= seen {
            found.extend(super::storage::reign_of(reign));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(match found[..] {
        [reign] => Ok(Revision::new(reign, named.number)),
        [] if ahead => Err(Unknown::Ahead),
        _ => Err(Unknown::Reign),
    })
}

fn begin<R: Read>(store: &R, reign: &[u8]) -> Result<Option<Revision>, Trouble<R::Error>> {
    rows::get(store, Table::Begins, reign, |row| reign_first(row).ok_or(Unread::Garbage("a position")))
}

/// What had been seen at a position. Of reigns that were forgotten since it says nothing: a reader may then see a thing
/// twice, and misses nothing.
///
/// # Errors
/// Those of the store. Inside: [`Unknown`] when the position was not seen here.
pub fn context_at<R: Read>(store: &R, position: Revision) -> Result<Result<Context, Unknown>, Trouble<R::Error>> {
    let seen = context(store, Table::Seen)?;
    if position != Revision::ZERO && !seen.covers(position) {
        return Ok(Err(if seen.knows(position.reign) { Unknown::Ahead } else { Unknown::Reign }));
    }
    let (mut known, mut ways) = (Context::new(), vec![position]);
    while let Some(position) = ways.pop() {
        let before = known.of(position.reign);
        if !seen.covers(position) || before >= position.number {
            continue;
        }
        ways.extend(begin(store, &position.reign.0.to_be_bytes())?);
        let (low, high) = (by_reign(Revision::new(position.reign, before)), by_reign(position));
        rows::each(store, Table::Merges, (Bound::Excluded(&low), Bound::Included(&high)), |_, with| {
            ways.push(reign_first(with).ok_or(Trouble::Damaged(Table::Merges))?);
            Ok(ControlFlow::Continue(()))
        })?;
        known.raise(position);
    }
    Ok(Ok(known))
}

#[cfg(test)]
#[path = "contexts_tests.rs"]
mod tests;
