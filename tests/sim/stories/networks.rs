//! Section 6: members that reach the leader only through another, and other networks that are not whole.

use crate::lan::{Lan, S};
use crate::script::{ms, s};
use tanist::event::Kind;
use tanist::protocol::RoleName;
use tanist::settings::Settings;

story! {
    /// The link between the leader and one follower is cut: no second king; the follower goes through a neighbour.
    one_bad_link_makes_no_second_king |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        let m = *lan.dice.clone().pick(&lan.followers());
        lan.watch();
        lan.cut(leader, m);
        lan.run(s(5));
        lan.expect_leader(leader);
        lan.run(s(60));
        lan.expect_no_leader_change();
        lan.expect_leader(leader);
    }
}

story! {
    /// A follower goes through a neighbour while its own way is cut, says so, goes direct when it is healed, and back.
    through_a_neighbour_and_direct_again_and_back |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        let m = lan.followers()[0];
        lan.listen();
        lan.watch();
        for _ in 0..3 {
            lan.cut(leader, m);
            lan.run_until(s(5), "it goes through a neighbour", |lan| {
                lan.status(m).is_some_and(|s| s.via.is_some() && s.leader.is_some())
            });
            lan.expect_event(m, Kind::Relayed);
            lan.run(s(5));
            lan.heal(leader, m);
            lan.run_until(s(6), "it goes direct", |lan| lan.status(m).is_some_and(|s| s.via.is_none() && s.leader.is_some()));
            lan.run(s(5));
        }
        lan.expect_no_leader_change();
        lan.expect_leader(leader);
    }
}

story! {
    /// Two networks with one bridge machine: one leads, those behind the bridge go through it, and nobody is leaderless.
    a_bridge_leaves_neither_network_leaderless |seed| {
        let mut lan = Lan::new(seed);
        for m in 0..5u8 {
            let segments: &[u8] = if m == 0 { &[0, 1] } else if m % 2 == 0 { &[0] } else { &[1] };
            lan.add(Settings::default(), segments);
        }
        lan.boot_all_within(s(1));
        lan.settle_within(s(10));
        lan.watch();
        lan.run(s(60));
        lan.expect_no_leader_change();
        lan.expect_one_leader();
        let leader = lan.leader();
        if leader != 0 {
            lan.power_cut(leader);
            lan.settle_within(s(5));
        }
    }
}

/// Two networks that share machine 0 only; machine 2, on the first of them, leads. The odd ones are behind the bridge.
fn bridged(seed: u64, n: u8, settings: &Settings) -> Lan {
    let mut lan = Lan::new(seed);
    for m in 0..n {
        let segments: &[u8] = if m == 0 {
            &[0, 1]
        } else if m % 2 == 0 {
            &[0]
        } else {
            &[1]
        };
        lan.add(settings.clone(), segments);
    }
    lan.boot(2);
    lan.run(s(2));
    lan.boot(0);
    lan.run(s(1));
    lan.boot_all_within(s(1));
    lan.settle_within(s(10));
    lan.run(s(5));
    lan.expect_leader(2);
    lan
}

story! {
    /// The image of the bridge is started behind it: the only way to the leader leads through the machine whose id it
    /// has. The bridge follows, so it was here first, and tells the other.
    a_clone_of_the_bridge_behind_it_is_told |seed| {
        let mut lan = bridged(seed, 6, &Settings::default());
        let id = lan.status(0).expect("it runs").node.id;
        let m = lan.add_copy_of(0, 1, true);
        lan.watch();
        lan.boot(m);
        lan.run(s(15));
        lan.expect_no_leader_change();
        lan.expect_leader(2);
        assert_eq!(lan.status(0).expect("it runs").node.id, id);
        assert_ne!(lan.status(m).expect("it runs").node.id, id);
    }
}

story! {
    /// The bridge was away, each side has its leader, and the bridge comes back as an image of one of them: two leaders
    /// whose only way to each other leads through a machine that has the id of one. At the default, and as slow as can be.
    a_bridge_with_the_id_of_a_leader_keeps_nobody_apart |seed| {
        let heartbeat = std::time::Duration::from_millis(if seed % 2 == 0 { 250 } else { 5000 });
        let settings = Settings::default().with_heartbeat(heartbeat);
        let settling = u64::try_from(settings.settling().as_micros()).expect("small");
        let mut lan = bridged(seed, 6, &settings);
        lan.power_cut(0);
        lan.run(settling);
        let behind = lan.expect_one_among(&[1, 3, 5]);
        lan.copy_disk(behind, 0, true);
        lan.boot(0);
        lan.run(settling);
        lan.expect_one_leader();
    }
}

story! {
    /// The leader of the one network has a double behind the bridge, where another leads and yields when the bridge comes:
    /// those whom it sends to the leader know that id, at the double's address. What answers there, or refuses, is not
    /// the leader.
    a_double_behind_the_bridge_says_nothing_of_the_leader |seed| {
        let mut lan = bridged(seed, 9, &Settings::default());
        lan.power_cut(0);
        for m in [1, 3, 5, 7] {
            lan.power_cut(m);
        }
        lan.run(s(5));
        let id = lan.status(2).expect("it runs").node.id;
        lan.copy_disk(2, 5, true);
        lan.boot(7);
        // It remembers the others, and waits for them.
        lan.run(s(33));
        for m in [1, 3, 5] {
            lan.boot(m);
        }
        lan.run(s(3));
        let behind = lan.expect_one_among(&[1, 3, 5, 7]);
        assert_eq!((behind, lan.status(5).expect("it runs").node.id), (7, id));
        lan.listen();
        lan.boot(0);
        if seed.is_multiple_of(3) {
            let moment = lan.dice.between(0, s(3));
            lan.run(moment);
            lan.kill(5);
        }
        lan.settle_within(s(10));
        for m in [1, 3, 7] {
            lan.expect_no_event(m, Kind::LeaderLost);
        }
        lan.run(s(2));
        lan.watch();
        lan.run(s(20));
        lan.expect_no_leader_change();
        lan.expect_one_leader();
    }
}

story! {
    /// Somebody arrives behind the bridge, where many can say who leads, and one only reaches it directly: that one does
    /// not stay silent because others were quicker.
    a_newcomer_behind_a_bridge_hears_of_the_way |seed| {
        let mut lan = bridged(seed, 10, &Settings::default());
        lan.watch();
        for _ in 0..3 {
            let m = lan.add(Settings::default(), &[1]);
            lan.boot(m);
            lan.run_until(s(1), "it follows", |lan| lan.status(m).is_some_and(|s| s.leader.is_some()));
        }
        lan.expect_no_leader_change();
        lan.expect_leader(2);
    }
}

story! {
    /// One packet in ten is lost, on a way where the leader is heard by TCP only and a lost packet takes a fifth of a
    /// second: those behind the bridge ask often, and stay.
    losses_on_the_way_through_another_make_no_second_king |seed| {
        let quick = Settings::default().with_heartbeat(std::time::Duration::from_millis(100));
        let mut lan = bridged(seed, 5, &quick);
        lan.watch();
        lan.net.weather.loss = 0.1;
        lan.net.weather.tcp_loss = 0.1;
        lan.run(s(60));
        lan.net.weather.loss = 0.0;
        lan.net.weather.tcp_loss = 0.0;
        lan.run(s(10));
        lan.expect_no_leader_change();
        lan.expect_leader(2);
    }
}

story! {
    /// A round trip is longer than the silence of so quick a heartbeat, and those behind the bridge hear the leader by TCP
    /// only: every reign has its second there from the beginning, so a handover makes one leader and no more.
    a_slow_way_through_another_makes_no_second_king |seed| {
        let quick = Settings::default().with_heartbeat(std::time::Duration::from_millis(20));
        let mut lan = bridged(seed, 4, &quick);
        lan.net.weather.delay = (ms(1), ms(30));
        for request in 0..10 {
            let (leader, before) = (lan.leader(), lan.oracle.changes);
            lan.handover(leader, request, None);
            lan.run(s(3));
            assert!(lan.oracle.changes <= before + 2, "{} leaders", lan.oracle.changes - before);
        }
        lan.net.weather.delay = (50, 250);
        lan.settle_within(s(10));
    }
}

story! {
    /// A one-way cut between leader and follower, in either direction: no second king.
    a_one_way_cut_makes_no_second_king |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        let m = lan.followers()[1];
        lan.watch();
        if seed % 2 == 0 { lan.cut_one_way(leader, m) } else { lan.cut_one_way(m, leader) }
        lan.run(s(60));
        lan.expect_no_leader_change();
        lan.expect_leader(leader);
        lan.heal_all();
        lan.run(s(10));
        lan.expect_no_leader_change();
        lan.expect_leader(leader);
    }
}

story! {
    /// A member hears no broadcast: it gets its heartbeats on its session, and is as good a follower as any.
    a_member_that_hears_no_broadcast_gets_its_heartbeats_on_the_session |seed| {
        let mut lan = Lan::office(seed, 4);
        let m = lan.followers()[0];
        lan.watch();
        lan.no_broadcast(m);
        lan.run(s(60));
        lan.expect_no_leader_change();
        lan.expect_one_leader();
        assert!(lan.tally.messages.get("Beat").is_some_and(|n| *n > 100), "no heartbeats on the session");
    }
}

story! {
    /// A newcomer with an empty member list reaches everybody but the leader: it does not win beside the living leader.
    a_claimant_with_an_empty_list_does_not_win_beside_a_living_leader |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        let m = lan.add(Settings::default(), &[0]);
        lan.cut(leader, m);
        lan.watch();
        lan.boot(m);
        lan.run(s(10));
        lan.expect_no_leader_change();
        lan.expect_leader(leader);
    }
}

story! {
    /// The way of a follower's packets to the leader stalls for some seconds, so that dials are given up and arrive late:
    /// they take nobody's session away.
    a_dial_that_was_given_up_takes_nobodys_session_away |seed| {
        let mut lan = Lan::office(seed, 3);
        let leader = lan.leader();
        lan.watch();
        for _ in 0..6 {
            let m = *lan.dice.clone().pick(&lan.followers());
            lan.cut_one_way(m, leader);
            let pause = lan.dice.between(ms(100), s(2));
            lan.run(pause);
            lan.cut_one_way(leader, m);
            lan.run(ms(300));
            lan.heal_all();
            lan.run(s(8));
        }
        lan.expect_no_leader_change();
        lan.expect_leader(leader);
        lan.successor();
    }
}

story! {
    /// Every machine gets a new address, one after the other: the office stays together.
    every_address_changes |seed| {
        let mut lan = Lan::office(seed, 4);
        for m in 0..4 {
            lan.new_address(m);
            lan.run(s(6));
            lan.expect_one_leader();
        }
    }
}

story! {
    /// The leader gets a new address that the others do not hear of for a while, and somebody else has its old one: whoever
    /// asks there is told nothing about the leader, which stays.
    somebody_else_has_the_leaders_address |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        let m = lan.add(Settings::default(), &[0]);
        lan.boot(m);
        lan.run(s(5));
        lan.watch();
        for n in 0..4 {
            lan.cut_one_way(leader, n);
        }
        let old = lan.address_of(leader).ip();
        lan.new_address(leader);
        lan.machines[m].nics[0].address = old;
        lan.links_changed(m);
        lan.listen();
        lan.run_until(ms(800), "somebody asks", |lan| (1..4).any(|n| lan.heard((leader + n) % 4, Kind::LeaderSuspected)));
        lan.run(ms(50));
        lan.heal_all();
        lan.run(s(10));
        let dead = lan.oracle.told.iter().find(|(_, _, kind, text)| *kind == Kind::LeaderLost && text.contains("refused"));
        assert!(dead.is_none(), "taken for dead: {dead:?}");
        lan.expect_no_leader_change();
        lan.expect_leader(leader);
    }
}

/// A laptop leaves ten times and returns; the other machines keep the leader that they have meanwhile.
fn laptop(seed: u64, members: usize, as_leader: bool) {
    let mut lan = if as_leader { Lan::office_of_first(seed, members) } else { Lan::office(seed, members) };
    let laptop = if as_leader { 0 } else { lan.followers()[0] };
    let others: Vec<usize> = (0..members).filter(|m| *m != laptop).collect();
    for round in 0..10 {
        lan.link_down(laptop, 0);
        lan.run(s(6));
        let leader = lan.expect_one_among(&others);
        if round == 0 {
            lan.watch();
        }
        lan.link_up(laptop, 0);
        let pause = s(5) + lan.dice.below(3 * S);
        lan.run(pause);
        lan.expect_leader(leader);
        lan.expect_not_deposed(leader);
    }
}

story! {
    /// The laptop follows in an office of two.
    a_following_laptop_comes_and_goes_in_an_office_of_two |seed| {
        laptop(seed, 2, false);
    }
}

story! {
    /// The laptop led an office of two.
    a_leading_laptop_comes_and_goes_in_an_office_of_two |seed| {
        laptop(seed, 2, true);
    }
}

story! {
    /// The laptop follows in an office of five.
    a_following_laptop_comes_and_goes_in_an_office_of_five |seed| {
        laptop(seed, 5, false);
    }
}

story! {
    /// The laptop led an office of five.
    a_leading_laptop_comes_and_goes_in_an_office_of_five |seed| {
        laptop(seed, 5, true);
    }
}

story! {
    /// Many links are bad at once, but everybody reaches everybody through one common neighbour: one leads.
    many_bad_links_with_one_common_neighbour |seed| {
        let mut lan = Lan::office(seed, 5);
        let hub = lan.followers()[0];
        for a in 0..5 {
            for b in 0..a {
                if a != hub && b != hub && lan.dice.chance(0.6) {
                    lan.cut(a, b);
                }
            }
        }
        lan.run(s(10));
        lan.expect_one_leader();
        lan.watch();
        lan.run(s(30));
        lan.expect_no_leader_change();
        assert!((0..5).all(|m| lan.role(m) != Some(RoleName::Claiming)));
    }
}

story! {
    /// A follower's only link is gone for a while: that it cannot even ask is no refusal, and no verdict on the leader.
    an_error_of_ones_own_side_is_no_answer |seed| {
        let mut lan = Lan::office(seed, 3);
        let leader = lan.leader();
        let m = lan.followers()[0];
        lan.listen();
        lan.watch();
        for _ in 0..5 {
            lan.link_down(m, 0);
            let out = lan.dice.between(ms(200), ms(2500));
            lan.run(out);
            lan.link_up(m, 0);
            lan.run(s(6));
        }
        lan.expect_no_event(m, Kind::LeaderLost);
        lan.expect_no_leader_change();
        lan.expect_leader(leader);
    }
}

story! {
    /// Nothing that a follower says reaches its leader any more: it is counted silent after 3 s, and no longer named.
    a_follower_that_is_not_heard_is_silent |seed| {
        let mut lan = Lan::office(seed, 3);
        let (leader, m) = (lan.leader(), lan.successor());
        lan.listen();
        lan.freeze(m, s(20));
        lan.run(ms(1900));
        lan.expect_no_event(leader, Kind::MemberSilent);
        lan.run(ms(1200));
        lan.expect_event(leader, Kind::MemberSilent);
        assert_ne!(lan.status(leader).and_then(|s| s.successor).map(|w| w.node.id), lan.status(m).map(|s| s.node.id));
    }
}
