//! Many agents that start at once: who claims, who waits, who answers (protocol §5).

use super::hosted::{Hosted, beat};
use super::*;
use crate::event::Kind;
use crate::message::{Goodbye, Hello, Hi, Notice};
use crate::wire::samples;

const MS: Duration = Duration::from_millis(1);

fn hello(broadcast: bool, priority: u8) -> Cast {
    Cast::Hello(Hello { broadcast, version: String::new(), priority })
}

impl Hosted {
    /// The answers to Hellos that it has sent.
    fn his(&self) -> usize {
        self.cast.iter().filter(|(_, cast)| matches!(cast, Cast::Hi(_))).count()
    }

    /// It is woken so much later than it asked for.
    fn wakes_late(&mut self, late: Duration) {
        let (due, _) = self.node.deadline().expect("it has plans");
        self.at(due + late);
        self.step(Input::Tick);
    }
}

/// How long after its start number 2 claims when it has heard these, in ms.
fn claims_after(heard: impl FnOnce(&mut Hosted)) -> u32 {
    let mut agent = Hosted::listening();
    agent.run(MS * 250);
    heard(&mut agent);
    (250..1000)
        .find(|_| {
            agent.run(MS);
            agent.times(Kind::Claiming) > 0
        })
        .expect("it claims")
        + 1
}

/// §5: each that comes before this agent, by priority and then by id, may claim first.
#[test]
fn who_starts_together_claims_one_after_the_other() {
    assert_eq!(claims_after(|_| ()), 300);
    assert_eq!(claims_after(|a| a.hears(1, hello(true, 100))), 301, "the smaller id goes first");
    assert_eq!(claims_after(|a| a.hears(3, hello(true, 100))), 300, "the greater id waits");
    assert_eq!(claims_after(|a| a.hears(3, hello(true, 101))), 301, "the higher priority goes first");
    assert_eq!(claims_after(|a| a.hears(1, hello(true, 99))), 300, "the lower priority waits");
    assert_eq!(claims_after(|a| a.hears(1, hello(true, 0))), 300, "it never claims");
    let left = |a: &mut Hosted| {
        a.hears(1, hello(true, 100));
        a.hears(1, Cast::Goodbye(Goodbye { ends: None, leader: None }));
    };
    assert_eq!(claims_after(left), 300, "it is not there any more");
}

/// §5: in a crowd the turns end after a third of the join wait, and the others take one at random in the next.
#[test]
fn in_a_crowd_nobody_waits_long_for_its_turn() {
    let crowd = |a: &mut Hosted| (10..250).for_each(|n| a.hears(n, hello(true, 101)));
    let after = claims_after(crowd);
    assert!((400..=500).contains(&after), "{after}");
}

/// §5: a claim that is announced while it waits for its turn is given its time, and then the turns begin anew.
#[test]
fn a_claim_that_is_announced_ends_the_turn() {
    let announced = |a: &mut Hosted| {
        a.hears(1, hello(true, 100));
        a.run(MS * 50);
        assert_eq!(a.times(Kind::Claiming), 0);
        a.hears(1, Cast::Notice(Notice { claim: samples::claim(3, 1) }));
    };
    // The canvass deadline and 2 intervals are 687.5 ms; 50 ms have passed without being counted.
    assert_eq!(claims_after(announced) + 50, 300 + 688 + 1);
}

/// §5: the end of the join wait that comes late is put off, for what others have said meanwhile; but not for ever.
#[test]
fn what_came_while_it_was_late_is_heard_first() {
    let mut agent = Hosted::listening();
    agent.run(MS * 290);
    for late in 0..limits::LATE {
        agent.wakes_late(MS * 40);
        assert_eq!(agent.times(Kind::Claiming), 0, "late for time {late}");
    }
    let mut other = Hosted::listening();
    other.run(MS * 290);
    other.wakes_late(MS * 40);
    other.hears(9, Cast::Notice(Notice { claim: samples::claim(3, 9) }));
    other.run(MS * 600);
    assert_eq!(other.times(Kind::Claiming), 0, "the claim was in its socket");
    agent.wakes_late(MS * 40);
    assert_eq!(agent.times(Kind::Claiming), 1, "a machine may always be late");
}

/// §5: who is in its join wait says Hello or claims before long, and does not answer those that everybody heard.
#[test]
fn who_has_just_started_answers_only_who_asks_it() {
    let mut agent = Hosted::listening();
    agent.hears(9, hello(true, 100));
    agent.run(MS * 100);
    assert_eq!(agent.his(), 0);
    agent.hears(9, hello(false, 100));
    agent.run(MS * 100);
    assert_eq!(agent.his(), 1);
}

/// How many of 100 such agents answer number 200, which greets everybody, when each of them knows 100 members.
fn answers(such: fn() -> Hosted) -> usize {
    let answers = |n: u64| {
        let mut agent = such();
        for _ in 0..n {
            agent.node.base.chance.duration(MS);
        }
        for n in 10..110 {
            agent.hears(n, Cast::Hi(Hi { to: agent.node.sender().node, leader: None, priority: 100 }));
        }
        agent.forget();
        agent.hears(200, hello(true, 100));
        agent.run(MS * 110);
        agent.his()
    };
    (0..100).map(answers).sum()
}

/// §5: twice as many answer as are enough, however many are there, and whether they know of a leader or not.
#[test]
fn of_a_crowd_a_few_answer() {
    let leaderless = || {
        let mut agent = Hosted::following();
        agent.loses_its_leader();
        agent
    };
    for (what, answer) in [("a leader is known", answers(Hosted::following)), ("nobody leads", answers(leaderless))] {
        assert!((1..=25).contains(&answer), "{what}: {answer}");
    }
}

/// §5: an answer to everybody answers all that have asked and ask within 10 ms for each member that is there; who asks
/// this agent alone is answered.
#[test]
fn one_answer_is_for_all_that_ask() {
    let mut agent = Hosted::following();
    agent.hears(3, beat(samples::claim(1, 3), 0));
    agent.forget();
    for n in 10..14 {
        agent.hears(n, hello(true, 100));
    }
    agent.run(MS * 8);
    assert_eq!(agent.his(), 1);
    agent.hears(14, hello(true, 100));
    agent.run(MS * 20);
    assert_eq!(agent.his(), 1, "it has heard the answer to the others");
    agent.hears(15, hello(false, 100));
    agent.run(MS * 10);
    assert_eq!(agent.his(), 2, "to nobody else has anybody spoken");
    agent.run(MS * 60);
    agent.hears(16, hello(true, 100));
    agent.run(MS * 10);
    assert_eq!(agent.his(), 3, "that was long ago");
}
