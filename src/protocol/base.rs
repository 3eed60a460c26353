//! What an agent has in every role: who it is, what it promised, its members, ways, timers and draws. Each part keeps its
//! own rules; what needs several of them is here.

use super::chance::Chance;
use super::directory::Directory;
use super::notices::{Fields, Notices};
use super::past::Past;
use super::promises::Promises;
use super::timers::Timers;
use super::ways::{Purpose, Route, Ways};
use super::writes::{Then, Writes};
use super::{Durable, Output, Recipients, Start, To, limits};
use crate::claim::Claim;
use crate::event::{Cause, Event, Kind, Level};
use crate::ident::{ConnId, Incarnation, NodeId};
use crate::message::{Answer, Cast, Frame, Sender, Standing};
use crate::settings::Settings;
use crate::time::{Now, Time, Wall};
use std::net::SocketAddr;
use std::time::Duration;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) me: Sender,
    pub(super) version: String,
    pub(super) settings: Settings,
    pub(super) now: Time,
    pub(super) wall: Wall,
    /// What this step has to do, in order. Bound: one step's.
    pub(super) out: Vec<Output>, // bound: STEP, one step's outputs
    pub(super) promises: Promises,
    pub(super) writes: Writes,
    notices: Notices,
    pub(super) past: Past,
    pub(super) ways: Ways,
    pub(super) members: Directory,
    pub(super) timers: Timers,
    pub(super) chance: Chance,
}

impl Base {
    pub(super) fn new(start: Start, now: Now) -> Self {
        let Durable { shown, promised, members } = start.durable;
        Self {
            members: Directory::remembering(members, start.node.id, now),
            me: Sender { node: start.node, name: start.name, port: start.port },
            version: start.version,
            settings: start.settings,
            now: now.time,
            wall: now.wall,
            out: Vec::new(),
            promises: Promises::new(shown, promised),
            writes: Writes::default(),
            notices: Notices::default(),
            past: Past::new(now.wall),
            ways: Ways::new(start.peers),
            timers: Timers::default(),
            chance: Chance::new(start.seed),
        }
    }

    // ---- time and chance

    pub(super) fn heartbeat(&self) -> Duration {
        self.settings.heartbeat()
    }

    /// Who lives, and who leads, has been heard since: 3 s ago, or 3 `i` where heartbeats are slow.
    pub(super) fn lately(&self) -> Time {
        self.now - limits::SILENT.max(self.settings.silence())
    }

    /// A number that comes back in an answer.
    pub(super) fn nonce(&mut self) -> u64 {
        self.chance.nonce(self.me.node.boot)
    }

    pub(super) fn linked(&self) -> bool {
        self.ways.linked()
    }

    // ---- claims

    /// The highest epoch that this agent has promised or shown.
    pub(super) fn highest(&self) -> u64 {
        self.showing().map_or(0, |c| c.epoch).max(self.promises.promised().map_or(0, |p| p.claim.epoch))
    }

    /// Takes note of a claim heard of on a connection. False when its epoch cannot be believed (§7).
    pub(super) fn believe(&mut self, claim: Claim) -> bool {
        self.believe_epoch(claim.epoch) && {
            self.promises.hear_time(claim.at);
            true
        }
    }

    pub(super) fn believe_epoch(&mut self, epoch: u64) -> bool {
        let credible = self.credible(epoch);
        if credible {
            self.promises.hear_epoch(epoch);
        }
        credible
    }

    /// Whether an epoch can be believed, which raises nothing.
    pub(super) fn credible(&mut self, epoch: u64) -> bool {
        let own = self.highest().max(self.promises.heard_epoch());
        let credible = epoch <= own.saturating_add(limits::EPOCH_LEAP);
        if !credible {
            let text = format!("epoch {epoch} was not believed: it is far above this machine's epoch {own}");
            self.warn(Kind::IntruderIgnored, text, vec![]);
        }
        credible
    }

    /// The next claim of this agent: one above everything that it knows, and above `floor` (§7.1).
    pub(super) fn next_claim(&mut self, floor: u64) -> Claim {
        let epoch = self.highest().max(self.promises.heard_epoch()).max(floor).saturating_add(1);
        Claim { epoch, at: self.promises.next_time(self.wall), node: self.me.node }
    }

    // ---- what users are told

    pub(super) fn tell(&mut self, kind: Kind, level: Level, cause: Option<Cause>, text: String, fields: Fields) {
        if !self.notices.may_tell(kind, self.now) {
            return;
        }
        let epoch = self.promises.shown_epoch();
        self.out.push(Output::Event(Event { kind, level, at: self.wall, epoch, cause, text, fields }));
    }

    pub(super) fn info(&mut self, kind: Kind, text: String, fields: Fields) {
        self.tell(kind, Level::Info, None, text, fields);
    }

    pub(super) fn warn(&mut self, kind: Kind, text: String, fields: Fields) {
        self.tell(kind, Level::Warn, None, text, fields);
    }

    /// A member's name for users.
    pub(super) fn name(&self, id: NodeId) -> String {
        if id == self.me.node.id { self.me.name.clone() } else { self.members.name(id) }
    }

    /// What a member that calls itself so is called for users.
    pub(super) fn label(&self, id: NodeId, name: &str) -> String {
        if name == self.me.name || self.members.shares_name(id, name) {
            format!("{name} ({})", id.short())
        } else {
            name.to_owned()
        }
    }

    /// The reign that history has open ends, if one is, and that is written down.
    pub(super) fn end_reign(&mut self) {
        let ended = self.past.end(self.wall);
        if !ended.is_empty() {
            self.persist(ended, Then::Nothing);
        }
    }

    // ---- the network

    pub(super) fn cast(&mut self, to: To, cast: Cast) {
        if self.linked() {
            self.out.push(Output::Cast { to, cast });
        }
    }

    /// Dials; the first frame is sent as soon as the connection stands.
    pub(super) fn dial(&mut self, route: Route, purpose: Purpose, first: Frame) -> ConnId {
        let conn = self.dial_silent(route, purpose);
        self.send(conn, first);
        conn
    }

    /// Dials, and says nothing yet.
    pub(super) fn dial_silent(&mut self, route: Route, purpose: Purpose) -> ConnId {
        let conn = self.ways.dialled(route, purpose, self.now);
        self.out.push(Output::Dial { conn, to: route.hop });
        if route.via.is_some() {
            self.send_bare(conn, Frame::Via(crate::message::Via { to: route.to }));
        }
        conn
    }

    pub(super) fn send(&mut self, conn: ConnId, frame: Frame) {
        for frame in self.ways.frames(conn, &self.me, frame) {
            self.send_bare(conn, frame);
        }
    }

    /// The same frame on each of these, in this order: it is encoded once.
    pub(super) fn send_all(&mut self, conns: Vec<ConnId>, frame: Frame) {
        if conns.len() > 1 && conns.iter().all(|conn| self.ways.is_plain(*conn)) {
            return self.out.push(Output::Send { to: Recipients::Many(conns), frame });
        }
        for conn in conns {
            self.send(conn, frame.clone());
        }
    }

    /// Sends a frame as it is, whatever this side has said on the connection.
    pub(super) fn send_bare(&mut self, conn: ConnId, frame: Frame) {
        self.out.push(Output::Send { to: Recipients::One(conn), frame });
    }

    pub(super) fn pipe_ready(&mut self, conn: ConnId) {
        for frame in self.ways.ready(conn) {
            self.send_bare(conn, frame);
        }
    }

    pub(super) fn close(&mut self, conn: ConnId) {
        if self.ways.remove(conn).is_some() {
            self.out.push(Output::Close { conn });
        }
    }

    pub(super) fn peer(&self, conn: ConnId) -> Option<Incarnation> {
        self.ways.get(conn)?.peer.as_ref().map(|s| s.node)
    }

    /// The direct way to a member.
    pub(super) fn direct(&self, to: NodeId) -> Option<Route> {
        self.direct_to(self.members.get(to)?.node)
    }

    /// The way to just this start of it.
    pub(super) fn direct_to(&self, to: Incarnation) -> Option<Route> {
        let hop = self.members.get(to.id)?.home(to.boot);
        // Whoever had another's id, or has another's address now, is taken for it: here that would be this agent itself.
        (!hop.ip().is_unspecified() && !self.own(hop)).then_some(Route { to, hop, via: None })
    }

    /// The way to where just this start of it was heard, or others reach it: whoever answers there, or refuses, does so
    /// in its place (§4).
    pub(super) fn own_way(&self, to: Incarnation) -> Option<Route> {
        let own = self.members.get(to.id)?.own_place(to.boot)?;
        self.direct_to(to).filter(|way| way.hop == own)
    }

    /// Whoever dials this reaches this agent.
    pub(super) fn own(&self, address: SocketAddr) -> bool {
        address.port() == self.me.port && self.ways.is_own(address.ip())
    }

    /// The way to `to` through `via`.
    pub(super) fn through(&self, to: Incarnation, via: NodeId) -> Option<Route> {
        if via == to.id || via == self.me.node.id {
            return None;
        }
        // Of two with its id, the one that spoke last.
        let entry = self.members.get(via)?;
        let hop = entry.home(entry.node.boot);
        (!hop.ip().is_unspecified()).then_some(Route { to, hop, via: Some(via) })
    }

    pub(super) fn answer(&self, nonce: u64, standing: Standing) -> Answer {
        // What fails is never done.
        let fails = self.writes.fail() && matches!(standing, Standing::Leads(_));
        let age = if fails { Duration::MAX } else { self.store_age() };
        let store_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        Answer { nonce, standing, store_ms }
    }

    pub(super) fn fresh(&self, answer: &Answer) -> bool {
        Duration::from_millis(answer.store_ms) <= self.settings.store_age()
    }

    /// Enters or refreshes a member that was heard from `address`. A new member or a new boot of a known one comes back
    /// as its former boot.
    /// `met`: a connection has said it.
    pub(super) fn heard(&mut self, from: &Sender, address: Option<SocketAddr>, met: bool) -> Option<Incarnation> {
        if from.node.id == self.me.node.id {
            return None;
        }
        let stale = self.settings.silence().max(limits::PING);
        self.members.heard(from, address, met, stale, self.now)
    }
}
