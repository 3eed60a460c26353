//! Links that come and go, and being alone (protocol §5).

use super::role::{Doubt, Listening, Phase, Role};
use super::timers::Timer;
use super::{Link, Node, limits};
use crate::event::{Cause, Kind};
use crate::message::MemberState;
use crate::time::{Time, ms};
use std::net::SocketAddr;
use std::time::Duration;

/// When the last link was lost, and came.
#[derive(Clone, Debug, Default)]
pub(super) struct Flaps {
    /// How often it was lost lately.
    losses: u32,
    last: Time,
    /// Since when there is one.
    up: Time,
    /// Somebody was heard since then, whoever that is.
    heard: bool,
    /// Users were told that nobody is heard since then.
    told: bool,
}

impl Flaps {
    /// Something came by the network.
    pub(super) fn hears(&mut self) {
        self.heard = true;
    }

    /// The last link is lost once more. How long this machine waits for one before it leads itself: a cable that comes and
    /// goes is not to set the pace of all (§5).
    fn lost(&mut self, now: Time) -> Duration {
        if now.since(self.last) > limits::LINKS_CALM {
            self.losses = 0;
        }
        let after = (limits::LINK_LOST * 2u32.pow(self.losses.min(8))).min(limits::LINK_LOST_MAX);
        (self.losses, self.last) = (self.losses + 1, now);
        after
    }
}

impl Node {
    pub(super) fn links_changed(&mut self, links: Vec<Link>) {
        let now = self.base.now;
        let was = self.base.ways.use_links(links);
        let linked = self.base.linked();
        if was.is_empty() && linked {
            (self.flaps.up, self.flaps.heard, self.flaps.told) = (now, false, false);
            let names: Vec<String> = self.base.ways.links().iter().map(|l| l.name.clone()).collect();
            let names = names.join(", ");
            self.base.info(Kind::NetworkUp, format!("there is a network: {names}"), vec![("links", names.into())]);
            return self.network_up();
        }
        if linked {
            let kept = |old: &Link| {
                self.base.ways.links().iter().any(|new| old.addresses.iter().all(|a| new.addresses.contains(a)))
            };
            if !was.iter().all(kept) {
                self.address_lost();
            }
            return;
        }
        if was.is_empty() && self.base.timers.is_set(Timer::Alone) {
            return;
        }
        let flapping = self.flaps.lost(now);
        let after = match &self.role {
            Role::Listening(_) => self.base.settings.lone_after,
            _ => flapping,
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
                self.greetings.say_hello_twice_more();
                self.doubt(Doubt::Unanswered);
            }
            Role::Electing(_) if self.campaign.canvass.is_some() => {}
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

    /// Nobody was heard since the network came, though others lived when this machine was last among them: a port that passes
    /// nothing at first is likelier than an office without anybody. For how long that is to be thought (§5).
    pub(super) fn behind_deaf_port(&mut self) -> Option<Duration> {
        let (now, up) = (self.base.now, self.flaps.up);
        let left = (up + self.base.settings.lone_after).since(now);
        let lived = self.base.members.iter().filter(|e| e.lived || e.state == MemberState::Alive).count();
        if !self.base.linked() || left.is_zero() || self.flaps.heard || lived == 0 {
            return None;
        }
        // Nobody keeps this agent from a leader by what it says: it hears of none.
        self.campaign.count_leaderless(true, now);
        if !std::mem::replace(&mut self.flaps.told, true) {
            let text = format!(
                "nobody is heard since the network came, though others were here before ({lived}): alone, this machine leads \
                 itself in {}",
                ms(left)
            );
            self.base.warn(Kind::NetworkAlone, text, vec![]);
        }
        Some(left)
    }

    /// Configured peers have other addresses: whoever is new among them is greeted, whatever the role (§5).
    pub(super) fn peers_changed(&mut self, peers: Vec<SocketAddr>) {
        let news = self.base.ways.use_peers(peers);
        if news && self.base.linked() {
            self.hello();
            self.greetings.say_hello_twice_more();
        }
    }

    /// An address is gone: what ran over it is asked for at once.
    fn address_lost(&mut self) {
        let now = self.base.now;
        // The others keep an address for as long as nobody says otherwise.
        self.hello();
        self.greetings.say_hello_twice_more();
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
}
