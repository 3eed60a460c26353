use super::super::for_tests::{A, B, NODE, at};
use super::super::limits::{CHANGES, ITEMS, NUMBERS, SIBLINGS};
use super::*;
use crate::data::{Context, Ending, Entry, KeyEntry, Merge, Part, Record, RequestId, Row, Sibling, Slice, Trim};
use crate::time::Wall;
use bytes::Bytes;

fn sibling(birth: u64, value: Option<&'static str>) -> Sibling {
    let value = value.map(|value| Bytes::from_static(value.as_bytes()));
    Sibling { birth: at(A, birth), request: RequestId(u128::MAX), at: Wall(9), node: NODE, value }
}

fn write(key: String, value: Option<Bytes>, replaces: Replaces) -> Change {
    Change::Write(Write { key, value, request: RequestId(5), hash: 6, at: Wall(9), node: NODE, replaces })
}

fn add(topic: String, value: Bytes) -> Change {
    Change::Add(Add { births: Vec::new(), id: RequestId(1), topic, at: Wall(9), node: NODE, value })
}

fn batch(changes: Vec<Change>) -> Batch {
    Batch { after: at(B, 3), committed: at(B, 2), reign: A, first: 4, part: Part::Alone, changes }
}

fn every_change() -> Vec<Change> {
    let context: Context = [at(A, 3), at(B, 2)].into_iter().collect();
    let row = Row { id: RequestId(8), hash: 9, key: "k".to_owned() };
    let shares = [
        Share::Rows(vec![(at(A, 1), row)]),
        Share::Trims(vec![("t".to_owned(), at(B, 1))]),
        Share::Seen(vec![at(A, 1)]),
        Share::Begins(vec![(A, at(B, 1))]),
        Share::Merges(vec![(at(A, 1), at(B, 1))]),
        Share::Forgotten(vec![at(A, 1)]),
    ];
    let mut changes = vec![
        add("t".to_owned(), Bytes::from_static(b"\xff\0")),
        Change::Again(RequestId(3), vec![at(A, 1)]),
        write("k".to_owned(), Some(Bytes::new()), Replaces::First),
        write("k".to_owned(), None, Replaces::Births(vec![at(A, 2)])),
        write("k".to_owned(), Some(Bytes::new()), Replaces::Nothing),
        Change::Trim(Trim { topic: "t".to_owned(), context }),
        Change::Key(JoinedKey {
            key: "k".to_owned(),
            siblings: vec![
                Carried::Held(at(A, 1)),
                Carried::New(sibling(2, Some("v"))),
                Carried::New(sibling(3, None)),
            ],
        }),
        Change::Merge(Merge { with: at(B, 2), floor: 1, pruned: true }),
    ];
    changes.extend(shares.map(Change::Share));
    changes
}

fn every_item() -> Vec<Item> {
    let shares = every_change().into_iter().filter_map(|change| match change {
        Change::Share(share) => Some(Item::Share(share)),
        Change::Key(key) => Some(Item::Key(at(A, 2), key)),
        _ => None,
    });
    let value = Bytes::from_static(b"v");
    let record =
        Record { births: vec![at(B, 1)], id: RequestId(1), topic: "t".to_owned(), at: Wall(1), node: NODE, value };
    let end = Ending { position: at(A, 3), floor: 1, pruned: false, listed: true, digest: u128::MAX - 1 };
    let others = [
        Item::Record(at(A, 1), record),
        Item::Again(at(A, 2), RequestId(2), vec![at(B, 1)]),
        Item::Listed(vec!["k".to_owned()]),
        Item::End(end),
    ];
    shares.chain(others).collect()
}

#[test]
fn everything_can_be_read_back() {
    for part in [Part::Alone, Part::Piece(0), Part::Last(u32::MAX)] {
        let batch = Batch { part, ..batch(every_change()) };
        assert_eq!(read_batch(&encode(&batch)), Ok(batch));
    }
    let piece = Piece { items: every_item() };
    assert_eq!(read_piece(&encode(&piece)), Ok(piece));
}

#[test]
fn an_entry_is_read_in_place() {
    let entry = Entry::Key(KeyEntry { key: "k".to_owned(), siblings: vec![sibling(1, Some("v")), sibling(2, None)] });
    let bytes = encode(&entry);
    let here: Entry<&str, Slice<'_>> = decode(&bytes).expect("it was just written");
    assert_eq!(here.owned(), entry);
    assert_eq!(encode(&here), bytes, "the same bytes, whoever owns the values");
}

#[test]
fn the_bytes_stay_the_same() {
    let bytes = encode(&batch(vec![write("k".to_owned(), Some(Bytes::from_static(b"v")), Replaces::First)]));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let head = "01969203cf0000000b000000009202cf0000000b00000000cf0000000a0000000004a161";
    let change = "9181a17797a16bc40176c410000000000000000000000000000000050609c41000000000000000000000000000000007a166";
    assert_eq!(hex, [head, change].concat(), "other versions, and stored digests, rely on it");
}

#[test]
fn garbage_is_refused_and_never_panics() {
    let good = encode(&batch(every_change()));
    for end in 0..good.len() {
        assert!(read_batch(&good[..end]).is_err(), "cut off after {end}");
    }
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            let _ = read_batch(&bad);
            let _ = read_piece(&bad);
        }
    }
    assert_eq!(read_batch(&[VERSION + 1, 0]), Err(Unread::Later(VERSION + 1)));
    assert!(matches!(read_batch(&[0]), Err(Unread::Garbage(_))));
    assert!(matches!(read_batch(&vec![VERSION; ARRIVING + 1]), Err(Unread::Garbage("it is too long"))));
}

#[test]
fn what_is_beyond_a_limit_is_refused() {
    let text = |length: usize| "x".repeat(length);
    let bytes = |length: usize| Bytes::from(vec![0; length]);
    let birth = || vec![at(A, 1); SIBLINGS];
    let key = |siblings: usize, length: usize| {
        let siblings = vec![Carried::New(Sibling { value: Some(bytes(length)), ..sibling(1, None) }); siblings];
        Change::Key(JoinedKey { key: "k".to_owned(), siblings })
    };
    let fits = [
        write(text(KEY), Some(bytes(VALUE)), Replaces::Births(birth())),
        add(text(TOPIC), bytes(VALUE)),
        key(SIBLINGS, 1),
        Change::Share(Share::Seen(vec![at(A, 1); ITEMS])),
    ];
    for change in fits {
        assert!(read_batch(&encode(&batch(vec![change]))).is_ok());
    }
    let over = [
        write(text(KEY + 1), None, Replaces::First),
        write(String::new(), None, Replaces::First),
        write(text(1), Some(bytes(VALUE + 1)), Replaces::First),
        write(text(1), None, Replaces::Births([birth(), birth()].concat())),
        write(text(1), None, Replaces::Births(Vec::new())),
        add(text(TOPIC + 1), Bytes::new()),
        add(String::new(), Bytes::new()),
        add("a\0b".to_owned(), Bytes::new()),
        add(text(1), bytes(VALUE + 1)),
        key(SIBLINGS + 1, 1),
        key(1, VALUE + 1),
        Change::Share(Share::Seen(vec![at(A, 1); ITEMS + 1])),
        Change::Share(Share::Trims(vec![("a\0".to_owned(), at(A, 1))])),
    ];
    for change in over {
        assert!(matches!(read_batch(&encode(&batch(vec![change.clone()]))), Err(Unread::Garbage(_))), "{change:?}");
    }
    let again = |count| vec![Change::Again(RequestId(1), Vec::new()); count];
    assert!(read_batch(&encode(&batch(again(CHANGES)))).is_ok());
    for broken in [batch(again(CHANGES + 1)), batch(Vec::new()), Batch { first: 0, ..batch(again(1)) }] {
        assert!(read_batch(&encode(&broken)).is_err());
    }
    assert!(read_batch(&encode(&Batch { first: NUMBERS, ..batch(again(1)) })).is_err());
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn revision() -> impl Strategy<Value = crate::data::Revision> {
        (any::<u64>(), 0..NUMBERS).prop_map(|(reign, number)| at(crate::data::ReignId(reign), number))
    }

    fn change() -> impl Strategy<Value = Change> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
        let births = || proptest::collection::vec(revision(), 1..4);
        let replaces = prop_oneof![Just(Replaces::First), Just(Replaces::Nothing), births().prop_map(Replaces::Births)];
        let write = ("\\PC{1,40}", proptest::option::of(bytes()), any::<u128>(), any::<u64>(), replaces);
        prop_oneof![
            write.prop_map(|(key, value, id, number, replaces)| {
                let (request, at) = (RequestId(id), Wall(number));
                Change::Write(Write { key, value, request, hash: number, at, node: NODE, replaces })
            }),
            ("[^\0]{1,40}", bytes(), births(), any::<u128>()).prop_map(|(topic, value, births, id)| {
                Change::Add(Add { births, id: RequestId(id), topic, at: Wall(1), node: NODE, value })
            }),
            (any::<u128>(), births()).prop_map(|(id, births)| Change::Again(RequestId(id), births)),
            births().prop_map(|seen| Change::Share(Share::Seen(seen))),
        ]
    }

    proptest! {
        #[test]
        fn a_batch_can_be_read_back(after in revision(), first in 1..NUMBERS, changes in proptest::collection::vec(change(), 1..9)) {
            let batch = Batch { after, first, ..batch(changes) };
            let bytes = encode(&batch);
            prop_assert_eq!(read_batch(&bytes), Ok(batch));
            prop_assert!(read_batch(&bytes[..bytes.len() - 1]).is_err());
        }

        #[test]
        fn noise_is_read_without_a_panic(noise in proptest::collection::vec(any::<u8>(), 0..400)) {
            let bytes = [&[VERSION], &noise[..]].concat();
            let _ = (read_batch(&bytes), read_piece(&bytes), decode::<Entry<&str, Slice<'_>>>(&bytes));
        }
    }
}
