//! The guard against the agent's own failings: stalls, sleep, lost links, a failing store (protocol §5, §6).

use super::role::{Checking, Doubt, Leading, Listening, Role};
use super::timers::Timer;
use super::ways::Purpose;
use super::{Node, limits};
use crate::event::Kind;
use crate::ident::{ConnId, NodeId};
use crate::message::{Check, Frame, MemberState, Standing};
use crate::time::{Time, ms};
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
        self.base.writes.excuse(gap, self.base.now);
        self.lane.excuse(gap, self.base.now);
        if let Role::Leading(l) = &mut self.role {
            l.copies.excuse(gap, self.base.now);
        }
        let large = match &self.role {
            Role::Leading(_) => self.base.settings.replaced_gap(),
            _ => self.base.settings.large_gap(),
        };
        if gap <= large {
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
            Role::Electing(_) if self.campaign.canvass.is_some() => self.canvass_slept(),
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
    pub(super) fn count_anew(&mut self) {
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

    pub(super) fn drop_claim(&mut self, why: &str) {
        let Some(claim) = self.campaign.canvass.as_ref().map(|c| c.claim) else { return };
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
        let mut ids: Vec<NodeId> = match l.naming.named() {
            Some(node) => vec![node.id],
            None => l.sessions.keys().copied().take(4).collect(),
        };
        if ids.is_empty() {
            let alive = |e: &&super::entry::Entry| e.state == MemberState::Alive;
            ids = self.base.members.iter().filter(alive).map(|e| e.node.id).take(4).collect();
        }
        if ids.is_empty() {
            return;
        }
        let successor = l.naming.named().map(|n| n.id);
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
                self.was_replaced();
                let reporter = known.direct.then_some(peer).flatten();
                self.other_leader(known, reporter, from);
            }
            Standing::Leads(claim) => {
                self.was_replaced();
                let Some(entry) = peer.and_then(|id| self.base.members.get(id)) else { return };
                let (name, address) = (entry.name.clone(), entry.address);
                self.other_leader(crate::message::Known { claim, name, address, direct: true }, None, from);
            }
            // It has lost this leader and follows nobody yet: it will hear the next heartbeat.
            Standing::Follows(_) | Standing::Neither => {}
        }
    }

    /// Another leads. It is met as soon as may be; what this machine acknowledged until then would be a second truth beside
    /// that of its own followers.
    fn was_replaced(&mut self) {
        let until = self.base.now + self.base.settings.join_wait(true);
        if let Role::Leading(l) = &mut self.role {
            l.replaced = until;
        }
        self.base.timers.sooner(Timer::Successor, until);
        self.check_over();
    }

    /// It stays the leader, in a reign above that of the one that took its place.
    pub(super) fn is_sure_again(&mut self) {
        if let Role::Leading(l) = &mut self.role {
            l.replaced = Time(0);
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
        match &self.role {
            Role::Leading(l) if !l.others.is_empty() => self.was_replaced(),
            _ => self.check_over(),
        }
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
}
