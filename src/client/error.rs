//! What can go wrong between a client and its agent, in words for users.

use crate::view::Problem;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Where the unit of the service is, when it is installed.
const UNITS: [&str; 3] = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/// A socket that was tried, and why nobody answered there.
#[derive(Debug)]
pub struct Tried {
    /// The socket.
    pub path: PathBuf,
    /// Why not.
    pub why: io::Error,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why.kind() {
            io::ErrorKind::NotFound => "no such socket",
            io::ErrorKind::ConnectionRefused => "nobody listens there",
            io::ErrorKind::TimedOut => "it took the connection and did not answer",
            io::ErrorKind::WouldBlock => "too many clients wait for it to take their connections",
            io::ErrorKind::UnexpectedEof => "it hung up without an answer",
            _ => return write!(f, "{}: {}", self.path.display(), self.why),
        };
        write!(f, "{}: {why}", self.path.display())
    }
}

/// Why a call failed. Each is shown as one line: what, why, what to do.
#[derive(Debug)]
pub enum Error {
    /// No agent answers.
    NoAgent {
        /// Everywhere it was looked for.
        tried: Vec<Tried>,
    },
    /// The socket is there, and this user may not use it; or the agent says so.
    NotAllowed {
        /// What was refused, and what to do.
        why: String,
    },
    /// Not now: the agent answered 429 or 503, or is there and did not answer.
    Later {
        /// The reason.
        why: String,
        /// Too much is asked at once (429), or there was no answer; otherwise what was asked for is not there now (503).
        busy: bool,
    },
    /// The connection broke before the answer was complete: what was asked may have been done, or not.
    Broken {
        /// What broke, and what to do.
        why: String,
    },
    /// The agent says no: any other error of the API.
    Refused {
        /// What it said.
        problem: Problem,
    },
    /// What came back is not the API of this version.
    Strange {
        /// What was strange.
        why: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoAgent { tried } => {
                f.write_str("no agent answers (tried ")?;
                for (n, tried) in tried.iter().enumerate() {
                    write!(f, "{}{tried}", if n == 0 { "" } else { "; " })?;
                }
                let installed = UNITS.iter().any(|dir| Path::new(dir).join("tanist.service").exists());
                let start = if installed { "systemctl start tanist" } else { "tanist agent" };
                write!(f, "): start one with `{start}`, or name its socket with --socket")
            }
            Error::NotAllowed { why } | Error::Later { why, .. } | Error::Broken { why } | Error::Strange { why } => {
                f.write_str(why)
            }
            Error::Refused { problem } => f.write_str(&problem.detail),
        }
    }
}

impl std::error::Error for Error {}
