//! Programs that run only where the role is.

use super::lines::Lines;
use super::transport::{self, Answer};
use super::{ANSWER, Client, Error};
use crate::view::{RunnerRequest, Turn};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest line that is taken, in bytes.
const LINE_MAX: usize = 64 << 10;

/// Tells a program when it is to run. The program runs from a [`Turn::Start`] until it has stopped after a [`Turn::Stop`], or
/// after the end of this; to drop this says that it has stopped. Each is told one start and one stop: for the next, attach
/// anew.
#[derive(Debug)]
pub struct Runner {
    lines: Lines,
    socket: PathBuf,
}

impl Runner {
    /// What the program is to do; none when the agent has ended. May be given up at any await without losing a turn.
    ///
    /// # Errors
    /// [`Error::Broken`] when the agent has died: the program is to stop at once; [`Error::Strange`] when a line is not one
    /// of such a stream.
    pub async fn next(&mut self) -> Result<Option<Turn>, Error> {
        let Some(text) = self.lines.next().await? else { return Ok(None) };
        let turn = serde_json::from_str(&text);
        turn.map(Some).map_err(|error| Error::Strange { why: format!("not a line of a runner: {error}: {text}") })
    }

    /// The socket of the agent that tells.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Client {
    /// Has the agent tell when this machine leads. `name` is for its log; the agent waits for at most `grace` (a minute at
    /// most) until the program has stopped, before it gives the role away on purpose.
    ///
    /// # Errors
    /// [`Error::Later`] when the agent has too many runners, [`Error::Refused`] when the grace or the name is too long; or
    /// when no agent answers.
    pub async fn runner(&self, name: &str, grace: Duration) -> Result<Runner, Error> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let request = RunnerRequest { name: name.to_owned(), grace_ms };
        let body = serde_json::to_string(&request).map_err(|error| Error::Strange { why: error.to_string() })?;
        let answer: Answer = transport::post(&self.sockets, "/v1/runners", body, ANSWER).await?;
        Ok(Runner { socket: answer.socket.clone(), lines: Lines::new(answer, LINE_MAX) })
    }
}
