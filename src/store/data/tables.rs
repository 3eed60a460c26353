//! The tables: a redb file, made with the first write, and the snapshots that readers take of it.

use super::super::StoreError;
use super::super::files::{judge, refuse_later};
use super::files::Files;
use super::overflow::Overflow;
use super::requests::Requests;
use super::seal::{Doubt, Seals, seal};
use super::snapshot::Snapshot;
use super::writing::Writing;
use crate::ledger::{Table, Trouble};
use redb::{
    Builder, Database, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    TableHandle, WriteTransaction,
};
use std::cell::{Cell, OnceCell};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The name of the file.
const NAME: &str = "data.redb";
/// Its name until it is whole.
const UNFINISHED: &str = "data.redb.new";
/// The memory that the database may use as a cache, in bytes.
pub const CACHE: usize = 8 << 20;

/// The format of the tables. It grows only when an older program could not read what a newer one wrote.
const SCHEMA: u64 = 2;
/// The same without seals.
const UNSEALED: u64 = 1;
/// So many rows are given seals at a time.
const SEALED: usize = 1024;
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// A table as it is opened.
pub(super) type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// How a table is opened.
pub(super) fn definition(table: Table) -> Rows {
    TableDefinition::new(table.name())
}

/// What the tables say of the log.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Marks {
    /// This generation was begun before the tables were made durable.
    pub needed: u64,
    /// Generations up to this one do not count: the tables took the place of all that was in them.
    pub void: u64,
}

impl Marks {
    const NAMES: [&str; 2] = ["log-needed", "log-void"];
}

/// The file, if it is there.
#[derive(Debug, Default)]
enum State {
    /// It was closed, because something failed. It is to be opened anew.
    #[default]
    Closed,
    /// Nothing was ever written.
    Missing,
    Open(Open),
}

/// An open file.
#[derive(Clone, Debug)]
struct Open {
    database: Arc<Database>,
    file: Overflow,
}

impl Open {
    fn new(database: Database, file: Overflow) -> Open {
        Open { database: Arc::new(database), file }
    }
}

/// The tables, as their owner has them.
#[derive(Debug, Default)]
pub(super) struct Tables {
    shared: Arc<Shared>,
    /// Something was committed that is not durable.
    ahead: Cell<bool>,
}

/// What the owner has in common with the readers.
#[derive(Debug, Default)]
pub(super) struct Shared {
    held: Mutex<Held>,
    /// What is known of damage in the present copy.
    doubt: Mutex<Doubt>,
    /// The copy was set aside, and nothing has taken its place.
    lost: AtomicBool,
}

#[derive(Debug, Default)]
struct Held {
    state: State,
    /// The present one, when somebody has asked for it: what nobody reads is not kept.
    snapshot: Option<Snapshot>,
    /// The file was opened, and what the log has beyond it is not in the tables again yet.
    behind: bool,
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn doubt(&self) -> Doubt {
        self.doubt.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is committed. Readers never see less than they have seen.
    pub(super) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let held = self.held();
        if self.lost.load(Ordering::Relaxed) {
            return Err(StoreError::Io(std::io::Error::other(
                "it was damaged, and is fetched anew from another machine",
            )));
        }
        if held.behind { Err(closed()) } else { self.take(held, false) }
    }

    fn take(&self, mut held: MutexGuard<'_, Held>, owner: bool) -> Result<Snapshot, StoreError> {
        let seals = Seals { doubt: self.doubt(), owner };
        if let Some(snapshot) = &held.snapshot {
            return Ok(snapshot.with(seals));
        }
        let snapshot = match &held.state {
            State::Closed => return Err(closed()),
            State::Missing => Snapshot::empty(seals),
            State::Open(open) => Snapshot::of(judge(|| Ok(open.database.begin_read()?))?, seals),
        };
        held.snapshot = Some(snapshot.clone());
        Ok(snapshot)
    }
}

impl Tables {
    /// Another way to the snapshots.
    pub(super) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// What is committed, for the owner, also while the log is read again.
    pub(super) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.shared.take(self.shared.held(), true)
    }

    /// What is known of damage in the present copy.
    pub(super) fn doubt(&self) -> Doubt {
        self.shared.doubt()
    }

    /// Another copy takes the place of this one: what was found in this one does not count.
    pub(super) fn begin_anew(&self) {
        *self.shared.doubt.lock().unwrap_or_else(PoisonError::into_inner) = Doubt::default();
    }

    /// The log has been read again: readers see the tables.
    pub(super) fn show(&self) {
        self.shared.held().behind = false;
    }

    /// Whether the copy was set aside and nothing has taken its place: until then readers see nothing.
    pub(super) fn are_lost(&self) -> bool {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// See [`Tables::are_lost`].
    pub(super) fn set_lost(&self, lost: bool) {
        self.shared.lost.store(lost, Ordering::Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.shared.held().state, State::Closed)
    }

    /// Whether something was committed that is not durable.
    pub(super) fn are_ahead(&self) -> bool {
        self.ahead.get()
    }

    /// The file, when it is open.
    fn opened(&self) -> Option<Open> {
        match &self.shared.held().state {
            State::Open(open) => Some(open.clone()),
            State::Closed | State::Missing => None,
        }
    }

    /// Opens the file, if there is one, and says what it knows of the log. Readers see it from [`Tables::show`] on.
    pub(super) fn open(&self, files: &mut dyn Files) -> Result<Marks, StoreError> {
        assert!(self.is_closed(), "two of one file cannot be open");
        self.ahead.set(false);
        let Some(file) = files.open(NAME).map_err(StoreError::io)? else {
            *self.shared.held() = Held { state: State::Missing, snapshot: None, behind: true };
            return Ok(Marks::default());
        };
        if file.len().map_err(StoreError::io)? == 0 {
            return Err(StoreError::Damaged("the file of the tables is empty".to_owned()));
        }
        refuse_later(|at, bytes| file.read(at, bytes))?;
        let file = Overflow::new(file);
        let (database, marks) = judge(|| {
            let database = database(&file)?;
            upgrade(&database)?;
            let marks = marks(&database.begin_read()?)?;
            Ok((database, marks))
        })?;
        *self.shared.held() = Held { state: State::Open(Open::new(database, file)), snapshot: None, behind: true };
        Ok(marks)
    }

    /// Makes the file, if there is none. It gets its name only when it is whole, so an interruption leaves no damaged one.
    pub(super) fn make(&self, files: &mut dyn Files) -> Result<(), StoreError> {
        match &self.shared.held().state {
            State::Open(_) => return Ok(()),
            State::Closed => return Err(closed()),
            State::Missing => {}
        }
        let file = Overflow::new(files.create(UNFINISHED).map_err(StoreError::io)?);
        let made = judge(|| {
            let database = database(&file)?;
            let write = lasting(&database)?;
            write.open_table(META)?.insert("schema", SCHEMA)?;
            for table in Table::ALL {
                write.open_table(definition(table))?;
            }
            write.commit()?;
            Ok(database)
        })?;
        files.rename(UNFINISHED, NAME).map_err(StoreError::io)?;
        let mut held = self.shared.held();
        (held.state, held.snapshot) = (State::Open(Open::new(made, file)), None);
        Ok(())
    }

    /// Does what one call writes, as one transaction. With `marks` it is durable, and they are part of it.
    ///
    /// After trouble that leaves the ledger broken nothing is written; the requests may then differ from their rows.
    pub(super) fn transact<T>(
        &self,
        requests: &mut Requests,
        marks: Option<Marks>,
        act: impl FnOnce(&mut Writing<'_>) -> Result<T, Trouble<StoreError>>,
    ) -> Result<T, Trouble<StoreError>> {
        let database = self.opened().map(|open| open.database);
        let transaction = OnceCell::new();
        if let (Some(_), Some(database)) = (marks, &database) {
            let begun = judge(|| lasting(database)).map_err(Trouble::Storage)?;
            assert!(transaction.set(begun).is_ok(), "there was none");
        }
        let before = self.snapshot().map_err(Trouble::Storage)?;
        let mut writing = Writing::new(before, database.as_deref(), &transaction, requests);
        let done = act(&mut writing);
        quietly(writing).map_err(Trouble::Storage)?;
        let Some(write) = transaction.into_inner() else { return done };
        if matches!(done, Err(Trouble::Storage(_) | Trouble::Damaged(_) | Trouble::Missing | Trouble::Differs)) {
            quietly(write).map_err(Trouble::Storage)?;
            return done;
        }
        // What nobody reads any more can be used again at once.
        self.publish();
        let committed = judge(|| {
            marks.filter(|_| done.is_ok()).map_or(Ok(()), |marks| mark(&write, marks))?;
            Ok(write.commit()?)
        });
        committed.map_err(Trouble::Storage)?;
        self.publish();
        self.ahead.set(marks.is_none());
        done
    }

    /// What is committed now is what the next snapshot shows.
    fn publish(&self) {
        self.shared.held().snapshot = None;
    }

    /// Closes the file. What was committed since the last time that it was made durable is kept as long as that works.
    pub(super) fn close(&self) {
        let held = std::mem::take(&mut *self.shared.held());
        let _ = quietly(held);
    }

    /// Gives the disk what it did not take when it was full. As long as it does not, the tables are as they were.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.opened().map_or(Ok(()), |open| open.file.flush().map_err(StoreError::io))
    }

    /// Makes durable all that is committed, and with it what is to be known of the log.
    pub(super) fn make_durable(&self, marks: Marks) -> Result<(), StoreError> {
        let Some(Open { database, .. }) = self.opened() else { return Ok(()) };
        judge(|| {
            let write = lasting(&database)?;
            mark(&write, marks)?;
            write.commit()?;
            Ok(())
        })?;
        self.ahead.set(false);
        Ok(())
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        self.close();
    }
}

/// Drops what belongs to the database: even that may find damage.
fn quietly<T>(of_database: T) -> Result<(), StoreError> {
    judge(|| {
        drop(of_database);
        Ok(())
    })
}

fn closed() -> StoreError {
    StoreError::Io(std::io::Error::other("it is opened anew after a failure"))
}

fn database(file: &Overflow) -> Result<Database, StoreError> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    Ok(builder.create_with_backend(file.clone())?)
}

/// Begins a transaction that is durable when it is committed, and after which a crash needs no repair: that would read
/// the whole file.
fn lasting(database: &Database) -> Result<WriteTransaction, StoreError> {
    let mut write = database.begin_write()?;
    write.set_durability(Durability::Immediate).expect("no savepoints are used");
    write.set_quick_repair(true);
    Ok(write)
}

/// Writes what is to be known of the log.
fn mark(write: &WriteTransaction, marks: Marks) -> Result<(), StoreError> {
    let mut meta = write.open_table(META)?;
    for (name, number) in Marks::NAMES.into_iter().zip([marks.needed, marks.void]) {
        meta.insert(name, number)?;
    }
    Ok(())
}

/// Gives the rows of an earlier format their seals, all of them or none.
fn upgrade(database: &Database) -> Result<(), StoreError> {
    let schema = meta(&database.begin_read()?)?.get("schema")?.map(|schema| schema.value());
    if schema != Some(UNSEALED) {
        return Ok(());
    }
    let write = lasting(database)?;
    for table in Table::ALL {
        let mut rows = write.open_table(definition(table))?;
        let (mut sealed, mut last) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let from = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let mut next = Vec::new();
            for row in rows.range::<&[u8]>((from, Bound::Unbounded))?.take(SEALED) {
                let (key, value) = row?;
                next.push((key.value().to_vec(), value.value().to_vec()));
            }
            let Some((key, _)) = next.last() else { break };
            last = Some(key.clone());
            for (key, value) in &next {
                seal(table, key, value, &mut sealed);
                rows.insert(&key[..], &sealed[..])?;
            }
        }
    }
    write.open_table(META)?.insert("schema", SCHEMA)?;
    Ok(write.commit()?)
}

fn meta(read: &ReadTransaction) -> Result<ReadOnlyTable<&'static str, u64>, StoreError> {
    let names: Vec<String> = read.list_tables()?.map(|table| table.name().to_owned()).collect();
    if !names.iter().any(|name| name == META.name()) {
        return Err(StoreError::Damaged("the tables are those of another program".to_owned()));
    }
    Ok(read.open_table(META)?)
}

fn marks(read: &ReadTransaction) -> Result<Marks, StoreError> {
    let meta = meta(read)?;
    let number = |name| Ok::<_, StoreError>(meta.get(name)?.map(|number| number.value()));
    match number("schema")? {
        Some(SCHEMA) => {}
        Some(later) if later > SCHEMA => return Err(StoreError::Later(later)),
        _ => return Err(StoreError::Damaged("the format of the tables is unknown".to_owned())),
    }
    for table in Table::ALL {
        read.open_table(definition(table))?;
    }
    let [needed, void] = Marks::NAMES;
    Ok(Marks { needed: number(needed)?.unwrap_or(0), void: number(void)?.unwrap_or(0) })
}
