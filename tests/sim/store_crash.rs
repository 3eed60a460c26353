//! The store on a disk that tears what was not synced, and the proof that this test catches a store that does not sync.

use crate::dice::Dice;
use crate::disk::Disk;
use crate::transcript::attempt;
use tanist::claim::Claim;
use tanist::ident::{BootId, Incarnation, NodeId};
use tanist::protocol::{Promise, Write};
use tanist::store::Store;
use tanist::time::Wall;

fn claim(epoch: u64) -> Claim {
    Claim { epoch, at: Wall(epoch), node: Incarnation { id: NodeId::from_random(7), boot: BootId(epoch) } }
}

/// Writes until a power cut, and says what was lost of what had come back.
fn lost(seed: u64, syncs: bool) -> Option<String> {
    let mut dice = Dice::new(seed);
    let disk = Disk::new();
    drop(Store::with_backend(disk.open()).expect("a new disk is good"));
    disk.complete(disk.mark());
    if !syncs {
        disk.skip_sync();
    }
    let mut epoch = 0;
    for _ in 0..4 {
        let mut store = match Store::with_backend(disk.open()) {
            Ok(store) => store,
            Err(why) => return Some(format!("the store does not open: {why}")),
        };
        let found = match store.durable() {
            Ok(found) => found,
            Err(why) => return Some(format!("the store cannot be read: {why}")),
        };
        let shown = found.shown.map_or(0, |c| c.epoch);
        let promised = found.promised.map_or(0, |p| p.claim.epoch);
        if shown < epoch || promised < epoch {
            return Some(format!("epoch {epoch} was durable, and {shown} and {promised} were found"));
        }
        if shown != promised {
            return Some(format!("half a transaction: {shown} and {promised}"));
        }
        epoch = shown;
        for _ in 0..dice.between(1, 6) {
            let next = claim(epoch + 1);
            let writes = [Write::Shown(next), Write::Promised(Promise::of(next))];
            store.apply(&writes).expect("the disk works");
            if dice.chance(0.7) {
                disk.complete(disk.mark());
                epoch += 1;
            } else {
                break;
            }
        }
        disk.power_cut(&mut dice);
    }
    None
}

#[test]
fn a_power_cut_loses_nothing_that_was_durable_and_leaves_no_half_transaction() {
    for seed in 0..300 {
        assert_eq!(lost(seed, true), None, "seed {seed}");
    }
}

#[test]
fn a_store_that_skips_its_sync_is_caught() {
    // The database may also notice by an assertion of its own, as the real host allows for.
    let caught = (0..300).filter(|seed| attempt(|| lost(*seed, false)).map_or(true, |lost| lost.is_some())).count();
    assert!(caught > 250, "a store without sync was caught in {caught} of 300 runs");
}
