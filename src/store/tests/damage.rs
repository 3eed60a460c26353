//! Files that are cut off, changed, or not a store at all.

use super::*;

/// A filled store as bytes: after a clean end, and as a process that died leaves it.
fn images() -> [Vec<u8>; 2] {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("tanist.redb");
    let mut store = Store::open(dir.path()).expect("opens").store;
    fill(&mut store);
    let died = fs::read(&path).expect("read");
    drop(store);
    [fs::read(&path).expect("read"), died]
}

/// For thousands of stores: a directory that costs no sync, where there is such a one.
fn in_shared_memory() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a directory")
}

/// Opens a store with these bytes, which must not panic. It then holds something good, or nothing and says so.
fn open_image(dir: &Path, image: &[u8], good: &[Held]) -> bool {
    let path = dir.join("tanist.redb");
    fs::write(&path, image).expect("written");
    let Opened { store, set_aside } = match Store::open(dir) {
        Ok(opened) => opened,
        // One of the two bytes that say the format: it is refused, and whole.
        Err(OpenError::Later { .. }) => {
            assert!([image[64], image[192]].iter().any(|format| *format > 3));
            assert!(fs::read(&path).expect("read") == image, "it was touched");
            return true;
        }
        Err(other) => panic!("{other}"),
    };
    if let Some(aside) = &set_aside {
        assert_eq!(held(&store), (None, Durable::default(), Vec::new(), Vec::new()));
        assert!(fs::metadata(aside).expect("kept").len() > 0 || image.is_empty());
        fs::remove_file(aside).expect("removed");
    } else {
        assert!(good.contains(&held(&store)), "a damaged store was taken for a good one, and forgot");
    }
    set_aside.is_some()
}

#[test]
fn a_file_cut_off_anywhere_is_set_aside() {
    let dir = in_shared_memory();
    for image in images() {
        let whole = [filled_to(40)];
        assert!(!open_image(dir.path(), &image, &whole), "the whole file is good");
        for length in (0..image.len()).step_by(512) {
            open_image(dir.path(), &image[..length], &whole);
        }
    }
}

/// The header of a redb file, in bytes.
const HEADER: usize = 320;

/// Every byte of the header, and some everywhere else, with all kinds of change. After a process died, damage to the
/// root of its last transaction looks just like a transaction that was never finished: then the one before it counts.
#[test]
fn a_file_with_a_changed_byte_is_set_aside_or_holds_everything() {
    let dir = in_shared_memory();
    let good = [vec![filled_to(40)], vec![filled_to(40), filled_to(39)]];
    let mut set_aside = 0;
    for (mut image, good) in images().into_iter().zip(good) {
        let everywhere = (HEADER..image.len()).step_by(4099);
        for (n, at) in (0..HEADER).chain(everywhere).enumerate() {
            let before = image[at];
            image[at] = [before ^ 1, !before, 0, before.wrapping_add(1), before ^ 0x80][n % 5];
            set_aside += u32::from(open_image(dir.path(), &image, &good));
            image[at] = before;
        }
    }
    assert!(set_aside > 100, "only {set_aside} were noticed");
}

#[test]
fn a_file_of_garbage_is_set_aside() {
    let dir = in_shared_memory();
    let [clean, died] = images();
    let magic = &clean[..9];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(48));
    let garbage = (prop::collection::vec(any::<u8>(), 1..9000), 0..4_u8);
    let result = runner.run(&garbage, |(bytes, kind)| {
        let image = match kind {
            0 => bytes,
            1 => [magic, &bytes].concat(),
            // A good header before garbage, and garbage over the middle of a store.
            2 => [&clean[..320], &bytes].concat(),
            _ => {
                let mut image = died.clone();
                let at = bytes.len() * 37 % (image.len() - bytes.len());
                image[at..at + bytes.len()].copy_from_slice(&bytes);
                image
            }
        };
        open_image(dir.path(), &image, &[filled_to(40), filled_to(39)]);
        Ok(())
    });
    result.expect("garbage does no harm");
}
