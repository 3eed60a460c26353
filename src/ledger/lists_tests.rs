use super::super::for_tests::{A, B, Member, add, at, delete, put, request};
use super::super::limits::Limits;
use super::*;
use crate::data::Tagged;

fn member() -> Member {
    let mut member = Member::new(Limits { tombstones: 1, ..Limits::default() });
    let puts = ["a", "b/1", "b/2", "b/3", "c"].iter().zip(1..);
    member.order(A, puts.map(|(key, id)| request(id, put(key, "v"))).collect());
    member.order(A, vec![request(6, add("t", "6")), request(7, add("u", "7")), request(8, add("t", "8"))]);
    member.order(B, vec![request(9, delete("b/2")), request(10, add("t", "10")), request(11, put("a", "w"))]);
    member.commit();
    member
}

fn names(member: &Member, prefix: &str, after: Option<&str>, most: usize) -> String {
    let mut names = Vec::new();
    let shown = keys(&member.store, prefix, after, &mut |_, entry| {
        names.push(entry.key.to_owned());
        if names.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    assert_eq!(shown, Ok(()));
    names.join(" ")
}

#[test]
fn keys_are_listed_by_prefix_in_pieces_and_without_tombstones() {
    let member = member();
    for (prefix, after, most, expected) in [
        ("", None, 9, "a b/1 b/3 c"),
        ("", None, 2, "a b/1"),
        ("", Some("b/1"), 9, "b/3 c"),
        ("", Some("b/2"), 1, "b/3"),
        ("b/", None, 9, "b/1 b/3"),
        ("b/", Some("a"), 9, "b/1 b/3"),
        ("b/", Some("b/3"), 9, ""),
        ("d", None, 9, ""),
    ] {
        assert_eq!(names(&member, prefix, after, most), expected, "{prefix:?} {after:?}");
    }
    let entry = key(&member.store, "b/2").expect("memory does not fail").expect("its tombstone is there");
    assert!(entry.1.is_tombstone() && entry.0 == at(B, 9));
    assert_eq!(key(&member.store, "d"), Ok(None));
}

#[test]
fn records_are_listed_from_a_cursor_on() {
    let member = member();
    let list = |known: &[Revision], after, most: usize| {
        let mut ids = Vec::new();
        let shown = records(&member.store, "t", &known.iter().copied().collect(), after, &mut |revision, record| {
            assert_eq!(revision, record.birth());
            ids.push(record.id.0);
            if ids.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        assert_eq!(shown, Ok(()));
        ids
    };
    assert_eq!(list(&[], None, 9), [6, 8, 10]);
    assert_eq!(list(&[], None, 2), [6, 8]);
    assert_eq!(list(&[], Some(at(A, 6)), 9), [8, 10]);
    assert_eq!(list(&[at(A, 6)], None, 9), [8, 10]);
    assert_eq!(list(&[at(A, 8)], None, 9), [10]);
    assert_eq!(list(&[at(A, 8), at(B, 11)], None, 9), [] as [u128; 0]);
    let one = record(&member.store, RequestId(8)).expect("memory does not fail").expect("it is there");
    assert_eq!((one.0, one.1.topic.as_str(), &one.1.value[..]), (at(A, 8), "t", &b"8"[..]));
    assert_eq!(record(&member.store, RequestId(1)), Ok(None), "the id of a write on a key is no record");
    let mut found = Vec::new();
    let shown = topics(&member.store, None, &mut |topic, view| {
        found.push((topic.to_owned(), view.counts.records, view.counts.bytes, view.oldest.0, view.counts.newest.0));
        ControlFlow::Continue(())
    });
    assert_eq!(shown, Ok(()));
    let wall = |id: u64| 1_000_000 + id;
    assert_eq!(found, [("t".to_owned(), 3, 4, wall(6), wall(10)), ("u".to_owned(), 1, 1, wall(7), wall(7))]);
}

#[test]
fn changes_come_in_order_through_all_reigns() {
    let member = member();
    let list = |known: &[Revision], after, most| {
        let mut numbers = Vec::new();
        let known = known.iter().copied().collect();
        let more = changes(&member.store, &known, after, most, &mut |revision, _| {
            numbers.push(revision.number);
            ControlFlow::Continue(())
        });
        (numbers, more.expect("memory does not fail"))
    };
    // 1 and 3 were replaced: a at 11, b/2 at 9.
    assert_eq!(list(&[], None, 99), (vec![2, 4, 5, 6, 7, 8, 9, 10, 11], false));
    assert_eq!(list(&[], None, 3), (vec![2, 4, 5], true));
    assert_eq!(list(&[], Some(at(A, 5)), 3), (vec![6, 7, 8], true));
    assert_eq!(list(&[], Some(at(A, 8)), 3), (vec![9, 10, 11], true), "there may be more");
    assert_eq!(list(&[], Some(at(B, 11)), 3), (vec![], false));
    assert_eq!(list(&[at(A, 5)], None, 99), (vec![6, 7, 8, 9, 10, 11], false));
    assert_eq!(list(&[at(B, 10)], None, 2), (vec![2, 4], true));
    assert_eq!(list(&[at(A, 8), at(B, 11)], None, 2), (vec![], false));
}

#[test]
fn a_forgotten_deletion_is_told_to_those_who_missed_it() {
    let mut member = member();
    let at_8: Context = [at(A, 8)].into_iter().collect();
    assert_eq!(forgot(&member.store, &at_8), Ok(false), "its tombstone is there");
    member.order(B, vec![request(12, delete("c"))]);
    member.commit();
    assert_eq!(forgot(&member.store, &at_8), Ok(true));
    assert_eq!(forgot(&member.store, &[at(B, 9)].into_iter().collect()), Ok(false), "it has seen the deletion");
    let cursor = super::super::resolve(&member.store, Tagged { number: 8, tag: A.tag() });
    assert_eq!(cursor, Ok(Ok(at(A, 8))));
    assert_eq!(super::super::context_at(&member.store, at(A, 8)), Ok(Ok(at_8)));
}

#[test]
fn conflicts_are_listed_until_they_are_settled() {
    let (mut leader, mut other) = (Member::new(Limits::default()), Member::new(Limits::default()));
    leader.order(A, vec![request(1, put("k", "a")), request(2, put("l", "a"))]);
    other.order(B, vec![request(3, put("k", "b"))]);
    leader.meet(A, &mut other);
    leader.commit();
    let listed = |member: &Member| {
        let mut names = Vec::new();
        let shown = conflicts(&member.store, None, &mut |_, entry| {
            names.push((entry.key.to_owned(), entry.siblings.iter().map(|s| s.birth).collect::<Vec<_>>()));
            ControlFlow::Continue(())
        });
        assert_eq!(shown, Ok(()));
        names
    };
    assert_eq!(listed(&leader), [("k".to_owned(), vec![at(A, 1), at(B, 1)])]);
    let known = |number| written(&leader.store, Tagged { number, tag: B.tag() });
    let now = |present| KeyNow { key: "k".to_owned(), present };
    assert_eq!(known(1), Ok(Some(now(Some(at(A, 1))))), "the key, and what it is now");
    assert_eq!(known(2), Ok(None));
    let settled = crate::data::Ask::Resolve {
        key: "k".to_owned(),
        conflict: at(B, 1).tagged(),
        present: Some(at(A, 1).tagged()),
        keep: crate::data::Keep::Value(Some("c".into())),
    };
    leader.ask(A, 4, settled);
    leader.commit();
    assert!(listed(&leader).is_empty());
    let known = written(&leader.store, at(B, 1).tagged()).expect("memory does not fail");
    assert_eq!(known.map(|known| known.key).as_deref(), Some("k"), "its request is remembered");
}

#[test]
fn a_conflict_is_found_when_the_request_that_made_it_is_forgotten() {
    let limits = Limits { requests: 1, ..Limits::default() };
    let (mut leader, mut other) = (Member::new(limits), Member::new(limits));
    leader.order(A, vec![request(1, put("k", "a")), request(2, delete("k"))]);
    other.order(B, vec![request(3, put("k", "b"))]);
    leader.meet(A, &mut other);
    leader.order(A, vec![request(4, put("l", "a"))]);
    leader.commit();
    assert_eq!(super::super::Facts::read(&leader.store).map(|facts| facts.requests), Ok(1), "that of the last");
    let known = |member: &Member| written(&member.store, at(B, 1).tagged());
    assert_eq!(known(&leader), Ok(Some(KeyNow { key: "k".to_owned(), present: None })), "which is deleted");
    let settled = crate::data::Ask::Resolve {
        key: "k".to_owned(),
        conflict: at(B, 1).tagged(),
        present: None,
        keep: crate::data::Keep::Present,
    };
    assert!(matches!(leader.ask(A, 5, settled).answer, crate::data::Answer::Done(_)));
    leader.commit();
    assert_eq!(known(&leader), Ok(None));
}
