//! Where the files of the data are: a folder, or what a simulator has in its place.

use super::super::files::{Aside, move_aside, options, sync_dir};
use redb::StorageBackend;
use redb::backends::FileBackend;
use std::fmt::Debug;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// How many damaged copies are kept beside the good one, the newest that were set aside.
pub const DAMAGED_MAX: usize = 2;

/// A file that is open for reading and writing. Of a backend only its length, reading, writing and syncing are used.
pub type OpenFile = Box<dyn StorageBackend>;

/// The files of one store, by their names. Nobody else has them.
pub trait Files: Debug + Send {
    /// Opens a file that is there.
    ///
    /// # Errors
    /// Those of the system; [`io::ErrorKind::InvalidData`] when something else than a file has this name.
    fn open(&mut self, name: &str) -> io::Result<Option<OpenFile>>;

    /// Makes a file, empty, in the place of one that is there. Its name is durable on return.
    ///
    /// # Errors
    /// Those of the system.
    fn create(&mut self, name: &str) -> io::Result<OpenFile>;

    /// Gives a file another name, in the place of one that is there. The name is durable on return. Who has the file
    /// open keeps it.
    ///
    /// # Errors
    /// Those of the system.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Moves all files out of the way, and says where they are, when there is a name for that. Then there are none.
    ///
    /// # Errors
    /// Those of the system.
    fn set_aside(&mut self) -> io::Result<Option<PathBuf>>;

    /// An empty place beside this one, always the same. What was left there is removed.
    ///
    /// # Errors
    /// Those of the system.
    fn beside(&self) -> io::Result<Box<dyn Files>>;

    /// The files of the place beside this one take the place of these, all at once: after a crash these are there, or
    /// those.
    ///
    /// # Errors
    /// Those of the system.
    fn replace(&mut self) -> io::Result<()>;
}

/// A folder that has the files, and nothing else. It is made with the first file.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder of this path. A [`Files::replace`] that was interrupted comes to its end.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new(path: &Path) -> io::Result<Folder> {
        let folder = Folder(path.to_owned());
        let old = folder.sibling("old");
        if !path.exists() && old.exists() {
            fs::rename(&old, path)?;
            sync_dir(folder.parent())?;
        }
        remove(&old)?;
        remove(&folder.sibling("new"))?;
        Ok(folder)
    }

    fn parent(&self) -> &Path {
        self.0.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// The path beside the folder that has this behind its name.
    fn sibling(&self, ending: &str) -> PathBuf {
        let mut name = self.0.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(ending);
        self.0.with_file_name(name)
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn backend(file: fs::File) -> io::Result<OpenFile> {
    let backend = FileBackend::new(file).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(Box::new(backend))
}

impl Files for Folder {
    fn open(&mut self, name: &str) -> io::Result<Option<OpenFile>> {
        let path = self.0.join(name);
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            // Whatever is no file must not even be opened: a pipe would hang.
            Ok(facts) if !facts.is_file() => Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file")),
            Ok(_) => options().open(&path).and_then(backend).map(Some),
        }
    }

    fn create(&mut self, name: &str) -> io::Result<OpenFile> {
        if !self.0.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
            sync_dir(self.parent())?;
        }
        let file = options().create(true).truncate(true).open(self.0.join(name))?;
        sync_dir(&self.0)?;
        backend(file)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))?;
        sync_dir(&self.0)
    }

    fn set_aside(&mut self) -> io::Result<Option<PathBuf>> {
        match fs::symlink_metadata(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(_) => move_aside(&self.0, DAMAGED_MAX, Aside::Folders).map(Some),
        }
    }

    fn beside(&self) -> io::Result<Box<dyn Files>> {
        let beside = Folder(self.sibling("new"));
        remove(&beside.0)?;
        Ok(Box::new(beside))
    }

    fn replace(&mut self) -> io::Result<()> {
        let old = self.sibling("old");
        remove(&old)?;
        match fs::rename(&self.0, &old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // A crash between the two leaves no folder of this name: the next start takes the old one back.
        if let Err(error) = fs::rename(self.sibling("new"), &self.0) {
            let _ = fs::rename(&old, &self.0);
            return Err(error);
        }
        sync_dir(self.parent())?;
        remove(&old)
    }
}
