//! The kernel's list of interfaces and addresses. Only the few attributes that are needed are read, each on its own: a
//! kernel that says more, or says it at greater length, breaks nothing.

use super::{ADDRESSES, Address, LinkFacts};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const REQUEST_DUMP: u16 = 0x301;

/// Multicast groups of the kernel: links, IPv4 addresses, IPv6 addresses.
const GROUPS: [u32; 3] = [1, 5, 9];

/// How many interfaces are looked at.
const LINKS: usize = 4096;

/// Kernels send at most this much of a list at once.
const PIECE: usize = 64 * 1024;

const IFF_UP: u32 = 1;
const IFF_BROADCAST: u32 = 1 << 1;
const IFF_LOOPBACK: u32 = 1 << 3;
const IFF_POINTOPOINT: u32 = 1 << 4;
const IFF_RUNNING: u32 = 1 << 6;
const IFF_MULTICAST: u32 = 1 << 12;

const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
/// Not yet, or never, to be sent from.
const IFA_F_UNUSABLE: u32 = 0x08 | 0x40;

/// One message of the kernel that matters here.
#[derive(Debug, PartialEq, Eq)]
enum Message {
    Link(LinkFacts),
    Address(u32, Address),
    Other,
    End,
    Failed(i32),
}

fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(b.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(b.get(at..at + 4)?.try_into().ok()?))
}

/// Type-length-value attributes; ends at the first that does not fit.
fn attributes(mut b: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16_at(b, 0)?);
        let kind = u16_at(b, 2)? & 0x3fff;
        let value = b.get(4..len)?;
        b = b.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&c| c == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => <[u8; 4]>::try_from(value).ok().map(|b| IpAddr::V4(Ipv4Addr::from(b))),
        16 => <[u8; 16]>::try_from(value).ok().map(|b| IpAddr::V6(Ipv6Addr::from(b))),
        _ => None,
    }
}

fn link(b: &[u8]) -> Option<LinkFacts> {
    let flags = u32_at(b, 8)?;
    let has = |flag| flags & flag != 0;
    let mut facts = LinkFacts {
        index: u32_at(b, 4)?,
        up: has(IFF_UP),
        running: has(IFF_RUNNING),
        broadcast: has(IFF_BROADCAST),
        multicast: has(IFF_MULTICAST),
        loopback: has(IFF_LOOPBACK),
        point_to_point: has(IFF_POINTOPOINT),
        ..LinkFacts::default()
    };
    for (kind, value) in attributes(b.get(16..)?) {
        match kind {
            IFLA_IFNAME => facts.name = text(value),
            IFLA_MASTER => facts.master = u32_at(value, 0).filter(|&m| m != 0),
            IFLA_LINKINFO => facts.kind = attributes(value).find(|a| a.0 == IFLA_INFO_KIND).map(|a| text(a.1)),
            _ => {}
        }
    }
    Some(facts)
}

fn address(b: &[u8]) -> Option<(u32, Address)> {
    let (mut flags, mut local, mut peer, mut broadcast) = (u32::from(*b.get(2)?), None, None, None);
    for (kind, value) in attributes(b.get(8..)?) {
        match kind {
            IFA_LOCAL => local = ip(value),
            IFA_ADDRESS => peer = ip(value),
            IFA_BROADCAST => broadcast = ip(value).and_then(|ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None }),
            IFA_FLAGS => flags = u32_at(value, 0)?,
            _ => {}
        }
    }
    let ip = local.or(peer)?;
    (flags & IFA_F_UNUSABLE == 0).then_some((u32_at(b, 4)?, Address { ip, prefix: *b.get(1)?, broadcast }))
}

/// The messages in one piece of the kernel's answer.
fn messages(mut b: &[u8]) -> impl Iterator<Item = Message> {
    std::iter::from_fn(move || {
        let len = u32_at(b, 0)? as usize;
        let body = b.get(16..len)?;
        let message = match u16_at(b, 4)? {
            RTM_NEWLINK => link(body).map_or(Message::Other, Message::Link),
            RTM_NEWADDR => address(body).map_or(Message::Other, |(index, a)| Message::Address(index, a)),
            NLMSG_DONE => Message::End,
            NLMSG_ERROR => Message::Failed(u32_at(body, 0)?.cast_signed()),
            _ => Message::Other,
        };
        b = b.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some(message)
    })
}

fn dump(socket: &Socket, kind: u16, mut each: impl FnMut(Message)) -> io::Result<()> {
    let mut request = [0u8; 32];
    request[0..4].copy_from_slice(&32u32.to_ne_bytes());
    request[4..6].copy_from_slice(&kind.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
    request[8..12].copy_from_slice(&u32::from(kind).to_ne_bytes());
    socket.send(&request, 0)?;
    let mut piece = Vec::with_capacity(PIECE);
    loop {
        piece.clear();
        socket.recv(&mut piece, 0)?;
        for message in messages(&piece) {
            match message {
                Message::End => return Ok(()),
                Message::Failed(errno) => return Err(io::Error::from_raw_os_error(errno.saturating_neg())),
                other => each(other),
            }
        }
    }
}

/// Asks the kernel for every interface and its addresses. Takes well under a millisecond on an office machine.
///
/// # Errors
/// When the kernel cannot be asked.
pub fn scan() -> io::Result<Vec<LinkFacts>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut links: Vec<LinkFacts> = Vec::new();
    dump(&socket, RTM_GETLINK, |m| match m {
        Message::Link(facts) if links.len() < LINKS => links.push(facts),
        _ => {}
    })?;
    dump(&socket, RTM_GETADDR, |m| {
        let Message::Address(index, address) = m else { return };
        if let Some(link) = links.iter_mut().find(|l| l.index == index && l.addresses.len() < ADDRESSES) {
            link.addresses.push(address);
        }
    })?;
    Ok(links)
}

/// Wakes when interfaces or addresses changed.
#[derive(Debug)]
pub(super) struct Watch {
    socket: Socket,
    piece: Vec<u8>, // bound: PIECE
}

impl Watch {
    pub(super) fn new() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        for group in GROUPS {
            socket.add_membership(group)?;
        }
        Ok(Self { socket, piece: Vec::with_capacity(PIECE) })
    }

    /// Blocks until something changed, then for `burst`, so that what comes in one go is looked at once.
    pub(super) fn changed(&mut self, burst: Duration) -> io::Result<()> {
        self.socket.set_non_blocking(false)?;
        self.take()?;
        #[expect(clippy::disallowed_methods, reason = "a thread of its own, which waits for a burst to end")]
        std::thread::sleep(burst);
        self.socket.set_non_blocking(true)?;
        loop {
            match self.take() {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
    }

    fn take(&mut self) -> io::Result<()> {
        self.piece.clear();
        match self.socket.recv(&mut self.piece, 0) {
            // More changes than the kernel could keep: that, too, says that something changed.
            Err(e) if e.raw_os_error() == Some(nix::libc::ENOBUFS) => Ok(()),
            other => other.map(|_| ()),
        }
    }
}

#[cfg(test)]
pub(super) fn facts_of(piece: &[u8]) -> Vec<LinkFacts> {
    let mut links: Vec<LinkFacts> = Vec::new();
    for message in messages(piece) {
        match message {
            Message::Link(facts) => links.push(facts),
            Message::Address(index, a) => {
                links.iter_mut().filter(|l| l.index == index).for_each(|l| l.addresses.push(a));
            }
            _ => {}
        }
    }
    links
}
