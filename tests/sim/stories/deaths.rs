//! Sections 6 and 7: suspicion, the death of a leader, succession, election.

use crate::disk::Trouble;
use crate::lan::Lan;
use crate::machine::Illness;
use crate::script::{ms, s};
use tanist::event::Kind;
use tanist::protocol::RoleName;
use tanist::settings::Settings;

/// The leader is gone in some way: another one leads within `limit`, and every running machine but the leader names it.
fn another_leads(lan: &mut Lan, gone: usize, limit: u64) -> usize {
    let others: Vec<usize> = lan.running().into_iter().filter(|m| *m != gone).collect();
    lan.run_until(limit, "another leads", |lan| lan.one_among(&others).is_ok());
    lan.expect_one_among(&others)
}

/// The same, and how long it took.
fn another_leads_after(lan: &mut Lan, gone: usize, limit: u64) -> u64 {
    let began = lan.now;
    another_leads(lan, gone, limit);
    lan.now - began
}

story! {
    /// The leader's process is killed: its successor leads milliseconds later.
    the_successor_of_a_killed_leader_leads_in_milliseconds |seed| {
        let mut lan = Lan::office(seed, 4);
        let successor = lan.successor();
        lan.kill_leader();
        lan.run_until(ms(30), "the successor leads", |lan| lan.role(successor) == Some(RoleName::Leading));
        lan.run(ms(300));
        lan.expect_leader(successor);
    }
}

story! {
    /// The leader's machine loses its power: its successor leads after 2 to 3 intervals of silence and a canvass.
    the_successor_of_a_silent_leader_leads_within_a_second |seed| {
        let mut lan = Lan::office(seed, 4);
        let (leader, successor) = (lan.leader(), lan.successor());
        lan.power_cut(leader);
        let took = lan.run_until(ms(1000), "the successor leads", |lan| {
            lan.role(successor) == Some(RoleName::Leading)
        });
        assert!(took > ms(490), "two beats must be missing: {took}");
        lan.run(ms(300));
        lan.expect_leader(successor);
    }
}

story! {
    /// The successor dies a moment after the leader, with its claim under way: nobody waits for a claim of the dead.
    the_successor_dies_while_it_claims 60 |seed| {
        let mut lan = Lan::office(seed, 5);
        let (leader, successor) = (lan.leader(), lan.successor());
        lan.kill(leader);
        lan.run(100 * (seed % 40));
        lan.kill(successor);
        let took = another_leads_after(&mut lan, successor, ms(2000));
        assert!(took <= ms(60), "{took} microseconds");
    }
}

story! {
    /// The successor and the leader die in the same instant: the next in the line of succession leads.
    the_successor_and_the_leader_die_together |seed| {
        let mut lan = Lan::office(seed, 5);
        let (leader, successor) = (lan.leader(), lan.successor());
        if seed % 2 == 0 {
            lan.kill(successor);
            lan.kill(leader);
        } else {
            lan.power_cut(successor);
            lan.power_cut(leader);
        }
        lan.settle_within(s(5));
    }
}

story! {
    /// Half of the remembered members are switched off for good: failover is as fast as with all of them.
    half_of_the_members_are_off_and_failover_is_as_fast |seed| {
        let mut lan = Lan::office(seed, 10);
        let (leader, successor) = (lan.leader(), lan.successor());
        let off: Vec<usize> = (0..10).filter(|m| *m != leader && *m != successor).take(5).collect();
        off.iter().for_each(|m| lan.power_cut(*m));
        lan.run(s(15));
        lan.expect_leader(leader);
        let successor = lan.successor();
        lan.kill_leader();
        lan.run_until(ms(30), "the successor leads", |lan| lan.role(successor) == Some(RoleName::Leading));
    }
}

story! {
    /// A session breaks, and nothing else: suspicion costs one question, and nobody is deposed.
    a_broken_session_costs_one_question |seed| {
        let mut lan = Lan::office(seed, 4);
        lan.listen();
        lan.watch();
        for _ in 0..10 {
            for key in lan.standing() {
                lan.break_connection(key);
            }
            lan.run(s(3));
        }
        lan.expect_no_leader_change();
        lan.expect_one_leader();
        let follower = lan.followers()[0];
        lan.expect_event(follower, Kind::LeaderSuspected);
        lan.expect_event(follower, Kind::LeaderAnswered);
    }
}

story! {
    /// A leader that stands still for less than 2 intervals is not deposed.
    a_short_stall_deposes_nobody |seed| {
        let mut lan = Lan::office(seed, 4);
        lan.watch();
        for _ in 0..5 {
            let leader = lan.leader();
            lan.freeze(leader, ms(300));
            lan.run(s(3));
        }
        lan.expect_no_leader_change();
    }
}

story! {
    /// A leader that stands still for ten seconds is replaced, and follows the new one when it runs again.
    a_leader_that_stalls_for_long_follows_when_it_runs_again |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        lan.freeze(leader, s(10));
        let new = another_leads(&mut lan, leader, s(3));
        lan.run(s(15));
        lan.expect_leader(new);
    }
}

story! {
    /// A leader sleeps and wakes: another leads, and the sleeper follows it.
    a_leader_that_sleeps_and_wakes_follows |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        lan.sleep(leader, s(60));
        let new = another_leads(&mut lan, leader, s(3));
        lan.run(s(65));
        lan.expect_leader(new);
        lan.watch();
        lan.run(s(20));
        lan.expect_no_leader_change();
    }
}

story! {
    /// All sleep and wake in the same second, as laptops on one desk do: one leads soon after.
    all_sleep_and_wake_together |seed| {
        let mut lan = Lan::office(seed, 4);
        for m in 0..4 {
            let pause = s(30) + lan.dice.below(s(1));
            lan.sleep(m, pause);
        }
        lan.run(s(31));
        lan.settle_within(s(5));
    }
}

story! {
    /// A follower stalls or sleeps: it asks before anything else, and no leader changes.
    a_follower_that_wakes_asks_before_anything_else |seed| {
        let mut lan = Lan::office(seed, 4);
        lan.listen();
        lan.watch();
        let m = lan.followers()[0];
        lan.freeze(m, s(5));
        lan.run(s(10));
        lan.expect_event(m, Kind::Stalled);
        lan.sleep(m, s(40));
        lan.run(s(50));
        lan.expect_no_leader_change();
        lan.expect_one_leader();
    }
}

story! {
    /// A black hole of the first kind: it accepts connections and never answers.
    a_black_hole_that_accepts_and_never_answers |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        lan.freeze(leader, s(600));
        let new = another_leads(&mut lan, leader, s(3));
        lan.watch();
        lan.run(s(30));
        lan.expect_not_deposed(new);
    }
}

story! {
    /// A black hole of the second kind: it beats and never answers. It is dead after questions by TCP for 2 s.
    a_black_hole_that_beats_and_never_answers |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        lan.machines[leader].process.as_mut().expect("it runs").illness = Illness::Deaf;
        another_leads(&mut lan, leader, s(12));
    }
}

story! {
    /// A black hole of the third kind: it answers and cannot write. It hands over and says why, or is taken for dead by
    /// the age of its oldest store operation.
    a_black_hole_that_answers_and_cannot_write |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        lan.listen();
        lan.machines[leader].disk.set_trouble(Trouble::Stuck);
        // Something is to be written: a member joins.
        let m = lan.add(Settings::default(), &[0]);
        lan.boot(m);
        another_leads(&mut lan, leader, s(12));
        lan.expect_event(leader, Kind::StoreTrouble);
    }
}

story! {
    /// A black hole of the fourth kind: it hears nothing and beats.
    a_black_hole_that_hears_nothing_and_beats |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        for m in lan.followers() {
            lan.cut_one_way(m, leader);
        }
        let others: Vec<usize> = lan.followers();
        lan.run_until(s(12), "another leads", |lan| {
            others.iter().filter(|m| lan.role(**m) == Some(RoleName::Leading)).count() == 1
        });
        lan.heal_all();
        lan.run(s(5));
        lan.expect_one_leader();
    }
}

story! {
    /// A black hole of a fifth kind: it beats and answers by datagram, but takes nothing in by TCP. An answer by datagram
    /// explains a silence, and not a ping that is not answered.
    a_black_hole_that_answers_by_datagram_only |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        lan.machines[leader].process.as_mut().expect("it runs").illness = Illness::Streamless;
        another_leads(&mut lan, leader, s(12));
    }
}

story! {
    /// A leader's disk fails: it hands over and says why.
    a_leader_whose_store_fails_hands_over |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        lan.listen();
        lan.machines[leader].disk.set_trouble(if seed % 2 == 0 { Trouble::Failing } else { Trouble::Full });
        let m = lan.add(Settings::default(), &[0]);
        lan.boot(m);
        another_leads(&mut lan, leader, s(5));
        lan.expect_event(leader, Kind::StoreTrouble);
    }
}

story! {
    /// A former leader returns and stays a follower, however often.
    a_returning_former_leader_stays_a_follower |seed| {
        let mut lan = Lan::office(seed, 4);
        let old = lan.kill_leader();
        let new = another_leads(&mut lan, old, s(3));
        lan.watch();
        for _ in 0..5 {
            lan.boot(old);
            lan.run(s(8));
            lan.expect_leader(new);
            lan.kill(old);
            lan.run(s(2));
        }
        lan.expect_no_leader_change();
    }
}

story! {
    /// The leader's process restarts within a moment: the new boot does not continue the reign, and one leads soon.
    a_restarted_leader_does_not_continue_its_reign |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        let before = lan.shown(leader);
        lan.restart(leader);
        lan.settle_within(s(5));
        let leader = lan.leader();
        assert!(lan.shown(leader).epoch > before.epoch, "the reign went on in another process");
    }
}

story! {
    /// The clock of one machine is a year off, ahead or behind, from the start; later others jump. Nobody is deposed.
    a_clock_that_is_a_year_off_changes_nothing |seed| {
        let mut lan = Lan::dark(seed, 4);
        let year = 365 * 24 * 3600;
        lan.jump_clock(1, if seed % 2 == 0 { year } else { -year });
        lan.boot_all_within(s(1));
        lan.run(s(8));
        lan.expect_one_leader();
        lan.watch();
        for m in 0..4 {
            let jump = lan.dice.between(1, 2 * 365 * 24 * 3600).cast_signed() - year;
            lan.jump_clock(m, jump);
            lan.run(s(5));
        }
        lan.expect_no_leader_change();
        lan.kill_leader();
        lan.settle_within(s(5));
    }
}

story! {
    /// 30 % of all datagrams are lost for three minutes: nobody is deposed.
    three_of_ten_datagrams_are_lost |seed| {
        let mut lan = Lan::office(seed, 5);
        lan.net.weather.loss = 0.3;
        lan.watch();
        lan.run(s(180));
        lan.expect_no_leader_change();
        lan.expect_one_leader();
    }
}

story! {
    /// 10 % of all packets, TCP's included, are lost for three minutes: nobody is deposed.
    one_of_ten_packets_is_lost |seed| {
        let mut lan = Lan::office(seed, 5);
        lan.net.weather.loss = 0.1;
        lan.net.weather.tcp_loss = 0.1;
        lan.watch();
        lan.run(s(180));
        lan.expect_no_leader_change();
        lan.expect_one_leader();
    }
}

story! {
    /// Datagrams are doubled and come out of order: nobody is deposed.
    doubled_and_reordered_datagrams_change_nothing |seed| {
        let mut lan = Lan::office(seed, 5);
        (lan.net.weather.double, lan.net.weather.late, lan.net.weather.late_max) = (0.5, 0.5, ms(100));
        lan.watch();
        lan.run(s(120));
        lan.expect_no_leader_change();
    }
}

story! {
    /// A member dies in the middle of its outputs, again and again, at every place: one leads in the end.
    dying_between_any_two_outputs |seed| {
        let mut lan = Lan::office(seed, 4);
        for after in 0..12 {
            let leader = lan.leaders().first().copied().unwrap_or(0);
            if let Some(process) = &mut lan.machines[leader].process {
                process.dies_after = Some(after);
            }
            lan.run(s(3));
            for m in 0..4 {
                lan.boot(m);
            }
            lan.run(s(6));
            lan.expect_one_leader();
        }
    }
}

story! {
    /// The successor stands still in the middle of its claim, for longer than others wait: it has lost, and says so.
    a_claimant_that_stands_still_has_lost |seed| {
        let mut lan = Lan::office(seed, 4);
        let (leader, successor) = (lan.leader(), lan.successor());
        lan.listen();
        // Its disk takes its time, so that the claim is under way for a while.
        lan.machines[successor].sync = (20_000, 40_000);
        lan.kill(leader);
        lan.run_until(s(2), "it claims", |lan| lan.role(successor) == Some(RoleName::Claiming));
        lan.freeze(successor, ms(2500));
        lan.run(s(8));
        lan.expect_event(successor, Kind::ClaimWithdrawn);
        lan.expect_one_leader();
    }
}

story! {
    /// A link to the leader fails for a moment, and the successor claims in vain; then the leader is killed. Nobody sits out
    /// the time for which the successor was vetoed: it has proof, or, when it has only just come back, the next one claims.
    a_veto_holds_up_nobody_when_its_leader_dies_after_all |seed| {
        let mut lan = Lan::office(seed, 5);
        let (leader, successor) = (lan.leader(), lan.successor());
        lan.listen();
        lan.cut(leader, successor);
        lan.run_until(s(2), "its claim is withdrawn", |lan| lan.heard(successor, Kind::ClaimWithdrawn));
        lan.heal(leader, successor);
        let pause = 20 + 45 * (seed % 20);
        lan.run(ms(pause));
        lan.expect_leader(leader);
        lan.kill(leader);
        let took = another_leads_after(&mut lan, leader, s(3));
        assert!(took < ms(60), "{took} µs, killed {pause} ms after the veto");
        // Its new session begins at nothing, so another may have been named meanwhile.
        assert!(pause < 300 || took < ms(30), "{took} µs, pc-{} leads, killed {pause} ms after the veto", lan.leader());
    }
}
