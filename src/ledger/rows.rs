//! Reading rows, and what is wrong when one cannot be read.

use super::Trouble;
use super::codec::Unread;
use super::storage::{Range, Read, Table};
use std::ops::ControlFlow;

/// What a row says; a row that cannot be read is damage.
pub(super) fn get<R: Read, T>(
    store: &R,
    table: Table,
    key: &[u8],
    visit: impl FnOnce(&[u8]) -> Result<T, Unread>,
) -> Result<Option<T>, Trouble<R::Error>> {
    let row = store.get(table, key, visit).map_err(Trouble::Storage)?;
    row.transpose().map_err(|_| Trouble::Damaged(table))
}

/// Shows rows in order, until `visit` has enough or fails.
pub(super) fn each<R: Read>(
    store: &R,
    table: Table,
    range: Range<'_>,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, Trouble<R::Error>>,
) -> Result<(), Trouble<R::Error>> {
    let mut outcome = Ok(());
    let shown = store.range(table, range, &mut |key, value| match visit(key, value) {
        Ok(flow) => flow,
        Err(trouble) => {
            outcome = Err(trouble);
            ControlFlow::Break(())
        }
    });
    shown.map_err(Trouble::Storage)?;
    outcome
}

/// The first row of a part of a table.
pub(super) fn first<R: Read, T>(
    store: &R,
    table: Table,
    range: Range<'_>,
    visit: impl Fn(&[u8], &[u8]) -> Option<T>,
) -> Result<Option<T>, Trouble<R::Error>> {
    let mut found = None;
    each(store, table, range, |key, value| {
        found = Some(visit(key, value).ok_or(Trouble::Damaged(table))?);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}
