//! Following a leader: the session, its pings, and the ways to it (protocol §6).

use super::base::{Fields, Then, us};
use super::conns::{Conn, Purpose, Route};
use super::directory::Entry;
use super::discovery::Target;
use super::role::{Doubt, Following, Listening, Lost, Phase, ROUTES, Role, Session};
use super::timers::Timer;
use super::{Closed, Node, Promise, Write, limits};
use crate::change::Holding;
use crate::claim::Claim;
use crate::event::{Kind, Level};
use crate::ident::{ConnId, Node as Ident, NodeId};
use crate::message::{
    Frame, Heartbeat, Join, Joined, Known, Member, MemberState, Members, Named, NotJoined, Ping, Pong, Reigns, Standing,
};
use crate::time::ms;
use std::net::SocketAddr;

impl Node {
    /// Follows a leader: at once when a connection confirmed it, otherwise as soon as its session does.
    pub(super) fn follow(&mut self, target: Target) {
        let Target { known, relay, confirmed, conn, successor } = target;
        if known.claim.node.id == self.base.me.node.id {
            return;
        }
        let conn = conn.or_else(|| self.open_conn(known.claim.node));
        let after = self.withdraw_for_leader();
        self.leave_role(conn.as_slice());
        self.meet_member(&known);
        let now = self.base.now;
        self.role = Role::Following(Following {
            claim: known.claim,
            settled: false,
            confirmed,
            story: None,
            name: known.name,
            successor,
            heard: now,
            broadcast: now,
            session: None,
            dials: Vec::new(),
            relay,
            listed: false,
            full: false,
            asking: None,
            others: std::collections::BTreeMap::new(),
            tellers: Vec::new(),
            hint: None,
            after,
            released: None,
            followers: 0,
            requests: std::collections::BTreeSet::new(),
            probe: None,
        });
        if self.base.shown != Some(known.claim) {
            let ended = self.base.end_reign();
            if !ended.is_empty() {
                self.base.persist(ended, Then::Nothing);
            }
        }
        self.base.timers.set(Timer::Silence, now + self.base.settings.suspicion());
        if !self.base.linked() && !self.base.timers.is_set(Timer::Alone) {
            self.base.timers.set(Timer::Alone, now + limits::LINK_LOST);
        }
        if confirmed {
            self.confirm(known.claim);
        }
        match conn {
            Some(conn) => self.join_on(conn),
            None => self.dial_session(),
        }
    }

    /// A connection to a member that stands already: the claimant's canvass becomes the session (§7.5).
    fn open_conn(&self, node: Ident) -> Option<ConnId> {
        let fits = |c: &Conn| {
            c.purpose == Purpose::Incoming && c.via().is_none() && c.peer.as_ref().is_some_and(|p| p.node == node)
        };
        self.base.conns.iter().find(|(_, c)| fits(c)).map(|(id, _)| id)
    }

    /// Leaves whatever election this agent was in, its own claim withdrawn, and gives what was lost.
    fn withdraw_for_leader(&mut self) -> Option<Lost> {
        match &self.role {
            Role::Electing(e) => {
                let lost = e.lost.clone();
                if let Phase::Canvass(c) = &e.phase {
                    let claim = c.claim;
                    self.withdraw(claim, "there is a leader");
                }
                lost
            }
            Role::Following(f) => f.after.clone(),
            _ => None,
        }
    }

    /// Withdraws an own claim for good (§7.3).
    pub(super) fn withdraw(&mut self, claim: Claim, why: &str) {
        if self.base.promised.is_some_and(|p| p.claim == claim && !p.withdrawn) {
            self.base.withdrawn = Some(claim);
            self.base.promise(Promise { claim, withdrawn: true }, Then::Nothing);
            let text = format!("this machine withdrew its claim of epoch {}: {why}", claim.epoch);
            self.base.info(Kind::ClaimWithdrawn, text, vec![("claimed", claim.epoch.into())]);
        }
    }

    /// Enters the leader into the directory, when nothing was heard from it directly.
    fn meet_member(&mut self, known: &Known) {
        let now = self.base.now;
        let id = known.claim.node.id;
        let direct = !known.address.ip().is_unspecified();
        match self.base.members.get_mut(id) {
            Some(entry) => {
                if direct && !entry.heard_within(limits::SILENT, now) {
                    entry.address = known.address;
                }
                entry.node = known.claim.node;
            }
            None if direct => {
                let mut entry = Entry::new(known.claim.node, known.name.clone(), known.address, now);
                entry.state = MemberState::Alive;
                self.base.members.insert(entry);
            }
            None => {}
        }
    }

    /// A connection has said that this claim leads: shown as soon as that is durable (P3).
    pub(super) fn confirm(&mut self, claim: Claim) {
        let Role::Following(f) = &mut self.role else { return };
        if f.claim != claim || f.settled {
            return;
        }
        f.confirmed = true;
        if self.base.acceptable(claim) {
            if self.base.shown == Some(claim) {
                self.show(claim);
            } else {
                self.base.persist(vec![Write::Shown(claim)], Then::Show(claim));
            }
        }
    }

    /// The reign that is followed is durable: users see it.
    pub(super) fn show(&mut self, claim: Claim) {
        if !self.base.acceptable(claim) {
            return;
        }
        self.base.shown = Some(claim);
        let Role::Following(f) = &mut self.role else { return };
        if f.claim != claim || f.settled {
            return;
        }
        f.settled = true;
        self.base.since = self.base.wall;
        let after = f.after.take();
        let name = f.name.clone();
        let story = f.story.clone();
        let mut fields: Fields = vec![("leader", name.clone().into())];
        let mut text = format!("following {name}: epoch {}", claim.epoch);
        if let Some(lost) = &after {
            text = format!("{text}, {} after {} was lost", ms(self.base.now.since(lost.noticed)), lost.name);
            fields.push(("since_first_sign_us", us(self.base.now.since(lost.noticed))));
        }
        let cause = story.as_ref().map(|s| s.cause).or(after.map(|l| l.cause));
        self.base.tell(Kind::Following, Level::Info, cause, text, fields);
        if let Some(story) = story {
            self.write_reign(claim, &story);
        }
    }

    fn write_reign(&mut self, claim: Claim, story: &crate::message::Story) {
        if self.base.reign.as_ref().is_some_and(|r| r.claim == claim) {
            return;
        }
        let writes = self.base.enter_reign(claim, story);
        self.base.persist(writes, Then::Nothing);
    }

    // ---- the session

    /// The ways to the leader: directly, and through another when that is known to be needed.
    pub(super) fn routes(&self, round: u32) -> Vec<Route> {
        let Role::Following(f) = &self.role else { return Vec::new() };
        let to = f.claim.node.id;
        let mut routes: Vec<Route> = self.base.direct(to).into_iter().collect();
        if let Some(relay) = f.relay {
            routes.extend(self.base.through(to, relay));
            let mut others: Vec<NodeId> = self
                .base
                .members
                .iter()
                .filter(|e| e.via.is_none() && e.state == MemberState::Alive)
                .map(|e| e.node.id)
                .filter(|id| *id != to && *id != relay)
                .collect();
            if !others.is_empty() {
                let turn = round as usize % others.len();
                others.rotate_left(turn);
            }
            routes.extend(others.into_iter().filter_map(|id| self.base.through(to, id)).take(ROUTES - 2));
        }
        routes
    }

    pub(super) fn dial_session(&mut self) {
        let Role::Following(f) = &self.role else { return };
        if f.full || !f.dials.is_empty() {
            return;
        }
        let routes = self.routes(0);
        for route in routes.into_iter().take(ROUTES) {
            let join = self.join_frame(route.via);
            let conn = self.base.dial(route, Purpose::Session, join);
            if let Role::Following(f) = &mut self.role {
                f.dials.push(conn);
            }
        }
    }

    fn join_on(&mut self, conn: ConnId) {
        if let Some(state) = self.base.conns.get_mut(conn) {
            state.purpose = Purpose::Session;
        }
        let join = self.join_frame(None);
        self.base.send(conn, join);
        if let Role::Following(f) = &mut self.role {
            f.dials.push(conn);
        }
    }

    fn join_frame(&self, via: Option<NodeId>) -> Frame {
        let claim = match &self.role {
            Role::Following(f) => f.claim,
            Role::Electing(e) => e.lost.as_ref().map_or(self.base.shown, |l| Some(l.claim)).expect("a reign to join"),
            _ => self.base.shown.expect("a reign to join"),
        };
        Frame::Join(Join {
            claim,
            shown: self.base.shown,
            priority: self.base.settings.priority,
            version: self.base.version.clone(),
            holding: Holding::default(),
            via,
        })
    }

    /// Dials the silent leader through a member that reaches it, alongside the election (§6).
    pub(super) fn try_through(&mut self, relay: NodeId) {
        let Role::Electing(e) = &self.role else { return };
        let Some(lost) = &e.lost else { return };
        if !matches!(lost.cause, crate::event::Cause::Silent | crate::event::Cause::CutOff) || e.side.len() >= ROUTES {
            return;
        }
        let Some(route) = self.base.through(lost.claim.node.id, relay) else { return };
        let join = self.join_frame(Some(relay));
        let conn = self.base.dial(route, Purpose::Session, join);
        if let Role::Electing(e) = &mut self.role {
            e.side.push(conn);
            e.relay = Some(relay);
        }
    }

    /// The leader that was only silent speaks again: back to it.
    pub(super) fn resume(&mut self, mut target: Target) {
        let Role::Electing(e) = &self.role else { return };
        target.relay = target.relay.or(e.relay);
        let text = format!("leader {} is back: it was only silent", target.known.name);
        self.base.info(Kind::LeaderAnswered, text, vec![("leader", target.known.name.clone().into())]);
        self.follow(target);
    }

    pub(super) fn joined(&mut self, conn: ConnId, joined: Joined) {
        let Some(peer) = self.base.peer(conn) else { return };
        let Some(state) = self.base.conns.get(conn) else { return };
        let via = state.via();
        if state.purpose != Purpose::Session || joined.claim.node != peer || !self.base.believe(joined.claim) {
            return self.base.close(conn);
        }
        if let Role::Electing(e) = &self.role {
            if !e.side.contains(&conn) || matches!(&e.phase, Phase::Canvass(c) if c.won) {
                return self.base.close(conn);
            }
            return self.side_joined(conn, joined, via);
        }
        let now = self.base.now;
        let Role::Following(f) = &mut self.role else { return self.base.close(conn) };
        if !f.dials.contains(&conn) || f.claim.node.id != peer.id || joined.claim < f.claim && f.settled {
            return self.base.close(conn);
        }
        let others: Vec<ConnId> = f.dials.drain(..).filter(|c| *c != conn).collect();
        let old = f.session.take().map(|s| s.conn);
        let was_via = f.relay.is_some() && f.listed;
        f.session = Some(Session { conn, via, seq: 0, ping: None, rtt_us: None, deaf: false });
        f.heard = now;
        f.listed = true;
        f.successor = joined.successor;
        f.relay = via;
        let name = joined.story.name.clone();
        f.name.clone_from(&name);
        for conn in others.into_iter().chain(old) {
            self.base.close(conn);
        }
        self.new_reign(joined.claim, joined.story);
        self.take_list(joined.members);
        self.way_known(via, was_via, &name);
        // It counts from the moment that this agent speaks after the answer.
        self.ping_due();
    }

    /// Tells users by which way the leader is reached, when that changed, and tries the direct one from now on.
    fn way_known(&mut self, via: Option<NodeId>, was: bool, name: &str) {
        if let Some(relay) = via {
            let through = self.base.name(relay);
            if !was {
                let text = format!("leader {name} is reached through {through}: there is no direct way");
                self.base.warn(Kind::Relayed, text, vec![("via", through.into())]);
            }
            self.base.timers.set(Timer::Probe, self.base.now + limits::PROBE);
        } else {
            self.base.timers.clear(Timer::Probe);
            if was {
                let text = format!("leader {name} is reached directly again");
                self.base.info(Kind::Relayed, text, vec![("via", "".into())]);
            }
        }
    }

    fn side_joined(&mut self, conn: ConnId, joined: Joined, via: Option<NodeId>) {
        let name = joined.story.name.clone();
        let Some(address) = self.base.members.get(joined.claim.node.id).map(|e| e.address) else { return };
        let known = Known { claim: joined.claim, name, address, direct: true };
        self.resume(Target { known, relay: via, confirmed: true, conn: Some(conn), successor: joined.successor });
        self.joined(conn, joined);
    }

    /// The leader's reign as the session tells it.
    fn new_reign(&mut self, claim: Claim, story: crate::message::Story) {
        let Role::Following(f) = &mut self.role else { return };
        f.story = Some(story.clone());
        if f.claim != claim {
            f.claim = claim;
            f.settled = false;
            f.confirmed = true;
        }
        if f.settled {
            return self.write_reign(claim, &story);
        }
        self.confirm(claim);
    }

    pub(super) fn leader_reigns(&mut self, conn: ConnId, reigns: Reigns) {
        if self.on_session(conn) && self.base.peer(conn) == Some(reigns.claim.node) && self.base.believe(reigns.claim) {
            self.new_reign(reigns.claim, reigns.story);
        }
    }

    pub(super) fn not_joined(&mut self, conn: ConnId, why: NotJoined) {
        let from = self.base.conns.get(conn).map(|c| c.address);
        if self.base.conns.get(conn).is_none_or(|c| c.purpose != Purpose::Session) {
            return;
        }
        self.base.close(conn);
        let Role::Following(f) = &mut self.role else {
            if let Role::Electing(e) = &mut self.role {
                e.side.retain(|c| *c != conn);
            }
            return;
        };
        f.dials.retain(|c| *c != conn);
        let claim = f.claim;
        match why {
            NotJoined::Cloned => self.cloned(),
            NotJoined::Full => {
                f.full = true;
                let text = format!("the cluster is full: following {} by heartbeat alone", f.name);
                self.base.warn(Kind::ClusterFull, text, vec![]);
                self.confirm(claim);
            }
            NotJoined::NotLeader(Standing::Follows(known)) if known.claim.node.id != self.base.me.node.id => {
                let known = super::base::localised(known, from.unwrap_or(known_address()));
                if known.claim > claim || known.claim.node != claim.node {
                    self.lead_moved(known);
                }
            }
            NotJoined::NotLeader(_) => self.doubt(Doubt::Broken),
        }
    }

    /// The one that was followed names another leader: that one is followed, once (§6).
    pub(super) fn lead_moved(&mut self, known: Known) {
        if known.claim.node.id == self.base.me.node.id || known.address.ip().is_unspecified() {
            return self.doubt(Doubt::Broken);
        }
        self.follow(Target { known, relay: None, confirmed: false, conn: None, successor: None });
    }

    /// Another living agent has this id (§4).
    pub(super) fn cloned(&mut self) {
        let old = self.base.me.node.id;
        let id = self.base.random_id();
        self.base.me.node.id = id;
        self.base.persist(vec![Write::Identity(id)], Then::Nothing);
        let text = format!("another living agent has the id {}: this one takes a new one", old.short());
        self.base.warn(Kind::CloneDetected, text, vec![("id", id.to_string().into()), ("was", old.to_string().into())]);
        // The promises of the old id stay promises; its own claims are nobody's now.
        self.leave_role(&[]);
        self.listen(Listening::default());
    }

    pub(super) fn session_closed(&mut self, conn: ConnId, state: &Conn, how: Closed) {
        match &mut self.role {
            Role::Electing(e) => e.side.retain(|c| *c != conn),
            Role::Following(f) => {
                let dialled = f.dials.contains(&conn);
                f.dials.retain(|c| *c != conn);
                if f.session.as_ref().is_some_and(|s| s.conn == conn) {
                    f.session = None;
                    self.base.timers.clear(Timer::Ping);
                    self.base.timers.clear(Timer::Pong);
                    return self.doubt(Doubt::Broken);
                }
                if !dialled || f.session.is_some() || !f.dials.is_empty() {
                    return;
                }
                let refused = how == Closed::Refused && state.via().is_none();
                self.base.timers.sooner(Timer::Redial, self.base.now + self.base.settings.interrogation());
                if refused || how == Closed::Reset {
                    self.doubt(Doubt::Broken);
                }
            }
            _ => {}
        }
    }

    pub(super) fn on_session(&mut self, conn: ConnId) -> bool {
        let now = self.base.now;
        let Role::Following(f) = &mut self.role else { return false };
        let yes = f.session.as_ref().is_some_and(|s| s.conn == conn);
        if yes {
            f.heard = now;
        }
        yes
    }

    // ---- signs of life

    /// The leader's own heartbeat was heard, by whatever way.
    pub(super) fn leader_beats(&mut self, successor: Option<Ident>) {
        let now = self.base.now;
        let suspicion = self.base.settings.suspicion();
        let Role::Following(f) = &mut self.role else { return };
        f.heard = now;
        if f.successor != successor {
            f.successor = successor;
            self.tell_successor();
        }
        let Role::Following(f) = &mut self.role else { return };
        self.base.timers.set(Timer::Silence, now + suspicion);
        if f.session.is_some() {
            self.base.timers.set(Timer::Deaf, f.broadcast + suspicion * 5 / 9);
        } else if f.dials.is_empty() && !f.full && f.asking.is_none() {
            self.base.timers.sooner(Timer::Redial, now + self.base.settings.interrogation());
        }
        if f.asking.as_ref().is_some_and(|a| a.doubt == Doubt::Silence && a.datagram) {
            self.leader_alive("it beats again");
        }
    }

    pub(super) fn session_beat(&mut self, conn: ConnId, beat: &Heartbeat) {
        let ours = matches!(&self.role, Role::Following(f) if f.claim == beat.claim);
        if self.on_session(conn) && ours {
            self.leader_beats(beat.successor);
        }
    }

    pub(super) fn named(&mut self, conn: ConnId, named: &Named) {
        if !self.on_session(conn) {
            return;
        }
        let Role::Following(f) = &mut self.role else { return };
        if f.claim == named.claim && f.successor != named.successor {
            f.successor = named.successor;
            self.tell_successor();
        }
    }

    fn tell_successor(&mut self) {
        let Role::Following(f) = &self.role else { return };
        let named = f.successor;
        match named {
            Some(node) => {
                let name = self.base.name(node.id);
                let own = if node == self.base.me.node { " (this machine)" } else { "" };
                let text = format!("successor is {name}{own}");
                self.base.info(Kind::SuccessorNamed, text, vec![("successor", name.into())]);
            }
            None => self.base.info(Kind::SuccessorNone, "there is no successor".to_owned(), vec![]),
        }
    }

    /// No heartbeat has come by datagram: the leader is asked to send them on the session.
    pub(super) fn deaf_due(&mut self) {
        let Role::Following(f) = &self.role else { return };
        if f.session.as_ref().is_some_and(|s| !s.deaf) {
            self.ping_due();
        }
    }

    pub(super) fn ping_due(&mut self) {
        let now = self.base.now;
        let patience = self.base.settings.suspicion() * 5 / 9;
        let Role::Following(f) = &mut self.role else { return };
        let deaf = now.since(f.broadcast) >= patience;
        let Some(session) = &mut f.session else { return };
        session.deaf = deaf;
        session.seq += 1;
        if session.ping.is_none() {
            session.ping = Some((session.seq, now));
            self.base.timers.set(Timer::Pong, now + self.base.settings.unanswered());
        }
        let ping = Ping { seq: session.seq, deaf, rtt_us: session.rtt_us, position: 0 };
        let conn = session.conn;
        self.base.send(conn, Frame::Ping(ping));
        self.base.timers.set(Timer::Ping, now + limits::PING);
    }

    pub(super) fn ponged(&mut self, conn: ConnId, pong: &Pong) {
        if !self.on_session(conn) {
            return;
        }
        let now = self.base.now;
        let Role::Following(f) = &mut self.role else { return };
        let Some(session) = &mut f.session else { return };
        let Some((seq, sent)) = session.ping else { return };
        if pong.seq < seq {
            return;
        }
        if pong.seq == seq {
            let rtt = u64::try_from(now.since(sent).as_micros()).unwrap_or(u64::MAX);
            let first = session.rtt_us.is_none();
            session.rtt_us = Some(session.rtt_us.map_or(rtt, |old| (old * 3 + rtt) / 4));
            if first {
                // The leader orders its line by it.
                self.base.timers.sooner(Timer::Ping, now + self.base.settings.heartbeat());
            }
        }
        session.ping = None;
        self.base.timers.clear(Timer::Pong);
    }

    pub(super) fn pong_missing(&mut self) {
        self.doubt(Doubt::Unanswered);
    }

    // ---- the member list

    fn take_list(&mut self, members: Vec<Member>) {
        let listed: std::collections::BTreeSet<NodeId> = members.iter().map(|m| m.node.id).collect();
        for entry in self.base.members.iter_mut() {
            if !listed.contains(&entry.node.id) && entry.state == MemberState::Alive {
                entry.state = MemberState::Silent;
            }
        }
        for member in members {
            self.take_member(member, false);
        }
    }

    pub(super) fn members_changed(&mut self, conn: ConnId, members: Members) {
        if !self.on_session(conn) {
            return;
        }
        for member in members.changed {
            self.take_member(member, true);
        }
        for id in members.gone {
            let heard = self.base.members.get(id).is_some_and(|e| e.heard_within(limits::SILENT, self.base.now));
            if !heard && self.base.members.remove(id).is_some() && self.base.disk_has_room() {
                self.base.persist(vec![Write::Forget(id)], Then::Nothing);
            }
        }
    }

    fn take_member(&mut self, m: Member, tell: bool) {
        let now = self.base.now;
        let counted = (std::time::Duration::from_millis(m.seniority_ms), now);
        if m.node.id == self.base.me.node.id {
            self.base.seniority = counted;
            return;
        }
        let leader = matches!(&self.role, Role::Following(f) if f.claim.node.id == m.node.id);
        let known = self.base.members.get(m.node.id).is_some();
        if !known && m.address.ip().is_unspecified() {
            return;
        }
        if !known {
            self.base.members.insert(Entry::new(m.node, m.name.clone(), m.address, now));
        }
        let Some(entry) = self.base.members.get_mut(m.node.id) else { return };
        let was = if known { entry.state } else { MemberState::Silent };
        if !entry.heard_within(limits::SILENT, now) && !m.address.ip().is_unspecified() {
            entry.address = m.address;
            entry.node = m.node;
        }
        entry.name = m.name;
        entry.version = m.version;
        entry.priority = m.priority;
        entry.state = m.state;
        entry.whole = m.whole;
        entry.position = m.position;
        entry.rtt_us = m.rtt_us;
        entry.via = m.via;
        entry.seniority = counted;
        if tell && was != m.state && !leader {
            self.tell_member(m.node.id, m.state);
        }
    }

    pub(super) fn tell_member(&mut self, id: NodeId, state: MemberState) {
        let name = self.base.name(id);
        let fields: Fields = vec![("member", name.clone().into())];
        match state {
            MemberState::Alive => self.base.info(Kind::MemberJoined, format!("{name} is there"), fields),
            MemberState::Silent => self.base.warn(Kind::MemberSilent, format!("{name} does not answer"), fields),
            MemberState::Left => self.base.info(Kind::MemberLeft, format!("{name} has left"), fields),
        }
    }

    /// The leader yields: it says where to go (§9).
    pub(super) fn leader_yields(&mut self, conn: ConnId, known: Known) {
        if !self.on_session(conn) || known.claim.node.id == self.base.me.node.id || !self.base.believe(known.claim) {
            return;
        }
        let relay = self.base.peer(conn).map(|n| n.id);
        self.follow(Target { known, relay, confirmed: false, conn: None, successor: None });
    }

    // ---- other leaders

    /// A follower never chooses between two living leaders: it reports the other to its own (§9).
    pub(super) fn heard_other(&mut self, known: Known, from: SocketAddr, relay: Option<NodeId>) {
        let now = self.base.now;
        let again = self.base.heartbeat() * 4;
        let Role::Following(f) = &mut self.role else { return };
        if known.claim.node.id == f.claim.node.id || known.claim.node.id == self.base.me.node.id {
            return;
        }
        let id = known.claim.node.id;
        if f.others.len() >= limits::OTHERS && !f.others.contains_key(&id) {
            f.others.retain(|_, (_, heard, _)| now.since(*heard) < again);
            if f.others.len() >= limits::OTHERS {
                return;
            }
        }
        // Heard from its own mouth, it is reached directly; told by a member, only that member may reach it.
        let mut known = super::base::localised(known, from);
        known.direct = relay.is_none();
        let reported = f.others.get(&id).and_then(|(_, _, at)| *at);
        let due = reported.is_none_or(|at| now.since(at) >= again);
        let session = f.session.as_ref().map(|s| s.conn);
        let told = if due && session.is_some() { Some(now) } else { reported };
        f.others.insert(id, (known.clone(), now, told));
        if due && let Some(conn) = session {
            self.base.send(conn, Frame::Report(known));
        }
    }

    // ---- the direct way

    pub(super) fn probe_closed(&mut self, conn: ConnId) {
        if let Role::Following(f) = &mut self.role
            && f.probe.is_some_and(|(c, _)| c == conn)
        {
            f.probe = None;
        }
    }

    /// Whoever goes through another asks the leader directly too (§6).
    pub(super) fn probe_due(&mut self) {
        let nonce = self.base.nonce();
        let Role::Following(f) = &self.role else { return };
        if f.session.as_ref().is_none_or(|s| s.via.is_none()) {
            return;
        }
        let node = f.claim.node;
        let old = f.probe;
        if let Some((conn, _)) = old {
            self.base.close(conn);
        }
        self.base.timers.set(Timer::Probe, self.base.now + limits::PROBE);
        let Some(route) = self.base.direct(node.id) else { return };
        let question = Frame::Question(crate::message::Question { nonce, to: node });
        let conn = self.base.dial(route, Purpose::Probe, question);
        if let Role::Following(f) = &mut self.role {
            f.probe = Some((conn, nonce));
        }
    }

    /// The leader answered directly: that way is the way from then on.
    pub(super) fn direct_again(&mut self) {
        let Role::Following(f) = &mut self.role else { return };
        if !f.dials.is_empty() {
            return;
        }
        let Some(route) = self.base.direct(f.claim.node.id) else { return };
        let join = self.join_frame(None);
        let conn = self.base.dial(route, Purpose::Session, join);
        if let Role::Following(f) = &mut self.role {
            f.dials.push(conn);
        }
    }
}

/// Stands for an address that nobody told.
fn known_address() -> SocketAddr {
    (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
}
