//! The store on disks that fail, and that lose power.

use super::*;

/// A disk whose writes fail on demand.
#[derive(Debug)]
struct Failing {
    disk: InMemoryBackend,
    broken: std::sync::Arc<std::sync::atomic::AtomicBool>,
    syncs: std::sync::Arc<std::sync::atomic::AtomicU32>,
}

impl Failing {
    fn trouble(&self) -> std::io::Result<()> {
        let broken = self.broken.load(std::sync::atomic::Ordering::SeqCst);
        if broken { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Failing {
    fn len(&self) -> std::io::Result<u64> {
        self.disk.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.disk.read(offset, out)
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.trouble().and_then(|()| self.disk.set_len(len))
    }
    fn sync_data(&self) -> std::io::Result<()> {
        self.syncs.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.trouble()
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.trouble().and_then(|()| self.disk.write(offset, data))
    }
}

#[test]
fn a_commit_is_one_sync_and_a_full_disk_an_error() {
    let (broken, syncs) = (std::sync::Arc::default(), std::sync::Arc::default());
    let disk = Failing { disk: InMemoryBackend::new(), broken, syncs };
    let (broken, syncs) = (disk.broken.clone(), disk.syncs.clone());
    let mut store = Store::with_backend(disk).expect("empty storage");
    let before = syncs.load(std::sync::atomic::Ordering::SeqCst);
    fill(&mut store);
    assert_eq!(syncs.load(std::sync::atomic::Ordering::SeqCst) - before, 41, "one sync for each transaction");
    broken.store(true, std::sync::atomic::Ordering::SeqCst);
    let error = store.apply(&[Write::Shown(claim(99, 1))]).expect_err("full");
    assert!(matches!(error, StoreError::Io(_)) && !error.to_string().contains('\n'), "{error}");
    broken.store(false, std::sync::atomic::Ordering::SeqCst);
    assert!(matches!(store.apply(&[]), Err(StoreError::Io(_))), "storage of the caller's is not opened anew");
}

/// As after a failed write, when the file could not be opened anew at once either.
#[test]
fn a_file_is_opened_anew_after_a_failure() {
    let dir = TempDir::new().expect("a directory");
    let mut store = Store::open(dir.path()).expect("opens").store;
    store.apply(&[Write::Shown(claim(3, 1))]).expect("kept");
    store.database = None;
    assert!(matches!(store.durable(), Err(StoreError::Io(_))));
    store.apply(&[Write::Shown(claim(4, 1))]).expect("kept again");
    assert_eq!(store.durable().expect("read").shown, Some(claim(4, 1)));
}

/// The content of a disk: what was synced, and what was written.
type Content = (Vec<u8>, Vec<u8>);

/// A disk that keeps both, and remembers them as they were when the last sync began.
#[derive(Clone, Debug, Default)]
struct Crashing {
    now: std::sync::Arc<std::sync::Mutex<Content>>,
    last_sync: std::sync::Arc<std::sync::Mutex<Content>>,
}

/// The disk after a loss of power: of each piece that was written and not synced, the old or the new content; the rate
/// of loss is drawn, too.
fn crashed((synced, written): &Content, mut luck: u64) -> Crashing {
    let mut left = written.clone();
    let rate = [0, 1, 8, 32][luck as usize % 4];
    for (n, piece) in left.chunks_mut(512).enumerate() {
        luck = luck.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if luck >> 58 < rate {
            let old = synced.get(n * 512..).unwrap_or_default();
            let length = old.len().min(piece.len());
            piece[..length].copy_from_slice(&old[..length]);
            piece[length..].fill(0);
        }
    }
    let disk = Crashing::default();
    *disk.now.lock().expect("no panic") = (left.clone(), left);
    disk
}

impl StorageBackend for Crashing {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.now.lock().expect("no panic").1.len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        out.copy_from_slice(&self.now.lock().expect("no panic").1[offset as usize..][..out.len()]);
        Ok(())
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.now.lock().expect("no panic").1.resize(len as usize, 0);
        Ok(())
    }
    fn sync_data(&self) -> std::io::Result<()> {
        let now = &mut *self.now.lock().expect("no panic");
        self.last_sync.lock().expect("no panic").clone_from(now);
        now.0.clone_from(&now.1);
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.now.lock().expect("no panic").1[offset as usize..][..data.len()].copy_from_slice(data);
        Ok(())
    }
}

/// The check at the start must not take the traces of a loss of power for damage.
#[test]
fn a_loss_of_power_is_no_damage_and_loses_nothing_that_was_durable() {
    let disk = Crashing::default();
    let mut store = Store::with_backend(disk.clone()).expect("empty storage");
    let mut ends = [0, 0];
    for epoch in 1..=30 {
        store.apply(&[Write::Shown(claim(epoch, 1)), Write::Member(member(epoch.into(), epoch))]).expect("kept");
        let after = |content: &Content, luck| {
            let crashed = crashed(content, luck);
            drop(Store::with_backend(crashed.clone()).expect("opens"));
            let durable = Store::with_backend(crashed).expect("opens again").durable().expect("read");
            let shown = durable.shown.map_or(0, |claim| claim.epoch);
            assert_eq!(shown, durable.members.len() as u64, "all of a transaction, or nothing");
            shown
        };
        assert_eq!(after(&disk.now.lock().expect("no panic"), epoch), epoch, "it was durable");
        for luck in 0..6 {
            let shown = after(&disk.last_sync.lock().expect("no panic"), luck * 31 + epoch);
            assert!(shown == epoch || shown == epoch - 1, "{shown} during {epoch}");
            ends[(epoch - shown) as usize] += 1;
        }
    }
    assert!(ends.iter().all(|count| *count > 0), "both ends of a torn transaction were seen: {ends:?}");
}
