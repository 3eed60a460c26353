//! Reports of the disk: what waited for a write happens, or does not (protocol §3, §6).

use super::role::Role;
use super::writes::Then;
use super::{Node, Write};
use crate::claim::Claim;
use crate::event::Kind;
use crate::ident::Ticket;
use crate::message::Frame;

impl Node {
    /// Everything up to this write is durable.
    pub(super) fn persisted(&mut self, through: Ticket) {
        if self.base.writes.recovered() {
            self.write_anew();
        }
        while let Some(ticket) = self.base.writes.next_through(through) {
            self.written(ticket);
        }
    }

    fn written(&mut self, ticket: Ticket) {
        match self.base.writes.end(ticket) {
            None | Some(Then::Nothing) => {}
            Some(Then::Say { conn, voice }) => {
                self.base.promises.durable(voice.claim);
                self.confirm(voice.claim);
                self.base.send(conn, Frame::Voice(voice));
            }
            Some(Then::OwnVoice(claim)) => {
                self.base.promises.durable(claim);
                self.own_voice(claim);
            }
            Some(Then::Shown(claim)) => self.base.promises.shown_durable(claim),
            Some(Then::Show(claim)) => {
                self.base.promises.shown_durable(claim);
                self.show(claim);
            }
            Some(Then::Reign(claim)) => {
                self.base.promises.shown_durable(claim);
                self.reign_durable(claim);
            }
        }
    }

    pub(super) fn not_persisted(&mut self, ticket: Ticket, why: &str) {
        let Some(then) = self.base.writes.end(ticket) else { return };
        if self.base.writes.failed(why, self.base.now) {
            let text = format!(
                "this machine cannot write to its store: {why}; until it can, it takes no role, backs nobody and \
                 shows no new leader"
            );
            self.base.warn(Kind::StoreTrouble, text, vec![]);
        }
        self.store_failed(&then);
    }

    /// Whether a disk that could not be written can be written again shows when it is tried.
    pub(super) fn try_disk(&mut self) {
        if self.campaign.canvass.is_none() && self.base.writes.fail() && self.base.store_age().is_zero() {
            self.write_anew();
        }
    }

    /// What was to be remembered while the store could not be written is on no disk.
    fn write_anew(&mut self) {
        for entry in self.base.members.iter_mut() {
            entry.kept = None;
        }
        let promise = self.base.promises.promised().map(Write::Promised);
        let shown = self.base.promises.show_kept().into_iter();
        let writes: Vec<Write> = shown.chain(promise).chain(self.base.past.anew()).collect();
        if writes.is_empty() {
            // Nothing is missing on the disk: what it takes shows when there is something.
            self.base.writes.recovered();
        } else {
            self.base.persist(writes, self.base.promises.shown().map_or(Then::Nothing, Then::Shown));
        }
    }

    /// A write failed: what waited for it does not happen.
    pub(super) fn store_failed(&mut self, then: &Then) {
        match then {
            Then::OwnVoice(claim) | Then::Reign(claim) => self.claim_not_kept(*claim),
            Then::Say { conn, .. } => {
                self.base.promises.not_durable();
                // The claimant need not wait for this voice.
                self.base.close(*conn);
            }
            Then::Nothing | Then::Show(_) | Then::Shown(_) => {}
        }
        if matches!(self.role, Role::Leading(_)) {
            self.hand_over_for_store();
        }
    }

    fn claim_not_kept(&mut self, claim: Claim) {
        if let Some(c) = self.campaign.canvass.as_ref().filter(|c| c.claim == claim) {
            let handed_over = c.abdicate.is_some();
            self.drop_claim("it could not be written down");
            if !handed_over {
                // Whoever backed it need not wait for it.
                self.line_up(None);
            }
        }
        self.drop_renewal(claim);
    }

    /// A new reign of this leader does not come: what waits for it asks again.
    pub(super) fn drop_renewal(&mut self, claim: Claim) {
        if let Role::Leading(l) = &mut self.role
            && l.renewing.as_ref().is_some_and(|r| r.claim == claim)
        {
            l.renewing = None;
        }
    }
}
