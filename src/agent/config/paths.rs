//! Where things are when nothing says otherwise.

use super::{ConfigError, Place};
use crate::message::NAME_MAX;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The machine's own name, as a label.
pub(in crate::agent) fn host_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_else(|_| OsString::from("unnamed"));
    let name: String = name.to_string_lossy().chars().filter(|c| !c.is_control()).collect();
    let name = name[..name.floor_char_boundary(NAME_MAX)].to_owned();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

/// The first of the directories that the service manager made.
fn given(variable: &str) -> Option<PathBuf> {
    let value = std::env::var_os(variable)?;
    let first = std::env::split_paths(&value).next()?;
    first.is_absolute().then_some(first)
}

fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Where identity and promises are kept.
pub(super) fn state_dir() -> Result<PathBuf, ConfigError> {
    if let Some(dir) = given("STATE_DIRECTORY") {
        return Ok(dir);
    }
    if root() {
        return Ok("/var/lib/tanist".into());
    }
    let home = || given("HOME").map(|home| home.join(".local/state"));
    let base = given("XDG_STATE_HOME").or_else(home);
    base.map(|dir| dir.join("tanist"))
        .ok_or_else(|| Place::Default.refuse("state_dir", "there is no home directory: say where with --state-dir"))
}

/// Where the local API is.
pub(super) fn socket() -> Result<PathBuf, ConfigError> {
    if let Some(dir) = given("RUNTIME_DIRECTORY") {
        return Ok(dir.join("tanist.sock"));
    }
    if root() {
        return Ok("/run/tanist/tanist.sock".into());
    }
    given("XDG_RUNTIME_DIR")
        .map(|dir| dir.join("tanist.sock"))
        .ok_or_else(|| Place::Default.refuse("socket", "XDG_RUNTIME_DIR is not set: say where with --socket"))
}

/// Where the leader's name and address are kept: beside the socket, where that is in the machine's own directory. Agents of
/// a demo, and others that were told to listen elsewhere, write no such file.
pub(super) fn leader_file(socket: &Path) -> Option<PathBuf> {
    let dir = socket.parent()?;
    let own = given("RUNTIME_DIRECTORY").is_some_and(|own| own == dir) || dir == Path::new("/run/tanist");
    own.then(|| dir.join("leader"))
}
