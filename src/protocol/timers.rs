//! The table of timers: one deadline comes out, with its reason.

use super::Deadline;
use crate::time::Time;
use std::time::Duration;

macro_rules! timers {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What a timer is for.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub(super) enum Timer { $($(#[$doc])* $name,)* }
        impl Timer {
            const ALL: &'static [Timer] = &[$(Timer::$name,)*];
            fn reason(self) -> &'static str {
                match self { $(Timer::$name => $word,)* }
            }
        }
    };
}

timers! {
    /// The next Hello.
    Hello = "say hello",
    /// The join wait ends.
    Join = "the join wait ends",
    /// A Hi that waits for its random pause.
    Hi = "answer a hello",
    /// The first link does not come, or the last one is gone.
    Alone = "alone without a link",
    /// The leader has been silent.
    Silence = "the leader is silent",
    /// The next ping.
    Ping = "ping the leader",
    /// A ping is unanswered.
    Pong = "a ping is unanswered",
    /// No broadcast heartbeat was heard.
    Deaf = "no broadcast is heard",
    /// Dial the leader again.
    Redial = "dial the leader again",
    /// Ask the leader directly, while it is reached through another.
    Probe = "try the direct way",
    /// The next move of an interrogation.
    Ask = "an interrogation goes on",
    /// The next move of an election.
    Elect = "an election goes on",
    /// The next heartbeat.
    Beat = "heartbeat",
    /// Look through the sessions.
    Sweep = "look through the sessions",
    /// Send the changes of the member list.
    List = "send the member list",
    /// The next move of a reunion.
    Meet = "a reunion goes on",
    /// The next move of a handover.
    Handover = "a handover goes on",
    /// Writes have waited for a successor for long enough.
    Successor = "writes wait for a successor",
    /// Tell the followers what is acknowledged.
    Told = "tell what is acknowledged",
    /// Tell the leader again what this machine has of the data.
    Copy = "tell the leader what is here",
    /// A request of the data has waited for too long.
    Request = "a request has waited for too long",
    /// A stalled leader asks whether it is still followed.
    Check = "a check goes on",
    /// Look at the store and at what is remembered.
    House = "housekeeping",
    /// Stopping has taken long enough.
    Stop = "stop",
}

/// When each timer is due. Bounded by the number of timers.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    at: [Option<Time>; Timer::ALL.len()],
    /// The earliest of them; it is asked for several times in every step.
    first: Option<(Time, Timer)>,
}

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: Time) {
        self.at[timer as usize] = Some(at);
        match self.first {
            Some((_, first)) if first == timer => self.look(),
            Some(first) if first <= (at, timer) => {}
            _ => self.first = Some((at, timer)),
        }
    }

    /// Brings a timer forward, never back.
    pub(super) fn sooner(&mut self, timer: Timer, at: Time) {
        if self.at[timer as usize].is_none_or(|t| at < t) {
            self.set(timer, at);
        }
    }

    /// Brings a timer forward to now that is due within `early`.
    pub(super) fn now_if_within(&mut self, timer: Timer, now: Time, early: Duration) {
        if self.at[timer as usize].is_some_and(|at| now < at && at <= now + early) {
            self.set(timer, now);
        }
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        self.at[timer as usize] = None;
        if self.first.is_some_and(|(_, first)| first == timer) {
            self.look();
        }
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.at[timer as usize].is_some()
    }

    pub(super) fn is_due(&self, timer: Timer, now: Time) -> bool {
        self.at[timer as usize].is_some_and(|at| at <= now)
    }

    /// Clears what belongs to a role; what belongs to the agent stays.
    pub(super) fn clear_role(&mut self) {
        for timer in Timer::ALL {
            if !matches!(timer, Timer::Hi | Timer::House | Timer::Alone | Timer::Stop | Timer::Request) {
                self.at[*timer as usize] = None;
            }
        }
        self.look();
    }

    /// Takes the earliest timer that is due.
    pub(super) fn take_due(&mut self, now: Time) -> Option<Timer> {
        let (at, timer) = self.first?;
        (at <= now).then(|| {
            self.clear(timer);
            timer
        })
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        self.first.map(|(at, timer)| (at, timer.reason()))
    }

    fn look(&mut self) {
        self.first = Timer::ALL.iter().filter_map(|t| self.at[*t as usize].map(|at| (at, *t))).min();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_out_once_and_a_role_takes_its_own_with_it() {
        let mut timers = Timers::default();
        timers.set(Timer::Beat, Time(20));
        timers.set(Timer::House, Time(30));
        timers.sooner(Timer::Beat, Time(25));
        assert_eq!(timers.deadline(), Some((Time(20), "heartbeat")));
        assert_eq!(timers.take_due(Time(19)), None);
        assert_eq!(timers.take_due(Time(20)), Some(Timer::Beat));
        assert_eq!(timers.take_due(Time(20)), None);
        timers.set(Timer::Ask, Time(1));
        timers.set(Timer::Ask, Time(90));
        assert_eq!(
            timers.deadline(),
            Some((Time(30), "housekeeping")),
            "one that is put off is not the first any more"
        );
        timers.sooner(Timer::Ask, Time(1));
        timers.clear_role();
        assert_eq!(timers.deadline(), Some((Time(30), "housekeeping")));
    }
}
