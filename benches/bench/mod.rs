//! The benchmarks: real agents of the release build on a LAN of network namespaces, as in `tests/lan/`, whose ground
//! they share. Every target has all of it and runs its own part, so that nothing is there twice.
//!
//! A benchmark is a list of scenes. Each scene is a LAN of its own: this program, started again inside private
//! namespaces. It prints a line for each figure; the first process gathers them, prints tables as Markdown and, with
//! `TANIST_BENCH_WRITE=1`, puts them into `docs/benchmarks.md`.

#![expect(clippy::disallowed_methods, reason = "benchmarks read the clock")]

#[path = "../../tests/lan/agents.rs"]
pub(crate) mod agents;
#[path = "../../tests/lan/commands.rs"]
pub(crate) mod commands;
#[path = "../../tests/lan/lan.rs"]
pub(crate) mod lan;
#[path = "../../tests/lan/net.rs"]
pub(crate) mod net;
#[path = "../../tests/lan/told.rs"]
pub(crate) mod told;
#[path = "../../tests/lan/way.rs"]
pub(crate) mod way;

mod bare;
mod cost;
mod crowd;
mod docs;
mod ears;
mod failover;
mod faults;
mod idle;
mod local;
mod machine;
mod numbers;
mod peers;
mod picture;
mod plug;
mod replication;
mod rows;
mod scale;
mod scene;
mod stages;
mod table;

use std::process::ExitCode;

/// Runs a benchmark, or one scene of it when this is the process inside.
pub(crate) fn main(name: &str) -> ExitCode {
    if bare::speaks() {
        return ExitCode::SUCCESS;
    }
    let done = match (name, scene::inside()) {
        ("failover", Some(scene)) => failover::inside(&scene),
        ("failover", None) => failover::run(),
        ("idle", Some(scene)) => idle::inside(&scene),
        ("idle", None) => idle::run(),
        ("replication", Some(scene)) => replication::inside(&scene),
        ("replication", None) => replication::run(),
        (_, Some(scene)) => scale::inside(&scene),
        (_, None) => scale::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
