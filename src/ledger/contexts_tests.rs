use super::super::for_tests::{A, B, at};
use super::super::{Memory, Storage};
use super::*;

const C: ReignId = ReignId(0xc << 32);
const D: ReignId = ReignId((0xc << 32) + 1);

/// A has 1 to 4; B begins from 2 of A and has 3 to 6; C begins from 4 of A and joins 5 of B at 8; it has 7 to 9.
fn store() -> Memory {
    let mut store = Memory::new();
    let mut put = |table, key: &[u8], value: &[u8]| {
        let Ok(()) = store.put(table, key, value);
    };
    for (reign, number, begin) in [(A, 4, Revision::ZERO), (B, 6, at(A, 2)), (C, 9, at(A, 4))] {
        put(Table::Seen, &reign.0.to_be_bytes(), &u64::to_be_bytes(number));
        put(Table::Begins, &reign.0.to_be_bytes(), &by_reign(begin));
    }
    put(Table::Merges, &by_reign(at(C, 8)), &by_reign(at(B, 5)));
    store
}

#[test]
fn a_position_determines_its_context() {
    let context = |of: &[(ReignId, u64)]| Ok(Ok(of.iter().map(|(reign, number)| at(*reign, *number)).collect()));
    for (position, expected) in [
        (Revision::ZERO, context(&[])),
        (at(A, 1), context(&[(A, 1)])),
        (at(A, 4), context(&[(A, 4)])),
        (at(B, 3), context(&[(A, 2), (B, 3)])),
        (at(B, 6), context(&[(A, 2), (B, 6)])),
        (at(C, 7), context(&[(A, 4), (C, 7)])),
        (at(C, 8), context(&[(A, 4), (B, 5), (C, 8)])),
        (at(C, 9), context(&[(A, 4), (B, 5), (C, 9)])),
        (at(A, 5), Ok(Err(Unknown::Ahead))),
        (at(D, 1), Ok(Err(Unknown::Reign))),
    ] {
        assert_eq!(context_at(&store(), position), expected, "{position:?}");
    }
}

#[test]
fn what_is_forgotten_on_the_way_is_left_out() {
    let mut store = store();
    for table in [Table::Seen, Table::Begins] {
        let Ok(()) = store.remove(table, &A.0.to_be_bytes());
    }
    assert_eq!(context_at(&store, at(B, 6)), Ok(Ok([at(B, 6)].into_iter().collect())));
    assert_eq!(context_at(&store, at(A, 1)), Ok(Err(Unknown::Reign)));
}

#[test]
fn a_tag_finds_its_reign() {
    let mut store = store();
    let find = |store: &Memory, number, reign: ReignId| resolve(store, at(reign, number).tagged());
    for (reign, number, expected) in [
        (A, 4, Ok(at(A, 4))),
        (B, 6, Ok(at(B, 6))),
        (A, 5, Err(Unknown::Ahead)),
        (B, 2, Err(Unknown::Reign)),
        (ReignId(1 << 32), 1, Err(Unknown::Reign)),
        (ReignId::NONE, 0, Ok(Revision::ZERO)),
    ] {
        assert_eq!(find(&store, number, reign), Ok(expected), "{number} of {reign:?}");
    }
    // D has the same tag as C, and the numbers 10 to 12: which one is meant is seen by the number.
    let Ok(()) = store.put(Table::Seen, &D.0.to_be_bytes(), &12_u64.to_be_bytes());
    let Ok(()) = store.put(Table::Begins, &D.0.to_be_bytes(), &by_reign(at(C, 9)));
    assert_eq!((find(&store, 9, C), find(&store, 10, C)), (Ok(Ok(at(C, 9))), Ok(Ok(at(D, 10)))));
    let Ok(()) = store.put(Table::Begins, &D.0.to_be_bytes(), &by_reign(at(A, 4)));
    assert_eq!(find(&store, 9, C), Ok(Err(Unknown::Reign)), "two could be meant");
}
