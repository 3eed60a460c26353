//! The two clocks of a machine: one that never jumps, counts suspended time and drifts, and one that people set.

use tanist::time::{Now, Time, Wall};

/// 2026-11-21 in microseconds since 1970: where every wall clock starts from.
const TODAY: i64 = 1_795_219_200_000_000;

/// The clocks of one machine, as functions of the simulation's own time.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// The simulated time at which the machine's counter was `base`.
    since: u64,
    base: u64,
    /// Parts per million by which its second differs from ours: -200 to 200.
    pub(crate) drift: i64,
    /// How far the wall clock is off, in microseconds.
    pub(crate) wall_off: i64,
}

impl Clock {
    pub(crate) fn new(base: u64, drift: i64) -> Self {
        Self { since: 0, base, drift, wall_off: 0 }
    }

    /// A machine that was switched on just now counts from nearly zero again.
    pub(crate) fn reboot(&mut self, now: u64, base: u64) {
        self.since = now;
        self.base = base;
    }

    pub(crate) fn read(&self, now: u64) -> Now {
        let passed = i64::try_from(now - self.since).expect("a short run");
        let own = passed + passed * self.drift / 1_000_000;
        let time = Time(self.base + u64::try_from(own).expect("time passes"));
        let wall = TODAY + i64::try_from(now).expect("a short run") + self.wall_off;
        Now { time, wall: Wall(u64::try_from(wall.max(0)).expect("not negative")) }
    }

    /// The simulated time at which the machine's counter reaches `at`.
    pub(crate) fn when(&self, at: Time) -> u64 {
        let own = i64::try_from(at.0.saturating_sub(self.base)).unwrap_or(i64::MAX / 4_000_000);
        let passed = own - own * self.drift / 1_000_000;
        let mut guess = self.since.saturating_add(u64::try_from(passed).unwrap_or(0));
        while self.read(guess).time < at {
            guess += 1;
        }
        guess
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_when_the_drifting_clock_says_so_and_not_before() {
        for drift in [-200, -1, 0, 7, 200] {
            let clock = Clock::new(123_456, drift);
            for at in [123_456, 123_457, 1_000_000, 77_777_777, 300_000_000] {
                let when = clock.when(Time(at));
                assert!(clock.read(when).time >= Time(at), "not reached");
                assert!(clock.read(when).time.0 <= at + 1, "late by more than the grain");
            }
        }
    }
}
