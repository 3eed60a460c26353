//! The data: records, keys, topics, conflicts, and the stream of changes.
//!
//! Writes go to the loop, which passes them to the leader. Reads come from snapshots and ask nobody. A snapshot is read
//! on a thread that may block, for as long as one piece takes, and is never held while a client reads.

mod ask;
mod conflicts;
mod export;
mod heads;
mod import;
mod keys;
mod path;
mod read;
mod records;
mod scan;
mod tables;
mod told;
mod topics;
mod trim;
mod watch;

use super::{Api, problem::later};
use crate::agent::clock;
use crate::agent::data::Data;
use crate::data::{RequestId, Revision};
use crate::ledger::{Facts, lists};
use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use told::{Owed, Target};
use uuid::{ContextV7, Timestamp, Uuid};

/// Threads that read snapshots at one time. Reading takes the processor and now and then the disk, and an agent shares
/// both with the programs that it serves.
const READERS: usize = 4;

/// Bytes of values that clients are sending, or that wait for the leader (design: 64 MiB in flight).
const IN_FLIGHT: usize = 64 << 20;

/// What the handlers of the data share.
pub(super) struct Access {
    data: Data,
    /// Orders the ids that are made within one millisecond.
    ids: Mutex<ContextV7>,
    /// Bounds reading to [`READERS`].
    readers: Arc<Semaphore>,
    /// Bounds the values on their way to [`IN_FLIGHT`].
    in_flight: Arc<Semaphore>,
    /// Bounds imports to [`import::IMPORTS`].
    imports: Arc<Semaphore>,
    /// What clients were told of, and readers may not see yet.
    told: Mutex<Owed>,
}

impl Access {
    pub(super) fn new(data: Data) -> Self {
        Self {
            data,
            ids: Mutex::new(ContextV7::new()),
            readers: Arc::new(Semaphore::new(READERS)),
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT)),
            imports: Arc::new(Semaphore::new(import::IMPORTS)),
            told: Mutex::default(),
        }
    }

    /// A client is told of a change: whoever reads that here from now on finds it. False when there is no room to keep
    /// that in mind.
    fn tells(&self, target: Target<'_>, change: Revision) -> bool {
        let visible = *self.data.visible.borrow();
        self.told.lock().unwrap_or_else(PoisonError::into_inner).tells(target, change, visible, clock::time())
    }

    /// What a reader of this must find, and for how long it waits for it yet.
    fn owes(&self, reads: impl Fn(Target<'_>) -> bool) -> Option<(Revision, Duration)> {
        let visible = *self.data.visible.borrow();
        self.told.lock().unwrap_or_else(PoisonError::into_inner).owes(reads, visible, clock::time())
    }

    /// An id for a request that came without one. Later ones are greater, so rows of neighbours lie side by side.
    fn new_id(&self) -> RequestId {
        let micros = clock::now().wall.0;
        let (seconds, nanos) = (micros / 1_000_000, (micros % 1_000_000) as u32 * 1000);
        let order = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        RequestId(Uuid::new_v7(Timestamp::from_unix(&*order, seconds, nanos)).as_u128())
    }
}

/// What readers see, in short.
pub(super) struct State {
    /// The number of the last change; 0 when there is none.
    pub(super) revision: u64,
    /// The digest of all of it.
    pub(super) digest: String,
    /// How many keys have conflicts.
    pub(super) conflicts: u64,
    /// How many keys of members were refused and are kept aside.
    pub(super) kept_aside: u64,
}

impl Api {
    /// The number of the last change that readers of this agent see; 0 when there is none.
    pub(super) fn revision(&self) -> u64 {
        self.data.as_ref().map_or(0, |access| access.data.visible.borrow().number)
    }

    /// What readers of this agent see.
    pub(super) fn state(&self) -> State {
        let read = |access: &Arc<Access>| {
            let snapshot = (access.data.source)().ok()?;
            Some((Facts::read(&snapshot).ok()?, lists::kept_count(&snapshot).ok()?))
        };
        let read = self.data.as_ref().and_then(read).filter(|(facts, _)| facts.position.number > 0);
        let (facts, kept_aside) = read.map_or((None, 0), |(facts, kept)| (Some(facts), kept));
        let digest = facts.map_or(0, |facts| facts.digest());
        State {
            revision: facts.map_or_else(|| self.revision(), |facts| facts.position.number),
            digest: format!("{digest:032x}"),
            conflicts: facts.map_or(0, |facts| facts.conflicts),
            kept_aside,
        }
    }

    /// The way to the data, or the answer that there is none.
    fn access(&self) -> Result<&Arc<Access>, Box<Response>> {
        self.data.as_ref().ok_or_else(|| {
            Box::new(later(StatusCode::SERVICE_UNAVAILABLE, "this agent does not serve the data now: try again"))
        })
    }
}

/// The calls.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/records/", get(path::no_topic).post(path::no_topic).delete(path::no_topic))
        .route("/v1/records/{topic}", get(records::list).post(records::add).delete(trim::delete))
        .route("/v1/records/{topic}/{id}", get(records::one))
        .route("/v1/topics", get(topics::list))
        .route("/v1/keys", get(keys::list))
        .route("/v1/keys/", get(path::no_key).put(path::no_key).delete(path::no_key))
        .route("/v1/keys/{*key}", get(keys::get).put(keys::put).delete(keys::delete))
        .route("/v1/conflicts", get(conflicts::list))
        .route("/v1/conflicts/{id}", post(conflicts::settle))
        .route("/v1/watch", get(watch::get))
        .route("/v1/export", get(export::get))
        .route("/v1/import", post(import::post))
}

#[cfg(test)]
pub(super) mod for_tests;
#[cfg(test)]
mod scan_tests;
#[cfg(test)]
mod tests;
