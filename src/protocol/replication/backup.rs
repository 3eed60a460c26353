//! A follower's side of its copy: what it was asked, and what of it is under way (protocol §10).

use crate::ident::JobId;
use std::collections::VecDeque;

/// Pieces of an offer that are on their way to the leader.
const AHEAD: u32 = 4;

/// Where a follower stands with its leader.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
enum State {
    /// It takes nothing in until it begins anew.
    #[default]
    Idle,
    /// It finds out what it has.
    Looks(JobId),
    /// The leader was told, and says how to go on.
    Stated,
    /// It offers what the leader lacks.
    Offers { next: u64, unanswered: u32, scanning: bool, all: bool },
    /// It receives a copy. The number of the next piece.
    Receives(u64),
    /// Changes come.
    Follows,
}

/// What a follower has under way, on one session.
#[derive(Clone, Debug, Default)]
pub(in crate::protocol) struct Backup {
    state: State,
    /// Jobs that append, with the last change of each, oldest first. Bound: [`crate::protocol::limits::JOBS`].
    appends: VecDeque<(JobId, u64)>,
    /// The job that takes in the last piece of a copy.
    adopts: Option<JobId>,
    /// What the leader said is acknowledged.
    committed: u64,
}

impl Backup {
    /// The leader says what is acknowledged.
    pub(in crate::protocol) fn knows(&mut self, committed: u64) {
        self.committed = self.committed.max(committed);
    }

    /// What the leader said is acknowledged; none while its changes do not come.
    pub(in crate::protocol) fn committed(&self) -> Option<u64> {
        (self.state == State::Follows).then_some(self.committed)
    }

    /// It begins by finding out what it has.
    pub(in crate::protocol) fn looks(&mut self, job: JobId) {
        *self = Self { state: State::Looks(job), ..Self::default() };
    }

    /// What it has is known. False when that is of no interest any more.
    pub(in crate::protocol) fn states(&mut self, job: JobId) -> bool {
        let asked = self.state == State::Looks(job);
        if asked {
            self.state = State::Stated;
        }
        asked
    }

    /// What comes is not taken in any more. False when it was so already.
    pub(in crate::protocol) fn breaks(&mut self) -> bool {
        std::mem::take(self).state != State::Idle
    }

    /// It is in the middle of taking over a copy.
    pub(in crate::protocol) fn catches_up(&self) -> bool {
        matches!(self.state, State::Receives(_))
    }

    /// Changes come: whether they may be taken in.
    pub(in crate::protocol) fn may_append(&mut self) -> bool {
        if self.state == State::Stated {
            self.state = State::Follows;
        }
        self.state == State::Follows
    }

    pub(in crate::protocol) fn appends(&mut self, job: JobId, last: u64) {
        self.appends.push_back((job, last));
    }

    /// Jobs are done up to this one: up to where its copy is durable now, if that has grown.
    pub(in crate::protocol) fn done(&mut self, through: JobId) -> Option<u64> {
        let mut stored = None;
        while let Some((_, last)) = self.appends.pop_front_if(|(job, _)| *job <= through) {
            stored = Some(last);
        }
        stored
    }

    /// This job failed. Whether it was one of those on which the copy relies.
    pub(in crate::protocol) fn failed(&self, job: JobId) -> bool {
        let looks = matches!(self.state, State::Looks(of) if of == job);
        looks || self.adopts == Some(job) || self.appends.iter().any(|(of, _)| *of == job) || self.offers().is_some()
    }

    /// The leader lacks something of what was stated: whether that fits.
    pub(in crate::protocol) fn is_wanted(&mut self) -> bool {
        let fits = matches!(self.state, State::Stated | State::Offers { all: true, .. });
        if fits {
            self.state = State::Offers { next: 0, unanswered: 0, scanning: false, all: false };
        }
        fits
    }

    fn offers(&self) -> Option<()> {
        matches!(self.state, State::Offers { .. }).then_some(())
    }

    /// Whether the next piece of the offer is to be read.
    pub(in crate::protocol) fn reads(&mut self) -> bool {
        match &mut self.state {
            State::Offers { unanswered, scanning, all, .. } if !*all && !*scanning && *unanswered < AHEAD => {
                *scanning = true;
                true
            }
            _ => false,
        }
    }

    /// A piece of the offer was read: its number. None when it is of no interest any more.
    pub(in crate::protocol) fn scanned(&mut self, last: bool) -> Option<u64> {
        let State::Offers { next, unanswered, scanning, all } = &mut self.state else { return None };
        (*scanning, *all) = (false, last);
        *unanswered += 1;
        *next += 1;
        Some(*next - 1)
    }

    /// The leader has taken in a piece of the offer.
    pub(in crate::protocol) fn taken(&mut self) {
        if let State::Offers { unanswered, .. } = &mut self.state {
            *unanswered = unanswered.saturating_sub(1);
        }
    }

    /// A piece of a copy comes: the first, or a later one; none when it does not fit.
    pub(in crate::protocol) fn receives(&mut self, number: u64) -> Option<bool> {
        let next = match &self.state {
            State::Stated => 0,
            // What was offered is joined, and comes back with the rest.
            State::Offers { all: true, .. } => 0,
            State::Receives(next) => *next,
            _ => return None,
        };
        (next == number).then(|| {
            self.state = State::Receives(number + 1);
            number == 0
        })
    }

    /// This job takes in a piece of the copy.
    pub(in crate::protocol) fn adopts(&mut self, job: JobId) {
        self.adopts = Some(job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_taken_in_after_it_was_said_what_is_here_and_until_something_fails() {
        let mut backup = Backup::default();
        assert!(!backup.may_append() && !backup.breaks());
        backup.looks(JobId(1));
        assert!(!backup.may_append() && !backup.states(JobId(2)) && backup.states(JobId(1)));
        assert!(backup.may_append());
        backup.appends(JobId(3), 10);
        backup.appends(JobId(4), 12);
        backup.appends(JobId(5), 13);
        assert_eq!((backup.done(JobId(2)), backup.done(JobId(4)), backup.done(JobId(4))), (None, Some(12), None));
        assert!(backup.failed(JobId(5)) && !backup.failed(JobId(4)));
        assert!(backup.breaks() && !backup.may_append() && backup.done(JobId(5)).is_none());
    }

    #[test]
    fn what_was_offered_comes_back_as_a_copy() {
        let mut backup = Backup::default();
        backup.looks(JobId(1));
        assert!(!backup.is_wanted() && backup.states(JobId(1)) && backup.is_wanted());
        assert!(!backup.may_append() && backup.receives(0).is_none());
        for n in 0..u64::from(AHEAD) {
            assert!(backup.reads() && !backup.reads());
            assert_eq!(backup.scanned(false), Some(n));
        }
        assert!(!backup.reads());
        backup.taken();
        assert!(backup.reads());
        assert_eq!((backup.scanned(true), backup.reads()), (Some(4), false));
        assert_eq!((backup.receives(1), backup.receives(0), backup.receives(0)), (None, Some(true), None));
        assert_eq!((backup.catches_up(), backup.receives(1)), (true, Some(false)));
    }
}
