//! The command itself: found before it is needed, started in a process group of its own, and tied to its runner.

use crate::cli::{Fail, NO};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{AccessFlags, access, getppid};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// Statuses that shells and `env` use.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Names, to a process that is to become the command, the runner that it belongs to.
const PARENT: &str = "TANIST_RUN_PARENT";

/// The longest name that an agent is told, in bytes.
const LABEL: usize = 64;

/// A command that can be started.
pub(super) struct Program {
    command: Vec<OsString>,
}

/// A command for one reign.
pub(super) struct Started<'a> {
    program: &'a Program,
    epoch: u64,
    socket: PathBuf,
}

impl Program {
    /// Looks whether it can be started, before anything depends on it.
    pub(super) fn find(command: Vec<OsString>) -> Result<Program, Fail> {
        let program = Program { command };
        let name = program.command.first().map_or(OsStr::new(""), OsString::as_os_str);
        match found(name) {
            Ok(()) => Ok(program),
            Err(error) => Err(not_started(name, &error)),
        }
    }

    /// What the agent is told.
    pub(super) fn label(&self) -> String {
        let name = Path::new(&self.command[0]).file_name().unwrap_or_default().to_string_lossy();
        let plain: String = name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let end = (0..=plain.len().min(LABEL)).rev().find(|end| plain.is_char_boundary(*end)).unwrap_or(0);
        plain[..end].to_owned()
    }

    pub(super) fn of(&self, epoch: u64, socket: &Path) -> Started<'_> {
        Started { program: self, epoch, socket: socket.to_owned() }
    }
}

impl Started<'_> {
    pub(super) fn name(&self) -> String {
        self.program.command[0].to_string_lossy().into_owned()
    }

    /// Starts it through this program, which ties itself to the runner: it dies with that one, however that dies.
    pub(super) fn start(&self) -> Result<Child, Fail> {
        let this = std::env::current_exe().map_err(|error| Fail::new(NO, format!("this program is gone: {error}")))?;
        let mut command = Command::new(this);
        command.args(["run", "--tied", "--"]).args(&self.program.command);
        command.env(PARENT, std::process::id().to_string());
        command.env("TANIST_EPOCH", self.epoch.to_string()).env("TANIST_SOCKET", &self.socket);
        command.stdin(Stdio::null()).process_group(0);
        command.spawn().map_err(|error| not_started(OsStr::new(&self.program.command[0]), &error))
    }
}

/// Makes this process the command.
pub(super) fn become_command(command: &[OsString]) -> Result<(), Fail> {
    let [program, arguments @ ..] = command else { return Err(Fail::new(super::super::USAGE, "which command?")) };
    let parent = std::env::var(PARENT).ok().and_then(|pid| pid.parse::<i32>().ok());
    let tied = set_pdeathsig(Signal::SIGKILL);
    tied.map_err(|error| Fail::new(NO, format!("could not be tied to its runner: {error}")))?;
    // The runner may have died before the line above.
    if parent != Some(getppid().as_raw()) {
        return Err(Fail::new(NO, "the runner that started this is gone"));
    }
    let error = std::process::Command::new(program).args(arguments).env_remove(PARENT).exec();
    Err(not_started(program, &error))
}

fn not_started(program: &OsStr, error: &io::Error) -> Fail {
    let name = program.to_string_lossy();
    match error.kind() {
        io::ErrorKind::NotFound => {
            Fail::new(NOT_FOUND, format!("{name}: there is no such command: check the name and PATH"))
        }
        io::ErrorKind::PermissionDenied => {
            Fail::new(NOT_EXECUTABLE, format!("{name} may not be run: make it executable (chmod +x)"))
        }
        _ => Fail::new(NOT_EXECUTABLE, format!("{name} cannot be run: {error}")),
    }
}

/// Looks for a command as `execvp` does.
fn found(program: &OsStr) -> io::Result<()> {
    let runs = |path: &Path| -> io::Result<()> {
        if path.metadata()?.is_dir() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        access(path, AccessFlags::X_OK).map_err(io::Error::from)
    };
    if program.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    if program.as_encoded_bytes().contains(&b'/') {
        return runs(Path::new(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for dir in std::env::split_paths(&path) {
        match runs(&dir.join(program)) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => last = error,
            Err(_) => {}
        }
    }
    Err(last)
}
