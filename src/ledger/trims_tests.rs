use super::super::for_tests::{A, B, Member, add, at, request};
use super::super::limits::Limits;
use super::super::{Values, lists};
use super::*;
use crate::data::{Answer, Ask, Refusal, RequestId};
use crate::time::Wall;

fn trim(member: &mut Member, before: Before) -> Answer {
    member.ask(A, 1 << 100, Ask::Trim { topic: "t".to_owned(), before }).answer
}

fn ids(member: &mut Member) -> Vec<u128> {
    member.commit();
    let mut ids = Vec::new();
    let shown = lists::records(&member.store, "t", &Context::new(), None, &mut |_, record| {
        ids.push(record.id.0);
        ControlFlow::Continue(())
    });
    assert_eq!(shown, Ok(()));
    ids
}

fn member(ids: std::ops::RangeInclusive<u128>) -> Member {
    let mut member = Member::new(Limits::default());
    member.order(A, ids.map(|id| request(id, add("t", "v"))).collect());
    member
}

#[test]
fn a_trim_drops_what_is_before() {
    let nothing = Answer::Trimmed { revision: None, dropped: 0, more: false };
    let done = |dropped| Answer::Trimmed { revision: Some(at(A, 5)), dropped, more: false };
    let wall = |id: u64| Before::Older(Wall(1_000_000 + id));
    let cursor = |number| Before::Cursor(at(A, number).tagged());
    let forgotten = Answer::Refused(Refusal::Forgotten);
    for (before, answer, left) in [
        (cursor(2), done(2), &[3, 4][..]),
        (cursor(4), done(4), &[]),
        (cursor(0), forgotten, &[1, 2, 3, 4]),
        (Before::Cursor(Revision::ZERO.tagged()), nothing, &[1, 2, 3, 4]),
        (cursor(5), forgotten, &[1, 2, 3, 4]),
        (Before::Cursor(at(B, 1).tagged()), forgotten, &[1, 2, 3, 4]),
        (Before::Keep(0), done(4), &[]),
        (Before::Keep(1), done(3), &[4]),
        (Before::Keep(4), nothing, &[1, 2, 3, 4]),
        (Before::Keep(u64::MAX), nothing, &[1, 2, 3, 4]),
        (wall(3), done(2), &[3, 4]),
        (wall(1), nothing, &[1, 2, 3, 4]),
        (wall(9), done(4), &[]),
    ] {
        let mut member = member(1..=4);
        assert_eq!(trim(&mut member, before), answer, "{before:?}");
        assert_eq!(ids(&mut member), left, "{before:?}");
        assert_eq!(trim(&mut member, before), if answer == forgotten { forgotten } else { nothing }, "and no more");
    }
}

#[test]
fn a_trim_drops_so_many_and_says_that_there_are_more() {
    let many = TRIM as u128 + 2;
    for before in [Before::Keep(1), Before::Cursor(at(A, TRIM as u64 + 1).tagged())] {
        let mut member = member(1..=TRIM as u128);
        member.order(A, (TRIM as u128 + 1..=many).map(|id| request(id, add("t", "v"))).collect());
        let first = trim(&mut member, before);
        assert!(matches!(first, Answer::Trimmed { dropped, more: true, .. } if dropped == TRIM as u64), "{first:?}");
        let second = trim(&mut member, before);
        assert!(matches!(second, Answer::Trimmed { dropped: 1, more: false, .. }), "{second:?}");
        assert_eq!(ids(&mut member), [many]);
    }
}

#[test]
fn what_is_trimmed_is_gone_on_both_sides_whoever_joins() {
    for member_trims in [false, true] {
        let mut leader = member(1..=3);
        leader.commit();
        let mut other = Member::new(Limits::default());
        assert!(other.copy(&leader, Values::All).is_ok());
        other.order(B, vec![request(9, add("t", "new"))]);
        let trims = if member_trims { &mut other } else { &mut leader };
        let reign = if member_trims { B } else { A };
        trims.ask(reign, 1 << 100, Ask::Trim { topic: "t".to_owned(), before: Before::Cursor(at(A, 2).tagged()) });
        leader.meet(A, &mut other);
        assert_eq!(ids(&mut leader), [3, 9], "the member trims: {member_trims}");
        assert!(other.copy(&leader, Values::Lacking).is_ok());
        assert_eq!(other.store, leader.store);
    }
}

#[test]
fn a_record_goes_when_all_its_births_are_trimmed() {
    // The same request was sent in two groups.
    let (mut leader, mut other) = (member(1..=1), Member::new(Limits::default()));
    other.order(B, vec![request(7, add("u", "x")), request(1, add("t", "v"))]);
    let of_b = other.ledger.position();
    leader.meet(A, &mut other);
    let record = |member: &mut Member| {
        member.commit();
        lists::record(&member.store, RequestId(1)).expect("memory does not fail").map(|(_, record)| record.births)
    };
    assert_eq!(record(&mut leader), Some(vec![at(A, 1), at(B, 2)]), "the births of both, the content of the later");
    trim(&mut leader, Before::Cursor(at(A, 1).tagged()));
    assert!(record(&mut leader).is_some(), "one birth is not all");
    trim(&mut leader, Before::Cursor(of_b.tagged()));
    assert_eq!(record(&mut leader), None, "now both are");
    let mut late = Member::new(Limits::default());
    late.order(B, vec![request(7, add("u", "x")), request(1, add("t", "v"))]);
    leader.meet(A, &mut late);
    assert_eq!(record(&mut leader), None, "and it does not come back");
}

#[test]
fn the_last_record_of_a_topic_is_known_after_a_trim() {
    // In the order of revisions the last one was born first.
    let (mut leader, mut other) = (member(2..=4), Member::new(Limits::default()));
    other.order(B, vec![request(1, add("t", "v"))]);
    let of_b = other.ledger.position();
    leader.meet(A, &mut other);
    let newest = |member: &mut Member| {
        member.commit();
        Counts::of(&member.store, "t").expect("memory does not fail").newest
    };
    assert_eq!((ids(&mut leader), newest(&mut leader)), (vec![2, 3, 4, 1], Wall(1_000_001)));
    trim(&mut leader, Before::Cursor(of_b.tagged()));
    assert_eq!((ids(&mut leader), newest(&mut leader)), (vec![2, 3, 4], Wall(1_000_004)));
}
