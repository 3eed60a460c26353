//! Addresses, as one machine speaks of them to another.

use crate::message::Known;
use std::net::SocketAddr;

/// An address that means something on one link only.
pub(super) fn link_local(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(a) if a.ip().segments()[0] & 0xffc0 == 0xfe80)
}

/// The scope of a link-local address does not travel: the teller's own scope is taken.
pub(super) fn localised(mut known: Known, from: SocketAddr) -> Known {
    let local = link_local(known.address);
    if let (SocketAddr::V6(address), SocketAddr::V6(teller)) = (&mut known.address, from)
        && local
        && address.scope_id() == 0
    {
        address.set_scope_id(teller.scope_id());
    }
    known
}

/// The same address, and its scope, with another port.
pub(super) fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}
