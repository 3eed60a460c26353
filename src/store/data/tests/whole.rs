//! A joined whole of several parts: it is durable and committed as one, or not at all.

use super::*;
use crate::data::{Change, Replaces, Write};

/// A batch as bytes: a byte for the version, and then its fields.
fn encode(batch: &Batch) -> Bytes {
    let mut bytes = vec![1];
    rmp_serde::encode::write(&mut bytes, batch).expect("memory takes everything");
    bytes.into()
}

fn write(id: u128, length: usize) -> Change {
    Change::Write(Write {
        key: format!("w{id}"),
        value: Some(vec![7; length].into()),
        request: RequestId(1_000_000 + id),
        hash: 1,
        at: Wall(1),
        node: NodeId(Uuid::from_u128(7)),
        replaces: Replaces::First,
    })
}

/// The parts of a whole that continues a position.
fn parts(after: Revision, reign: ReignId, count: u32, length: usize) -> Vec<Bytes> {
    let part = |number: u32| Batch {
        after,
        committed: Revision::ZERO,
        reign,
        first: after.number + 1 + u64::from(number),
        part: if number + 1 == count { Part::Last(number) } else { Part::Piece(number) },
        changes: vec![write(u128::from(after.number) + u128::from(number), length)],
    };
    (0..count).map(|number| encode(&part(number))).collect()
}

/// Wholes among other batches, with crashes and checkpoints. Short ones are held in memory, long ones lie aside.
fn run(seed: u64) -> [u32; 3] {
    let (disk, mut model, mut dice) = (Disk::default(), Model::default(), Dice::new(seed));
    let (mut durable, mut seen) = (Revision::ZERO, [0; 3]);
    let mut tried = Revision::ZERO;
    for life in 0..6 {
        let mut store = open(&disk);
        let reign = ReignId(1 + life);
        assert!(model.between(durable, store.position()).is_some(), "{durable:?} {:?}", store.position());
        assert!(store.committed() <= tried, "commits never run ahead");
        model.check(&mut store);
        if dice.chance(70) {
            disk.die_at(disk.done() + 1 + dice.below(50));
        }
        for _ in 0..8 {
            let after = store.position();
            let batches = if dice.chance(50) {
                parts(after, reign, 1 + dice.below(5) as u32, if dice.chance(50) { 10 } else { 200 })
            } else {
                vec![model.order(after, reign, 0, &mut dice)]
            };
            let last = model.learn(after, batches.clone());
            // The leader may go away in the middle.
            let come = if dice.chance(80) { batches.len() } else { dice.below(batches.len() as u64) as usize };
            seen[usize::from(batches.len() > 1) + usize::from(come < batches.len())] += 1;
            let done = (|| {
                for batch in &batches[..come] {
                    // What continues a whole commits it.
                    tried = tried.max(if store.holds() { after } else { Revision::ZERO });
                    assert_eq!(store.append(batch)?, Appended::New);
                    match dice.below(5) {
                        0 => durable = store.sync()?,
                        1 => store.checkpoint()?,
                        _ => {}
                    }
                }
                assert_eq!(store.position(), if come < batches.len() { after } else { last });
                durable = store.sync()?;
                if dice.chance(70) {
                    tried = tried.max(durable);
                    store.commit(durable)?;
                }
                Ok::<_, DataError>(())
            })();
            if done.is_err() {
                break;
            }
            model.check(&mut store);
            // Nothing else may come before the position is free again: numbers go on above.
            if come < batches.len() {
                break;
            }
        }
        disk.crash(dice.chance(60), &mut dice);
    }
    seen
}

#[test]
fn a_whole_is_there_as_one_or_not_at_all() {
    let mut seen = [0; 3];
    for seed in 0..300 {
        let run = std::panic::catch_unwind(|| run(seed));
        let run = run.unwrap_or_else(|_| panic!("seed {seed}"));
        seen.iter_mut().zip(run).for_each(|(all, one)| *all += one);
    }
    assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
}

#[test]
fn what_came_of_a_whole_before_a_failure_does_not_count() {
    let disk = Disk::default();
    let mut store = open(&disk);
    let first = put(&mut store, ReignId(1), 1, "k", b"v");
    store.sync().expect("durable");
    store.commit(first).expect("committed");
    let parts = parts(first, ReignId(2), 3, 300);
    store.append(&parts[0]).expect("it fits");
    store.sync().expect("durable");
    disk.go_wrong(disk.done() + 1..disk.done() + 3, disk::Wrong::Syncs);
    store.append(&parts[1]).expect("it fits");
    store.sync().expect_err("the disk fails");
    disk.go_wrong(0..0, disk::Wrong::Syncs);
    // All of it comes again, whatever is still there.
    for part in &parts {
        store.append(part).expect("it fits");
    }
    let last = store.sync().expect("durable");
    assert_eq!((store.holds(), last), (true, Revision::new(ReignId(2), 4)));
    let next = encode(&Batch {
        after: last,
        committed: last,
        reign: ReignId(2),
        first: 5,
        part: Part::Alone,
        changes: vec![write(99, 5)],
    });
    assert_eq!(store.append(&next).expect("it fits"), Appended::New);
    assert_eq!(store.committed(), last, "a batch says what was acknowledged before it");
    disk.crash(false, &mut Dice::new(1));
    drop(store);
    let store = open(&disk);
    assert_eq!((store.position(), store.holds()), (last, true));
}

#[test]
fn a_whole_that_comes_first_after_a_start_goes_on() {
    let disk = Disk::default();
    let mut store = open(&disk);
    let first = put(&mut store, ReignId(1), 1, "k", b"v");
    store.sync().expect("durable");
    store.commit(first).expect("committed");
    drop(store);
    // A file of the log of an earlier process takes nothing more: the first sync begins the other one, with the part.
    let mut store = open(&disk);
    let parts = parts(first, ReignId(2), 4, 300);
    for (number, part) in parts.iter().enumerate() {
        assert_eq!(store.append(part).expect("it fits"), Appended::New, "part {number}");
        store.sync().expect("durable");
    }
    let last = Revision::new(ReignId(2), 5);
    assert_eq!(store.position(), last);
    disk.crash(true, &mut Dice::new(1));
    drop(store);
    let mut store = open(&disk);
    assert_eq!((store.position(), store.commit(last).expect("committed")), (last, last));
}
