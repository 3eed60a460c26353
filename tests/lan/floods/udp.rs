//! Datagrams: garbage, what looks like a message, what was one.

use super::{Flood, HERE, Prey, breathe};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use tanist::ident::{BootId, Incarnation, NodeId};
use tanist::message::{Cast, Hello, Sender};
use tanist::wire::Wire;

pub(super) const FLOODS: [Flood; 5] = [
    ("datagrams of random bytes", random),
    ("messages with some bytes changed", changed),
    ("parts of messages", parts),
    ("messages sent again", again),
    ("greetings of machines that are not there", strangers),
];

/// So many datagrams at once, at most so many in all.
const BURST: usize = 10;
const MOST: usize = 20_000;

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((HERE, 0)).expect("an address of this machine");
    socket.set_broadcast(true).expect("broadcast is allowed");
    socket
}

/// Sends what `next` makes to the prey, one in eight to everybody.
fn send(prey: &mut Prey, mut next: impl FnMut(&mut Prey) -> Vec<u8>) {
    let socket = socket();
    let everybody = SocketAddr::from((Ipv4Addr::new(10, 77, 0, 255), 8264));
    for sent in 0..MOST {
        if !prey.goes_on() {
            return;
        }
        let bytes = next(prey);
        let to = if sent % 8 == 0 { everybody } else { prey.address() };
        // A full buffer loses it.
        let _ = socket.send_to(&bytes, to);
        if sent % BURST == 0 {
            breathe();
        }
    }
}

fn random(prey: &mut Prey) {
    send(prey, |prey| {
        let length = prey.draw() as usize % 1400;
        prey.bytes(length)
    });
}

fn one(prey: &mut Prey) -> Vec<u8> {
    let index = prey.draw() as usize % prey.heard.len();
    prey.heard[index].clone()
}

fn changed(prey: &mut Prey) {
    send(prey, |prey| {
        let mut bytes = one(prey);
        for _ in 0..1 + prey.draw() % 4 {
            let index = prey.draw() as usize % bytes.len();
            bytes[index] = prey.draw() as u8;
        }
        bytes
    });
}

fn parts(prey: &mut Prey) {
    send(prey, |prey| {
        let mut bytes = one(prey);
        bytes.truncate(prey.draw() as usize % bytes.len());
        bytes
    });
}

fn again(prey: &mut Prey) {
    send(prey, one);
}

/// Each greets with an id of its own, as many as an agent lists.
fn strangers(prey: &mut Prey) {
    let wire = Wire::new("office");
    send(prey, |prey| {
        let id = NodeId(uuid::Uuid::from_u128(u128::from(prey.draw() % 2000)));
        let node = Incarnation { id, boot: BootId(1) };
        let from = Sender { node, name: "stranger".to_owned(), port: 8264 };
        let hello = Hello { broadcast: true, version: "0.1.0".to_owned(), priority: 100 };
        wire.datagram(&from, &Cast::Hello(hello))
    });
}
