//! Connections that others open. One that has not said a whole first frame is not yet shown to the core, and there is
//! room for a few of those only: who says nothing loses its place to who comes next.

use super::dial::SEGMENT;
use super::{Common, Handle, dial};
use crate::agent::clock::pause;
use crate::agent::journal::Ignored;
use crate::agent::links::Eligible;
use crate::ident::ConnId;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// How many connections may be there without having said anything; beyond that the oldest is closed.
const GREETING: usize = 256;

/// How many connections the kernel keeps until they are taken.
const BACKLOG: i32 = 1024;

/// Without file descriptors, the next try comes after this.
const SHORT_OF_FILES: Duration = Duration::from_millis(100);

/// Listens on one address, which need not be there yet, or on all of both families.
pub(in crate::agent) fn bind(address: Option<IpAddr>, port: u16) -> io::Result<TcpListener> {
    let home = Port { port, link: None, one: address.is_some() };
    match address {
        Some(ip) => home.listen(ip),
        None => home.listen_to_all(),
    }
}

/// The kernel was built or started without IPv6.
fn no_ipv6(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(nix::libc::EAFNOSUPPORT | nix::libc::EADDRNOTAVAIL))
}

/// What a listener is bound to.
struct Port<'a> {
    port: u16,
    /// The interface; none for all.
    link: Option<&'a str>,
    /// One address only.
    one: bool,
}

impl Port<'_> {
    fn listen_to_all(&self) -> io::Result<TcpListener> {
        match self.listen(Ipv6Addr::UNSPECIFIED.into()) {
            Err(e) if no_ipv6(&e) => self.listen(Ipv4Addr::UNSPECIFIED.into()),
            other => other,
        }
    }

    fn listen(&self, ip: IpAddr) -> io::Result<TcpListener> {
        let at = SocketAddr::new(ip, self.port);
        let socket = Socket::new(Domain::for_address(at), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if at.is_ipv6() {
            socket.set_only_v6(self.one)?;
        }
        match (self.one, at.is_ipv4()) {
            (true, true) => socket.set_freebind_v4(true)?,
            (true, false) => socket.set_freebind_v6(true)?,
            _ => {}
        }
        // Connections take it from their listener.
        socket.set_tcp_mss(SEGMENT)?;
        if let Some(link) = self.link {
            socket.bind_device(Some(link.as_bytes()))?;
            socket.set_reuse_port(true)?;
        }
        socket.bind(&at.into())?;
        // The first one was bound alone, which shows whether another program has the port. It is shared with those of the
        // interfaces only.
        socket.set_reuse_port(!self.one)?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    }
}

/// All listeners: one for all interfaces, and one for each of them. What comes in by an interface is answered by it,
/// whichever way the kernel would take.
#[derive(Debug)]
pub(super) struct Listeners {
    port: u16,
    hall: Arc<Hall>,
    /// By the interface's number and name. Bound: INTERFACES.
    links: BTreeMap<(u32, String), AbortHandle>,
}

/// What all listeners share.
#[derive(Debug)]
struct Hall {
    common: Common,
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// The next connection's number.
    next: u64,
    /// Those that have not said anything yet.
    greeting: VecDeque<AbortHandle>, // bound: GREETING
}

impl Listeners {
    /// Takes connections for ever.
    pub(super) fn start(home: TcpListener, common: Common) -> Listeners {
        let port = home.local_addr().map_or(0, |at| at.port());
        let waiting = Waiting { next: ConnId::FIRST_ACCEPTED, greeting: VecDeque::new() };
        let hall = Arc::new(Hall { common, waiting: Mutex::new(waiting) });
        tokio::spawn(accept(home, hall.clone()));
        Listeners { port, hall, links: BTreeMap::new() }
    }

    /// Listens on these interfaces too. Where that fails, the one for all of them has to do.
    pub(super) fn use_links(&mut self, links: &[Eligible]) {
        let here = |index: u32, name: &str| links.iter().any(|link| link.index == index && link.name == name);
        self.links.retain(|(index, name), task| {
            let stays = here(*index, name);
            if !stays {
                task.abort();
            }
            stays
        });
        for link in links.iter().filter(|link| !link.is_loopback()) {
            if self.links.contains_key(&(link.index, link.name.clone())) {
                continue;
            }
            match (Port { port: self.port, link: Some(&link.name), one: false }).listen_to_all() {
                Ok(listener) => {
                    let task = tokio::spawn(accept(listener, self.hall.clone()));
                    self.links.insert((link.index, link.name.clone()), task.abort_handle());
                }
                Err(e) => {
                    let why = format!("{} cannot be listened on: {e}", link.name);
                    self.hall.common.counts.ignored(Ignored::NotSent, None, &why);
                }
            }
        }
    }
}

/// Takes the connections of one listener, for ever.
async fn accept(listener: TcpListener, hall: Arc<Hall>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => hall.greets(stream, plain(from)),
            Err(e) => {
                let why = format!("a connection could not be taken: {e}");
                hall.common.counts.ignored(Ignored::NoRoom, None, &why);
                pause(SHORT_OF_FILES).await;
            }
        }
    }
}

impl Hall {
    fn greets(&self, stream: TcpStream, from: SocketAddr) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Waiting { next, greeting } = &mut *waiting;
        if greeting.len() >= GREETING {
            greeting.retain(|task| !task.is_finished());
        }
        if greeting.len() >= GREETING
            && let Some(oldest) = greeting.pop_front()
        {
            let why = "too many connections say nothing; the oldest is closed";
            self.common.counts.ignored(Ignored::Silent, Some(from), why);
            oldest.abort();
        }
        greeting.push_back(begin(self.common.clone(), ConnId(*next), stream, from));
        *next += 1;
    }
}

/// Waits for the first frame of a connection, and begins it then. The handle returned ends the waiting only.
fn begin(common: Common, conn: ConnId, stream: TcpStream, from: SocketAddr) -> AbortHandle {
    let waits = async move {
        if dial::settle(&stream).is_err() {
            return;
        }
        let (handle, task) = Handle::new(common, conn, Some(from.ip()));
        let cable = task.common.dialer.cut.clone();
        if let Some((open, first)) = cable.carries(from.ip(), task.first(stream, from)).await {
            // A task of its own: from now on only the loop may end it.
            task.common.tasks.clone().spawn(task.accepted(open, from, first, handle));
        }
    };
    tokio::spawn(waits).abort_handle()
}

/// An IPv4 address that came through the socket of both families, as what it is.
fn plain(from: SocketAddr) -> SocketAddr {
    match from {
        SocketAddr::V6(v6) => match v6.ip().to_canonical() {
            IpAddr::V4(ip) => SocketAddr::new(ip.into(), v6.port()),
            IpAddr::V6(ip) => SocketAddrV6::new(ip, v6.port(), 0, v6.scope_id()).into(),
        },
        v4 => v4,
    }
}
