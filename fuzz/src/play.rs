//! A node in each of its roles, and a host around it that is played by bytes: datagrams, connections, the disk, time.
//! After every step the promises of the core's front door are checked.

mod roles;

use super::made::{Bytes, Maker, Said};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;
use tanist::claim::Claim;
use tanist::event::Event;
use tanist::ident::{BootId, ConnId, Incarnation, JobId, NodeId, Ticket};
use tanist::message::{Cast, Datagram, Frame, Heartbeat, Hello, Hi, Join, Joined, Named, Open, Ping, Sender, Story};
use tanist::protocol::{
    Closed, Durable, Host, Input, Job, Judged, Link, Node, Outcome, Report, RoleName, Start, To, Write, limits,
};
use tanist::settings::Settings;
use tanist::time::{Now, Time, Wall};
use tanist::wire::{ASK_SIZE, Wire, samples};

/// The roles that a node is played in, by the first byte of the input.
pub const ROLES: [&str; 5] = ["listening", "following", "electing", "claiming", "leading"];

/// Steps of the node in one input.
const STEPS: usize = 4000;

/// Outputs of one step: everybody is dialled and asked, or everybody is told, and a little more.
const OUTPUTS: usize = 3 * limits::CONNS;

/// What an agent says in plain words is never longer than this, in bytes.
const TEXT_MAX: usize = 4096;

/// Datagrams to a node in one of its [`ROLES`].
pub fn datagram(data: &[u8]) {
    Player::play(data, false);
}

/// Frames on any number of connections of such a node, with datagrams between them.
pub fn frame(data: &[u8]) {
    Player::play(data, true);
}

/// A node in one of the [`ROLES`].
pub(super) fn in_role(role: u8) -> Node {
    Player::in_role(role).node
}

/// This agent is the second of the samples' members.
fn me() -> Incarnation {
    samples::node(2)
}

fn sender(n: u64) -> Sender {
    Sender { node: samples::node(n), name: format!("pc-{n}"), port: 8264 }
}

fn address(n: u64) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n as u8], 8264))
}

/// Everything that goes in and comes out is told, for whoever plays one input again.
fn trace() -> bool {
    static TRACE: OnceLock<bool> = OnceLock::new();
    *TRACE.get_or_init(|| std::env::var_os("TANIST_TRACE").is_some())
}

/// The host.
struct Player {
    node: Node,
    wire: Wire,
    now: Now,
    /// Connections that the node knows of, with who speaks on each.
    conns: BTreeMap<ConnId, Option<Incarnation>>,
    accepted: u64,
    /// Writes under way, oldest first.
    writes: VecDeque<(Ticket, Vec<Write>)>,
    /// What the data's thread was given in this step.
    jobs: Vec<(JobId, Job)>,
    /// The highest epoch that is durable as shown, and the one that users were last shown.
    durable: u64,
    /// The claim that the last durable promise vouches for.
    vouched: Option<Claim>,
    shown: Option<Claim>,
    said: Said,
    linked: bool,
    /// Where the datagram came from that the present step takes.
    asked: Option<SocketAddr>,
    steps: usize,
    over: bool,
}

impl Player {
    fn new() -> Self {
        let now = Now { time: Time(1_000_000_000), wall: Wall(1_800_000_000_000_000) };
        let start = Start {
            node: me(),
            name: "pc-2".to_owned(),
            port: 8264,
            version: "0.1.0".to_owned(),
            settings: Settings::default(),
            peers: vec![address(200)],
            seed: 7,
            durable: Durable::default(),
            data: 0,
        };
        Self {
            node: Node::new(start, now),
            wire: Wire::new("office"),
            now,
            conns: BTreeMap::new(),
            accepted: ConnId::FIRST_ACCEPTED,
            writes: VecDeque::new(),
            jobs: Vec::new(),
            durable: 0,
            vouched: None,
            shown: None,
            said: Said::default(),
            linked: false,
            asked: None,
            steps: 0,
            over: false,
        }
    }

    fn play(data: &[u8], frames: bool) {
        let mut bytes = Bytes(data);
        let mut player = Player::in_role(bytes.byte());
        while !bytes.is_empty() && !player.over && player.steps < STEPS {
            player.act(&mut bytes, frames);
        }
        // What was begun goes on for a while.
        for _ in 0..20 {
            player.disk_works(true);
            player.due();
        }
    }

    // ---- what bytes can do

    fn act(&mut self, bytes: &mut Bytes<'_>, frames: bool) {
        let what = bytes.byte();
        if what == 0xee {
            // Rare, because it takes long.
            return self.flood(bytes, frames);
        }
        match what & 0x0f {
            0 | 1 if frames => {
                let conn = self.pick(bytes);
                self.raw_frame(conn, bytes.run());
            }
            2..=4 if frames => self.made_frame(bytes),
            5 if frames => {
                let from = self.maker(bytes).address();
                let conn = self.accept(from);
                if bytes.byte() & 3 != 3 {
                    let from = self.maker(bytes).sender();
                    self.say(conn, Frame::Open(Open { from, via: None }));
                }
            }
            0 | 1 | 8 => {
                let from = address(u64::from(bytes.byte() & 0x0f));
                self.raw_datagram(from, bytes.run());
            }
            2..=5 | 9 | 10 => {
                let (from, address) = (self.maker(bytes).sender(), self.maker(bytes).address());
                let cast = self.maker(bytes).cast(from.node);
                self.heard(&from, &cast, address);
            }
            6 => {
                let (conn, how) = (self.pick(bytes), [Closed::Refused, Closed::Reset, Closed::Local][bytes.below(3)]);
                self.closed(conn, how);
            }
            7 => {
                let conn = self.pick(bytes);
                if conn.0 < ConnId::FIRST_ACCEPTED {
                    self.step(Input::Connected { conn });
                }
            }
            11 => {
                let ms = u64::from(bytes.byte()) << (bytes.byte() & 7);
                self.now.time = self.now.time + Duration::from_millis(ms);
                self.now.wall = Wall(self.now.wall.0 + ms * 1000);
                self.step(Input::Tick);
            }
            12 => {
                for _ in 0..=bytes.byte() & 0x0f {
                    self.due();
                }
            }
            13 => {
                let byte = bytes.byte();
                for _ in 0..=byte & 7 {
                    self.disk_works(byte & 0x70 != 0x70);
                }
            }
            14 if frames => self.made_frame(bytes),
            _ => self.user(bytes),
        }
    }

    fn user(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() & 7 {
            0 => self.links(!self.linked),
            1 => {
                let to = (bytes.byte() & 1 == 1).then(|| format!("pc-{}", bytes.byte() & 7));
                self.step(Input::Handover { request: u64::from(bytes.byte()), to });
            }
            2 if bytes.byte() & 7 == 7 => self.step(Input::Stop),
            3 => self.now.wall = Wall(u64::from(bytes.byte()) << (bytes.byte() & 0x3f)),
            _ => self.due(),
        }
    }

    /// Many that nobody knows, one after the other.
    fn flood(&mut self, bytes: &mut Bytes<'_>, frames: bool) {
        let (kind, many) = (bytes.byte(), u64::from(bytes.byte()) * 12);
        let template = self.maker(bytes).sender();
        let cast = self.maker(bytes).cast(template.node);
        for n in 0..many {
            let id = NodeId::from_random(u128::from(n + 1000 * u64::from(kind)));
            let node = Incarnation { id, boot: BootId(n) };
            let from = Sender { node, ..template.clone() };
            let address = SocketAddr::from(([10, kind, (n >> 8) as u8, n as u8], 8264));
            if frames && kind & 1 == 1 {
                let conn = self.accept(address);
                self.say(conn, Frame::Open(Open { from, via: None }));
                let frame = self.maker(&mut Bytes(&[3, kind, kind, 0])).frame(node);
                self.say(conn, frame);
            } else if kind & 2 == 2 {
                self.heard(
                    &from,
                    &Cast::Hello(Hello { broadcast: kind & 4 == 4, version: String::new(), priority: 1 }),
                    address,
                );
            } else {
                self.heard(&from, &cast, address);
            }
            if self.over || self.steps > STEPS {
                return;
            }
        }
    }

    fn maker<'a, 'b>(&'b self, bytes: &'b mut Bytes<'a>) -> Maker<'a, 'b> {
        Maker { bytes, said: &self.said, me: self.node.sender().node }
    }

    /// One of the open connections.
    fn pick(&self, bytes: &mut Bytes<'_>) -> ConnId {
        let byte = usize::from(bytes.byte());
        // The newest are the most interesting.
        self.conns.keys().rev().nth(byte % self.conns.len().max(1)).copied().unwrap_or(ConnId(u64::MAX))
    }

    fn raw_datagram(&mut self, from: SocketAddr, bytes: &[u8]) {
        let Ok(datagram) = self.wire.read_datagram(bytes) else { return };
        let again = self.wire.datagram(&datagram.from, &datagram.cast);
        assert_eq!(self.wire.read_datagram(&again).as_ref(), Ok(&datagram), "what was read can be said");
        self.step(Input::Datagram { from, datagram });
    }

    fn heard(&mut self, from: &Sender, cast: &Cast, address: SocketAddr) {
        let bytes = self.wire.datagram(from, cast);
        let datagram = Datagram { from: from.clone(), cast: cast.clone() };
        assert_eq!(self.wire.read_datagram(&bytes).as_ref(), Ok(&datagram), "what was said can be read");
        self.step(Input::Datagram { from: address, datagram });
    }

    fn raw_frame(&mut self, conn: ConnId, bytes: &[u8]) {
        match self.wire.read_frame(bytes) {
            Ok(frame) => {
                if let Ok(again) = self.wire.frame(&frame) {
                    assert_eq!(self.wire.read_frame(&again).as_ref(), Ok(&frame), "what was read can be said");
                }
                self.frame(conn, frame);
            }
            Err(tanist::wire::Unread::Unknown(_)) => {}
            // The host closes it then.
            Err(_) => self.closed(conn, Closed::Local),
        }
    }

    fn made_frame(&mut self, bytes: &mut Bytes<'_>) {
        let conn = self.pick(bytes);
        let speaks = self.conns.get(&conn).copied().flatten();
        if speaks.is_none() {
            let from = self.maker(bytes).sender();
            self.say(conn, Frame::Open(Open { from, via: None }));
        }
        let from = self.conns.get(&conn).copied().flatten().unwrap_or_else(me);
        let frame = self.maker(bytes).frame(from);
        self.say(conn, frame);
    }

    fn say(&mut self, conn: ConnId, frame: Frame) {
        let bytes = self.wire.frame(&frame).expect("a frame of a few bytes fits");
        assert_eq!(self.wire.read_frame(&bytes).as_ref(), Ok(&frame), "what was said can be read");
        self.frame(conn, frame);
    }

    fn open(&mut self, conn: ConnId, n: u64) {
        self.say(conn, Frame::Open(Open { from: sender(n), via: None }));
    }

    fn frame(&mut self, conn: ConnId, frame: Frame) {
        if let (Some(speaks @ None), Frame::Open(open)) = (self.conns.get_mut(&conn), &frame) {
            *speaks = Some(open.from.node);
        }
        if self.conns.contains_key(&conn) {
            self.step(Input::Frame { conn, frame });
        }
    }

    fn accept(&mut self, from: SocketAddr) -> ConnId {
        let conn = ConnId(self.accepted);
        self.accepted += 1;
        self.conns.insert(conn, None);
        self.step(Input::Accepted { conn, from });
        conn
    }

    fn closed(&mut self, conn: ConnId, how: Closed) {
        if self.conns.remove(&conn).is_some() {
            self.step(Input::Closed { conn, how });
        }
    }

    fn links(&mut self, up: bool) {
        self.linked = up;
        let link = Link { name: "eth0".to_owned(), index: 1, addresses: vec![address(2).ip()] };
        self.step(Input::Links(if up { vec![link] } else { Vec::new() }));
    }

    /// The oldest write comes back.
    fn disk_works(&mut self, done: bool) {
        let Some((ticket, writes)) = self.writes.pop_front() else { return };
        if done {
            let shown = |w: &Write| if let Write::Shown(claim) = w { claim.epoch } else { 0 };
            self.durable = self.durable.max(writes.iter().map(shown).max().unwrap_or(0));
            for write in &writes {
                if let Write::Promised(promise) = write {
                    self.vouched = promise.may_be_shown();
                }
            }
            self.step(Input::Persisted { through: ticket });
        } else {
            self.step(Input::NotPersisted { ticket, why: "no space left on the device".to_owned() });
        }
    }

    /// Goes on to the node's next deadline.
    fn due(&mut self) {
        if let Some((at, _)) = self.node.deadline() {
            let waited = at.since(self.now.time);
            self.now.time = self.now.time.max(at);
            self.now.wall = Wall(self.now.wall.0.saturating_add(waited.as_micros() as u64));
        }
        self.step(Input::Tick);
    }

    // ---- one step, and what must hold after it

    fn step(&mut self, input: Input) {
        if self.over {
            return;
        }
        self.steps += 1;
        self.now.time = self.now.time + Duration::from_micros(50);
        let asked = match &input {
            Input::Datagram { from, .. } => Some(*from),
            _ => None,
        };
        if trace() {
            eprintln!("{:?} <- {input:?}", self.now.time);
        }
        let mut outputs = Vec::new();
        self.node.step(self.now, [input], &mut outputs);
        assert!(outputs.len() <= OUTPUTS, "{} outputs of one step", outputs.len());
        self.asked = asked;
        for output in outputs {
            if trace() {
                eprintln!("    -> {output:?}");
            }
            output.perform(self);
        }
        assert!(self.conns.len() <= limits::CONNS, "{} connections", self.conns.len());
        assert!(self.writes.len() <= limits::WRITES, "{} writes under way", self.writes.len());
        let status = self.node.status();
        assert!(status.members <= limits::MEMBERS, "{} members", status.members);
        let (was, is) = (self.shown, status.shown);
        assert!(
            is == was || was.map_or(0, |c| c.epoch) < is.map_or(0, |c| c.epoch),
            "P3: {is:?} is shown after {was:?}"
        );
        let kept = is == self.vouched || is.map_or(0, |c| c.epoch) <= self.durable;
        assert!(kept, "{is:?} is shown and not durable");
        (self.shown, self.said.shown) = (is, is);
        if self.steps.is_multiple_of(64) {
            assert!(self.node.members(self.now).len() <= limits::MEMBERS);
        }
        for (id, job) in std::mem::take(&mut self.jobs) {
            // An empty ledger, which takes nothing in.
            let report = match job {
                Job::Append { .. } | Job::Adopt { .. } | Job::Join { .. } | Job::Scan { .. } => {
                    Some(Report::Unfit { why: "it is garbage".to_owned() })
                }
                Job::Order(ref bodies) => {
                    let judged = Judged { by: 0, body: Default::default() };
                    Some(Report::Ordered { batch: None, answers: vec![judged; bodies.len()] })
                }
                ref job => job.without_data(),
            };
            if let Some(report) = report {
                self.step(Input::Report { job: id, report });
            }
            self.step(Input::Done { through: id });
        }
    }

    fn note(&mut self, cast: &Cast) {
        match cast {
            Cast::Question(q) => self.said.nonce(q.nonce),
            Cast::Notice(n) => self.said.claim(n.claim),
            Cast::Heartbeat(h) => self.said.claim(h.claim),
            _ => {}
        }
    }
}

impl Host for Player {
    fn cast(&mut self, to: To, cast: Cast) {
        let bytes = self.wire.datagram(self.node.sender(), &cast).len();
        let answers = matches!(cast, Cast::Hi(_) | Cast::Welcome(_) | Cast::Answer(_));
        assert!(!answers || bytes <= ASK_SIZE, "{cast:?} is longer than what asks for it");
        let at_once = matches!(cast, Cast::Welcome(_) | Cast::Answer(_));
        if let (To::One(to), Some(from), true) = (to, self.asked, at_once) {
            assert_eq!(to, from, "who asks is answered, nobody else");
        }
        self.note(&cast);
    }

    fn dial(&mut self, conn: ConnId, _: SocketAddr) {
        assert!(self.conns.insert(conn, None).is_none(), "a number is used twice");
    }

    fn send(&mut self, to: &[ConnId], frame: Frame) {
        for conn in to {
            assert!(self.conns.contains_key(conn), "{frame:?} goes to a connection that is gone");
        }
        assert!(self.wire.frame(&frame).is_ok(), "{frame:?} cannot be sent");
        match frame {
            Frame::Canvass(c) => self.said.claim(c.claim),
            Frame::Joined(j) => self.said.claim(j.claim),
            Frame::Question(q) => self.said.nonce(q.nonce),
            Frame::Meet(m) => self.said.claim(m.claim),
            Frame::Abdicate(a) => self.said.claim(a.claim),
            _ => {}
        }
    }

    fn close(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
    }

    fn pipe(&mut self, conn: ConnId, _: SocketAddr) {
        assert!(self.conns.contains_key(&conn), "a pipe on a connection that is gone");
    }

    fn persist(&mut self, ticket: Ticket, writes: Vec<Write>) {
        self.writes.push_back((ticket, writes));
    }

    fn job(&mut self, id: JobId, job: Job) {
        self.jobs.push((id, job));
    }

    fn tell(&mut self, event: Event) {
        assert!(event.text.len() <= TEXT_MAX, "{} bytes of text", event.text.len());
    }

    fn reply(&mut self, _: u64, _: Option<String>) {}

    fn answer(&mut self, _: u64, _: Outcome) {
        unreachable!("nobody asks for data")
    }

    fn stopped(&mut self) {
        self.over = true;
    }
}
