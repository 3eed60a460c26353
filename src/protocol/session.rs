//! A follower's session to its leader: its dials, and the ways to the leader (protocol §6).

use super::following::Target;
use super::role::{Doubt, Listening, ROUTES, Role, Session};
use super::timers::Timer;
use super::ways::{Conn, Purpose, Route};
use super::{Closed, Node, limits};
use crate::claim::Claim;
use crate::event::Kind;
use crate::ident::{ConnId, NodeId};
use crate::message::{Frame, Join, Joined, Known, MemberState, NotJoined, Reigns, Standing};
use std::net::SocketAddr;

impl Node {
    /// The ways to the leader: directly, and through another when that is known to be needed.
    pub(super) fn routes(&self, round: u32) -> Vec<Route> {
        let Role::Following(f) = &self.role else { return Vec::new() };
        let to = f.claim.node;
        // Where the session runs, and where the leader was heard last, when that is elsewhere.
        let session = self.session_address().map(|hop| Route { to, hop, via: None });
        let heard = self.base.direct_to(to).filter(|r| session.is_none_or(|s| s.hop != r.hop));
        let mut routes: Vec<Route> = session.into_iter().chain(heard).collect();
        if f.vain > 0 {
            self.add_places(&mut routes);
        }
        if let Some(relay) = f.relay {
            routes.extend(self.session_way().or_else(|| self.base.through(to, relay)));
            let mut others: Vec<NodeId> = self
                .base
                .members
                .iter()
                .filter(|e| e.via.is_none() && e.state == MemberState::Alive)
                .map(|e| e.node.id)
                .filter(|id| *id != to.id && *id != relay)
                .collect();
            if !others.is_empty() {
                let turn = round as usize % others.len();
                others.rotate_left(turn);
            }
            routes.extend(others.into_iter().filter_map(|id| self.base.through(to, id)).take(ROUTES - 2));
        }
        routes
    }

    /// The leader is heard from other places too: one family of addresses may be gone, or one of its cards.
    pub(super) fn add_places(&self, routes: &mut Vec<Route>) {
        let Role::Following(f) = &self.role else { return };
        let to = f.claim.node;
        for hop in self.base.members.get(to.id).into_iter().flat_map(|e| e.places(to.boot, self.base.lately())) {
            if routes.iter().all(|r| r.hop != hop) && !self.base.own(hop) {
                routes.insert(routes.len().min(1), Route { to, hop, via: None });
            }
        }
    }

    /// A dial for a session has had its time, or it is time for the next.
    pub(super) fn redial_due(&mut self) {
        let Role::Following(f) = &mut self.role else { return };
        if f.session.is_some() {
            return;
        }
        let waited = !f.dials.is_empty();
        if waited && f.answered >= Some(f.dialled) {
            self.joins_in_vain();
        }
        self.dial_anew();
        self.seek_way();
        if waited {
            self.doubt(Doubt::Unanswered);
        }
    }

    /// The leader answers questions, and gives no session: what is longer does not arrive. It is followed by heartbeat alone,
    /// and dialled less often.
    fn joins_in_vain(&mut self) {
        let Role::Following(f) = &mut self.role else { return };
        f.vain += 1;
        if f.vain != limits::VAIN {
            return;
        }
        let (claim, name) = (f.claim, f.name.clone());
        let text = format!(
            "leader {name} answers what is short, and nothing that is long arrives: does every switch in between pass packets \
             as large as the network cards send (MTU)?"
        );
        self.base.warn(Kind::NarrowPath, text, vec![("leader", name.into())]);
        self.confirm(claim);
    }

    /// Another way is known now, besides those that are being dialled.
    pub(super) fn dial_relay(&mut self) {
        let Role::Following(f) = &self.role else { return };
        let Some(route) = f.relay.and_then(|relay| self.base.through(f.claim.node, relay)) else { return };
        if f.full || f.dials.len() >= ROUTES {
            return;
        }
        let join = self.join_frame(route.via);
        let conn = self.base.dial(route, Purpose::Session, join);
        if let Role::Following(f) = &mut self.role {
            f.dials.push(conn);
        }
    }

    /// The known ways have failed, or there is none: whoever hears this Hello and reaches the leader directly says so.
    pub(super) fn seek_way(&mut self) {
        let (now, pause) = (self.base.now, self.base.settings.unanswered());
        let Role::Following(f) = &mut self.role else { return };
        if f.sought.is_none_or(|at| now.since(at) >= pause) {
            f.sought = Some(now);
            self.hello();
        }
    }

    pub(super) fn join_on(&mut self, conn: ConnId) {
        if let Some(state) = self.base.ways.get_mut(conn) {
            state.purpose = Purpose::Session;
        }
        let join = self.join_frame(None);
        self.base.send(conn, join);
        if let Role::Following(f) = &mut self.role {
            f.dials.push(conn);
        }
        self.base.timers.set(Timer::Redial, self.base.now + self.base.settings.unanswered());
    }

    pub(super) fn join_frame(&self, via: Option<NodeId>) -> Frame {
        let claim = match &self.role {
            Role::Following(f) => f.claim,
            Role::Electing(e) => {
                e.lost.as_ref().map_or(self.base.promises.shown(), |l| Some(l.claim)).expect("a reign to join")
            }
            _ => self.base.promises.shown().expect("a reign to join"),
        };
        Frame::Join(Join {
            claim,
            shown: self.base.showing(),
            priority: self.base.settings.priority,
            version: self.base.version.clone(),
            whole: self.whole(),
            via,
        })
    }

    /// Dials the silent leader through a member that reaches it, alongside the election (§6).
    pub(super) fn try_through(&mut self, relay: NodeId) {
        let Role::Electing(e) = &self.role else { return };
        let Some(lost) = &e.lost else { return };
        if !matches!(lost.cause, crate::event::Cause::Silent | crate::event::Cause::CutOff) || e.side.len() >= ROUTES {
            return;
        }
        let Some(route) = self.base.through(lost.claim.node, relay) else { return };
        let join = self.join_frame(Some(relay));
        let conn = self.base.dial(route, Purpose::Session, join);
        if let Role::Electing(e) = &mut self.role {
            e.side.push(conn);
            e.relay = Some(relay);
        }
    }

    /// The leader that was only silent speaks again: back to it.
    pub(super) fn resume(&mut self, mut target: Target) {
        let Role::Electing(e) = &self.role else { return };
        target.relay = target.relay.or(e.relay);
        let text = format!("leader {} is back: it was only silent", target.known.name);
        self.base.info(Kind::LeaderAnswered, text, vec![("leader", target.known.name.clone().into())]);
        self.follow(target);
    }

    pub(super) fn joined(&mut self, conn: ConnId, joined: Joined) {
        let Some(peer) = self.base.peer(conn) else { return };
        let Some(state) = self.base.ways.get(conn) else { return };
        let via = state.via();
        if state.purpose != Purpose::Session || joined.claim.node != peer || !self.base.believe(joined.claim) {
            return self.base.close(conn);
        }
        if let Role::Electing(e) = &self.role {
            if !e.side.contains(&conn) {
                return self.base.close(conn);
            }
            return self.side_joined(conn, joined, via);
        }
        let now = self.base.now;
        let Role::Following(f) = &mut self.role else { return self.base.close(conn) };
        if !f.dials.contains(&conn) || f.claim.node.id != peer.id || joined.claim < f.claim && f.settled {
            return self.base.close(conn);
        }
        let others: Vec<ConnId> = f.dials.drain(..).filter(|c| *c != conn).collect();
        let old = f.session.take().map(|s| s.conn);
        let was_via = f.relay.is_some() && f.listed;
        f.session = Some(Session { conn, via, seq: 0, ping: None, rtt_us: None, deaf: false, covered: false });
        f.heard = now;
        f.vain = 0;
        f.listed = true;
        f.successor = joined.successor;
        f.relay = via;
        self.campaign.joined(joined.claim, now);
        let name = joined.story.name.clone();
        f.name.clone_from(&name);
        for conn in others {
            self.base.close(conn);
        }
        if matches!(&self.role, Role::Following(f) if f.asking.as_ref().is_some_and(|a| a.doubt == Doubt::NewBoot)) {
            // It is this start of it that took this agent in, and not the other.
            self.leader_alive("it took this machine in");
        }
        self.new_reign(joined.claim, joined.story);
        self.take_list(joined.members);
        self.way_known(via, was_via, &name);
        if let Role::Following(f) = &self.role {
            let patience = self.base.settings.suspicion() * 5 / 9;
            self.base.timers.set(Timer::Deaf, (f.broadcast + patience).max(now + patience / 4));
        }
        // It counts from the moment that this agent speaks after the answer.
        self.ping_now();
        // Not before: to the leader, who hangs up is gone.
        if let Some(old) = old {
            self.base.close(old);
            self.requests_lost();
        }
        self.ask_handovers();
        self.data.backup.breaks();
        self.requests_unsent();
        self.follow_data();
    }

    /// Tells users by which way the leader is reached, when that changed, and tries the direct one from now on.
    fn way_known(&mut self, via: Option<NodeId>, was: bool, name: &str) {
        if let Some(relay) = via {
            let through = self.base.name(relay);
            if !was {
                let text = format!("leader {name} is reached through {through}: there is no direct way");
                self.base.warn(Kind::Relayed, text, vec![("via", through.into())]);
            }
            self.base.timers.set(Timer::Probe, self.base.now + limits::PROBE);
        } else {
            self.base.timers.clear(Timer::Probe);
            if let Role::Following(f) = &mut self.role
                && let Some((probe, _)) = f.probe.take()
            {
                // Its answer, which may be late, would be a reason for a second session.
                self.base.close(probe);
            }
            if was {
                let text = format!("leader {name} is reached directly again");
                self.base.info(Kind::Relayed, text, vec![("via", "".into())]);
            }
        }
    }

    fn side_joined(&mut self, conn: ConnId, joined: Joined, via: Option<NodeId>) {
        let name = joined.story.name.clone();
        let node = joined.claim.node;
        let Some(address) = self.base.members.get(node.id).map(|e| e.home(node.boot)) else { return };
        let known = Known { claim: joined.claim, name, address, direct: via.is_none() };
        self.resume(Target {
            confirmed: true,
            conn: Some(conn),
            successor: joined.successor,
            ..Target::told(known, via)
        });
        self.joined(conn, joined);
    }

    /// The leader's reign as the session tells it.
    fn new_reign(&mut self, claim: Claim, story: crate::message::Story) {
        let Role::Following(f) = &mut self.role else { return };
        f.story = Some(story.clone());
        if f.claim != claim {
            f.claim = claim;
            f.settled = false;
            f.confirmed = true;
            // Whoever was asked to take over did not in time (§8).
            f.released = None;
        }
        if f.settled {
            return self.write_reign(claim, &story);
        }
        self.confirm(claim);
    }

    pub(super) fn leader_reigns(&mut self, conn: ConnId, reigns: Reigns) {
        if self.on_session(conn) && self.base.peer(conn) == Some(reigns.claim.node) && self.base.believe(reigns.claim) {
            self.new_reign(reigns.claim, reigns.story);
        }
    }

    pub(super) fn not_joined(&mut self, conn: ConnId, why: NotJoined) {
        let from = self.base.ways.get(conn).map(|c| c.address);
        let (purpose, speaker) = (self.base.ways.get(conn).map(|c| c.purpose), self.base.peer(conn));
        if !matches!(purpose, Some(Purpose::Session | Purpose::Clone)) {
            return;
        }
        self.base.close(conn);
        if purpose == Some(Purpose::Clone) {
            if why == NotJoined::Cloned && !matches!(self.role, Role::Leading(_)) {
                self.cloned();
            }
            return;
        }
        let Role::Following(f) = &mut self.role else {
            if let Role::Electing(e) = &mut self.role {
                e.side.retain(|c| *c != conn);
            }
            return;
        };
        f.dials.retain(|c| *c != conn);
        let claim = f.claim;
        if speaker.is_some_and(|node| node != claim.node) && why != NotJoined::Cloned {
            // Another with its id was there, or it has restarted: that is asked about, and says nothing of this one.
            self.base.timers.sooner(Timer::Redial, self.base.now + self.base.settings.interrogation());
            return self.doubt(Doubt::NewBoot);
        }
        f.turned_away = Some(self.base.now);
        match why {
            NotJoined::Cloned => {
                if !self.cloned() {
                    self.doubt(Doubt::Broken);
                }
            }
            // Its claim was heard by datagram, and is to be shown now that a connection stands for it.
            NotJoined::Full if !self.base.believe(claim) => self.listen_anew(),
            NotJoined::Full => {
                f.full = true;
                let text = format!("the cluster is full: following {} by heartbeat alone", f.name);
                self.base.warn(Kind::ClusterFull, text, vec![]);
                self.confirm(claim);
            }
            NotJoined::NotLeader(Standing::Follows(known)) if known.claim.node.id != self.base.me.node.id => {
                let known = super::address::localised(known, from.unwrap_or(known_address()));
                if known.claim > claim || known.claim.node != claim.node {
                    self.lead_moved(known);
                }
            }
            NotJoined::NotLeader(_) => self.doubt(Doubt::Broken),
        }
    }

    /// The one that was followed names another leader: that one is followed, once (§6).
    pub(super) fn lead_moved(&mut self, known: Known) {
        if known.claim.node.id == self.base.me.node.id || known.address.ip().is_unspecified() {
            return self.doubt(Doubt::Broken);
        }
        if matches!(&self.role, Role::Following(f) if f.moved) {
            // Sent on once already: it listens instead of going round in circles.
            return self.listen_anew();
        }
        self.follow(Target { moved: true, ..Target::told(known, None) });
    }

    pub(super) fn listen_anew(&mut self) {
        self.leave_role(&[]);
        self.listen(Listening::default());
    }

    pub(super) fn session_closed(&mut self, conn: ConnId, state: &Conn, how: Closed) {
        match &mut self.role {
            Role::Electing(e) => e.side.retain(|c| *c != conn),
            Role::Following(f) => {
                let dialled = f.dials.contains(&conn);
                f.dials.retain(|c| *c != conn);
                if f.session.as_ref().is_some_and(|s| s.conn == conn) {
                    f.session = None;
                    self.base.timers.clear(Timer::Ping);
                    self.base.timers.clear(Timer::Pong);
                    self.data.backup.breaks();
                    self.requests_unsent();
                    self.doubt(Doubt::Broken);
                    return self.requests_lost();
                }
                if !dialled || f.session.is_some() || !f.dials.is_empty() {
                    return;
                }
                let refused = how == Closed::Refused && state.via().is_none();
                if refused && f.refused.replace(self.base.now).is_some_and(|at| self.base.now.since(at) < limits::PING)
                {
                    f.turned_away = f.refused;
                }
                self.base.timers.sooner(Timer::Redial, self.base.now + self.base.settings.interrogation());
                if refused || how == Closed::Reset {
                    self.doubt(Doubt::Broken);
                }
            }
            _ => {}
        }
    }

    pub(super) fn on_session(&mut self, conn: ConnId) -> bool {
        let now = self.base.now;
        let Role::Following(f) = &mut self.role else { return false };
        let yes = f.session.as_ref().is_some_and(|s| s.conn == conn);
        if yes {
            f.heard = now;
        }
        yes
    }
}

/// Stands for an address that nobody told.
fn known_address() -> SocketAddr {
    (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
}
