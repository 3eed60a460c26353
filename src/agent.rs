//! The real host: sockets, files, clocks and signals around the pure node.
//!
//! One task owns the node (`host.rs` is its loop and fits on a screen); everything else hands it what happened through
//! bounded channels. Threads of their own have the disk, the log, the kernel's list of interfaces and the signals, each
//! because it may block.

pub mod api;
pub mod clock;
mod closing;
pub mod config;
mod connections;
mod cut;
pub mod data;
mod datagrams;
mod disk;
mod door;
mod failure;
mod hooks;
mod host;
mod identity;
mod inbox;
mod journal;
mod leader_file;
pub mod links;
pub mod metrics;
mod patience;
mod peers;
mod reload;
mod replica;
mod rereading;
pub mod rights;
mod routes;
mod runners;
mod service;
pub mod shared;
mod signals;
mod start;
mod upkeep;

pub use config::Options;
pub use disk::History;
pub use failure::Failure;
pub use journal::Level;

use config::Config;
use journal::Journal;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::path::Path;

/// Runs an agent until SIGTERM or SIGINT ends it, in two seconds at most.
///
/// # Errors
/// When it cannot start: the configuration, the state directory, a port or a socket. Nothing is lost then.
pub fn run(options: Options) -> Result<(), Failure> {
    let mut config = config::load(options.clone())?;
    let passed = door::passed();
    signals::hold().map_err(|e| Failure::io("signals cannot be held", &e, "try again"))?;
    let (journal, log) =
        Journal::start(config.log).map_err(|e| Failure::io("no thread can be started", &e, "allow more tasks"))?;
    for warning in &config.warnings {
        journal.line(Level::Warn, warning.to_string(), Vec::new());
    }
    let passed = passed.unwrap_or_else(|why| {
        journal.line(Level::Error, why, Vec::new());
        None
    });
    if let Some(passed) = &passed {
        serve_at(passed.path(), &mut config, &journal);
    }
    open_files();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::io("the agent cannot start", &e, "allow more open files"))?;
    let given = start::Given { options, config, passed };
    let done = runtime.block_on(as_task(given, journal));
    // A name that is still being looked up must not hold up the end.
    runtime.shutdown_background();
    // The thread ends when all is written. A reader that stopped reading cannot hold this up for long: the end has its
    // own limit once a signal came, and without one there is nobody to wait for.
    if done.is_ok() {
        let _ = log.join();
    }
    done
}

/// The socket of the service manager is where clients wait, whatever else was configured.
fn serve_at(path: &Path, config: &mut Config, journal: &Journal) {
    if config.socket != path {
        let (path, other) = (path.display(), config.socket.display());
        let text = format!(
            "the socket unit passed {path}, and the configuration names {other}: this agent serves {path}: change \
             ListenStream= in tanist.socket too, or mask tanist.socket"
        );
        journal.line(Level::Warn, text, Vec::new());
    }
    config.socket = path.to_owned();
}

/// The loop as one task among the others: what wakes the future that a runtime blocks on costs a system call more.
async fn as_task(given: start::Given, journal: Journal) -> Result<(), Failure> {
    match tokio::spawn(start::run(given, journal)).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// One open file a connection: as many as the system lets this user have.
fn open_files() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Fewer than wished for is enough for a small office.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}
