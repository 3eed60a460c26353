//! What another store lacks, in pieces: an offer to a leader, or a copy for a member that adopts.
//!
//! First come the entries whose revision the other's context does not cover: one range for each reign. Then, if it may
//! have missed a deletion whose tombstone is forgotten, the list of all keys (rule 4 of a reunion). Then the rows of
//! requests that it lacks, and all of the small tables. Nothing but an [`Item::End`] says that it was all.

use super::aside::part;
use super::codec::{Unread, decode, encode};
use super::head::{Facts, context};
use super::limits::ITEMS;
use super::lists::first_lacking;
use super::shares::{Pair, SHARED, of_rows};
use super::storage::{EVERYTHING, Read, Table, behind, by_number, by_reign, from, number_first, reign_first};
use super::{Trouble, rows};
use crate::data::{Carried, Context, Ending, Entry, Item, JoinedKey, Piece, ReignId, Revision};
use bytes::Bytes;
use std::ops::{Bound, ControlFlow};

/// Which values are sent along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Values {
    /// All: an offer, or a copy for a member that lacks a value which it should have.
    All,
    /// Those whose birth the other's context does not cover.
    Lacking,
}

/// A scan, and where it is. The store must not change between two pieces: a snapshot, or a member that takes no writes.
#[derive(Clone, Debug)]
pub struct Scan {
    /// What the other has seen: at most REIGNS reigns, as any context.
    other: Context,
    values: Values,
    stage: Stage,
    /// The last row that was looked at in this stage. Bounded by `KEY`.
    after: Option<Vec<u8>>,
    /// What the store is like, once it was looked at.
    own: Option<Own>,
}

#[derive(Clone, Debug)]
struct Own {
    facts: Facts,
    seen: Context,
    /// The other may have missed a deletion that is forgotten.
    listed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Entries,
    Keys,
    /// One of the shared tables.
    Shared(usize),
    End,
    Done,
}

/// A piece that is being filled.
struct Filling {
    /// At most ITEMS.
    items: Vec<Item>,
    bytes: usize,
    most: usize,
}

impl Filling {
    fn push(&mut self, item: Item, bytes: usize) {
        self.items.push(item);
        self.bytes += bytes;
    }

    fn left(&self) -> usize {
        self.most.saturating_sub(self.bytes)
    }

    fn is_full(&self) -> bool {
        self.bytes >= self.most || self.items.len() + 1 >= ITEMS
    }
}

impl Scan {
    /// For a store that has seen this.
    pub fn new(other: Context, values: Values) -> Scan {
        Scan { other, values, stage: Stage::Entries, after: None, own: None }
    }

    /// The next piece, of about `most` bytes at the most: what is longer by itself comes alone. None when all was said.
    ///
    /// # Errors
    /// Those of the store, and when a row cannot be read.
    pub fn next<R: Read>(&mut self, store: &R, most: usize) -> Result<Option<Bytes>, Trouble<R::Error>> {
        let mut filling = Filling { items: Vec::new(), bytes: 0, most: most.max(1) };
        let own = match self.own.take() {
            Some(own) => own,
            None => self.look(store)?,
        };
        while !filling.is_full() && self.stage != Stage::Done {
            match self.stage {
                Stage::Entries => self.entries(store, &mut filling)?,
                Stage::Keys if own.listed => self.keys(store, &mut filling)?,
                Stage::Keys => self.go_on(Stage::Shared(0)),
                Stage::Shared(at) => self.shared(store, SHARED[at], &own, &mut filling)?,
                Stage::End => {
                    let Facts { position, floor, pruned, .. } = own.facts;
                    let ending = Ending { position, floor, pruned, listed: own.listed, digest: own.facts.digest() };
                    filling.push(Item::End(ending), 64);
                    self.stage = Stage::Done;
                }
                Stage::Done => {}
            }
        }
        self.own = Some(own);
        if filling.items.is_empty() {
            return Ok(None);
        }
        Ok(Some(encode(&Piece { items: filling.items }).into()))
    }

    /// Whether all was said.
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    fn look<R: Read>(&self, store: &R) -> Result<Own, Trouble<R::Error>> {
        let facts = Facts::read(store)?;
        let listed = facts.pruned || !context(store, Table::Forgotten)?.below(&self.other);
        Ok(Own { facts, seen: context(store, Table::Seen)?, listed })
    }

    fn go_on(&mut self, stage: Stage) {
        self.stage = stage;
        self.after = None;
    }

    fn entries<R: Read>(&mut self, store: &R, filling: &mut Filling) -> Result<(), Trouble<R::Error>> {
        while !filling.is_full() {
            let start = self.after.as_deref().map_or(EVERYTHING, behind);
            let Some(first) = rows::first(store, Table::Entries, start, |key, _| reign_first(key))? else {
                self.go_on(Stage::Keys);
                return Ok(());
            };
            let known = self.other.of(first.reign);
            if first.number <= known {
                self.after = Some(by_reign(Revision::new(first.reign, known)).to_vec());
                continue;
            }
            let (start, end) = (by_reign(first), by_reign(Revision::new(first.reign, u64::MAX)));
            let mut last = first;
            rows::each(store, Table::Entries, (Bound::Included(&start), Bound::Included(&end)), |key, row| {
                last = reign_first(key).ok_or(Trouble::Damaged(Table::Entries))?;
                let item = self.item(last, row).map_err(|_| Trouble::Damaged(Table::Entries))?;
                filling.push(item, row.len());
                Ok(if filling.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
            self.after = Some(by_reign(last).to_vec());
        }
        Ok(())
    }

    fn item(&self, revision: Revision, row: &[u8]) -> Result<Item, Unread> {
        let known = |birth: Revision| self.values == Values::Lacking && self.other.covers(birth);
        Ok(match decode::<Entry>(row)? {
            Entry::Record(record) if known(record.birth()) => Item::Again(revision, record.id, record.births),
            Entry::Record(record) => Item::Record(revision, record),
            Entry::Key(entry) => {
                let carried = entry.siblings.into_iter().map(|sibling| {
                    if known(sibling.birth) { Carried::Held(sibling.birth) } else { Carried::New(sibling) }
                });
                Item::Key(revision, JoinedKey { key: entry.key, siblings: carried.collect() })
            }
        })
    }

    fn keys<R: Read>(&mut self, store: &R, filling: &mut Filling) -> Result<(), Trouble<R::Error>> {
        let start = self.after.as_deref().map_or(EVERYTHING, behind);
        let found = part(store, Table::Keys, start, filling.left(), |key, _| Some((key.to_vec(), Vec::new())))?;
        let Some((last, _)) = found.last() else {
            self.go_on(Stage::Shared(0));
            return Ok(());
        };
        self.after = Some(last.clone());
        let bytes = found.iter().map(|(key, _)| key.len() + 3).sum();
        let keys = found.into_iter().map(|(key, _)| String::from_utf8(key)).collect::<Result<_, _>>();
        filling.push(Item::Listed(keys.map_err(|_| Trouble::Damaged(Table::Keys))?), bytes);
        Ok(())
    }

    fn shared<R: Read>(
        &mut self,
        store: &R,
        table: Table,
        own: &Own,
        filling: &mut Filling,
    ) -> Result<(), Trouble<R::Error>> {
        let found = if table == Table::Requests {
            self.requests(store, own, filling.left())?
        } else {
            let start = self.after.as_deref().map_or(EVERYTHING, behind);
            part(store, table, start, filling.left(), |key, value| Some((key.to_vec(), value.to_vec())))?
        };
        let Some((last, _)) = found.last() else {
            let next = SHARED.iter().position(|shared| *shared == table).expect("it is one") + 1;
            self.go_on(if next < SHARED.len() { Stage::Shared(next) } else { Stage::End });
            return Ok(());
        };
        self.after = Some(last.clone());
        let share = of_rows(table, &found).map_err(|_| Trouble::Damaged(table))?;
        filling.push(Item::Share(share), found.iter().map(|(key, value)| key.len() + value.len()).sum());
        Ok(())
    }

    /// Rows of requests whose birth the other has not seen, and those of reigns that are forgotten here: of these it
    /// cannot be said.
    fn requests<R: Read>(&self, store: &R, own: &Own, most: usize) -> Result<Vec<Pair>, Trouble<R::Error>> {
        let start = match &self.after {
            Some(after) => after.clone(),
            None => match first_lacking(store, &own.seen, &self.other)? {
                Some(number) => by_number(Revision::new(ReignId::NONE, number)).to_vec(),
                None => return Ok(Vec::new()),
            },
        };
        let range = if self.after.is_some() { behind(&start) } else { from(&start) };
        part(store, Table::Requests, range, most, |key, row| {
            let birth = number_first(key)?;
            let both = self.other.covers(birth) && own.seen.covers(birth);
            (!both).then(|| (key.to_vec(), row.to_vec()))
        })
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
