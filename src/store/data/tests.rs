//! The data as a whole, beside a model of it in memory.

mod crash;
mod damage;
pub(super) mod disk;
mod failing;
mod folder;
mod whole;

use super::*;
use crate::data::{Ask, Batch, Before, Condition, Part, RequestId};
use crate::ident::NodeId;
use crate::ledger::{EVERYTHING, Memory, Read, Table, recount};
use crate::time::Wall;
use disk::{Dice, Disk};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use uuid::Uuid;

/// A segment of tests, in bytes: a few batches fill it.
const SMALL: u64 = 4096;

fn limits() -> Limits {
    Limits { tombstones: 5, requests: 12, reigns: 4, unfold: 300 }
}

fn open(disk: &Disk) -> DataStore {
    let opened = DataStore::with_files(disk.files(), limits(), SMALL).expect("it opens");
    assert_eq!(opened.set_aside, None, "a crash is no damage");
    opened.store
}

/// All rows of a store, or of the model of one.
fn rows<R: Read>(tables: &R) -> Vec<Vec<(Vec<u8>, Vec<u8>)>>
where
    R::Error: std::fmt::Debug,
{
    let rows = |table| {
        let mut rows = Vec::new();
        let shown = tables.range(table, EVERYTHING, &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        });
        shown.expect("it can be read");
        rows
    };
    Table::ALL.into_iter().filter(|table| *table != Table::Aside).map(rows).collect()
}

/// What a batch led to, or a whole of several.
#[derive(Clone, Debug)]
struct Step {
    after: Revision,
    batches: Vec<Bytes>,
    memory: Memory,
}

/// All that was ever ordered, by the revision that it ends with. What was dropped after a failure is a branch of its own.
#[derive(Debug, Default)]
struct Model {
    steps: BTreeMap<Revision, Step>,
    requests: u128,
}

impl Model {
    fn at(&self, position: Revision) -> Memory {
        match self.steps.get(&position) {
            Some(step) => step.memory.clone(),
            None if position == Revision::ZERO => Memory::new(),
            None => panic!("{position:?} was never ordered"),
        }
    }

    /// Takes in what was ordered at a position.
    fn learn(&mut self, after: Revision, batches: Vec<Bytes>) -> Revision {
        let mut memory = self.at(after);
        let mut ledger = Ledger::open(&mut memory, limits()).expect("memory does not fail");
        for batch in &batches {
            assert_eq!(ledger.append(&mut memory, batch), Ok(Appended::New));
        }
        let last = ledger.position();
        assert_eq!(ledger.commit(&mut memory, last), Ok(last));
        self.steps.insert(last, Step { after, batches, memory });
        last
    }

    /// What a leader at this position orders.
    fn order(&mut self, after: Revision, reign: ReignId, above: u64, dice: &mut Dice) -> Bytes {
        let mut memory = self.at(after);
        let mut ledger = Ledger::open(&mut memory, limits()).expect("memory does not fail");
        let ordered = ledger.order(&memory, reign, above, &mut self.requests(dice)).expect("memory does not fail");
        ordered.batch.expect("something has an effect").bytes
    }

    /// Some requests, of which at least one has an effect.
    fn requests(&mut self, dice: &mut Dice) -> VecDeque<Request> {
        let count = 1 + dice.below(3);
        let mut queue: VecDeque<Request> = (0..count).map(|_| self.request(dice)).collect();
        let value = Bytes::from_static(b"v");
        self.requests += 1;
        let put = Ask::Put { key: "last".to_owned(), value, condition: Condition::None };
        queue.push_back(request(self.requests, put));
        queue
    }

    fn request(&mut self, dice: &mut Dice) -> Request {
        self.requests += 1;
        let key = format!("k{}", dice.below(8));
        let length = if dice.chance(15) { 2000 } else { 10 };
        let value = Bytes::from(vec![dice.below(256) as u8; dice.below(length) as usize]);
        let topic = format!("t{}", dice.below(2));
        let ask = match dice.below(10) {
            0..5 => Ask::Put { key, value, condition: Condition::None },
            5..7 => Ask::Delete { key, condition: Condition::None },
            7..9 => Ask::Add { topic, value },
            _ => Ask::Trim { topic, before: Before::Keep(2) },
        };
        // Some are sent again.
        let id = if dice.chance(10) { u128::from(dice.below(self.requests as u64)) } else { self.requests };
        request(id, ask)
    }

    /// What leads from one position to another; none when it does not.
    fn between(&self, from: Revision, to: Revision) -> Option<Vec<Bytes>> {
        let (mut at, mut between) = (to, Vec::new());
        while at != from {
            let step = self.steps.get(&at)?;
            between.splice(0..0, step.batches.iter().cloned());
            at = step.after;
        }
        Some(between)
    }

    /// Compares a store with what it must hold.
    fn check(&self, store: &mut DataStore) {
        let (committed, position) = (store.committed(), store.position());
        let pending = self.between(committed, position).expect("what is pending continues what is committed");
        assert_eq!(store.pending_after(committed).expect("it can be read"), Some(pending));
        let snapshot = store.snapshot().expect("there is one");
        assert_eq!(rows(&snapshot), rows(&self.at(committed)), "at {committed:?}");
        let facts = store.facts().expect("they can be read");
        assert_eq!((facts.position, Ok(facts.sum)), (committed, recount(&self.at(committed))));
        snapshot.check().expect("it is what was written");
    }
}

fn request(id: u128, ask: Ask) -> Request {
    Request { id: RequestId(id), at: Wall(1_000_000), node: NodeId(Uuid::from_u128(7)), ask }
}

/// A batch of one put in each given reign, as a leader orders it.
fn put(store: &mut DataStore, reign: ReignId, id: u128, key: &str, value: &[u8]) -> Revision {
    let value = Bytes::copy_from_slice(value);
    let ask = Ask::Put { key: key.to_owned(), value, condition: Condition::None };
    let ordered = store.order(reign, 0, &mut VecDeque::from([request(id, ask)])).expect("it is ordered");
    ordered.batch.expect("a put is always done").last
}

#[test]
fn nothing_is_made_before_the_first_write() {
    let disk = Disk::default();
    let mut store = open(&disk);
    assert_eq!(store.sync().expect("nothing to do"), Revision::ZERO);
    assert_eq!(store.commit(Revision::new(ReignId(1), 9)).expect("nothing to do"), Revision::ZERO);
    store.checkpoint().expect("nothing to do");
    Model::default().check(&mut store);
    store.close().expect("nothing to do");
    assert_eq!((disk.done(), disk.names()), (0, Vec::new()));
}

#[test]
fn a_batch_is_one_write_and_one_sync_and_a_commit_one_write() {
    let disk = Disk::default();
    let mut store = DataStore::with_files(disk.files(), limits(), SEGMENT).expect("it opens").store;
    let reign = ReignId(1);
    put(&mut store, reign, 1, "k", b"v");
    let first = store.sync().expect("durable");
    store.commit(first).expect("committed");
    for id in 2..10 {
        put(&mut store, reign, id, "k", b"v");
        put(&mut store, reign, 100 + id, "l", b"v");
        let before = disk.syncs();
        assert_eq!(store.sync().expect("durable"), Revision::new(reign, 2 * u64::try_from(id).expect("small") - 1));
        let (writes, syncs) = disk.syncs();
        assert_eq!((writes - before.0, syncs - before.1), (1, 1));
        store.commit(store.durable()).expect("committed");
        assert_eq!((disk.syncs().0 - writes, disk.syncs().1 - syncs), (1, 0), "the note");
    }
}

#[test]
fn readers_see_what_is_committed_and_nothing_else() {
    let disk = Disk::default();
    let mut store = open(&disk);
    let reader = store.reader();
    let value = |snapshot: &Snapshot| snapshot.get(Table::Keys, b"k", <[u8]>::to_vec).expect("it can be read");
    let empty = reader.snapshot().expect("there is one");
    let first = put(&mut store, ReignId(1), 1, "k", b"v");
    assert_eq!(
        store.commit(first).expect("nothing is durable"),
        Revision::ZERO,
        "what is not durable is not committed"
    );
    store.sync().expect("durable");
    assert_eq!(value(&reader.snapshot().expect("there is one")), None);
    store.commit(first).expect("committed");
    let second = put(&mut store, ReignId(1), 2, "k", b"w");
    store.sync().expect("durable");
    let old = reader.snapshot().expect("there is one");
    let seen = value(&old);
    store.commit(second).expect("committed");
    assert!(seen.is_some() && value(&old) == seen, "a snapshot stays as it is");
    assert_ne!(value(&reader.snapshot().expect("there is one")), seen);
    assert_eq!(value(&empty), None);
    let other = std::thread::spawn(move || reader.snapshot().expect("there is one").facts().expect("read").position);
    assert_eq!(other.join().expect("it ends"), second);
}

#[test]
fn a_request_is_known_after_a_restart() {
    let disk = Disk::default();
    let mut store = open(&disk);
    let first = put(&mut store, ReignId(1), 1, "k", b"v");
    store.sync().expect("durable");
    for committed in [false, true, true] {
        if committed {
            store.commit(first).expect("committed");
            store.close().expect("closed");
            store = open(&disk);
        }
        let ask = Ask::Put { key: "k".to_owned(), value: Bytes::from_static(b"v"), condition: Condition::None };
        let again = store.order(ReignId(1), 0, &mut VecDeque::from([request(1, ask)])).expect("it is judged");
        assert_eq!(again.answers[0].answer, crate::data::Answer::Known(first));
        assert_eq!(again.batch, None);
    }
}

#[test]
fn what_is_adopted_takes_the_place_of_the_log() {
    let disk = Disk::default();
    let mut store = open(&disk);
    let first = put(&mut store, ReignId(1), 1, "k", b"v");
    store.sync().expect("durable");
    store.commit(first).expect("committed");
    put(&mut store, ReignId(1), 2, "k", b"pending");
    store.sync().expect("durable");
    let why = store.adopt(|_, _| Err::<(), _>(Trouble::Unfit(crate::ledger::Unfit::NotNext)));
    why.expect_err("it does not fit");
    assert_eq!(open(&disk.copy()).position(), Revision::new(ReignId(1), 2), "then nothing has happened");
    // As an adoption does: the state is another's, and nothing is pending.
    store
        .adopt(|ledger, tables| {
            let pending = ledger.position();
            ledger.commit(tables, pending)
        })
        .expect("adopted");
    let adopted = store.position();
    let mut copy = open(&disk.copy());
    assert_eq!((copy.position(), copy.committed()), (adopted, adopted));
    let next = put(&mut copy, ReignId(2), 3, "k", b"w");
    assert_eq!(copy.sync().expect("durable"), next);
    let last = put(&mut store, ReignId(3), 4, "k", b"x");
    store.sync().expect("durable");
    disk.crash(true, &mut Dice::new(1));
    assert_eq!(open(&disk).position(), last);
}
