//! Three members, their disks and what travels between them, as one value that can be copied, compared and stepped.
//!
//! Each member has a clock of its own that moves only when a timer of its fires: all clocks may run at any rate, and all
//! messages may take any time.

mod beginnings;
mod connections;
mod fingerprint;
mod performing;
mod promises;

use crate::canon::{Names, Print, canonical_beside};
pub(crate) use fingerprint::Scratch;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tanist::claim::Claim;
use tanist::ident::{BootId, ConnId, Incarnation, NodeId, Ticket};
use tanist::message::{Cast, Datagram, Frame, Hello, Says, Sender};
use tanist::protocol::{Closed, Durable, Input, Link, Node, Output, Promise, Remembered, RoleName, Start, Write};
use tanist::settings::Settings;
use tanist::time::{Now, Time, Wall};
use uuid::Uuid;

pub(crate) const N: usize = 3;
const PORT: u16 = 8264;

/// A member, by number.
pub(crate) type M = usize;

/// A running process.
#[derive(Clone)]
struct Process {
    node: Node,
    now: Time,
    next_accepted: u64,
    /// Begun and not durable yet, in order. bound: the core's own
    writes: VecDeque<(Ticket, Vec<Write>)>,
}

/// A member with its disk, and what it is held to.
#[derive(Clone)]
pub(crate) struct Member {
    process: Option<Process>,
    durable: Durable,
    boots: u64,
    /// Claims that it made, and timers that fired, since the start of the search.
    pub(crate) claims: u32,
    pub(crate) timers: u32,
    /// Every claim whose promise was durable. bound: the claims of a run
    promises: BTreeSet<Claim>,
    /// What it said that it backs, by epoch. bound: the claims of a run
    said: BTreeMap<u64, Claim>,
    last_shown: Option<Claim>,
    names: Names,
    print: u128,
}

/// One end of a connection, as its core knows it.
#[derive(Clone, Copy)]
struct End {
    m: M,
    id: ConnId,
    /// Its core has not closed it and was not told that it ended.
    open: bool,
}

/// A connection: end 0 dialled.
#[derive(Clone)]
struct Conn {
    ends: [End; 2],
    accepted: bool,
    /// What travels to each end. bound: the core's own
    queues: [VecDeque<Rc<Frame>>; 2],
    /// Nothing was ever sent on it.
    silent: bool,
    /// A process at its other end died: who hears of it hears it at any time, or never.
    dead: bool,
}

/// What the network and the disks may do. Every number is a bound of the search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) quorum: u32,
    pub(crate) claims: u32,
    /// Timers that fire, for each member.
    pub(crate) timers: [u32; N],
    pub(crate) crashes: u32,
    /// Only this one crashes.
    pub(crate) victim: Option<M>,
    pub(crate) breaks: u32,
    pub(crate) handovers: u32,
    /// Answers arrive as soon as they are given, and a session stands as soon as a leader is followed; only what asks
    /// for a voice, a handover or a sign of life travels at its own pace.
    pub(crate) prompt: bool,
    /// Heartbeats and notices arrive, any number of times; otherwise all of them are lost, by TCP too.
    pub(crate) heard: bool,
    /// A disk that forgets promises, to see that this is found out.
    pub(crate) forgets: bool,
}

/// One thing that can happen next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// The next message of a connection arrives at an end, or the news that it ended.
    Frame {
        conn: usize,
        end: usize,
    },
    /// A datagram arrives, for the first time or again. One that never does is lost.
    Cast {
        cast: usize,
        to: M,
    },
    /// The oldest write is durable.
    Disk {
        m: M,
    },
    /// The next timer that matters fires.
    Timer {
        m: M,
    },
    /// A process dies, and what it had not made durable is gone.
    Crash {
        m: M,
    },
    Restart {
        m: M,
    },
    /// A connection breaks, and what travelled on it is lost.
    Break {
        conn: usize,
    },
    /// A user of the leader asks for a handover.
    Handover {
        m: M,
    },
}

/// The three.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) members: [Rc<Member>; N],
    conns: Vec<Rc<Conn>>,
    /// Heartbeats and notices that were ever sent, in order of their text. bound: the claims of a run
    casts: Vec<(M, Rc<Datagram>, u128)>,
    /// Claims that won by a canvass. bound: the claims of a run
    pub(crate) won: BTreeSet<Claim>,
    pub(crate) bounds: Bounds,
    crashes: u32,
    breaks: u32,
    handovers: u32,
    /// A claim too many was made: what follows is not looked at.
    beyond: bool,
}

fn address(m: M) -> SocketAddr {
    ([10, 0, 0, u8::try_from(m).expect("small") + 1], PORT).into()
}

fn id(m: M) -> NodeId {
    NodeId(Uuid::from_u128((m as u128 + 1) << 112))
}

fn wall(m: M) -> Wall {
    Wall(1_000_000_000 + 1_000_000 * m as u64)
}

/// What fires without being an action of its own: it changes nothing that a promise depends on.
fn boring(reason: &str) -> bool {
    matches!(
        reason,
        "say hello"
            | "answer a hello"
            | "ping the leader"
            | "no broadcast is heard"
            | "heartbeat"
            | "look through the sessions"
            | "send the member list"
            | "a reunion goes on"
            | "housekeeping"
            | "tell the leader what is here"
    )
}

/// Small talk of a session is heard at once.
fn small_talk(frame: &Frame) -> bool {
    let data = matches!(frame, Frame::Holds(_) | Frame::Committed(_) | Frame::Anew);
    data || matches!(frame, Frame::Ping(_) | Frame::Pong(_) | Frame::Members(_) | Frame::Named(_))
}

/// What can be prompt: answers, and the opening of a session to a leader that has been found.
fn can_be_prompt(frame: &Frame) -> bool {
    matches!(
        frame,
        Frame::Voice(_)
            | Frame::Answer(_)
            | Frame::Told(_)
            | Frame::Join(_)
            | Frame::Joined(_)
            | Frame::NotJoined(_)
            | Frame::Beat(_)
    )
}

impl World {
    // ---- what can happen

    pub(crate) fn actions(&self) -> Vec<Action> {
        let mut all = Vec::new();
        for (i, conn) in self.conns.iter().enumerate() {
            all.extend((0..2).filter(|end| self.arrives(conn, *end)).map(|end| Action::Frame { conn: i, end }));
        }
        for m in 0..N {
            let Some(process) = &self.members[m].process else {
                all.push(Action::Restart { m });
                continue;
            };
            if !process.writes.is_empty() {
                all.push(Action::Disk { m });
            }
            let mine = |(from, _, _): &&(M, Rc<Datagram>, u128)| *from != m;
            all.extend((0..).zip(&self.casts).filter(|(_, c)| mine(c)).map(|(cast, _)| Action::Cast { cast, to: m }));
            if self.members[m].timers < self.bounds.timers[m] {
                all.push(Action::Timer { m });
            }
            if self.crashes < self.bounds.crashes && self.bounds.victim.is_none_or(|v| v == m) {
                all.push(Action::Crash { m });
            }
            if self.handovers < self.bounds.handovers && self.role(m) == Some(RoleName::Leading) {
                all.push(Action::Handover { m });
            }
        }
        if self.breaks < self.bounds.breaks {
            let stands = |c: &Conn| c.ends[0].open && (c.ends[1].open || !c.accepted);
            all.extend((0..).zip(&self.conns).filter(|(_, c)| stands(c)).map(|(conn, _)| Action::Break { conn }));
        }
        all
    }

    fn arrives(&self, conn: &Conn, end: usize) -> bool {
        if end == 1 && !conn.accepted {
            return !conn.queues[1].is_empty();
        }
        conn.ends[end].open && (!conn.queues[end].is_empty() || conn.dead && !conn.ends[1 - end].open)
    }

    /// Does it, and everything that follows without a choice. None when it changes nothing, or leads beyond the bounds.
    pub(crate) fn after(&self, action: Action) -> Option<World> {
        let mut next = self.clone();
        match action {
            Action::Frame { conn, end } => next.frame(conn, end),
            Action::Cast { cast, to } => {
                let (from, datagram, _) = &self.casts[cast];
                next.step(to, Input::Datagram { from: address(*from), datagram: (**datagram).clone() });
            }
            Action::Disk { m } => next.disk(m),
            Action::Timer { m } => next.timer(m)?,
            Action::Crash { m } => next.crash(m),
            Action::Restart { m } => next.boot(m),
            Action::Break { conn } => next.break_(conn),
            Action::Handover { m } => {
                next.handovers += 1;
                next.step(m, Input::Handover { request: 1, to: None });
            }
        }
        next.tidy();
        (!next.beyond).then_some(next)
    }

    /// An action in words.
    pub(crate) fn name(&self, action: Action) -> String {
        match action {
            Action::Frame { conn, end } => {
                let c = &self.conns[conn];
                format!("pc-{} hears pc-{}: {:?}", c.ends[end].m, c.ends[1 - end].m, c.queues[end])
            }
            Action::Cast { cast, to } => {
                format!("pc-{to} hears pc-{} say {:?}", self.casts[cast].0, self.casts[cast].1.cast)
            }
            other => format!("{other:?}"),
        }
    }

    pub(crate) fn role(&self, m: M) -> Option<RoleName> {
        self.members[m].process.as_ref().map(|p| p.node.status().role)
    }

    fn member(&mut self, m: M) -> &mut Member {
        let member = Rc::make_mut(&mut self.members[m]);
        member.print = 0;
        member
    }

    // ---- processes

    fn boot(&mut self, m: M) {
        let quorum = self.bounds.quorum;
        let member = self.member(m);
        member.boots += 1;
        let mut settings = Settings::default();
        // The network passes everything from the beginning: nobody waits for it.
        settings.lone_after = Duration::from_micros(1);
        settings.quorum = quorum;
        let start = Start {
            node: Incarnation { id: id(m), boot: BootId(member.boots << 48) },
            name: format!("pc-{m}"),
            port: PORT,
            version: String::new(),
            settings,
            peers: Vec::new(),
            seed: m as u64,
            durable: member.durable.clone(),
            data: 0,
        };
        let now = Time(100_000_000);
        let node = Node::new(start, Now { time: now, wall: wall(m) });
        member.process = Some(Process { node, now, next_accepted: ConnId::FIRST_ACCEPTED, writes: VecDeque::new() });
        let link = Link { name: "eth0".to_owned(), index: 1, addresses: vec![address(m).ip()] };
        self.step(m, Input::Links(vec![link]));
    }

    fn crash(&mut self, m: M) {
        self.crashes += 1;
        let forgets = self.bounds.forgets;
        let member = self.member(m);
        member.process = None;
        if forgets {
            member.durable.promised = None;
            member.said.clear();
        }
        for conn in &mut self.conns {
            for end in 0..2 {
                if conn.ends[end].m == m && (conn.ends[end].open || end == 0 && !conn.accepted) {
                    let conn = Rc::make_mut(conn);
                    conn.ends[end].open = false;
                    conn.queues[end].clear();
                    conn.dead = true;
                    if !conn.accepted {
                        conn.queues[1].clear();
                    }
                }
            }
        }
    }

    /// The oldest write is durable, and the core hears of it.
    fn disk(&mut self, m: M) {
        let member = self.member(m);
        let Some((ticket, writes)) = member.process.as_mut().and_then(|p| p.writes.pop_front()) else { return };
        for write in writes {
            match write {
                Write::Shown(claim) => member.durable.shown = Some(claim),
                Write::Promised(promise) => {
                    let before = member.durable.promised.map_or(0, |p| p.claim.epoch);
                    assert!(
                        promise.claim.epoch >= before,
                        "P3: pc-{m} promises {:?} after epoch {before}",
                        promise.claim
                    );
                    member.durable.promised = Some(promise);
                    member.promises.insert(promise.claim);
                }
                _ => {}
            }
        }
        self.step(m, Input::Persisted { through: ticket });
    }

    /// Time passes at one member until a timer that matters fires.
    fn timer(&mut self, m: M) -> Option<()> {
        self.member(m).timers += 1;
        // A leader that hands nothing over would beat for ever.
        let most = if self.role(m) == Some(RoleName::Leading) { 6 } else { 60 };
        for _ in 0..most {
            let member = self.member(m);
            let process = member.process.as_mut()?;
            let (at, reason) = process.node.deadline()?;
            process.now = process.now.max(at);
            let (roles, outputs) = self.step(m, Input::Tick);
            self.tidy();
            // The join wait and the turn that follows are one wait: who hears something in between hears it before both.
            let repeats = ["an interrogation goes on", "the join wait ends"].contains(&reason) && !roles && !outputs;
            if !boring(reason) && !repeats {
                return Some(());
            }
            if self.beyond {
                return None;
            }
        }
        None
    }

    /// One step of the core and its outputs. Says whether the role changed, and whether anything was begun that others
    /// notice.
    fn step(&mut self, m: M, input: Input) -> (bool, bool) {
        let member = self.member(m);
        let Some(process) = member.process.as_mut() else { return (false, false) };
        let before = process.node.status().role;
        let mut outputs = Vec::new();
        process.node.step(Now { time: process.now, wall: wall(m) }, [input], &mut outputs);
        let changed = process.node.status().role != before;
        let sender = process.node.sender().clone();
        let noticed = |o: &Output| matches!(o, Output::Dial { .. } | Output::Send { .. } | Output::Persist { .. });
        let noticed = outputs.iter().any(noticed);
        let mut performing = performing::Performing { world: self, m, sender, reports: Vec::new() };
        outputs.into_iter().for_each(|output| output.perform(&mut performing));
        let reports = performing.reports;
        self.judge(m);
        for report in reports {
            self.step(m, report);
        }
        (changed, noticed)
    }

    fn conn(&mut self, m: M, id: ConnId) -> Option<(&mut Conn, usize)> {
        let mine = |e: &End| e.m == m && e.id == id && e.open;
        let (i, end) = (0..self.conns.len())
            .find_map(|i| (0..2).find(|end| mine(&self.conns[i].ends[*end])).map(|end| (i, end)))?;
        Some((Rc::make_mut(&mut self.conns[i]), end))
    }

    fn cast(&mut self, from: M, sender: &Sender, cast: Cast) {
        let mut print = Print::default();
        let mut text = Vec::new();
        canonical_beside(&format!("{cast:?}"), &Names::default(), &mut text);
        print.add(from as u128);
        print.text(&text);
        let at = self.casts.partition_point(|(_, _, p)| *p < print.value());
        if self.casts.get(at).is_none_or(|(_, _, p)| *p != print.value()) {
            self.casts.insert(at, (from, Rc::new(Datagram { from: sender.clone(), cast }), print.value()));
        }
    }

    fn persist(&mut self, m: M, sender: &Sender, ticket: Ticket, writes: Vec<Write>) {
        let me = sender.node;
        for write in &writes {
            if let Write::Shown(claim) = write
                && claim.node == me
                && !self.won.contains(claim)
            {
                self.wins(*claim);
            }
        }
        let most = self.bounds.claims;
        let member = self.member(m);
        let own = |w: &Write| matches!(w, Write::Promised(p) if p.claim.node == me && !p.withdrawn);
        if writes.iter().any(own) {
            member.claims += 1;
            self.beyond |= self.members[m].claims > most;
        }
        self.member(m).process.as_mut().expect("it runs").writes.push_back((ticket, writes));
    }
}
