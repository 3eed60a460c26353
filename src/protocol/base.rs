//! What an agent has in every role: who it is, what it promised, its members, connections, timers and draws.

use super::conns::{Conns, Purpose, Route};
use super::directory::{Directory, Entry};
use super::timers::Timers;
use super::{Durable, Link, Output, Promise, Reign, Start, To, Write, limits};
use crate::claim::Claim;
use crate::event::{Cause, Event, Kind, Level, Value};
use crate::ident::{ConnId, Incarnation, NodeId, Ticket};
use crate::message::{Answer, Cast, Frame, Known, Sender, Standing, Story, Voice};
use crate::settings::Settings;
use crate::time::{Now, Time, Wall};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// What waits for a write to be durable (the contract of durability, [`crate::protocol`]).
#[derive(Clone, Debug)]
pub(super) enum Then {
    /// Nothing.
    Nothing,
    /// A voice that was promised is given.
    Say { conn: ConnId, voice: Voice },
    /// The own claim and voice count.
    OwnVoice(Claim),
    /// The reign that is followed is shown.
    Show(Claim),
    /// What is shown already, because a durable promise vouches for it, is durable as shown.
    Shown(Claim),
    /// The new reign of a leader begins.
    Reign(Claim),
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) me: Sender,
    pub(super) version: String,
    pub(super) settings: Settings,
    /// Configured. Bound: the configuration's own.
    pub(super) peers: Vec<SocketAddr>, // bound: PEERS of the configuration
    pub(super) now: Time,
    pub(super) wall: Wall,
    /// What this step has to do, in order. Bound: one step's.
    pub(super) out: Vec<Output>, // bound: STEP, one step's outputs
    /// The reign that users are shown. It is durable, or the durable promise of it is.
    pub(super) shown: Option<Claim>,
    /// The highest that is durable as shown.
    pub(super) shown_kept: Option<Claim>,
    /// The claim of `promised`, once that is durable and as long as it may begin.
    pub(super) promise_kept: Option<Claim>,
    /// The claim of `promised` while that is on its way to the disk.
    pub(super) promise_begun: Option<Claim>,
    /// The reign of `shown` as history has it, until it ends.
    pub(super) reign: Option<Reign>,
    /// The last reigns that ended: what the disk could not take is given to it again when it can.
    pub(super) past: VecDeque<Reign>, // bound: PAST
    /// What was promised: given to the disk before it is acted on, durable before it is said.
    pub(super) promised: Option<Promise>,
    /// When, in this run of the agent; none when nothing will come of it any more.
    pub(super) promised_at: Option<Time>,
    /// The last own claim that was withdrawn for good.
    pub(super) withdrawn: Option<Claim>,
    /// The highest epoch and claim time heard of on a connection: they raise the next claim and nothing else.
    pub(super) heard_epoch: u64,
    pub(super) heard_at: Wall,
    pub(super) conns: Conns,
    pub(super) members: Directory,
    /// Usable links. Bound: the machine's.
    pub(super) links: Vec<Link>, // bound: INTERFACES of the host
    pub(super) timers: Timers,
    pub(super) since: Wall,
    /// How long this agent has been in the cluster's list already, and since when that is counted.
    pub(super) seniority: (Duration, Time),
    /// Writes under way, oldest first. Bound: [`limits::WRITES`].
    pub(super) writes: BTreeMap<Ticket, (Time, Then)>,
    /// Why writes fail, and when that was told last.
    pub(super) trouble: Option<(String, Time)>,
    /// Writes that found no room in this step. Bound: one step's.
    pub(super) refused: Vec<Then>, // bound: WRITES
    /// How often others have caused an event of a kind, and since when that is counted.
    told: BTreeMap<Kind, (Time, u32)>, // bound: the words of KIND
    pub(super) last_ticket: u64,
    last_nonce: u64,
    pub(super) beat_seq: u64,
    draws: ChaCha8Rng,
}

impl Base {
    pub(super) fn new(start: Start, now: Now) -> Self {
        let Durable { shown: shown_kept, promised, members } = start.durable;
        let epoch = |claim: Option<Claim>| claim.map_or(0, |c| c.epoch);
        // What was promised may have been shown before this process ended (P3).
        let may_be = promised.and_then(|p| p.may_be_shown());
        let shown = may_be.filter(|_| epoch(may_be) > epoch(shown_kept)).or(shown_kept);
        let mut directory = Directory::default();
        for m in members.into_iter().filter(|m| m.id != start.node.id) {
            // Whichever start it has now, it will say.
            let node = Incarnation { id: m.id, boot: crate::ident::BootId(0) };
            let mut entry = Entry::new(node, m.name, m.address, now.time);
            entry.met = true;
            entry.kept = Some((m.address, now.time));
            // Its silence counts from the last sign, however often this agent, or this machine with its clock, starts.
            entry.silent_before = Duration::from_micros(now.wall.0.saturating_sub(m.heard.0));
            directory.insert(entry);
        }
        Self {
            me: Sender { node: start.node, name: start.name, port: start.port },
            version: start.version,
            settings: start.settings,
            peers: start.peers,
            now: now.time,
            wall: now.wall,
            out: Vec::new(),
            shown,
            shown_kept,
            promise_kept: None,
            promise_begun: None,
            reign: None,
            past: VecDeque::new(),
            promised,
            promised_at: None,
            withdrawn: promised.filter(|p| p.withdrawn).map(|p| p.claim),
            heard_epoch: 0,
            heard_at: Wall(0),
            conns: Conns::default(),
            members: directory,
            links: Vec::new(),
            timers: Timers::default(),
            since: now.wall,
            seniority: (Duration::ZERO, now.time),
            writes: BTreeMap::new(),
            trouble: None,
            refused: Vec::new(),
            told: BTreeMap::new(),
            last_ticket: 0,
            last_nonce: 0,
            beat_seq: 0,
            draws: ChaCha8Rng::seed_from_u64(start.seed),
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

    /// A random duration up to `most`.
    pub(super) fn random(&mut self, most: Duration) -> Duration {
        let us = u64::try_from(most.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(self.draws.next_u64() % (us + 1))
    }

    pub(super) fn random_id(&mut self) -> NodeId {
        NodeId::from_random(u128::from(self.draws.next_u64()) << 64 | u128::from(self.draws.next_u64()))
    }

    pub(super) fn nonce(&mut self) -> u64 {
        self.last_nonce += 1;
        // Guessing it is no use to anybody, but two starts must not share them.
        self.me.node.boot.0.rotate_left(17) ^ self.last_nonce
    }

    pub(super) fn linked(&self) -> bool {
        !self.links.is_empty()
    }

    // ---- claims

    pub(super) fn shown_epoch(&self) -> u64 {
        self.shown.map_or(0, |c| c.epoch)
    }

    /// The highest epoch that this agent has promised or shown.
    pub(super) fn highest(&self) -> u64 {
        self.showing().map_or(0, |c| c.epoch).max(self.promised.map_or(0, |p| p.claim.epoch))
    }

    /// Takes note of a claim heard of on a connection. False when its epoch cannot be believed (§7).
    pub(super) fn believe(&mut self, claim: Claim) -> bool {
        self.believe_epoch(claim.epoch) && {
            self.heard_at = self.heard_at.max(claim.at);
            true
        }
    }

    pub(super) fn believe_epoch(&mut self, epoch: u64) -> bool {
        let credible = self.credible(epoch);
        if credible {
            self.heard_epoch = self.heard_epoch.max(epoch);
        }
        credible
    }

    /// Whether an epoch can be believed, which raises nothing.
    pub(super) fn credible(&mut self, epoch: u64) -> bool {
        let own = self.highest().max(self.heard_epoch);
        let credible = epoch <= own.saturating_add(limits::EPOCH_LEAP);
        if !credible {
            let text = format!("epoch {epoch} was not believed: it is far above this machine's epoch {own}");
            self.warn(Kind::IntruderIgnored, text, vec![]);
        }
        credible
    }

    /// The next claim of this agent: one above everything that it knows, and above `floor` (§7.1).
    pub(super) fn next_claim(&mut self, floor: u64) -> Claim {
        let epoch = self.highest().max(self.heard_epoch).max(floor).saturating_add(1);
        let at = Wall(self.wall.0.max(self.heard_at.0.saturating_add(1)));
        self.heard_at = at;
        Claim { epoch, at, node: self.me.node }
    }

    // ---- what users are told

    pub(super) fn tell(&mut self, kind: Kind, level: Level, cause: Option<Cause>, text: String, fields: Fields) {
        if !self.may_tell(kind) {
            return;
        }
        let epoch = self.shown_epoch();
        self.out.push(Output::Event(Event { kind, level, at: self.wall, epoch, cause, text, fields }));
    }

    /// What others can cause as often as they like is told so often and no more, until a second is over.
    fn may_tell(&mut self, kind: Kind) -> bool {
        use Kind::{
            ClaimBacked, ClaimRefused, CloneDetected, ClusterFull, IntruderIgnored, LeaderAnswered, LeaderSuspected,
        };
        let others =
            [ClaimBacked, ClaimRefused, CloneDetected, ClusterFull, IntruderIgnored, LeaderAnswered, LeaderSuspected];
        if !others.contains(&kind) {
            return true;
        }
        let now = self.now;
        let (since, count) = self.told.entry(kind).or_insert((now, 0));
        if now.since(*since) >= limits::HOUSE {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= limits::TOLD
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

    /// Ends the reign that history has open, and opens another.
    pub(super) fn enter_reign(&mut self, claim: Claim, story: &Story) -> Vec<Write> {
        let mut writes = self.end_reign();
        let reign = Reign {
            claim,
            name: story.name.clone(),
            began: self.wall,
            ended: None,
            cause: story.cause,
            text: story.text.clone(),
        };
        self.reign = Some(reign.clone());
        writes.push(Write::Reign(reign));
        writes
    }

    pub(super) fn end_reign(&mut self) -> Vec<Write> {
        let Some(mut old) = self.reign.take() else { return Vec::new() };
        old.ended = Some(self.wall);
        if self.past.len() >= limits::PAST {
            self.past.pop_front();
        }
        self.past.push_back(old.clone());
        vec![Write::Reign(old)]
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
        let conn = self.conns.dialled(route, purpose, self.now);
        self.out.push(Output::Dial { conn, to: route.hop });
        if route.via.is_some() {
            self.out.push(Output::Send { conn, frame: Frame::Via(crate::message::Via { to: route.to }) });
        }
        conn
    }

    pub(super) fn send(&mut self, conn: ConnId, frame: Frame) {
        for frame in self.conns.frames(conn, &self.me, frame) {
            self.out.push(Output::Send { conn, frame });
        }
    }

    pub(super) fn pipe_ready(&mut self, conn: ConnId) {
        for frame in self.conns.ready(conn) {
            self.out.push(Output::Send { conn, frame });
        }
    }

    pub(super) fn close(&mut self, conn: ConnId) {
        if self.conns.remove(conn).is_some() {
            self.out.push(Output::Close { conn });
        }
    }

    pub(super) fn peer(&self, conn: ConnId) -> Option<Incarnation> {
        self.conns.get(conn)?.peer.as_ref().map(|s| s.node)
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
        address.port() == self.me.port && self.links.iter().any(|l| l.addresses.contains(&address.ip()))
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
        let fails = self.trouble.is_some() && matches!(standing, Standing::Leads(_));
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
        let now = self.now;
        let Some(entry) = self.members.get_mut(from.node.id) else {
            if let Some(address) = address {
                let mut entry = Entry::new(from.node, from.name.clone(), address, now);
                entry.speaks_from(address, now, Duration::ZERO);
                entry.met = met;
                self.members.insert(entry);
            }
            return None;
        };
        let former = (entry.node.boot != from.node.boot).then_some(entry.node);
        entry.node = from.node;
        entry.met |= met;
        if entry.name != from.name {
            entry.name.clone_from(&from.name);
        }
        if let Some(address) = address {
            entry.speaks_from(address, now, self.settings.silence().max(limits::PING));
        }
        former.filter(|f| f.boot.0 != 0)
    }
}

/// The facts of an event.
pub(super) type Fields = Vec<(&'static str, Value)>;

/// A duration as a field, in microseconds.
pub(super) fn us(d: Duration) -> Value {
    Value::Number(u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}

/// An address that means something on one link only.
pub(super) fn link_local(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(a) if a.ip().segments()[0] & 0xffc0 == 0xfe80)
}

/// The scope of a link-local address does not travel: the teller's own scope is taken.
pub(super) fn localised(mut known: Known, from: SocketAddr) -> Known {
    if let (SocketAddr::V6(address), SocketAddr::V6(teller)) = (&mut known.address, from)
        && address.ip().segments()[0] & 0xffc0 == 0xfe80
        && address.scope_id() == 0
    {
        address.set_scope_id(teller.scope_id());
    }
    known
}

/// The same address, and its scope, with another port.
pub(super) fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}
