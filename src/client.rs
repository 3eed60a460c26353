//! The local API as Rust functions: what the command line uses, and what users' programs may use.
//!
//! ```no_run
//! # async fn example() -> Result<(), tanist::client::Error> {
//! let client = tanist::client::Client::find(None)?;
//! let leader = client.leader(Some(std::time::Duration::from_secs(5))).await?;
//! println!("{} leads epoch {}", leader.name, leader.epoch);
//! let mut events = client.events().await?;
//! while let Some(line) = events.next().await? {
//!     println!("{line:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The data is read and written in the same way: [`Client::put`], [`Client::get`], [`Client::update`], [`Client::add`],
//! [`Client::records`], [`Client::watch_data`]. All of it goes out and in with [`Client::export`] and [`Client::import`].
//!
//! ```no_run
//! # async fn example(client: tanist::client::Client) -> Result<(), tanist::client::Error> {
//! use tanist::client::{Condition, Error, Reading};
//! client.put("greeting", "hello", Condition::None).await?;
//! let value = client.get("greeting", Reading::default()).await?;
//! assert_eq!(value.expect("it was written").value, "hello");
//! let counted = client.update("counter", async |value| {
//!     let count: u64 = value.and_then(|v| std::str::from_utf8(&v).ok()?.parse().ok()).unwrap_or(0);
//!     Ok::<_, Error>((count + 1).to_string().into())
//! });
//! println!("counted, as version {}", counted.await?.version);
//! # Ok(())
//! # }
//! ```
//!
//! Every call is one connection. Calls need a tokio runtime with time and I/O.

mod data;
mod error;
mod events;
mod lines;
mod runners;
mod transfer;
mod transport;

pub use crate::data::{Condition, Keep};
pub use crate::view::Turn;
pub use data::{Changes, PATIENCE, Reading, Trim, UPDATES, Value, Watch};
pub use error::{Error, Tried};
pub use events::Events;
pub use runners::Runner;
pub use transfer::{Export, Import};

use crate::view::{Forgotten, History, IsLeader, Leader, Members, Reloaded, Status};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an agent may take for an answer that needs no waiting. One that stands still does not answer at all.
pub const ANSWER: Duration = Duration::from_secs(5);

/// How long a handover may take, from the request to the answer.
pub const HANDOVER: Duration = Duration::from_secs(90);

/// Where the agent of the whole machine listens.
pub const SYSTEM_SOCKET: &str = "/run/tanist/tanist.sock";

/// The variable that names the socket.
pub const SOCKET_VARIABLE: &str = "TANIST_SOCKET";

/// Knows where agents may listen. Cheap to make and to clone; holds no connection.
#[derive(Clone, Debug)]
pub struct Client {
    /// At most two: the user's and the machine's.
    sockets: Vec<PathBuf>,
}

impl Client {
    /// The agent that a user means: the socket that is named here, or in `TANIST_SOCKET`; without either the first
    /// that answers of `$XDG_RUNTIME_DIR/tanist.sock` and `/run/tanist/tanist.sock`.
    ///
    /// # Errors
    /// [`Error::NoAgent`] when none of them exists.
    pub fn find(socket: Option<&Path>) -> Result<Self, Error> {
        if let Some(path) = socket {
            return Ok(Self::at(path));
        }
        if let Some(path) = std::env::var_os(SOCKET_VARIABLE).filter(|path| !path.is_empty()) {
            return Ok(Self::at(Path::new(&path)));
        }
        let mut candidates = Vec::new();
        if let Some(dir) = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
            candidates.push(Path::new(&dir).join("tanist.sock"));
        }
        candidates.push(PathBuf::from(SYSTEM_SOCKET));
        let sockets: Vec<PathBuf> = candidates.iter().filter(|path| path.symlink_metadata().is_ok()).cloned().collect();
        if sockets.is_empty() {
            let gone = |path: PathBuf| Tried { path, why: std::io::Error::from(std::io::ErrorKind::NotFound) };
            return Err(Error::NoAgent { tried: candidates.into_iter().map(gone).collect() });
        }
        Ok(Self { sockets })
    }

    /// The agent that listens there, and no other.
    pub fn at(socket: &Path) -> Self {
        Self { sockets: vec![socket.to_owned()] }
    }

    /// How the agent stands.
    ///
    /// # Errors
    /// When no agent answers, or it answers something else.
    pub async fn status(&self) -> Result<Status, Error> {
        transport::json(transport::get(&self.sockets, "/v1/status", ANSWER).await?).await
    }

    /// The leader. With `wait`, an agent that has none answers when there is one, or after that time.
    ///
    /// # Errors
    /// [`Error::Later`] when there is none; or when no agent answers.
    pub async fn leader(&self, wait: Option<Duration>) -> Result<Leader, Error> {
        let wait = wait.unwrap_or(Duration::ZERO);
        let path = match wait.as_millis() {
            0 => "/v1/leader".to_owned(),
            wait_ms => format!("/v1/leader?wait_ms={wait_ms}"),
        };
        transport::json(transport::get(&self.sockets, &path, ANSWER.saturating_add(wait)).await?).await
    }

    /// The epoch that the agent leads, or none when it does not lead.
    ///
    /// # Errors
    /// When no agent answers.
    pub async fn is_leader(&self) -> Result<Option<u64>, Error> {
        match transport::get(&self.sockets, "/v1/is-leader", ANSWER).await {
            Ok(answer) => Ok(Some(transport::json::<IsLeader>(answer).await?.epoch)),
            Err(Error::Later { busy: false, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The members, in the order of succession.
    ///
    /// # Errors
    /// When no agent answers.
    pub async fn members(&self) -> Result<Members, Error> {
        transport::json(transport::get(&self.sockets, "/v1/members", ANSWER).await?).await
    }

    /// Takes the members with this name or id that are gone out of every list; the leader does it, for all.
    ///
    /// # Errors
    /// [`Error::Refused`] when they are there, or there is none; or when no agent answers.
    pub async fn forget(&self, who: &str) -> Result<Forgotten, Error> {
        let path = format!("/v1/members/{}", data::encoded(who, ""));
        let call = transport::Call::new(hyper::Method::DELETE, &path);
        transport::json(transport::call(&self.sockets, &call, ANSWER * 2).await?).await
    }

    /// Past reigns and reunions, the newest first.
    ///
    /// # Errors
    /// When no agent answers.
    pub async fn history(&self) -> Result<History, Error> {
        transport::json(transport::get(&self.sockets, "/v1/history", ANSWER).await?).await
    }

    /// Events as they happen; the first is the present state.
    ///
    /// # Errors
    /// [`Error::Later`] when the agent has too many watchers; or when no agent answers.
    pub async fn events(&self) -> Result<Events, Error> {
        Ok(Events::new(transport::get(&self.sockets, "/v1/events", ANSWER).await?))
    }

    /// Has the agent read its configuration again; says which keys have changed.
    ///
    /// # Errors
    /// [`Error::Refused`] with the reason when the configuration is wrong, and nothing has changed; or when no agent answers.
    pub async fn reload(&self) -> Result<Reloaded, Error> {
        transport::json(transport::post(&self.sockets, "/v1/reload", String::new(), ANSWER).await?).await
    }

    /// Moves the role to the successor, or to the member with this name or id; returns the new leader once it serves.
    ///
    /// # Errors
    /// [`Error::Refused`] with the reason; or when no agent answers.
    pub async fn handover(&self, to: Option<&str>) -> Result<Leader, Error> {
        let body = json!({ "to": to }).to_string();
        transport::json(transport::post(&self.sockets, "/v1/handover", body, HANDOVER).await?).await
    }
}
