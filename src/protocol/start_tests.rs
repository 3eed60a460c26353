//! Many agents that start at once: who claims, who waits, who answers (protocol §5).

use super::host_for_tests::{Hosted, sender};
use super::*;
use crate::event::Kind;
use crate::message::{Goodbye, Hello, Notice};
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
    let crowd = |a: &mut Hosted| (10..160).for_each(|n| a.hears(n, hello(true, 101)));
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

/// §5: without a leader as many answer as are enough, twice over, however many are there.
#[test]
fn without_a_leader_a_few_answer() {
    let mut agent = Hosted::following();
    agent.loses_its_leader();
    agent.forget();
    let crowd = 10..110;
    for n in crowd.clone() {
        agent.hears_from(sender(n), super::host_for_tests::address(n), hello(true, 100));
    }
    agent.run(MS * 8);
    let few = agent.his();
    assert!((1..40).contains(&few), "{few}");
    agent.run(MS * 100);
    assert_eq!(agent.his(), few, "the others are silent");
}
