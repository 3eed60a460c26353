//! Agents of a demo die with it, however it dies.

use super::{Fail, NO};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// Names, to an agent that a demo starts, the process that it belongs to.
pub(super) const PARENT: &str = "TANIST_DEMO_PARENT";

/// Ties this process to the demo that started it; does nothing for any other agent.
pub(super) fn hold() -> Result<(), Fail> {
    let Some(parent) = std::env::var(PARENT).ok().and_then(|pid| pid.parse::<i32>().ok()) else { return Ok(()) };
    set_pdeathsig(Signal::SIGKILL).map_err(|error| Fail::new(NO, format!("could not be tied to the demo: {error}")))?;
    // The demo may have died before the line above.
    if getppid().as_raw() == parent { Ok(()) } else { Err(Fail::new(NO, "the demo that started this agent is gone")) }
}
