//! What shells and manuals need: `completions` and `man`, from the one description of the command line.

use super::out::Out;
use super::{Fail, NO, NOT_ALLOWED};
use clap::Args;
use clap_complete::Shell;
use std::io::ErrorKind;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct CompletionsOptions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Args)]
pub(super) struct ManOptions {
    /// The directory that the pages are written to; it is made when it is missing
    dir: PathBuf,
}

pub(super) fn completions(options: &CompletionsOptions) -> Result<(), Fail> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut super::command(), "tanist", &mut script);
    Out::new().bytes(&script)
}

pub(super) fn man(options: &ManOptions) -> Result<(), Fail> {
    let dir = &options.dir;
    let command = super::command();
    let written = std::fs::create_dir_all(dir)
        .and_then(|()| match command.find_subcommand("agent") {
            Some(agent) => super::pages::write(dir, agent),
            None => Ok(()),
        })
        .and_then(|()| clap_mangen::generate_to(command, dir));
    written.map_err(|error| {
        let code = if error.kind() == ErrorKind::PermissionDenied { NOT_ALLOWED } else { NO };
        Fail::new(code, format!("could not write manual pages to {}: {error}", dir.display()))
    })
}
