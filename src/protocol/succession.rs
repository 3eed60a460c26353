//! The successor is chosen, made ready and named (protocol §7).

use super::Node;
use super::directory::{self};
use super::naming::Choice;
use super::role::Role;
use crate::event::Kind;
use crate::ident::{ConnId, Incarnation};
use crate::message::{Frame, Named};

impl Node {
    /// Names the successor, keeps it, or un-names it (§7, naming the successor).
    pub(super) fn name_successor(&mut self) {
        let Role::Leading(l) = &self.role else { return };
        if l.handover.is_some() {
            // The one that takes over stays named until it has, or has failed.
            return;
        }
        let there = l.sessions.values().filter(|s| !s.silent);
        let fit = there.filter_map(|s| self.base.members.get(s.node.id));
        let first = directory::first(fit, l.naming.named().map(|n| n.id), self.base.now);
        let node = first.and_then(|id| l.sessions.get(&id)).map(|s| s.node);
        self.choose_successor(node);
    }

    /// This one is the first in line, or has to be.
    pub(super) fn choose_successor(&mut self, node: Option<Incarnation>) {
        let Role::Leading(l) = &mut self.role else { return };
        match l.naming.choose(node) {
            Choice::Stands => {}
            // There is no data yet that it would have to hold first.
            Choice::Candidate(_) => self.successor_ready(),
            Choice::Nobody => {
                self.tell_named(None);
                self.base.info(Kind::SuccessorNone, "there is no successor".to_owned(), vec![]);
            }
        }
    }

    /// The candidate holds everything: it is named.
    fn successor_ready(&mut self) {
        let Role::Leading(l) = &mut self.role else { return };
        l.naming.name();
        let Some(node) = l.naming.named() else { return };
        self.tell_named(Some(node));
        let name = self.base.name(node.id);
        let rtt = self.base.members.get(node.id).and_then(|e| e.rtt_us);
        let rtt = rtt.map(|us| format!("round trip {}.{} ms, ", us / 1000, us % 1000 / 100)).unwrap_or_default();
        let text = format!("successor is {name} ({rtt}holds everything)");
        self.base.info(Kind::SuccessorNamed, text, vec![("successor", name.into())]);
    }

    /// The one that is named is told first, then everybody.
    fn tell_named(&mut self, node: Option<Incarnation>) {
        let Role::Leading(l) = &self.role else { return };
        let mut conns: Vec<ConnId> = node.and_then(|n| l.sessions.get(&n.id)).map(|s| s.conn).into_iter().collect();
        conns.extend(l.sessions.values().filter(|s| Some(s.node) != node).map(|s| s.conn));
        let named = Named { claim: l.claim, successor: node };
        self.base.send_all(conns, Frame::Named(named));
    }
}
