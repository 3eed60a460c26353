//! Sections 5, 6 and 9: paths that carry a part of what they are given, and links that come and go.

use crate::lan::Lan;
use crate::script::{ms, s};
use tanist::event::Kind;
use tanist::protocol::RoleName;
use tanist::settings::Settings;

story! {
    /// A switch passes short packets only, and the list of members is long: who comes says so once, follows by heartbeat
    /// alone, and asks for a session seldom; it costs nobody the leader. With the switch mended it gets one.
    a_switch_passes_short_packets_only |seed| {
        let mut lan = Lan::office(seed, 6);
        let leader = lan.leader();
        let late = lan.add(Settings::default(), &[0]);
        lan.net.narrow.insert(late, 600);
        lan.watch();
        lan.boot(late);
        lan.listen();
        lan.run_until(s(6), "it names the leader", |lan| lan.status(late).is_some_and(|s| s.leader.is_some()));
        lan.expect_event(late, Kind::NarrowPath);
        lan.run(s(60));
        lan.expect_no_leader_change();
        lan.net.narrow.clear();
        lan.run_until(s(10), "it is in the line", |lan| lan.in_line(leader, late));
        lan.expect_leader(leader);
    }
}

story! {
    /// A cable comes and goes, out for longer than a follower waits: the machine leads itself the first times only, and does
    /// not set the pace of all.
    a_cable_that_comes_and_goes |seed| {
        let mut lan = Lan::office(seed, 4);
        let m = lan.followers()[0];
        let before = lan.status(m).expect("it runs").shown.expect("a leader").epoch;
        for _ in 0..40 {
            lan.link_down(m, 0);
            lan.run(ms(3500));
            lan.link_up(m, 0);
            lan.run(s(3));
        }
        lan.run(s(3));
        lan.expect_one_leader();
        let after = lan.status(m).expect("it runs").shown.expect("a leader").epoch;
        assert!(after - before <= 4, "from epoch {before} to {after}");
        // A link that was good for a minute is believed again.
        lan.run(s(61));
        lan.link_down(m, 0);
        lan.run_until(s(4), "it leads itself", |lan| lan.role(m) == Some(RoleName::Leading));
    }
}

story! {
    /// A machine hears the leader, and no connection of it comes about (its card sends nothing long, or another has its
    /// address): the leader stays, and it does not lead beside it; it says what is wrong, and follows when that is mended.
    a_machine_without_connections_deposes_nobody |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        let m = if seed.is_multiple_of(2) { lan.successor() } else { lan.followers()[0] };
        lan.listen();
        lan.watch();
        lan.net.no_tcp.insert(m);
        lan.run(s(40));
        lan.expect_event(m, Kind::Deaf);
        lan.net.no_tcp.clear();
        lan.run_until(s(10), "it follows again", |lan| lan.in_line(leader, m));
        lan.expect_no_leader_change();
        lan.expect_leader(leader);
    }
}

story! {
    /// The firewall of a machine lets nothing in: it leads alone, and all who hear it say so, once.
    a_second_leader_that_cannot_be_reached_is_told_of |seed| {
        let mut lan = Lan::office(seed, 3);
        let late = lan.add(Settings::default(), &[0]);
        for m in 0..3 {
            lan.cut_one_way(m, late);
        }
        lan.boot(late);
        lan.run_until(s(5), "it leads alone", |lan| lan.role(late) == Some(RoleName::Leading));
        lan.listen();
        lan.watch();
        lan.run(s(60));
        let id = lan.status(late).expect("it runs").node.id;
        for m in 0..3 {
            assert_eq!(lan.oracle.told.iter().filter(|(who, _, what, _)| (*who, *what) == (m, Kind::TwoLeaders)).count(), 1);
            let machine = &lan.machines[m];
            let members = machine.process.as_ref().expect("it runs").node.members(machine.clock.read(lan.now));
            assert!(members.iter().any(|view| view.member.node.id == id && view.role == RoleName::Leading), "pc-{m}");
        }
        lan.expect_no_leader_change();
    }
}

story! {
    /// The port of a machine that starts again passes nothing at first: it waits, and deposes nobody, and the epoch stays.
    a_port_that_passes_nothing_at_first |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        let m = if seed.is_multiple_of(3) { leader } else { lan.followers()[0] };
        lan.power_cut(m);
        lan.run(s(5));
        let leader = lan.leader();
        let before = lan.status(leader).expect("it runs").shown.expect("a leader");
        lan.isolate(m);
        lan.boot(m);
        lan.listen();
        let deaf = lan.dice.between(s(1), s(28));
        lan.run(deaf);
        lan.heal_all();
        lan.run(s(4));
        lan.expect_leader(leader);
        assert_eq!(lan.status(leader).expect("it runs").shown, Some(before));
        lan.expect_no_event(m, Kind::Claiming);
    }
}

story! {
    /// An office whose other machines are gone for good: the one that starts leads itself when its time is over. Where all
    /// start together, as after a power cut, nobody waits; nor does who remembers nobody.
    who_hears_nobody_waits_and_who_hears_somebody_does_not |seed| {
        let mut lan = Lan::office(seed, 3);
        lan.power_cut_all();
        let at = lan.now;
        for m in 0..3 {
            lan.boot(m);
        }
        lan.run_until(s(5), "there is a leader", |lan| !lan.leaders().is_empty());
        assert!(lan.now - at < s(3), "all were there");
        // Until they have written down who is there.
        lan.run(s(5));
        lan.power_cut_all();
        let at = lan.now;
        lan.boot(0);
        lan.run_until(s(40), "it leads itself", |lan| lan.role(0) == Some(RoleName::Leading));
        assert!(lan.now - at > s(29), "it waited");
    }
}

story! {
    /// One of a machine's two cards dies behind a live carrier, and works again later: nobody loses the leader, whoever it is.
    one_of_two_cards_dies |seed| {
        let mut lan = Lan::new(seed);
        for m in 0..4 {
            lan.add(Settings::default(), if m == 0 { &[0, 0] } else { &[0] });
        }
        let first = usize::from(!seed.is_multiple_of(2));
        lan.boot(first);
        lan.run(s(2));
        for m in (0..4).filter(|m| *m != first) {
            lan.boot(m);
            lan.run(ms(50));
        }
        lan.settle_within(s(8));
        lan.expect_leader(first);
        lan.run(s(3));
        lan.watch();
        for _ in 0..3 {
            lan.machines[0].nics[0].dead = true;
            lan.run(s(12));
            lan.expect_leader(first);
            let others = (0..4).filter(|m| *m != first);
            assert!(others.clone().all(|m| lan.in_line(first, m)), "every member has a session");
            lan.machines[0].nics[0].dead = false;
            lan.run(s(4));
        }
        lan.expect_no_leader_change();
        lan.expect_leader(first);
    }
}
