//! The files of the store: the lock, the store itself, a damaged one set aside.

use super::{DAMAGED_MAX, OpenError, StoreError, builder, tables};
use redb::Database;
use std::cell::Cell;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;

thread_local! {
    /// This thread reads a file that may be damaged: a panic means that it is, and is no news for users.
    static JUDGING: Cell<bool> = const { Cell::new(false) };
}

/// What is there in the place of a store.
pub(super) enum Existing {
    /// Nothing.
    Missing,
    /// A store, all of which can be read.
    Good(Database),
    /// Something else.
    Damaged,
}

/// Where the store of a state directory is.
pub(super) fn store_path(dir: &Path) -> PathBuf {
    dir.join("tanist.redb")
}

/// Makes the directory if need be, and locks it for this process.
pub(super) fn lock(dir: &Path) -> Result<File, OpenError> {
    if !dir.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| OpenError::io(dir, error))?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_dir(parent)?;
        }
    }
    let path = dir.join("lock");
    let lock = options().create(true).open(&path).map_err(|error| OpenError::io(&path, error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(OpenError::io(&path, error)),
    }
}

/// Opens the store, if there is one, and reads all of it.
pub(super) fn existing(path: &Path) -> Result<Existing, OpenError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Existing::Missing),
        Err(error) => return Err(OpenError::io(path, error)),
        Ok(_) => {}
    }
    // Whatever is no file must not even be opened: a pipe would hang.
    if !fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0) {
        return Ok(Existing::Damaged);
    }
    match reopen(path) {
        Ok(database) => Ok(Existing::Good(database)),
        Err(StoreError::Damaged(_)) => Ok(Existing::Damaged),
        Err(error) => Err(OpenError::store(path, error)),
    }
}

/// Opens a store that is there, and reads all of it. redb asserts much of what it reads: a panic is damage, too.
pub(super) fn reopen(path: &Path) -> Result<Database, StoreError> {
    let file = options().open(path).map_err(StoreError::Io)?;
    judge(|| checked(builder().create_file(file)?))
}

/// Looks at every page and every row of a database that was just opened.
pub(super) fn checked(mut database: Database) -> Result<Database, StoreError> {
    // A check that repaired something may have gone back to an earlier transaction, and forgotten a promise.
    if !database.check_integrity()? {
        return Err(StoreError::Damaged("its parts do not fit together".to_owned()));
    }
    tables::prepare(&database)?;
    tables::read_all(&database)?;
    Ok(database)
}

/// Takes a panic for damage, without a word on standard error. Whatever the work was made of is gone with the panic.
fn judge(work: impl FnOnce() -> Result<Database, StoreError>) -> Result<Database, StoreError> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let aloud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !JUDGING.get() {
                aloud(info);
            }
        }));
    });
    JUDGING.set(true);
    let judged = catch_unwind(AssertUnwindSafe(work));
    JUDGING.set(false);
    judged.unwrap_or_else(|_| Err(StoreError::Damaged("its parts contradict one another".to_owned())))
}

/// Makes a new store. It gets its name only when it is whole, so an interruption leaves no damaged one.
pub(super) fn create(dir: &Path) -> Result<Database, OpenError> {
    let path = store_path(dir);
    let unfinished = dir.join("tanist.redb.new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(OpenError::io(&unfinished, error)),
        _ => {}
    }
    let file = options().create_new(true).open(&unfinished).map_err(|error| OpenError::io(&unfinished, error))?;
    let database = builder().create_file(file).map_err(StoreError::from);
    let database = database.and_then(|database| tables::prepare(&database).map(|()| database));
    let database = database.map_err(|error| OpenError::store(&unfinished, error))?;
    fs::rename(&unfinished, &path).map_err(|error| OpenError::io(&path, error))?;
    sync_dir(dir)?;
    Ok(database)
}

/// How the name of a damaged store begins.
const DAMAGED: &str = "tanist.redb.damaged-";

/// Moves a damaged store away: its name then tells when it was last written to. Of those that were moved away before, the
/// newest are kept, [`DAMAGED_MAX`] in all.
pub(super) fn set_aside(dir: &Path) -> Result<PathBuf, OpenError> {
    let path = store_path(dir);
    let written = fs::symlink_metadata(&path).map_err(|error| OpenError::io(&path, error))?.mtime();
    let name = format!("{DAMAGED}{written}");
    let mut aside = dir.join(&name);
    let mut copy = 1_u32;
    while fs::symlink_metadata(&aside).is_ok() {
        copy += 1;
        aside = dir.join(format!("{name}-{copy}"));
    }
    fs::rename(&path, &aside).map_err(|error| OpenError::io(&path, error))?;
    sync_dir(dir)?;
    forget_damaged(dir, &aside);
    Ok(aside)
}

/// Removes the oldest damaged stores beyond the limit, never the one that was just set aside. What cannot be removed, or
/// is no file, stays: that is no reason not to start.
fn forget_damaged(dir: &Path, newest: &Path) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut others: Vec<_> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(DAMAGED)))
        .filter(|entry| entry.path() != newest)
        .filter_map(|entry| {
            // Its status changed last when it was moved.
            let facts = fs::symlink_metadata(entry.path()).ok().filter(|facts| !facts.is_dir())?;
            Some((facts.ctime(), facts.ctime_nsec(), entry.path()))
        })
        .collect();
    others.sort_unstable();
    let beyond = (others.len() + 1).saturating_sub(DAMAGED_MAX);
    for (_, _, path) in others.into_iter().take(beyond) {
        let _ = fs::remove_file(path);
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Makes a name in a directory as durable as the file.
fn sync_dir(dir: &Path) -> Result<(), OpenError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| OpenError::io(dir, error))
}
