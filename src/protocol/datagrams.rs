//! What arrives by datagram, handed to whom it concerns.

use super::role::{Doubt, Role};
use super::{Node, To};
use crate::ident::Incarnation;
use crate::message::{Cast, Datagram, Sender};
use std::net::SocketAddr;

impl Node {
    pub(super) fn datagram(&mut self, from: SocketAddr, datagram: Datagram) {
        let Datagram { from: sender, cast } = datagram;
        if sender.node == self.base.me.node {
            return;
        }
        let known = self.base.members.get(sender.node.id).filter(|e| e.name != sender.name).is_some();
        let former = self.base.heard(&sender, Some(from), false);
        if known {
            self.member_renamed(&sender);
        }
        if let Some(e) = self.base.members.get_mut(sender.node.id)
            && !matches!(cast, Cast::Goodbye(_))
        {
            e.is_back(former.is_some(), self.base.now);
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

    /// A known member is called otherwise now.
    fn member_renamed(&mut self, sender: &Sender) {
        // What it said when its connections began is old.
        self.base.ways.renamed(sender);
        match &mut self.role {
            Role::Following(f) if f.claim.node == sender.node => f.name.clone_from(&sender.name),
            Role::Leading(l) if l.sessions.contains_key(&sender.node.id) => self.list_moved(sender.node.id),
            _ => {}
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
}
