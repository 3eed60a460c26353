//! What an agent remembers of elections from one role to the next (protocol §7).

use super::limits;
use super::role::Canvassing;
use crate::claim::Claim;
use crate::time::Time;
use std::time::Duration;

/// The last `LeaderAlive` that this agent was given.
#[derive(Clone, Debug)]
pub(super) struct Veto {
    /// The reign that it named.
    claim: Claim,
    /// How many in a row, at most four.
    count: u32,
    /// No canvass against that reign before.
    until: Time,
    /// Since when this agent had a session with it again.
    joined: Option<Time>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Campaign {
    /// The canvass under way: of an election, or of a leader whose handover failed.
    pub(super) canvass: Option<Box<Canvassing>>,
    /// Since when nobody leads whom this agent has heard on a connection.
    leaderless: Option<Time>,
    /// Claims of others that may still be backed, and when that was counted.
    backs: (u32, Time),
    veto: Option<Veto>,
    /// Lost canvasses in a row.
    tries: u32,
    /// Claims made again at once after `Higher`.
    higher: u32,
}

impl Campaign {
    pub(super) fn new(now: Time) -> Self {
        Self { canvass: None, leaderless: None, backs: (limits::BACKS, now), veto: None, tries: 0, higher: 0 }
    }

    /// An election begins.
    pub(super) fn begin(&mut self) {
        (self.tries, self.higher) = (0, 0);
    }

    // ---- how long nobody leads

    pub(super) fn count_leaderless(&mut self, led: bool, now: Time) {
        self.leaderless = if led { None } else { self.leaderless.or(Some(now)) };
    }

    /// How long nobody has led; none while somebody does.
    pub(super) fn leaderless(&self, now: Time) -> Option<Duration> {
        self.leaderless.map(|since| now.since(since))
    }

    // ---- own claims

    /// No canvass of this election was lost yet.
    pub(super) fn is_first_try(&self) -> bool {
        self.tries == 0
    }

    /// A canvass was lost: the pause before the next grows by this factor, which doubles up to 16.
    pub(super) fn lost(&mut self) -> u32 {
        self.tries += 1;
        2u32.saturating_pow(self.tries.saturating_sub(1).min(4))
    }

    /// Whether a claim is made again at once after `Higher`.
    pub(super) fn higher_again(&mut self) -> bool {
        self.higher += 1;
        let again = self.higher <= limits::HIGHER;
        if !again {
            self.higher = 0;
        }
        again
    }

    // ---- others' claims

    /// Each voice is a durable write: there are some at once, and then a few a second.
    pub(super) fn may_back(&mut self, now: Time) -> bool {
        let (left, at) = self.backs;
        let more =
            u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX) * u64::from(limits::BACKS_A_SECOND) / 1000;
        if more > 0 {
            let left = u64::from(left).saturating_add(more).min(u64::from(limits::BACKS));
            self.backs = (u32::try_from(left).unwrap_or(limits::BACKS), now);
        }
        let may = self.backs.0 > 0;
        self.backs.0 = self.backs.0.saturating_sub(1);
        may
    }

    // ---- vetoes

    /// The leader of this reign answered others. No canvass against it for 4, 8, 16, 32 intervals, while nothing changes.
    pub(super) fn vetoed(&mut self, claim: Claim, heartbeat: Duration, now: Time) {
        let again = self.veto.as_ref().filter(|v| v.claim == claim).map_or(1, |v| (v.count + 1).min(4));
        let until = now + heartbeat * (2 << again).min(limits::VETO);
        self.veto = Some(Veto { claim, count: again, until, joined: None });
    }

    /// This agent has a session with the leader of this reign.
    pub(super) fn joined(&mut self, claim: Claim, now: Time) {
        if let Some(veto) = self.veto.as_mut().filter(|v| v.claim == claim) {
            veto.joined.get_or_insert(now);
        }
    }

    /// Until when this agent does not claim against that reign, because its leader answered others: but who has had a
    /// session with it again, an interval ago or longer, is held back no more (§7.3).
    pub(super) fn held_back(&self, reign: Claim, heartbeat: Duration, now: Time) -> Option<Time> {
        let veto = self.veto.as_ref().filter(|v| v.claim == reign && v.until > now)?;
        let again = veto.joined.is_some_and(|at| now.since(at) >= heartbeat);
        (!again).then_some(veto.until)
    }
}
