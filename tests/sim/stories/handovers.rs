//! Section 8: a planned change of leader.

use crate::lan::Lan;
use crate::script::{ms, priority, s};
use tanist::event::Kind;
use tanist::protocol::RoleName;

story! {
    /// A user asks the leader to hand over: its successor leads milliseconds later, and the old leader follows.
    a_handover_takes_milliseconds |seed| {
        let mut lan = Lan::office(seed, 4);
        let (leader, successor) = (lan.leader(), lan.successor());
        let before = lan.shown(leader).epoch;
        lan.handover(leader, 1, None);
        lan.run_until(ms(30), "the successor leads", |lan| lan.role(successor) == Some(RoleName::Leading));
        lan.run(ms(500));
        lan.expect_leader(successor);
        assert_eq!(lan.reply(1), Some(None));
        assert_eq!(lan.shown(successor).epoch, before + 1);
    }
}

story! {
    /// The old leader tells that it leads no more when that is so, and whom it follows when that is durable.
    an_old_leader_tells_at_once_that_it_leads_no_more |seed| {
        let mut lan = Lan::office(seed, 3);
        let (leader, successor) = (lan.leader(), lan.successor());
        lan.machines[leader].sync = (ms(40), ms(40));
        lan.listen();
        lan.handover(leader, 1, None);
        lan.run(s(2));
        lan.expect_leader(successor);
        let follows: Vec<_> = lan.oracle.told.iter().filter(|(m, _, k, _)| *m == leader && *k == Kind::Following).collect();
        let [(_, at, _, first), (_, later, _, second)] = follows[..] else { panic!("twice: {follows:?}") };
        assert!(first.contains(&format!("leads no more: it goes to pc-{successor}")), "{first}");
        assert!(second.starts_with(&format!("following pc-{successor}: epoch ")), "{second}");
        // Its promise, which was under way, vouches for that.
        assert!((ms(30)..ms(41)).contains(&(later - at)), "the second is durable first: {at}, {later}");
    }
}

story! {
    /// A handover to a named machine names it successor first.
    a_handover_to_a_named_machine |seed| {
        let mut lan = Lan::office(seed, 5);
        let (leader, successor) = (lan.leader(), lan.successor());
        let to = *lan.followers().iter().find(|m| **m != successor).expect("there are more");
        lan.handover(leader, 1, Some(to));
        lan.run(s(3));
        assert_eq!(lan.reply(1), Some(None));
        lan.expect_leader(to);
    }
}

story! {
    /// A user of a follower asks: the follower passes it on.
    a_follower_passes_a_handover_on |seed| {
        let mut lan = Lan::office(seed, 4);
        let m = lan.followers()[0];
        lan.handover(m, 1, Some(m));
        lan.run(s(3));
        assert_eq!(lan.reply(1), Some(None));
        lan.expect_leader(m);
    }
}

story! {
    /// A handover to one that cannot qualify is refused with the reason: priority 0, a machine that is off.
    a_handover_to_one_that_cannot_qualify_is_refused |seed| {
        let mut lan = Lan::office(seed, 4);
        let m = lan.add(priority(0), &[0]);
        lan.boot(m);
        lan.run(s(5));
        let leader = lan.leader();
        let off = lan.followers()[0];
        lan.power_cut(off);
        lan.run(s(15));
        lan.watch();
        lan.handover(leader, 1, Some(m));
        lan.handover(leader, 2, Some(off));
        lan.run(s(5));
        let why = |request| lan.reply(request).flatten().unwrap_or_default();
        assert!(why(1).ends_with("has priority 0, so it never leads"), "{}", why(1));
        assert!(why(2).ends_with("is not connected to the leader"), "{}", why(2));
        lan.expect_no_leader_change();
    }
}

story! {
    /// There is nobody to hand over to: the handover is refused, and the machine leads on.
    a_handover_without_anybody_is_refused |seed| {
        let mut lan = Lan::dark(seed, 1);
        lan.boot(0);
        lan.run(s(2));
        lan.watch();
        lan.handover(0, 1, None);
        lan.run(s(3));
        assert!(lan.reply(1).flatten().is_some(), "{:?}", lan.reply(1));
        lan.expect_no_leader_change();
    }
}

story! {
    /// The leader is stopped: it hands over, says goodbye and leaves; nobody has to suspect anybody.
    a_leader_that_stops_hands_over_first |seed| {
        let mut lan = Lan::office(seed, 4);
        let (leader, successor) = (lan.leader(), lan.successor());
        lan.listen();
        lan.stop(leader);
        lan.run_until(ms(50), "the successor leads", |lan| lan.role(successor) == Some(RoleName::Leading));
        lan.run(s(2));
        assert!(lan.machines[leader].process.is_none(), "it did not stop");
        lan.expect_leader(successor);
        lan.expect_event(leader, Kind::Goodbye);
        lan.expect_event(successor, Kind::MemberLeft);
    }
}

story! {
    /// A follower is stopped: it says goodbye, and nothing else changes.
    a_follower_that_stops_says_goodbye |seed| {
        let mut lan = Lan::office(seed, 4);
        let m = lan.followers()[0];
        let leader = lan.leader();
        lan.listen();
        lan.watch();
        lan.stop(m);
        lan.run(s(2));
        assert!(lan.machines[m].process.is_none(), "it did not stop");
        lan.run(s(5));
        lan.expect_no_leader_change();
        lan.expect_event(leader, Kind::MemberLeft);
        lan.expect_no_event(leader, Kind::MemberSilent);
    }
}

story! {
    /// With nobody to hand to, a stopping leader says goodbye and stops within two seconds.
    a_lone_leader_stops |seed| {
        let mut lan = Lan::dark(seed, 1);
        lan.boot(0);
        lan.run(s(2));
        lan.stop(0);
        lan.run(s(2));
        assert!(lan.machines[0].process.is_none(), "it did not stop");
    }
}

story! {
    /// All machines are stopped at once, as at the end of a day: each ends within two seconds, whatever the others do.
    all_are_stopped_at_once |seed| {
        let mut lan = Lan::office(seed, 4);
        (0..4).for_each(|m| lan.stop(m));
        lan.run(s(2));
        assert!(lan.running().is_empty(), "{:?} did not stop", lan.running());
    }
}

story! {
    /// Abdicate is sent to a successor that dies of it: the leader leads on in a new epoch and refuses the handover.
    abdicate_to_a_successor_that_dies |seed| {
        let mut lan = Lan::office(seed, 4);
        let (leader, successor) = (lan.leader(), lan.successor());
        let before = lan.shown(leader).epoch;
        lan.machines[successor].process.as_mut().expect("it runs").dies_after = Some(0);
        lan.handover(leader, 1, None);
        lan.run(s(5));
        if lan.machines[successor].process.is_none() {
            lan.expect_leader(leader);
            assert!(lan.reply(1).flatten().is_some(), "{:?}", lan.reply(1));
            assert!(lan.shown(leader).epoch >= before);
        }
        lan.expect_one_leader();
    }
}

story! {
    /// The leader stops, and its successor dies at that moment: the next in the line of succession is tried.
    a_stopping_leader_tries_the_next |seed| {
        let mut lan = Lan::office(seed, 4);
        let (leader, successor) = (lan.leader(), lan.successor());
        lan.power_cut(successor);
        lan.stop(leader);
        lan.run(s(3));
        assert!(lan.machines[leader].process.is_none(), "it did not stop");
        lan.expect_one_leader();
    }
}

story! {
    /// The role goes round: ten handovers in a row, each to the successor.
    ten_handovers_in_a_row |seed| {
        let mut lan = Lan::office(seed, 5);
        for request in 0..10 {
            let (leader, successor) = (lan.leader(), lan.successor());
            lan.handover(leader, request, None);
            lan.run(s(3));
            assert_eq!(lan.reply(request), Some(None));
            lan.expect_leader(successor);
        }
    }
}

story! {
    /// A handover is asked for where the cable to the leader has just been cut: the question never arrives, the follower goes
    /// through a neighbour, and whoever asked is told so instead of waiting.
    what_was_asked_on_a_session_that_is_lost_is_refused |seed| {
        let mut lan = Lan::office(seed, 4);
        let (leader, successor) = (lan.leader(), lan.successor());
        let m = lan.followers().into_iter().find(|m| *m != successor).expect("four machines");
        lan.cut(leader, m);
        lan.handover(m, 1, None);
        lan.run(s(4));
        assert!(lan.reply(1).flatten().is_some(), "{:?}", lan.reply(1));
        lan.expect_leader(leader);
    }
}

story! {
    /// Told to stop twice, an agent stops at once, whatever it waits for.
    told_twice_it_stops_at_once |seed| {
        let mut lan = Lan::office(seed, 3);
        let (leader, successor) = (lan.leader(), lan.successor());
        lan.freeze(successor, s(10));
        lan.stop(leader);
        lan.run(ms(1));
        assert!(lan.machines[leader].on(), "it hands over first");
        lan.stop(leader);
        lan.run(ms(50));
        assert!(lan.machines[leader].process.is_none(), "the second time ends it");
    }
}

story! {
    /// A machine that was cut off leads alone, and comes back in the middle of a handover: the leader that hands over meets
    /// nobody, so the heir is not outdone by a new reign of its own predecessor, and the other meets the heir.
    who_hands_over_meets_nobody 40 |seed| {
        let mut lan = Lan::office(seed, 5);
        let leader = lan.leader();
        let heir = lan.successor();
        let alone = *lan.followers().iter().find(|m| **m != heir).expect("five");
        for m in (0..5).filter(|m| *m != alone) {
            lan.cut(m, alone);
        }
        lan.run_until(s(3), "it claims", |lan| lan.role(alone) == Some(RoleName::Claiming));
        let (asked, healed) = (lan.dice.between(ms(20), ms(190)), lan.dice.between(ms(180), ms(230)));
        lan.run(asked);
        lan.handover(leader, 1, None);
        lan.run(healed.saturating_sub(asked));
        lan.heal(leader, alone);
        lan.run(ms(150));
        lan.heal_all();
        lan.run_until(s(3), "the handover is done or refused", |lan| lan.reply(1).is_some());
        assert_eq!(lan.reply(1), Some(None));
        lan.settle_within(s(3));
        lan.expect_leader(heir);
        lan.watch();
        lan.run(s(5));
        lan.expect_no_leader_change();
        lan.expect_one_leader();
    }
}
