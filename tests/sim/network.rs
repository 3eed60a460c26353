//! What lies between the machines: segments, cuts, loss; datagrams and TCP connections with what a kernel does for them.

use crate::dice::Dice;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use tanist::ident::ConnId;
use tanist::message::{Datagram, Frame};

/// How long a dial may take before the host gives it up.
pub(crate) const DIAL_MAX: u64 = 2_000_000;
/// After so long without a word the host has its kernel ask whether the other end is there, and how long it waits for an
/// answer (TCP keep-alive).
pub(crate) const QUIET: u64 = 10_000_000;
pub(crate) const UNANSWERED: u64 = 9_000_000;
/// The first pause of a kernel that repeats a SYN.
pub(crate) const SYN_AGAIN: u64 = 1_000_000;
/// The first pause of a kernel that repeats data.
const AGAIN: u64 = 200_000;
/// The longest one.
const AGAIN_MAX: u64 = 120_000_000;
/// How much one direction of a connection may hold before its sender's host gives the connection up, in bytes.
pub(crate) const FLOW_MAX: usize = 32 * 1024 * 1024;

/// A machine of the LAN, by number.
pub(crate) type M = usize;

/// What the network does to packets, everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// Share of datagrams lost.
    pub(crate) loss: f64,
    /// Share of TCP packets lost (and repeated by the kernel).
    pub(crate) tcp_loss: f64,
    /// Share of datagrams doubled.
    pub(crate) double: f64,
    /// Share of datagrams that come late, and so out of order.
    pub(crate) late: f64,
    /// The longest of such delays, in microseconds.
    pub(crate) late_max: u64,
    /// The usual delay, in microseconds.
    pub(crate) delay: (u64, u64),
}

impl Weather {
    pub(crate) fn calm() -> Self {
        Self { loss: 0.0, tcp_loss: 0.0, double: 0.0, late: 0.0, late_max: 0, delay: (50, 250) }
    }
}

/// An interface of a machine.
#[derive(Clone, Debug)]
pub(crate) struct Nic {
    pub(crate) segment: u8,
    pub(crate) address: IpAddr,
    pub(crate) up: bool,
    /// It has carrier, and nothing passes it.
    pub(crate) dead: bool,
    /// Broadcasts do not pass it, in either direction.
    pub(crate) no_broadcast: bool,
}

impl Nic {
    pub(crate) fn works(&self) -> bool {
        self.up && !self.dead
    }
}

/// The addresses of a machine's cards: of two on one segment each has its own.
pub(crate) fn addresses(segments: &[u8], salt: u8, m: M) -> Vec<IpAddr> {
    let before = |i: usize| segments[..i].iter().filter(|segment| **segment == segments[i]).count();
    let network = |i: usize| segments[i] + 100 * u8::try_from(before(i)).expect("two at most");
    (0..segments.len()).map(|i| address(network(i), salt, m)).collect()
}

pub(crate) fn address(segment: u8, salt: u8, m: M) -> IpAddr {
    let low = u8::try_from(m % 250 + 1).expect("small");
    IpAddr::V4(Ipv4Addr::new(10, segment, salt * 8 + u8::try_from(m / 250).expect("small"), low))
}

/// A datagram on its way; decoded once, however many hear it.
pub(crate) struct Packet {
    pub(crate) bytes: Vec<u8>,
    /// The sender's cluster: members of another one read it for themselves.
    pub(crate) cluster: String,
    pub(crate) read: OnceCell<Option<Datagram>>,
}

impl Packet {
    pub(crate) fn new(cluster: &str, bytes: Vec<u8>) -> Rc<Self> {
        Rc::new(Self { bytes, cluster: cluster.to_owned(), read: OnceCell::new() })
    }
}

/// Who a connection's end belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// The core, which knows it by this number.
    Core(ConnId),
    /// The host, that copies bytes from and to the core's connection of this number.
    Leg(ConnId),
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) m: M,
    /// Which process of that machine.
    pub(crate) life: u64,
    pub(crate) owner: Owner,
    /// The kernel knows the socket still.
    pub(crate) open: bool,
    /// The other side of it is a pipe: bytes are passed on and nothing is read.
    pub(crate) piped: Option<(u64, usize)>,
}

/// What travels on a connection.
#[derive(Clone)]
pub(crate) enum Item {
    /// The last step of the handshake: only now does the other side accept.
    Shake,
    Data(Rc<[u8]>),
    Fin,
}

/// One direction of a connection.
#[derive(Default)]
pub(crate) struct Flow {
    /// Each with the time at which it arrives when nothing is in the way. bound: FLOW_MAX bytes
    pub(crate) queue: VecDeque<(u64, Item)>,
    pub(crate) bytes: usize,
    /// Repeats so far of what did not pass.
    pub(crate) repeats: u32,
    /// When the next repeat is due.
    pub(crate) stalled: Option<u64>,
    /// Since when data passed without an acknowledgement coming back.
    pub(crate) unacked: Option<u64>,
}

impl Flow {
    pub(crate) fn pause(&mut self) -> u64 {
        self.repeats += 1;
        (AGAIN << self.repeats.min(12)).min(AGAIN_MAX) / 2
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Dialing,
    Open,
}

/// A connection: end 0 dialled end 1. `flows[i]` goes from end i.
pub(crate) struct Conn {
    pub(crate) ends: [End; 2],
    pub(crate) addresses: [IpAddr; 2],
    pub(crate) stage: Stage,
    pub(crate) tries: u32,
    pub(crate) flows: [Flow; 2],
    /// What was given to send before the dial succeeded. bound: FLOW_MAX bytes
    pub(crate) waiting: Vec<Item>,
}

/// The network's state.
pub(crate) struct Network {
    pub(crate) weather: Weather,
    /// What is cut, from and to. bound: the square of the machines
    pub(crate) cuts: BTreeSet<(M, M)>,
    /// Loss of datagrams between two, on top.
    pub(crate) bad: BTreeMap<(M, M), f64>,
    /// Only broadcast is cut, from and to.
    pub(crate) deaf: BTreeSet<(M, M)>,
    /// Longer frames than so many bytes do not pass, from or to these machines. bound: the machines
    pub(crate) narrow: BTreeMap<M, usize>,
    /// Of these machines no packet of a connection passes, either way; datagrams do. bound: the machines
    pub(crate) no_tcp: BTreeSet<M>,
    /// Segments between which a router passes unicast.
    pub(crate) routed: bool,
    pub(crate) conns: BTreeMap<u64, Conn>,
    pub(crate) next_conn: u64,
    /// A machine hears its own broadcasts too.
    pub(crate) echo: bool,
}

impl Network {
    pub(crate) fn new() -> Self {
        Self {
            weather: Weather::calm(),
            cuts: BTreeSet::new(),
            bad: BTreeMap::new(),
            deaf: BTreeSet::new(),
            narrow: BTreeMap::new(),
            no_tcp: BTreeSet::new(),
            routed: false,
            conns: BTreeMap::new(),
            next_conn: 1,
            echo: false,
        }
    }

    pub(crate) fn delay(&self, dice: &mut Dice) -> u64 {
        let (low, high) = self.weather.delay;
        dice.between(low, high)
    }

    /// How long a datagram takes, once for each copy that arrives.
    pub(crate) fn datagram(&self, from: M, to: M, dice: &mut Dice) -> [Option<u64>; 2] {
        let w = &self.weather;
        if dice.chance(w.loss) || self.bad.get(&(from, to)).is_some_and(|p| dice.chance(*p)) {
            return [None, None];
        }
        let mut delay = self.delay(dice);
        if dice.chance(w.late) {
            delay += dice.below(w.late_max);
        }
        let again = dice.chance(w.double).then(|| delay + dice.below(w.late_max.max(1000)));
        [Some(delay), again]
    }

    /// How long a piece of TCP takes, with what had to be repeated.
    pub(crate) fn segment(&self, dice: &mut Dice, first: u64) -> u64 {
        let mut delay = self.delay(dice);
        let mut pause = first;
        while dice.chance(self.weather.tcp_loss) && pause < AGAIN_MAX {
            delay += pause;
            pause *= 2;
        }
        delay
    }

    pub(crate) fn data_delay(&self, dice: &mut Dice) -> u64 {
        self.segment(dice, AGAIN)
    }
}

/// A frame as bytes.
pub(crate) fn pack(wire: &tanist::wire::Wire, frame: &Frame) -> Rc<[u8]> {
    Rc::from(&wire.frame(frame).expect("a frame within the limits")[..])
}
