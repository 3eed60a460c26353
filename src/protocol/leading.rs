//! Leading: heartbeats and reigns (protocol §5, §6, §7.5).

use super::base::Then;
use super::directory;
use super::role::{Leading, Renewing, Role, Served};
use super::timers::Timer;
use super::{Node, To, Write, limits};
use crate::claim::Claim;
use crate::event::{Cause, Kind, Level};
use crate::ident::{ConnId, Incarnation, NodeId};
use crate::message::{Cast, Frame, Heartbeat, Member, MemberState, Named, Reigns, Story};
use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

/// Heartbeats in quick succession that begin a reign.
const QUICK: u32 = 3;

impl Node {
    pub(super) fn begin_leading(&mut self, claim: Claim, story: Story, backed: BTreeSet<NodeId>) {
        let now = self.base.now;
        let backed = (backed, now + self.base.settings.after_canvass());
        self.base.since = self.base.wall;
        for entry in self.base.members.iter_mut() {
            entry.via = None;
            entry.rtt_us = None;
        }
        self.role = Role::Leading(Leading {
            claim,
            story,
            backed,
            led_since: now,
            sessions: BTreeMap::new(),
            joining: BTreeMap::new(),
            successor: None,
            quick: QUICK,
            next_beat: now,
            changed: BTreeSet::new(),
            gone: BTreeSet::new(),
            listed_at: now,
            turn: 0,
            others: BTreeMap::new(),
            renewing: None,
            meets: VecDeque::new(),
            yielding: None,
            handover: None,
            failed: None,
            left_alone: None,
            check: None,
            welcomed: Time(0),
            clones: BTreeMap::new(),
        });
        self.base.timers.set(Timer::Sweep, now + limits::SILENT);
    }

    // ---- heartbeats

    pub(super) fn heartbeat(&mut self) -> Option<Heartbeat> {
        let Role::Leading(l) = &self.role else { return None };
        self.base.beat_seq += 1;
        let followers = u32::try_from(l.sessions.values().filter(|s| !s.silent).count()).unwrap_or(u32::MAX);
        Some(Heartbeat { claim: l.claim, successor: l.successor, followers, seq: self.base.beat_seq })
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
        for conn in deaf {
            self.base.send(conn, Frame::Beat(beat.clone()));
        }
        if let Some(address) = self.next_without_session() {
            self.base.cast(To::One(address), Cast::Heartbeat(beat));
        }
    }

    /// Configured and remembered members without a session are announced to in turn.
    fn next_without_session(&mut self) -> Option<SocketAddr> {
        let Role::Leading(l) = &mut self.role else { return None };
        let without = |e: &&directory::Entry| e.met && !l.sessions.contains_key(&e.node.id);
        let count = self.base.members.reachable().filter(without).count();
        let peers = self.base.peers.iter().copied();
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

    // ---- reigns of its own after the first

    /// Begins a new reign above `floor`: durable before anybody hears of it (§9). Whoever waits for it is answered then.
    pub(super) fn renew(&mut self, floor: u64, cause: Cause, text: String) {
        let name = self.base.me.name.clone();
        let busy = matches!(&self.role, Role::Leading(l) if l.renewing.as_ref().is_some_and(|r| r.claim.epoch > floor));
        if busy || !matches!(self.role, Role::Leading(_)) {
            return;
        }
        if !self.base.disk_works() {
            // It cannot begin: another serves better.
            return self.hand_over_for_store();
        }
        if let Some(old) = self.canvass.as_ref().map(|c| c.claim) {
            // The new reign is above it, and there is one of them only.
            self.withdraw(old, "a newer reign begins");
            self.end_canvass();
        }
        self.base.timers.clear(Timer::Elect);
        let claim = self.base.next_claim(floor);
        let story = Story { name, cause, text };
        let Role::Leading(l) = &mut self.role else { return };
        let (decided, joins) = l.renewing.take().map(|r| (r.decided, r.joins)).unwrap_or_default();
        l.renewing = Some(Renewing { claim, story: story.clone(), decided, joins });
        let promise = super::Promise::of(claim);
        (self.base.promised, self.base.promise_kept, self.base.promise_begun) = (Some(promise), None, None);
        self.base.promised_at = Some(self.base.now);
        self.base.persist(vec![Write::Promised(promise), Write::Shown(claim)], Then::Reign(claim));
    }

    /// A new reign of this leader is durable.
    pub(super) fn reign_durable(&mut self, claim: Claim) {
        if matches!(self.role, Role::Leading(_)) {
            return self.renewed(claim);
        }
        // It was lost in the meantime, but it is on the disk: nothing below it is shown any more.
        self.base.shown = self.base.shown.max(Some(claim));
    }

    /// The new reign begins.
    pub(super) fn renewed(&mut self, claim: Claim) {
        let Role::Leading(l) = &mut self.role else { return };
        if l.renewing.as_ref().is_none_or(|r| r.claim != claim) {
            return;
        }
        let Some(Renewing { story, decided, joins, .. }) = l.renewing.take() else { return };
        let old = l.claim;
        l.claim = claim;
        l.story = story.clone();
        l.quick = QUICK;
        self.base.shown = Some(claim);
        self.base.since = self.base.wall;
        let writes = self.base.enter_reign(claim, &story);
        self.base.persist(writes, Then::Nothing);
        let Role::Leading(l) = &self.role else { return };
        let conns: Vec<ConnId> = l.sessions.values().map(|s| s.conn).chain(l.joining.keys().copied()).collect();
        for conn in conns {
            self.base.send(conn, Frame::Reigns(Reigns { claim, story: story.clone() }));
        }
        let text = format!("this machine leads on: epoch {}, after epoch {}", claim.epoch, old.epoch);
        self.base.tell(Kind::Leading, Level::Info, Some(story.cause), text, vec![]);
        self.beat_now();
        for (conn, yields) in decided {
            self.base.send(conn, Frame::Decided(crate::message::Decided { stays: claim, yields }));
        }
        for conn in joins {
            self.take_in(conn);
        }
        if !self.stopping && matches!(&self.role, Role::Leading(l) if l.hands_over()) {
            self.handing_failed("this machine leads on in a later reign");
        }
        if self.stopping {
            match self.next_heir(&BTreeSet::new()) {
                Some(to) => self.hand_over(to, Cause::Goodbye, true),
                None => return self.stop_now(),
            }
        }
        self.meet_due();
    }

    // ---- the successor

    /// Names the successor, keeps it, or un-names it (§7, naming the successor).
    pub(super) fn name_successor(&mut self) {
        let Role::Leading(l) = &self.role else { return };
        if l.handover.is_some() {
            // The one that takes over stays named until it has, or has failed.
            return;
        }
        let fit: Vec<Member> = l
            .sessions
            .values()
            .filter(|s| !s.silent)
            .filter_map(|s| self.base.members.get(s.node.id))
            .map(|e| {
                let mut m = e.to_member(self.base.now);
                m.state = MemberState::Alive;
                m
            })
            .collect();
        let line = directory::line(fit.iter(), l.successor.map(|n| n.id));
        let first = line.first().map(|(id, _)| *id);
        let node = first.and_then(|id| l.sessions.get(&id)).map(|s| s.node);
        if node != l.successor {
            self.set_successor(node);
        }
    }

    pub(super) fn set_successor(&mut self, node: Option<Incarnation>) {
        let Role::Leading(l) = &mut self.role else { return };
        l.successor = node;
        let named = Named { claim: l.claim, successor: node };
        // It is told first, then everybody.
        let mut conns: Vec<ConnId> = node.and_then(|n| l.sessions.get(&n.id)).map(|s| s.conn).into_iter().collect();
        conns.extend(l.sessions.values().filter(|s| Some(s.node) != node).map(|s| s.conn));
        for conn in conns {
            self.base.send(conn, Frame::Named(named.clone()));
        }
        match node {
            Some(node) => {
                let name = self.base.name(node.id);
                let rtt = self.base.members.get(node.id).and_then(|e| e.rtt_us);
                let rtt =
                    rtt.map(|us| format!("round trip {}.{} ms, ", us / 1000, us % 1000 / 100)).unwrap_or_default();
                let text = format!("successor is {name} ({rtt}holds everything)");
                self.base.info(Kind::SuccessorNamed, text, vec![("successor", name.into())]);
            }
            None => self.base.info(Kind::SuccessorNone, "there is no successor".to_owned(), vec![]),
        }
    }

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
        let conns: Vec<ConnId> = l.sessions.values().map(|s| s.conn).collect();
        let to = known.claim.node;
        for conn in conns {
            if self.base.peer(conn) != Some(to) {
                self.base.send(conn, Frame::Yields(known.clone()));
            }
        }
        self.finish_requests(&known);
        let name = known.name.clone();
        self.follow(super::discovery::Target { confirmed, conn, ..super::discovery::Target::told(known, relay) });
        self.leads_no_more(name);
    }

    /// Between two reigns nobody is followed yet: whoever watches must not take this agent for the leader meanwhile.
    fn leads_no_more(&mut self, to: String) {
        if !matches!(&self.role, Role::Following(f) if !f.settled) {
            return;
        }
        self.base.since = self.base.wall;
        let text = format!("this machine leads no more: it goes to {to}, and waits for its answer");
        self.base.info(Kind::Following, text, vec![("to", to.into())]);
    }

    pub(super) fn served_mut(&mut self, conn: ConnId) -> Option<&mut Served> {
        let Role::Leading(l) = &mut self.role else { return None };
        l.sessions.values_mut().find(|s| s.conn == conn)
    }
}
