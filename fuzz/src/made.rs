//! Messages made from few bytes: small ids, small epochs and what the node itself has said, so that a fuzzer meets the
//! circumstances that random MessagePack would never meet.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use tanist::claim::Claim;
use tanist::data::{ReignId, Revision};
use tanist::event::Cause;
use tanist::ident::{BootId, Incarnation, NodeId};
use tanist::message::{
    Abdicate, Answer, Brought, Canvass, Cast, Changes, Check, Checked, Committed, Decided, Digest, Ended, Forget,
    Frame, Goodbye, Handover, HandoverDone, Heartbeat, Hello, Hi, Holds, Join, Joined, Known, Look, Meet, Member,
    MemberState, Members, Named, NotJoined, Notice, Open, Outcomes, Piece, Ping, Pong, Question, Reigns, Requests,
    Reunited, Says, Sender, Standing, Stored, Story, Tell, Told, Via, Voice, Wanted, Welcome,
};
use tanist::time::Wall;
use tanist::wire::samples;

/// Bytes that are used up, then zeros.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, self.0), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n
    }

    /// As many bytes as the next two say, or what is left.
    pub(super) fn run(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()) | usize::from(self.byte()) << 8;
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// What the node has said, which is worth saying back to it.
#[derive(Default)]
pub(super) struct Said {
    pub(super) claims: Vec<Claim>,
    pub(super) nonces: Vec<u64>,
    pub(super) shown: Option<Claim>,
}

impl Said {
    /// Keeps the newest few.
    pub(super) fn claim(&mut self, claim: Claim) {
        if !self.claims.contains(&claim) {
            self.claims.push(claim);
        }
        let over = self.claims.len().saturating_sub(6);
        self.claims.drain(..over);
    }

    pub(super) fn nonce(&mut self, nonce: u64) {
        self.nonces.push(nonce);
        let over = self.nonces.len().saturating_sub(3);
        self.nonces.drain(..over);
    }
}

/// Makes messages.
pub(super) struct Maker<'a, 'b> {
    pub(super) bytes: &'b mut Bytes<'a>,
    pub(super) said: &'b Said,
    pub(super) me: Incarnation,
}

impl Maker<'_, '_> {
    fn byte(&mut self) -> u8 {
        self.bytes.byte()
    }

    fn bool(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.bool().then(|| make(self))
    }

    pub(super) fn node(&mut self) -> Incarnation {
        let byte = self.byte();
        let node = if byte & 7 == 0 { self.me } else { samples::node(u64::from(byte & 7)) };
        if byte & 0x80 == 0 { node } else { Incarnation { boot: BootId(u64::from(byte)), ..node } }
    }

    fn id(&mut self) -> NodeId {
        self.node().id
    }

    fn number(&mut self) -> u64 {
        const EXTREME: [u64; 8] = [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 32) + 7, 1 << 32, 1 << 31, 1000, 100];
        let byte = self.byte();
        if byte & 0xe0 == 0xe0 { EXTREME[usize::from(byte & 7)] } else { u64::from(byte & 0x1f) }
    }

    pub(super) fn claim(&mut self) -> Claim {
        let byte = self.byte();
        match byte & 3 {
            0 if self.said.shown.is_some() => self.said.shown.unwrap_or(samples::claim(7, 1)),
            1 if !self.said.claims.is_empty() => self.said.claims[usize::from(byte >> 2) % self.said.claims.len()],
            2 => samples::claim(7, 1),
            _ => Claim { epoch: self.number(), at: Wall(self.number()), node: self.node() },
        }
    }

    /// A claim of this member.
    fn own_claim(&mut self, node: Incarnation) -> Claim {
        let claim = self.claim();
        if self.byte() & 3 == 3 { claim } else { Claim { node, ..claim } }
    }

    pub(super) fn address(&mut self) -> SocketAddr {
        let byte = self.byte();
        match byte & 0x0f {
            0 => SocketAddr::from(([0, 0, 0, 0], 8264)),
            1 => SocketAddr::from(([192, 0, 2, 1], 0)),
            2 => SocketAddrV6::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), 8264, 0, 0).into(),
            3 => SocketAddr::from((Ipv6Addr::from(u128::MAX), u16::MAX)),
            n => SocketAddr::from(([192, 0, 2, n], 8264)),
        }
    }

    fn name(&mut self) -> String {
        let byte = self.byte();
        if byte & 0xf0 == 0xf0 { "ä".repeat(usize::from(byte & 0x0f) * 2) } else { format!("pc-{}", byte & 7) }
    }

    pub(super) fn sender(&mut self) -> Sender {
        let port = if self.byte() & 0x0f == 0x0f { 0 } else { 8264 };
        Sender { node: self.node(), name: self.name(), port }
    }

    fn known(&mut self) -> Known {
        Known { claim: self.claim(), name: self.name(), address: self.address(), direct: self.bool() }
    }

    fn standing(&mut self) -> Standing {
        match self.byte() % 3 {
            0 => Standing::Leads(self.claim()),
            1 => Standing::Follows(self.known()),
            _ => Standing::Neither,
        }
    }

    fn cause(&mut self) -> Cause {
        Cause::ALL[self.bytes.below(Cause::ALL.len())]
    }

    fn story(&mut self) -> Story {
        Story { name: self.name(), cause: self.cause(), text: self.name() }
    }

    fn member(&mut self) -> Member {
        Member {
            node: self.node(),
            name: self.name(),
            address: self.address(),
            version: self.name(),
            priority: self.byte(),
            state: [MemberState::Alive, MemberState::Silent, MemberState::Left][self.bytes.below(3)],
            whole: self.byte() & 7 != 7,
            sick: false,
            rtt_us: self.maybe(Self::number),
            seniority_ms: self.number(),
            via: self.maybe(Self::id),
        }
    }

    fn members(&mut self) -> Vec<Member> {
        (0..self.byte() % 8).map(|_| self.member()).collect()
    }

    fn nonce(&mut self) -> u64 {
        let byte = self.byte();
        let said = &self.said.nonces;
        if said.is_empty() || byte & 7 == 7 { self.number() } else { said[usize::from(byte) % said.len()] }
    }

    fn abdicate(&mut self) -> Abdicate {
        Abdicate { claim: self.claim(), to: self.node(), cause: self.cause() }
    }

    fn heartbeat(&mut self, from: Incarnation) -> Heartbeat {
        Heartbeat {
            claim: self.own_claim(from),
            successor: self.maybe(Self::node),
            followers: u32::from(self.byte()),
            seq: self.number(),
        }
    }

    /// A datagram of `from`.
    pub(super) fn cast(&mut self, from: Incarnation) -> Cast {
        match self.byte() % 8 {
            0 => Cast::Hello(Hello { broadcast: self.bool(), version: self.name(), priority: self.byte() }),
            1 => Cast::Hi(Hi { to: self.node(), leader: self.maybe(Self::known), priority: self.byte() }),
            2 => Cast::Welcome(Welcome {
                to: self.node(),
                claim: self.own_claim(from),
                successor: self.maybe(Self::node),
                followers: u32::from(self.byte()),
            }),
            3 => Cast::Heartbeat(self.heartbeat(from)),
            4 => Cast::Notice(Notice { claim: self.own_claim(from) }),
            5 => Cast::Goodbye(Goodbye { ends: self.maybe(Self::claim), leader: self.maybe(Self::known) }),
            6 => Cast::Question(Question { nonce: self.nonce(), to: self.node() }),
            _ => Cast::Answer(Answer { nonce: self.nonce(), standing: self.standing(), store_ms: self.number() }),
        }
    }

    /// A frame that `from` says on its connection.
    pub(super) fn frame(&mut self, from: Incarnation) -> Frame {
        match self.byte() % 30 {
            0 => Frame::Open(Open { from: self.sender(), via: self.maybe(Self::id) }),
            1 => Frame::Question(Question { nonce: self.nonce(), to: self.node() }),
            2 => Frame::Answer(Answer { nonce: self.nonce(), standing: self.standing(), store_ms: self.number() }),
            3 => self.join(),
            4 => Frame::Joined(Joined {
                claim: self.own_claim(from),
                story: self.story(),
                successor: self.maybe(Self::node),
                members: self.members(),
            }),
            5 => Frame::NotJoined(match self.byte() % 3 {
                0 => NotJoined::NotLeader(self.standing()),
                1 => NotJoined::Cloned,
                _ => NotJoined::Full,
            }),
            6 => Frame::Ping(Ping {
                seq: self.number(),
                deaf: self.bool(),
                rtt_us: self.maybe(Self::number),
                hold_ms: self.number(),
                sick: self.bool(),
            }),
            7 => Frame::Pong(Pong { seq: self.number(), held_us: self.number() }),
            8 => Frame::Members(Members {
                changed: self.members(),
                gone: (0..self.byte() % 4).map(|_| self.id()).collect(),
            }),
            9 => Frame::Beat(self.heartbeat(from)),
            10 => Frame::Named(Named { claim: self.own_claim(from), successor: self.maybe(Self::node) }),
            11 => Frame::Reigns(Reigns { claim: self.own_claim(from), story: self.story() }),
            12 => Frame::Yields(self.known()),
            13 => Frame::Report(self.known()),
            14 => Frame::Leaves,
            15 => self.frame_of_data(from),
            _ => self.frame_of_elections(from),
        }
    }

    fn reunited(&mut self) -> Reunited {
        let mut brought = Brought { records: self.number(), keys: self.number(), ..Brought::default() };
        let keys = (0..self.byte() % 20).map(|n| format!("key-{n}")).collect();
        brought.names(keys, vec!["refused".to_owned(); usize::from(self.byte() % 3)]);
        Reunited { with: self.id(), reign: ReignId(self.number()), brought }
    }

    fn frame_of_data(&mut self, from: Incarnation) -> Frame {
        let body = vec![self.byte(); usize::from(self.byte() % 64)];
        let length = u32::try_from(body.len()).expect("short");
        let position = Revision::new(ReignId(self.number()), self.number());
        match self.byte() % 12 {
            0 => Frame::Requests(Requests { requests: vec![(self.number(), length)], body: body.into() }),
            1 => {
                let ended = [Ended::Judged(2), Ended::Busy, Ended::NoSpace][usize::from(self.byte() % 3)];
                Frame::Outcomes(Outcomes {
                    epoch: self.number(),
                    outcomes: vec![(self.number(), ended, length)],
                    body: body.into(),
                })
            }
            2 => Frame::Holds(Holds { position, all: self.bool(), body: body.into() }),
            3 => Frame::Wanted(Wanted { body: body.into() }),
            4 => Frame::Piece(Piece { number: u64::from(self.byte()), last: self.bool(), body: body.into() }),
            5 => Frame::Taken,
            6 => Frame::Committed(Committed { claim: self.own_claim(from), number: self.number() }),
            7 => Frame::Stored(Stored { number: self.number() }),
            8 => Frame::Anew,
            10 => Frame::Reunited(self.reunited()),
            11 => Frame::Covered,
            9 => Frame::Digest(Digest {
                claim: self.own_claim(from),
                number: self.number(),
                digest: u128::from(self.number()),
            }),
            _ => Frame::Changes(Changes {
                claim: self.own_claim(from),
                last: self.number(),
                committed: self.number(),
                body: body.into(),
            }),
        }
    }

    fn join(&mut self) -> Frame {
        Frame::Join(Join {
            claim: self.claim(),
            shown: self.maybe(Self::claim),
            priority: self.byte(),
            version: self.name(),
            whole: self.byte() & 7 != 7,
            via: self.maybe(Self::id),
        })
    }

    fn frame_of_elections(&mut self, from: Incarnation) -> Frame {
        match self.byte() % 16 {
            0 => Frame::Tell(Tell { claim: self.claim() }),
            1 => Frame::Told(match self.byte() % 3 {
                0 => Told::OnIt,
                1 => Told::Alive(self.known()),
                _ => Told::NotI,
            }),
            2 => Frame::Canvass(Canvass {
                claim: self.own_claim(from),
                replaces: self.maybe(Self::claim),
                whole: self.byte() & 7 != 7,
                abdicate: self.maybe(Self::abdicate),
            }),
            3 => self.voice(),
            4 => Frame::Abdicate(self.abdicate()),
            5 => Frame::Meet(Meet {
                claim: self.own_claim(from),
                followers: (0..self.byte() % 8).map(|_| self.id()).collect(),
                led_ms: self.number(),
                leading_ms: self.number(),
                highest: self.number(),
                via: self.maybe(Self::id),
            }),
            6 => Frame::Decided(Decided { stays: self.claim(), yields: self.claim() }),
            7 => Frame::Check(Check { claim: self.claim() }),
            8 => Frame::Checked(Checked { standing: self.standing() }),
            9 => Frame::Handover(Handover { request: self.number(), to: self.maybe(Self::name) }),
            10 => Frame::HandoverDone(HandoverDone { request: self.number(), refused: self.maybe(Self::name) }),
            14 => Frame::Look(Look { request: self.number() }),
            13 => Frame::Forget(Forget { request: self.number(), who: self.name() }),
            11 => Frame::Via(Via { to: self.node() }),
            12 => Frame::ViaReady,
            _ => Frame::ViaFailed(self.name()),
        }
    }

    fn voice(&mut self) -> Frame {
        let says = match self.byte() % 5 {
            0 => Says::LeaderAlive(self.known()),
            1 => Says::Better(self.claim()),
            2 => Says::Taken(self.claim()),
            3 => Says::Higher(self.number()),
            _ => Says::Backed,
        };
        Frame::Voice(Voice { claim: self.claim(), says, withdrew: self.maybe(Self::claim), holds: 0 })
    }
}
