//! What a message costs: the core and the wire alone, on this thread, without sockets. Bytes come in, are read, a step is
//! taken with what arrived together, and what is to be sent is written down as bytes.
//!
//!   cargo bench --bench core

#![expect(clippy::disallowed_methods, reason = "benchmarks read the clock")]

use bytes::Bytes;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tanist::claim::Claim;
use tanist::event::Event;
use tanist::ident::{BootId, ConnId, Incarnation, JobId, NodeId, Ticket};
use tanist::message::{Cast, Changes, Frame, Join, Open, Ping, Sender};
use tanist::protocol::{Closed, Durable, Host, Input, Job, Link, Node, Outcome, Output, Start, To, Write};
use tanist::settings::Settings;
use tanist::time::{Now, Time, Wall};
use tanist::wire::Wire;

/// How long each figure is measured at least.
const MEASURED: Duration = Duration::from_millis(700);
/// Members that come, and leave together: a long list of news for everybody who stays.
const LEAVE: u64 = 1800;
/// Frames that arrive together, at most, as in the agent.
const BATCH: usize = 64;

/// A leader, and what plays the others.
struct Office {
    node: Node,
    host: Sink,
    now: Now,
    accepted: u64,
    conns: Vec<ConnId>,
    seq: u64,
    outputs: Vec<Output>,
}

/// Writes down what is to be sent.
struct Sink {
    wire: Wire,
    me: Sender,
    bytes: u64,
    persisted: Option<Ticket>,
    /// What the data's thread says: it has no data.
    reports: Vec<Input>,
}

impl Host for Sink {
    fn cast(&mut self, _: To, cast: Cast) {
        self.bytes += self.wire.datagram(&self.me, &cast).len() as u64;
    }

    fn send(&mut self, to: &[ConnId], frame: Frame) {
        let bytes = self.wire.frame(&frame).expect("short");
        let shared: Vec<Bytes> = to.iter().map(|_| bytes.clone()).collect();
        self.bytes += shared.iter().map(|b| b.len() as u64).sum::<u64>();
    }

    fn persist(&mut self, ticket: Ticket, _: Vec<Write>) {
        self.persisted = Some(ticket);
    }

    fn dial(&mut self, _: ConnId, _: SocketAddr) {}
    fn close(&mut self, _: ConnId) {}
    fn pipe(&mut self, _: ConnId, _: SocketAddr) {}
    fn job(&mut self, id: JobId, job: Job) {
        self.reports.extend(job.without_data().map(|report| Input::Report { job: id, report }));
        self.reports.push(Input::Done { through: id });
    }
    fn tell(&mut self, _: Event) {}
    fn reply(&mut self, _: u64, _: Option<String>) {}
    fn answer(&mut self, _: u64, _: Outcome) {}
    fn stopped(&mut self) {}
}

fn address(n: u64) -> SocketAddr {
    ([10, 0, (n >> 8) as u8, n as u8], 8264).into()
}

fn sender(n: u64) -> Sender {
    let id = NodeId(uuid::Uuid::from_u128(u128::from(n) << 64 | 7));
    let name = format!("workstation-{n:04}.department-of-long-names.example-company.test");
    Sender { node: Incarnation { id, boot: BootId(n << 48) }, name: name[..64.min(name.len())].to_owned(), port: 8264 }
}

impl Office {
    fn new() -> Office {
        let now = Now { time: Time(1_000_000_000), wall: Wall(1_800_000_000_000_000) };
        let start = Start {
            node: sender(1).node,
            name: "pc-1".to_owned(),
            port: 8264,
            version: "0.1.0".to_owned(),
            settings: Settings::default(),
            peers: Vec::new(),
            seed: 7,
            durable: Durable::default(),
            data: 0,
        };
        let node = Node::new(start, now);
        let host = Sink {
            wire: Wire::new("office"),
            me: node.sender().clone(),
            bytes: 0,
            persisted: None,
            reports: Vec::new(),
        };
        let (accepted, conns) = (ConnId::FIRST_ACCEPTED, Vec::new());
        let mut office = Office { node, host, now, accepted, conns, seq: 0, outputs: Vec::new() };
        office.step(vec![Input::Links(vec![Link {
            name: "eth0".to_owned(),
            index: 1,
            addresses: vec![address(1).ip()],
        }])]);
        office.pass(Duration::from_secs(2));
        assert!(office.node.status().leader.is_some(), "nobody answered, so it leads");
        office
    }

    /// Takes what arrived together, and performs what comes of it as far as bytes go.
    fn step(&mut self, inputs: impl IntoIterator<Item = Input>) {
        self.node.step(self.now, inputs, &mut self.outputs);
        for output in self.outputs.drain(..) {
            output.perform(&mut self.host);
        }
        if let Some(through) = self.host.persisted.take() {
            self.step([Input::Persisted { through }]);
        }
        if !self.host.reports.is_empty() {
            let reports = std::mem::take(&mut self.host.reports);
            self.step(reports);
        }
    }

    /// Time passes. Gives the number of steps.
    fn pass(&mut self, for_: Duration) -> u64 {
        let end = self.now.time + for_;
        let mut steps = 0;
        while let Some((at, _)) = self.node.deadline().filter(|(at, _)| *at <= end) {
            self.now.time = self.now.time.max(at);
            self.step([Input::Tick]);
            steps += 1;
        }
        self.now.time = end;
        steps
    }

    fn joins(&mut self, n: u64) -> ConnId {
        let conn = ConnId(self.accepted);
        self.accepted += 1;
        let join = Join {
            claim: self.node.status().shown.expect("it leads"),
            shown: None,
            priority: 100,
            version: "0.1.0-a-version-with-a-long-name-of-its-own+0123456789abcdef".to_owned(),
            whole: true,
            via: None,
        };
        let open = Open { from: sender(n), via: None };
        self.step([
            Input::Accepted { conn, from: address(n) },
            Input::Frame { conn, frame: Frame::Open(open) },
            Input::Frame { conn, frame: Frame::Join(join) },
        ]);
        let ping = self.ping();
        let frame = self.host.wire.read_frame(&ping).expect("well made");
        self.step([Input::Frame { conn, frame }]);
        conn
    }

    fn ping(&mut self) -> Bytes {
        self.seq += 1;
        let ping = Ping { seq: self.seq, deaf: false, rtt_us: Some(300), hold_ms: 0, sick: false };
        self.host.wire.frame(&Frame::Ping(ping)).expect("short")
    }

    fn followers(&mut self, count: u64) {
        for n in 0..count {
            let conn = self.joins(100 + n);
            self.conns.push(conn);
        }
        self.pass(Duration::from_millis(100));
    }

    /// Everybody says that it is there.
    fn pings(&mut self) -> u64 {
        let pings: Vec<_> = self.conns.clone().into_iter().map(|conn| (conn, self.ping())).collect();
        for together in pings.chunks(BATCH) {
            let read = |(conn, bytes): &(ConnId, Bytes)| {
                let frame = self.host.wire.read_frame(bytes).expect("well made");
                Input::Frame { conn: *conn, frame }
            };
            let inputs: Vec<Input> = together.iter().map(read).collect();
            self.step(inputs);
        }
        pings.len() as u64
    }

    /// Many leave at once, and everybody else is told. Gives how many bytes that made.
    fn many_leave(&mut self, conns: Vec<ConnId>) -> u64 {
        let before = self.host.bytes;
        let closed = |conn: &ConnId| Input::Closed { conn: *conn, how: Closed::Reset };
        for together in conns.chunks(BATCH) {
            self.step(together.iter().map(closed));
        }
        self.pass(Duration::from_millis(60));
        self.host.bytes - before
    }
}

/// Repeats until it was measured long enough. `what` gives how many there were; `between` is not measured.
fn measure(name: &str, office: &mut Office, between: impl Fn(&mut Office), what: impl Fn(&mut Office) -> u64) {
    let (mut took, mut count, mut allocated, mut bytes, mut best) = (Duration::ZERO, 0, 0, 0, f64::MAX);
    while took < MEASURED {
        between(office);
        let mut here = 0;
        let begun = Instant::now();
        let info = allocation_counter::measure(|| here = what(office));
        let this = begun.elapsed();
        took += this;
        count += here;
        allocated += info.count_total;
        bytes += info.bytes_total;
        best = f64::min(best, this.as_secs_f64() / here as f64);
    }
    row(name, took.as_secs_f64() / count as f64, best, allocated as f64 / count as f64, bytes as f64 / count as f64);
}

fn row(name: &str, each: f64, best: f64, allocations: f64, bytes: f64) {
    println!("| {name} | {:.2} | {:.2} | {:.0} | {allocations:.1} | {bytes:.0} |", each * 1e6, best * 1e6, 1.0 / best);
}

/// A megabyte of changes for all followers, as bytes of the wire.
fn fanned_out(followers: u64) {
    let wire = Wire::new("office");
    let claim = Claim { epoch: 7, at: Wall(1), node: sender(1).node };
    let frame = Frame::Changes(Changes { claim, last: 64, committed: 0, body: vec![7; 1 << 20].into() });
    let to: Vec<ConnId> = (0..followers).map(ConnId).collect();
    let mut sink = Sink { wire, me: sender(1), bytes: 0, persisted: None, reports: Vec::new() };
    let (mut took, mut info) = (Vec::new(), None);
    for _ in 0..50 {
        let frame = frame.clone();
        let begun = Instant::now();
        info = Some(allocation_counter::measure(|| sink.send(&to, frame)));
        took.push(begun.elapsed().as_secs_f64());
    }
    took.sort_by(f64::total_cmp);
    let info = info.expect("measured");
    let name = format!("{followers} followers: a megabyte fanned out");
    row(&name, took[took.len() / 2], took[0], info.count_total as f64, info.bytes_total as f64);
}

fn main() {
    println!("| a leader with … | µs each | best | a second | allocations each | bytes allocated each |");
    println!("|---|---:|---:|---:|---:|---:|");
    for followers in [3, 200] {
        let mut office = Office::new();
        office.followers(followers);
        let beats = |office: &mut Office| office.pass(Duration::from_secs(2));
        measure(&format!("{followers} followers: heartbeat"), &mut office, |o| _ = o.pings(), beats);
        measure(&format!("{followers} followers: ping"), &mut office, |_| {}, |o| (0..20).map(|_| o.pings()).sum());
        let mut times = Vec::new();
        for _ in 0..5 {
            let conns: Vec<ConnId> = (0..LEAVE).map(|n| office.joins(10_000 + n)).collect();
            office.pings();
            office.pass(Duration::from_millis(500));
            let mut bytes = 0;
            let begun = Instant::now();
            let info = allocation_counter::measure(|| bytes = office.many_leave(conns));
            times.push((begun.elapsed(), info, bytes));
            office.pings();
        }
        times.sort_by_key(|t| t.0);
        let (took, info, bytes) = &times[times.len() / 2];
        let name = format!("{followers} followers: {LEAVE} more leave, {} MiB of news", bytes >> 20);
        let best = times[0].0.as_secs_f64();
        row(&name, took.as_secs_f64(), best, info.count_total as f64, info.bytes_total as f64);
        fanned_out(followers);
    }
}
