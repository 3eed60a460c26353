//! What a follower's session says of the leader, and the pings that ask for it (protocol §6).

use super::role::{Awaited, Doubt, Role};
use super::timers::Timer;
use super::{Node, limits};
use crate::claim::Claim;
use crate::event::Kind;
use crate::ident::{ConnId, Incarnation};
use crate::message::{Frame, Heartbeat, Named, Ping, Pong};
use std::net::SocketAddr;
use std::time::Duration;

impl Node {
    /// The leader's own heartbeat was heard, by whatever way.
    pub(super) fn leader_beats(&mut self, successor: Option<Incarnation>) {
        // With a session the leader says it there.
        if matches!(&self.role, Role::Following(f) if f.session.is_none()) {
            self.names(successor);
        }
        self.beats();
    }

    /// A heartbeat of the leader came, by whatever way.
    fn beats(&mut self) {
        let now = self.base.now;
        let suspicion = self.base.settings.suspicion();
        let Role::Following(f) = &mut self.role else { return };
        f.heard = now;
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

    /// A heartbeat on a connection: on the session, or of the claimant that won on the one that it canvassed on.
    pub(super) fn beat_on(&mut self, conn: ConnId, beat: &Heartbeat, from: SocketAddr) {
        let session = matches!(&self.role, Role::Following(f) if f.session.as_ref().is_some_and(|s| s.conn == conn));
        if session {
            return self.session_beat(conn, beat);
        }
        let Some(state) = self.base.ways.get(conn) else { return };
        let Some(peer) = state.peer.clone().filter(|_| state.via().is_none()) else { return };
        if peer.node == beat.claim.node && self.base.believe(beat.claim) {
            let address = super::address::with_port(from, peer.port);
            self.heard_beat(peer.node, &peer.name, address, beat);
        }
    }

    fn session_beat(&mut self, conn: ConnId, beat: &Heartbeat) {
        if self.on_session(conn) && self.in_order(beat.claim) {
            self.names(beat.successor);
            self.beats();
        }
    }

    pub(super) fn named(&mut self, conn: ConnId, named: &Named) {
        if self.on_session(conn) && self.in_order(named.claim) {
            self.names(named.successor);
        }
    }

    /// Whether this is the reign that the session has told of. What is said there comes in order: after a later one, which
    /// was missed, this agent joins anew, and is told (§6).
    fn in_order(&mut self, claim: Claim) -> bool {
        let Role::Following(f) = &self.role else { return false };
        let followed = f.claim;
        if claim > followed && claim.node == followed.node && self.base.believe(claim) {
            self.rejoin();
        }
        claim == followed
    }

    /// The leader names its successor, or says again whom it has named.
    fn names(&mut self, successor: Option<Incarnation>) {
        let Role::Following(f) = &mut self.role else { return };
        if f.successor != successor {
            f.successor = successor;
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

    /// A ping whose answer may wait until it is time for the next one.
    pub(super) fn ping_due(&mut self) {
        let Role::Following(f) = &self.role else { return };
        let awaited = f.session.as_ref().and_then(|s| s.ping);
        let left = awaited.map(|p| p.until.since(self.base.now).saturating_sub(self.base.settings.unanswered()));
        self.ping(left.unwrap_or(limits::PING));
    }

    /// A ping that is to be answered at once.
    pub(super) fn ping_now(&mut self) {
        self.ping(Duration::ZERO);
    }

    fn ping(&mut self, hold: Duration) {
        let now = self.base.now;
        let patience = self.base.settings.suspicion() * 5 / 9;
        let until = now + hold + self.base.settings.unanswered();
        let sick = !self.base.disk_works();
        let Role::Following(f) = &mut self.role else { return };
        let deaf = now.since(f.broadcast) >= patience;
        let Some(session) = &mut f.session else { return };
        session.deaf = deaf;
        session.seq += 1;
        if session.ping.is_none_or(|p| until < p.until) {
            session.ping = Some(Awaited { seq: session.seq, sent: Some(now), hold, until });
            self.base.timers.set(Timer::Pong, until);
        }
        let hold_ms = u64::try_from(hold.as_millis()).unwrap_or(u64::MAX);
        let ping = Ping { seq: session.seq, deaf, rtt_us: session.rtt_us, hold_ms, sick };
        let conn = session.conn;
        self.base.timers.clear(Timer::Ping);
        self.base.send(conn, Frame::Ping(ping));
    }

    pub(super) fn ponged(&mut self, conn: ConnId, pong: &Pong) {
        if !self.on_session(conn) {
            return;
        }
        let now = self.base.now;
        let Role::Following(f) = &mut self.role else { return };
        let Some(session) = &mut f.session else { return };
        let Some(awaited) = session.ping.take_if(|p| pong.seq >= p.seq) else { return };
        self.base.timers.clear(Timer::Pong);
        let first = session.rtt_us.is_none();
        let took = awaited.sent.map(|at| now.since(at));
        if let Some(took) = took.filter(|_| pong.seq == awaited.seq) {
            let rtt = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).saturating_sub(pong.held_us);
            // How far it is, not how busy both ends are: shorter at once, longer slowly. Otherwise each of a crowd whose
            // answers leave with the same heartbeat has news of its round trip each time, for all the others.
            let slowly = |old: u64| rtt.min(old.saturating_add(rtt.saturating_sub(old) / limits::RTT_RISE));
            session.rtt_us = Some(session.rtt_us.map_or(rtt, slowly));
        }
        if first {
            // The leader orders its line by it.
            return self.base.timers.set(Timer::Ping, now + self.base.settings.heartbeat().min(limits::PING));
        }
        // Whoever holds no answer back is not asked more often for it.
        match took.filter(|took| *took < limits::PING / 2) {
            Some(took) => self.base.timers.set(Timer::Ping, now + (limits::PING - took)),
            None => self.ping_due(),
        }
    }

    pub(super) fn pong_missing(&mut self) {
        self.doubt(Doubt::Unanswered);
    }
}
