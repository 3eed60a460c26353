//! What is counted while the agent runs, for `GET /metrics`. Each count is one addition, without a lock and without a word to
//! anybody: the loop does not notice it.

use super::journal::Counts;
use crate::event::{Cause, Event, Kind, Value};
use crate::ident::NodeId;
use crate::message::{Cast, Frame};
use crate::protocol::{Input, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets of every histogram, in microseconds: from a fast disk to a bad failover.
pub(super) const BUCKETS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often something took how long.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// By the bucket; the last one is of all that took longer.
    counts: [Counter; BUCKETS.len() + 1],
    /// Of all, in microseconds.
    sum: Counter,
}

impl Histogram {
    pub(super) fn took(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.counts[BUCKETS.partition_point(|bound| *bound < us)].add(1);
        self.sum.add(us);
    }

    /// How many took at most as long as each bound, then how many there are.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = u64> {
        let mut seen = 0;
        self.counts.iter().map(move |count| {
            seen += count.get();
            seen
        })
    }

    /// How long all of them took together.
    pub(super) fn sum(&self) -> Duration {
        Duration::from_micros(self.sum.get())
    }
}

/// What became of a write of a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wrote {
    /// It is durable, as far as copies go.
    Acknowledged,
    /// It was judged, and had no effect.
    Refused,
    /// There was no leader in time.
    Later,
    /// Too much waited already.
    Busy,
    /// The disk is full or fails.
    NoSpace,
}

impl Wrote {
    pub(super) const ALL: [Wrote; 5] = [Wrote::Acknowledged, Wrote::Refused, Wrote::Later, Wrote::Busy, Wrote::NoSpace];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Wrote::Acknowledged => "acknowledged",
            Wrote::Refused => "refused",
            Wrote::Later => "no-leader",
            Wrote::Busy => "busy",
            Wrote::NoSpace => "no-space",
        }
    }
}

/// What is written to a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kept {
    /// Identity, promises, members and reigns.
    State,
    /// Records and keys.
    Data,
}

impl Kept {
    pub(super) const ALL: [Kept; 2] = [Kept::State, Kept::Data];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kept::State => "state",
            Kept::Data => "data",
        }
    }
}

/// All that is counted.
#[derive(Debug)]
pub struct Metrics {
    events: [Counter; Kind::ALL.len()],
    changes: [Counter; Cause::ALL.len()],
    /// The highest epoch of a reign that this agent has seen.
    epoch: AtomicU64,
    /// From the first sign that the old leader was gone to the new one.
    pub(super) failover: Histogram,
    pub(super) beats_sent: Counter,
    pub(super) beats_heard: Counter,
    writes: [Counter; Wrote::ALL.len()],
    /// How long acknowledged writes took.
    pub(super) write: Histogram,
    syncs: [Histogram; Kept::ALL.len()],
    failures: [Counter; Kept::ALL.len()],
    ignored: Option<Arc<Counts>>,
}

impl Default for Metrics {
    /// Of an agent that ignores nothing.
    fn default() -> Self {
        Self {
            events: std::array::from_fn(|_| Counter::default()),
            changes: Default::default(),
            epoch: AtomicU64::new(0),
            failover: Histogram::default(),
            beats_sent: Counter::default(),
            beats_heard: Counter::default(),
            writes: Default::default(),
            write: Histogram::default(),
            syncs: Default::default(),
            failures: Default::default(),
            ignored: None,
        }
    }
}

impl Metrics {
    /// Nothing was counted yet but what is ignored.
    pub(super) fn new(ignored: Arc<Counts>) -> Self {
        Self { ignored: Some(ignored), ..Self::default() }
    }

    /// Users are told this.
    pub(super) fn event(&self, event: &Event) {
        self.events[event.kind as usize].add(1);
        let (Kind::Leading | Kind::Following, Some(cause)) = (event.kind, event.cause) else { return };
        let signs = event.fields.iter().find(|(name, _)| *name == "since_first_sign_us");
        if let Some((_, Value::Number(us))) = signs
            && !matches!(cause, Cause::Handover | Cause::Goodbye | Cause::Reunion)
        {
            self.failover.took(Duration::from_micros(*us));
        }
    }

    /// This is written to the disk of an agent: a reign that begins is a change of leader. One that was counted is written
    /// again when it ends, and one of another that an agent finds at its start began before.
    pub(super) fn writes_begin(&self, own: NodeId, writes: &[Write]) {
        for write in writes {
            let Write::Reign(reign) = write else { continue };
            let before = self.epoch.fetch_max(reign.claim.epoch, Ordering::Relaxed);
            if reign.claim.epoch > before && (before > 0 || reign.claim.node.id == own) {
                self.changes[reign.cause as usize].add(1);
            }
        }
    }

    /// How often each event was told.
    pub(super) fn events(&self) -> impl Iterator<Item = (Kind, u64)> {
        Kind::ALL.iter().map(|kind| (*kind, self.events[*kind as usize].get()))
    }

    /// How often a reign began for each cause.
    pub(super) fn changes(&self) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL.iter().map(|cause| (*cause, self.changes[*cause as usize].get()))
    }

    /// The node is given this.
    pub(super) fn hears(&self, inputs: &[Input]) {
        let beat = |input: &&Input| match input {
            Input::Datagram { datagram, .. } => matches!(datagram.cast, Cast::Heartbeat(_)),
            Input::Frame { frame, .. } => matches!(frame, Frame::Beat(_)),
            _ => false,
        };
        match inputs.iter().filter(beat).count() {
            0 => {}
            n => self.beats_heard.add(n as u64),
        }
    }

    /// A write of a user came to an end, so long after it was asked for.
    pub(super) fn wrote(&self, what: Wrote, after: Duration) {
        self.writes[what as usize].add(1);
        if what == Wrote::Acknowledged {
            self.write.took(after);
        }
    }

    /// How many writes ended so.
    pub(super) fn writes(&self) -> impl Iterator<Item = (Wrote, u64)> {
        Wrote::ALL.iter().map(|what| (*what, self.writes[*what as usize].get()))
    }

    /// Something was made durable, or was not.
    pub(super) fn synced(&self, what: Kept, after: Duration) {
        self.syncs[what as usize].took(after);
    }

    /// The disk failed so many operations.
    pub(super) fn failed(&self, what: Kept, many: usize) {
        self.failures[what as usize].add(many as u64);
    }

    /// How long it took to make something durable.
    pub(super) fn sync(&self, what: Kept) -> &Histogram {
        &self.syncs[what as usize]
    }

    /// How many operations of the disk failed.
    pub(super) fn failures(&self, what: Kept) -> u64 {
        self.failures[what as usize].get()
    }

    /// How much was ignored, for each reason.
    pub(super) fn ignored(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.ignored.iter().flat_map(|counts| counts.all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::Claim;
    use crate::event::Level;
    use crate::ident::{BootId, Incarnation};
    use crate::protocol::Reign;
    use crate::time::Wall;

    #[test]
    fn a_time_is_in_the_first_bucket_that_holds_it_and_in_all_above() {
        let histogram = Histogram::default();
        for us in [0, 100, 101, 9_999_999, 10_000_000, 10_000_001] {
            histogram.took(Duration::from_micros(us));
        }
        let cumulative: Vec<u64> = histogram.cumulative().collect();
        assert_eq!(cumulative.len(), BUCKETS.len() + 1);
        assert_eq!((cumulative[0], cumulative[1], cumulative[14], cumulative[15], cumulative[16]), (2, 3, 3, 5, 6));
        assert_eq!(histogram.sum(), Duration::from_micros(30_000_201));
    }

    fn begins(node: u128, epoch: u64, cause: Cause, ended: Option<Wall>) -> Vec<Write> {
        let node = Incarnation { id: NodeId(uuid::Uuid::from_u128(node)), boot: BootId(1) };
        let claim = Claim { epoch, at: Wall(1), node };
        vec![Write::Reign(Reign { claim, name: String::new(), began: Wall(1), ended, cause, text: String::new() })]
    }

    #[test]
    fn each_change_of_leader_counts_once_and_the_leader_that_was_found_is_none() {
        let own = NodeId(uuid::Uuid::from_u128(1));
        let metrics = Metrics::default();
        let changed = |node, epoch, cause, ended| {
            metrics.writes_begin(own, &begins(node, epoch, cause, ended));
            metrics.changes().map(|(_, n)| n).sum::<u64>()
        };
        assert_eq!(changed(2, 7, Cause::Died, None), 0, "it led before this agent came");
        assert_eq!(changed(2, 7, Cause::Died, Some(Wall(2))), 0, "it ends");
        assert_eq!(changed(1, 8, Cause::Silent, None), 1);
        assert_eq!(changed(3, 9, Cause::Handover, None), 2);
        assert_eq!(changed(3, 9, Cause::Handover, None), 2, "the disk could not take it the first time");
        let causes: Vec<_> = metrics.changes().filter(|(_, n)| *n > 0).map(|(cause, _)| cause).collect();
        assert_eq!(causes, [Cause::Silent, Cause::Handover]);
        let first = Metrics::default();
        first.writes_begin(own, &begins(1, 1, Cause::First, None));
        assert_eq!(first.changes().next(), Some((Cause::First, 1)), "the own first reign is a change");
    }

    #[test]
    fn a_failover_has_a_time_and_an_orderly_change_has_none() {
        let metrics = Metrics::default();
        let tell = |kind, cause| {
            let fields = vec![("since_first_sign_us", Value::Number(700))];
            metrics.event(&Event {
                kind,
                level: Level::Info,
                at: Wall(1),
                epoch: 1,
                cause,
                text: String::new(),
                fields,
            });
            metrics.failover.cumulative().last()
        };
        assert_eq!(tell(Kind::Leading, Some(Cause::Handover)), Some(0));
        assert_eq!(tell(Kind::Following, Some(Cause::Died)), Some(1));
        assert_eq!(tell(Kind::LeaderLost, Some(Cause::Died)), Some(1), "there is no new one yet");
        assert_eq!(tell(Kind::Leading, Some(Cause::Silent)), Some(2));
        assert_eq!(metrics.events().find(|(kind, _)| *kind == Kind::Leading), Some((Kind::Leading, 2)));
    }

    #[test]
    fn only_acknowledged_writes_have_a_time() {
        let metrics = Metrics::default();
        for what in Wrote::ALL {
            metrics.wrote(what, Duration::from_millis(3));
        }
        assert!(metrics.writes().all(|(_, n)| n == 1));
        assert_eq!(metrics.write.cumulative().last(), Some(1));
    }
}
