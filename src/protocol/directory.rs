//! The members that an agent knows, and the line of succession among them (protocol §5, §7).

use super::entry::Entry;
use super::{Remembered, limits};
use crate::ident::{BootId, Incarnation, NodeId};
use crate::message::{Member, MemberState, Sender};
use crate::time::{Now, Time, Wall};
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// What decides a place in the line of succession, best first: priority, round trip in steps of a millisecond,
/// seniority, id. The smaller key is the better place.
type Place = (Reverse<u8>, u64, Reverse<u64>, NodeId);

/// Who is the first in line of these, who are there: the first by place, or the one that is named while it qualifies and
/// nobody has a higher priority.
pub(super) fn first<'a>(there: impl Iterator<Item = &'a Entry>, named: Option<NodeId>, now: Time) -> Option<NodeId> {
    let (mut best, mut kept) = (None, None);
    for e in there.filter(|e| e.priority > 0 && e.whole && !e.sick) {
        let place = place_of(e.priority, e.rtt_us, e.seniority_ms(now), e.node.id);
        best = Some(best.map_or(place, |b: Place| b.min(place)));
        kept = if Some(e.node.id) == named { Some(place) } else { kept };
    }
    let best = best?;
    Some(kept.filter(|k| k.0 == best.0).unwrap_or(best).3)
}

fn place(m: &Member) -> Place {
    place_of(m.priority, m.rtt_us, m.seniority_ms, m.node.id)
}

fn place_of(priority: u8, rtt_us: Option<u64>, seniority_ms: u64, id: NodeId) -> Place {
    (Reverse(priority), rtt_us.map_or(u64::MAX, |us| us / limits::RTT_STEP_US), Reverse(seniority_ms), id)
}

/// Whether a member can be in the line at all.
pub(super) fn may_follow(m: &Member) -> bool {
    m.priority > 0 && m.whole && !m.sick && m.state == MemberState::Alive
}

/// The line of succession: who could follow, in order, with what decided each place. The one that is named keeps the
/// first place while it qualifies and nobody has a higher priority (§7).
pub(super) fn line<'a>(members: impl Iterator<Item = &'a Member>, named: Option<NodeId>) -> Vec<(NodeId, String)> {
    let mut fit: Vec<&Member> = members.filter(|m| may_follow(m)).collect();
    fit.sort_by_key(|m| place(m));
    if let Some(at) = named.and_then(|n| fit.iter().position(|m| m.node.id == n))
        && fit[at].priority == fit[0].priority
    {
        let kept = fit.remove(at);
        fit.insert(0, kept);
    }
    let because = |i: usize| -> String {
        let m = fit[i];
        if i == 0 && Some(m.node.id) == named {
            return "named successor".to_owned();
        }
        match fit.get(i + 1).or_else(|| i.checked_sub(1).map(|p| &fit[p])) {
            None => "the only one that can".to_owned(),
            Some(other) => decided_by(m, other),
        }
    };
    (0..fit.len()).map(|i| (fit[i].node.id, because(i))).collect()
}

/// Which field tells two places apart, in words.
fn decided_by(m: &Member, other: &Member) -> String {
    let (a, b) = (place(m), place(other));
    if a.0 != b.0 {
        format!("priority {}", m.priority)
    } else if a.1 != b.1 {
        m.rtt_us.map_or("round trip not measured".to_owned(), |us| {
            format!("round trip {}.{} ms", us / 1000, us % 1000 / 100)
        })
    } else if a.2.cmp(&b.2) != Ordering::Equal {
        format!("here for {} s", m.seniority_ms / 1000)
    } else {
        format!("id {}", m.node.id.short())
    }
}

fn not_alive(e: &Entry) -> bool {
    e.state != MemberState::Alive
}

/// All known members, this agent left out.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    /// Bound: [`limits::MEMBERS`].
    all: BTreeMap<NodeId, Entry>,
    /// Members that made room, and whose rows are still in the store. Bound: [`limits::MEMBERS`].
    dropped: BTreeSet<NodeId>,
    /// Members that a leader has forgotten. Bound: [`limits::MEMBERS`].
    forgotten: BTreeSet<NodeId>,
    /// How long this agent has been in the cluster's list already, and since when that is counted.
    seniority: (Duration, Time),
}

impl Directory {
    /// Those that the store remembers, but for `me`.
    pub(super) fn remembering(members: Vec<Remembered>, me: NodeId, now: Now) -> Self {
        let newest = members.iter().map(|m| m.heard).max().unwrap_or_default();
        let mut directory = Self {
            all: BTreeMap::new(),
            dropped: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            seniority: (Duration::ZERO, now.time),
        };
        for m in members.into_iter().filter(|m| m.id != me) {
            // Whichever start it has now, it will say.
            let node = Incarnation { id: m.id, boot: BootId(0) };
            let mut entry = Entry::new(node, m.name, m.address, now.time);
            entry.met = true;
            if m.left {
                entry.state = MemberState::Left;
            }
            // Its last sign is written down once in that time.
            entry.lived = !m.left && newest.0 - m.heard.0 <= (limits::REMEMBER * 5 / 4).as_micros() as u64;
            entry.kept = Some((m.address, now.time, m.left));
            // Its silence counts from the last sign, however often this agent, or this machine with its clock, starts.
            entry.silent_before = Duration::from_micros(now.wall.0.saturating_sub(m.heard.0));
            directory.insert(entry);
        }
        directory
    }

    /// How long this agent itself has been in the list, and since when that is counted.
    pub(super) fn own_seniority(&self) -> (Duration, Time) {
        self.seniority
    }

    /// The leader has said how long this agent has been in the list.
    pub(super) fn own_seniority_is(&mut self, counted: (Duration, Time)) {
        self.seniority = counted;
    }

    /// Enters or refreshes a member that was heard, from `address` where that is known. A new boot of a known member
    /// comes back as its former boot. An address that was not heard for longer than `stale` gives way to another.
    pub(super) fn heard(
        &mut self,
        from: &Sender,
        address: Option<SocketAddr>,
        met: bool,
        stale: Duration,
        now: Time,
    ) -> Option<Incarnation> {
        let Some(entry) = self.all.get_mut(&from.node.id) else {
            if let Some(address) = address {
                let mut entry = Entry::new(from.node, from.name.clone(), address, now);
                entry.speaks_from(address, now, Duration::ZERO);
                entry.met = met;
                self.insert(entry);
            }
            return None;
        };
        let former = (entry.node.boot != from.node.boot).then_some(entry.node);
        entry.node = from.node;
        entry.met |= met;
        if entry.name != from.name {
            entry.name.clone_from(&from.name);
        }
        if let Some(address) = address {
            entry.speaks_from(address, now, stale);
        }
        former.filter(|f| f.boot.0 != 0)
    }

    pub(super) fn get(&self, id: NodeId) -> Option<&Entry> {
        self.all.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut Entry> {
        self.all.get_mut(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.all.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.all.values_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Enters a member; false when the list is full of others. A stranger takes the place of one that was met only when it
    /// is entered as alive: it leads, and is followed. The place is then that of one that is not alive.
    pub(super) fn insert(&mut self, entry: Entry) -> bool {
        if !self.all.contains_key(&entry.node.id) {
            let ip = entry.address.ip();
            let stranger = |e: &Entry| !e.met;
            let there = |e: &Entry| e.address.ip() == ip && (!e.met || e.state != MemberState::Alive);
            let at_ip = self.all.values().filter(|e| e.address.ip() == ip).count();
            let strangers = self.all.values().filter(|e| stranger(e)).count();
            let room = (ip.is_unspecified() || at_ip < limits::SAME_ADDRESS || self.drop_oldest(there))
                && (entry.met || strangers < limits::STRANGERS || self.drop_oldest(stranger))
                && (self.all.len() < limits::MEMBERS - 1
                    || self.drop_oldest(stranger)
                    || (entry.met || entry.state == MemberState::Alive) && self.drop_oldest(not_alive));
            if !room {
                return false;
            }
        }
        self.forgotten.remove(&entry.node.id);
        self.all.insert(entry.node.id, entry);
        true
    }

    /// Whether one more that was met has a place.
    pub(super) fn has_room(&self) -> bool {
        self.all.len() < limits::MEMBERS - 1 || self.all.values().any(not_alive)
    }

    /// Drops the one of these that was not heard for the longest; false when there is none.
    fn drop_oldest(&mut self, which: impl Fn(&Entry) -> bool) -> bool {
        let those = self.all.values().filter(|e| which(e));
        let last = |e: &&Entry| (e.heard.unwrap_or(Time(0)), Reverse(e.silent_before));
        let Some(oldest) = those.min_by_key(last).map(|e| e.node.id) else { return false };
        if self.all.remove(&oldest).is_some_and(|e| e.kept.is_some()) {
            self.dropped.insert(oldest);
        }
        true
    }

    /// The members that made room since the last time: the store is to forget them too, or it would drop others.
    pub(super) fn take_dropped(&mut self) -> BTreeSet<NodeId> {
        std::mem::take(&mut self.dropped)
    }

    /// Takes a member out of the list for good, unless it is heard again, and gives what was known of it.
    pub(super) fn forget(&mut self, id: NodeId) -> Option<Entry> {
        while self.forgotten.len() >= limits::MEMBERS {
            self.forgotten.pop_first();
        }
        self.forgotten.insert(id);
        self.all.remove(&id)
    }

    /// Those that were forgotten, and were not heard of since.
    pub(super) fn forgotten_ids(&self) -> Vec<NodeId> {
        self.forgotten.iter().copied().collect()
    }

    /// The next of these after `last`, in turn.
    pub(super) fn in_turn(&self, last: NodeId, which: impl Fn(&Entry) -> bool) -> impl Iterator<Item = &Entry> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let after = self.all.range((Excluded(last), Unbounded));
        let rest = self.all.range((Unbounded, Included(last)));
        after.chain(rest).map(|(_, e)| e).filter(move |e| which(e))
    }

    /// Members that can be dialled, one for each address: that of the one which is alive, or was heard there last. A
    /// machine that lost its id, or whose address went to another, leaves entries behind that lead to somebody else.
    pub(super) fn reachable(&self) -> impl Iterator<Item = &Entry> {
        let mut holders: BTreeMap<SocketAddr, &Entry> = BTreeMap::new(); // bound: MEMBERS
        for e in self.all.values().filter(|e| !e.address.ip().is_unspecified()) {
            let rank = |e: &Entry| (e.state == MemberState::Alive, e.met, e.heard);
            match holders.get(&e.address) {
                Some(other) if rank(other) >= rank(e) => {}
                _ => drop(holders.insert(e.address, e)),
            }
        }
        self.all.values().filter(move |e| holders.get(&e.address).is_some_and(|h| h.node.id == e.node.id))
    }

    /// Members whose last sign is older than `after`.
    pub(super) fn forgotten(&self, after: Duration, now: Time, keep: impl Fn(NodeId) -> bool) -> Vec<NodeId> {
        let silent = |e: &Entry| match e.heard {
            Some(heard) => now.since(heard),
            None => now.since(e.seniority.1) + e.silent_before,
        };
        let old = |e: &&Entry| silent(e) > after && !keep(e.node.id);
        self.all.values().filter(old).map(|e| e.node.id).collect()
    }

    /// A name for users: with a piece of the id when two members share it.
    pub(super) fn name(&self, id: NodeId) -> String {
        match self.all.get(&id) {
            None => id.short(),
            Some(entry) => {
                if self.shares_name(id, &entry.name) {
                    format!("{} ({})", entry.name, id.short())
                } else {
                    entry.name.clone()
                }
            }
        }
    }

    /// Whether another member has this name.
    pub(super) fn shares_name(&self, id: NodeId, name: &str) -> bool {
        self.all.values().any(|e| e.node.id != id && e.name == name)
    }

    /// What is to be written down about members that were met, and heard since the last time: those whose address
    /// changed, are new, or were written down long ago.
    pub(super) fn unwritten(&mut self, now: Time, wall: Wall, at_most: usize) -> Vec<Remembered> {
        let mut rows = Vec::new();
        for e in self.all.values_mut().filter(|e| e.met) {
            let Some(heard) = e.heard.filter(|_| !e.address.ip().is_unspecified()) else { continue };
            let due = match e.kept {
                None => true,
                Some((address, at, left)) => {
                    address != e.address
                        || heard.since(at) >= limits::REMEMBER
                        || left != (e.state == MemberState::Left)
                }
            };
            if due && rows.len() < at_most {
                let left = e.state == MemberState::Left;
                e.kept = Some((e.address, heard, left));
                let ago = u64::try_from(now.since(heard).as_micros()).unwrap_or(0);
                rows.push(Remembered {
                    id: e.node.id,
                    name: e.name.clone(),
                    address: e.address,
                    heard: Wall(wall.0.saturating_sub(ago)),
                    left,
                });
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::BootId;

    fn member(id: u128) -> Member {
        let node = Incarnation { id: NodeId(uuid::Uuid::from_u128(id)), boot: BootId(1) };
        let mut m = Entry::new(node, format!("pc-{id}"), ([127, 0, 0, 1], 1).into(), Time(0)).to_member(Time(0));
        m.state = MemberState::Alive;
        m.rtt_us = Some(300);
        m.seniority_ms = 10_000;
        m
    }

    fn order(members: &[Member], named: Option<u128>) -> Vec<u128> {
        let named = named.map(|n| NodeId(uuid::Uuid::from_u128(n)));
        let order: Vec<u128> = line(members.iter(), named).iter().map(|(id, _)| id.0.as_u128()).collect();
        // The first in line is the first of the line.
        let there: Vec<Entry> = members.iter().filter(|m| m.state == MemberState::Alive).map(entry).collect();
        assert_eq!(first(there.iter(), named, Time(0)).map(|id| id.0.as_u128()), order.first().copied());
        order
    }

    fn entry(m: &Member) -> Entry {
        let mut e = Entry::new(m.node, m.name.clone(), m.address, Time(0));
        (e.priority, e.whole, e.sick, e.rtt_us) = (m.priority, m.whole, m.sick, m.rtt_us);
        e.seniority = (Duration::from_millis(m.seniority_ms), Time(0));
        e
    }

    #[test]
    fn one_field_at_a_time_decides_the_line() {
        let turned = |turn: fn(&mut Member)| {
            let mut second = member(2);
            turn(&mut second);
            order(&[member(1), second], None)
        };
        assert_eq!(turned(|_| ()), [1, 2], "all equal: the smaller id");
        assert_eq!(turned(|m| m.seniority_ms = 11_000), [2, 1], "longer here");
        assert_eq!(turned(|m| m.rtt_us = Some(999)), [1, 2], "within the same millisecond nothing changes");
        assert_eq!(turned(|m| (m.rtt_us, m.seniority_ms) = (Some(1000), 99_000)), [1, 2], "nearer beats older");
        assert_eq!(turned(|m| (m.rtt_us, m.priority) = (Some(9000), 101)), [2, 1], "priority beats all");
        assert_eq!(turned(|m| m.rtt_us = None), [1, 2], "an unknown round trip is the longest");
        assert_eq!(turned(|m| m.priority = 0), [1], "priority 0 never leads");
        assert_eq!(turned(|m| m.whole = false), [1], "nor does who is catching up");
        assert_eq!(turned(|m| m.sick = true), [1], "nor does one whose disk does not work");
        assert_eq!(turned(|m| m.state = MemberState::Silent), [1], "nor who is silent");
    }

    #[test]
    fn the_named_one_stays_first_until_somebody_has_a_higher_priority() {
        let mut rival = member(2);
        rival.seniority_ms = 99_000;
        assert_eq!(order(&[member(1), rival.clone()], Some(1)), [1, 2]);
        rival.priority = 101;
        assert_eq!(order(&[member(1), rival], Some(1)), [2, 1]);
        assert_eq!(order(&[member(1)], Some(7)), [1], "a name that is gone changes nothing");
    }

    /// As many as the list holds, met and silent, each at an address of its own, and remembered by the store.
    fn full(now: Now) -> Directory {
        let address = |n: u128| (std::net::Ipv4Addr::from(0x0a00_0000 + u32::try_from(n).expect("small")), 1).into();
        let row = |n| Remembered {
            id: member(n).node.id,
            name: format!("pc-{n}"),
            address: address(n),
            heard: Wall(n as u64),
            left: false,
        };
        let all = (1..limits::MEMBERS as u128).map(row).collect();
        Directory::remembering(all, member(9999).node.id, now)
    }

    #[test]
    fn whoever_leads_takes_the_place_of_one_that_is_gone_and_the_store_is_told() {
        let now = Now { time: Time(1_000_000), wall: Wall(1_000_000) };
        let mut directory = full(now);
        assert_eq!(directory.len(), limits::MEMBERS - 1);
        let living = member(1).node.id;
        directory.get_mut(living).expect("remembered").turns(MemberState::Alive, now.time);
        let entry = |n, state| {
            let mut entry = Entry::new(member(n).node, format!("pc-{n}"), ([127, 0, 0, 1], 1).into(), now.time);
            entry.state = state;
            entry
        };
        assert!(!directory.insert(entry(5000, MemberState::Silent)), "a stranger that does not lead");
        assert!(directory.insert(entry(5001, MemberState::Alive)), "one that does");
        let silent_longest = member(2).node.id;
        assert!(directory.get(living).is_some() && directory.get(silent_longest).is_none());
        assert_eq!(directory.take_dropped().into_iter().collect::<Vec<_>>(), [silent_longest], "its row is to go");
        assert!(directory.insert(entry(5002, MemberState::Alive)), "the next takes the place of the stranger before");
        assert!(directory.take_dropped().is_empty() && directory.get(member(3).node.id).is_some());
        directory.iter_mut().for_each(|e| (e.met, e.state) = (true, MemberState::Alive));
        assert!(
            !directory.has_room() && !directory.insert(entry(5003, MemberState::Alive)),
            "the living keep their places"
        );
    }
}
