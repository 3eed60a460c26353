//! The data on real kernels: users write on every machine while machines fail, and afterwards every machine has all that
//! was acknowledged, once, and the same (§10).
//!
//! `TANIST_DATA_SECONDS=300 TANIST_CHAOS_SEED=7 cargo test --test lan data::writers -- --nocapture`. Without a seed there
//! is a new one each time; it is printed, and says which faults come when.

mod asking;
mod copies;
mod damage;
mod disks;
mod editors;
mod faults;
mod pauses;
mod splits;
mod users;

use crate::chaos::{number, seed};
use crate::ground::{story, story_within};
use crate::lan::{FIGURE, Lan, SETTLE, SLACK};
use copies::all_is_there;
use faults::Play;
use nix::sys::signal::Signal;
use std::time::Duration;
use users::Users;

/// How long faults come without `TANIST_DATA_SECONDS`.
const SECONDS: u64 = 10;

/// What a story may take beside its faults.
const BESIDE: u64 = 180;

/// How often all agents are killed at once.
const ROUNDS: usize = 5;

/// An office that has settled, with a successor.
async fn office(lan: &mut Lan, machines: usize) {
    lan.office(machines).await;
    let all = lan.all();
    lan.start(&all);
    lan.settled(&all, SETTLE + SLACK).await;
    lan.successor(&all).await;
}

fn writers(name: &str, machines: usize) {
    let seconds = number("TANIST_DATA_SECONDS").unwrap_or(SECONDS);
    story_within(name, Duration::from_secs(seconds + BESIDE), async |lan| {
        let seed = seed();
        println!("\n{FIGURE}  TANIST_CHAOS_SEED={seed} TANIST_DATA_SECONDS={seconds} cargo test --test lan {name}");
        office(lan, machines).await;
        let all = lan.all();
        let mut users = Users::begin(lan, &all);
        Play::new(lan, &mut users, seed).run(Duration::from_secs(seconds)).await;
        all_is_there(lan, &mut users).await;
    });
}

#[test]
fn writers_on_three_machines_lose_nothing() {
    writers("data::writers_on_three_machines_lose_nothing", 3);
}

#[test]
fn writers_on_five_machines_lose_nothing() {
    writers("data::writers_on_five_machines_lose_nothing", 5);
}

/// Every agent is killed at one moment, again and again: what was acknowledged is there when they are back.
#[test]
fn what_was_acknowledged_outlives_the_death_of_all() {
    story("data::what_was_acknowledged_outlives_the_death_of_all", async |lan| {
        office(lan, 3).await;
        let all = lan.all();
        let mut users = Users::begin(lan, &all);
        for round in 0..ROUNDS {
            users.more(lan, 50 + 50 * round).await;
            for machine in &all {
                lan.signal(*machine, Signal::SIGKILL);
            }
            lan.ended(&all, SLACK).await;
            lan.start(&all);
            lan.settled(&all, SETTLE + SLACK).await;
        }
        users.more(lan, 100).await;
        all_is_there(lan, &mut users).await;
    });
}
