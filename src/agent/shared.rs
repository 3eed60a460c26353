//! What the loop shows to the local API, and what the API asks of it.

use super::disk::History;
use super::metrics::Metrics;
use super::rights::Rights;
use crate::event::Event;
use crate::protocol::{MemberView, Status};
use crate::settings::Settings;
use crate::time::Time;
use crate::view::{Reloaded, Turn};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// How many events wait for a slow reader of the stream; one that is further behind is told that it missed some.
pub const EVENTS: usize = 1024;

/// How many turns wait for a runner: each is told to start once, and to stop once.
pub const TURNS: usize = 2;

/// How many commands of users wait for the loop.
pub const COMMANDS: usize = 64;

/// Everything that a user may see of the node at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The role.
    pub status: Status,
    /// Every member, in the order of succession.
    pub members: Vec<MemberView>, // bound: MEMBERS of the core
    /// When it was made, on the clock of timers.
    pub made: Time,
}

/// When the loop last came by: how old what it shows may be. Cheap to clone.
///
/// A process that stood still wakes in all its parts at once, and a client's question may be seen before the loop has
/// noticed that others have gone on.
#[derive(Clone, Debug)]
pub struct Pulse {
    last: Arc<AtomicU64>,
    limit: Duration,
}

impl Pulse {
    /// The pulse of a loop that has not come by yet. What it shows counts as present for `limit` (protocol §6).
    pub fn new(limit: Duration) -> Self {
        Self { last: Arc::default(), limit }
    }

    /// The loop came by, and has shown how things stand.
    pub fn beat(&self, now: Time) {
        self.last.store(now.0, Ordering::Relaxed);
    }

    /// What the loop shows is young enough to be said.
    pub fn is_young(&self, now: Time) -> bool {
        now.since(Time(self.last.load(Ordering::Relaxed))) <= self.limit
    }
}

/// What a user asks of the loop.
#[derive(Debug)]
pub enum Command {
    /// Move the role, to the successor or to a named member. The answer comes when the new leader serves, or the reason
    /// why not.
    Handover {
        /// A name or an id.
        to: Option<String>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// Take a member that is gone out of every list. The answer comes when the leader has done it, or the reason why not.
    Forget {
        /// A name or an id.
        who: String,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// Fetch what the leader has not told of yet. The answer comes when it is there.
    Refresh {
        /// Where the answer goes.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// A program that follows the role is to be told when it starts and stops.
    Attach {
        /// How long it may need to end.
        grace: Duration,
        /// Where it is told.
        turns: mpsc::Sender<Turn>, // bound: TURNS
        /// Told that it was taken, or why it cannot be.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// A program that was attached has ended, or its runner has: nobody takes its turns any more.
    Detached,
    /// These settings count from now on.
    Set {
        /// What the core needs.
        settings: Box<Settings>,
        /// The label; the host name without one.
        name: Option<String>,
    },
    /// Come by, and show how things stand now.
    Look {
        /// Told when that was done.
        reply: oneshot::Sender<()>,
    },
    /// Tell users that the files of this agent are in trouble.
    StoreTrouble {
        /// What is wrong, and what to do.
        text: String,
    },
    /// Show everything.
    Snapshot {
        /// Where it goes.
        reply: oneshot::Sender<Snapshot>,
    },
}

/// A user asks that the configuration be read again: told what came of it, or why nothing did.
pub type Reload = oneshot::Sender<Result<Reloaded, String>>;

/// What does not change while the agent runs.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The cluster's name.
    pub cluster: String,
    /// This program's version.
    pub version: String,
    /// How many voices win a claim.
    pub quorum: u32,
    /// UDP and TCP.
    pub port: u16,
    /// The local API's Unix socket.
    pub socket: PathBuf,
    /// Where the store is.
    pub state_dir: PathBuf,
    /// The cluster is protected by a key.
    pub keyed: bool,
}

/// The loop, as the local API sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The role; a new value as soon as it changed.
    pub status: watch::Receiver<Arc<Status>>,
    /// How old that may be.
    pub pulse: Pulse,
    /// Events as they happen; [`EVENTS`] wait for a slow reader.
    pub events: broadcast::Sender<Arc<Event>>,
    /// The way to the loop; [`COMMANDS`] wait.
    pub commands: mpsc::Sender<Command>,
    /// Past reigns and reunions, asked of the disk and not of the loop.
    pub store: Arc<History>,
    /// Who may change something.
    pub rights: Rights,
    /// Where a user asks that the configuration be read again; one waits.
    pub reloads: mpsc::Sender<Reload>, // bound: ONE
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What does not change.
    pub facts: Arc<Facts>,
}
