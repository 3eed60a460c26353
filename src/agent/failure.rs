//! Why the agent could not start or go on.

use super::config::ConfigError;
use crate::store::{OpenError, StoreError};
use std::io;
use std::path::Path;

/// Why the agent ended, for the user and for scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit status: 78 wrong configuration, 77 not allowed, 65 state of a later version, 1 anything else.
    pub code: u8,
    /// One line: what, why, what to do.
    pub line: String,
    /// It may pass without anybody's doing here, as a disk that is full does: the agent tries again, for ever.
    pub passes: bool,
}

const FAILED: u8 = 1;
const LATER_STATE: u8 = 65;
const NOT_ALLOWED: u8 = 77;
const WRONG_CONFIGURATION: u8 = 78;

impl Failure {
    pub(super) fn other(line: impl Into<String>) -> Failure {
        Failure { code: FAILED, line: line.into(), passes: false }
    }

    /// The same, as something that may pass.
    pub(super) fn passing(self) -> Failure {
        Failure { passes: true, ..self }
    }

    /// The open store failed.
    pub(super) fn store(dir: &Path, e: &StoreError) -> Failure {
        let failure = Failure::other(format!(
            "{}: {e}: free some space, check the disk, or choose another state directory",
            dir.display()
        ));
        match e {
            StoreError::Io(e) if passes(e) => failure.passing(),
            _ => failure,
        }
    }

    /// An error of the system, sorted by what it means for the caller.
    pub(super) fn io(what: &str, e: &io::Error, todo: &str) -> Failure {
        let code = if e.kind() == io::ErrorKind::PermissionDenied { NOT_ALLOWED } else { FAILED };
        Failure { code, line: format!("{what}: {e}: {todo}"), passes: passes(e) }
    }
}

/// Whether an error of the system may pass by itself: a disk that is full, a root that is read-only while the machine
/// boots, an address or a port that another program has.
fn passes(e: &io::Error) -> bool {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(e.kind(), AddrInUse | AddrNotAvailable | QuotaExceeded | ReadOnlyFilesystem | StorageFull)
}

impl From<ConfigError> for Failure {
    fn from(e: ConfigError) -> Failure {
        let code = if e.denied { NOT_ALLOWED } else { WRONG_CONFIGURATION };
        Failure { code, line: e.to_string(), passes: false }
    }
}

impl From<OpenError> for Failure {
    fn from(e: OpenError) -> Failure {
        let code = match e {
            OpenError::Denied { .. } => NOT_ALLOWED,
            OpenError::Later { .. } => LATER_STATE,
            _ => FAILED,
        };
        let passes = matches!(e, OpenError::Full { .. } | OpenError::ReadOnly { .. });
        Failure { code, line: e.to_string(), passes }
    }
}
