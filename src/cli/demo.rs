//! `demo`: real agents on loopback addresses, which find one another, elect a leader and lose it, are cut in two and become
//! one again, and lose no record.

mod agree;
mod cluster;
mod ground;
mod lines;
#[cfg(feature = "tui")]
mod live;
#[cfg_attr(not(feature = "tui"), expect(dead_code, reason = "the live view alone compares while nothing changes"))]
mod proof;
mod records;
mod script;
mod split;

use super::out::Out;
use super::{Fail, NO};
use clap::Args;
use cluster::Cluster;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How many agents a demo may have.
const AGENTS: std::ops::RangeInclusive<i64> = 2..=12;

#[derive(Args)]
pub(super) struct Options {
    /// How many agents, 2 to 12
    #[arg(default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(AGENTS))]
    agents: u8,
    /// Kill, restart, hand over, and cut the network in two and mend it, by itself; print how long each took and whether
    /// every record is everywhere, and end with 1 when something fails or is missing
    #[arg(long)]
    script: bool,
    /// Print JSON: events, one a line; with --script the figures, as the last line
    #[arg(long)]
    json: bool,
    /// The agents' heartbeat interval, 5ms to 5s
    #[arg(long, value_name = "DURATION", default_value = "250ms")]
    heartbeat: humantime::Duration,
}

pub(super) fn run(options: &Options) -> Result<(), Fail> {
    let heartbeat: Duration = *options.heartbeat;
    let settings = crate::settings::Settings::default().with_heartbeat(heartbeat);
    settings.validated().map_err(|error| Fail::new(super::USAGE, error.to_string()))?;
    // One thread, and this one: agents are tied to the thread that starts them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Fail::runtime(&error))?.block_on(show(options, heartbeat))
}

async fn show(options: &Options, heartbeat: Duration) -> Result<(), Fail> {
    let out = Out::new();
    let mut cluster = Cluster::new(usize::from(options.agents), heartbeat).map_err(|why| Fail::new(NO, why))?;
    let interrupted = interrupted()?;
    let shown = if options.script {
        tokio::select! {
            ended = script::run(&mut cluster, options.json, out) => ended,
            () = interrupted => Err(Fail::new(NO, "the demo was interrupted before its end")),
        }
    } else {
        watch(&mut cluster, options.json, out, interrupted).await
    };
    cluster.end().await;
    shown
}

#[cfg(feature = "tui")]
async fn watch(cluster: &mut Cluster, json: bool, out: Out, interrupted: impl Future<Output = ()>) -> Result<(), Fail> {
    use std::io::IsTerminal;
    let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if terminal && !json {
        return live::run(cluster, interrupted).await;
    }
    lines::run(cluster, json, out, interrupted).await
}

#[cfg(not(feature = "tui"))]
async fn watch(cluster: &mut Cluster, json: bool, out: Out, interrupted: impl Future<Output = ()>) -> Result<(), Fail> {
    lines::run(cluster, json, out, interrupted).await
}

/// Ends when the user, or the machine, wants the demo to end.
fn interrupted() -> Result<impl Future<Output = ()>, Fail> {
    let catch = |kind| signal(kind).map_err(|error| Fail::runtime(&error));
    let mut int = catch(SignalKind::interrupt())?;
    let mut term = catch(SignalKind::terminate())?;
    let mut hang_up = catch(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}
