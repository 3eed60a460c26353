//! A joined whole that is longer than a batch: its parts lie aside until the last has come (rule 5 of a reunion).
//!
//! A short whole then becomes pending like any batch. A long one stays aside until it is committed, and is written to
//! the store from there, so memory need not hold it: a leader orders nothing behind it before that, and the next batch
//! says that it is committed. It is taken into memory after all when somebody orders behind it who held it there.

use super::codec::{Unread, read_batch};
use super::draft::Draft;
use super::limits::ITEMS;
use super::pending::Making;
use super::storage::{Storage, Table, from};
use super::{Ledger, Trouble, Unfit, rows};
use crate::data::{Batch, Change, Context, Part, ReignId, Revision, Share};
use bytes::Bytes;
use std::ops::ControlFlow;

/// What the keys of its parts in [`Table::Aside`] begin with.
pub(super) const PARTS: u8 = b'w';

/// A joined whole that has come in part, or lies aside.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    /// Where it continues.
    pub after: Revision,
    pub reign: ReignId,
    /// How many parts have come.
    pub parts: u32,
    /// The number of the next change.
    next: u64,
    /// The revision of its last change, when all of it has come.
    pub end: Option<Revision>,
    /// The length of its parts.
    bytes: usize,
    /// What has been seen when it is applied: at most 2 * REIGNS reigns.
    pub seen: Context,
}

impl Whole {
    /// What a part continues: nothing, or a whole that is not complete.
    fn fits(whole: Option<&Whole>, batch: &Batch, number: u32) -> bool {
        match whole {
            _ if number == 0 => true,
            Some(whole) => {
                let same = (whole.after, whole.reign) == (batch.after, batch.reign);
                same && whole.end.is_none() && (whole.parts, whole.next) == (number, batch.first)
            }
            None => false,
        }
    }
}

pub(super) fn part_key(number: u32) -> [u8; 5] {
    let [a, b, c, d] = number.to_be_bytes();
    [PARTS, a, b, c, d]
}

/// Removes what lies aside under this first byte, or everything.
pub(super) fn clear<S: Storage>(store: &mut S, kind: Option<u8>) -> Result<(), Trouble<S::Error>> {
    let start: Vec<u8> = kind.into_iter().collect();
    loop {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        rows::each(store, Table::Aside, from(&start), |key, _| {
            if !key.starts_with(&start) || keys.len() == ITEMS {
                return Ok(ControlFlow::Break(()));
            }
            keys.push(key.to_vec());
            Ok(ControlFlow::Continue(()))
        })?;
        for key in &keys {
            store.remove(Table::Aside, key).map_err(Trouble::Storage)?;
        }
        if keys.is_empty() {
            return Ok(());
        }
    }
}

impl Ledger {
    /// Takes a part in.
    pub(super) fn take_part<S: Storage>(
        &mut self,
        store: &mut S,
        batch: &Batch,
        bytes: &Bytes,
    ) -> Result<(), Trouble<S::Error>> {
        let (number, is_last) = match batch.part {
            Part::Piece(number) => (number, false),
            Part::Last(number) => (number, true),
            Part::Alone => unreachable!("it is a part"),
        };
        if !Whole::fits(self.whole.as_ref(), batch, number) {
            return Err(Trouble::Unfit(Unfit::NotNext));
        }
        let known = self.whole.as_ref().filter(|_| number > 0).map_or(&self.head.seen, |whole| &whole.seen);
        let seen = batch.changes.iter().flat_map(seen_of).copied().collect::<Context>();
        if is_last && known.highest().max(seen.highest()) >= batch.last().number {
            return Err(Trouble::Unread(Unread::Garbage("the number of a join is above all that it joins")));
        }
        if number == 0 {
            self.whole = None;
            clear(store, Some(PARTS))?;
        }
        let mut whole = self.whole.take().unwrap_or_else(|| Whole {
            after: batch.after,
            reign: batch.reign,
            parts: 0,
            next: batch.first,
            end: None,
            bytes: 0,
            seen: self.head.seen.clone(),
        });
        store.put(Table::Aside, &part_key(number), bytes).map_err(Trouble::Storage)?;
        whole.seen.union(&seen);
        whole.parts += 1;
        whole.next = batch.last().number + 1;
        whole.bytes += bytes.len();
        self.given = self.given.max(batch.last().number);
        if is_last {
            whole.seen.raise(batch.last());
            whole.end = Some(batch.last());
        }
        let short = is_last && whole.bytes <= self.limits.unfold;
        self.whole = Some(whole);
        if short { self.unfold(store) } else { Ok(()) }
    }

    /// Before a batch that continues a complete whole: it is committed, when the batch says so, or pending in memory.
    pub(super) fn settle_whole<S: Storage>(&mut self, store: &mut S, next: &Batch) -> Result<(), Trouble<S::Error>> {
        match self.complete().and_then(|whole| whole.end) {
            Some(end) if next.committed.number >= end.number => self.commit_through(store, end.number),
            Some(_) => self.unfold(store),
            None => Ok(()),
        }
    }

    /// Makes a complete whole pending like a batch, in memory.
    pub(super) fn unfold<S: Storage>(&mut self, store: &mut S) -> Result<(), Trouble<S::Error>> {
        let Some(whole) = self.whole.take_if(|whole| whole.end.is_some()) else { return Ok(()) };
        let parts = self.parts(store, &whole)?;
        self.pending.begin(whole.after);
        let mut making = Making { store: &*store, pending: &mut self.pending };
        let mut draft = Draft { rows: &mut making, head: &mut self.head, limits: &self.limits };
        draft.begin(whole.reign)?;
        for part in &parts {
            apply_part(&mut draft, part)?;
        }
        let end = whole.end.expect("it is complete");
        draft.end(end)?;
        self.pending.end(end, parts);
        clear(store, Some(PARTS))
    }

    /// Writes a complete whole to the store, when nothing before it is pending.
    pub(super) fn commit_whole<S: Storage>(&mut self, store: &mut S) -> Result<(), Trouble<S::Error>> {
        let Some(whole) = self.whole.take_if(|whole| whole.end.is_some()) else { return Ok(()) };
        assert!(self.pending.is_empty(), "what comes before it is committed before it");
        let mut parts = Vec::new();
        Draft { rows: store, head: &mut self.head, limits: &self.limits }.begin(whole.reign)?;
        for number in 0..whole.parts {
            parts.extend(part(store, number)?);
            let mut draft = Draft { rows: store, head: &mut self.head, limits: &self.limits };
            for part in parts.drain(..) {
                apply_part(&mut draft, &part)?;
            }
        }
        let end = whole.end.expect("it is complete");
        Draft { rows: store, head: &mut self.head, limits: &self.limits }.end(end)?;
        self.committed = end;
        clear(store, Some(PARTS))
    }

    /// The parts of a whole that has not come to its end, as they came.
    ///
    /// # Errors
    /// When the store fails.
    pub fn begun_parts<S: Storage>(&self, store: &S) -> Result<Vec<Bytes>, Trouble<S::Error>> {
        self.whole.as_ref().filter(|whole| whole.end.is_none()).map_or(Ok(Vec::new()), |whole| self.parts(store, whole))
    }

    /// The parts of a whole that lies aside.
    pub(super) fn parts<S: Storage>(&self, store: &S, whole: &Whole) -> Result<Vec<Bytes>, Trouble<S::Error>> {
        (0..whole.parts).map(|number| part(store, number)?.ok_or(Trouble::Damaged(Table::Aside))).collect()
    }
}

/// What a change says was seen by the store that is joined.
fn seen_of(change: &Change) -> &[Revision] {
    match change {
        Change::Share(Share::Seen(seen)) => seen,
        _ => &[],
    }
}

fn part<S: Storage>(store: &S, number: u32) -> Result<Option<Bytes>, Trouble<S::Error>> {
    rows::get(store, Table::Aside, &part_key(number), |bytes| Ok(Bytes::copy_from_slice(bytes)))
}

fn apply_part<R: Storage>(draft: &mut Draft<'_, R>, bytes: &[u8]) -> Result<(), Trouble<R::Error>> {
    let batch = read_batch(bytes).map_err(|_| Trouble::Damaged(Table::Aside))?;
    for (number, change) in (batch.first..).zip(&batch.changes) {
        draft.apply(Revision::new(batch.reign, number), change)?;
    }
    Ok(())
}
