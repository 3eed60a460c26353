//! Leaders that end: killed, frozen, stopped, told to hand over.

use crate::disks::{fill, small_disk};
use crate::ground::story;
use crate::lan::{Lan, Reign, SETTLE, SLACK};
use crate::net::name;
use crate::watch::{AT_ONCE, SILENCE};
use nix::sys::signal::Signal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// An office that has settled, and its leader's and successor's numbers.
async fn settled(lan: &mut Lan, n: usize) -> (Reign, usize) {
    lan.office(n).await;
    let all = lan.all();
    lan.start(&all);
    let reign = lan.settled(&all, SETTLE + SLACK).await;
    let successor = lan.successor(&all).await;
    (reign, successor)
}

/// Kernels say at once that a process is gone: the successor takes over in milliseconds, again and again, until one is
/// left; and whoever comes back follows.
#[test]
fn a_killed_leader_is_followed_in_milliseconds() {
    story("deaths::a_killed_leader_is_followed_in_milliseconds", async |lan| {
        let (mut reign, mut heir) = settled(lan, 4).await;
        let began = Instant::now();
        let mut dead = Vec::new();
        while dead.len() < 3 {
            let at = lan.signal(reign.leader, Signal::SIGKILL);
            dead.push(reign.leader);
            let survivors = lan.but(&dead);
            let (next, took) = lan.failover(("kill -9", at), &survivors, &reign, SETTLE + SLACK).await;
            assert_eq!((next.leader, next.cause.as_str(), next.epoch), (heir, "died", reign.epoch + 1));
            assert!(took < AT_ONCE, "{took:?} after a kill");
            reign = lan.settled(&survivors, SETTLE + SLACK).await;
            if survivors.len() > 1 {
                heir = lan.successor(&survivors).await;
            }
        }
        lan.start(&dead);
        assert_eq!(lan.settled(&lan.all(), SETTLE + SLACK).await, reign);
        lan.quiet(Duration::from_secs(1)).await;
        assert_eq!(lan.reigns_since(began).len(), 3, "one reign for each death");
    });
}

/// The successor's disk is full when the leader dies: another takes over all the same, and the successor follows it when
/// there is space again.
#[test]
fn an_heir_whose_disk_is_full_is_passed_over() {
    story("deaths::an_heir_whose_disk_is_full_is_passed_over", async |lan| {
        lan.office(4).await;
        let all = lan.all();
        let disks: Vec<PathBuf> = all.iter().map(|machine| small_disk(lan, *machine, "state", 4)).collect();
        lan.start(&all);
        let reign = lan.settled(&all, SETTLE + SLACK).await;
        let heir = lan.successor(&all).await;
        // Until everybody has the list, and has written down whom it knows.
        lan.quiet(Duration::from_secs(3)).await;
        let filled = fill(&disks[heir - 1]);
        let at = lan.signal(reign.leader, Signal::SIGKILL);
        let others = lan.but(&[reign.leader, heir]);
        let (next, took) = lan.failover(("kill -9, and the heir cannot write", at), &others, &reign, SETTLE).await;
        assert!(others.contains(&next.leader) && next.cause == "died", "{next:?}");
        assert!(took < AT_ONCE, "{took:?} after a kill");
        lan.pass(Duration::from_secs(1)).await;
        std::fs::remove_file(filled).expect("it is there");
        assert_eq!(lan.settled(&lan.but(&[reign.leader]), SETTLE).await, next);
    });
}

/// The successor dies with the leader: the next in line takes over.
#[test]
fn leader_and_successor_die_together() {
    story("deaths::leader_and_successor_die_together", async |lan| {
        let (reign, heir) = settled(lan, 5).await;
        let at = lan.signal(heir, Signal::SIGKILL);
        lan.signal(reign.leader, Signal::SIGKILL);
        let survivors = lan.but(&[reign.leader, heir]);
        let (_, took) = lan.failover(("kill -9 of leader and successor", at), &survivors, &reign, SETTLE).await;
        assert!(took < SILENCE, "{took:?} after a kill");
        lan.settled(&survivors, SETTLE).await;
        lan.quiet(Duration::from_secs(1)).await;
    });
}

/// A frozen leader is replaced after the silence. It is woken as long after the new leader shows as `pause` says, when
/// that one may have no session yet, and follows.
async fn wakes(
    lan: &mut Lan,
    how: &str,
    pause: Duration,
    freeze: &mut impl FnMut(&mut Lan, usize, bool) -> Option<Instant>,
    old: &Reign,
) -> Option<Reign> {
    let all = lan.all();
    lan.successor(&all).await;
    let at = freeze(lan, old.leader, true)?;
    let new = lan.until(SETTLE + SLACK, "another leads", async |lan| lan.reigns_since(at).first().copied()).await;
    let took = lan.view(new.0).since.expect("it told").duration_since(at);
    lan.figure(&format!("{how}: another leads"), took);
    assert_eq!(lan.view(new.0).cause.as_deref(), Some("silent"));
    assert!(took < SILENCE, "{took:?} after {how}");
    lan.pass(pause).await;
    let woken = Instant::now();
    freeze(lan, old.leader, false)?;
    let reign = lan.settled(&all, SETTLE + SLACK).await;
    let took = lan.view(old.leader).since.expect("it told").duration_since(woken);
    lan.figure(&format!("{how}: it wakes {pause:?} later, and follows"), took);
    lan.quiet(Duration::from_secs(1)).await;
    let leaders: Vec<usize> = lan.reigns_since(at).into_iter().map(|reign| reign.0).collect();
    assert!(leaders.iter().all(|leader| *leader == new.0), "who woke did not depose the leader: {leaders:?}");
    assert_eq!(reign.leader, new.0);
    Some(reign)
}

/// Pauses between the first sign of the new leader and the waking of the old one.
const PAUSES: [u64; 5] = [0, 10, 50, 300, 1000];

#[test]
fn a_frozen_leader_is_replaced_and_follows_when_it_wakes() {
    story("deaths::a_frozen_leader_is_replaced_and_follows_when_it_wakes", async |lan| {
        let (mut reign, _) = settled(lan, 3).await;
        let mut stop = |lan: &mut Lan, machine: usize, stop: bool| {
            Some(lan.signal(machine, if stop { Signal::SIGSTOP } else { Signal::SIGCONT }))
        };
        for pause in PAUSES.map(Duration::from_millis) {
            reign = wakes(lan, "SIGSTOP", pause, &mut stop, &reign).await.expect("every process can be stopped");
        }
    });
}

/// The same by the kernel's freezer, which no process can notice.
#[test]
fn a_leader_in_the_freezer_is_replaced_and_follows_when_it_wakes() {
    story("deaths::a_leader_in_the_freezer_is_replaced_and_follows_when_it_wakes", async |lan| {
        let (mut reign, _) = settled(lan, 3).await;
        for pause in PAUSES.map(Duration::from_millis) {
            match wakes(lan, "freezer", pause, &mut Lan::freeze, &reign).await {
                None => return lan.say("without the freezer: no control group can be made"),
                Some(next) => reign = next,
            }
        }
    });
}

/// A follower that stands still deposes nobody when it wakes.
#[test]
fn a_frozen_follower_comes_back_as_follower() {
    story("deaths::a_frozen_follower_comes_back_as_follower", async |lan| {
        let (reign, heir) = settled(lan, 3).await;
        let began = lan.signal(heir, Signal::SIGSTOP);
        let rest = lan.but(&[heir]);
        lan.hears(reign.leader, "member-silent", began, SETTLE + SLACK).await;
        assert_eq!(lan.settled(&rest, SLACK).await, reign);
        lan.signal(heir, Signal::SIGCONT);
        assert_eq!(lan.settled(&lan.all(), SETTLE + SLACK).await, reign);
        lan.quiet(Duration::from_secs(2)).await;
        assert_eq!(lan.reigns_since(began), []);
    });
}

/// Handovers by hand: to the successor, to a named machine, asked of a follower.
#[test]
fn a_handover_takes_milliseconds() {
    story("deaths::a_handover_takes_milliseconds", async |lan| {
        let (mut reign, heir) = settled(lan, 3).await;
        let all = lan.all();
        let third = lan.but(&[reign.leader, heir])[0];
        for (asked, to) in [(reign.leader, None), (third, Some(third)), (heir, Some(reign.leader))] {
            lan.successor(&all).await;
            let at = Instant::now();
            let (client, named) = (lan.client(asked), to.map(name));
            let asking = tokio::spawn(async move { client.handover(named.as_deref()).await });
            let (next, took) = lan.failover(("handover", at), &all, &reign, SETTLE + SLACK).await;
            let told = asking.await.expect("it ran").unwrap_or_else(|error| panic!("handover refused: {error}"));
            assert_eq!((told.name, told.epoch), (name(next.leader), next.epoch));
            assert_eq!(next.leader, to.unwrap_or(heir));
            assert_eq!((next.cause.as_str(), next.epoch), ("handover", reign.epoch + 1));
            assert!(took < AT_ONCE, "{took:?} for a handover");
            reign = lan.settled(&all, SETTLE).await;
        }
        lan.quiet(Duration::from_secs(1)).await;
    });
}

/// A leader that is stopped hands over first, and ends well and soon.
#[test]
fn a_leader_that_stops_hands_over() {
    story("deaths::a_leader_that_stops_hands_over", async |lan| {
        let (reign, heir) = settled(lan, 3).await;
        let at = lan.signal(reign.leader, Signal::SIGTERM);
        let survivors = lan.but(&[reign.leader]);
        let (next, took) = lan.failover(("SIGTERM", at), &survivors, &reign, SETTLE + SLACK).await;
        assert_eq!((next.leader, next.cause.as_str()), (heir, "goodbye"));
        assert!(took < AT_ONCE, "{took:?} for a stop");
        lan.ended(&[reign.leader], Duration::from_secs(2)).await;
        assert_eq!(lan.exit_status(reign.leader), Some(0));
        let next = lan.settled(&survivors, SETTLE).await;
        lan.start(&[reign.leader]);
        assert_eq!(lan.settled(&lan.all(), SETTLE + SLACK).await, next);
        // With nobody to hand to, a leader just ends.
        for machine in lan.all() {
            lan.signal(machine, Signal::SIGTERM);
        }
        lan.ended(&lan.all(), Duration::from_secs(2) + SLACK).await;
        assert!(lan.all().iter().all(|machine| lan.exit_status(*machine) == Some(0)));
    });
}
