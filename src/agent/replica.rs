//! The data on a thread of its own: what it is given it does in order, and everything that waits goes with one sync.

use super::clock;
use super::journal::{Journal, Level};
use super::metrics::{Kept, Metrics};
use crate::data::Revision;
use crate::ident::JobId;
use crate::protocol::{Input, Job, limits};
use crate::store::data::{DataStore, Reader};
use crate::store::{GRACE, Worker};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How many jobs wait for the thread; the core never begins more.
const QUEUE: usize = limits::JOBS + 1;

/// How many reports wait for the loop: two for each job, and those of long queues of requests.
pub(super) const REPORTS: usize = 4 * limits::JOBS;

/// What is committed and not yet durable in the tables is made so when nothing happens for so long: the next start then
/// has little to read again.
const CALM: Duration = Duration::from_secs(2);

/// The loop's side.
pub(super) struct Replica {
    jobs: SyncSender<(JobId, Job)>, // bound: QUEUE
}

/// What the rest of the agent needs of the thread.
pub(super) struct Started {
    pub(super) replica: Replica,
    /// Reports, in order. It ends when the [`Replica`] is gone and the data is closed.
    pub(super) reports: mpsc::Receiver<Input>, // bound: REPORTS
    /// What readers see.
    pub(super) reader: Reader,
    /// The position of what readers see.
    pub(super) visible: watch::Receiver<Revision>,
}

/// Starts the thread.
///
/// # Errors
/// When no thread can be started.
pub(super) fn start(store: DataStore, metrics: Arc<Metrics>, journal: Journal) -> std::io::Result<Started> {
    let (jobs, queue) = sync_channel(QUEUE);
    let (reports, done) = mpsc::channel(REPORTS);
    let (show, visible) = watch::channel(store.committed());
    let reader = store.reader();
    let mut thread = Thread { worker: Worker::new(store), reports, show, worn: false, metrics, journal };
    std::thread::Builder::new().name("data".into()).spawn(move || thread.work(&queue))?;
    Ok(Started { replica: Replica { jobs }, reports: done, reader, visible })
}

impl Replica {
    /// Begins a job. What comes back is a failure to begin, to be given to the node as it is.
    pub(super) fn begin(&self, id: JobId, job: Job) -> Option<Input> {
        let why = match self.jobs.try_send((id, job)) {
            Ok(()) => return None,
            Err(TrySendError::Full(_)) => format!("the disk is too slow: {QUEUE} operations of the data wait for it"),
            Err(TrySendError::Disconnected(_)) => "the data's thread has ended".to_owned(),
        };
        Some(Input::Failed { job: id, why })
    }
}

struct Thread {
    worker: Worker,
    reports: mpsc::Sender<Input>, // bound: REPORTS
    show: watch::Sender<Revision>,
    /// Something was committed since the tables were made durable.
    worn: bool,
    metrics: Arc<Metrics>,
    journal: Journal,
}

/// So many names stand in a line of the log.
const NAMES: usize = 16;

impl Thread {
    fn work(&mut self, queue: &Receiver<(JobId, Job)>) {
        let mut first = self.next(queue);
        while let Some(job) = first {
            let mut reports = Vec::new();
            let rest = std::iter::from_fn(|| queue.try_recv().ok()).take(QUEUE);
            for (id, job) in std::iter::once(job).chain(rest) {
                self.worker.take(id, job, &mut reports);
                self.report(&mut reports);
                if self.worker.owes_much() {
                    break;
                }
            }
            self.finish();
            self.tell_accepted();
            first = queue.try_recv().ok();
            if self.worker.shows_now(first.is_some()) {
                self.show();
            }
            first = first.or_else(|| self.next(queue));
        }
        self.worker.settle();
    }

    /// Users look at what is not what was written.
    fn tell_accepted(&mut self) {
        let names = self.worker.accepted();
        if !names.is_empty() {
            let more = names.len().saturating_sub(NAMES);
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            let names = names[..names.len().min(NAMES)].join(", ");
            let text = format!("no other machine has a good copy: what is damaged stays as it is: {names}{more}");
            self.journal.line(Level::Error, text, Vec::new());
        }
    }

    /// Makes durable what was taken, and a joined whole to its end.
    fn finish(&mut self) {
        let mut reports = Vec::new();
        loop {
            let (begun, syncs) = (clock::time(), self.worker.owes_disk());
            self.worker.finish(&mut reports);
            let failed = reports.iter().filter(|report| matches!(report, Input::Failed { .. })).count();
            if failed > 0 {
                self.metrics.failed(Kept::Data, failed);
            } else if syncs {
                self.metrics.synced(Kept::Data, clock::time().since(begun));
            }
            self.report(&mut reports);
            self.shown();
            if !self.worker.goes_on(&mut reports) {
                return;
            }
            self.report(&mut reports);
        }
    }

    /// Readers see what is acknowledged.
    fn show(&mut self) {
        let mut reports = Vec::new();
        self.worker.show(&mut reports);
        self.report(&mut reports);
        self.shown();
        if self.worker.goes_on(&mut reports) {
            self.report(&mut reports);
            self.finish();
        }
    }

    fn shown(&mut self) {
        let committed = self.worker.store().committed();
        self.worn |= self.show.send_if_modified(|shown| std::mem::replace(shown, committed) != committed);
    }

    /// The next job; none when the agent ends.
    fn next(&mut self, queue: &Receiver<(JobId, Job)>) -> Option<(JobId, Job)> {
        if self.worker.owes_readers() {
            match queue.recv_timeout(GRACE) {
                Err(RecvTimeoutError::Timeout) => self.show(),
                other => return other.ok(),
            }
        }
        if std::mem::take(&mut self.worn) {
            match queue.recv_timeout(CALM) {
                Err(RecvTimeoutError::Timeout) => self.worker.settle(),
                Err(RecvTimeoutError::Disconnected) => return None,
                Ok(job) => {
                    self.worn = true;
                    return Some(job);
                }
            }
        }
        queue.recv().ok()
    }

    fn report(&self, reports: &mut Vec<Input>) {
        for input in reports.drain(..) {
            // Nobody to tell any more: the agent is ending, and what was begun is done all the same.
            let _ = self.reports.blocking_send(input);
        }
    }
}
