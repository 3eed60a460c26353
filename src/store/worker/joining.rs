//! What a member offers becomes changes of this leader.

use super::{Ends, Work, Worker};
use crate::ident::JobId;
use crate::ledger::limits::PIECE;
use crate::protocol::{Input, Report};

/// Bytes of a joined whole that are made before they are written.
const UNWRITTEN: usize = 4 << 20;

impl Worker {
    /// Takes in a piece of an offer, and joins the offer when it is complete. What is left to do comes back when there is
    /// no room for it.
    pub(super) fn join(&mut self, job: JobId, work: Work, reports: &mut Vec<Input>) -> Result<Option<Work>, Ends> {
        if self.store.holds() {
            return Ok(Some(work));
        }
        let above = self.above.max(self.store.highest());
        let reign = self.reign;
        if let Work::Piece(piece, first) = work {
            if first {
                self.store.with_ledger(|ledger, tables| ledger.begin_offer(tables))?;
            }
            let offered = self.store.with_ledger(|ledger, tables| ledger.take_offer(tables, reign, above, &piece))?;
            self.brought.records += offered.records;
            if let Some(batch) = offered.batch {
                self.store.remember([batch.bytes.clone()]);
                let batch = Some(self.made(batch));
                reports.push(Input::Report { job, report: Report::Ordered { batch, answers: Vec::new() } });
            }
            if !offered.complete {
                reports.push(Input::Report { job, report: Report::Taken { complete: false } });
                return Ok(None);
            }
            if self.store.holds() {
                return Ok(Some(Work::Offer));
            }
        }
        let above = self.above.max(self.store.highest());
        self.store.with_ledger(|ledger, tables| ledger.begin_join(tables, reign, above))?;
        let mut unwritten = 0;
        while let Some(joined) = self.store.with_ledger(|ledger, tables| ledger.join_next(tables, PIECE))? {
            unwritten += joined.batch.bytes.len();
            self.store.remember([joined.batch.bytes.clone()]);
            let batch = Some(self.made(joined.batch));
            self.brought.keys += joined.keys;
            self.brought.names(joined.conflicts, joined.refused);
            reports.push(Input::Report { job, report: Report::Ordered { batch, answers: Vec::new() } });
            if unwritten > UNWRITTEN {
                self.store.sync()?;
                unwritten = 0;
            }
        }
        reports.push(Input::Report { job, report: Report::Joined(std::mem::take(&mut self.brought)) });
        Ok(None)
    }
}
