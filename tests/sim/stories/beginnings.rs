//! Sections 4 and 5: who one is, and how one begins.

use crate::lan::Lan;
use crate::machine::Work;
use crate::script::{ms, priority, s};
use std::time::Duration;
use tanist::event::Kind;
use tanist::protocol::{Input, RoleName};
use tanist::settings::Settings;

story! {
    /// Three machines are switched on within a second. One leads, all name it, and nothing changes for a minute.
    an_office_of_three_settles |seed| {
        let mut lan = Lan::office(seed, 3);
        lan.watch();
        lan.run(s(60));
        lan.expect_no_leader_change();
    }
}

story! {
    /// Nobody answers: when the join wait is over, the machine is alone and leads.
    a_lone_machine_leads_when_the_join_wait_is_over |seed| {
        let mut lan = Lan::dark(seed, 1);
        lan.boot(0);
        lan.run(ms(299));
        assert_eq!(lan.role(0), Some(RoleName::Listening), "it claims before the join wait is over");
        lan.run(ms(60));
        lan.expect_leader(0);
    }
}

story! {
    /// Four are switched on in the same instant: nobody claims before the end of the join wait, and then one leads.
    nobody_claims_before_the_join_wait_is_over |seed| {
        let mut lan = Lan::dark(seed, 4);
        lan.boot_all_within(0);
        lan.run(ms(299));
        assert!((0..4).all(|m| lan.role(m) == Some(RoleName::Listening)), "somebody claims too early");
        lan.settle_within(s(5));
    }
}

story! {
    /// All start in the same instant and claim epoch 1: they converge on one claim without a new epoch.
    simultaneous_claims_converge_without_a_new_epoch |seed| {
        let mut lan = Lan::dark(seed, 2 + usize::try_from(seed % 5).expect("small"));
        lan.boot_all_within(0);
        lan.settle_within(s(5));
        let leader = lan.leader();
        assert_eq!(lan.shown(leader).epoch, 1, "a new epoch was needed");
    }
}

story! {
    /// A newcomer in a running office follows as soon as the leader says Welcome, and nothing else changes.
    a_newcomer_follows_at_once |seed| {
        let mut lan = Lan::office(seed, 3);
        let leader = lan.leader();
        let m = lan.add(Settings::default(), &[0]);
        lan.watch();
        lan.boot(m);
        lan.run_until(ms(50), "the newcomer follows", |lan| {
            lan.status(m).is_some_and(|s| s.role == RoleName::Following && s.leader.is_some())
        });
        lan.run(s(30));
        lan.expect_no_leader_change();
        lan.expect_leader(leader);
    }
}

story! {
    /// An office of 50 is powered on in the same second, loses its power, and is powered on again.
    an_office_of_fifty_powered_on_in_one_second_twice 3 |seed| {
        let mut lan = Lan::dark(seed, 50);
        lan.boot_all_within(s(1));
        lan.settle_within(s(5));
        lan.run(s(5));
        lan.expect_one_leader();
        lan.power_cut_all();
        lan.run(s(3));
        lan.boot_all_within(s(1));
        lan.settle_within(s(5));
        lan.run(s(5));
        lan.expect_one_leader();
    }
}

story! {
    /// Without any link at the start the machine listens for `lone_after`, then leads itself and says so.
    without_a_link_it_listens_and_then_leads_alone |seed| {
        let mut lan = Lan::dark(seed, 1);
        lan.listen();
        lan.machines[0].nics[0].up = false;
        lan.boot(0);
        lan.run(s(29));
        assert_eq!(lan.role(0), Some(RoleName::Listening));
        lan.run(s(2));
        lan.expect_leader(0);
        lan.expect_event(0, Kind::NetworkAlone);
    }
}

story! {
    /// The join wait begins with the first link: the machine finds the office that was there all the time.
    the_join_wait_begins_with_the_first_link |seed| {
        let mut lan = Lan::office(seed, 3);
        let m = lan.add(Settings::default(), &[0]);
        lan.machines[m].nics[0].up = false;
        lan.boot(m);
        lan.run(s(10));
        assert_eq!(lan.role(m), Some(RoleName::Listening));
        lan.watch();
        lan.link_up(m, 0);
        lan.run(s(1));
        lan.expect_no_leader_change();
        lan.expect_one_leader();
    }
}

story! {
    /// A follower that loses its last link leads itself after 3 s and says so; when the link is back it follows again.
    a_follower_that_loses_its_last_link_leads_itself |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        let m = lan.followers()[0];
        lan.listen();
        lan.link_down(m, 0);
        lan.run(ms(2900));
        assert_ne!(lan.role(m), Some(RoleName::Leading), "too early");
        lan.run(ms(300));
        assert_eq!(lan.role(m), Some(RoleName::Leading));
        lan.expect_event(m, Kind::NetworkAlone);
        lan.link_up(m, 0);
        lan.run(s(5));
        lan.expect_leader(leader);
    }
}

story! {
    /// A leader that loses its last link leads on, alone; the others elect another; the former one follows when back.
    a_leader_that_loses_its_last_link_leads_on_alone |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        lan.listen();
        lan.link_down(leader, 0);
        lan.run(s(5));
        assert_eq!(lan.role(leader), Some(RoleName::Leading));
        lan.expect_event(leader, Kind::NetworkAlone);
        let others: Vec<usize> = lan.running().into_iter().filter(|m| *m != leader).collect();
        let new = lan.expect_one_among(&others);
        lan.link_up(leader, 0);
        lan.run(s(5));
        lan.expect_leader(new);
    }
}

story! {
    /// Two clusters of different names share the LAN: each has its own leader, and they never mix.
    two_clusters_share_the_lan_and_never_mix |seed| {
        let mut lan = Lan::dark(seed, 6);
        for m in 3..6 {
            lan.machines[m].cluster = "workshop".to_owned();
            lan.machines[m].wire = tanist::wire::Wire::new("workshop");
        }
        lan.boot_all_within(s(1));
        lan.run(s(10));
        lan.expect_one_among(&[0, 1, 2]);
        lan.expect_one_among(&[3, 4, 5]);
        assert!((0..6).all(|m| lan.status(m).is_some_and(|s| s.members == 3)), "the clusters mix");
    }
}

/// Three machines that forget after a minute whom they did not hear.
fn office_that_forgets(seed: u64) -> Lan {
    let mut lan = Lan::new(seed);
    for _ in 0..3 {
        let mut settings = Settings::default();
        settings.forget_after = Duration::from_secs(60);
        lan.add(settings, &[0]);
    }
    lan.boot_all_within(s(1));
    lan.run(s(8));
    lan
}

story! {
    /// A member that was not heard for `forget_after` is forgotten, and is known again when it returns.
    a_member_that_was_not_heard_is_forgotten |seed| {
        let mut lan = office_that_forgets(seed);
        let gone = lan.followers()[0];
        lan.power_cut(gone);
        lan.run(s(180));
        let leader = lan.expect_one_leader();
        assert_eq!(lan.status(leader).map(|s| s.members), Some(2));
        lan.boot(gone);
        lan.run(s(5));
        lan.expect_leader(leader);
        assert_eq!(lan.status(leader).map(|s| s.members), Some(3));
    }
}

story! {
    /// A member is gone, and the others are switched off and on again, so that their clocks begin anew: the silence before
    /// counts all the same.
    a_power_cut_does_not_begin_the_count_of_silence_anew |seed| {
        let mut lan = office_that_forgets(seed);
        lan.power_cut_all();
        lan.run(s(40));
        (0..2).for_each(|m| lan.boot(m));
        lan.run(s(40));
        let leader = lan.expect_one_leader();
        assert_eq!(lan.status(leader).map(|s| s.members), Some(2));
    }
}

story! {
    /// A newcomer is welcomed by two leaders at once, who do not reach each other: it goes to the one with more followers.
    a_newcomer_goes_to_the_leader_with_more_followers 100 |seed| {
        let mut lan = Lan::dark(seed, 6);
        lan.split(&[0, 1]);
        lan.boot_all_within(s(1));
        lan.run(s(8));
        lan.expect_one_among(&[0, 1]);
        let larger = lan.expect_one_among(&[2, 3, 4, 5]);
        let m = lan.add(Settings::default(), &[0]);
        lan.net.weather.delay = (ms(2), ms(3));
        lan.boot(m);
        lan.run_until(ms(100), "the newcomer follows", |lan| lan.status(m).is_some_and(|s| s.leader.is_some()));
        let leader = lan.status(m).and_then(|s| s.leader).expect("it follows");
        assert_eq!(lan.machine_of(leader.node.id), Some(larger));
    }
}

story! {
    /// Two subnets with a router between them and configured peers: no broadcast passes, and one leads for all.
    configured_peers_join_two_subnets |seed| {
        let mut lan = Lan::new(seed);
        for m in 0..4 {
            lan.add(Settings::default(), &[u8::from(m >= 2)]);
        }
        lan.net.routed = true;
        let peers = [lan.address_of(0), lan.address_of(2)];
        for m in 0..4 {
            lan.machines[m].peers = peers.to_vec();
        }
        lan.boot_all_within(s(1));
        lan.run(s(8));
        lan.expect_one_leader();
        lan.watch();
        lan.run(s(60));
        lan.expect_no_leader_change();
    }
}

story! {
    /// Two subnets have a leader each. Where the other one is, a machine is told later: whoever answers for names was not
    /// there yet. Then one leads for all, whether a follower or a leader was told.
    a_peer_whose_address_is_known_later_joins_two_subnets |seed| {
        let mut lan = Lan::new(seed);
        for m in 0..4 {
            lan.add(Settings::default(), &[u8::from(m >= 2)]);
        }
        lan.net.routed = true;
        lan.boot_all_within(s(1));
        lan.run(s(8));
        lan.expect_one_among(&[0, 1]);
        lan.expect_one_among(&[2, 3]);
        let (told, other) = (lan.dice.below(2) as usize, 2 + lan.dice.below(2) as usize);
        let peer = lan.address_of(other);
        lan.deliver(told, Work::Input(Input::Peers(vec![peer])));
        lan.run(s(8));
        lan.expect_one_leader();
    }
}

story! {
    /// A machine starts from the image of another one, machine id and all, while that one runs: one of the two takes a
    /// new id and says so, the other keeps it, and no leader changes.
    a_cloned_id_is_found_out |seed| {
        let mut lan = Lan::office(seed, 4);
        let model = lan.followers()[0];
        let id = lan.status(model).expect("it runs").node.id;
        let m = lan.add_copy_of(model, 0, true);
        lan.listen();
        lan.watch();
        lan.boot(m);
        lan.run(s(15));
        lan.expect_no_leader_change();
        lan.expect_one_leader();
        let ids: Vec<_> = [model, m].iter().map(|m| lan.status(*m).expect("it runs").node.id).collect();
        assert!(ids[0] != ids[1] && ids.contains(&id), "{ids:?} after {id:?}");
        assert!(lan.heard(m, Kind::CloneDetected) || lan.heard(model, Kind::CloneDetected));
    }
}

story! {
    /// The image of the leader is started beside it: the leader itself always answers, so the copy takes a new id.
    a_clone_of_the_leader_takes_a_new_id |seed| {
        let mut lan = Lan::office(seed, 3);
        let leader = lan.leader();
        let id = lan.status(leader).expect("it runs").node.id;
        let m = lan.add_copy_of(leader, 0, true);
        lan.watch();
        lan.boot(m);
        lan.run(s(15));
        lan.expect_not_deposed(leader);
        lan.expect_leader(leader);
        assert_eq!(lan.status(leader).expect("it runs").node.id, id);
        assert_ne!(lan.status(m).expect("it runs").node.id, id);
    }
}

story! {
    /// The image of the leader is started where it cannot be heard, and leads there alone. When the two meet, one yields and
    /// takes a new id first; the other keeps its own.
    two_leaders_with_one_id_meet |seed| {
        let mut lan = Lan::office(seed, 3);
        let leader = lan.leader();
        let id = lan.status(leader).expect("it runs").node.id;
        let m = lan.add_copy_of(leader, 0, true);
        lan.isolate(m);
        lan.boot(m);
        // It remembers the others, and waits for them.
        lan.run(s(33));
        lan.expect_one_among(&[m]);
        lan.heal_all();
        lan.run(s(15));
        lan.expect_leader(leader);
        assert_eq!(lan.status(leader).expect("it runs").node.id, id);
        assert_ne!(lan.status(m).expect("it runs").node.id, id);
    }
}

story! {
    /// An image is started on another machine: it makes a new id before it says a word, and nobody finds a clone.
    an_image_on_another_machine_has_a_new_id |seed| {
        let mut lan = Lan::office(seed, 3);
        let model = lan.followers()[0];
        let id = lan.status(model).expect("it runs").node.id;
        let m = lan.add_copy_of(model, 0, false);
        lan.listen();
        lan.watch();
        lan.boot(m);
        lan.run(s(10));
        lan.expect_no_leader_change();
        lan.expect_one_leader();
        assert_ne!(lan.status(m).expect("it runs").node.id, id);
        (0..4).for_each(|m| lan.expect_no_event(m, Kind::CloneDetected));
    }
}

story! {
    /// A follower is power-cycled, and later restarted: the same id with a new boot is no clone.
    a_power_cycled_machine_is_no_clone |seed| {
        let mut lan = Lan::office(seed, 4);
        let m = lan.followers()[0];
        let id = lan.status(m).expect("it runs").node.id;
        lan.listen();
        lan.watch();
        for _ in 0..3 {
            lan.power_cut(m);
            let pause = lan.dice.between(ms(1), s(5));
            lan.run(pause);
            lan.boot(m);
            lan.run(s(6));
            lan.restart(m);
            lan.run(s(6));
        }
        lan.expect_no_leader_change();
        lan.expect_one_leader();
        assert_eq!(lan.status(m).expect("it runs").node.id, id);
        (0..4).for_each(|m| lan.expect_no_event(m, Kind::CloneDetected));
    }
}

story! {
    /// A later version that adds fields and messages is in the office, as leader too: nobody minds.
    a_later_version_is_understood |seed| {
        let mut lan = Lan::dark(seed, 4);
        lan.machines[0].future = true;
        lan.machines[2].future = true;
        lan.boot_all_within(s(1));
        lan.run(s(8));
        lan.expect_one_leader();
        lan.kill_leader();
        lan.settle_within(s(5));
        lan.watch();
        lan.run(s(20));
        lan.expect_no_leader_change();
    }
}

story! {
    /// Only one machine has a priority above 0: it leads whenever it is there, and nobody does when it is not.
    a_fixed_server_leads_whenever_it_is_there |seed| {
        let mut lan = Lan::new(seed);
        for m in 0..4 {
            lan.add(priority(if m == 0 { 100 } else { 0 }), &[0]);
        }
        lan.boot_all_within(s(1));
        lan.run(s(8));
        lan.expect_leader(0);
        for _ in 0..3 {
            lan.power_cut(0);
            lan.run(s(10));
            assert!(lan.leaders().is_empty(), "one of priority 0 leads");
            lan.boot(0);
            lan.run(s(5));
            lan.expect_leader(0);
        }
    }
}

story! {
    /// A machine of higher priority joins: it does not take the role from a healthy leader, it becomes its successor,
    /// and leads when the role is free.
    a_higher_priority_waits_until_the_role_is_free |seed| {
        let mut lan = Lan::office(seed, 4);
        let m = lan.add(priority(200), &[0]);
        lan.watch();
        lan.boot(m);
        lan.run(s(10));
        lan.expect_no_leader_change();
        assert_eq!(lan.successor(), m);
        lan.kill_leader();
        lan.run(s(2));
        lan.expect_leader(m);
    }
}

story! {
    /// Members that speak on their sessions only are heard all the same: the leader shows each follower's last sign, and a
    /// follower its leader's.
    the_list_of_members_tells_who_was_heard_when |seed| {
        let mut lan = Lan::office(seed, 4);
        (0..4).for_each(|m| lan.no_broadcast(m));
        lan.run(s(60));
        let leader = lan.leader();
        for m in 0..4 {
            let process = lan.machines[m].process.as_ref().expect("it runs");
            for view in process.node.members(lan.machines[m].clock.read(lan.now)) {
                let who = lan.machine_of(view.member.node.id).expect("it runs");
                if m == leader || who == leader {
                    let lately = view.heard.is_some_and(|ago| ago.as_millis() <= 1500);
                    assert!(lately, "pc-{m} heard pc-{who} {:?} ago", view.heard);
                }
            }
        }
    }
}
