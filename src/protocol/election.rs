//! Claims, succession, election: the claimant's side (protocol §7).

use super::address::localised;
use super::entry::Entry;
use super::following::Target;
use super::role::{Doubt, Electing, Lost, Phase, Role};
use super::timers::Timer;
use super::ways::Purpose;
use super::{Node, directory, limits};
use crate::claim::Claim;
use crate::event::{Cause, Kind};
use crate::ident::{ConnId, Incarnation, NodeId};
use crate::message::{Frame, Known, MemberState, Tell, Told};
use crate::time::Time;
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

impl Node {
    /// Counts how long nobody leads (§7.2): a leader that was only heard by datagram is none.
    pub(super) fn count_leaderless(&mut self) {
        let led = match &self.role {
            Role::Leading(_) => true,
            Role::Following(f) => f.settled,
            // Before there is a link, or while the disk is stuck, nobody can be elected here.
            Role::Listening(_) | Role::Electing(_) => !self.base.linked() || self.base.store_stuck(),
        };
        self.campaign.count_leaderless(led, self.base.now);
    }

    /// Nobody has led for so long that somebody may be keeping it so: what others only say is heard no more, and this
    /// agent asks for voices itself.
    pub(super) fn insists(&self) -> bool {
        let long = self.base.settings.after_canvass() * limits::WAITS;
        self.fit() && self.campaign.leaderless(self.base.now).is_some_and(|time| time > long)
    }

    /// Until when this agent does not claim against that reign, because its leader answered others and has not taken it in
    /// again (§7.3).
    pub(super) fn held_back(&self, reign: Claim) -> Option<Time> {
        self.campaign.held_back(reign, self.base.heartbeat(), self.base.now)
    }

    /// Without a leader it says Hello from time to time (§5), whatever it waits for.
    pub(super) fn electing(&mut self, lost: Option<Lost>, requests: BTreeSet<u64>) {
        self.campaign.begin();
        self.role = Role::Electing(Electing {
            lost,
            phase: Phase::Wait { turn: false },
            awaiting: None,
            counted_on: false,
            hellos: 0,
            side: Vec::new(),
            relay: None,
            requests,
        });
        self.base.past.turns(self.base.wall);
        self.base.timers.set(Timer::Hello, self.base.now + self.base.settings.join_wait(true));
    }

    /// Nobody leads, and nobody did: the join wait is over.
    pub(super) fn elect_first(&mut self, why: &str) {
        self.base.info(Kind::Listening, format!("the join wait is over: {why}"), vec![]);
        let answered = match &mut self.role {
            Role::Listening(l) => std::mem::take(&mut l.answered),
            _ => BTreeSet::new(),
        };
        self.leave_role(&[]);
        self.electing(None, BTreeSet::new());
        self.canvass(None, &answered);
    }

    /// The leader is dead to this agent (§7.1, §7.2).
    pub(super) fn lose(&mut self, lost: Lost, successor: Option<Incarnation>, told: bool) {
        self.leave_role(&[]);
        self.base.end_reign();
        let dead = lost.claim.node.id;
        let silent = matches!(lost.cause, Cause::Silent | Cause::CutOff);
        let lost_epoch = lost.claim.epoch;
        self.electing(Some(lost), BTreeSet::new());
        let gone = |e: &Entry| e.state == MemberState::Left;
        if let Some(entry) = self.base.members.get_mut(dead).filter(|e| !gone(e)) {
            (entry.state, entry.announced) = (MemberState::Silent, None);
        }
        if let Some(entry) = successor.and_then(|n| self.base.members.get_mut(n.id))
            && entry.node.id != dead
            && !gone(entry)
        {
            // Named after the last list came: it was alive then.
            entry.state = MemberState::Alive;
        }
        if silent {
            self.hello();
        }
        // A claim of an epoch that has been followed since can beat no more.
        let awaited =
            |p: &super::Promise| !p.withdrawn && p.claim.node != self.base.me.node && p.claim.epoch > lost_epoch;
        if let (Some(promise), Some(left)) = (self.base.promises.promised().filter(awaited), self.base.backing_left()) {
            return self.wait_for(promise.claim.node, left);
        }
        if self.fit() && told {
            return self.canvass(None, &BTreeSet::new());
        }
        self.line_up(successor);
    }

    /// Tells those who could follow the lost leader, in order; the named successor comes first.
    pub(super) fn line_up(&mut self, successor: Option<Incarnation>) {
        let me = self.base.me.node.id;
        let Role::Electing(e) = &self.role else { return };
        let (dead, listed) = e.lost.as_ref().map_or((None, false), |l| (Some(l.claim.node.id), l.listed));
        let mut line: VecDeque<NodeId> = if listed {
            let mut all: Vec<_> = self.base.members.iter().map(|e| e.to_member(self.base.now)).collect();
            all.push(self.myself());
            let rest = all.iter().filter(|m| Some(m.node.id) != dead);
            directory::line(rest, successor.map(|n| n.id)).into_iter().map(|(id, _)| id).collect()
        } else {
            successor.map(|n| n.id).into_iter().filter(|id| Some(*id) != dead).collect()
        };
        let place = line.iter().position(|id| *id == me);
        if !self.fit() {
            line.retain(|id| *id != me);
        }
        if line.is_empty() {
            let most = self.base.heartbeat() * 2;
            let pause = self.base.chance.duration(most);
            return self.wait_for_turn(pause);
        }
        if let Role::Electing(e) = &mut self.role {
            let place = place.unwrap_or(line.len());
            e.phase = Phase::Tell { line, conn: None, place, silent: false };
        }
        self.tell_next();
    }

    /// Waits, whoever counts on this agent, and then canvasses.
    pub(super) fn wait(&mut self, pause: Duration) {
        let until = self.base.now + pause;
        self.await_nobody();
        if let Role::Electing(e) = &mut self.role {
            e.phase = Phase::Wait { turn: false };
            self.base.timers.set(Timer::Elect, until);
        }
    }

    /// Others are to claim before this agent does; when they count on it, it is its turn at once.
    fn wait_for_turn(&mut self, pause: Duration) {
        self.wait(pause);
        if let Role::Electing(e) = &mut self.role {
            e.phase = Phase::Wait { turn: true };
        }
    }

    /// The next move of an election is due.
    pub(super) fn elect_due(&mut self) {
        if matches!(self.role, Role::Leading(_)) {
            return if self.campaign.canvass.is_some() { self.tally(true) } else { self.canvass_on() };
        }
        if self.ask_claimant() {
            return;
        }
        let Role::Electing(e) = &mut self.role else { return };
        match &mut e.phase {
            Phase::Tell { conn, .. } => {
                let silent = conn.take();
                if let Some(conn) = silent {
                    self.base.close(conn);
                }
                self.one_is_silent();
                self.tell_next();
            }
            Phase::Wait { .. } => self.canvass(None, &BTreeSet::new()),
            Phase::Canvass => self.tally(true),
        }
    }

    // ---- the line of succession

    /// Tells the next in line that the leader is dead; canvasses when that is this agent, or nobody is left.
    fn tell_next(&mut self) {
        loop {
            let Role::Electing(e) = &mut self.role else { return };
            let Some(claim) = e.lost.as_ref().map(|l| l.claim) else { return };
            let Phase::Tell { line, conn, .. } = &mut e.phase else { return };
            *conn = None;
            let Some(next) = line.pop_front() else { return self.canvass(None, &BTreeSet::new()) };
            if next == self.base.me.node.id {
                return self.canvass(None, &BTreeSet::new());
            }
            let Some(route) = self.base.direct(next) else { continue };
            let dialled = self.base.dial(route, Purpose::Tell, Frame::Tell(Tell { claim }));
            if let Role::Electing(e) = &mut self.role
                && let Phase::Tell { conn, .. } = &mut e.phase
            {
                *conn = Some(dialled);
            }
            return self.base.timers.set(Timer::Elect, self.base.now + self.base.settings.interrogation());
        }
    }

    /// One in the line is silent, and with a floor that lost its power dozens are: those that were heard since the leader
    /// was missed, and this agent itself, come before all others. Who has heard nobody says Hello, and tries one more (§7.2).
    fn one_is_silent(&mut self) {
        let (me, now) = (self.base.me.node.id, self.base.now);
        let Role::Electing(Electing { lost: Some(lost), phase: Phase::Tell { line, place, silent, .. }, .. }) =
            &mut self.role
        else {
            return;
        };
        let since = now.since(lost.noticed);
        let heard = |id: &NodeId| self.base.members.get(*id).is_some_and(|e| e.heard_within(since, now));
        let first = !std::mem::replace(silent, true);
        if first && !line.iter().any(heard) {
            return self.hello();
        }
        let (there, others): (Vec<NodeId>, Vec<NodeId>) = line.drain(..).partition(|id| *id == me || heard(id));
        line.extend(there.into_iter().chain(others));
        *place = line.iter().position(|id| *id == me).unwrap_or(line.len());
    }

    pub(super) fn told(&mut self, conn: ConnId, told: Told, from: SocketAddr) {
        if self.base.ways.get(conn).is_none_or(|c| c.purpose != Purpose::Tell) {
            return;
        }
        let teller = self.base.peer(conn);
        let Role::Electing(e) = &mut self.role else { return };
        let place = match &e.phase {
            Phase::Tell { conn: Some(c), place, .. } if *c == conn => Some(*place),
            _ => None,
        };
        match (told, place) {
            (Told::Alive(known), _) if self.base.believe(known.claim) => {
                let known = self.seen_from(localised(known, from), conn);
                let relay = if known.direct { teller.map(|n| n.id) } else { None };
                self.back_to(known, relay);
            }
            (Told::OnIt, Some(place)) => {
                // Two that take each other for the first, and are on it both, must not wait for each other.
                let step = if e.counted_on { self.base.settings.soon() } else { self.base.heartbeat() * 2 };
                let own = if place <= 8 {
                    step * u32::try_from(place).unwrap_or(8) / 4
                } else {
                    self.base.chance.duration(step * 2) + step * 2
                };
                self.wait_for_turn(step + own);
            }
            (_, Some(_)) => self.tell_next(),
            _ => {}
        }
    }

    /// Follows a living leader that a member named, unless the own claim is won.
    fn back_to(&mut self, known: Known, relay: Option<NodeId>) {
        if !matches!(self.role, Role::Electing(_)) {
            return;
        }
        if known.claim.node.id == self.base.me.node.id {
            return;
        }
        let relay = relay.filter(|r| *r != known.claim.node.id);
        self.follow(Target::told(known, relay));
    }

    /// A member that names itself knows its address less well than the connection does.
    pub(super) fn seen_from(&self, mut known: Known, conn: ConnId) -> Known {
        if known.address.ip().is_unspecified()
            && let Some(state) = self.base.ways.get(conn)
            && let Some(peer) = &state.peer
            && state.via().is_none()
        {
            known.address = SocketAddr::new(state.address.ip(), peer.port);
            known = localised(known, state.address);
        }
        known
    }

    pub(super) fn tell_closed(&mut self, conn: ConnId) {
        if let Role::Electing(e) = &self.role
            && matches!(&e.phase, Phase::Tell { conn: Some(c), .. } if *c == conn)
        {
            self.tell_next();
        }
    }

    /// Another member takes the leader for dead (§7.2): "I am on it".
    pub(super) fn told_dead(&mut self, conn: ConnId, tell: &Tell) {
        // Nobody counts on one that would not claim.
        let may = self.fit() && self.held_back(tell.claim).is_none();
        let gave_up = self.base.peer(conn).is_some_and(|teller| self.gives_up(teller));
        let answer = match &mut self.role {
            Role::Following(f) if f.claim == tell.claim => {
                if !may || !f.settled || f.tellers.len() >= limits::WAITING {
                    Told::NotI
                } else {
                    f.tellers.push(conn);
                    self.base.send(conn, Frame::Told(Told::OnIt));
                    return self.doubt(Doubt::Told);
                }
            }
            Role::Following(_) | Role::Leading(_) => match self.known() {
                Some(known) if known.claim.epoch >= tell.claim.epoch => Told::Alive(known),
                _ => Told::NotI,
            },
            Role::Electing(e) if e.lost.as_ref().is_some_and(|l| l.claim == tell.claim) && may => {
                self.base.send(conn, Frame::Told(Told::OnIt));
                return self.hurry(gave_up);
            }
            Role::Electing(_) | Role::Listening(_) => Told::NotI,
        };
        self.base.send(conn, Frame::Told(answer));
    }

    /// Another member counts on this one to claim; maybe the one whose claim was awaited.
    fn hurry(&mut self, gave_up: bool) {
        let Role::Electing(e) = &mut self.role else { return };
        e.counted_on = true;
        let over = e.lost.as_ref().map_or(0, |l| l.claim.epoch);
        let awaited = self.base.promises.live().is_some_and(|c| c.epoch > over);
        let backed = awaited && self.base.backing_left().is_some();
        if let Role::Electing(e) = &self.role
            && (gave_up || matches!(e.phase, Phase::Wait { turn: true }))
            && !backed
        {
            self.canvass(None, &BTreeSet::new());
        }
    }
}
