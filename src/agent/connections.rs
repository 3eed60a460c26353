//! TCP: the connections that others open, those that the core dials, and those that are only passed on (`Via`).
//!
//! Every connection is one task that owns its socket. The loop holds a [`Handle`] to it in one bounded table; what is
//! not in the table is of no interest any more, whatever its task may still report.

mod connection;
mod dial;
mod listen;
#[cfg(test)]
mod tests;

pub(super) use connection::Report;
pub(super) use dial::Dialer;
pub(super) use listen::bind;

use super::journal::{Counts, Ignored};
use super::links::Eligible;
use crate::ident::ConnId;
use crate::message::Frame;
use crate::protocol::{Closed, Input};
use crate::wire::Wire;
use bytes::Bytes;
use connection::{Order, Task};
use listen::Listeners;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How many connections there may be at once: the sessions of the protocol, or a canvass of all members (§11), and some
/// for questions and dials under way.
const CONNECTIONS: usize = 2048 + 512;

/// Of these, how many one address may open: whoever has one address only cannot keep all others out.
const FROM_ONE: usize = 256;

/// Of these, how many are kept for dials: whatever others open, this agent can ask.
const KEPT: usize = 256;

/// How many connections that others opened may be in the middle of a frame of more than 64 KiB.
const LARGE: usize = 16;

/// How many frames wait to be sent on one connection.
const FRAMES: usize = 1024;

/// How many bytes wait to be sent on one connection; one that is further behind is cut off.
const BYTES: usize = 32 * 1024 * 1024;

/// How many reports of all connections wait for the loop.
const REPORTS: usize = 1024;

/// How many connections are passed on at once (§11).
const PIPES: usize = 64;

/// What every connection needs.
#[derive(Clone, Debug)]
struct Common {
    wire: Arc<Wire>,
    dialer: Dialer,
    reports: mpsc::Sender<Report>, // bound: REPORTS
    counts: Arc<Counts>,
    pipes: Arc<Semaphore>,
    /// Bounds frames under way to [`LARGE`].
    large: Arc<Semaphore>,
    /// Those that the loop knows of, or is about to.
    tasks: TaskTracker,
}

/// The loop's end of a connection. Dropping it lets the task send what it was given, then close; [`Handle::release`]
/// does so too, except for a dial that is still under way.
#[derive(Debug)]
pub(super) struct Handle {
    orders: mpsc::Sender<Order>, // bound: FRAMES
    /// Bytes that were given and not yet sent.
    waiting: Arc<AtomicUsize>,
    cut: CancellationToken,
    /// Who opened it; none for a dial.
    opened_by: Option<IpAddr>,
    /// It is open, and the loop knows it.
    open: bool,
}

impl Handle {
    fn new(common: Common, conn: ConnId, opened_by: Option<IpAddr>) -> (Handle, Task) {
        let (orders, queue) = mpsc::channel(FRAMES);
        let (waiting, cut) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let task = Task { common, conn, queue, waiting: waiting.clone(), cut: cut.clone() };
        (Handle { orders, waiting, cut, opened_by, open: opened_by.is_some() }, task)
    }

    /// False when too much waits already. A task that has ended has said so, or is about to.
    fn send(&self, frame: Bytes) -> bool {
        let size = frame.len() + connection::PREFIX;
        self.waiting.fetch_add(size, Ordering::Relaxed) + size <= BYTES
            && !matches!(self.orders.try_send(Order::Frame(frame)), Err(TrySendError::Full(_)))
    }

    /// Ends it at once.
    fn cut(&self) {
        self.cut.cancel();
    }

    /// Lets it send what it was given, then close. A dial that is given up says nothing any more: its kernel may get
    /// through a second later, and what it was to say was of its time.
    fn release(self) {
        if !self.open {
            self.cut();
        }
    }
}

/// All connections.
pub(super) struct Connections {
    common: Common,
    listeners: Listeners,
    /// At most [`CONNECTIONS`].
    table: BTreeMap<ConnId, Handle>,
}

impl Connections {
    /// Starts to accept. Reports come out of the receiver; each is to be given to [`Connections::input`].
    pub(super) fn new(
        listener: TcpListener,
        wire: Arc<Wire>,
        dialer: Dialer,
        counts: Arc<Counts>,
    ) -> (Connections, mpsc::Receiver<Report>) {
        let (reports, inbox) = mpsc::channel(REPORTS);
        let (pipes, large) = (Arc::new(Semaphore::new(PIPES)), Arc::new(Semaphore::new(LARGE)));
        let common = Common { wire, dialer, reports, counts, pipes, large, tasks: TaskTracker::new() };
        let listeners = Listeners::start(listener, common.clone());
        (Connections { common, listeners, table: BTreeMap::new() }, inbox)
    }

    /// What a report means to the core: nothing, when it has closed that connection. An accepted connection brings its
    /// first frame, which is a second input.
    pub(super) fn input(&mut self, report: Report) -> (Option<Input>, Option<Input>) {
        match report {
            Report::Accepted { conn, from, handle, first } => {
                let same = |h: &&Handle| h.opened_by == Some(from.ip());
                if self.table.len() >= CONNECTIONS - KEPT || self.table.values().filter(same).count() >= FROM_ONE {
                    self.common.counts.ignored(Ignored::NoRoom, Some(from), "there are too many connections");
                    handle.cut();
                    return (None, None);
                }
                self.table.insert(conn, handle);
                (Some(Input::Accepted { conn, from }), Some(Input::Frame { conn, frame: first }))
            }
            Report::Connected(conn) => {
                let Some(handle) = self.table.get_mut(&conn) else { return (None, None) };
                handle.open = true;
                (Some(Input::Connected { conn }), None)
            }
            Report::Frame(conn, frame) => {
                (self.table.contains_key(&conn).then_some(Input::Frame { conn, frame }), None)
            }
            Report::Closed(conn, how) => (self.table.remove(&conn).map(|_| Input::Closed { conn, how }), None),
        }
    }

    /// Others reach this agent by each of these interfaces from now on, unless it keeps to one address.
    pub(super) fn use_links(&mut self, links: &[Eligible]) {
        if self.common.dialer.from.is_none() {
            self.common.dialer.routes.keep(links);
            self.listeners.use_links(links);
        }
    }

    /// Opens a connection. What comes back is a failure to begin.
    pub(super) fn dial(&mut self, conn: ConnId, to: SocketAddr) -> Option<Input> {
        if self.table.len() >= CONNECTIONS {
            self.common.counts.ignored(Ignored::NoRoom, Some(to), "there are too many connections to dial another");
            return Some(Input::Closed { conn, how: Closed::Local });
        }
        let (handle, task) = Handle::new(self.common.clone(), conn, None);
        self.common.tasks.spawn(task.dial(to));
        self.table.insert(conn, handle);
        None
    }

    /// Sends a frame on each of these connections; it is encoded once. What comes back is the end of those that are too
    /// slow, or unable to carry the frame.
    pub(super) fn send(&mut self, to: &[ConnId], frame: &Frame) -> Vec<Input> {
        let encoded = self.common.wire.frame(frame).map_err(|e| e.to_string());
        let cut = |conn: &ConnId| {
            let handle = self.table.get(conn)?;
            let why = match &encoded {
                Ok(bytes) if handle.send(bytes.clone()) => return None,
                Ok(_) => "it took too little of what was sent on a connection, which was cut",
                Err(why) => why.as_str(),
            };
            self.common.counts.ignored(Ignored::NoRoom, None, why);
            self.table.remove(conn)?.cut();
            Some(Input::Closed { conn: *conn, how: Closed::Local })
        };
        to.iter().filter_map(cut).collect()
    }

    /// Sends what was given, then closes. Of a dial that is still under way nothing is sent.
    pub(super) fn close(&mut self, conn: ConnId) {
        if let Some(handle) = self.table.remove(&conn) {
            handle.release();
        }
    }

    /// Connects this connection to another member, and copies bytes from then on.
    pub(super) fn pipe(&mut self, conn: ConnId, to: SocketAddr) -> Option<Input> {
        if !matches!(self.table.get(&conn)?.orders.try_send(Order::Pipe(to)), Err(TrySendError::Full(_))) {
            return None;
        }
        self.table.remove(&conn)?.cut();
        Some(Input::Closed { conn, how: Closed::Local })
    }

    /// Closes everything, and waits until what was given is sent. Dials that are under way are given up.
    pub(super) async fn end(self) {
        self.table.into_values().for_each(Handle::release);
        self.common.tasks.close();
        self.common.tasks.wait().await;
    }
}
