//! Connections: half-open, silent, of random bytes, of huge lengths, given up at once.

use super::{Flood, HERE, NOWHERE, Prey, breathe};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

pub(super) const FLOODS: [Flood; 6] = [
    ("connections that are never finished", half_open),
    ("connections that say nothing", silent),
    ("connections of random bytes", random),
    ("connections with huge lengths", lengths),
    ("connections that say their first frame byte by byte", slow),
    ("connections that are reset", resets),
];

/// So many connections are held at a time, and made in all, at most.
const HELD: usize = 700;
const MOST: usize = 10_000;

fn connect(from: Ipv4Addr, to: SocketAddr) -> Option<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).ok()?;
    socket.bind(&SockAddr::from(SocketAddr::from((from, 0)))).expect("an address of this machine");
    if from == NOWHERE {
        socket.set_nonblocking(true).expect("a socket");
        // It is under way, and stays so.
        let _ = socket.connect(&to.into());
        return Some(socket);
    }
    socket.connect_timeout(&to.into(), Duration::from_millis(500)).ok()?;
    socket.set_write_timeout(Some(Duration::from_millis(20))).expect("a time");
    Some(socket)
}

/// Makes connections until the end, says on each what `say` says, and holds the newest.
fn hold(prey: &mut Prey, from: Ipv4Addr, mut say: impl FnMut(&mut Prey, &mut Socket)) {
    let mut held: Vec<Socket> = Vec::new();
    for made in 0..MOST {
        if !prey.goes_on() {
            return;
        }
        let to = prey.address();
        let Some(mut socket) = connect(from, to) else { continue };
        say(prey, &mut socket);
        if held.len() >= HELD {
            drop(held.swap_remove(made % HELD));
        }
        held.push(socket);
        if made % 4 == 0 {
            breathe();
        }
    }
}

fn half_open(prey: &mut Prey) {
    hold(prey, NOWHERE, |_, _| {});
}

fn silent(prey: &mut Prey) {
    hold(prey, HERE, |_, _| {});
}

fn random(prey: &mut Prey) {
    hold(prey, HERE, |prey, socket| {
        let bytes = prey.bytes(2000);
        // It may be closed already.
        let _ = socket.write_all(&bytes);
    });
}

/// Lengths beyond every limit, and the largest that a first frame may have, of which nearly all comes.
fn lengths(prey: &mut Prey) {
    hold(prey, HERE, |prey, socket| {
        let lengths = [u32::MAX, 4 * 1024 * 1024, 64 * 1024 + 1, 64 * 1024, 64 * 1024];
        let length = lengths[prey.draw() as usize % lengths.len()];
        let _ = socket.write_all(&length.to_be_bytes());
        if length == 64 * 1024 {
            let _ = socket.write_all(&vec![0x81; 64 * 1024 - 1]);
        }
    });
}

fn slow(prey: &mut Prey) {
    let mut held: Vec<Socket> = Vec::new();
    for _ in 0..300 {
        let to = prey.address();
        held.extend(connect(HERE, to));
    }
    for socket in &mut held {
        let _ = socket.write_all(&1000_u32.to_be_bytes());
    }
    while prey.goes_on() {
        for (i, socket) in held.iter_mut().enumerate() {
            let _ = socket.write_all(&[0x81]);
            if i % 30 == 0 {
                breathe();
            }
        }
    }
}

fn resets(prey: &mut Prey) {
    hold(prey, HERE, |prey, socket| {
        let bytes = prey.bytes(10);
        let _ = socket.write_all(&bytes);
        // Its end is a reset.
        socket.set_linger(Some(Duration::ZERO)).expect("a socket");
        if let Ok(other) = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)) {
            drop(std::mem::replace(socket, other));
        }
    });
}
