//! Pings at the leader, and who does not send any (protocol §6).

use super::entry::Entry;
use super::role::{Held, Role};
use super::timers::Timer;
use super::ways::Purpose;
use super::{Node, limits};
use crate::ident::{ConnId, NodeId};
use crate::message::{Frame, MemberState, Ping, Pong};
use std::time::Duration;

impl Node {
    pub(super) fn pinged(&mut self, conn: ConnId, ping: &Ping) {
        let now = self.base.now;
        let Role::Leading(l) = &mut self.role else { return };
        if let Some(mut served) = l.joining.remove(&conn) {
            (served.heard, served.spoke) = (now, now);
            served.deaf = ping.deaf;
            self.session_counts(served);
        }
        let Some(served) = self.served_mut(conn) else { return };
        let was_silent = std::mem::replace(&mut served.silent, false);
        (served.heard, served.spoke) = (now, now);
        let newly_deaf = ping.deaf && !served.deaf;
        served.deaf = ping.deaf;
        let (id, direct) = (served.node.id, served.via.is_none());
        // Whoever follows and says nothing else is where its session comes from.
        let state = self.base.ways.get(conn).filter(|c| direct && c.through.is_none());
        if let Some((peer, address)) = state.and_then(|c| Some((c.peer.clone()?, c.address))) {
            self.base.heard(&peer, Some(super::address::with_port(address, peer.port)), true);
        }
        self.answer_ping(conn, ping);
        if newly_deaf && let Some(beat) = self.heartbeat() {
            self.base.send(conn, Frame::Beat(beat));
        }
        let Some(entry) = self.base.members.get_mut(id) else { return };
        entry.rtt_us = ping.rtt_us.or(entry.rtt_us);
        let moved = match (entry.rtt_us, entry.rtt_listed) {
            (Some(is), Some(was)) => has_moved(is, was),
            _ => false,
        };
        let sick = std::mem::replace(&mut entry.sick, ping.sick) != ping.sick;
        let news = was_silent || sick || entry.rtt_us.is_some() != entry.rtt_listed.is_some();
        if news {
            entry.state = MemberState::Alive;
            self.list_changed(id);
        } else if moved {
            self.list_moved(id);
        }
        if was_silent {
            self.tell_member(id, MemberState::Alive);
        }
        if was_silent || sick {
            self.name_successor();
        }
    }

    /// At once, or with the heartbeat that comes nearest to the end of the time that the ping gives (§6).
    fn answer_ping(&mut self, conn: ConnId, ping: &Ping) {
        let now = self.base.now;
        let hold = Duration::from_millis(ping.hold_ms).min(limits::PING);
        let late = (self.base.heartbeat() / 2).min(limits::PING / 2);
        let Role::Leading(l) = &self.role else { return };
        let next = l.next_beat;
        let Some(served) = self.served_mut(conn) else { return };
        if hold.is_zero() || next > now + hold + late {
            served.held = None;
            return self.base.send(conn, Frame::Pong(Pong { seq: ping.seq, held_us: 0 }));
        }
        served.held = Some(Held { seq: ping.seq, came: now, due: now + hold });
    }

    /// A heartbeat goes out: the answers that are nearer to it than to the next one go too.
    pub(super) fn answer_held(&mut self) {
        let now = self.base.now;
        let half = self.base.heartbeat() / 2;
        let Role::Leading(l) = &mut self.role else { return };
        for served in l.sessions.values_mut() {
            if let Some(held) = served.held.take_if(|h| h.due <= now + half) {
                let held_us = u64::try_from(now.since(held.came).as_micros()).unwrap_or(u64::MAX);
                self.base.send(served.conn, Frame::Pong(Pong { seq: held.seq, held_us }));
            }
        }
    }

    /// Members that the list of the reign before shows alive, and that neither came to this leader nor were heard.
    fn never_came(&self) -> Vec<NodeId> {
        let now = self.base.now;
        let Role::Leading(l) = &self.role else { return Vec::new() };
        if now.since(l.led_since) < limits::SILENT {
            return Vec::new();
        }
        let absent = |e: &&Entry| {
            let here = l.sessions.contains_key(&e.node.id) || e.heard_within(limits::SILENT, now);
            e.state == MemberState::Alive && !here
        };
        self.base.members.iter().filter(absent).map(|e| e.node.id).collect()
    }

    /// Looks through the sessions: who is silent, who has been for long, who answered about a clone.
    pub(super) fn sweep_due(&mut self) {
        let now = self.base.now;
        let Role::Leading(l) = &mut self.role else { return };
        let mut silent = Vec::new();
        let mut dead = Vec::new();
        let mut next = now + limits::SILENT;
        for s in l.sessions.values_mut() {
            let quiet = now.since(s.heard);
            if quiet >= limits::SESSION_DEAD {
                dead.push(s.conn);
            } else if quiet >= limits::SILENT {
                if !s.silent {
                    s.silent = true;
                    silent.push(s.node.id);
                }
                next = next.min(s.heard + limits::SESSION_DEAD);
            } else {
                next = next.min(s.heard + limits::SILENT);
            }
        }
        dead.extend(l.joining.iter().filter(|(_, s)| now.since(s.since) >= limits::SESSION_DEAD).map(|(c, _)| *c));
        let unanswered: Vec<(ConnId, NodeId)> =
            l.clones.iter().filter(|(_, (_, until))| now >= *until).map(|(c, (id, _))| (*c, *id)).collect();
        if let Some(until) = l.clones.values().map(|(_, until)| *until).filter(|u| *u > now).min() {
            next = next.min(until);
        }
        self.base.timers.set(Timer::Sweep, next);
        silent.extend(self.never_came());
        for id in silent {
            if let Some(entry) = self.base.members.get_mut(id) {
                entry.turns(MemberState::Silent, now);
            }
            self.list_changed(id);
            self.tell_member(id, MemberState::Silent);
            self.name_successor();
        }
        for conn in dead {
            let id = match self.base.ways.get(conn).map(|c| c.purpose) {
                Some(Purpose::Served(id)) => id,
                _ => continue,
            };
            self.base.close(conn);
            self.follower_broke(conn, id);
        }
        for (_, id) in unanswered {
            // The former process does not answer: it was a restart.
            self.clone_cleared(id);
        }
    }
}

/// Whether a round trip is another than the list said last, in microseconds each: half or twice as long, and a step of the
/// line away. One that comes and goes within these is no news.
fn has_moved(is: u64, was: u64) -> bool {
    let (short, long) = (is.min(was), is.max(was));
    long - short >= limits::RTT_STEP_US && long / 2 >= short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_has_moved_when_it_is_twice_or_half_as_long_and_a_step_away() {
        assert!(!has_moved(300, 300) && !has_moved(1_290, 300) && has_moved(1_300, 300), "a millisecond at least");
        assert!(!has_moved(7_999, 4_000) && has_moved(8_000, 4_000), "twice as long");
        assert!(!has_moved(2_001, 4_000) && has_moved(2_000, 4_000), "half as long");
        assert!(!has_moved(0, 999) && has_moved(0, 1_000) && has_moved(u64::MAX, 0), "from nothing, and from anything");
    }
}
