//! Why the agent could not start or go on.

use super::config::ConfigError;
use crate::store::{OpenError, StoreError};
use std::io;
use std::path::Path;

/// Why the agent ended, for the user and for scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit status: 78 wrong configuration, 77 not allowed, 1 anything else.
    pub code: u8,
    /// One line: what, why, what to do.
    pub line: String,
}

const FAILED: u8 = 1;
const NOT_ALLOWED: u8 = 77;
const WRONG_CONFIGURATION: u8 = 78;

impl Failure {
    pub(super) fn other(line: impl Into<String>) -> Failure {
        Failure { code: FAILED, line: line.into() }
    }

    /// The open store failed.
    pub(super) fn store(dir: &Path, e: &StoreError) -> Failure {
        Failure::other(format!(
            "{}: {e}: free some space, check the disk, or choose another state directory",
            dir.display()
        ))
    }

    /// An error of the system, sorted by what it means for the caller.
    pub(super) fn io(what: &str, e: &io::Error, todo: &str) -> Failure {
        let code = if e.kind() == io::ErrorKind::PermissionDenied { NOT_ALLOWED } else { FAILED };
        Failure { code, line: format!("{what}: {e}: {todo}") }
    }
}

impl From<ConfigError> for Failure {
    fn from(e: ConfigError) -> Failure {
        let code = if e.denied { NOT_ALLOWED } else { WRONG_CONFIGURATION };
        Failure { code, line: e.to_string() }
    }
}

impl From<OpenError> for Failure {
    fn from(e: OpenError) -> Failure {
        let code = if matches!(e, OpenError::Denied { .. }) { NOT_ALLOWED } else { FAILED };
        Failure { code, line: e.to_string() }
    }
}
