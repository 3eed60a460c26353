//! The ways to other members: links, configured peers, and connections, direct ones and those that go through another
//! member (protocol §6).

use super::Link;
use super::limits::{PIPES, PIPES_EACH};
use crate::ident::{ConnId, Incarnation, NodeId};
use crate::message::{Frame, Sender};
use crate::time::Time;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// Accepted; it has asked for nothing that lasts.
    Incoming,
    /// This agent's session to its leader, or a dial for it.
    Session,
    /// A follower's session, at the leader.
    Served(NodeId),
    /// A question to the leader.
    Ask,
    /// A question to the leader on the direct way, while it is reached through another.
    Probe,
    /// Telling another that the leader is dead.
    Tell,
    /// A canvass.
    Canvass,
    /// A question to another claimant.
    Claimant,
    /// A reunion.
    Meet,
    /// A Join to one that has this agent's id: it says whose the id is.
    Clone,
    /// A stalled leader asks whether it is still followed.
    Check,
    /// Bytes are copied between this connection and another.
    Piped,
}

/// How to reach a member: directly, or through another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Route {
    /// Who is to be reached.
    pub(super) to: Incarnation,
    /// The address to dial: the member's own, or that of the one in between.
    pub(super) hop: SocketAddr,
    /// The one in between.
    pub(super) via: Option<NodeId>,
}

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Conn {
    /// Who is at the other end, once it has said so.
    pub(super) peer: Option<Sender>,
    /// The address at the other end; for an accepted one with the port that it dialled from.
    pub(super) address: SocketAddr,
    /// The route that was dialled; none for an accepted one.
    pub(super) route: Option<Route>,
    /// The member in between, as the other end states it, on an accepted one.
    pub(super) through: Option<NodeId>,
    /// What it is for.
    pub(super) purpose: Purpose,
    /// When it was dialled or accepted.
    pub(super) began: Time,
    /// The last frame from it.
    pub(super) heard: Time,
    opened: bool,
    ready: bool,
    /// Frames that wait for the pipe. Bound: [`HELD`].
    held: Vec<Frame>,
}

/// How many frames wait for a pipe to stand; the protocol never sends more than four before an answer.
const HELD: usize = 16;

impl Conn {
    /// The member in between, whoever dialled.
    pub(super) fn via(&self) -> Option<NodeId> {
        self.route.map_or(self.through, |r| r.via)
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Ways {
    /// Usable links. Bound: the machine's.
    links: Vec<Link>, // bound: INTERFACES of the host
    /// Configured. Bound: the configuration's own.
    peers: Vec<SocketAddr>, // bound: PEERS of the configuration
    /// Every connection. Bound: [`super::limits::CONNS`].
    all: BTreeMap<ConnId, Conn>,
    last: u64,
}

impl Ways {
    pub(super) fn new(peers: Vec<SocketAddr>) -> Self {
        Self { links: Vec::new(), peers, all: BTreeMap::new(), last: 0 }
    }

    // ---- links and peers

    pub(super) fn linked(&self) -> bool {
        !self.links.is_empty()
    }

    pub(super) fn links(&self) -> &[Link] {
        &self.links
    }

    /// Takes the links that can be used now, and gives those that could be used before.
    pub(super) fn use_links(&mut self, links: Vec<Link>) -> Vec<Link> {
        std::mem::replace(&mut self.links, links)
    }

    /// Whether one of this machine's links has this address.
    pub(super) fn is_own(&self, ip: IpAddr) -> bool {
        self.links.iter().any(|l| l.addresses.contains(&ip))
    }

    pub(super) fn peers(&self) -> &[SocketAddr] {
        &self.peers
    }

    /// Takes the addresses of all configured peers. True when there is a new one among them.
    pub(super) fn use_peers(&mut self, peers: Vec<SocketAddr>) -> bool {
        let news = peers.iter().any(|p| !self.peers.contains(p));
        self.peers = peers;
        news
    }

    // ---- connections

    /// The one at the other end is called otherwise now.
    pub(super) fn renamed(&mut self, sender: &Sender) {
        for peer in self.all.values_mut().filter_map(|c| c.peer.as_mut()).filter(|p| p.node == sender.node) {
            peer.name.clone_from(&sender.name);
        }
    }

    /// Enters a dial and gives its number.
    pub(super) fn dialled(&mut self, route: Route, purpose: Purpose, now: Time) -> ConnId {
        self.last += 1;
        let conn = ConnId(self.last);
        self.all.insert(
            conn,
            Conn {
                peer: None,
                address: route.hop,
                route: Some(route),
                through: None,
                purpose,
                began: now,
                heard: now,
                opened: false,
                ready: route.via.is_none(),
                held: Vec::new(),
            },
        );
        conn
    }

    pub(super) fn accepted(&mut self, conn: ConnId, from: SocketAddr, now: Time) {
        self.all.insert(
            conn,
            Conn {
                peer: None,
                address: from,
                route: None,
                through: None,
                purpose: Purpose::Incoming,
                began: now,
                heard: now,
                opened: false,
                ready: true,
                held: Vec::new(),
            },
        );
    }

    pub(super) fn get(&self, conn: ConnId) -> Option<&Conn> {
        self.all.get(&conn)
    }

    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Conn> {
        self.all.get_mut(&conn)
    }

    pub(super) fn remove(&mut self, conn: ConnId) -> Option<Conn> {
        self.all.remove(&conn)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        self.all.iter().map(|(id, conn)| (*id, conn))
    }

    /// The frames to send for one that is given, this side's `Open` before the first. None while a pipe is not standing.
    pub(super) fn frames(&mut self, conn: ConnId, me: &Sender, frame: Frame) -> Vec<Frame> {
        let Some(state) = self.all.get_mut(&conn) else { return Vec::new() };
        let via = state.via();
        let mut frames = Vec::with_capacity(2);
        if !state.opened {
            state.opened = true;
            frames.push(Frame::Open(crate::message::Open { from: me.clone(), via }));
        }
        frames.push(frame);
        if state.ready {
            return frames;
        }
        if state.held.len() < HELD {
            state.held.append(&mut frames);
        }
        Vec::new()
    }

    /// Nothing has to go before a frame on this connection, and nothing has to wait.
    pub(super) fn is_plain(&self, conn: ConnId) -> bool {
        self.all.get(&conn).is_some_and(|c| c.opened && c.ready)
    }

    /// The pipe stands: gives what has waited for it.
    pub(super) fn ready(&mut self, conn: ConnId) -> Vec<Frame> {
        let Some(state) = self.all.get_mut(&conn) else { return Vec::new() };
        state.ready = true;
        std::mem::take(&mut state.held)
    }

    /// Whether one more pipe fits, for who is at the other end of this connection.
    pub(super) fn pipe_fits(&self, conn: ConnId) -> bool {
        let Some(ip) = self.all.get(&conn).map(|c| c.address.ip()) else { return false };
        self.piped().count() < PIPES && self.piped().filter(|c| c.address.ip() == ip).count() < PIPES_EACH
    }

    /// The pipes through this agent.
    pub(super) fn piped(&self) -> impl Iterator<Item = &Conn> {
        self.all.values().filter(|c| c.purpose == Purpose::Piped)
    }
}
