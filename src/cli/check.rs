//! `check`: is this configuration file valid?

use super::out::{Out, Tint};
use super::{BAD_CONFIG, Fail, NOT_ALLOWED};
use crate::agent::config;
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
