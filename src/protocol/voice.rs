//! Answering a canvass (protocol §7.3): the rule as a pure function, and what it does to this agent.

use super::role::{Following, Role};
use super::timers::Timer;
use super::writes::Then;
use super::{Node, Promise, limits};
use crate::claim::Claim;
use crate::event::Kind;
use crate::ident::{ConnId, Incarnation};
use crate::message::{Canvass, Frame, Says, Voice};
use std::collections::BTreeSet;

/// What a member knows when it judges a claim.
#[derive(Clone, Copy)]
struct Judge {
    me: Incarnation,
    /// It may lead and is whole.
    fit: bool,
    promised: Option<Promise>,
    /// That promise was made within the last canvass deadline and 2 intervals.
    recent: bool,
    /// The highest epoch that it shows.
    shown: Option<Claim>,
    /// The highest epoch that it has heard of on a connection.
    heard: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Judgement {
    Back,
    Better(Claim),
    Taken(Claim),
    Higher(u64),
    /// The claimant is not whole and this member is: it claims itself.
    ClaimMyself,
}

fn judge(j: Judge, c: Claim, whole: bool) -> Judgement {
    if let Some(p) = j.promised {
        if p.claim == c && !p.withdrawn {
            return Judgement::Back;
        }
        if p.claim.epoch > c.epoch {
            return if j.recent && !p.withdrawn {
                Judgement::Better(p.claim)
            } else {
                Judgement::Higher(p.claim.epoch)
            };
        }
    }
    if let Some(shown) = j.shown.filter(|s| s.epoch >= c.epoch) {
        return Judgement::Higher(shown.epoch);
    }
    if !whole && j.fit {
        return Judgement::ClaimMyself;
    }
    match j.promised {
        Some(p) if p.claim.epoch == c.epoch && !p.withdrawn => {
            let own = p.claim.node == j.me;
            if !own && !j.recent {
                // Nothing comes of it any more, and it stays the only one of its epoch.
                Judgement::Higher(c.epoch)
            } else if p.claim > c {
                Judgement::Better(p.claim)
            } else if own {
                Judgement::Back
            } else {
                Judgement::Taken(p.claim)
            }
        }
        _ if j.heard > c.epoch => Judgement::Higher(j.heard),
        _ => Judgement::Back,
    }
}

impl Node {
    /// Somebody asks for this agent's voice.
    pub(super) fn canvassed(&mut self, conn: ConnId, canvass: Canvass) {
        let Some(peer) = self.base.peer(conn) else { return };
        // Without room on the disk there is no promise, and so no voice.
        if canvass.claim.node != peer || !self.base.believe(canvass.claim) || !self.base.writes.has_room() {
            return;
        }
        if self.insists() && self.campaign.canvass.is_some() {
            return;
        }
        let writes = self.base.disk_works();
        match &mut self.role {
            Role::Leading(l) => {
                let released = l.handover.as_ref().is_some_and(|h| {
                    h.asked() && canvass.abdicate.is_some_and(|a| a.claim == h.claim && a.to == h.to && h.to == peer)
                });
                let (own, serving) = (l.claim, l.check.is_none());
                if !released && writes && serving {
                    let known = self.known_self(own);
                    return self.say(conn, canvass.claim, Says::LeaderAlive(known));
                }
                self.judge_canvass(conn, canvass);
            }
            Role::Following(f) => {
                let released = canvass.abdicate.is_some_and(|a| a.claim == f.claim && a.to == peer);
                if released {
                    f.released = Some(canvass.claim);
                }
                if released || f.claim.node == peer {
                    self.judge_canvass(conn, canvass);
                } else {
                    self.ask_for(conn, canvass);
                }
            }
            Role::Electing(_) | Role::Listening(_) => self.judge_canvass(conn, canvass),
        }
    }

    /// Judges a claim that no living leader stands against.
    pub(super) fn judge_canvass(&mut self, conn: ConnId, canvass: Canvass) {
        let claim = canvass.claim;
        let renewing = match &self.role {
            Role::Leading(l) => l.renewing.as_ref().map(|r| r.claim),
            _ => None,
        };
        // An own reign that is on its way to the disk is as good as begun.
        if let Some(own) = renewing {
            let known = self.known_self(own);
            return self.say(conn, claim, Says::LeaderAlive(known));
        }
        let judge_by = Judge {
            me: self.base.me.node,
            fit: self.fit(),
            promised: self.base.promises.promised(),
            recent: self.base.backing_left().is_some(),
            shown: self.base.showing(),
            heard: self.base.promises.heard_epoch(),
        };
        let says = match judge(judge_by, claim, canvass.whole) {
            Judgement::Back => return self.back(conn, claim),
            Judgement::Better(better) => Says::Better(better),
            Judgement::Taken(taken) => Says::Taken(taken),
            Judgement::Higher(epoch) => Says::Higher(epoch),
            Judgement::ClaimMyself => return self.claim_instead(conn, claim),
        };
        self.say(conn, claim, says);
    }

    /// Backs a claim: durable before it is said.
    fn back(&mut self, conn: ConnId, claim: Claim) {
        if !self.campaign.may_back(self.base.now) {
            return;
        }
        let own = self
            .base
            .promises
            .promised()
            .filter(|p| p.claim.node == self.base.me.node && p.claim != claim && !p.withdrawn);
        if let Some(own) = own {
            self.base.promises.withdraw(own.claim);
        }
        let name = self.base.name(claim.node.id);
        if let Some(c) = &self.campaign.canvass {
            let text = format!("this machine withdrew its claim of epoch {}: {name} has the better one", c.claim.epoch);
            let epoch = c.claim.epoch;
            self.base.info(Kind::ClaimWithdrawn, text, vec![("claimed", epoch.into())]);
            self.end_canvass();
        }
        let withdrew = self.base.promises.withdrew(claim.epoch);
        let voice = Voice { claim, says: Says::Backed, withdrew, holds: self.data.number };
        self.base.promise(Promise::of(claim), Then::Say { conn, voice });
        let text = format!("this machine backs {name} for epoch {}", claim.epoch);
        self.base.info(Kind::ClaimBacked, text, vec![("claimant", name.into()), ("claimed", claim.epoch.into())]);
        let (pause, insists) = (self.base.settings.after_canvass(), self.insists());
        match &mut self.role {
            // Nobody has led for long.
            Role::Electing(_) if insists => self.wait(pause / limits::WAITS),
            Role::Electing(_) => self.wait_for(claim.node, pause),
            Role::Listening(_) if insists => {}
            Role::Listening(l) => {
                l.turn = false;
                self.base.timers.set(Timer::Join, self.base.now + pause);
            }
            // It stays with its leader until the claim beats (§7.3).
            Role::Following(Following { .. }) | Role::Leading(_) => {}
        }
    }

    pub(super) fn say(&mut self, conn: ConnId, claim: Claim, says: Says) {
        let withdrew = self.base.promises.withdrew(claim.epoch);
        let name = self.base.name(claim.node.id);
        let why = match &says {
            Says::LeaderAlive(known) if known.claim.node == self.base.me.node => "this machine leads".to_owned(),
            Says::LeaderAlive(known) => format!("leader {} answers", known.name),
            Says::Better(_) => "there is a better claim".to_owned(),
            Says::Taken(_) => "another claim of that epoch is backed already".to_owned(),
            Says::Higher(epoch) => format!("epoch {epoch} is known"),
            Says::Backed => String::new(),
        };
        let text = format!("this machine does not back {name} for epoch {}: {why}", claim.epoch);
        self.base.info(Kind::ClaimRefused, text, vec![("claimant", name.into()), ("claimed", claim.epoch.into())]);
        self.base.send(conn, Frame::Voice(Voice { claim, says, withdrew, holds: self.data.number }));
    }

    /// Claims the next epoch on the spot, because the claimant is not whole, and names that.
    fn claim_instead(&mut self, conn: ConnId, claim: Claim) {
        if !matches!(self.role, Role::Electing(_)) {
            if matches!(self.role, Role::Leading(_) | Role::Following(_)) {
                return self.say(conn, claim, Says::Higher(claim.epoch));
            }
            self.elect_first("a claimant is still catching up");
        } else if self.campaign.canvass.is_none() {
            self.canvass(None, &BTreeSet::new());
        }
        if let Some(c) = &self.campaign.canvass {
            let own = c.claim;
            self.say(conn, claim, Says::Better(own));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::{BootId, NodeId};
    use crate::time::Wall;

    fn claim(epoch: u64, at: u64, id: u128) -> Claim {
        Claim { epoch, at: Wall(at), node: Incarnation { id: NodeId(uuid::Uuid::from_u128(id)), boot: BootId(1) } }
    }

    #[test]
    fn one_circumstance_at_a_time_decides_the_answer() {
        let asked = claim(5, 100, 7);
        let (better, worse) = (claim(5, 99, 8), claim(5, 101, 6));
        let mine = claim(5, 101, 1);
        let promise = |claim| Some(Promise::of(claim));
        let base =
            Judge { me: mine.node, fit: true, promised: None, recent: true, shown: Some(claim(4, 1, 9)), heard: 5 };
        let ask = |j: Judge| judge(j, asked, true);
        assert_eq!(ask(base), Judgement::Back);
        assert_eq!(ask(Judge { promised: promise(asked), ..base }), Judgement::Back, "the same again");
        assert_eq!(ask(Judge { promised: promise(better), ..base }), Judgement::Better(better));
        assert_eq!(ask(Judge { promised: promise(worse), ..base }), Judgement::Taken(worse));
        assert_eq!(ask(Judge { promised: promise(mine), ..base }), Judgement::Back, "the own worse claim is withdrawn");
        let vain = |claim| Judge { promised: promise(claim), recent: false, ..base };
        assert_eq!(ask(vain(better)), Judgement::Higher(5), "nothing comes of that one any more");
        assert_eq!(ask(vain(worse)), Judgement::Higher(5));
        assert_eq!(ask(vain(asked)), Judgement::Back, "it was promised to this one");
        let withdrawn = Some(Promise { withdrawn: true, ..Promise::of(claim(5, 99, 1)) });
        assert_eq!(ask(Judge { promised: withdrawn, ..base }), Judgement::Back, "a withdrawn one binds nobody");
        assert_eq!(ask(Judge { promised: promise(claim(4, 1, 9)), ..base }), Judgement::Back, "an older epoch is over");
        let later = claim(6, 500, 9);
        assert_eq!(ask(Judge { promised: promise(later), ..base }), Judgement::Better(later));
        assert_eq!(ask(Judge { promised: promise(later), recent: false, ..base }), Judgement::Higher(6));
        assert_eq!(ask(Judge { shown: Some(claim(5, 1, 9)), ..base }), Judgement::Higher(5), "no epoch twice");
        assert_eq!(ask(Judge { heard: 6, ..base }), Judgement::Higher(6));
        assert_eq!(judge(base, asked, false), Judgement::ClaimMyself, "who is catching up yields to who is whole");
        assert_eq!(judge(Judge { fit: false, ..base }, asked, false), Judgement::Back);
    }
}
