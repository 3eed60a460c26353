//! Requests of the data, the order that a leader gives them, and what it acknowledges (protocol §10).

use super::replication::{Answered, Backup, Origin, Progress, Requests};
use super::role::{Leading, Role};
use super::timers::Timer;
use super::{Job, Judged, Node, Outcome, Output, Report, Stretch, limits};
use crate::event::{Cause, Kind};
use crate::ident::{Incarnation, JobId};
use crate::message::{Committed, Ended, Frame};
use crate::time::Time;
use bytes::Bytes;
use std::time::Duration;

/// What an agent has of the data in every role.
#[derive(Clone, Debug)]
pub(super) struct Data {
    pub(super) requests: Requests,
    /// What it has under way as a follower.
    pub(super) backup: Backup,
    /// There is data on this machine.
    pub(super) holds: bool,
    /// The last change that this machine was given, acknowledged or not.
    pub(super) number: u64,
    /// A copy was begun that is not complete.
    pub(super) catches_up: bool,
    /// When this machine's copy last differed from the leader's.
    pub(super) differed: Option<Time>,
    /// When it last could not be written, since users were told so.
    told_failing: Option<Time>,
}

impl Data {
    /// What a start finds on its disk: changes up to this number.
    pub(super) fn new(last: u64) -> Self {
        Self {
            requests: Requests::default(),
            backup: Backup::default(),
            holds: last > 0,
            number: last,
            catches_up: false,
            differed: None,
            told_failing: None,
        }
    }
}

impl Leading {
    /// Up to where this member is durable, when changes flow to it.
    pub(super) fn durable_at(&self, node: Incarnation) -> Option<u64> {
        let served = self.sessions.get(&node.id).filter(|s| s.node == node)?;
        self.copies.durable(served.conn)
    }

    /// What is asked from now on is for the one that takes over.
    fn holds_back(&self) -> bool {
        // A disk that fails would only fail again while programs end.
        self.handover.as_ref().is_some_and(|h| !h.waits_for_programs() || h.cause == Cause::Store)
    }

    /// As far as it knows nobody took its place while it stood still.
    pub(super) fn is_sure(&self, now: Time) -> bool {
        self.check.is_none() && now >= self.replaced
    }

    /// Somebody who has more than this leader has yet to offer it.
    fn waits_for_offers(&self, now: Time) -> bool {
        !self.ahead.0.is_empty() && now < self.ahead.1
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
            Role::Leading(l) if !l.is_sure(self.base.now) => "this machine makes sure that it still leads",
            Role::Leading(l) if l.handover.is_some() => "the role is on its way to another machine",
            Role::Leading(l) if l.data.as_ref().is_some_and(|p| p.waits()) => "no second copy was made in time",
            Role::Leading(_) => "the disk of this machine does not finish what it was given",
            Role::Following(f) if f.full => "the leader has no room for a connection to this machine",
            Role::Following(f) if f.session.as_ref().is_some_and(|s| !s.covered) => {
                "the leader has not taken over yet what this machine has"
            }
            Role::Following(f) if f.session.is_some() => "the leader did not answer in time",
            Role::Following(_) => "there is no connection to the leader",
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
        let now = self.base.now;
        let free = |l: &Leading| l.is_sure(now) && !l.holds_back() && !l.waits_for_offers(now);
        matches!(&self.role, Role::Leading(l) if free(l)) && self.lane.has_room()
    }

    /// What arrived in this step, and what waited until now, is given to whoever orders.
    pub(super) fn give_requests(&mut self) {
        if matches!(self.role, Role::Following(_)) {
            return self.pass_on_requests();
        }
        if !self.any_to_give() || !self.may_order() {
            return;
        }
        self.begin_to_order();
        if !self.orders() || !self.lane.has_room() {
            return;
        }
        let Role::Leading(Leading { data: Some(primary), .. }) = &mut self.role else { return };
        let theirs = primary.remote.give().into_iter().map(|(from, body)| (Origin::There(from), body));
        let own = self.data.requests.give().into_iter().map(|(request, body)| (Origin::Here(request), body));
        let (origins, bodies) = own.chain(theirs).unzip();
        let job = self.begin_job(Job::Order(bodies));
        self.data.holds = true;
        if let Role::Leading(Leading { data: Some(primary), .. }) = &mut self.role {
            primary.given(job, origins);
        }
    }

    fn any_to_give(&self) -> bool {
        let theirs = |l: &Leading| l.data.as_ref().is_some_and(|p| p.remote.any_to_give());
        self.data.requests.any_to_give() || matches!(&self.role, Role::Leading(l) if theirs(l))
    }

    /// A reign has begun: what is pending is acknowledged with its first copies.
    pub(super) fn lead_data(&mut self) {
        if self.data.holds {
            self.begin_to_order();
        }
    }

    /// The ledger was told to order in the present reign.
    pub(super) fn orders(&self) -> bool {
        matches!(&self.role, Role::Leading(l) if l.data.as_ref().is_some_and(|p| p.reign() == Some(l.claim)))
    }

    /// This agent orders in its present reign, if it does not yet.
    pub(super) fn begin_to_order(&mut self) {
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

    /// A job says something before it is done.
    pub(super) fn job_says(&mut self, job: JobId, report: Report) {
        match report {
            Report::Led { ordered, committed } => self.led(job, ordered, committed),
            Report::Ordered { batch, answers } => self.ordered(job, batch, answers),
            Report::Holds { position, all, seen } => self.state_copy(job, position, all, seen),
            Report::Compared(compared) => self.copy_compared(job, compared),
            Report::Scanned { piece, last } => self.scanned(job, piece, last),
            Report::Unfit { why } => self.data_unfit(job, &why),
            Report::Digest { number, digest } => self.tell_digest(number, digest),
            Report::Differs { why } => self.copy_differs(&why),
            Report::Taken { complete } => self.piece_taken(job, complete),
            Report::Joined(brought) => self.offer_joined(job, brought),
        }
    }

    /// The ledger orders in this agent's reign.
    fn led(&mut self, job: JobId, ordered: u64, committed: u64) {
        self.data.holds |= ordered > 0;
        self.data.number = self.data.number.max(ordered);
        if let Role::Leading(Leading { data: Some(primary), .. }) = &mut self.role {
            primary.took_over(job, ordered, committed);
        }
        self.acknowledge();
    }

    /// Some requests of a job were judged, or a part of an offer was joined.
    fn ordered(&mut self, job: JobId, batch: Option<Stretch>, answers: Vec<Judged>) {
        let Role::Leading(Leading { data: Some(primary), .. }) = &mut self.role else { return };
        primary.ordered(job, batch.as_ref().map(|b| b.last), answers);
        if let Some(batch) = batch {
            self.data.number = self.data.number.max(batch.last);
            self.send_changes(batch);
        }
        self.acknowledge();
    }

    /// Jobs of the data's thread are done, and something was written by that, or nothing.
    pub(super) fn data_durable(&mut self, through: JobId, written: bool) {
        let calm = |at: Time| self.base.now.since(at) >= limits::DISK_CALM;
        if written && self.data.told_failing.is_some_and(calm) {
            self.data.told_failing = None;
            self.base.info(Kind::StoreTrouble, "the data can be written again".to_owned(), vec![]);
        }
        match &mut self.role {
            Role::Leading(Leading { data: Some(primary), .. }) => primary.done(through),
            Role::Following(_) => self.copy_stored(through),
            _ => {}
        }
        self.acknowledge();
        self.compare_copies();
    }

    /// A job failed. Nothing of it is durable: its users may send it again.
    pub(super) fn data_failed(&mut self, job: JobId, writes: bool, why: &str) {
        if self.data.told_failing.replace(self.base.now).is_none() {
            let text = format!("the data cannot be written: {why}; until it can, this machine takes no writes");
            self.base.warn(Kind::StoreTrouble, text, vec![("why", why.into())]);
        }
        match &self.role {
            Role::Leading(_) => self.ordering_failed(job, writes, why),
            Role::Following(_) => {
                self.backup_failed(job);
                // What is here cannot be offered now, and what users ask need not wait for it.
                self.is_covered();
            }
            _ => {}
        }
    }

    fn ordering_failed(&mut self, job: JobId, writes: bool, why: &str) {
        self.copy_failed(job);
        let Role::Leading(Leading { data: Some(primary), copies, .. }) = &mut self.role else { return };
        let lost = primary.failed(job);
        // What was brought by changes that are gone is offered again, and told then.
        copies.untold.retain(|(number, _)| *number <= primary.position());
        if writes {
            self.hand_over_for_store();
        }
        let Role::Leading(l) = &self.role else { return };
        // Who takes over is given them. When nobody is there, their users are told.
        let waits = l.handover.is_some();
        let mut told = Vec::new();
        for origin in lost {
            match origin {
                Origin::Here(request) if waits => self.data.requests.give_again(request),
                Origin::Here(request) => {
                    if self.data.requests.answered(request) {
                        let outcome = Outcome::NoSpace(why.to_owned());
                        self.base.out.push(Output::Answer { request, outcome });
                    }
                }
                Origin::There(_) if waits => {}
                Origin::There(from) => told.push((from, Ended::NoSpace, Bytes::copy_from_slice(why.as_bytes()))),
            }
        }
        self.tell_outcomes(told);
    }

    /// For how long writes wait for a successor, and for one that does not answer.
    pub(super) fn successor_wait(&self) -> Duration {
        self.base.settings.silence().max(limits::SUCCESSOR_WAIT)
    }

    /// How far what is ordered may be acknowledged now.
    fn progress(&self, l: &Leading) -> Progress {
        if !l.is_sure(self.base.now) {
            // Who may have been replaced acknowledges nothing.
            return Progress::Waits;
        }
        let mut least = None;
        for node in l.naming.named().into_iter().chain(l.naming.candidate()) {
            let Some(stored) = l.durable_at(node) else { return Progress::Waits };
            least = Some(least.map_or(stored, |least: u64| least.min(stored)));
        }
        match least {
            Some(stored) => Progress::With(stored),
            None if self.base.now >= self.alone_from(l) => Progress::Alone,
            None => Progress::Waits,
        }
    }

    /// From when on a leader without a successor acknowledges alone.
    fn alone_from(&self, l: &Leading) -> Time {
        let now = self.base.now;
        let may_lead = |id| self.base.members.get(id).is_some_and(|e| e.priority > 0 && e.whole && !e.sick);
        let answers = |conn| l.copies.waits(conn).is_none_or(|at| now.since(at) < self.successor_wait());
        let served = l.sessions.values().any(|s| !s.silent && may_lead(s.node.id) && answers(s.conn));
        let comes = !l.joining.is_empty() || now < l.backed.1 && l.backed.0.iter().any(|id| may_lead(*id));
        let vacant = l.vacant.filter(|_| served || comes);
        vacant.map_or(Time(0), |since| since + self.successor_wait())
    }

    /// Acknowledges what may be, and answers those who waited for that.
    pub(super) fn acknowledge(&mut self) {
        let Role::Leading(l) = &self.role else { return };
        if !self.lane.has_room() || l.data.is_none() {
            // As soon as something is done.
            return;
        }
        let progress = self.progress(l);
        let now = self.base.now;
        let Role::Leading(l) = &mut self.role else { return };
        let (claim, vacant) = (l.claim, l.vacant);
        let Some(primary) = &mut l.data else { return };
        let through = primary.advance(progress);
        let answers = primary.answers(progress);
        if through.is_some() {
            l.copies.committed();
        }
        if progress == Progress::Waits && primary.waits() {
            let until = vacant.map(|since| since + self.successor_wait());
            if let Some(until) = until.filter(|until| *until > now) {
                self.base.timers.sooner(Timer::Successor, until);
            }
        }
        if let Some(through) = through {
            self.base.timers.sooner(Timer::Told, now + limits::TOLD_WITHIN);
            self.begin_job(Job::Commit { through });
        }
        let mut told = Vec::new();
        for Answered { origin, body, copies } in answers {
            match origin {
                Origin::Here(request) => {
                    if self.data.requests.answered(request) {
                        let outcome = Outcome::Judged { body, copies, epoch: claim.epoch };
                        self.base.out.push(Output::Answer { request, outcome });
                    }
                }
                Origin::There(from) => told.push((from, Ended::Judged(copies), body)),
            }
        }
        self.tell_outcomes(told);
        self.tell_brought();
    }

    /// Followers are told what is acknowledged, if no changes have told them.
    pub(super) fn tell_committed(&mut self) {
        let Role::Leading(l) = &mut self.role else { return };
        let Some(number) = l.data.as_mut().and_then(|primary| primary.tells()) else { return };
        let (claim, conns) = (l.claim, l.copies.followers());
        if !conns.is_empty() {
            self.base.send_all(conns, Frame::Committed(Committed { claim, number }));
        }
    }

    /// Writes have waited for a successor, or for its answer, for as long as they may.
    pub(super) fn successor_due(&mut self) {
        self.name_successor();
        self.acknowledge();
        self.watch_successor();
    }

    /// Comes back when the one that writes wait for has owed an answer for too long.
    pub(super) fn watch_successor(&mut self) {
        let Role::Leading(l) = &self.role else { return };
        let conn = |node: Incarnation| l.sessions.get(&node.id).map(|s| s.conn);
        let awaited = l.naming.named().into_iter().chain(l.naming.candidate()).filter_map(conn);
        let until = awaited.filter_map(|conn| l.copies.waits(conn)).min().map(|at| at + self.successor_wait());
        if let Some(until) = until.filter(|until| *until > self.base.now) {
            self.base.timers.sooner(Timer::Successor, until);
        }
    }
}
