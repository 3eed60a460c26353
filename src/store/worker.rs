//! Carries out the core's jobs on the data of one machine: what the data's own thread does, without the thread.
//!
//! Jobs that waited together are taken first ([`Worker::take`]), which needs no sync, and then made durable together
//! ([`Worker::finish`]). Readers see what is acknowledged a little later ([`Worker::show`]): nobody who writes waits for
//! that. A process may die between any two of these, and at any other moment.

mod copies;
mod joining;
mod tail;
#[cfg(test)]
mod tests;

use super::data::{DataError, DataStore};
use crate::data::{self, ReignId, Request, Revision};
use crate::ident::{ConnId, JobId};
use crate::ledger::{Encoded, read_request, write_answer, write_context};
use crate::message::Brought;
use crate::protocol::{Input, Job, Judged, Report, Stretch, limits};
use bytes::Bytes;
use copies::Scanning;
use std::collections::VecDeque;
use std::time::Duration;
use tail::Tail;

/// Readers see what is acknowledged after the sync of the next write, or when none comes for so long: a write that comes
/// soon after another does not wait until the tables have that.
pub const GRACE: Duration = Duration::from_micros(250);

/// How many syncs readers wait for, at most, when one write comes after the other.
const ROUNDS: u32 = 4;

/// See the module.
#[derive(Debug)]
pub struct Worker {
    store: DataStore,
    /// The reign that is ordered in, and the number that its numbers are above.
    reign: ReignId,
    above: u64,
    /// This machine orders.
    leads: bool,
    /// Why something failed since it was told to. What it would make now does not continue what the followers may have.
    failed: Option<String>,
    /// More was committed since what waits for room was tried.
    room: bool,
    /// What is to be ordered and waits for room, with the job that each came with. Bound: [`limits::JOBS`].
    asked: VecDeque<(JobId, Work)>,
    /// Jobs whose changes are lost with a sync that fails. Bound: [`limits::JOBS`].
    writing: Vec<JobId>,
    /// The last job that was taken.
    last: JobId,
    /// Something was written since the last sync, or was to be.
    wrote: bool,
    /// Syncs since readers were shown something.
    rounds: u32,
    /// Everything up to this number is acknowledged.
    acknowledged: u64,
    tail: Tail,
    /// Copies and offers that are being read. Bound: [`copies::SCANS`].
    scans: VecDeque<(ConnId, Scanning)>,
    /// What was joined of offers, the records of those that broke off included, since one was joined to its end.
    brought: Brought,
    /// A value that should have been here was not: the next copy is to have all of them.
    needs_all: bool,
    /// The job that asked what is here: said when it is durable.
    stating: Option<JobId>,
    /// What counts although it is not what was written, and nobody was told.
    accepted: Vec<String>,
}

/// What becomes changes.
#[derive(Debug)]
enum Work {
    /// Requests that are not judged yet.
    Requests(VecDeque<Request>),
    /// A piece of an offer, and whether it is the first.
    Piece(Bytes, bool),
    /// An offer that is complete.
    Offer,
    /// An offer of which a part is joined.
    Whole,
}

/// How a job ended that cannot go on.
enum Ends {
    /// What came cannot be taken in. Nothing else is the matter.
    Unfit(String),
    /// The disk failed, or the copy is damaged.
    Fails(String),
}

impl From<DataError> for Ends {
    fn from(error: DataError) -> Ends {
        match error {
            DataError::Unread(why) => Ends::Unfit(why.to_string()),
            DataError::Unfit(why) => Ends::Unfit(why.to_string()),
            DataError::Missing | DataError::Differs => Ends::Unfit(error.to_string()),
            DataError::Disk(error) => Ends::Fails(error.to_string()),
            other => Ends::Fails(other.to_string()),
        }
    }
}

/// What another member sent that is no request: it is refused like one that names no key.
fn unread() -> Request {
    let ask = data::Ask::Delete { key: String::new(), condition: data::Condition::None };
    Request { id: data::RequestId(0), at: crate::time::Wall(0), node: crate::ident::NodeId(uuid::Uuid::nil()), ask }
}

impl Worker {
    /// Over the data of this machine.
    pub fn new(store: DataStore) -> Worker {
        Worker {
            store,
            reign: ReignId::NONE,
            above: 0,
            leads: false,
            failed: None,
            room: false,
            asked: VecDeque::new(),
            writing: Vec::new(),
            last: JobId(0),
            wrote: false,
            rounds: 0,
            acknowledged: 0,
            tail: Tail::default(),
            scans: VecDeque::new(),
            brought: Brought::default(),
            needs_all: false,
            stating: None,
            accepted: Vec::new(),
        }
    }

    /// The data.
    pub fn store(&self) -> &DataStore {
        &self.store
    }

    /// Takes a job. What is reported at once is appended: changes that are ordered can leave while the disk works. When the
    /// disk is [owed much](Worker::owes_much), it comes first.
    pub fn take(&mut self, id: JobId, job: Job, reports: &mut Vec<Input>) {
        assert!(!self.joins(), "a whole is made to its end before anything else");
        self.last = id;
        self.wrote |= job.writes();
        if !matches!(job, Job::Order(_) | Job::Append { .. } | Job::Join { .. } | Job::Commit { .. } | Job::Barrier) {
            // It is about what readers see. A failure takes along what is not durable yet.
            if let Err(error) = self.commit() {
                return self.ends(id, error.into(), reports);
            }
        }
        if job.writes() || matches!(job, Job::Lead { .. }) {
            self.writing.push(id);
            assert!(self.writing.len() <= limits::JOBS + 1, "the core never begins more");
        }
        let done = match job {
            Job::Barrier => Ok(None),
            Job::Lead { claim, above } => {
                self.lead(ReignId::of(&claim), above);
                let (ordered, committed) = (self.store.position().number, self.store.committed().number);
                Ok(Some(Report::Led { ordered, committed }))
            }
            Job::Order(bodies) => {
                let read = |body: &Bytes| read_request(body).unwrap_or_else(|_| unread());
                let requests = bodies.iter().map(read).collect();
                return self.asked_to_order(id, Work::Requests(requests), reports);
            }
            Job::Join { piece, first } => {
                return self.asked_to_order(id, Work::Piece(piece, first), reports);
            }
            Job::Commit { through } => {
                self.acknowledged = self.acknowledged.max(through);
                Ok(None)
            }
            Job::Follow => {
                self.follow(id);
                Ok(None)
            }
            Job::Append { batch, committed } => self.append(&batch, committed).map(|()| None),
            Job::Compare { to, position, all, seen, copy } => self.compare(to, position, all, &seen, copy).map(Some),
            Job::Offer { to, seen } => self.offer(to, &seen).map(|()| None),
            Job::Scan { to } => self.scan(to).map(Some),
            Job::Adopt { piece, first } => self.adopt(&piece, first).map(Some),
            // With a copy that can be doubted nobody is compared.
            Job::Digest if self.store.doubt().is_some() => Ok(None),
            Job::Digest => self.digest().map(|(number, digest)| Some(Report::Digest { number, digest })),
            Job::Check { number, digest, replace } => self.check(number, digest, replace),
            Job::Drop { to } => {
                self.scans.retain(|(of, _)| *of != to);
                Ok(None)
            }
        };
        match done {
            Ok(Some(report)) => reports.push(Input::Report { job: id, report }),
            Ok(None) => {}
            Err(ends) => self.ends(id, ends, reports),
        }
    }

    /// Makes durable what was taken, and says so. The caller then [goes on](Worker::goes_on), and asks whether it
    /// [shows](Worker::shows_now).
    pub fn finish(&mut self, reports: &mut Vec<Input>) {
        self.rounds += if self.owes_much() { ROUNDS } else { 1 };
        match self.store.sync() {
            Ok(_) => self.state(reports),
            Err(error) => {
                let job = self.stating.take().unwrap_or(self.last);
                self.ends(job, error.into(), reports);
            }
        }
        // A job whose requests wait is not done.
        let waiting = self.asked.front().map(|(job, _)| JobId(job.0.saturating_sub(1)));
        let through = waiting.unwrap_or(self.last);
        self.writing.retain(|job| *job > through);
        reports.push(Input::Done { through });
    }

    /// Goes on with a joined whole of which a part was made and reported. When that is so, the caller reports and
    /// [finishes](Worker::finish) this part too before it takes anything.
    pub fn goes_on(&mut self, reports: &mut Vec<Input>) -> bool {
        let joins = self.joins();
        if joins {
            self.order(reports);
        }
        joins
    }

    fn joins(&self) -> bool {
        matches!(self.asked.front(), Some((_, Work::Whole)))
    }

    /// Whether something waits for [`Worker::finish`] to make it durable.
    pub fn owes_disk(&self) -> bool {
        self.store.owes_disk()
    }

    /// Whether so much waits for it that nothing more is to be taken before: memory holds it until then.
    pub fn owes_much(&self) -> bool {
        self.store.owes_much()
    }

    /// Whether readers do not see all that is acknowledged and durable here.
    pub fn owes_readers(&self) -> bool {
        self.acknowledged.min(self.store.durable().number) > self.store.committed().number
    }

    /// Whether readers are shown at once what is acknowledged, asked after each sync; `more` jobs wait already. The tables
    /// take longer than the log, so a write that waits goes first, but at most four times in a row. What waits for room
    /// waits for the showing. When the answer is no and nothing comes, the caller shows after [`GRACE`].
    pub fn shows_now(&mut self, more: bool) -> bool {
        let wrote = std::mem::take(&mut self.wrote);
        self.is_full() || self.rounds >= ROUNDS || wrote && !more
    }

    fn is_full(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Shows to readers what is acknowledged. Then there is room for requests that waited for it.
    pub fn show(&mut self, reports: &mut Vec<Input>) {
        self.rounds = 0;
        match (self.commit(), self.asked.front()) {
            // Another job may have made the room, and this one nothing.
            (Ok(()), Some(_)) if std::mem::take(&mut self.room) => self.order(reports),
            // What was taken in of an offer is gone with that.
            (Err(error), Some((job, _))) => self.ends(*job, Ends::Fails(error.to_string()), reports),
            // When the disk fails here, the log still has it, and the next job tries again.
            _ => return,
        }
        self.finish(reports);
    }

    /// Shows what is acknowledged.
    fn commit(&mut self) -> Result<(), DataError> {
        let before = self.store.committed();
        if self.acknowledged > before.number {
            self.store.commit(Revision { number: self.acknowledged, ..self.store.position() })?;
        }
        self.room |= self.store.committed() != before;
        Ok(())
    }

    /// What counts from now on although it is not what was written, for nobody has a better copy. Each is told once.
    pub fn accepted(&mut self) -> Vec<String> {
        std::mem::take(&mut self.accepted)
    }

    /// Nothing happens for a while: what is committed becomes durable in the tables. When that fails, the log has it.
    pub fn settle(&mut self) {
        let _ = self.store.checkpoint();
    }

    fn lead(&mut self, reign: ReignId, above: u64) {
        if std::mem::replace(&mut self.leads, true) {
            if self.failed.is_some() && self.store.doubt().is_some() {
                // Nobody took the role after that, so nobody has a better copy. A new reign alone says nothing of the kind.
                self.accepted.extend(self.store.accept().unwrap_or_default());
            }
        } else {
            self.scans.clear();
            self.above = 0;
            // What another leader has said counts as far as it has come here.
            self.acknowledged = self.store.committed().number;
            self.store.trust();
        }
        (self.reign, self.above) = (reign, self.above.max(above));
        self.failed = None;
    }

    fn follow(&mut self, job: JobId) {
        self.leads = false;
        // What nobody else may have is offered first.
        if self.store.doubt().is_some() {
            self.store.bear_doubt();
        }
        self.scans.clear();
        // Nobody waits any more for what was not ordered.
        self.asked.clear();
        self.store.with_ledger_only(|ledger| ledger.cancel_join());
        self.brought = Brought::default();
        self.acknowledged = self.store.committed().number;
        self.stating = Some(job);
    }

    /// Says what is here, all of it durable.
    fn state(&mut self, reports: &mut Vec<Input>) {
        if let Some(job) = self.stating.take()
            && let Some(seen) = self.store.context().map(write_context)
        {
            let report =
                Report::Holds { position: self.store.position(), all: self.needs_all || self.store.is_lost(), seen };
            reports.push(Input::Report { job, report });
        }
    }

    fn append(&mut self, batch: &Bytes, committed: u64) -> Result<(), Ends> {
        if self.store.append(batch)? == crate::ledger::Appended::New {
            self.tail.push_read(batch);
        }
        self.acknowledged = self.acknowledged.max(committed);
        Ok(())
    }

    fn asked_to_order(&mut self, job: JobId, work: Work, reports: &mut Vec<Input>) {
        if let Some(why) = &self.failed {
            return self.ends(job, Ends::Fails(why.clone()), reports);
        }
        if let Some(why) = self.store.doubt() {
            // The role goes to a machine with a good copy, if there is one.
            return self.ends(job, Ends::Fails(format!("the data is damaged: {why}")), reports);
        }
        self.store.trust();
        self.asked.push_back((job, work));
        self.order(reports);
    }

    /// Orders what waits for it. When as much is pending as may be, the rest waits for the next commit.
    fn order(&mut self, reports: &mut Vec<Input>) {
        while let Some((job, work)) = self.asked.pop_front() {
            match self.order_one(job, work, reports) {
                Ok(None) => {}
                Ok(Some(rest)) => {
                    self.asked.push_front((job, rest));
                    return;
                }
                Err(ends) => self.ends(job, ends, reports),
            }
        }
    }

    /// What is left of it comes back when there is no more room.
    fn order_one(&mut self, job: JobId, work: Work, reports: &mut Vec<Input>) -> Result<Option<Work>, Ends> {
        let mut queue = match work {
            Work::Requests(queue) => queue,
            work => return self.join(job, work, reports),
        };
        while !queue.is_empty() {
            let ordered = self.store.order(self.reign, self.above, &mut queue)?;
            if ordered.answers.is_empty() && !queue.is_empty() {
                return Ok(Some(Work::Requests(queue)));
            }
            let judged = |j: &data::Judged| Judged { by: j.by.number, body: write_answer(&j.answer) };
            let answers = ordered.answers.iter().map(judged).collect();
            let batch = ordered.batch.map(|batch| self.made(batch));
            reports.push(Input::Report { job, report: Report::Ordered { batch, answers } });
        }
        Ok(None)
    }

    /// A batch was made here: it goes to the followers.
    fn made(&mut self, batch: Encoded) -> Stretch {
        let stretch = Stretch { last: batch.last.number, batch: batch.bytes.clone() };
        self.tail.push(batch.after, batch.last, batch.bytes);
        stretch
    }

    /// A job ends without having been done. When the disk failed, what was not durable is gone, and with it what other jobs
    /// made, and what waited behind them.
    fn ends(&mut self, job: JobId, ends: Ends, reports: &mut Vec<Input>) {
        match ends {
            Ends::Unfit(why) => reports.push(Input::Report { job, report: Report::Unfit { why } }),
            Ends::Fails(why) => {
                self.failed = Some(why.clone());
                self.asked.clear();
                self.tail.clear();
                self.scans.clear();
                self.brought = Brought::default();
                let mut failed = std::mem::take(&mut self.writing);
                if !failed.contains(&job) {
                    failed.push(job);
                }
                let failed = failed.into_iter().map(|job| Input::Failed { job, why: why.clone() });
                reports.extend(failed);
            }
        }
    }
}
