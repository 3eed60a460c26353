//! The data on one machine: the tables of the ledger, and the log of what they do not have yet.
//!
//! A [`DataStore`] has a folder of its own beside the identity's file: `data.redb`, the tables, and two files of a log. It
//! blocks, and is driven by a thread of its own, so an election never waits behind it.
//!
//! - **Order and append** change memory only: what was ordered can be sent while the disk works.
//! - **Sync** writes all of it to the log, with one write and one sync.
//! - **Commit** applies what is durable to the tables, without a sync. Readers see what is committed, by [`Reader`].
//! - **A checkpoint** makes the tables durable and begins the other file of the log. It comes when a file has had
//!   [`SEGMENT`] bytes of records, and at the end.
//!
//! After any crash the store opens with everything up to the last sync that returned, in order and nothing by halves: the
//! tables as they were at the last checkpoint, and the log again. What the log says was committed is committed.
//!
//! When the disk fails, what was not durable is dropped from memory, and the next call tries again. A copy that is damaged
//! is set aside, and then there is none: the caller fetches another. Nothing is made before the first write.

mod error;
mod files;
mod log;
mod overflow;
mod record;
mod recovery;
mod requests;
mod seal;
mod snapshot;
mod tables;
#[cfg(test)]
mod tests;
mod writing;

pub use error::{DataError, SetAside};
pub use files::{DAMAGED_MAX, Files, Folder, OpenFile};
pub use log::SEGMENT;
pub use overflow::HELD;
pub use snapshot::{Reader, Snapshot};
pub use tables::CACHE;
pub use writing::Writing;

use super::{OpenError, StoreError};
use crate::data::{Context, ReignId, Request, Revision};
use crate::ledger::limits::Limits;
use crate::ledger::{Appended, Facts, Ledger, Ordered, Trouble};
use bytes::Bytes;
use log::Log;
use recovery::{Failed, sorted};
use requests::Requests;
use std::collections::VecDeque;
use std::path::Path;
use tables::{Marks, Tables};

/// A store, and what had to be done to have one.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: DataStore,
    /// The damaged copy that was found in its place.
    pub set_aside: Option<SetAside>,
}

/// The data of one machine.
#[derive(Debug)]
pub struct DataStore {
    files: Box<dyn Files>,
    limits: Limits,
    segment: u64,
    tables: Tables,
    marks: Marks,
    requests: Requests,
    /// None until it was found, and after a failure that leaves open whether it counts.
    log: Option<Log>,
    /// None after a failure, until the next call.
    ledger: Option<Ledger>,
    /// What was ordered or appended since the last sync, at most [`crate::ledger::limits::PENDING`] bytes twice.
    unlogged: Vec<Bytes>,
    /// What is read next counts, whatever it is.
    accepts: bool,
    /// What counted so, and is not what was written.
    accepted: Vec<String>,
    /// Parts of a joined whole lie aside: a file of the log that is begun now would lack the first ones.
    parts: bool,
    durable: Revision,
    committed: Revision,
    /// The last commit that the log knows of.
    noted: Revision,
    /// The highest number that was given in this process, also to what was dropped then.
    given: u64,
}

impl DataStore {
    /// Opens the data of a folder, which is made with the first write. A damaged copy is no error: it is set aside.
    ///
    /// # Errors
    /// When the folder cannot be used, or was written by a later version.
    pub fn open(dir: &Path) -> Result<Opened, OpenError> {
        let files = Folder::new(dir).map_err(|error| OpenError::io(dir, error))?;
        DataStore::with_files(Box::new(files), Limits::default(), SEGMENT).map_err(|error| OpenError::store(dir, error))
    }

    /// The same in a place of the caller's own, such as a simulated disk, with a checkpoint after `segment` bytes of
    /// records ([`SEGMENT`]).
    ///
    /// # Errors
    /// When the files cannot be used, or were written by a later version.
    pub fn with_files(files: Box<dyn Files>, limits: Limits, segment: u64) -> Result<Opened, StoreError> {
        let mut store = DataStore {
            files,
            limits,
            segment,
            tables: Tables::default(),
            marks: Marks::default(),
            requests: Requests::default(),
            log: None,
            ledger: None,
            unlogged: Vec::new(),
            accepts: false,
            accepted: Vec::new(),
            parts: false,
            durable: Revision::ZERO,
            committed: Revision::ZERO,
            noted: Revision::ZERO,
            given: 0,
        };
        let set_aside = match store.load_or_bear() {
            Ok(()) => None,
            Err(StoreError::Damaged(what)) => Some(store.begin_anew(what)?),
            Err(error) => return Err(error),
        };
        Ok(Opened { store, set_aside })
    }

    /// Judges requests and makes a batch ([`Ledger::order`]). It is in memory only, and can be sent already.
    ///
    /// Numbers that were given before a failure are not given again.
    ///
    /// # Errors
    /// When the disk fails: what was taken from the queue is then not done, and has no answer.
    pub fn order(&mut self, reign: ReignId, above: u64, queue: &mut VecDeque<Request>) -> Result<Ordered, DataError> {
        let above = above.max(self.given);
        let ordered = self.run(None, |ledger, tables| ledger.order(&*tables, reign, above, queue))?;
        if let Some(batch) = &ordered.batch {
            self.remember([batch.bytes.clone()]);
            self.parts = false;
        }
        Ok(ordered)
    }

    /// Takes in a batch of the leader ([`Ledger::append`]), in memory only.
    ///
    /// # Errors
    /// When it cannot be read or does not fit, and when the disk fails.
    pub fn append(&mut self, bytes: &Bytes) -> Result<Appended, DataError> {
        if self.parts && self.holds() {
            // What continues a joined whole commits it, and nothing is committed that is not durable.
            self.sync()?;
        }
        self.make_tables()?;
        let (appended, put_aside) =
            self.run(None, |ledger, tables| Ok((ledger.append(tables, bytes)?, tables.put_aside)))?;
        if appended == Appended::New {
            self.remember([bytes.clone()]);
            self.parts = put_aside.unwrap_or(false);
        }
        Ok(appended)
    }

    /// Makes durable all that was ordered and appended. Says up to where the store is durable.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn sync(&mut self) -> Result<Revision, DataError> {
        self.ready()?;
        if self.unlogged.is_empty() {
            return Ok(self.durable);
        }
        if !self.log().is_open() {
            self.turn()?;
            return Ok(self.durable);
        }
        let log = self.log.as_mut().expect("it was found");
        if let Err(error) = log.write(&self.unlogged) {
            return Err(self.fail(error, Failed::Log));
        }
        self.now_durable();
        self.note();
        Ok(self.durable)
    }

    /// Applies to the tables what is durable, up to a position, and shows it to readers. Says up to where they are now.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn commit(&mut self, through: Revision) -> Result<Revision, DataError> {
        self.ready()?;
        let through = through.min(self.durable);
        if through.number > self.committed.number {
            if !self.log().is_open() {
                // There must be a log that can be told of it.
                self.turn()?;
            }
            self.make_tables()?;
            self.run(None, |ledger, tables| ledger.commit(tables, through))?;
            self.note();
        }
        if self.log().is_worn() && !self.parts {
            self.turn()?;
        }
        Ok(self.committed)
    }

    /// Makes the tables durable and begins the other file of the log, when there is a reason to; all that was ordered and
    /// appended is durable on return. While parts of a joined whole are on their way the file is not changed.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn checkpoint(&mut self) -> Result<(), DataError> {
        self.sync()?;
        if (self.tables.are_ahead() || self.log().is_used()) && !self.parts {
            self.turn()?;
        }
        Ok(())
    }

    /// Ends with a checkpoint. The next start then has nothing to read again.
    ///
    /// # Errors
    /// When the disk fails: then the next start reads the log again.
    pub fn close(mut self) -> Result<(), DataError> {
        self.checkpoint()
    }

    /// What is committed.
    ///
    /// # Errors
    /// While the disk fails.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.tables.snapshot()
    }

    /// The way to snapshots, for other threads. It leads to this store also when its copy is replaced.
    pub fn reader(&self) -> Reader {
        Reader(self.tables.shared())
    }

    /// The revision of the last change that was taken in, durable or not.
    pub fn position(&self) -> Revision {
        self.ledger.as_ref().map_or(self.durable, Ledger::position)
    }

    /// The revision up to which everything is durable.
    pub fn durable(&self) -> Revision {
        self.durable
    }

    /// Whether something was ordered or appended that is not durable.
    pub fn owes_disk(&self) -> bool {
        !self.unlogged.is_empty()
    }

    /// Whether that is so much that nothing more should be before it is durable.
    pub fn owes_much(&self) -> bool {
        self.unlogged.iter().map(Bytes::len).sum::<usize>() > self.limits.unfold
    }

    /// What readers see.
    pub fn committed(&self) -> Revision {
        self.committed
    }

    /// What was seen, pending changes included. None after a failure of the disk, until a call succeeds.
    pub fn context(&self) -> Option<&Context> {
        self.ledger.as_ref().map(Ledger::context)
    }

    /// The highest number that must not be given again.
    pub fn highest(&self) -> u64 {
        self.ledger.as_ref().map_or(0, Ledger::highest).max(self.given)
    }

    /// Whether a damaged copy was set aside and nothing has taken its place. Readers see nothing meanwhile.
    pub fn is_lost(&self) -> bool {
        self.tables.are_lost()
    }

    /// What is here counts, although a damaged copy was set aside: nobody has a better one.
    pub fn trust(&mut self) {
        self.tables.set_lost(false);
    }

    /// What somebody has read that is not what was written, the first time.
    pub fn doubt(&self) -> Option<String> {
        self.tables.doubt().why().map(str::to_owned)
    }

    /// The owner reads on what can be doubted. Readers still get an error for what is not what was written.
    pub fn bear_doubt(&mut self) {
        self.tables.doubt().bear();
    }

    /// Nobody has a better copy: what is here is the truth from now on, for readers too. Says what is not what was written.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn accept(&mut self) -> Result<Vec<String>, DataError> {
        self.sync()?;
        self.bear_doubt();
        self.drop_unsynced(Failed::Tables);
        self.accepts = true;
        self.ready()?;
        Ok(std::mem::take(&mut self.accepted))
    }

    /// Whether requests must wait ([`Ledger::holds`]).
    pub fn holds(&self) -> bool {
        self.ledger.as_ref().is_none_or(Ledger::holds)
    }

    /// Position, digest and counts of what is committed.
    ///
    /// # Errors
    /// While the disk fails.
    pub fn facts(&self) -> Result<Facts, StoreError> {
        self.snapshot()?.facts()
    }

    /// Whether a piece of an offer must wait ([`Ledger::holds_offers`]).
    pub fn holds_offers(&self) -> bool {
        self.ledger.as_ref().is_none_or(Ledger::holds_offers)
    }

    /// What is pending after a position ([`Ledger::pending_after`]).
    ///
    /// # Errors
    /// When the disk fails.
    pub fn pending_after(&mut self, position: Revision) -> Result<Option<Vec<Bytes>>, DataError> {
        self.run(None, |ledger, tables| ledger.pending_after(&*tables, position))
    }

    /// Any other call of the ledger, as one transaction. Batches that it makes are for [`DataStore::remember`].
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn with_ledger<T>(
        &mut self,
        act: impl FnOnce(&mut Ledger, &mut Writing<'_>) -> Result<T, Trouble<StoreError>>,
    ) -> Result<T, DataError> {
        self.make_tables()?;
        self.run(None, act)
    }

    /// A call of the ledger that touches nothing but memory. Nothing while there is none.
    pub fn with_ledger_only(&mut self, act: impl FnOnce(&mut Ledger)) {
        if let Some(ledger) = &mut self.ledger {
            act(ledger);
        }
    }

    /// Somebody met trouble in a snapshot of this store: it is as if this store had met it.
    pub fn found(&mut self, trouble: Trouble<StoreError>) -> DataError {
        self.fail(recovery::of(trouble), Failed::Tables)
    }

    /// Has batches, which the ledger just made, written to the log with the next sync.
    pub fn remember(&mut self, batches: impl IntoIterator<Item = Bytes>) {
        self.unlogged.extend(batches);
    }

    /// A call of the ledger whose outcome takes the place of all that there was, such as the adoption of another's state:
    /// one transaction, durable on return, after which the log so far does not count. What is pending then is for
    /// [`DataStore::remember`].
    ///
    /// # Errors
    /// Those of the ledger. When the disk fails either all of it has happened or nothing.
    pub fn adopt<T>(
        &mut self,
        act: impl FnOnce(&mut Ledger, &mut Writing<'_>) -> Result<T, Trouble<StoreError>>,
    ) -> Result<T, DataError> {
        self.make_tables()?;
        let marks = Marks { needed: 0, void: self.log().highest() };
        let adopted = self.run(Some(marks), act)?;
        self.tables.set_lost(false);
        self.log = Some(Log::after(marks.void, self.segment));
        self.marks = marks;
        self.parts = false;
        self.unlogged.clear();
        (self.durable, self.noted) = (self.committed, self.committed);
        Ok(adopted)
    }

    /// Moves the copy out of the way, for example because it differs from the leader's. Then there is none.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn set_aside(&mut self, why: &str) -> Result<SetAside, DataError> {
        self.begin_anew(why.to_owned()).map_err(sorted)
    }

    /// An empty store beside this one, to be filled with a copy and to take its place.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn beside(&self) -> Result<DataStore, DataError> {
        let files = self.files.beside().map_err(DataError::Disk)?;
        let opened = DataStore::with_files(files, self.limits, self.segment).map_err(sorted)?;
        Ok(opened.store)
    }

    fn log(&self) -> &Log {
        self.log.as_ref().expect("a store that is ready has found it")
    }

    /// What [`DataStore::beside`] gave takes the place of this store: after a crash there is all of the one, or all of the
    /// other.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn replace_with(&mut self, copy: DataStore) -> Result<(), DataError> {
        copy.close()?;
        self.forget_all();
        self.tables.begin_anew();
        let replaced = self.files.replace();
        self.ready()?;
        replaced.map_err(DataError::Disk)
    }
}
