//! The sockets on one interface.

use super::sockets::{GROUP, join, new, tokio};
use super::{Heard, Setup, Sieve};
use crate::agent::journal::Ignored;
use crate::agent::links::{Address, Eligible};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use tokio::net::UdpSocket;

/// One interface in use.
#[derive(Debug)]
pub(super) struct Face {
    link: Eligible,
    /// Sockets to send on, each with where everybody is reached.
    ways: Vec<(Arc<UdpSocket>, Option<SocketAddr>)>, // bound: two, as many as address families; see ADDRESSES
    /// Read for as long as this lives.
    _heard: Vec<Heard>, // bound: as many as ways; see ADDRESSES
}

impl Face {
    /// The sockets on an interface: for each family in which it has an address.
    pub(super) fn on(link: &Eligible, setup: &Setup, sieve: &Sieve) -> Face {
        let sieve = &if link.is_loopback() { sieve.clone() } else { sieve.on(link) };
        let mut face = Face { link: link.clone(), ways: Vec::new(), _heard: Vec::new() };
        let everyone = [
            SocketAddr::new(Ipv4Addr::BROADCAST.into(), setup.port),
            SocketAddrV6::new(GROUP, setup.port, 0, link.index).into(),
        ];
        for everyone in everyone {
            let v4 = everyone.is_ipv4();
            if !link.addresses.iter().any(|a| a.ip.is_ipv4() == v4) {
                continue;
            }
            let any = if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            match receiver(link, SocketAddr::new(any, setup.port), &setup.groups) {
                Ok(socket) => face.add(sieve.hear(socket, false), Some(everyone).filter(|_| !v4 || link.broadcast)),
                Err(e) => sieve.cannot(link, &e),
            }
        }
        face
    }

    /// What an agent that keeps to one address needs beside its own socket: ears for what is sent to everybody.
    pub(super) fn of_address(link: &Eligible, ip: IpAddr, home: &Heard, setup: &Setup, sieve: &Sieve) -> Face {
        let everybody = link.addresses.first().and_then(Address::everybody);
        let mut ears: Vec<IpAddr> = Vec::new();
        let everyone = match ip {
            IpAddr::V4(ip) => {
                ears.extend(everybody.map(IpAddr::V4));
                // Agents that keep to no address send there; the loopback interface has no use for it.
                ears.extend((!ip.is_loopback()).then_some(IpAddr::V4(Ipv4Addr::BROADCAST)));
                ears.extend(setup.groups.iter().map(|&g| IpAddr::V4(g)));
                let _ = socket2::SockRef::from(&*home.socket).set_multicast_if_v4(&ip);
                everybody.map(|to| SocketAddr::new(to.into(), setup.port))
            }
            IpAddr::V6(_) => {
                ears.push(GROUP.into());
                let _ = socket2::SockRef::from(&*home.socket).set_multicast_if_v6(link.index);
                Some(SocketAddrV6::new(GROUP, setup.port, 0, link.index).into())
            }
        };
        let mut face = Face { link: link.clone(), ways: vec![(home.socket.clone(), everyone)], _heard: Vec::new() };
        for ear in ears {
            match receiver(link, SocketAddr::new(ear, setup.port), &setup.groups) {
                Ok(socket) => face._heard.push(sieve.hear(socket, false)),
                Err(e) => sieve.cannot(link, &e),
            }
        }
        face
    }

    fn add(&mut self, heard: Heard, everyone: Option<SocketAddr>) {
        self.ways.push((heard.socket.clone(), everyone));
        self._heard.push(heard);
    }

    /// Can the sockets stay as they are for what the interface is now?
    pub(super) fn fits(&self, link: &Eligible) -> bool {
        self.link == *link
    }

    /// The sockets that reach everybody on this interface.
    pub(super) fn everyone(&self) -> impl Iterator<Item = (&Arc<UdpSocket>, SocketAddr)> {
        self.ways.iter().filter_map(|(socket, to)| to.map(|to| (socket, to)))
    }

    /// The IPv4 socket, if there is one.
    pub(super) fn v4(&self) -> Option<&Arc<UdpSocket>> {
        self.of_family(true)
    }

    fn of_family(&self, v4: bool) -> Option<&Arc<UdpSocket>> {
        self.ways.iter().map(|w| &w.0).find(|s| s.local_addr().is_ok_and(|a| a.is_ipv4() == v4))
    }

    /// The socket for an address that was heard on the interface of this name.
    pub(super) fn by(&self, link: &str, to: SocketAddr) -> Option<&Arc<UdpSocket>> {
        if self.link.name == link { self.of_family(to.is_ipv4()) } else { None }
    }

    /// The socket for an address on this interface: a link-local one names its interface, another is in a subnet.
    pub(super) fn reaches(&self, to: SocketAddr) -> Option<&Arc<UdpSocket>> {
        let here = match to {
            SocketAddr::V6(to) if to.ip().is_unicast_link_local() => to.scope_id() == self.link.index,
            to => self.link.addresses.iter().any(|a| a.subnet_has(to.ip())),
        };
        if here { self.of_family(to.is_ipv4()) } else { None }
    }
}

impl Sieve {
    fn cannot(&self, link: &Eligible, e: &io::Error) {
        self.counts.ignored(Ignored::NotSent, None, &format!("{} cannot be used: {e}", link.name));
    }
}

/// A socket that hears one interface, and shares its port with those of the others.
fn receiver(link: &Eligible, at: SocketAddr, groups: &[Ipv4Addr]) -> io::Result<UdpSocket> {
    let socket = new(at.is_ipv4())?;
    socket.set_reuse_address(true)?;
    if !link.is_loopback() {
        socket.bind_device(Some(link.name.as_bytes()))?;
    }
    socket.bind(&at.into())?;
    if at.is_ipv4() {
        join(&socket, groups, link.index);
    } else {
        socket.join_multicast_v6(&GROUP, link.index)?;
        socket.set_multicast_if_v6(link.index)?;
    }
    tokio(socket)
}
