//! Two living agents with one id (protocol §4): asking whose it is, and taking a new one.

use super::base::Then;
use super::conns::{Purpose, Route};
use super::role::Role;
use super::{Node, Write, limits};
use crate::claim::Claim;
use crate::event::Kind;
use crate::ident::{ConnId, Incarnation, NodeId};
use crate::message::{Frame, Join, NotJoined};
use crate::time::Time;
use std::net::SocketAddr;

impl Node {
    /// A leader serves this agent under the id that it has: what others say of that id is the leaders' matter (§4).
    pub(super) fn in_session(&self) -> bool {
        matches!(&self.role, Role::Following(f) if f.settled && f.session.is_some())
    }

    /// A leader with this agent's id was heard. Who is in a session asks it only when it is heard for longer than the
    /// leaders need to meet: perhaps they cannot, because the only way between them leads through this agent (§4).
    pub(super) fn double_leads(&mut self, to: Incarnation, from: SocketAddr, relay: Option<NodeId>) {
        let now = self.base.now;
        let since = match self.double {
            Some((since, last)) if last >= self.base.lately() => since,
            _ => now,
        };
        self.double = Some((since, now));
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
        // Each way has its own time: who names one that leads nowhere does not keep the other from being gone.
        let mut routes = Vec::new();
        for (asked, route) in self.clone_asked.iter_mut().zip([direct, through]) {
            if route.is_some() && asked.is_none_or(over) {
                *asked = Some(now);
                routes.extend(route);
            }
        }
        // What earlier questions left open has had its time.
        let old: Vec<ConnId> = self
            .base
            .conns
            .iter()
            .filter(|(_, c)| c.purpose == Purpose::Clone && over(c.began))
            .map(|(id, _)| id)
            .collect();
        for conn in old {
            self.base.close(conn);
        }
        // Whose the id is does not depend on any reign.
        let claim = Claim { epoch: 0, at: crate::time::Wall(0), node: to };
        let join = Join {
            claim,
            shown: None,
            priority: self.base.settings.priority,
            version: self.base.version.clone(),
            whole: true,
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
        let now = self.base.now;
        // An image of this very machine may be started at any time, but not all the time.
        self.renamed.retain(|at| now.since(*at) < limits::NEW_ID);
        if self.renamed.len() >= limits::NEW_IDS {
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
        let lately = self.renamed.last().is_some_and(|at| self.base.now.since(*at) < limits::MEET);
        if !lately {
            self.take_new_id();
        }
        !lately
    }

    fn take_new_id(&mut self) {
        if self.renamed.len() >= limits::NEW_IDS {
            self.renamed.remove(0);
        }
        self.renamed.push(self.base.now);
        let old = self.base.me.node.id;
        let id = self.base.random_id();
        self.base.me.node.id = id;
        self.base.persist(vec![Write::Identity(id)], Then::Nothing);
        let text = format!("another living agent has the id {}: this one takes a new one", old.short());
        self.base.warn(Kind::CloneDetected, text, vec![("id", id.to_string().into()), ("was", old.to_string().into())]);
        // Whoever is at the other end of these was told the old id.
        let told: Vec<ConnId> =
            self.base.conns.iter().filter(|(_, c)| c.purpose == Purpose::Incoming).map(|(id, _)| id).collect();
        for conn in told {
            self.base.close(conn);
        }
        // The promises of the old id stay promises; its own claims are nobody's now.
        if !matches!(self.role, Role::Leading(_)) {
            self.listen_anew();
        }
    }
}
