//! Opening connections, and what every connection's socket is set to.

use crate::agent::clock::within;
use crate::agent::cut::Cut;
use crate::agent::routes::Routes;
use crate::protocol::Closed;
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};

/// A dial is given up after this.
const DIAL: Duration = Duration::from_secs(2);

/// What was sent must be taken by the other machine within this, or the connection is given up.
const TAKEN: Duration = Duration::from_secs(10);

/// A connection on which nothing is said is asked after this whether its other end is still there.
const QUIET: Duration = Duration::from_secs(10);

/// The pauses between such questions, and how many may go unanswered.
const ASK: (Duration, u32) = (Duration::from_secs(3), 3);

/// The longest segment that is sent or asked for, in bytes: what IPv6 takes everywhere. Hosts with jumbo frames behind a
/// switch without them would lose what is longer, and hear nothing of it.
pub(super) const SEGMENT: u32 = 1220;

/// Opens connections.
#[derive(Clone, Debug)]
pub(in crate::agent) struct Dialer {
    /// The one address to keep to.
    pub(in crate::agent) from: Option<IpAddr>,
    /// Where others are heard: there they are dialled.
    pub(in crate::agent) routes: Routes,
    /// Who does not answer, in a demo.
    pub(in crate::agent) cut: Cut,
}

impl Dialer {
    /// Opens one, in 2 s at most.
    ///
    /// # Errors
    /// Only a machine that says no has refused; all else is this machine's own matter.
    pub(super) async fn dial(&self, to: SocketAddr) -> Result<TcpStream, (Closed, io::Error)> {
        let done = within(DIAL, self.cut.carries(to.ip(), self.connect(to))).await;
        match done.unwrap_or_else(|| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in 2 s"))) {
            Ok(stream) => Ok(stream),
            Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset) => {
                Err((Closed::Refused, e))
            }
            Err(e) => Err((Closed::Local, e)),
        }
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(from) = self.from.filter(|from| from.is_ipv4() == to.is_ipv4()) {
            // The port is chosen when the other end is known: many connections can then share one.
            setsockopt(&socket, IpBindAddressNoPort, &true)?;
            socket.bind(SocketAddr::new(from, 0))?;
        }
        let options = SockRef::from(&socket);
        options.set_tcp_mss(SEGMENT)?;
        if let Some(link) = self.routes.to(to.ip()) {
            // Where that is not allowed, the kernel's own route has to do.
            let _ = options.bind_device(Some(link.as_bytes()));
        }
        let stream = socket.connect(to).await?;
        settle(&stream)?;
        Ok(stream)
    }
}

/// Small frames go out at once, and a dead other end is noticed.
pub(super) fn settle(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_user_timeout(Some(TAKEN))?;
    let (pause, tries) = ASK;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(QUIET).with_interval(pause).with_retries(tries))
}

/// How an open connection ended that gave this error.
pub(super) fn ended(e: &io::Error) -> Closed {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match e.kind() {
        ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof => Closed::Reset,
        _ => Closed::Local,
    }
}
