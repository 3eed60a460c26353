//! The leader's side of sessions, and the member list that it keeps (protocol §6).

use super::entry::Entry;
use super::role::{Role, Served};
use super::ways::Purpose;
use super::{Node, limits};
use crate::event::{Cause, Kind};
use crate::ident::{ConnId, NodeId};
use crate::message::{Frame, Join, Joined, Member, MemberState, NotJoined};
use std::net::SocketAddr;

impl Node {
    /// A member asks to be taken in.
    pub(super) fn joins(&mut self, conn: ConnId, join: Join) {
        let Some(peer) = self.base.peer(conn) else { return };
        if !self.base.writes.has_room() {
            return self.base.close(conn);
        }
        let Some(state) = self.base.ways.get(conn) else { return };
        let (address, via) = (state.address, state.via().or(join.via));
        if matches!(state.purpose, Purpose::Served(_)) {
            // It is answered already: the list of all members is not sent as often as somebody asks.
            return;
        }
        if peer.id == self.base.me.node.id {
            return self.joined_by_double(conn, address);
        }
        let highest = join.shown;
        if let Some(shown) = highest
            && !self.base.believe(shown)
        {
            return self.base.close(conn);
        }
        let standing = self.standing();
        let now = self.base.now;
        let Role::Leading(l) = &mut self.role else {
            return self.base.send(conn, Frame::NotJoined(NotJoined::NotLeader(standing)));
        };
        if l.check.is_some() {
            return self.base.close(conn);
        }
        let known = l.sessions.contains_key(&peer.id);
        let room = self.base.members.get(peer.id).is_some() || self.base.members.has_room();
        if !known && l.sessions.len() + l.joining.len() >= limits::SESSIONS || !room {
            if let Some(shown) = highest.filter(|s| s.epoch > l.claim.epoch) {
                self.renew(shown.epoch, Cause::Reunion, "a member came with a higher epoch".to_owned());
            }
            self.base.warn(
                Kind::ClusterFull,
                format!("no room for {}: it follows by heartbeat alone", peer.id),
                vec![],
            );
            return self.base.send(conn, Frame::NotJoined(NotJoined::Full));
        }
        if !self.may_be_a_clone(conn, peer) {
            return self.base.close(conn);
        }
        let Role::Leading(l) = &mut self.role else { return };
        let served = Served {
            conn,
            node: peer,
            heard: now,
            spoke: now,
            since: now,
            deaf: false,
            via,
            silent: false,
            held: None,
        };
        l.joining.insert(conn, served);
        self.enter_member(conn, &join, address);
        if let Some(state) = self.base.ways.get_mut(conn) {
            state.purpose = Purpose::Served(peer.id);
        }
        self.shown_higher(conn, highest, peer.id);
    }

    /// A leader that takes in a member which has shown a higher epoch, or its own in another claim, begins a new reign
    /// above it first (§9).
    fn shown_higher(&mut self, conn: ConnId, shown: Option<crate::claim::Claim>, id: NodeId) {
        let Role::Leading(l) = &mut self.role else { return };
        let above = shown.filter(|s| s.epoch > l.claim.epoch || s.epoch == l.claim.epoch && *s != l.claim);
        let waits = l.clones.contains_key(&conn);
        if let Some(shown) = above {
            let name = self.base.name(id);
            let text = format!("{name} came with epoch {} of another reign", shown.epoch);
            self.renew(shown.epoch, Cause::Reunion, text);
        }
        let Role::Leading(l) = &mut self.role else { return };
        match &mut l.renewing {
            Some(renewing) if above.is_some() => renewing.joins.push(conn),
            _ if waits || above.is_some() => {}
            _ => self.take_in(conn),
        }
    }

    fn enter_member(&mut self, conn: ConnId, join: &Join, address: SocketAddr) {
        let Some(peer) = self.base.ways.get(conn).and_then(|c| c.peer.clone()) else { return };
        let now = self.base.now;
        if self.base.members.get(peer.node.id).is_none() {
            // Of one that came through another the address is that other's: its own is not known.
            let relayed = self.base.ways.get(conn).is_some_and(|c| c.via().is_some());
            let ip = if relayed { std::net::Ipv4Addr::UNSPECIFIED.into() } else { address.ip() };
            let address = SocketAddr::new(ip, peer.port);
            let entry = Entry { met: true, ..Entry::new(peer.node, peer.name.clone(), address, now) };
            self.base.members.insert(entry);
        }
        if let Some(entry) = self.base.members.get_mut(peer.node.id) {
            entry.met = true;
            entry.node = peer.node;
            entry.priority = join.priority;
            entry.version.clone_from(&join.version);
            entry.whole = join.whole;
        }
    }

    /// Answers a Join. The session counts when the member has spoken after this.
    pub(super) fn take_in(&mut self, conn: ConnId) {
        let Role::Leading(l) = &self.role else { return };
        if !l.joining.contains_key(&conn) || l.clones.contains_key(&conn) {
            return;
        }
        let mut members: Vec<Member> =
            self.base.members.iter().filter(|e| e.met).map(|e| e.to_member(self.base.now)).collect();
        members.push(self.myself());
        members.truncate(limits::MEMBERS);
        let joined = Joined { claim: l.claim, story: l.story.clone(), successor: l.naming.named(), members };
        self.base.send(conn, Frame::Joined(joined));
    }

    /// A member has spoken on its session after the leader's answer: it counts, and ends the older one.
    pub(super) fn session_counts(&mut self, served: Served) {
        let (id, conn, via) = (served.node.id, served.conn, served.via);
        let Role::Leading(l) = &mut self.role else { return };
        let claim = l.claim;
        // It leads no more, unless that was another with its id (§4). Its session may be the connection that the two met on,
        // which must not be closed with the rest.
        if l.others.get(&id).is_some_and(|o| o.known.claim.node == served.node) {
            let met = l.others.remove(&id).map(|o| o.conns).unwrap_or_default();
            for other in met.into_iter().filter(|c| *c != conn) {
                self.base.close(other);
            }
        }
        let older = l.sessions.insert(id, served);
        let renewed = older.as_ref().is_none_or(|o| o.node.boot != l.sessions[&id].node.boot);
        if let Some(older) = older
            && older.conn != conn
        {
            self.base.close(older.conn);
            self.end_copy(older.conn);
        }
        let Some(entry) = self.base.members.get_mut(id) else { return };
        let was = std::mem::replace(&mut entry.state, MemberState::Alive);
        entry.via = via;
        self.list_changed(id);
        if was != MemberState::Alive || renewed {
            self.tell_member(id, MemberState::Alive);
        }
        self.check_answered_by(id);
        self.name_successor();
        if let Role::Leading(l) = &self.role
            && l.claim == claim
        {
            let named = crate::message::Named { claim, successor: l.naming.named() };
            self.base.send(conn, Frame::Named(named));
            self.tell_forgotten(conn);
        }
    }

    pub(super) fn follower_broke(&mut self, conn: ConnId, id: NodeId) {
        let Role::Leading(l) = &mut self.role else { return };
        l.joining.remove(&conn);
        l.clones.remove(&conn);
        if let Some(r) = &mut l.renewing {
            r.joins.retain(|c| *c != conn);
        }
        if let Some(primary) = &mut l.data {
            primary.forget(conn);
        }
        self.end_copy(conn);
        let Role::Leading(l) = &mut self.role else { return };
        if l.sessions.get(&id).is_some_and(|s| s.conn == conn) {
            l.sessions.remove(&id);
            self.follower_gone(id);
        }
        // A former process of a member that waits to be taken in is gone: no clone.
        self.clone_cleared(id);
    }

    fn follower_gone(&mut self, id: NodeId) {
        let now = self.base.now;
        if let Role::Leading(l) = &mut self.role {
            l.ahead.0.remove(&id);
        }
        // Its newer process waits to be taken in, or it has gone to the heir already: no news for users.
        let quiet = matches!(&self.role, Role::Leading(l) if l.clones.values().any(|(c, _)| *c == id)
            || l.handover.as_ref().is_some_and(|h| h.asked() && h.to.id != id));
        if let Some(entry) = self.base.members.get_mut(id)
            && entry.state == MemberState::Alive
        {
            entry.turns(MemberState::Silent, now);
            self.list_changed(id);
            if !quiet {
                self.tell_member(id, MemberState::Silent);
            }
        }
        self.name_successor();
        self.handing_lost(id);
    }

    /// A follower leaves in order, or the leader that this one was asked to take over from.
    pub(super) fn leaves(&mut self, conn: ConnId) {
        if let Some(node) = self.base.peer(conn)
            && matches!(self.role, Role::Leading(_))
        {
            self.member_left(node);
        }
    }
}
