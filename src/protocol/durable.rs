//! What is on its way to the disk, and what a durable promise vouches for (protocol §3, P3).

use super::base::{Base, Then};
use super::{Output, Promise, Write, limits};
use crate::claim::Claim;
use crate::ident::Ticket;
use std::time::Duration;

impl Base {
    /// What is shown, or will be after a crash at the latest, once the disk has done what it was given.
    pub(super) fn showing(&self) -> Option<Claim> {
        let begun = self.writes.values().filter_map(|(_, then)| match then {
            Then::Show(claim) | Then::Shown(claim) | Then::Reign(claim) => Some(*claim),
            Then::Nothing | Then::Say { .. } | Then::OwnVoice(_) => None,
        });
        self.shown.into_iter().chain(begun).max_by_key(|claim| claim.epoch)
    }

    /// Whether a reign can be shown: it is above what was shown, or the same (§9).
    pub(super) fn acceptable(&self, claim: Claim) -> bool {
        self.showing().is_none_or(|s| claim == s || claim.epoch > s.epoch)
    }

    pub(super) fn persist(&mut self, writes: Vec<Write>, then: Then) {
        if self.writes.len() >= limits::WRITES {
            // A disk that has hung for so long: what waits for it does not happen.
            return self.refused.push(then);
        }
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.writes.insert(ticket, (self.now, then));
        self.out.push(Output::Persist { ticket, writes });
    }

    /// Whether one more write that is not vital may be begun.
    pub(super) fn disk_has_room(&self) -> bool {
        self.writes.len() < limits::WRITES / 2
    }

    pub(super) fn written(&mut self, ticket: Ticket) -> Option<Then> {
        self.writes.remove(&ticket).map(|(_, then)| then)
    }

    /// The age of the oldest write under way.
    pub(super) fn store_age(&self) -> Duration {
        self.writes.values().next().map_or(Duration::ZERO, |(began, _)| self.now.since(*began))
    }

    /// This process stood still: the disk had no such time.
    pub(super) fn excuse(&mut self, gap: Duration) {
        for (began, _) in self.writes.values_mut() {
            *began = (*began + gap).min(self.now);
        }
    }

    pub(super) fn store_stuck(&self) -> bool {
        self.store_age() > self.settings.store_age()
    }

    /// Whether the disk takes what is written, as far as is known (§6).
    pub(super) fn disk_works(&self) -> bool {
        self.trouble.is_none() && !self.store_stuck()
    }

    /// Begins to make a promise durable. In memory it counts at once, so that nothing else is promised meanwhile.
    pub(super) fn promise(&mut self, promise: Promise, then: Then) {
        // The promise that vouched for what is shown goes: that is durable with the new one at the latest.
        let mut writes = self.show_kept();
        self.promised = Some(promise);
        self.promised_at = Some(self.now);
        (self.promise_kept, self.promise_begun) = (None, promise.may_be_shown());
        writes.push(Write::Promised(promise));
        self.persist(writes, then);
    }

    /// What makes durable what is shown, if that is not yet.
    pub(super) fn show_kept(&self) -> Vec<Write> {
        self.shown.filter(|_| self.shown != self.shown_kept).map(Write::Shown).into_iter().collect()
    }

    /// A promise is durable: from now on it vouches for the reign, which is shown without another write (P3).
    pub(super) fn promise_durable(&mut self, claim: Claim) {
        self.promise_begun = self.promise_begun.filter(|begun| *begun != claim);
        if self.promised.and_then(|p| p.may_be_shown()) == Some(claim) {
            self.promise_kept = Some(claim);
        }
    }

    /// How much longer the claim that was promised may win; none when that time is over, or when nothing will come of it.
    pub(super) fn backing_left(&self) -> Option<Duration> {
        let since = self.now.since(self.promised_at?);
        self.settings.after_canvass().checked_sub(since)
    }

    /// A promise whose reign did not begin in time vouches for nothing: a restart must not take it for shown.
    pub(super) fn end_promise(&mut self) {
        let epoch = self.shown_epoch();
        let kept = self.promise_kept;
        let vain = |p: &Promise| kept == Some(p.claim) && p.claim.epoch > epoch;
        if let Some(promise) = self.promised.filter(|p| vain(p) && self.backing_left().is_none()) {
            let promise = Promise { over: true, ..promise };
            (self.promised, self.promise_kept) = (Some(promise), None);
            self.persist(vec![Write::Promised(promise)], Then::Nothing);
        }
    }
}
