//! Questions between members, and what followers report (protocol §6, §9).

use super::Node;
use super::ways::Purpose;
use crate::ident::ConnId;
use crate::message::{Check, Frame, Known, Question, Standing};
use std::net::SocketAddr;

impl Node {
    /// A leader that stalled, or met a second process with a member's id, asks how this agent stands.
    pub(super) fn checks(&mut self, conn: ConnId, _check: &Check) {
        let standing = self.standing();
        self.base.send(conn, Frame::Checked(crate::message::Checked { standing }));
    }

    pub(super) fn checked(&mut self, conn: ConnId, standing: Standing, from: SocketAddr) {
        if self.clone_answered(conn) {
            return;
        }
        if self.base.ways.get(conn).is_some_and(|c| c.purpose == Purpose::Meet) {
            return self.not_a_leader(conn, standing, from);
        }
        self.check_answered(conn, standing, from);
    }

    /// A follower reports another leader that it hears.
    pub(super) fn reported(&mut self, conn: ConnId, known: Known) {
        let Some(served) = self.served_mut(conn) else { return };
        let id = served.node.id;
        let direct = served.via.is_none();
        let from = self.base.ways.get(conn).map(|c| c.address);
        let reporter = (known.direct && direct).then_some(id);
        // It may come from a datagram: it raises no epoch before the two have met.
        if let Some(from) = from
            && self.base.credible(known.claim.epoch)
        {
            self.other_leader(known, reporter, from);
        }
    }

    /// A question to this agent: whether it lives and leads.
    pub(super) fn questioned(&mut self, conn: ConnId, question: &Question) {
        if self.checking() {
            return;
        }
        // Another boot answers for itself, and so does another agent at an address that was somebody's.
        let answer = self.base.answer(question.nonce, self.standing());
        self.base.send(conn, Frame::Answer(answer));
    }
}
