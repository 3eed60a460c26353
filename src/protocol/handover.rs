//! Handover: a planned change of leader, and the end of an agent (protocol §8).

use super::labels::named;
use super::role::{Drain, Handing, Leading, Lost, Role};
use super::timers::Timer;
use super::{Node, Output, To, limits};
use crate::event::{Cause, Kind, Level};
use crate::ident::{ConnId, Incarnation, NodeId};
use crate::message::{Abdicate, Cast, Frame, Goodbye, Handover, HandoverDone, Known, MemberState};
use crate::time::ms;
use std::collections::BTreeSet;
use std::time::Duration;

/// The least time that a successor has for its claim.
const HANDING: Duration = Duration::from_millis(250);

impl Node {
    // ---- asked by users

    /// A user of this agent asks for a handover.
    pub(super) fn handover_asked(&mut self, request: u64, to: Option<String>) {
        match &mut self.role {
            Role::Leading(_) => match self.begin_handover(to.as_deref()) {
                Ok(true) => {
                    if let Role::Leading(Leading { handover: Some(h), .. }) = &mut self.role {
                        h.requests.push(request);
                    }
                }
                Ok(false) => self.base.out.push(Output::Reply { request, refused: None }),
                Err(why) => self.base.out.push(Output::Reply { request, refused: Some(why) }),
            },
            Role::Following(f) if f.full => {
                let refused = format!("{} has no room for a connection to this machine: ask on another one", f.name);
                self.base.out.push(Output::Reply { request, refused: Some(refused) });
            }
            Role::Following(f) if f.settled && f.requests.len() + f.unsent.len() < limits::REQUESTS => {
                f.unsent.push((request, to));
                self.ask_handovers();
            }
            _ => {
                let refused = Some("there is no leader that could hand over; try again when there is one".to_owned());
                self.base.out.push(Output::Reply { request, refused });
            }
        }
    }

    /// What users asked goes to the leader when there is a session; until then it waits for one.
    pub(super) fn ask_handovers(&mut self) {
        let Role::Following(f) = &mut self.role else { return };
        let Some(conn) = f.session.as_ref().map(|s| s.conn) else { return };
        for (request, to) in f.unsent.drain(..) {
            f.requests.insert(request);
            self.base.send(conn, Frame::Handover(Handover { request, to }));
        }
    }

    pub(super) fn member_asks_handover(&mut self, conn: ConnId, handover: Handover) {
        let request = handover.request;
        if self.served_mut(conn).is_none() {
            let refused = Some("that machine does not lead any more".to_owned());
            return self.base.send(conn, Frame::HandoverDone(HandoverDone { request, refused }));
        }
        let refused = match self.begin_handover(handover.to.as_deref()) {
            Ok(true) => {
                if let Role::Leading(Leading { handover: Some(h), .. }) = &mut self.role {
                    h.remote.push((conn, request));
                }
                return;
            }
            Ok(false) => None,
            Err(why) => Some(why),
        };
        self.base.send(conn, Frame::HandoverDone(HandoverDone { request, refused }));
    }

    pub(super) fn member_handover_done(&mut self, conn: ConnId, done: HandoverDone) {
        if !self.on_session(conn) {
            return;
        }
        if let Role::Following(f) = &mut self.role
            && (f.requests.remove(&done.request) || f.forgets.remove(&done.request))
        {
            self.base.out.push(Output::Reply { request: done.request, refused: done.refused });
        }
    }

    /// What was asked on a session that is no more is not answered any more.
    pub(super) fn requests_lost(&mut self) {
        self.forgets_lost();
        let Role::Following(f) = &mut self.role else { return };
        let requests = std::mem::take(&mut f.requests);
        self.refuse(requests, "the connection to the leader broke meanwhile; see 'tanist status'");
    }

    /// Begins one. False when there is nothing to do.
    fn begin_handover(&mut self, to: Option<&str>) -> Result<bool, String> {
        let target = self.find_target(to)?;
        let Role::Leading(l) = &self.role else { return Err("this machine does not lead".to_owned()) };
        let Some(target) = target else { return Ok(false) };
        if let Some(h) = &l.handover {
            if h.to == target && h.requests.len() + h.remote.len() < limits::REQUESTS {
                return Ok(true);
            }
            return Err(format!("a handover to {} is under way", self.base.name(h.to.id)));
        }
        if l.check.is_some() || l.renewing.is_some() || l.bound_to(self.base.now).is_some() {
            return Err("this machine is making sure that it still leads; try again".to_owned());
        }
        self.hand_over(target, Cause::Handover, false);
        Ok(true)
    }

    /// Whom a handover goes to; none when that is this machine.
    fn find_target(&self, to: Option<&str>) -> Result<Option<Incarnation>, String> {
        let Role::Leading(l) = &self.role else { return Err("this machine does not lead".to_owned()) };
        let Some(to) = to else {
            let none = "there is no successor: no other machine that may lead is connected; see 'tanist members'";
            return l.naming.named().map(Some).ok_or(none.to_owned());
        };
        let me = &self.base.me;
        let id = self.one_named(to)?;
        if id == me.node.id {
            return Ok(None);
        }
        let entry = self.base.members.get(id).ok_or_else(|| format!("{to} is gone"))?;
        match l.sessions.get(&id) {
            _ if entry.priority == 0 => Err(format!("{to} has priority 0, so it never leads")),
            None if entry.state == MemberState::Left => Err(format!("{to} has left")),
            None => Err(format!("{to} is not connected to the leader")),
            Some(s) if s.silent => Err(format!("{to} does not answer")),
            Some(_) if entry.sick => Err(format!("the disk of {to} does not work")),
            Some(s) if !entry.whole || l.copies.durable(s.conn).is_none() => Err(format!("{to} is still catching up")),
            Some(s) => Ok(Some(s.node)),
        }
    }

    /// The members that are called so, this one included.
    pub(super) fn all_named(&self, text: &str) -> Vec<NodeId> {
        let others = self.base.members.iter().map(|e| (e.node.id, e.name.as_str()));
        named(text, others.chain([(self.base.me.node.id, self.base.me.name.as_str())]))
    }

    /// The member that is called so: the only one, or of several the only one that is alive.
    fn one_named(&self, text: &str) -> Result<NodeId, String> {
        let there = |id: &NodeId| {
            *id == self.base.me.node.id || self.base.members.get(*id).is_some_and(|e| e.state == MemberState::Alive)
        };
        let all = self.all_named(text);
        let alive: Vec<NodeId> = all.iter().copied().filter(there).collect();
        match (all.as_slice(), alive.as_slice()) {
            ([], _) => Err(format!("no member is called {text}; 'tanist members' lists them")),
            ([id], _) | (_, [id]) => Ok(*id),
            (several, []) | (_, several) => {
                let n = several.len();
                let digits: Vec<String> = several.iter().take(8).map(|id| id.short()).collect();
                let digits = digits.join(", ");
                Err(format!("{n} members are called {text}: use the digits that 'tanist members' shows ({digits})"))
            }
        }
    }

    // ---- the leader's side

    /// Asks `to` to take over: it is named first.
    pub(super) fn hand_over(&mut self, to: Incarnation, cause: Cause, stopping: bool) {
        let now = self.base.now;
        let named = match &self.role {
            Role::Leading(l) => l.naming.named(),
            _ => return,
        };
        self.choose_successor(Some(to));
        self.successor_changed(named);
        let name = self.base.name(to.id);
        let Role::Leading(l) = &mut self.role else { return };
        if !l.sessions.contains_key(&to.id) {
            return;
        }
        let old = l.handover.take();
        let claim = l.claim;
        l.handover = Some(match old {
            Some(old) => Handing { claim, to, phase: Drain::Programs, ..old },
            None => Handing {
                claim,
                to,
                cause,
                phase: Drain::Programs,
                began: now,
                stopping,
                requests: Vec::new(),
                remote: Vec::new(),
                tried: BTreeSet::new(),
            },
        });
        self.base.tell(
            Kind::Handover,
            Level::Info,
            Some(cause),
            format!("handing over to {name}"),
            vec![("to", name.into())],
        );
        match self.programs {
            Some(need) => self.base.timers.set(Timer::Handover, now + need),
            None => self.handing_drains(),
        }
    }

    /// Asks the heir, as soon as everything is done that was under way when the handover began, and the heir has all of
    /// it.
    pub(super) fn handing_drained(&mut self) {
        let Role::Leading(l) = &mut self.role else { return };
        let drained = |h: &&mut Handing| match h.phase {
            Drain::Drains { until } => until.is_none_or(|job| self.lane.is_done(job)),
            Drain::Programs | Drain::Asked => false,
        };
        let ordered = l.data.as_ref().map_or(0, |primary| primary.position());
        // What a failing disk lost here may be there already: then the heir has more, which this leader cannot take.
        let conn = |to: Incarnation| l.sessions.get(&to.id).filter(|s| s.node == to).map(|s| s.conn);
        let all = |to| ordered == 0 || conn(to).and_then(|conn| l.copies.has(conn)).is_some_and(|n| n >= ordered);
        if l.handover.as_ref().is_none_or(|h| !all(h.to)) {
            return;
        }
        let Some(h) = l.handover.as_mut().filter(drained) else { return };
        let Some(conn) = l.sessions.get(&h.to.id).map(|s| s.conn) else { return };
        h.phase = Drain::Asked;
        let abdicate = Abdicate { claim: h.claim, to: h.to, cause: h.cause };
        self.base.send(conn, Frame::Abdicate(abdicate));
        let deadline = self.base.now + self.base.settings.canvass().max(HANDING);
        self.base.timers.set(Timer::Handover, deadline);
    }

    /// Another leader beats: if it is the one that was asked to take over, the handover is done.
    pub(super) fn handed_over(&mut self, known: &Known) -> bool {
        let Role::Leading(l) = &self.role else { return false };
        let Some(h) = &l.handover else { return false };
        if h.to != known.claim.node || known.claim.epoch <= l.claim.epoch || !h.asked() {
            return false;
        }
        let (stopping, began) = (h.stopping, h.began);
        let took = ms(self.base.now.since(began));
        let text = format!("{} has taken over after {took}: epoch {}", known.name, known.claim.epoch);
        self.base.info(
            Kind::Handover,
            text,
            vec![("to", known.name.clone().into()), ("took_us", super::notices::us(self.base.now.since(began)))],
        );
        if stopping {
            self.tell_followers(known);
            self.tell_heir();
            self.finish_requests(known);
            self.say_goodbye(Some(known.clone()), None);
            self.end();
        } else {
            let confirmed = self.base.promises.promised().is_some_and(|p| p.claim == known.claim);
            self.yield_role(known.clone(), None, confirmed);
        }
        true
    }

    fn tell_followers(&mut self, known: &Known) {
        let Role::Leading(l) = &self.role else { return };
        let conns: Vec<ConnId> = l.sessions.values().filter(|s| s.node != known.claim.node).map(|s| s.conn).collect();
        self.base.send_all(conns.clone(), Frame::Yields(known.clone()));
        for conn in conns {
            self.base.close(conn);
        }
    }

    /// The heir keeps the list now: that this agent leaves must reach it, whatever becomes of the Goodbye.
    fn tell_heir(&mut self) {
        let Role::Leading(l) = &self.role else { return };
        let Some(conn) = l.handover.as_ref().and_then(|h| l.sessions.get(&h.to.id)).map(|s| s.conn) else { return };
        self.base.send(conn, Frame::Leaves);
        self.base.close(conn);
    }

    /// The new leader serves: those who asked are told.
    pub(super) fn finish_requests(&mut self, known: &Known) {
        let Role::Leading(l) = &mut self.role else { return };
        let Some(h) = l.handover.take() else { return };
        let other = (h.to != known.claim.node).then(|| format!("{} leads instead", known.name));
        self.reply_handing(h, other);
    }

    fn reply_handing(&mut self, h: Handing, refused: Option<String>) {
        for request in h.requests {
            self.base.out.push(Output::Reply { request, refused: refused.clone() });
        }
        for (conn, request) in h.remote {
            self.base.send(conn, Frame::HandoverDone(HandoverDone { request, refused: refused.clone() }));
        }
    }

    pub(super) fn handing_due(&mut self) {
        if matches!(&self.role, Role::Leading(l) if l.handover.as_ref().is_some_and(Handing::waits_for_programs)) {
            return self.handing_drains();
        }
        let asked = matches!(&self.role, Role::Leading(l) if l.hands_over());
        self.handing_failed(if asked {
            "no claim of it was heard in time"
        } else {
            "what was under way did not end in time"
        });
    }

    /// The one that was asked to take over is gone.
    pub(super) fn handing_lost(&mut self, id: NodeId) {
        if matches!(&self.role, Role::Leading(Leading { handover: Some(h), .. }) if h.to.id == id) {
            // Its session may have ended because it leads: its claim has the time that it was given, unless this agent
            // never heard of one.
            let claimed = self.base.promises.live().is_some_and(|c| c.node.id == id);
            if !claimed {
                self.handing_failed("it is gone");
            }
        }
    }

    /// A leader that stops, or cannot write, tries the next in the line; any other goes on leading, and says why (§8).
    pub(super) fn handing_failed(&mut self, why: &str) {
        let Role::Leading(l) = &mut self.role else { return };
        let Some(mut h) = l.handover.take() else { return };
        self.base.timers.clear(Timer::Handover);
        let name = self.base.name(h.to.id);
        let text = format!("the handover to {name} failed: {why}");
        self.base.tell(Kind::Handover, Level::Warn, Some(h.cause), text.clone(), vec![("to", name.into())]);
        h.tried.insert(h.to.id);
        self.name_successor();
        let tries_on = h.stopping || h.cause == Cause::Store && !self.base.disk_works();
        if let Some(to) = self.next_heir(&h.tried).filter(|_| tries_on) {
            let (cause, stopping) = (h.cause, h.stopping);
            if let Role::Leading(l) = &mut self.role {
                l.handover = Some(h);
            }
            return self.hand_over(to, cause, stopping);
        }
        if h.stopping && self.programs.is_some() {
            // Nobody takes over: it stops when they have ended.
            return self.reply_handing(h, Some(text));
        }
        if h.stopping {
            return self.stop_now();
        }
        let mut outlives = false;
        if let Role::Leading(l) = &mut self.role {
            // A reign that has begun since is above what the other began.
            outlives = h.asked() && h.claim == l.claim;
            l.failed = Some(text.clone());
            l.left_alone = (h.cause == Cause::Store).then_some(self.base.now);
        }
        self.reply_handing(h, Some(text.clone()));
        if outlives {
            // What the other began must not outlive this: it leads on in a reign above that.
            self.canvass_on();
        }
    }

    /// The first in line that was not tried.
    pub(super) fn next_heir(&self, tried: &BTreeSet<NodeId>) -> Option<Incarnation> {
        let Role::Leading(l) = &self.role else { return None };
        let there = l.sessions.values().filter(|s| !s.silent && !tried.contains(&s.node.id));
        let fit = there.filter_map(|s| self.base.members.get(s.node.id)).filter(|e| e.state == MemberState::Alive);
        let first = super::directory::first(fit, l.naming.named().map(|n| n.id), self.base.now)?;
        l.sessions.get(&first).map(|s| s.node)
    }

    /// The store fails or stalls: another serves better (§6). When nobody takes over, it is tried again after a while: a
    /// leader that hands over meets nobody.
    pub(super) fn hand_over_for_store(&mut self) {
        let now = self.base.now;
        let busy = matches!(&self.role, Role::Leading(l)
            if l.handover.is_some() || l.renewing.is_some() || l.check.is_some()
                || l.left_alone.is_some_and(|at| now.since(at) < limits::HAND_OVER_AGAIN));
        if busy {
            return;
        }
        if let Some(to) = self.next_heir(&BTreeSet::new()) {
            self.hand_over(to, Cause::Store, false);
        }
    }

    // ---- the successor's side

    /// The leader asks this agent to take over: it canvasses without an interrogation.
    pub(super) fn abdicated(&mut self, conn: ConnId, abdicate: Abdicate) {
        if !self.on_session(conn) || abdicate.to != self.base.me.node || !self.fit() {
            return;
        }
        let now = self.base.now;
        let Role::Following(f) = &mut self.role else { return };
        if f.claim != abdicate.claim {
            return;
        }
        let lost = Lost {
            claim: f.claim,
            name: f.name.clone(),
            cause: abdicate.cause,
            noticed: now,
            at: now,
            text: "it handed over".to_owned(),
            listed: f.listed || f.listed_before,
        };
        let requests = std::mem::take(&mut f.requests);
        let text = format!("{} asks this machine to take over", lost.name);
        self.base.tell(
            Kind::Handover,
            Level::Info,
            Some(abdicate.cause),
            text,
            vec![("from", lost.name.clone().into())],
        );
        // The session stays open while the claim is made: its end would say that this agent is gone.
        if let Some(state) = self.base.ways.get_mut(conn) {
            state.purpose = super::ways::Purpose::Incoming;
        }
        self.leader_left();
        self.leave_role(&[conn]);
        self.base.end_reign();
        self.electing(Some(lost), requests);
        self.canvass(Some(abdicate), &BTreeSet::new());
    }

    // ---- the end

    /// The agent is to stop; a second time, at once.
    pub(super) fn stop(&mut self) {
        if self.stopping {
            return self.stop_now();
        }
        self.stopping = true;
        let programs = self.programs.filter(|_| matches!(self.role, Role::Leading(_)));
        self.base.timers.set(Timer::Stop, self.base.now + limits::STOP + programs.unwrap_or_default());
        match &mut self.role {
            Role::Leading(l) => {
                if let Some(h) = &mut l.handover {
                    h.stopping = true;
                    return;
                }
                if l.renewing.is_some() {
                    // As soon as the new reign has begun.
                    return;
                }
                match self.next_heir(&BTreeSet::new()) {
                    Some(to) => self.hand_over(to, Cause::Goodbye, true),
                    // Programs that follow the role end first.
                    None if programs.is_some() => {}
                    None => self.stop_now(),
                }
            }
            Role::Following(f) => {
                if let Some(conn) = f.session.as_ref().map(|s| s.conn) {
                    self.base.send(conn, Frame::Leaves);
                    self.base.close(conn);
                }
                self.stop_now();
            }
            Role::Electing(_) | Role::Listening(_) => self.stop_now(),
        }
    }

    /// Says goodbye and ends.
    pub(super) fn stop_now(&mut self) {
        let ends = match &self.role {
            Role::Leading(l) => Some(l.claim),
            _ => None,
        };
        let known = if ends.is_none() { self.known() } else { None };
        if let Role::Leading(l) = &mut self.role
            && let Some(h) = l.handover.take()
        {
            self.reply_handing(h, Some("this machine stopped".to_owned()));
        }
        self.say_goodbye(known, ends);
        self.end();
    }

    fn say_goodbye(&mut self, leader: Option<Known>, ends: Option<crate::claim::Claim>) {
        self.base.info(Kind::Goodbye, "this machine says goodbye".to_owned(), vec![]);
        self.base.end_reign();
        self.base.cast(To::Everyone, Cast::Goodbye(Goodbye { ends, leader }));
    }
}
