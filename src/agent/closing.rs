//! The end of an agent whose socket outlives it: what was asked already is answered first, and what is asked from then on
//! waits in the socket for the next agent.

use crate::time::Time;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// By then a client whose connection was taken has sent what it asks, also where others keep the processors busy. The
/// agent does all that it did until then.
pub(super) const SETTLED: Duration = Duration::from_millis(100);

/// So long the stop waits at most for requests of the data. They may wait for others, and the role is to be handed over.
const LONGEST: Duration = Duration::from_millis(300);

/// When the node is told to stop.
#[derive(Debug, Default)]
pub(super) struct Closing {
    /// Tells the API to take no more connections; none when the socket ends with the agent.
    api: Option<CancellationToken>,
    begun: Option<Time>,
    told: bool,
}

impl Closing {
    /// Of an agent whose socket outlives it if there is somebody to tell.
    pub(super) fn new(api: Option<CancellationToken>) -> Self {
        Self { api, ..Self::default() }
    }

    /// The agent was told to stop.
    pub(super) fn begin(&mut self, now: Time) {
        self.begun.get_or_insert(now);
        let _ = self.api.as_ref().map(CancellationToken::cancel);
    }

    /// When the node is to be told, if users wait for requests, or if none does.
    pub(super) fn due(&self, waits: bool) -> Option<Time> {
        let begun = self.begun.filter(|_| !self.told)?;
        Some(match (&self.api, waits) {
            (None, _) => begun,
            (Some(_), false) => begun + SETTLED,
            (Some(_), true) => begun + LONGEST,
        })
    }

    /// Whether the node is to be told now: once.
    pub(super) fn is_due(&mut self, now: Time, waits: bool) -> bool {
        let due = self.due(waits).is_some_and(|due| now >= due);
        self.told |= due;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_is_told_once_and_as_late_as_it_must_be() {
        let ms = |n| Time::default() + Duration::from_millis(n);
        // A socket that outlives the agent, requests that wait, and when after the beginning the node is told.
        for (outlives, waits, after) in [(false, true, 0), (false, false, 0), (true, false, 100), (true, true, 300)] {
            let mut closing = Closing::new(outlives.then(CancellationToken::new));
            assert!(closing.due(waits).is_none() && !closing.is_due(ms(5000), waits), "nobody said so");
            closing.begin(ms(1000));
            assert_eq!(closing.due(waits), Some(ms(1000 + after)));
            assert!(after == 0 || !closing.is_due(ms(999 + after), waits), "too early");
            assert!(closing.is_due(ms(1000 + after), waits));
            assert!(closing.due(waits).is_none() && !closing.is_due(ms(5000), waits), "once");
        }
    }
}
