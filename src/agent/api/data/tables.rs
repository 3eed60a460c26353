//! What a store has seen: the small tables of reigns. Entries are read through [`crate::ledger::lists`].

use crate::data::{Context, ReignId, Revision};
use crate::ledger::{EVERYTHING, Facts, Read, Table, Trouble};
use std::ops::ControlFlow;

/// The position of a store.
pub(super) fn position<R: Read>(store: &R) -> Result<Revision, Trouble<R::Error>> {
    Ok(Facts::read(store)?.position)
}

/// Whether a store has seen a revision.
pub(super) fn has_seen<R: Read>(store: &R, revision: Revision) -> Result<bool, Trouble<R::Error>> {
    let highest = get(store, Table::Seen, revision.reign, number)?;
    Ok(highest.is_some_and(|highest| highest >= revision.number))
}

/// What a store has seen, or what it has forgotten: a table that has reigns and the highest number of each.
pub(super) fn context<R: Read>(store: &R, table: Table) -> Result<Context, Trouble<R::Error>> {
    let (mut context, mut damaged) = (Context::new(), false);
    let shown = store.range(table, EVERYTHING, &mut |reign, row| match (number(reign), number(row)) {
        (Some(reign), Some(highest)) => {
            context.raise(Revision::new(ReignId(reign), highest));
            ControlFlow::Continue(())
        }
        _ => {
            damaged = true;
            ControlFlow::Break(())
        }
    });
    shown.map_err(Trouble::Storage)?;
    if damaged { Err(Trouble::Damaged(table)) } else { Ok(context) }
}

/// The position that a reign began from; that before the first change when it is not known.
pub(super) fn begin<R: Read>(store: &R, reign: ReignId) -> Result<Revision, Trouble<R::Error>> {
    let position = |row: &[u8]| {
        let (reign, place) = row.split_at_checked(8)?;
        Some(Revision::new(ReignId(number(reign)?), number(place)?))
    };
    Ok(get(store, Table::Begins, reign, position)?.unwrap_or_default())
}

fn number(row: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(row.try_into().ok()?))
}

/// What a row says that stands under a reign.
fn get<R: Read, T>(
    store: &R,
    table: Table,
    reign: ReignId,
    read: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<Option<T>, Trouble<R::Error>> {
    match store.get(table, &reign.0.to_be_bytes(), read).map_err(Trouble::Storage)? {
        None => Ok(None),
        Some(None) => Err(Trouble::Damaged(table)),
        Some(read) => Ok(read),
    }
}
