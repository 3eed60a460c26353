//! Once a second: the store's age, what is remembered, and what is forgotten (protocol §5, §6).

use super::role::{Following, Role};
use super::timers::Timer;
use super::ways::Purpose;
use super::writes::Then;
use super::{Node, Write, limits};
use crate::event::Kind;
use crate::ident::ConnId;
use crate::message::MemberState;
use crate::time::ms;

impl Node {
    /// Once a second, a quarter later when nothing happens: the store's age, members to remember and to forget, connections
    /// that ask for nothing.
    pub(super) fn house_due(&mut self) {
        let now = self.base.now;
        self.base.timers.set(Timer::House, now + limits::HOUSE * 5 / 4);
        let stuck = self.base.store_stuck();
        if self.base.writes.hangs(stuck) {
            let age = ms(self.base.store_age());
            self.base.warn(Kind::StoreTrouble, format!("the store has not finished a write for {age}"), vec![]);
        }
        if self.base.writes.calmed(now) {
            self.base.info(Kind::StoreTrouble, "this machine can write to its store again".to_owned(), vec![]);
        }
        self.look_at_the_lane();
        self.ask_digest();
        if stuck && let Role::Leading(l) = &mut self.role {
            // Nothing can come of a new reign now: whoever waits for it asks again.
            l.renewing = None;
            self.hand_over_for_store();
        }
        self.states();
        if self.base.writes.has_room() {
            let led = matches!(&self.role, Role::Leading(_) | Role::Following(Following { settled: true, .. }));
            if led && self.campaign.canvass.is_none() {
                self.base.end_promise();
            }
            let (now, wall) = (self.base.now, self.base.wall);
            let rows = self.base.members.unwritten(now, wall, 64);
            let dropped = self.base.members.take_dropped().into_iter().map(Write::Forget);
            let writes: Vec<Write> = dropped.chain(rows.into_iter().map(Write::Member)).collect();
            if !writes.is_empty() {
                self.base.persist(writes, Then::Nothing);
            }
        }
        self.forget_old();
        if self.greetings.say_hello_again() {
            self.hello();
        }
        let idle: Vec<ConnId> = self
            .base
            .ways
            .iter()
            .filter(|(_, c)| c.purpose == Purpose::Incoming && now.since(c.heard.max(c.began)) > limits::IDLE)
            .map(|(id, _)| id)
            .collect();
        for conn in idle {
            self.base.close(conn);
        }
        self.confirm_again();
        self.try_disk();
    }

    /// Without a leader's list, a member is alive while it is heard.
    fn states(&mut self) {
        let listed = match &self.role {
            Role::Leading(_) => true,
            Role::Following(f) => f.listed,
            Role::Electing(e) => e.lost.as_ref().is_some_and(|l| l.listed),
            Role::Listening(_) => false,
        };
        let now = self.base.now;
        if listed {
            return;
        }
        for entry in self.base.members.iter_mut().filter(|e| e.state != MemberState::Left) {
            let alive = entry.heard_within(limits::SILENT, now);
            entry.turns(if alive { MemberState::Alive } else { MemberState::Silent }, now);
        }
    }

    /// A reign that could not be written down is tried again.
    fn confirm_again(&mut self) {
        if let Role::Following(Following { confirmed: true, settled: false, claim, .. }) = &self.role {
            let claim = *claim;
            if self.base.store_age().is_zero() {
                self.confirm(claim);
            }
        }
    }
}
