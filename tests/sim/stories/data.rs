//! The data (protocol §10).

use crate::disk::Trouble;
use crate::lan::Lan;
use crate::script::{ms, s};
use tanist::protocol::RoleName;
use tanist::settings::Settings;

/// A machine alone, that leads.
pub(super) fn alone(seed: u64) -> Lan {
    let mut lan = Lan::new(seed);
    let m = lan.add(Settings::default(), &[0]);
    lan.boot(m);
    lan.run_until(s(5), "it leads", |lan| lan.role(0) == Some(RoleName::Leading));
    lan
}

/// Writes for so long, a few at a time.
fn writes(lan: &mut Lan, bursts: u64) {
    for _ in 0..bursts {
        for _ in 0..=lan.dice.below(6) {
            lan.user_acts(0);
        }
        let pause = lan.dice.below(ms(4));
        lan.run(pause);
    }
}

story! {
    /// A lone machine is killed, loses its power, and starts again, in the middle of writes and of the sync that they wait
    /// for: what it acknowledged is there, each record once.
    a_lone_machine_loses_nothing_that_it_acknowledged 60 |seed| {
        let mut lan = alone(seed);
        for _ in 0..6 {
            let bursts = 1 + lan.dice.below(60);
            writes(&mut lan, bursts);
            if lan.dice.chance(0.5) { lan.kill(0) } else { lan.power_cut(0) }
            lan.run(ms(200));
            lan.boot(0);
            lan.run_until(s(5), "it leads", |lan| lan.role(0) == Some(RoleName::Leading));
            lan.run(ms(100));
            lan.nothing_acknowledged_is_lost();
        }
        writes(&mut lan, 5);
        lan.run(s(1));
        assert!(lan.users.outcomes["acknowledged alone"] > 30, "{:?}", lan.users.outcomes);
    }
}

story! {
    /// The disk of a lone machine is full, fails or hangs for a while: users are told so, nothing that was acknowledged is
    /// lost, and it goes on when the disk works again.
    a_lone_machine_refuses_what_its_disk_does_not_take 60 |seed| {
        let mut lan = alone(seed);
        writes(&mut lan, 20);
        lan.run(ms(100));
        let before = lan.users.outcomes["acknowledged alone"];
        let trouble = [Trouble::Full, Trouble::Failing, Trouble::Stuck][usize::try_from(seed % 3).expect("small")];
        lan.machines[0].disk.set_trouble(trouble);
        writes(&mut lan, 20);
        lan.run(s(12));
        let told = lan.users.outcomes.iter().filter(|(word, _)| **word != "acknowledged alone").map(|(_, n)| n).sum::<u64>();
        assert!(told > 0, "{:?}", lan.users.outcomes);
        lan.machines[0].disk.set_trouble(Trouble::None);
        let life = lan.life(0).expect("it runs");
        lan.disk_done(0, life);
        lan.run(s(3));
        writes(&mut lan, 20);
        lan.run(s(1));
        assert!(lan.users.outcomes["acknowledged alone"] > before, "{:?}", lan.users.outcomes);
        lan.nothing_acknowledged_is_lost();
        lan.power_cut(0);
        lan.boot(0);
        lan.run(s(2));
        lan.nothing_acknowledged_is_lost();
    }
}

/// An office with users, who have written for a while.
pub(super) fn office(seed: u64, n: usize) -> Lan {
    let mut lan = Lan::office(seed, n);
    everybody_writes(&mut lan, ms(500));
    lan
}

/// Users of all machines write, a few at a time.
pub(super) fn everybody_writes(lan: &mut Lan, time: u64) {
    lan.longest_wait(None);
    let end = lan.now + time;
    while lan.now < end {
        let m = lan.dice.index(lan.machines.len());
        lan.user_acts(m);
        let pause = lan.dice.below(ms(8));
        lan.run(pause);
    }
}

/// Nobody writes any more, and everybody runs: all have the same, and all that was acknowledged.
pub(super) fn all_is_there(lan: &mut Lan) {
    for m in 0..lan.machines.len() {
        if lan.machines[m].process.is_none() {
            lan.boot(m);
        }
    }
    lan.run(s(8));
    lan.expect_one_leader();
    lan.expect_same_data();
}

pub(super) fn outcome(lan: &Lan, word: &str) -> u64 {
    lan.users.outcomes.get(word).copied().unwrap_or(0)
}

story! {
    /// The leader's process is killed while everybody writes: the others go on within milliseconds, nobody is refused, and
    /// when it is back it has all.
    writes_go_on_when_the_leader_is_killed 20 |seed| {
        let mut lan = office(seed, 4);
        for _ in 0..3 {
            let old = lan.kill_leader();
            everybody_writes(&mut lan, ms(900));
            let longest = lan.longest_wait(None);
            assert!(longest < ms(150), "{longest} µs for an answer");
            lan.boot(old);
            everybody_writes(&mut lan, ms(900));
        }
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
        assert_eq!(outcome(&lan, "later") + outcome(&lan, "no space"), 0, "{:?}", lan.users.outcomes);
    }
}

story! {
    /// The leader's machine loses its power.
    nothing_is_lost_with_the_power_of_the_leader 20 |seed| {
        let mut lan = office(seed, 3);
        let leader = lan.leader();
        lan.power_cut(leader);
        everybody_writes(&mut lan, s(2));
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
    }
}

story! {
    /// All machines lose their power at once.
    nothing_is_lost_with_the_power_of_all 20 |seed| {
        let mut lan = office(seed, 4);
        for _ in 0..3 {
            lan.power_cut_all();
            lan.run(ms(500));
            lan.boot_all_within(s(1));
            lan.run(s(3));
            everybody_writes(&mut lan, ms(700));
        }
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
    }
}

story! {
    /// The leader and its successor, which have the only copies that count, die at once, and others have more and less.
    nothing_is_lost_when_leader_and_successor_die_at_once 30 |seed| {
        let mut lan = office(seed, 5);
        let (leader, successor) = (lan.leader(), lan.successor());
        if seed.is_multiple_of(2) {
            lan.kill(leader);
            lan.kill(successor);
        } else {
            lan.power_cut(leader);
            lan.power_cut(successor);
        }
        everybody_writes(&mut lan, s(3));
        all_is_there(&mut lan);
    }
}

story! {
    /// The successor is killed, is cut off, or stands still: writes wait for it no longer than for a second one.
    writes_wait_for_no_successor_that_is_gone 30 |seed| {
        let mut lan = office(seed, if seed.is_multiple_of(2) { 2 } else { 4 });
        let successor = lan.successor();
        let most = match seed % 3 {
            0 => {
                lan.kill(successor);
                ms(60)
            }
            1 => {
                lan.isolate(successor);
                ms(800)
            }
            _ => {
                lan.freeze(successor, s(3));
                ms(800)
            }
        };
        everybody_writes(&mut lan, s(2));
        let longest = lan.longest_wait(Some(successor));
        assert!(longest < most, "{longest} µs for an answer");
        lan.heal_all();
        lan.run(s(3));
        all_is_there(&mut lan);
    }
}

story! {
    /// A handover while everybody writes: a pause, and no error.
    a_handover_is_a_pause_for_writers 20 |seed| {
        let mut lan = office(seed, 4);
        for request in 0..3 {
            let leader = lan.leader();
            lan.handover(leader, request, None);
            everybody_writes(&mut lan, s(1));
            let longest = lan.longest_wait(None);
            assert!(longest < ms(150), "{longest} µs for an answer");
            assert_ne!(lan.leader(), leader);
        }
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
        assert_eq!(outcome(&lan, "later") + outcome(&lan, "no space"), 0, "{:?}", lan.users.outcomes);
    }
}

story! {
    /// The leader is told to stop while everybody writes.
    a_leader_that_stops_takes_nothing_along 20 |seed| {
        let mut lan = office(seed, 3);
        let leader = lan.leader();
        lan.stop(leader);
        everybody_writes(&mut lan, s(2));
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
        assert_eq!(outcome(&lan, "later") + outcome(&lan, "no space"), 0, "{:?}", lan.users.outcomes);
    }
}

story! {
    /// The leader's disk takes nothing more: another leads and takes what was asked.
    a_leader_whose_disk_is_full_hands_over_what_was_asked 20 |seed| {
        let mut lan = office(seed, 4);
        let leader = lan.leader();
        let trouble = [Trouble::Full, Trouble::Failing][turn_of(seed)];
        lan.machines[leader].disk.set_trouble(trouble);
        everybody_writes(&mut lan, s(2));
        assert_ne!(lan.leader(), leader);
        assert_eq!(outcome(&lan, "no space"), 0, "{:?}", lan.users.outcomes);
        lan.machines[leader].disk.set_trouble(Trouble::None);
        lan.run(s(3));
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
    }
}

fn turn_of(seed: u64) -> usize {
    usize::try_from(seed % 2).expect("small")
}

story! {
    /// The successor's disk takes nothing more: it is named no more, and writes go on with another.
    a_successor_whose_disk_is_full_holds_nobody_up 20 |seed| {
        let mut lan = office(seed, 4);
        let (leader, successor) = (lan.leader(), lan.successor());
        let trouble = [Trouble::Full, Trouble::Failing][turn_of(seed)];
        lan.machines[successor].disk.set_trouble(trouble);
        everybody_writes(&mut lan, s(2));
        let longest = lan.longest_wait(None);
        assert!(longest < ms(800), "{longest} µs for an answer");
        lan.expect_leader(leader);
        lan.machines[successor].disk.set_trouble(Trouble::None);
        lan.run(s(3));
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
    }
}

story! {
    /// A machine that was away for long, one that is new, and one whose leader has lost the tail, have everything.
    who_comes_late_has_everything 20 |seed| {
        let mut lan = office(seed, 3);
        let follower = lan.followers()[0];
        lan.stop(follower);
        everybody_writes(&mut lan, s(1));
        // Whoever leads then has no more in memory than what is pending.
        lan.power_cut_all();
        lan.boot_all_within(ms(100));
        lan.run(s(3));
        let late = lan.add(Settings::default(), &[0]);
        lan.boot(late);
        everybody_writes(&mut lan, s(2));
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
    }
}

story! {
    /// Both halves of a split write, and a user who sends the same to both; when it heals, all is everywhere, once.
    both_halves_of_a_split_keep_what_they_wrote 30 |seed| {
        let mut lan = office(seed, 4);
        lan.split(&[0, 1]);
        everybody_writes(&mut lan, s(5));
        lan.heal_all();
        everybody_writes(&mut lan, s(1));
        lan.run(s(6));
        all_is_there(&mut lan);
    }
}

story! {
    /// A laptop that is alone for a while brings what it wrote.
    a_lone_laptop_brings_what_it_wrote 20 |seed| {
        let mut lan = office(seed, 4);
        let m = if seed.is_multiple_of(2) { lan.leader() } else { lan.followers()[0] };
        lan.isolate(m);
        everybody_writes(&mut lan, s(6));
        lan.heal_all();
        lan.run(s(6));
        all_is_there(&mut lan);
        assert!(outcome(&lan, "acknowledged alone") > 0, "{:?}", lan.users.outcomes);
    }
}

story! {
    /// Disks that take 50 ms for a sync: nobody is deposed, and nobody takes it for a death.
    slow_disks_depose_nobody 10 |seed| {
        let mut lan = office(seed, 3);
        let leader = lan.leader();
        for machine in &mut lan.machines {
            machine.sync = (ms(40), ms(60));
        }
        everybody_writes(&mut lan, s(5));
        lan.expect_leader(leader);
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
        lan.expect_leader(leader);
    }
}

story! {
    /// A leader whose only follower never leads acknowledges alone, and says so; the follower has everything all the same.
    a_member_that_never_leads_has_a_copy_that_does_not_count 10 |seed| {
        let mut lan = Lan::new(seed);
        for priority in [100, 0] {
            lan.add(crate::script::priority(priority), &[0]);
        }
        lan.boot_all_within(ms(100));
        lan.run(s(5));
        everybody_writes(&mut lan, s(1));
        let longest = lan.longest_wait(None);
        assert!(longest < ms(60), "{longest} µs for an answer");
        assert_eq!(outcome(&lan, "acknowledged"), 0, "{:?}", lan.users.outcomes);
        all_is_there(&mut lan);
    }
}

story! {
    /// A machine that reaches the leader through another only writes like any other, and has everything.
    who_is_reached_through_another_has_everything 10 |seed| {
        let mut lan = office(seed, 4);
        let (leader, m) = (lan.leader(), lan.followers()[1]);
        lan.cut(leader, m);
        lan.run(s(3));
        everybody_writes(&mut lan, s(3));
        lan.run(s(3));
        lan.expect_same_data();
        lan.heal_all();
        all_is_there(&mut lan);
    }
}

story! {
    /// One packet in ten is lost, on connections too.
    lost_packets_lose_nothing 10 |seed| {
        let mut lan = office(seed, 4);
        (lan.net.weather.loss, lan.net.weather.tcp_loss) = (0.1, 0.1);
        everybody_writes(&mut lan, s(5));
        lan.heal_all();
        all_is_there(&mut lan);
    }
}

story! {
    /// The leader dies between any two of the things that it does.
    dying_between_any_two_outputs_loses_nothing 40 |seed| {
        let mut lan = office(seed, 3);
        let leader = lan.leader();
        let after = u32::try_from(seed % 40).expect("small");
        lan.machines[leader].process.as_mut().expect("it runs").dies_after = Some(after);
        everybody_writes(&mut lan, s(1));
        if seed.is_multiple_of(3) {
            lan.power_cut(leader);
        }
        all_is_there(&mut lan);
        lan.expect_every_step_counted();
    }
}
