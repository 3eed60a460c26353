//! The store on a thread of its own: a disk that works, stalls or fails never holds up the loop.

use super::clock;
use super::metrics::{Kept, Metrics};
use crate::ident::Ticket;
use crate::protocol::{BroughtReport, Input, Reign, ReunionReport, Write};
use crate::store::{Store, StoreError};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How many writes and questions wait for the disk; a write beyond that fails at once.
const QUEUE: usize = 1024;

/// How many adjacent writes share one transaction and so one sync.
const MERGE: usize = 64;

/// A write that nothing waits for waits so long for others to share a sync with. Otherwise the end of a reign would be
/// on its way to the disk when the claim that follows it comes, and an election would wait for two syncs.
const SOON: Duration = Duration::from_millis(20);

/// How many reports of the disk wait for the loop.
pub(super) const REPORTS: usize = 256;

/// How much of the past a user may ask for at once.
const HISTORY: usize = 1000;

/// Where the answer goes.
type Reply<T> = oneshot::Sender<Result<T, String>>;

#[derive(Debug)]
enum Job {
    Persist(Ticket, Vec<Write>),
    Reigns(usize, Reply<Vec<Reign>>),
    Reunions(usize, Reply<(Vec<ReunionReport>, Vec<BroughtReport>)>),
}

/// The loop's side: begins writes.
pub(super) struct Disk {
    jobs: SyncSender<Job>, // bound: QUEUE
}

/// The API's side: asks for the past.
#[derive(Clone, Debug)]
pub struct History {
    jobs: SyncSender<Job>, // bound: QUEUE
}

/// Starts the thread. What it reports comes out of the receiver, in the order of the writes. It ends, and with it the
/// reports, when the [`Disk`] and every [`History`] are gone and what was begun is done.
///
/// # Errors
/// When no thread can be started.
pub(super) fn start(store: Store, metrics: Arc<Metrics>) -> std::io::Result<(Disk, History, mpsc::Receiver<Input>)> {
    let (jobs, queue) = sync_channel(QUEUE);
    let (reports, done) = mpsc::channel(REPORTS);
    std::thread::Builder::new().name("disk".into()).spawn(move || work(store, &queue, &reports, &metrics))?;
    let history = History { jobs: jobs.clone() };
    Ok((Disk { jobs }, history, done))
}

impl Disk {
    /// Begins a write. What comes back is a failure to begin, to be given to the node as it is.
    pub(super) fn persist(&self, ticket: Ticket, writes: Vec<Write>) -> Option<Input> {
        let why = match self.jobs.try_send(Job::Persist(ticket, writes)) {
            Ok(()) => return None,
            Err(TrySendError::Full(_)) => format!("the disk is too slow: {QUEUE} operations wait for it"),
            Err(TrySendError::Disconnected(_)) => "the store's thread has ended".to_owned(),
        };
        Some(Input::NotPersisted { ticket, why })
    }
}

impl History {
    /// The past that a store holds, when nobody writes to it any more. A thread reads it until this is dropped.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn of(store: Store) -> std::io::Result<History> {
        start(store, Arc::default()).map(|(_, history, _)| history)
    }

    /// The newest reigns that this agent has seen, newest first, at most `limit`.
    ///
    /// # Errors
    /// In plain words, when the store cannot be read or is too busy.
    pub async fn reigns(&self, limit: usize) -> Result<Vec<Reign>, String> {
        let (reply, answer) = oneshot::channel();
        self.ask(Job::Reigns(limit.min(HISTORY), reply))?;
        answer.await.map_err(|_| ENDED.to_owned())?
    }

    /// The newest reunions that this agent has seen, and what members brought, newest first, at most `limit` each.
    ///
    /// # Errors
    /// In plain words, when the store cannot be read or is too busy.
    pub async fn reunions(&self, limit: usize) -> Result<(Vec<ReunionReport>, Vec<BroughtReport>), String> {
        let (reply, answer) = oneshot::channel();
        self.ask(Job::Reunions(limit.min(HISTORY), reply))?;
        answer.await.map_err(|_| ENDED.to_owned())?
    }

    fn ask(&self, job: Job) -> Result<(), String> {
        self.jobs.try_send(job).map_err(|e| match e {
            TrySendError::Full(_) => format!("the disk is too slow: {QUEUE} operations wait for it"),
            TrySendError::Disconnected(_) => ENDED.to_owned(),
        })
    }
}

const ENDED: &str = "the store's thread has ended";

fn work(mut store: Store, queue: &Receiver<Job>, reports: &mpsc::Sender<Input>, metrics: &Metrics) {
    let mut met = None;
    while let Some(job) = met.take().or_else(|| queue.recv().ok()) {
        match job {
            Job::Persist(ticket, writes) => {
                let mut batch = Batch::default();
                batch.add(ticket, writes);
                met = batch.gather(queue);
                batch.commit(&mut store, reports, metrics);
            }
            Job::Reigns(limit, reply) => drop(reply.send(store.reigns(limit).map_err(|e| e.to_string()))),
            Job::Reunions(limit, reply) => {
                let read = store.reunions(limit).and_then(|met| Ok((met, store.brought(limit)?)));
                drop(reply.send(read.map_err(|e| e.to_string())));
            }
        }
    }
}

/// Adjacent writes, which become one transaction.
#[derive(Default)]
struct Batch {
    /// At most [`MERGE`].
    tickets: Vec<Ticket>,
    /// All of theirs, in order; bounded by [`MERGE`] writes of the core.
    writes: Vec<Write>,
    urgent: bool,
}

impl Batch {
    fn add(&mut self, ticket: Ticket, writes: Vec<Write>) {
        self.urgent |= writes.iter().any(urgent);
        self.tickets.push(ticket);
        self.writes.extend(writes);
    }

    /// Takes in what waits right behind, and as long as nothing is urgent also what comes soon. Gives back the job that
    /// was met after them.
    fn gather(&mut self, queue: &Receiver<Job>) -> Option<Job> {
        let end = clock::time() + SOON;
        while self.tickets.len() < MERGE {
            let next = match self.urgent {
                true => queue.try_recv().ok(),
                false => queue.recv_timeout(end.since(clock::time())).ok(),
            };
            match next {
                Some(Job::Persist(ticket, writes)) => self.add(ticket, writes),
                other => return other,
            }
        }
        None
    }

    fn commit(self, store: &mut Store, reports: &mpsc::Sender<Input>, metrics: &Metrics) {
        let begun = clock::time();
        let done = store.apply(&self.writes).map_err(|e| match e {
            // What the core makes of it says the rest.
            StoreError::Io(e) => e.to_string(),
            other => other.to_string(),
        });
        let reached = |report| {
            // Nobody to tell any more: the agent is ending, and what was begun is done all the same.
            let _ = reports.blocking_send(report);
        };
        match done {
            Ok(()) => {
                metrics.synced(Kept::State, clock::time().since(begun));
                self.tickets.last().into_iter().for_each(|last| reached(Input::Persisted { through: *last }));
            }
            Err(why) => {
                metrics.failed(Kept::State, 1);
                let failed = |ticket| Input::NotPersisted { ticket, why: why.clone() };
                self.tickets.into_iter().map(failed).for_each(reached);
            }
        }
    }
}

/// Whether something waits for this write: an election waits for epochs, and nothing for what is only remembered.
fn urgent(write: &Write) -> bool {
    match write {
        Write::Promised(_) | Write::Shown(_) | Write::Identity(_) => true,
        Write::Reign(_) | Write::Reunion(_) | Write::Brought(_) | Write::Member(_) | Write::Forget(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::Claim;
    use crate::ident::{BootId, Incarnation, NodeId};
    use crate::time::Wall;

    fn forget() -> Vec<Write> {
        vec![Write::Forget(NodeId(uuid::Uuid::from_u128(7)))]
    }

    fn shown() -> Vec<Write> {
        let node = Incarnation { id: NodeId(uuid::Uuid::from_u128(1)), boot: BootId(1) };
        vec![Write::Shown(Claim { epoch: 1, at: Wall(1), node })]
    }

    fn batch(ticket: u64, writes: Vec<Write>) -> Batch {
        let mut batch = Batch::default();
        batch.add(Ticket(ticket), writes);
        batch
    }

    #[test]
    fn what_nothing_waits_for_goes_with_the_urgent_write_behind_it() {
        let (jobs, queue) = sync_channel(QUEUE);
        jobs.try_send(Job::Persist(Ticket(2), shown())).expect("room");
        jobs.try_send(Job::Persist(Ticket(3), forget())).expect("room");
        let (reply, _answer) = oneshot::channel();
        jobs.try_send(Job::Reigns(1, reply)).expect("room");
        let mut batch = batch(1, forget());
        assert!(matches!(batch.gather(&queue), Some(Job::Reigns(1, _))), "a question is answered after the writes");
        assert_eq!(batch.tickets, [Ticket(1), Ticket(2), Ticket(3)]);
        assert_eq!(batch.writes, [forget(), shown(), forget()].concat());
    }

    #[test]
    fn only_what_nothing_waits_for_waits() {
        let (jobs, queue) = sync_channel(QUEUE);
        let took = |writes| {
            let begun = clock::time();
            assert!(batch(1, writes).gather(&queue).is_none());
            clock::time().since(begun)
        };
        assert!(took(forget()) >= SOON);
        // Whatever else keeps this machine busy: once at least it did not wait.
        assert!((0..100).any(|_| took(shown()) < SOON));
        drop(jobs);
        assert!((0..100).any(|_| took(forget()) < SOON), "nobody can send anything any more");
    }
}
