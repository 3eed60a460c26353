//! What leaders, claimants and those who leave say to everybody (protocol §5 to §8).

use super::following::Target;
use super::role::{Doubt, Phase, Role};
use super::timers::Timer;
use super::{Node, limits};
use crate::claim::Claim;
use crate::event::{Cause, Kind};
use crate::ident::Incarnation;
use crate::message::{Goodbye, Heartbeat, Known, MemberState, Welcome};
use std::net::SocketAddr;

impl Node {
    pub(super) fn welcomed(&mut self, node: Incarnation, name: &str, from: SocketAddr, w: &Welcome) {
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
        let promised = self.base.promises.live() == Some(claim);
        let target = Target { confirmed: promised, successor, followers, ..Target::told(known, None) };
        // Who was asked to take over goes on with it: the one who asked decides about others.
        let own = self.campaign.canvass.as_ref().is_some_and(|c| c.abdicate.is_some());
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
    pub(super) fn heard_notice(&mut self, node: Incarnation, claim: Claim) {
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

    pub(super) fn heard_goodbye(&mut self, node: Incarnation, goodbye: Goodbye) {
        if matches!(&self.role, Role::Following(f) if f.claim.node == node && (goodbye.ends == Some(f.claim) || goodbye.leader.is_some()))
        {
            if let Role::Following(f) = &mut self.role {
                f.goodbye = Some(self.base.now);
            }
            return self.doubt(Doubt::Goodbye);
        }
        self.member_left(node);
    }

    /// The leader is followed no more: when it said goodbye, and has not answered since, it has left (§8).
    pub(super) fn leader_left(&mut self) {
        if let Role::Following(f) = &self.role
            && f.left()
        {
            self.member_left(f.claim.node);
        }
    }

    /// A member said that it leaves.
    pub(super) fn member_left(&mut self, node: Incarnation) {
        let name = self.base.name(node.id);
        let Some(entry) = self.base.members.get_mut(node.id) else { return };
        if entry.node != node || entry.state == MemberState::Left {
            return;
        }
        entry.turns(MemberState::Left, self.base.now);
        self.base.info(Kind::MemberLeft, format!("{name} said goodbye"), vec![("member", name.clone().into())]);
        if let Role::Leading(l) = &mut self.role {
            l.changed.insert(node.id);
            if let Some(served) = l.sessions.remove(&node.id) {
                self.base.close(served.conn);
                self.end_copy(served.conn);
            }
            self.base.timers.sooner(Timer::List, self.base.now);
            self.name_successor();
            self.handing_lost(node.id);
        }
    }
}
