//! Which interfaces are used (protocol §5): the rule, as a pure function over what the kernel tells, and the thread that
//! follows the kernel.

pub mod netlink;
#[cfg(test)]
mod tests;

use crate::protocol::Link;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tokio::sync::mpsc;

/// How many interfaces are used at once.
pub const INTERFACES: usize = 64;

/// How many addresses of one interface are looked at.
pub const ADDRESSES: usize = 64;

/// How many results wait for the loop.
const CHANGES: usize = 4;

/// Changes of interfaces come in bursts; this long after the first the interfaces are looked at again.
const BURST: Duration = Duration::from_millis(20);

/// Kinds of link, as the kernel calls them, that lead to no LAN: tunnels, and interfaces with nobody behind them.
const LEFT_OUT: [&str; 25] = [
    "tun",
    "wireguard",
    "vxlan",
    "gre",
    "gretap",
    "ip6gre",
    "ip6gretap",
    "erspan",
    "ip6erspan",
    "ipip",
    "sit",
    "ip6tnl",
    "vti",
    "vti6",
    "xfrm",
    "geneve",
    "gtp",
    "ppp",
    "bareudp",
    "amt",
    "dummy",
    "ifb",
    "nlmon",
    "vrf",
    "netkit",
];

/// Why no interface is used, and what to do about it, for users.
pub(super) fn none_fits(rules: &Rules) -> String {
    let deny =
        if rules.deny.is_empty() { String::new() } else { format!(", deny_interfaces = {}", rules.deny.join(",")) };
    match rules.bind {
        Some(ip) => format!("no interface that is up has the address {ip}: give it one, or correct bind"),
        None if rules.only.is_empty() => format!(
            "no interface that leads to a LAN is up, with carrier and an address{deny}: plug in a cable, or name one with \
             interface"
        ),
        None => format!(
            "no interface that is up, with carrier and an address, fits interface = {}{deny}: correct that, or bring one up",
            rules.only.join(",")
        ),
    }
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// The length of its subnet's prefix, in bits.
    pub prefix: u8,
    /// The broadcast address that the interface was given with it.
    pub broadcast: Option<Ipv4Addr>,
}

impl Address {
    /// Is `ip` in this address's subnet?
    pub fn subnet_has(&self, ip: IpAddr) -> bool {
        match (self.ip, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32))).unwrap_or(0);
                own.to_bits() & mask == ip.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix.min(128))).unwrap_or(0);
                own.to_bits() & mask == ip.to_bits() & mask
            }
            _ => false,
        }
    }

    /// Where a datagram to everybody in this address's subnet goes; none for IPv6, and for a subnet of one.
    pub fn everybody(&self) -> Option<Ipv4Addr> {
        let IpAddr::V4(own) = self.ip else { return None };
        let host = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
        self.broadcast.or_else(|| (host > 1).then(|| Ipv4Addr::from_bits(own.to_bits() | host)))
    }
}

/// What the kernel tells about one interface.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LinkFacts {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What kind of virtual link it is; none for hardware.
    pub kind: Option<String>,
    /// The number of the bridge, bond or the like that speaks for it.
    pub master: Option<u32>,
    /// Switched on.
    pub up: bool,
    /// Has carrier and may carry traffic.
    pub running: bool,
    /// Can broadcast.
    pub broadcast: bool,
    /// Can multicast.
    pub multicast: bool,
    /// The loopback interface.
    pub loopback: bool,
    /// Has exactly one other end.
    pub point_to_point: bool,
    /// Addresses that can be sent from, at most [`ADDRESSES`].
    pub addresses: Vec<Address>, // bound: ADDRESSES
}

/// How likely an interface leads to the office.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Hardware.
    Card,
    /// A VLAN, bond, bridge or the like.
    Virtual,
    /// One end of a `veth` pair: most lead into a container of this machine.
    Cable,
}

impl LinkFacts {
    fn rank(&self) -> Rank {
        match self.kind.as_deref() {
            None => Rank::Card,
            Some("veth") => Rank::Cable,
            Some(_) => Rank::Virtual,
        }
    }

    /// It has addresses that mean something on this link only.
    fn is_local(&self) -> bool {
        self.addresses.iter().all(|a| match a.ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        })
    }

    fn kind_is(&self, kinds: &[&str]) -> bool {
        self.kind.as_deref().is_some_and(|k| kinds.contains(&k))
    }
}

/// Which interfaces the administrator wants; `*` in a name stands for any characters.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Rules {
    /// Only these, of whatever kind; empty: every eligible one.
    pub only: Vec<String>, // bound: NAMES of the configuration
    /// Never these.
    pub deny: Vec<String>, // bound: NAMES of the configuration
    /// Keep to this one address.
    pub bind: Option<IpAddr>,
}

/// An interface that is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eligible {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Can broadcast.
    pub broadcast: bool,
    /// Its addresses; never empty.
    pub addresses: Vec<Address>, // bound: ADDRESSES
}

/// What there is to use.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Found {
    /// The interfaces that are used, those first that most likely lead to the office; at most [`INTERFACES`].
    pub used: Vec<Eligible>, // bound: INTERFACES
    /// The names of those that would fit, and find no room.
    pub left_out: Vec<String>, // bound: LINKS of netlink
}

impl Found {
    /// For users, that some are left out, and what to do about it.
    pub(super) fn warning(&self) -> Option<String> {
        let first = self.left_out.first()?;
        let more = match self.left_out.len() {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        Some(format!(
            "{INTERFACES} interfaces are used, as many as can be, and {first}{more} are not: name those that lead to the office \
             with interface"
        ))
    }
}

impl Eligible {
    /// The same for the core.
    pub fn link(&self) -> Link {
        let addresses = self.addresses.iter().map(|a| a.ip).collect();
        Link { name: self.name.clone(), index: self.index, addresses }
    }

    /// It leads back to this machine.
    pub(super) fn is_loopback(&self) -> bool {
        self.addresses.iter().any(|a| a.ip.is_loopback())
    }
}

/// The interfaces that are used (protocol §5): hardware first, then what stands for it, and cables between namespaces
/// (`veth`) only where there is nothing else; of each kind those first that have more than an address of their own link, by
/// their number.
pub fn eligible(all: &[LinkFacts], rules: &Rules) -> Found {
    let fits = |link: &&LinkFacts| match rules.bind {
        Some(ip) => link.up && holder(link, ip),
        None => eligible_one(link, all, rules),
    };
    let mut fit: Vec<&LinkFacts> = all.iter().filter(fits).collect();
    fit.sort_by_key(|link| (link.rank(), link.is_local(), link.index));
    if rules.bind.is_none() && rules.only.is_empty() && fit.first().is_some_and(|link| link.rank() < Rank::Cable) {
        fit.retain(|link| link.rank() < Rank::Cable);
    }
    let rest = fit.split_off(fit.len().min(if rules.bind.is_some() { 1 } else { INTERFACES }));
    let used = fit
        .into_iter()
        .map(|link| Eligible {
            index: link.index,
            name: link.name.clone(),
            broadcast: link.broadcast || link.loopback,
            addresses: match rules.bind {
                None => link.addresses.clone(),
                Some(ip) => {
                    let subnet = link.addresses.iter().find(|a| a.ip == ip).or(link.addresses.first());
                    subnet.map(|a| Address { ip, ..*a }).into_iter().collect()
                }
            },
        })
        .collect();
    let left_out = if rules.bind.is_some() { Vec::new() } else { rest.iter().map(|link| link.name.clone()).collect() };
    Found { used, left_out }
}

/// Whose address is it? All of 127.0.0.0/8 belongs to the loopback interface.
fn holder(link: &LinkFacts, ip: IpAddr) -> bool {
    link.addresses.iter().any(|a| a.ip == ip || link.loopback && a.subnet_has(ip))
}

fn eligible_one(link: &LinkFacts, all: &[LinkFacts], rules: &Rules) -> bool {
    let listed = |list: &[String]| list.iter().any(|pattern| matches(pattern, &link.name));
    if !link.up || !link.running || link.addresses.is_empty() || listed(&rules.deny) {
        return false;
    }
    if !rules.only.is_empty() {
        return listed(&rules.only);
    }
    (link.broadcast || link.multicast)
        && !link.loopback
        && !link.point_to_point
        && !enslaved(link, all)
        && !link.kind_is(&LEFT_OUT)
        && (!link.kind_is(&["bridge"]) || has_real_port(link, all))
}

/// A bridge or bond speaks for its ports; a routing domain (VRF) does not.
fn enslaved(link: &LinkFacts, all: &[LinkFacts]) -> bool {
    link.master.is_some_and(|m| !all.iter().any(|l| l.index == m && l.kind_is(&["vrf"])))
}

/// Does the bridge lead anywhere but to containers and virtual machines?
fn has_real_port(bridge: &LinkFacts, all: &[LinkFacts]) -> bool {
    all.iter().any(|port| port.master == Some(bridge.index) && !port.kind_is(&["veth", "tun"]))
}

/// Does the name fit the pattern? `*` stands for any characters, none included.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name
            .strip_prefix(head)
            .is_some_and(|rest| (0..=rest.len()).any(|i| rest.is_char_boundary(i) && matches(tail, &rest[i..]))),
    }
}

/// Starts the thread that follows the kernel. The first result comes at once, each later one when it differs from the
/// one before.
///
/// # Errors
/// When the kernel cannot be asked, or no thread can be started.
pub(super) fn follow(rules: Rules) -> std::io::Result<mpsc::Receiver<Found>> {
    let (found, results) = mpsc::channel(CHANGES);
    let mut watch = netlink::Watch::new()?;
    let mut last = eligible(&netlink::scan()?, &rules);
    let _ = found.try_send(last.clone());
    // The thread waits in the kernel for the rest of the process's life.
    std::thread::Builder::new().name("links".into()).spawn(move || {
        loop {
            if watch.changed(BURST).is_err() {
                // A socket that failed would fail again at once; look again at leisure instead.
                #[expect(clippy::disallowed_methods, reason = "a thread of its own, after a socket failed")]
                std::thread::sleep(Duration::from_secs(1));
            }
            let Ok(facts) = netlink::scan() else { continue };
            let next = eligible(&facts, &rules);
            if next != last {
                last.clone_from(&next);
                if found.blocking_send(next).is_err() {
                    return;
                }
            }
        }
    })?;
    Ok(results)
}
