//! Disks that are full.

use super::asking::{Told, ask_once};
use super::copies::{all_is_there, records};
use super::users::{TOPIC, Users};
use crate::disks::{fill, small_disk};
use crate::ground::story;
use crate::lan::{Lan, Reign, SETTLE, SLACK};
use crate::net::name;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The size of each disk in MiB.
const SIZE: u32 = 32;

/// Within this a disk that has no space left is found to be full: writes go on in what was allotted before.
const FOUND: Duration = Duration::from_secs(15);

/// An office of three machines with small disks for a folder, its reign and its successor.
async fn office(lan: &mut Lan, folder: &str) -> (Vec<PathBuf>, Reign, usize) {
    lan.office(3).await;
    let all = lan.all();
    let disks = all.iter().map(|machine| small_disk(lan, *machine, folder, SIZE)).collect();
    lan.start(&all);
    let reign = lan.settled(&all, SETTLE + SLACK).await;
    let successor = lan.successor(&all).await;
    (disks, reign, successor)
}

/// The leader's disk is full while everybody writes: it hands over and says why. Users on other machines notice a pause,
/// and nothing is lost.
async fn hands_over(lan: &mut Lan, folder: &str) {
    let (disks, reign, _) = office(lan, folder).await;
    let all = lan.all();
    let mut users = Users::adding(lan, &all);
    users.more(lan, 100).await;
    let others = lan.but(&[reign.leader]);
    let at = Instant::now();
    let filled = fill(&disks[reign.leader - 1]);
    let (next, _) = lan.failover(("the leader's disk is full", at), &others, &reign, FOUND).await;
    assert_eq!(next.cause, "store", "{next:?}");
    lan.hears(reign.leader, "store-trouble", at, SLACK).await;
    let who = format!(" {} ", name(reign.leader));
    let said = lan.transcript.iter().any(|line| line.contains(&who) && line.contains("No space left"));
    assert!(said, "{} does not say why", name(reign.leader));
    let history = lan.client(next.leader).history().await.expect("it answers");
    let (text, old) = (&history.reigns.first().expect("its own").text, name(reign.leader));
    assert!(text.contains(&format!("{old} said that its store failed")), "the history does not say why: {text}");
    users.more(lan, 200).await;
    assert_eq!(users.errors(&others, at), Vec::<String>::new(), "users of machines with space notice a pause");
    std::fs::remove_file(filled).expect("it is there");
    users.more(lan, 100).await;
    all_is_there(lan, &mut users).await;
}

#[test]
fn a_leader_whose_disk_is_full_hands_over_what_is_asked() {
    story("data::disks::a_leader_whose_disk_is_full_hands_over_what_is_asked", async |lan| {
        hands_over(lan, "state").await;
    });
}

/// Only the data has no space: the disk of the election works.
#[test]
fn a_leader_whose_data_has_no_space_hands_over_what_is_asked() {
    story("data::disks::a_leader_whose_data_has_no_space_hands_over_what_is_asked", async |lan| {
        hands_over(lan, "state/data").await;
    });
}

/// The successor's disk is full: it is no successor any more, the leader stays, and writes go on.
#[test]
fn a_successor_whose_disk_is_full_is_successor_no_more() {
    story("data::disks::a_successor_whose_disk_is_full_is_successor_no_more", async |lan| {
        let (disks, reign, successor) = office(lan, "state").await;
        let all = lan.all();
        let mut users = Users::adding(lan, &all);
        users.more(lan, 100).await;
        let at = Instant::now();
        let filled = fill(&disks[successor - 1]);
        let third = name(lan.but(&[reign.leader, successor])[0]);
        lan.until(FOUND, &format!("{third} is the successor"), async |lan| {
            let named = lan.status(reign.leader).await?.successor?.name;
            (named == third).then_some(())
        })
        .await;
        users.more(lan, 200).await;
        let others = lan.but(&[successor]);
        assert_eq!(users.errors(&others, at), Vec::<String>::new(), "users of machines with space notice a pause");
        assert_eq!(lan.reigns_since(at), [], "the leader stays");
        std::fs::remove_file(filled).expect("it is there");
        users.more(lan, 100).await;
        all_is_there(lan, &mut users).await;
        assert_eq!(lan.reigns_since(at), [], "the leader stays");
    });
}

/// A lone machine's disk is full: it takes no writes, and says so; it is read all the same. When there is space again it
/// takes writes, and what it refused is not there.
#[test]
fn a_lone_machine_whose_disk_is_full_is_read() {
    story("data::disks::a_lone_machine_whose_disk_is_full_is_read", async |lan| {
        lan.office(1).await;
        let disk = small_disk(lan, 1, "state", SIZE);
        lan.start(&[1]);
        lan.settled(&[1], SETTLE + SLACK).await;
        let (mut there, mut refused) = (Vec::new(), Vec::new());
        let full = asks(lan, "the disk is full", &mut there, |told| matches!(told, Told::Done { .. }), 20).await;
        assert!(full.is_none(), "an empty disk takes {full:?}");
        let filled = fill(&disk);
        let why = asks(lan, "the disk is full", &mut there, |told| matches!(told, Told::Done { .. }), usize::MAX).await;
        let (id, Told::NotDone(why)) = why.expect("it is full") else { panic!("no refusal") };
        refused.push(id);
        assert!(why.starts_with("507") && why.contains("space"), "{why}");
        let mut found = shown(lan).await;
        assert_eq!(found, there, "it is read while it is full");
        let refuses = |told: &Told| matches!(told, Told::NotDone(why) if why.starts_with("507"));
        let other = asks(lan, "it goes on refusing", &mut refused, refuses, 20).await;
        assert_eq!(other, None, "a full disk takes nothing");
        std::fs::remove_file(filled).expect("it is there");
        let taken = asks(lan, "it takes writes again", &mut refused, refuses, usize::MAX).await;
        let (id, Told::Done { copies: 1 }) = taken.expect("there is space") else { panic!("no acknowledgement") };
        there.push(id);
        found = shown(lan).await;
        assert_eq!(found, there, "what was refused is not there, and what was acknowledged is");
    });
}

/// The records that the lone machine shows.
async fn shown(lan: &Lan) -> Vec<Uuid> {
    records(&lan.client(1)).await.into_iter().map(|(id, _)| id).collect()
}

/// Asks the lone machine, at most so often, and keeps which requests were answered so. Gives the first other answer.
async fn asks(
    lan: &mut Lan,
    what: &str,
    kept: &mut Vec<Uuid>,
    so: impl Fn(&Told) -> bool,
    times: usize,
) -> Option<(Uuid, Told)> {
    let (began, socket) = (Instant::now(), lan.socket(1));
    for _ in 0..times {
        assert!(began.elapsed() < FOUND, "after {FOUND:?} it was not so that {what}");
        let id = Uuid::now_v7();
        let told = ask_once(&socket, id, TOPIC, &"x".repeat(300)).await;
        if !so(&told) {
            return Some((id, told));
        }
        kept.push(id);
        lan.pass(Duration::from_millis(2)).await;
    }
    None
}
