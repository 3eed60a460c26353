//! Section 9: two leaders meet.

use crate::lan::{Lan, PORT};
use crate::script::{ms, s};
use tanist::claim::Claim;
use tanist::event::Kind;
use tanist::ident::{BootId, Incarnation, NodeId};
use tanist::message::{Cast, Heartbeat, Notice, Sender, Welcome};
use tanist::protocol::To;
use tanist::time::Wall;
use tanist::wire::Wire;

story! {
    /// A leader is cut off for less than a second, just until another leads. Back again it still has the sessions of all
    /// that have left it, more than the other can have: they count for the other, and nobody is deposed.
    a_leader_cut_off_for_a_moment_deposes_nobody |seed| {
        let mut lan = Lan::office(seed, 4);
        let old = lan.leader();
        lan.isolate(old);
        lan.run_until(s(3), "another leads", |lan| lan.leaders().len() == 2);
        let new = *lan.leaders().iter().find(|m| **m != old).expect("there are two");
        lan.watch();
        lan.listen();
        lan.heal_all();
        lan.run(s(10));
        lan.expect_leader(new);
        lan.expect_not_deposed(new);
        // The connection that they met on has become a session, and stays one.
        lan.expect_no_event(old, Kind::LeaderSuspected);
    }
}

story! {
    /// Two halves that started apart meet: the larger one's leader stays, and both tell of the reunion.
    two_halves_that_started_apart_meet |seed| {
        let mut lan = Lan::dark(seed, 5);
        lan.split(&[0, 1]);
        lan.boot_all_within(s(1));
        lan.run(s(8));
        let small = lan.expect_one_among(&[0, 1]);
        let large = lan.expect_one_among(&[2, 3, 4]);
        lan.listen();
        lan.watch();
        lan.heal_all();
        lan.run(s(5));
        lan.expect_leader(large);
        lan.expect_not_deposed(large);
        lan.expect_event(small, Kind::Reunion);
        lan.expect_event(large, Kind::Reunion);
    }
}

story! {
    /// A running office is split and healed: the leader with more followers stays.
    a_split_office_reunites_under_the_larger_half |seed| {
        let mut lan = Lan::office(seed, 5);
        let leader = lan.leader();
        let other = lan.followers()[0];
        let (small, large): (Vec<usize>, Vec<usize>) = (0..5).partition(|m| *m == leader || *m == other);
        lan.split(&small);
        lan.run(s(8));
        lan.expect_one_among(&small);
        let new = lan.expect_one_among(&large);
        lan.heal_all();
        lan.run(s(5));
        lan.expect_leader(new);
    }
}

story! {
    /// Both sides have as many followers: the one that has led longer stays.
    of_equal_halves_the_longer_reign_stays |seed| {
        let mut lan = Lan::dark(seed, 4);
        lan.split(&[0, 1]);
        lan.boot(0);
        lan.boot(1);
        lan.run(s(10));
        lan.boot(2);
        lan.boot(3);
        lan.run(s(10));
        let old = lan.expect_one_among(&[0, 1]);
        lan.expect_one_among(&[2, 3]);
        lan.heal_all();
        lan.run(s(5));
        lan.expect_leader(old);
    }
}

story! {
    /// Three groups meet in the same instant.
    three_groups_reunite_at_once |seed| {
        let mut lan = Lan::dark(seed, 6);
        lan.split(&[0, 1]);
        lan.split(&[2, 3]);
        lan.boot_all_within(s(1));
        lan.run(s(8));
        for group in [[0, 1], [2, 3], [4, 5]] {
            lan.expect_one_among(&group);
        }
        lan.heal_all();
        lan.run(s(5));
        lan.expect_one_leader();
        lan.watch();
        lan.run(s(20));
        lan.expect_no_leader_change();
    }
}

story! {
    /// Eight lone machines meet in the same instant, so that exchanges queue at the deciders.
    eight_lone_leaders_meet |seed| {
        let mut lan = Lan::dark(seed, 8);
        (0..8).for_each(|m| lan.isolate(m));
        lan.boot_all_within(s(1));
        lan.run(s(4));
        assert_eq!(lan.leaders().len(), 8);
        lan.heal_all();
        lan.run(s(10));
        lan.expect_one_leader();
    }
}

story! {
    /// Both leaders hear and dial each other at once.
    both_leaders_dial_at_once |seed| {
        let mut lan = Lan::dark(seed, 2);
        lan.isolate(0);
        lan.boot_all_within(ms(1));
        lan.run(s(4));
        assert_eq!(lan.leaders(), vec![0, 1]);
        lan.net.weather.delay = (ms(20), ms(20));
        lan.heal_all();
        lan.net.weather.delay = (ms(20), ms(20));
        lan.run(s(5));
        lan.expect_one_leader();
    }
}

story! {
    /// The connection of a reunion breaks at any moment, so that its answer is lost: they meet again.
    the_answer_of_a_reunion_is_lost |seed| {
        let mut lan = Lan::dark(seed, 4);
        lan.split(&[0, 1]);
        lan.boot_all_within(s(1));
        lan.run(s(8));
        lan.heal_all();
        for _ in 0..12 {
            let pause = lan.dice.below(ms(60));
            lan.run(pause);
            let between = |lan: &Lan, key: &u64| {
                let ends = &lan.net.conns[key].ends;
                (ends[0].m < 2) != (ends[1].m < 2)
            };
            for key in lan.standing().into_iter().filter(|key| between(&lan, key)).collect::<Vec<_>>() {
                lan.break_connection(key);
            }
        }
        lan.run(s(5));
        lan.expect_one_leader();
    }
}

story! {
    /// Two halves won the same epoch apart: they meet, one begins a reign above both, and nobody shows one epoch in two
    /// claims (the oracle sees to that).
    two_halves_that_won_the_same_epoch_meet |seed| {
        let mut lan = Lan::dark(seed, 4);
        lan.split(&[0, 1]);
        lan.boot_all_within(ms(100));
        lan.run(s(8));
        let a = lan.expect_one_among(&[0, 1]);
        let b = lan.expect_one_among(&[2, 3]);
        let same = lan.shown(a).epoch == lan.shown(b).epoch;
        let epoch = lan.shown(a).epoch.max(lan.shown(b).epoch);
        lan.heal_all();
        lan.run(s(5));
        let leader = lan.expect_one_leader();
        if same {
            assert!(lan.shown(leader).epoch > epoch, "one epoch for two reigns");
        }
    }
}

story! {
    /// Two leaders do not hear each other, but a member hears both: it reports the other, and they meet through it.
    leaders_that_do_not_hear_each_other_meet_through_a_member |seed| {
        let mut lan = Lan::dark(seed, 5);
        lan.split(&[0, 1]);
        lan.boot_all_within(s(1));
        lan.run(s(8));
        let a = lan.expect_one_among(&[0, 1]);
        let b = lan.expect_one_among(&[2, 3, 4]);
        lan.heal_all();
        lan.cut(a, b);
        lan.run(s(8));
        lan.expect_one_leader();
    }
}

story! {
    /// The router between two subnets is gone for a minute, and each side has a leader. No broadcast passes, so they meet
    /// because leaders announce themselves in turn to remembered members without a session.
    two_subnets_meet_again_when_their_router_is_back |seed| {
        let mut lan = Lan::new(seed);
        for m in 0..4 {
            lan.add(tanist::settings::Settings::default(), &[u8::from(m >= 2)]);
        }
        lan.net.routed = true;
        let peers = [lan.address_of(0), lan.address_of(2)];
        for m in 0..4 {
            lan.machines[m].peers = peers.to_vec();
        }
        lan.boot_all_within(s(1));
        lan.run(s(8));
        lan.expect_one_leader();
        lan.split(&[0, 1]);
        lan.run(s(60));
        lan.expect_one_among(&[0, 1]);
        lan.expect_one_among(&[2, 3]);
        lan.heal_all();
        lan.run(s(8));
        lan.expect_one_leader();
    }
}

story! {
    /// One leader's epoch is poisoned by a far claim of a group that it meets: epochs grow, and stay bounded.
    a_reunion_raises_the_epoch_above_both |seed| {
        let mut lan = Lan::dark(seed, 3);
        lan.isolate(2);
        lan.boot_all_within(s(1));
        lan.run(s(4));
        for _ in 0..8 {
            lan.restart(2);
            lan.run(s(2));
        }
        let high = lan.shown(2).epoch;
        assert!(high >= 8);
        lan.heal_all();
        lan.run(s(5));
        let leader = lan.expect_one_leader();
        assert_ne!(leader, 2, "the lone one has fewer followers");
        assert!(lan.shown(leader).epoch > high, "nobody follows a claim that is not above what it has shown");
    }
}

story! {
    /// Somebody sends heartbeats, notices and welcomes with a poisoned epoch and time stamp: no leader
    /// changes, and epochs stay small.
    a_poisoned_epoch_time_stamp_and_revision |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        lan.watch();
        for epoch in [u64::MAX, u64::MAX - 1, 1 << 40, 1 << 32, 2] {
            let node = Incarnation { id: NodeId::from_random(lan.dice.uuid_bits()), boot: BootId(lan.dice.bits()) };
            let at = if lan.dice.chance(0.5) { Wall(u64::MAX) } else { Wall(0) };
            let claim = Claim { epoch, at, node };
            let beat = Heartbeat { claim, successor: None, followers: u32::MAX, seq: u64::MAX };
            let to = lan.status(leader).expect("it runs").node;
            let casts = [
                Cast::Heartbeat(beat),
                Cast::Notice(Notice { claim }),
                Cast::Welcome(Welcome { to, claim, successor: None, followers: u32::MAX }),
            ];
            for cast in casts {
                let sender = Sender { node, name: "intruder".to_owned(), port: PORT };
                let bytes = Wire::new("office").datagram(&sender, &cast);
                let from = lan.followers()[0];
                lan.inject(from, To::Everyone, bytes);
                lan.run(s(2));
            }
        }
        lan.run(s(10));
        lan.expect_no_leader_change();
        lan.expect_leader(leader);
        lan.kill_leader();
        lan.settle_within(s(5));
        let leader = lan.leader();
        assert!(lan.shown(leader).epoch < 1 << 33, "a datagram was believed");
    }
}

story! {
    /// Somebody claims epoch 1000 by datagram, and nothing more is heard of it: the next claim is one above the present.
    a_notice_raises_no_epoch |seed| {
        let mut lan = Lan::office(seed, 4);
        let before = lan.shown(lan.leader()).epoch;
        let node = Incarnation { id: NodeId::from_random(lan.dice.uuid_bits()), boot: BootId(lan.dice.bits()) };
        let claim = Claim { epoch: 1000, at: Wall(0), node };
        let sender = Sender { node, name: "intruder".to_owned(), port: PORT };
        let bytes = Wire::new("office").datagram(&sender, &Cast::Notice(Notice { claim }));
        lan.inject(lan.followers()[0], To::Everyone, bytes);
        lan.run(s(2));
        lan.kill_leader();
        lan.settle_within(s(5));
        assert_eq!(lan.shown(lan.leader()).epoch, before + 1, "a datagram was believed");
    }
}
