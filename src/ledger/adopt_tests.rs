use super::super::for_tests::{A, B, Member, add, at, delete, put, request};
use super::super::limits::Limits;
use super::super::{Scan, Values};
use super::*;

fn member() -> Member {
    Member::new(Limits::default())
}

fn leader() -> Member {
    let mut leader = member();
    leader.order(A, vec![request(1, add("t", "a")), request(2, put("k", "b")), request(3, put("l", "c"))]);
    leader.order(A, vec![request(4, delete("l")), request(5, add("t", "d"))]);
    leader.commit();
    leader
}

#[test]
fn a_copy_is_the_same_whatever_was_there_before() {
    let leader = leader();
    for (known, committed) in [(0, false), (2, false), (2, true), (3, true)] {
        let mut follower = member();
        let requests = [request(1, add("t", "a")), request(2, put("k", "b")), request(3, put("l", "c"))];
        follower.order(A, requests.into_iter().take(known).collect());
        if committed {
            follower.commit();
        }
        let adopted = follower.copy(&leader, Values::Lacking).expect("it fits");
        assert_eq!(follower.store, leader.store, "with {known} known");
        assert_eq!((follower.ledger.position(), follower.ledger.committed()), (at(A, 5), at(A, 5)));
        let records = if known == 0 { 2 } else { 1 };
        assert_eq!(adopted, Adopted { records, keys: if known < 2 { 2 } else { 1 } });
        let next = follower.order(B, vec![request(9, put("k", "e"))]).batch.expect("a change");
        assert_eq!((next.after, next.last), (at(A, 5), at(B, 6)));
    }
}

#[test]
fn what_is_here_alone_must_have_been_joined() {
    let (mut leader, mut other) = (leader(), member());
    other.order(B, vec![request(11, put("k", "x"))]);
    assert_eq!(other.copy(&leader, Values::All), Err(Trouble::Unfit(Unfit::Lacks)));
    leader.meet(A, &mut other);
    assert_eq!(other.copy(&leader, Values::All), Err(Trouble::Unfit(Unfit::Lacks)), "it is not committed yet");
    assert_eq!(other.ledger.position(), at(B, 1), "nothing has happened");
    leader.commit();
    assert!(other.copy(&leader, Values::Lacking).is_ok());
    assert_eq!(other.store, leader.store);
}

#[test]
fn readers_do_not_go_back() {
    let (old, mut follower) = (leader(), leader());
    follower.order(A, vec![request(6, put("k", "e"))]);
    follower.commit();
    assert_eq!(follower.copy(&old, Values::All), Err(Trouble::Unfit(Unfit::Old)));
}

#[test]
fn a_copy_with_a_hole_is_noticed() {
    let leader = leader();
    let pieces = |seen: &[crate::data::Revision]| {
        let mut scan = Scan::new(seen.iter().copied().collect(), Values::Lacking);
        std::iter::from_fn(move || scan.next(&leader.store, 1).expect("memory does not fail")).collect::<Vec<_>>()
    };
    let all = pieces(&[]);
    for hole in 0..all.len() - 1 {
        let mut follower = member();
        follower.ledger.begin_copy(&mut follower.store).expect("memory does not fail");
        for (at, piece) in all.iter().enumerate().filter(|(at, _)| *at != hole) {
            let last = follower.ledger.take_copy(&mut follower.store, piece).expect("it can be read");
            assert_eq!(last, at == all.len() - 1);
        }
        assert_eq!(follower.ledger.adopt(&mut follower.store), Err(Trouble::Differs), "without piece {hole}");
    }
}

#[test]
fn a_value_that_should_be_here_and_is_not_is_noticed() {
    let (mut leader, mut other) = (leader(), member());
    other.order(B, vec![request(11, put("x", "x"))]);
    // What both have gets new revisions, and keeps its births.
    let mut again = member();
    again.order(B, vec![request(12, put("y", "y"))]);
    again.meet(B, &mut leader);
    again.commit();
    let mut scan = Scan::new([at(A, 5)].into_iter().collect(), Values::Lacking);
    other.ledger = super::super::Ledger::open(&mut other.store, Limits::default()).expect("memory does not fail");
    other.ledger.begin_copy(&mut other.store).expect("memory does not fail");
    while let Some(piece) = scan.next(&again.store, 100).expect("memory does not fail") {
        other.ledger.take_copy(&mut other.store, &piece).expect("it can be read");
    }
    assert_eq!(other.ledger.adopt(&mut other.store), Err(Trouble::Missing));
}

#[test]
fn a_copy_has_no_tombstone_that_the_leader_has_forgotten() {
    let few = || Member::new(Limits { tombstones: 1, ..Limits::default() });
    let (mut leader, mut follower) = (few(), few());
    leader.order(A, vec![request(1, put("k", "a")), request(2, delete("k")), request(3, put("l", "b"))]);
    leader.commit();
    follower.copy(&leader, Values::All).expect("it fits");
    leader.order(A, vec![request(4, delete("l"))]);
    leader.commit();
    let context = follower.ledger.context();
    assert_eq!(super::super::lists::forgot(&leader.store, context), Ok(false), "the list of all keys is not compared");
    follower.copy(&leader, Values::Lacking).expect("it fits");
    assert_eq!(follower.store, leader.store);
}
