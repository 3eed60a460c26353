//! Where the starts of one id were heard (protocol §4): a restart comes back where it was, but two living agents may have
//! one id, and what is heard at the place of the one says nothing of the other.

use super::limits;
use crate::ident::BootId;
use crate::time::Time;
use std::net::SocketAddr;

#[derive(Clone, Copy, Debug)]
struct Sighting {
    boot: BootId,
    address: SocketAddr,
    /// None when others only told so, who reach it there.
    heard: Option<Time>,
}

/// The last few places of one id. Bound: [`limits::SIGHTINGS`].
#[derive(Clone, Debug, Default)]
pub(super) struct Sightings(Vec<Sighting>);

impl Sightings {
    /// This start was heard there, or others told so. What is forgotten for it is never `kept`'s: whoever speaks in
    /// another's name from many places does not take its own away.
    pub(super) fn note(&mut self, boot: BootId, address: SocketAddr, heard: Option<Time>, kept: SocketAddr) {
        if let Some(known) = self.0.iter_mut().find(|s| s.boot == boot && s.address == address) {
            known.heard = known.heard.max(heard);
            return;
        }
        if self.0.len() >= limits::SIGHTINGS {
            let oldest = self.0.iter().enumerate().min_by_key(|(_, s)| (s.address == kept, s.heard)).map(|(i, _)| i);
            oldest.map(|i| self.0.remove(i));
        }
        self.0.push(Sighting { boot, address, heard });
    }

    fn last(&self, which: impl Fn(&Sighting) -> bool) -> Option<&Sighting> {
        self.0.iter().filter(|s| which(s)).max_by_key(|s| s.heard)
    }

    /// Who spoke there last.
    pub(super) fn holder(&self, address: SocketAddr) -> Option<BootId> {
        self.last(|s| s.address == address).map(|s| s.boot)
    }

    /// When anybody of this id was heard there last.
    pub(super) fn heard_at(&self, address: SocketAddr) -> Option<Time> {
        self.last(|s| s.address == address)?.heard
    }

    /// Whether this start is known to have been there.
    pub(super) fn was_at(&self, boot: BootId, address: SocketAddr) -> bool {
        self.0.iter().any(|s| s.boot == boot && s.address == address)
    }

    /// Where this start was last.
    pub(super) fn place(&self, boot: BootId) -> Option<SocketAddr> {
        self.last(|s| s.boot == boot).map(|s| s.address)
    }

    /// Where this start was heard after `since`, but for `address`.
    pub(super) fn elsewhere(&self, boot: BootId, address: SocketAddr, since: Time) -> Option<SocketAddr> {
        let there = self.last(|s| s.boot == boot && s.address != address)?;
        there.heard.is_some_and(|at| at >= since).then_some(there.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u16) -> SocketAddr {
        ([127, 0, 0, 1], n).into()
    }

    #[test]
    fn who_speaks_in_anothers_name_from_many_places_does_not_take_its_own_away() {
        let mut seen = Sightings::default();
        seen.note(BootId(1), at(1), Some(Time(0)), at(1));
        for n in 2..50 {
            seen.note(BootId(n), at(u16::try_from(n).unwrap()), Some(Time(n)), at(1));
            assert_eq!((seen.holder(at(1)), seen.place(BootId(n))), (Some(BootId(1)), Some(at(n as u16))));
            assert!(seen.0.len() <= limits::SIGHTINGS);
        }
    }

    #[test]
    fn what_is_told_counts_less_than_what_is_heard() {
        let mut seen = Sightings::default();
        seen.note(BootId(1), at(1), Some(Time(5)), at(1));
        seen.note(BootId(1), at(2), None, at(1));
        seen.note(BootId(2), at(1), None, at(1));
        assert_eq!((seen.place(BootId(1)), seen.holder(at(1))), (Some(at(1)), Some(BootId(1))));
        assert_eq!(seen.elsewhere(BootId(1), at(1), Time(0)), None, "nobody heard it there");
        seen.note(BootId(2), at(1), Some(Time(6)), at(1));
        assert_eq!((seen.holder(at(1)), seen.place(BootId(1))), (Some(BootId(2)), Some(at(1))), "a restart");
    }
}
