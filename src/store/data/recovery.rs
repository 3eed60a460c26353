//! How a store comes to its state: at the start, again after a failure, and when the log goes on in its other file.

use super::super::StoreError;
use super::log::{Log, Logged};
use super::requests::Requests;
use super::tables::{Marks, Tables};
use super::writing::Writing;
use super::{DataError, DataStore, SetAside};
use crate::data::Revision;
use crate::ledger::{Appended, Ledger, Trouble, Unfit, Unread, accept, read_batch};
use bytes::Bytes;

/// Bytes of the log that are read again before that of them is committed which is known to be, so that memory holds
/// little.
const REPLAYED: usize = 4 << 20;

/// What failed, and is to be opened anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failed {
    /// The log. The tables are good.
    Log,
    /// The tables, at least.
    Tables,
}

impl DataStore {
    /// One call of the ledger: what it writes is one transaction. With `marks` it is durable, and they are part of it.
    pub(super) fn run<T>(
        &mut self,
        marks: Option<Marks>,
        act: impl FnOnce(&mut Ledger, &mut Writing<'_>) -> Result<T, Trouble<StoreError>>,
    ) -> Result<T, DataError> {
        self.ready()?;
        let ledger = self.ledger.as_mut().expect("the store is ready");
        let mut put_aside = None;
        let done = self.tables.transact(&mut self.requests, marks, |tables| {
            let done = act(&mut *ledger, tables);
            put_aside = tables.put_aside;
            done
        });
        self.given = self.given.max(ledger.highest());
        if matches!(done, Ok(_) | Err(Trouble::Unread(_) | Trouble::Unfit(_))) {
            // Otherwise nothing was written, whatever the ledger has come to in memory.
            self.parts = put_aside.unwrap_or(self.parts);
            self.committed = ledger.committed();
        }
        done.map_err(|trouble| match trouble {
            Trouble::Unread(why) => DataError::Unread(why),
            Trouble::Unfit(why) => DataError::Unfit(why),
            Trouble::Storage(error) => self.fail(error, Failed::Tables),
            Trouble::Damaged(_) => self.fail(of(trouble), Failed::Tables),
            Trouble::Missing => {
                self.drop_unsynced(Failed::Tables);
                self.ready().err().unwrap_or(DataError::Missing)
            }
            Trouble::Differs => {
                self.drop_unsynced(Failed::Tables);
                self.ready().err().unwrap_or(DataError::Differs)
            }
        })
    }

    /// Makes the tables, if there are none.
    pub(super) fn make_tables(&mut self) -> Result<(), DataError> {
        self.ready()?;
        self.tables.make(&mut *self.files).map_err(|error| self.fail(error, Failed::Tables))
    }

    /// Opens anew what failed.
    pub(super) fn ready(&mut self) -> Result<(), DataError> {
        if self.ledger.is_some() {
            return Ok(());
        }
        match self.load_or_bear() {
            Ok(()) => Ok(()),
            Err(StoreError::Damaged(what)) => Err(self.begin_anew(what).map_or_else(sorted, DataError::SetAside)),
            Err(error) => {
                self.drop_unsynced(Failed::Tables);
                Err(sorted(error))
            }
        }
    }

    /// What is not durable is gone, and what failed is opened anew, at the latest by the next call.
    pub(super) fn fail(&mut self, error: StoreError, failed: Failed) -> DataError {
        self.drop_unsynced(failed);
        match error {
            StoreError::Damaged(what) => self.begin_anew(what).map_or_else(sorted, DataError::SetAside),
            StoreError::Altered(what) => DataError::Altered(what),
            StoreError::Later(format) => DataError::Later(format),
            StoreError::Io(error) => match self.ready() {
                Err(worse @ DataError::SetAside(_)) => worse,
                _ => DataError::Disk(error),
            },
        }
    }

    pub(super) fn drop_unsynced(&mut self, failed: Failed) {
        self.ledger = None;
        self.unlogged.clear();
        self.parts = false;
        if let Some(log) = &mut self.log {
            log.cut();
        }
        if failed == Failed::Tables {
            self.tables.close();
        }
    }

    /// Closes everything. Whatever the files hold is found anew.
    pub(super) fn forget_all(&mut self) {
        self.drop_unsynced(Failed::Tables);
        self.log = None;
        (self.durable, self.committed, self.noted) = Default::default();
    }

    /// Sets the copy aside, and begins without one.
    pub(super) fn begin_anew(&mut self, what: String) -> Result<SetAside, StoreError> {
        self.forget_all();
        self.tables.begin_anew();
        self.tables.set_lost(true);
        let path = self.files.set_aside().map_err(StoreError::io)?;
        self.load()?;
        Ok(SetAside { what, path })
    }

    /// The same as [`DataStore::load`]; a row that is not what was written is borne: others may hold what this copy lacks,
    /// and this one has what nobody else may have.
    pub(super) fn load_or_bear(&mut self) -> Result<(), StoreError> {
        match self.load() {
            Err(StoreError::Altered(_)) => {
                self.drop_unsynced(Failed::Tables);
                self.tables.doubt().bear();
                self.load()
            }
            done => done,
        }
    }

    /// Comes to the state of the tables and the log.
    fn load(&mut self) -> Result<(), StoreError> {
        if self.tables.is_closed() {
            self.marks = self.tables.open(&mut *self.files)?;
            self.requests = self.tables.snapshot()?.requests()?;
        }
        if self.accepts {
            let accept = |tables: &mut Writing<'_>| {
                let names = tables.accept().map_err(Trouble::Storage)?;
                accept(tables).map(|()| names)
            };
            self.accepted = self.tables.transact(&mut self.requests, None, accept).map_err(of)?;
            self.tables.begin_anew();
            self.accepts = false;
        }
        let Marks { needed, void } = self.marks;
        let log = match self.log.take() {
            // An adoption failed, and yet happened: it took the place of all that there was.
            Some(log) if log.is_begun() && log.generation() <= void => {
                (self.durable, self.committed, self.noted) = Default::default();
                Log::after(void, self.segment)
            }
            Some(log) => log,
            None => Log::find(&mut *self.files, void, needed, self.segment)?,
        };
        let log = self.log.insert(log);
        if log.is_begun() {
            self.tables.make(&mut *self.files)?;
        }
        let (tables, requests) = (&self.tables, &mut self.requests);
        let ledger = tables.transact(requests, None, |tables| Ledger::open(tables, self.limits)).map_err(of)?;
        let from = ledger.position();
        if log.base().is_some_and(|base| base.number > from.number) {
            return Err(damaged("the tables lack what was durable in them"));
        }
        let noted = self.committed;
        let mut replay = Replay { tables, requests, ledger, from, noted, bytes: 0, parts: false };
        log.replay(|logged| replay.take(logged))?;
        replay.commit()?;
        let Replay { ledger, noted, parts, .. } = replay;
        if ledger.position().number < noted.number.max(self.durable.number) {
            return Err(damaged("the log lacks what was durable in it"));
        }
        self.committed = ledger.committed();
        self.durable = ledger.position();
        self.noted = self.committed;
        self.parts = parts;
        self.given = self.given.max(ledger.highest());
        self.ledger = Some(ledger);
        self.tables.show();
        Ok(())
    }

    /// Makes the tables durable, and begins the other file of the log with all that they lack.
    pub(super) fn turn(&mut self) -> Result<(), DataError> {
        let log = self.log.as_mut().expect("it was found");
        let marks = Marks { needed: log.generation().max(self.marks.needed), ..self.marks };
        if self.tables.are_ahead() {
            // A disk that takes nothing is found out before the tables are in trouble: readers go on.
            log.try_other(&mut *self.files).map_err(|error| self.fail(error, Failed::Log))?;
            self.tables.flush().map_err(|error| self.fail(error, Failed::Log))?;
            self.tables.make_durable(marks).map_err(|error| self.fail(error, Failed::Tables))?;
            self.marks = marks;
        }
        let committed = self.committed;
        let pending = self.run(None, |ledger, tables| {
            let pending = ledger.pending_after(&*tables, committed)?;
            let mut pending = pending.expect("what is committed ends with a batch");
            pending.extend(ledger.begun_parts(&*tables)?);
            Ok(pending)
        })?;
        let log = self.log.as_mut().expect("it was found");
        log.begin(&mut *self.files, committed, &pending).map_err(|error| self.fail(error, Failed::Log))?;
        self.now_durable();
        self.noted = committed;
        Ok(())
    }

    /// All that was taken in is durable.
    pub(super) fn now_durable(&mut self) {
        self.unlogged.clear();
        self.durable = self.position();
    }

    /// Notes in the log what is committed.
    pub(super) fn note(&mut self) {
        if self.noted.number < self.committed.number && self.committed.number <= self.durable.number {
            self.log.as_mut().expect("it was found").note(self.committed);
            self.noted = self.committed;
        }
    }
}

/// The log is read again, over the tables.
struct Replay<'a> {
    tables: &'a Tables,
    requests: &'a mut Requests,
    ledger: Ledger,
    /// The position of the tables.
    from: Revision,
    /// What is known to be committed.
    noted: Revision,
    /// Bytes that were taken in since the last commit.
    bytes: usize,
    /// Parts of a joined whole lie aside.
    parts: bool,
}

impl Replay<'_> {
    fn take(&mut self, logged: Logged) -> Result<(), StoreError> {
        match logged {
            Logged::Commit(committed) => self.noted = self.noted.max(committed),
            Logged::Batch(bytes) => {
                if self.bytes >= REPLAYED {
                    self.commit()?;
                }
                self.append(&bytes)?;
            }
        }
        Ok(())
    }

    fn append(&mut self, bytes: &Bytes) -> Result<(), StoreError> {
        let ledger = &mut self.ledger;
        let appended = self.tables.transact(self.requests, None, |tables| {
            let appended = ledger.append(tables, bytes)?;
            Ok((appended, tables.put_aside))
        });
        match appended {
            Ok((Appended::Known, _)) => {}
            Ok((Appended::New, put_aside)) => {
                self.bytes += bytes.len();
                self.parts = put_aside.unwrap_or(false);
            }
            // The tables are beyond it, and have forgotten its reign; or it is part of a whole that came to nothing.
            Err(Trouble::Unfit(Unfit::NotNext)) if self.is_past(bytes) => {}
            Err(trouble) => return Err(of(trouble)),
        }
        Ok(())
    }

    fn is_past(&self, bytes: &Bytes) -> bool {
        read_batch(bytes).is_ok_and(|batch| batch.after.number < self.from.number)
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.bytes = 0;
        let (ledger, noted) = (&mut self.ledger, self.noted);
        if noted.number > ledger.committed().number {
            self.tables.transact(self.requests, None, |tables| ledger.commit(tables, noted)).map_err(of)?;
        }
        Ok(())
    }
}

/// Trouble with what is here already.
pub(super) fn of(trouble: Trouble<StoreError>) -> StoreError {
    match trouble {
        Trouble::Storage(error) => error,
        Trouble::Unread(Unread::Later(format)) => StoreError::Later(format.into()),
        Trouble::Unfit(_) => damaged("the log does not continue the tables"),
        other => damaged(&other.to_string()),
    }
}

pub(super) fn sorted(error: StoreError) -> DataError {
    match error {
        StoreError::Io(error) => DataError::Disk(error),
        StoreError::Later(format) => DataError::Later(format),
        StoreError::Altered(what) => DataError::Altered(what),
        StoreError::Damaged(what) => DataError::SetAside(SetAside { what, path: None }),
    }
}

fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(what.to_owned())
}
