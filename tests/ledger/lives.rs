//! Many lives, from seeds.

use crate::world::{Setup, World};
use std::collections::BTreeMap;
use tanist::ledger::limits::Limits;

/// Without a limit; with few requests; with few reigns; with few of both.
const PROFILES: [&str; 4] = ["strict", "rows", "reigns", "tiny"];

/// What must have happened in every 2,000 lives.
const KINDS: [&str; 36] = [
    "acknowledged alone",
    "acknowledged with two copies",
    "a batch said that a whole is committed",
    "a condition was refused",
    "a conflict too many, by a limit",
    "a conflict was resolved",
    "a copy broke off",
    "a copy was adopted",
    "a copy was not there yet",
    "a crash lost something that was not synced",
    "a cursor was ahead of a member",
    "a cursor was of a reign not known",
    "a disk was lost",
    "a leader held an offer",
    "a leader held writes",
    "an import came in",
    "an import made a conflict",
    "an import of what is gone",
    "an import of what is here",
    "a list of all keys for a watcher",
    "a list of all keys for an offer",
    "a member continued the log",
    "an id was used for another request",
    "an offer",
    "an offer broke off",
    "a record was sent again",
    "a reign began with pending changes",
    "a request was sent again",
    "a watcher went on",
    "a whole broke off",
    "a whole in parts",
    "a whole that lies aside",
    "records were trimmed",
    "requests in opposite order",
    "siblings after a join",
    "a value was missing",
];

fn setup(profile: &str, seed: u64) -> Setup {
    let few = |of: u64, least: u64| least + seed % of;
    let (requests, reigns) = match profile {
        "strict" => (u64::MAX, usize::MAX),
        "rows" => (few(6, 1), usize::MAX),
        "reigns" => (u64::MAX, few(3, 2) as usize),
        "tiny" => (few(6, 1), few(3, 2) as usize),
        _ => panic!("profiles: {PROFILES:?}"),
    };
    let unfold = [0, 400, usize::MAX][(seed / 7 % 3) as usize];
    Setup {
        limits: Limits { tombstones: seed / 3 % 4, requests, reigns, unfold },
        members: 3 + (seed % 3) as usize,
        keys: 1 + (seed / 5 % 3) as usize,
        steps: 60 + (seed % 7) as usize * 30,
        piece: [40, 300, 100_000][(seed / 11 % 3) as usize],
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

type Flaws = BTreeMap<&'static str, (u64, String)>;

fn play(profile: &str, seed: u64, flaws: &mut Flaws, kinds: &mut BTreeMap<&'static str, u64>) {
    let mut world = World::new(seed, setup(profile, seed));
    world.run();
    for (kind, count) in world.kinds {
        *kinds.entry(kind).or_insert(0) += count;
    }
    for (flaw, text) in world.flaws {
        let first = || (0, format!("TANIST_LIFE={seed} TANIST_PROFILE={profile}: {text:.300}"));
        flaws.entry(flaw).or_insert_with(first).0 += 1;
    }
}

#[test]
fn random_lives_keep_the_promises() {
    let (lives, first) = (number("TANIST_LIVES", 10_000), number("TANIST_FIRST_LIFE", 1));
    let (mut flaws, mut kinds) = (Flaws::new(), BTreeMap::new());
    for seed in first..first + lives {
        let profile = PROFILES[(seed % 4) as usize];
        play(profile, seed / 4, &mut flaws, &mut kinds);
    }
    println!("{lives} lives");
    for (kind, count) in &kinds {
        println!("{count:9} {kind}");
    }
    let text: Vec<String> = flaws.iter().map(|(what, (count, text))| format!("{count:6} {what}: {text}")).collect();
    assert!(flaws.is_empty(), "broken promises:\n{}", text.join("\n"));
    let never: Vec<_> = KINDS.iter().filter(|kind| !kinds.contains_key(*kind)).collect();
    assert!(lives < 2000 || never.is_empty(), "this never happened, so it proves nothing: {never:?}");
}

#[test]
fn one_life() {
    let Ok(profile) = std::env::var("TANIST_PROFILE") else { return };
    let mut world = World::new(number("TANIST_LIFE", 1), setup(&profile, number("TANIST_LIFE", 1)));
    world.told = true;
    world.run();
    assert!(world.flaws.is_empty(), "{:?}", world.flaws);
}
