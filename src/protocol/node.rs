//! The node: one step at a time.

use super::base::Base;
use super::campaign::Campaign;
use super::doubles::Doubles;
use super::greetings::Greetings;
use super::lane::Lane;
use super::links::Flaps;
use super::ordering::Data;
use super::replication::Backup;
use super::role::{Listening, Role};
use super::timers::Timer;
use super::ways::{Conn, Purpose};
use super::{Deadline, Input, Output, Start, limits};
use crate::ident::ConnId;
use crate::message::{Known, Sender, Standing};
use crate::time::{Now, Time};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The protocol of one agent, pure. See [`crate::protocol`] for the contracts.
#[derive(Clone, Debug)]
pub struct Node {
    pub(super) base: Base,
    pub(super) role: Role,
    pub(super) greetings: Greetings,
    pub(super) campaign: Campaign,
    pub(super) doubles: Doubles,
    /// What the data's own thread was given.
    pub(super) lane: Lane,
    pub(super) data: Data,
    pub(super) flaps: Flaps,
    /// It was told to stop.
    pub(super) stopping: bool,
    /// How long the programs that follow the role need at most to end; none while none runs.
    pub(super) programs: Option<Duration>,
    /// It has stopped.
    stopped: bool,
    /// When it meant to be woken.
    planned: Option<Time>,
}

/// Timers handled in one step: more than that would be a loop.
const DUE: usize = 256;

impl Node {
    /// A node that has just started; it does nothing until its first [`Input::Links`].
    pub fn new(start: Start, now: Now) -> Self {
        let data = Data::new(start.data);
        let mut base = Base::new(start, now);
        base.timers.set(Timer::House, now.time + limits::HOUSE * 5 / 4);
        Self {
            base,
            role: Role::Listening(Listening::default()),
            greetings: Greetings::default(),
            campaign: Campaign::new(now.time),
            doubles: Doubles::default(),
            lane: Lane::default(),
            data,
            flaps: Flaps::default(),
            stopping: false,
            programs: None,
            stopped: false,
            planned: None,
        }
    }

    /// Takes the inputs that arrived together, in order, then whatever is due, and appends to `out` what is to be done, in
    /// order. An empty `out` that a host uses again costs no allocation.
    pub fn step(&mut self, now: Now, inputs: impl IntoIterator<Item = Input>, out: &mut Vec<Output>) {
        if self.stopped {
            return;
        }
        out.append(&mut self.base.out);
        std::mem::swap(&mut self.base.out, out);
        self.wake(now);
        for input in inputs {
            self.input(input);
            if self.stopped {
                break;
            }
        }
        self.what_is_due();
        std::mem::swap(&mut self.base.out, out);
    }

    fn wake(&mut self, now: Now) {
        self.base.now = self.base.now.max(now.time);
        self.base.wall = now.wall;
        if let Some(planned) = self.planned {
            self.own_gap(self.base.now.since(planned));
        }
        self.count_leaderless();
    }

    fn what_is_due(&mut self) {
        // Housekeeping goes with what wakes this process anyway.
        self.base.timers.now_if_within(Timer::House, self.base.now, limits::HOUSE * 11 / 40);
        for round in 0.. {
            assert!(round < DUE, "timers are set in the past without end");
            if self.stopped {
                break;
            }
            let Some(timer) = self.base.timers.take_due(self.base.now) else { break };
            self.due(timer);
        }
        // Requests that arrived together are ordered together.
        self.give_requests();
        for then in self.base.writes.take_refused() {
            self.store_failed(&then);
        }
        // What that could not begin either has no room, and waits for nothing that could still come.
        drop(self.base.writes.take_refused());
        self.planned = self.base.timers.deadline().map(|(at, _)| at);
    }

    /// When to come back at the latest, and why.
    pub fn deadline(&self) -> Option<Deadline> {
        if self.stopped { None } else { self.base.timers.deadline() }
    }

    /// Who this agent says that it is; its id changes when another living agent has it too.
    pub fn sender(&self) -> &Sender {
        &self.base.me
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Tick => {}
            Input::Connected { conn } => {
                if self.base.ways.get(conn).is_some_and(|c| c.via().is_none()) {
                    self.meet_connected(conn);
                }
            }
            Input::Datagram { from, datagram } => {
                if datagram.from.node.boot != self.base.me.node.boot {
                    self.flaps.hears();
                }
                self.datagram(from, datagram);
            }
            Input::Accepted { conn, from } => {
                self.flaps.hears();
                self.accepted(conn, from);
            }
            Input::Frame { conn, frame } => self.frame(conn, frame),
            Input::Closed { conn, how } => self.closed(conn, how),
            Input::Persisted { through } => self.persisted(through),
            Input::NotPersisted { ticket, why } => self.not_persisted(ticket, &why),
            Input::Done { through } => self.jobs_done(through),
            Input::Failed { job, why } => self.job_failed(job, &why),
            Input::Report { job, report } => self.job_says(job, report),
            Input::Request { request, body } => self.requested(request, body),
            Input::Links(links) => self.links_changed(links),
            Input::Peers(peers) => self.peers_changed(peers),
            Input::Handover { request, to } => self.handover_asked(request, to),
            Input::Forget { request, who } => self.forget_asked(request, who),
            Input::Look { request } => self.look_asked(request),
            Input::Name(name) => self.renamed(name),
            Input::Settings(settings) => self.set_anew(settings),
            Input::Programs(need) => self.programs_run(need),
            Input::Stop => self.stop(),
        }
    }

    fn due(&mut self, timer: Timer) {
        match timer {
            Timer::Hello => self.hello_due(),
            Timer::Join => self.join_over(),
            Timer::Hi => self.hi_due(),
            Timer::Alone => self.alone(),
            Timer::Silence => self.silence_due(),
            Timer::Ping => self.ping_due(),
            Timer::Pong => self.pong_missing(),
            Timer::Deaf => self.deaf_due(),
            Timer::Redial => self.redial_due(),
            Timer::Probe => self.probe_due(),
            Timer::Ask => self.ask_due(),
            Timer::Elect => self.elect_due(),
            Timer::Beat => self.beat_due(),
            Timer::Sweep => self.sweep_due(),
            Timer::List => self.list_due(),
            Timer::Meet => self.meet_due(),
            Timer::Handover => self.handing_due(),
            Timer::Request => self.requests_due(),
            Timer::Successor => self.successor_due(),
            Timer::Told => self.tell_committed(),
            Timer::Copy => self.follow_data(),
            Timer::Check => self.check_due(),
            Timer::House => self.house_due(),
            Timer::Stop => self.stop_now(),
        }
    }

    fn accepted(&mut self, conn: ConnId, from: SocketAddr) {
        if self.base.ways.len() < limits::CONNS {
            self.base.ways.accepted(conn, from, self.base.now);
        } else {
            self.base.out.push(Output::Close { conn });
        }
    }

    /// The node is done.
    pub(super) fn end(&mut self) {
        self.base.out.push(Output::Stopped);
        self.stopped = true;
    }

    /// Ends what the present role has going, before another is taken: its connections, but for those to keep.
    pub(super) fn leave_role(&mut self, keep: &[ConnId]) {
        self.forgets_lost();
        self.base.timers.clear_role();
        self.campaign.canvass = None;
        // Whoever leads next is given them.
        self.data.requests.take_back();
        self.data.backup = Backup::default();
        // Of a canvass that was won some may be unanswered still: they would tell of a reign that is over by then.
        let unanswered = |c: &Conn| c.purpose == Purpose::Incoming && c.route.is_some() && c.peer.is_none();
        let stays = |c: &Conn| matches!(c.purpose, Purpose::Incoming | Purpose::Piped) && !unanswered(c);
        let over: Vec<ConnId> =
            self.base.ways.iter().filter(|(id, c)| !keep.contains(id) && !stays(c)).map(|(id, _)| id).collect();
        for conn in over {
            self.base.close(conn);
        }
    }

    // ---- how this agent stands

    /// What this agent tells others of its leader, itself included.
    pub(super) fn known(&self) -> Option<Known> {
        match &self.role {
            Role::Leading(l) => Some(self.known_self(l.claim)),
            Role::Following(f) if f.settled || f.confirmed => {
                // Where another of its id lives nobody is sent for it.
                let entry = self.base.members.get(f.claim.node.id)?;
                let nowhere = entry.is_anothers(f.claim.node.boot);
                let address = if nowhere {
                    SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), entry.address.port())
                } else {
                    entry.home(f.claim.node.boot)
                };
                let direct = f.direct(self.base.now, self.base.settings.suspicion());
                Some(Known { claim: f.claim, name: f.name.clone(), address, direct })
            }
            _ => None,
        }
    }

    /// This agent as a leader; whoever is told takes the address from the connection.
    pub(super) fn known_self(&self, claim: crate::claim::Claim) -> Known {
        let address = (Ipv4Addr::UNSPECIFIED, self.base.me.port).into();
        Known { claim, name: self.base.me.name.clone(), address, direct: true }
    }

    pub(super) fn standing(&self) -> Standing {
        match (&self.role, self.known()) {
            (Role::Leading(l), _) if l.check.is_none() => Standing::Leads(l.claim),
            (Role::Following(_), Some(known)) => Standing::Follows(known),
            _ => Standing::Neither,
        }
    }

    /// Whether this agent may take the role.
    pub(super) fn may_lead(&self) -> bool {
        self.base.settings.priority > 0 && !self.stopping
    }

    /// Whether this agent would claim: it may take the role, and its disk works (§7).
    pub(super) fn fit(&self) -> bool {
        self.may_lead() && self.base.disk_works()
    }
}
