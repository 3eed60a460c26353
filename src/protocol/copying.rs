//! A leader's followers receive what it orders, and those that lack something receive that first (protocol §10).

use super::replication::{Next, Stated};
use super::role::{Leading, Role};
use super::timers::Timer;
use super::ways::Purpose;
use super::{Compared, Job, Node, Stretch, limits};
use crate::event::Kind;
use crate::ident::{ConnId, JobId, NodeId};
use crate::message::{Brought, Changes, Digest, Frame, Holds, Piece, Reunited, Wanted};
use bytes::Bytes;
use std::collections::BTreeSet;

impl Node {
    /// A member says what it has.
    pub(super) fn member_holds(&mut self, conn: ConnId, holds: Holds) {
        if !matches!(self.base.ways.get(conn).map(|c| c.purpose), Some(Purpose::Served(_))) {
            return;
        }
        self.end_copy(conn);
        let Role::Leading(l) = &mut self.role else { return };
        l.copies.states(conn, Stated { position: holds.position, all: holds.all, seen: holds.body });
        self.name_successor();
        self.compare_copies();
    }

    /// Members that have said what they have are compared, as many as there is room for.
    pub(super) fn compare_copies(&mut self) {
        loop {
            let Role::Leading(l) = &self.role else { return };
            if l.check.is_some() || l.renewing.is_some() || !self.lane.has_room() {
                return;
            }
            let Some((to, Stated { position, all, seen }, copy)) = l.copies.to_compare() else { return };
            self.begin_to_order();
            if !self.orders() || !self.lane.has_room() {
                return;
            }
            let job = self.begin_job(Job::Compare { to, position, all, seen, copy });
            if let Role::Leading(l) = &mut self.role {
                l.copies.compares(to, job);
            }
        }
    }

    /// These have changes that this leader has not, as their voices said: what users ask waits until they have offered them,
    /// or for 3 intervals, so that it is judged by all that was acknowledged.
    pub(super) fn wait_for_offers(&mut self, ahead: BTreeSet<NodeId>) {
        let until = self.base.now + self.base.settings.silence();
        let Role::Leading(l) = &mut self.role else { return };
        if !ahead.is_empty() {
            *l.ahead = (ahead, until);
            self.base.timers.sooner(Timer::Successor, until);
        }
    }

    /// All that this member has is here.
    fn has_offered(&mut self, conn: ConnId) {
        if let Some(Purpose::Served(id)) = self.base.ways.get(conn).map(|c| c.purpose)
            && let Role::Leading(l) = &mut self.role
        {
            l.ahead.0.remove(&id);
        }
    }

    /// How what a member has goes with what is here.
    pub(super) fn copy_compared(&mut self, job: JobId, compared: Compared) {
        let Role::Leading(l) = &mut self.role else { return };
        let Some(conn) = l.copies.compared(job) else { return };
        if !matches!(compared, Compared::Lacks { .. }) {
            self.has_offered(conn);
            self.base.send(conn, Frame::Covered);
        }
        let Role::Leading(l) = &mut self.role else { return };
        match compared {
            Compared::Continues(stretches) => {
                l.copies.follows(conn, stretches);
                self.member_is_whole(conn, true);
                self.send_missed(conn);
                let committed = self.committed();
                if let Role::Leading(l) = &self.role {
                    let committed = crate::message::Committed { claim: l.claim, number: committed };
                    self.base.send(conn, Frame::Committed(committed));
                }
                self.name_successor();
                self.acknowledge();
            }
            Compared::Copied => {
                l.copies.is_sent(conn);
                self.member_is_whole(conn, false);
                self.copy_goes_on(conn);
            }
            Compared::Lacks { seen, has_all } => {
                let ordered = l.data.as_ref().map_or(0, |primary| primary.position());
                if l.copies.lacks(conn, has_all.then_some(ordered)) {
                    self.base.send(conn, Frame::Wanted(Wanted { body: seen }));
                }
                self.handing_drained();
            }
            Compared::Behind => l.copies.is_behind(conn),
            Compared::Early => {
                // An answer that is held back is no commit that could still come.
                let waits = l.data.as_ref().is_some_and(|primary| primary.committed() < primary.position());
                if waits {
                    l.copies.is_early(conn)
                } else {
                    l.copies.is_stated(conn)
                }
                self.acknowledge();
            }
        }
        self.compare_copies();
    }

    /// A member has all that there is, or is in the middle of catching up.
    fn member_is_whole(&mut self, conn: ConnId, whole: bool) {
        let Some(Purpose::Served(id)) = self.base.ways.get(conn).map(|c| c.purpose) else { return };
        if let Some(entry) = self.base.members.get_mut(id)
            && std::mem::replace(&mut entry.whole, whole) != whole
        {
            self.list_changed(id);
        }
    }

    fn committed(&self) -> u64 {
        match &self.role {
            Role::Leading(Leading { data: Some(primary), .. }) => primary.committed(),
            _ => 0,
        }
    }

    /// What a member missed is sent as far as it has room on its way.
    fn send_missed(&mut self, conn: ConnId) {
        let (now, committed) = (self.base.now, self.committed());
        let Role::Leading(l) = &mut self.role else { return };
        while let Some(Stretch { last, batch }) = l.copies.next(conn, now) {
            let changes = Changes { claim: l.claim, last, committed, body: batch };
            self.base.send(conn, Frame::Changes(changes));
        }
    }

    /// What was ordered goes to everybody whose place is in this order.
    pub(super) fn send_changes(&mut self, stretch: Stretch) {
        let (now, committed) = (self.base.now, self.committed());
        let Role::Leading(l) = &mut self.role else { return };
        let (to, slow) = l.copies.sends(&stretch, now);
        let changes = Changes { claim: l.claim, last: stretch.last, committed, body: stretch.batch };
        if let Some(primary) = &mut l.data {
            primary.tells();
        }
        if !to.is_empty() {
            self.base.send_all(to, Frame::Changes(changes));
            self.watch_successor();
        }
        for conn in slow {
            self.copy_anew(conn);
        }
    }

    /// A member is to say again what it has.
    fn copy_anew(&mut self, conn: ConnId) {
        self.end_copy(conn);
        if self.base.ways.get(conn).is_some() {
            self.base.send(conn, Frame::Anew);
        }
        self.name_successor();
    }

    /// A follower says how far it is durable.
    pub(super) fn member_stored(&mut self, conn: ConnId, number: u64) {
        let now = self.base.now;
        if self.served_mut(conn).is_none() {
            return;
        }
        let Role::Leading(l) = &mut self.role else { return };
        l.copies.stored(conn, number, now);
        self.send_missed(conn);
        self.name_successor();
        self.acknowledge();
        self.handing_drained();
    }

    /// A follower does not take in what comes any more, until it says again what it has.
    pub(super) fn member_breaks(&mut self, conn: ConnId) {
        if self.served_mut(conn).is_some() {
            self.end_copy(conn);
            self.name_successor();
            self.compare_copies();
        }
    }

    /// A member is gone, or begins anew.
    pub(super) fn end_copy(&mut self, conn: ConnId) {
        let Role::Leading(l) = &mut self.role else { return };
        let begun = l.copies.forget(conn);
        let next = l.copies.offers_wait();
        if begun && self.lane.has_room() {
            self.begin_job(Job::Drop { to: conn });
        }
        if next && let Role::Leading(l) = &mut self.role {
            // What the one that is gone did not offer to its end, another may offer.
            l.copies.joined();
            self.compare_copies();
        }
    }

    /// A job of a copy or an offer failed: that member begins anew. False when it was of no such thing.
    pub(super) fn copy_failed(&mut self, job: JobId) -> bool {
        let Role::Leading(l) = &mut self.role else { return false };
        let compared = l.copies.compared(job);
        let other = l.copying.remove(&job);
        let found = compared.or(other);
        if let Some(conn) = found {
            self.copy_anew(conn);
        }
        found.is_some()
    }

    /// What came from a member, or from the leader, does not fit.
    pub(super) fn data_unfit(&mut self, job: JobId, why: &str) {
        let news = match &self.role {
            Role::Leading(_) => self.copy_failed(job),
            Role::Following(_) => self.backup_failed(job),
            _ => false,
        };
        if news {
            self.base.warn(Kind::StoreTrouble, format!("a copy of the data begins anew: {why}"), vec![]);
        }
    }

    /// Once a second, when something was acknowledged since, and now and then all the same: followers compare their state
    /// with this one.
    pub(super) fn ask_digest(&mut self) {
        let (committed, now) = (self.committed(), self.base.now);
        let Role::Leading(l) = &mut self.role else { return };
        let same = committed == l.compared && now.since(l.compared_at) < limits::COMPARED;
        if same || l.copies.followers().is_empty() || !self.lane.has_room() {
            return;
        }
        (l.compared, l.compared_at) = (committed, now);
        self.begin_job(Job::Digest);
    }

    pub(super) fn tell_digest(&mut self, number: u64, digest: u128) {
        // A follower compares what it knows to be acknowledged.
        self.tell_committed();
        let Role::Leading(l) = &self.role else { return };
        let told = Digest { claim: l.claim, number, digest };
        self.base.send_all(l.copies.followers(), Frame::Digest(told));
    }

    // ---- copies

    fn copy_goes_on(&mut self, conn: ConnId) {
        if !self.lane.has_room() {
            // Without a next piece the member says after a while that it begins anew.
            return self.copy_anew(conn);
        }
        let Role::Leading(l) = &mut self.role else { return };
        if l.copies.goes_on(conn) == Next::Scan {
            self.begin_copying(conn, Job::Scan { to: conn });
        }
    }

    fn begin_copying(&mut self, conn: ConnId, job: Job) {
        let job = self.begin_job(job);
        if let Role::Leading(l) = &mut self.role {
            l.copying.insert(job, conn);
        }
    }

    /// A piece was read that goes to a member, or to the leader.
    pub(super) fn scanned(&mut self, job: JobId, piece: Bytes, last: bool) {
        let Role::Leading(l) = &mut self.role else { return self.offer_scanned(piece, last) };
        let Some(conn) = l.copying.remove(&job) else { return };
        let Some(number) = l.copies.scanned(conn, last) else { return };
        self.base.send(conn, Frame::Piece(Piece { number, last, body: piece }));
        self.copy_goes_on(conn);
    }

    /// A member has taken in a piece of its copy.
    pub(super) fn member_took(&mut self, conn: ConnId) {
        if self.served_mut(conn).is_none() {
            return;
        }
        let Role::Leading(l) = &mut self.role else { return };
        if l.copies.taken(conn) == Next::Scan {
            if !self.lane.has_room() {
                return self.copy_anew(conn);
            }
            self.begin_copying(conn, Job::Scan { to: conn });
        }
    }

    // ---- offers

    /// A member offers what is missing here.
    pub(super) fn member_offers(&mut self, conn: ConnId, piece: Piece) {
        if self.served_mut(conn).is_none() {
            return;
        }
        let Role::Leading(l) = &mut self.role else { return };
        let Some(first) = l.copies.offered(conn, piece.number) else { return };
        self.begin_to_order();
        if !self.orders() || !self.lane.has_room() {
            return self.copy_anew(conn);
        }
        self.data.holds = true;
        let job = self.begin_job(Job::Join { piece: piece.body, first });
        let Role::Leading(l) = &mut self.role else { return };
        l.copying.insert(job, conn);
        if let Some(primary) = &mut l.data {
            primary.given(job, std::collections::VecDeque::new());
        }
    }

    /// A piece was taken in: of a member's offer, or of the leader's copy.
    pub(super) fn piece_taken(&mut self, job: JobId, complete: bool) {
        let Role::Leading(l) = &mut self.role else { return self.copy_taken(complete) };
        if let Some(conn) = l.copying.remove(&job) {
            self.base.send(conn, Frame::Taken);
        }
    }

    /// All that a member offered was joined.
    pub(super) fn offer_joined(&mut self, job: JobId, brought: Brought) {
        let Role::Leading(l) = &mut self.role else { return };
        let Some(conn) = l.copying.remove(&job) else { return };
        self.base.send(conn, Frame::Taken);
        let reign = l.copies.reign(conn);
        l.copies.joined();
        if let (Some(reign), Some(Purpose::Served(with))) = (reign, self.base.ways.get(conn).map(|c| c.purpose)) {
            self.brought(Reunited { with, reign, brought });
        }
        self.compare_copies();
    }
}
