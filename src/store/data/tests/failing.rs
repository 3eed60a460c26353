//! Disks that are full or fail for a while: the store goes on with what is durable, and works again afterwards.

use super::disk::Wrong;
use super::*;

/// What the owner of a store does, with a disk on which something is wrong for a while.
fn work(disk: &Disk, model: &mut Model, dice: &mut Dice, rounds: u64) -> (DataStore, u32) {
    let (mut store, mut failed) = (open(disk), 0);
    let mut given = 0;
    for round in 0..rounds {
        let (durable, committed) = (store.durable(), store.committed());
        let after = store.position();
        let done = (|| {
            let mut queue = model.requests(dice);
            let batch = store.order(ReignId(1), 0, &mut queue)?.batch.expect("something has an effect");
            let first = model.learn(after, vec![batch.bytes]).number;
            assert!(first > given, "no number is given twice");
            given = first;
            if dice.chance(70) {
                store.sync()?;
            }
            if dice.chance(70) {
                let durable = store.durable();
                assert_eq!(store.commit(store.position())?, durable, "what is not durable is not committed");
            }
            if dice.chance(10) { store.checkpoint() } else { Ok(()) }
        })();
        match done {
            Ok(()) => {}
            Err(DataError::Disk(_)) => {
                failed += 1;
                assert_eq!(store.position(), store.durable(), "what is not durable is gone in round {round}");
                assert!(store.durable() >= durable && store.committed() >= committed);
                assert!(model.between(durable, store.durable()).is_some(), "what was durable is there");
            }
            Err(other) => panic!("{other}"),
        }
        if let Ok(shown) = store.reader().snapshot() {
            let shown = shown.facts().expect("it can be read").position;
            assert_eq!(shown, store.committed(), "readers see what is committed, or an error, in round {round}");
        }
        if store.ledger.is_some() {
            assert!(model.between(store.committed(), store.position()).is_some());
        }
    }
    (store, failed)
}

#[test]
fn a_disk_that_is_full_or_fails_at_any_operation_loses_nothing_and_is_used_again() {
    let rounds = 16;
    let healthy = Disk::default();
    work(&healthy, &mut Model::default(), &mut Dice::new(1), rounds);
    let mut failures = 0;
    for wrong in [Wrong::Full, Wrong::Syncs, Wrong::All] {
        for from in 1..healthy.done() {
            let (disk, mut model, mut dice) = (Disk::default(), Model::default(), Dice::new(1));
            let length = [1, 2, 7, 40][(dice.below(4) as usize + from as usize) & 3];
            disk.go_wrong(from..from + length, wrong);
            let (mut store, failed) = work(&disk, &mut model, &mut dice, rounds);
            failures += failed;
            disk.go_wrong(0..0, wrong);
            store.sync().expect("the disk works again");
            store.commit(store.position()).expect("the disk works again");
            model.check(&mut store);
            let position = store.position();
            store.close().expect("closed");
            let mut store = open(&disk);
            assert_eq!((store.position(), store.committed()), (position, position));
            model.check(&mut store);
        }
    }
    assert!(failures > 300, "only {failures} failures");
}

/// After a sync that failed nobody knows what was written. A crash may then bring back what was dropped, but it never
/// mixes it with what came after.
#[test]
fn a_crash_after_a_failure_finds_what_was_durable() {
    for seed in 0..400 {
        let (disk, mut model, mut dice) = (Disk::default(), Model::default(), Dice::new(seed));
        let wrong = [Wrong::Full, Wrong::Syncs, Wrong::All][seed as usize % 3];
        let from = 1 + dice.below(150);
        disk.go_wrong(from..from + 1 + dice.below(20), wrong);
        let (store, _) = work(&disk, &mut model, &mut dice, 12);
        let (durable, committed) = (store.durable(), store.committed());
        disk.crash(dice.chance(70), &mut dice);
        drop(store);
        let mut store = open(&disk);
        assert!(model.between(durable, store.position()).is_some(), "seed {seed}: {durable:?} {:?}", store.position());
        assert!(store.committed() <= committed);
        model.check(&mut store);
    }
}

#[test]
fn an_append_that_does_not_fit_changes_nothing() {
    let disk = Disk::default();
    let (mut store, mut model, mut dice) = (open(&disk), Model::default(), Dice::new(1));
    let first = model.order(Revision::ZERO, ReignId(1), 0, &mut dice);
    let last = model.learn(Revision::ZERO, vec![first.clone()]);
    let second = model.order(last, ReignId(1), 0, &mut dice);
    let wrong = store.append(&second).expect_err("one is missing");
    assert!(matches!(wrong, DataError::Unfit(crate::ledger::Unfit::NotNext)), "{wrong}");
    let wrong = store.append(&Bytes::from_static(b"garbage")).expect_err("garbage");
    assert!(matches!(wrong, DataError::Unread(_)), "{wrong}");
    assert_eq!(store.append(&first).expect("it fits"), Appended::New);
    assert_eq!(store.append(&first).expect("it is here"), Appended::Known);
    assert_eq!(store.sync().expect("durable"), last);
    model.check(&mut store);
}

#[test]
fn who_reads_on_a_full_disk_sees_all_that_is_committed() {
    let value = Bytes::from(vec![7; 200 << 10]);
    let mut counts = BTreeMap::new();
    for room in (8..120).step_by(16) {
        let disk = Disk::default();
        let opened = DataStore::with_files(disk.files(), limits(), super::super::SEGMENT).expect("it opens");
        let mut store = opened.store;
        let first = put(&mut store, ReignId(1), 1, "first", b"v");
        store.sync().expect("there is room");
        store.commit(first).expect("there is room");
        disk.go_wrong(disk.done() + room..u64::MAX, Wrong::NoRoom);
        let mut stored = 0;
        for n in 2..40_u64 {
            let mut queue =
                VecDeque::from([request(u128::from(n), Ask::Add { topic: "t".to_owned(), value: value.clone() })]);
            let mut through = |store: &mut DataStore| {
                store.order(ReignId(1), 0, &mut queue)?;
                let durable = store.sync()?;
                store.commit(durable)
            };
            let done = through(&mut store);
            let shown = store.reader().snapshot().expect("a full disk can be read").facts().expect("it can be read");
            assert_eq!(shown.position, store.committed(), "room {room}, record {n}");
            stored += u32::from(done.is_ok());
            let _ = store.checkpoint();
        }
        *counts.entry(stored).or_insert(0) += 1;
        disk.go_wrong(0..0, Wrong::NoRoom);
        let committed = store.committed();
        store.checkpoint().expect("there is room");
        store.close().expect("closed");
        assert_eq!(DataStore::with_files(disk.files(), limits(), 4096).expect("it opens").store.committed(), committed);
    }
    assert!(counts.len() > 2, "the room ended at several places: {counts:?}");
}
