//! Writes on their way to the disk, what waits for each, and whether the disk takes them (protocol §6).

use super::limits;
use crate::claim::Claim;
use crate::ident::{ConnId, Ticket};
use crate::message::Voice;
use crate::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// Writes that fail for the same reason are told of again after so long.
const TROUBLE: Duration = Duration::from_secs(60);

/// What waits for a write to be durable (the contract of durability, [`crate::protocol`]).
#[derive(Clone, Debug)]
pub(super) enum Then {
    /// Nothing.
    Nothing,
    /// A voice that was promised is given.
    Say { conn: ConnId, voice: Voice },
    /// The own claim and voice count.
    OwnVoice(Claim),
    /// The reign that is followed is shown.
    Show(Claim),
    /// What is shown already, because a durable promise vouches for it, is durable as shown.
    Shown(Claim),
    /// The new reign of a leader begins.
    Reign(Claim),
}

impl Then {
    /// The reign that is durable as shown with this write.
    fn shows(&self) -> Option<Claim> {
        match self {
            Then::Show(claim) | Then::Shown(claim) | Then::Reign(claim) => Some(*claim),
            Then::Nothing | Then::Say { .. } | Then::OwnVoice(_) => None,
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Writes {
    /// Oldest first. Bound: [`limits::WRITES`].
    under_way: BTreeMap<Ticket, (Time, Then)>,
    /// The highest reign that one of them shows.
    showing: Option<Claim>,
    /// The last one failed.
    failing: bool,
    /// When one failed last.
    failed_at: Option<Time>,
    /// Why they fail, and when that was told last; until they have worked for a while.
    trouble: Option<(String, Time)>,
    /// Writes that found no room in this step. Bound: one step's.
    refused: Vec<Then>, // bound: WRITES
    last: u64,
    /// Users were told that the oldest write hangs.
    told_stuck: bool,
}

impl Writes {
    /// Enters a write and gives its ticket. None when there is no room: a disk has hung for so long, and what waits for the
    /// write does not happen.
    pub(super) fn begin(&mut self, then: Then, now: Time) -> Option<Ticket> {
        if self.under_way.len() >= limits::WRITES {
            self.refused.push(then);
            return None;
        }
        let higher = |claim: &Claim| self.showing.is_none_or(|s| claim.epoch >= s.epoch);
        self.showing = then.shows().filter(higher).or(self.showing);
        self.last += 1;
        self.under_way.insert(Ticket(self.last), (now, then));
        Some(Ticket(self.last))
    }

    /// What could not even begin since this was asked last.
    pub(super) fn take_refused(&mut self) -> Vec<Then> {
        std::mem::take(&mut self.refused)
    }

    /// The oldest write, when it is one of those up to this.
    pub(super) fn next_through(&self, through: Ticket) -> Option<Ticket> {
        self.under_way.keys().next().copied().filter(|first| *first <= through)
    }

    /// A write is done, or has failed: gives what waits for it.
    pub(super) fn end(&mut self, ticket: Ticket) -> Option<Then> {
        let (_, then) = self.under_way.remove(&ticket)?;
        if then.shows().is_some() {
            let left = self.under_way.values().filter_map(|(_, then)| then.shows());
            self.showing = left.max_by_key(|claim| claim.epoch);
        }
        Some(then)
    }

    /// The highest reign that is shown as soon as a write under way is durable.
    pub(super) fn showing(&self) -> Option<Claim> {
        self.showing
    }

    /// Whether one more write that is not vital may be begun.
    pub(super) fn has_room(&self) -> bool {
        self.under_way.len() < limits::WRITES / 2
    }

    /// The age of the oldest write under way.
    pub(super) fn age(&self, now: Time) -> Duration {
        self.under_way.values().next().map_or(Duration::ZERO, |(began, _)| now.since(*began))
    }

    /// This process stood still for `gap`: the disk had no such time.
    pub(super) fn excuse(&mut self, gap: Duration, now: Time) {
        for (began, _) in self.under_way.values_mut() {
            *began = (*began + gap).min(now);
        }
    }

    // ---- trouble

    /// Writes fail, as far as is known.
    pub(super) fn fail(&self) -> bool {
        self.failing
    }

    /// They work, and have for a while: a disk that is full still takes what is small.
    pub(super) fn work(&self, now: Time) -> bool {
        !self.failing && self.failed_at.is_none_or(|at| now.since(at) >= limits::DISK_CALM)
    }

    /// A write failed. True when users have to be told.
    pub(super) fn failed(&mut self, why: &str, now: Time) -> bool {
        (self.failing, self.failed_at) = (true, Some(now));
        let told = self.trouble.as_ref().is_some_and(|(told, at)| told == why && now.since(*at) < TROUBLE);
        if !told {
            self.trouble = Some((why.to_owned(), now));
        }
        !told
    }

    /// A write was done. True when the one before had failed.
    pub(super) fn recovered(&mut self) -> bool {
        std::mem::take(&mut self.failing)
    }

    /// Whether they have worked for a while after they failed. True once.
    pub(super) fn calmed(&mut self, now: Time) -> bool {
        self.work(now) && self.trouble.take().is_some()
    }

    /// Takes note of whether the oldest write hangs. True when that is news for users.
    pub(super) fn hangs(&mut self, stuck: bool) -> bool {
        let told = std::mem::replace(&mut self.told_stuck, stuck);
        stuck && !told
    }
}
