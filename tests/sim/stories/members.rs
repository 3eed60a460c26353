//! The list of members: what everybody knows of the others, whoever leads (sections 5, 6 and 8).

use crate::lan::{Lan, PORT};
use crate::machine::Work;
use crate::network::M;
use crate::script::{ms, priority, s};
use std::net::{Ipv4Addr, SocketAddr};
use tanist::event::Kind;
use tanist::ident::NodeId;
use tanist::message::MemberState;
use tanist::protocol::{Input, Remembered, RoleName, Write};
use tanist::settings::Settings;
use tanist::store::{Identity, Store};
use tanist::time::Wall;

story! {
    /// The leader is stopped, on a LAN that doubles and delays what it carries: the heartbeats that it sent before its
    /// Goodbye arrive after it. A second later it has left, for everybody, and for good.
    who_said_goodbye_has_left_for_everybody 60 |seed| {
        let mut lan = Lan::office(seed, 5);
        let leader = lan.leader();
        lan.net.weather.double = 0.5;
        lan.net.weather.late = 0.3;
        lan.net.weather.late_max = ms(30);
        let pause = lan.dice.below(ms(250));
        lan.run(pause);
        lan.stop(leader);
        lan.run(s(1));
        lan.expect_one_leader();
        lan.expect_state(leader, MemberState::Left);
        lan.run(s(10));
        lan.expect_state(leader, MemberState::Left);
    }
}

story! {
    /// Nobody hears the leader's datagrams, and so nobody hears its Goodbye: its heir is told by TCP, and tells all.
    the_heir_tells_that_its_predecessor_has_left |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        lan.no_broadcast(leader);
        lan.run(s(3));
        lan.expect_leader(leader);
        lan.stop(leader);
        lan.run(s(2));
        lan.expect_one_leader();
        lan.expect_state(leader, MemberState::Left);
    }
}

story! {
    /// A leader that nobody can take over from says goodbye, and nobody asks long: it has left, for all.
    a_leader_without_an_heir_has_left_too |seed| {
        let mut lan = Lan::office(seed, 4);
        let leader = lan.leader();
        lan.stop(leader);
        lan.stop(leader);
        lan.run(s(2));
        lan.expect_one_leader();
        lan.expect_state(leader, MemberState::Left);
    }
}

story! {
    /// The power of the leader and of a follower fails at one moment: the list that the next leader takes over shows the
    /// follower alive, and it never comes.
    who_never_comes_to_a_new_leader_is_silent |seed| {
        let mut lan = Lan::office(seed, 5);
        let (leader, successor) = (lan.leader(), lan.successor());
        let other = *lan.followers().iter().find(|m| **m != successor).expect("five machines");
        lan.power_cut(leader);
        lan.power_cut(other);
        lan.run(s(9));
        lan.expect_leader(successor);
        lan.expect_state(leader, MemberState::Silent);
        lan.expect_state(other, MemberState::Silent);
    }
}

story! {
    /// Who left and is started again is alive at once: another start of it is not what it sent before.
    who_left_and_is_started_again_is_alive |seed| {
        let mut lan = Lan::office(seed, 4);
        let m = lan.followers()[0];
        lan.stop(m);
        lan.run_until(s(2), "it has stopped", |lan| lan.machines[m].process.is_none());
        lan.boot(m);
        lan.run_until(s(3), "it follows", |lan| lan.role(m) == Some(RoleName::Following));
        lan.run(ms(500));
        lan.expect_state(m, MemberState::Alive);
    }
}

/// What `m` lists of this one.
fn lists(lan: &Lan, m: M, of: M) -> usize {
    let name = &lan.machines[of].name;
    lan.members_at(m).iter().filter(|v| v.member.name == *name).count()
}

story! {
    /// A machine remembers 2,047 that are gone, and not the one that leads: it follows all the same, and what its store has
    /// no room for is one of those.
    a_list_full_of_the_gone_has_a_place_for_the_leader 5 |seed| {
        let mut lan = Lan::dark(seed, 3);
        let gone = |n: u32| Remembered {
            id: NodeId(uuid::Uuid::from_u128(u128::from(n))),
            name: format!("gone-{n}"),
            address: SocketAddr::new(Ipv4Addr::from(0x0a63_0000 + n).into(), PORT),
            heard: Wall(u64::from(n)),
            left: false,
        };
        let mut store = Store::with_backend(lan.machines[2].disk.open()).expect("a new disk is good");
        let identity = Identity { id: NodeId(uuid::Uuid::from_u128(1 << 64)), machine: lan.machines[2].machine_id.clone() };
        store.set_identity(&identity).expect("the disk works");
        store.apply(&(1..=2047).map(|n| Write::Member(gone(n))).collect::<Vec<_>>()).expect("the disk works");
        drop(store);
        let disk = lan.machines[2].disk.clone();
        disk.complete(disk.mark());
        disk.process_died(&mut lan.dice);
        lan.boot(0);
        lan.boot(1);
        lan.run(s(3));
        let leader = lan.expect_one_leader();
        lan.boot(2);
        lan.run(s(3));
        lan.expect_leader(leader);
        lan.run(s(3));
        lan.expect_state(1 - leader, MemberState::Alive);
        let process = lan.machines[2].process.as_ref().expect("it runs");
        let rows = process.store.as_ref().expect("it works").durable().expect("it can be read").members;
        assert_eq!(rows.len(), 2047 - 1, "two are gone for the living, and one of these was heard here");
        assert!(rows.iter().any(|row| row.name == format!("pc-{leader}")), "the living are kept");
    }
}

story! {
    /// A machine is thrown away. A user has it forgotten: it is in no list any more, not in that of one which was off
    /// meanwhile, and not when another leads. When it is there again it is a member like any.
    who_is_forgotten_is_in_no_list |seed| {
        let mut lan = Lan::office(seed, 5);
        let leader = lan.leader();
        let followers = lan.followers();
        let (gone, off, asks) = (followers[0], followers[1], followers[2]);
        lan.power_cut(gone);
        lan.run(s(4));
        lan.power_cut(off);
        lan.run(s(15));
        lan.asks_to_forget(asks, 1, gone);
        lan.run(s(1));
        assert_eq!(lan.reply(1), Some(None));
        lan.boot(off);
        lan.run(s(5));
        lan.expect_leader(leader);
        lan.running().iter().for_each(|m| assert_eq!(lists(&lan, *m, gone), 0, "pc-{m} lists it"));
        lan.kill_leader();
        lan.run(s(6));
        lan.expect_one_leader();
        lan.running().iter().for_each(|m| assert_eq!(lists(&lan, *m, gone), 0, "pc-{m} lists it again"));
        lan.boot(gone);
        lan.run(s(5));
        lan.expect_one_leader();
        lan.expect_state(gone, MemberState::Alive);
    }
}

story! {
    /// Whoever is there cannot be forgotten: not a follower, not the leader, and not a machine that nobody knows.
    the_living_cannot_be_forgotten |seed| {
        let mut lan = Lan::office(seed, 3);
        let unknown = lan.add(Settings::default(), &[0]);
        let (leader, followers) = (lan.leader(), lan.followers());
        lan.watch();
        for (request, who) in [(1, followers[0]), (2, leader), (3, followers[1]), (4, unknown)] {
            lan.asks_to_forget(followers[1], request, who);
        }
        lan.asks_to_forget(leader, 5, leader);
        lan.run(s(1));
        let why = |request| lan.reply(request).flatten().unwrap_or_default();
        for request in [1, 2, 3, 5] {
            assert!(why(request).contains("is connected: only members that left or are silent"), "{}", why(request));
        }
        assert!(why(4).starts_with("no member is called pc-3"), "{}", why(4));
        (0..3).for_each(|m| assert_eq!(lan.members_at(m).len(), 3));
        lan.expect_no_leader_change();
    }
}

story! {
    /// A machine is set up anew: another id, and the name that one bears which is silent. The role is handed to it by that
    /// name, however it is written.
    a_name_that_one_had_before_is_not_ambiguous |seed| {
        let mut lan = Lan::office(seed, 4);
        let (leader, m) = (lan.leader(), lan.followers()[0]);
        let dead = lan.add(Settings::default(), &[0]);
        lan.machines[dead].name = lan.machines[m].name.clone();
        lan.boot(dead);
        lan.run(s(5));
        lan.handover(leader, 1, Some(m));
        lan.run(s(1));
        let why = lan.reply(1).flatten().unwrap_or_default();
        assert!(why.starts_with(&format!("2 members are called pc-{m}: use the digits")), "{why}");
        lan.power_cut(dead);
        lan.run(s(15));
        let shouted = lan.machines[m].name.to_uppercase();
        let handover = Input::Handover { request: 2, to: Some(shouted) };
        lan.deliver(leader, Work::Input(handover));
        lan.run(s(3));
        assert_eq!(lan.reply(2), Some(None));
        lan.expect_leader(m);
    }
}

story! {
    /// Two machines that are called `localhost` get their names: a follower, and then the leader. All are told, also the one
    /// that hears no broadcast, and what the pings of the session say of its beginning does not undo it.
    a_name_that_comes_later_is_taken |seed| {
        let mut lan = Lan::office(seed, 4);
        let (leader, followers) = (lan.leader(), lan.followers());
        lan.no_broadcast(followers[1]);
        lan.run(s(2));
        for (m, name) in [(followers[0], "anna"), (leader, "otto")] {
            lan.deliver(m, Work::Input(Input::Name(name.to_owned())));
            lan.machines[m].name = name.to_owned();
            lan.run(s(9));
            lan.expect_leader(leader);
            lan.expect_state(m, MemberState::Alive);
        }
        let names = |m: M| lan.status(m).and_then(|s| s.leader).map(|who| who.name);
        (0..4).for_each(|m| assert_eq!(names(m).as_deref(), Some("otto"), "pc-{m}"));
        assert_eq!(lan.status(leader).map(|s| s.name).as_deref(), Some("otto"));
    }
}

story! {
    /// The way of one follower becomes a little longer: that is no news for all, and whoever looks at another follower is
    /// shown it, for that one asks the leader.
    who_looks_is_shown_what_is_no_news 5 |seed| {
        let mut lan = Lan::office(seed, 3);
        lan.run(s(10));
        let (leader, followers) = (lan.leader(), lan.followers());
        let (far, looks) = (followers[0], followers[1]);
        let rtt = |lan: &Lan, m: M| {
            let name = &lan.machines[far].name;
            lan.members_at(m).into_iter().find(|v| v.member.name == *name).and_then(|v| v.member.rtt_us)
        };
        let told = rtt(&lan, looks);
        // Slower for all, and by less than a step.
        lan.net.weather.delay = (400, 420);
        lan.run(s(40));
        assert_eq!(rtt(&lan, looks), told, "the list did not tell of it");
        assert_ne!(rtt(&lan, leader), told);
        lan.asks_to_look(looks, 1);
        lan.run(ms(100));
        assert_eq!((lan.reply(1), rtt(&lan, looks)), (Some(None), rtt(&lan, leader)));
    }
}

story! {
    /// The leader is killed: the next one knows those who follow it, and does not tell of them as if they were new. A machine
    /// with the name of another is told of, as a mistake.
    who_was_there_before_is_no_news 10 |seed| {
        let mut lan = Lan::office(seed, 5);
        let successor = lan.successor();
        lan.listen();
        lan.kill_leader();
        lan.run(s(5));
        lan.expect_leader(successor);
        lan.running().iter().for_each(|m| lan.expect_no_event(*m, Kind::MemberJoined));
        let twin = lan.add(Settings::default(), &[0]);
        lan.machines[twin].name = lan.machines[lan.followers()[0]].name.clone();
        lan.boot(twin);
        lan.run(s(3));
        let warned = |(m, _, kind, text): &&(M, u64, Kind, String)| {
            *m == successor && *kind == Kind::MemberJoined && text.contains("give each a name of its own")
        };
        assert_eq!(lan.oracle.told.iter().filter(warned).count(), 1, "{:?}", lan.oracle.told);
    }
}

story! {
    /// A machine's priority is changed while it runs: everybody knows, and it is the next to lead, or never does. The role stays
    /// where it is.
    a_priority_that_is_changed_counts_at_once |seed| {
        let mut lan = Lan::office(seed, 4);
        let (leader, successor) = (lan.leader(), lan.successor());
        let other = *lan.followers().iter().find(|m| **m != successor).expect("there are more");
        lan.watch();
        for (to, of) in [(200, other), (0, other), (0, leader)] {
            lan.set(of, priority(to));
            lan.run(s(3));
            assert_eq!(lan.successor() == other, to == 200, "priority {to}");
            for m in lan.running() {
                let id = lan.status(of).expect("it runs").node.id;
                let listed = lan.members_at(m).into_iter().find(|view| view.member.node.id == id).expect("it is there");
                assert_eq!(listed.member.priority, to, "as pc-{m} knows pc-{of}");
            }
        }
        lan.expect_no_leader_change();
        lan.handover(leader, 1, None);
        lan.run(s(1));
        assert_ne!(lan.leader(), leader, "it is let go");
    }
}
