use super::super::tests::disk::{Dice, Disk};
use super::*;
use crate::data::ReignId;

const SMALL: u64 = 4096;

fn at(number: u64) -> Revision {
    Revision::new(ReignId(1), number)
}

fn batch(number: u64, length: usize) -> Bytes {
    let mut batch = vec![number as u8; length];
    batch.extend_from_slice(&number.to_be_bytes());
    batch.into()
}

/// What the log says after a start.
fn found(disk: &Disk) -> (u64, Vec<Logged>) {
    let log = Log::find(&mut *disk.files(), 0, 0, SMALL).expect("it is good");
    let mut all = Vec::new();
    log.replay(|logged| {
        all.push(logged);
        Ok(())
    })
    .expect("it can be read");
    (log.generation(), all)
}

#[test]
fn the_files_are_used_in_turn_again_and_again() {
    let disk = Disk::default();
    let files = &mut *disk.files();
    let mut log = Log::after(0, SMALL);
    for number in 1..200 {
        log.begin(files, at(number), &[batch(number, 100)]).expect("begun");
        log.write(&[batch(number, 700), batch(number, 7)]).expect("written");
        log.note(at(number));
        log.write(&[batch(number, 1)]).expect("written");
        let expected = [
            Logged::Batch(batch(number, 100)),
            Logged::Batch(batch(number, 700)),
            Logged::Batch(batch(number, 7)),
            Logged::Commit(at(number)),
            Logged::Batch(batch(number, 1)),
        ];
        if number % 20 < 2 {
            let other = disk.copy();
            assert_eq!(found(&other), (number, expected.to_vec()));
        }
    }
    let names = disk.names();
    assert_eq!(names.len(), 2);
    assert!(names.iter().all(|(_, length)| *length <= SMALL as usize), "{names:?}");
}

#[test]
fn a_file_is_worn_when_it_had_a_segment_beyond_what_it_was_begun_with() {
    let disk = Disk::default();
    let files = &mut *disk.files();
    let mut log = Log::after(0, SMALL);
    assert!(!log.is_worn() && !log.is_used() && !log.is_open());
    for (begun, lasts) in [(10, 4), (10_000, 10)] {
        log.begin(files, Revision::ZERO, &[batch(1, begun)]).expect("begun");
        assert!(!log.is_worn() && !log.is_used() && log.is_open());
        let mut count = 0;
        while !log.is_worn() {
            log.write(&[batch(2, 1000)]).expect("written");
            count += 1;
        }
        assert_eq!(count, lasts);
    }
    // A file that grew is short again when little is pending.
    log.begin(files, Revision::ZERO, &[]).expect("begun");
    log.begin(files, Revision::ZERO, &[]).expect("begun");
    assert!(disk.names().iter().all(|(_, length)| *length <= 2 * SMALL as usize), "{:?}", disk.names());
}

#[test]
fn what_was_cut_is_not_found_and_what_is_void_does_not_count() {
    let disk = Disk::default();
    let files = &mut *disk.files();
    let mut log = Log::after(0, SMALL);
    log.begin(files, Revision::ZERO, &[]).expect("begun");
    log.write(&[batch(1, 5)]).expect("written");
    log.note(at(1));
    log.cut();
    let mut all = Vec::new();
    log.replay(|logged| {
        all.push(logged);
        Ok(())
    })
    .expect("it can be read");
    assert_eq!(all, [Logged::Batch(batch(1, 5))], "the note is not known to be durable");
    assert!(!log.is_open());
    let generation = log.generation();
    let log = Log::find(&mut *disk.copy().files(), generation, 0, SMALL).expect("it is good");
    assert!(!log.is_begun() && log.highest() == generation);
    let error = Log::find(&mut *disk.copy().files(), 0, generation + 1, SMALL).expect_err("it was begun");
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    disk.crash(false, &mut Dice::new(1));
    assert_eq!(found(&disk).1.len(), 2, "and yet a process that dies leaves it");
}
