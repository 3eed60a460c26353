//! Members that are taken out of every list: after a long silence, or because a user says so (protocol §5).

use super::role::{Following, Role};
use super::timers::Timer;
use super::writes::Then;
use super::{Node, Output, Write, limits};
use crate::event::Kind;
use crate::ident::{ConnId, NodeId};
use crate::message::{Forget, Frame, HandoverDone, MemberState, Members};

impl Node {
    /// Members that nobody has heard for long are forgotten (§5).
    pub(super) fn forget_old(&mut self) {
        let after = self.base.settings.forget_after;
        let leader = match &self.role {
            Role::Following(f) => Some(f.claim.node.id),
            _ => None,
        };
        let leading = matches!(self.role, Role::Leading(_));
        if !leading && leader.is_some() {
            // The list is the leader's.
            return;
        }
        let serving = |id: NodeId| matches!(&self.role, Role::Leading(l) if l.sessions.contains_key(&id));
        for id in self.base.members.forgotten(after, self.base.now, serving) {
            self.forget(id, "not heard for long");
        }
    }

    fn forget(&mut self, id: NodeId, why: &str) {
        let name = self.base.name(id);
        self.base.info(Kind::MemberLeft, format!("{name} is forgotten: {why}"), vec![("member", name.clone().into())]);
        self.forget_row(id);
        if let Role::Leading(l) = &mut self.role {
            l.changed.remove(&id);
            l.gone.insert(id);
            self.base.timers.sooner(Timer::List, self.base.now);
        }
    }

    /// The leader has forgotten this member, and so does this agent, unless it has just heard it.
    pub(super) fn leader_forgot(&mut self, id: NodeId) {
        let heard = self.base.members.get(id).is_some_and(|e| e.heard_within(limits::SILENT, self.base.now));
        if !heard && id != self.base.me.node.id {
            self.forget_row(id);
        }
    }

    fn forget_row(&mut self, id: NodeId) {
        let kept = self.base.members.forget(id).is_some_and(|e| e.kept.is_some());
        if kept && self.base.writes.has_room() {
            self.base.persist(vec![Write::Forget(id)], Then::Nothing);
        }
    }

    /// Who has just joined is told who is forgotten: it may remember them.
    pub(super) fn tell_forgotten(&mut self, conn: ConnId) {
        let gone = self.base.members.forgotten_ids();
        if !gone.is_empty() {
            self.base.send(conn, Frame::Members(Members { changed: Vec::new(), gone }));
        }
    }

    // ---- asked by users

    /// A user of this agent asks that a member be forgotten: the leader does that, for all.
    pub(super) fn forget_asked(&mut self, request: u64, who: String) {
        let refused = match &mut self.role {
            Role::Leading(_) => self.forget_named(&who).err(),
            Role::Following(Following { session: Some(session), forgets, .. }) if forgets.len() < limits::REQUESTS => {
                forgets.insert(request);
                let conn = session.conn;
                return self.base.send(conn, Frame::Forget(Forget { request, who }));
            }
            _ => Some("there is no leader that could do it; try again when there is one".to_owned()),
        };
        self.base.out.push(Output::Reply { request, refused });
    }

    pub(super) fn member_asks_to_forget(&mut self, conn: ConnId, forget: &Forget) {
        let refused = match self.served_mut(conn) {
            Some(_) => self.forget_named(&forget.who).err(),
            None => Some("that machine does not lead any more".to_owned()),
        };
        self.base.send(conn, Frame::HandoverDone(HandoverDone { request: forget.request, refused }));
    }

    /// Forgets all that are called so and are gone. One that is there is refused: it would be back at once.
    fn forget_named(&mut self, who: &str) -> Result<(), String> {
        let Role::Leading(l) = &self.role else { return Err("this machine does not lead".to_owned()) };
        let all = self.all_named(who);
        let gone = |id: &NodeId| {
            let state = self.base.members.get(*id).map(|e| e.state);
            state.is_some_and(|s| s != MemberState::Alive) && !l.sessions.contains_key(id)
        };
        let those: Vec<NodeId> = all.iter().copied().filter(gone).collect();
        if all.is_empty() {
            return Err(format!("no member is called {who}; 'tanist members --all' lists them"));
        }
        if those.is_empty() {
            return Err(format!(
                "{who} is connected: only members that left or are silent can be forgotten; stop its agent"
            ));
        }
        for id in those {
            self.forget(id, "a user asked for it");
        }
        Ok(())
    }

    /// What was asked of a leader that is followed no more, or on a session that broke, is not answered any more.
    pub(super) fn forgets_lost(&mut self) {
        let Role::Following(f) = &mut self.role else { return };
        let forgets = std::mem::take(&mut f.forgets);
        self.refuse(forgets, "the connection to the leader broke meanwhile; try again");
    }
}
