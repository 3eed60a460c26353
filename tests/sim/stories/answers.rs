//! Sections 5 to 7: who stays silent, who is sent on, who claims again at once.

use crate::lan::{Lan, PORT};
use crate::script::{ms, s};
use tanist::claim::Claim;
use tanist::event::Kind;
use tanist::message::{Cast, Hi, Known, Sender};
use tanist::protocol::{RoleName, To};
use tanist::settings::Settings;
use tanist::wire::Wire;

/// A newcomer greets an office of 20; gives how often the others' answers arrived anywhere within `microseconds`.
fn answers_to_a_newcomer(lan: &mut Lan, m: usize, microseconds: u64) -> u64 {
    let before = lan.tally.messages.get("Hi").copied().unwrap_or(0);
    lan.boot(m);
    lan.run(microseconds);
    lan.tally.messages.get("Hi").copied().unwrap_or(0) - before
}

story! {
    /// A newcomer greets an office of 20. The leader answers aloud, so that the 19 others, who wait their random pause,
    /// have nothing to say.
    a_welcome_silences_the_others |seed| {
        let mut lan = Lan::office(seed, 20);
        let m = lan.add(Settings::default(), &[0]);
        let heard = answers_to_a_newcomer(&mut lan, m, ms(100));
        // Each answer is aloud, and arrives at 20 machines.
        assert!(heard <= 4 * 20, "{} of 19 answered beside the leader", heard / 20);
        lan.expect_one_leader();
    }
}

story! {
    /// A newcomer greets an office of 20 whose leader does not hear it: somebody names the leader aloud, and the others,
    /// who know no other, have nothing to say.
    an_answer_that_names_the_leader_silences_the_others |seed| {
        let mut lan = Lan::office(seed, 20);
        let leader = lan.leader();
        let m = lan.add(Settings::default(), &[0]);
        lan.cut(leader, m);
        let heard = answers_to_a_newcomer(&mut lan, m, ms(90));
        assert!((20..=6 * 20).contains(&heard), "{} of 19 answered", heard / 20);
        lan.run(s(3));
        lan.expect_leader(leader);
    }
}

/// Tells `m`, which hears nobody else, that `named` leads.
fn tell_newcomer(lan: &mut Lan, m: usize, named: usize) {
    let (node, epoch) = (lan.status(named).expect("it runs").node, lan.shown(named).epoch);
    let claim = Claim { epoch: epoch + 1, at: lan.shown(named).at, node };
    let name = lan.machines[named].name.clone();
    let known = Known { claim, name: name.clone(), address: lan.address_of(named), direct: true };
    let hi = Hi { to: lan.status(m).expect("it runs").node, leader: Some(known), priority: 100 };
    let bytes = Wire::new("office").datagram(&Sender { node, name, port: PORT }, &Cast::Hi(hi));
    let to = lan.address_of(m);
    lan.inject(named, To::One(to), bytes);
}

fn listens(lan: &Lan, m: usize) -> usize {
    let listening = |(who, _, kind, text): &&(usize, u64, Kind, String)| {
        *who == m && *kind == Kind::Listening && text.starts_with("listening")
    };
    lan.oracle.told.iter().filter(listening).count()
}

story! {
    /// A newcomer is told that a follower leads. That one says "I do not lead, X does", and the newcomer follows X,
    /// without listening anew.
    who_is_sent_on_follows_where_it_is_sent |seed| {
        let mut lan = Lan::office(seed, 4);
        let (leader, wrong) = (lan.leader(), lan.followers()[0]);
        let m = lan.add(Settings::default(), &[0]);
        lan.no_broadcast(m);
        lan.listen();
        lan.boot(m);
        tell_newcomer(&mut lan, m, wrong);
        lan.run_until(ms(100), "it follows", |lan| lan.status(m).is_some_and(|s| s.leader.is_some()));
        lan.expect_leader(leader);
        assert_eq!(listens(&lan, m), 1, "it listened anew");
    }
}

story! {
    /// The same, but X leads no more, and says that Y does: the newcomer goes round no longer and listens anew; when it
    /// hears Y itself, it follows.
    who_is_sent_on_twice_listens |seed| {
        let mut lan = Lan::office(seed, 4);
        let (leader, successor) = (lan.leader(), lan.successor());
        let stale = *lan.followers().iter().find(|m| **m != successor).expect("there are more");
        let m = lan.add(Settings::default(), &[0]);
        lan.no_broadcast(m);
        // One follower does not hear of the handover.
        (0..4).filter(|n| *n != stale).for_each(|n| lan.cut(stale, n));
        lan.handover(leader, 1, None);
        lan.run_until(ms(260), "the old leader follows", |lan| {
            lan.role(leader) == Some(RoleName::Following) && lan.status(leader).is_some_and(|s| s.leader.is_some())
        });
        lan.listen();
        lan.boot(m);
        tell_newcomer(&mut lan, m, stale);
        lan.run(ms(100));
        assert_eq!(listens(&lan, m), 2, "it did not listen anew");
        assert_eq!(lan.role(m), Some(RoleName::Listening));
        lan.heal_all();
        lan.run(s(5));
        lan.expect_leader(successor);
    }
}

story! {
    /// The successor claims epoch 2 and is told by a machine that led alone, up to epoch 9, that a higher epoch is
    /// known: no loss and no pause, it claims again at once above that.
    who_hears_of_a_higher_epoch_claims_again_at_once |seed| {
        let mut lan = Lan::office_of_first(seed, 3);
        let (leader, successor) = (lan.leader(), lan.successor());
        let loner = lan.followers().into_iter().find(|m| *m != successor).expect("there are three");
        lan.isolate(loner);
        for _ in 0..8 {
            lan.restart(loner);
            // It remembers the others, and waits for them.
            lan.run(s(33));
        }
        let high = lan.shown(loner).epoch;
        assert!(high >= 8, "it did not lead alone: {high}");
        lan.restart(loner);
        // Its second Hello is said and the third is not: it listens, and nobody knows.
        lan.run(ms(300));
        lan.listen();
        lan.machines[successor].sync = (ms(10), ms(10));
        lan.heal_all();
        lan.kill(leader);
        let took = lan.run_until(ms(60), "the successor leads", |lan| lan.role(successor) == Some(RoleName::Leading));
        assert_eq!(lan.shown(successor).epoch, high + 1, "after {took}");
        let claims: Vec<u64> = lan.oracle.told.iter()
            .filter(|(who, _, kind, _)| *who == successor && *kind == Kind::Claiming)
            .map(|(_, at, _, _)| *at)
            .collect();
        assert!(matches!(claims[..], [first, again] if again - first < ms(5)), "it claimed at {claims:?}");
        lan.run(s(5));
        lan.expect_leader(successor);
    }
}
