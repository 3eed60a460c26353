//! The data, as the local API sees it: requests go to the loop, and what is committed is read without asking it.

use crate::data::{Answer, Request, Revision};
use crate::ledger::{Range, Read, Table, Visit, read_answer};
use crate::protocol;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// How many requests wait for the loop to take them; a further one is told to come back.
pub const ASKS: usize = 1024;

/// A request of a user on its way to the leader.
#[derive(Debug)]
pub struct Asked {
    /// The request.
    pub request: Request,
    /// Where its outcome goes.
    pub reply: oneshot::Sender<Outcome>, // bound: ONE outcome
}

/// What became of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The leader judged it, and what it was judged by is acknowledged.
    Judged {
        /// What became of it.
        answer: Answer,
        /// In how many places it is durable: 2, or 1 when there was no successor.
        copies: u8,
        /// The epoch of the leader.
        epoch: u64,
    },
    /// There was no leader in time: nothing happened, or it can be sent again with its id (503).
    Later(String),
    /// Too much waits already (429).
    Busy(String),
    /// The disk is full or fails, and nobody else could take it (507).
    NoSpace(String),
}

impl From<protocol::Outcome> for Outcome {
    fn from(outcome: protocol::Outcome) -> Outcome {
        match outcome {
            protocol::Outcome::Judged { body, copies, epoch } => match read_answer(&body) {
                Ok(answer) => Outcome::Judged { answer, copies, epoch },
                Err(why) => Outcome::Later(format!("the leader's answer cannot be read: {why}")),
            },
            protocol::Outcome::Later(why) => Outcome::Later(why),
            protocol::Outcome::Busy => Outcome::Busy("too many requests wait already".to_owned()),
            protocol::Outcome::NoSpace(why) => Outcome::NoSpace(why),
        }
    }
}

/// A store as it was at one moment. Cheap to make; while it is held, what was dropped since keeps its space.
#[derive(Clone, Debug)]
pub enum Snapshot {
    /// Of the data file.
    Disk(crate::store::data::Snapshot),
    /// Of a store in memory.
    Memory(Arc<crate::ledger::Memory>),
}

impl Read for Snapshot {
    type Error = String;

    fn get<R>(&self, table: Table, key: &[u8], visit: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, String> {
        match self {
            Snapshot::Disk(store) => store.get(table, key, visit).map_err(|e| e.to_string()),
            Snapshot::Memory(store) => Ok(store.get(table, key, visit).expect("memory does not fail")),
        }
    }

    fn range(&self, table: Table, range: Range<'_>, visit: Visit<'_>) -> Result<(), String> {
        match self {
            Snapshot::Disk(store) => store.range(table, range, visit).map_err(|e| e.to_string()),
            Snapshot::Memory(store) => {
                store.range(table, range, visit).expect("memory does not fail");
                Ok(())
            }
        }
    }
}

/// Makes snapshots.
pub type Source = Arc<dyn Fn() -> Result<Snapshot, String> + Send + Sync>;

/// The API's side of the data. Cheap to clone.
#[derive(Clone)]
pub struct Data {
    /// The way to the loop; [`ASKS`] wait.
    pub asks: mpsc::Sender<Asked>,
    /// What readers see now.
    pub source: Source,
    /// The position of what readers see; it changes as soon as more is visible.
    pub visible: watch::Receiver<Revision>,
    /// How long a request waits for a leader, and a reader for what it wants to have seen.
    pub write_timeout: Duration,
}
