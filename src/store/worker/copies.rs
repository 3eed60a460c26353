//! What a member has is compared with what is here, and what one of the two lacks is read, sent, and taken in.

use super::super::data::{DataError, Snapshot};
use super::{Ends, Worker};
use crate::data::Revision;
use crate::ident::ConnId;
use crate::ledger::limits::PIECE;
use crate::ledger::{Scan, Values, read_batch, read_context, seen_by, write_context};
use crate::protocol::{Compared, Report, Stretch};
use bytes::Bytes;

/// How many are read at once: the core never asks for more. One beyond takes the place of the oldest.
pub(super) const SCANS: usize = 8;

/// A copy or an offer that is being read.
#[derive(Debug)]
pub(super) struct Scanning {
    /// What is acknowledged, as it was when the copy was begun; none for an offer, which has all that is here.
    source: Option<Snapshot>,
    scan: Scan,
}

impl Worker {
    /// How what a member has goes with what is here.
    pub(super) fn compare(
        &mut self,
        to: ConnId,
        position: Revision,
        all: bool,
        seen: &Bytes,
        copy: bool,
    ) -> Result<Report, Ends> {
        let theirs = read_context(seen).map_err(|why| Ends::Unfit(why.to_string()))?;
        // No number is given again that was given anywhere.
        self.above = self.above.max(theirs.highest()).max(position.number);
        if self.store.context().is_none() {
            self.store.sync()?;
        }
        let Some(ours) = self.store.context() else { return Err(Ends::Fails("the data is not there".to_owned())) };
        if !theirs.below(ours) {
            return Ok(Report::Compared(Compared::Lacks { seen: write_context(ours), has_all: ours.below(&theirs) }));
        }
        if let Some(stretches) = self.continues(position)?.filter(|_| !all) {
            return Ok(Report::Compared(Compared::Continues(stretches)));
        }
        if !copy {
            return Ok(Report::Compared(Compared::Behind));
        }
        // What was acknowledged a moment ago counts.
        self.commit()?;
        let snapshot = self.store.snapshot().map_err(|error| Ends::Fails(error.to_string()))?;
        let shown = seen_by(&snapshot).map_err(|trouble| self.store.found(trouble))?;
        if !theirs.below(&shown) {
            return Ok(Report::Compared(Compared::Early));
        }
        let values = if all { Values::All } else { Values::Lacking };
        self.begin_scan(to, Scanning { source: Some(snapshot), scan: Scan::new(theirs, values) });
        Ok(Report::Compared(Compared::Copied))
    }

    fn begin_scan(&mut self, to: ConnId, scanning: Scanning) {
        self.scans.retain(|(of, _)| *of != to);
        if self.scans.len() >= SCANS {
            self.scans.pop_front();
        }
        self.scans.push_back((to, scanning));
    }

    /// What continues a position, when that is known.
    fn continues(&mut self, position: Revision) -> Result<Option<Vec<Stretch>>, Ends> {
        if position == self.store.position() {
            return Ok(Some(Vec::new()));
        }
        if let Some(stretches) = self.tail.after(position) {
            return Ok(Some(stretches));
        }
        let pending = self.store.pending_after(position)?;
        let stretch = |batch: Bytes| {
            let last = read_batch(&batch).map_err(DataError::Unread)?.last().number;
            Ok(Stretch { last, batch })
        };
        Ok(pending.map(|batches| batches.into_iter().map(stretch).collect::<Result<_, DataError>>()).transpose()?)
    }

    /// Begins to offer what a leader lacks that has seen this.
    pub(super) fn offer(&mut self, to: ConnId, seen: &Bytes) -> Result<(), Ends> {
        let theirs = read_context(seen).map_err(|why| Ends::Unfit(why.to_string()))?;
        self.begin_scan(to, Scanning { source: None, scan: Scan::new(theirs, Values::All) });
        Ok(())
    }

    /// The next piece of what was begun.
    pub(super) fn scan(&mut self, to: ConnId) -> Result<Report, Ends> {
        let begun = self.scans.iter().position(|(of, _)| *of == to);
        let gone = || Ends::Unfit("nothing was begun".to_owned());
        let (_, mut scanning) = begun.and_then(|at| self.scans.remove(at)).ok_or_else(gone)?;
        let piece = match &scanning.source {
            Some(snapshot) => scanning.scan.next(snapshot, PIECE).map_err(|trouble| self.store.found(trouble))?,
            None => {
                let scan = &mut scanning.scan;
                self.store.with_ledger(|ledger, tables| ledger.offer(tables, scan, PIECE))?
            }
        };
        let Some(piece) = piece else { return Err(Ends::Unfit("all was read".to_owned())) };
        let last = scanning.scan.is_done();
        if !last {
            self.scans.push_back((to, scanning));
        }
        Ok(Report::Scanned { piece, last })
    }

    /// The state that is acknowledged: its last change, and its digest.
    pub(super) fn digest(&self) -> Result<(u64, u128), Ends> {
        let facts = self.store.facts().map_err(|error| Ends::Fails(error.to_string()))?;
        Ok((facts.position.number, facts.digest()))
    }

    /// Compares the state with the leader's at the same point. Whether it differs, or something of it is not what was
    /// written; then it may be set aside, for the leader has all of it.
    pub(super) fn check(&mut self, number: u64, digest: u128, replace: bool) -> Result<Option<Report>, Ends> {
        let why = match self.store.doubt() {
            Some(why) => format!("is damaged: {why}"),
            None if self.differs(number, digest)? => "differs from the leader's".to_owned(),
            None => return Ok(None),
        };
        if replace {
            self.store.set_aside(&format!("it {why}"))?;
            self.tail.clear();
            self.acknowledged = 0;
        }
        Ok(Some(Report::Differs { why }))
    }

    fn differs(&mut self, number: u64, digest: u128) -> Result<bool, Ends> {
        if self.acknowledged.min(self.store.position().number) != number {
            // It has gone on since. The next time that nothing happens they are at the same point.
            return Ok(false);
        }
        self.store.sync()?;
        self.commit()?;
        let here = self.digest()?;
        Ok(here.0 == number && here.1 != digest)
    }

    /// Takes in a piece of the leader's copy, and with the last one all of it.
    pub(super) fn adopt(&mut self, piece: &Bytes, first: bool) -> Result<Report, Ends> {
        if first {
            self.store.with_ledger(|ledger, tables| ledger.begin_copy(tables))?;
        }
        let complete = self.store.with_ledger(|ledger, tables| ledger.take_copy(tables, piece))?;
        if complete {
            match self.store.adopt(|ledger, tables| ledger.adopt(tables)) {
                Ok(_) => self.needs_all = false,
                Err(error @ DataError::Missing) => {
                    self.needs_all = true;
                    return Err(error.into());
                }
                Err(error @ DataError::Differs) => {
                    // With nothing here a copy differs from nothing.
                    self.store.set_aside("it differs from the leader's")?;
                    self.tail.clear();
                    return Err(error.into());
                }
                Err(error) => return Err(error.into()),
            }
            self.tail.clear();
            self.acknowledged = self.store.committed().number;
        }
        Ok(Report::Taken { complete })
    }
}
