//! A file of the tables on a disk that may be full: what the disk does not take is held in memory, and readers go on.
//!
//! Nothing that is held counts as durable: a sync fails until the disk has taken it. The log has it meanwhile.

use redb::StorageBackend;
use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::OpenFile;

/// What is held, in bytes, at most. The tables lack no more than a file of the log, but scattered over many pages.
pub const HELD: usize = 64 << 20;
const PAGE: usize = 4096;

/// What the disk did not take.
#[derive(Debug, Default)]
struct Held {
    /// Pages by their place. Bound: [`HELD`].
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
    /// How long the file would be.
    length: Option<u64>,
}

impl Held {
    fn is_empty(&self) -> bool {
        self.pages.is_empty() && self.length.is_none()
    }
}

/// A file as redb gets it. Clones are the same file.
#[derive(Clone, Debug)]
pub(super) struct Overflow(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: OpenFile,
    held: Mutex<Held>,
}

impl Overflow {
    pub(super) fn new(file: OpenFile) -> Overflow {
        Overflow(Arc::new(Inner { file, held: Mutex::default() }))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the disk what is held.
    ///
    /// # Errors
    /// While it does not take all of that.
    pub(super) fn flush(&self) -> io::Result<()> {
        let mut held = self.held();
        if let Some(length) = held.length {
            self.0.file.set_len(length)?;
            held.length = None;
        }
        let length = self.0.file.len()?;
        while let Some(page) = held.pages.first_entry() {
            let at = page.key() * PAGE as u64;
            self.0.file.write(at, &page.get()[..within(at, length, PAGE)])?;
            page.remove();
        }
        Ok(())
    }

    /// Reads what the disk has; behind its end are zeros.
    fn read_disk(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = within(offset, self.0.file.len()?, out.len());
        out[there..].fill(0);
        if there > 0 { self.0.file.read(offset, &mut out[..there]) } else { Ok(()) }
    }

    /// Keeps what the disk did not take, on top of what it has there.
    fn hold(&self, held: &mut Held, offset: u64, data: &[u8]) -> io::Result<()> {
        for (page, from, part) in parts(offset, data.len()) {
            if !held.pages.contains_key(&page) {
                if (held.pages.len() + 1) * PAGE > HELD {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                let mut there = Box::new([0; PAGE]);
                self.read_disk(page * PAGE as u64, &mut there[..])?;
                held.pages.insert(page, there);
            }
            let page = held.pages.get_mut(&page).expect("it was put there");
            page[from..from + part.len()].copy_from_slice(&data[part]);
        }
        Ok(())
    }
}

/// How much of `count` bytes from here on is before the end.
fn within(offset: u64, end: u64, count: usize) -> usize {
    usize::try_from(end.saturating_sub(offset)).map_or(count, |there| there.min(count))
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The pages that a range of a file touches: which, from where in it, and what part of the range that is.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let from = (at % PAGE as u64) as usize;
        let end = length.min(done + PAGE - from);
        let part = (done < end).then_some((at / PAGE as u64, from, done..end));
        done = end;
        part
    })
}

impl StorageBackend for Overflow {
    fn len(&self) -> io::Result<u64> {
        self.held().length.map_or_else(|| self.0.file.len(), Ok)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let held = self.held();
        if held.is_empty() {
            return self.0.file.read(offset, out);
        }
        self.read_disk(offset, out)?;
        for (page, from, part) in parts(offset, out.len()) {
            if let Some(page) = held.pages.get(&page) {
                let count = part.len();
                out[part].copy_from_slice(&page[from..from + count]);
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut held = self.held();
        let kept = length.div_ceil(PAGE as u64);
        held.pages.split_off(&kept);
        let last = within(kept.saturating_sub(1) * PAGE as u64, length, PAGE);
        if let Some(page) = kept.checked_sub(1).and_then(|last| held.pages.get_mut(&last)) {
            page[last..].fill(0);
        }
        held.length = match self.0.file.set_len(length) {
            Err(error) if is_full(&error) => Some(length),
            other => other.map(|()| None)?,
        };
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.flush()?;
        self.0.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut held = self.held();
        if held.length.is_some() {
            return self.hold(&mut held, offset, data);
        }
        match self.0.file.write(offset, data) {
            Err(error) if is_full(&error) => self.hold(&mut held, offset, data),
            Ok(()) if !held.is_empty() => {
                // What is held must not come over it later.
                for (page, from, part) in parts(offset, data.len()) {
                    if let Some(page) = held.pages.get_mut(&page) {
                        page[from..from + part.len()].copy_from_slice(&data[part]);
                    }
                }
                Ok(())
            }
            other => other,
        }
    }

    // No other process has the file, for the state directory has a lock: redb need not lock it again.
    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, redb::BackendError> {
        Ok(true)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), redb::BackendError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file on a disk that has no room at times.
    #[derive(Clone, Debug, Default)]
    struct Full(Arc<Mutex<(Vec<u8>, bool)>>);

    impl StorageBackend for Full {
        fn len(&self) -> io::Result<u64> {
            Ok(self.0.lock().expect("whole").0.len() as u64)
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            out.copy_from_slice(&self.0.lock().expect("whole").0[offset as usize..][..out.len()]);
            Ok(())
        }
        fn set_len(&self, length: u64) -> io::Result<()> {
            let mut file = self.0.lock().expect("whole");
            if file.1 && length > file.0.len() as u64 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            file.0.resize(length as usize, 0);
            Ok(())
        }
        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            let mut file = self.0.lock().expect("whole");
            if file.1 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            file.0[offset as usize..][..data.len()].copy_from_slice(data);
            Ok(())
        }
    }

    #[test]
    fn what_the_disk_does_not_take_is_read_and_is_durable_only_when_it_does() {
        let disk = Full::default();
        let file = Overflow::new(Box::new(disk.clone()));
        let mut model = vec![0_u8; 5 * PAGE + 100];
        file.set_len(model.len() as u64).expect("it has room");
        let mut dice = 1_u64;
        let mut draw = |below: usize| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) as usize % below
        };
        for round in 0..2_000 {
            match draw(20) {
                0 => disk.0.lock().expect("whole").1 = draw(2) == 0,
                1 => {
                    model.resize(PAGE + draw(4 * PAGE), 0);
                    file.set_len(model.len() as u64).expect("that always works");
                }
                2 => {
                    let full = disk.0.lock().expect("whole").1;
                    if !full {
                        file.sync_data().expect("there is room");
                        assert_eq!(disk.0.lock().expect("whole").0, model, "in round {round} it is durable");
                    } else if file.sync_data().is_ok() {
                        assert_eq!(disk.0.lock().expect("whole").0, model, "nothing was held in round {round}");
                    }
                }
                _ => {
                    let at = draw(model.len());
                    let data = vec![draw(256) as u8; draw(2 * PAGE).min(model.len() - at)];
                    model[at..][..data.len()].copy_from_slice(&data);
                    file.write(at as u64, &data).expect("it is held");
                }
            }
            let at = draw(model.len());
            let mut out = vec![0; draw(2 * PAGE).min(model.len() - at)];
            file.read(at as u64, &mut out).expect("it can be read");
            assert_eq!(out, model[at..][..out.len()], "in round {round}");
        }
    }
}
