//! The Unix socket of the local API: made, shared with all users of the machine, and taken away again; or the one that the
//! service manager made, and keeps open while the agent is started again.

use super::failure::Failure;
use listenfd::ListenFd;
use socket2::SockRef;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{self, UnixStream};
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// Every user of the machine may ask; who may change something is decided request by request.
const MODE: u32 = 0o666;

const TODO: &str = "choose another place with --socket";

/// The socket's file. One that this agent made is removed when this is dropped, if it is still the same one.
#[derive(Debug)]
pub(super) struct Door {
    path: PathBuf,
    id: Option<(u64, u64)>,
    passed: bool,
}

impl Drop for Door {
    fn drop(&mut self) {
        if !self.passed && self.id.is_some() && self.id == id(&self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Door {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The service manager made it: it is neither removed nor made anew.
    pub(super) fn is_passed(&self) -> bool {
        self.passed
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

/// The socket that the service manager made for this agent.
#[derive(Debug)]
pub(super) struct Passed {
    listener: net::UnixListener,
    path: PathBuf,
}

impl Passed {
    #[cfg(test)]
    pub(super) fn for_tests(listener: net::UnixListener, path: PathBuf) -> Self {
        Self { listener, path }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Serves it from now on. Needs the runtime.
    pub(super) fn open(self) -> Result<(UnixListener, Door), Failure> {
        let what = format!("the socket {} of the service manager cannot be used", self.path.display());
        let listener = self.listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(self.listener));
        let listener = listener.map_err(|e| Failure::io(&what, &e, "allow more open files"))?;
        let id = id(&self.path);
        Ok((listener, Door { path: self.path, id, passed: true }))
    }
}

/// Takes the socket that the service manager passed to this process, if it did. Before any other thread is started: what
/// says so is taken out of the environment.
///
/// # Errors
/// Why it cannot be used, in one line. The agent makes its own socket then.
pub(super) fn passed() -> Result<Option<Passed>, String> {
    take(&mut ListenFd::from_env()).map_err(|why| {
        format!("the socket unit passed {why}: this agent makes its own socket: correct ListenStream= in tanist.socket")
    })
}

fn take(passed: &mut ListenFd) -> Result<Option<Passed>, String> {
    match passed.len() {
        0 => return Ok(None),
        1 => {}
        several => return Err(format!("{several} sockets, not one")),
    }
    let listener = passed.take_unix_listener(0).map_err(|_| "something else than a Unix stream socket".to_owned())?;
    let Some(listener) = listener else { return Ok(None) };
    if !SockRef::from(&listener).is_listener().unwrap_or(false) {
        return Err("a socket that does not listen".to_owned());
    }
    let address = listener.local_addr().ok();
    let path = address.as_ref().and_then(net::SocketAddr::as_pathname).ok_or("a socket without a path")?;
    Ok(Some(Passed { path: path.to_owned(), listener }))
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
    let door = Door { path: path.to_owned(), id: id(path), passed: false };
    fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(failed)?;
    Ok((listener, door))
}
