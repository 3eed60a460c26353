//! Waiting for another's claim, and finding out when nobody makes it any more (protocol §7.4).

use super::conns::{Conn, Purpose};
use super::role::{Awaiting, Electing, Phase, Role};
use super::timers::Timer;
use super::{Closed, Node};
use crate::event::Kind;
use crate::ident::{ConnId, Node as Ident};
use crate::message::{Frame, MemberState, Question};
use std::time::Duration;

impl Node {
    /// Waits until `pause` is over for what a claimant does. When nothing comes of it soon, it is asked once whether it is
    /// still there.
    pub(super) fn wait_for(&mut self, claimant: Ident, pause: Duration, why: &'static str) {
        self.wait(pause, why);
        let now = self.base.now;
        let ask = now + self.base.settings.soon().min(pause);
        if let Role::Electing(e) = &mut self.role {
            e.awaiting = Some(Awaiting { claimant, until: now + pause, conn: None });
            self.base.timers.set(Timer::Elect, ask);
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
        let (claimant, until) = (awaiting.claimant, awaiting.until);
        self.base.timers.set(Timer::Elect, until);
        if awaiting.conn.is_some() {
            return true;
        }
        let Some(route) = self.base.direct_to(claimant) else { return true };
        let question = Frame::Question(Question { nonce: self.base.nonce(), to: claimant });
        let conn = self.base.dial(route, Purpose::Claimant, question);
        if let Role::Electing(Electing { awaiting: Some(awaiting), .. }) = &mut self.role {
            awaiting.conn = Some(conn);
        }
        true
    }

    /// A connection that another opened is gone. That of a claimant stands for as long as its claim.
    pub(super) fn claimant_hung_up(&mut self, state: &Conn) {
        let peer = state.peer.as_ref().map(|p| p.node);
        let awaited = matches!(&self.role, Role::Electing(e)
            if e.awaiting.as_ref().is_some_and(|a| Some(a.claimant) == peer && a.conn.is_none()));
        if awaited {
            self.ask_claimant();
        }
    }

    /// What the claimant said: it is there, and still may win; or another start of it is.
    pub(super) fn claimant_answered(&mut self, conn: ConnId) {
        let peer = self.base.peer(conn);
        if self.asked_claimant(conn).is_some_and(|claimant| peer != Some(claimant)) {
            self.base.close(conn);
            self.claimant_gone();
        }
    }

    /// The question is over. Only a refusal says that nobody claims any more: who does not answer may still win.
    pub(super) fn claimant_closed(&mut self, conn: ConnId, state: &Conn, how: Closed) {
        if self.asked_claimant(conn).is_none() {
            return;
        }
        let soon = self.base.now + self.base.settings.soon();
        if state.peer.is_none() && how != Closed::Local {
            return self.claimant_gone();
        }
        // It was there, or this machine could not ask. Whether it still is shows when it is asked again.
        if let Role::Electing(Electing { awaiting: Some(awaiting), .. }) = &mut self.role {
            awaiting.conn = None;
            self.base.timers.set(Timer::Elect, soon.min(awaiting.until));
        }
    }

    fn asked_claimant(&self, conn: ConnId) -> Option<Ident> {
        let Role::Electing(e) = &self.role else { return None };
        let waits = matches!(e.phase, Phase::Wait { .. });
        e.awaiting.as_ref().filter(|_| waits).filter(|a| a.conn == Some(conn)).map(|a| a.claimant)
    }

    /// Nobody makes the claim that was awaited: the next in line is told.
    fn claimant_gone(&mut self) {
        let Role::Electing(e) = &mut self.role else { return };
        let Some(claimant) = e.awaiting.take().map(|a| a.claimant) else { return };
        let alive = self.base.members.get_mut(claimant.id).filter(|e| e.state == MemberState::Alive);
        // A stranger's end is nobody's news.
        if let Some(entry) = alive {
            entry.state = MemberState::Silent;
            let name = self.base.name(claimant.id);
            let text = format!("{name} claimed the role and is gone: it refused the question");
            self.base.info(Kind::MemberSilent, text, vec![("member", name.into())]);
        }
        if self.base.promised.is_some_and(|p| p.claim.node == claimant) {
            // The promise stands; nothing more will come of it.
            self.base.promised_at = None;
        }
        self.line_up(None);
    }
}
