//! What is ignored is counted, and said at most once a second.

use super::{Journal, Level};
use crate::agent::clock;
use crate::event::Value;
use crate::time::Time;
use crate::wire::Unread;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The least time between two lines about what was ignored.
const PAUSE: Duration = Duration::from_secs(1);

/// Why something was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::agent) enum Ignored {
    /// It belongs to another cluster.
    OtherCluster,
    /// Only later versions understand it.
    Unknown,
    /// It is garbage.
    Malformed,
    /// There was no room for it.
    NoRoom,
    /// A connection said nothing, or too little, for too long.
    Silent,
    /// It could not be sent.
    NotSent,
}

impl Ignored {
    const ALL: [Ignored; 6] = [
        Ignored::OtherCluster,
        Ignored::Unknown,
        Ignored::Malformed,
        Ignored::NoRoom,
        Ignored::Silent,
        Ignored::NotSent,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Ignored::OtherCluster => "other-cluster",
            Ignored::Unknown => "unknown",
            Ignored::Malformed => "malformed",
            Ignored::NoRoom => "no-room",
            Ignored::Silent => "silent",
            Ignored::NotSent => "not-sent",
        }
    }

    /// Other clusters, newer versions and a link that goes down are everyday matters.
    fn level(self) -> Level {
        match self {
            Ignored::OtherCluster | Ignored::Unknown | Ignored::NotSent => Level::Debug,
            Ignored::Malformed | Ignored::NoRoom | Ignored::Silent => Level::Warn,
        }
    }
}

impl From<&Unread> for Ignored {
    fn from(why: &Unread) -> Self {
        match why {
            Unread::OtherCluster => Ignored::OtherCluster,
            Unread::Version(_) | Unread::Unknown(_) => Ignored::Unknown,
            Unread::Malformed(_) | Unread::TooLong => Ignored::Malformed,
        }
    }
}

/// Counts what was ignored since the start.
#[derive(Debug)]
pub(in crate::agent) struct Counts {
    journal: Journal,
    counts: [AtomicU64; Ignored::ALL.len()],
    said: [AtomicU64; 2],
}

impl Counts {
    pub(in crate::agent) fn new(journal: Journal) -> Self {
        Self { journal, counts: Default::default(), said: Default::default() }
    }

    /// Counts one more, and says so unless it did a moment ago.
    pub(in crate::agent) fn ignored(&self, what: Ignored, from: Option<SocketAddr>, why: &str) {
        let count = self.counts[what as usize].fetch_add(1, Ordering::Relaxed) + 1;
        let level = what.level();
        if !self.journal.wants(level) {
            return;
        }
        let said = &self.said[usize::from(level == Level::Warn)];
        let now = clock::time();
        let last = Time(said.load(Ordering::Relaxed));
        if last != Time::default() && now.since(last) < PAUSE {
            return;
        }
        said.store(now.0, Ordering::Relaxed);
        let mut fields = vec![("ignored", Value::from(what.as_str())), ("count", Value::from(count))];
        let whose = from.map(|a| format!(" from {a}")).unwrap_or_default();
        fields.extend(from.map(|a| ("from", Value::from(a.to_string()))));
        self.journal.line(level, format!("something{whose} was ignored: {why}"), fields);
    }

    /// Each reason with its count.
    pub(in crate::agent) fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Ignored::ALL.iter().map(|&what| (what.as_str(), self.counts[what as usize].load(Ordering::Relaxed)))
    }
}
