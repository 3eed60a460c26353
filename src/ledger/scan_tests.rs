use super::super::for_tests::{A, B, Member, add, at, delete, put, request};
use super::super::limits::Limits;
use super::super::read_piece;
use super::*;
use crate::data::{Row, Share};

/// A has records 1 and 2, key k at 3; B goes on with key k at 4, a deletion of l at 6 that is forgotten at 7, a record at 8.
fn member() -> Member {
    let mut member = Member::new(Limits { tombstones: 0, ..Limits::default() });
    member.order(A, vec![request(1, add("t", "a")), request(2, add("t", "b")), request(3, put("k", "c"))]);
    member.order(B, vec![request(4, put("k", "d")), request(5, put("l", "e")), request(6, delete("l"))]);
    member.order(B, vec![request(7, put("m", "f")), request(8, add("u", "g"))]);
    member.commit();
    member
}

fn scan(member: &Member, other: &[Revision], values: Values, most: usize) -> Vec<Item> {
    let mut scan = Scan::new(other.iter().copied().collect(), values);
    let mut items = Vec::new();
    while let Some(bytes) = scan.next(&member.store, most).expect("memory does not fail") {
        items.extend(read_piece(&bytes).expect("it was just made").items);
    }
    items
}

/// The items, what belongs together put together.
fn whole(items: Vec<Item>) -> String {
    let mut all: Vec<String> = items
        .into_iter()
        .flat_map(|item| match item {
            Item::Listed(keys) => keys.into_iter().map(|key| format!("listed {key}")).collect(),
            Item::Share(Share::Rows(rows)) => rows.iter().map(|row| format!("row {row:?}")).collect(),
            Item::Share(Share::Seen(seen)) => seen.iter().map(|seen| format!("seen {seen:?}")).collect(),
            Item::Share(Share::Begins(begins)) => begins.iter().map(|begin| format!("begin {begin:?}")).collect(),
            other => vec![format!("{other:?}")],
        })
        .collect::<Vec<String>>();
    all.sort();
    all.join("\n")
}

#[test]
fn pieces_of_any_size_are_the_same_whole() {
    let member = member();
    for other in [&[][..], &[at(A, 2)], &[at(A, 3), at(B, 4)], &[at(A, 3), at(B, 8)]] {
        for values in [Values::All, Values::Lacking] {
            let all = scan(&member, other, values, usize::MAX);
            assert!(matches!(all.last(), Some(Item::End(_))), "the end comes last");
            for most in [0, 1, 30, 100, 500] {
                let pieces = scan(&member, other, values, most);
                assert!(most > 100 || pieces.len() > 3);
                assert_eq!(whole(pieces), whole(all.clone()), "in pieces of {most} for {other:?}");
            }
        }
    }
}

#[test]
fn a_store_is_sent_what_it_has_not_seen() {
    let member = member();
    let entries = |other: &[Revision], values| -> Vec<String> {
        let items = scan(&member, other, values, usize::MAX);
        items
            .into_iter()
            .filter_map(|item| match item {
                Item::Record(revision, _) => Some(format!("record {}", revision.number)),
                Item::Again(revision, ..) => Some(format!("again {}", revision.number)),
                Item::Key(revision, key) => Some(format!("{} {}", key.key, revision.number)),
                Item::Share(Share::Rows(rows)) => {
                    let rows = rows.iter().map(|(birth, Row { id, .. })| format!("{}={}", birth.number, id.0));
                    Some(rows.collect::<Vec<_>>().join(" "))
                }
                Item::Listed(keys) => Some(format!("listed {}", keys.join(" "))),
                _ => None,
            })
            .collect()
    };
    let all = ["record 1", "record 2", "k 4", "m 7", "record 8"].map(str::to_owned);
    let rows = "3=3 4=4 5=5 6=6 7=7".to_owned();
    assert_eq!(entries(&[], Values::All), [&all[..], &["listed k m".to_owned(), rows]].concat());
    let some = entries(&[at(A, 1), at(B, 6)], Values::All);
    assert_eq!(some, ["record 2", "m 7", "record 8", "3=3 7=7"], "the deletion was seen: no list is needed");
    assert!(entries(&[at(A, 3), at(B, 8)], Values::All).is_empty());
}

#[test]
fn a_value_that_was_seen_is_not_sent_again() {
    let mut leader = Member::new(Limits::default());
    leader.order(A, vec![request(1, add("t", "a")), request(2, put("k", "b"))]);
    leader.commit();
    // A member had the same under B, joined A, and gave both new revisions.
    let mut member = Member::new(Limits::default());
    member.order(B, vec![request(9, put("other", "c"))]);
    member.meet(B, &mut leader);
    member.commit();
    let seen = [at(A, 2)];
    let known = |values| {
        let items = scan(&member, &seen, values, usize::MAX);
        let held = |key: &JoinedKey| matches!(key.siblings[..], [Carried::Held(birth)] if birth == at(A, 2));
        let again = items.iter().any(|item| matches!(item, Item::Again(_, _, births) if *births == [at(A, 1)]));
        (again, items.iter().any(|item| matches!(item, Item::Key(_, key) if held(key))))
    };
    assert_eq!((known(Values::Lacking), known(Values::All)), ((true, true), (false, false)));
}
