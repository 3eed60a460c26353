//! Points in time, as users read them.

use crate::time::Wall;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// A reading of a wall clock. In JSON it is RFC 3339 in UTC with microseconds, so that stamps sort as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Stamp(pub Wall);

impl Stamp {
    /// A wall clock may show anything; what no calendar can is shown as the last moment that one can.
    fn timestamp(self) -> Timestamp {
        i64::try_from(self.0.0).ok().and_then(|us| Timestamp::from_microsecond(us).ok()).unwrap_or(Timestamp::MAX)
    }

    /// Date and time of day where the reader is, to the second: `2026-11-21 09:30:05`.
    pub fn local(self) -> String {
        self.timestamp().to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// The time of day where the reader is, to the millisecond: `09:30:05.123`.
    pub fn local_time(self) -> String {
        self.timestamp().to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f").to_string()
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Stamp) -> std::time::Duration {
        std::time::Duration::from_micros(self.0.0.saturating_sub(earlier.0.0))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}", self.timestamp())
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let at: Timestamp = text.parse().map_err(|_| de::Error::custom("not a time as RFC 3339 writes it"))?;
        Ok(Stamp(Wall(u64::try_from(at.as_microsecond()).unwrap_or(0))))
    }
}
