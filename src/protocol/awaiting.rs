//! Waiting for another's claim, and finding out when nobody makes it any more (protocol §7.4).

use super::following::Target;
use super::role::{Awaiting, Electing, Phase, Role};
use super::timers::Timer;
use super::ways::{Conn, Purpose};
use super::{Closed, Node};
use crate::event::Kind;
use crate::ident::{ConnId, Incarnation};
use crate::message::{Answer, Frame, Known, MemberState, Question, Standing};
use std::net::SocketAddr;
use std::time::Duration;

impl Node {
    /// Waits until `pause` is over for what a claimant does. When nothing comes of it soon, it is asked whether it is
    /// still there and still claims; then again, less and less often.
    pub(super) fn wait_for(&mut self, claimant: Incarnation, pause: Duration) {
        self.wait(pause);
        let (now, soon) = (self.base.now, self.base.settings.soon());
        if let Role::Electing(e) = &mut self.role {
            e.awaiting = Some(Awaiting { claimant, until: now + pause, again: soon, conn: None });
            self.base.timers.set(Timer::Elect, now + soon.min(pause));
        }
    }

    /// Nobody is awaited any more.
    pub(super) fn await_nobody(&mut self) {
        let Role::Electing(e) = &mut self.role else { return };
        if let Some(conn) = e.awaiting.take().and_then(|a| a.conn) {
            self.base.close(conn);
        }
    }

    /// Asks the claimant that is awaited whether it is still there; false when there is no more time for that.
    pub(super) fn ask_claimant(&mut self) -> bool {
        let now = self.base.now;
        let waits = |e: &&mut Electing| matches!(e.phase, Phase::Wait { .. });
        let Role::Electing(e) = &mut self.role else { return false };
        let Some(awaiting) = Some(e).filter(waits).and_then(|e| e.awaiting.as_mut()) else { return false };
        if now >= awaiting.until {
            return false;
        }
        let Awaiting { claimant, until, conn, .. } = *awaiting;
        self.base.timers.set(Timer::Elect, until);
        let question = Frame::Question(Question { nonce: self.base.nonce(), to: claimant });
        if let Some(conn) = conn {
            // What it has not answered yet is not asked again.
            if self.base.peer(conn).is_some() {
                self.base.send(conn, question);
            }
            return true;
        }
        // Elsewhere its double would answer for it.
        let Some(route) = self.base.own_way(claimant) else { return true };
        let conn = self.base.dial(route, Purpose::Claimant, question);
        if let Role::Electing(Electing { awaiting: Some(awaiting), .. }) = &mut self.role {
            awaiting.conn = Some(conn);
        }
        true
    }

    /// Its claim may still win: what has become of it shows when it is asked again, after `soon`, and then each time after
    /// twice as long.
    fn ask_claimant_later(&mut self) {
        if let Role::Electing(Electing { awaiting: Some(awaiting), .. }) = &mut self.role {
            let next = self.base.now + awaiting.again;
            awaiting.again *= 2;
            self.base.timers.set(Timer::Elect, next.min(awaiting.until));
        }
    }

    /// A connection that another opened is gone. That of a claimant stands for as long as its claim.
    pub(super) fn claimant_hung_up(&mut self, state: &Conn) {
        let peer = state.peer.as_ref().map(|p| p.node);
        let awaited = matches!(&self.role, Role::Electing(e)
            if e.awaiting.as_ref().is_some_and(|a| Some(a.claimant) == peer));
        if awaited {
            self.ask_claimant();
        }
    }

    /// What the claimant said: that it leads; that it follows, so that nothing will come of its claim; or that it still may
    /// win. Where another start of it is, nobody claims.
    pub(super) fn claimant_answered(&mut self, conn: ConnId, answer: &Answer, from: SocketAddr) {
        let Some(claimant) = self.asked_claimant(conn) else { return };
        if self.base.peer(conn) != Some(claimant) {
            return self.claimant_gone();
        }
        match &answer.standing {
            Standing::Leads(claim) if claim.node == claimant && self.base.believe(*claim) => {
                let known = Known { claim: *claim, name: self.base.name(claimant.id), address: from, direct: true };
                self.follow(Target::told(known, None));
            }
            // The leader that it follows is no stranger's to name: those in line are asked for it.
            Standing::Follows(_) => self.claim_over(),
            _ => self.ask_claimant_later(),
        }
    }

    /// The question is over. Only a refusal says that nobody claims any more: who does not answer may still win.
    pub(super) fn claimant_closed(&mut self, conn: ConnId, state: &Conn, how: Closed) {
        if self.asked_claimant(conn).is_none() {
            return;
        }
        if state.peer.is_none() && how != Closed::Local {
            return self.claimant_gone();
        }
        // It was there, or this machine could not ask. Whether it still is shows when it is asked again.
        let soon = self.base.now + self.base.settings.soon();
        if let Role::Electing(Electing { awaiting: Some(awaiting), .. }) = &mut self.role {
            awaiting.conn = None;
            self.base.timers.set(Timer::Elect, soon.min(awaiting.until));
        }
    }

    fn asked_claimant(&self, conn: ConnId) -> Option<Incarnation> {
        let Role::Electing(e) = &self.role else { return None };
        let waits = matches!(e.phase, Phase::Wait { .. });
        e.awaiting.as_ref().filter(|_| waits).filter(|a| a.conn == Some(conn)).map(|a| a.claimant)
    }

    /// Nobody makes the claim that was awaited.
    fn claimant_gone(&mut self) {
        let Role::Electing(Electing { awaiting: Some(Awaiting { claimant, .. }), .. }) = self.role else { return };
        let alive = self.base.members.get_mut(claimant.id).filter(|e| e.state == MemberState::Alive);
        // A stranger's end is nobody's news.
        if let Some(entry) = alive {
            (entry.state, entry.announced) = (MemberState::Silent, None);
            let name = self.base.name(claimant.id);
            let text = format!("{name} claimed the role and is gone: it refused the question");
            self.base.info(Kind::MemberSilent, text, vec![("member", name.into())]);
        }
        self.claim_over();
    }

    /// Nothing will come of the claim that was awaited: the next in line is told.
    fn claim_over(&mut self) {
        let Role::Electing(Electing { awaiting: Some(Awaiting { claimant, .. }), .. }) = self.role else { return };
        self.gives_up(claimant);
        self.line_up(None);
    }

    /// A claimant claims no more; true when it was awaited.
    pub(super) fn gives_up(&mut self, claimant: Incarnation) -> bool {
        self.base.promises.gives_up(claimant);
        let awaited =
            matches!(&self.role, Role::Electing(e) if e.awaiting.as_ref().is_some_and(|a| a.claimant == claimant));
        if awaited {
            self.await_nobody();
        }
        awaited
    }
}
