//! The direct way to a leader that is reached through another member (protocol §6).

use super::Node;
use super::limits;
use super::role::{ROUTES, Role};
use super::timers::Timer;
use super::ways::{Purpose, Route};
use crate::ident::ConnId;
use crate::message::{Answer, Frame, Standing};
use std::net::SocketAddr;

impl Node {
    /// Gives up what is being dialled, and dials by all ways that are known now.
    pub(super) fn dial_anew(&mut self) {
        let Role::Following(f) = &mut self.role else { return };
        for conn in std::mem::take(&mut f.dials) {
            self.base.close(conn);
        }
        self.dial_session();
    }

    pub(super) fn dial_session(&mut self) {
        let now = self.base.now;
        let Role::Following(f) = &mut self.role else { return };
        if f.full || !f.dials.is_empty() {
            if f.session.is_none() && !self.base.timers.is_set(Timer::Redial) {
                // A dial for the direct way may be all that is left: it is given up in time like any other.
                self.base.timers.set(Timer::Redial, self.base.now + self.base.settings.unanswered());
            }
            return;
        }
        let patience = if f.vain < limits::VAIN { self.base.settings.unanswered() } else { limits::VAIN_DIAL };
        f.dialled = now;
        self.base.timers.set(Timer::Redial, now + patience);
        let routes = self.routes(0);
        if routes.is_empty() {
            self.seek_way();
        }
        for route in routes.into_iter().take(ROUTES) {
            let join = self.join_frame(route.via);
            let conn = self.base.dial(route, Purpose::Session, join);
            if let Role::Following(f) = &mut self.role {
                f.dials.push(conn);
            }
        }
    }

    /// Where the leader is, as the session to it shows: no datagram can say otherwise for as long as that stands.
    pub(super) fn session_address(&self) -> Option<SocketAddr> {
        let Role::Following(f) = &self.role else { return None };
        let conn = self.base.ways.get(f.session.as_ref().filter(|s| s.via.is_none())?.conn)?;
        Some(super::address::with_port(conn.address, conn.peer.as_ref()?.port))
    }

    /// The way through another on which the session stands: whoever has that one's id is not in between.
    pub(super) fn session_way(&self) -> Option<Route> {
        let Role::Following(f) = &self.role else { return None };
        let session = f.session.as_ref().filter(|s| s.via.is_some() && s.via == f.relay)?;
        self.base.ways.get(session.conn)?.route
    }

    /// The leader was heard from another address than `own` last.
    pub(super) fn leader_moved(&self, own: SocketAddr) -> bool {
        let Role::Following(f) = &self.role else { return false };
        self.base.members.get(f.claim.node.id).is_some_and(|e| e.home(f.claim.node.boot) != own)
    }

    /// Whether a refusal at this address is the leader's own, and another start of it there its successor in that place
    /// (§6). While the session stands elsewhere, a datagram may have given the address for the leader's; one where it is only
    /// heard too may be anybody's; and where it was never heard, nothing is known of it.
    pub(super) fn is_leaders_place(&self, hop: SocketAddr) -> bool {
        let Role::Following(f) = &self.role else { return false };
        match self.session_address() {
            Some(own) => own == hop && !self.leader_moved(own),
            None => self.base.members.get(f.claim.node.id).and_then(|e| e.own_place(f.claim.node.boot)) == Some(hop),
        }
    }

    /// An answer on a connection that probes the direct way; false when this is none.
    pub(super) fn probe_answered(&mut self, conn: ConnId, answer: &Answer) -> bool {
        let Role::Following(f) = &mut self.role else { return false };
        if !f.probe.is_some_and(|(c, nonce)| c == conn && nonce == answer.nonce) {
            return false;
        }
        f.probe = None;
        let leads = answer.standing == Standing::Leads(f.claim);
        self.base.close(conn);
        if leads {
            self.direct_again();
        }
        true
    }

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
        // What the last try left open has had its time.
        let old: Vec<ConnId> = f.probe.iter().map(|(c, _)| *c).chain(f.dials.iter().copied()).collect();
        for conn in old {
            self.base.close(conn);
        }
        if let Role::Following(f) = &mut self.role {
            f.dials.clear();
        }
        self.base.timers.set(Timer::Probe, self.base.now + limits::PROBE);
        let Some(route) = self.base.direct_to(node) else { return };
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
        let Some(route) = self.base.direct_to(f.claim.node) else { return };
        let join = self.join_frame(None);
        let conn = self.base.dial(route, Purpose::Session, join);
        if let Role::Following(f) = &mut self.role {
            f.dials.push(conn);
        }
    }
}
