//! Leading: heartbeats and reigns (protocol §5, §6, §7.5).

use super::entry::Entry;
use super::role::{Role, Served};
use super::timers::Timer;
use super::ways::Purpose;
use super::{Node, To};
use crate::event::Kind;
use crate::ident::{ConnId, NodeId};
use crate::message::{Cast, Frame, Heartbeat};
use std::net::SocketAddr;

impl Node {
    // ---- heartbeats

    pub(super) fn heartbeat(&mut self) -> Option<Heartbeat> {
        let Role::Leading(l) = &self.role else { return None };
        let seq = self.base.chance.beat();
        let followers = u32::try_from(l.sessions.values().filter(|s| !s.silent).count()).unwrap_or(u32::MAX);
        Some(Heartbeat { claim: l.claim, successor: l.naming.named(), followers, seq })
    }

    pub(super) fn beat_due(&mut self) {
        self.beat_now();
    }

    /// Beats: to everybody, to those that hear no broadcast, and in turn to somebody without a session (§5, §6).
    pub(super) fn beat_now(&mut self) {
        self.answer_held();
        if self.checking() {
            return;
        }
        let Some(beat) = self.heartbeat() else { return };
        let (hb, quick, now) = (self.base.heartbeat(), self.base.settings.quick(), self.base.now);
        let Role::Leading(l) = &mut self.role else { return };
        let pause = if l.quick > 1 {
            l.quick -= 1;
            quick
        } else {
            hb
        };
        l.next_beat = now + pause;
        self.base.timers.set(Timer::Beat, now + pause);
        let deaf: Vec<ConnId> = l.sessions.values().filter(|s| s.deaf).map(|s| s.conn).collect();
        self.base.cast(To::Everyone, Cast::Heartbeat(beat.clone()));
        if !deaf.is_empty() {
            self.base.send_all(deaf, Frame::Beat(beat.clone()));
        }
        if let Some(address) = self.next_without_session() {
            self.base.cast(To::One(address), Cast::Heartbeat(beat));
        }
    }

    /// Configured and remembered members without a session are announced to in turn.
    fn next_without_session(&mut self) -> Option<SocketAddr> {
        let Role::Leading(l) = &mut self.role else { return None };
        let without = |e: &&Entry| e.met && !l.sessions.contains_key(&e.node.id);
        let count = self.base.members.reachable().filter(without).count();
        let peers = self.base.ways.peers().iter().copied();
        let known =
            |a: &SocketAddr| self.base.members.iter().any(|e| e.address == *a && l.sessions.contains_key(&e.node.id));
        let peers: Vec<SocketAddr> = peers.filter(|a| !known(a)).collect();
        let all = count + peers.len();
        if all == 0 {
            return None;
        }
        l.turn = (l.turn + 1) % all;
        match peers.get(l.turn) {
            Some(address) => Some(*address),
            None => {
                let turn = l.turn - peers.len();
                self.base.members.reachable().filter(without).nth(turn).map(|e| e.address)
            }
        }
    }

    // ---- the successor

    // ---- the end of a reign

    /// Stops leading, for a leader that is there to be followed: tells the followers where to go (§9).
    pub(super) fn yield_role(&mut self, known: crate::message::Known, relay: Option<NodeId>, confirmed: bool) {
        if matches!(&self.role, Role::Leading(l) if l.renewing.is_some()) {
            // A reign of its own is on its way to the disk: nothing below it can be shown any more. They meet again.
            return;
        }
        if known.claim.node.id == self.base.me.node.id && !self.yields_to_double() {
            return;
        }
        let conn = self.open_conn(known.claim.node);
        let Role::Leading(l) = &self.role else { return };
        let to = known.claim.node;
        let others = l.sessions.values().map(|s| s.conn).filter(|conn| self.base.peer(*conn) != Some(to));
        let others: Vec<ConnId> = others.collect();
        self.base.send_all(others, Frame::Yields(known.clone()));
        self.finish_requests(&known);
        let name = known.name.clone();
        self.follow(super::following::Target { confirmed, conn, ..super::following::Target::told(known, relay) });
        self.leads_no_more(name);
    }

    /// Between two reigns nobody is followed yet: whoever watches must not take this agent for the leader meanwhile.
    fn leads_no_more(&mut self, to: String) {
        if !matches!(&self.role, Role::Following(f) if !f.settled) {
            return;
        }
        self.base.past.turns(self.base.wall);
        let text = format!("this machine leads no more: it goes to {to}, and waits for its answer");
        self.base.info(Kind::Following, text, vec![("to", to.into())]);
    }

    /// The follower whose session this connection is.
    pub(super) fn served_mut(&mut self, conn: ConnId) -> Option<&mut Served> {
        let Role::Leading(l) = &mut self.role else { return None };
        let Purpose::Served(id) = self.base.ways.get(conn)?.purpose else { return None };
        l.sessions.get_mut(&id).filter(|s| s.conn == conn)
    }
}
