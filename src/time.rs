//! Time as a value. Nothing here reads a clock: hosts do, and pass what they read.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the host's clock that never jumps and counts time spent suspended, in microseconds since some start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

impl Time {
    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, d: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, d: Duration) -> Time {
        Time(self.0.saturating_sub(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// A reading of the wall clock, in microseconds since 1970-01-01 UTC. It may be wrong and it may jump: it breaks ties
/// and is shown to people, and nothing else depends on it (protocol §7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wall(pub u64);

/// Both clocks, read at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// The clock that timers run on.
    pub time: Time,
    /// The clock that people read.
    pub wall: Wall,
}

/// A duration in milliseconds with one decimal, as log lines show it: `4.1 ms`.
pub fn ms(d: Duration) -> String {
    let us = d.as_micros();
    if us >= 10_000_000 { format!("{:.1} s", d.as_secs_f64()) } else { format!("{}.{} ms", us / 1000, us % 1000 / 100) }
}
