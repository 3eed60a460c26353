//! The files of the store: the lock, the store itself, a damaged one set aside.

use super::{DAMAGED_MAX, OpenError, StoreError, builder, tables};
use redb::Database;
use std::cell::Cell;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
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
pub(crate) fn store_path(dir: &Path) -> PathBuf {
    dir.join("tanist.redb")
}

/// Makes the directory if need be, and locks it for this process.
pub(super) fn lock(dir: &Path) -> Result<File, OpenError> {
    if !dir.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| OpenError::io(dir, error))?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_dir(parent).map_err(|error| OpenError::io(parent, error))?;
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

/// How a file of the database begins, and where in its two slots of transactions the number of its format is.
const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";
const FORMATS: [usize; 2] = [64, 192];
/// The format that the database reads and writes.
const FORMAT: u8 = 3;

/// Refuses a file in a later format of the database, which itself calls that damage. `read` fills the bytes at an offset.
pub(super) fn refuse_later(read: impl Fn(u64, &mut [u8]) -> io::Result<()>) -> Result<(), StoreError> {
    let mut head = [0; FORMATS[1] + 1];
    // What is too short, or no database, is for others to judge.
    if read(0, &mut head).is_err() || !head.starts_with(MAGIC) {
        return Ok(());
    }
    match FORMATS.iter().map(|at| head[*at]).max() {
        Some(later) if later > FORMAT => Err(StoreError::Later(later.into())),
        _ => Ok(()),
    }
}

/// Opens a store that is there, and reads all of it. redb asserts much of what it reads: a panic is damage, too.
pub(super) fn reopen(path: &Path) -> Result<Database, StoreError> {
    let file = options().open(path).map_err(StoreError::Io)?;
    refuse_later(|at, bytes| file.read_exact_at(bytes, at))?;
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
pub(super) fn judge<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let aloud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !JUDGING.get() {
                aloud(info);
            }
        }));
    });
    let outer = JUDGING.replace(true);
    let judged = catch_unwind(AssertUnwindSafe(work));
    JUDGING.set(outer);
    judged.unwrap_or_else(|_| Err(StoreError::Damaged("its parts contradict one another".to_owned())))
}

/// Makes a new store. It gets its name only when it is whole, so an interruption leaves no damaged one. A damaged store in
/// its place is moved away when the new one is there, so a disk that is full leaves everything as it was.
pub(super) fn create(dir: &Path, damaged: bool) -> Result<(Database, Option<PathBuf>), OpenError> {
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
    let aside = if damaged { Some(set_aside(dir)?) } else { None };
    fs::rename(&unfinished, &path).map_err(|error| OpenError::io(&path, error))?;
    sync_dir(dir).map_err(|error| OpenError::io(dir, error))?;
    Ok((database, aside))
}

/// Moves a damaged store away. Of those that were moved away before, the newest are kept, [`DAMAGED_MAX`] in all.
fn set_aside(dir: &Path) -> Result<PathBuf, OpenError> {
    let path = store_path(dir);
    move_aside(&path, DAMAGED_MAX, Aside::Files).map_err(|error| OpenError::io(&path, error))
}

/// What may be removed of the things that were moved away before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Aside {
    /// Files only.
    Files,
    /// Folders only, and all that is in them.
    Folders,
}

/// Moves something damaged away: its name then tells when it was last written to. Of those that were moved away before,
/// the newest are kept, `most` in all.
pub(super) fn move_aside(path: &Path, most: usize, what: Aside) -> io::Result<PathBuf> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let begins = format!("{name}.damaged-");
    let name = format!("{begins}{}", written(path)?);
    let mut aside = dir.join(&name);
    let mut copy = 1_u32;
    while fs::symlink_metadata(&aside).is_ok() {
        copy += 1;
        aside = dir.join(format!("{name}-{copy}"));
    }
    fs::rename(path, &aside)?;
    sync_dir(dir)?;
    forget_damaged(dir, &begins, &aside, most, what);
    Ok(aside)
}

/// When a file, or the newest in a folder, was last written to, in seconds.
fn written(path: &Path) -> io::Result<i64> {
    let own = fs::symlink_metadata(path)?;
    let inside = if own.is_dir() { fs::read_dir(path).ok() } else { None };
    let inside = inside.into_iter().flatten().flatten().filter_map(|entry| Some(entry.metadata().ok()?.mtime()));
    Ok(inside.max().unwrap_or_else(|| own.mtime()))
}

/// Removes the oldest damaged stores beyond the limit, never the one that was just set aside. What cannot be removed, or
/// is not of its kind, stays: that is no reason not to start.
fn forget_damaged(dir: &Path, begins: &str, newest: &Path, most: usize, what: Aside) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut others: Vec<_> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(begins)))
        .filter(|entry| entry.path() != newest)
        .filter_map(|entry| {
            // Its status changed last when it was moved.
            let facts = fs::symlink_metadata(entry.path()).ok()?;
            let may = facts.is_dir() == (what == Aside::Folders);
            may.then(|| (facts.ctime(), facts.ctime_nsec(), entry.path()))
        })
        .collect();
    others.sort_unstable();
    let beyond = (others.len() + 1).saturating_sub(most);
    for (_, _, path) in others.into_iter().take(beyond) {
        let _ = match what {
            Aside::Files => fs::remove_file(path),
            Aside::Folders => fs::remove_dir_all(path),
        };
    }
}

/// How a file of the store is opened: by its owner alone.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Makes a name in a directory as durable as the file.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all())
}
