//! Offices that are split while users write on every machine, and healed: everything that was acknowledged is there once, the
//! conflicts are the real ones, and all machines have the same (§10).
//!
//! `TANIST_SPLITS=30 cargo test --test lan data::splits:: -- --nocapture` does it thirty times.

use super::copies::{all_is_there_but_counts, settled_and_same};
use super::editors::Editors;
use super::office;
use super::users::Users;
use crate::chaos::number;
use crate::ground::story_within;
use crate::lan::{Lan, SETTLE, SLACK};
use std::time::{Duration, Instant};

/// How often an office is split without `TANIST_SPLITS`.
const TIMES: u64 = 1;

/// For how long the parts write when each has its leader.
const APART: Duration = Duration::from_secs(2);

/// What one split may take.
const EACH: u64 = 60;

/// No user waits longer for an answer while two parts become one again, whatever other tests do to the processors.
const WAITS: Duration = Duration::from_secs(5);

/// Nothing passes between these parts, or it does again.
async fn parted(lan: &mut Lan, parts: &[&[usize]], cut: bool) {
    for (n, one) in parts.iter().enumerate() {
        for (m, other) in parts.iter().enumerate() {
            if n != m {
                lan.net.cut(one, other, cut).await;
            }
        }
    }
}

async fn split_and_heal(lan: &mut Lan, users: &Users, parts: &[&[usize]]) {
    let all = lan.all();
    parted(lan, parts, true).await;
    for part in parts {
        lan.settled(part, SETTLE + SLACK).await;
    }
    lan.pass(APART).await;
    lan.note(&format!("healed: {parts:?}"));
    let healed = Instant::now();
    parted(lan, parts, false).await;
    lan.settled(&all, 2 * SETTLE + SLACK).await;
    users.more(lan, 20).await;
    let longest = users.longest(&all, (healed, Instant::now()));
    lan.figure("the longest wait of a write around a reunion", longest);
    assert!(longest < WAITS, "somebody waited for {longest:?}");
}

fn splits(test: &str, machines: usize, shapes: &[&[&[usize]]]) {
    let times = number("TANIST_SPLITS").unwrap_or(TIMES);
    let within = Duration::from_secs(60 + EACH * times * shapes.len() as u64);
    let name = format!("data::splits::{test}");
    story_within(&name, within, async |lan| {
        office(lan, machines).await;
        let all = lan.all();
        let mut users = Users::adding(lan, &all);
        let mut editors = Editors::begin(lan, &all).await;
        let mut settled = 0;
        for round in 0..times {
            for parts in shapes {
                split_and_heal(lan, &users, parts).await;
            }
            if round + 1 < times {
                settled += editors.settle(&lan.client(all[0])).await;
            }
        }
        editors.end(lan).await;
        all_is_there_but_counts(lan, &mut users).await;
        settled_and_same(lan, &all).await;
        let (mut wrong, mut conflicts) = (Vec::new(), 0);
        for machine in &all {
            conflicts = editors.judge(&lan.client(*machine), *machine, &mut wrong).await;
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n  "));
        assert!(conflicts > 0, "both sides changed the same keys");
        lan.say(&format!("{conflicts} conflicts, all of them real, and {settled} were settled before"));
    });
}

#[test]
fn three_machines_lose_nothing_when_they_part_and_meet() {
    splits("three_machines_lose_nothing_when_they_part_and_meet", 3, &[&[&[1, 2], &[3]]]);
}

#[test]
fn five_machines_lose_nothing_when_they_part_and_meet() {
    let shapes: [&[&[usize]]; 3] = [&[&[1, 2, 3], &[4, 5]], &[&[1, 2, 3, 4], &[5]], &[&[1, 2], &[3, 4], &[5]]];
    splits("five_machines_lose_nothing_when_they_part_and_meet", 5, &shapes);
}
