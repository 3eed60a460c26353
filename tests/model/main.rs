//! Model checking: the same core (`Node::step`) in every order in which three members can hear, write to their disks,
//! wait and die, within bounds; elections and handovers alone. Where the simulator draws one run from a seed, this takes
//! every branch, and remembers where it has been.
//!
//! A search begins with three members that have just started (`cold`) or with a leader and two followers (`settled`).
//! Messages take any time; datagrams are lost or arrive again and again; connections break; a disk takes any time, and a
//! crash loses what was not durable; each member's clock runs at its own rate. After every step stand: what is shown and
//! promised never falls (P3), nothing is said before it is durable, a member backs one claim in an epoch, and with a
//! quorum of two at most one claim wins an epoch (P8, its first half).
//!
//! `cargo test --test model` searches small bounds; `TANIST_MODEL=full cargo test --test model full -- --nocapture` all
//! of [`FULL`], and another word instead of `full` those that have it in their name. What is left out, and why, is in
//! `docs/architecture.md`.

#![expect(clippy::disallowed_methods, reason = "a search says how long it took")]

mod canon;
mod host;
mod search;

use host::{Bounds, World};
use search::{Seen, search};
use std::time::Duration;

/// From which state, and how far.
struct Search {
    name: &'static str,
    start: fn(Bounds) -> World,
    bounds: Bounds,
}

/// Nothing happens but what each search adds.
const STILL: Bounds = Bounds {
    quorum: 1,
    claims: 2,
    timers: [0; 3],
    crashes: 0,
    victim: None,
    breaks: 0,
    handovers: 0,
    prompt: true,
    heard: false,
    forgets: false,
};

/// Two of three claim at once, and wait for the third's voice until the deadline.
const TWO_CLAIM: Bounds = Bounds { claims: 1, timers: [2, 2, 0], ..STILL };
/// A user asks for a handover; every heartbeat and notice is heard by anybody at any time, or never.
const HANDOVER: Bounds = Bounds { handovers: 1, heard: true, ..STILL };

/// What every test run searches: seconds.
const SMALL: [Search; 6] = [
    Search { name: "two claim, quorum 1", start: World::cold, bounds: TWO_CLAIM },
    Search { name: "two claim, quorum 2", start: World::cold, bounds: Bounds { quorum: 2, ..TWO_CLAIM } },
    Search { name: "handover, quorum 1", start: World::settled, bounds: HANDOVER },
    Search { name: "handover, quorum 2", start: World::settled, bounds: Bounds { quorum: 2, ..HANDOVER } },
    Search {
        name: "handover, the heir dies, quorum 1",
        start: World::settled,
        bounds: Bounds { crashes: 1, victim: Some(1), heard: false, ..HANDOVER },
    },
    Search {
        name: "a connection breaks, quorum 2",
        start: World::cold,
        bounds: Bounds { quorum: 2, breaks: 1, timers: [1, 1, 0], ..STILL },
    },
];

/// A voter backs a claim, dies, has forgotten its promise and backs another claim of the same epoch.
const FORGETS: Bounds = Bounds { quorum: 2, crashes: 1, victim: Some(2), forgets: true, ..TWO_CLAIM };

fn run(one: &Search) -> Seen {
    let seen = search((one.start)(one.bounds), Duration::MAX);
    println!(
        "{}: {} states, {} transitions, {} deep, {:.1} s",
        one.name,
        seen.states,
        seen.transitions,
        seen.deepest,
        seen.took.as_secs_f64()
    );
    seen
}

fn all_is_well(one: &Search) -> usize {
    let seen = run(one);
    assert!(seen.broken.is_none(), "{}: {}", one.name, seen.broken.expect("looked at"));
    assert!(seen.wins > 0, "{}: nobody ever won", one.name);
    seen.states
}

#[test]
fn small() {
    SMALL.iter().for_each(|one| {
        all_is_well(one);
    });
}

#[test]
fn a_promise_that_is_not_kept_is_found_out() {
    let seen = run(&Search { name: "promises are forgotten, quorum 2", start: World::cold, bounds: FORGETS });
    let broken = seen.broken.expect("two leaders in one epoch");
    assert!(broken.starts_with("P8"), "{broken}");
}

/// What is searched on demand: minutes, and millions of states.
const FULL: [Search; 5] = [
    Search {
        name: "three claim once each, quorum 1",
        start: World::cold,
        bounds: Bounds { timers: [2, 2, 1], ..TWO_CLAIM },
    },
    Search {
        name: "three claim once each, quorum 2",
        start: World::cold,
        bounds: Bounds { quorum: 2, timers: [2, 2, 1], ..TWO_CLAIM },
    },
    Search {
        name: "two claim twice, quorum 2",
        start: World::cold,
        bounds: Bounds { quorum: 2, claims: 2, timers: [3, 3, 0], ..TWO_CLAIM },
    },
    Search {
        name: "two claim, the voter dies, quorum 2",
        start: World::cold,
        bounds: Bounds { forgets: false, ..FORGETS },
    },
    Search {
        name: "the leader dies, two claim, quorum 1",
        start: World::settled,
        bounds: Bounds { crashes: 1, victim: Some(0), timers: [0, 1, 1], ..STILL },
    },
];

#[test]
fn full() {
    let Ok(which) = std::env::var("TANIST_MODEL") else { return };
    let all = which == "full";
    let wanted: Vec<&Search> = FULL.iter().filter(|one| all || one.name.contains(&which)).collect();
    assert!(!wanted.is_empty(), "no search has {which:?} in its name");
    let states: usize = wanted.into_iter().map(all_is_well).sum();
    println!("{states} states in all");
    assert!(!all || states > 1_000_000, "{states} states are too few to prove anything");
}
