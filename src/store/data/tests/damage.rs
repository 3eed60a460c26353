//! Files that were changed or cut off: a copy with damage is set aside, or nothing is missing from it.

use super::*;

/// A store with a full log, as a process leaves it that died: both files of the log are in use, and the tables.
fn filled(segment: u64) -> (Disk, Model) {
    let (disk, mut model) = (Disk::default(), Model::default());
    let mut store = DataStore::with_files(disk.files(), limits(), segment).expect("it opens").store;
    let rounds = if segment == SMALL { 45 } else { 12 };
    for round in 0..rounds {
        let after = store.position();
        put(&mut store, ReignId(1), round, &format!("k{}", round % 8), b"value");
        model.learn(after, store.pending_after(after).expect("it can be read").expect("it is there"));
        store.sync().expect("durable");
        if round + 2 != rounds {
            store.commit(after).expect("committed");
        }
    }
    assert!(store.position() > store.committed() && store.committed() > Revision::ZERO);
    // What it wrote counts, and not what it would write at its end.
    disk.die_at(disk.done() + 1);
    drop(store);
    (disk, model)
}

/// The same as they are after a start that found everything, and could not go on; and what it found.
fn opened(disk: &Disk, segment: u64) -> (Revision, Revision) {
    let mut store = DataStore::with_files(disk.files(), limits(), segment).expect("it opens").store;
    disk.die_at(disk.done() + 1);
    store.checkpoint().expect_err("it is dead");
    (store.position(), store.committed())
}

/// The files of the log, and where the last of what is in them stands.
fn logs(disk: &Disk) -> Vec<(String, usize)> {
    let logs = disk.names().into_iter().filter(|(name, _)| name.starts_with("log"));
    let used = |name: &str| disk.content(name).iter().rposition(|byte| *byte != 0).expect("it is in use");
    logs.map(|(name, _)| (name.clone(), used(&name))).collect()
}

/// What became of a damaged copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    /// It was noticed.
    SetAside,
    /// It did not matter.
    Whole,
    /// The last batch or commit is missing: nothing behind it vouches for it.
    Shorter,
}

fn open_damaged(disk: &Disk, segment: u64, model: &Model, whole: (Revision, Revision)) -> Outcome {
    let Opened { mut store, set_aside } = DataStore::with_files(disk.files(), limits(), segment).expect("it opens");
    if let Some(aside) = set_aside {
        assert!(!aside.what.contains('\n'));
        let aside = aside.path.expect("it is kept").display().to_string();
        assert!(disk.names().iter().any(|(name, _)| name.starts_with(&aside)));
        assert_eq!((store.position(), store.committed()), Default::default());
        let first = put(&mut store, ReignId(9), 1, "k", b"v");
        assert_eq!(store.sync().expect("the place is free"), first);
        return Outcome::SetAside;
    }
    model.check(&mut store);
    let found = (store.position(), store.committed());
    if found == whole {
        return Outcome::Whole;
    }
    let lost = model.between(found.0, whole.0).map(|lost| lost.len());
    assert!(lost.is_some_and(|lost| lost <= 1) && found.1 <= whole.1, "{found:?} {whole:?} {lost:?}");
    Outcome::Shorter
}

#[test]
fn every_byte_of_the_log_that_is_changed_is_noticed_or_does_not_matter() {
    for segment in [SMALL, SEGMENT] {
        let (disk, model) = filled(segment);
        let whole = opened(&disk, segment);
        let (mut aside, mut shorter) = (0, 0);
        for (name, used) in logs(&disk) {
            for at in (0..used + 9).step_by(if segment == SMALL { 1 } else { 31 }) {
                let damaged = disk.copy();
                damaged.damage(&name, at, Some([1, 0x80, 0xff][at % 3]));
                match open_damaged(&damaged, segment, &model, whole) {
                    Outcome::SetAside => aside += 1,
                    Outcome::Shorter => shorter += 1,
                    Outcome::Whole => {}
                }
            }
        }
        assert!(aside > 50 && shorter < 400, "{aside} were set aside, {shorter} lost their end");
    }
}

#[test]
fn a_log_that_is_cut_off_or_gone_is_noticed_or_lacks_its_end() {
    let (disk, model) = filled(SMALL);
    let whole = opened(&disk, SMALL);
    for (name, used) in logs(&disk) {
        for at in (0..used + 64).step_by(64) {
            let damaged = disk.copy();
            damaged.damage(&name, at, None);
            let opened = DataStore::with_files(damaged.files(), limits(), SMALL).expect("it opens");
            // What was cut off may be all that came after a moment: that looks like the moment.
            let mut store = opened.store;
            if opened.set_aside.is_none() {
                model.check(&mut store);
                assert!(model.between(store.position(), whole.0).is_some());
            }
        }
    }
    let gone = |gone: &str| {
        let left = disk.copy();
        left.remove(gone);
        DataStore::with_files(left.files(), limits(), SMALL).expect("it opens").set_aside.is_some()
    };
    assert!(gone("data.redb"), "the log alone is not enough");
    assert!(gone("log-1") != gone("log-2"), "the file that counts is missed, the other is not");
}

#[test]
fn tables_with_a_changed_byte_are_set_aside_or_tell_what_was_written() {
    let (disk, model) = filled(SMALL);
    let whole = opened(&disk, SMALL);
    let written = rows(&model.at(whole.1));
    let size = disk.content("data.redb").len();
    let (mut aside, mut noticed, mut altered) = (0, 0, 0);
    for at in (0..400).chain((400..size).step_by(1021)).chain(values(&disk)) {
        let damaged = disk.copy();
        damaged.damage("data.redb", at, Some([1, 0x80, 0xff][at % 3]));
        let Opened { mut store, set_aside } = match DataStore::with_files(damaged.files(), limits(), SMALL) {
            Ok(opened) => opened,
            Err(StoreError::Later(_)) => continue,
            Err(other) => panic!("{other}"),
        };
        aside += u32::from(set_aside.is_some());
        if set_aside.is_some() {
            continue;
        }
        // Whoever reads something is shown what was written, or nothing; and whoever reads everything notices.
        let reader = store.reader().snapshot();
        // The facts have the sum of what the owner met when it read the log again; it is known then.
        let rest = if store.doubt().is_some() { Table::Facts } else { Table::Aside };
        let shown_wrong = reader.as_ref().is_ok_and(|reader| shows_wrong(reader, &written, rest));
        assert!(!shown_wrong, "byte {at}");
        if reader.and_then(|reader| reader.check()).is_err() {
            noticed += 1;
            altered += u32::from(store.doubt().is_some());
            continue;
        }
        assert_eq!((store.position(), store.committed()), whole, "byte {at}");
        assert_eq!(store.doubt(), None);
        let _ = store.commit(store.position());
        let _ = store.checkpoint();
    }
    assert!(aside > 30, "{aside} were set aside, {noticed} noticed by reading");
    assert!(altered > 5, "{altered} rows were not what was written");
}

/// Whether a reader is shown a row that was not written. What is missing may be: who reads everything notices that.
fn shows_wrong(reader: &Snapshot, written: &[Vec<(Vec<u8>, Vec<u8>)>], without: Table) -> bool {
    let tables = Table::ALL.into_iter().filter(|table| *table != Table::Aside).zip(written);
    let tables = tables.filter(|(table, _)| *table != without);
    tables.into_iter().any(|(table, written)| {
        let mut wrong = false;
        let _ = reader.range(table, EVERYTHING, &mut |key, value| {
            wrong |= !written.iter().any(|row| row.0 == key && row.1 == value);
            ControlFlow::Continue(())
        });
        let got = |row: &(Vec<u8>, Vec<u8>)| reader.get(table, &row.0, |value| value == row.1);
        wrong || written.iter().any(|row| matches!(got(row), Ok(Some(false))))
    })
}

/// A machine without another goes on with rows that are not what was written: what is there is the truth then.
#[test]
fn what_nobody_has_better_is_accepted() {
    let (disk, _) = filled(SMALL);
    let (mut found, mut met) = (0, 0);
    for at in values(&disk) {
        let disk = disk.copy();
        disk.damage("data.redb", at, Some(1));
        let Opened { mut store, set_aside } = DataStore::with_files(disk.files(), limits(), SMALL).expect("it opens");
        assert_eq!(set_aside, None);
        // The owner met it already when it read the log again.
        let mut is_met = store.doubt().is_some();
        let is_read = |store: &DataStore| store.reader().snapshot().and_then(|reader| reader.check());
        if is_read(&store).is_ok() {
            // It is in a page that nothing leads to any more.
            continue;
        }
        found += 1;
        assert!(store.doubt().is_some_and(|why| why.contains("what was written") || why.contains("missing")));
        is_met |= matches!(writes_all(&mut store, 900), Err(DataError::Altered(_)));
        met += u32::from(is_met);
        store.accept().expect("the disk works");
        assert_eq!(store.doubt(), None);
        is_read(&store).expect("it counts as what was written");
        writes_all(&mut store, 950).expect("it goes on");
        is_read(&store).expect("it is what was written");
        assert!(disk.names().iter().all(|(name, _)| !name.contains('/')), "nothing was set aside");
    }
    assert!(found > 5 && met > 2, "{found} were found, {met} met by the owner");
}

/// Where in the tables something like a value begins.
fn values(disk: &Disk) -> Vec<usize> {
    let content = disk.content("data.redb");
    (0..content.len() - 5).filter(|at| content[*at..].starts_with(b"value")).collect()
}

/// Gives all keys another value, to the end.
fn writes_all(store: &mut DataStore, first: u64) -> Result<(), DataError> {
    for round in first..first + 8 {
        let ask = Ask::Put {
            key: format!("k{}", round % 8),
            value: Bytes::from_static(b"another"),
            condition: Condition::None,
        };
        store.order(ReignId(2), 0, &mut VecDeque::from([request(round.into(), ask)]))?;
    }
    let at = store.sync()?;
    store.commit(at).map(|_| ())
}

#[test]
fn a_copy_of_a_later_version_is_left_alone() {
    let (disk, _) = filled(SMALL);
    for name in ["log-1", "log-2"] {
        let later = disk.copy();
        // The format, and the sum over the header.
        let mut header = later.content(name)[..64].to_vec();
        header[11] = 2;
        let sum = xxhash_rust::xxh3::xxh3_64_with_seed(&header[..56], 0).to_be_bytes();
        let before = later.content(name);
        later.damage(name, 11, Some(before[11] ^ 2));
        for (at, byte) in sum.into_iter().enumerate() {
            later.damage(name, 56 + at, Some(before[56 + at] ^ byte));
        }
        for _ in 0..2 {
            let error = DataStore::with_files(later.files(), limits(), SMALL).expect_err("too new");
            assert!(matches!(error, StoreError::Later(2)), "{error}");
        }
        assert!(later.names().iter().all(|(name, _)| !name.contains('/')), "nothing was set aside");
    }
}

/// The same in a later format of the database, which calls that damage.
#[test]
fn tables_in_a_later_format_of_the_database_are_left_alone() {
    let (disk, _) = filled(SMALL);
    for slot in [64, 192] {
        let later = disk.copy();
        let format = later.content("data.redb")[slot];
        later.damage("data.redb", slot, Some(format ^ 4));
        for _ in 0..2 {
            let error = DataStore::with_files(later.files(), limits(), SMALL).expect_err("too new");
            assert!(matches!(error, StoreError::Later(4)), "{error}");
        }
        assert!(later.names().iter().all(|(name, _)| !name.contains('/')), "nothing was set aside");
    }
}

#[test]
fn a_copy_can_be_set_aside_and_numbers_are_not_given_again() {
    let disk = Disk::default();
    let mut store = open(&disk);
    let reader = store.reader();
    let last = put(&mut store, ReignId(1), 1, "k", b"v");
    store.sync().expect("durable");
    store.commit(last).expect("committed");
    let old = reader.snapshot().expect("there is one");
    let aside = store.set_aside("it differs from the leader's").expect("set aside");
    assert_eq!((aside.what.as_str(), aside.path.is_some()), ("it differs from the leader's", true));
    assert_eq!((store.position(), store.committed(), store.durable()), Default::default());
    assert!(reader.snapshot().is_err(), "nothing has taken its place");
    store.trust();
    assert!(reader.snapshot().expect("there is one").facts().expect("read").position == Revision::ZERO);
    assert!(
        old.get(Table::Entries, b"k", |_| ()).is_err() || old.facts().is_ok(),
        "an old snapshot fails, at the most"
    );
    assert!(put(&mut store, ReignId(1), 2, "k", b"v") > last);
    store.sync().expect("durable");
}
