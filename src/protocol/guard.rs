//! The guard against the agent's own failings: stalls, sleep, lost links, a failing store (protocol §5, §6).

use super::base::Then;
use super::conns::Purpose;
use super::role::{Checking, Doubt, Following, Leading, Listening, Phase, Role};
use super::timers::Timer;
use super::{Link, Node, limits};
use crate::event::{Cause, Kind};
use crate::ident::{ConnId, NodeId};
use crate::message::{Check, Frame, MemberState, Standing};
use crate::time::ms;
use std::net::SocketAddr;
use std::time::Duration;

/// A gap so long is called sleep when users are told.
const SLEEP: Duration = Duration::from_secs(10);

impl Node {
    // ---- stalls and sleep

    /// This process woke up later than planned by `gap`.
    pub(super) fn own_gap(&mut self, gap: Duration) {
        if gap > self.base.settings.soon() {
            self.hear_first(gap);
        }
        if gap <= self.base.settings.small_gap() {
            return;
        }
        self.count_anew();
        self.base.excuse(gap);
        if gap <= self.base.settings.large_gap() {
            return;
        }
        if gap >= SLEEP {
            self.base.warn(Kind::Woke, format!("this machine slept or stood still for {}", ms(gap)), vec![]);
        } else {
            self.base.warn(Kind::Stalled, format!("this process stood still for {}", ms(gap)), vec![]);
        }
        match &mut self.role {
            Role::Listening(l) => {
                let idle = l.idle;
                self.base.timers.clear_role();
                self.listen(Listening { idle, hellos: 0, ..Default::default() });
            }
            Role::Following(_) => self.doubt(Doubt::Stall),
            Role::Electing(_) if self.canvass.is_some() => self.canvass_slept(),
            Role::Electing(_) => {
                self.wait(self.base.settings.join_wait(true));
                self.hello();
            }
            Role::Leading(_) => {
                self.canvass_slept();
                self.check_followers(gap >= SLEEP);
            }
        }
    }

    /// What others have said while this process was late waits in its sockets: it is heard before the join wait ends. Not
    /// for ever, as a machine may always be late.
    fn hear_first(&mut self, gap: Duration) {
        let Role::Listening(l) = &mut self.role else { return };
        if l.late < limits::LATE && self.base.timers.is_due(Timer::Join, self.base.now) {
            l.late += 1;
            self.base.timers.set(Timer::Join, self.base.now + gap);
        }
    }

    /// Every silence is counted anew from now.
    fn count_anew(&mut self) {
        let now = self.base.now;
        match &mut self.role {
            Role::Following(f) => {
                f.heard = now;
                f.broadcast = now;
                if let Some(ping) = f.session.as_mut().and_then(|s| s.ping.as_mut()) {
                    (ping.sent, ping.until) = (None, now + ping.hold + self.base.settings.unanswered());
                    self.base.timers.set(Timer::Pong, ping.until);
                }
                if let Some(asking) = &mut f.asking {
                    asking.began = now;
                    for (_, _, at) in &mut asking.waiting {
                        *at = now;
                    }
                }
                self.base.timers.set(Timer::Silence, now + self.base.settings.suspicion());
            }
            Role::Leading(l) => {
                for served in l.sessions.values_mut() {
                    served.heard = now;
                }
            }
            Role::Listening(_) | Role::Electing(_) => {}
        }
    }

    /// A claimant that stood still has lost, won or not: others have gone on.
    fn canvass_slept(&mut self) {
        self.drop_claim("this process stood still");
    }

    fn drop_claim(&mut self, why: &str) {
        let Some(claim) = self.canvass.as_ref().map(|c| c.claim) else { return };
        self.withdraw(claim, why);
        self.end_canvass();
        self.drop_renewal(claim);
        self.pause(self.base.settings.join_wait(true));
    }

    pub(super) fn checking(&self) -> bool {
        matches!(&self.role, Role::Leading(l) if l.check.is_some())
    }

    /// A leader that stood still serves nothing until its successor has answered that it still follows (§6).
    fn check_followers(&mut self, slept: bool) {
        let now = self.base.now;
        let until = now + self.base.settings.join_wait(true);
        let Role::Leading(l) = &mut self.role else { return };
        if slept {
            l.led_since = now;
        }
        if l.check.is_some() {
            return;
        }
        let claim = l.claim;
        let mut ids: Vec<NodeId> = match l.successor {
            Some(node) => vec![node.id],
            None => l.sessions.keys().copied().take(4).collect(),
        };
        if ids.is_empty() {
            let alive = |e: &&super::directory::Entry| e.state == MemberState::Alive;
            ids = self.base.members.iter().filter(alive).map(|e| e.node.id).take(4).collect();
        }
        if ids.is_empty() {
            return;
        }
        let successor = l.successor.map(|n| n.id);
        l.check = Some(Checking { asked: Vec::new(), successor });
        self.base.timers.clear(Timer::Beat);
        self.base.timers.set(Timer::Check, until);
        for id in ids {
            let Some(route) = self.base.direct(id) else { continue };
            let conn = self.base.dial(route, Purpose::Check, Frame::Check(Check { claim }));
            if let Role::Leading(Leading { check: Some(check), .. }) = &mut self.role {
                check.asked.push(conn);
            }
        }
    }

    /// An answer to a leader that stood still.
    pub(super) fn check_answered(&mut self, conn: ConnId, standing: Standing, from: SocketAddr) {
        let peer = self.base.peer(conn).map(|p| p.id);
        let Role::Leading(l) = &mut self.role else { return };
        let Some(check) = &l.check else { return };
        if !check.asked.contains(&conn) {
            return;
        }
        let own = l.claim;
        match standing {
            Standing::Follows(known) if known.claim == own => self.check_over(),
            Standing::Follows(known) if known.claim.node.id != self.base.me.node.id => {
                self.check_over();
                let reporter = known.direct.then_some(peer).flatten();
                self.other_leader(known, reporter, from);
            }
            Standing::Leads(claim) => {
                self.check_over();
                let Some(entry) = peer.and_then(|id| self.base.members.get(id)) else { return };
                let (name, address) = (entry.name.clone(), entry.address);
                self.other_leader(crate::message::Known { claim, name, address, direct: true }, None, from);
            }
            // It has lost this leader and follows nobody yet: it will hear the next heartbeat.
            Standing::Follows(_) | Standing::Neither => {}
        }
    }

    /// A follower came by itself: it still follows.
    pub(super) fn check_answered_by(&mut self, id: NodeId) {
        let ours =
            matches!(&self.role, Role::Leading(Leading { check: Some(c), .. }) if c.successor.is_none_or(|s| s == id));
        if ours {
            self.check_over();
        }
    }

    pub(super) fn check_closed(&mut self, conn: ConnId) {
        if let Role::Leading(Leading { check: Some(check), .. }) = &mut self.role {
            check.asked.retain(|c| *c != conn);
        }
    }

    pub(super) fn check_due(&mut self) {
        self.check_over();
    }

    /// Serves again.
    fn check_over(&mut self) {
        let Role::Leading(l) = &mut self.role else { return };
        let Some(check) = l.check.take() else { return };
        self.base.timers.clear(Timer::Check);
        for conn in check.asked {
            self.base.close(conn);
        }
        self.beat_now();
        self.meet_due();
    }

    // ---- links

    pub(super) fn links_changed(&mut self, links: Vec<Link>) {
        let now = self.base.now;
        let was = std::mem::replace(&mut self.base.links, links);
        let linked = self.base.linked();
        if was.is_empty() && linked {
            let names: Vec<String> = self.base.links.iter().map(|l| l.name.clone()).collect();
            let names = names.join(", ");
            self.base.info(Kind::NetworkUp, format!("there is a network: {names}"), vec![("links", names.into())]);
            return self.network_up();
        }
        if linked {
            let kept =
                |old: &Link| self.base.links.iter().any(|new| old.addresses.iter().all(|a| new.addresses.contains(a)));
            if !was.iter().all(kept) {
                self.address_lost();
            }
            return;
        }
        if was.is_empty() && self.base.timers.is_set(Timer::Alone) {
            return;
        }
        let after = match &self.role {
            Role::Listening(_) => self.base.settings.lone_after,
            _ => limits::LINK_LOST,
        };
        let lead = matches!(self.role, Role::Leading(_));
        let text = if lead {
            "there is no network: this machine leads on, alone".to_owned()
        } else if !self.may_lead() {
            "there is no network, and this machine never leads".to_owned()
        } else {
            format!("there is no network: alone, this machine leads itself after {}", ms(after))
        };
        self.base.warn(Kind::NetworkAlone, text, vec![]);
        if let Role::Leading(l) = &mut self.role {
            l.led_since = now;
        } else {
            self.base.timers.set(Timer::Alone, now + after);
        }
    }

    fn network_up(&mut self) {
        let now = self.base.now;
        self.base.timers.clear(Timer::Alone);
        match &mut self.role {
            Role::Listening(_) => self.listen(Listening::default()),
            Role::Following(_) => {
                // What was not heard or answered without a link says nothing about the leader.
                self.count_anew();
                self.hello();
                self.greet = 2;
                self.doubt(Doubt::Unanswered);
            }
            Role::Electing(_) if self.canvass.is_some() => {}
            Role::Electing(_) => {
                // It has just come back: it hears before it claims.
                self.hello();
                self.wait(self.base.settings.join_wait(true));
            }
            Role::Leading(l) => {
                l.led_since = now;
                // Whoever still follows will say so; before that it counts for nothing.
                for served in l.sessions.values_mut() {
                    served.spoke = crate::time::Time(0);
                }
                self.beat_now();
            }
        }
    }

    /// Configured peers have other addresses: whoever is new among them is greeted, whatever the role (§5).
    pub(super) fn peers_changed(&mut self, peers: Vec<SocketAddr>) {
        let news = peers.iter().any(|p| !self.base.peers.contains(p));
        self.base.peers = peers;
        if news && self.base.linked() {
            self.hello();
            self.greet = 2;
        }
    }

    /// An address is gone: what ran over it is asked for at once.
    fn address_lost(&mut self) {
        let now = self.base.now;
        // The others keep an address for as long as nobody says otherwise.
        self.hello();
        self.greet = 2;
        match &mut self.role {
            Role::Leading(l) => {
                l.led_since = now;
                self.beat_now();
            }
            Role::Following(_) => self.ping_now(),
            Role::Listening(_) | Role::Electing(_) => {}
        }
    }

    /// The time without a link is over: this machine leads itself (§5).
    pub(super) fn alone(&mut self) {
        if self.base.linked() || !self.may_lead() {
            return;
        }
        if !matches!(self.role, Role::Leading(_)) {
            let text = "there is still no network: this machine leads itself".to_owned();
            self.base.warn(Kind::NetworkAlone, text, vec![]);
        }
        match &self.role {
            Role::Leading(_) => {}
            Role::Listening(_) => self.elect_first("there is no network"),
            Role::Following(_) => {
                self.dead(Cause::CutOff, "this machine has no network".to_owned());
                self.claim_alone();
            }
            Role::Electing(_) => self.claim_alone(),
        }
    }

    fn claim_alone(&mut self) {
        if let Role::Electing(e) = &mut self.role
            && !matches!(e.phase, Phase::Canvass)
        {
            if let Some(lost) = &mut e.lost {
                lost.cause = Cause::CutOff;
            }
            self.canvass(None, &std::collections::BTreeSet::new());
        }
    }

    // ---- the store, and what is remembered

    /// A write failed: what waited for it does not happen.
    pub(super) fn store_failed(&mut self, then: &Then) {
        match then {
            Then::OwnVoice(claim) | Then::Reign(claim) => self.claim_not_kept(*claim),
            Then::Say { conn, .. } => {
                self.base.promise_begun = None;
                // The claimant need not wait for this voice.
                self.base.close(*conn);
            }
            Then::Nothing | Then::Show(_) | Then::Shown(_) => {}
        }
        if matches!(self.role, Role::Leading(_)) {
            self.hand_over_for_store();
        }
    }

    fn claim_not_kept(&mut self, claim: crate::claim::Claim) {
        if let Some(c) = self.canvass.as_ref().filter(|c| c.claim == claim) {
            let handed_over = c.abdicate.is_some();
            self.drop_claim("it could not be written down");
            if !handed_over {
                // Whoever backed it need not wait for it.
                self.line_up(None);
            }
        }
        self.drop_renewal(claim);
    }

    /// A new reign of this leader does not come: what waits for it asks again.
    fn drop_renewal(&mut self, claim: crate::claim::Claim) {
        if let Role::Leading(l) = &mut self.role
            && l.renewing.as_ref().is_some_and(|r| r.claim == claim)
        {
            l.renewing = None;
        }
    }

    /// Once a second, a quarter later when nothing happens: the store's age, members to remember and to forget, connections
    /// that ask for nothing.
    pub(super) fn house_due(&mut self) {
        let now = self.base.now;
        self.base.timers.set(Timer::House, now + limits::HOUSE * 5 / 4);
        if self.base.store_stuck() && !self.stuck {
            self.stuck = true;
            let age = ms(self.base.store_age());
            self.base.warn(Kind::StoreTrouble, format!("the store has not finished a write for {age}"), vec![]);
        } else if !self.base.store_stuck() {
            self.stuck = false;
        }
        if self.stuck
            && let Role::Leading(l) = &mut self.role
        {
            // Nothing can come of a new reign now: whoever waits for it asks again.
            l.renewing = None;
            self.hand_over_for_store();
        }
        self.states();
        if self.base.disk_has_room() {
            let led = matches!(&self.role, Role::Leading(_) | Role::Following(Following { settled: true, .. }));
            if led && !self.canvassing() {
                self.base.end_promise();
            }
            let (now, wall) = (self.base.now, self.base.wall);
            let rows = self.base.members.unwritten(now, wall, 64);
            if !rows.is_empty() {
                let writes = rows.into_iter().map(super::Write::Member).collect();
                self.base.persist(writes, Then::Nothing);
            }
        }
        self.forget();
        if self.greet > 0 {
            self.greet -= 1;
            self.hello();
        }
        let idle: Vec<ConnId> = self
            .base
            .conns
            .iter()
            .filter(|(_, c)| c.purpose == Purpose::Incoming && now.since(c.heard.max(c.began)) > limits::IDLE)
            .map(|(id, _)| id)
            .collect();
        for conn in idle {
            self.base.close(conn);
        }
        self.confirm_again();
        self.try_disk();
    }

    /// Without a leader's list, a member is alive while it is heard.
    fn states(&mut self) {
        let listed = match &self.role {
            Role::Leading(_) => true,
            Role::Following(f) => f.listed,
            Role::Electing(e) => e.lost.as_ref().is_some_and(|l| l.listed),
            Role::Listening(_) => false,
        };
        let now = self.base.now;
        if listed {
            return;
        }
        for entry in self.base.members.iter_mut().filter(|e| e.state != MemberState::Left) {
            let alive = entry.heard_within(limits::SILENT, now);
            entry.turns(if alive { MemberState::Alive } else { MemberState::Silent }, now);
        }
    }

    /// A reign that could not be written down is tried again.
    fn confirm_again(&mut self) {
        if let Role::Following(Following { confirmed: true, settled: false, claim, .. }) = &self.role {
            let claim = *claim;
            if self.base.store_age().is_zero() {
                self.confirm(claim);
            }
        }
    }
}
