//! Sentences of the protocol about who claimed while the leader answered others (§7.3).

use super::hosted::{Hosted, address, beat, joined, sender};
use super::*;
use crate::event::Kind;
use crate::message::{Frame, Known, Says, Tell, Told, Voice};
use crate::wire::samples;

const I: Duration = Duration::from_millis(250);

impl Hosted {
    /// Number 3 says that the leader, number 1, answers it.
    fn vetoed(&mut self, claim: Claim) {
        let reign = samples::claim(7, 1);
        let known = Known { claim: reign, name: "pc-1".to_owned(), address: address(1), direct: true };
        let conn = self.connects(3);
        self.frame(conn, Frame::Voice(Voice { claim, says: Says::LeaderAlive(known), withdrew: None, holds: 0 }));
        self.sent.clear();
    }

    /// It has claimed in vain against the reign of number 1, and follows it again.
    fn following_after_a_veto() -> (Self, ConnId) {
        let mut agent = Self::following();
        agent.loses_its_leader();
        agent.refuses(3);
        let claim = agent.claimed().expect("it claims");
        agent.vetoed(claim);
        let session = agent.connects(1);
        agent.frame(session, Frame::Joined(joined(samples::claim(7, 1))));
        agent.forget();
        (agent, session)
    }

    /// The session breaks, and the leader's machine refuses the question; number 3, the first in line, is gone as well.
    fn loses_it_again(&mut self, session: ConnId) {
        self.step(Input::Closed { conn: session, how: Closed::Reset });
        self.refuses(1);
        self.refuses(3);
    }

    /// Number 4 says that the leader is dead, and is answered.
    pub(super) fn is_told(&mut self) -> Told {
        self.is_told_by(4)
    }

    pub(super) fn is_told_by(&mut self, n: u64) -> Told {
        let conn = self.accepts(sender(n), address(n));
        self.frame(conn, Frame::Tell(Tell { claim: samples::claim(7, 1) }));
        let told = |(c, frame): &(ConnId, Frame)| match frame {
            Frame::Told(told) if *c == conn => Some(told.clone()),
            _ => None,
        };
        self.sent.iter().find_map(told).expect("an answer")
    }
}

/// §7.3: while others say that the leader lives, the pauses between two claims are at least 4, 8, 16 and 32 intervals, and
/// they are heard each time.
#[test]
fn who_is_told_that_the_leader_lives_asks_ever_more_seldom() {
    let mut agent = Hosted::following();
    agent.loses_its_leader();
    let mut last: Option<Time> = None;
    let mut pauses = Vec::new();
    while pauses.len() < 4 {
        agent.refuses(1);
        if let Some(claim) = agent.claimed() {
            agent.sent.clear();
            pauses.extend(last.map(|at| agent.now.time.since(at)));
            last = Some(agent.now.time);
            agent.vetoed(claim);
        } else {
            // It tells the first in line, too, who will not.
            agent.refuses(3);
        }
        agent.run(Duration::from_millis(5));
        assert!(agent.node.status().role != RoleName::Leading, "it leads beside a living leader: {pauses:?}");
    }
    for (pause, least) in pauses.iter().zip([4, 8, 16, 32]) {
        assert!(*pause >= I * least, "{pauses:?}");
    }
}

/// A veto is no reason to wait when its leader is followed again, and then refuses a question.
#[test]
fn who_followed_again_claims_at_once_when_the_leader_is_proved_dead() {
    let (mut agent, session) = Hosted::following_after_a_veto();
    agent.run(I);
    agent.loses_it_again(session);
    assert!(agent.claimed().is_some(), "{:?}", agent.told);
}

/// But a session that breaks at once, time and again, proves little: a claim costs everybody a question.
#[test]
fn who_has_only_just_come_back_sits_out_its_veto() {
    let (mut agent, session) = Hosted::following_after_a_veto();
    agent.run(I * 3 / 4);
    agent.loses_it_again(session);
    assert!(agent.claimed().is_none(), "{:?}", agent.told);
    agent.run(I * 4);
    assert!(agent.claimed().is_some(), "{:?}", agent.told);
}

/// Nor when it falls silent then: who was vetoed may be its successor by now.
#[test]
fn who_followed_again_claims_at_once_when_the_leader_falls_silent() {
    let (mut agent, _) = Hosted::following_after_a_veto();
    agent.hears(1, beat(samples::claim(7, 1), 2));
    agent.run(I * 7 / 2);
    agent.refuses(3);
    assert!(agent.told.contains(&Kind::LeaderLost), "{:?}", agent.told);
    assert!(agent.claimed().is_some(), "{:?}", agent.told);
}

/// Nobody is to count on one that would not claim.
#[test]
fn who_sits_out_a_veto_says_that_it_does_not_claim() {
    let (mut agent, session) = Hosted::following_after_a_veto();
    assert_eq!(agent.is_told(), Told::NotI, "it follows, and would wait");
    agent.loses_it_again(session);
    assert_eq!(agent.is_told(), Told::NotI, "it waits");
    let (mut agent, _) = Hosted::following_after_a_veto();
    agent.run(I);
    assert_eq!(agent.is_told(), Told::OnIt, "it would claim at once");
}
