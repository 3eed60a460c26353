//! The embedded store: identity, the reign that was shown, promises, remembered members, history (protocol §4, §7).
//!
//! One redb file, `tanist.redb`, in the state directory, and beside it `lock`, which keeps a second agent out. A write
//! is one transaction and durable when [`Store::apply`] returns. After any crash the store opens with everything that
//! was durable. A store that is damaged is never repaired by guessing, for it might then forget a promise: it is set
//! aside and a new one begun, and with it a new identity.

pub mod data;
mod error;
mod files;
mod rows;
mod tables;
#[cfg(test)]
mod tests;
mod worker;

pub use error::{OpenError, StoreError};
pub use worker::{GRACE, Worker};

pub(crate) use files::store_path;

use crate::ident::NodeId;
use crate::protocol::{BroughtReport, Durable, Reign, ReunionReport, Write};
use redb::{Builder, Database, Durability, ReadTransaction, ReadableDatabase, StorageBackend, WriteTransaction};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::{Path, PathBuf};

/// How many members are remembered; the one that was not heard for longest goes first (§11).
pub const MEMBERS_MAX: usize = 2048;
/// How many reigns the history keeps.
pub const REIGNS_MAX: usize = 1000;
/// How many reunions the history keeps.
pub const REUNIONS_MAX: usize = 1000;
/// How many damaged stores are kept beside the good one, the newest that were set aside.
pub const DAMAGED_MAX: usize = 4;
/// The memory that the database may use as a cache, in bytes: all that the core needs is read once, at the start.
const CACHE: usize = 256 * 1024;

/// Who this agent is (§4).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The lasting id.
    pub id: NodeId,
    /// The machine that the id was made on: on another one, a cloned image, it is not to be used.
    pub machine: String,
}

/// A store, and what had to be done to have one.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Where the damaged store was moved that was found in its place.
    pub set_aside: Option<PathBuf>,
}

/// The open store. Its lock is held until it is dropped.
#[derive(Debug)]
pub struct Store {
    /// None after a write failed, until the file is opened anew.
    database: Option<Database>,
    /// Where the file is that can be opened anew; none for a backend.
    path: Option<PathBuf>,
    _lock: Option<File>,
}

impl Store {
    /// Opens the store of a state directory, which is made when it is missing, for its owner alone.
    ///
    /// # Errors
    /// When the directory is in use, or cannot be used. A damaged store is no error: it is set aside.
    pub fn open(dir: &Path) -> Result<Opened, OpenError> {
        let lock = files::lock(dir)?;
        let path = files::store_path(dir);
        let (database, set_aside) = match files::existing(&path)? {
            files::Existing::Good(database) => (database, None),
            files::Existing::Missing => files::create(dir, false)?,
            files::Existing::Damaged => files::create(dir, true)?,
        };
        Ok(Opened { store: Store { database: Some(database), path: Some(path), _lock: Some(lock) }, set_aside })
    }

    /// The store on storage of the caller's own: the simulator's disk. Empty storage begins a new store.
    ///
    /// After a failed write such a store stays failed: drop it, and make another on the same storage. Storage on which
    /// the making of a new store was interrupted may count as damaged (a file is put in its place only when whole).
    ///
    /// # Errors
    /// When the storage fails, is damaged, or was written by a later version.
    pub fn with_backend(backend: impl StorageBackend) -> Result<Store, StoreError> {
        let database = files::checked(builder().create_with_backend(backend)?)?;
        Ok(Store { database: Some(database), path: None, _lock: None })
    }

    /// Carries out the writes, in order, as one transaction; it is durable on return.
    ///
    /// What would lower the shown or the promised epoch is left out. The histories and the remembered members lose
    /// their oldest entries beyond their limits.
    ///
    /// # Errors
    /// When the disk fails or is full. The file is then opened anew, at the latest by the next call. As with any disk, a
    /// transaction whose last flush failed may yet be found after a crash; the epochs in it are then too high, never too low.
    pub fn apply(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        self.transaction(|transaction| writes.iter().try_for_each(|write| tables::apply(transaction, write)))
    }

    /// Who this agent is; none in a new store.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn identity(&self) -> Result<Option<Identity>, StoreError> {
        tables::identity(&self.read()?)
    }

    /// Keeps who this agent is; durable on return.
    ///
    /// # Errors
    /// As [`Store::apply`].
    pub fn set_identity(&mut self, identity: &Identity) -> Result<(), StoreError> {
        self.transaction(|transaction| tables::set_identity(transaction, identity))
    }

    /// What the core needs to start.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn durable(&self) -> Result<Durable, StoreError> {
        tables::durable(&self.read()?)
    }

    /// The last reigns, newest first, at most `limit` (and [`REIGNS_MAX`]).
    ///
    /// # Errors
    /// When the disk fails.
    pub fn reigns(&self, limit: usize) -> Result<Vec<Reign>, StoreError> {
        tables::reigns(&self.read()?, limit)
    }

    /// The last reunions, newest first, at most `limit` (and [`REUNIONS_MAX`]).
    ///
    /// # Errors
    /// When the disk fails.
    pub fn reunions(&self, limit: usize) -> Result<Vec<ReunionReport>, StoreError> {
        tables::reunions(&self.read()?, limit)
    }

    /// What members brought last, newest first, at most `limit` (and [`REUNIONS_MAX`]).
    ///
    /// # Errors
    /// When the disk fails.
    pub fn brought(&self, limit: usize) -> Result<Vec<BroughtReport>, StoreError> {
        tables::brought(&self.read()?, limit)
    }

    fn read(&self) -> Result<ReadTransaction, StoreError> {
        Ok(self.database.as_ref().ok_or_else(failed)?.begin_read()?)
    }

    fn transaction(
        &mut self,
        work: impl FnOnce(&WriteTransaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.database.is_none() {
            // After one failure redb refuses everything until it is opened anew; a full disk may have space again.
            self.database = Some(files::reopen(self.path.as_deref().ok_or_else(failed)?)?);
        }
        let database = self.database.as_ref().ok_or_else(failed)?;
        let done = (|| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(Durability::Immediate).expect("no savepoints are used");
            work(&transaction)?;
            transaction.commit()?;
            Ok(())
        })();
        if done.is_err() {
            // Closed first: two of one file cannot be open.
            self.database = None;
            self.database = self.path.as_deref().and_then(|path| files::reopen(path).ok());
        }
        done
    }
}

fn failed() -> StoreError {
    StoreError::Io(std::io::Error::other("an earlier write failed"))
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}
