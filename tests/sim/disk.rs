//! A disk that keeps what was synced apart from what was written.
//!
//! It has several files, and one order for everything that is done to them. The stores run on it for real, at once; *when* its operations count is decided by virtual time: a list of operations
//! (writes, changes of length, syncs) is kept, and a write of the core counts as done when its `Persisted` is delivered.
//! A crash before that leaves the operations up to some point in the middle; a power cut leaves, for each 512-byte piece
//! that was written after the last sync, the old, the new or a torn content.

use crate::dice::Dice;
use redb::StorageBackend;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use tanist::store::data::{Files, OpenFile};

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

/// A file, by number.
type File = usize;

#[derive(Clone)]
enum Op {
    Write(File, u64, Arc<[u8]>),
    Len(File, u64),
    Sync(File),
    /// From now on these names stand for these files: durable by itself.
    Names(Arc<BTreeMap<String, File>>),
}

impl Op {
    fn file(&self) -> Option<File> {
        match self {
            Op::Write(file, ..) | Op::Len(file, _) | Op::Sync(file) => Some(*file),
            Op::Names(_) => None,
        }
    }

    fn apply(&self, images: &mut Images) {
        match self {
            Op::Write(file, at, data) => images.of(*file).write(*at, data),
            Op::Len(file, len) => images.of(*file).set_len(*len),
            Op::Sync(_) | Op::Names(_) => {}
        }
    }
}

/// What the files have in them.
#[derive(Clone, Default)]
struct Images(Vec<Image>);

impl Images {
    fn of(&mut self, file: File) -> &mut Image {
        if self.0.len() <= file {
            self.0.resize(file + 1, Image::default());
        }
        &mut self.0[file]
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
    synced: Images,
    /// Everything since, in order; the first `done` of them are known to have been carried out.
    ops: Vec<Op>,
    done: usize,
    /// How many operations came before these.
    settled: u64,
    current: Images,
    /// Which name stands for which file, and what of that is durable.
    names: BTreeMap<String, File>,
    synced_names: Arc<BTreeMap<String, File>>,
    files: File,
    /// Grows each time the disk is opened: what an earlier process does through its old handle counts no more.
    opened: u64,
    /// Grows each time a process ends: the same for the files of the data.
    ended: u64,
    trouble: Trouble,
    skip_sync: bool,
}

impl Inner {
    /// What is done to a file before a sync of it, within the first `upto` operations, is on the disk for good.
    fn settle(&mut self, upto: usize) {
        let mut last: BTreeMap<File, usize> = BTreeMap::new();
        for (i, op) in self.ops[..upto].iter().enumerate() {
            if let Op::Sync(file) = op {
                last.insert(*file, i);
            }
        }
        if last.is_empty() && !self.ops[..upto].iter().any(|op| matches!(op, Op::Names(_))) {
            self.done = self.done.max(upto);
            return;
        }
        let (before, done) = (self.ops.len(), self.done.max(upto));
        let mut kept = Vec::with_capacity(before);
        let mut done_kept = 0;
        for (i, op) in std::mem::take(&mut self.ops).into_iter().enumerate() {
            match op {
                Op::Names(names) if i < upto => self.synced_names = names,
                op if op.file().and_then(|file| last.get(&file)).is_some_and(|sync| i <= *sync) => {
                    op.apply(&mut self.synced);
                }
                op => {
                    done_kept += usize::from(i < done);
                    kept.push(op);
                }
            }
        }
        self.settled += (before - kept.len()) as u64;
        (self.ops, self.done) = (kept, done_kept);
    }

    /// Names have changed.
    fn named(&mut self) {
        self.ops.push(Op::Names(Arc::new(self.names.clone())));
    }

    fn cut_short(&mut self, dice: &mut Dice) {
        let left = self.ops.len() - self.done;
        let upto = self.done + dice.index(left + 1);
        self.ops.truncate(upto);
        self.settle(upto);
        self.names = (*self.synced_names).clone();
        self.opened += 1;
        self.ended += 1;
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
        Handle { disk: self.clone(), opened: inner.opened, file: 0 }
    }

    /// The files of the data.
    pub(crate) fn folder(&self) -> Folder {
        Folder { disk: self.clone(), below: String::new() }
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
                Op::Len(..) if dice.chance(0.5) => {}
                Op::Write(file, at, data) => tear(inner.synced.of(file), at, &data, dice),
                other => other.apply(&mut inner.synced),
            }
        }
        inner.current = inner.synced.clone();
    }

    /// One bit of the data's files is not what was written, while nobody has them open. Gives the file's name.
    pub(crate) fn damage(&self, dice: &mut Dice) -> String {
        let mut inner = self.lock();
        let names = Arc::clone(&inner.synced_names);
        let written: Vec<(&String, File)> = names.iter().map(|(name, file)| (name, *file)).collect();
        let written: Vec<_> = written.into_iter().filter(|(_, file)| inner.synced.of(*file).len > 0).collect();
        let (name, file) = *dice.pick(&written);
        let mut byte = [0];
        let at = dice.below(inner.synced.of(file).len);
        inner.synced.of(file).read(at, &mut byte);
        byte[0] ^= 1 << dice.below(8);
        inner.synced.of(file).write(at, &byte);
        inner.current = inner.synced.clone();
        format!("{name} at {at}")
    }

    /// Wherever a file of the data has this text, it has another, while nobody has it open. Gives in how many places.
    pub(crate) fn alter(&self, name: &str, text: &[u8]) -> usize {
        let mut inner = self.lock();
        let names = Arc::clone(&inner.synced_names);
        let file = *names.get(name).expect("it is there");
        let mut all = vec![0; usize::try_from(inner.synced.of(file).len).expect("small")];
        inner.synced.of(file).read(0, &mut all);
        let places: Vec<usize> =
            (0..all.len().saturating_sub(text.len())).filter(|at| all[*at..].starts_with(text)).collect();
        for at in &places {
            inner.synced.of(file).write(*at as u64, &[text[0] ^ 1]);
        }
        inner.current = inner.synced.clone();
        places.len()
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
        let inner = self.lock();
        let (synced, synced_names, files) = (inner.synced.clone(), inner.synced_names.clone(), inner.files);
        let (current, names) = (synced.clone(), (*synced_names).clone());
        Disk(Arc::new(Mutex::new(Inner { current, synced, names, synced_names, files, ..Inner::default() })))
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
    file: File,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a simulated disk")
    }
}

impl Handle {
    fn with<T>(&self, f: impl FnOnce(&mut Inner) -> io::Result<T>) -> io::Result<T> {
        let mut inner = self.disk.lock();
        let opened = if self.file == 0 { inner.opened } else { inner.ended };
        if opened != self.opened {
            return Err(io::Error::other("the process that opened this disk is dead"));
        }
        f(&mut inner)
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        self.with(|inner| Ok(inner.current.of(self.file).len))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|inner| {
            let image = inner.current.of(self.file);
            if offset + out.len() as u64 > image.len {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            image.read(offset, out);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|inner| {
            if inner.trouble == Trouble::Full && len > inner.current.of(self.file).len {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            inner.current.of(self.file).set_len(len);
            inner.ops.push(Op::Len(self.file, len));
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|inner| {
            if inner.trouble == Trouble::Failing {
                return Err(io::Error::other("input/output error"));
            }
            if !inner.skip_sync {
                inner.ops.push(Op::Sync(self.file));
            }
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with(|inner| {
            if inner.trouble == Trouble::Full {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            inner.current.of(self.file).write(offset, data);
            inner.ops.push(Op::Write(self.file, offset, data.into()));
            Ok(())
        })
    }
}

/// The files of a disk by their names, those that begin so.
#[derive(Clone)]
pub(crate) struct Folder {
    disk: Disk,
    below: String,
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a simulated folder {}", self.below)
    }
}

impl Folder {
    fn all(&self) -> Vec<String> {
        self.disk.lock().names.keys().filter(|name| name.starts_with(&self.below)).cloned().collect()
    }
}

impl Files for Folder {
    fn open(&mut self, name: &str) -> io::Result<Option<OpenFile>> {
        let inner = self.disk.lock();
        let file = inner.names.get(&format!("{}{name}", self.below)).copied();
        let handle = |file| Handle { disk: self.disk.clone(), opened: inner.ended, file };
        Ok(file.map(|file| -> OpenFile { Box::new(handle(file)) }))
    }

    fn create(&mut self, name: &str) -> io::Result<OpenFile> {
        let mut inner = self.disk.lock();
        if inner.trouble == Trouble::Full {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        inner.files += 1;
        let file = inner.files;
        inner.names.insert(format!("{}{name}", self.below), file);
        inner.named();
        Ok(Box::new(Handle { disk: self.disk.clone(), opened: inner.ended, file }))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.disk.lock();
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let file = inner.names.remove(&format!("{}{from}", self.below)).ok_or_else(gone)?;
        inner.names.insert(format!("{}{to}", self.below), file);
        inner.named();
        Ok(())
    }

    fn set_aside(&mut self) -> io::Result<Option<PathBuf>> {
        let all = self.all();
        let mut inner = self.disk.lock();
        inner.names.retain(|name, _| !all.contains(name));
        inner.named();
        Ok((!all.is_empty()).then(|| PathBuf::from("aside")))
    }

    fn beside(&self) -> io::Result<Box<dyn Files>> {
        let mut beside = Folder { below: format!("new/{}", self.below), ..self.clone() };
        beside.set_aside()?;
        Ok(Box::new(beside))
    }

    fn replace(&mut self) -> io::Result<()> {
        self.set_aside()?;
        let beside = format!("new/{}", self.below);
        let mut inner = self.disk.lock();
        let names: Vec<String> = inner.names.keys().filter(|name| name.starts_with(&beside)).cloned().collect();
        for name in names {
            let file = inner.names.remove(&name).expect("listed");
            inner.names.insert(name["new/".len()..].to_owned(), file);
        }
        inner.named();
        Ok(())
    }
}
