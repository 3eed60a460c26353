//! What this agent has promised and shown, and what of it is durable (protocol §3, P3; §7.3).

use super::{Promise, Write};
use crate::claim::Claim;
use crate::ident::Incarnation;
use crate::time::{Time, Wall};
use std::time::Duration;

/// Epochs never fall: neither what is shown, nor what is promised, nor the durable part of each.
#[derive(Clone, Debug)]
pub(super) struct Promises {
    /// The reign that users are shown. It is durable, or the durable promise of it is.
    shown: Option<Claim>,
    /// The highest that is durable as shown.
    shown_kept: Option<Claim>,
    /// What was promised: given to the disk before it is acted on, durable before it is said.
    promised: Option<Promise>,
    /// When, in this run of the agent; none when nothing will come of it any more.
    promised_at: Option<Time>,
    /// The claim of `promised`, once that is durable and as long as it may begin.
    kept: Option<Claim>,
    /// The claim of `promised` while that is on its way to the disk.
    begun: Option<Claim>,
    /// The last own claim that was withdrawn for good.
    withdrawn: Option<Claim>,
    /// The highest epoch and claim time heard of on a connection: they raise the next claim and nothing else.
    heard_epoch: u64,
    heard_at: Wall,
}

impl Promises {
    /// What a start finds on its disk.
    pub(super) fn new(shown_kept: Option<Claim>, promised: Option<Promise>) -> Self {
        let epoch = |claim: Option<Claim>| claim.map_or(0, |c| c.epoch);
        // What was promised may have been shown before this process ended (P3).
        let may_be = promised.and_then(|p| p.may_be_shown());
        let shown = may_be.filter(|_| epoch(may_be) > epoch(shown_kept)).or(shown_kept);
        Self {
            shown,
            shown_kept,
            promised,
            promised_at: None,
            kept: None,
            begun: None,
            withdrawn: promised.filter(|p| p.withdrawn).map(|p| p.claim),
            heard_epoch: 0,
            heard_at: Wall(0),
        }
    }

    // ---- what is shown

    pub(super) fn shown(&self) -> Option<Claim> {
        self.shown
    }

    pub(super) fn shown_epoch(&self) -> u64 {
        self.shown.map_or(0, |c| c.epoch)
    }

    /// Users see this reign from now on.
    pub(super) fn show(&mut self, claim: Claim) {
        self.shown = Some(claim);
    }

    /// A reign that was lost before it was shown is on the disk: nothing below it is shown any more.
    pub(super) fn show_at_least(&mut self, claim: Claim) {
        self.shown = self.shown.max(Some(claim));
    }

    /// This reign is durable as shown.
    pub(super) fn shown_durable(&mut self, claim: Claim) {
        self.shown_kept = self.shown_kept.max(Some(claim));
    }

    /// What makes durable what is shown, if that is not yet.
    pub(super) fn show_kept(&self) -> Vec<Write> {
        self.shown.filter(|_| self.shown != self.shown_kept).map(Write::Shown).into_iter().collect()
    }

    // ---- what is promised

    pub(super) fn promised(&self) -> Option<Promise> {
        self.promised
    }

    /// The claim that was promised, unless it was withdrawn.
    pub(super) fn live(&self) -> Option<Claim> {
        self.promised.filter(|p| !p.withdrawn).map(|p| p.claim)
    }

    /// Takes the place of the promise before, in memory at once. Gives what has to become durable with it.
    pub(super) fn make(&mut self, promise: Promise, now: Time) -> Vec<Write> {
        // The promise that vouched for what is shown goes: that is durable with the new one at the latest.
        let mut writes = self.show_kept();
        self.promised = Some(promise);
        self.promised_at = Some(now);
        (self.kept, self.begun) = (None, promise.may_be_shown());
        writes.push(Write::Promised(promise));
        writes
    }

    /// The promise of an own reign that begins with it. It vouches for nothing: the reign is shown when it is durable.
    pub(super) fn make_with_reign(&mut self, claim: Claim, now: Time) -> Vec<Write> {
        let promise = Promise::of(claim);
        (self.promised, self.kept, self.begun) = (Some(promise), None, None);
        self.promised_at = Some(now);
        vec![Write::Promised(promise), Write::Shown(claim)]
    }

    /// A promise is durable: from now on it vouches for the reign, which is shown without another write (P3).
    pub(super) fn durable(&mut self, claim: Claim) {
        self.begun = self.begun.filter(|begun| *begun != claim);
        if self.promised.and_then(|p| p.may_be_shown()) == Some(claim) {
            self.kept = Some(claim);
        }
    }

    /// The promise that was on its way to the disk is not durable.
    pub(super) fn not_durable(&mut self) {
        self.begun = None;
    }

    /// The durable promise of this claim vouches for its reign.
    pub(super) fn vouch_for(&self, claim: Claim) -> bool {
        self.kept == Some(claim)
    }

    /// The promise of this claim is on its way to the disk, and vouches for the reign as soon as it is durable.
    pub(super) fn will_vouch_for(&self, claim: Claim) -> bool {
        self.begun == Some(claim)
    }

    /// Nothing will come of a claim of this one any more. The promise stands.
    pub(super) fn gives_up(&mut self, claimant: Incarnation) {
        if self.promised.is_some_and(|p| p.claim.node == claimant) {
            self.promised_at = None;
        }
    }

    /// How much of `time` is left since the promise; none when it is over, or when nothing will come of it.
    pub(super) fn left(&self, time: Duration, now: Time) -> Option<Duration> {
        time.checked_sub(now.since(self.promised_at?))
    }

    /// A promise whose reign did not begin within `time` vouches for nothing: a restart must not take it for shown. Gives
    /// what has to become durable.
    pub(super) fn end_vain(&mut self, time: Duration, now: Time) -> Option<Write> {
        let vain = |p: &Promise| self.vouch_for(p.claim) && p.claim.epoch > self.shown_epoch();
        let promise = self.promised.filter(|p| vain(p) && self.left(time, now).is_none())?;
        let promise = Promise { over: true, ..promise };
        (self.promised, self.kept) = (Some(promise), None);
        Some(Write::Promised(promise))
    }

    // ---- own claims that were withdrawn

    pub(super) fn withdraw(&mut self, claim: Claim) {
        self.withdrawn = Some(claim);
    }

    /// The own claim of this epoch, when it was withdrawn.
    pub(super) fn withdrew(&self, epoch: u64) -> Option<Claim> {
        self.withdrawn.filter(|w| w.epoch == epoch)
    }

    // ---- what was heard of on a connection

    pub(super) fn heard_epoch(&self) -> u64 {
        self.heard_epoch
    }

    pub(super) fn hear_epoch(&mut self, epoch: u64) {
        self.heard_epoch = self.heard_epoch.max(epoch);
    }

    #[cfg(test)]
    pub(super) fn heard_at(&self) -> Wall {
        self.heard_at
    }

    pub(super) fn hear_time(&mut self, at: Wall) {
        self.heard_at = self.heard_at.max(at);
    }

    /// The time stamp of the next own claim: the wall clock, above every claim time that was heard of (§7.1).
    pub(super) fn next_time(&mut self, wall: Wall) -> Wall {
        self.heard_at = Wall(wall.0.max(self.heard_at.0.saturating_add(1)));
        self.heard_at
    }
}
