//! Two living agents with one id (protocol §4): asking whose it is, and taking a new one.

use super::role::{Leading, Role};
use super::timers::Timer;
use super::ways::{Purpose, Route};
use super::writes::Then;
use super::{Node, Write, limits};
use crate::claim::Claim;
use crate::event::Kind;
use crate::ident::{ConnId, Incarnation, NodeId};
use crate::message::{Check, Frame, Join, NotJoined};
use crate::time::{Time, Wall};
use std::net::SocketAddr;
use std::time::Duration;

/// What doubles cost this agent.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubles {
    /// When this agent took new ids, the last ones. Bound: [`limits::NEW_IDS`].
    renamed: Vec<Time>,
    /// When it last asked whose its id is: directly, and through another.
    asked: [Option<Time>; 2],
    /// Since when a leader with this agent's id is heard, and when it was last.
    heard: Option<(Time, Time)>,
}

impl Doubles {
    /// A leader with this agent's id was heard. Gives since when, without a break longer than to `lately`.
    fn leads(&mut self, lately: Time, now: Time) -> Time {
        let since = self.heard.filter(|(_, last)| *last >= lately).map_or(now, |(since, _)| since);
        self.heard = Some((since, now));
        since
    }

    /// Which of these ways are to be asked now: each has its own time, so that a way that leads nowhere does not keep the
    /// other from being gone.
    fn may_ask(&mut self, ways: [Option<Route>; 2], again: Duration, now: Time) -> Vec<Route> {
        let mut routes = Vec::new();
        for (asked, route) in self.asked.iter_mut().zip(ways) {
            if route.is_some() && asked.is_none_or(|at| now.since(at) >= again) {
                *asked = Some(now);
                routes.extend(route);
            }
        }
        routes
    }

    /// Whether another new id may be taken on somebody's word. An image of this very machine may be started at any time,
    /// but not all the time.
    fn may_rename(&mut self, now: Time) -> bool {
        self.renamed.retain(|at| now.since(*at) < limits::NEW_ID);
        self.renamed.len() < limits::NEW_IDS
    }

    /// When the last new id was taken.
    fn last_renamed(&self) -> Option<Time> {
        self.renamed.last().copied()
    }

    /// A new id is taken.
    fn rename(&mut self, now: Time) {
        if self.renamed.len() >= limits::NEW_IDS {
            self.renamed.remove(0);
        }
        self.renamed.push(now);
    }
}

impl Node {
    /// A leader serves this agent under the id that it has: what others say of that id is the leaders' matter (§4).
    pub(super) fn in_session(&self) -> bool {
        matches!(&self.role, Role::Following(f) if f.settled && f.session.is_some())
    }

    /// A leader with this agent's id was heard. Who is in a session asks it only when it is heard for longer than the
    /// leaders need to meet: perhaps they cannot, because the only way between them leads through this agent (§4).
    pub(super) fn double_leads(&mut self, to: Incarnation, from: SocketAddr, relay: Option<NodeId>) {
        let now = self.base.now;
        let since = self.doubles.leads(self.base.lately(), now);
        if !self.in_session() || now.since(since) >= limits::MEET.max(self.base.heartbeat() * 4) {
            self.suspect_clone(to, from, relay);
        }
    }

    /// A leader, or somebody who may follow one, has this agent's id and another boot: it is asked whose the id is (§4).
    /// Two leaders meet instead.
    pub(super) fn suspect_clone(&mut self, to: Incarnation, from: SocketAddr, relay: Option<NodeId>) {
        if matches!(self.role, Role::Leading(_)) {
            return;
        }
        let now = self.base.now;
        let direct = (!from.ip().is_unspecified()).then_some(Route { to, hop: from, via: None });
        let through = relay.and_then(|relay| self.base.through(to, relay));
        let again = self.base.settings.interrogation();
        let over = |at: Time| now.since(at) >= again;
        let routes = self.doubles.may_ask([direct, through], again, now);
        // What earlier questions left open has had its time.
        let old: Vec<ConnId> = self
            .base
            .ways
            .iter()
            .filter(|(_, c)| c.purpose == Purpose::Clone && over(c.began))
            .map(|(id, _)| id)
            .collect();
        for conn in old {
            self.base.close(conn);
        }
        // Whose the id is does not depend on any reign.
        let claim = Claim { epoch: 0, at: Wall(0), node: to };
        let join = Join {
            claim,
            shown: None,
            priority: self.base.settings.priority,
            version: self.base.version.clone(),
            whole: self.whole(),
            via: None,
        };
        for route in routes {
            let join = Join { via: route.via, ..join.clone() };
            self.base.dial(route, Purpose::Clone, Frame::Join(join));
        }
    }

    /// An agent with this agent's id asks to be taken in.
    pub(super) fn joined_by_double(&mut self, conn: ConnId, address: SocketAddr) {
        // The leader itself always lives, and so does who follows one: the other takes a new id (§4).
        let first = match &self.role {
            Role::Leading(_) => true,
            Role::Following(f) => f.settled && f.session.is_some(),
            Role::Listening(_) | Role::Electing(_) => false,
        };
        if !first {
            return self.base.close(conn);
        }
        let text = format!("another agent at {} has this machine's id: it is told to take a new one", address.ip());
        self.base.warn(Kind::CloneDetected, text, vec![("address", address.ip().to_string().into())]);
        self.base.send(conn, Frame::NotJoined(NotJoined::Cloned));
    }

    /// Another living agent has this id (§4). False when this one has taken too many new ids lately.
    pub(super) fn cloned(&mut self) -> bool {
        if !self.doubles.may_rename(self.base.now) {
            let text = "another agent says again that it has this machine's id: that was so too often to be believed";
            self.base.warn(Kind::IntruderIgnored, text.to_owned(), vec![]);
            return false;
        }
        self.take_new_id();
        true
    }

    /// Of two leaders with one id the one that yields takes a new one (§4), however often that was: while both have the
    /// id, both lead. Leaders meet once in [`limits::MEET`], and so often it is done.
    pub(super) fn yields_to_double(&mut self) -> bool {
        let lately = self.doubles.last_renamed().is_some_and(|at| self.base.now.since(at) < limits::MEET);
        if !lately {
            self.take_new_id();
        }
        !lately
    }

    fn take_new_id(&mut self) {
        self.doubles.rename(self.base.now);
        let old = self.base.me.node.id;
        let id = self.base.chance.id();
        self.base.me.node.id = id;
        self.base.persist(vec![Write::Identity(id)], Then::Nothing);
        let text = format!("another living agent has the id {}: this one takes a new one", old.short());
        self.base.warn(Kind::CloneDetected, text, vec![("id", id.to_string().into()), ("was", old.to_string().into())]);
        // Whoever is at the other end of these was told the old id.
        let told: Vec<ConnId> =
            self.base.ways.iter().filter(|(_, c)| c.purpose == Purpose::Incoming).map(|(id, _)| id).collect();
        for conn in told {
            self.base.close(conn);
        }
        // The promises of the old id stay promises; its own claims are nobody's now.
        if !matches!(self.role, Role::Leading(_)) {
            self.listen_anew();
        }
    }

    // ---- at the leader of one of them

    /// Another process of a member that has a session: a restart, or a clone. The older session is asked (§4). False when
    /// too many wait for such an answer.
    pub(super) fn may_be_a_clone(&mut self, conn: ConnId, peer: Incarnation) -> bool {
        let until = self.base.now + self.base.settings.interrogation();
        let Role::Leading(l) = &mut self.role else { return false };
        let Some(older) = l.sessions.get(&peer.id).filter(|s| s.node.boot != peer.boot) else { return true };
        let (older, claim) = (older.conn, l.claim);
        if l.clones.len() >= limits::WAITING {
            return false;
        }
        let asked = l.clones.values().find(|(id, _)| *id == peer.id).map(|(_, until)| *until);
        let until = asked.unwrap_or(until);
        l.clones.insert(conn, (peer.id, until));
        if asked.is_none() {
            self.base.send(older, Frame::Check(Check { claim }));
        }
        self.base.timers.sooner(Timer::Sweep, until);
        true
    }

    pub(super) fn clone_cleared(&mut self, id: NodeId) {
        let Role::Leading(l) = &mut self.role else { return };
        let waiting: Vec<ConnId> = l.clones.iter().filter(|(_, (c, _))| *c == id).map(|(c, _)| *c).collect();
        for conn in waiting {
            if let Role::Leading(Leading { clones, .. }) = &mut self.role {
                clones.remove(&conn);
            }
            self.take_in(conn);
        }
    }

    /// The older session of an id that came again has answered: there are two.
    pub(super) fn clone_answered(&mut self, conn: ConnId) -> bool {
        let Some(id) = self.served_mut(conn).map(|s| s.node.id) else { return false };
        let Role::Leading(l) = &mut self.role else { return false };
        let later: Vec<ConnId> = l.clones.iter().filter(|(_, (c, _))| *c == id).map(|(c, _)| *c).collect();
        for conn in &later {
            l.clones.remove(conn);
            l.joining.remove(conn);
        }
        let name = self.base.name(id);
        for conn in &later {
            if let Some(state) = self.base.ways.get_mut(*conn) {
                state.purpose = Purpose::Incoming;
            }
            self.base.send(*conn, Frame::NotJoined(NotJoined::Cloned));
            let text = format!("two living agents have the id of {name}: the later one is told to take a new one");
            self.base.warn(Kind::CloneDetected, text, vec![("member", name.clone().into())]);
        }
        // The directory follows the one whose session counts.
        let node = self.served_mut(conn).map(|s| s.node);
        if let (Some(node), Some(entry)) = (node, self.base.members.get_mut(id)) {
            entry.node = node;
        }
        !later.is_empty()
    }
}
