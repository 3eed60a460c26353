//! UDP: what finds and announces (protocol §5). One socket for each family and interface in use, which hears broadcast
//! and multicast there and nowhere else, and one for each family at home, which hears what is sent to this machine by
//! any other way.

mod face;
mod sockets;

use super::cut::Cut;
use super::journal::{Counts, Ignored};
use super::links::{Address, Eligible};
use super::routes::Routes;
use crate::ident::BootId;
use crate::message::Datagram;
use crate::protocol::To;
use crate::wire::Wire;
use face::Face;
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// How many datagrams wait for the loop; what comes beyond that is dropped and counted.
const DATAGRAMS: usize = 1024;

/// How many multicast groups may be joined beside the own one.
const GROUPS: usize = 16;

/// What the sockets need to know.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    /// The port, of this agent and of the others.
    pub(super) port: u16,
    /// The one address to keep to.
    pub(super) bind: Option<IpAddr>,
    /// IPv4 groups that are greeted and heard too, at most [`GROUPS`].
    pub(super) groups: Vec<Ipv4Addr>,
    /// Who is not heard, and sent nothing, in a demo.
    pub(super) cut: Cut,
}

/// What every receiving task needs.
#[derive(Clone, Debug)]
struct Sieve {
    wire: Arc<Wire>,
    own: BootId,
    inbox: mpsc::Sender<(SocketAddr, Datagram)>, // bound: DATAGRAMS
    counts: Arc<Counts>,
    routes: Routes,
    cut: Cut,
    /// The interface that the sockets are on, and its addresses; none for those at home.
    link: Option<(Arc<str>, Arc<[Address]>)>,
}

impl Sieve {
    /// The same for the sockets of one interface.
    fn on(&self, link: &Eligible) -> Sieve {
        Sieve { link: Some((link.name.as_str().into(), link.addresses.as_slice().into())), ..self.clone() }
    }

    /// Passes on what is of this cluster and not of this very process.
    fn take(&self, from: SocketAddr, bytes: &[u8]) {
        if self.cut.has(from.ip()) {
            return;
        }
        match self.wire.read_datagram(bytes) {
            Ok(datagram) if datagram.from.node.boot == self.own => {}
            Ok(datagram) => {
                // An address of another subnet is no neighbour here, whatever somebody writes into a datagram.
                if let Some((link, addresses)) = &self.link
                    && addresses.iter().any(|a| a.subnet_has(from.ip()))
                {
                    self.routes.heard(from.ip(), link);
                }
                if self.inbox.try_send((from, datagram)).is_err() {
                    self.counts.ignored(Ignored::NoRoom, Some(from), "datagrams come faster than they are read");
                }
            }
            Err(why) => self.counts.ignored((&why).into(), Some(from), &why.to_string()),
        }
    }
}

/// A socket, and the task that reads it for as long as this lives.
#[derive(Debug)]
struct Heard {
    socket: Arc<UdpSocket>,
    task: AbortHandle,
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All UDP sockets.
pub(super) struct Datagrams {
    setup: Setup,
    sieve: Sieve,
    /// One for each family, or the one of the address that is kept to.
    home: Vec<Heard>, // bound: GROUPS
    /// At most [`super::links::INTERFACES`], with two sockets each.
    faces: Vec<Face>,
}

impl Datagrams {
    /// Opens those at home. What is heard comes out of the receiver.
    ///
    /// # Errors
    /// When the port is taken, or may not be used.
    pub(super) fn open(
        mut setup: Setup,
        wire: Arc<Wire>,
        own: BootId,
        counts: Arc<Counts>,
        routes: Routes,
    ) -> io::Result<(Datagrams, mpsc::Receiver<(SocketAddr, Datagram)>)> {
        let (inbox, heard) = mpsc::channel(DATAGRAMS);
        setup.groups.truncate(GROUPS);
        let sieve = Sieve { wire, own, inbox, counts, routes, cut: setup.cut.clone(), link: None };
        let home = sockets::home(&setup)?.into_iter().map(|s| sieve.hear(s, setup.bind.is_none())).collect();
        Ok((Datagrams { setup, sieve, home, faces: Vec::new() }, heard))
    }

    /// Uses these interfaces from now on. What cannot be opened on one is said, and the others are used.
    pub(super) fn use_links(&mut self, links: &[Eligible]) {
        let mut old = std::mem::take(&mut self.faces);
        for link in links {
            let kept = old.iter().position(|face| face.fits(link)).map(|i| old.swap_remove(i));
            let face = match (kept, self.setup.bind) {
                (Some(face), _) => face,
                (None, None) => Face::on(link, &self.setup, &self.sieve),
                (None, Some(ip)) => Face::of_address(link, ip, &self.home[0], &self.setup, &self.sieve),
            };
            self.faces.push(face);
        }
    }

    /// Sends a datagram; what cannot be sent is lost, as datagrams are.
    pub(super) fn send(&self, to: &To, bytes: &[u8]) {
        match to {
            To::Everyone => {
                for (socket, to) in self.faces.iter().flat_map(Face::everyone) {
                    self.send_on(socket, to, bytes);
                }
            }
            To::One(to) if matches!(to.ip(), IpAddr::V4(ip) if ip.is_multicast()) => {
                for socket in self.faces.iter().flat_map(Face::v4) {
                    self.send_on(socket, *to, bytes);
                }
            }
            To::One(to) => {
                let heard = self.sieve.routes.to(to.ip());
                let heard = heard.and_then(|link| self.faces.iter().find_map(|face| face.by(&link, *to)));
                let near = heard.or_else(|| self.faces.iter().find_map(|face| face.reaches(*to)));
                let home = || self.home.iter().map(|h| &h.socket).find(|s| same_family(s, *to));
                if let Some(socket) = near.or_else(home) {
                    self.send_on(socket, *to, bytes);
                }
            }
        }
    }

    /// By the system call itself: tokio would have to hear first that a new socket can be written to.
    fn send_on(&self, socket: &Arc<UdpSocket>, to: SocketAddr, bytes: &[u8]) {
        if self.sieve.cut.has(to.ip()) {
            return;
        }
        if let Err(e) = SockRef::from(&**socket).send_to(bytes, &to.into()) {
            self.sieve.counts.ignored(Ignored::NotSent, Some(to), &format!("a datagram could not be sent: {e}"));
        }
    }
}

fn same_family(socket: &UdpSocket, to: SocketAddr) -> bool {
    socket.local_addr().is_ok_and(|own| own.is_ipv4() == to.is_ipv4())
}
