//! Carries out the core's jobs on the data of one machine: what the data's own thread does, without the thread.
//!
//! Jobs that waited together are taken first ([`Worker::take`]), which needs no sync, and then made durable together
//! ([`Worker::finish`]). A process may die between the two, and at any other moment.

use super::data::{DataError, DataStore};
use crate::data::{self, ReignId, Request, Revision};
use crate::ident::JobId;
use crate::ledger::{read_request, write_answer};
use crate::protocol::{Input, Job, Judged, limits};
use bytes::Bytes;
use std::collections::VecDeque;

/// See the module.
#[derive(Debug)]
pub struct Worker {
    store: DataStore,
    /// The reign that is ordered in, and the number that its numbers are above.
    reign: ReignId,
    above: u64,
    /// Requests that are not judged yet, with the job that each list came with. Bound: [`limits::JOBS`] lists.
    asked: VecDeque<(JobId, VecDeque<Request>)>,
    /// Jobs whose changes are lost with a sync that fails. Bound: [`limits::JOBS`].
    writing: Vec<JobId>,
    /// The last job that was taken.
    last: JobId,
    /// Everything up to this number is acknowledged.
    acknowledged: u64,
}

impl Worker {
    /// Over the data of this machine.
    pub fn new(store: DataStore) -> Worker {
        Worker {
            store,
            reign: ReignId::NONE,
            above: 0,
            asked: VecDeque::new(),
            writing: Vec::new(),
            last: JobId(0),
            acknowledged: 0,
        }
    }

    /// The data.
    pub fn store(&self) -> &DataStore {
        &self.store
    }

    /// Takes a job. What is reported at once is appended: changes that are ordered can leave while the disk works.
    pub fn take(&mut self, id: JobId, job: Job, reports: &mut Vec<Input>) {
        self.last = id;
        match job {
            Job::Barrier => {}
            Job::Lead { claim, above } => {
                (self.reign, self.above) = (ReignId::of(&claim), above);
                self.writing.push(id);
                let (ordered, committed) = (self.store.position().number, self.store.committed().number);
                reports.push(Input::Led { job: id, ordered, committed });
            }
            Job::Order(bodies) => {
                // Every body is one that this program wrote.
                let read = |body: &Bytes| read_request(body).expect("a request of this agent");
                self.writing.push(id);
                self.asked.push_back((id, bodies.iter().map(read).collect()));
                self.order(reports);
            }
            Job::Commit { through } => self.acknowledged = self.acknowledged.max(through),
        }
        assert!(self.writing.len() <= limits::JOBS + 1, "the core never begins more");
    }

    /// Makes durable what was taken, and shows what is acknowledged. Says how far that has come.
    pub fn finish(&mut self, reports: &mut Vec<Input>) {
        self.sync(reports);
        if self.acknowledged <= self.store.committed().number {
            return;
        }
        // When the disk fails here, the log still has it, and the next job tries again.
        let through = Revision { number: self.acknowledged, ..self.store.position() };
        let committed = self.store.commit(through);
        if committed.is_ok() && !self.asked.is_empty() {
            // There is room for more now.
            self.order(reports);
            self.sync(reports);
        }
    }

    /// Nothing happens for a while: what is committed becomes durable in the tables. When that fails, the log has it.
    pub fn settle(&mut self) {
        let _ = self.store.checkpoint();
    }

    /// Judges requests. When as much is pending as may be, the others wait for the next commit.
    fn order(&mut self, reports: &mut Vec<Input>) {
        while let Some((job, queue)) = self.asked.front_mut() {
            let job = *job;
            let ordered = match self.store.order(self.reign, self.above, queue) {
                Ok(ordered) => ordered,
                Err(error) => return self.failed(&error, reports),
            };
            if ordered.answers.is_empty() && !queue.is_empty() {
                return;
            }
            if queue.is_empty() {
                self.asked.pop_front();
            }
            let judged = |j: &data::Judged| Judged { by: j.by.number, body: write_answer(&j.answer) };
            let answers = ordered.answers.iter().map(judged).collect();
            let last = ordered.batch.map(|batch| batch.last.number);
            reports.push(Input::Ordered { job, last, answers });
        }
    }

    fn sync(&mut self, reports: &mut Vec<Input>) {
        if let Err(error) = self.store.sync() {
            self.failed(&error, reports);
        }
        // A job whose requests wait is not done.
        let waiting = self.asked.front().map(|(job, _)| JobId(job.0.saturating_sub(1)));
        let through = waiting.unwrap_or(self.last);
        self.writing.retain(|job| *job > through);
        reports.push(Input::Done { through });
    }

    /// What was not durable is gone, and with it what these jobs made, and what waited behind them.
    fn failed(&mut self, error: &DataError, reports: &mut Vec<Input>) {
        let why = match error {
            DataError::Disk(error) => error.to_string(),
            other => other.to_string(),
        };
        self.asked.clear();
        let failed = |job| Input::Failed { job, why: why.clone() };
        reports.extend(std::mem::take(&mut self.writing).into_iter().map(failed));
    }
}
