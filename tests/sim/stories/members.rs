//! The list of members: what everybody knows of the others, whoever leads (sections 5, 6 and 8).

use crate::lan::Lan;
use crate::script::{ms, s};
use tanist::message::MemberState;
use tanist::protocol::RoleName;

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
