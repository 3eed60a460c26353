//! Following a leader: the session, its pings, and the ways to it (protocol §6).

use super::entry::Entry;
use super::notices::{Fields, us};
use super::rivals::{Heard, Rival};
use super::role::{Following, Lost, Role};
use super::timers::Timer;
use super::ways::{Conn, Purpose};
use super::writes::Then;
use super::{Node, Promise, Write, limits};
use crate::claim::Claim;
use crate::event::{Kind, Level};
use crate::ident::{ConnId, Incarnation, NodeId};
use crate::message::{Frame, Known, MemberState};
use crate::time::{Time, ms};
use std::net::SocketAddr;

/// A leader that is to be followed, and what is known of the way to it.
pub(super) struct Target {
    pub(super) known: Known,
    /// A member to go through.
    pub(super) relay: Option<NodeId>,
    /// A connection has said it, not only a datagram.
    pub(super) confirmed: bool,
    /// A connection to it that stands.
    pub(super) conn: Option<ConnId>,
    pub(super) successor: Option<Incarnation>,
    /// How many followers it says that it has.
    pub(super) followers: u32,
    /// Another sent this agent there, so it is not sent on (§6).
    pub(super) moved: bool,
}

impl Target {
    /// A leader that was told of, and not by itself.
    pub(super) fn told(known: Known, relay: Option<NodeId>) -> Self {
        Self { known, relay, confirmed: false, conn: None, successor: None, followers: 0, moved: false }
    }
}

impl Node {
    /// Follows a leader: at once when a connection confirmed it, otherwise as soon as its session does.
    pub(super) fn follow(&mut self, target: Target) {
        let Target { known, relay, confirmed, conn, successor, followers, moved } = target;
        if known.claim.node.id == self.base.me.node.id {
            if known.claim.node != self.base.me.node {
                self.suspect_clone(known.claim.node, known.address, relay);
            }
            if matches!(self.role, Role::Electing(_)) && self.campaign.canvass.is_none() {
                self.wait(self.base.settings.after_canvass());
            }
            return;
        }
        let (conn, listed_before) = (conn.or_else(|| self.open_conn(known.claim.node)), self.role.has_list());
        if matches!(&self.role, Role::Following(f) if f.claim.node != known.claim.node) {
            self.leader_left();
        }
        let after = self.withdraw_for_leader(&known);
        self.leave_role(conn.as_slice());
        self.meet_member(&known);
        let now = self.base.now;
        self.role = Role::Following(Following {
            claim: known.claim,
            settled: false,
            confirmed,
            story: None,
            name: known.name,
            successor,
            heard: now,
            broadcast: now,
            broadcasts: false,
            session: None,
            dials: Vec::new(),
            relay,
            sought: None,
            listed: false,
            listed_before,
            full: false,
            asking: None,
            others: std::collections::BTreeMap::new(),
            tellers: Vec::new(),
            goodbye: None,
            answered: None,
            turned_away: None,
            dialled: now,
            vain: 0,
            refused: None,
            after,
            released: None,
            followers,
            moved,
            requests: std::collections::BTreeSet::new(),
            unsent: Vec::new(),
            forgets: std::collections::BTreeSet::new(),
            probe: None,
        });
        if self.base.promises.shown() != Some(known.claim) {
            self.base.end_reign();
        }
        self.base.timers.set(Timer::Silence, now + self.base.settings.suspicion());
        if !self.base.linked() && !self.base.timers.is_set(Timer::Alone) {
            self.base.timers.set(Timer::Alone, now + limits::LINK_LOST);
        }
        if confirmed {
            self.confirm(known.claim);
        }
        match conn {
            Some(conn) => self.join_on(conn),
            None => self.dial_session(),
        }
    }

    /// A connection to a member that stands already: the claimant's canvass becomes the session (§7.5).
    pub(super) fn open_conn(&self, node: Incarnation) -> Option<ConnId> {
        let fits = |c: &Conn| {
            c.purpose == Purpose::Incoming && c.via().is_none() && c.peer.as_ref().is_some_and(|p| p.node == node)
        };
        self.base.ways.iter().find(|(_, c)| fits(c)).map(|(id, _)| id)
    }

    /// Leaves whatever election this agent was in, its own claim withdrawn, and gives what was lost.
    fn withdraw_for_leader(&mut self, leader: &Known) -> Option<Lost> {
        if let Some(claim) = self.campaign.canvass.as_ref().map(|c| c.claim) {
            self.withdraw(claim, "there is a leader");
        }
        match &mut self.role {
            Role::Electing(e) => {
                let lost = e.lost.clone();
                let requests = std::mem::take(&mut e.requests);
                self.refuse(requests, &format!("the role did not move here: {} leads", leader.name));
                lost
            }
            Role::Following(f) => {
                let after = f.after.clone();
                // The handover that was asked for has happened.
                for request in std::mem::take(&mut f.requests) {
                    self.base.out.push(super::Output::Reply { request, refused: None });
                }
                let unsent = std::mem::take(&mut f.unsent).into_iter().map(|(request, _)| request).collect();
                self.refuse(unsent, &format!("the leader changed meanwhile: {} leads", leader.name));
                after
            }
            _ => None,
        }
    }

    pub(super) fn refuse(&mut self, requests: std::collections::BTreeSet<u64>, why: &str) {
        for request in requests {
            self.base.out.push(super::Output::Reply { request, refused: Some(why.to_owned()) });
        }
    }

    /// Withdraws an own claim for good (§7.3).
    pub(super) fn withdraw(&mut self, claim: Claim, why: &str) {
        if self.base.promises.live() == Some(claim) {
            self.base.promises.withdraw(claim);
            self.base.promise(Promise { withdrawn: true, ..Promise::of(claim) }, Then::Nothing);
            let text = format!("this machine withdrew its claim of epoch {}: {why}", claim.epoch);
            self.base.info(Kind::ClaimWithdrawn, text, vec![("claimed", claim.epoch.into())]);
        }
    }

    /// Enters the leader into the directory, when nothing was heard from it directly.
    fn meet_member(&mut self, known: &Known) {
        let now = self.base.now;
        let node = known.claim.node;
        let somewhere = !known.address.ip().is_unspecified();
        if self.base.members.get(node.id).is_none() {
            let mut entry = Entry::new(node, known.name.clone(), known.address, now);
            entry.state = MemberState::Alive;
            self.base.members.insert(entry);
        }
        let Some(entry) = self.base.members.get_mut(node.id) else { return };
        if somewhere && !entry.heard_within(limits::SILENT, now) {
            entry.address = known.address;
        }
        if somewhere && known.direct {
            entry.told_at(node.boot, known.address);
        }
        entry.node = node;
    }

    /// A connection has said that this claim leads: shown as soon as that is durable (P3).
    pub(super) fn confirm(&mut self, claim: Claim) {
        let Role::Following(f) = &mut self.role else { return };
        if f.claim != claim || f.settled {
            return;
        }
        f.confirmed = true;
        if self.base.promises.will_vouch_for(claim) {
            // It vouches for the reign as soon as it is durable.
            return;
        }
        if self.base.acceptable(claim) {
            if self.base.promises.shown() == Some(claim) {
                self.show(claim);
            } else if self.base.promises.vouch_for(claim) {
                self.base.persist(vec![Write::Shown(claim)], Then::Shown(claim));
                self.show(claim);
            } else {
                self.base.persist(vec![Write::Shown(claim)], Then::Show(claim));
            }
        } else if matches!(&self.role, Role::Following(f) if f.session.is_some()) {
            self.rejoin();
        }
    }

    /// The session begins anew, soon: the reign that it offers is not above what this agent has shown since it asked, so
    /// that the leader is to begin a new one (§9); or a reign was missed on it (§6).
    pub(super) fn rejoin(&mut self) {
        let pause = self.base.settings.interrogation();
        let Role::Following(f) = &mut self.role else { return };
        if let Some(session) = f.session.take() {
            self.base.close(session.conn);
            self.base.timers.clear(Timer::Ping);
            self.base.timers.clear(Timer::Pong);
        }
        self.base.timers.set(Timer::Redial, self.base.now + pause);
        self.requests_lost();
    }

    /// The reign that is followed is durable: users see it.
    pub(super) fn show(&mut self, claim: Claim) {
        if !self.base.acceptable(claim) {
            if matches!(&self.role, Role::Following(f) if f.claim == claim) {
                self.rejoin();
            }
            return;
        }
        self.base.promises.show(claim);
        let Role::Following(f) = &mut self.role else { return };
        if f.claim != claim || f.settled {
            return;
        }
        f.settled = true;
        self.base.past.turns(self.base.wall);
        let after = f.after.take();
        let (name, story) = (f.name.clone(), f.story.clone());
        let name = self.base.label(claim.node.id, &name);
        let mut fields: Fields = vec![("leader", name.clone().into())];
        let mut text = format!("following {name}: epoch {}", claim.epoch);
        let mut level = Level::Info;
        if let Some(lost) = after.as_ref().filter(|lost| lost.claim.node != claim.node) {
            text = format!("{text}, {} after {} was lost", ms(self.base.now.since(lost.at)), lost.name);
            fields.push(("since_first_sign_us", us(self.base.now.since(lost.noticed))));
            // Whoever reads that a leader was lost reads also that there is another.
            level = Level::Warn;
        }
        let cause = story.as_ref().map(|s| s.cause).or(after.map(|l| l.cause));
        self.base.tell(Kind::Following, level, cause, text, fields);
        if let Some(story) = story {
            self.write_reign(claim, &story);
        }
    }

    pub(super) fn write_reign(&mut self, claim: Claim, story: &crate::message::Story) {
        if self.base.past.is_open(claim) {
            return;
        }
        let writes = self.base.past.enter(claim, story, self.base.wall);
        self.base.persist(writes, Then::Nothing);
    }

    // ---- the member list

    /// The leader yields: it says where to go (§9).
    pub(super) fn leader_yields(&mut self, conn: ConnId, known: Known) {
        if !self.on_session(conn) || known.claim.node.id == self.base.me.node.id || !self.base.believe(known.claim) {
            return;
        }
        // Only a member that reaches it directly can be gone through.
        let relay = self.base.peer(conn).map(|n| n.id).filter(|_| known.direct);
        self.follow(Target::told(known, relay));
    }

    // ---- other leaders

    /// A follower never chooses between two living leaders: it reports the other to its own (§9).
    pub(super) fn heard_other(&mut self, known: Known, from: SocketAddr, relay: Option<NodeId>) {
        let now = self.base.now;
        let again = self.base.heartbeat() * 4;
        let Role::Following(f) = &mut self.role else { return };
        if known.claim.node == f.claim.node || known.claim.node == self.base.me.node {
            return;
        }
        let id = known.claim.node.id;
        if f.others.len() >= limits::OTHERS && !f.others.contains_key(&id) {
            f.others.retain(|_, o| now.since(o.heard) < again);
            if f.others.len() >= limits::OTHERS {
                return;
            }
        }
        // Heard from its own mouth, it is reached directly; told by a member, only that member may reach it.
        let mut known = super::address::localised(known, from);
        known.direct = relay.is_none();
        let before = f.others.get(&id);
        let reported = before.and_then(|o| o.reported);
        let rival = before.filter(|o| now.since(o.heard) < again * 2).map(|o| o.rival.clone());
        let mut rival = rival.unwrap_or_else(|| Rival::new(now));
        let tell = relay.is_none() && rival.due(now);
        // Where many lead, each is reported by many: a few at a time, and nobody again before the others had their turn.
        let lately = |at: Option<Time>| at.is_some_and(|at| now.since(at) < again);
        let few = f.others.values().filter(|o| lately(o.reported)).count() < limits::MEETS;
        let first = f.others.values().all(|o| o.reported >= reported || now.since(o.heard) >= again);
        let due = !lately(reported) && few && first;
        let session = f.session.as_ref().map(|s| s.conn);
        let told = if due && session.is_some() { Some(now) } else { reported };
        f.others.insert(id, Heard { known: known.clone(), heard: now, reported: told, rival });
        if tell {
            self.tell_rival(&known);
        }
        if due && let Some(conn) = session {
            self.base.send(conn, Frame::Report(known));
        }
    }
}
