//! An agent without a simulated LAN, for tests that play every other one by hand.

use super::*;
use crate::event::Cause;
use crate::ident::NodeId;
use crate::message::{Heartbeat, Hi, Join, Joined, Known, Open, Ping, Sender, Story};
use crate::time::Now;
use crate::wire::samples;

/// What a disk does with a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Disk {
    Works,
    Fails,
    /// Nothing is heard of it until it is released.
    Hangs,
}

/// An agent, number 2, and a host that does everything at once.
pub(super) struct Hosted {
    pub(super) node: Node,
    pub(super) now: Now,
    pub(super) accepted: u64,
    /// Dials that were not answered yet, with where they went.
    pub(super) dials: Vec<(ConnId, SocketAddr)>,
    /// What it sent by TCP and by datagram, and how often it wrote.
    pub(super) sent: Vec<(ConnId, Frame)>,
    pub(super) cast: Vec<(To, Cast)>,
    pub(super) told: Vec<crate::event::Kind>,
    /// What it hung up, and where it opened pipes to.
    pub(super) closed: Vec<ConnId>,
    pub(super) pipes: Vec<SocketAddr>,
    pub(super) writes: usize,
    /// What is durable, and whether the disk takes anything now.
    pub(super) durable: Durable,
    pub(super) disk: Disk,
    /// What the disk has to report.
    reports: Vec<Input>,
    /// What the data's thread was given, and has not done.
    pub(super) jobs: Vec<(JobId, Job)>,
    /// A test plays the data's thread. Otherwise there is an empty ledger.
    pub(super) by_hand: bool,
    /// A test says how what a member has goes with what is here. Otherwise the member has all, and its changes flow.
    pub(super) compares: bool,
    /// What users who asked for data were told.
    pub(super) answers: Vec<(u64, Outcome)>,
    /// What hangs.
    hanging: Vec<(Ticket, Vec<Write>)>,
    pub(super) dialled: usize,
}

pub(super) fn sender(n: u64) -> Sender {
    Sender { node: samples::node(n), name: format!("pc-{n}"), port: 8264 }
}

pub(super) fn address(n: u64) -> SocketAddr {
    ([192, 0, (n >> 8) as u8, n as u8], 8264).into()
}

pub(super) fn beat(claim: Claim, followers: u32) -> Cast {
    Cast::Heartbeat(Heartbeat { claim, successor: None, followers, seq: 1 })
}

pub(super) fn story() -> Story {
    Story { name: "pc-1".to_owned(), cause: Cause::First, text: String::new() }
}

/// What number 1 says to whom it takes in: it has named number 3.
pub(super) fn joined(claim: Claim) -> Joined {
    let members = [1, 3].map(samples_member).to_vec();
    Joined { claim, story: story(), successor: Some(samples::node(3)), members }
}

/// What number 3 says to whoever greets: it reaches the leader, number 1.
pub(super) fn hi_that_names_the_leader(to: &Hosted) -> Cast {
    let known = Known { claim: samples::claim(7, 1), name: "pc-1".to_owned(), address: address(1), direct: true };
    Cast::Hi(Hi { to: to.node.sender().node, leader: Some(known), priority: 100 })
}

impl Hosted {
    /// It has just been switched on.
    pub(super) fn listening() -> Self {
        let now = Now { time: Time(1_000_000_000), wall: Wall(1_800_000_000_000_000) };
        Self::started(Durable::default(), 0, now)
    }

    /// It loses power, and starts again.
    pub(super) fn restarts(&self) -> Self {
        Self::started(self.durable.clone(), 0, self.now)
    }

    fn started(durable: Durable, data: u64, now: Now) -> Self {
        let start = Start {
            node: samples::node(2),
            name: "pc-2".to_owned(),
            port: 8264,
            version: "0.1.0".to_owned(),
            settings: Settings::default(),
            peers: Vec::new(),
            seed: 7,
            durable: durable.clone(),
            data,
        };
        let mut hosted = Self {
            node: Node::new(start, now),
            now,
            accepted: ConnId::FIRST_ACCEPTED,
            dials: Vec::new(),
            sent: Vec::new(),
            cast: Vec::new(),
            told: Vec::new(),
            closed: Vec::new(),
            pipes: Vec::new(),
            writes: 0,
            durable,
            disk: Disk::Works,
            reports: Vec::new(),
            jobs: Vec::new(),
            by_hand: data > 0,
            compares: false,
            answers: Vec::new(),
            hanging: Vec::new(),
            dialled: 0,
        };
        let link = Link { name: "eth0".to_owned(), index: 1, addresses: vec![address(2).ip()] };
        hosted.step(Input::Links(vec![link]));
        hosted
    }

    /// It follows number 1, which has named number 3.
    pub(super) fn following() -> Self {
        let mut hosted = Self::listening();
        let claim = samples::claim(7, 1);
        hosted.hears(1, beat(claim, 2));
        let session = hosted.connects(1);
        hosted.frame(session, Frame::Joined(joined(claim)));
        assert_eq!(hosted.node.status().leader.map(|l| l.node), Some(samples::node(1)));
        hosted.forget();
        hosted
    }

    /// Nobody answered: it leads.
    pub(super) fn leading() -> Self {
        Self::leading_with_data(0)
    }

    /// It leads, and found changes up to this number on its disk.
    pub(super) fn leading_with_data(data: u64) -> Self {
        let now = Now { time: Time(1_000_000_000), wall: Wall(1_800_000_000_000_000) };
        let mut hosted = Self::started(Durable::default(), data, now);
        hosted.run(Duration::from_secs(1));
        assert_eq!(hosted.node.status().role, RoleName::Leading);
        hosted.forget();
        hosted
    }

    /// What was done so far does not count.
    pub(super) fn forget(&mut self) {
        (self.sent, self.cast, self.told, self.writes) = Default::default();
    }

    pub(super) fn step(&mut self, input: Input) {
        self.step_all(vec![input]);
    }

    /// What arrived together, and what comes of it.
    pub(super) fn step_all(&mut self, inputs: Vec<Input>) {
        self.reports = inputs;
        while !self.reports.is_empty() {
            let mut outputs = Vec::new();
            self.node.step(self.now, std::mem::take(&mut self.reports), &mut outputs);
            outputs.into_iter().for_each(|output| output.perform(self));
        }
    }

    /// What hung until now is durable.
    pub(super) fn released(&mut self) {
        for (ticket, writes) in std::mem::take(&mut self.hanging) {
            self.write(&writes);
            self.step(Input::Persisted { through: ticket });
        }
    }

    fn write(&mut self, writes: &[Write]) {
        for write in writes {
            match write {
                Write::Shown(claim) => self.durable.shown = Some(*claim),
                Write::Promised(promise) => self.durable.promised = Some(*promise),
                _ => {}
            }
        }
    }

    pub(super) fn hears(&mut self, n: u64, cast: Cast) {
        self.hears_from(sender(n), address(n), cast);
    }

    pub(super) fn hears_from(&mut self, from: Sender, address: SocketAddr, cast: Cast) {
        self.step(Input::Datagram { from: address, datagram: Datagram { from, cast } });
    }

    pub(super) fn frame(&mut self, conn: ConnId, frame: Frame) {
        self.step(Input::Frame { conn, frame });
    }

    /// Number `n` takes the dial that goes to it.
    pub(super) fn connects(&mut self, n: u64) -> ConnId {
        let found = self.dials.iter().position(|(_, to)| *to == address(n));
        let (conn, _) = self.dials.remove(found.expect("it is dialled"));
        self.step(Input::Connected { conn });
        self.frame(conn, Frame::Open(Open { from: sender(n), via: None }));
        conn
    }

    /// `from` connects, and says who it is.
    pub(super) fn accepts(&mut self, from: Sender, at: SocketAddr) -> ConnId {
        let conn = ConnId(self.accepted);
        self.accepted += 1;
        self.step(Input::Accepted { conn, from: at });
        self.frame(conn, Frame::Open(Open { from, via: None }));
        conn
    }

    /// Number `n` comes, and asks this leader to take it in.
    pub(super) fn asks_to_join(&mut self, n: u64) -> ConnId {
        let conn = self.accepts(sender(n), address(n));
        self.frame(conn, Frame::Join(self.join()));
        conn
    }

    /// What a member says that asks this leader to take it in.
    pub(super) fn join(&self) -> Join {
        let claim = self.node.status().shown.expect("it leads");
        Join { claim, shown: None, priority: 1, version: String::new(), whole: true, via: None }
    }

    /// A follower speaks on its session; the answer may wait for so many milliseconds.
    pub(super) fn pings(&mut self, conn: ConnId, seq: u64, hold_ms: u64) {
        self.frame(conn, Frame::Ping(Ping { seq, deaf: false, rtt_us: None, hold_ms, sick: false }));
        if seq == 1 {
            self.holds(conn, 0);
        }
    }

    /// A follower says that it has the first so many changes.
    pub(super) fn holds(&mut self, conn: ConnId, number: u64) {
        let position = crate::data::Revision { number, reign: crate::data::ReignId::NONE };
        self.frame(conn, Frame::Holds(crate::message::Holds { position, all: false, body: Bytes::new() }));
    }

    /// Time passes; what falls due is done.
    pub(super) fn run(&mut self, for_: Duration) {
        let end = self.now.time + for_;
        while let Some((at, _)) = self.node.deadline().filter(|(at, _)| *at <= end) {
            self.at(at);
            self.step(Input::Tick);
        }
        self.at(end);
        self.step(Input::Tick);
    }

    pub(super) fn at(&mut self, at: Time) {
        let passed = u64::try_from(at.since(self.now.time).as_micros()).expect("a test is short");
        self.now = Now { time: self.now.time.max(at), wall: Wall(self.now.wall.0 + passed) };
    }

    pub(super) fn id(&self) -> NodeId {
        self.node.sender().node.id
    }
}

impl Host for Hosted {
    fn cast(&mut self, to: To, cast: Cast) {
        self.cast.push((to, cast));
    }

    fn dial(&mut self, conn: ConnId, to: SocketAddr) {
        self.dialled += 1;
        self.dials.push((conn, to));
    }

    fn send(&mut self, to: &[ConnId], frame: Frame) {
        self.sent.extend(to.iter().map(|conn| (*conn, frame.clone())));
    }

    fn close(&mut self, conn: ConnId) {
        self.dials.retain(|(c, _)| *c != conn);
        self.closed.push(conn);
    }

    fn pipe(&mut self, _: ConnId, to: SocketAddr) {
        self.pipes.push(to);
    }

    fn persist(&mut self, ticket: Ticket, writes: Vec<Write>) {
        self.writes += 1;
        match self.disk {
            Disk::Works => {
                self.write(&writes);
                self.reports.push(Input::Persisted { through: ticket });
            }
            Disk::Fails => self.reports.push(Input::NotPersisted { ticket, why: "full".to_owned() }),
            Disk::Hangs => self.hanging.push((ticket, writes)),
        }
    }

    fn job(&mut self, id: JobId, job: Job) {
        let played = match job {
            Job::Lead { .. } => self.by_hand,
            Job::Compare { .. } => self.compares,
            _ => false,
        };
        let report = job.without_data().filter(|_| !played);
        self.reports.extend(report.map(|report| Input::Report { job: id, report }));
        if !self.by_hand {
            self.reports.push(Input::Done { through: id });
        }
        self.jobs.push((id, job));
    }

    fn tell(&mut self, event: Event) {
        self.told.push(event.kind);
    }

    fn reply(&mut self, _: u64, _: Option<String>) {}

    fn answer(&mut self, request: u64, outcome: Outcome) {
        self.answers.push((request, outcome));
    }

    fn stopped(&mut self) {}
}

pub(super) fn samples_member(n: u64) -> Member {
    Member {
        node: samples::node(n),
        name: format!("pc-{n}"),
        address: address(n),
        version: "0.1.0".to_owned(),
        priority: 100,
        state: crate::message::MemberState::Alive,
        whole: true,
        sick: false,

        rtt_us: Some(300),
        seniority_ms: 1000,
        via: None,
    }
}
