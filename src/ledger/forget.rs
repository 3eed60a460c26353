//! Forgetting: by count, in the order of revisions, as part of a change, so that all members forget the same thing at
//! the same change.

use super::draft::{Draft, tombstone};
use super::storage::{EVERYTHING, Storage, Table, by_number, by_reign, from, reign_first};
use super::{Trouble, rows};
use crate::data::{Context, ReignId, Revision};
use std::ops::{Bound, ControlFlow};

impl<R: Storage> Draft<'_, R> {
    /// Forgets what is beyond the limits.
    pub(super) fn limit(&mut self) -> Result<(), Trouble<R::Error>> {
        while self.head.facts.tombstones > self.limits.tombstones {
            let lowest = by_number(self.head.tombstones_from);
            let oldest = rows::first(&*self.rows, Table::Tombstones, from(&lowest), tombstone)?;
            let (revision, key) = oldest.ok_or(Trouble::Damaged(Table::Tombstones))?;
            self.drop_tombstone(&key)?;
            self.head.tombstones_from = revision;
            self.forget_tombstone(revision)?;
        }
        self.limit_requests()?;
        while self.head.seen.len() > self.limits.reigns {
            let oldest = self.head.seen.oldest(self.head.facts.position.reign).expect("there is more than one");
            self.forget_reign(oldest)?;
        }
        while self.head.facts.merges > self.limits.reigns as u64 {
            let oldest = self.merges(|_| true)?.into_iter().min().ok_or(Trouble::Damaged(Table::Merges))?;
            self.forget_merge(oldest)?;
        }
        Ok(())
    }

    fn drop_tombstone(&mut self, key: &str) -> Result<(), Trouble<R::Error>> {
        let (present, ()) = self.with_key(key, |_| Ok(()))?;
        let present = present.filter(|present| present.shape.is_tombstone());
        self.drop_key(key, present.ok_or(Trouble::Damaged(Table::Tombstones))?)
    }

    /// Notes that a tombstone of this revision was forgotten. Of reigns that are forgotten too it needs no note: then the
    /// list of all keys is compared with everybody.
    pub(super) fn forget_tombstone(&mut self, revision: Revision) -> Result<(), Trouble<R::Error>> {
        if self.head.seen.knows(revision.reign) && self.head.forgotten.raise(revision) {
            self.put_number(Table::Forgotten, &revision.reign.0.to_be_bytes(), revision.number)?;
        }
        Ok(())
    }

    /// Forgets the tombstones that another store has forgotten.
    pub(super) fn forget_tombstones_of(&mut self, forgotten: &Context) -> Result<(), Trouble<R::Error>> {
        let mut gone = Vec::new();
        rows::each(&*self.rows, Table::Tombstones, EVERYTHING, |revision, key| {
            let (revision, key) = tombstone(revision, key).ok_or(Trouble::Damaged(Table::Tombstones))?;
            if forgotten.covers(revision) {
                gone.push(key);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        gone.iter().try_for_each(|key| self.drop_tombstone(key))
    }

    fn forget_reign(&mut self, reign: ReignId) -> Result<(), Trouble<R::Error>> {
        let key = reign.0.to_be_bytes();
        self.head.seen.forget(reign);
        self.head.forgotten.forget(reign);
        self.head.facts.pruned = true;
        for table in [Table::Seen, Table::Begins, Table::Forgotten] {
            self.take(table, &key)?;
        }
        for merge in self.merges(|revision| revision.reign == reign)? {
            self.forget_merge(merge)?;
        }
        Ok(())
    }

    fn forget_merge(&mut self, merge: Revision) -> Result<(), Trouble<R::Error>> {
        if self.take(Table::Merges, &by_reign(merge))? {
            self.head.facts.merges -= 1;
        }
        Ok(())
    }

    /// The positions of joins that are remembered, of those that are asked for.
    pub(super) fn merges(&self, which: impl Fn(Revision) -> bool) -> Result<Vec<Revision>, Trouble<R::Error>> {
        let mut found = Vec::new();
        rows::each(&*self.rows, Table::Merges, (Bound::Unbounded, Bound::Unbounded), |key, _| {
            let merge = reign_first(key).ok_or(Trouble::Damaged(Table::Merges))?;
            if which(merge) {
                found.push(merge);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }
}
