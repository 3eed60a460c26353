//! A simulated machine, the agent that runs on it, and what can happen to both.

use crate::clocks::Clock;
use crate::disk::Disk;
use crate::network::{M, Nic, Packet};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use tanist::ident::{ConnId, Ticket};
use tanist::protocol::{Input, Link, Node, Status};
use tanist::settings::Settings;
use tanist::store::Store;
use tanist::wire::Wire;

/// What happens next, somewhere.
pub(crate) enum Event {
    Wake { m: M, life: u64, at: u64 },
    Datagram { m: M, from: SocketAddr, packet: Rc<Packet> },
    Work { m: M, life: u64, work: Box<Work> },
    Thaw { m: M },
    Awake { m: M },
    Disk { m: M, life: u64 },
    Data { m: M, life: u64 },
    Syn { conn: u64 },
    SynAck { conn: u64 },
    GiveUp { conn: u64 },
    Refused { conn: u64 },
    Flow { conn: u64, from: usize },
    Reset { conn: u64, end: usize },
    Quiet { conn: u64, end: usize },
}

/// What a process has to do.
pub(crate) enum Work {
    Input(Input),
    Datagram {
        from: SocketAddr,
        packet: Rc<Packet>,
    },
    /// Bytes on a connection of the core's.
    Bytes {
        conn: ConnId,
        bytes: Rc<[u8]>,
    },
    /// What the host does for a pipe.
    Piped {
        conn: u64,
        end: usize,
        what: Pipe,
    },
}

/// What happens to a pipe's connection.
pub(crate) enum Pipe {
    Connected,
    Bytes(Rc<[u8]>),
    Ended,
}

/// How the process of a machine is out of order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Illness {
    #[default]
    None,
    /// It beats, and takes in nothing of what arrives.
    Deaf,
    /// It takes in datagrams, and nothing of what arrives on connections.
    Streamless,
}

/// A running agent.
pub(crate) struct Process {
    pub(crate) node: Node,
    pub(crate) store: Option<Store>,
    pub(crate) life: u64,
    pub(crate) next_accepted: u64,
    /// The core's connections. bound: the core's own
    pub(crate) conns: BTreeMap<ConnId, (u64, usize)>,
    /// What waits while the process stands still, or reads nothing. bound: SOCKET_MAX datagrams, FLOW_MAX bytes a
    /// connection
    pub(crate) inbox: VecDeque<Work>,
    pub(crate) waiting_datagrams: usize,
    pub(crate) frozen: bool,
    pub(crate) wake: Option<u64>,
    /// Writes under way, each with the disk's mark and when it is done. bound: the core's own
    pub(crate) writes: VecDeque<(Ticket, u64, u64, Result<(), String>)>,
    /// The data, and what its thread is at.
    pub(crate) data: crate::data::Data,
    pub(crate) illness: Illness,
    /// It dies after so many more outputs.
    pub(crate) dies_after: Option<u32>,
    pub(crate) shown: Option<Status>,
    pub(crate) stopping: bool,
}

impl Process {
    /// Its illness keeps it from taking this in now.
    pub(crate) fn unread(&self, work: &Work) -> bool {
        let waits = |of| self.inbox.iter().any(|w| matches!(w, Work::Bytes { conn, .. } if *conn == of));
        match (self.illness, work) {
            (Illness::None, _) | (Illness::Streamless, Work::Datagram { .. }) => false,
            // The end of a stream is read after what came before it.
            (_, Work::Input(Input::Closed { conn, .. })) => waits(*conn),
            (_, Work::Input(_)) => false,
            (Illness::Deaf | Illness::Streamless, _) => true,
        }
    }
}

/// One machine.
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) wire: Wire,
    pub(crate) cluster: String,
    pub(crate) settings: Settings,
    pub(crate) version: String,
    pub(crate) peers: Vec<SocketAddr>,
    pub(crate) nics: Vec<Nic>,
    pub(crate) clock: Clock,
    pub(crate) disk: Disk,
    /// What the disk has of the data may be set aside.
    pub(crate) damaged: bool,
    /// How long a sync takes, in microseconds.
    pub(crate) sync: (u64, u64),
    pub(crate) machine_id: String,
    pub(crate) powered: bool,
    pub(crate) asleep: bool,
    pub(crate) process: Option<Process>,
    /// It speaks a later version.
    pub(crate) future: bool,
    pub(crate) salt: u8,
}

impl Machine {
    pub(crate) fn on(&self) -> bool {
        self.powered && !self.asleep
    }

    pub(crate) fn links(&self) -> Vec<Link> {
        let up = self.nics.iter().enumerate().filter(|(_, nic)| nic.up);
        up.map(|(i, nic)| Link { name: format!("eth{i}"), index: i as u32 + 1, addresses: vec![nic.address] }).collect()
    }
}

/// An event of the queue, in the order of time and of planning.
pub(crate) struct Queued {
    pub(crate) at: u64,
    pub(crate) seq: u64,
    pub(crate) event: Event,
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Queued {}
