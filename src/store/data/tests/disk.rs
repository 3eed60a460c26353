//! A disk in memory that keeps what was synced apart from what was written, dies at any operation, and fails on demand.

use super::super::{Files, OpenFile};
use redb::StorageBackend;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

const PAGE: usize = 4096;
/// What a disk writes at once.
const PIECE: usize = 512;

/// Draws that a seed repeats.
#[derive(Clone, Debug)]
pub(in crate::store::data) struct Dice(u64);

impl Dice {
    pub(in crate::store::data) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(in crate::store::data) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(self.0) * u128::from(n)) >> 64) as u64
    }

    pub(in crate::store::data) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What a file holds, in pages.
#[derive(Clone, Default)]
struct Image {
    pages: Vec<Option<Arc<[u8; PAGE]>>>,
    length: usize,
}

impl Image {
    fn set_len(&mut self, length: usize) {
        self.pages.resize(length.div_ceil(PAGE), None);
        if length < self.length
            && let Some(page) = self.pages.last_mut().and_then(Option::as_mut).filter(|_| !length.is_multiple_of(PAGE))
        {
            Arc::make_mut(page)[length % PAGE..].fill(0);
        }
        self.length = length;
    }

    /// Whether all of this is on the disk already.
    fn has(&self, at: usize, length: usize) -> bool {
        (at / PAGE..(at + length).div_ceil(PAGE)).all(|page| self.pages.get(page).is_some_and(Option::is_some))
    }

    fn read(&self, mut at: usize, mut out: &mut [u8]) {
        while !out.is_empty() {
            let (here, rest) = out.split_at_mut((PAGE - at % PAGE).min(out.len()));
            match &self.pages[at / PAGE] {
                Some(page) => here.copy_from_slice(&page[at % PAGE..][..here.len()]),
                None => here.fill(0),
            }
            at += here.len();
            out = rest;
        }
    }

    fn write(&mut self, mut at: usize, mut data: &[u8]) {
        self.set_len(self.length.max(at + data.len()));
        while !data.is_empty() {
            let (here, rest) = data.split_at((PAGE - at % PAGE).min(data.len()));
            let page = self.pages[at / PAGE].get_or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(page)[at % PAGE..][..here.len()].copy_from_slice(here);
            at += here.len();
            data = rest;
        }
    }
}

enum Op {
    Write(usize, Arc<[u8]>),
    Len(usize),
}

#[derive(Default)]
struct File {
    synced: Image,
    now: Image,
    /// Since the last sync.
    unsynced: Vec<Op>,
}

impl File {
    fn sync(&mut self) {
        self.unsynced.clear();
        self.synced = self.now.clone();
    }

    /// Of each piece that was written and not synced: the old content, the new, or some of both.
    fn lose(&mut self, dice: &mut Dice, kept: u64) {
        for op in std::mem::take(&mut self.unsynced) {
            match op {
                Op::Len(length) if dice.chance(kept) => self.synced.set_len(length),
                Op::Len(_) => {}
                Op::Write(at, data) => tear(&mut self.synced, at, &data, dice, kept),
            }
        }
        self.now = self.synced.clone();
    }
}

fn tear(image: &mut Image, mut at: usize, mut data: &[u8], dice: &mut Dice, kept: u64) {
    while !data.is_empty() {
        let (here, rest) = data.split_at((PIECE - at % PIECE).min(data.len()));
        let count = match dice.chance(kept) {
            true => here.len(),
            false if dice.chance(30) => dice.below(here.len() as u64) as usize,
            false => 0,
        };
        if count > 0 {
            image.write(at, &here[..count]);
        }
        at += here.len();
        data = rest;
    }
}

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store::data) enum Wrong {
    /// Nothing can be written.
    Full,
    /// What is there can be written over; there is room for nothing more.
    NoRoom,
    /// Syncs fail, and then nobody knows what was written.
    Syncs,
    /// Everything fails.
    All,
}

#[derive(Default)]
struct Inner {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    /// How many operations there were.
    done: u64,
    /// The process dies in the middle of this one.
    dies_at: Option<u64>,
    /// Grows with each process: what an earlier one does counts no more.
    process: u64,
    wrong: Option<(Range<u64>, Wrong)>,
    syncs: u64,
    writes: u64,
    aside: u32,
}

/// A disk, which outlives its processes.
#[derive(Clone, Default)]
pub(in crate::store::data) struct Disk(Arc<Mutex<Inner>>);

impl Disk {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panicked with the disk in hand")
    }

    /// What a new process has.
    pub(in crate::store::data) fn files(&self) -> Box<dyn Files> {
        let mut inner = self.lock();
        inner.process += 1;
        inner.dies_at = None;
        Box::new(Place { disk: self.clone(), process: inner.process, place: String::new() })
    }

    /// The number of operations so far.
    pub(in crate::store::data) fn done(&self) -> u64 {
        self.lock().done
    }

    pub(in crate::store::data) fn syncs(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.writes, inner.syncs)
    }

    pub(in crate::store::data) fn die_at(&self, operation: u64) {
        self.lock().dies_at = Some(operation);
    }

    /// Whether the process has died.
    pub(in crate::store::data) fn is_dead(&self) -> bool {
        let inner = self.lock();
        inner.dies_at.is_some_and(|at| at <= inner.done)
    }

    /// During these operations something is wrong.
    pub(in crate::store::data) fn go_wrong(&self, when: Range<u64>, wrong: Wrong) {
        self.lock().wrong = Some((when, wrong));
    }

    /// The process is dead; with the power went what was not synced, but for `kept` of a hundred pieces.
    pub(in crate::store::data) fn crash(&self, power: bool, dice: &mut Dice) {
        let mut inner = self.lock();
        inner.process += 1;
        inner.wrong = None;
        if power {
            let kept = [0, 30, 50, 80, 100][dice.below(5) as usize];
            inner.files.iter_mut().for_each(|file| file.lose(dice, kept));
        }
    }

    /// The files by their names, with their lengths.
    pub(in crate::store::data) fn names(&self) -> Vec<(String, usize)> {
        let inner = self.lock();
        inner.names.iter().map(|(name, file)| (name.clone(), inner.files[*file].now.length)).collect()
    }

    /// All that a file holds.
    pub(in crate::store::data) fn content(&self, name: &str) -> Vec<u8> {
        let inner = self.lock();
        let image = &inner.files[inner.names[name]].now;
        let mut content = vec![0; image.length];
        image.read(0, &mut content);
        content
    }

    /// Another disk, whose files hold the same.
    pub(in crate::store::data) fn copy(&self) -> Disk {
        let inner = self.lock();
        let file = |file: &File| File { synced: file.now.clone(), now: file.now.clone(), unsynced: Vec::new() };
        let files = inner.files.iter().map(file).collect();
        Disk(Arc::new(Mutex::new(Inner { files, names: inner.names.clone(), ..Inner::default() })))
    }

    /// Removes a file.
    pub(in crate::store::data) fn remove(&self, name: &str) {
        self.lock().names.remove(name).expect("it is there");
    }

    /// Changes a byte of a file, or cuts it off there.
    pub(in crate::store::data) fn damage(&self, name: &str, at: usize, how: Option<u8>) {
        let mut inner = self.lock();
        let number = inner.names[name];
        let file = &mut inner.files[number];
        match how {
            Some(with) => {
                let mut byte = [0];
                file.now.read(at, &mut byte);
                file.now.write(at, &[byte[0] ^ with]);
            }
            None => file.now.set_len(at),
        }
        file.sync();
    }
}

fn dead() -> io::Error {
    io::Error::other("this process is dead")
}

impl Inner {
    /// An operation that changes something. Whether it is the last one of the process, and what it fails with.
    fn step(&mut self, process: u64, sync: bool) -> io::Result<bool> {
        if process != self.process {
            return Err(dead());
        }
        self.done += 1;
        let last = self.dies_at == Some(self.done);
        if last {
            self.process += 1;
        }
        match &self.wrong {
            Some((when, wrong)) if when.contains(&self.done) => match wrong {
                Wrong::Full if !sync => Err(io::ErrorKind::StorageFull.into()),
                Wrong::Full | Wrong::NoRoom => Ok(last),
                Wrong::Syncs if !sync => Ok(last),
                Wrong::Syncs | Wrong::All => Err(io::Error::other("input/output error")),
            },
            _ => Ok(last),
        }
    }
}

/// What a process has of a disk.
struct Place {
    disk: Disk,
    process: u64,
    /// What the names begin with.
    place: String,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a place on a disk in memory")
    }
}

impl Place {
    fn handle(&self, file: usize) -> OpenFile {
        Box::new(Handle { disk: self.disk.clone(), process: self.process, file })
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.place)
    }

    fn step(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let mut inner = self.disk.lock();
        if inner.step(self.process, false)? { Err(dead()) } else { Ok(inner) }
    }
}

impl Files for Place {
    fn open(&mut self, name: &str) -> io::Result<Option<OpenFile>> {
        let inner = self.disk.lock();
        if inner.process != self.process {
            return Err(dead());
        }
        Ok(inner.names.get(&self.name(name)).map(|file| self.handle(*file)))
    }

    fn create(&mut self, name: &str) -> io::Result<OpenFile> {
        let mut inner = self.step()?;
        inner.files.push(File::default());
        let file = inner.files.len() - 1;
        inner.names.insert(self.name(name), file);
        Ok(self.handle(file))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.step()?;
        let file = inner.names.remove(&self.name(from)).ok_or(io::ErrorKind::NotFound)?;
        inner.names.insert(self.name(to), file);
        Ok(())
    }

    fn set_aside(&mut self) -> io::Result<Option<PathBuf>> {
        let mut inner = self.step()?;
        inner.aside += 1;
        let aside = format!("aside-{}/", inner.aside);
        let names: Vec<String> = inner.names.keys().filter(|name| !name.contains('/')).cloned().collect();
        for name in &names {
            let file = inner.names.remove(name).expect("it is there");
            inner.names.insert(format!("{aside}{name}"), file);
        }
        Ok((!names.is_empty()).then(|| PathBuf::from(aside)))
    }

    fn beside(&self) -> io::Result<Box<dyn Files>> {
        let mut inner = self.step()?;
        inner.names.retain(|name, _| !name.starts_with("new/"));
        Ok(Box::new(Place { disk: self.disk.clone(), process: self.process, place: "new/".to_owned() }))
    }

    fn replace(&mut self) -> io::Result<()> {
        let mut inner = self.step()?;
        inner.names.retain(|name, _| name.contains('/'));
        let names: Vec<String> = inner.names.keys().filter(|name| name.starts_with("new/")).cloned().collect();
        for name in names {
            let file = inner.names.remove(&name).expect("it is there");
            inner.names.insert(name["new/".len()..].to_owned(), file);
        }
        Ok(())
    }
}

/// An open file.
struct Handle {
    disk: Disk,
    process: u64,
    file: usize,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a file in memory")
    }
}

impl Handle {
    fn read_with<T>(&self, read: impl FnOnce(&Image) -> io::Result<T>) -> io::Result<T> {
        let inner = self.disk.lock();
        let wrong = inner.wrong.as_ref().filter(|(when, wrong)| *wrong == Wrong::All && when.contains(&inner.done));
        if inner.process != self.process || wrong.is_some() {
            return Err(dead());
        }
        read(&inner.files[self.file].now)
    }

    /// The last operation of a process is done, in as far as a crash leaves it, and yet fails.
    fn change(&self, op: Op) -> io::Result<()> {
        let mut inner = self.disk.lock();
        let last = inner.step(self.process, false)?;
        let full =
            inner.wrong.as_ref().is_some_and(|(when, wrong)| *wrong == Wrong::NoRoom && when.contains(&inner.done));
        let file = &mut inner.files[self.file];
        if let Op::Write(at, data) = &op
            && full
            && !file.now.has(*at, data.len())
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        inner.writes += 1;
        let file = &mut inner.files[self.file];
        match &op {
            Op::Write(at, data) => file.now.write(*at, data),
            Op::Len(length) => file.now.set_len(*length),
        }
        file.unsynced.push(op);
        if last { Err(dead()) } else { Ok(()) }
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        self.read_with(|image| Ok(image.length as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.read_with(|image| {
            let at = offset as usize;
            if at + out.len() > image.length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            image.read(at, out);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Op::Len(len as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.disk.lock();
        if inner.step(self.process, true)? {
            return Err(dead());
        }
        inner.syncs += 1;
        inner.files[self.file].sync();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Op::Write(offset as usize, data.into()))
    }
}
