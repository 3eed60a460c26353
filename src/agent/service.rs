//! What the service manager is told: ready, the role, alive, stopping. Without one, nothing happens.

use super::clock;
use crate::protocol::{RoleName, Status};
use crate::time::Time;
use sd_notify::NotifyState;
use std::time::Duration;

/// The link to the service manager.
pub(super) struct Service {
    told: String,
    /// It was told that the agent stops: how that stands does not matter any more.
    stopping: bool,
    /// How often a sign of life is due, and when the next is.
    watchdog: Option<(Duration, Time)>,
}

impl Service {
    pub(super) fn new() -> Service {
        // Twice as often as demanded: one late wake-up must not end a working agent.
        let watchdog = sd_notify::watchdog_enabled().map(|period| (period / 2, clock::time()));
        Service { told: String::new(), stopping: false, watchdog }
    }

    pub(super) fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    pub(super) fn stopping(&mut self) {
        self.stopping = true;
        tell(&[NotifyState::Stopping]);
    }

    /// Tells how this agent stands, when that changed.
    pub(super) fn status(&mut self, status: &Status) {
        let words = words(status);
        if words != self.told && !self.stopping {
            tell(&[NotifyState::Status(&words)]);
            self.told = words;
        }
    }

    /// When the loop must come by, if it must.
    pub(super) fn due(&self) -> Option<Time> {
        self.watchdog.map(|w| w.1)
    }

    /// The loop came by.
    pub(super) fn alive(&mut self, now: Time) {
        if let Some((period, due)) = &mut self.watchdog
            && now >= *due
        {
            *due = now + *period;
            tell(&[NotifyState::Watchdog]);
        }
    }
}

/// Tells that this agent has ended: what was said last stays with the unit.
pub(super) fn ended() {
    tell(&[NotifyState::Status("stopped")]);
}

/// Tells what the start waits for.
pub(super) fn waits(why: &str) {
    tell(&[NotifyState::Status(&format!("waiting: {why}"))]);
}

/// Tells, at every try, that the start waits for something that may last: an installation, or a machine that boots, waits
/// no longer for this agent, and the watchdog knows that it is alive.
pub(super) fn waits_for_long() {
    tell(&[NotifyState::Ready, NotifyState::Watchdog]);
}

/// A service manager that does not listen is no reason to do anything else.
fn tell(state: &[NotifyState]) {
    let _ = sd_notify::notify(state);
}

fn words(status: &Status) -> String {
    let trouble: String = status.trouble.iter().map(|trouble| format!("; {}", trouble.text())).collect();
    format!("{}{trouble}", stands(status))
}

fn stands(status: &Status) -> String {
    let epoch = status.shown.map_or(0, |claim| claim.epoch);
    match (status.role, &status.leader) {
        (RoleName::Leading, _) if !status.sure => "stood still: asking whether another leads by now".to_owned(),
        (RoleName::Leading, _) => {
            let successor = status.successor.as_ref().map_or("none", |s| s.name.as_str());
            format!("leading, epoch {epoch}, successor {successor}")
        }
        (RoleName::Following, Some(leader)) => format!("following {}, epoch {epoch}", leader.name),
        (RoleName::Following, None) => "waiting for a leader".to_owned(),
        (RoleName::Claiming, _) => "asking the others to back its claim".to_owned(),
        (RoleName::Listening, _) => "listening for other machines".to_owned(),
    }
}
