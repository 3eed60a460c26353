//! Connections that others open. One that has not said a whole first frame is not yet shown to the core, and there is
//! room for a few of those only: who says nothing loses its place to who comes next.

use super::{Common, Handle, dial};
use crate::agent::clock::pause;
use crate::agent::journal::Ignored;
use crate::ident::ConnId;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
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
    let listener = match address {
        Some(ip) => listen(SocketAddr::new(ip, port), true)?,
        None => match listen(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port), false) {
            Err(e) if no_ipv6(&e) => listen(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), false)?,
            other => other?,
        },
    };
    TcpListener::from_std(listener.into())
}

/// The kernel was built or started without IPv6.
fn no_ipv6(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(nix::libc::EAFNOSUPPORT | nix::libc::EADDRNOTAVAIL))
}

fn listen(at: SocketAddr, one: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if at.is_ipv6() {
        socket.set_only_v6(one)?;
    }
    match (one, at.is_ipv4()) {
        (true, true) => socket.set_freebind_v4(true)?,
        (true, false) => socket.set_freebind_v6(true)?,
        _ => {}
    }
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Takes connections for ever.
pub(super) async fn accept(listener: TcpListener, common: Common) {
    let mut next = ConnId::FIRST_ACCEPTED;
    // At most GREETING.
    let mut greeting: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let (stream, from) = match listener.accept().await {
            Ok((stream, from)) => (stream, plain(from)),
            Err(e) => {
                common.counts.ignored(Ignored::NoRoom, None, &format!("a connection could not be taken: {e}"));
                pause(SHORT_OF_FILES).await;
                continue;
            }
        };
        if greeting.len() >= GREETING {
            greeting.retain(|task| !task.is_finished());
        }
        if greeting.len() >= GREETING
            && let Some(oldest) = greeting.pop_front()
        {
            common.counts.ignored(
                Ignored::Silent,
                Some(from),
                "too many connections say nothing; the oldest is closed",
            );
            oldest.abort();
        }
        greeting.push_back(begin(common.clone(), ConnId(next), stream, from));
        next += 1;
    }
}

/// Waits for the first frame of a connection, and begins it then. The handle returned ends the waiting only.
fn begin(common: Common, conn: ConnId, stream: TcpStream, from: SocketAddr) -> AbortHandle {
    let waits = async move {
        if dial::settle(&stream).is_err() {
            return;
        }
        let (handle, task) = Handle::new(common, conn, Some(from.ip()));
        if let Some((open, first)) = task.first(stream, from).await {
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
