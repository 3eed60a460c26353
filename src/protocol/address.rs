//! Addresses, as one machine speaks of them to another.

use super::Link;
use crate::message::Known;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

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

/// An address at which others reach this machine: one that means the same everywhere before one of a single link, which
/// names that link. None without a link.
pub(super) fn of_links(links: &[Link], port: u16) -> Option<SocketAddr> {
    let one = |link: &Link, ip: &IpAddr| match ip {
        IpAddr::V6(ip) if ip.is_unicast_link_local() => SocketAddrV6::new(*ip, port, 0, link.index).into(),
        ip => SocketAddr::new(*ip, port),
    };
    let all = links.iter().flat_map(|link| link.addresses.iter().map(move |ip| one(link, ip)));
    all.min_by_key(|address| link_local(*address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, addresses: &[&str]) -> Link {
        let addresses = addresses.iter().map(|ip| ip.parse().expect("an address")).collect();
        Link { name: format!("eth{index}"), index, addresses }
    }

    #[test]
    fn an_address_of_one_link_names_the_link_and_comes_after_all_others() {
        let shown = |links: &[Link]| of_links(links, 8264).map(|address| address.to_string());
        assert_eq!(shown(&[]), None);
        let local = link(2, &["fe80::5"]);
        assert_eq!(shown(std::slice::from_ref(&local)).as_deref(), Some("[fe80::5%2]:8264"));
        assert_eq!(shown(&[local, link(3, &["192.0.2.1", "2001:db8::1"])]).as_deref(), Some("192.0.2.1:8264"));
    }
}
