//! Reunion: two leaders meet after a split, and one yields (protocol §9, the data excepted).

use super::notices::Fields;
use super::rivals::{Other, Rival};
use super::role::{Leading, Role};
use super::timers::Timer;
use super::ways::Purpose;
use super::{Node, ReunionReport, Write, limits};
use crate::claim::Claim;
use crate::event::{Cause, Kind, Level};
use crate::ident::{ConnId, NodeId};
use crate::message::{Checked, Decided, Frame, Known, Meet, Standing};
use crate::time::{Time, ms};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// Whether the first stays: more followers, then led longer without a break, then the better claim (§9).
fn first_stays(a: &Meet, b: &Meet) -> bool {
    (followers(a, b), a.led_ms, a.claim) > (followers(b, a), b.led_ms, b.claim)
}

/// How many follow `a` for all that both know. A leader that was cut off for a moment still has the sessions of those
/// that have left it: who is in both lists follows the higher epoch, for nobody goes back, and the other leader nobody.
fn followers(a: &Meet, b: &Meet) -> usize {
    let theirs: BTreeSet<&NodeId> = b.followers.iter().collect();
    let left = |id: &NodeId| *id == b.claim.node.id || (b.claim.epoch > a.claim.epoch && theirs.contains(id));
    a.followers.iter().filter(|id| !left(id)).count()
}

/// Whom to dial now: those whose last dial is longest ago. Where all were alone until now, as behind a switch that starts,
/// everybody leads: each meets a few, and not the same as its neighbours, for whoever yields need not be met by the others.
fn due(l: &Leading, me: NodeId, now: Time) -> Vec<NodeId> {
    let mut due: Vec<_> = l
        .others
        .iter()
        .filter(|(_, o)| o.dialled.is_none_or(|at| now.since(at) >= limits::MEET))
        .map(|(id, o)| (o.dialled, id.0.as_u128() ^ me.0.as_u128(), *id))
        .collect();
    let lately = l.others.len() - due.len();
    due.sort_unstable();
    due.into_iter().take(limits::MEETS.saturating_sub(lately)).map(|(_, _, id)| id).collect()
}

/// For users: for how long both have led.
fn for_so_long(both: Duration) -> String {
    format!("; both had led for {}", ms(both))
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

fn met_fields(with: &str, stays: bool, both: Option<Duration>) -> Fields {
    let mut fields: Fields = vec![("with", with.into()), ("stays", stays.into())];
    fields.extend(both.map(|both| ("both_led_ms", millis(both).into())));
    fields
}

impl Node {
    /// This agent leads and heard of another leader, from itself or from a member.
    pub(super) fn other_leader(&mut self, known: Known, reporter: Option<NodeId>, from: SocketAddr) {
        if known.claim.node == self.base.me.node || self.handed_over(&known) {
            return;
        }
        let now = self.base.now;
        let known = super::address::localised(known, from);
        let Role::Leading(l) = &mut self.role else { return };
        if l.bound_to(now) == Some(known.claim.node) && known.claim.epoch > l.claim.epoch {
            self.tell_yield(&known);
            return self.yield_role(known, reporter, false);
        }
        let id = known.claim.node.id;
        if l.others.len() >= limits::OTHERS && !l.others.contains_key(&id) {
            return;
        }
        let other = l.others.entry(id).or_insert_with(|| Other {
            known: known.clone(),
            heard: now,
            dialled: None,
            reporter: None,
            conns: Vec::new(),
            rival: Rival::new(now),
        });
        other.heard = now;
        if reporter.is_none() || known.claim != other.known.claim {
            other.known = known;
        }
        // One that has the other's id is no way to it: by that id it would be asked for itself.
        other.reporter = reporter.filter(|r| *r != id).or(other.reporter);
        let due = other.dialled.map_or(now, |at| at + limits::MEET);
        let told = other.rival.due(now).then(|| other.known.clone());
        self.base.timers.sooner(Timer::Meet, due);
        if let Some(known) = told {
            self.tell_rival(&known);
        }
    }

    /// Tells users that two lead.
    pub(super) fn tell_rival(&mut self, other: &Known) {
        let (name, epoch, port) = (&other.name, other.claim.epoch, self.base.me.port);
        let whom = match &self.role {
            Role::Leading(_) => "this machine".to_owned(),
            Role::Following(f) => f.name.clone(),
            _ => return,
        };
        let text = format!(
            "{name} leads too, epoch {epoch}, beside {whom}, and the two do not reach each other: does a firewall keep out TCP \
             port {port}?"
        );
        let fields = vec![("other", name.clone().into()), ("others_epoch", epoch.into())];
        self.base.warn(Kind::TwoLeaders, text, fields);
    }

    fn values(&self, via: Option<NodeId>) -> Option<Meet> {
        let Role::Leading(l) = &self.role else { return None };
        if l.hands_over() {
            // Whoever leads next meets the other: a reign that began now would come between the heir and its own.
            return None;
        }
        // Who has answered lately: after a sleep, nobody has.
        let lately = l.sessions.iter().filter(|(_, s)| self.base.now.since(s.spoke) <= limits::SILENT);
        let mut followers: BTreeSet<NodeId> = lately.map(|(id, _)| *id).collect();
        if self.base.now < l.backed.1 {
            followers.extend(&l.backed.0);
        }
        let mut led = self.base.now.since(l.led_since);
        if !self.base.disk_works() {
            // It could not begin the reign that stays: it yields to any that can.
            (followers, led) = Default::default();
        }
        Some(Meet {
            claim: l.claim,
            followers: followers.into_iter().take(limits::MEMBERS).collect(),
            led_ms: millis(led),
            leading_ms: millis(self.leading()),
            highest: self.base.highest(),
            via,
        })
    }

    /// Dials the other leaders that are still heard of, directly and through the member that reported each (§9).
    pub(super) fn meet_due(&mut self) {
        self.next_exchange();
        let now = self.base.now;
        let lately = (self.base.heartbeat() * 8).max(limits::MEET * 2);
        let Role::Leading(l) = &mut self.role else { return };
        if l.check.is_some() {
            return self.base.timers.set(Timer::Meet, now + limits::MEET / 4);
        }
        let over: Vec<NodeId> =
            l.others.iter().filter(|(_, o)| now.since(o.heard) > lately).map(|(id, _)| *id).collect();
        for id in over {
            let conns = l.others.remove(&id).map(|o| o.conns).unwrap_or_default();
            for conn in conns {
                self.base.close(conn);
            }
        }
        let again = !l.others.is_empty();
        for id in due(l, self.base.me.node.id, now) {
            self.dial_other(id);
        }
        if again {
            self.base.timers.sooner(Timer::Meet, now + limits::MEET);
        }
    }

    fn dial_other(&mut self, id: NodeId) {
        let now = self.base.now;
        let Role::Leading(l) = &mut self.role else { return };
        let Some(other) = l.others.get_mut(&id) else { return };
        other.dialled = Some(now);
        let to = other.known.claim.node;
        let (old, reporter, address) = (std::mem::take(&mut other.conns), other.reporter, other.known.address);
        for conn in old {
            self.base.close(conn);
        }
        let mut routes = Vec::new();
        if !address.ip().is_unspecified() {
            routes.push(super::ways::Route { to, hop: address, via: None });
        }
        routes.extend(reporter.and_then(|r| self.base.through(to, r)));
        for route in routes {
            let conn = self.base.dial_silent(route, Purpose::Meet);
            if let Role::Leading(l) = &mut self.role
                && let Some(other) = l.others.get_mut(&id)
            {
                other.conns.push(conn);
            }
        }
    }

    /// The way to another leader stands: the values are stated as they are now, not as they were at the dial.
    pub(super) fn meet_connected(&mut self, conn: ConnId) {
        let Some(via) = self.base.ways.get(conn).filter(|c| c.purpose == Purpose::Meet).map(super::ways::Conn::via)
        else {
            return;
        };
        if let Some(meet) = self.values(via) {
            self.base.send(conn, Frame::Meet(meet));
        }
    }

    pub(super) fn meet_closed(&mut self, conn: ConnId) {
        self.incoming_closed(conn);
        if let Role::Leading(l) = &mut self.role {
            for other in l.others.values_mut() {
                other.conns.retain(|c| *c != conn);
            }
        }
    }

    /// An exchange that waits for its turn has lost its connection.
    pub(super) fn incoming_closed(&mut self, conn: ConnId) {
        if let Role::Leading(l) = &mut self.role {
            l.meets.retain(|(c, _)| *c != conn);
        }
    }

    /// Another leader states its values.
    pub(super) fn met(&mut self, conn: ConnId, meet: Meet) {
        let Some(peer) = self.base.peer(conn) else { return };
        if !self.base.writes.has_room()
            || meet.claim.node != peer
            || !self.base.believe(meet.claim)
            || !self.base.believe_epoch(meet.highest)
        {
            return;
        }
        let standing = self.standing();
        let via = self.base.ways.get(conn).and_then(super::ways::Conn::via);
        let values = self.values(via);
        let Role::Leading(l) = &mut self.role else {
            return self.base.send(conn, Frame::Checked(Checked { standing }));
        };
        if l.check.is_some() {
            return;
        }
        l.met = Some((peer, Duration::from_millis(meet.leading_ms)));
        if self.base.me.node < peer {
            if l.meets.len() < limits::OTHERS {
                l.meets.push_back((conn, meet));
                self.next_exchange();
            }
        } else if let Some(values) = values
            && self.base.ways.get(conn).is_some_and(|c| c.route.is_none())
        {
            // The other decides; this one only states its values.
            self.base.send(conn, Frame::Meet(values));
        }
    }

    /// A decider takes one exchange at a time, in the order of arrival.
    fn next_exchange(&mut self) {
        loop {
            let Role::Leading(l) = &mut self.role else { return };
            if l.renewing.is_some() || l.check.is_some() || l.hands_over() {
                return;
            }
            let Some((conn, meet)) = l.meets.pop_front() else { return };
            self.decide(conn, &meet);
        }
    }

    fn decide(&mut self, conn: ConnId, theirs: &Meet) {
        let now = self.base.now;
        let Some(mine) = self.values(None) else { return };
        let Role::Leading(l) = &mut self.role else { return };
        let bound = l.bound_to(now);
        if bound.is_some_and(|to| to != theirs.claim.node) {
            // It is decided already; whoever comes now meets the one that stays.
            return;
        }
        if bound.is_some() || !first_stays(&mine, theirs) {
            l.yielding = Some((theirs.claim, now + self.base.settings.silence().max(limits::MEET / 2)));
            let decided = Decided { stays: theirs.claim, yields: mine.claim };
            return self.base.send(conn, Frame::Decided(decided));
        }
        self.stay(conn, theirs.claim, theirs.highest);
    }

    /// This agent stays: in a new reign only when its epoch is not above the other's, and durable before it says so.
    fn stay(&mut self, conn: ConnId, yields: Claim, highest: u64) {
        let Role::Leading(l) = &mut self.role else { return };
        l.yielding = None;
        let claim = l.claim;
        let name = self.base.name(yields.node.id);
        let both = self.both_led(yields);
        let text = format!(
            "this machine met leader {name} of epoch {}: {name} yields{}",
            yields.epoch,
            both.map(for_so_long).unwrap_or_default()
        );
        // Others read it too.
        let story = format!("{} met leader {name} of epoch {}: {name} yields", self.base.me.name, yields.epoch);
        if !self.base.past.first_yield_of(yields) {
            return self.stay_on(conn, claim, yields, highest, story);
        }
        self.base.tell(Kind::Reunion, Level::Info, Some(Cause::Reunion), text.clone(), met_fields(&name, true, both));
        self.stay_on(conn, claim, yields, highest, story);
        // What stays is the new reign, when one begins.
        let Role::Leading(l) = &self.role else { return };
        let stays = l.renewing.as_ref().map_or(l.claim, |renewing| renewing.claim);
        let report = ReunionReport { at: self.base.wall, stays, yields, both_led_ms: both.map(millis), text };
        self.base.persist(vec![Write::Reunion(report)], super::writes::Then::Nothing);
    }

    fn stay_on(&mut self, conn: ConnId, claim: Claim, yields: Claim, highest: u64, story: String) {
        if claim.epoch > yields.epoch {
            self.is_sure_again();
            return self.base.send(conn, Frame::Decided(Decided { stays: claim, yields }));
        }
        self.renew(highest.max(yields.epoch), Cause::Reunion, story);
        if let Role::Leading(l) = &mut self.role
            && let Some(renewing) = &mut l.renewing
            && renewing.decided.len() < limits::OTHERS
        {
            renewing.decided.push((conn, yields));
        }
    }

    /// How a reunion was decided, by the other or confirmed by it.
    pub(super) fn decided(&mut self, conn: ConnId, decided: &Decided, from: SocketAddr) {
        let Some(peer) = self.base.peer(conn) else { return };
        let Role::Leading(l) = &self.role else { return };
        let own = l.claim;
        if !self.base.believe(decided.stays) || !self.base.believe(decided.yields) {
            return;
        }
        if decided.stays.node == self.base.me.node && decided.yields.node == peer {
            // A newer reign of its own serves as well.
            return self.stay(conn, decided.yields, decided.yields.epoch);
        }
        if decided.stays.node == peer && decided.yields == own && decided.stays.epoch > own.epoch {
            let Some(state) = self.base.ways.get(conn) else { return };
            let relay = state.via();
            let name = state.peer.as_ref().map(|p| p.name.clone()).unwrap_or_default();
            let port = state.peer.as_ref().map_or(0, |p| p.port);
            let address = match relay {
                // Through another only the other end's own announcements tell its address.
                Some(_) => self.other_address(peer.id).unwrap_or((std::net::Ipv4Addr::UNSPECIFIED, port).into()),
                None => SocketAddr::new(from.ip(), port),
            };
            let known = Known { claim: decided.stays, name: name.clone(), address, direct: relay.is_none() };
            let known = super::address::localised(known, from);
            self.tell_yield(&known);
            self.yield_role(known, relay, true);
        }
    }

    /// The outcome, at the one that yields.
    fn tell_yield(&mut self, known: &Known) {
        let Role::Leading(l) = &self.role else { return };
        if l.renewing.is_some() {
            return;
        }
        let (own, name) = (l.claim, known.name.clone());
        let both = self.both_led(known.claim);
        let text = format!(
            "this machine met leader {name} of epoch {}: this machine yields{}",
            known.claim.epoch,
            both.map(for_so_long).unwrap_or_default()
        );
        let fields = met_fields(&name, false, both);
        self.base.tell(Kind::Reunion, Level::Info, Some(Cause::Reunion), text.clone(), fields);
        let both_led_ms = both.map(millis);
        let report = ReunionReport { at: self.base.wall, stays: known.claim, yields: own, both_led_ms, text };
        self.base.persist(vec![Write::Reunion(report)], super::writes::Then::Nothing);
    }

    /// How long this agent has led, breaks included.
    fn leading(&self) -> Duration {
        Duration::from_micros(self.base.wall.0.saturating_sub(self.base.past.since().0))
    }

    /// For how long both have led. None when the other has not said it.
    fn both_led(&self, other: Claim) -> Option<Duration> {
        let Role::Leading(l) = &self.role else { return None };
        let theirs = l.met.filter(|(node, led)| *node == other.node && !led.is_zero());
        theirs.map(|(_, theirs)| theirs.min(self.leading()))
    }

    fn other_address(&self, id: NodeId) -> Option<SocketAddr> {
        match &self.role {
            Role::Leading(l) => l.others.get(&id).map(|o| o.known.address).filter(|a| !a.ip().is_unspecified()),
            _ => None,
        }
    }

    /// The one that was dialled as a leader is none, and says how it stands.
    pub(super) fn not_a_leader(&mut self, conn: ConnId, standing: Standing, from: SocketAddr) {
        let peer = self.base.peer(conn);
        if let Role::Leading(l) = &mut self.role
            && let Some(peer) = peer
        {
            l.others.remove(&peer.id);
        }
        self.base.close(conn);
        if let Standing::Follows(known) = standing
            && self.base.believe(known.claim)
        {
            self.other_leader(known, peer.map(|p| p.id), from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::{BootId, Incarnation};
    use crate::time::Wall;

    #[test]
    fn one_value_at_a_time_decides_who_stays() {
        let node = |id| Incarnation { id: NodeId(uuid::Uuid::from_u128(id)), boot: BootId(1) };
        let meet = |followers, led_ms, at, id: u128| Meet {
            claim: Claim { epoch: 5, at: Wall(at), node: node(id) },
            followers: (0..followers).map(|n| NodeId(uuid::Uuid::from_u128(id * 100 + n))).collect(),
            led_ms,
            leading_ms: 0,
            highest: 5,
            via: None,
        };
        let base = meet(2, 1000, 100, 5);
        assert!(first_stays(&meet(3, 1, 999, 9), &base), "more followers stay");
        assert!(first_stays(&meet(2, 1001, 999, 9), &base), "then who has led longer");
        assert!(first_stays(&meet(2, 1000, 99, 9), &base), "then the better claim");
        assert!(first_stays(&meet(2, 1000, 100, 4), &base), "down to the node");
        for other in [meet(1, 9999, 1, 1), meet(2, 999, 1, 1), meet(2, 1000, 101, 1), meet(2, 1000, 100, 6)] {
            assert!(first_stays(&base, &other) && !first_stays(&other, &base), "never both: {other:?}");
        }
    }

    #[test]
    fn who_has_gone_over_counts_once() {
        let id = |n| NodeId(uuid::Uuid::from_u128(n));
        let meet = |epoch, leader, followers: &[u128]| Meet {
            claim: Claim { epoch, at: Wall(1), node: Incarnation { id: id(leader), boot: BootId(1) } },
            followers: followers.iter().map(|n| id(*n)).collect(),
            led_ms: 10 - epoch,
            leading_ms: 0,
            highest: epoch,
            via: None,
        };
        let cut_off = meet(1, 1, &[2, 3, 4]);
        let successor = meet(2, 2, &[3, 4]);
        assert_eq!((followers(&cut_off, &successor), followers(&successor, &cut_off)), (0, 2));
        let half = meet(2, 2, &[3]);
        assert_eq!((followers(&cut_off, &half), followers(&half, &cut_off)), (1, 1));
        assert!(first_stays(&cut_off, &half), "as many: who has led longer");
        let stranger = meet(2, 9, &[8]);
        assert_eq!((followers(&cut_off, &stranger), followers(&stranger, &cut_off)), (3, 1));
        assert_eq!(followers(&meet(2, 1, &[2, 3, 4]), &successor), 2, "in one epoch nobody can say who went over");
    }
}
