//! A disk that keeps what was synced apart from what was written.
//!
//! The store runs on it for real, at once; *when* its operations count is decided by virtual time: a list of operations
//! (writes, changes of length, syncs) is kept, and a write of the core counts as done when its `Persisted` is delivered.
//! A crash before that leaves the operations up to some point in the middle; a power cut leaves, for each 512-byte piece
//! that was written after the last sync, the old, the new or a torn content.

use crate::dice::Dice;
use redb::StorageBackend;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

const PAGE: usize = 4096;
/// What a disk writes at once.
const PIECE: usize = 512;

#[derive(Clone, Default)]
struct Image {
    pages: Vec<Option<Arc<[u8; PAGE]>>>,
    len: u64,
}

impl Image {
    fn set_len(&mut self, len: u64) {
        self.pages.resize(usize::try_from(len).expect("small").div_ceil(PAGE), None);
        let rest = usize::try_from(len).expect("small") % PAGE;
        if len < self.len
            && rest > 0
            && let Some(page) = self.pages.last_mut().and_then(Option::as_mut)
        {
            Arc::make_mut(page)[rest..].fill(0);
        }
        self.len = len;
    }

    fn read(&self, offset: u64, out: &mut [u8]) {
        let mut at = usize::try_from(offset).expect("small");
        let mut done = 0;
        while done < out.len() {
            let n = (PAGE - at % PAGE).min(out.len() - done);
            match self.pages.get(at / PAGE).and_then(Option::as_ref) {
                Some(page) => out[done..done + n].copy_from_slice(&page[at % PAGE..at % PAGE + n]),
                None => out[done..done + n].fill(0),
            }
            at += n;
            done += n;
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let mut at = usize::try_from(offset).expect("small");
        let end = at + data.len();
        if end as u64 > self.len {
            self.set_len(end as u64);
        }
        let mut done = 0;
        while done < data.len() {
            let n = (PAGE - at % PAGE).min(data.len() - done);
            let page = self.pages[at / PAGE].get_or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(page)[at % PAGE..at % PAGE + n].copy_from_slice(&data[done..done + n]);
            at += n;
            done += n;
        }
    }
}

#[derive(Clone)]
enum Op {
    Write(u64, Arc<[u8]>),
    Len(u64),
    Sync,
}

impl Op {
    fn apply(&self, image: &mut Image) {
        match self {
            Op::Write(at, data) => image.write(*at, data),
            Op::Len(len) => image.set_len(*len),
            Op::Sync => {}
        }
    }
}

/// What is wrong with a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Trouble {
    #[default]
    None,
    /// Nothing more fits.
    Full,
    /// Syncs fail.
    Failing,
    /// Syncs do not come to an end.
    Stuck,
}

#[derive(Default)]
struct Inner {
    synced: Image,
    /// Everything since, in order; the first `done` of them are known to have been carried out.
    ops: Vec<Op>,
    done: usize,
    /// How many operations came before these.
    settled: u64,
    current: Image,
    /// Grows each time the disk is opened: what an earlier process does through its old handle counts no more.
    opened: u64,
    trouble: Trouble,
    skip_sync: bool,
}

impl Inner {
    /// Everything up to the last sync within the first `upto` operations is on the disk for good.
    fn settle(&mut self, upto: usize) {
        let synced = self.ops[..upto].iter().rposition(|op| matches!(op, Op::Sync)).map_or(0, |i| i + 1);
        for op in self.ops.drain(..synced) {
            op.apply(&mut self.synced);
        }
        self.done = self.done.max(upto).saturating_sub(synced);
        self.settled += synced as u64;
    }

    fn cut_short(&mut self, dice: &mut Dice) {
        let left = self.ops.len() - self.done;
        let upto = self.done + dice.index(left + 1);
        self.ops.truncate(upto);
        self.settle(upto);
        self.opened += 1;
    }
}

/// One machine's disk, which outlives its processes.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<Inner>>);

impl Disk {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panicked with the disk in hand")
    }

    /// What a new process opens.
    pub(crate) fn open(&self) -> Handle {
        let mut inner = self.lock();
        inner.opened += 1;
        Handle { disk: self.clone(), opened: inner.opened }
    }

    /// The point up to which the disk was asked for something so far.
    pub(crate) fn mark(&self) -> u64 {
        let inner = self.lock();
        inner.settled + inner.ops.len() as u64
    }

    /// Everything up to that point came to its end.
    pub(crate) fn complete(&self, mark: u64) {
        let mut inner = self.lock();
        let upto = usize::try_from(mark.saturating_sub(inner.settled)).expect("small");
        let upto = upto.max(inner.done).min(inner.ops.len());
        inner.settle(upto);
    }

    /// The process died in the middle: what it wrote stays, what it had not come to does not.
    pub(crate) fn process_died(&self, dice: &mut Dice) {
        let mut inner = self.lock();
        inner.cut_short(dice);
        inner.done = inner.ops.len();
        let mut image = inner.synced.clone();
        inner.ops.iter().for_each(|op| op.apply(&mut image));
        inner.current = image;
    }

    /// The power went: what was synced stays; each piece that was written since is old, new or torn.
    pub(crate) fn power_cut(&self, dice: &mut Dice) {
        let mut inner = self.lock();
        inner.cut_short(dice);
        let ops = std::mem::take(&mut inner.ops);
        inner.settled += ops.len() as u64;
        inner.done = 0;
        for op in ops {
            match op {
                Op::Len(_) if dice.chance(0.5) => {}
                Op::Write(at, data) => tear(&mut inner.synced, at, &data, dice),
                other => other.apply(&mut inner.synced),
            }
        }
        inner.current = inner.synced.clone();
    }

    pub(crate) fn set_trouble(&self, trouble: Trouble) {
        self.lock().trouble = trouble;
    }

    pub(crate) fn trouble(&self) -> Trouble {
        self.lock().trouble
    }

    /// The backend lies from now on: it does not sync.
    pub(crate) fn skip_sync(&self) {
        self.lock().skip_sync = true;
    }

    /// Another disk with the same content, as an image that was copied while the machine ran.
    pub(crate) fn copy(&self) -> Disk {
        let synced = self.lock().synced.clone();
        Disk(Arc::new(Mutex::new(Inner { current: synced.clone(), synced, ..Inner::default() })))
    }
}

fn tear(image: &mut Image, at: u64, data: &[u8], dice: &mut Dice) {
    let mut from = 0;
    while from < data.len() {
        let here = usize::try_from(at).expect("small") + from;
        let n = (PIECE - here % PIECE).min(data.len() - from);
        let keep = match dice.below(3) {
            0 => 0,
            1 => n,
            _ => dice.index(n + 1),
        };
        if keep > 0 {
            image.write(at + from as u64, &data[from..from + keep]);
        }
        from += n;
    }
}

/// An opened disk.
pub(crate) struct Handle {
    disk: Disk,
    opened: u64,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a simulated disk")
    }
}

impl Handle {
    fn with<T>(&self, f: impl FnOnce(&mut Inner) -> io::Result<T>) -> io::Result<T> {
        let mut inner = self.disk.lock();
        if inner.opened != self.opened {
            return Err(io::Error::other("the process that opened this disk is dead"));
        }
        f(&mut inner)
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        self.with(|inner| Ok(inner.current.len))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|inner| {
            if offset + out.len() as u64 > inner.current.len {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            inner.current.read(offset, out);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|inner| {
            if inner.trouble == Trouble::Full && len > inner.current.len {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            inner.current.set_len(len);
            inner.ops.push(Op::Len(len));
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|inner| {
            if inner.trouble == Trouble::Failing {
                return Err(io::Error::other("input/output error"));
            }
            if !inner.skip_sync {
                inner.ops.push(Op::Sync);
            }
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with(|inner| {
            if inner.trouble == Trouble::Full {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            inner.current.write(offset, data);
            inner.ops.push(Op::Write(offset, data.into()));
            Ok(())
        })
    }
}
