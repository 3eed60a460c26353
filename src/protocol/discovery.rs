//! Finding one another: Hello, Hi, Welcome, and what every other datagram means to each role (protocol §5).

use super::base::localised;
use super::directory::Entry;
use super::role::{Doubt, Listening, Phase, Role};
use super::timers::Timer;
use super::{Node, To, limits};
use crate::claim::Claim;
use crate::event::{Cause, Kind};
use crate::ident::{ConnId, Incarnation, NodeId};
use crate::message::{Cast, Datagram, Goodbye, Heartbeat, Hello, Hi, Known, MemberState, Welcome};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// A leader that is to be followed, and what is known of the way to it.
pub(super) struct Target {
    pub(super) known: Known,
    /// A member to go through.
    pub(super) relay: Option<NodeId>,
    /// A connection has said it, not only a datagram.
    pub(super) confirmed: bool,
    /// A connection to it that stands.
    pub(super) conn: Option<ConnId>,
    pub(super) successor: Option<Incarnation>,
    /// How many followers it says that it has.
    pub(super) followers: u32,
    /// Another sent this agent there, so it is not sent on (§6).
    pub(super) moved: bool,
}

impl Target {
    /// A leader that was told of, and not by itself.
    pub(super) fn told(known: Known, relay: Option<NodeId>) -> Self {
        Self { known, relay, confirmed: false, conn: None, successor: None, followers: 0, moved: false }
    }
}

impl Node {
    // ---- Hello

    /// Listens for the join wait, saying Hello (§5).
    pub(super) fn listen(&mut self, listening: Listening) {
        self.role = Role::Listening(listening);
        self.base.since = self.base.wall;
        if !self.base.linked() {
            return;
        }
        self.base.info(Kind::Listening, "listening for other machines".to_owned(), vec![]);
        let wait = self.base.settings.join_wait(self.remembers());
        self.base.timers.set(Timer::Join, self.base.now + wait);
        self.hello_due();
    }

    fn remembers(&self) -> bool {
        self.base.members.len() > 0 || !self.base.peers.is_empty()
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
        let pause = if pause > wait / 3 { pause * 4 / 5 + self.base.random(pause * 2 / 5) } else { pause };
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
        let mut one: BTreeSet<SocketAddr> = self.base.peers.iter().copied().collect();
        // Strangers are not greeted: a datagram may have named any address for them.
        let quiet = |e: &Entry| e.met && !e.heard_within(lately, now);
        let those: Vec<_> = self.base.members.in_turn(self.greeted, quiet).take(limits::GREETED).collect();
        self.greeted = those.last().map_or(self.greeted, |e| e.node.id);
        one.extend(those.into_iter().map(|e| e.address));
        for address in one.into_iter().filter(|a| !a.ip().is_unspecified()) {
            let cast = hello(&self.base, false);
            self.base.cast(To::One(address), cast);
        }
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
        if turn <= most { turn } else { most + self.base.random(most) }
    }

    // ---- datagrams

    pub(super) fn datagram(&mut self, from: SocketAddr, datagram: Datagram) {
        let Datagram { from: sender, cast } = datagram;
        if sender.node == self.base.me.node {
            return;
        }
        let former = self.base.heard(&sender, Some(from), false);
        if let Some(e) = self.base.members.get_mut(sender.node.id)
            && e.state == MemberState::Left
            && !matches!(cast, Cast::Goodbye(_))
        {
            e.state = MemberState::Silent;
        }
        self.new_boot(former, sender.node);
        let searching = matches!(self.role, Role::Listening(_) | Role::Electing(_));
        let leads = matches!(cast, Cast::Heartbeat(_) | Cast::Welcome(_));
        if sender.node.id == self.base.me.node.id && leads {
            self.double_leads(sender.node, from, None);
        } else if sender.node.id == self.base.me.node.id && searching {
            self.suspect_clone(sender.node, from, None);
        }
        match cast {
            Cast::Hello(hello) => self.heard_hello(sender.node, from, &hello),
            Cast::Hi(hi) => self.heard_hi(sender.node, from, hi),
            Cast::Welcome(w) => {
                self.answered_for_us(&w.to);
                self.welcomed(sender.node, &sender.name, from, &w);
            }
            Cast::Heartbeat(beat) => self.heard_beat(sender.node, &sender.name, from, &beat),
            Cast::Notice(n) => self.heard_notice(sender.node, n.claim),
            Cast::Goodbye(g) => self.heard_goodbye(sender.node, g),
            Cast::Question(q) => {
                if q.to == self.base.me.node && !self.checking() {
                    let answer = self.base.answer(q.nonce, self.vouches());
                    self.base.cast(To::One(from), Cast::Answer(answer));
                }
            }
            Cast::Answer(a) => self.datagram_answers(sender.node, &a, from),
        }
    }

    /// A known id speaks with a new boot: a reason to ask the former process at once (§4).
    pub(super) fn new_boot(&mut self, former: Option<Incarnation>, new: Incarnation) {
        let Some(former) = former else { return };
        match &self.role {
            Role::Following(f) if f.claim.node == former && f.claim.node != new => self.doubt(Doubt::NewBoot),
            _ => {}
        }
    }

    fn heard_hello(&mut self, node: Incarnation, from: SocketAddr, hello: &Hello) {
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
            let worse = super::base::link_local(from) && !super::base::link_local(e.address);
            if !clone && !worse {
                // Said on purpose: this is where it is now.
                e.is_at(from, self.base.now);
            }
            e.version.clone_from(&hello.version);
            e.priority = hello.priority;
        }
        if matches!(self.role, Role::Leading(_)) {
            return self.welcome(node, from, hello.broadcast);
        }
        self.answer_later(node, from, hello.broadcast);
    }

    fn heard_hi(&mut self, node: Incarnation, from: SocketAddr, hi: Hi) {
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

    fn welcomed(&mut self, node: Incarnation, name: &str, from: SocketAddr, w: &Welcome) {
        if w.claim.node == node {
            self.leader_speaks(w.claim, name, from, w.successor, w.followers);
        }
    }

    pub(super) fn heard_beat(&mut self, node: Incarnation, name: &str, from: SocketAddr, beat: &Heartbeat) {
        if beat.claim.node != node {
            return;
        }
        self.broadcast_heard(beat.claim);
        self.leader_speaks(beat.claim, name, from, beat.successor, beat.followers);
        // That may be the first that this agent hears of the reign, and follows it by.
        self.broadcast_heard(beat.claim);
    }

    fn broadcast_heard(&mut self, claim: Claim) {
        if let Role::Following(f) = &mut self.role
            && f.claim == claim
        {
            (f.broadcast, f.broadcasts) = (self.base.now, true);
        }
    }

    /// A leader announced itself by datagram.
    fn leader_speaks(
        &mut self,
        claim: Claim,
        name: &str,
        from: SocketAddr,
        successor: Option<Incarnation>,
        followers: u32,
    ) {
        let known = Known { claim, name: name.to_owned(), address: from, direct: true };
        let promised = self.base.promised.is_some_and(|p| p.claim == claim && !p.withdrawn);
        let target = Target { confirmed: promised, successor, followers, ..Target::told(known, None) };
        // Who was asked to take over goes on with it: the one who asked decides about others.
        let own = self.canvass.as_ref().is_some_and(|c| c.abdicate.is_some());
        let insists = self.insists();
        match &mut self.role {
            Role::Leading(_) => self.other_leader(target.known, None, from),
            Role::Listening(_) => self.follow(target),
            Role::Following(f) if f.claim == claim => {
                // Who heard of it from another member does not know yet.
                f.followers = followers;
                self.leader_beats(successor);
            }
            Role::Following(f) if f.claim.node == claim.node => {
                // Another reign of the same leader: the session tells, or a new one does.
                f.heard = self.base.now;
                if claim > f.claim && f.session.is_none() && f.dials.is_empty() {
                    self.base.timers.sooner(Timer::Redial, self.base.now);
                }
            }
            Role::Following(f) if f.claim.node.id == claim.node.id => {
                // It has restarted, or there are two of them: the question tells, and the leader is told.
                self.doubt(Doubt::NewBoot);
                self.heard_other(target.known, from, None);
            }
            Role::Following(f) if f.released == Some(claim) => self.follow(target),
            Role::Following(f)
                if !insists && !f.settled && !f.confirmed && (followers, claim) > (f.followers, f.claim) =>
            {
                self.follow(target);
            }
            Role::Following(_) => self.heard_other(target.known, from, None),
            Role::Electing(_) if own || insists => {}
            Role::Electing(e) => {
                match &e.lost {
                    Some(lost) if lost.claim == claim => {
                        // It was only silent (§7.3): who was refused, or found a black hole, does not go back.
                        if matches!(lost.cause, Cause::Silent | Cause::CutOff) {
                            self.resume(target);
                        }
                    }
                    Some(lost) if lost.claim.node == claim.node && lost.claim > claim => {}
                    _ => self.follow(target),
                }
            }
        }
    }

    /// A claim begins: a better one than the own next claim is given its time (§7.2).
    fn heard_notice(&mut self, node: Incarnation, claim: Claim) {
        if claim.node != node || claim.epoch > self.base.highest().saturating_add(limits::EPOCH_LEAP) {
            return;
        }
        if claim.epoch <= self.base.highest() || self.insists() {
            return;
        }
        let until = self.base.now + self.base.settings.after_canvass();
        match &mut self.role {
            Role::Listening(l) if !l.idle || self.base.timers.is_set(Timer::Join) => {
                l.turn = false;
                self.base.timers.set(Timer::Join, until);
            }
            Role::Electing(e) if !matches!(e.phase, Phase::Canvass) => {
                self.wait_for(node, self.base.settings.after_canvass());
            }
            _ => {}
        }
    }

    fn heard_goodbye(&mut self, node: Incarnation, goodbye: Goodbye) {
        if matches!(&self.role, Role::Following(f) if f.claim.node == node && (goodbye.ends == Some(f.claim) || goodbye.leader.is_some()))
        {
            if let Role::Following(f) = &mut self.role {
                f.hint = Some(Cause::Goodbye);
            }
            return self.doubt(Doubt::Goodbye);
        }
        self.member_left(node);
    }

    /// A member said that it leaves.
    pub(super) fn member_left(&mut self, node: Incarnation) {
        let name = self.base.name(node.id);
        let Some(entry) = self.base.members.get_mut(node.id) else { return };
        if entry.node != node || entry.state == MemberState::Left {
            return;
        }
        entry.state = MemberState::Left;
        self.base.info(Kind::MemberLeft, format!("{name} said goodbye"), vec![("member", name.clone().into())]);
        if let Role::Leading(l) = &mut self.role {
            l.changed.insert(node.id);
            if let Some(served) = l.sessions.remove(&node.id) {
                self.base.close(served.conn);
            }
            self.base.timers.sooner(Timer::List, self.base.now);
            self.name_successor();
            self.handing_lost(node.id);
        }
    }
}
