//! Timings and limits, validated when they are made (protocol §11).

use std::time::Duration;
use thiserror::Error;

/// What an administrator may set and the core needs. Every other timing follows from the heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    heartbeat: Duration,
    /// 0 to 255; 0 never leads.
    pub priority: u8,
    /// How long a start without any link waits before this machine leads itself.
    pub lone_after: Duration,
    /// A member that was not heard for so long is forgotten.
    pub forget_after: Duration,
    /// How long a request of the data waits for a leader.
    pub write_timeout: Duration,
    /// How many voices win a claim; only 1 is available yet.
    pub quorum: u32,
}

/// Why settings were refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BadSettings {
    /// Outside 5 ms to 5 s.
    #[error("heartbeat is {0:?}; it may be 5ms to 5s")]
    Heartbeat(Duration),
    /// Anything but 1.
    #[error("quorum = {0} is not available yet; leave it out or set it to 1")]
    Quorum(u32),
    /// A duration of zero where one is needed.
    #[error("{0} must be longer than zero")]
    Zero(&'static str),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(250),
            priority: 100,
            lone_after: Duration::from_secs(30),
            forget_after: Duration::from_secs(7 * 24 * 3600),
            write_timeout: Duration::from_secs(10),
            quorum: 1,
        }
    }
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

impl Settings {
    /// The shortest heartbeat interval that is accepted.
    pub const HEARTBEAT_MIN: Duration = ms(5);
    /// The longest heartbeat interval that is accepted.
    pub const HEARTBEAT_MAX: Duration = Duration::from_secs(5);
    /// Under this, `check` warns: such intervals are for idle wired machines.
    pub const HEARTBEAT_WARN: Duration = ms(20);

    /// Checks every bound of protocol §11.
    ///
    /// # Errors
    /// Names the first setting that is out of bounds.
    pub fn validated(self) -> Result<Self, BadSettings> {
        if self.heartbeat < Self::HEARTBEAT_MIN || self.heartbeat > Self::HEARTBEAT_MAX {
            return Err(BadSettings::Heartbeat(self.heartbeat));
        }
        if self.quorum != 1 {
            return Err(BadSettings::Quorum(self.quorum));
        }
        if self.lone_after.is_zero() {
            return Err(BadSettings::Zero("lone_after"));
        }
        if self.forget_after.is_zero() {
            return Err(BadSettings::Zero("forget_after"));
        }
        Ok(self)
    }

    /// The same with another heartbeat interval.
    #[must_use]
    pub fn with_heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// The interval between heartbeats: the one knob.
    pub fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// `n` quarters of an interval.
    pub fn quarters(&self, n: u32) -> Duration {
        self.heartbeat * n / 4
    }

    /// Silence that begins a suspicion: 2.25 intervals.
    pub fn suspicion(&self) -> Duration {
        self.quarters(9)
    }

    /// How long a ping or a forwarded write may stay unanswered: 2.25 intervals, at least 500 ms.
    pub fn unanswered(&self) -> Duration {
        self.suspicion().max(ms(500))
    }

    /// Silence after which an unanswered leader is dead: 3 intervals.
    pub fn silence(&self) -> Duration {
        self.heartbeat * 3
    }

    /// What the leader waits for a member that holds something up: 3 intervals, at least 500 ms.
    pub fn patience(&self) -> Duration {
        self.silence().max(ms(500))
    }

    /// How long an interrogation waits: ¾ interval, 15 ms to 2 s.
    pub fn interrogation(&self) -> Duration {
        self.quarters(3).clamp(ms(15), ms(2000))
    }

    /// How long a canvass waits: as long as an interrogation.
    pub fn canvass(&self) -> Duration {
        self.interrogation()
    }

    /// How long one waits for the heartbeat of a claim that one has backed or heard of: the canvass deadline and 2
    /// intervals.
    pub fn after_canvass(&self) -> Duration {
        self.canvass() + self.heartbeat * 2
    }

    /// How soon something comes of another's claim, as a rule: 1/16 interval, at least 4 ms. After that the claimant is
    /// asked whether it is still there.
    pub fn soon(&self) -> Duration {
        (self.heartbeat / 16).max(ms(4))
    }

    /// How long a start listens before it may claim: 6 intervals, 30 to 300 ms; never under 2.25 intervals when it
    /// remembers members.
    pub fn join_wait(&self, remembers: bool) -> Duration {
        let wait = (self.heartbeat * 6).clamp(ms(30), ms(300));
        if remembers { wait.max(self.suspicion()) } else { wait }
    }

    /// The oldest unfinished store operation with which a leader still counts as serving: 3 intervals, at least 2 s.
    pub fn store_age(&self) -> Duration {
        self.silence().max(ms(2000))
    }

    /// A wake-up so much later than planned means that every silence is counted anew: 1 interval, at least 20 ms.
    pub fn small_gap(&self) -> Duration {
        self.heartbeat.max(ms(20))
    }

    /// A wake-up so much later than planned means asking before anything else: 3 intervals, at least 60 ms.
    pub fn large_gap(&self) -> Duration {
        self.silence().max(ms(60))
    }

    /// What [`Settings::large_gap`] is for a leader: 1.75 intervals, at least 35 ms. After 2 without a heartbeat, and the one
    /// that it was to send before, others may have taken it for dead.
    pub fn replaced_gap(&self) -> Duration {
        self.quarters(7).max(ms(35))
    }

    /// The pauses between the three quick heartbeats of a new leader: ¼ interval, at most 50 ms.
    pub fn quick(&self) -> Duration {
        self.quarters(1).min(ms(50))
    }

    /// The settling time of P1 for up to 50 members: 20 intervals, at least 5 s.
    pub fn settling(&self) -> Duration {
        (self.heartbeat * 20).max(ms(5000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings_follow_the_heartbeat_within_their_bounds() {
        let at = |n| Settings::default().with_heartbeat(ms(n)).validated().expect("valid");
        assert_eq!(at(250).suspicion(), Duration::from_micros(562_500));
        assert_eq!(at(250).interrogation(), Duration::from_micros(187_500));
        assert_eq!(at(5).interrogation(), ms(15));
        assert_eq!(at(5000).interrogation(), ms(2000));
        assert_eq!(at(250).join_wait(false), ms(300));
        assert_eq!(at(250).join_wait(true), Duration::from_micros(562_500));
        assert_eq!(at(5).join_wait(false), ms(30));
        assert_eq!(at(5).unanswered(), ms(500));
        assert_eq!(at(5).quick(), Duration::from_micros(1250));
        assert_eq!(at(250).quick(), ms(50));
        assert_eq!(at(250).settling(), ms(5000));
        assert_eq!(at(5000).settling(), Duration::from_secs(100));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_name() {
        let s = Settings::default();
        assert!(matches!(s.clone().with_heartbeat(ms(4)).validated(), Err(BadSettings::Heartbeat(_))));
        assert!(matches!(s.clone().with_heartbeat(ms(5001)).validated(), Err(BadSettings::Heartbeat(_))));
        assert_eq!(Settings { quorum: 2, ..s.clone() }.validated(), Err(BadSettings::Quorum(2)));
        assert_eq!(Settings { lone_after: Duration::ZERO, ..s }.validated(), Err(BadSettings::Zero("lone_after")));
    }
}
