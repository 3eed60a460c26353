//! The front door of the core: what goes in, what comes out, and every contract between them, once.
//!
//! [`Node::step`] takes the time and the [`Input`]s that arrived together, and appends [`Output`]s to a list. It cannot
//! fail, block, log, read a clock, draw randomness that it was not seeded with, or touch the disk. A host delivers
//! inputs, performs outputs (as a [`Host`]), and comes back at the deadline: the real one is `agent`, the simulated one
//! is among the tests.
//!
//! # Contracts
//!
//! - **Order.** Outputs are performed in list order, and the lists of successive steps in the order of the steps. On one
//!   connection frames travel in that order.
//! - **Durability.** [`Output::Persist`] *begins* a write: one transaction. Writes become durable in the order in which
//!   they were begun, and [`Input::Persisted`] reports how far that has come. Whatever relies on a write waits in the
//!   core for that report; everything else (heartbeats and the answers to questions above all) goes on while the disk
//!   works, or hangs.
//! - **Two lanes.** What the data's own thread is given ([`Output::Job`]) has numbers, bounds and an age of its own: a
//!   load of writes never looks like a store that hangs.
//! - **Dying** is allowed anywhere, between any two outputs included.
//! - **Inputs first, then due timers.** How inputs are divided into steps changes nothing that is promised. Early, late
//!   and repeated ticks are harmless. One deadline comes out, with its reason ([`Node::deadline`]).
//! - **Infallible.** Strange or stale messages become events or nothing. A broken internal invariant is an `assert!`.
//! - **Bounded.** Every queue and map names its bound where it is declared.

mod address;
mod announcements;
mod awaiting;
mod backups;
mod base;
mod brought;
mod campaign;
mod canvass;
mod chance;
mod copying;
mod datagrams;
mod direct;
mod directory;
mod discovery;
mod disk;
mod doubles;
mod durable;
mod election;
mod entry;
mod following;
mod forgetting;
mod forwarding;
mod frames;
mod greetings;
mod handover;
mod host;
mod housekeeping;
mod jobs;
mod joining;
mod kept;
mod labels;
mod lane;
mod leading;
pub mod limits;
mod links;
mod list;
mod naming;
mod node;
mod notices;
mod ordering;
mod past;
mod pinged;
mod pings;
mod programs;
mod promises;
mod questions;
mod reign;
mod replication;
mod reunion;
mod rivals;
mod role;
mod session;
mod sightings;
mod stalls;
mod status;
mod succession;
mod suspicion;
#[cfg(test)]
mod tests;
mod timers;
mod voice;
mod ways;
mod writes;

pub use host::Host;
pub use jobs::{Compared, Job, Judged, Outcome, Report, Stretch};
pub use kept::{BroughtReport, Durable, Promise, Reign, Remembered, ReunionReport, Write};
pub use labels::named;
pub use node::Node;

use crate::claim::Claim;
use crate::event::Event;
use crate::ident::{ConnId, Incarnation, JobId, Ticket};
use crate::message::{Cast, Datagram, Frame, Member};
use crate::settings::Settings;
use crate::time::{Time, Wall};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// Everything that a node is made from.
#[derive(Clone, Debug)]
pub struct Start {
    /// The lasting id (from the store) and the id of this start (drawn by the host).
    pub node: Incarnation,
    /// The label.
    pub name: String,
    /// The port that others are told, UDP and TCP.
    pub port: u16,
    /// The program's version.
    pub version: String,
    /// Timings and limits.
    pub settings: Settings,
    /// Configured peers, which are greeted like remembered ones.
    pub peers: Vec<SocketAddr>, // bound: PEERS of the configuration
    /// Seeds every random draw of the core.
    pub seed: u64,
    /// What the store held.
    pub durable: Durable,
    /// The number of the last change of the data that this machine holds, acknowledged or not; 0 when it holds none.
    pub data: u64,
}

/// One thing that happened to the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Nothing but time.
    Tick,
    /// A datagram of this cluster, decoded.
    Datagram {
        /// Where it came from.
        from: SocketAddr,
        /// What it says.
        datagram: Datagram,
    },
    /// A dial succeeded (a relayed one: the first hop did).
    Connected {
        /// The connection.
        conn: ConnId,
    },
    /// Somebody connected.
    Accepted {
        /// The connection.
        conn: ConnId,
        /// Where it came from; its port is not the sender's listening port.
        from: SocketAddr,
    },
    /// A frame of this cluster, decoded.
    Frame {
        /// On which connection.
        conn: ConnId,
        /// What it says.
        frame: Frame,
    },
    /// A connection ended, or a dial failed. Nothing follows for this number. Not reported for those that the core
    /// closed itself.
    Closed {
        /// The connection.
        conn: ConnId,
        /// How.
        how: Closed,
    },
    /// Writes are durable: all that were begun up to this one, but for those that were reported as failed.
    Persisted {
        /// The last of them.
        through: Ticket,
    },
    /// A write failed; nothing of it is durable. The reason is in plain words.
    NotPersisted {
        /// Which.
        ticket: Ticket,
        /// Why.
        why: String,
    },
    /// Jobs of the data's thread are done: all that were begun up to this one, but for those that were reported as failed.
    Done {
        /// The last of them.
        through: JobId,
    },
    /// What a job has to say before it is done, as soon as it can be said.
    Report {
        /// Which.
        job: JobId,
        /// What.
        report: Report,
    },
    /// A job could not be done: nothing of it is durable, nor of any that was begun after it. The reason is in plain
    /// words.
    Failed {
        /// Which.
        job: JobId,
        /// Why.
        why: String,
    },
    /// The links that can be used now: one entry for each eligible interface with carrier and an address to send from.
    /// Given once right after the start, and whenever it changed.
    Links(Vec<Link>),
    /// The addresses of all configured peers, when they are others than at the start.
    Peers(Vec<SocketAddr>),
    /// A user of this agent has a request of the data.
    Request {
        /// Comes back in [`Output::Answer`]; a later request has a greater number.
        request: u64,
        /// What it asks for, as the ledger reads it.
        body: Bytes,
    },
    /// A user asks for a handover, to the successor or to a named member (name or id).
    Handover {
        /// Comes back in [`Output::Reply`].
        request: u64,
        /// A name or an id.
        to: Option<String>,
    },
    /// A user asks that a member which is gone be taken out of every list.
    Forget {
        /// Comes back in [`Output::Reply`].
        request: u64,
        /// A name or an id.
        who: String,
    },
    /// A user is about to look at [`Node::members`]: what the leader has not told of yet is fetched first.
    Look {
        /// Comes back in [`Output::Reply`], never refused but where the leader is lost meanwhile.
        request: u64,
    },
    /// This machine is called so from now on.
    Name(String),
    /// These settings count from now on; the heartbeat and the quorum stay as they were at the start.
    Settings(Settings),
    /// Programs that follow the role run on this machine, and need at most so long to end; none when none runs. Before the
    /// role is given away on purpose they end: [`Status::gives_up`] tells them, and the handover waits for this input.
    Programs(Option<Duration>),
    /// The agent is to stop: hand over, say goodbye, then [`Output::Stopped`] comes.
    Stop,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The other machine refused the connection.
    Refused,
    /// It broke: a reset, or its end without a word.
    Reset,
    /// This machine could not even try, or gave up by itself: no route, no link, prohibited, too slow, malformed.
    /// It says nothing about the other.
    Local,
}

/// A usable link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its number, which is the scope of its link-local addresses.
    pub index: u32,
    /// Its addresses.
    pub addresses: Vec<std::net::IpAddr>, // bound: ADDRESSES of the host
}

/// Where a datagram goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// One datagram on every eligible interface and address family in use.
    Everyone,
    /// One member.
    One(SocketAddr),
}

/// The connections that one frame goes to: it is encoded once for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// One connection.
    One(ConnId),
    /// Several, in this order.
    Many(Vec<ConnId>), // bound: CONNS
}

impl Recipients {
    /// All of them.
    pub fn conns(&self) -> &[ConnId] {
        match self {
            Recipients::One(conn) => std::slice::from_ref(conn),
            Recipients::Many(conns) => conns,
        }
    }
}

/// One thing to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a datagram; may be lost.
    Cast {
        /// Where to.
        to: To,
        /// What.
        cast: Cast,
    },
    /// Open a connection. `Connected` or `Closed` answers, the latter at the latest 2 s after.
    Dial {
        /// The number that it will have.
        conn: ConnId,
        /// Where to.
        to: SocketAddr,
    },
    /// Send a frame. On a connection that is being dialled it is sent once connected.
    Send {
        /// On which connections.
        to: Recipients,
        /// What.
        frame: Frame,
    },
    /// Send what was given to send, then close. Nothing is reported for it any more.
    Close {
        /// Which.
        conn: ConnId,
    },
    /// Dial `to`, and when that succeeds send `ViaReady` on `conn` and copy bytes both ways between them, with 64 KiB of
    /// buffer each way, until either ends; when it fails send `ViaFailed`. Nothing is reported for `conn` until the
    /// end, which is reported as `Closed`.
    Pipe {
        /// The connection that asked.
        conn: ConnId,
        /// Where to.
        to: SocketAddr,
    },
    /// Begin a durable write: one transaction, in order. `Persisted` or `NotPersisted` answers.
    Persist {
        /// Names it.
        ticket: Ticket,
        /// What.
        writes: Vec<Write>,
    },
    /// Give the data's own thread something to do, behind what it was given before. `Done` or `Failed` answers.
    Job {
        /// Names it.
        id: JobId,
        /// What.
        job: Job,
    },
    /// Tell users.
    Event(Event),
    /// Answer a user's request.
    Reply {
        /// The number from the input.
        request: u64,
        /// Why not.
        refused: Option<String>,
    },
    /// Answer a user's request of the data.
    Answer {
        /// The number from the input.
        request: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// The node has stopped: everything that it sent may be flushed, then the process ends.
    Stopped,
}

/// The state of the role, as users see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleName {
    /// Just started or just woke: hears, claims nothing.
    Listening,
    /// Follows a leader, or waits for the one that is being elected.
    Following,
    /// Canvasses.
    Claiming,
    /// Leads.
    Leading,
}

/// What is the matter with this agent, as far as it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// Its disk does not take what is written: it takes no role.
    Disk,
    /// It leads, and nobody follows it any more.
    Alone,
    /// Another leads too, and the two do not reach each other.
    TwoLeaders,
    /// Another living member has its name.
    DoubleName,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Trouble; 4] = [Trouble::Disk, Trouble::Alone, Trouble::TwoLeaders, Trouble::DoubleName];

    /// The word that the API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Trouble::Disk => "disk",
            Trouble::Alone => "alone",
            Trouble::TwoLeaders => "two-leaders",
            Trouble::DoubleName => "double-name",
        }
    }

    /// For users.
    pub fn text(self) -> &'static str {
        match self {
            Trouble::Disk => "the disk does not take what is written: this machine takes no role",
            Trouble::Alone => {
                "nobody follows this machine any more: another part of the network may have its own leader"
            }
            Trouble::TwoLeaders => "another leads too, and the two do not reach each other",
            Trouble::DoubleName => "another machine has the same name",
        }
    }
}

/// A member as status names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The member.
    pub node: Incarnation,
    /// Its label.
    pub name: String,
    /// Its address; none for this agent when it has no link.
    pub address: Option<SocketAddr>,
}

/// A snapshot of the node for users. Cheap to make for the role; `members` is made only by [`Node::members`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This agent.
    pub node: Incarnation,
    /// What it is called now.
    pub name: String,
    /// The role.
    pub role: RoleName,
    /// The reign that it shows: its own, the one that it follows, or the last one that it did.
    pub shown: Option<Claim>,
    /// False on a leader that stood still and does not know whether it was replaced meanwhile (§6): what is said of leading
    /// may be no more true.
    pub sure: bool,
    /// It leads, and is about to give the role away on purpose: programs that follow the role are to end now (§8).
    pub gives_up: bool,
    /// The leader that it leads as or follows; none while there is none.
    pub leader: Option<Who>,
    /// The designated successor.
    pub successor: Option<Who>,
    /// The member that the leader is reached through.
    pub via: Option<Who>,
    /// Since when it stands so, on this machine's wall clock.
    pub since: Wall,
    /// Members, this agent included, that have not left.
    pub members: usize,
    /// What is the matter; empty when nothing is.
    pub trouble: Vec<Trouble>, // bound: ALL
}

/// A member as the API lists it, in the order of succession.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// The facts.
    pub member: Member,
    /// Its role, as far as this agent knows.
    pub role: RoleName,
    /// It is the designated successor.
    pub successor: bool,
    /// How long ago it was heard; none when never.
    pub heard: Option<Duration>,
    /// The number of the last change that it has of the data, where that is known: a leader knows it of its followers, a
    /// follower of its leader. None for this agent itself.
    pub revision: Option<u64>,
    /// Its place in the line of succession, from 1; none when it is not in line.
    pub place: Option<usize>,
    /// What decided that place, in words.
    pub because: String,
}

/// Why the node wants to be woken.
pub type Reason = &'static str;

/// When the node wants to be woken at the latest, and why.
pub type Deadline = (Time, Reason);
