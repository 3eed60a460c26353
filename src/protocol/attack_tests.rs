//! What somebody on the LAN who means ill can do to an agent of a cluster without a key, and cannot (protocol §12).

use super::*;
use crate::ident::BootId;
use crate::message::{Answer, Goodbye, Heartbeat, Hello, Hi, Joined, Known, NotJoined, Open, Sender, Standing, Story};
use crate::time::Now;
use crate::wire::samples;
use std::collections::BTreeSet;

/// An agent, number 2, and a host that does everything at once.
struct Victim {
    node: Node,
    now: Now,
    accepted: u64,
    /// Dials that were not answered yet, with where they went.
    dials: Vec<(ConnId, SocketAddr)>,
    /// What it sent by TCP and by datagram, and how often it wrote.
    sent: Vec<(ConnId, Frame)>,
    cast: Vec<(To, Cast)>,
    told: Vec<crate::event::Kind>,
    writes: usize,
}

fn sender(n: u64) -> Sender {
    Sender { node: samples::node(n), name: format!("pc-{n}"), port: 8264 }
}

fn address(n: u64) -> SocketAddr {
    ([192, 0, (n >> 8) as u8, n as u8], 8264).into()
}

fn beat(claim: Claim, followers: u32) -> Cast {
    Cast::Heartbeat(Heartbeat { claim, successor: None, revision: 0, digest: 0, followers, seq: 1 })
}

fn story() -> Story {
    Story { name: "pc-1".to_owned(), cause: Cause::First, text: String::new() }
}

impl Victim {
    /// It has just been switched on.
    fn listening() -> Self {
        let now = Now { time: Time(1_000_000_000), wall: Wall(1_800_000_000_000_000) };
        let start = Start {
            node: samples::node(2),
            name: "pc-2".to_owned(),
            port: 8264,
            version: "0.1.0".to_owned(),
            settings: Settings::default(),
            peers: Vec::new(),
            seed: 7,
            durable: Durable::default(),
        };
        let mut victim = Self {
            node: Node::new(start, now),
            now,
            accepted: ConnId::FIRST_ACCEPTED,
            dials: Vec::new(),
            sent: Vec::new(),
            cast: Vec::new(),
            told: Vec::new(),
            writes: 0,
        };
        let link = Link { name: "eth0".to_owned(), addresses: vec![address(2).ip()] };
        victim.step(Input::Links(vec![link]));
        victim
    }

    /// It follows number 1, which has named number 3.
    fn following() -> Self {
        let mut victim = Self::listening();
        let claim = samples::claim(7, 1);
        victim.hears(1, beat(claim, 2));
        let session = victim.connects(1);
        let members = [1, 3].map(samples_member).to_vec();
        let joined = Joined { claim, story: story(), successor: Some(samples::node(3)), members };
        victim.frame(session, Frame::Joined(joined));
        assert_eq!(victim.node.status().leader.map(|l| l.node), Some(samples::node(1)));
        victim.forget();
        victim
    }

    /// Nobody answered: it leads.
    fn leading() -> Self {
        let mut victim = Self::listening();
        victim.run(Duration::from_secs(1));
        assert_eq!(victim.node.status().role, RoleName::Leading);
        victim.forget();
        victim
    }

    /// What was done so far does not count.
    fn forget(&mut self) {
        (self.sent, self.cast, self.told, self.writes) = Default::default();
    }

    fn step(&mut self, input: Input) {
        let mut inputs = std::collections::VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for output in self.node.step(self.now, input) {
                match output {
                    Output::Persist { ticket, .. } => {
                        self.writes += 1;
                        inputs.push_back(Input::Persisted { ticket });
                    }
                    Output::Dial { conn, to } => self.dials.push((conn, to)),
                    Output::Close { conn } => self.dials.retain(|(c, _)| *c != conn),
                    Output::Send { conn, frame } => self.sent.push((conn, frame)),
                    Output::Cast { to, cast } => self.cast.push((to, cast)),
                    Output::Event(event) => self.told.push(event.kind),
                    _ => {}
                }
            }
        }
    }

    fn hears(&mut self, n: u64, cast: Cast) {
        self.hears_from(sender(n), address(n), cast);
    }

    fn hears_from(&mut self, from: Sender, address: SocketAddr, cast: Cast) {
        self.step(Input::Datagram { from: address, datagram: Datagram { from, cast } });
    }

    fn frame(&mut self, conn: ConnId, frame: Frame) {
        self.step(Input::Frame { conn, frame });
    }

    /// Number `n` takes the dial that goes to it.
    fn connects(&mut self, n: u64) -> ConnId {
        let found = self.dials.iter().position(|(_, to)| *to == address(n));
        let (conn, _) = self.dials.remove(found.expect("it is dialled"));
        self.step(Input::Connected { conn });
        self.frame(conn, Frame::Open(Open { from: sender(n), via: None }));
        conn
    }

    /// `from` connects, and says who it is.
    fn accepts(&mut self, from: Sender, at: SocketAddr) -> ConnId {
        let conn = ConnId(self.accepted);
        self.accepted += 1;
        self.step(Input::Accepted { conn, from: at });
        self.frame(conn, Frame::Open(Open { from, via: None }));
        conn
    }

    /// Time passes; what falls due is done.
    fn run(&mut self, for_: Duration) {
        let end = self.now.time + for_;
        while let Some((at, _)) = self.node.deadline().filter(|(at, _)| *at <= end) {
            self.at(at);
            self.step(Input::Tick);
        }
        self.at(end);
        self.step(Input::Tick);
    }

    fn at(&mut self, at: Time) {
        let passed = u64::try_from(at.since(self.now.time).as_micros()).expect("a test is short");
        self.now = Now { time: self.now.time.max(at), wall: Wall(self.now.wall.0 + passed) };
    }

    fn id(&self) -> NodeId {
        self.node.sender().node.id
    }
}

fn samples_member(n: u64) -> Member {
    Member {
        node: samples::node(n),
        name: format!("pc-{n}"),
        address: address(n),
        version: "0.1.0".to_owned(),
        priority: 100,
        state: crate::message::MemberState::Alive,
        whole: true,
        position: 0,
        rtt_us: Some(300),
        seniority_ms: 1000,
        via: None,
    }
}

/// A leader with the victim's id and another boot.
fn double(victim: &Victim) -> Sender {
    let node = Ident { id: victim.id(), boot: BootId(666) };
    Sender { node, name: "pc-2".to_owned(), port: 8264 }
}

#[test]
fn somebody_who_says_cloned_is_believed_once_a_minute() {
    let mut victim = Victim::listening();
    let mut ids = BTreeSet::from([victim.id()]);
    for _ in 0..600 {
        let double = double(&victim);
        let claim = Claim { node: double.node, ..samples::claim(9, 9) };
        victim.hears_from(double.clone(), address(9), beat(claim, 9));
        while let Some((conn, _)) = victim.dials.pop() {
            victim.step(Input::Connected { conn });
            victim.frame(conn, Frame::Open(Open { from: double.clone(), via: None }));
            victim.frame(conn, Frame::NotJoined(NotJoined::Cloned));
        }
        ids.insert(victim.id());
        victim.run(Duration::from_millis(200));
    }
    assert!((2..=4).contains(&ids.len()), "{} ids in two minutes", ids.len());
}

#[test]
fn a_leader_that_says_cloned_again_and_again_makes_one_new_id_and_no_storm() {
    let mut victim = Victim::following();
    let first = victim.id();
    let mut dials = 0;
    for round in 0..2000 {
        while let Some((conn, to)) = victim.dials.pop() {
            assert_eq!(to, address(1));
            dials += 1;
            victim.step(Input::Connected { conn });
            victim.frame(conn, Frame::Open(Open { from: sender(1), via: None }));
            let asked = victim.sent.iter().rev().find_map(|(c, frame)| match frame {
                Frame::Question(q) if *c == conn => Some(q.nonce),
                _ => None,
            });
            match asked {
                Some(nonce) => {
                    let standing = Standing::Leads(samples::claim(7, 1));
                    victim.frame(conn, Frame::Answer(Answer { nonce, standing, store_ms: 0 }));
                }
                None => victim.frame(conn, Frame::NotJoined(NotJoined::Cloned)),
            }
        }
        if round % 20 == 0 {
            victim.hears(1, beat(samples::claim(7, 1), 2));
        }
        if round == 0 {
            // Its session breaks.
            let session = victim.node.status().leader.map(|_| ConnId(1)).expect("it follows");
            victim.step(Input::Closed { conn: session, how: Closed::Reset });
        }
        victim.run(Duration::from_millis(10));
    }
    assert_ne!(victim.id(), first, "it is believed once");
    let new: BTreeSet<_> = victim.told.iter().filter(|k| **k == crate::event::Kind::CloneDetected).collect();
    assert_eq!(new.len(), 1);
    assert!(dials <= 250, "{dials} dials in 20 s");
}

#[test]
fn who_has_a_session_asks_nobody_whose_its_id_is() {
    let mut victim = Victim::following();
    let double = double(&victim);
    let claim = Claim { node: double.node, ..samples::claim(9, 9) };
    victim.hears_from(double, address(9), beat(claim, 9));
    let known = Known { claim, name: "pc-2".to_owned(), address: address(9), direct: true };
    victim.hears(9, Cast::Hi(Hi { to: samples::node(2), leader: Some(known), priority: 1 }));
    assert_eq!(victim.dials, []);
    assert!(victim.sent.iter().any(|(_, frame)| matches!(frame, Frame::Report(_))), "its leader is told");
}

#[test]
fn asking_whose_the_id_is_leaves_the_next_claim_as_it_was() {
    let mut victim = Victim::listening();
    let before = victim.node.base.heard_at;
    let double = double(&victim);
    let claim = Claim { node: double.node, ..samples::claim(9, 9) };
    for _ in 0..5 {
        victim.hears_from(double.clone(), address(9), beat(claim, 9));
        victim.run(Duration::from_millis(20));
    }
    assert_eq!(victim.node.base.heard_at, before);
    assert_eq!(victim.dials.len(), 1, "and is done once a second");
}

#[test]
fn an_epoch_of_a_datagram_is_not_shown_because_somebody_says_full() {
    for (epoch, shown) in [(u64::MAX, None), (9, Some(9))] {
        let mut victim = Victim::listening();
        let claim = Claim { epoch, ..samples::claim(9, 1) };
        victim.hears(1, beat(claim, 1));
        let conn = victim.connects(1);
        victim.frame(conn, Frame::NotJoined(NotJoined::Full));
        assert_eq!(victim.node.status().shown.map(|c| c.epoch), shown);
        assert!(victim.node.base.next_claim(0).epoch > shown.unwrap_or(0), "the next claim is above it");
    }
}

#[test]
fn a_goodbye_that_was_not_the_leaders_costs_a_question_now_and_then() {
    let mut victim = Victim::following();
    let claim = samples::claim(7, 1);
    let hello = Cast::Hello(Hello { broadcast: true, version: String::new(), priority: 1 });
    let goodbye = Cast::Goodbye(Goodbye { ends: Some(claim), leader: None });
    let mut questions = 0;
    for round in 0..1000 {
        // From elsewhere, in the leader's name: where it is now, and that it goes.
        victim.hears_from(sender(1), address(9), hello.clone());
        victim.hears_from(sender(1), address(9), goodbye.clone());
        if round % 100 == 0 {
            victim.hears(1, beat(claim, 2));
        }
        // Where it says that the leader is, nobody listens; the leader answers.
        while let Some((conn, to)) = victim.dials.pop() {
            questions += 1;
            if to == address(9) {
                victim.step(Input::Closed { conn, how: Closed::Refused });
            } else {
                let nonce = victim.sent.iter().find_map(|(c, frame)| match frame {
                    Frame::Question(q) if *c == conn => Some(q.nonce),
                    _ => None,
                });
                victim.step(Input::Connected { conn });
                victim.frame(conn, Frame::Open(Open { from: sender(1), via: None }));
                let answer = Answer { nonce: nonce.expect("asked"), standing: Standing::Leads(claim), store_ms: 0 };
                victim.frame(conn, Frame::Answer(answer));
            }
        }
        victim.run(Duration::from_millis(2));
    }
    assert_eq!(victim.node.status().leader.map(|l| l.node), Some(samples::node(1)));
    assert!((8..=24).contains(&questions), "{questions} questions in 2 s");
}
