//! Sentences of the protocol that say what one agent does when others say just this at just that time.

use super::host_for_tests::{Hosted, address, beat, sender};
use super::*;
use crate::event::Kind;
use crate::message::{Known, Notice, Says, Told, Voice};
use crate::wire::samples;

const I: Duration = Duration::from_millis(250);

/// The default interval, `n` quarters of it.
fn quarters(n: u32) -> Duration {
    I * n / 4
}

impl Hosted {
    /// Whoever it dialled to ask refuses: its leader, number 1, is dead to it.
    fn loses_its_leader(&mut self) {
        self.step(Input::Closed { conn: ConnId(1), how: Closed::Reset });
        self.refuses(1);
        assert!(self.told.contains(&Kind::LeaderLost), "{:?}", self.told);
    }

    /// The dials to number `n` that are under way are refused.
    fn refuses(&mut self, n: u64) {
        let refused: Vec<ConnId> = self.dials.iter().filter(|(_, to)| *to == address(n)).map(|(c, _)| *c).collect();
        self.dials.retain(|(conn, _)| !refused.contains(conn));
        for conn in refused {
            self.step(Input::Closed { conn, how: Closed::Refused });
        }
    }

    fn claimed(&self) -> Option<Claim> {
        self.sent.iter().rev().find_map(|(_, frame)| match frame {
            Frame::Canvass(canvass) => Some(canvass.claim),
            _ => None,
        })
    }

    fn times(&self, kind: Kind) -> usize {
        self.told.iter().filter(|told| **told == kind).count()
    }
}

/// §7.2: who was told that the first in line is on it waits 2 intervals and half an interval for its own place.
#[test]
fn who_was_told_that_another_is_on_it_waits_for_its_turn() {
    let mut agent = Hosted::following();
    agent.loses_its_leader();
    let first = agent.connects(3);
    agent.frame(first, Frame::Told(Told::OnIt));
    agent.run(I * 2 + quarters(2) - Duration::from_millis(1));
    assert_eq!(agent.times(Kind::Claiming), 0, "it is the other's turn");
    agent.run(Duration::from_millis(2));
    assert_eq!(agent.times(Kind::Claiming), 1);
}

/// §7.2: "not I", and a refusal: the next in line is told; who finds itself next claims at once.
#[test]
fn who_finds_itself_next_in_line_claims_at_once() {
    for refused in [false, true] {
        let mut agent = Hosted::following();
        agent.loses_its_leader();
        if refused {
            agent.refuses(3);
        } else {
            let first = agent.connects(3);
            agent.frame(first, Frame::Told(Told::NotI));
        }
        assert_eq!(agent.times(Kind::Claiming), 1, "{:?}", agent.told);
    }
}

/// §7.3: another claim of the same epoch that a member has backed is an objection, until its owner says that it withdrew.
#[test]
fn a_claim_that_is_taken_wins_when_the_other_is_withdrawn() {
    for withdrawn in [false, true] {
        let mut agent = Hosted::following();
        let members = vec![super::host_for_tests::samples_member(4)];
        agent.frame(ConnId(1), Frame::Members(crate::message::Members { changed: members, gone: vec![] }));
        agent.loses_its_leader();
        agent.refuses(3);
        agent.refuses(4);
        let claim = agent.claimed().expect("it claims");
        let worse = Claim { epoch: claim.epoch, ..samples::claim(0, 3) };
        let four = agent.connects(4);
        agent.frame(four, Frame::Voice(Voice { claim, says: Says::Taken(worse), withdrew: None }));
        if withdrawn {
            let owner = agent.connects(3);
            let says = Says::Backed(Default::default());
            agent.frame(owner, Frame::Voice(Voice { claim, says, withdrew: Some(worse) }));
        } else {
            agent.refuses(3);
        }
        agent.run(quarters(4));
        let won = agent.node.status().role == RoleName::Leading;
        assert_eq!(won, withdrawn, "{:?}", agent.told);
    }
}

/// §7.3: while others say that the leader lives, the pauses between two claims are at least 4, 8 and 16 intervals.
#[test]
fn who_is_told_that_the_leader_lives_asks_ever_more_seldom() {
    let mut agent = Hosted::following();
    let reign = agent.node.status().shown.expect("it follows");
    let known = Known { claim: reign, name: "pc-1".to_owned(), address: address(1), direct: true };
    agent.loses_its_leader();
    let mut last: Option<Time> = None;
    let mut pauses = Vec::new();
    while pauses.len() < 3 {
        agent.refuses(1);
        if let Some(claim) = agent.claimed() {
            agent.sent.clear();
            pauses.extend(last.map(|at| agent.now.time.since(at)));
            last = Some(agent.now.time);
            let conn = agent.connects(3);
            let says = Says::LeaderAlive(known.clone());
            agent.frame(conn, Frame::Voice(Voice { claim, says, withdrew: None }));
        } else {
            // It tells the first in line, too, who will not.
            agent.refuses(3);
        }
        agent.run(Duration::from_millis(5));
    }
    for (pause, least) in pauses.iter().zip([4, 8, 16]) {
        assert!(*pause >= I * least, "{pauses:?}");
    }
}

/// §5: Hellos at 0, a third and two thirds of the join wait, then with pauses that double up to 2 s, give or take a fifth.
#[test]
fn hellos_become_rarer_while_there_is_no_leader() {
    let mut agent = Hosted::listening();
    // A claim that is announced again and again keeps it from claiming itself.
    let mut said = vec![agent.now.time];
    agent.forget();
    for n in 0..1500 {
        let claim = samples::claim(20 + n / 40, 9);
        agent.hears_from(sender(9), address(9), Cast::Notice(Notice { claim }));
        agent.run(Duration::from_millis(5));
        let hellos = agent.cast.iter().filter(|(to, cast)| *to == To::Everyone && matches!(cast, Cast::Hello(_)));
        said.extend(hellos.map(|_| agent.now.time));
        agent.forget();
    }
    let pauses: Vec<u128> = said.windows(2).map(|two| two[1].since(two[0]).as_millis()).collect();
    assert!(pauses.len() >= 5, "{pauses:?}");
    // Now that it knows of somebody, its join wait is 2.25 intervals.
    assert!(pauses[0].abs_diff(100) <= 10 && pauses[1].abs_diff(187) <= 10, "{pauses:?}");
    for (pause, due) in pauses[2..].iter().zip([375, 750, 1500, 2000, 2000]) {
        assert!((due * 4 / 5..=due * 6 / 5 + 10).contains(pause), "{due}: {pauses:?}");
    }
}

/// §6: a beat of another reign of the same process is a sign of life and nothing else, until a connection says more.
#[test]
fn a_datagram_does_not_move_the_reign_that_is_shown() {
    let mut agent = Hosted::following();
    let shown = agent.node.status().shown;
    agent.hears(1, beat(samples::claim(8, 1), 2));
    assert_eq!(agent.node.status().shown, shown);
}
