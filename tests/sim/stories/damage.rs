//! What was written is not what is read (protocol §10).

use super::data::{all_is_there, alone, everybody_writes, office, outcome};
use crate::lan::Lan;
use crate::network::M;
use crate::script::{ms, s};
use tanist::event::Kind;
use tanist::protocol::RoleName;

/// A record that is found again on a disk.
const TEXT: &[u8] = b"what was written, and was read as something else";

/// An office in which everybody has the record in the tables, and which machine is not the leader.
fn office_with_a_text(seed: u64, n: usize) -> (Lan, M) {
    let mut lan = office(seed, n);
    lan.user_notes(0, TEXT);
    lan.run(s(4));
    let m = lan.followers()[lan.dice.index(n - 1)];
    (lan, m)
}

/// A machine is stopped, and the record on its disk is another then.
fn alter(lan: &mut Lan, m: M) {
    lan.stop(m);
    lan.run_until(s(5), "it has stopped", |lan| lan.machines[m].process.is_none());
    lan.alter(m, TEXT);
}

story! {
    /// One bit on the disk of a machine is not what was written: it is set aside what cannot be trusted, a copy comes from
    /// the others, nobody is shown anything else, and the machine may lead afterwards.
    a_damaged_disk_costs_nothing 60 |seed| {
        let mut lan = office(seed, 3);
        let m = if seed.is_multiple_of(3) { lan.leader() } else { lan.followers()[0] };
        lan.damage(m);
        everybody_writes(&mut lan, s(1));
        lan.boot(m);
        everybody_writes(&mut lan, s(1));
        let found = !lan.rereads(m);
        everybody_writes(&mut lan, s(5));
        assert!(lan.rereads(m), "a copy has taken its place: {found}");
        let leader = lan.leader();
        lan.kill(leader);
        everybody_writes(&mut lan, s(2));
        all_is_there(&mut lan);
    }
}

story! {
    /// A row on a follower's disk is not what was written: when that is noticed, the leader's copy takes the place of its
    /// own, also when nobody writes.
    a_follower_whose_row_was_altered_has_the_leaders_copy 40 |seed| {
        let (mut lan, m) = office_with_a_text(seed, 3);
        alter(&mut lan, m);
        lan.boot(m);
        lan.run(s(2));
        lan.listen();
        assert!(!lan.rereads(m), "it is noticed");
        if seed.is_multiple_of(2) { everybody_writes(&mut lan, s(3)) } else { lan.run(s(65)) }
        lan.expect_event(m, Kind::CopyDiffers);
        assert!(lan.rereads(m), "a copy has taken its place");
        all_is_there(&mut lan);
    }
}

story! {
    /// A row on the leader's disk is not what was written: with the next write the role goes to a machine that has it, no
    /// user is refused, and that one's copy takes the place of the leader's.
    a_leader_whose_row_was_altered_hands_over 40 |seed| {
        let (mut lan, m) = office_with_a_text(seed, 3);
        for other in lan.running() {
            if other != m {
                lan.stop(other);
            }
        }
        lan.run_until(s(60), "it leads alone", |lan| lan.running() == [m] && lan.leaders() == [m]);
        alter(&mut lan, m);
        lan.boot(m);
        lan.run_until(s(60), "it leads", |lan| lan.role(m) == Some(RoleName::Leading));
        for other in 0..3 {
            if other != m {
                lan.boot(other);
            }
        }
        lan.run(s(5));
        lan.expect_leader(m);
        assert!(!lan.rereads(m), "it is noticed");
        let refused = |lan: &Lan| (outcome(lan, "no space"), outcome(lan, "later"));
        let before = refused(&lan);
        lan.longest_wait(None);
        everybody_writes(&mut lan, s(5));
        lan.run(s(1));
        assert_ne!(lan.leader(), m);
        assert_eq!(refused(&lan), before, "no user is refused");
        let longest = lan.longest_wait(None);
        assert!(longest < s(1), "{longest} µs for an answer");
        assert!(lan.rereads(m), "a copy has taken its place");
        all_is_there(&mut lan);
    }
}

story! {
    /// A row on the disk of a machine that stands alone is not what was written: it goes on with what it has.
    a_lone_machine_keeps_a_row_that_was_altered 40 |seed| {
        let mut lan = alone(seed);
        lan.user_notes(0, TEXT);
        lan.run(s(4));
        alter(&mut lan, 0);
        lan.boot(0);
        lan.run_until(s(60), "it leads", |lan| lan.role(0) == Some(RoleName::Leading));
        lan.run(ms(500));
        assert!(!lan.rereads(0), "it is noticed");
        lan.user_adds(0, 100);
        lan.run(s(15));
        let before = outcome(&lan, "acknowledged alone");
        lan.user_adds(0, 100);
        lan.run(s(1));
        assert_eq!(outcome(&lan, "acknowledged alone"), before + 1, "{:?}", lan.users.outcomes);
        assert!(lan.rereads(0), "what is there counts");
        lan.nothing_acknowledged_is_lost();
    }
}
