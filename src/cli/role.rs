//! The role: `leader`, `is-leader` and `handover`.

use super::out::{Out, Tint};
use super::{Asked, Asking, Fail, LATER, NO};
use crate::client::Error;
use crate::view::Leader;
use clap::Args;
use std::time::{Duration, Instant};

#[derive(Args)]
pub(super) struct LeaderOptions {
    #[command(flatten)]
    asking: Asking,
    /// Wait until there is a leader, at most so long (`3s`); for ever without a duration
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true)]
    wait: Option<Option<humantime::Duration>>,
}

#[derive(Args)]
pub(super) struct HandoverOptions {
    /// The machine that is to lead, by name or id; the named successor without it
    name: Option<String>,
    #[command(flatten)]
    asking: Asking,
}

/// One wait of a wait without end: the agent answers at least this often.
const PATIENCE: Duration = Duration::from_secs(600);

pub(super) async fn leader(options: &LeaderOptions, out: Out) -> Result<(), Fail> {
    let client = options.asking.asked.client()?;
    let leader = match options.wait {
        None => client.leader(None).await,
        Some(Some(wait)) => client.leader(Some(*wait)).await,
        Some(None) => loop {
            match client.leader(Some(PATIENCE)).await {
                Err(Error::Later { busy: false, .. }) => {}
                answer => break answer,
            }
        },
    };
    let leader = leader.map_err(|error| match error {
        Error::Later { busy: false, why } => {
            let why = why.split(": ").next().unwrap_or_default();
            Fail::new(LATER, format!("{why}: try again, or wait for one with --wait"))
        }
        error => error.into(),
    })?;
    if options.asking.json { out.json(&leader) } else { out.line(text(&leader, out)) }
}

fn text(leader: &Leader, out: Out) -> String {
    let address = leader.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
    format!("{}  {address}  epoch {}", out.tint(Tint::Strong, &leader.name), leader.epoch)
}

pub(super) async fn is_leader(options: &Asked) -> Result<(), Fail> {
    match options.client()?.is_leader().await? {
        Some(_) => Ok(()),
        None => Err(Fail::silent(NO)),
    }
}

pub(super) async fn handover(options: &HandoverOptions, out: Out) -> Result<(), Fail> {
    #[expect(clippy::disallowed_methods, reason = "a program for people, which times what it shows")]
    let began = Instant::now();
    let leader = options.asking.asked.client()?.handover(options.name.as_deref()).await?;
    if options.asking.json {
        return out.json(&leader);
    }
    let took = crate::time::ms(began.elapsed());
    out.line(format!("{} leads: epoch {}, after {took}", out.tint(Tint::Strong, &leader.name), leader.epoch))
}
