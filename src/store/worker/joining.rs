//! What a member offers becomes changes of this leader.

use super::{Ends, Work, Worker};
use crate::ident::JobId;
use crate::ledger::limits::PIECE;
use crate::protocol::{Input, Report};

impl Worker {
    /// Takes in a piece of an offer, and joins the offer when it is complete. What is left to do comes back when there is
    /// no room for it.
    pub(super) fn join(&mut self, job: JobId, work: Work, reports: &mut Vec<Input>) -> Result<Option<Work>, Ends> {
        let reign = self.reign;
        if let Work::Piece(piece, first) = work {
            if self.store.holds_offers() {
                return Ok(Some(Work::Piece(piece, first)));
            }
            let above = self.above.max(self.store.highest());
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
            return self.join(job, Work::Offer, reports);
        }
        if let Work::Offer = work {
            if self.store.holds() {
                return Ok(Some(work));
            }
            let above = self.above.max(self.store.highest());
            self.store.with_ledger(|ledger, tables| ledger.begin_join(tables, reign, above))?;
        }
        while let Some(joined) = self.store.with_ledger(|ledger, tables| ledger.join_next(tables, PIECE))? {
            let complete = joined.batch.complete;
            self.store.remember([joined.batch.bytes.clone()]);
            let batch = Some(self.made(joined.batch));
            self.brought.keys += joined.keys;
            self.brought.names(joined.conflicts, joined.refused);
            reports.push(Input::Report { job, report: Report::Ordered { batch, answers: Vec::new() } });
            if !complete && self.store.owes_much() {
                return Ok(Some(Work::Whole));
            }
        }
        reports.push(Input::Report { job, report: Report::Joined(std::mem::take(&mut self.brought)) });
        Ok(None)
    }
}
