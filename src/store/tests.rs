//! The store as a whole, on real files.

mod damage;
mod disks;

use super::*;
use crate::claim::Claim;
use crate::event::Cause;
use crate::ident::{BootId, Incarnation};
use crate::protocol::{Promise, Remembered};
use crate::time::Wall;
use proptest::prelude::*;
use redb::backends::InMemoryBackend;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use tempfile::TempDir;
use uuid::Uuid;

fn id(n: u128) -> NodeId {
    NodeId(Uuid::from_u128(n))
}

fn claim(epoch: u64, at: u64) -> Claim {
    Claim { epoch, at: Wall(at), node: Incarnation { id: id(u128::from(at)), boot: BootId(at) } }
}

fn promise(epoch: u64, at: u64, withdrawn: bool) -> Promise {
    Promise { withdrawn, ..Promise::of(claim(epoch, at)) }
}

fn reign(epoch: u64, ended: Option<u64>) -> Reign {
    Reign {
        claim: claim(epoch, 1),
        name: "pc-3".to_owned(),
        began: Wall(epoch * 10),
        ended: ended.map(Wall),
        cause: Cause::CutOff,
        text: "pc-9 noticed".to_owned(),
    }
}

fn reunion(at: u64) -> ReunionReport {
    ReunionReport {
        at: Wall(at),
        stays: claim(9, 1),
        yields: claim(8, 2),
        both_led_ms: Some(at),
        text: format!("the {at}th"),
    }
}

fn member(n: u128, heard: u64) -> Remembered {
    let address = ([10, 1, (n >> 8) as u8, n as u8], 8264).into();
    Remembered { id: id(n), name: format!("pc-{n}"), address, heard: Wall(heard), left: false }
}

fn in_memory() -> Store {
    Store::with_backend(InMemoryBackend::new()).expect("empty storage")
}

fn identity() -> Identity {
    Identity { id: id(77), machine: "0123456789abcdef".to_owned() }
}

/// Fills a store with some of everything.
fn fill(store: &mut Store) {
    fill_to(store, 40);
}

fn fill_to(store: &mut Store, last: u64) {
    store.set_identity(&identity()).expect("kept");
    for epoch in 1..=last {
        let writes = [
            Write::Shown(claim(epoch, 1)),
            Write::Promised(promise(epoch, 1, false)),
            Write::Reign(reign(epoch, None)),
            Write::Reunion(reunion(epoch)),
            Write::Member(member(epoch.into(), epoch)),
        ];
        store.apply(&writes).expect("kept");
    }
}

/// All that a store holds.
type Held = (Option<Identity>, Durable, Vec<Reign>, Vec<ReunionReport>);

fn held(store: &Store) -> Held {
    let all = usize::MAX;
    let histories = (store.reigns(all).expect("read"), store.reunions(all).expect("read"));
    (store.identity().expect("read"), store.durable().expect("read"), histories.0, histories.1)
}

#[test]
fn everything_is_there_after_a_restart() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path().join("a/b/state");
    let opened = Store::open(&dir).expect("opens");
    assert_eq!(opened.set_aside, None);
    let mut store = opened.store;
    assert_eq!(held(&store), (None, Durable::default(), Vec::new(), Vec::new()));
    fill(&mut store);
    let before = held(&store);
    assert_eq!((before.1.members.len(), before.2.len(), before.3.len()), (40, 40, 40));
    drop(store);

    let opened = Store::open(&dir).expect("opens again");
    assert_eq!(opened.set_aside, None);
    assert_eq!(held(&opened.store), before);
    assert_eq!(fs::metadata(&dir).expect("there").permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(dir.join("tanist.redb")).expect("there").permissions().mode() & 0o777, 0o600);
}

/// A process that dies leaves the file as its last transaction left it, without the last words of a clean end.
#[test]
fn everything_is_there_after_the_process_died() {
    let (lived, died) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    let mut store = Store::open(lived.path()).expect("opens").store;
    fill(&mut store);
    fs::copy(lived.path().join("tanist.redb"), died.path().join("tanist.redb")).expect("copied");
    let opened = Store::open(died.path()).expect("opens");
    assert_eq!(opened.set_aside, None);
    assert_eq!(held(&opened.store), held(&store));
}

#[test]
fn a_second_agent_is_kept_out_while_the_first_one_lives() {
    let dir = TempDir::new().expect("a directory");
    let first = Store::open(dir.path()).expect("opens");
    let error = Store::open(dir.path()).expect_err("locked");
    assert!(matches!(&error, OpenError::Locked { path } if path == dir.path()));
    assert!(!error.to_string().contains('\n'));
    drop(first);
    Store::open(dir.path()).expect("opens once the first is gone");
}

#[test]
fn an_interrupted_beginning_is_begun_again() {
    let dir = TempDir::new().expect("a directory");
    fs::write(dir.path().join("tanist.redb.new"), [0; 5000]).expect("written");
    assert_eq!(Store::open(dir.path()).expect("opens").set_aside, None);
    assert!(!dir.path().join("tanist.redb.new").exists());
}

#[test]
fn what_cannot_be_used_is_an_error_of_one_line() {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("file");
    fs::write(&file, "x").expect("written");
    for wrong in [file.clone(), file.join("below")] {
        let error = Store::open(&wrong).expect_err("no directory");
        assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
        assert!(!error.to_string().contains('\n') && error.to_string().contains(wrong.to_str().expect("text")));
    }
    // The superuser may do anything, so this can only be tested as somebody else.
    let closed = dir.path().join("closed");
    fs::DirBuilder::new().mode(0o500).create(&closed).expect("made");
    if fs::metadata(&closed).expect("there").uid() != 0 {
        assert!(matches!(Store::open(&closed).expect_err("closed"), OpenError::Denied { .. }));
    }
}

#[test]
fn errors_of_the_system_are_sorted_by_what_to_do() {
    let sorted = |errno| OpenError::io(Path::new("/state"), std::io::Error::from_raw_os_error(errno));
    assert!(matches!(sorted(nix::libc::EACCES), OpenError::Denied { .. }));
    assert!(matches!(sorted(nix::libc::EPERM), OpenError::Denied { .. }));
    assert!(matches!(sorted(nix::libc::EROFS), OpenError::ReadOnly { .. }));
    assert!(matches!(sorted(nix::libc::ENOSPC), OpenError::Full { .. }));
    assert!(matches!(sorted(nix::libc::EDQUOT), OpenError::Full { .. }));
    assert!(matches!(sorted(nix::libc::EIO), OpenError::Io { .. }));
}

#[test]
fn a_store_of_a_later_version_is_left_alone() {
    let dir = TempDir::new().expect("a directory");
    drop(Store::open(dir.path()).expect("opens"));
    let path = dir.path().join("tanist.redb");
    let database = Database::open(&path).expect("a database");
    let write = database.begin_write().expect("begins");
    write
        .open_table(redb::TableDefinition::<&str, u64>::new("meta"))
        .expect("a table")
        .insert("schema", 2)
        .expect("set");
    write.commit().expect("durable");
    drop(database);
    for _ in 0..2 {
        let error = Store::open(dir.path()).expect_err("too new");
        assert!(matches!(error, OpenError::Later { schema: 2, .. }), "{error:?}");
    }
}

/// The same in a later format of the database, which calls that damage: promises would be forgotten.
#[test]
fn a_store_in_a_later_format_of_the_database_is_left_alone() {
    let dir = TempDir::new().expect("a directory");
    drop(Store::open(dir.path()).expect("opens"));
    let path = dir.path().join("tanist.redb");
    let whole = std::fs::read(&path).expect("read");
    for slots in [&[64][..], &[192], &[64, 192]] {
        let mut later = whole.clone();
        slots.iter().for_each(|slot| later[*slot] = 4);
        std::fs::write(&path, &later).expect("written");
        for _ in 0..2 {
            let error = Store::open(dir.path()).expect_err("too new");
            assert!(matches!(error, OpenError::Later { schema: 4, .. }), "{error:?}");
        }
        assert!(std::fs::read(&path).expect("read") == later, "nothing was touched");
    }
    std::fs::write(&path, &whole).expect("written");
    assert!(Store::open(dir.path()).expect("opens").set_aside.is_none(), "the older one had been whole");
}

#[test]
fn a_database_of_another_program_is_set_aside() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("tanist.redb");
    for wrong_type in [false, true] {
        let database = Database::create(&path).expect("a database");
        let write = database.begin_write().expect("begins");
        write.open_table(redb::TableDefinition::<u64, u64>::new("theirs")).expect("a table").insert(1, 2).expect("set");
        if wrong_type {
            write
                .open_table(redb::TableDefinition::<u64, u64>::new("meta"))
                .expect("a table")
                .insert(1, 1)
                .expect("set");
        }
        write.commit().expect("durable");
        drop(database);
        let opened = Store::open(dir.path()).expect("opens");
        assert!(opened.set_aside.is_some());
        drop(opened);
        fs::remove_file(&path).expect("removed");
    }
}

#[test]
fn rows_of_the_wrong_kind_are_damage() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("tanist.redb");
    let facts: redb::TableDefinition<&str, &[u8]> = redb::TableDefinition::new("facts");
    for garbage in [&b""[..], b"\xc1", b"\x81\xa2id\x05", &[0x91; 3000]] {
        drop(Store::open(dir.path()).expect("opens"));
        let database = Database::open(&path).expect("a database");
        let write = database.begin_write().expect("begins");
        write.open_table(facts).expect("a table").insert("promised", garbage).expect("set");
        write.commit().expect("durable");
        drop(database);
        assert!(Store::open(dir.path()).expect("opens").set_aside.is_some());
    }
}

#[test]
fn whatever_is_in_its_place_is_set_aside_and_kept() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("tanist.redb");
    let begin = || {
        let opened = Store::open(dir.path()).expect("opens");
        let aside = opened.set_aside.clone().expect("set aside");
        let name = aside.file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(name.starts_with("tanist.redb.damaged-"), "{name}");
        assert_eq!(held(&opened.store), (None, Durable::default(), Vec::new(), Vec::new()));
        drop(opened);
        assert_eq!(Store::open(dir.path()).expect("opens again").set_aside, None);
        fs::remove_file(&path).expect("removed");
        aside
    };
    fs::write(&path, "").expect("written");
    begin();
    fs::write(&path, "an old shopping list").expect("written");
    assert_eq!(fs::read(begin()).expect("kept"), b"an old shopping list");
    fs::create_dir(&path).expect("made");
    fs::write(path.join("inside"), "x").expect("written");
    assert!(begin().join("inside").exists());
    symlink("nowhere", &path).expect("linked");
    begin();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
    begin();
}

#[test]
fn damaged_stores_do_not_pile_up_and_the_newest_stay() {
    let dir = TempDir::new().expect("a directory");
    for n in 0..DAMAGED_MAX + 3 {
        let damaged = format!("damaged {n}");
        fs::write(dir.path().join("tanist.redb"), &damaged).expect("written");
        let aside = Store::open(dir.path()).expect("opens").set_aside.expect("set aside");
        assert_eq!(fs::read_to_string(aside).expect("the newest is there"), damaged);
    }
    let all = fs::read_dir(dir.path()).expect("a directory").flatten();
    let kept = all.filter(|entry| entry.file_name().to_string_lossy().contains("damaged"));
    let mut kept: Vec<_> = kept.map(|entry| fs::read_to_string(entry.path()).expect("kept")).collect();
    kept.sort();
    // Two that were moved in the same tick of the file system's clock have no order.
    assert_eq!((kept.len(), kept.last()), (DAMAGED_MAX, Some(&format!("damaged {}", DAMAGED_MAX + 2))), "{kept:?}");
    assert_ne!(kept[0], "damaged 0");
}

/// What a store filled so far holds.
fn filled_to(last: u64) -> Held {
    let mut store = in_memory();
    fill_to(&mut store, last);
    held(&store)
}

#[test]
fn epochs_never_fall() {
    let mut store = in_memory();
    let mut after = |writes: &[Write]| {
        store.apply(writes).expect("kept");
        let durable = store.durable().expect("read");
        (durable.shown, durable.promised)
    };
    for (write, shown, promised, why) in [
        (Write::Shown(claim(5, 9)), Some(claim(5, 9)), None, "the first counts"),
        (Write::Shown(claim(4, 1)), Some(claim(5, 9)), None, "a lower epoch does not"),
        (Write::Shown(claim(5, 10)), Some(claim(5, 10)), None, "another claim of the epoch does"),
        (Write::Shown(claim(7, 1)), Some(claim(7, 1)), None, "a higher epoch does"),
        (
            Write::Promised(promise(6, 5, false)),
            Some(claim(7, 1)),
            Some(promise(6, 5, false)),
            "a promise may be below what is shown",
        ),
        (Write::Promised(promise(6, 5, true)), Some(claim(7, 1)), Some(promise(6, 5, true)), "it can be withdrawn"),
        (
            Write::Promised(promise(6, 4, false)),
            Some(claim(7, 1)),
            Some(promise(6, 4, false)),
            "then a better claim can be backed",
        ),
        (Write::Promised(promise(6, 8, false)), Some(claim(7, 1)), Some(promise(6, 8, false)), "or a worse one"),
        (
            Write::Promised(promise(5, 1, false)),
            Some(claim(7, 1)),
            Some(promise(6, 8, false)),
            "a lower epoch does not count",
        ),
        (Write::Promised(promise(8, 9, false)), Some(claim(7, 1)), Some(promise(8, 9, false)), "a higher epoch does"),
    ] {
        assert_eq!(after(&[write]), (shown, promised), "{why}");
    }
    let both = [Write::Shown(claim(9, 1)), Write::Shown(claim(8, 1)), Write::Promised(promise(7, 1, true))];
    assert_eq!(after(&both), (Some(claim(9, 1)), Some(promise(8, 9, false))), "in one transaction, too");
}

#[test]
fn a_new_id_keeps_the_machine() {
    let mut store = in_memory();
    store.apply(&[Write::Identity(id(1))]).expect("kept");
    assert_eq!(store.identity().expect("read"), Some(Identity { id: id(1), machine: String::new() }));
    store.set_identity(&identity()).expect("kept");
    store.apply(&[Write::Identity(id(2))]).expect("kept");
    assert_eq!(store.identity().expect("read"), Some(Identity { id: id(2), machine: identity().machine }));
}

#[test]
fn members_are_replaced_and_forgotten_by_id() {
    let mut store = in_memory();
    let moved = Remembered { heard: Wall(1), ..member(1, 9) };
    let writes = [Write::Member(member(1, 5)), Write::Member(member(2, 6)), Write::Member(moved.clone())];
    store.apply(&writes).expect("kept");
    assert_eq!(store.durable().expect("read").members, [moved, member(2, 6)]);
    store.apply(&[Write::Forget(id(1)), Write::Forget(id(99))]).expect("kept");
    assert_eq!(store.durable().expect("read").members, [member(2, 6)]);
}

#[test]
fn the_member_that_was_not_heard_for_longest_goes_first() {
    let mut store = in_memory();
    // The second half was heard earlier.
    let heard = |n: u64| (n + MEMBERS_MAX as u64 / 2) % MEMBERS_MAX as u64;
    let all: Vec<Write> = (0..MEMBERS_MAX as u64).map(|n| Write::Member(member(n.into(), 10 + heard(n)))).collect();
    store.apply(&all).expect("kept");
    let oldest = id(MEMBERS_MAX as u128 / 2);
    let remembers = |store: &Store, id| {
        let members = store.durable().expect("read").members;
        (members.len(), members.iter().any(|member| member.id == id))
    };
    assert_eq!(remembers(&store, oldest), (MEMBERS_MAX, true));
    store.apply(&[Write::Member(member(5000, 20_000))]).expect("kept");
    assert_eq!(remembers(&store, oldest), (MEMBERS_MAX, false));
    assert!(remembers(&store, id(5000)).1);
    store.apply(&[Write::Member(member(5001, 1))]).expect("kept");
    assert_eq!(remembers(&store, id(5001)), (MEMBERS_MAX, false), "the newcomer was heard before all others");
}

#[test]
fn the_histories_keep_the_newest() {
    let mut store = in_memory();
    let last = REIGNS_MAX as u64 + 5;
    let writes: Vec<Write> =
        (1..=last).flat_map(|n| [Write::Reign(reign(n, None)), Write::Reunion(reunion(n))]).collect();
    store.apply(&writes).expect("kept");
    let reigns = store.reigns(usize::MAX).expect("read");
    assert_eq!((reigns.len(), &reigns[0], &reigns[999]), (REIGNS_MAX, &reign(last, None), &reign(6, Some(70))));
    let reunions = store.reunions(usize::MAX).expect("read");
    assert_eq!((reunions.len(), &reunions[0], &reunions[999]), (REUNIONS_MAX, &reunion(last), &reunion(6)));

    store.apply(&[Write::Reign(reign(last - 1, Some(77)))]).expect("kept");
    assert_eq!(store.reigns(2).expect("read"), [reign(last, None), reign(last - 1, Some(77))]);
    assert_eq!(store.reunions(1).expect("read"), [reunion(last)]);
    assert_eq!(store.reigns(0).expect("read"), []);
}

#[test]
fn a_reign_that_was_left_open_ends_when_the_next_begins_and_one_that_lasts_keeps_its_beginning() {
    let mut store = in_memory();
    let at = |epoch, began, ended: Option<u64>| Reign { began: Wall(began), ..reign(epoch, ended) };
    let mut keep = |reign: Reign| {
        store.apply(&[Write::Reign(reign)]).expect("kept");
        store.reigns(usize::MAX).expect("read")
    };
    // The agent died in reign 1; started again it found the same reign, and later another.
    keep(at(1, 100, None));
    assert_eq!(keep(at(1, 500, None)), [at(1, 100, None)], "it still lasts");
    assert_eq!(keep(at(2, 900, None)), [at(2, 900, None), at(1, 100, Some(900))]);
    // Seen to end, whatever was known of its beginning when it did.
    assert_eq!(keep(at(2, 950, Some(1000)))[0], at(2, 900, Some(1000)));
    assert_eq!(keep(at(3, 1200, None))[1], at(2, 900, Some(1000)), "a true end stays");
    // It was only silent: the reign that was thought to be over lasts on.
    keep(at(3, 1200, Some(1300)));
    assert_eq!(keep(at(3, 1400, None))[0], at(3, 1200, None));
    // The clock was set back while the agent was away.
    assert_eq!(keep(at(4, 50, None))[1], at(3, 1200, Some(1200)));
}

fn claims() -> impl Strategy<Value = Claim> {
    (any::<u64>(), any::<u64>(), any::<u128>(), any::<u64>()).prop_map(|(epoch, at, n, boot)| Claim {
        epoch,
        at: Wall(at),
        node: Incarnation { id: id(n), boot: BootId(boot) },
    })
}

fn addresses() -> impl Strategy<Value = std::net::SocketAddr> {
    use std::net::{SocketAddrV4, SocketAddrV6};
    let scoped = (any::<u128>(), any::<u16>(), any::<u32>())
        .prop_map(|(ip, port, scope)| SocketAddrV6::new(ip.into(), port, 0, scope).into());
    prop_oneof![(any::<u32>(), any::<u16>()).prop_map(|(ip, port)| SocketAddrV4::new(ip.into(), port).into()), scoped]
}

fn members() -> impl Strategy<Value = Vec<Remembered>> {
    let member = (any::<u128>(), any::<String>(), addresses(), any::<u64>()).prop_map(|(n, name, address, heard)| {
        Remembered { id: id(n), name, address, heard: Wall(heard), left: n % 2 == 1 }
    });
    prop::collection::vec(member, 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_the_core_needs_comes_back_as_it_was(
        shown in prop::option::of(claims()),
        promised in prop::option::of((claims(), any::<bool>())),
        mut members in members(),
    ) {
        let mut store = in_memory();
        let promised = promised.map(|(claim, withdrawn)| Promise { withdrawn, ..Promise::of(claim) });
        let mut writes: Vec<Write> = members.iter().cloned().map(Write::Member).collect();
        writes.extend(shown.map(Write::Shown));
        writes.extend(promised.map(Write::Promised));
        store.apply(&writes).expect("kept");
        members.sort_by_key(|member| member.id);
        prop_assert_eq!(store.durable().expect("read"), Durable { shown, promised, members });
    }
}
