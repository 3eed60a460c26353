//! A reign begins: of a claim that was won, or of a leader that leads on (protocol §7.5, §9).

use super::naming::Naming;
use super::notices::us;
use super::role::{Asked, Leading, Renewing, Role};
use super::timers::Timer;
use super::ways::Purpose;
use super::writes::Then;
use super::{Node, Write, limits};
use crate::claim::Claim;
use crate::event::{Cause, Kind, Level};
use crate::ident::{ConnId, NodeId};
use crate::message::{Frame, Reigns, STORY_MAX, Says, Story};
use crate::time::{Time, ms};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Heartbeats in quick succession that begin a reign.
const QUICK: u32 = 3;

impl Node {
    /// Nobody objected, and the own promise is durable, which vouches for the reign after a crash: it begins.
    pub(super) fn won(&mut self) {
        let story = self.story();
        let Some(claim) = self.campaign.canvass.as_ref().map(|c| c.claim) else { return };
        self.base.timers.clear(Timer::Elect);
        self.base.persist(vec![Write::Shown(claim)], Then::Shown(claim));
        let Role::Leading(l) = &mut self.role else { return self.reign(claim, story) };
        let (decided, joins) = l.renewing.take().map(|r| (r.decided, r.joins)).unwrap_or_default();
        l.renewing = Some(Renewing { claim, story, decided, joins });
        self.end_canvass();
        self.renewed(claim);
    }

    /// Begins to lead (§7.5).
    fn reign(&mut self, claim: Claim, story: Story) {
        let Role::Electing(e) = &mut self.role else { return };
        let Some(c) = self.campaign.canvass.take() else { return };
        // Who has not answered yet may still, and then has its session at hand.
        let keep: Vec<ConnId> =
            c.asked.values().filter(|a| matches!(a.says, None | Some(Says::Backed))).filter_map(|a| a.conn).collect();
        let backed = c.asked.iter().filter(|(_, a)| matches!(a.says, Some(Says::Backed))).map(|(id, _)| *id);
        let backed: BTreeSet<NodeId> = backed.collect();
        let ahead = c.asked.iter().filter(|(_, a)| matches!(a.says, Some(Says::Backed)) && a.holds > self.data.number);
        let ahead: BTreeSet<NodeId> = ahead.map(|(id, _)| *id).collect();
        let (lost, began, abdicated) = (e.lost.clone(), c.began, c.abdicate.is_some());
        let requests = std::mem::take(&mut e.requests);
        let writes = self.base.past.enter(claim, &story, self.base.wall);
        self.base.persist(writes, Then::Nothing);
        for conn in &keep {
            if let Some(state) = self.base.ways.get_mut(*conn) {
                state.purpose = Purpose::Incoming;
            }
        }
        self.leave_role(&keep);
        self.base.promises.show(claim);
        let now = self.base.now;
        let mut text = format!("this machine leads: epoch {}", claim.epoch);
        let mut fields = vec![("backed", (backed.len() as u64).into()), ("canvass_us", us(now.since(began)))];
        if let Some(lost) = &lost {
            let how = if abdicated { "handed over" } else { "was lost" };
            let since = if abdicated { lost.noticed } else { lost.at };
            text = format!("{text}, {} after {} {how}", ms(now.since(since)), lost.name);
            fields.push(("since_first_sign_us", us(now.since(lost.noticed))));
            fields.push(("since_lost_us", us(now.since(lost.at))));
        }
        let text = match backed.len() {
            0 => format!("{text}, with nobody else"),
            n => format!("{text}, backed by {n}"),
        };
        self.begin_leading(claim, story.clone(), backed);
        self.wait_for_offers(ahead);
        // Whoever reads that a leader was lost reads also that there is another.
        let level = if lost.is_some() && !abdicated { Level::Warn } else { Level::Info };
        self.base.tell(Kind::Leading, level, Some(story.cause), text, fields);
        self.beat_now();
        // By TCP too: a heartbeat may be lost, and does not reach everybody.
        if let Some(beat) = self.heartbeat() {
            self.base.send_all(keep, Frame::Beat(beat));
        }
        for request in requests {
            self.base.out.push(super::Output::Reply { request, refused: None });
        }
        self.lead_data();
    }

    /// Why this reign begins, in words for `history`.
    fn story(&self) -> Story {
        let name = self.base.me.name.clone();
        let lost = match &self.role {
            Role::Electing(e) => e.lost.as_ref(),
            _ => None,
        };
        let none = Story { name: name.clone(), cause: Cause::First, text: String::new() };
        let Some(c) = &self.campaign.canvass else { return none };
        let mut answers: Vec<String> = Vec::new();
        for (id, a) in c.asked.iter().filter(|(_, a)| a.awaited || a.says.is_some()).take(8) {
            let said = match &a.says {
                Some(Says::Backed) => format!("backed after {}", ms(a.after)),
                Some(Says::Taken(_)) => "had backed a claim since withdrawn".to_owned(),
                Some(_) => "objected".to_owned(),
                None if a.refused => "could not be reached".to_owned(),
                None => "did not answer".to_owned(),
            };
            answers.push(format!("{} {said}", self.base.name(*id)));
        }
        // That the one which is replaced was asked too is no news, unless it answered.
        let replaced = c.abdicate.map(|a| a.claim).or(lost.map(|l| l.claim)).map(|claim| claim.node.id);
        let silent = |id: &NodeId, a: &Asked| a.says.is_none() && Some(*id) == replaced;
        let more = c.asked.iter().filter(|(id, a)| !silent(id, a)).count().saturating_sub(answers.len());
        let asked = match (answers.is_empty(), more) {
            (true, 0) => "nobody else was there to ask".to_owned(),
            (true, n) => format!("asked: {n}, and waited for none of them"),
            (false, 0) => format!("asked: {}", answers.join(", ")),
            (false, n) => format!("asked: {}, and {n} more", answers.join(", ")),
        };
        let (cause, before) = match (&c.abdicate, lost) {
            _ if let Role::Leading(l) = &self.role => {
                let failed = l.failed.as_deref().unwrap_or("a handover failed");
                (Cause::Handover, format!("{failed}, and {name} leads on"))
            }
            (Some(a), lost) => {
                let old = self.base.name(a.claim.node.id);
                let took = lost.as_ref().map(|l| ms(self.base.now.since(l.noticed))).unwrap_or_default();
                let why = match a.cause {
                    Cause::Store => "said that its store failed, and handed over",
                    Cause::Goodbye => "was told to stop, and handed over",
                    _ => "handed over",
                };
                (a.cause, format!("{old} {why} to {name}; {took} from the first sign to the new leader"))
            }
            (None, Some(l)) => {
                let took = ms(self.base.now.since(l.noticed));
                (l.cause, format!("{name} noticed: {}; {took} from the first sign to the new leader", l.text))
            }
            (None, None) if self.base.promises.shown().is_some_and(|shown| shown != c.claim) => {
                (Cause::Restart, "there was no leader any more".to_owned())
            }
            (None, None) => (Cause::First, "there was no leader".to_owned()),
        };
        let mut text = format!("{before}; {asked}");
        if text.len() > STORY_MAX {
            let cut = (0..=STORY_MAX).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
            text.truncate(cut);
        }
        Story { name, cause, text }
    }

    pub(super) fn begin_leading(&mut self, claim: Claim, story: Story, backed: BTreeSet<NodeId>) {
        let now = self.base.now;
        let backed = (backed, now + self.base.settings.after_canvass());
        self.base.past.turns(self.base.wall);
        for entry in self.base.members.iter_mut() {
            entry.via = None;
            entry.rtt_us = None;
        }
        self.data.catches_up = false;
        self.role = Role::Leading(Leading {
            claim,
            story,
            backed,
            led_since: now,
            sessions: BTreeMap::new(),
            joining: BTreeMap::new(),
            naming: Naming::default(),
            quick: QUICK,
            next_beat: now,
            changed: BTreeSet::new(),
            gone: BTreeSet::new(),
            listed_at: now,
            turn: 0,
            others: BTreeMap::new(),
            met: None,
            renewing: None,
            meets: VecDeque::new(),
            yielding: None,
            handover: None,
            data: None,
            copies: Box::default(),
            ahead: Box::new((BTreeSet::new(), now)),
            copying: BTreeMap::new(),
            compared: 0,
            compared_at: now,
            vacant: Some(now),
            failed: None,
            left_alone: None,
            check: None,
            replaced: Time(0),
            welcomed: Time(0),
            clones: BTreeMap::new(),
        });
        self.base.timers.set(Timer::Sweep, now + limits::SILENT);
    }

    /// Begins a new reign above `floor`: durable before anybody hears of it (§9). Whoever waits for it is answered then.
    pub(super) fn renew(&mut self, floor: u64, cause: Cause, text: String) {
        let name = self.base.me.name.clone();
        let busy = matches!(&self.role, Role::Leading(l) if l.renewing.as_ref().is_some_and(|r| r.claim.epoch > floor));
        if busy || !matches!(self.role, Role::Leading(_)) {
            return;
        }
        if !self.base.disk_works() {
            // It cannot begin: another serves better.
            return self.hand_over_for_store();
        }
        if let Some(old) = self.campaign.canvass.as_ref().map(|c| c.claim) {
            // The new reign is above it, and there is one of them only.
            self.withdraw(old, "a newer reign begins");
            self.end_canvass();
        }
        self.base.timers.clear(Timer::Elect);
        let claim = self.base.next_claim(floor);
        let story = Story { name, cause, text };
        let Role::Leading(l) = &mut self.role else { return };
        let (decided, joins) = l.renewing.take().map(|r| (r.decided, r.joins)).unwrap_or_default();
        l.renewing = Some(Renewing { claim, story: story.clone(), decided, joins });
        let writes = self.base.promises.make_with_reign(claim, self.base.now);
        self.base.persist(writes, Then::Reign(claim));
    }

    /// A new reign of this leader is durable.
    pub(super) fn reign_durable(&mut self, claim: Claim) {
        if matches!(self.role, Role::Leading(_)) {
            return self.renewed(claim);
        }
        // It was lost in the meantime, but it is on the disk: nothing below it is shown any more.
        self.base.promises.show_at_least(claim);
    }

    /// The new reign begins.
    pub(super) fn renewed(&mut self, claim: Claim) {
        let Role::Leading(l) = &mut self.role else { return };
        if l.renewing.as_ref().is_none_or(|r| r.claim != claim) {
            return;
        }
        let Some(Renewing { story, decided, joins, .. }) = l.renewing.take() else { return };
        let old = l.claim;
        l.claim = claim;
        l.story = story.clone();
        l.quick = QUICK;
        self.is_sure_again();
        self.base.promises.show(claim);
        self.base.past.turns(self.base.wall);
        let writes = self.base.past.enter(claim, &story, self.base.wall);
        self.base.persist(writes, Then::Nothing);
        let Role::Leading(l) = &self.role else { return };
        let conns: Vec<ConnId> = l.sessions.values().map(|s| s.conn).chain(l.joining.keys().copied()).collect();
        self.base.send_all(conns, Frame::Reigns(Reigns { claim, story: story.clone() }));
        let text = format!("this machine leads on: epoch {}, after epoch {}", claim.epoch, old.epoch);
        self.base.tell(Kind::Leading, Level::Info, Some(story.cause), text, vec![]);
        self.beat_now();
        for (conn, yields) in decided {
            self.base.send(conn, Frame::Decided(crate::message::Decided { stays: claim, yields }));
        }
        for conn in joins {
            self.take_in(conn);
        }
        self.lead_data();
        if !self.stopping && matches!(&self.role, Role::Leading(l) if l.hands_over()) {
            self.handing_failed("this machine leads on in a later reign");
        }
        if self.stopping {
            match self.next_heir(&BTreeSet::new()) {
                Some(to) => self.hand_over(to, Cause::Goodbye, true),
                None if self.programs.is_some() => {}
                None => return self.stop_now(),
            }
        }
        self.meet_due();
    }
}
