//! The member list that a leader keeps, and sends to its followers (protocol §6).

use super::entry::Entry;
use super::notices::Fields;
use super::role::{Following, Role};
use super::timers::Timer;
use super::{Node, Output, limits};
use crate::event::Kind;
use crate::ident::{ConnId, NodeId};
use crate::message::{Frame, HandoverDone, Look, Member, MemberState, Members};
use std::time::Duration;

impl Node {
    pub(super) fn list_changed(&mut self, id: NodeId) {
        // Many who join together are one change of the list.
        self.list_after(id, self.base.heartbeat().min(limits::LIST));
    }

    /// A member's round trip or name has changed: no news that anybody waits for, and it is for all. However many there
    /// are, each follower is told of one member in this time.
    pub(super) fn list_moved(&mut self, id: NodeId) {
        let Role::Leading(l) = &self.role else { return };
        let followers = u32::try_from(l.sessions.len()).unwrap_or(u32::MAX);
        self.list_after(id, limits::LIST_MOVED.saturating_mul(followers));
    }

    /// The next list tells of this member: so long after the last one, or sooner when there is other news.
    fn list_after(&mut self, id: NodeId, pause: Duration) {
        let Role::Leading(l) = &mut self.role else { return };
        l.changed.insert(id);
        let due = (l.listed_at + pause).max(self.base.now);
        self.base.timers.sooner(Timer::List, due);
    }

    /// A user of this agent looks at the members: the leader is asked what the list does not tell of yet.
    pub(super) fn look_asked(&mut self, request: u64) {
        if let Role::Following(Following { session: Some(session), forgets, .. }) = &mut self.role
            && forgets.len() < limits::REQUESTS
        {
            forgets.insert(request);
            let conn = session.conn;
            return self.base.send(conn, Frame::Look(Look { request }));
        }
        self.base.out.push(Output::Reply { request, refused: None });
    }

    /// What moved since all were told of it, for the one that looks.
    pub(super) fn member_looks(&mut self, conn: ConnId, request: u64) {
        if self.served_mut(conn).is_some() {
            let moved = self.base.members.iter().filter(|e| e.met && e.rtt_us != e.rtt_listed);
            let changed: Vec<Member> = moved.map(|e| e.to_member(self.base.now)).collect();
            self.base.send(conn, Frame::Members(Members { changed, gone: Vec::new() }));
        }
        self.base.send(conn, Frame::HandoverDone(HandoverDone { request, refused: None }));
    }

    pub(super) fn list_due(&mut self) {
        let now = self.base.now;
        let Role::Leading(l) = &mut self.role else { return };
        let (changed, gone) = (std::mem::take(&mut l.changed), std::mem::take(&mut l.gone));
        l.listed_at = now;
        // Also those that have their list already, and whose session does not count yet.
        let conns: Vec<ConnId> = l.sessions.values().map(|s| s.conn).chain(l.joining.keys().copied()).collect();
        let mut listed = |id: &NodeId| {
            let entry = self.base.members.get_mut(*id)?;
            entry.rtt_listed = entry.rtt_us;
            Some(entry.to_member(now))
        };
        let own = changed.contains(&self.base.me.node.id);
        let mut changed: Vec<Member> = changed.iter().filter_map(&mut listed).collect();
        changed.extend(own.then(|| self.myself()));
        let members = Members { changed, gone: gone.into_iter().collect() };
        if members.changed.is_empty() && members.gone.is_empty() {
            return;
        }
        self.base.send_all(conns, Frame::Members(members));
    }

    pub(super) fn take_list(&mut self, members: Vec<Member>) {
        let now = self.base.now;
        let listed: std::collections::BTreeSet<NodeId> = members.iter().map(|m| m.node.id).collect();
        for entry in self.base.members.iter_mut() {
            if !listed.contains(&entry.node.id) && entry.state == MemberState::Alive {
                entry.turns(MemberState::Silent, now);
            }
        }
        for member in members {
            self.take_member(member, false);
        }
    }

    pub(super) fn members_changed(&mut self, conn: ConnId, members: Members) {
        if !self.on_session(conn) {
            return;
        }
        for member in members.changed {
            self.take_member(member, true);
        }
        for id in members.gone {
            self.leader_forgot(id);
        }
    }

    fn take_member(&mut self, m: Member, tell: bool) {
        let now = self.base.now;
        let counted = (std::time::Duration::from_millis(m.seniority_ms), now);
        if m.node.id == self.base.me.node.id {
            self.base.members.own_seniority_is(counted);
            return;
        }
        let leader = matches!(&self.role, Role::Following(f) if f.claim.node.id == m.node.id);
        let known = self.base.members.get(m.node.id).is_some();
        if !known {
            let entry = Entry { met: true, ..Entry::new(m.node, m.name.clone(), m.address, now) };
            self.base.members.insert(entry);
        }
        let Some(entry) = self.base.members.get_mut(m.node.id) else { return };
        entry.met = true;
        let was = if known { entry.state } else { MemberState::Silent };
        // Where the leader is the session knows, and it may have more than one address.
        let relay = matches!(&self.role, Role::Following(f) if f.relay == Some(m.node.id));
        if !leader && !relay && !entry.heard_within(limits::OWN_EARS, now) {
            entry.node = m.node;
            // Without its scope a link-local address leads nowhere from here.
            if !m.address.ip().is_unspecified() && !super::address::link_local(m.address) {
                entry.address = m.address;
                if m.via.is_none() {
                    entry.told_at(m.node.boot, m.address);
                }
            }
        }

        if leader && let Role::Following(f) = &mut self.role {
            f.name.clone_from(&m.name);
        }
        entry.name = m.name;
        entry.version = m.version;
        entry.priority = m.priority;
        entry.turns(m.state, now);
        (entry.whole, entry.sick) = (m.whole, m.sick);
        entry.rtt_us = m.rtt_us;
        entry.via = m.via;
        entry.seniority = counted;
        if !tell && m.state == MemberState::Alive {
            entry.announced = Some(entry.node.boot);
        }
        if tell && was != m.state && !leader {
            self.tell_member(m.node.id, m.state);
        }
    }

    pub(super) fn tell_member(&mut self, id: NodeId, state: MemberState) {
        let name = self.base.name(id);
        let fields: Fields = vec![("member", name.clone().into())];
        match state {
            MemberState::Alive => self.tell_joined(id, &name, fields),
            MemberState::Silent => self.base.warn(Kind::MemberSilent, format!("{name} does not answer"), fields),
            MemberState::Left => self.base.info(Kind::MemberLeft, format!("{name} has left"), fields),
        }
    }

    /// A member is there. One that was there before another began to lead is no news, and two with one name are a mistake.
    fn tell_joined(&mut self, id: NodeId, name: &str, fields: Fields) {
        let Some(entry) = self.base.members.get_mut(id) else { return };
        if entry.announced.replace(entry.node.boot) == Some(entry.node.boot) {
            return;
        }
        let label = entry.name.clone();
        let twin = self.all_named(&label).into_iter().any(|other| {
            let alive = |e: &Entry| e.state == MemberState::Alive;
            other != id && (other == self.base.me.node.id || self.base.members.get(other).is_some_and(alive))
        });
        if twin {
            let text = format!("{name} is there, and another member is called {label}: give each a name of its own");
            return self.base.warn(Kind::MemberJoined, text, fields);
        }
        self.base.info(Kind::MemberJoined, format!("{name} is there"), fields);
    }
}
