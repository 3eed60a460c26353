//! The node: one step at a time.

use super::base::{Base, Then};
use super::conns::Purpose;
use super::greetings::Greetings;
use super::role::{Listening, Role};
use super::timers::Timer;
use super::{Deadline, Input, MemberView, Output, RoleName, Start, Status, Who, directory, limits};
use crate::event::Kind;
use crate::ident::{ConnId, Incarnation, NodeId, Ticket};
use crate::message::{Frame, Known, Member, MemberState, Sender, Standing};
use crate::time::{Now, Time};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The protocol of one agent, pure. See [`crate::protocol`] for the contracts.
#[derive(Clone, Debug)]
pub struct Node {
    pub(super) base: Base,
    pub(super) role: Role,
    pub(super) greetings: Greetings,
    pub(super) stopping: bool,
    /// The member that was the last to be greeted by itself.
    pub(super) greeted: NodeId,
    /// Since when nobody leads whom this agent has heard on a connection.
    pub(super) leaderless: Option<Time>,
    /// Claims of others that may still be backed, and when that was counted.
    pub(super) backs: (u32, Time),
    /// Hellos that are still to be said after a change of address.
    pub(super) greet: u32,
    /// The store was told to be stuck.
    pub(super) stuck: bool,
    pub(super) veto: Option<super::election::Veto>,
    /// The canvass under way: of an election, or of a leader whose handover failed.
    pub(super) canvass: Option<Box<super::role::Canvassing>>,
    /// The reign that yielded to this agent last.
    pub(super) met_last: Option<crate::claim::Claim>,
    /// When this agent took new ids, the last ones. Bound: [`limits::NEW_IDS`].
    pub(super) renamed: Vec<Time>,
    /// When it last asked whose its id is: directly, and through another.
    pub(super) clone_asked: [Option<Time>; 2],
    /// Since when a leader with this agent's id is heard, and when it was last.
    pub(super) double: Option<(Time, Time)>,
    /// Lost canvasses in a row.
    pub(super) tries: u32,
    /// Claims made again at once after `Higher`.
    pub(super) higher: u32,
    stopped: bool,
    planned: Option<Time>,
}

/// Writes that fail for the same reason are told of again after so long.
const TROUBLE: Duration = Duration::from_secs(60);

/// Timers handled in one step: more than that would be a loop.
const DUE: usize = 256;

impl Node {
    /// A node that has just started; it does nothing until its first [`Input::Links`].
    pub fn new(start: Start, now: Now) -> Self {
        let mut base = Base::new(start, now);
        base.timers.set(Timer::House, now.time + limits::HOUSE * 5 / 4);
        Self {
            base,
            role: Role::Listening(Listening::default()),
            greetings: Greetings::default(),
            stopping: false,
            greeted: NodeId(uuid::Uuid::nil()),
            leaderless: None,
            backs: (limits::BACKS, now.time),
            greet: 0,
            stuck: false,
            veto: None,
            canvass: None,
            met_last: None,
            renamed: Vec::new(),
            clone_asked: [None; 2],
            double: None,
            tries: 0,
            higher: 0,
            stopped: false,
            planned: None,
        }
    }

    /// Takes one input, then whatever is due, and gives back what is to be done, in order.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        if self.stopped {
            return Vec::new();
        }
        self.base.now = self.base.now.max(now.time);
        self.base.wall = now.wall;
        if let Some(planned) = self.planned {
            self.own_gap(self.base.now.since(planned));
        }
        self.count_leaderless();
        self.input(input);
        // Housekeeping goes with what wakes this process anyway.
        self.base.timers.now_if_within(Timer::House, self.base.now, limits::HOUSE * 11 / 40);
        for round in 0.. {
            assert!(round < DUE, "timers are set in the past without end");
            let Some(timer) = self.base.timers.take_due(self.base.now) else { break };
            self.due(timer);
            if self.stopped {
                break;
            }
        }
        for then in std::mem::take(&mut self.base.refused) {
            self.store_failed(&then);
        }
        self.base.refused.clear();
        self.planned = self.base.timers.deadline().map(|(at, _)| at);
        std::mem::take(&mut self.base.out)
    }

    /// When to come back at the latest, and why.
    pub fn deadline(&self) -> Option<Deadline> {
        if self.stopped { None } else { self.base.timers.deadline() }
    }

    /// Who this agent says that it is; its id changes when another living agent has it too.
    pub fn sender(&self) -> &Sender {
        &self.base.me
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Tick => {}
            Input::Connected { conn } => {
                if self.base.conns.get(conn).is_some_and(|c| c.via().is_none()) {
                    self.meet_connected(conn);
                }
            }
            Input::Datagram { from, datagram } => self.datagram(from, datagram),
            Input::Accepted { conn, from } => self.accepted(conn, from),
            Input::Frame { conn, frame } => self.frame(conn, frame),
            Input::Closed { conn, how } => self.closed(conn, how),
            Input::Persisted { ticket } => self.persisted(ticket),
            Input::NotPersisted { ticket, why } => self.not_persisted(ticket, why),
            Input::Links(links) => self.links_changed(links),
            Input::Peers(peers) => self.peers_changed(peers),
            Input::Handover { request, to } => self.handover_asked(request, to),
            Input::Stop => self.stop(),
        }
    }

    fn due(&mut self, timer: Timer) {
        match timer {
            Timer::Hello => self.hello_due(),
            Timer::Join => self.join_over(),
            Timer::Hi => self.hi_due(),
            Timer::Alone => self.alone(),
            Timer::Silence => self.silence_due(),
            Timer::Ping => self.ping_due(),
            Timer::Pong => self.pong_missing(),
            Timer::Deaf => self.deaf_due(),
            Timer::Redial => self.redial_due(),
            Timer::Probe => self.probe_due(),
            Timer::Ask => self.ask_due(),
            Timer::Elect => self.elect_due(),
            Timer::Beat => self.beat_due(),
            Timer::Sweep => self.sweep_due(),
            Timer::List => self.list_due(),
            Timer::Meet => self.meet_due(),
            Timer::Handover => self.handing_due(),
            Timer::Check => self.check_due(),
            Timer::House => self.house_due(),
            Timer::Stop => self.stop_now(),
        }
    }

    fn accepted(&mut self, conn: ConnId, from: SocketAddr) {
        if self.base.conns.len() < limits::CONNS {
            self.base.conns.accepted(conn, from, self.base.now);
        } else {
            self.base.out.push(Output::Close { conn });
        }
    }

    fn persisted(&mut self, ticket: Ticket) {
        if self.base.trouble.take().is_some() {
            self.base.info(Kind::StoreTrouble, "this machine can write to its store again".to_owned(), vec![]);
            self.write_anew();
        }
        match self.base.written(ticket) {
            None | Some(Then::Nothing) => {}
            Some(Then::Say { conn, voice }) => {
                self.base.promise_durable(voice.claim);
                self.confirm(voice.claim);
                self.base.send(conn, Frame::Voice(voice));
            }
            Some(Then::OwnVoice(claim)) => {
                self.base.promise_durable(claim);
                self.own_voice(claim);
            }
            Some(Then::Shown(claim)) => self.base.shown_kept = self.base.shown_kept.max(Some(claim)),
            Some(Then::Show(claim)) => {
                self.base.shown_kept = self.base.shown_kept.max(Some(claim));
                self.show(claim);
            }
            Some(Then::Reign(claim)) => {
                self.base.shown_kept = self.base.shown_kept.max(Some(claim));
                self.reign_durable(claim);
            }
        }
    }

    fn not_persisted(&mut self, ticket: Ticket, why: String) {
        let Some(then) = self.base.written(ticket) else { return };
        let now = self.base.now;
        if self.base.trouble.as_ref().is_none_or(|(told, at)| *told != why || now.since(*at) >= TROUBLE) {
            let text = format!(
                "this machine cannot write to its store: {why}; until it can, it takes no role, backs nobody and \
                 shows no new leader"
            );
            self.base.warn(Kind::StoreTrouble, text, vec![]);
            self.base.trouble = Some((why, now));
        }
        self.store_failed(&then);
    }

    /// Whether a disk that could not be written can be written again shows when it is tried.
    pub(super) fn try_disk(&mut self) {
        if self.canvass.is_none() && self.base.trouble.is_some() && self.base.store_age().is_zero() {
            self.write_anew();
        }
    }

    /// What was to be remembered while the store could not be written is on no disk.
    fn write_anew(&mut self) {
        for entry in self.base.members.iter_mut() {
            entry.kept = None;
        }
        let reigns: Vec<_> = self.base.past.iter().chain(&self.base.reign).cloned().map(super::Write::Reign).collect();
        let promise = self.base.promised.map(super::Write::Promised);
        let writes: Vec<_> = self.base.show_kept().into_iter().chain(promise).chain(reigns).collect();
        if writes.is_empty() {
            // Nothing is missing on the disk: what it takes shows when there is something.
            self.base.trouble = None;
        } else {
            self.base.persist(writes, self.base.shown.map_or(Then::Nothing, Then::Shown));
        }
    }

    /// The node is done.
    pub(super) fn end(&mut self) {
        self.base.out.push(Output::Stopped);
        self.stopped = true;
    }

    /// Ends what the present role has going, before another is taken: its connections, but for those to keep.
    pub(super) fn leave_role(&mut self, keep: &[ConnId]) {
        self.base.timers.clear_role();
        self.canvass = None;
        let over: Vec<ConnId> = self
            .base
            .conns
            .iter()
            .filter(|(id, c)| !keep.contains(id) && !matches!(c.purpose, Purpose::Incoming | Purpose::Piped))
            .map(|(id, _)| id)
            .collect();
        for conn in over {
            self.base.close(conn);
        }
    }

    // ---- how this agent stands

    /// What this agent tells others of its leader, itself included.
    pub(super) fn known(&self) -> Option<Known> {
        match &self.role {
            Role::Leading(l) => Some(self.known_self(l.claim)),
            Role::Following(f) if f.settled || f.confirmed => {
                // Where another of its id lives nobody is sent for it.
                let entry = self.base.members.get(f.claim.node.id)?;
                let nowhere = entry.is_anothers(f.claim.node.boot);
                let address = if nowhere {
                    SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), entry.address.port())
                } else {
                    entry.home(f.claim.node.boot)
                };
                let direct = f.direct(self.base.now, self.base.settings.suspicion());
                Some(Known { claim: f.claim, name: f.name.clone(), address, direct })
            }
            _ => None,
        }
    }

    /// This agent as a leader; whoever is told takes the address from the connection.
    pub(super) fn known_self(&self, claim: crate::claim::Claim) -> Known {
        let address = (Ipv4Addr::UNSPECIFIED, self.base.me.port).into();
        Known { claim, name: self.base.me.name.clone(), address, direct: true }
    }

    pub(super) fn standing(&self) -> Standing {
        match (&self.role, self.known()) {
            (Role::Leading(l), _) if l.check.is_none() => Standing::Leads(l.claim),
            (Role::Following(_), Some(known)) => Standing::Follows(known),
            _ => Standing::Neither,
        }
    }

    /// Whether this agent may take the role.
    pub(super) fn may_lead(&self) -> bool {
        self.base.settings.priority > 0 && !self.stopping
    }

    /// Whether this agent would claim: it may take the role, and its disk works (§7).
    pub(super) fn fit(&self) -> bool {
        self.may_lead() && self.base.disk_works()
    }

    // ---- what users see

    fn who(&self, node: Incarnation) -> Who {
        if node.id == self.base.me.node.id {
            let address = self.base.links.first().and_then(|l| l.addresses.first());
            let address = address.map(|ip| SocketAddr::new(*ip, self.base.me.port));
            return Who { node, name: self.base.me.name.clone(), address };
        }
        let entry = self.base.members.get(node.id);
        // What its double is called, and where that is, is not the leader's.
        let name = match &self.role {
            Role::Following(f) if f.claim.node == node => f.name.clone(),
            _ => entry.map_or_else(|| node.id.short(), |e| e.name.clone()),
        };
        Who { node, name, address: entry.filter(|e| !e.is_anothers(node.boot)).map(|e| e.home(node.boot)) }
    }

    /// The leader that users are shown.
    fn leader(&self) -> Option<Incarnation> {
        match &self.role {
            Role::Leading(l) => Some(l.claim.node),
            Role::Following(f) if f.settled => Some(f.claim.node),
            _ => None,
        }
    }

    fn successor(&self) -> Option<Incarnation> {
        match &self.role {
            Role::Leading(l) => l.successor,
            Role::Following(f) if f.settled => f.successor,
            _ => None,
        }
    }

    /// A snapshot for users.
    pub fn status(&self) -> Status {
        let via = match &self.role {
            Role::Following(f) => f.session.as_ref().and_then(|s| s.via),
            _ => None,
        };
        let via = via.and_then(|id| self.base.members.get(id)).map(|e| self.who(e.node));
        Status {
            node: self.base.me.node,
            role: self.role.name(),
            shown: self.base.shown,
            leader: self.leader().map(|n| self.who(n)),
            successor: self.successor().map(|n| self.who(n)),
            via,
            since: self.base.since,
            members: 1 + self.base.members.iter().filter(|e| e.state != MemberState::Left).count(),
        }
    }

    /// This agent as a member.
    pub(super) fn myself(&self) -> Member {
        let who = self.who(self.base.me.node);
        let address = who.address.unwrap_or((Ipv4Addr::UNSPECIFIED, self.base.me.port).into());
        let mut entry = directory::Entry::new(self.base.me.node, who.name, address, self.base.now);
        entry.state = MemberState::Alive;
        entry.priority = self.base.settings.priority;
        entry.version.clone_from(&self.base.version);
        entry.seniority = self.base.seniority;
        if let Role::Following(f) = &self.role
            && let Some(session) = &f.session
        {
            entry.rtt_us = session.rtt_us;
            entry.via = session.via;
        }
        entry.to_member(self.base.now)
    }

    /// Every member that this agent knows, itself included, in the order of succession: the leader first, then the line,
    /// then the others.
    pub fn members(&self, now: Now) -> Vec<MemberView> {
        let mut all: Vec<Member> = self.base.members.iter().map(|e| e.to_member(now.time)).collect();
        all.push(self.myself());
        let leader = self.leader().map(|n| n.id);
        let named = self.successor().map(|n| n.id);
        let line = directory::line(all.iter().filter(|m| Some(m.node.id) != leader), named);
        let places: BTreeMap<NodeId, usize> = line.iter().enumerate().map(|(i, (id, _))| (*id, i)).collect();
        let rank = |id: NodeId| places.get(&id).copied();
        all.sort_by_key(|m| (Some(m.node.id) != leader, rank(m.node.id).unwrap_or(usize::MAX), m.node.id));
        all.into_iter()
            .map(|member| {
                let id = member.node.id;
                let place = rank(id);
                let own = id == self.base.me.node.id;
                let role = if own {
                    self.role.name()
                } else if Some(id) == leader {
                    RoleName::Leading
                } else {
                    RoleName::Following
                };
                let because = match place {
                    Some(i) => line[i].1.clone(),
                    None if Some(id) == leader => "leads".to_owned(),
                    None if member.priority == 0 => "priority 0 never leads".to_owned(),
                    None => match member.state {
                        MemberState::Alive => "is catching up".to_owned(),
                        MemberState::Silent => "is silent".to_owned(),
                        MemberState::Left => "has left".to_owned(),
                    },
                };
                let heard = if own { Some(Duration::ZERO) } else { self.last_sign(id).map(|t| now.time.since(t)) };
                MemberView { member, role, successor: Some(id) == named, heard, place: place.map(|p| p + 1), because }
            })
            .collect()
    }

    /// The last sign of a member, by datagram, connection or session.
    fn last_sign(&self, id: NodeId) -> Option<Time> {
        let session = match &self.role {
            // Zero stands for one that has yet to speak since the network came back.
            Role::Leading(l) => l.sessions.get(&id).map(|s| s.spoke).filter(|t| t.0 > 0),
            Role::Following(f) if f.claim.node.id == id && f.session.is_some() => Some(f.heard),
            _ => None,
        };
        self.base.members.get(id).and_then(|e| e.heard).max(session)
    }

    /// Whether a canvass of this agent is under way.
    pub(super) fn canvassing(&self) -> bool {
        self.canvass.is_some()
    }
}
