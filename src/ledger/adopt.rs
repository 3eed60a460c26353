//! Adopting: a member takes over the leader's state, by what it lacks. It lies aside until it is complete, and one call
//! puts all of it in.

use super::aside::{self, COPY, Sort};
use super::codec::{decode, encode, read_piece};
use super::draft::Draft;
use super::limits::{ITEMS, PIECE};
use super::shares::{SHARED, trim_of};
use super::storage::{EVERYTHING, Storage, Table, behind, reign_first};
use super::{Ledger, Trouble, Unfit, digest, records, rows, whole};
use crate::data::{Context, Ending, Item, Revision, Slice};
use std::ops::ControlFlow;

/// What came over with a copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Adopted {
    /// Records that are new here, or have a new revision.
    pub records: u64,
    /// Keys that are new here, or have a new revision.
    pub keys: u64,
}

impl Ledger {
    /// A member begins to receive a copy. What lay aside of another is dropped.
    ///
    /// # Errors
    /// Those of the store.
    pub fn begin_copy<S: Storage>(&mut self, store: &mut S) -> Result<(), Trouble<S::Error>> {
        self.guarded(|_| whole::clear(store, Some(COPY)))
    }

    /// Lays a piece of the copy aside. Says whether it was the last.
    ///
    /// # Errors
    /// Those of the store; [`Trouble::Unread`].
    pub fn take_copy<S: Storage>(&mut self, store: &mut S, piece: &[u8]) -> Result<bool, Trouble<S::Error>> {
        let piece = read_piece(piece).map_err(Trouble::Unread)?;
        self.guarded(|_| aside::lay(store, COPY, piece, Some).map(|end| end.is_some()))
    }

    /// Takes over the copy, which must be complete. What was pending here was offered, or the leader has it, and goes on as
    /// a part of the copy.
    ///
    /// # Errors
    /// Those of the store. [`Unfit::Lacks`] when the copy does not have what is here, and [`Unfit::Old`] when it is older
    /// than what readers have seen: nothing has happened then. [`Trouble::Missing`] and [`Trouble::Differs`]: what this
    /// call wrote must be taken back, and a copy be fetched with all values, or into an empty store.
    pub fn adopt<S: Storage>(&mut self, store: &mut S) -> Result<Adopted, Trouble<S::Error>> {
        self.guarded(|ledger| {
            let ending = aside::ending(store, COPY)?.expect("the copy is complete");
            let theirs = aside::context(store, COPY, Table::Seen)?;
            if ending.position.number < ledger.committed.number {
                return Err(Trouble::Unfit(Unfit::Old));
            }
            if !ledger.context().below(&theirs) && !is_joined(store, ledger.position())? {
                return Err(Trouble::Unfit(Unfit::Lacks));
            }
            // What the copy leaves out is what is here with all that is pending; readers see it only with the copy.
            ledger.cancel_join();
            ledger.commit_all(store)?;
            ledger.whole = None;
            ledger.head.tombstones_from = Revision::ZERO;
            let mut draft = Draft { rows: store, head: &mut ledger.head, limits: &ledger.limits };
            let adopted = draft.take_entries()?;
            draft.drop_gone(&ending)?;
            draft.take_rows(&ending)?;
            draft.take_tables(theirs)?;
            draft.head.facts.position = ending.position;
            draft.head.facts.pruned = ending.pruned;
            draft.put(Table::Facts, b"", &encode(&draft.head.facts))?;
            if draft.head.facts.digest() != ending.digest {
                return Err(Trouble::Differs);
            }
            ledger.committed = ending.position;
            ledger.given = ledger.given.max(ending.position.number);
            whole::clear(store, None)?;
            Ok(adopted)
        })
    }
}

/// Whether the leader joined the store that stood at this position: then it has all that is here, also what its context
/// does not say any more.
fn is_joined<S: Storage>(store: &S, position: Revision) -> Result<bool, Trouble<S::Error>> {
    let mut after = None;
    loop {
        let found = aside::some(store, COPY, Sort::Row(Table::Merges), after.as_deref(), PIECE)?;
        if found.iter().any(|(_, with)| reign_first(with) == Some(position)) {
            return Ok(true);
        }
        let Some((last, _)) = found.into_iter().next_back() else { return Ok(false) };
        after = Some(last);
    }
}

impl<S: Storage> Draft<'_, S> {
    /// Calls for each row of a sort that lies aside, some at a time.
    fn each_aside(
        &mut self,
        sort: Sort,
        mut take: impl FnMut(&mut Self, &[u8], &[u8]) -> Result<(), Trouble<S::Error>>,
    ) -> Result<(), Trouble<S::Error>> {
        let mut after = None;
        loop {
            let found = aside::some(&*self.rows, COPY, sort, after.as_deref(), PIECE)?;
            for (key, row) in &found {
                take(self, key, row)?;
            }
            let Some((last, _)) = found.into_iter().next_back() else { return Ok(()) };
            after = Some(last);
        }
    }

    fn take_entries(&mut self) -> Result<Adopted, Trouble<S::Error>> {
        let mut adopted = Adopted::default();
        self.each_aside(Sort::Entry, |draft, _, row| {
            match decode(row).map_err(|_| Trouble::Damaged(Table::Aside))? {
                Item::Record(revision, record) => {
                    adopted.records += 1;
                    let (births, id, at, node) = (record.births, record.id, record.at, record.node);
                    let (topic, value) = (record.topic.as_str(), Slice(&record.value));
                    draft.put_record(revision, records::RecordHere { births, id, topic, at, node, value })
                }
                Item::Again(revision, id, births) => {
                    adopted.records += 1;
                    let known = draft.births_of(id)?.and_then(|known| known.last().copied());
                    if known.is_none() || known != births.last().copied() {
                        return Err(Trouble::Missing);
                    }
                    draft.again(revision, id, |_| births)
                }
                Item::Key(revision, key) => {
                    adopted.keys += 1;
                    draft.take_key(revision, &key)
                }
                _ => Err(Trouble::Damaged(Table::Aside)),
            }
        })?;
        Ok(adopted)
    }

    /// Drops what the leader does not have: keys that are not in the list of all keys, tombstones that it has forgotten,
    /// records that it has trimmed.
    fn drop_gone(&mut self, ending: &Ending) -> Result<(), Trouble<S::Error>> {
        if ending.listed {
            self.drop_unlisted()?;
        }
        let forgotten = aside::context(&*self.rows, COPY, Table::Forgotten)?;
        self.forget_tombstones_of(&forgotten)?;
        let (mut topic, mut grown) = (String::new(), Context::new());
        self.each_aside(Sort::Row(Table::Trims), |draft, key, row| {
            let (of, upto) = trim_of(key, row).ok_or(Trouble::Damaged(Table::Aside))?;
            if of != topic {
                draft.trim_through(&topic, &std::mem::take(&mut grown))?;
                topic = of;
            }
            grown.raise(upto);
            Ok(())
        })?;
        self.trim_through(&topic, &grown)
    }

    fn drop_unlisted(&mut self) -> Result<(), Trouble<S::Error>> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let (mut gone, mut looked, start) = (Vec::new(), 0, after.take());
            rows::each(&*self.rows, Table::Keys, start.as_deref().map_or(EVERYTHING, behind), |key, _| {
                after = Some(key.to_vec());
                looked += 1;
                if aside::get(&*self.rows, COPY, Sort::Listed, key, |_| Ok(()))?.is_none() {
                    gone.push(String::from_utf8(key.to_vec()).map_err(|_| Trouble::Damaged(Table::Keys))?);
                }
                Ok(if looked < ITEMS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
            for key in gone {
                let (present, ()) = self.with_key(&key, |_| Ok(()))?;
                self.drop_key(&key, present.ok_or(Trouble::Damaged(Table::Keys))?)?;
            }
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn take_rows(&mut self, ending: &Ending) -> Result<(), Trouble<S::Error>> {
        self.forget_requests(ending.floor)?;
        self.each_aside(Sort::Row(Table::Requests), |draft, key, row| {
            let birth = super::storage::number_first(key).ok_or(Trouble::Damaged(Table::Aside))?;
            let row = super::requests::of_bytes(row).map_err(|_| Trouble::Damaged(Table::Aside))?;
            draft.take_request(birth, &row)
        })
    }

    /// Takes over the small tables as they are.
    fn take_tables(&mut self, theirs: Context) -> Result<(), Trouble<S::Error>> {
        for table in SHARED.into_iter().filter(|table| *table != Table::Requests) {
            let (mut after, mut count): (Option<Vec<u8>>, u64) = (None, 0);
            loop {
                let start = after.take();
                let range = start.as_deref().map_or(EVERYTHING, behind);
                let keys = aside::part(&*self.rows, table, range, PIECE, |key, _| Some((key.to_vec(), Vec::new())))?;
                for (key, _) in &keys {
                    if aside::get(&*self.rows, COPY, Sort::Row(table), key, |_| Ok(()))?.is_none() {
                        self.take(table, key)?;
                    }
                }
                let Some((last, _)) = keys.into_iter().next_back() else { break };
                after = Some(last);
            }
            self.each_aside(Sort::Row(table), |draft, key, row| {
                count += 1;
                let old = draft.get(table, key, |old| Ok(digest::of_row(table, key, old)))?;
                draft.put_counted(table, key, old, row)
            })?;
            match table {
                Table::Merges => self.head.facts.merges = count,
                Table::Trims => self.head.facts.trims = count,
                _ => {}
            }
        }
        self.head.forgotten = super::head::context(&*self.rows, Table::Forgotten)?;
        self.head.seen = theirs;
        Ok(())
    }
}

#[cfg(test)]
#[path = "adopt_tests.rs"]
mod tests;
