//! When a demo that is watched compares its records: after every change, and now and then while nothing changes.
#![expect(clippy::disallowed_methods, reason = "a program for people, which times what it shows")]

use super::agree::Agreement;
use super::cluster::{Cluster, Net};
use super::records::{Found, Records};
use std::time::{Duration, Instant};
use tokio_util::task::AbortOnDropHandle;

/// How long after a check the next one may begin at the soonest, while nothing changes.
const PAUSE: Duration = Duration::from_secs(2);

/// A check may take one part of the time in so many: a long topic is read less often.
const SHARE: u32 = 10;

/// The checks of a demo.
#[derive(Debug, Default)]
pub(super) struct Proof {
    /// The epoch, and the agents that ran, on each side, when the last check began.
    standing: Option<Vec<(u64, Vec<usize>)>>,
    under_way: Option<UnderWay>,
    /// What the last check found that came to its end.
    pub(super) last: Option<Checked>,
}

#[derive(Debug)]
struct UnderWay {
    check: AbortOnDropHandle<Found>,
    began: Instant,
    changed: bool,
}

/// A check that came to its end.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) found: Found,
    /// The first one since something changed.
    pub(super) changed: bool,
    pub(super) at: Instant,
    took: Duration,
}

impl Proof {
    /// Begins a check when the agents that run have settled, and stand otherwise than at the last one. A check of how
    /// they stood before is given up. While the network is cut, the sides settle each by itself.
    pub(super) fn look(&mut self, cluster: &Cluster, said: &Agreement, records: &Records) {
        if cluster.net == Net::Cut {
            *self = Self::default();
            return;
        }
        let agreed = |side: Vec<usize>| Some((said.agreed(&side, 0)?.epoch, side));
        let standing: Option<Vec<_>> = cluster.sides().into_iter().map(agreed).collect();
        if standing.as_ref().is_none_or(Vec::is_empty) {
            return;
        }
        if self.standing != standing {
            self.standing = standing;
            self.begin(cluster, records, true);
        }
    }

    /// Begins a check when the last one was some time ago.
    pub(super) fn look_again(&mut self, cluster: &Cluster, records: &Records) {
        let due = self.last.as_ref().is_some_and(|last| last.at.elapsed() > PAUSE.max(last.took * SHARE));
        if due && self.under_way.is_none() {
            self.begin(cluster, records, false);
        }
    }

    fn begin(&mut self, cluster: &Cluster, records: &Records, changed: bool) {
        let check = AbortOnDropHandle::new(tokio::spawn(records.prove(cluster)));
        self.under_way = Some(UnderWay { check, began: Instant::now(), changed });
    }

    /// Whether something changed that was not checked yet.
    pub(super) fn is_open(&self, cluster: &Cluster) -> bool {
        let checked =
            self.standing.as_ref().is_some_and(|sides| sides.iter().map(|(_, agents)| agents).eq(&cluster.sides()));
        !checked || self.under_way.as_ref().is_some_and(|check| check.changed)
    }

    /// Waits for the end of the check that is under way, for ever when none is. May be given up at its await.
    pub(super) async fn done(&mut self) -> Checked {
        let Some(UnderWay { check, began, changed }) = &mut self.under_way else { std::future::pending().await };
        let found = check.await.unwrap_or_else(|error| Found::none(format!("the check itself failed: {error}")));
        let checked = Checked { found, changed: *changed, at: Instant::now(), took: began.elapsed() };
        self.under_way = None;
        self.last = Some(checked.clone());
        checked
    }
}
