use super::super::for_tests::{A, at};
use super::super::memory::Memory;
use super::super::requests::to_bytes;
use super::super::storage::EVERYTHING;
use super::*;
use std::ops::Bound;

fn batch(pending: &mut Pending, store: &Memory, last: u64, rows: &[(&str, Option<&str>)]) {
    pending.begin(at(A, last - 1));
    let mut making = Making { store, pending };
    for (key, value) in rows {
        let Ok(()) = match value {
            Some(value) => making.put(Table::Keys, key.as_bytes(), value.as_bytes()),
            None => making.remove(Table::Keys, key.as_bytes()),
        };
    }
    pending.end(at(A, last), vec![Bytes::from_static(b"1234")]);
}

fn shown(store: &impl Read<Error = std::convert::Infallible>, range: Range<'_>, most: usize) -> String {
    let mut all = Vec::new();
    let Ok(()) = store.range(Table::Keys, range, &mut |key, value| {
        all.push([key, value].concat());
        if all.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    String::from_utf8(all.join(&b' ')).expect("text")
}

fn store(rows: &str) -> Memory {
    let mut store = Memory::new();
    for row in rows.split(' ') {
        let Ok(()) = store.put(Table::Keys, &row.as_bytes()[..1], &row.as_bytes()[1..]);
    }
    store
}

#[test]
fn a_view_shows_what_is_pending_in_its_place() {
    let (store, mut pending) = (store("b1 d1 f1 h1"), Pending::default());
    batch(&mut pending, &store, 1, &[("a", Some("2")), ("d", None), ("f", Some("2"))]);
    batch(&mut pending, &store, 2, &[("a", Some("3")), ("i", Some("3")), ("c", Some("3")), ("h", None)]);
    let ahead = Ahead { store: &store, pending: &pending };
    for (range, most, expected) in [
        (EVERYTHING, 9, "a3 b1 c3 f2 i3"),
        (EVERYTHING, 1, "a3"),
        (EVERYTHING, 2, "a3 b1"),
        (EVERYTHING, 3, "a3 b1 c3"),
        ((Bound::Excluded(&b"a"[..]), Bound::Included(&b"f"[..])), 9, "b1 c3 f2"),
        ((Bound::Included(&b"d"[..]), Bound::Excluded(&b"f"[..])), 9, ""),
        ((Bound::Included(&b"f"[..]), Bound::Excluded(&b"d"[..])), 9, ""),
        ((Bound::Excluded(&b"f"[..]), Bound::Unbounded), 9, "i3"),
    ] {
        assert_eq!(shown(&ahead, range, most), expected, "{range:?}");
    }
    let get = |key: &str| ahead.get(Table::Keys, key.as_bytes(), <[u8]>::to_vec).expect("memory does not fail");
    assert_eq!((get("a"), get("b"), get("d"), get("z")), (Some(b"3".to_vec()), Some(b"1".to_vec()), None, None));
}

#[test]
fn a_commit_writes_its_batches_and_leaves_the_others() {
    for through in 0..=4 {
        let (mut store, mut pending) = (store("a0 b0"), Pending::default());
        let steps = [
            (1, vec![("a", Some("1")), ("c", Some("1")), ("c", Some("2"))], "a1 b0 c2"),
            (2, vec![("a", Some("2")), ("b", None), ("d", Some("2"))], "a2 c2 d2"),
            (3, vec![("d", None), ("b", Some("3")), ("d", Some("3"))], "a2 b3 c2 d3"),
        ];
        for (last, rows, _) in &steps {
            batch(&mut pending, &store, *last, rows);
        }
        let done = pending.commit(&mut store, through);
        let committed = through.min(3);
        assert_eq!(done, Ok((committed > 0).then(|| at(A, committed))));
        let now = usize::try_from(committed).expect("small");
        let expected = if now == 0 { "a0 b0" } else { steps[now - 1].2 };
        assert_eq!(shown(&store, EVERYTHING, 9), expected, "through {through}");
        let ahead = Ahead { store: &store, pending: &pending };
        assert_eq!(shown(&ahead, EVERYTHING, 9), steps[2].2, "the view stays the same");
        assert_eq!((pending.iter().count(), pending.bytes), (3 - now, (3 - now) * 4));
        let Ok(_) = pending.commit(&mut store, 3);
        assert_eq!(shown(&store, EVERYTHING, 9), steps[2].2);
        assert!(pending.is_empty() && pending.rows.iter().all(BTreeMap::is_empty));
    }
}

#[test]
fn a_request_is_found_wherever_its_rows_are() {
    let (mut store, mut pending) = (Memory::new(), Pending::default());
    let (id, other) = (RequestId(1), RequestId(2));
    let Ok(()) = store.put(Table::Requests, &by_number(at(A, 1)), &to_bytes(id, 0, "k"));
    let change = |pending: &mut Pending, store: &Memory, last: u64, gone: u64, new: u64| {
        pending.begin(at(A, last - 1));
        let mut making = Making { store, pending };
        let Ok(()) = making.put(Table::Requests, &by_number(at(A, new)), &to_bytes(id, 0, "k"));
        let Ok(()) = making.remove(Table::Requests, &by_number(at(A, gone)));
        pending.end(at(A, last), Vec::new());
    };
    let find = |pending: &mut Pending, store: &Memory, id| {
        let mut found: Vec<u64> = Vec::new();
        let Ok(births) = Making { store, pending }.find_request(id);
        found.extend(births.iter().map(|birth| birth.number));
        found.sort_unstable();
        found
    };
    assert_eq!(find(&mut pending, &store, id), [1]);
    change(&mut pending, &store, 2, 9, 2);
    assert_eq!(find(&mut pending, &store, id), [1, 2], "executed in two groups");
    change(&mut pending, &store, 3, 1, 3);
    assert_eq!(find(&mut pending, &store, id), [2, 3], "one is forgotten");
    change(&mut pending, &store, 4, 2, 4);
    for through in 0..=4 {
        let Ok(_) = pending.commit(&mut store, through);
        assert_eq!(find(&mut pending, &store, id), [3, 4], "committed through {through}");
        assert!(find(&mut pending, &store, other).is_empty());
    }
    assert!(pending.requests.is_empty());
}
