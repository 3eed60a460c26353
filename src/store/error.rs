//! What can go wrong with the store, each in one line for the user: what, why, what to do.

use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why the store of a state directory could not be opened. Nothing is lost: no file was removed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another agent has it.
    #[error("{} is used by another agent: stop that one, or give this one a state directory of its own", path.display())]
    Locked {
        /// The state directory.
        path: PathBuf,
    },
    /// This user may not.
    #[error("{}: permission denied: run as the user who owns it, or choose another state directory", path.display())]
    Denied {
        /// What could not be used.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file system cannot be written to.
    #[error("{} is on a read-only file system: remount it, or choose another state directory", path.display())]
    ReadOnly {
        /// What could not be used.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No space, or no quota.
    #[error("{}: no space left: free some, or choose another state directory", path.display())]
    Full {
        /// What could not be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A later version of tanist made it.
    #[error("{} was written by a later version of tanist (format {schema}): install that one, or move the file away", path.display())]
    Later {
        /// The store.
        path: PathBuf,
        /// Its format.
        schema: u64,
    },
    /// Anything else.
    #[error("{}: {source}: check the disk and the path, or choose another state directory", path.display())]
    Io {
        /// What could not be used.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    /// Sorts an error of the system by what the user has to do about it.
    pub(super) fn io(path: &Path, source: io::Error) -> OpenError {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied => OpenError::Denied { path, source },
            io::ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly { path, source },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::Full { path, source },
            _ => OpenError::Io { path, source },
        }
    }

    pub(super) fn store(path: &Path, error: StoreError) -> OpenError {
        match error {
            StoreError::Io(source) => OpenError::io(path, source),
            StoreError::Later(schema) => OpenError::Later { path: path.to_owned(), schema },
            StoreError::Damaged(what) | StoreError::Altered(what) => OpenError::io(path, io::Error::other(what)),
        }
    }
}

/// Why the open store did not do what it was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk failed, or is full.
    #[error("the store could not be read or written: {0}")]
    Io(io::Error),
    /// What was read is not what was written.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// A row is not what was written. The others can be read, and nothing was set aside.
    #[error("the store is damaged: {0}")]
    Altered(String),
    /// A later version of tanist made it, in this format.
    #[error("the store has the format {0} of a later version of tanist")]
    Later(u64),
}

impl StoreError {
    /// Sorts an error of a file.
    pub(super) fn io(error: io::Error) -> StoreError {
        StoreError::of(redb::Error::Io(error))
    }

    /// Sorts an error of the database.
    fn of(error: redb::Error) -> StoreError {
        match error {
            // redb makes these two itself when a file is not a store, or not all of one.
            redb::Error::Io(error)
                if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                StoreError::Damaged(error.to_string())
            }
            redb::Error::Io(error) => StoreError::Io(error),
            redb::Error::PreviousIo => StoreError::Io(io::Error::other("an earlier attempt failed")),
            // It is being opened anew, while somebody still reads.
            redb::Error::DatabaseClosed => StoreError::Io(io::Error::other("it was closed")),
            redb::Error::DatabaseAlreadyOpen => StoreError::Io(io::Error::other("another process has it open")),
            other => StoreError::Damaged(other.to_string()),
        }
    }
}

macro_rules! from_database {
    ($($error:ident)*) => {
        $(impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> Self {
                StoreError::of(error.into())
            }
        })*
    };
}

from_database! { DatabaseError TransactionError TableError StorageError CommitError }
