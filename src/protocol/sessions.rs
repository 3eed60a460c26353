//! The leader's side of sessions, and the member list that it keeps (protocol §6).

use super::conns::Purpose;
use super::directory::Entry;
use super::role::{Held, Leading, Role, Served};
use super::timers::Timer;
use super::{Node, Write, limits};
use crate::event::{Cause, Kind};
use crate::ident::{ConnId, Incarnation, NodeId};
use crate::message::{
    Check, Frame, Join, Joined, Known, Member, MemberState, Members, NotJoined, Ping, Pong, Standing,
};
use std::net::SocketAddr;
use std::time::Duration;

impl Node {
    /// A member asks to be taken in.
    pub(super) fn joins(&mut self, conn: ConnId, join: Join) {
        let Some(peer) = self.base.peer(conn) else { return };
        if !self.base.disk_has_room() {
            return self.base.close(conn);
        }
        let Some(state) = self.base.conns.get(conn) else { return };
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
        let room = self.base.members.get(peer.id).is_some() || self.base.members.len() < limits::MEMBERS - 1;
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
        if let Some(state) = self.base.conns.get_mut(conn) {
            state.purpose = Purpose::Served(peer.id);
        }
        self.shown_higher(conn, highest, peer.id);
    }

    /// Another process of a member that has a session: a restart, or a clone. The older session is asked (§4). False when
    /// too many wait for such an answer.
    fn may_be_a_clone(&mut self, conn: ConnId, peer: Incarnation) -> bool {
        let until = self.base.now + self.base.settings.interrogation();
        let Role::Leading(l) = &mut self.role else { return false };
        let Some(older) = l.sessions.get(&peer.id).filter(|s| s.node.boot != peer.boot) else { return true };
        let (older, claim) = (older.conn, l.claim);
        if l.clones.len() >= limits::WAITING {
            return false;
        }
        let asked = l.clones.values().find(|(id, _)| *id == peer.id).map(|(_, until)| *until);
        let until = asked.unwrap_or(until);
        l.clones.insert(conn, (peer.id, until));
        if asked.is_none() {
            self.base.send(older, Frame::Check(Check { claim }));
        }
        self.base.timers.sooner(Timer::Sweep, until);
        true
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
        let Some(peer) = self.base.conns.get(conn).and_then(|c| c.peer.clone()) else { return };
        let now = self.base.now;
        if self.base.members.get(peer.node.id).is_none() {
            // Of one that came through another the address is that other's: its own is not known.
            let relayed = self.base.conns.get(conn).is_some_and(|c| c.via().is_some());
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
        let joined = Joined { claim: l.claim, story: l.story.clone(), successor: l.successor, members };
        self.base.send(conn, Frame::Joined(joined));
    }

    pub(super) fn pinged(&mut self, conn: ConnId, ping: &Ping) {
        let now = self.base.now;
        let Role::Leading(l) = &mut self.role else { return };
        if let Some(mut served) = l.joining.remove(&conn) {
            (served.heard, served.spoke) = (now, now);
            served.deaf = ping.deaf;
            self.session_counts(served);
        }
        let Some(served) = self.served_mut(conn) else { return };
        let was_silent = std::mem::replace(&mut served.silent, false);
        (served.heard, served.spoke) = (now, now);
        let newly_deaf = ping.deaf && !served.deaf;
        served.deaf = ping.deaf;
        let (id, direct) = (served.node.id, served.via.is_none());
        // Whoever follows and says nothing else is where its session comes from.
        let state = self.base.conns.get(conn).filter(|c| direct && c.through.is_none());
        if let Some((peer, address)) = state.and_then(|c| Some((c.peer.clone()?, c.address))) {
            self.base.heard(&peer, Some(super::base::with_port(address, peer.port)), true);
        }
        self.answer_ping(conn, ping);
        if newly_deaf && let Some(beat) = self.heartbeat() {
            self.base.send(conn, Frame::Beat(beat));
        }
        let Some(entry) = self.base.members.get_mut(id) else { return };
        entry.rtt_us = ping.rtt_us.or(entry.rtt_us);
        // A round trip that comes and goes about a step of the line is no news.
        let moved = match (entry.rtt_us, entry.rtt_listed) {
            (Some(is), Some(was)) => is.abs_diff(was) >= limits::RTT_STEP_US,
            _ => false,
        };
        let news = was_silent || entry.rtt_us.is_some() != entry.rtt_listed.is_some();
        if news {
            entry.state = MemberState::Alive;
            self.list_changed(id);
        } else if moved {
            self.list_moved(id);
        }
        if was_silent {
            self.tell_member(id, MemberState::Alive);
            self.name_successor();
        }
    }

    /// At once, or with the heartbeat that comes nearest to the end of the time that the ping gives (§6).
    fn answer_ping(&mut self, conn: ConnId, ping: &Ping) {
        let now = self.base.now;
        let hold = Duration::from_millis(ping.hold_ms).min(limits::PING);
        let late = (self.base.heartbeat() / 2).min(limits::PING / 2);
        let Role::Leading(l) = &mut self.role else { return };
        let next = l.next_beat;
        let Some(served) = l.sessions.values_mut().find(|s| s.conn == conn) else { return };
        if hold.is_zero() || next > now + hold + late {
            served.held = None;
            return self.base.send(conn, Frame::Pong(Pong { seq: ping.seq, held_us: 0 }));
        }
        served.held = Some(Held { seq: ping.seq, came: now, due: now + hold });
    }

    /// A heartbeat goes out: the answers that are nearer to it than to the next one go too.
    pub(super) fn answer_held(&mut self) {
        let now = self.base.now;
        let half = self.base.heartbeat() / 2;
        let Role::Leading(l) = &mut self.role else { return };
        for served in l.sessions.values_mut() {
            if let Some(held) = served.held.take_if(|h| h.due <= now + half) {
                let held_us = u64::try_from(now.since(held.came).as_micros()).unwrap_or(u64::MAX);
                self.base.send(served.conn, Frame::Pong(Pong { seq: held.seq, held_us }));
            }
        }
    }

    /// A member has spoken on its session after the leader's answer: it counts, and ends the older one.
    fn session_counts(&mut self, served: Served) {
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
            let named = crate::message::Named { claim, successor: l.successor };
            self.base.send(conn, Frame::Named(named));
        }
    }

    pub(super) fn follower_broke(&mut self, conn: ConnId, id: NodeId) {
        let Role::Leading(l) = &mut self.role else { return };
        l.joining.remove(&conn);
        l.clones.remove(&conn);
        if let Some(r) = &mut l.renewing {
            r.joins.retain(|c| *c != conn);
        }
        if l.sessions.get(&id).is_some_and(|s| s.conn == conn) {
            l.sessions.remove(&id);
            self.follower_gone(id);
        }
        // A former process of a member that waits to be taken in is gone: no clone.
        self.clone_cleared(id);
    }

    fn follower_gone(&mut self, id: NodeId) {
        let now = self.base.now;
        // Its newer process waits to be taken in, or it has gone to the heir already: no news for users.
        let quiet = matches!(&self.role, Role::Leading(l) if l.clones.values().any(|(c, _)| *c == id)
            || l.handover.as_ref().is_some_and(|h| h.sent.is_some() && h.to.id != id));
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

    /// A follower leaves in order.
    pub(super) fn follower_leaves(&mut self, conn: ConnId) {
        if let Some(node) = self.served_mut(conn).map(|s| s.node) {
            self.member_left(node);
        }
    }

    fn list_changed(&mut self, id: NodeId) {
        // Many who join together are one change of the list.
        self.list_after(id, self.base.heartbeat().min(limits::LIST));
    }

    /// A member's round trip has changed: no news that anybody waits for, and it is for all.
    fn list_moved(&mut self, id: NodeId) {
        let Role::Leading(l) = &self.role else { return };
        let followers = u32::try_from(l.sessions.len()).unwrap_or(u32::MAX);
        self.list_after(id, limits::LIST.saturating_mul(followers).max(limits::PING));
    }

    /// The next list tells of this member: so long after the last one, or sooner when there is other news.
    fn list_after(&mut self, id: NodeId, pause: Duration) {
        let Role::Leading(l) = &mut self.role else { return };
        l.changed.insert(id);
        let due = (l.listed_at + pause).max(self.base.now);
        self.base.timers.sooner(Timer::List, due);
    }

    pub(super) fn list_due(&mut self) {
        let now = self.base.now;
        let Role::Leading(l) = &mut self.role else { return };
        let (changed, gone) = (std::mem::take(&mut l.changed), std::mem::take(&mut l.gone));
        l.listed_at = now;
        let conns: Vec<ConnId> = l.sessions.values().map(|s| s.conn).collect();
        let mut listed = |id: &NodeId| {
            let entry = self.base.members.get_mut(*id)?;
            entry.rtt_listed = entry.rtt_us;
            Some(entry.to_member(now))
        };
        let changed: Vec<Member> = changed.iter().filter_map(&mut listed).collect();
        let members = Members { changed, gone: gone.into_iter().collect() };
        if members.changed.is_empty() && members.gone.is_empty() {
            return;
        }
        for conn in conns {
            self.base.send(conn, Frame::Members(members.clone()));
        }
    }

    /// Looks through the sessions: who is silent, who has been for long, who answered about a clone.
    pub(super) fn sweep_due(&mut self) {
        let now = self.base.now;
        let Role::Leading(l) = &mut self.role else { return };
        let mut silent = Vec::new();
        let mut dead = Vec::new();
        let mut next = now + limits::SILENT;
        for s in l.sessions.values_mut() {
            let quiet = now.since(s.heard);
            if quiet >= limits::SESSION_DEAD {
                dead.push(s.conn);
            } else if quiet >= limits::SILENT {
                if !s.silent {
                    s.silent = true;
                    silent.push(s.node.id);
                }
                next = next.min(s.heard + limits::SESSION_DEAD);
            } else {
                next = next.min(s.heard + limits::SILENT);
            }
        }
        dead.extend(l.joining.iter().filter(|(_, s)| now.since(s.since) >= limits::SESSION_DEAD).map(|(c, _)| *c));
        let unanswered: Vec<(ConnId, NodeId)> =
            l.clones.iter().filter(|(_, (_, until))| now >= *until).map(|(c, (id, _))| (*c, *id)).collect();
        if let Some(until) = l.clones.values().map(|(_, until)| *until).filter(|u| *u > now).min() {
            next = next.min(until);
        }
        self.base.timers.set(Timer::Sweep, next);
        for id in silent {
            if let Some(entry) = self.base.members.get_mut(id) {
                entry.turns(MemberState::Silent, now);
            }
            self.list_changed(id);
            self.tell_member(id, MemberState::Silent);
            self.name_successor();
        }
        for conn in dead {
            let id = match self.base.conns.get(conn).map(|c| c.purpose) {
                Some(Purpose::Served(id)) => id,
                _ => continue,
            };
            self.base.close(conn);
            self.follower_broke(conn, id);
        }
        for (_, id) in unanswered {
            // The former process does not answer: it was a restart.
            self.clone_cleared(id);
        }
    }

    // ---- clones

    fn clone_cleared(&mut self, id: NodeId) {
        let Role::Leading(l) = &mut self.role else { return };
        let waiting: Vec<ConnId> = l.clones.iter().filter(|(_, (c, _))| *c == id).map(|(c, _)| *c).collect();
        for conn in waiting {
            if let Role::Leading(Leading { clones, .. }) = &mut self.role {
                clones.remove(&conn);
            }
            self.take_in(conn);
        }
    }

    /// The older session of an id that came again has answered: there are two.
    pub(super) fn clone_answered(&mut self, conn: ConnId) -> bool {
        let Some(id) = self.served_mut(conn).map(|s| s.node.id) else { return false };
        let Role::Leading(l) = &mut self.role else { return false };
        let later: Vec<ConnId> = l.clones.iter().filter(|(_, (c, _))| *c == id).map(|(c, _)| *c).collect();
        for conn in &later {
            l.clones.remove(conn);
            l.joining.remove(conn);
        }
        let name = self.base.name(id);
        for conn in &later {
            if let Some(state) = self.base.conns.get_mut(*conn) {
                state.purpose = Purpose::Incoming;
            }
            self.base.send(*conn, Frame::NotJoined(NotJoined::Cloned));
            let text = format!("two living agents have the id of {name}: the later one is told to take a new one");
            self.base.warn(Kind::CloneDetected, text, vec![("member", name.clone().into())]);
        }
        // The directory follows the one whose session counts.
        let node = self.served_mut(conn).map(|s| s.node);
        if let (Some(node), Some(entry)) = (node, self.base.members.get_mut(id)) {
            entry.node = node;
        }
        !later.is_empty()
    }

    // ---- questions between members

    /// A leader that stalled, or met a second process with a member's id, asks how this agent stands.
    pub(super) fn checks(&mut self, conn: ConnId, _check: &Check) {
        let standing = self.standing();
        self.base.send(conn, Frame::Checked(crate::message::Checked { standing }));
    }

    pub(super) fn checked(&mut self, conn: ConnId, standing: Standing, from: SocketAddr) {
        if self.clone_answered(conn) {
            return;
        }
        if self.base.conns.get(conn).is_some_and(|c| c.purpose == Purpose::Meet) {
            return self.not_a_leader(conn, standing, from);
        }
        self.check_answered(conn, standing, from);
    }

    /// A follower reports another leader that it hears.
    pub(super) fn reported(&mut self, conn: ConnId, known: Known) {
        let Some(served) = self.served_mut(conn) else { return };
        let id = served.node.id;
        let direct = served.via.is_none();
        let from = self.base.conns.get(conn).map(|c| c.address);
        let reporter = (known.direct && direct).then_some(id);
        // It may come from a datagram: it raises no epoch before the two have met.
        if let Some(from) = from
            && self.base.credible(known.claim.epoch)
        {
            self.other_leader(known, reporter, from);
        }
    }

    /// Members that nobody has heard for long are forgotten (§5).
    pub(super) fn forget(&mut self) {
        let after = self.base.settings.forget_after;
        let leader = match &self.role {
            Role::Following(f) => Some(f.claim.node.id),
            _ => None,
        };
        let leading = matches!(self.role, Role::Leading(_));
        if !leading && leader.is_some() {
            // The list is the leader's.
            return;
        }
        let serving = |id: NodeId| matches!(&self.role, Role::Leading(l) if l.sessions.contains_key(&id));
        for id in self.base.members.forgotten(after, self.base.now, serving) {
            let name = self.base.name(id);
            let kept = self.base.members.remove(id).is_some_and(|e| e.kept.is_some());
            self.base.info(Kind::MemberLeft, format!("{name} is forgotten: not heard for long"), vec![]);
            if kept && self.base.disk_has_room() {
                self.base.persist(vec![Write::Forget(id)], super::base::Then::Nothing);
            }
            if let Role::Leading(l) = &mut self.role {
                l.gone.insert(id);
                self.base.timers.sooner(Timer::List, self.base.now);
            }
        }
    }
}
