//! Requests of the data, and the order that a leader gives them (protocol §10).

use super::replication::{Answered, Origin, Progress, Requests};
use super::role::{Leading, Role};
use super::timers::Timer;
use super::{Job, Judged, Node, Outcome, Output};
use crate::event::Kind;
use crate::ident::JobId;
use bytes::Bytes;

/// What an agent has of the data in every role.
#[derive(Clone, Debug)]
pub(super) struct Data {
    pub(super) requests: Requests,
    /// There is data on this machine.
    holds: bool,
    /// Users were told that it cannot be written.
    told_failing: bool,
}

impl Data {
    /// What a start finds on its disk: changes up to this number.
    pub(super) fn new(last: u64) -> Self {
        Self { requests: Requests::default(), holds: last > 0, told_failing: false }
    }
}

impl Node {
    /// A user asks. The request is given to whoever orders, with everything that arrived with it.
    pub(super) fn requested(&mut self, request: u64, body: Bytes) {
        let until = self.base.now + self.base.settings.write_timeout;
        if !self.data.requests.add(request, body, until) {
            return self.base.out.push(Output::Answer { request, outcome: Outcome::Busy });
        }
        self.base.timers.sooner(Timer::Request, until);
    }

    /// Those that waited for too long are told so.
    pub(super) fn requests_due(&mut self) {
        let why = match &self.role {
            Role::Leading(l) if l.check.is_some() => "this machine makes sure that it still leads",
            Role::Leading(l) if l.handover.is_some() => "the role is on its way to another machine",
            Role::Leading(_) => "the disk of this machine does not finish what it was given",
            Role::Following(_) => "this machine follows, and the data is not passed on yet",
            Role::Listening(_) | Role::Electing(_) => "there is no leader",
        };
        for request in self.data.requests.expired(self.base.now) {
            let outcome = Outcome::Later(why.to_owned());
            self.base.out.push(Output::Answer { request, outcome });
        }
        if let Some(next) = self.data.requests.next_expiry() {
            self.base.timers.set(Timer::Request, next);
        }
    }

    /// Whether this agent orders changes now.
    fn may_order(&self) -> bool {
        matches!(&self.role, Role::Leading(l) if l.check.is_none() && l.handover.is_none()) && self.lane.has_room()
    }

    /// What arrived in this step, and what waited until now, is given to whoever orders.
    pub(super) fn give_requests(&mut self) {
        if !self.data.requests.any_to_give() || !self.may_order() {
            return;
        }
        self.begin_to_order();
        if !self.orders() || !self.lane.has_room() {
            return;
        }
        let (origins, bodies) = self.data.requests.give().into_iter().map(|(r, body)| (Origin::Here(r), body)).unzip();
        let job = self.begin_job(Job::Order(bodies));
        self.data.holds = true;
        if let Role::Leading(Leading { data: Some(primary), .. }) = &mut self.role {
            primary.given(job, origins);
        }
    }

    /// A reign has begun: what is pending is acknowledged with its first copies.
    pub(super) fn lead_data(&mut self) {
        if self.data.holds {
            self.begin_to_order();
        }
    }

    /// The ledger was told to order in the present reign.
    fn orders(&self) -> bool {
        matches!(&self.role, Role::Leading(l) if l.data.as_ref().is_some_and(|p| p.reign() == Some(l.claim)))
    }

    /// This agent orders in its present reign, if it does not yet.
    fn begin_to_order(&mut self) {
        if self.orders() || !self.lane.has_room() {
            return;
        }
        let Role::Leading(l) = &mut self.role else { return };
        let claim = l.claim;
        let job = self.begin_job(Job::Lead { claim, above: 0 });
        if let Role::Leading(l) = &mut self.role {
            l.data.get_or_insert_default().begin(claim, job);
        }
    }

    /// The ledger orders in this agent's reign.
    pub(super) fn led(&mut self, job: JobId, ordered: u64, committed: u64) {
        if let Role::Leading(Leading { data: Some(primary), .. }) = &mut self.role {
            primary.took_over(job, ordered, committed);
        }
        self.acknowledge();
    }

    /// Some requests of a job were judged.
    pub(super) fn ordered(&mut self, job: JobId, last: Option<u64>, answers: Vec<Judged>) {
        if let Role::Leading(Leading { data: Some(primary), .. }) = &mut self.role {
            primary.ordered(job, last, answers);
        }
        self.acknowledge();
    }

    /// Jobs of the data's thread are done, and something was written by that, or nothing.
    pub(super) fn data_durable(&mut self, through: JobId, written: bool) {
        if written && std::mem::take(&mut self.data.told_failing) {
            self.base.info(Kind::StoreTrouble, "the data can be written again".to_owned(), vec![]);
        }
        if let Role::Leading(Leading { data: Some(primary), .. }) = &mut self.role {
            primary.done(through);
        }
        self.acknowledge();
    }

    /// A job failed. Nothing of it is durable: its users may send it again.
    pub(super) fn data_failed(&mut self, job: JobId, why: &str) {
        if !std::mem::replace(&mut self.data.told_failing, true) {
            let text = format!("the data cannot be written: {why}; until it can, this machine takes no writes");
            self.base.warn(Kind::StoreTrouble, text, vec![("why", why.into())]);
        }
        let Role::Leading(Leading { data: Some(primary), .. }) = &mut self.role else { return };
        for origin in primary.failed(job) {
            let Origin::Here(request) = origin;
            if self.data.requests.answered(request) {
                let outcome = Outcome::NoSpace(why.to_owned());
                self.base.out.push(Output::Answer { request, outcome });
            }
        }
    }

    /// Acknowledges what may be, and answers those who waited for that.
    pub(super) fn acknowledge(&mut self) {
        let Role::Leading(l) = &mut self.role else { return };
        if !self.lane.has_room() {
            // As soon as something is done.
            return;
        }
        // Who may have been replaced acknowledges nothing.
        let progress = if l.check.is_some() { Progress::Waits } else { Progress::Alone };
        let epoch = l.claim.epoch;
        let Some(primary) = &mut l.data else { return };
        let through = primary.advance(progress);
        let answers = if progress == Progress::Waits { Vec::new() } else { primary.answers(1) };
        if let Some(through) = through {
            self.begin_job(Job::Commit { through });
        }
        for Answered { origin: Origin::Here(request), body, copies } in answers {
            if self.data.requests.answered(request) {
                let outcome = Outcome::Judged { body, copies, epoch };
                self.base.out.push(Output::Answer { request, outcome });
            }
        }
    }
}
