//! Asking for voices, counting them, and what a won claim becomes (protocol §7.3 to §7.5).

use super::address::localised;
use super::directory::{self};
use super::following::Target;
use super::role::{Asked, Canvassing, Phase, Role};
use super::timers::Timer;
use super::ways::{Conn, Purpose};
use super::writes::Then;
use super::{Node, Promise, To, limits};
use crate::claim::Claim;
use crate::event::{Cause, Kind, Level};
use crate::ident::{ConnId, NodeId};
use crate::message::{Abdicate, Canvass, Cast, Frame, Known, MemberState, Notice, Says, Voice};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

impl Node {
    // ---- the canvass

    /// Claims in an election, and asks everybody for a voice (§7.3).
    pub(super) fn canvass(&mut self, abdicate: Option<Abdicate>, answered: &BTreeSet<NodeId>) {
        if !self.may_lead() || !self.base.linked() && self.base.timers.is_set(Timer::Alone) {
            return self.rest();
        }
        if !self.base.writes.has_room() {
            return self.wait(self.base.settings.store_age());
        }
        if !self.fit() {
            // Others would wait for a claim that cannot win; the disk is tried once a second.
            return self.wait(limits::HOUSE);
        }
        if abdicate.is_none()
            && let Some(left) = self.behind_deaf_port()
        {
            return self.wait(left.min(self.base.settings.join_wait(true)));
        }
        self.await_nobody();
        let Role::Electing(e) = &self.role else { return };
        let held_back = e.lost.as_ref().and_then(|lost| self.held_back(lost.claim));
        if let Some(until) = held_back.filter(|_| abdicate.is_none()) {
            // The leader answered others.
            return self.wait(until.since(self.base.now));
        }
        let Role::Electing(e) = &mut self.role else { return };
        e.phase = Phase::Canvass;
        let (lost, cause) = (e.lost.as_ref().map(|l| l.claim), e.lost.as_ref().map(|l| l.cause));
        let replaces = abdicate.map(|a| a.claim).or(lost);
        self.ask_voices(replaces, abdicate, answered, cause);
    }

    /// Claims anew while leading, because a handover failed after it was asked for (§8). Who cannot write leads on as it is.
    pub(super) fn canvass_on(&mut self) {
        let Role::Leading(l) = &self.role else { return };
        if self.campaign.canvass.is_none() && l.renewing.is_none() && self.base.disk_works() {
            self.ask_voices(Some(l.claim), None, &BTreeSet::new(), Some(Cause::Handover));
        }
    }

    fn ask_voices(
        &mut self,
        replaces: Option<Claim>,
        abdicate: Option<Abdicate>,
        answered: &BTreeSet<NodeId>,
        cause: Option<Cause>,
    ) {
        let claim = self.base.next_claim(0);
        let (began, deadline) = (self.base.now, self.base.now + self.base.settings.canvass());
        let text = format!("this machine claims the role with epoch {}", claim.epoch);
        self.base.tell(Kind::Claiming, Level::Info, cause, text, vec![("claimed", claim.epoch.into())]);
        self.campaign.canvass = Some(Box::new(Canvassing {
            claim,
            began,
            deadline,
            voiced: false,
            abdicate,
            asked: BTreeMap::new(),
            indirect: None,
        }));
        self.base.cast(To::Everyone, Cast::Notice(Notice { claim }));
        let dead = replaces.map(|c| c.node.id);
        for (id, awaited) in self.electorate(dead, answered) {
            self.ask_voice(id, awaited, Canvass { claim, replaces, whole: self.whole(), abdicate });
        }
        // The own claim and voice are one durable write, made while the questions travel.
        self.base.promise(Promise::of(claim), Then::OwnVoice(claim));
        self.base.timers.set(Timer::Elect, deadline);
    }

    /// This agent may not claim now: it listens for one that does.
    fn rest(&mut self) {
        if self.may_lead() {
            return self.wait(self.base.settings.join_wait(true));
        }
        self.leave_role(&[]);
        self.listen(super::role::Listening { idle: true, hellos: 4, ..Default::default() });
        self.base.timers.clear(Timer::Join);
    }

    /// Whom a canvass asks, and whose answer it awaits: those that the last list shows alive, or that were heard lately,
    /// without the one that is replaced (§7.4).
    fn electorate(&self, dead: Option<NodeId>, answered: &BTreeSet<NodeId>) -> Vec<(NodeId, bool)> {
        let now = self.base.now;
        let listed = match &self.role {
            Role::Electing(e) => e.lost.as_ref().is_some_and(|l| l.listed),
            Role::Leading(_) => true,
            Role::Listening(_) | Role::Following(_) => false,
        };
        let alive = |e: &super::entry::Entry| {
            listed && e.state == MemberState::Alive
                || answered.contains(&e.node.id)
                // Where there is a list, a stranger is asked and not awaited: it may be nobody at all.
                || e.heard_within(limits::SILENT, now) && (e.met || !listed)
        };
        let members: Vec<_> = self.base.members.reachable().filter(|e| e.state != MemberState::Left).collect();
        let mut views: Vec<_> = members.iter().map(|e| e.to_member(now)).collect();
        for v in &mut views {
            v.state = MemberState::Alive;
        }
        let order: BTreeMap<NodeId, usize> =
            directory::line(views.iter(), None).into_iter().enumerate().map(|(i, (id, _))| (id, i)).collect();
        let rank = |id: NodeId| order.get(&id).copied().unwrap_or(usize::MAX);
        let mut all: Vec<(bool, bool, usize, NodeId)> = members
            .iter()
            .map(|e| (Some(e.node.id) == dead || !alive(e), !e.met, rank(e.node.id), e.node.id))
            .collect();
        if all.iter().all(|(not, ..)| *not) {
            // Nobody else is there, they say: whoever was there when the last claims were made is waited for all the same.
            let lately = self.base.heartbeat() * limits::VETO + limits::SILENT;
            for (not, _, _, id) in &mut all {
                let entry = self.base.members.get(*id).filter(|e| e.met && Some(*id) != dead);
                *not = !entry.is_some_and(|e| e.alive_within(lately, now));
            }
        }
        all.sort_unstable();
        all.into_iter().enumerate().map(|(i, (not, _, _, id))| (id, !not && i < limits::AWAITED)).collect()
    }

    fn ask_voice(&mut self, id: NodeId, awaited: bool, canvass: Canvass) {
        let Some(route) = self.base.direct(id) else { return };
        let conn = self.base.dial(route, Purpose::Canvass, Frame::Canvass(canvass));
        if let Some(c) = &mut self.campaign.canvass {
            let asked = Asked {
                conn: Some(conn),
                awaited,
                refused: false,
                says: None,
                withdrew: None,
                holds: 0,
                after: Duration::ZERO,
            };
            c.asked.insert(id, asked);
        }
    }

    pub(super) fn own_voice(&mut self, claim: Claim) {
        if let Some(c) = &mut self.campaign.canvass
            && c.claim == claim
        {
            c.voiced = true;
            self.tally(false);
        }
    }

    pub(super) fn canvass_closed(&mut self, conn: ConnId, _state: &Conn) {
        let Some(c) = &mut self.campaign.canvass else { return };
        for asked in c.asked.values_mut().filter(|a| a.conn == Some(conn)) {
            asked.conn = None;
            // A refused connection is an answer; so is one that ended without a voice.
            asked.refused = true;
        }
        self.tally(false);
    }

    pub(super) fn voice(&mut self, conn: ConnId, voice: Voice, from: SocketAddr) {
        let Some(peer) = self.base.peer(conn) else { return };
        let says = match voice.says {
            Says::LeaderAlive(known) => Says::LeaderAlive(self.seen_from(localised(known, from), conn)),
            other => other,
        };
        let now = self.base.now;
        let Some(c) = &mut self.campaign.canvass else { return };
        if c.claim != voice.claim {
            return;
        }
        let began = c.began;
        let Some(asked) = c.asked.get_mut(&peer.id).filter(|a| a.conn == Some(conn)) else { return };
        asked.after = now.since(began);
        (asked.withdrew, asked.holds) = (voice.withdrew, voice.holds);
        match says {
            Says::LeaderAlive(known) => {
                asked.says = Some(Says::LeaderAlive(known.clone()));
                if !self.base.believe(known.claim) {
                    return;
                }
                self.vetoed(peer.id, known);
            }
            Says::Better(better) => {
                asked.says = Some(Says::Better(better));
                let claim = c.claim;
                self.base.believe(better);
                if better > claim {
                    self.outdone(claim, better);
                }
            }
            Says::Higher(epoch) => {
                asked.says = Some(Says::Higher(epoch));
                self.go_higher(epoch);
            }
            Says::Taken(taken) => {
                asked.says = Some(Says::Taken(taken));
                self.tally(false);
            }
            Says::Backed => {
                asked.says = Some(Says::Backed);
                self.tally(false);
            }
        }
    }

    /// One bad link must not make a second king (§7.3).
    fn vetoed(&mut self, by: NodeId, known: Known) {
        let Some(c) = &mut self.campaign.canvass else { return };
        let itself = known.claim.node.id == by;
        if !known.direct && !itself {
            // A member that reaches the leader directly is waited for.
            c.indirect.get_or_insert((by, known));
            return self.tally(false);
        }
        self.yield_to(by, known);
    }

    fn yield_to(&mut self, by: NodeId, known: Known) {
        let Some(claim) = self.campaign.canvass.as_ref().map(|c| c.claim) else { return };
        let relay = (known.direct && known.claim.node.id != by).then_some(by);
        self.campaign.vetoed(known.claim, self.base.heartbeat(), self.base.now);
        let name = self.base.name(by);
        self.withdraw(claim, &format!("{name} says that {} leads and answers", known.name));
        self.end_canvass();
        if matches!(self.role, Role::Leading(_)) {
            let from = known.address;
            return self.other_leader(known, relay, from);
        }
        self.follow(Target::told(known, relay));
    }

    fn outdone(&mut self, claim: Claim, better: Claim) {
        let name = self.base.name(better.node.id);
        self.withdraw(claim, &format!("{name} has the better claim, of epoch {}", better.epoch));
        self.end_canvass();
        let pause = self.base.settings.after_canvass();
        match &self.role {
            Role::Leading(_) => self.pause(pause),
            _ => self.wait_for(better.node, pause),
        }
    }

    /// Waits before the next claim, whatever the role.
    pub(super) fn pause(&mut self, pause: Duration) {
        if matches!(self.role, Role::Leading(_)) {
            self.base.timers.set(Timer::Elect, self.base.now + pause);
        } else {
            self.wait(pause);
        }
    }

    fn go_higher(&mut self, epoch: u64) {
        if !self.base.believe_epoch(epoch) {
            return;
        }
        if self.campaign.canvass.is_none() {
            return;
        }
        if !self.campaign.higher_again() {
            return self.lost_canvass();
        }
        let Some(c) = &self.campaign.canvass else { return };
        let (claim, abdicate) = (c.claim, c.abdicate);
        let answered = c.asked.iter().filter(|(_, a)| a.awaited).map(|(id, _)| *id).collect();
        self.withdraw(claim, &format!("epoch {epoch} is known already"));
        self.end_canvass();
        if matches!(self.role, Role::Leading(_)) {
            return self.canvass_on();
        }
        self.canvass(abdicate, &answered);
    }

    /// Hangs up on everybody who was asked: the canvass is over.
    pub(super) fn end_canvass(&mut self) {
        let Some(c) = self.campaign.canvass.take() else { return };
        for conn in c.asked.into_values().filter_map(|a| a.conn) {
            self.base.close(conn);
        }
    }

    /// Counts (§7.4).
    pub(super) fn tally(&mut self, over: bool) {
        let quorum = self.base.settings.quorum as usize;
        let now = self.base.now;
        let Some(c) = &mut self.campaign.canvass else { return };
        let over = over || now >= c.deadline;
        let waiting = c.asked.values().any(|a| a.awaited && a.says.is_none() && !a.refused);
        if let Some((by, known)) = c.indirect.clone()
            && (over || !waiting)
        {
            return self.yield_to(by, known);
        }
        let withdrew: BTreeSet<Claim> = c.asked.values().filter_map(|a| a.withdrew).collect();
        let objected = c.asked.values().any(|a| matches!(&a.says, Some(Says::Taken(t)) if !withdrew.contains(t)));
        let voices = usize::from(c.voiced) + c.asked.values().filter(|a| matches!(a.says, Some(Says::Backed))).count();
        let open = c.asked.values().any(|a| a.says.is_none() && !a.refused);
        if !over && (waiting || !c.voiced || objected || voices < quorum && open) {
            return;
        }
        if c.voiced && !objected && voices >= quorum {
            return if self.is_deaf() { self.lost_canvass() } else { self.won() };
        }
        if !c.voiced && !objected {
            // The own disk is slow: nothing counts until it is done.
            let again = now + self.base.settings.canvass();
            return self.base.timers.set(Timer::Elect, again);
        }
        self.lost_canvass();
    }

    /// The leader that is to be replaced beats, and answers nothing by TCP; of those who are awaited nobody answers either:
    /// what is broken is this machine's own way to others (§7.4).
    fn is_deaf(&mut self) -> bool {
        let (Role::Electing(e), Some(c)) = (&self.role, &self.campaign.canvass) else { return false };
        let Some(lost) = e.lost.as_ref().filter(|lost| lost.cause == Cause::Unresponsive) else { return false };
        let leader = self.base.members.get(lost.claim.node.id);
        let beats = leader.is_some_and(|e| e.heard_within(self.base.settings.suspicion(), self.base.now));
        let mut awaited = c.asked.values().filter(|a| a.awaited).peekable();
        let deaf = beats && awaited.peek().is_some() && awaited.all(|a| a.says.is_none() && !a.refused);
        if deaf && self.campaign.is_first_try() {
            let text = format!(
                "{} beats, and neither it nor anybody else answers this machine by TCP: its own network card, address or \
                 firewall?",
                lost.name
            );
            self.base.warn(Kind::Deaf, text, vec![("leader", lost.name.clone().into())]);
        }
        deaf
    }

    fn lost_canvass(&mut self) {
        let Some(claim) = self.campaign.canvass.as_ref().map(|c| c.claim) else { return };
        let doubled = self.campaign.lost();
        self.withdraw(claim, "not everybody could back it");
        self.end_canvass();
        let hb = self.base.heartbeat();
        let pause = hb / 2 + self.base.chance.duration(hb * 3 / 2);
        self.pause((pause * doubled).min(hb * 16));
    }
}
