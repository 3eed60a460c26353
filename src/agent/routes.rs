//! By which interface an address is reached: by that on which it was heard (protocol §6). The kernel knows one route to a
//! LAN, however many cards lead there, and goes by it whichever of them still works.

use super::clock;
use crate::time::Time;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many addresses are kept in mind. Of one that finds no room the kernel's own route is used.
const ADDRESSES: usize = 4096;

/// The interface stays for as long as the address is heard there within this, whatever else it is heard on.
const STAYS: Duration = Duration::from_secs(1);

/// What was not heard for so long says nothing any more, and makes room: three of the slowest heartbeats. Who is not heard
/// is reached by the kernel's own route.
const OLD: Duration = Duration::from_secs(15);

/// Where each address was heard. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Routes(Arc<Mutex<BTreeMap<IpAddr, Heard>>>); // bound: ADDRESSES

#[derive(Clone, Debug)]
struct Heard {
    link: Arc<str>,
    at: Time,
}

impl Routes {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A datagram came from this address on that interface.
    pub(super) fn heard(&self, from: IpAddr, link: &Arc<str>) {
        self.heard_at(from, link, clock::time());
    }

    fn heard_at(&self, from: IpAddr, link: &Arc<str>, now: Time) {
        let mut all = self.lock();
        if let Some(known) = all.get_mut(&from) {
            if known.link == *link {
                known.at = now;
            } else if now.since(known.at) > STAYS {
                *known = Heard { link: link.clone(), at: now };
            }
            return;
        }
        if all.len() >= ADDRESSES {
            all.retain(|_, known| now.since(known.at) <= OLD);
        }
        if all.len() < ADDRESSES {
            all.insert(from, Heard { link: link.clone(), at: now });
        }
    }

    /// The interface on which an address was heard lately; none when it was not.
    pub(super) fn to(&self, ip: IpAddr) -> Option<Arc<str>> {
        self.to_at(ip, clock::time())
    }

    fn to_at(&self, ip: IpAddr, now: Time) -> Option<Arc<str>> {
        self.lock().get(&ip).filter(|known| now.since(known.at) <= OLD).map(|known| known.link.clone())
    }

    /// These interfaces are left; nothing was heard on any other.
    pub(super) fn keep(&self, links: &[super::links::Eligible]) {
        self.lock().retain(|_, known| links.iter().any(|link| *link.name == *known.link));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn at(ms: u64) -> Time {
        Time(ms * 1000)
    }

    fn cards() -> (Arc<str>, Arc<str>) {
        ("eth0".into(), "wlan0".into())
    }

    #[test]
    fn an_address_that_is_heard_on_two_cards_keeps_the_first_until_that_is_silent() {
        let (eth, wlan) = cards();
        let routes = Routes::default();
        for ms in (0..1000).step_by(250) {
            routes.heard_at(HERE, &eth, at(ms));
            routes.heard_at(HERE, &wlan, at(ms + 1));
            assert_eq!(routes.to_at(HERE, at(ms)).as_deref(), Some("eth0"));
        }
        routes.heard_at(HERE, &wlan, at(1700));
        assert_eq!(routes.to_at(HERE, at(1700)).as_deref(), Some("eth0"), "one heartbeat may be lost");
        routes.heard_at(HERE, &wlan, at(1800));
        assert_eq!(routes.to_at(HERE, at(1800)).as_deref(), Some("wlan0"));
        routes.heard_at(HERE, &eth, at(1900));
        assert_eq!(routes.to_at(HERE, at(1900)).as_deref(), Some("wlan0"));
        assert_eq!(routes.to_at(HERE, at(16_900)), None, "who is not heard goes by the kernel's route");
    }

    #[test]
    fn what_was_not_heard_has_no_route_and_what_is_old_makes_room() {
        let (eth, _) = cards();
        let routes = Routes::default();
        assert_eq!(routes.to_at(HERE, at(0)), None);
        let address = |n: usize| IpAddr::V4(std::net::Ipv4Addr::from_bits(u32::try_from(n).expect("small")));
        for n in 0..ADDRESSES {
            routes.heard_at(address(n), &eth, at(0));
        }
        routes.heard_at(HERE, &eth, at(10_000));
        assert_eq!(routes.to_at(HERE, at(10_000)), None, "no room");
        routes.heard_at(HERE, &eth, at(16_000));
        assert_eq!(routes.to_at(HERE, at(16_000)).as_deref(), Some("eth0"));
        assert_eq!(routes.lock().len(), 1);
    }
}
