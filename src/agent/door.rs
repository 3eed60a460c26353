//! The Unix socket of the local API: made, shared with all users of the machine, and taken away again.

use super::failure::Failure;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// Every user of the machine may ask; who may change something is decided request by request.
const MODE: u32 = 0o666;

const TODO: &str = "choose another place with --socket";

/// The socket's file, which is removed when this is dropped, if it is still the same one.
#[derive(Debug)]
pub(super) struct Door {
    path: PathBuf,
    id: Option<(u64, u64)>,
}

impl Drop for Door {
    fn drop(&mut self) {
        if self.id.is_some() && self.id == id(&self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Door {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its file is gone: nothing is to be taken away.
    pub(super) fn forget(mut self) {
        self.id = None;
    }

    /// What is there now in its place.
    pub(super) fn stands(&self) -> Stands {
        match id(&self.path) {
            None => Stands::Gone,
            found if found == self.id => Stands::Open,
            _ => Stands::Anothers,
        }
    }
}

/// What is in the place of a socket that was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stands {
    /// The socket.
    Open,
    /// Nothing.
    Gone,
    /// Another file, perhaps another agent's socket.
    Anothers,
}

/// What tells a file from any other: its device and number. None when it is not there.
pub(super) fn id(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|facts| (facts.dev(), facts.ino()))
}

/// Makes the socket. One that nobody serves any more is replaced; any other file in its place is left alone.
///
/// # Errors
/// When somebody serves it, or it cannot be made there.
pub(super) fn open(path: &Path) -> Result<(UnixListener, Door), Failure> {
    let what = format!("the socket {} cannot be made", path.display());
    let failed = |e: io::Error| Failure::io(&what, &e, TODO);
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty() && !dir.exists()) {
        DirBuilder::new().recursive(true).mode(0o755).create(dir).map_err(failed)?;
    }
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(failed(e)),
        Ok(facts) if !facts.file_type().is_socket() => {
            return Err(Failure::other(format!("{what}: another file is in its place: remove it, or {TODO}")));
        }
        Ok(_) => match UnixStream::connect(path) {
            Err(e) if e.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(failed)?,
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) if e.kind() == ErrorKind::PermissionDenied => return Err(failed(e)),
            _ => return Err(Failure::other(format!("{what}: another agent serves it: stop that one, or {TODO}"))),
        },
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    let door = Door { path: path.to_owned(), id: id(path) };
    fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(failed)?;
    Ok((listener, door))
}
