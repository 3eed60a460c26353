//! What becomes durable, and what a durable promise vouches for (protocol §3, P3).

use super::base::Base;
use super::writes::Then;
use super::{Output, Promise, Write};
use crate::claim::Claim;
use std::time::Duration;

impl Base {
    /// What is shown, or will be after a crash at the latest, once the disk has done what it was given.
    pub(super) fn showing(&self) -> Option<Claim> {
        self.promises.shown().into_iter().chain(self.writes.showing()).max_by_key(|claim| claim.epoch)
    }

    /// Whether a reign can be shown: it is above what was shown, or the same (§9).
    pub(super) fn acceptable(&self, claim: Claim) -> bool {
        self.showing().is_none_or(|s| claim == s || claim.epoch > s.epoch)
    }

    pub(super) fn persist(&mut self, writes: Vec<Write>, then: Then) {
        if let Some(ticket) = self.writes.begin(then, self.now) {
            self.out.push(Output::Persist { ticket, writes });
        }
    }

    /// The age of the oldest write under way.
    pub(super) fn store_age(&self) -> Duration {
        self.writes.age(self.now)
    }

    pub(super) fn store_stuck(&self) -> bool {
        self.store_age() > self.settings.store_age()
    }

    /// Whether the disk takes what is written, as far as is known (§6).
    pub(super) fn disk_works(&self) -> bool {
        self.writes.work(self.now) && !self.store_stuck()
    }

    /// Begins to make a promise durable. In memory it counts at once, so that nothing else is promised meanwhile.
    pub(super) fn promise(&mut self, promise: Promise, then: Then) {
        let writes = self.promises.make(promise, self.now);
        self.persist(writes, then);
    }

    /// How much longer the claim that was promised may win; none when that time is over, or when nothing will come of it.
    pub(super) fn backing_left(&self) -> Option<Duration> {
        self.promises.left(self.settings.after_canvass(), self.now)
    }

    /// A promise whose reign did not begin in time vouches for nothing: a restart must not take it for shown.
    pub(super) fn end_promise(&mut self) {
        if let Some(write) = self.promises.end_vain(self.settings.after_canvass(), self.now) {
            self.persist(vec![write], Then::Nothing);
        }
    }
}
