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
    /// Wait until there is an agent and a leader, at most so long (`--wait=3s`); for ever without a duration
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

/// The pause before an agent that is not there, or has too much to do, is asked again.
const AGAIN: Duration = Duration::from_millis(200);

pub(super) async fn leader(options: &LeaderOptions, out: Out) -> Result<(), Fail> {
    let asked = &options.asking.asked;
    let leader = match options.wait {
        None => asked.find()?.leader(None).await,
        Some(Some(wait)) => waited(asked, *wait).await,
        Some(None) => waited(asked, Duration::MAX).await,
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

/// The leader, as soon as there is an agent, and it has one; or why not, when the time is over.
async fn waited(asked: &Asked, wait: Duration) -> Result<Leader, Error> {
    #[expect(clippy::disallowed_methods, reason = "a program for people, which waits as long as they say")]
    let began = Instant::now();
    loop {
        let left = wait.saturating_sub(began.elapsed());
        let answer = match asked.find() {
            Ok(client) => client.leader(Some(left.min(PATIENCE))).await,
            Err(error) => Err(error),
        };
        let passes = matches!(&answer, Err(Error::NoAgent { .. } | Error::Broken { .. } | Error::Later { .. }));
        let left = wait.saturating_sub(began.elapsed());
        if !passes || left.is_zero() {
            return answer;
        }
        #[expect(clippy::disallowed_methods, reason = "a program that sleeps with its machine loses nothing")]
        tokio::time::sleep(AGAIN.min(left)).await;
    }
}

fn text(leader: &Leader, out: Out) -> String {
    let address = leader.address.map_or_else(|| "without a network".to_owned(), |address| address.to_string());
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
