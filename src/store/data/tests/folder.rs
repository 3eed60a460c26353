//! The same in a real folder.

use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;

fn folder() -> (TempDir, PathBuf) {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("state/data");
    (dir, path)
}

fn fill(store: &mut DataStore, ids: std::ops::Range<u128>) {
    for id in ids {
        let last = put(store, ReignId(1), id, &format!("k{id}"), b"value");
        store.sync().expect("durable");
        store.commit(last).expect("committed");
    }
}

fn keys(store: &DataStore) -> u64 {
    store.facts().expect("they can be read").keys
}

#[test]
fn a_folder_is_made_with_the_first_write_for_its_owner_alone() {
    let (_dir, path) = folder();
    let mut store = DataStore::open(&path).expect("opens").store;
    assert!(!path.exists());
    fill(&mut store, 1..20);
    let mode = |path: PathBuf| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(path.clone()), mode(path.join("data.redb")), mode(path.join("log-1"))), (0o700, 0o600, 0o600));
    assert!(fs::metadata(path.join("log-1")).expect("there").len() == 256 << 10, "a short log takes little room");
    drop(store);
    let opened = DataStore::open(&path).expect("opens again");
    assert_eq!((opened.set_aside, keys(&opened.store)), (None, 19));
    opened.store.close().expect("closed");
    assert_eq!(keys(&DataStore::open(&path).expect("opens again").store), 19);
}

#[test]
fn damaged_copies_are_set_aside_and_the_newest_are_kept() {
    let (_dir, path) = folder();
    let mut kept = Vec::new();
    for round in 0..4 {
        let mut store = DataStore::open(&path).expect("opens").store;
        fill(&mut store, 1..4);
        store.close().expect("closed");
        fs::write(path.join("data.redb"), format!("damaged {round}")).expect("written");
        let opened = DataStore::open(&path).expect("opens");
        let aside = opened.set_aside.expect("set aside").path.expect("it has a name");
        assert!(aside.file_name().is_some_and(|name| name.to_string_lossy().starts_with("data.damaged-")), "{aside:?}");
        assert_eq!(fs::read(aside.join("data.redb")).expect("kept"), format!("damaged {round}").as_bytes());
        assert_eq!(opened.store.position(), Revision::ZERO);
        kept.push(aside);
    }
    let there = fs::read_dir(path.parent().expect("it has one")).expect("it is there").count();
    assert!(there == DAMAGED_MAX && kept.last().is_some_and(|aside| aside.exists()), "{there} {kept:?}");
}

#[test]
fn what_is_no_file_is_set_aside_and_no_pipe_hangs() {
    for name in ["data.redb", "log-1", "log-2"] {
        let (_dir, path) = folder();
        fs::create_dir_all(&path).expect("made");
        nix::unistd::mkfifo(&path.join(name), nix::sys::stat::Mode::S_IRWXU).expect("made");
        let opened = DataStore::open(&path).expect("opens");
        assert!(opened.set_aside.is_some(), "{name}");
        assert!(!path.exists());
    }
}

#[test]
fn a_copy_takes_the_place_of_the_store() {
    let (_dir, path) = folder();
    let mut store = DataStore::open(&path).expect("opens").store;
    for full in [false, true] {
        let reader = store.reader();
        if full {
            fill(&mut store, 1..4);
        }
        let mut copy = store.beside().expect("a place");
        fill(&mut copy, 10..15);
        store.replace_with(copy).expect("replaced");
        assert_eq!((keys(&store), store.committed(), store.position().number), (5, store.position(), 5));
        assert_eq!(reader.snapshot().expect("there is one").facts().expect("read").keys, 5);
        fill(&mut store, 20..22);
        assert_eq!(keys(&store), 7);
        drop(std::mem::replace(&mut store, DataStore::open(&path.join("elsewhere")).expect("opens").store));
        store = DataStore::open(&path).expect("opens").store;
        assert_eq!(keys(&store), 7);
        store.set_aside("it is not needed").expect("set aside");
        assert!(store.is_lost() && store.reader().snapshot().is_err(), "nothing has taken its place");
        store.trust();
        assert!(!store.is_lost() && store.reader().snapshot().is_ok());
    }
}

#[test]
fn a_replacement_that_was_interrupted_leaves_one_of_the_two() {
    let (_dir, path) = folder();
    let mut store = DataStore::open(&path).expect("opens").store;
    fill(&mut store, 1..4);
    let mut copy = store.beside().expect("a place");
    fill(&mut copy, 10..15);
    drop((store, copy));
    fs::rename(&path, path.with_extension("old")).expect("renamed");
    let store = DataStore::open(&path).expect("opens").store;
    assert_eq!(keys(&store), 3);
    assert!(!path.with_extension("new").exists() && !path.with_extension("old").exists());
}

/// Tables of the format that had no seals are given them when they are opened.
#[test]
fn tables_without_seals_are_sealed() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = DataStore::open(dir.path()).expect("it opens").store;
    for n in 0..3000_u64 {
        put(&mut store, ReignId(1), n.into(), &format!("k{n}"), b"value");
    }
    let at = store.sync().expect("durable");
    store.commit(at).expect("committed");
    let written = rows(&store.snapshot().expect("there is one"));
    store.close().expect("durable");
    unseal(&dir.path().join("data.redb"));
    for _ in 0..2 {
        let opened = DataStore::open(dir.path()).expect("it opens");
        assert_eq!(opened.set_aside, None);
        let reader = opened.store.reader().snapshot().expect("there is one");
        assert_eq!(rows(&reader), written);
        reader.check().expect("it is what was written");
    }
}

fn unseal(path: &Path) {
    use redb::{ReadableDatabase, ReadableTable, TableDefinition};
    let database = redb::Database::open(path).expect("it opens");
    let write = database.begin_write().expect("a transaction");
    for table in Table::ALL {
        let definition: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(table.name());
        let read = database.begin_read().expect("a transaction").open_table(definition).expect("it is there");
        let mut to = write.open_table(definition).expect("it is there");
        for row in read.iter().expect("it can be read") {
            let (key, value) = row.expect("it can be read");
            to.insert(key.value(), &value.value()[..value.value().len() - 4]).expect("written");
        }
    }
    let meta: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
    write.open_table(meta).expect("it is there").insert("schema", 1).expect("written");
    write.commit().expect("durable");
}
