//! Links that come and go, and being alone (protocol §5).

use super::role::{Doubt, Listening, Phase, Role};
use super::timers::Timer;
use super::{Link, Node, limits};
use crate::event::{Cause, Kind};
use crate::time::ms;
use std::net::SocketAddr;

impl Node {
    pub(super) fn links_changed(&mut self, links: Vec<Link>) {
        let now = self.base.now;
        let was = self.base.ways.use_links(links);
        let linked = self.base.linked();
        if was.is_empty() && linked {
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
