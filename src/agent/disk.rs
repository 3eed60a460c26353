//! The store on a thread of its own: a disk that works, stalls or fails never holds up the loop.

use crate::ident::Ticket;
use crate::protocol::{Input, Reign, ReunionReport, Write};
use crate::store::{Store, StoreError};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use tokio::sync::{mpsc, oneshot};

/// How many writes and questions wait for the disk; a write beyond that fails at once.
const QUEUE: usize = 1024;

/// How many adjacent writes share one transaction and so one sync.
const MERGE: usize = 64;

/// How many reports of the disk wait for the loop.
pub(super) const REPORTS: usize = 256;

/// How much of the past a user may ask for at once.
const HISTORY: usize = 1000;

#[derive(Debug)]
enum Job {
    Persist(Ticket, Vec<Write>),
    Reigns(usize, oneshot::Sender<Result<Vec<Reign>, String>>),
    Reunions(usize, oneshot::Sender<Result<Vec<ReunionReport>, String>>),
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
pub(super) fn start(store: Store) -> std::io::Result<(Disk, History, mpsc::Receiver<Input>)> {
    let (jobs, queue) = sync_channel(QUEUE);
    let (reports, done) = mpsc::channel(REPORTS);
    std::thread::Builder::new().name("disk".into()).spawn(move || work(store, &queue, &reports))?;
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
        start(store).map(|(_, history, _)| history)
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

    /// The newest reunions that this agent has seen, newest first, at most `limit`.
    ///
    /// # Errors
    /// In plain words, when the store cannot be read or is too busy.
    pub async fn reunions(&self, limit: usize) -> Result<Vec<ReunionReport>, String> {
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

fn work(mut store: Store, queue: &Receiver<Job>, reports: &mpsc::Sender<Input>) {
    let mut next = queue.recv().ok();
    while let Some(job) = next.take() {
        match job {
            Job::Persist(ticket, writes) => next = persist(&mut store, queue, reports, ticket, writes),
            Job::Reigns(limit, reply) => drop(reply.send(store.reigns(limit).map_err(|e| e.to_string()))),
            Job::Reunions(limit, reply) => drop(reply.send(store.reunions(limit).map_err(|e| e.to_string()))),
        }
        if next.is_none() {
            next = queue.recv().ok();
        }
    }
}

/// One transaction for this write and those that wait right behind it. Gives back the job that was met after them.
fn persist(
    store: &mut Store,
    queue: &Receiver<Job>,
    reports: &mpsc::Sender<Input>,
    ticket: Ticket,
    mut writes: Vec<Write>,
) -> Option<Job> {
    let mut tickets = vec![ticket];
    let mut met = None;
    while tickets.len() < MERGE {
        match queue.try_recv() {
            Ok(Job::Persist(ticket, more)) => {
                tickets.push(ticket);
                writes.extend(more);
            }
            Ok(other) => {
                met = Some(other);
                break;
            }
            Err(_) => break,
        }
    }
    let done = store.apply(&writes).map_err(|e| match e {
        // What the core makes of it says the rest.
        StoreError::Io(e) => e.to_string(),
        other => other.to_string(),
    });
    for ticket in tickets {
        let report = match &done {
            Ok(()) => Input::Persisted { ticket },
            Err(why) => Input::NotPersisted { ticket, why: why.clone() },
        };
        // Nobody to tell any more: the agent is ending, and what was begun is done all the same.
        let _ = reports.blocking_send(report);
    }
    met
}
