//! Another leader that goes on leading beside this one (protocol §9): users are told of it, seldom.

use super::limits;
use crate::ident::{ConnId, NodeId};
use crate::message::Known;
use crate::time::Time;

/// Another leader.
#[derive(Clone, Debug)]
pub(super) struct Other {
    pub(super) known: Known,
    pub(super) heard: Time,
    pub(super) dialled: Option<Time>,
    /// A member that reported it and reaches it directly.
    pub(super) reporter: Option<NodeId>,
    /// Dials under way. Bound: two.
    pub(super) conns: Vec<ConnId>, // bound: ROUTES
    pub(super) rival: Rival,
}

/// Another leader that a follower hears.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) known: Known,
    pub(super) heard: Time,
    /// When the own leader was last told of it.
    pub(super) reported: Option<Time>,
    pub(super) rival: Rival,
}

/// Since when another leader is heard of, and when users were told.
#[derive(Clone, Debug)]
pub(super) struct Rival {
    since: Time,
    told: Option<Time>,
}

impl Rival {
    /// Whether that has lasted for long: leaders that reach each other have met before.
    pub(super) fn stays(&self, now: Time) -> bool {
        now.since(self.since) >= limits::TWO_LEAD
    }

    pub(super) fn new(now: Time) -> Self {
        Self { since: now, told: None }
    }

    /// Whether users are to be told now.
    pub(super) fn due(&mut self, now: Time) -> bool {
        let due = self.stays(now) && self.told.is_none_or(|told| now.since(told) >= limits::TWO_LEAD_AGAIN);
        if due {
            self.told = Some(now);
        }
        due
    }
}
