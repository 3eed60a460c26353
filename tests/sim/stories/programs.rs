//! Section 8: programs that follow the role end before it is given away on purpose.

use super::data::{all_is_there, everybody_writes, office, outcome};
use crate::disk::Trouble;
use crate::lan::Lan;
use crate::script::{ms, s};
use tanist::event::Kind;
use tanist::protocol::RoleName;

fn gives_up(lan: &Lan, m: usize) -> bool {
    lan.status(m).is_some_and(|status| status.gives_up)
}

story! {
    /// A handover waits until the programs of the old leader have ended, and is done milliseconds after that.
    a_handover_waits_for_programs |seed| {
        let mut lan = Lan::office(seed, 4);
        let (leader, successor) = (lan.leader(), lan.successor());
        lan.programs(leader, Some(s(5)));
        lan.run(s(1));
        assert!(!gives_up(&lan, leader), "nothing is asked of them without a reason");
        lan.watch();
        lan.handover(leader, 1, None);
        lan.run(s(4));
        assert!(gives_up(&lan, leader), "they are told to end");
        assert_eq!(lan.reply(1), None, "whoever asked waits");
        lan.expect_no_leader_change();
        lan.programs(leader, None);
        lan.run_until(ms(30), "the successor leads", |lan| lan.role(successor) == Some(RoleName::Leading));
        lan.run(ms(500));
        lan.expect_leader(successor);
        assert!(!gives_up(&lan, leader) && lan.reply(1) == Some(None));
    }
}

story! {
    /// Programs that do not end hold up a handover for as long as they may need, and no longer.
    a_handover_waits_for_programs_no_longer_than_they_may_need |seed| {
        let mut lan = Lan::office(seed, 4);
        let (leader, successor) = (lan.leader(), lan.successor());
        lan.programs(leader, Some(s(5)));
        lan.handover(leader, 1, None);
        lan.run(s(5) - ms(10));
        lan.expect_leader(leader);
        lan.run_until(ms(50), "the successor leads", |lan| lan.role(successor) == Some(RoleName::Leading));
        lan.run(ms(500));
        assert_eq!(lan.reply(1), Some(None));
    }
}

story! {
    /// Users write while the programs end, and lose nothing.
    users_write_while_programs_end 10 |seed| {
        let mut lan = office(seed, 4);
        let leader = lan.leader();
        lan.programs(leader, Some(s(5)));
        lan.handover(leader, 1, None);
        everybody_writes(&mut lan, s(2));
        let longest = lan.longest_wait(None);
        assert!(longest < ms(150), "{longest} µs for an answer");
        lan.expect_leader(leader);
        lan.programs(leader, None);
        everybody_writes(&mut lan, s(1));
        assert_ne!(lan.leader(), leader);
        all_is_there(&mut lan);
    }
}

story! {
    /// The leader's disk takes nothing more while programs run there: they end first, nothing is tried again and again meanwhile,
    /// and all that was asked is done by the next leader.
    a_disk_that_fails_is_not_tried_while_programs_end 10 |seed| {
        let mut lan = office(seed, 4);
        let leader = lan.leader();
        lan.programs(leader, Some(s(5)));
        lan.machines[leader].disk.set_trouble(Trouble::Full);
        lan.listen();
        everybody_writes(&mut lan, s(2));
        assert!(gives_up(&lan, leader), "they are told to end");
        lan.expect_leader(leader);
        assert_eq!(outcome(&lan, "no space"), 0, "{:?}", lan.users.outcomes);
        lan.programs(leader, None);
        lan.run_until(ms(100), "another leads", |lan| lan.leaders().len() == 1 && lan.leader() != leader);
        everybody_writes(&mut lan, s(1));
        assert_ne!(lan.leader(), leader);
        assert_eq!(outcome(&lan, "no space"), 0, "{:?}", lan.users.outcomes);
        lan.machines[leader].disk.set_trouble(Trouble::None);
        lan.run(s(3));
        all_is_there(&mut lan);
    }
}

story! {
    /// A leader that is told to stop hands over when its programs have ended; alone it waits for them too.
    a_leader_that_stops_waits_for_programs |seed| {
        for machines in [1, 3] {
            let mut lan = Lan::office(seed, machines);
            let leader = lan.leader();
            lan.programs(leader, Some(s(5)));
            lan.stop(leader);
            lan.run(s(3));
            assert!(gives_up(&lan, leader), "they are told to end");
            lan.expect_leader(leader);
            lan.programs(leader, None);
            lan.run(ms(500));
            assert!(lan.machines[leader].process.is_none(), "it did not stop");
            if machines > 1 {
                lan.expect_one_leader();
            }
        }
    }
}

story! {
    /// Programs that do not end hold up the end of an agent for as long as they may need.
    a_leader_that_stops_waits_no_longer_than_programs_may_need |seed| {
        for machines in [1, 3] {
            let mut lan = Lan::office(seed, machines);
            let leader = lan.leader();
            lan.programs(leader, Some(s(5)));
            lan.stop(leader);
            lan.run(s(7));
            assert!(lan.machines[leader].process.is_none(), "it did not stop");
        }
    }
}

story! {
    /// The heir dies while the programs end: the handover is refused, and they may begin again. A leader that stops does so
    /// when they have ended.
    an_heir_that_dies_meanwhile_does_not_take_over |seed| {
        for stops in [false, true] {
            let mut lan = Lan::office(seed, 2);
            let (leader, heir) = (lan.leader(), lan.successor());
            lan.programs(leader, Some(s(5)));
            if stops { lan.stop(leader) } else { lan.handover(leader, 1, None) }
            lan.run(ms(100));
            lan.kill(heir);
            lan.run(s(1));
            if stops {
                assert!(lan.machines[leader].process.is_some(), "they have not ended");
                lan.programs(leader, None);
                lan.run(ms(100));
                assert!(lan.machines[leader].process.is_none(), "it did not stop");
            } else {
                assert!(lan.reply(1).flatten().is_some() && !gives_up(&lan, leader));
                lan.expect_leader(leader);
            }
        }
    }
}

story! {
    /// A leader that is lost is not waited for: programs of one that stands still are its own concern.
    a_leader_that_is_lost_is_replaced_whatever_runs_there |seed| {
        let mut lan = Lan::office(seed, 3);
        let (leader, successor) = (lan.leader(), lan.successor());
        lan.programs(leader, Some(s(60)));
        lan.kill(leader);
        lan.run_until(ms(50), "the successor leads", |lan| lan.role(successor) == Some(RoleName::Leading));
        lan.listen();
        lan.run(s(1));
        lan.expect_no_event(successor, Kind::Handover);
    }
}
