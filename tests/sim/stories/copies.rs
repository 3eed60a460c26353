//! The data where machines come, go and come back while others write (protocol §10).

use super::data::{all_is_there, everybody_writes, office, outcome};
use crate::disk::{Disk, Trouble};
use crate::lan::Lan;
use crate::network::M;
use crate::script::{ms, s};
use tanist::protocol::RoleName;
use tanist::settings::Settings;

/// A machine that is given another disk, with nothing on it.
fn gets_an_empty_disk(lan: &mut Lan, m: M) {
    lan.power_cut(m);
    lan.machines[m].disk = Disk::new();
    lan.oracle.lost(m);
    lan.boot(m);
}

/// Records of so many bytes, one after the other, on any machine that runs.
fn large_records(lan: &mut Lan, count: usize, length: usize) {
    for _ in 0..count {
        let all = lan.running();
        let m = all[lan.dice.index(all.len())];
        lan.user_adds(m, length);
        lan.run(ms(15));
    }
}

story! {
    /// The leader dies with a request that nobody answered yet; the user sends it again to another machine, and then, not
    /// knowing better, to a third: it is done once.
    what_is_sent_again_to_the_next_leader_is_done_once 30 |seed| {
        let mut lan = office(seed, 4);
        for _ in 0..3 {
            let (leader, others) = (lan.leader(), lan.followers());
            let request = lan.user_adds(others[0], 100);
            let pause = lan.dice.below(ms(3));
            lan.run(pause);
            lan.kill(leader);
            lan.ask(others[1], &request);
            lan.run(ms(100));
            lan.ask(others[2], &request);
            lan.run(ms(100));
            assert!(lan.users.acknowledged.contains_key(&request.id), "it was answered");
            lan.boot(leader);
            everybody_writes(&mut lan, s(1));
        }
        all_is_there(&mut lan);
    }
}

story! {
    /// Every machine is restarted, one after the other, while everybody writes: nobody is refused, and who followed the
    /// changes has missed none.
    machines_restart_one_by_one 20 |seed| {
        let mut lan = office(seed, 4);
        for m in 0..4 {
            lan.stop(m);
            everybody_writes(&mut lan, ms(600));
            lan.boot(m);
            everybody_writes(&mut lan, s(1));
            let longest = lan.longest_wait(Some(m));
            assert!(longest < ms(400), "{longest} µs for an answer");
        }
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
        assert_eq!(outcome(&lan, "later") + outcome(&lan, "no space"), 0, "{:?}", lan.users.outcomes);
    }
}

story! {
    /// A new machine comes while everybody writes, and the leader dies while it is sent what there is.
    the_leader_dies_while_a_newcomer_copies 20 |seed| {
        let mut lan = office(seed, 3);
        large_records(&mut lan, 60, 60_000);
        let late = lan.add(Settings::default(), &[0]);
        lan.boot(late);
        lan.run_until(s(5), "it follows", |lan| lan.role(late) == Some(RoleName::Following));
        let pause = lan.dice.below(ms(30));
        lan.run(pause);
        lan.kill_leader();
        everybody_writes(&mut lan, s(2));
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
    }
}

story! {
    /// A new machine dies while it is sent what there is, again and again, with its process or with its power.
    a_newcomer_dies_while_it_copies 20 |seed| {
        let mut lan = office(seed, 3);
        large_records(&mut lan, 60, 60_000);
        let late = lan.add(Settings::default(), &[0]);
        for _ in 0..4 {
            lan.boot(late);
            lan.run_until(s(5), "it follows", |lan| lan.role(late) == Some(RoleName::Following));
            let pause = lan.dice.below(ms(40));
            everybody_writes(&mut lan, pause);
            if lan.dice.chance(0.5) { lan.kill(late) } else { lan.power_cut(late) }
            everybody_writes(&mut lan, ms(300));
        }
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
    }
}

story! {
    /// A machine loses its disk: what comes back knows nothing, and takes nothing away from the others, whatever dies next.
    a_machine_that_lost_its_disk_takes_nothing_away 20 |seed| {
        let mut lan = office(seed, 4);
        let m = if seed.is_multiple_of(2) { lan.successor() } else { *lan.followers().last().expect("some") };
        gets_an_empty_disk(&mut lan, m);
        everybody_writes(&mut lan, s(3));
        let leader = lan.leader();
        lan.power_cut(leader);
        everybody_writes(&mut lan, s(2));
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
    }
}

story! {
    /// Eight new machines come at once, and the leader copies to four at a time: users of all of them are answered meanwhile,
    /// and in the end everybody has everything.
    many_newcomers_come_at_once 6 |seed| {
        let mut lan = office(seed, 3);
        large_records(&mut lan, 40, 60_000);
        let late: Vec<M> = (0..8).map(|_| lan.add(Settings::default(), &[0])).collect();
        late.iter().for_each(|m| lan.boot(*m));
        lan.run_until(s(10), "they follow", |lan| late.iter().all(|m| lan.role(*m) == Some(RoleName::Following)));
        everybody_writes(&mut lan, s(2));
        assert_eq!(outcome(&lan, "later") + outcome(&lan, "busy"), 0, "{:?}", lan.users.outcomes);
        all_is_there(&mut lan);
    }
}

story! {
    /// A machine misses more than the leader keeps in memory, once in a few large records, once in many small ones.
    who_missed_more_than_the_leader_keeps_has_everything 10 |seed| {
        let mut lan = office(seed, 3);
        let m = lan.followers()[0];
        lan.kill(m);
        if seed.is_multiple_of(2) {
            large_records(&mut lan, 30, 400_000);
        } else {
            for _ in 0..1200 {
                let leader = lan.leader();
                lan.user_adds(leader, 10);
                lan.run(ms(3));
            }
        }
        lan.boot(m);
        everybody_writes(&mut lan, s(2));
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
    }
}

story! {
    /// A laptop that was alone comes back with what it wrote, and breaks off while it offers that; so does its leader.
    an_offer_that_breaks_off_is_made_again 20 |seed| {
        let mut lan = office(seed, 4);
        let laptop = lan.followers()[0];
        lan.isolate(laptop);
        lan.run(s(5));
        for _ in 0..20 {
            lan.user_adds(laptop, 60_000);
            lan.run(ms(20));
        }
        for turn in 0..3 {
            lan.heal_all();
            lan.run_until(s(20), "they met", |lan| lan.leaders().len() == 1);
            let pause = lan.dice.below(ms(20));
            lan.run(pause);
            match (turn, seed % 2) {
                (0, _) => lan.isolate(laptop),
                (1, 0) => lan.kill(laptop),
                (1, _) => { lan.kill_leader(); }
                _ => {}
            }
            everybody_writes(&mut lan, s(2));
            for m in 0..4 {
                if lan.machines[m].process.is_none() {
                    lan.boot(m);
                }
            }
        }
        lan.heal_all();
        lan.run(s(10));
        all_is_there(&mut lan);
    }
}

story! {
    /// Values of nearly a megabyte, while leaders die.
    large_values_survive_their_leaders 4 |seed| {
        let mut lan = office(seed, 3);
        for _ in 0..3 {
            large_records(&mut lan, 6, 1_000_000);
            let old = lan.kill_leader();
            large_records(&mut lan, 6, 1_000_000);
            lan.boot(old);
            everybody_writes(&mut lan, s(1));
        }
        all_is_there(&mut lan);
    }
}

story! {
    /// Whoever leads is killed again and again, a few milliseconds after it began to.
    leaders_die_one_after_the_other 20 |seed| {
        let mut lan = office(seed, 4);
        for _ in 0..8 {
            let old = lan.kill_leader();
            let pause = ms(20) + lan.dice.below(ms(200));
            everybody_writes(&mut lan, pause);
            lan.boot(old);
            lan.run_until(s(10), "one leads", |lan| lan.leaders().len() == 1);
        }
        everybody_writes(&mut lan, s(1));
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
    }
}

story! {
    /// Three parts of an office write, each for itself, and meet again, two at a time.
    three_parts_keep_what_they_wrote 20 |seed| {
        let mut lan = office(seed, 5);
        lan.isolate(4);
        for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
            lan.cut(a, b);
        }
        everybody_writes(&mut lan, s(6));
        lan.heal_all();
        lan.isolate(4);
        everybody_writes(&mut lan, s(4));
        lan.heal_all();
        everybody_writes(&mut lan, s(2));
        lan.run(s(8));
        all_is_there(&mut lan);
    }
}

story! {
    /// The disks of all machines are full: every writer is told so, every reader reads, and when there is room again writes
    /// go on, with nothing lost.
    all_disks_are_full 20 |seed| {
        let mut lan = office(seed, 3);
        for machine in &lan.machines {
            machine.disk.set_trouble(Trouble::Full);
        }
        let before = lan.users.acknowledged.len();
        everybody_writes(&mut lan, s(3));
        lan.run(s(12));
        assert_eq!(outcome(&lan, "unread"), 0, "{:?}", lan.users.outcomes);
        assert!(outcome(&lan, "no space") + outcome(&lan, "later") > 0, "{:?}", lan.users.outcomes);
        for machine in &lan.machines {
            machine.disk.set_trouble(Trouble::None);
        }
        lan.run(s(12));
        everybody_writes(&mut lan, s(2));
        assert!(lan.users.acknowledged.len() > before + 50, "writes go on: {:?}", lan.users.outcomes);
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
    }
}

story! {
    /// The leader's disk fails while nobody can take over. What it tried meanwhile came to its followers and was lost on its own
    /// disk: they have more than it, which it cannot take in, and that must not keep the role where nothing can be written.
    a_leader_that_cannot_write_hands_over_to_one_that_has_more 10 |seed| {
        let mut lan = office(seed, 3);
        let leader = lan.leader();
        for m in lan.followers() {
            lan.freeze(m, ms(1500));
        }
        lan.machines[leader].disk.set_trouble(Trouble::Full);
        everybody_writes(&mut lan, s(13));
        assert_ne!(lan.leader(), leader);
        lan.machines[leader].disk.set_trouble(Trouble::None);
        lan.run(s(8));
        everybody_writes(&mut lan, s(1));
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
    }
}

story! {
    /// A laptop sleeps for an hour, and its clock is wrong by years when it wakes: neither matters to the data.
    a_laptop_sleeps_and_wakes_with_a_wrong_clock 20 |seed| {
        let mut lan = office(seed, 4);
        let laptop = if seed.is_multiple_of(2) { lan.leader() } else { lan.followers()[0] };
        lan.sleep(laptop, s(40));
        everybody_writes(&mut lan, s(2));
        lan.jump_clock(laptop, if seed.is_multiple_of(3) { 100_000_000 } else { -100_000_000 });
        lan.run(s(40));
        everybody_writes(&mut lan, s(2));
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
    }
}

story! {
    /// A leader that stood still, and was replaced meanwhile, acknowledges nothing beside the new one when it goes on.
    a_leader_that_stood_still_counts_nothing_beside_the_new_one 40 |seed| {
        let mut lan = office(seed, 4);
        let leader = lan.leader();
        lan.freeze(leader, ms(900) + (seed % 20) * ms(100));
        everybody_writes(&mut lan, s(5));
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
    }
}
