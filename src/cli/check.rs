//! The configuration: `check` and `reload`.

use super::out::{Out, Tint};
use super::{Asking, BAD_CONFIG, Fail, NOT_ALLOWED};
use crate::agent::config;
use crate::client::Error;
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct Options {
    /// The file
    #[arg(default_value = config::DEFAULT_FILE)]
    file: PathBuf,
}

pub(super) fn run(options: &Options) -> Result<(), Fail> {
    let out = Out::new();
    let warnings = config::check(&options.file).map_err(|error| {
        let code = if error.denied { NOT_ALLOWED } else { BAD_CONFIG };
        Fail::new(code, error.to_string())
    })?;
    for warning in &warnings {
        out.line(format!("{}  {warning}", out.tint(Tint::Bad, "WARN")))?;
    }
    out.line(format!("{} is valid", options.file.display()))
}

pub(super) async fn reload(options: &Asking, out: Out) -> Result<(), Fail> {
    let reloaded = options.asked.client()?.reload().await.map_err(|error| match error {
        Error::Refused { problem } => Fail::new(BAD_CONFIG, problem.detail),
        error => error.into(),
    })?;
    if options.json {
        return out.json(&reloaded);
    }
    if reloaded.applied.is_empty() && reloaded.restart.is_empty() {
        return out.line("nothing has changed");
    }
    if !reloaded.applied.is_empty() {
        out.line(format!("changed: {}", reloaded.applied.join(", ")))?;
    }
    if !reloaded.restart.is_empty() {
        let keys = reloaded.restart.join(", ");
        out.line(format!("{}  from the next start of the agent on: {keys}", out.tint(Tint::Bad, "WARN")))?;
    }
    Ok(())
}
