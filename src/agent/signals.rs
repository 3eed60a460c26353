//! SIGTERM, SIGINT and SIGHUP, taken by a thread of their own: whatever the loop does, the process ends in time.

use super::clock;
use super::runners::Needs;
use crate::time::Time;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc;

/// The process ends this long after the first signal at the latest: two seconds are promised.
const LATEST: Duration = Duration::from_millis(1900);

fn ours() -> SigSet {
    SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP])
}

/// What comes of signals.
pub(super) struct Signals {
    /// The process is to end.
    pub(super) stop: mpsc::Receiver<()>, // bound: ONE
    /// The configuration is to be read again.
    pub(super) reload: mpsc::Receiver<()>, // bound: ONE
}

/// Keeps the signals from ending the process by themselves. Before any other thread is started: each inherits this.
///
/// # Errors
/// Never on a working kernel.
pub(super) fn hold() -> io::Result<()> {
    Ok(ours().thread_block()?)
}

/// Starts the thread. The first signal that ends comes out of its receiver; if the process is still there a while later, and as long
/// as programs that follow the role may need, or a second signal comes, it ends at once, and `leftover`, the API's socket,
/// is removed if it was made.
///
/// # Errors
/// When no thread can be started, or no file can be opened.
pub(super) fn follow(leftover: Arc<OnceLock<PathBuf>>, needs: Needs) -> io::Result<Signals> {
    let (first, stop) = mpsc::channel(1);
    let (again, reload) = mpsc::channel(1);
    let signals = SignalFd::with_flags(&ours(), SfdFlags::SFD_CLOEXEC)?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        while !ends(&signals) {
            // One that waits already stands for both.
            let _ = again.try_send(());
        }
        let _ = first.try_send(());
        // While a leader hands over, its processors have better things to do than to start a thread that watches it.
        wait(&signals, clock::time() + LATEST + needs.get());
        end(&leftover);
    })?;
    Ok(Signals { stop, reload })
}

/// Takes a signal, and says whether the process is to end. No working kernel fails here.
fn ends(signals: &SignalFd) -> bool {
    loop {
        match signals.read_signal() {
            Err(Errno::EINTR) => {}
            Ok(Some(taken)) => return taken.ssi_signo != Signal::SIGHUP as u32,
            Ok(None) | Err(_) => return true,
        }
    }
}

/// Waits until then for a signal that ends.
fn wait(signals: &SignalFd, until: Time) {
    loop {
        let left = until.since(clock::time());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], left) {
            Ok(0) => return,
            Ok(_) if ends(signals) => return,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

fn end(leftover: &OnceLock<PathBuf>) -> ! {
    let _ = leftover.get().map(std::fs::remove_file);
    std::process::exit(0)
}
