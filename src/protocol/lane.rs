//! The lane to the data's own thread: what it was given and has not finished. The writes of an election are in another one
//! ([`super::writes`]), and neither waits for the other.

use super::{Job, Node, Output, limits};
use crate::event::Kind;
use crate::ident::JobId;
use crate::time::{Time, ms};
use std::collections::BTreeMap;
use std::time::Duration;

/// Jobs under way, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    /// When each was begun, and whether it writes. Bound: [`limits::JOBS`].
    under_way: BTreeMap<JobId, (Time, bool)>,
    last: u64,
    /// Users were told that the oldest job hangs.
    told_stuck: bool,
}

impl Lane {
    /// Whether one more may be begun.
    pub(super) fn has_room(&self) -> bool {
        self.under_way.len() < limits::JOBS
    }

    /// Enters a job and gives its number. There is room ([`Lane::has_room`]).
    fn begin(&mut self, now: Time, writes: bool) -> JobId {
        assert!(self.has_room(), "a job is begun only where there is room for it");
        self.last += 1;
        self.under_way.insert(JobId(self.last), (now, writes));
        JobId(self.last)
    }

    /// The thread has done everything up to this one. Says whether something was written by that.
    fn done(&mut self, through: JobId) -> bool {
        let rest = self.under_way.split_off(&JobId(through.0.saturating_add(1)));
        let done = std::mem::replace(&mut self.under_way, rest);
        done.into_values().any(|(_, writes)| writes)
    }

    /// The thread could not do this one. Says whether it was to write.
    fn failed(&mut self, job: JobId) -> bool {
        self.under_way.remove(&job).is_some_and(|(_, writes)| writes)
    }

    /// Something is under way that writes.
    fn writes(&self) -> bool {
        self.under_way.values().any(|(_, writes)| *writes)
    }

    /// This job is done, or has failed.
    pub(super) fn is_done(&self, job: JobId) -> bool {
        job.0 <= self.last && !self.under_way.contains_key(&job)
    }

    /// The age of the oldest job under way.
    fn age(&self, now: Time) -> Duration {
        self.under_way.values().next().map_or(Duration::ZERO, |(began, _)| now.since(*began))
    }

    /// This process stood still for `gap`: the thread had no such time.
    pub(super) fn excuse(&mut self, gap: Duration, now: Time) {
        for (began, _) in self.under_way.values_mut() {
            *began = (*began + gap).min(now);
        }
    }
}

impl Node {
    /// Gives the data's own thread something to do. There is room for it.
    pub(super) fn begin_job(&mut self, job: Job) -> JobId {
        let id = self.lane.begin(self.base.now, job.writes());
        self.base.out.push(Output::Job { id, job });
        id
    }

    /// The job with which everything is written that is under way now; none when nothing is.
    pub(super) fn all_writes(&mut self) -> Option<JobId> {
        match (self.lane.writes(), self.lane.has_room()) {
            (false, _) => None,
            (true, true) => Some(self.begin_job(Job::Barrier)),
            (true, false) => Some(JobId(self.lane.last)),
        }
    }

    /// The data's thread has done everything up to this job.
    pub(super) fn jobs_done(&mut self, through: JobId) {
        let written = self.lane.done(through);
        self.data_durable(through, written);
        self.handing_drained();
    }

    /// Once a second: whether the data's thread hangs. That makes nobody give up the role.
    pub(super) fn look_at_the_lane(&mut self) {
        let age = self.lane.age(self.base.now);
        let stuck = age > self.base.settings.store_age();
        if !std::mem::replace(&mut self.lane.told_stuck, stuck) && stuck {
            let text = format!("the data's store has not finished a write for {}", ms(age));
            self.base.warn(Kind::StoreTrouble, text, vec![]);
        }
    }

    /// The data's thread could not do this job. That says nothing of the store that an election relies on.
    pub(super) fn job_failed(&mut self, job: JobId, why: &str) {
        let writes = self.lane.failed(job);
        self.data_failed(job, writes, why);
        self.handing_drained();
    }
}
