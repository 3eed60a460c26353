//! Splits heal with data: both sides' writes are joined, conflicts are the real ones, nothing is lost (protocol §10).

use super::data::{all_is_there, everybody_writes, office, outcome};
use crate::lan::Lan;
use crate::network::M;
use crate::script::{ms, s};
use tanist::event::Kind;

const KEY: &str = "edited/0";

/// An office whose users change keys, and which is then split.
fn parted(seed: u64, n: usize, side: &[M]) -> Lan {
    let mut lan = editing(seed, n);
    lan.split(side);
    lan.run(s(6));
    lan
}

fn editing(seed: u64, n: usize) -> Lan {
    let mut lan = office(seed, n);
    lan.users.edit = true;
    let leader = lan.leader();
    lan.user_begins_keys(leader);
    lan.run(s(1));
    for m in 0..n {
        assert_eq!(lan.values_of(m, KEY), 1, "pc-{m} has the first value");
    }
    lan
}

/// A user here changes the key that it reads, and is answered.
fn changes(lan: &mut Lan, m: M) {
    let request = lan.user_writes_over(m, KEY).expect("it can be read");
    lan.run(s(2));
    assert!(lan.users.acknowledged.contains_key(&request.id), "pc-{m} was answered");
}

fn meet(lan: &mut Lan) {
    lan.heal_all();
    lan.run_until(s(20), "they met", |lan| lan.leaders().len() == 1);
}

/// Everybody has so many values of the key.
fn expect_values(lan: &Lan, count: usize) {
    for m in 0..lan.machines.len() {
        assert_eq!(lan.values_of(m, KEY), count, "on pc-{m}");
    }
}

story! {
    /// Two halves write; when they meet, all of it is everywhere, and the only conflicts are real ones.
    two_halves_are_one_again 12 |seed| {
        let mut lan = parted(seed, 5, &[3, 4]);
        everybody_writes(&mut lan, s(4));
        meet(&mut lan);
        everybody_writes(&mut lan, s(1));
        all_is_there(&mut lan);
        assert_eq!(outcome(&lan, "later") + outcome(&lan, "no space"), 0, "{:?}", lan.users.outcomes);
    }
}

story! {
    /// Both sides change one key: both values are there, in one order, and the side that stayed keeps its value.
    a_key_that_both_sides_changed_has_both_values 10 |seed| {
        let mut lan = parted(seed, 5, &[3, 4]);
        changes(&mut lan, 0);
        changes(&mut lan, 3);
        lan.listen();
        meet(&mut lan);
        all_is_there(&mut lan);
        expect_values(&lan, 2);
        for m in 0..5 {
            assert!(m > 2 || lan.heard(m, Kind::Conflict), "pc-{m} says so");
        }
        let yielded: Vec<M> = [3, 4].into_iter().filter(|m| lan.heard(*m, Kind::Conflict)).collect();
        assert!(!yielded.is_empty(), "one of the side that yielded says so");
    }
}

story! {
    /// One side changes a key, and the other does not: there is no conflict, whichever side stays.
    a_key_that_one_side_changed_has_one_value 10 |seed| {
        let mut lan = parted(seed, 5, &[3, 4]);
        changes(&mut lan, if seed.is_multiple_of(2) { 0 } else { 3 });
        lan.listen();
        meet(&mut lan);
        all_is_there(&mut lan);
        expect_values(&lan, 1);
        assert!((0..5).all(|m| !lan.heard(m, Kind::Conflict)), "nobody speaks of a conflict");
    }
}

story! {
    /// A conflict is settled while a laptop is away that knows it: it does not come back with the laptop.
    what_was_settled_does_not_come_back 10 |seed| {
        let mut lan = parted(seed, 5, &[3, 4]);
        changes(&mut lan, 0);
        changes(&mut lan, 3);
        meet(&mut lan);
        all_is_there(&mut lan);
        let laptop = *lan.followers().last().expect("some");
        lan.isolate(laptop);
        lan.run(s(5));
        let m = lan.leaders().into_iter().find(|m| *m != laptop).expect("the others have one");
        lan.user_settles(m, KEY).expect("it can be read");
        if seed.is_multiple_of(2) {
            lan.user_adds(laptop, 100);
        }
        lan.run(s(2));
        meet(&mut lan);
        all_is_there(&mut lan);
        expect_values(&lan, 1);
    }
}

story! {
    /// Both sides settle the same conflict, each in its own way: that is a new conflict, of the two ways.
    who_settles_twice_has_a_new_conflict 10 |seed| {
        let mut lan = parted(seed, 5, &[3, 4]);
        changes(&mut lan, 0);
        changes(&mut lan, 3);
        meet(&mut lan);
        all_is_there(&mut lan);
        lan.split(&[0, 1]);
        lan.run(s(6));
        lan.user_settles(0, KEY).expect("it can be read");
        lan.user_settles(3, KEY).expect("it can be read");
        lan.run(s(2));
        meet(&mut lan);
        all_is_there(&mut lan);
        expect_values(&lan, 2);
    }
}

story! {
    /// Two change one key apart, and a third settles what it has read: what it had not read stays beside it.
    who_settles_takes_away_only_what_was_read 10 |seed| {
        let mut lan = parted(seed, 5, &[3, 4]);
        changes(&mut lan, 0);
        changes(&mut lan, 3);
        meet(&mut lan);
        all_is_there(&mut lan);
        lan.isolate(4);
        lan.run(s(5));
        changes(&mut lan, 4);
        lan.user_settles(0, KEY).expect("it can be read");
        lan.run(s(2));
        meet(&mut lan);
        all_is_there(&mut lan);
        expect_values(&lan, 2);
    }
}

story! {
    /// One side takes a key away. If the other has not touched it, it stays away; if it has, both are there.
    a_deletion_stays_and_hides_nothing 10 |seed| {
        let touched = seed.is_multiple_of(2);
        let mut lan = parted(seed, 5, &[3, 4]);
        let m = if seed.is_multiple_of(4) { 0 } else { 3 };
        let request = lan.user_deletes(m, KEY).expect("it can be read");
        if touched {
            changes(&mut lan, if m == 0 { 3 } else { 0 });
        }
        lan.run(s(2));
        assert!(lan.users.acknowledged.contains_key(&request.id), "it was answered");
        meet(&mut lan);
        all_is_there(&mut lan);
        expect_values(&lan, if touched { 2 } else { 1 });
    }
}

story! {
    /// A request is sent on both sides: it is done once.
    what_is_sent_on_both_sides_is_done_once 10 |seed| {
        let mut lan = parted(seed, 5, &[3, 4]);
        let record = lan.user_adds(0, 100);
        let change = lan.user_writes_over(0, KEY).expect("it can be read");
        lan.run(s(1));
        lan.ask(3, &record);
        lan.ask(3, &change);
        lan.run(s(2));
        meet(&mut lan);
        all_is_there(&mut lan);
        expect_values(&lan, 1);
    }
}

story! {
    /// A laptop of an office of two, or of nine, wrote on a train; so did those who stayed.
    a_laptop_brings_what_it_wrote 8 |seed| {
        let n = if seed.is_multiple_of(2) { 2 } else { 9 };
        let mut lan = editing(seed, n);
        let laptop = if seed.is_multiple_of(4) { lan.leader() } else { lan.followers()[0] };
        lan.isolate(laptop);
        lan.run(s(5));
        let before = lan.users.acknowledged.len();
        everybody_writes(&mut lan, s(4));
        for _ in 0..5 {
            lan.user_adds(laptop, 100);
            lan.run(ms(100));
        }
        assert!(lan.users.acknowledged.len() > before + 20, "both wrote");
        lan.listen();
        meet(&mut lan);
        lan.run(s(3));
        all_is_there(&mut lan);
        let brought = lan.said(Kind::Reunion, "brought");
        assert!(brought > 0, "it is said what was brought");
    }
}

story! {
    /// Three parts write apart, and two of them meet before the third comes.
    three_parts_meet_one_after_the_other 8 |seed| {
        let mut lan = editing(seed, 6);
        for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3), (0, 4), (0, 5), (1, 4), (1, 5), (2, 4), (2, 5), (3, 4), (3, 5)] {
            lan.cut(a, b);
        }
        lan.run(s(6));
        everybody_writes(&mut lan, s(3));
        for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
            lan.heal(a, b);
        }
        everybody_writes(&mut lan, s(4));
        lan.heal_all();
        everybody_writes(&mut lan, s(2));
        lan.run(s(4));
        all_is_there(&mut lan);
    }
}

story! {
    /// A user of the side that yields goes on from what it has just written, before, while and after the two meet: it is
    /// never told that what it was told of is not there.
    who_goes_on_from_its_own_write_is_never_refused 12 |seed| {
        let mut lan = parted(seed, 5, &[3, 4]);
        for _ in 0..20 {
            lan.user_adds(3, 2_000);
            lan.run(ms(20));
        }
        changes(&mut lan, 3);
        let refused = outcome(&lan, "refused");
        lan.heal_all();
        // Only this one changes the key.
        let end = lan.now + s(6);
        while lan.now < end {
            let request = lan.user_writes_over(3, KEY).expect("it can be read");
            lan.run_until(s(5), "it is answered", |lan| lan.users.acknowledged.contains_key(&request.id));
            let id = request.id;
            lan.run_until(s(2), "it is to be read where it was written", |lan| lan.value_is_of(3, KEY, id));
        }
        assert_eq!(outcome(&lan, "refused"), refused, "{:?}", lan.users.outcomes);
        assert!(lan.longest_wait(None) < s(1), "nobody waits for long");
        all_is_there(&mut lan);
        expect_values(&lan, 1);
    }
}

story! {
    /// Whoever takes an offer in dies in the middle, and so does whoever makes one.
    those_who_meet_die_in_the_middle 12 |seed| {
        let mut lan = parted(seed, 5, &[3, 4]);
        for _ in 0..12 {
            lan.user_adds(3, 50_000);
            lan.user_adds(0, 50_000);
            lan.run(ms(30));
        }
        everybody_writes(&mut lan, s(1));
        let (one, other) = (lan.leaders()[0], lan.leaders()[1]);
        meet(&mut lan);
        let pause = lan.dice.below(ms(40));
        lan.run(pause);
        let victim = if seed.is_multiple_of(2) { one } else { other };
        if seed.is_multiple_of(3) { lan.power_cut(victim) } else { lan.kill(victim) }
        everybody_writes(&mut lan, s(2));
        lan.boot(victim);
        everybody_writes(&mut lan, s(2));
        all_is_there(&mut lan);
    }
}

story! {
    /// The way between two halves comes and goes while they write and join.
    a_way_that_comes_and_goes 6 |seed| {
        let mut lan = parted(seed, 5, &[3, 4]);
        for _ in 0..6 {
            everybody_writes(&mut lan, s(1));
            lan.heal_all();
            let pause = ms(200) + lan.dice.below(s(3));
            everybody_writes(&mut lan, pause);
            lan.split(&[3, 4]);
            lan.run(s(3));
        }
        lan.heal_all();
        lan.run(s(12));
        everybody_writes(&mut lan, s(1));
        all_is_there(&mut lan);
    }
}

story! {
    /// What was trimmed on one side does not come back from the other, and what the other added stays.
    what_was_trimmed_stays_trimmed 12 |seed| {
        let mut lan = editing(seed, 5);
        for _ in 0..20 {
            let m = lan.dice.index(5);
            lan.user_adds_old(m);
            lan.run(ms(30));
        }
        lan.run(s(1));
        lan.split(&[3, 4]);
        lan.run(s(6));
        let side = if seed.is_multiple_of(2) { 0 } else { 3 };
        lan.user_trims_all(side);
        for m in [0, 3] {
            lan.user_adds_old(m);
        }
        lan.run(s(2));
        assert!(outcome(&lan, "trimmed") > 0);
        meet(&mut lan);
        all_is_there(&mut lan);
        assert_eq!(lan.old_records(1).len(), 2, "only what was added since");
    }
}

story! {
    /// Two offices that never met are plugged together, with everything that each has written.
    two_offices_become_one 10 |seed| {
        let mut lan = Lan::dark(seed, 6);
        lan.split(&[0, 1, 2]);
        lan.boot_all_within(s(1));
        lan.run(s(8));
        everybody_writes(&mut lan, s(3));
        lan.listen();
        meet(&mut lan);
        lan.run(s(2));
        all_is_there(&mut lan);
        assert!(lan.said(Kind::Reunion, "brought") > 0, "it is said what was brought");
    }
}

story! {
    /// The leader changes on one side, then on the other, while they are apart; all of it is one line of changes each.
    leaders_change_while_they_are_apart 8 |seed| {
        let mut lan = parted(seed, 6, &[3, 4, 5]);
        for _ in 0..2 {
            for leader in lan.leaders() {
                everybody_writes(&mut lan, ms(700));
                lan.kill(leader);
                everybody_writes(&mut lan, s(1));
                lan.boot(leader);
            }
        }
        lan.run(s(3));
        meet(&mut lan);
        everybody_writes(&mut lan, s(1));
        all_is_there(&mut lan);
    }
}

story! {
    /// The disk of the one that stays is full when they meet: nothing is lost, and everything is there when it has room.
    a_full_disk_loses_nothing_when_they_meet 8 |seed| {
        let mut lan = parted(seed, 5, &[3, 4]);
        everybody_writes(&mut lan, s(3));
        let full = lan.leaders()[(seed % 2) as usize];
        lan.machines[full].disk.set_trouble(crate::disk::Trouble::Full);
        lan.heal_all();
        lan.run(s(10));
        lan.machines[full].disk.set_trouble(crate::disk::Trouble::None);
        lan.run(s(15));
        everybody_writes(&mut lan, s(1));
        all_is_there(&mut lan);
    }
}

story! {
    /// A machine is started anew while it is away, alone, and comes back with a clock that is wrong by years.
    a_wrong_clock_decides_nothing 10 |seed| {
        let mut lan = parted(seed, 5, &[4]);
        everybody_writes(&mut lan, s(2));
        lan.kill(4);
        lan.jump_clock(4, if seed.is_multiple_of(2) { 100_000_000 } else { -100_000_000 });
        lan.boot(4);
        // It remembers the others, hears nobody, and waits before it leads alone.
        lan.run(s(45));
        changes(&mut lan, 4);
        changes(&mut lan, 0);
        meet(&mut lan);
        lan.run(s(2));
        all_is_there(&mut lan);
        expect_values(&lan, 2);
    }
}

story! {
    /// Everybody goes down with the power while two halves join, and comes back.
    the_power_fails_while_they_join 10 |seed| {
        let mut lan = parted(seed, 5, &[3, 4]);
        everybody_writes(&mut lan, s(3));
        meet(&mut lan);
        let pause = lan.dice.below(ms(30));
        lan.run(pause);
        lan.power_cut_all();
        lan.boot_all_within(s(2));
        lan.run(s(8));
        everybody_writes(&mut lan, s(1));
        all_is_there(&mut lan);
    }
}

story! {
    /// Ten lone machines that all wrote meet at once.
    ten_lone_machines_meet_at_once 4 |seed| {
        let mut lan = editing(seed, 10);
        for m in 0..10 {
            lan.isolate(m);
        }
        lan.run(s(6));
        everybody_writes(&mut lan, s(4));
        lan.heal_all();
        lan.run_until(s(40), "one leads", |lan| lan.leaders().len() == 1);
        lan.run(s(10));
        all_is_there(&mut lan);
    }
}
