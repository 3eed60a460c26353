//! What somebody on the LAN who means ill can do to an agent of a cluster without a key, and cannot (protocol §12).

use super::hosted::{Hosted, address, beat, sender};
use super::*;
use crate::ident::BootId;
use crate::message::{Answer, Canvass, Goodbye, Hello, Hi, Known, NotJoined, Notice, Open, Sender, Standing, Via};
use crate::wire::samples;
use std::collections::BTreeSet;

/// A leader with the victim's id and another boot.
fn double(victim: &Hosted) -> Sender {
    let node = Incarnation { id: victim.id(), boot: BootId(666) };
    Sender { node, name: "pc-2".to_owned(), port: 8264 }
}

#[test]
fn somebody_who_says_cloned_is_believed_three_times_in_three_minutes() {
    let mut victim = Hosted::listening();
    let mut ids = BTreeSet::from([victim.id()]);
    for _ in 0..600 {
        let double = double(&victim);
        let claim = Claim { node: double.node, ..samples::claim(9, 9) };
        victim.hears_from(double.clone(), address(9), beat(claim, 9));
        while let Some((conn, _)) = victim.dials.pop() {
            victim.step(Input::Connected { conn });
            victim.frame(conn, Frame::Open(Open { from: double.clone(), via: None }));
            victim.frame(conn, Frame::NotJoined(NotJoined::Cloned));
        }
        ids.insert(victim.id());
        victim.run(Duration::from_millis(200));
    }
    assert_eq!(ids.len(), 4, "in two minutes");
}

#[test]
fn a_leader_that_says_cloned_again_and_again_makes_few_new_ids_and_no_storm() {
    let mut victim = Hosted::following();
    let first = victim.id();
    let mut dials = 0;
    for round in 0..2000 {
        while let Some((conn, to)) = victim.dials.pop() {
            assert_eq!(to, address(1));
            dials += 1;
            victim.step(Input::Connected { conn });
            victim.frame(conn, Frame::Open(Open { from: sender(1), via: None }));
            let asked = victim.sent.iter().rev().find_map(|(c, frame)| match frame {
                Frame::Question(q) if *c == conn => Some(q.nonce),
                _ => None,
            });
            match asked {
                Some(nonce) => {
                    let standing = Standing::Leads(samples::claim(7, 1));
                    victim.frame(conn, Frame::Answer(Answer { nonce, standing, store_ms: 0 }));
                }
                None => victim.frame(conn, Frame::NotJoined(NotJoined::Cloned)),
            }
        }
        if round % 20 == 0 {
            victim.hears(1, beat(samples::claim(7, 1), 2));
        }
        if round == 0 {
            // Its session breaks.
            let session = victim.node.status().leader.map(|_| ConnId(1)).expect("it follows");
            victim.step(Input::Closed { conn: session, how: Closed::Reset });
        }
        victim.run(Duration::from_millis(10));
    }
    assert_ne!(victim.id(), first, "it is believed at first");
    assert_eq!(victim.told.iter().filter(|k| **k == crate::event::Kind::CloneDetected).count(), 3);
    assert!(dials <= 250, "{dials} dials in 20 s");
}

#[test]
fn who_has_a_session_does_not_ask_at_once_whose_its_id_is() {
    let mut victim = Hosted::following();
    let double = double(&victim);
    let claim = Claim { node: double.node, ..samples::claim(9, 9) };
    victim.hears_from(double, address(9), beat(claim, 9));
    let known = Known { claim, name: "pc-2".to_owned(), address: address(9), direct: true };
    victim.hears(9, Cast::Hi(Hi { to: samples::node(2), leader: Some(known), priority: 1 }));
    assert_eq!(victim.dials, []);
    assert!(victim.sent.iter().any(|(_, frame)| matches!(frame, Frame::Report(_))), "its leader is told");
}

#[test]
fn a_double_that_is_heard_all_the_time_takes_a_follower_from_its_leader_three_times() {
    let mut victim = Hosted::following();
    let mut ids = BTreeSet::from([victim.id()]);
    for _ in 0..600 {
        victim.hears(1, beat(samples::claim(7, 1), 2));
        let double = double(&victim);
        let claim = Claim { node: double.node, ..samples::claim(9, 9) };
        victim.hears_from(double.clone(), address(9), beat(claim, 0));
        while let Some((conn, to)) = victim.dials.pop() {
            victim.step(Input::Connected { conn });
            if to == address(9) {
                victim.frame(conn, Frame::Open(Open { from: double.clone(), via: None }));
                victim.frame(conn, Frame::NotJoined(NotJoined::Cloned));
            }
        }
        ids.insert(victim.id());
        victim.run(Duration::from_millis(100));
    }
    assert_eq!(ids.len(), 4, "in a minute");
}

#[test]
fn asking_whose_the_id_is_leaves_the_next_claim_as_it_was() {
    let mut victim = Hosted::listening();
    let before = victim.node.base.promises.heard_at();
    let double = double(&victim);
    let claim = Claim { node: double.node, ..samples::claim(9, 9) };
    for _ in 0..5 {
        victim.hears_from(double.clone(), address(9), beat(claim, 9));
        victim.run(Duration::from_millis(20));
    }
    assert_eq!(victim.node.base.promises.heard_at(), before);
    assert_eq!(victim.dialled, 1, "and is done once an interrogation");
}

#[test]
fn an_epoch_of_a_datagram_is_not_shown_because_somebody_says_full() {
    for (epoch, shown) in [(u64::MAX, None), (9, Some(9))] {
        let mut victim = Hosted::listening();
        let claim = Claim { epoch, ..samples::claim(9, 1) };
        victim.hears(1, beat(claim, 1));
        let conn = victim.connects(1);
        victim.frame(conn, Frame::NotJoined(NotJoined::Full));
        assert_eq!(victim.node.status().shown.map(|c| c.epoch), shown);
        assert!(victim.node.base.next_claim(0).epoch > shown.unwrap_or(0), "the next claim is above it");
    }
}

#[test]
fn a_goodbye_that_was_not_the_leaders_costs_a_question_now_and_then() {
    let mut victim = Hosted::following();
    let claim = samples::claim(7, 1);
    let hello = Cast::Hello(Hello { broadcast: true, version: String::new(), priority: 1 });
    let goodbye = Cast::Goodbye(Goodbye { ends: Some(claim), leader: None });
    let mut questions = 0;
    for round in 0..1000 {
        // From elsewhere, in the leader's name: where it is now, and that it goes.
        victim.hears_from(sender(1), address(9), hello.clone());
        victim.hears_from(sender(1), address(9), goodbye.clone());
        if round % 100 == 0 {
            victim.hears(1, beat(claim, 2));
        }
        // Where it says that the leader is, nobody listens; the leader answers.
        while let Some((conn, to)) = victim.dials.pop() {
            questions += 1;
            if to == address(9) {
                victim.step(Input::Closed { conn, how: Closed::Refused });
            } else {
                let nonce = victim.sent.iter().find_map(|(c, frame)| match frame {
                    Frame::Question(q) if *c == conn => Some(q.nonce),
                    _ => None,
                });
                victim.step(Input::Connected { conn });
                victim.frame(conn, Frame::Open(Open { from: sender(1), via: None }));
                let answer = Answer { nonce: nonce.expect("asked"), standing: Standing::Leads(claim), store_ms: 0 };
                victim.frame(conn, Frame::Answer(answer));
            }
        }
        victim.run(Duration::from_millis(2));
    }
    assert_eq!(victim.node.status().leader.map(|l| l.node), Some(samples::node(1)));
    assert!((8..=24).contains(&questions), "{questions} questions in 2 s");
}

/// Somebody who was never there.
fn invented(n: u64) -> Sender {
    Sender { node: samples::node(100_000 + n), name: format!("x-{n}"), port: 8264 }
}

fn hello(broadcast: bool) -> Cast {
    Cast::Hello(Hello { broadcast, version: "0.1.0".to_owned(), priority: 255 })
}

/// Unicast Hellos that were said.
fn greeted(victim: &Hosted) -> usize {
    victim.cast.iter().filter(|(to, cast)| matches!((to, cast), (To::One(_), Cast::Hello(_)))).count()
}

#[test]
fn thousands_of_invented_members_take_no_place_and_get_no_hello() {
    let mut victim = Hosted::following();
    for n in 0..5000 {
        victim.hears_from(invented(n), address(1000 + n), hello(false));
    }
    assert!(victim.node.base.members.len() <= 2 + 256);
    for n in [1, 3] {
        assert!(victim.node.base.members.get(samples::node(n).id).is_some(), "pc-{n} was met and has its place");
    }
    // None of them is written down, or greeted once the leader is gone.
    victim.forget();
    victim.run(Duration::from_millis(400));
    assert!(victim.writes <= 1, "{} writes", victim.writes);
    let leader = victim.node.status().leader.is_some();
    victim.step(Input::Closed { conn: ConnId(1), how: Closed::Reset });
    let question = victim.dials.pop().expect("it is asked").0;
    victim.step(Input::Closed { conn: question, how: Closed::Refused });
    victim.run(Duration::from_secs(4));
    assert!(leader && greeted(&victim) <= 20, "{} Hellos one by one", greeted(&victim));
}

#[test]
fn many_members_are_greeted_in_turn() {
    let mut victim = Hosted::listening();
    for n in 0..500 {
        let conn = victim.accepts(invented(n), address(1000 + n));
        victim.step(Input::Closed { conn, how: Closed::Reset });
    }
    assert_eq!(victim.node.base.members.len(), 500);
    victim.run(Duration::from_secs(10));
    victim.forget();
    victim.node.hello();
    victim.step(Input::Tick);
    assert_eq!(greeted(&victim), limits::GREETED);
    let first = std::mem::take(&mut victim.cast);
    victim.node.hello();
    victim.step(Input::Tick);
    assert_eq!(greeted(&victim), limits::GREETED);
    assert!(first.iter().all(|c| c.0 == To::Everyone || !victim.cast.contains(c)), "others the next time");
}

#[test]
fn one_address_has_a_few_members_however_many_it_connects_as() {
    let mut victim = Hosted::leading();
    for n in 0..1000 {
        let conn = victim.accepts(invented(n), address(9));
        if n % 2 == 0 {
            victim.step(Input::Closed { conn, how: Closed::Reset });
        }
    }
    assert!(victim.node.base.members.len() <= 64);
    victim.asks_to_join(3);
    assert!(victim.node.base.members.get(samples::node(3).id).is_some(), "there is room for others");
}

#[test]
fn strangers_are_not_told_to_a_follower() {
    let mut victim = Hosted::leading();
    for n in 0..100 {
        victim.hears_from(invented(n), address(1000 + n), hello(true));
    }
    victim.asks_to_join(3);
    let listed = victim.sent.iter().find_map(|(_, frame)| match frame {
        Frame::Joined(joined) => Some(joined.members.len()),
        _ => None,
    });
    assert_eq!(listed, Some(2));
}

/// Runs while somebody says such things every two milliseconds; true as soon as the victim leads. Whoever is dialled is
/// not there, or says nothing.
fn leads_in_spite_of(victim: &mut Hosted, refuse: bool, seconds: u64, say: impl Fn(&mut Hosted, u64)) -> bool {
    for n in 0..seconds * 500 {
        say(victim, n);
        if refuse {
            while let Some((conn, _)) = victim.dials.pop() {
                victim.step(Input::Closed { conn, how: Closed::Refused });
            }
        }
        victim.run(Duration::from_millis(2));
        if victim.node.status().role == RoleName::Leading {
            return true;
        }
    }
    false
}

#[test]
fn claims_that_are_only_announced_keep_nobody_waiting_for_ever() {
    let mut victim = Hosted::listening();
    let notice = |victim: &mut Hosted, n: u64| {
        let from = invented(n);
        let claim = Claim { node: from.node, ..samples::claim(victim.node.base.highest() + 1, 1) };
        victim.hears_from(from, address(9), Cast::Notice(Notice { claim }));
    };
    assert!(leads_in_spite_of(&mut victim, true, 30, notice));
}

/// One that asks for a voice, hangs up, and says that it follows somebody: again and again.
#[test]
fn claims_that_are_over_at_once_keep_nobody_from_leading() {
    let mut victim = Hosted::listening();
    let claims = |victim: &mut Hosted, n: u64| {
        let from = invented(n % 7);
        let claim = Claim { node: from.node, ..samples::claim(victim.node.base.highest() + 1, 1) };
        let at = address(1000 + n % 7);
        let conn = victim.accepts(from.clone(), at);
        victim.frame(conn, Frame::Canvass(Canvass { claim, replaces: None, whole: true, abdicate: None }));
        victim.step(Input::Closed { conn, how: Closed::Reset });
        while let Some((conn, to)) = victim.dials.pop() {
            victim.step(Input::Connected { conn });
            let who = (0..7).find(|n| to == address(1000 + n)).map_or(sender(9), invented);
            victim.frame(conn, Frame::Open(Open { from: who, via: None }));
            let claim = samples::claim(1_000_000 + n, 9);
            let known = Known { claim, name: "x".to_owned(), address: address(9), direct: true };
            let answer = Answer { nonce: 1, standing: Standing::Follows(known), store_ms: 0 };
            victim.frame(conn, Frame::Answer(answer));
        }
    };
    assert!(leads_in_spite_of(&mut victim, true, 60, claims));
}

#[test]
fn leaders_that_are_not_there_keep_nobody_from_leading() {
    for refuse in [true, false] {
        let mut victim = Hosted::listening();
        let leader = |victim: &mut Hosted, n: u64| {
            let from = invented(n);
            let claim = Claim { node: from.node, ..samples::claim(100 + n, 1) };
            victim.hears_from(from, address(1000 + n % 200), beat(claim, n as u32));
        };
        assert!(leads_in_spite_of(&mut victim, refuse, 60, leader), "refused: {refuse}");
    }
}

#[test]
fn claims_without_end_are_neither_written_nor_waited_for_without_end() {
    let mut victim = Hosted::listening();
    let conn = victim.accepts(sender(9), address(9));
    let canvass = |victim: &mut Hosted, _: u64| {
        for _ in 0..5 {
            let epoch = victim.node.base.highest() + 1;
            let claim = Claim { node: samples::node(9), ..samples::claim(epoch, 1) };
            victim.frame(conn, Frame::Canvass(Canvass { claim, replaces: None, whole: true, abdicate: None }));
        }
    };
    victim.forget();
    for n in 0..250 {
        canvass(&mut victim, n);
        victim.run(Duration::from_millis(20));
    }
    assert!(victim.writes <= 32 + 5 * 8 + 10, "{} writes in 5 s", victim.writes);
    let told = victim.told.iter().filter(|k| **k == crate::event::Kind::ClaimBacked).count();
    assert!(told <= 6 * 32, "{told} events in 5 s");
    assert!(leads_in_spite_of(&mut victim, true, 60, canvass));
}

#[test]
fn one_address_has_a_few_pipes() {
    let mut victim = Hosted::following();
    let mut pipes = 0;
    for _ in 0..100 {
        let conn = ConnId(victim.accepted);
        victim.accepted += 1;
        victim.step(Input::Accepted { conn, from: address(9) });
        let before = victim.sent.len();
        victim.frame(conn, Frame::Via(Via { to: samples::node(1) }));
        pipes += usize::from(victim.sent.len() == before);
    }
    assert_eq!(pipes, 8);
}

#[test]
fn who_asks_again_to_be_taken_in_is_not_sent_the_list_again() {
    let mut victim = Hosted::leading();
    let conn = victim.accepts(sender(3), address(3));
    let join = victim.join();
    for _ in 0..100 {
        victim.frame(conn, Frame::Join(join.clone()));
    }
    let lists = victim.sent.iter().filter(|(_, frame)| matches!(frame, Frame::Joined(_))).count();
    assert_eq!(lists, 1);
}
