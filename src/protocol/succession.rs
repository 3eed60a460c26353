//! The successor is chosen, made ready and named (protocol §7).

use super::Node;
use super::directory::{self};
use super::role::{Role, Served};
use crate::event::Kind;
use crate::ident::{ConnId, Incarnation};
use crate::message::{Frame, Named};

impl Node {
    /// Names the successor, keeps it, or un-names it (§7, naming the successor).
    pub(super) fn name_successor(&mut self) {
        let Role::Leading(l) = &self.role else { return };
        if let Some(h) = &l.handover {
            // The one that takes over stays named until it has, or has failed.
            let (to, named) = (h.to, l.naming.named());
            self.choose_successor(Some(to));
            return self.successor_changed(named);
        }
        let (now, patience) = (self.base.now, self.successor_wait());
        let fits = |s: &&Served| !s.silent && l.copies.is_current(s.conn, now, patience);
        let fit = l.sessions.values().filter(fits).filter_map(|s| self.base.members.get(s.node.id));
        let first = directory::first(fit, l.naming.named().map(|n| n.id), now);
        let node = first.and_then(|id| l.sessions.get(&id)).map(|s| s.node);
        let named = l.naming.named();
        let stays = named.is_none_or(|n| l.sessions.get(&n.id).filter(|s| s.node == n).is_some_and(|s| fits(&s)));
        if let Role::Leading(l) = &mut self.role
            && !stays
        {
            l.naming.unname();
        }
        self.choose_successor(node);
        self.successor_changed(named);
    }

    /// This one is the first in line, or has to be.
    pub(super) fn choose_successor(&mut self, node: Option<Incarnation>) {
        let Role::Leading(l) = &mut self.role else { return };
        l.naming.choose(node);
        let Some(candidate) = l.naming.candidate() else { return };
        // Writes wait for it from now on. It is named when it has all that was acknowledged without it.
        let committed = l.data.as_ref().map_or(0, |primary| primary.committed());
        if l.durable_at(candidate).is_some_and(|stored| stored >= committed) {
            l.naming.name();
        }
    }

    /// Another one was named until now: everybody is told, and only then do writes wait no more for the old one.
    pub(super) fn successor_changed(&mut self, was: Option<Incarnation>) {
        let Role::Leading(l) = &mut self.role else { return };
        let named = l.naming.named();
        if named == was {
            return;
        }
        l.vacant = named.is_none().then_some(self.base.now);
        self.tell_named(named);
        let Some(node) = named else {
            if self.stands_alone() {
                let text = "this machine stands alone: nobody follows it any more, and another part of the network may have \
                            its own leader";
                self.base.warn(Kind::SuccessorNone, text.to_owned(), vec![]);
            } else {
                self.base.info(Kind::SuccessorNone, "there is no successor".to_owned(), vec![]);
            }
            return self.acknowledge();
        };
        let name = self.base.name(node.id);
        let rtt = self.base.members.get(node.id).and_then(|e| e.rtt_us);
        let rtt = rtt.map(|us| format!("round trip {}.{} ms, ", us / 1000, us % 1000 / 100)).unwrap_or_default();
        let text = format!("successor is {name} ({rtt}holds everything)");
        self.base.info(Kind::SuccessorNamed, text, vec![("successor", name.into())]);
        self.acknowledge();
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
