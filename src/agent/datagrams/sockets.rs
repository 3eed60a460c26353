//! Making UDP sockets, and reading them.

use super::{Heard, Setup, Sieve};
use crate::agent::clock::pause;
use crate::agent::journal::Ignored;
use crate::wire::DATAGRAM_MAX;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt::Ipv4PacketInfo};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, Socket, Type};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// The own group, on each interface (protocol §11).
pub(super) const GROUP: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0, 0x8264);

/// After an error of a socket, the next try to read it comes after this.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// One byte more than a datagram may have shows one that is too long.
const BUFFER: usize = DATAGRAM_MAX + 1;

/// A new socket with what all have in common; not yet bound.
pub(super) fn new(v4: bool) -> io::Result<Socket> {
    let domain = if v4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if v4 {
        socket.set_broadcast(true)?;
        socket.set_multicast_all_v4(false)?;
        socket.set_multicast_loop_v4(false)?;
        socket.set_multicast_ttl_v4(1)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_multicast_all_v6(false)?;
        socket.set_multicast_loop_v6(false)?;
        socket.set_multicast_hops_v6(1)?;
    }
    Ok(socket)
}

/// Joins IPv4 groups on an interface. One that cannot be joined is not heard.
pub(super) fn join(socket: &Socket, groups: &[Ipv4Addr], index: u32) {
    for group in groups {
        let _ = socket.join_multicast_v4_n(group, &InterfaceIndexOrAddress::Index(index));
    }
}

/// The sockets that do not come and go with interfaces. They are bound without sharing the port, which shows whether
/// another program has it; only then is it shared with the own sockets on each interface.
pub(super) fn home(setup: &Setup) -> io::Result<Vec<UdpSocket>> {
    let open = |ip: IpAddr| {
        let socket = new(ip.is_ipv4())?;
        match setup.bind {
            Some(IpAddr::V4(_)) => socket.set_freebind_v4(true)?,
            Some(IpAddr::V6(_)) => socket.set_freebind_v6(true)?,
            None if ip.is_ipv4() => {
                setsockopt(&socket, Ipv4PacketInfo, &true)?;
                // A kernel that cannot filter wakes this agent for nothing, and that is all.
                let _ = socket.attach_filter(&only_addressed());
            }
            None => {}
        }
        socket.bind(&SocketAddr::new(ip, setup.port).into())?;
        socket.set_reuse_address(true)?;
        tokio(socket)
    };
    if let Some(ip) = setup.bind {
        return Ok(vec![open(ip)?]);
    }
    let mut sockets = vec![open(Ipv4Addr::UNSPECIFIED.into())?];
    match open(Ipv6Addr::UNSPECIFIED.into()) {
        Ok(socket) => sockets.push(socket),
        // A kernel without IPv6 does without.
        Err(e) if matches!(e.raw_os_error(), Some(nix::libc::EAFNOSUPPORT | nix::libc::EADDRNOTAVAIL)) => {}
        Err(e) => return Err(e),
    }
    Ok(sockets)
}

/// Lets the kernel keep what came by a broadcast frame from a socket on all interfaces: the sockets on the interfaces
/// in use hear that, and every heartbeat would wake this agent for a second copy of it. Loads the kind of frame; passes
/// all of one that was addressed to this machine, and nothing of any other.
fn only_addressed() -> [SockFilter; 4] {
    use nix::libc::{
        BPF_ABS, BPF_B, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, PACKET_HOST, SKF_AD_OFF, SKF_AD_PKTTYPE,
    };
    let code = |code: u32| u16::try_from(code).unwrap_or_default();
    let kind = (SKF_AD_OFF + SKF_AD_PKTTYPE).cast_unsigned();
    [
        SockFilter::new(code(BPF_LD | BPF_B | BPF_ABS), 0, 0, kind),
        SockFilter::new(code(BPF_JMP | BPF_JEQ | BPF_K), 0, 1, u32::from(PACKET_HOST)),
        SockFilter::new(code(BPF_RET | BPF_K), 0, 0, u32::MAX),
        SockFilter::new(code(BPF_RET | BPF_K), 0, 0, 0),
    ]
}

pub(super) fn tokio(socket: Socket) -> io::Result<UdpSocket> {
    UdpSocket::from_std(socket.into())
}

impl Sieve {
    /// Reads a socket from now on. From one that hears all interfaces, only what was sent to this machine is taken:
    /// what is broadcast on an interface that is not used must not be heard.
    pub(super) fn hear(&self, socket: UdpSocket, only_own: bool) -> Heard {
        let socket = Arc::new(socket);
        let (sieve, read) = (self.clone(), socket.clone());
        let only_own = only_own && socket.local_addr().is_ok_and(|a| a.is_ipv4());
        let task = if only_own { tokio::spawn(addressed(sieve, read)) } else { tokio::spawn(all(sieve, read)) };
        Heard { socket, task: task.abort_handle() }
    }

    async fn failed(&self, e: &io::Error) {
        self.counts.ignored(Ignored::NotSent, None, &format!("a socket could not be read: {e}"));
        pause(AFTER_ERROR).await;
    }
}

async fn all(sieve: Sieve, socket: Arc<UdpSocket>) {
    let mut buffer = [0u8; BUFFER];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((n, from)) => sieve.take(from, &buffer[..n]),
            Err(e) => sieve.failed(&e).await,
        }
    }
}

async fn addressed(sieve: Sieve, socket: Arc<UdpSocket>) {
    let mut buffer = [0u8; BUFFER];
    loop {
        match socket.async_io(Interest::READABLE, || receive(&socket, &mut buffer)).await {
            Ok(Some((n, from))) => sieve.take(from, &buffer[..n]),
            Ok(None) => {}
            Err(e) => sieve.failed(&e).await,
        }
    }
}

/// A datagram, or none when it was sent to everybody: then the address that it was sent to is not the one that answers.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Option<(usize, SocketAddr)>> {
    let mut control = nix::cmsg_space!(nix::libc::in_pktinfo);
    let mut slices = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty())?;
    let own = message.cmsgs()?.any(
        |c| matches!(c, ControlMessageOwned::Ipv4PacketInfo(info) if info.ipi_addr.s_addr == info.ipi_spec_dst.s_addr),
    );
    let from = message.address.map(|a| SocketAddr::V4(SocketAddrV4::new(a.ip(), a.port())));
    Ok(from.filter(|_| own).map(|from| (message.bytes, from)))
}
