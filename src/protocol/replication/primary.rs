//! The leader's side of the data: what it has ordered, what is durable where, and what is acknowledged (protocol §10).

use super::remote::{Remote, Theirs};
use crate::claim::Claim;
use crate::ident::{ConnId, JobId};
use crate::protocol::{Judged, limits};
use bytes::Bytes;
use std::collections::VecDeque;

/// Who asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::protocol) enum Origin {
    /// A user of this agent, by the host's number.
    Here(u64),
    /// A user of another member.
    There(Theirs),
}

/// Requests that the ledger was given together.
#[derive(Clone, Debug)]
struct Ordering {
    job: JobId,
    /// Who waits for an answer, in order. Bound: [`limits::DATA_REQUESTS`].
    origins: VecDeque<Origin>,
    /// The number of the last change that came of them.
    last: u64,
}

/// An answer that waits for the commit of the state by which it was judged.
#[derive(Clone, Debug)]
struct Held {
    by: u64,
    origin: Origin,
    body: Bytes,
}

/// An answer that may be given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::protocol) struct Answered {
    pub(in crate::protocol) origin: Origin,
    pub(in crate::protocol) body: Bytes,
    pub(in crate::protocol) copies: u8,
}

/// What may be acknowledged now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::protocol) enum Progress {
    /// Nothing: the successor is waited for, or one that may be named.
    Waits,
    /// What is durable here: there is nobody else.
    Alone,
    /// What is durable here, and up to this number at the successor.
    With(u64),
}

/// Numbers only grow, but for what a failing disk loses. `committed` is never above `durable`, nor that above `ordered`.
#[derive(Clone, Debug, Default)]
pub(in crate::protocol) struct Primary {
    /// The reign in which the ledger orders.
    reign: Option<Claim>,
    /// The last change that was ordered.
    ordered: u64,
    /// Everything up to here is durable on this machine.
    durable: u64,
    /// Everything up to here is acknowledged.
    committed: u64,
    /// The followers were told so up to here.
    told: u64,
    /// Jobs that order, oldest first. Bound: [`limits::JOBS`].
    jobs: VecDeque<Ordering>,
    /// In the order in which they were judged. Bound: [`limits::DATA_REQUESTS`] of this agent, and
    /// [`limits::FORWARDED`].
    held: VecDeque<Held>,
    /// Requests of other members' users.
    pub(in crate::protocol) remote: Remote,
}

impl Primary {
    /// The ledger was asked to order in this reign.
    pub(in crate::protocol) fn begin(&mut self, reign: Claim, job: JobId) {
        self.reign = Some(reign);
        self.given(job, VecDeque::new());
    }

    pub(in crate::protocol) fn reign(&self) -> Option<Claim> {
        self.reign
    }

    /// Requests were given to the ledger.
    pub(in crate::protocol) fn given(&mut self, job: JobId, origins: VecDeque<Origin>) {
        assert!(self.jobs.len() <= limits::JOBS, "the lane has no more room than that");
        self.jobs.push_back(Ordering { job, origins, last: 0 });
    }

    /// The ledger orders in a new reign from now on. It has taken over what was pending here, up to `ordered`, which is
    /// durable when the job is done, and knows that everything up to `committed` is acknowledged.
    pub(in crate::protocol) fn took_over(&mut self, job: JobId, ordered: u64, committed: u64) {
        self.ordered(job, Some(ordered), Vec::new());
        self.committed = self.committed.max(committed);
        self.durable = self.durable.max(self.committed);
    }

    /// The ledger has judged some of the requests of a job, in their order, and made changes up to `last` of them.
    pub(in crate::protocol) fn ordered(&mut self, job: JobId, last: Option<u64>, answers: Vec<Judged>) {
        let Some(ordering) = self.jobs.iter_mut().find(|o| o.job == job) else { return };
        for Judged { by, body } in answers {
            if let Some(origin) = ordering.origins.pop_front() {
                self.held.push_back(Held { by, origin, body });
            }
        }
        if let Some(last) = last {
            ordering.last = last;
            self.ordered = self.ordered.max(last);
        }
    }

    /// Everything that the data's thread was given up to this job is durable here.
    pub(in crate::protocol) fn done(&mut self, through: JobId) {
        while let Some(first) = self.jobs.front().filter(|o| o.job <= through) {
            self.durable = self.durable.max(first.last);
            self.jobs.pop_front();
        }
    }

    /// A job failed: nothing of it is durable, and nothing will come of it. The ledger orders again when it is asked to
    /// begin. Gives those who waited.
    pub(in crate::protocol) fn failed(&mut self, job: JobId) -> Vec<Origin> {
        self.reign = None;
        let Some(at) = self.jobs.iter().position(|o| o.job == job) else { return Vec::new() };
        let Some(ordering) = self.jobs.remove(at) else { return Vec::new() };
        let mut lost: Vec<Origin> = ordering.origins.into();
        // What was judged by changes that are gone.
        let (kept, gone): (VecDeque<Held>, VecDeque<Held>) = self.held.drain(..).partition(|h| h.by <= self.durable);
        self.held = kept;
        lost.extend(gone.into_iter().map(|h| h.origin));
        self.ordered = self.durable;
        lost
    }

    /// How far what is here may be acknowledged now. Gives the new commit, if it has moved.
    pub(in crate::protocol) fn advance(&mut self, progress: Progress) -> Option<u64> {
        let to = match progress {
            Progress::Waits => return None,
            Progress::Alone => self.durable,
            Progress::With(stored) => self.durable.min(stored),
        };
        if to <= self.committed {
            return None;
        }
        self.committed = to;
        Some(to)
    }

    /// The answers that what is acknowledged allows, with the number of copies that there are now.
    pub(in crate::protocol) fn answers(&mut self, progress: Progress) -> Vec<Answered> {
        let mut free = Vec::new();
        let there = match progress {
            Progress::Waits => return free,
            Progress::Alone => 0,
            Progress::With(stored) => stored,
        };
        while let Some(held) = self.held.pop_front_if(|h| h.by <= self.committed) {
            let copies = if held.by <= there { 2 } else { 1 };
            free.push(Answered { origin: held.origin, body: held.body, copies });
        }
        free
    }

    /// The followers are told what is acknowledged: how far, when that is news.
    pub(in crate::protocol) fn tells(&mut self) -> Option<u64> {
        let before = std::mem::replace(&mut self.told, self.committed);
        (before < self.committed).then_some(self.committed)
    }

    /// Whether something is not acknowledged, or its user has no answer.
    pub(in crate::protocol) fn waits(&self) -> bool {
        self.committed < self.ordered || !self.held.is_empty()
    }

    /// The last change that was ordered.
    pub(in crate::protocol) fn position(&self) -> u64 {
        self.ordered
    }

    /// Everything up to here is acknowledged.
    pub(in crate::protocol) fn committed(&self) -> u64 {
        self.committed
    }

    /// A member's session is gone: it asks again elsewhere.
    pub(in crate::protocol) fn forget(&mut self, conn: ConnId) {
        self.remote.forget(conn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(by: u64) -> Judged {
        Judged { by, body: Bytes::from(vec![by as u8]) }
    }

    fn origins(of: &[u64]) -> VecDeque<Origin> {
        of.iter().map(|n| Origin::Here(*n)).collect()
    }

    fn free(primary: &mut Primary) -> Vec<Origin> {
        primary.answers(Progress::Alone).into_iter().map(|a| a.origin).collect()
    }

    #[test]
    fn an_answer_waits_for_the_commit_of_what_it_was_judged_by() {
        let mut p = Primary::default();
        p.given(JobId(1), origins(&[1, 2]));
        p.given(JobId(2), origins(&[3]));
        p.ordered(JobId(1), Some(11), vec![judged(10), judged(11)]);
        p.ordered(JobId(2), None, vec![judged(11)]);
        assert_eq!((p.advance(Progress::Alone), free(&mut p)), (None, vec![]), "nothing is durable");
        p.done(JobId(1));
        assert_eq!((p.advance(Progress::Waits), free(&mut p)), (None, vec![]), "the successor is waited for");
        assert_eq!(p.advance(Progress::Alone), Some(11));
        assert_eq!(free(&mut p), [Origin::Here(1), Origin::Here(2), Origin::Here(3)], "a refusal too");
        assert!(!p.waits());
        p.given(JobId(3), origins(&[4]));
        p.ordered(JobId(3), None, vec![judged(11)]);
        assert_eq!(free(&mut p), [Origin::Here(4)], "that is acknowledged already");
    }

    #[test]
    fn of_a_job_that_failed_nothing_is_acknowledged() {
        let mut p = Primary::default();
        p.given(JobId(1), origins(&[1]));
        p.given(JobId(2), origins(&[2, 3]));
        p.ordered(JobId(1), Some(5), vec![judged(5)]);
        p.ordered(JobId(2), Some(6), vec![judged(6)]);
        p.done(JobId(1));
        assert_eq!(p.failed(JobId(2)), [Origin::Here(3), Origin::Here(2)]);
        assert_eq!(p.advance(Progress::Alone), Some(5));
        assert_eq!(free(&mut p), [Origin::Here(1)]);
        p.given(JobId(3), origins(&[2]));
        p.ordered(JobId(3), Some(8), vec![judged(8)]);
        p.done(JobId(3));
        assert_eq!(
            (p.advance(Progress::Alone), free(&mut p)),
            (Some(8), vec![Origin::Here(2)]),
            "it can be sent again"
        );
    }

    #[test]
    fn an_answer_counts_the_copies_that_there_are() {
        let mut p = Primary::default();
        p.given(JobId(1), origins(&[]));
        p.ordered(JobId(1), Some(9), vec![]);
        p.done(JobId(1));
        assert_eq!(p.advance(Progress::Alone), Some(9));
        p.given(JobId(2), origins(&[1, 2]));
        p.ordered(JobId(2), None, vec![judged(3), judged(9)]);
        // A member that is still catching up has the first one only.
        let copies: Vec<u8> = p.answers(Progress::With(3)).into_iter().map(|a| a.copies).collect();
        assert_eq!(copies, [2, 1]);
    }

    #[test]
    fn what_was_pending_is_acknowledged_with_the_first_copies() {
        let mut p = Primary::default();
        p.given(JobId(1), VecDeque::new());
        p.took_over(JobId(1), 7, 4);
        assert_eq!((p.advance(Progress::Alone), p.waits(), p.committed), (None, true, 4));
        p.done(JobId(1));
        assert_eq!((p.advance(Progress::Alone), p.waits()), (Some(7), false));
    }
}
