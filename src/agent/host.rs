//! The loop: one task owns the node, hands it what happened, and does what it says, in order (the contracts of
//! [`crate::protocol`]). Nothing in here waits for anything but the next thing to happen.

use super::clock;
use super::closing::Closing;
use super::connections::Connections;
use super::data::{self, Asked};
use super::datagrams::Datagrams;
use super::disk::Disk;
use super::inbox::{Happened, Inbox};
use super::journal::{Journal, Level};
use super::metrics::Metrics;
use super::replica::Replica;
use super::runners::Runners;
use super::service::Service;
use super::shared::{Command, Pulse, Snapshot};
use crate::event::{self, Event, Kind};
use crate::ident::{ConnId, JobId, Ticket};
use crate::ledger::write_request;
use crate::message::{Cast, Frame};
use crate::protocol::{self, Input, Job, Node, Outcome, Output, Status, To, Write};
use crate::time::Time;
use crate::view::leader_facts;
use crate::wire::Wire;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, oneshot, watch};

/// How much is taken in before the loop looks at the deadline and lets the connections work.
const BATCH: usize = 64;

/// How many users wait for what the leader was asked: a handover, or to forget a member.
const ASKED: usize = 64;

/// How often the host name is looked at: DHCP or cloud-init may give it after the start.
const NAMED: Duration = Duration::from_secs(5);

/// The status is made anew at least so often while anything happens, for what no event tells.
const STALE: Duration = Duration::from_secs(1);

/// The loop and all that it drives.
pub(super) struct Host {
    pub(super) node: Node,
    pub(super) wire: Arc<Wire>,
    pub(super) inbox: Inbox,
    pub(super) disk: Disk,
    pub(super) replica: Replica,
    pub(super) connections: Connections,
    pub(super) datagrams: Datagrams,
    pub(super) journal: Journal,
    pub(super) service: Service,
    pub(super) runners: Runners,
    pub(super) status: watch::Sender<Arc<Status>>,
    pub(super) pulse: Pulse,
    pub(super) events: broadcast::Sender<Arc<Event>>, // bound: EVENTS
    pub(super) metrics: Arc<Metrics>,
    /// What users are told when no interface can be used.
    pub(super) no_link: String,
    /// The name of this machine is its label: it may change.
    pub(super) host_name: bool,
    /// When the node is told to stop.
    pub(super) closing: Closing,
    pub(super) state: State,
}

/// What the loop itself remembers.
#[derive(Default)]
pub(super) struct State {
    /// What happened and what could not even begin, for the next step.
    inputs: Vec<Input>, // bound: BATCH, and one step's outputs
    /// What a step gave back; the list is used again.
    outputs: Vec<Output>, // bound: STEP, one step's outputs
    /// The agent was told to stop, and waits so long for programs that follow the role.
    ends: Option<Time>,
    /// Users that wait for what the leader was asked, at most [`ASKED`].
    asked: BTreeMap<u64, oneshot::Sender<Result<(), String>>>,
    requests: u64,
    /// Users that wait for what became of a request of the data; bounded by the core's DATA_REQUESTS.
    asks: BTreeMap<u64, oneshot::Sender<data::Outcome>>,
    /// Users that wait until the loop has come by.
    looks: Vec<oneshot::Sender<()>>, // bound: BATCH
    /// Something happened that users may see.
    changed: bool,
    /// Some interfaces find no room.
    left_out: bool,
    published: Time,
    /// When the host name was looked at last.
    named: Time,
    stopped: bool,
}

impl Host {
    /// Runs until the node has stopped.
    pub(super) async fn run(mut self) -> Host {
        while !self.state.stopped {
            let first = self.inbox.next(self.deadline()).await;
            self.take(first);
            // What is taken out is taken in: nothing is looked at beforehand.
            for _ in 1..BATCH {
                let Some(happened) = self.inbox.ready() else { break };
                self.take(happened);
            }
            self.close_after_programs();
            if self.closing.is_due(clock::time(), !self.state.asks.is_empty()) {
                self.state.inputs.push(Input::Stop);
            }
            self.step();
            self.publish();
        }
        self
    }

    /// Programs that follow the role end before anything else does: until then they and everybody are served.
    fn close_after_programs(&mut self) {
        let now = clock::time();
        if self.state.ends.is_some_and(|by| now >= by || self.runners.need().is_none()) {
            self.state.ends = None;
            // The node waits for nobody a second time.
            self.state.inputs.extend(self.runners.give_up());
            self.closing.begin(now);
        }
    }

    fn deadline(&self) -> Option<Time> {
        // What could not even begin is told in the next round: a node that tries again at once must not keep the loop from
        // everything else.
        let at_once = (!self.state.inputs.is_empty()).then_some(Time::default());
        let closing = self.closing.due(!self.state.asks.is_empty()).or(self.state.ends);
        self.node.deadline().map(|d| d.0).into_iter().chain(self.service.due()).chain(closing).chain(at_once).min()
    }

    /// Takes note of one thing that happened, for the next step.
    fn take(&mut self, happened: Happened) {
        match happened {
            Happened::Tick => {}
            Happened::Datagram(from, datagram) => self.state.inputs.push(Input::Datagram { from, datagram }),
            Happened::Disk(input) => self.state.inputs.push(input),
            Happened::Session(report) => {
                let (first, second) = self.connections.input(report);
                self.state.inputs.extend(first.into_iter().chain(second));
            }
            Happened::Links(found) => {
                let links = &found.used;
                if links.is_empty() {
                    self.journal.line(Level::Warn, self.no_link.clone(), Vec::new());
                }
                let warning = found.warning();
                if let Some(warning) = warning.as_ref().filter(|_| !self.state.left_out) {
                    self.journal.line(Level::Warn, warning.clone(), Vec::new());
                }
                self.state.left_out = warning.is_some();
                self.connections.use_links(links);
                self.datagrams.use_links(links);
                self.state.inputs.push(Input::Links(links.iter().map(super::links::Eligible::link).collect()));
                self.state.changed = true;
            }
            Happened::Peers(peers) => self.state.inputs.push(Input::Peers(peers)),
            Happened::Command(command) => self.command(command),
            Happened::Asked(asked) => self.asked(asked),
            Happened::Stop => {
                self.service.stopping();
                self.runners.end();
                self.state.ends = Some(clock::time() + self.runners.need().unwrap_or_default());
                self.state.changed = true;
            }
        }
    }

    /// Gives the node everything that arrived together, and performs what comes of it.
    fn step(&mut self) {
        if self.journal.wants(Level::Trace) {
            for input in &self.state.inputs {
                self.journal.line(Level::Trace, format!("{input:?}"), Vec::new());
            }
        }
        self.metrics.hears(&self.state.inputs);
        let mut outputs = std::mem::take(&mut self.state.outputs);
        self.node.step(clock::now(), self.state.inputs.drain(..), &mut outputs);
        for output in outputs.drain(..) {
            output.perform(self);
        }
        self.state.outputs = outputs;
    }

    /// A request of the data is on its way from here.
    fn asked(&mut self, asked: Asked) {
        self.state.requests += 1;
        self.state.asks.insert(self.state.requests, asked.reply);
        let body = write_request(&asked.request);
        self.state.inputs.push(Input::Request { request: self.state.requests, body });
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Look { reply } => self.state.looks.push(reply),
            Command::StoreTrouble { text } => {
                let epoch = self.node.status().shown.map_or(0, |claim| claim.epoch);
                let (at, level) = (clock::now().wall, event::Level::Warn);
                let trouble = Event { kind: Kind::StoreTrouble, level, at, epoch, cause: None, text, fields: vec![] };
                protocol::Host::tell(self, trouble);
            }
            Command::Attach { grace, turns, reply } => {
                // One that went away meanwhile takes no turns.
                let _ = reply.send(self.runners.attach(grace, turns));
                self.state.changed = true;
            }
            Command::Detached => self.state.changed = true,
            Command::Set { settings, name } => {
                self.host_name = name.is_none();
                // A host name is looked at with the next step.
                self.state.named = Time::default();
                self.state.inputs.push(Input::Settings(*settings));
                self.state.inputs.extend(name.map(Input::Name));
                self.state.changed = true;
            }
            Command::Snapshot { reply } => {
                // As things stand, with what came before.
                self.step();
                let now = clock::now();
                let snapshot = Snapshot { status: self.node.status(), members: self.node.members(now), made: now.time };
                // A user that went away needs no answer.
                let _ = reply.send(snapshot);
            }
            Command::Handover { to, reply } => {
                if let Some(request) = self.waits(reply) {
                    self.state.inputs.push(Input::Handover { request, to });
                }
            }
            Command::Refresh { reply } => {
                if let Some(request) = self.waits(reply) {
                    self.state.inputs.push(Input::Look { request });
                }
            }
            Command::Forget { who, reply } => {
                if let Some(request) = self.waits(reply) {
                    self.state.inputs.push(Input::Forget { request, who });
                }
            }
        }
    }

    /// A user waits for the leader: the number of what it asked for, when there is room.
    fn waits(&mut self, reply: oneshot::Sender<Result<(), String>>) -> Option<u64> {
        self.state.asked.retain(|_, reply| !reply.is_closed());
        if self.state.asked.len() >= ASKED {
            let _ = reply.send(Err("too much was asked of the leader already: try again".to_owned()));
            return None;
        }
        self.state.requests += 1;
        self.state.asked.insert(self.state.requests, reply);
        Some(self.state.requests)
    }

    /// The label of this machine follows its host name.
    fn follow_host_name(&mut self, now: Time) {
        if !self.host_name || now.since(self.state.named) < NAMED {
            return;
        }
        self.state.named = now;
        let (name, was) = (super::config::host_name(), &self.node.sender().name);
        if name == *was {
            return;
        }
        self.journal.line(Level::Info, format!("this machine is called {name} now, and was {was}"), Vec::new());
        self.state.inputs.push(Input::Name(name));
        self.state.changed = true;
    }

    /// Shows the status, when it may have changed and has.
    pub(super) fn publish(&mut self) {
        let now = clock::time();
        self.service.alive(now);
        self.follow_host_name(now);
        let doubt = {
            let shown = self.status.borrow();
            self.node.is_sure() != shown.sure || self.node.gives_role_up() != shown.gives_up
        };
        if self.state.changed || doubt || now.since(self.state.published) >= STALE {
            self.state.changed = false;
            self.state.published = now;
            let status = self.node.status();
            self.state.inputs.extend(self.runners.follow(&status));
            if **self.status.borrow() != status {
                self.service.status(&status);
                self.status.send_replace(Arc::new(status));
            }
        }
        // Nothing is called young before it is shown.
        self.pulse.beat(now);
        for reply in self.state.looks.drain(..) {
            // A user that went away needs no answer.
            let _ = reply.send(());
        }
    }
}

impl protocol::Host for Host {
    fn cast(&mut self, to: To, cast: Cast) {
        self.metrics.beats_sent.add(u64::from(matches!(cast, Cast::Heartbeat(_))));
        self.datagrams.send(&to, &self.wire.datagram(self.node.sender(), &cast));
    }

    fn dial(&mut self, conn: ConnId, to: SocketAddr) {
        self.state.inputs.extend(self.connections.dial(conn, to));
    }

    fn send(&mut self, to: &[ConnId], frame: Frame) {
        if matches!(frame, Frame::Beat(_)) {
            self.metrics.beats_sent.add(to.len() as u64);
        }
        self.state.inputs.extend(self.connections.send(to, &frame));
    }

    fn close(&mut self, conn: ConnId) {
        self.connections.close(conn);
    }

    fn pipe(&mut self, conn: ConnId, to: SocketAddr) {
        self.state.inputs.extend(self.connections.pipe(conn, to));
    }

    fn persist(&mut self, ticket: Ticket, writes: Vec<Write>) {
        self.metrics.writes_begin(self.node.sender().node.id, &writes);
        self.state.inputs.extend(self.disk.persist(ticket, writes));
    }

    fn job(&mut self, id: JobId, job: Job) {
        self.state.inputs.extend(self.replica.begin(id, job));
    }

    /// Tells users. Nobody has to listen.
    fn tell(&mut self, mut event: Event) {
        self.state.changed = true;
        self.journal.event(&event);
        self.metrics.event(&event);
        if matches!(event.kind, Kind::Following | Kind::Leading) {
            event.fields.retain(|(name, _)| *name != "leader");
            // All of the step is over: the status may be of a later epoch.
            event.fields.extend(leader_facts(&self.node.status(), event.epoch));
        }
        let _ = self.events.send(Arc::new(event));
    }

    fn reply(&mut self, request: u64, refused: Option<String>) {
        if let Some(reply) = self.state.asked.remove(&request) {
            // A user that went away needs no answer.
            let _ = reply.send(refused.map_or(Ok(()), Err));
        }
    }

    fn answer(&mut self, request: u64, outcome: Outcome) {
        if let Some(reply) = self.state.asks.remove(&request) {
            // A user that went away needs no answer.
            let _ = reply.send(data::Outcome::from(outcome));
        }
    }

    fn stopped(&mut self) {
        self.state.stopped = true;
    }
}
