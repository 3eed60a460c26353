//! A follower keeps a copy of what its leader orders (protocol §10).

use super::role::Role;
use super::timers::Timer;
use super::{Job, Node, limits};
use crate::data::Revision;
use crate::event::Kind;
use crate::ident::{ConnId, JobId};
use crate::message::{Changes, Committed, Digest, Frame, Holds, Piece, Stored, Wanted};
use bytes::Bytes;

impl Node {
    /// A session has begun, or what came on it could not be taken in: the leader is told what is here.
    pub(super) fn follow_data(&mut self) {
        let Role::Following(f) = &self.role else { return };
        if f.session.is_none() {
            return;
        }
        if !self.lane.has_room() {
            return self.base.timers.set(Timer::Copy, self.base.now + limits::DATA_AGAIN);
        }
        let job = self.begin_job(Job::Follow);
        self.data.backup.looks(job);
    }

    /// It is not in the middle of taking over a copy.
    pub(super) fn whole(&self) -> bool {
        !self.data.catches_up
    }

    fn leader_conn(&self) -> Option<ConnId> {
        match &self.role {
            Role::Following(f) => f.session.as_ref().map(|s| s.conn),
            _ => None,
        }
    }

    /// It is known what is here.
    pub(super) fn state_copy(&mut self, job: JobId, position: Revision, all: bool, seen: Bytes) {
        self.data.holds |= position != Revision::ZERO;
        self.data.number = self.data.number.max(position.number);
        let Some(conn) = self.leader_conn() else { return };
        if self.data.backup.states(job) {
            self.base.send(conn, Frame::Holds(Holds { position, all, body: seen }));
        }
    }

    /// What comes from the leader cannot be taken in: it is told so, and after a while what is here.
    fn backup_breaks(&mut self) {
        let Some(conn) = self.leader_conn() else { return };
        if self.data.backup.breaks() {
            self.base.send(conn, Frame::Anew);
        }
        self.base.timers.sooner(Timer::Copy, self.base.now + limits::DATA_AGAIN);
    }

    /// A job failed. Whether the copy relied on it: then it begins anew.
    pub(super) fn backup_failed(&mut self, job: JobId) -> bool {
        let failed = self.data.backup.failed(job);
        if failed {
            self.backup_breaks();
        }
        failed
    }

    /// The leader wants to be told again what is here.
    pub(super) fn leader_asks_anew(&mut self, conn: ConnId) {
        if self.on_session(conn) {
            self.data.backup.breaks();
            self.base.timers.sooner(Timer::Copy, self.base.now + limits::DATA_AGAIN);
        }
    }

    /// The leader's changes.
    pub(super) fn changes(&mut self, conn: ConnId, changes: Changes) {
        if !self.on_session(conn) {
            return;
        }
        let same = matches!(&self.role, Role::Following(f) if f.claim == changes.claim);
        if !same || !self.lane.has_room() {
            return self.backup_breaks();
        }
        if !self.data.backup.may_append() {
            return;
        }
        self.data.holds = true;
        self.data.catches_up = false;
        self.data.backup.knows(changes.committed);
        self.data.number = self.data.number.max(changes.last);
        let job = self.begin_job(Job::Append { batch: changes.body, committed: changes.committed });
        self.data.backup.appends(job, changes.last);
    }

    /// The leader says what is acknowledged.
    pub(super) fn leader_commits(&mut self, conn: ConnId, committed: &Committed) {
        let same = |node: &Node| matches!(&node.role, Role::Following(f) if f.claim == committed.claim);
        if self.on_session(conn) && same(self) && self.data.backup.may_append() && self.lane.has_room() {
            self.data.backup.knows(committed.number);
            self.begin_job(Job::Commit { through: committed.number });
        }
    }

    /// The leader says what its state is like.
    pub(super) fn leader_is_like(&mut self, conn: ConnId, told: &Digest) {
        let same = |node: &Node| matches!(&node.role, Role::Following(f) if f.claim == told.claim);
        if self.on_session(conn) && same(self) && self.data.backup.may_append() && self.lane.has_room() {
            let replace = self.data.differed.is_none_or(|at| self.base.now.since(at) >= limits::DIFFERS);
            self.begin_job(Job::Check { number: told.number, digest: told.digest, replace });
        }
    }

    /// The copy on this machine differs from the leader's, or is damaged: it is never served on, but for a second time
    /// within an hour.
    pub(super) fn copy_differs(&mut self, why: &str) {
        let now = self.base.now;
        let again = self.data.differed.is_some_and(|at| now.since(at) < limits::DIFFERS);
        let what = if again { "again, and stays as it is" } else { "it is set aside, and a new one is fetched" };
        let text = format!("the copy of the data on this machine {why}: {what}");
        self.base.warn(Kind::CopyDiffers, text, vec![]);
        if !again {
            self.data.differed = Some(now);
            self.backup_breaks();
        }
    }

    /// More of the copy is durable.
    pub(super) fn copy_stored(&mut self, through: JobId) {
        let stored = self.data.backup.done(through);
        if let (Some(number), Some(conn)) = (stored, self.leader_conn()) {
            self.base.send(conn, Frame::Stored(Stored { number }));
        }
    }

    // ---- a copy

    /// A piece of a copy, from the leader.
    pub(super) fn copy_piece(&mut self, conn: ConnId, piece: Piece) {
        if !self.on_session(conn) {
            return;
        }
        let Some(first) = self.data.backup.receives(piece.number) else { return };
        if !self.lane.has_room() {
            return self.backup_breaks();
        }
        self.data.holds = true;
        self.data.catches_up = true;
        let job = self.begin_job(Job::Adopt { piece: piece.body, first });
        self.data.backup.adopts(job);
    }

    /// A piece of the copy was taken in; with the last one the copy is this machine's own.
    pub(super) fn copy_taken(&mut self, complete: bool) {
        let Some(conn) = self.leader_conn().filter(|_| self.data.backup.catches_up()) else { return };
        if !complete {
            return self.base.send(conn, Frame::Taken);
        }
        self.data.catches_up = false;
        self.base.info(Kind::CaughtUp, "this machine has all the data again".to_owned(), vec![]);
        self.follow_data();
    }

    // ---- an offer

    /// The leader has all that is here.
    pub(super) fn leader_has_all(&mut self, conn: ConnId) {
        if self.on_session(conn) {
            self.is_covered();
        }
    }

    /// From now on the leader is given what users ask here.
    pub(super) fn is_covered(&mut self) {
        if let Role::Following(f) = &mut self.role
            && let Some(session) = &mut f.session
        {
            session.covered = true;
        }
    }

    /// The leader lacks something that is here.
    pub(super) fn leader_wants(&mut self, conn: ConnId, wanted: Wanted) {
        if !self.on_session(conn) || !self.data.backup.is_wanted() {
            return;
        }
        if !self.lane.has_room() {
            return self.backup_breaks();
        }
        self.begin_job(Job::Offer { to: conn, seen: wanted.body });
        self.offer_goes_on();
    }

    fn offer_goes_on(&mut self) {
        let Some(to) = self.leader_conn() else { return };
        if !self.lane.has_room() {
            return self.backup_breaks();
        }
        if self.data.backup.reads() {
            self.begin_job(Job::Scan { to });
        }
    }

    /// A piece of the offer was read.
    pub(super) fn offer_scanned(&mut self, piece: Bytes, last: bool) {
        let Some(conn) = self.leader_conn() else { return };
        let Some(number) = self.data.backup.scanned(last) else { return };
        self.base.send(conn, Frame::Piece(Piece { number, last, body: piece }));
        self.offer_goes_on();
    }

    /// The leader has taken in a piece of the offer.
    pub(super) fn leader_took(&mut self, conn: ConnId) {
        if self.on_session(conn) {
            self.data.backup.taken();
            self.offer_goes_on();
        }
    }
}
