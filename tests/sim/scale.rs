//! Many members: they settle, fail over and reunite, and what is sent grows with their number, never with its square.
//!
//! `TANIST_MEMBERS=2000 cargo test --release --test sim scale -- --nocapture` prints what it came to.

use crate::lan::Lan;
use crate::network::M;
use crate::script::{ms, s};
use std::collections::BTreeMap;

/// How many members, where the user does not say.
const MEMBERS: usize = 120;

fn members() -> usize {
    std::env::var("TANIST_MEMBERS").ok().and_then(|n| n.parse().ok()).unwrap_or(MEMBERS)
}

/// Up to 2,000 members settle within twice the time of 50 (§11).
const SETTLE: u64 = s(10);

/// How much more of one message four times as many members may send: four times is their number, and twice that when a
/// moment came once more; sixteen times is its square.
const GROWTH: f64 = 10.0;

/// What a phase took in virtual time, and what was sent in it: a broadcast once, however many hear it.
struct Phase {
    name: &'static str,
    microseconds: u64,
    sent: BTreeMap<&'static str, u64>,
}

/// Measures one phase.
fn phase(lan: &mut Lan, name: &'static str, happen: impl FnOnce(&mut Lan)) -> Phase {
    let (began, before) = (lan.now, lan.sent.messages.clone());
    happen(lan);
    let sent = lan.sent.messages.iter().map(|(word, n)| (*word, n - before.get(word).copied().unwrap_or(0)));
    Phase { name, microseconds: lan.now - began, sent: sent.filter(|(_, n)| *n > 0).collect() }
}

/// Waits until one leads and all name it, then until all that follows from it is said.
fn settle(lan: &mut Lan) {
    lan.settle_within(SETTLE);
    lan.run(s(2));
}

fn life(members: usize) -> Vec<Phase> {
    let mut lan = Lan::dark(u64::try_from(members).expect("small"), members);
    let mut phases = Vec::new();
    phases.push(phase(&mut lan, "all are switched on within a second", |lan| {
        lan.boot_all_within(s(1));
        settle(lan);
    }));
    phases.push(phase(&mut lan, "the leader is killed", |lan| {
        lan.kill_leader();
        settle(lan);
    }));
    let half: Vec<M> = (0..members / 2).collect();
    phases.push(phase(&mut lan, "the office is cut in two halves", |lan| {
        let other: Vec<M> = lan.running().into_iter().filter(|m| *m >= members / 2).collect();
        let half: Vec<M> = lan.running().into_iter().filter(|m| half.contains(m)).collect();
        lan.split(&half);
        let end = lan.now + SETTLE;
        while lan.one_among(&half).and(lan.one_among(&other)).is_err() && lan.now < end {
            lan.run(ms(20));
        }
        lan.expect_one_among(&half);
        lan.expect_one_among(&other);
        lan.run(s(4));
    }));
    phases.push(phase(&mut lan, "both halves meet", |lan| {
        lan.heal_all();
        settle(lan);
    }));
    phases
}

#[test]
fn scale() {
    let members = members();
    let (few, many) = (life(members / 4), life(members));
    let mut squares = Vec::new();
    for (few, many) in few.iter().zip(&many) {
        println!("{}, then 2 s: {:.3} s with {members} members", many.name, many.microseconds as f64 / 1e6);
        for (word, n) in &many.sent {
            let fewer = few.sent.get(word).copied().unwrap_or(0);
            let growth = *n as f64 / fewer.max(1) as f64;
            println!(
                "  {word:<20} {fewer:>9} with a quarter of them, {n:>9}: {growth:.2} times, {:.2} each",
                *n as f64 / members as f64
            );
            // What all hear once more or once less is chance, and no square of anything.
            if growth > GROWTH && *n > 4 * u64::try_from(members).expect("small") {
                squares.push(format!("{}: {word}: {fewer}, then {n}", many.name));
            }
        }
    }
    assert!(squares.is_empty(), "these grow with the square of the members: {squares:?}");
}

/// Where the processors cannot keep up, whatever is said to all comes late, and nobody hears in time that others have
/// answered already. What a crowd says then must not be what keeps it late: on one machine with two processors two hundred
/// agents drowned in one another's answers, each copied two hundred times.
#[test]
fn a_crowd_that_hears_late_does_not_drown() {
    let members = 120;
    let mut lan = Lan::dark(7, members);
    lan.net.weather.late = 1.0;
    lan.net.weather.late_max = ms(800);
    lan.boot_all_within(ms(50));
    lan.run(s(10));
    let said = ["Hello", "Hi", "Welcome", "Heartbeat", "Notice"].map(|word| (word, lan.sent.messages[word]));
    println!("{members} members that hear each other late, in 10 s: {said:?}");
    let each = said.iter().map(|(_, n)| n).sum::<u64>() as f64 / members as f64;
    assert!(each < 10.0, "{each:.1} from each member: {said:?}");
    lan.net.weather.late = 0.0;
    settle(&mut lan);
}

/// A switch starts anew and lets nothing through for a while, so that everybody leads alone; then all meet at once.
fn meeting(members: usize) -> Phase {
    let mut lan = Lan::dark(3, members);
    lan.boot_all_within(s(1));
    settle(&mut lan);
    (0..members).for_each(|m| lan.split(&[m]));
    lan.run(s(8));
    assert_eq!(lan.leaders().len(), members, "everybody leads");
    phase(&mut lan, "all who were alone meet", |lan| {
        lan.heal_all();
        settle(lan);
    })
}

#[test]
fn all_who_were_alone_meet_a_few_each() {
    let members = members();
    let (few, many) = (meeting(members / 4), meeting(members));
    println!("{}, then 2 s: {:.3} s with {members} members", many.name, many.microseconds as f64 / 1e6);
    let each = |phase: &Phase, word, members| *phase.sent.get(word).unwrap_or(&0) as f64 / members as f64;
    for word in many.sent.keys().copied() {
        let (fewer, more) = (each(&few, word, members / 4), each(&many, word, members));
        println!("  {word:<20} {fewer:>5.2} each with a quarter of them, {more:>5.2} each");
        assert!(more < 30.0, "{more:.2} {word} each");
    }
}

/// A floor loses its power, and with it go the leader, its successor and all who come first in the line of succession. The
/// others do not try the dead one by one: that took ten seconds. Nor do all claim when the leader refuses, so that nobody
/// has said Hello.
#[test]
fn a_floor_that_loses_its_power_is_not_tried_one_by_one() {
    for refuses in [false, true] {
        let members = 100;
        let mut lan = Lan::dark(9, members);
        let (mut floor, others): (Vec<M>, Vec<M>) = (0..members).partition(|m| *m < members / 2);
        floor.iter().for_each(|m| lan.boot(*m));
        lan.run(s(30));
        others.iter().for_each(|m| lan.boot(*m));
        settle(&mut lan);
        let leader = lan.leader();
        assert!(floor.contains(&leader), "who was there first leads");
        floor.retain(|m| !refuses || *m != leader);
        lan.split(&floor);
        if refuses {
            lan.kill_leader();
        }
        let (began, before) = (lan.now, lan.sent.messages.clone());
        while lan.one_among(&others).is_err() && lan.now < began + SETTLE {
            lan.run(ms(10));
        }
        let took = lan.now - began;
        let claims = lan.sent.messages["Notice"] - before.get("Notice").unwrap_or(&0);
        println!("50 of {members} fall silent, {refuses}: {:.2} s, {claims} claims", took as f64 / 1e6);
        assert!(took < ms(1_500) && claims <= 5, "{took} µs, {claims} claims");
    }
}
