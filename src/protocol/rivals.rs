//! Another leader that goes on leading beside this one (protocol §9): users are told of it, seldom.

use super::role::Role;
use super::{Node, limits};
use crate::event::Kind;
use crate::ident::NodeId;
use crate::message::Known;
use crate::time::Time;

/// Since when another leader is heard of, and when users were told.
#[derive(Clone, Debug)]
pub(super) struct Rival {
    since: Time,
    told: Option<Time>,
}

impl Rival {
    pub(super) fn new(now: Time) -> Self {
        Self { since: now, told: None }
    }

    /// Whether users are to be told now: leaders that reach each other have met long before.
    pub(super) fn due(&mut self, now: Time) -> bool {
        let due = now.since(self.since) >= limits::TWO_LEAD
            && self.told.is_none_or(|told| now.since(told) >= limits::TWO_LEAD_AGAIN);
        if due {
            self.told = Some(now);
        }
        due
    }
}

impl Node {
    /// Tells users that two lead.
    pub(super) fn tell_rival(&mut self, other: &Known) {
        let (name, epoch, port) = (&other.name, other.claim.epoch, self.base.me.port);
        let whom = match &self.role {
            Role::Leading(_) => "this machine".to_owned(),
            Role::Following(f) => f.name.clone(),
            _ => return,
        };
        let text = format!(
            "{name} leads too, epoch {epoch}, beside {whom}, and the two do not reach each other: does a firewall keep out TCP \
             port {port}?"
        );
        let fields = vec![("other", name.clone().into()), ("others_epoch", epoch.into())];
        self.base.warn(Kind::TwoLeaders, text, fields);
    }

    /// Whether another is known to lead too, and does not come to meet.
    pub(super) fn has_rival(&self) -> bool {
        let (now, lately) = (self.base.now, self.base.lately());
        let stays = |heard: Time, rival: &Rival| heard >= lately && now.since(rival.since) >= limits::TWO_LEAD;
        match &self.role {
            Role::Leading(l) => l.others.values().any(|o| stays(o.heard, &o.rival)),
            Role::Following(f) => f.others.values().any(|o| stays(o.heard, &o.rival)),
            _ => false,
        }
    }

    /// Whether that member leads beside the leader that users are shown.
    pub(super) fn is_rival(&self, id: NodeId) -> bool {
        let lately = self.base.lately();
        match &self.role {
            Role::Leading(l) => l.others.get(&id).is_some_and(|o| o.heard >= lately),
            Role::Following(f) => f.others.get(&id).is_some_and(|o| o.heard >= lately),
            _ => false,
        }
    }
}
