//! The one file that reads clocks and sets timers.
//!
//! Timers run on the clock that counts suspended time (protocol §6): a machine that slept wakes with its deadlines long
//! past, and sees by how much. Tokio's own timer does neither that nor anything shorter than a millisecond.

use crate::time::{Now, Time, Wall};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId as TimerClock, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockId, clock_gettime};
use std::future::Future;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;
use tokio::io::unix::AsyncFd;

fn micros(clock: ClockId) -> u64 {
    // Both clocks exist on every kernel that this program runs on; a reading of zero is harmless.
    let Ok(t) = clock_gettime(clock) else { return 0 };
    u64::try_from(t.tv_sec()).unwrap_or(0) * 1_000_000 + u64::try_from(t.tv_nsec()).unwrap_or(0) / 1000
}

/// The clock that never jumps and counts suspended time.
pub fn time() -> Time {
    Time(micros(ClockId::CLOCK_BOOTTIME))
}

/// Both clocks.
pub fn now() -> Now {
    Now { time: time(), wall: Wall(micros(ClockId::CLOCK_REALTIME)) }
}

struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// One alarm on the clock of [`time`], exact to the microsecond as far as the kernel is.
pub(super) struct Alarm {
    timer: AsyncFd<Timer>,
    set: Option<Time>,
}

impl Alarm {
    /// # Errors
    /// When the process is out of file descriptors.
    #[expect(
        deprecated,
        reason = "its replacement is unsafe; the wrapped timer owns its descriptor and never changes it"
    )]
    pub(super) fn new() -> std::io::Result<Self> {
        let fd = TimerFd::new(TimerClock::CLOCK_BOOTTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        Ok(Self { timer: AsyncFd::new(Timer(fd))?, set: None })
    }

    /// Sets it, or unsets it; a time that has passed rings at once. Costs a system call only when it changed.
    pub(super) fn set(&mut self, at: Option<Time>) {
        if self.set == at {
            return;
        }
        let timer = &self.timer.get_ref().0;
        let done = match at {
            Some(at) => {
                let at = Duration::from_micros(at.0.max(1)).min(Duration::from_secs(i32::MAX as u64));
                timer.set(Expiration::OneShot(TimeSpec::from_duration(at)), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            }
            None => timer.unset(),
        };
        assert!(done.is_ok(), "a timer refused a valid time: {done:?}");
        self.set = at;
    }

    /// Waits until it rings. Setting it anew also forgets a ring that nobody waited for; a ring too many is harmless.
    pub(super) async fn rings(&mut self) {
        match self.timer.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            Err(_) => std::future::pending().await,
        }
        self.set = None;
    }
}

/// What `future` gives, or nothing when it takes longer than `limit`.
pub(super) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(limit, future).await.ok()
}

/// Waits.
#[expect(clippy::disallowed_methods, reason = "the one place that waits")]
pub(super) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_alarm_rings_after_its_time_and_at_once_when_that_has_passed() {
        let mut alarm = Alarm::new().expect("a timer");
        let begun = time();
        for wait in [Duration::from_micros(1500), Duration::ZERO, Duration::from_micros(700)] {
            let at = time() + wait;
            alarm.set(Some(at));
            within(Duration::from_secs(5), alarm.rings()).await.expect("it rings");
            assert!(time() >= at);
        }
        alarm.set(Some(Time(1)));
        within(Duration::from_secs(5), alarm.rings()).await.expect("long past, so at once");
        assert!(time().since(begun) >= Duration::from_micros(2200));
        assert!(now().wall.0 > 1_700_000_000_000_000, "the wall clock counts from 1970");
    }

    #[tokio::test]
    async fn an_alarm_that_was_unset_is_silent() {
        let mut alarm = Alarm::new().expect("a timer");
        alarm.set(Some(time() + Duration::from_millis(5)));
        alarm.set(None);
        assert!(within(Duration::from_millis(30), alarm.rings()).await.is_none());
    }
}
