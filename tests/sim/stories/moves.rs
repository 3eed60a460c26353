//! Something goes wrong in the middle of a move: a failover, a handover, a start, a reunion.

use crate::disk::Trouble;
use crate::lan::Lan;
use crate::machine::Illness;
use crate::network::M;
use crate::script::{ms, s};
use tanist::event::Kind;
use tanist::protocol::RoleName;

/// Who is who before anything moves.
#[derive(Clone, Copy)]
struct Who {
    leader: M,
    successor: M,
    follower: M,
}

impl Who {
    fn of(lan: &Lan) -> Self {
        let (leader, successor) = (lan.leader(), lan.successor());
        let follower = lan.followers().into_iter().find(|m| *m != successor).expect("three at least");
        Self { leader, successor, follower }
    }
}

/// What moves, and for how many milliseconds at most something can go wrong in the middle.
struct Move(&'static str, u64, fn(&mut Lan, Who));

fn both(lan: &mut Lan, who: Who, end: fn(&mut Lan, M)) {
    end(lan, who.leader);
    end(lan, who.successor);
}

fn all_start(lan: &mut Lan, _: Who) {
    lan.power_cut_all();
    lan.run(ms(10));
    (0..lan.machines.len()).for_each(|m| lan.boot(m));
}

fn two_handovers(lan: &mut Lan, who: Who) {
    lan.handover(who.leader, 1, None);
    lan.run(ms(4));
    lan.handover(who.successor, 2, Some(who.leader));
}

fn the_parts_meet(lan: &mut Lan, who: Who) {
    lan.split(&[who.leader, who.successor]);
    lan.run(s(6));
    lan.heal_all();
}

fn the_cable_is_back(lan: &mut Lan, who: Who) {
    lan.link_down(who.leader, 0);
    lan.run(s(5));
    lan.link_up(who.leader, 0);
}

const MOVES: [Move; 15] = [
    Move("the leader is killed", 10, |lan, who| lan.kill(who.leader)),
    Move("a handover", 10, |lan, who| lan.handover(who.leader, 1, None)),
    Move("two handovers", 20, two_handovers),
    Move("a follower asks for the role", 15, |lan, who| lan.handover(who.follower, 1, Some(who.follower))),
    Move("the leader is told to stop", 10, |lan, who| lan.stop(who.leader)),
    Move("the leader restarts", 30, |lan, who| lan.restart(who.leader)),
    Move("the leader is silent", 800, |lan, who| lan.power_cut(who.leader)),
    Move("leader and successor are killed", 60, |lan, who| both(lan, who, Lan::kill)),
    Move("leader and successor are silent", 1200, |lan, who| both(lan, who, Lan::power_cut)),
    Move("the leader stands still", 900, |lan, who| lan.freeze(who.leader, ms(700))),
    Move("the leader sleeps", 4000, |lan, who| lan.sleep(who.leader, s(3))),
    Move("the leader has another address", 1800, |lan, who| lan.new_address(who.leader)),
    Move("the leader's cable is back", 800, the_cable_is_back),
    Move("all start", 900, all_start),
    Move("the parts meet", 1500, the_parts_meet),
];

/// What goes wrong with one of them, for so many microseconds.
struct Fault(&'static str, fn(&mut Lan, M, u64));

fn others(lan: &Lan, m: M) -> Vec<M> {
    (0..lan.machines.len()).filter(|n| *n != m).collect()
}

fn restarts_later(lan: &mut Lan, m: M, lasts: u64) {
    lan.kill(m);
    lan.run(lasts);
    lan.boot(m);
}

fn stops(lan: &mut Lan, m: M, lasts: u64) {
    lan.stop(m);
    lan.run(lasts);
    lan.boot(m);
}

fn is_isolated(lan: &mut Lan, m: M, lasts: u64) {
    lan.isolate(m);
    lan.run(lasts);
    lan.heal_all();
}

fn hears_nobody(lan: &mut Lan, m: M, lasts: u64) {
    others(lan, m).into_iter().for_each(|n| lan.cut_one_way(n, m));
    lan.run(lasts);
    lan.heal_all();
}

fn is_heard_by_nobody(lan: &mut Lan, m: M, lasts: u64) {
    others(lan, m).into_iter().for_each(|n| lan.cut_one_way(m, n));
    lan.run(lasts);
    lan.heal_all();
}

fn stands_still(lan: &mut Lan, m: M, lasts: u64) {
    lan.freeze(m, lasts);
    lan.run(lasts);
}

fn has_no_cable(lan: &mut Lan, m: M, lasts: u64) {
    lan.link_down(m, 0);
    lan.run(lasts);
    lan.link_up(m, 0);
}

fn has_two_other_addresses(lan: &mut Lan, m: M, lasts: u64) {
    lan.new_address(m);
    lan.run(lasts / 3);
    lan.new_address(m);
}

fn cannot_write(lan: &mut Lan, m: M, lasts: u64) {
    lan.machines[m].disk.set_trouble(Trouble::Stuck);
    lan.run(lasts);
    lan.machines[m].disk.set_trouble(Trouble::None);
    if let Some(life) = lan.life(m) {
        lan.disk_done(m, life);
    }
}

/// Whoever could not write tries again once a second, up to a quarter later when nothing happens.
fn has_trouble(lan: &mut Lan, m: M, lasts: u64, trouble: Trouble) {
    lan.machines[m].disk.set_trouble(trouble);
    lan.run(lasts);
    lan.machines[m].disk.set_trouble(Trouble::None);
    lan.run(ms(1250));
}

fn reads_nothing(lan: &mut Lan, m: M, lasts: u64) {
    if let Some(process) = &mut lan.machines[m].process {
        process.illness = Illness::Deaf;
    }
    lan.run(lasts);
    lan.cure(m);
}

fn loses_its_connections(lan: &mut Lan, m: M, _: u64) {
    for key in lan.standing() {
        if lan.net.conns[&key].ends.iter().any(|end| end.m == m) {
            lan.break_connection(key);
        }
    }
}

const FAULTS: [Fault; 18] = [
    Fault("is killed", |lan, m, _| lan.kill(m)),
    Fault("is off", |lan, m, _| lan.power_cut(m)),
    Fault("restarts", |lan, m, _| lan.restart(m)),
    Fault("restarts later", restarts_later),
    Fault("stops", stops),
    Fault("is isolated", is_isolated),
    Fault("hears nobody", hears_nobody),
    Fault("is heard by nobody", is_heard_by_nobody),
    Fault("stands still", stands_still),
    Fault("has no cable", has_no_cable),
    Fault("has another address", |lan, m, _| lan.new_address(m)),
    Fault("has two other addresses", has_two_other_addresses),
    Fault("cannot write", cannot_write),
    Fault("has a full disk", |lan, m, lasts| has_trouble(lan, m, lasts, Trouble::Full)),
    Fault("has a failing disk", |lan, m, lasts| has_trouble(lan, m, lasts, Trouble::Failing)),
    Fault("reads nothing", reads_nothing),
    Fault("sleeps", |lan, m, lasts| {
        lan.sleep(m, lasts);
        lan.run(lasts);
    }),
    Fault("loses its connections", loses_its_connections),
];

fn turn(seed: u64, of: usize) -> usize {
    usize::try_from(seed).expect("small") % of
}

story! {
    /// Whatever goes wrong in the middle of a move, and however long: soon after, one leads and all name it.
    something_goes_wrong_in_the_middle_of_a_move 1620 |seed| {
        let mut lan = Lan::office(seed, 4 + turn(seed / 2, 4));
        let who = Who::of(&lan);
        let Move(what, span, go) = &MOVES[turn(seed, 15)];
        let Fault(wrong, happens) = &FAULTS[turn(seed / 15, 18)];
        let (role, m) =
            [("leader", who.leader), ("successor", who.successor), ("follower", who.follower)][turn(seed / 270, 3)];
        let (after, lasts) = (lan.dice.below(ms(*span)), lan.dice.below(ms(2500)));
        go(&mut lan, who);
        lan.run(after);
        happens(&mut lan, m, lasts);
        while lan.machines.iter().any(|m| m.asleep) {
            lan.run(ms(100));
        }
        lan.run(ms(1500));
        let all = lan.running();
        let one = lan.one_among(&all);
        assert!(one.is_ok(), "{what}, and {after} µs later the {role} {wrong} for {lasts} µs: {}", one.unwrap_err());
        lan.run(s(5));
        lan.expect_one_leader();
    }
}

story! {
    /// A disk takes nothing from the middle of a move on, or hangs: its machine is in nobody's way. The others have one
    /// leader as soon as they would with one machine less.
    whose_disk_takes_nothing_is_in_nobodys_way 405 |seed| {
        let mut lan = Lan::office(seed, 4 + turn(seed / 2, 4));
        let who = Who::of(&lan);
        let Move(what, span, go) = &MOVES[turn(seed, 15)];
        let trouble = [Trouble::Full, Trouble::Failing, Trouble::Stuck][turn(seed / 15, 3)];
        let (role, m) =
            [("leader", who.leader), ("successor", who.successor), ("follower", who.follower)][turn(seed / 45, 3)];
        let after = lan.dice.below(ms(*span));
        go(&mut lan, who);
        lan.run(after);
        lan.machines[m].disk.set_trouble(trouble);
        while lan.machines.iter().any(|m| m.asleep) {
            lan.run(ms(100));
        }
        // A disk that hangs is one when it has for 2 s.
        lan.run(if trouble == Trouble::Stuck { ms(3500) } else { ms(1500) });
        let one = |lan: &Lan| {
            let all = lan.running();
            let others: Vec<M> = all.iter().copied().filter(|n| *n != m).collect();
            // Who leads and has nothing to write leads on.
            lan.one_among(if lan.leaders() == [m] { &all } else { &others })
        };
        let found = one(&lan);
        assert!(found.is_ok(), "{what}, and {after} µs later the {role}, pc-{m}, is {trouble:?}: {}", found.unwrap_err());
        lan.run(s(5));
        let found = one(&lan);
        assert!(found.is_ok(), "{what}, and {after} µs later the {role}, pc-{m}, is {trouble:?}, later: {}", found.unwrap_err());
        lan.machines[m].disk.set_trouble(Trouble::None);
        if let Some(life) = lan.life(m) {
            lan.disk_done(m, life);
        }
        lan.run(s(3));
        lan.expect_one_leader();
    }
}

/// What a machine has for good.
struct Ill(&'static str, fn(&mut Lan, M));

const ILLS: [Ill; 9] = [
    Ill("reads nothing", |lan, m| ails(lan, m, Illness::Deaf)),
    Ill("reads no connection", |lan, m| ails(lan, m, Illness::Streamless)),
    Ill("hears nobody", |lan, m| others(lan, m).into_iter().for_each(|n| lan.cut_one_way(n, m))),
    Ill("is heard by nobody", |lan, m| others(lan, m).into_iter().for_each(|n| lan.cut_one_way(m, n))),
    Ill("has no broadcast", |lan, m| lan.no_broadcast(m)),
    Ill("hears no broadcast", |lan, m| lan.net.deaf.extend(others(lan, m).into_iter().map(|n| (n, m)))),
    Ill("sends no broadcast", |lan, m| lan.net.deaf.extend(others(lan, m).into_iter().map(|n| (m, n)))),
    Ill("loses 40 % of its datagrams", |lan, m| {
        lan.net.bad.extend(others(lan, m).into_iter().flat_map(|n| [((m, n), 0.4), ((n, m), 0.4)]));
    }),
    Ill(STALLS, |_, _| {}),
];

const STALLS: &str = "stands still for 400 ms, again and again";

fn ails(lan: &mut Lan, m: M, illness: Illness) {
    if let Some(process) = &mut lan.machines[m].process {
        process.illness = illness;
    }
}

story! {
    /// One machine is out of order for good from the middle of a move on: soon the others have one leader, maybe that one
    /// still, and keep it.
    who_stays_ill_is_in_nobodys_way 405 |seed| {
        let mut lan = Lan::office(seed, 4 + turn(seed / 2, 4));
        let who = Who::of(&lan);
        let Move(what, span, go) = &MOVES[turn(seed, 15)];
        let Ill(ill, falls_ill) = &ILLS[turn(seed / 15, 9)];
        let (role, m) =
            [("leader", who.leader), ("successor", who.successor), ("follower", who.follower)][turn(seed / 135, 3)];
        let after = lan.dice.below(ms(*span));
        go(&mut lan, who);
        lan.run(after);
        while lan.machines.iter().any(|m| m.asleep) {
            lan.run(ms(100));
        }
        falls_ill(&mut lan, m);
        for half in 0..24 {
            if *ill == STALLS && lan.life(m).is_some() {
                lan.freeze(m, ms(400));
            }
            lan.run(ms(500));
            if half < 11 {
                continue;
            }
            let all = lan.running();
            let well: Vec<M> = all.iter().copied().filter(|n| *n != m).collect();
            let one = lan.one_among(if lan.leaders() == [m] { &all } else { &well });
            assert!(one.is_ok(), "{what}, and {after} µs later the {role}, pc-{m}, {ill}: {}", one.unwrap_err());
        }
    }
}

/// Whoever leads now, besides the one who did.
fn next_leader(lan: &Lan, old: M) -> Option<M> {
    lan.leaders().into_iter().find(|m| *m != old)
}

story! {
    /// The machine that was handed over to dies in its first moments: the one that handed over has the list of its own
    /// reign, and waits for nobody.
    who_handed_over_leads_again_at_once 100 |seed| {
        let mut lan = Lan::office(seed, 2 + turn(seed, 3));
        let old = lan.leader();
        lan.handover(old, 1, None);
        lan.run_until(s(1), "the heir leads", |lan| next_leader(lan, old).is_some());
        let heir = next_leader(&lan, old).expect("awaited");
        lan.run(seed * 7919 % 500);
        lan.kill(heir);
        let others = lan.running();
        let took = lan.run_until(s(2), "another leads", |lan| lan.one_among(&others).is_ok());
        assert!(took < ms(60), "{took} µs");
    }
}

story! {
    /// A heir that was cut off while it asked comes back after the old leader has claimed anew: nobody goes to it.
    who_comes_back_from_a_failed_handover_takes_nobody_along 40 |seed| {
        let mut lan = Lan::office(seed, 5);
        let (old, heir) = (lan.leader(), lan.successor());
        let others: Vec<M> = lan.running().into_iter().filter(|m| *m != heir).collect();
        lan.listen();
        lan.handover(old, 1, None);
        lan.run_until(s(1), "all back it", |lan| {
            others.iter().all(|m| *m == old || lan.heard(*m, Kind::ClaimBacked))
        });
        lan.isolate(heir);
        lan.run(ms(2500));
        assert_eq!(lan.expect_one_among(&others), old);
        lan.heal_all();
        let node = lan.shown(old).node;
        let (end, mut whole) = (lan.now + s(3), lan.now);
        while lan.next(end) {
            let stays = |m: &M| lan.status(*m).and_then(|s| s.leader).is_some_and(|leader| leader.node == node);
            // Where it begins a new reign, each writes that down before it shows it.
            let all = others.iter().all(stays);
            whole = if all { lan.now } else { whole };
            assert!(lan.now - whole < ms(50), "P2: somebody has left pc-{old}");
        }
        lan.expect_leader(old);
    }
}

story! {
    /// The successor restarts while the leader is silent: it follows what the others say, and is not waited for.
    who_never_heard_the_leader_is_not_counted_on 40 |seed| {
        let mut lan = Lan::office(seed, 4);
        let (leader, successor) = (lan.leader(), lan.successor());
        lan.power_cut(leader);
        let began = lan.now;
        lan.run(ms(300) + seed * 7919 % ms(250));
        lan.restart(successor);
        lan.run_until(s(3), "another leads", |lan| lan.running().iter().any(|m| lan.role(*m) == Some(RoleName::Leading)));
        let took = lan.now - began;
        assert!(took < ms(1000), "{took} µs");
    }
}

/// The second of two moves is of those who lead and follow by then, when that is settled.
fn who_by_now(lan: &Lan, before: Who) -> Who {
    let settled = lan.one_among(&lan.running()).is_ok() && lan.running().len() > 2;
    let named = || lan.status(lan.leader()).is_some_and(|status| status.successor.is_some());
    if settled && named() { Who::of(lan) } else { before }
}

story! {
    /// One move in the middle of another: 2 s after the second, one leads and all name it, and it stays.
    two_moves_at_once 450 |seed| {
        let mut lan = Lan::office(seed, 4 + turn(seed / 2, 4));
        let who = Who::of(&lan);
        let Move(first, span, go) = &MOVES[turn(seed, 15)];
        let Move(second, _, goes_too) = &MOVES[turn(seed / 15, 15)];
        let after = lan.dice.below(ms(*span + 100));
        go(&mut lan, who);
        lan.run(after);
        for m in [who.leader, who.successor, who.follower] {
            lan.thaw(m);
            lan.awake(m);
            lan.boot(m);
        }
        let now = if lan.dice.chance(0.5) { who_by_now(&lan, who) } else { who };
        goes_too(&mut lan, now);
        while lan.machines.iter().any(|m| m.asleep) {
            lan.run(ms(100));
        }
        lan.run(s(2));
        let one = lan.one_among(&lan.running());
        assert!(one.is_ok(), "{first}, and {after} µs later {second}: {}", one.unwrap_err());
        lan.watch();
        lan.run(s(5));
        lan.expect_no_leader_change();
        lan.expect_one_leader();
    }
}
