//! The loop: one task owns the node, hands it what happened, and does what it says, in order (the contracts of
//! [`crate::protocol`]). Nothing in here waits for anything but the next thing to happen.

use super::clock;
use super::datagrams::Datagrams;
use super::disk::Disk;
use super::inbox::{Happened, Inbox};
use super::journal::{Journal, Level};
use super::service::Service;
use super::sessions::Sessions;
use super::shared::{Command, Snapshot};
use crate::event::Event;
use crate::protocol::{Input, Node, Output, Status};
use crate::time::Time;
use crate::wire::Wire;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, oneshot, watch};

/// How much is taken in before the loop looks at the deadline and lets the connections work.
const BATCH: usize = 64;

/// How many users wait for the end of a handover.
const HANDOVERS: usize = 64;

/// The status is made anew at least so often while anything happens, for what no event tells.
const STALE: Duration = Duration::from_secs(1);

/// The loop and all that it drives.
pub(super) struct Host {
    pub(super) node: Node,
    pub(super) wire: Arc<Wire>,
    pub(super) inbox: Inbox,
    pub(super) disk: Disk,
    pub(super) sessions: Sessions,
    pub(super) datagrams: Datagrams,
    pub(super) journal: Journal,
    pub(super) service: Service,
    pub(super) status: watch::Sender<Arc<Status>>,
    pub(super) events: broadcast::Sender<Arc<Event>>, // bound: EVENTS
    /// What users are told when no interface can be used.
    pub(super) no_link: String,
    pub(super) state: State,
}

/// What the loop itself remembers.
#[derive(Default)]
pub(super) struct State {
    /// What could not even begin, to be given to the node next; bounded by the outputs of one step.
    late: VecDeque<Input>, // bound: BATCH, one step's outputs
    /// Users that wait for the end of a handover, at most [`HANDOVERS`].
    asked: BTreeMap<u64, oneshot::Sender<Result<(), String>>>,
    requests: u64,
    /// Something happened that users may see.
    changed: bool,
    published: Time,
    stopped: bool,
}

impl Host {
    /// Runs until the node has stopped.
    pub(super) async fn run(mut self) -> Host {
        while !self.state.stopped {
            let mut next = Some(self.inbox.next(self.deadline()).await);
            for _ in 0..BATCH {
                let Some(happened) = next else { break };
                self.take(happened);
                self.late();
                next = self.inbox.ready();
            }
            self.publish();
        }
        self
    }

    fn deadline(&self) -> Option<Time> {
        let at_once = (!self.state.late.is_empty()).then_some(Time::default());
        self.node.deadline().map(|d| d.0).into_iter().chain(self.service.due()).chain(at_once).min()
    }

    /// Tells the node what could not even begin. What that leads to waits for the next round: a node that tries again at
    /// once must not keep the loop from everything else.
    fn late(&mut self) {
        for _ in 0..self.state.late.len() {
            let Some(input) = self.state.late.pop_front() else { return };
            self.step(input);
        }
    }

    fn take(&mut self, happened: Happened) {
        match happened {
            Happened::Tick => self.step(Input::Tick),
            Happened::Datagram(from, datagram) => self.step(Input::Datagram { from, datagram }),
            Happened::Disk(input) => self.step(input),
            Happened::Session(report) => {
                let (first, second) = self.sessions.input(report);
                first.into_iter().chain(second).for_each(|input| self.step(input));
            }
            Happened::Links(links) => {
                if links.is_empty() {
                    self.journal.line(Level::Warn, self.no_link.clone(), Vec::new());
                }
                self.datagrams.use_links(&links);
                self.step(Input::Links(links.iter().map(super::links::Eligible::link).collect()));
                self.state.changed = true;
            }
            Happened::Peers(peers) => self.step(Input::Peers(peers)),
            Happened::Command(command) => self.command(command),
            Happened::Stop => {
                self.service.stopping();
                self.step(Input::Stop);
            }
        }
    }

    fn step(&mut self, input: Input) {
        if self.journal.wants(Level::Trace) {
            self.journal.line(Level::Trace, format!("{input:?}"), Vec::new());
        }
        for output in self.node.step(clock::now(), input) {
            self.perform(output);
        }
    }

    fn perform(&mut self, output: Output) {
        let failed = match output {
            Output::Cast { to, cast } => {
                self.datagrams.send(&to, &self.wire.datagram(self.node.sender(), &cast));
                None
            }
            Output::Dial { conn, to } => self.sessions.dial(conn, to),
            Output::Send { conn, frame } => self.sessions.send(conn, &frame),
            Output::Pipe { conn, to } => self.sessions.pipe(conn, to),
            Output::Persist { ticket, writes } => self.disk.persist(ticket, writes),
            Output::Close { conn } => {
                self.sessions.close(conn);
                None
            }
            Output::Event(event) => {
                self.tell(event);
                None
            }
            Output::Reply { request, refused } => {
                if let Some(reply) = self.state.asked.remove(&request) {
                    // A user that went away needs no answer.
                    let _ = reply.send(refused.map_or(Ok(()), Err));
                }
                None
            }
            Output::Stopped => {
                self.state.stopped = true;
                None
            }
        };
        self.state.late.extend(failed);
    }

    /// Tells users. Nobody has to listen.
    pub(super) fn tell(&mut self, event: Event) {
        self.state.changed = true;
        self.journal.event(&event);
        let _ = self.events.send(Arc::new(event));
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Snapshot { reply } => {
                let now = clock::now();
                let snapshot = Snapshot { status: self.node.status(), members: self.node.members(now), made: now.time };
                // A user that went away needs no answer.
                let _ = reply.send(snapshot);
            }
            Command::Handover { to, reply } => {
                self.state.asked.retain(|_, reply| !reply.is_closed());
                if self.state.asked.len() >= HANDOVERS {
                    let _ = reply.send(Err("too many handovers were asked for already".to_owned()));
                    return;
                }
                self.state.requests += 1;
                self.state.asked.insert(self.state.requests, reply);
                self.step(Input::Handover { request: self.state.requests, to });
            }
        }
    }

    /// Shows the status, when it may have changed and has.
    pub(super) fn publish(&mut self) {
        let now = clock::time();
        self.service.alive(now);
        if !self.state.changed && now.since(self.state.published) < STALE {
            return;
        }
        self.state.changed = false;
        self.state.published = now;
        let status = self.node.status();
        if **self.status.borrow() != status {
            self.service.status(&status);
            self.status.send_replace(Arc::new(status));
        }
    }
}
