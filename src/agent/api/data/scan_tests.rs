//! Readers of changes over a real ledger in memory, and over tables that are made by hand where groups met.

use super::for_tests::reign;
use super::scan::{End, Reader, Told, Wanted};
use crate::data::{Ask, Condition, Context, Entry, KeyEntry, ReignId, Request, RequestId, Revision, Sibling};
use crate::ident::NodeId;
use crate::ledger::limits::Limits;
use crate::ledger::{Ledger, Memory, Storage, Table, context_at};
use crate::time::Wall;
use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::{BTreeMap, VecDeque};
use uuid::Uuid;

const NODE: NodeId = NodeId(Uuid::from_u128(7));
const A: ReignId = ReignId(0xa << 32);
const B: ReignId = ReignId(0xb << 32);
const C: ReignId = ReignId(0xc << 32);

/// What a reader was told, as text.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Heard {
    Again(Revision),
    Only(Vec<String>, Option<String>, Option<String>),
    Record(Revision, String),
    Key(Revision, String, Option<String>),
}

impl Heard {
    fn revision(&self) -> Option<Revision> {
        match self {
            Heard::Record(revision, _) | Heard::Key(revision, ..) => Some(*revision),
            _ => None,
        }
    }
}

fn heard(told: Told<'_>) -> Heard {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    match told {
        Told::Again(common) => Heard::Again(common),
        Told::Only(only, after, through) => Heard::Only(only, after, through),
        Told::Entry(revision, Entry::Record(record)) => Heard::Record(revision, text(record.value.0)),
        Told::Entry(revision, Entry::Key(entry)) => {
            let value = entry.present().and_then(|present| present.value);
            Heard::Key(revision, entry.key.to_owned(), value.map(|value| text(value.0)))
        }
    }
}

/// Everything that a reader is told, in pieces of so many.
fn all(reader: &mut Reader, store: &Memory, most: usize) -> Vec<Heard> {
    let mut told = Vec::new();
    loop {
        let mut rows = 0;
        let end = reader.piece(store, most, |one| {
            rows += usize::from(matches!(one, Told::Entry(..)));
            told.push(heard(one));
            1
        });
        assert!(rows <= most);
        if let End::All(_) = end.expect("memory does not fail") {
            return told;
        }
    }
}

fn wanted(topic: Option<&str>, prefix: Option<&str>) -> Wanted {
    Wanted { topic: topic.map(str::to_owned), prefix: prefix.map(str::to_owned) }
}

fn resumed(wanted: Wanted, store: &Memory, position: Revision) -> Reader {
    let seen = context_at(store, position).expect("memory does not fail").expect("it is known");
    Reader::after(wanted, position, seen)
}

/// A ledger that is written to at random.
struct Busy {
    store: Memory,
    ledger: Ledger,
    dice: ChaCha8Rng,
    reign: ReignId,
    writes: u64,
    /// What the keys hold.
    keys: BTreeMap<String, String>,
    /// The records of each topic, in order.
    records: BTreeMap<String, Vec<String>>,
}

impl Busy {
    fn new(limits: Limits) -> Self {
        let mut store = Memory::new();
        let ledger = Ledger::open(&mut store, limits).expect("memory does not fail");
        let dice = ChaCha8Rng::seed_from_u64(7);
        let (keys, records) = (BTreeMap::new(), BTreeMap::new());
        Self { store, ledger, dice, reign: A, writes: 0, keys, records }
    }

    fn draw(&mut self, sides: u32) -> u32 {
        self.dice.next_u32() % sides
    }

    fn do_it(&mut self, ask: Ask) -> Revision {
        self.writes += 1;
        let id = RequestId(u128::from(self.writes));
        let mut queue = VecDeque::from([Request { id, at: Wall(self.writes), node: NODE, ask }]);
        self.ledger.order(&self.store, self.reign, 0, &mut queue).expect("memory does not fail");
        let through = self.ledger.position();
        self.ledger.commit(&mut self.store, through).expect("memory does not fail")
    }

    /// One write, and now and then under another leader.
    fn write(&mut self) -> Revision {
        if self.draw(100) == 0 {
            self.reign = reign(0x100 + self.writes as u32);
        }
        let value = self.writes.to_string();
        let bytes = Bytes::from(value.clone());
        match self.draw(10) {
            0..4 => {
                let topic = ["jobs", "logs"][self.draw(2) as usize].to_owned();
                self.records.entry(topic.clone()).or_default().push(value);
                self.do_it(Ask::Add { topic, value: bytes })
            }
            4..9 => {
                let key = format!("{}/{}", ["a", "b"][self.draw(2) as usize], self.draw(30));
                self.keys.insert(key.clone(), value);
                self.do_it(Ask::Put { key, value: bytes, condition: Condition::None })
            }
            _ => {
                let Some(key) = self.keys.keys().next().cloned() else { return self.write() };
                self.keys.remove(&key);
                self.do_it(Ask::Delete { key, condition: Condition::None })
            }
        }
    }
}

#[test]
fn a_reader_resumes_exactly_after_any_of_1000_writes() {
    let mut busy = Busy::new(Limits::default());
    let cursors: Vec<Revision> = (0..1000).map(|_| busy.write()).collect();
    for (topic, prefix) in [(None, None), (Some("jobs"), None), (None, Some("b/")), (Some("logs"), Some("a/1"))] {
        let wanted = wanted(topic, prefix);
        let whole = all(&mut Reader::new(wanted.clone()), &busy.store, 500);
        let numbers: Vec<u64> = whole.iter().map(|one| one.revision().expect("a change").number).collect();
        assert!(!numbers.is_empty() && numbers.is_sorted_by(|a, b| a < b), "in order, and each once");
        assert_eq!(all(&mut Reader::new(wanted.clone()), &busy.store, 3), whole, "in small pieces too");
        for cursor in &cursors {
            let from = numbers.partition_point(|number| *number <= cursor.number);
            let mut reader = resumed(wanted.clone(), &busy.store, *cursor);
            assert_eq!(all(&mut reader, &busy.store, 64), whole[from..], "{topic:?} {prefix:?} after {cursor}");
        }
    }
    let whole = all(&mut Reader::new(wanted(None, None)), &busy.store, 500);
    let keys: BTreeMap<String, String> = whole
        .iter()
        .filter_map(|one| match one {
            Heard::Key(_, key, value) => value.clone().map(|value| (key.clone(), value)),
            _ => None,
        })
        .collect();
    assert_eq!(keys, busy.keys);
    assert_eq!(
        whole.iter().filter(|one| matches!(one, Heard::Record(..))).count(),
        busy.records.values().flatten().count()
    );
}

#[test]
fn a_reader_that_follows_is_told_of_each_change_once_and_ends_with_what_there_is() {
    for most in [1, 5, 500] {
        let mut busy = Busy::new(Limits::default());
        let mut reader = Reader::new(wanted(Some("jobs"), Some("")));
        let (mut keys, mut records, mut last) = (BTreeMap::new(), Vec::new(), 0);
        for n in 0..2000 {
            if n < 1000 {
                busy.write();
            }
            let mut told = Vec::new();
            reader
                .piece(&busy.store, most, |one| {
                    told.push(heard(one));
                    1
                })
                .expect("memory does not fail");
            for one in told {
                let number = one.revision().expect("a change").number;
                assert!(number > last, "{number} came after {last}");
                last = number;
                match one {
                    Heard::Record(_, value) => records.push(value),
                    Heard::Key(_, key, Some(value)) => drop(keys.insert(key, value)),
                    Heard::Key(_, key, None) => drop(keys.remove(&key)),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!((keys, &records), (busy.keys, &busy.records["jobs"]));
    }
}

/// Of three tombstones that may be remembered the others are forgotten: a reader behind them is told which keys there are.
#[test]
fn deletions_that_are_forgotten_are_told_by_a_list() {
    let mut busy = Busy::new(Limits { tombstones: 3, ..Limits::default() });
    let put = |key: &str| Ask::Put { key: key.to_owned(), value: Bytes::new(), condition: Condition::None };
    let delete = |key: &str| Ask::Delete { key: key.to_owned(), condition: Condition::None };
    let keys: Vec<String> = (0..9).map(|n| format!("k{n}")).collect();
    for key in &keys {
        busy.do_it(put(key));
    }
    let before = busy.do_it(put("z"));
    let mut follows = resumed(wanted(None, Some("")), &busy.store, before);
    assert_eq!(all(&mut follows, &busy.store, 500), []);
    for key in &keys[..3] {
        busy.do_it(delete(key));
        assert_eq!(all(&mut follows, &busy.store, 500).len(), 1);
    }
    let told = |busy: &Busy, prefix: &str, after| {
        all(&mut resumed(wanted(None, Some(prefix)), &busy.store, after), &busy.store, 500)
    };
    assert_eq!(told(&busy, "", before).len(), 3, "three deletions, and no list");
    for key in &keys[3..7] {
        busy.do_it(delete(key));
        assert_eq!(all(&mut follows, &busy.store, 500).len(), 1, "who follows needs no list");
    }
    let told_late = told(&busy, "", before);
    let [Heard::Only(only, None, None), deletions @ ..] = &told_late[..] else { panic!("{told_late:?}") };
    assert_eq!(only, &["k7", "k8", "z"]);
    assert_eq!(deletions.len(), 3, "those that are remembered are told of one by one too");
    assert!(matches!(&told(&busy, "z", before)[..], [Heard::Only(only, None, None)] if only == &["z"]));
    assert_eq!(told(&busy, "", busy.ledger.committed()), [], "who has seen the deletions needs no list");
    let records = all(&mut resumed(wanted(Some("jobs"), None), &busy.store, before), &busy.store, 500);
    assert_eq!(records, [], "records leave no tombstones");
    let blank = all(&mut Reader::new(wanted(None, None)), &busy.store, 500);
    assert!(blank.iter().all(|one| matches!(one, Heard::Key(..))), "who holds nothing has nothing to drop: {blank:?}");
}

/// A has 1 to 4; B began from 2 of A and has 3 to 6; C began from 4 of A, joined 6 of B at 8, and has 7 to 9. The entries
/// of the joined store stand under the revisions of its way: A and C.
fn joined() -> Memory {
    let mut store = Memory::new();
    let mut put = |table, key: &[u8], value: &[u8]| {
        let Ok(()) = store.put(table, key, value);
    };
    let by_reign = |revision: Revision| [revision.reign.0.to_be_bytes(), revision.number.to_be_bytes()].concat();
    for (reign, number, begin) in [(A, 4, Revision::ZERO), (B, 6, at(A, 2)), (C, 9, at(A, 4))] {
        put(Table::Seen, &reign.0.to_be_bytes(), &u64::to_be_bytes(number));
        put(Table::Begins, &reign.0.to_be_bytes(), &by_reign(begin));
    }
    put(Table::Merges, &by_reign(at(C, 8)), &by_reign(at(B, 6)));
    for (key, stands, born) in [
        ("a1", at(A, 1), at(A, 1)),
        ("a4", at(A, 4), at(A, 4)),
        ("c7", at(C, 7), at(C, 7)),
        ("b5", at(C, 8), at(B, 5)),
        ("c9", at(C, 9), at(C, 9)),
    ] {
        let request = RequestId(u128::from(born.number));
        let sibling = Sibling { birth: born, request, at: Wall(1), node: NODE, value: Some(Bytes::from_static(b"v")) };
        let entry = Entry::Key(KeyEntry { key: key.to_owned(), siblings: vec![sibling] });
        let row = [&[1], &rmp_serde::to_vec(&entry).expect("memory takes everything")[..]].concat();
        put(Table::Entries, &by_reign(stands), &row);
        put(Table::Keys, key.as_bytes(), &by_reign(stands));
    }
    let facts = crate::ledger::Facts { position: at(C, 9), ..Default::default() };
    let row = [&[1], &rmp_serde::to_vec(&facts).expect("memory takes everything")[..]].concat();
    put(Table::Facts, b"", &row);
    store
}

fn at(reign: ReignId, number: u64) -> Revision {
    Revision::new(reign, number)
}

#[test]
fn after_a_reunion_the_stream_says_from_where_it_comes_again() {
    let store = joined();
    let told = |position| all(&mut resumed(wanted(None, None), &store, position), &store, 1);
    let keys = |told: &[Heard]| -> Vec<String> {
        told.iter().filter_map(|one| if let Heard::Key(_, key, _) = one { Some(key.clone()) } else { None }).collect()
    };
    for (position, again, expected) in [
        (at(A, 4), None, &["c7", "b5", "c9"][..]),
        (at(C, 7), None, &["b5", "c9"]),
        (at(C, 9), None, &[]),
        // It saw a1 and b5: a4 is new to it, and b5 comes again.
        (at(B, 6), Some(at(A, 2)), &["a4", "c7", "b5", "c9"]),
        (at(B, 3), Some(at(A, 2)), &["a4", "c7", "b5", "c9"]),
    ] {
        let told = told(position);
        assert_eq!(keys(&told), expected, "{position:?}: {told:?}");
        let first = if let Some(Heard::Again(common)) = told.first() { Some(*common) } else { None };
        assert_eq!(first, again, "{position:?}");
        assert_eq!(told.iter().filter(|one| matches!(one, Heard::Again(_))).count(), usize::from(again.is_some()));
        // From any line of it one may go on.
        for (n, one) in told.iter().enumerate() {
            let Some(revision) = one.revision() else { continue };
            let rest = all(&mut resumed(wanted(None, None), &store, revision), &store, 500);
            assert_eq!(rest, told[n + 1..], "after {revision:?}");
        }
    }
}

#[test]
fn rows_that_make_no_sense_are_damage_and_no_panic() {
    let mut store = joined();
    let by_reign = |revision: Revision| [revision.reign.0.to_be_bytes(), revision.number.to_be_bytes()].concat();
    // A reign that began from its own future.
    let Ok(()) = store.put(Table::Begins, &A.0.to_be_bytes(), &by_reign(at(C, 9)));
    let mut reader = Reader::after(wanted(None, None), at(B, 6), Context::new());
    assert!(reader.piece(&store, 500, |_| 1).is_ok(), "the way back ends");
    for table in [Table::Entries, Table::Seen] {
        let mut store = joined();
        for (key, _) in store.rows(table) {
            let Ok(()) = store.put(table, &key, b"?");
        }
        let mut reader = Reader::after(wanted(None, None), Revision::ZERO, Context::new());
        assert_eq!(reader.piece(&store, 500, |_| 1), Err(crate::ledger::Trouble::Damaged(table)));
    }
}
