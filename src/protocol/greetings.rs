//! Answering Hellos: the leader's Welcome, the others' Hi, and who is silent (protocol §5).

use super::role::{Listening, Role};
use super::timers::Timer;
use super::{Node, To, limits};
use crate::ident::{Incarnation, NodeId};
use crate::message::{Cast, Hi, Known, Welcome};
use crate::time::Time;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What this agent has to answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Greetings {
    /// Hellos that wait for their Hi. Bound: [`limits::HIS`].
    pending: BTreeMap<NodeId, Pending>,
    /// When this agent last said Hi to everybody.
    aloud: Option<Time>,
    /// The member that was the last to be greeted by itself.
    greeted: Option<NodeId>,
    /// Hellos that are still to be said after a change of address.
    again: u32,
}

impl Greetings {
    /// After a change of address one Hello may be lost, or come before the others can answer.
    pub(super) fn say_hello_twice_more(&mut self) {
        self.again = 2;
    }

    /// Whether a Hello is still to be said; it counts as said then.
    pub(super) fn say_hello_again(&mut self) -> bool {
        let due = self.again > 0;
        self.again = self.again.saturating_sub(1);
        due
    }

    /// The member after which the next ones are greeted by themselves.
    pub(super) fn greeted(&self) -> NodeId {
        self.greeted.unwrap_or(NodeId(uuid::Uuid::nil()))
    }

    pub(super) fn greeted_up_to(&mut self, id: NodeId) {
        self.greeted = Some(id);
    }
}

/// A Hello that waits for its Hi.
#[derive(Clone, Debug)]
struct Pending {
    due: Time,
    /// It was said to everybody, and so is the answer.
    broadcast: bool,
    address: SocketAddr,
    to: Incarnation,
    /// How many others were heard to answer it, who know of no leader.
    heard: u32,
}

impl Node {
    /// A leader's answer to a Hello, at once.
    pub(super) fn welcome(&mut self, node: Incarnation, from: SocketAddr, broadcast: bool) {
        if self.checking() {
            return;
        }
        let now = self.base.now;
        let Role::Leading(l) = &mut self.role else { return };
        // Of many who arrive together the first is answered aloud; that answers the others too.
        let aloud = broadcast && now.since(l.welcomed) >= limits::ALOUD;
        if aloud {
            l.welcomed = now;
        }
        let followers = u32::try_from(l.sessions.len()).unwrap_or(u32::MAX);
        let welcome = Cast::Welcome(Welcome { to: node, claim: l.claim, successor: l.naming.named(), followers });
        self.base.cast(if aloud { To::Everyone } else { To::One(from) }, welcome);
    }

    /// Any other agent's answer to a Hello: after a pause, if at all.
    pub(super) fn answer_later(&mut self, node: Incarnation, from: SocketAddr, broadcast: bool) {
        let greetings = &self.greetings;
        if greetings.pending.len() >= limits::HIS && !greetings.pending.contains_key(&node.id) {
            return;
        }
        // It says Hello itself, or claims, before long: that tells as much. Of a crowd that starts at once not everybody
        // must answer everybody.
        if broadcast && matches!(&self.role, Role::Listening(Listening { idle: false, .. })) {
            return;
        }
        // As many as answer in a millisecond answer in each, however many there are: enough have answered before the turn
        // of the others comes. They never do, and nobody answers everybody too often, for the answers to be few even where
        // all are late and hear too much.
        let now = self.base.now;
        let there = self.base.members.iter().filter(|e| e.alive_within(limits::SILENT, now)).count();
        let there = u32::try_from(there).unwrap_or(u32::MAX);
        let pause = self.base.chance.duration(limits::HI_TURN.saturating_mul(there));
        let most = limits::HI_TURN * (2 * limits::HI_ENOUGH);
        let lately = greetings.aloud.is_some_and(|at| now.since(at) < limits::ALOUD.saturating_mul(there));
        // Who is the way to the leader for others may be the only one.
        let late = pause > most && self.base.ways.piped().next().is_none();
        if broadcast && (late || lately) {
            return;
        }
        let due = now + pause.min(most);
        self.greetings.pending.insert(node.id, Pending { due, broadcast, address: from, to: node, heard: 0 });
        self.base.timers.sooner(Timer::Hi, due);
    }

    pub(super) fn hi_due(&mut self) {
        let now = self.base.now;
        let leader = self.known();
        let in_session = self.in_session();
        // Who asks for itself needs no news of itself, unless the one that is followed is another, with its id (§4).
        let news = |to: Incarnation| {
            leader.clone().filter(|k: &Known| k.claim.node.id != to.id || (in_session && k.claim.node != to))
        };
        let is_due = |p: &Pending| p.due <= now;
        let due: Vec<NodeId> = self.greetings.pending.iter().filter(|(_, p)| is_due(p)).map(|(id, _)| *id).collect();
        for id in due {
            let Some(pending) = self.greetings.pending.remove(&id) else { continue };
            let leader = news(pending.to);
            if pending.broadcast {
                // All hear it, and all that it tells them.
                self.greetings.aloud = Some(now);
                self.greetings.pending.retain(|_, other| !other.broadcast || news(other.to) != leader);
            }
            let to = if pending.broadcast { To::Everyone } else { To::One(pending.address) };
            let hi = Hi { to: pending.to, leader, priority: self.base.settings.priority };
            self.base.cast(to, Cast::Hi(hi));
        }
        if let Some(next) = self.greetings.pending.values().map(|p| p.due).min() {
            self.base.timers.set(Timer::Hi, next);
        }
    }

    /// Somebody was told who leads, for all to hear.
    pub(super) fn answered_for_us(&mut self, to: &Incarnation) {
        self.greetings.pending.remove(&to.id);
    }

    /// A few that know of no leader are enough to tell a newcomer that it is not alone.
    pub(super) fn knows_no_more(&mut self, asked: Incarnation) {
        if asked.id == self.base.me.node.id || self.known().is_some() {
            return;
        }
        let Some(pending) = self.greetings.pending.get_mut(&asked.id) else { return };
        pending.heard += 1;
        if pending.heard >= limits::HI_ENOUGH {
            self.greetings.pending.remove(&asked.id);
        }
    }
}
