//! SIGTERM, SIGINT and SIGHUP, taken by a thread of their own: whatever the loop does, the process ends in time.

use super::runners::Needs;
use nix::sys::signal::{SigSet, Signal};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc;

/// The process ends this long after the first signal at the latest: two seconds are promised.
const LATEST: Duration = Duration::from_millis(1900);

/// Those that end the process.
fn last() -> SigSet {
    SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT])
}

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
/// When no thread can be started.
pub(super) fn follow(leftover: Arc<OnceLock<PathBuf>>, needs: Needs) -> io::Result<Signals> {
    let (first, stop) = mpsc::channel(1);
    let (again, reload) = mpsc::channel(1);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        loop {
            match ours().wait() {
                // One that waits already stands for both.
                Ok(Signal::SIGHUP) => drop(again.try_send(())),
                Ok(_) => break,
                Err(_) => return,
            }
        }
        let _ = first.try_send(());
        let path = Arc::clone(&leftover);
        let late = std::thread::Builder::new().name("last".into()).spawn(move || {
            #[expect(
                clippy::disallowed_methods,
                reason = "a thread of its own: it must not depend on the loop that may hang"
            )]
            std::thread::sleep(LATEST + needs.get());
            end(&path);
        });
        if late.is_err() || last().wait().is_ok() {
            end(&leftover);
        }
    })?;
    Ok(Signals { stop, reload })
}

fn end(leftover: &OnceLock<PathBuf>) -> ! {
    let _ = leftover.get().map(std::fs::remove_file);
    std::process::exit(0)
}
