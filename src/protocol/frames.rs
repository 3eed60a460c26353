//! What arrives on connections, handed to whom it concerns.

use super::Closed;
use super::address::localised;
use super::role::Role;
use super::ways::Purpose;
use super::{Node, Output, limits};
use crate::ident::{ConnId, Incarnation};
use crate::message::{Frame, Open, Via};

impl Node {
    pub(super) fn frame(&mut self, conn: ConnId, frame: Frame) {
        let now = self.base.now;
        let Some(state) = self.base.ways.get_mut(conn) else { return };
        state.heard = now;
        match frame {
            Frame::Open(open) => return self.opened(conn, open),
            Frame::Via(via) => return self.asked_to_relay(conn, &via),
            Frame::ViaReady => {
                self.base.pipe_ready(conn);
                return self.meet_connected(conn);
            }
            // The one in between could not: it says nothing about the one behind it.
            Frame::ViaFailed(_) => {
                self.base.out.push(Output::Close { conn });
                return self.closed(conn, Closed::Local);
            }
            _ => {}
        }
        if state.peer.is_none() {
            // Nobody speaks before saying who it is.
            return self.base.close(conn);
        }
        self.said(conn, frame);
    }

    fn opened(&mut self, conn: ConnId, open: Open) {
        let Some(state) = self.base.ways.get_mut(conn) else { return };
        if state.peer.is_some() {
            return;
        }
        let wrong = state.route.is_some_and(|r| r.to.id != open.from.node.id);
        if open.from.node == self.base.me.node || wrong {
            // This agent itself, or somebody else, has the address that was the other's.
            // That says nothing about the other.
            self.base.out.push(Output::Close { conn });
            return self.closed(conn, Closed::Local);
        }
        let Some(state) = self.base.ways.get_mut(conn) else { return };
        state.through = open.via;
        state.peer = Some(open.from.clone());
        let mut address = state.address;
        let relayed = state.via().is_some();
        if state.route.is_none() {
            address.set_port(open.from.port);
        }
        if let Some(entry) = open.via.and_then(|relay| self.base.members.get_mut(relay))
            && state.route.is_none()
        {
            // The one in between is where its connection came from.
            let port = entry.address.port();
            entry.is_at(super::address::with_port(address, port), self.base.now);
            entry.heard = Some(self.base.now);
        }
        let former = self.base.heard(&open.from, (!relayed).then_some(address), true);
        self.new_boot(former, open.from.node);
    }

    fn said(&mut self, conn: ConnId, frame: Frame) {
        let Some((from, purpose)) = self.base.ways.get(conn).map(|c| (c.address, c.purpose)) else { return };
        match frame {
            Frame::Question(q) => self.questioned(conn, &q),
            Frame::Answer(a) if purpose == Purpose::Claimant => self.claimant_answered(conn, &a, from),
            Frame::Answer(a) => self.answered(Some(conn), &a, from),
            Frame::Join(join) => self.joins(conn, join),
            Frame::Joined(joined) => self.joined(conn, joined),
            Frame::NotJoined(why) => self.not_joined(conn, why),
            Frame::Ping(ping) => self.pinged(conn, &ping),
            Frame::Pong(pong) => self.ponged(conn, &pong),
            Frame::Members(members) => self.members_changed(conn, members),
            Frame::Beat(beat) => self.beat_on(conn, &beat, from),
            Frame::Named(named) => self.named(conn, &named),
            Frame::Reigns(reigns) => self.leader_reigns(conn, reigns),
            Frame::Yields(known) => self.leader_yields(conn, localised(known, from)),
            Frame::Report(known) => self.reported(conn, localised(known, from)),
            Frame::Leaves => self.leaves(conn),
            Frame::Tell(tell) => self.told_dead(conn, &tell),
            Frame::Told(told) => self.told(conn, told, from),
            Frame::Canvass(canvass) => self.canvassed(conn, canvass),
            Frame::Voice(voice) => self.voice(conn, voice, from),
            Frame::Abdicate(abdicate) => self.abdicated(conn, abdicate),
            Frame::Meet(meet) => self.met(conn, meet),
            Frame::Decided(decided) => self.decided(conn, &decided, from),
            Frame::Check(check) => self.checks(conn, &check),
            Frame::Checked(checked) => self.checked(conn, checked.standing, from),
            Frame::Look(look) => self.member_looks(conn, look.request),
            Frame::Forget(forget) => self.member_asks_to_forget(conn, &forget),
            Frame::Handover(handover) => self.member_asks_handover(conn, handover),
            Frame::HandoverDone(done) => self.member_handover_done(conn, done),
            Frame::Requests(requests) => self.member_asks(conn, requests),
            Frame::Outcomes(outcomes) => self.requests_ended(conn, outcomes),
            Frame::Holds(holds) => self.member_holds(conn, holds),
            Frame::Wanted(wanted) => self.leader_wants(conn, wanted),
            Frame::Piece(piece) if purpose == Purpose::Session => self.copy_piece(conn, piece),
            Frame::Piece(piece) => self.member_offers(conn, piece),
            Frame::Covered => self.leader_has_all(conn),
            Frame::Taken if purpose == Purpose::Session => self.leader_took(conn),
            Frame::Taken => self.member_took(conn),
            Frame::Reunited(reunited) => self.leader_was_brought(conn, reunited),
            Frame::Changes(changes) => self.changes(conn, changes),
            Frame::Committed(committed) => self.leader_commits(conn, &committed),
            Frame::Digest(digest) => self.leader_is_like(conn, &digest),
            Frame::Stored(stored) => self.member_stored(conn, stored.number),
            Frame::Anew if purpose == Purpose::Session => self.leader_asks_anew(conn),
            Frame::Anew => self.member_breaks(conn),
            Frame::Open(_) | Frame::Via(_) | Frame::ViaReady | Frame::ViaFailed(_) => {}
        }
    }

    /// Another member asks to be connected to one that this agent reaches directly: one hop, never more (§6).
    fn asked_to_relay(&mut self, conn: ConnId, via: &Via) {
        let fresh = |to: Incarnation| {
            self.base
                .members
                .get(to.id)
                .filter(|e| e.node == to && e.heard_within(limits::SILENT, self.base.now))
                .map(|e| e.home(to.boot))
        };
        // The session's own address first: a clone may speak with the leader's id.
        let leader = match &self.role {
            Role::Following(f) if f.claim.node == via.to => self.session_address(),
            _ => None,
        };
        let other = match &self.role {
            Role::Following(f) => {
                f.others.get(&via.to.id).map(|o| &o.known).filter(|k| k.claim.node == via.to && k.direct)
            }
            _ => None,
        };
        let address = leader.or(other.map(|k| k.address)).or_else(|| fresh(via.to));
        let first = self.base.ways.get(conn).is_some_and(|c| c.peer.is_none() && c.purpose == Purpose::Incoming);
        match address {
            Some(to) if first && self.base.ways.pipe_fits(conn) => {
                if let Some(state) = self.base.ways.get_mut(conn) {
                    state.purpose = Purpose::Piped;
                }
                self.base.out.push(Output::Pipe { conn, to });
            }
            _ => {
                let why = format!("{} does not reach that member directly", self.base.me.name);
                self.base.send_bare(conn, Frame::ViaFailed(why));
            }
        }
    }

    pub(super) fn closed(&mut self, conn: ConnId, how: Closed) {
        let Some(state) = self.base.ways.remove(conn) else { return };
        match state.purpose {
            Purpose::Session => self.session_closed(conn, &state, how),
            Purpose::Served(id) => self.follower_broke(conn, id),
            Purpose::Ask => self.question_closed(conn, &state, how),
            Purpose::Probe => self.probe_closed(conn),
            Purpose::Tell => self.tell_closed(conn),
            Purpose::Canvass => self.canvass_closed(conn, &state),
            Purpose::Claimant => self.claimant_closed(conn, &state, how),
            Purpose::Meet => self.meet_closed(conn),
            Purpose::Check => self.check_closed(conn),
            Purpose::Incoming | Purpose::Piped | Purpose::Clone => {
                self.incoming_closed(conn);
                self.claimant_hung_up(&state);
            }
        }
    }
}
