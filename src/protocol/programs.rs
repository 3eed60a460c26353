//! Programs that follow the role end before it is given away on purpose (protocol §8).

use super::Node;
use super::role::{Drain, Leading, Role};
use super::timers::Timer;
use crate::event::Cause;
use std::time::Duration;

impl Node {
    /// Programs that follow the role have ended, or had their time: what is under way is finished.
    pub(super) fn handing_drains(&mut self) {
        let Role::Leading(Leading { handover: Some(h), .. }) = &self.role else { return };
        // What a disk that fails has not done by now it does not do.
        let until = if h.cause == Cause::Store { None } else { self.all_writes() };
        if let Role::Leading(Leading { handover: Some(h), .. }) = &mut self.role {
            h.phase = Drain::Drains { until };
        }
        self.base.timers.set(Timer::Handover, self.base.now + self.base.settings.patience());
        self.handing_drained();
    }

    /// Programs that follow the role run here and need so long to end, or none runs any more.
    pub(super) fn programs_run(&mut self, need: Option<Duration>) {
        self.programs = need;
        let Role::Leading(l) = &self.role else { return };
        if need.is_some() {
            return;
        }
        match &l.handover {
            Some(h) if h.waits_for_programs() => self.handing_drains(),
            Some(_) => {}
            // Nobody takes over, and nothing is left to wait for.
            None if self.stopping && l.renewing.is_none() => self.stop_now(),
            None => {}
        }
    }
}
