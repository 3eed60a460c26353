//! Finding one another: Hello, Hi, Welcome, and what every other datagram means to each role (protocol §5).

use super::address::localised;
use super::entry::Entry;
use super::following::Target;
use super::role::{Listening, Role};
use super::timers::Timer;
use super::{Node, To, limits};
use crate::event::Kind;
use crate::ident::Incarnation;
use crate::message::{Cast, Hello, Hi, MemberState};
use crate::settings::Settings;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

impl Node {
    // ---- Hello

    /// Listens for the join wait, saying Hello (§5).
    pub(super) fn listen(&mut self, listening: Listening) {
        self.role = Role::Listening(listening);
        self.base.past.turns(self.base.wall);
        if !self.base.linked() {
            return;
        }
        self.base.info(Kind::Listening, "listening for other machines".to_owned(), vec![]);
        let wait = self.base.settings.join_wait(self.remembers());
        self.base.timers.set(Timer::Join, self.base.now + wait);
        self.hello_due();
    }

    fn remembers(&self) -> bool {
        self.base.members.len() > 0 || !self.base.ways.peers().is_empty()
    }

    pub(super) fn hello_due(&mut self) {
        let wait = self.base.settings.join_wait(self.remembers());
        let doubled = |n: u32| (wait / 3 * 2u32.saturating_pow(n.min(16))).min(limits::HELLO);
        let pause = match &mut self.role {
            Role::Listening(l) => {
                l.hellos += 1;
                if l.hellos <= 2 && !l.idle { wait / 3 } else { doubled(l.hellos.saturating_sub(2)) }
            }
            Role::Electing(e) => {
                e.hellos += 1;
                doubled(e.hellos)
            }
            Role::Following(_) | Role::Leading(_) => return,
        };
        // ± 20 %, so that those who started together do not speak together for ever.
        let pause = if pause > wait / 3 { pause * 4 / 5 + self.base.chance.duration(pause * 2 / 5) } else { pause };
        self.base.timers.set(Timer::Hello, self.base.now + pause);
        self.hello();
    }

    /// Says Hello to everybody, to configured peers and to remembered members.
    pub(super) fn hello(&mut self) {
        let hello = |b: &super::base::Base, broadcast| {
            Cast::Hello(Hello { broadcast, version: b.version.clone(), priority: b.settings.priority })
        };
        let cast = hello(&self.base, true);
        self.base.cast(To::Everyone, cast);
        let lately = self.base.settings.silence();
        let now = self.base.now;
        let mut one: BTreeSet<SocketAddr> = self.base.ways.peers().iter().copied().collect();
        // Strangers are not greeted: a datagram may have named any address for them.
        let quiet = |e: &Entry| e.met && !e.heard_within(lately, now);
        let those: Vec<_> = self.base.members.in_turn(self.greetings.greeted(), quiet).take(limits::GREETED).collect();
        if let Some(last) = those.last() {
            self.greetings.greeted_up_to(last.node.id);
        }
        one.extend(those.into_iter().map(|e| e.address));
        for address in one.into_iter().filter(|a| !a.ip().is_unspecified()) {
            let cast = hello(&self.base, false);
            self.base.cast(To::One(address), cast);
        }
    }

    /// This machine has another name: it says so to all, and to its leader, whom a broadcast may not reach.
    pub(super) fn renamed(&mut self, name: String) {
        if std::mem::replace(&mut self.base.me.name, name) == self.base.me.name {
            return;
        }
        self.told_anew();
    }

    /// The settings that may change while the node runs do. A leader whose priority is 0 now leads until somebody takes over.
    pub(super) fn set_anew(&mut self, settings: Settings) {
        let heartbeat = self.base.settings.heartbeat();
        let quorum = self.base.settings.quorum;
        let mut settings = settings.with_heartbeat(heartbeat);
        settings.quorum = quorum;
        let before = std::mem::replace(&mut self.base.settings, settings).priority;
        if before != self.base.settings.priority {
            self.told_anew();
        }
    }

    /// What everybody knows of this agent has changed: the leader first, and all others.
    fn told_anew(&mut self) {
        let own = self.base.me.node.id;
        match &mut self.role {
            Role::Leading(l) => {
                l.changed.insert(own);
                self.list_moved(own);
            }
            Role::Following(f) => {
                let way = self.base.direct_to(f.claim.node);
                let (version, priority) = (self.base.version.clone(), self.base.settings.priority);
                if let Some(way) = way {
                    self.base.cast(To::One(way.hop), Cast::Hello(Hello { broadcast: false, version, priority }));
                }
            }
            Role::Listening(_) | Role::Electing(_) => {}
        }
        self.hello();
        self.greetings.say_hello_twice_more();
    }

    /// The join wait is over and no leader was heard.
    pub(super) fn join_over(&mut self) {
        let elects = self.may_lead() && self.base.linked();
        let turn = if elects { self.turn() } else { Duration::ZERO };
        let Role::Listening(l) = &mut self.role else { return };
        if !l.turn && !turn.is_zero() {
            l.turn = true;
            return self.base.timers.set(Timer::Join, self.base.now + turn);
        }
        (l.idle, l.turn) = (true, false);
        if elects {
            let alone = l.answered.is_empty();
            let text = if alone { "nobody answered" } else { "members answered, none leads" };
            self.elect_first(text);
        }
    }

    /// How long those may claim first that are there and come before this agent (§5): of a crowd that starts at once not
    /// everybody must ask everybody.
    fn turn(&mut self) -> Duration {
        let now = self.base.now;
        let own = (Reverse(self.base.settings.priority), self.base.me.node.id);
        let first = |e: &&Entry| {
            let may = e.priority > 0 && e.state != MemberState::Left && e.heard_within(limits::SILENT, now);
            may && (Reverse(e.priority), e.node.id) < own
        };
        let before = u32::try_from(self.base.members.iter().filter(first).count()).unwrap_or(u32::MAX);
        let (turn, most) = (limits::JOIN_TURN.saturating_mul(before), self.base.settings.join_wait(false) / 3);
        if turn <= most { turn } else { most + self.base.chance.duration(most) }
    }

    // ---- datagrams

    pub(super) fn heard_hello(&mut self, node: Incarnation, from: SocketAddr, hello: &Hello) {
        if node.id == self.base.me.node.id {
            // Another agent has this one's id. Of the two, the one that follows a leader was here first, and shows itself.
            if matches!(&self.role, Role::Following(f) if f.settled) {
                let hi = Hi { to: node, leader: None, priority: self.base.settings.priority };
                self.base.cast(To::One(from), Cast::Hi(hi));
            }
            return;
        }
        // A clone of the leader must not move the leader's address.
        let clone = matches!(&self.role, Role::Following(f) if f.claim.node.id == node.id && f.claim.node != node);
        if let Some(e) = self.base.members.get_mut(node.id) {
            let worse = super::address::link_local(from) && !super::address::link_local(e.address);
            if !clone && !worse {
                // Said on purpose: this is where it is now.
                e.is_at(from, self.base.now);
            }
            e.version.clone_from(&hello.version);
            let moved = std::mem::replace(&mut e.priority, hello.priority) != hello.priority;
            if moved && matches!(self.role, Role::Leading(_)) {
                self.list_changed(node.id);
                self.name_successor();
            }
        }
        if matches!(self.role, Role::Leading(_)) {
            return self.welcome(node, from, hello.broadcast);
        }
        self.answer_later(node, from, hello.broadcast);
    }

    pub(super) fn heard_hi(&mut self, node: Incarnation, from: SocketAddr, hi: Hi) {
        if let Some(e) = self.base.members.get_mut(node.id) {
            e.priority = hi.priority;
        }
        let own = self.known().map(|k| k.claim);
        let Some(known) = hi.leader.map(|k| localised(k, from)) else {
            if let Role::Listening(l) = &mut self.role {
                l.answered.insert(node.id);
            }
            return self.knows_no_more(hi.to);
        };
        // Only a member that reaches the leader directly can be gone through: its answer is worth more than others'.
        let as_good = known.direct || !self.known().is_some_and(|k| k.direct);
        if Some(known.claim) == own && as_good && hi.to != self.base.me.node {
            self.answered_for_us(&hi.to);
        }
        let relay = known.direct.then_some(node.id);
        if known.claim.node.id == self.base.me.node.id {
            // A former self of this agent, or a clone, which will say so itself.
            if let Role::Listening(l) = &mut self.role {
                l.answered.insert(node.id);
            }
            if known.claim.node != self.base.me.node {
                self.double_leads(known.claim.node, known.address, relay);
            }
            return;
        }
        let insists = self.insists();
        match &mut self.role {
            Role::Listening(l) => {
                l.answered.insert(node.id);
                self.follow(Target::told(known, relay));
            }
            Role::Electing(e) => match &e.lost {
                // Alongside the election, so it does that no harm.
                Some(lost) if lost.claim == known.claim => {
                    if known.direct {
                        self.try_through(node.id);
                    }
                }
                _ if insists => {}
                Some(lost) if lost.claim > known.claim => {}
                _ => self.follow(Target::told(known, relay)),
            },
            Role::Following(f) if f.claim.node == known.claim.node => {
                if f.session.is_none() && f.relay.is_none() {
                    f.relay = relay;
                    self.dial_relay();
                }
            }
            Role::Following(_) => self.heard_other(known, from, relay),
            Role::Leading(_) => self.other_leader(known, relay, from),
        }
    }
}
