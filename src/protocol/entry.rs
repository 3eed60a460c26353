//! A member as this agent knows it (protocol §4, §5).

use super::address::link_local;
use super::limits;
use super::sightings::Sightings;
use crate::ident::{BootId, Incarnation, NodeId};
use crate::message::{Member, MemberState};
use crate::time::Time;
use std::net::SocketAddr;
use std::time::Duration;

/// A member as this agent knows it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) node: Incarnation,
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) version: String,
    pub(super) priority: u8,
    /// As the last member list of the reign shows it; silent for one that is only remembered.
    pub(super) state: MemberState,
    /// When it ceased to be alive.
    pub(super) alive_until: Option<Time>,
    /// Users were told that this start of it is there, or it was in the first list.
    pub(super) announced: Option<BootId>,
    /// When it said goodbye.
    pub(super) left: Option<Time>,
    pub(super) whole: bool,
    /// Its disk does not work.
    pub(super) sick: bool,
    pub(super) rtt_us: Option<u64>,
    /// The round trip that the list last told of.
    pub(super) rtt_listed: Option<u64>,
    pub(super) via: Option<NodeId>,
    /// It has been in this cluster's list for `.0` already at `.1`.
    pub(super) seniority: (Duration, Time),
    /// A connection with it, or a leader's list, has vouched for it: otherwise it is a stranger.
    pub(super) met: bool,
    /// It was there when this machine was last among others: only remembered since.
    pub(super) lived: bool,
    /// How long it had been silent when this agent started.
    pub(super) silent_before: Duration,
    /// The last datagram or direct connection from it.
    pub(super) heard: Option<Time>,
    /// Which starts of it were heard where, `address` included.
    pub(super) seen: Sightings,
    /// What was last written down: where and when it was heard, and whether it had left.
    pub(super) kept: Option<(SocketAddr, Time, bool)>,
}

impl Entry {
    pub(super) fn new(node: Incarnation, name: String, address: SocketAddr, now: Time) -> Self {
        Self {
            node,
            name,
            address,
            version: String::new(),
            priority: 100,
            state: MemberState::Silent,
            alive_until: None,
            announced: None,
            left: None,
            whole: true,
            sick: false,
            rtt_us: None,
            rtt_listed: None,
            via: None,
            seniority: (Duration::ZERO, now),
            met: false,
            lived: false,
            silent_before: Duration::ZERO,
            heard: None,
            seen: Sightings::default(),
            kept: None,
        }
    }

    pub(super) fn turns(&mut self, state: MemberState, now: Time) {
        if self.state == MemberState::Alive && state != MemberState::Alive {
            self.alive_until = Some(now);
        }
        if state == MemberState::Left && self.state != state {
            self.left = Some(now);
        }
        if state != MemberState::Alive {
            self.announced = None;
        }
        self.state = state;
    }

    /// A datagram came from it after it had said goodbye. What this start of it sent before arrives late, or twice; another
    /// start is back at once.
    pub(super) fn is_back(&mut self, restarted: bool, now: Time) {
        let late = self.left.is_some_and(|at| now.since(at) < limits::SILENT);
        if self.state == MemberState::Left && (restarted || !late) {
            self.state = MemberState::Silent;
        }
    }

    /// It is alive, or was no longer than `d` ago, and has not said goodbye since.
    pub(super) fn alive_within(&self, d: Duration, now: Time) -> bool {
        let was = self.alive_until.is_some_and(|t| now.since(t) <= d) || self.heard_within(d, now);
        self.state == MemberState::Alive || was && self.state != MemberState::Left
    }

    pub(super) fn heard_within(&self, d: Duration, now: Time) -> bool {
        self.heard.is_some_and(|t| now.since(t) <= d)
    }

    /// It is heard from here. An agent on two links is heard from two addresses: one is kept for as long as it is heard
    /// from there, and no longer than `stale` ago. One that everybody can use is better than one that means something on one
    /// link only.
    pub(super) fn speaks_from(&mut self, address: SocketAddr, now: Time, stale: Duration) {
        let boot = self.node.boot;
        self.heard = Some(now);
        let better = link_local(self.address) && !link_local(address);
        let worse = link_local(address) && !link_local(self.address);
        let stale = if worse { limits::SILENT.max(stale) } else { stale };
        if worse {
            // Remembered or told of, it has as long to be heard.
            if self.seen.heard_at(self.address).is_none() {
                self.seen.note(boot, self.address, Some(now), self.address);
            }
        }
        let there = self.seen.heard_at(self.address).is_some_and(|at| now.since(at) <= stale);
        if better || !there {
            self.address = address;
        }
        self.seen.note(boot, address, Some(now), self.address);
    }

    /// It is certain that it is here now.
    pub(super) fn is_at(&mut self, address: SocketAddr, now: Time) {
        self.address = address;
        self.seen.note(self.node.boot, address, Some(now), address);
    }

    /// Others reach this start of it there.
    pub(super) fn told_at(&mut self, boot: BootId, address: SocketAddr) {
        self.seen.note(boot, address, None, self.address);
    }

    /// Where else this start of it may be asked for, when it was heard there after `since`.
    pub(super) fn places(&self, boot: BootId, since: Time) -> impl Iterator<Item = SocketAddr> {
        let places = self.seen.elsewhere(boot, self.address, since).into_iter().chain([self.address]);
        places.filter(|address| !address.ip().is_unspecified())
    }

    /// Where this start of it is: two living agents may have one id.
    pub(super) fn home(&self, boot: BootId) -> SocketAddr {
        match self.seen.holder(self.address) {
            Some(other) if other != boot => self.seen.place(boot).unwrap_or(self.address),
            _ => self.address,
        }
    }

    /// Where this start of it is, when it was heard there or others reach it there: whoever speaks for it elsewhere, or
    /// nobody, says nothing of it.
    pub(super) fn own_place(&self, boot: BootId) -> Option<SocketAddr> {
        Some(self.home(boot)).filter(|home| self.seen.was_at(boot, *home))
    }

    /// Nothing but another start of it is known to be at its address.
    pub(super) fn is_anothers(&self, boot: BootId) -> bool {
        self.own_place(boot).is_none() && self.seen.holder(self.address).is_some()
    }

    pub(super) fn seniority_ms(&self, now: Time) -> u64 {
        u64::try_from((self.seniority.0 + now.since(self.seniority.1)).as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn to_member(&self, now: Time) -> Member {
        Member {
            node: self.node,
            name: self.name.clone(),
            address: self.home(self.node.boot),
            version: self.version.clone(),
            priority: self.priority,
            state: self.state,
            whole: self.whole,
            sick: self.sick,
            rtt_us: self.rtt_us,
            seniority_ms: self.seniority_ms(now),
            via: self.via,
        }
    }
}
