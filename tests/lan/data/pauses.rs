//! How long users of machines that are left wait when another fails.

use super::copies::all_is_there;
use super::users::Users;
use crate::ground::story;
use crate::lan::{Lan, SETTLE, SLACK};
use crate::net::name;
use crate::watch::SILENCE;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// What a busy computer, and the naming of a successor, may add to a failover before writes go on.
const MARGIN: Duration = Duration::from_secs(1);

/// What happens to a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Killed,
    Frozen,
    Cut,
}

async fn strike(lan: &mut Lan, machine: usize, fault: Fault) -> Instant {
    let rest = lan.but(&[machine]);
    match fault {
        Fault::Killed => lan.signal(machine, Signal::SIGKILL),
        Fault::Frozen => lan.signal(machine, Signal::SIGSTOP),
        Fault::Cut => {
            let at = Instant::now();
            lan.net.cut(&[machine], &rest, true).await;
            lan.net.cut(&rest, &[machine], true).await;
            at
        }
    }
}

async fn mend(lan: &mut Lan, machine: usize, fault: Fault) {
    match fault {
        Fault::Killed => {
            lan.ended(&[machine], SLACK).await;
            lan.start(&[machine]);
        }
        Fault::Frozen => _ = lan.signal(machine, Signal::SIGCONT),
        Fault::Cut => lan.net.heal().await,
    }
}

/// The leader fails while everybody writes: on other machines no write fails, and none waits for much longer than the
/// failover takes.
#[test]
fn a_leader_that_fails_is_a_pause_for_the_others() {
    story("data::pauses::a_leader_that_fails_is_a_pause_for_the_others", async |lan| {
        lan.office(3).await;
        let all = lan.all();
        lan.start(&all);
        lan.settled(&all, SETTLE + SLACK).await;
        let mut users = Users::adding(lan, &all);
        for fault in [Fault::Killed, Fault::Frozen, Fault::Cut, Fault::Killed] {
            let reign = lan.settled(&all, SETTLE + SLACK).await;
            lan.successor(&all).await;
            all_have_answers(lan, &users).await;
            let others = lan.but(&[reign.leader]);
            let at = strike(lan, reign.leader, fault).await;
            let what = format!("leader {fault:?}");
            let (_, took) = lan.failover((&what, at), &others, &reign, SETTLE + SLACK).await;
            users.more(lan, 200).await;
            waited(lan, &users, &others, at, (&what, took + MARGIN));
            mend(lan, reign.leader, fault).await;
        }
        lan.settled(&all, SETTLE + SLACK).await;
        all_is_there(lan, &mut users).await;
    });
}

/// The successor fails while everybody writes: the leader takes another, and no write fails.
#[test]
fn a_successor_that_fails_is_a_pause_for_the_others() {
    story("data::pauses::a_successor_that_fails_is_a_pause_for_the_others", async |lan| {
        lan.office(4).await;
        let all = lan.all();
        lan.start(&all);
        lan.settled(&all, SETTLE + SLACK).await;
        let mut users = Users::adding(lan, &all);
        for fault in [Fault::Killed, Fault::Frozen, Fault::Cut] {
            lan.settled(&all, SETTLE + SLACK).await;
            let successor = lan.successor(&all).await;
            all_have_answers(lan, &users).await;
            let at = strike(lan, successor, fault).await;
            let others = lan.but(&[successor]);
            users.more(lan, 200).await;
            waited(lan, &users, &others, at, (&format!("successor {fault:?}"), SILENCE + MARGIN));
            mend(lan, successor, fault).await;
        }
        lan.settled(&all, SETTLE + SLACK).await;
        all_is_there(lan, &mut users).await;
    });
}

/// Everybody writes, and nobody waits for an answer since before: a machine that was down kept its own users waiting.
async fn all_have_answers(lan: &mut Lan, users: &Users) {
    drop(users.all_wait(lan).await);
    users.more(lan, 100).await;
}

/// Users on these machines were told no error since then, and none waited for longer.
fn waited(lan: &mut Lan, users: &Users, machines: &[usize], since: Instant, (what, most): (&str, Duration)) {
    let longest = users.longest(machines, (since, Instant::now()));
    lan.figure(&format!("{what}: the longest write on another machine"), longest);
    let errors = users.errors(machines, since);
    let names: Vec<String> = machines.iter().map(|machine| name(*machine)).collect();
    assert!(errors.is_empty(), "{what}: users of {names:?} were told {errors:?}");
    assert!(longest <= most, "{what}: a write on {names:?} took {longest:?}, and {most:?} is the most that it may");
}
