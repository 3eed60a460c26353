//! Requests go from any member to its leader, and what became of them comes back (protocol §10).

use super::role::Role;
use super::{Node, Outcome, Output};
use crate::ident::ConnId;
use crate::message::{BODY_MAX, Ended, Frame, Outcomes, Requests, TOGETHER_MAX};
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;

/// A member's session and its number for a request, how that ended, and what is said of it.
pub(super) type Told = ((ConnId, u64), Ended, Bytes);

/// The same within one session.
type Ending = ((u64, Ended), Bytes);

/// Lists of which each fits into one frame.
fn together<T>(all: impl Iterator<Item = (T, Bytes)>) -> Vec<Vec<(T, Bytes)>> {
    let (mut lists, mut bytes): (Vec<Vec<(T, Bytes)>>, usize) = (Vec::new(), 0);
    for (what, body) in all {
        let fits = lists.last().is_some_and(|list| list.len() < TOGETHER_MAX && bytes + body.len() <= BODY_MAX);
        if !fits {
            lists.push(Vec::new());
            bytes = 0;
        }
        bytes += body.len();
        lists.last_mut().expect("there is one").push((what, body));
    }
    lists
}

/// Bodies one behind the other; a single one is not copied.
fn joined(mut bodies: impl ExactSizeIterator<Item = Bytes>) -> Bytes {
    if bodies.len() == 1 {
        return bodies.next().expect("there is one");
    }
    let mut all = BytesMut::new();
    bodies.for_each(|body| all.extend_from_slice(&body));
    all.freeze()
}

fn length(body: &Bytes) -> u32 {
    u32::try_from(body.len()).expect("the limits keep it short")
}

impl Node {
    /// What users of this follower ask goes to its leader, as soon as there is a session and the leader has all that this
    /// machine has: a write that builds on another is never judged by one that lacks it.
    pub(super) fn pass_on_requests(&mut self) {
        if !self.data.requests.any_to_give() {
            return;
        }
        let Role::Following(f) = &self.role else { return };
        let Some(conn) = f.session.as_ref().filter(|s| s.covered).map(|s| s.conn) else { return };
        for list in together(self.data.requests.give().into_iter()) {
            let requests = list.iter().map(|(request, body)| (*request, length(body))).collect();
            let body = joined(list.into_iter().map(|(_, body)| body));
            self.base.send(conn, Frame::Requests(Requests { requests, body }));
        }
    }

    /// A member passes on what its users ask.
    pub(super) fn member_asks(&mut self, conn: ConnId, asked: Requests) {
        // Of one that does not lead any more, or has not taken the member in: it asks the next leader.
        if self.served_mut(conn).is_none() {
            return;
        }
        let Role::Leading(l) = &mut self.role else { return };
        let primary = l.data.get_or_insert_default();
        let (mut rest, mut busy) = (asked.body, Vec::new());
        for (request, length) in asked.requests {
            let body = rest.split_to(length as usize);
            if !primary.remote.add((conn, request), body) {
                busy.push(((conn, request), Ended::Busy, Bytes::new()));
            }
        }
        self.tell_members(busy);
    }

    /// What became of requests of other members' users.
    pub(super) fn tell_outcomes(&mut self, told: Vec<Told>) {
        if told.is_empty() {
            return;
        }
        if let Role::Leading(l) = &mut self.role
            && let Some(primary) = &mut l.data
        {
            told.iter().for_each(|_| primary.remote.answered());
        }
        self.tell_members(told);
    }

    fn tell_members(&mut self, told: Vec<Told>) {
        let Role::Leading(l) = &self.role else { return };
        let epoch = l.claim.epoch;
        let mut of: BTreeMap<ConnId, Vec<Ending>> = BTreeMap::new();
        for ((conn, request), ended, body) in told {
            of.entry(conn).or_default().push(((request, ended), body));
        }
        for (conn, told) in of.into_iter().filter(|(conn, _)| self.base.ways.get(*conn).is_some()).collect::<Vec<_>>() {
            for list in together(told.into_iter()) {
                let outcomes = list.iter().map(|((request, ended), body)| (*request, *ended, length(body))).collect();
                let body = joined(list.into_iter().map(|(_, body)| body));
                self.base.send(conn, Frame::Outcomes(Outcomes { epoch, outcomes, body }));
            }
        }
    }

    /// The leader says what became of requests of this agent's users.
    pub(super) fn requests_ended(&mut self, conn: ConnId, told: Outcomes) {
        if !self.on_session(conn) {
            return;
        }
        let mut rest = told.body;
        for (request, ended, length) in told.outcomes {
            let body = rest.split_to(length as usize);
            if !self.data.requests.answered(request) {
                continue;
            }
            let outcome = match ended {
                Ended::Judged(copies) => Outcome::Judged { body, copies, epoch: told.epoch },
                Ended::Busy => Outcome::Busy,
                Ended::NoSpace => Outcome::NoSpace(String::from_utf8_lossy(&body).into_owned()),
            };
            self.base.out.push(Output::Answer { request, outcome });
        }
    }

    /// The session is gone: what is not answered goes to the next one.
    pub(super) fn requests_unsent(&mut self) {
        self.data.requests.take_back();
    }
}
