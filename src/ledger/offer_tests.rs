use super::super::Facts;
use super::super::for_tests::{A, B, Member, add, at, delete, put, put_if, request};
use super::super::limits::{Limits, VALUE};
use super::*;
use crate::data::{Ask, Condition, ReignId};

fn member() -> Member {
    Member::new(Limits::default())
}

/// A member of its own, which has given a key a value.
fn stranger(number: u64, value: &str) -> (ReignId, Member) {
    let (reign, mut stranger) = (ReignId((100 + number) << 32), member());
    stranger.order(reign, vec![request(u128::from(1000 + number), put("k", value))]);
    (reign, stranger)
}

fn births(member: &Member, key: &str) -> Vec<Revision> {
    let view = Ahead { store: &member.store, pending: &member.ledger.pending };
    let entry = lists::key(&view, key).expect("memory does not fail").expect("it is there");
    entry.1.siblings.iter().map(|sibling| sibling.birth).collect()
}

#[test]
fn what_would_be_too_much_for_a_key_is_refused_by_name() {
    let mut leader = member();
    for number in 1..=SIBLINGS as u64 {
        let joined = leader.meet(A, &mut stranger(number, &number.to_string()).1);
        assert!(joined.iter().all(|part| part.refused.is_empty()), "{number} have room");
    }
    let before = births(&leader, "k");
    assert_eq!(before.len(), SIBLINGS);
    let (reign, mut last) = stranger(99, "one too many");
    let joined = leader.meet(A, &mut last);
    let mut follower = member();
    let refused: Vec<String> = joined.iter().flat_map(|part| part.refused.clone()).collect();
    assert_eq!((refused, births(&leader, "k")), (vec!["k".to_owned()], before));
    assert!(joined.iter().all(|part| part.keys == 0 && part.conflicts.is_empty()), "nothing came over");
    assert!(leader.ledger.context().covers(at(reign, 1)), "the offer went on");
    leader.commit();
    let kept = |member: &Member| {
        let mut kept: Vec<KeyEntry> = Vec::new();
        let shown = lists::kept(&member.store, None, &mut |_, entry| {
            kept.push(entry.owned());
            ControlFlow::Continue(())
        });
        shown.map(|()| kept).expect("memory does not fail")
    };
    let none = |member: &Member| kept(member).is_empty();
    let kept = kept(&leader);
    let values: Vec<_> = kept.iter().flat_map(|entry| &entry.siblings).map(|s| s.value.clone()).collect();
    assert_eq!((kept.len(), kept[0].key.as_str()), (1, "k"));
    assert_eq!(values, [Some(Bytes::from_static(b"one too many"))]);
    follower.meet(B, &mut leader);
    assert!(none(&follower), "no part of the state");
    let mut other = member();
    let long = "v".repeat(VALUE);
    for number in 1..=9 {
        let value = format!("{number}{}", &long[1..]);
        let joined = other.meet(A, &mut stranger(number, &value).1);
        let refused = joined.iter().any(|part| !part.refused.is_empty());
        assert_eq!(refused, number == 9, "{number} MiB of {ENTRY} bytes");
    }
}

/// Two deletions leave nothing to choose. A value beside a deletion does, and so do two equal values.
#[test]
fn a_key_that_both_sides_deleted_is_in_no_conflict() {
    let conflicts = |member: &Member| Facts::read(&member.store).expect("memory does not fail").conflicts;
    let met = |on_this_side: Ask, on_that_side: Ask| {
        let mut leader = member();
        let (reign, mut other) = stranger(1, "x");
        leader.meet(A, &mut other);
        leader.commit();
        leader.ask(A, 1, on_this_side);
        other.ask(reign, 2, on_that_side);
        let joined = leader.meet(A, &mut other);
        leader.commit();
        let told: Vec<String> = joined.into_iter().flat_map(|part| part.conflicts).collect();
        assert_eq!(told.len() as u64, conflicts(&leader), "it is told of what is there");
        leader
    };
    let mut leader = met(delete("k"), delete("k"));
    assert_eq!((births(&leader, "k").len(), conflicts(&leader)), (2, 0));
    leader.ask(A, 3, put_if("k", "new", Condition::Absent));
    leader.commit();
    assert_eq!((births(&leader, "k").len(), conflicts(&leader)), (1, 0), "a new value replaces both deletions");
    assert_eq!(conflicts(&met(delete("k"), put("k", "y"))), 1);
    assert_eq!(conflicts(&met(put("k", "y"), delete("k"))), 1);
    assert_eq!(conflicts(&met(put("k", "y"), put("k", "y"))), 1);
}

#[test]
fn an_offer_that_breaks_off_leaves_nothing_but_records() {
    let (mut leader, mut other) = (member(), member());
    leader.order(A, vec![request(1, put("k", "a"))]);
    other.order(B, vec![request(2, add("t", "b")), request(3, put("k", "c")), request(4, put("l", "d"))]);
    let before = births(&leader, "k");
    let mut scan = Scan::new(leader.ledger.context().clone(), super::super::Values::All);
    leader.ledger.begin_offer(&mut leader.store).expect("memory does not fail");
    let mut complete = false;
    while !complete {
        let piece = other.ledger.offer(&mut other.store, &mut scan, 1).expect("memory does not fail").expect("a piece");
        let taken = leader.ledger.take_offer(&mut leader.store, A, 0, &piece).expect("it can be taken");
        complete = taken.complete;
    }
    leader.ledger.begin_join(&mut leader.store, A, 0).expect("it is complete");
    assert!(leader.ledger.holds() && leader.order(A, vec![request(9, put("k", "e"))]).answers.is_empty());
    let part = leader.ledger.join_next(&mut leader.store, 1).expect("memory does not fail").expect("a part");
    assert!(!part.batch.complete);
    leader.ledger.cancel_join();
    assert_eq!((births(&leader, "k"), leader.ledger.position()), (before, at(A, 2)), "1 is the key, 2 the record");
    let next = leader.order(A, vec![request(9, put("k", "e"))]).batch.expect("a change");
    assert_eq!(next.after, at(A, 2));
    assert!(next.last.number > part.batch.last.number, "numbers of a whole that broke off are not given again");
    let joined = leader.meet(A, &mut other);
    assert!(joined.last().is_some_and(|part| part.batch.complete), "it is offered again");
    assert!(leader.ledger.context().covers(at(B, 3)));
}

#[test]
fn a_whole_that_lies_aside_becomes_the_same_as_one_in_memory() {
    let mut made: Vec<(crate::data::Revision, super::super::Memory)> = Vec::new();
    for (leader_unfolds, follower_unfolds) in [(0, 0), (usize::MAX, usize::MAX), (0, usize::MAX), (usize::MAX, 0)] {
        let limits = |unfold| Limits { unfold, ..Limits::default() };
        let (mut leader, mut follower) = (Member::new(limits(leader_unfolds)), Member::new(limits(follower_unfolds)));
        let mut other = member();
        other.order(B, (1..20).map(|id| request(id, put(&format!("k{id}"), "b"))).collect());
        let mut log = vec![leader.order(A, vec![request(30, put("k1", "a"))]).batch.expect("a change")];
        log.extend(leader.meet(A, &mut other).into_iter().map(|part| part.batch));
        assert_eq!(leader.ledger.holds(), leader_unfolds == 0, "until it is committed");
        assert_eq!(leader.ledger.position(), log.last().expect("parts").last);
        assert!(log.len() > 4);
        if leader_unfolds == 0 {
            leader.commit();
        }
        log.extend(leader.order(A, vec![request(31, put("k2", "c"))]).batch);
        for batch in &log {
            let done = follower.ledger.append(&mut follower.store, &batch.bytes);
            assert!(done.is_ok(), "{done:?}");
        }
        let said = if leader_unfolds == 0 { log[log.len() - 2].last } else { Revision::ZERO };
        let aside = follower_unfolds == 0;
        assert_eq!(follower.ledger.committed(), if aside { said } else { Revision::ZERO }, "the next batch says it");
        for member in [&mut leader, &mut follower] {
            member.commit();
            assert!(member.store.rows(Table::Aside).is_empty(), "nothing is left aside");
            assert_eq!(Facts::read(&member.store).map(|facts| facts.keys), Ok(19));
            made.push((member.ledger.position(), member.store.clone()));
        }
    }
    assert!(made.iter().all(|one| *one == made[0]));
}

#[test]
fn an_offer_must_bring_its_values() {
    let mut leader = member();
    let siblings = vec![Carried::Held(at(B, 1))];
    let held = Item::Key(at(B, 1), JoinedKey { key: "k".to_owned(), siblings });
    let piece = encode(&crate::data::Piece { items: vec![held] });
    leader.ledger.begin_offer(&mut leader.store).expect("memory does not fail");
    let taken = leader.ledger.take_offer(&mut leader.store, A, 0, &piece);
    assert!(matches!(taken, Err(Trouble::Unread(_))), "{taken:?}");
}
