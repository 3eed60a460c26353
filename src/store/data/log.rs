//! The log: what was ordered or appended, until the tables have it for good.
//!
//! Two files are written in turn. One is begun with all that the tables lack, when they have just been made durable, and
//! from then on the other does not count. So after a crash one file is enough: the one that was begun last. Its room is
//! filled with zeros beforehand and written over: to write over what is there costs half of a sync that makes a file
//! longer.
//!
//! After a start, and after anything failed, no record is added to a file: what stands behind its end is not known. The
//! next write begins the other one.

use super::super::StoreError;
use super::files::{Files, OpenFile};
use super::record::{self, HEADER, Header, Kind, Records, Rest, Scan};
use crate::data::Revision;
use bytes::Bytes;
use redb::StorageBackend;

/// Bytes of records after which a file is worn, and the tables are to be made durable.
pub const SEGMENT: u64 = 8 << 20;
/// What part of a segment a file grows to; beyond a segment it grows by one.
const STEPS: [u64; 4] = [32, 8, 2, 1];
/// How much is written at once where it need not be one write, in bytes.
const PIECE: usize = 1 << 20;
/// The names of the files.
const NAMES: [&str; 2] = ["log-1", "log-2"];

/// What is in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Logged {
    /// A batch, as it was ordered.
    Batch(Bytes),
    /// The tables were committed up to here.
    Commit(Revision),
}

/// The file that counts.
#[derive(Clone, Copy, Debug)]
struct Current {
    /// Which of the two.
    file: usize,
    generation: u64,
    /// The position of the tables when it was begun.
    base: Revision,
    /// Where the records end that it was begun with.
    begun: u64,
    /// Where the next record goes.
    end: u64,
    /// How much of it is durable.
    synced: u64,
}

/// The two files, of which one counts.
#[derive(Debug, Default)]
pub(super) struct Log {
    files: [Option<OpenFile>; 2],
    /// How long each is, as far as that is known.
    lengths: [Option<u64>; 2],
    /// None before the first write.
    current: Option<Current>,
    /// Records can be added to the current file.
    open: bool,
    /// Behind its end may be what failed, and must not be found.
    cut: bool,
    /// The highest generation that was begun, or was to be.
    highest: u64,
    /// Bytes of records after which a file is worn.
    segment: u64,
}

impl Log {
    /// Opens the log of an earlier process, if there is one. What it holds is durable on return.
    ///
    /// Generations up to `void` do not count. One of at least `needed` was begun, unless that is not above `void`.
    pub(super) fn find(files: &mut dyn Files, void: u64, needed: u64, segment: u64) -> Result<Log, StoreError> {
        let mut log = Log::after(void.max(needed), segment);
        for (file, name) in log.files.iter_mut().zip(NAMES) {
            *file = files.open(name).map_err(StoreError::io)?;
        }
        let mut found = [None, None];
        for (found, file) in found.iter_mut().zip(&log.files) {
            *found = file.as_deref().map(examine).transpose()?;
        }
        let whole = (0..2).filter(|file| found[*file].is_some_and(|found| found.is_whole() && found.generation > void));
        let best = whole.max_by_key(|file| found[*file].map(|found| found.generation));
        let at = best.and_then(|file| found[file]).map_or(void, |found| found.generation);
        for found in found.iter().flatten() {
            log.highest = log.highest.max(found.generation).max(found.rest.highest);
            if found.next > at || found.rest.witness > void && found.rest.witness >= at {
                return Err(damaged("a record of the log that was durable cannot be read"));
            }
        }
        if needed > at {
            return Err(damaged("the file of the log that was in use is missing"));
        }
        log.current = best.and_then(|file| {
            let Found { generation, base, begun, end, .. } = found[file]?;
            Some(Current { file, generation, base, begun, end, synced: end })
        });
        if let Some(current) = log.current {
            // What a process wrote that died may be in the memory of the system only, and the other file is to be written
            // over.
            log.file(current.file).sync_data().map_err(StoreError::io)?;
        }
        Ok(log)
    }

    /// A log without a file that counts: generations up to `void` do not.
    pub(super) fn after(void: u64, segment: u64) -> Log {
        Log { highest: void, segment, ..Log::default() }
    }

    /// Whether there is a file that counts.
    pub(super) fn is_begun(&self) -> bool {
        self.current.is_some()
    }

    /// The highest generation that was begun, or was to be.
    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// The position that the tables must have at least; none before the first write.
    pub(super) fn base(&self) -> Option<Revision> {
        self.current.map(|current| current.base)
    }

    /// The generation of the file that counts.
    pub(super) fn generation(&self) -> u64 {
        self.current.map_or(0, |current| current.generation)
    }

    /// Whether records can be added. Otherwise the other file must be begun.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Whether there is, or may be, more in the file than what it was begun with.
    pub(super) fn is_used(&self) -> bool {
        self.cut || self.current.is_some_and(|current| current.end > current.begun)
    }

    /// Whether so much was added that the other file should be begun.
    pub(super) fn is_worn(&self) -> bool {
        // What a file is begun with is copied: it must not be copied again for little.
        self.current.is_some_and(|current| current.end - current.begun >= self.segment.max(current.begun))
    }

    /// Shows what is durable, in order.
    pub(super) fn replay(&self, mut each: impl FnMut(Logged) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let Some(current) = &self.current else { return Ok(()) };
        let mut scan = Scan::new(self.file(current.file))?;
        let mut at = HEADER;
        while at < current.synced {
            let record = scan.record(at)?.filter(|record| record.generation == current.generation);
            let record = record.ok_or_else(|| damaged("a record of the log cannot be read any more"))?;
            at = record.end;
            match record.kind {
                Kind::Batch => each(Logged::Batch(record.content))?,
                Kind::Commit => {
                    let committed = record.revision().ok_or_else(|| damaged("a record of the log is too short"))?;
                    each(Logged::Commit(committed))?;
                }
                Kind::Next => {}
            }
        }
        Ok(())
    }

    /// Tries whether the disk would take the other file: nothing of it changes but its length.
    pub(super) fn try_other(&mut self, files: &mut dyn Files) -> Result<(), StoreError> {
        let file = self.other(files)?;
        self.make_room(file, HEADER)?;
        let to = self.file(file);
        let mut last = [0];
        let tried = to.len().and_then(|length| {
            to.read(length - 1, &mut last)?;
            to.write(length - 1, &last)?;
            to.sync_data()
        });
        tried.map_err(StoreError::io)
    }

    /// The file that does not count, made when there is none.
    fn other(&mut self, files: &mut dyn Files) -> Result<usize, StoreError> {
        let file = self.current.map_or(0, |current| 1 - current.file);
        if self.files[file].is_none() {
            self.files[file] = Some(files.create(NAMES[file]).map_err(StoreError::io)?);
        }
        Ok(file)
    }

    /// Begins the other file with all that the tables lack, which are durable up to `base`. Durable on return; after an
    /// error the present file counts on, closed.
    pub(super) fn begin(&mut self, files: &mut dyn Files, base: Revision, batches: &[Bytes]) -> Result<(), StoreError> {
        self.open = false;
        self.highest += 1;
        let (generation, file) = (self.highest, self.other(files)?);
        let begun = HEADER + batches.iter().map(|batch| record::size(batch.len()) as u64).sum::<u64>();
        let length = self.file(file).len().map_err(StoreError::io)?;
        if length > 2 * self.segment && begun <= self.segment {
            self.file(file).set_len(self.segment).map_err(StoreError::io)?;
        }
        self.lengths[file] = None;
        self.make_room(file, begun)?;
        let to = self.file(file);
        let mut records = Records::new(0, generation, 0);
        records.bytes.extend_from_slice(&Header { generation, begun, base }.to_bytes());
        for batch in batches {
            records.push(Kind::Batch, batch);
            if records.bytes.len() >= PIECE {
                let (at, bytes) = records.take();
                to.write(at, &bytes).map_err(StoreError::io)?;
            }
        }
        let (at, bytes) = records.take();
        assert_eq!(at + bytes.len() as u64, begun, "the header says how much there is");
        to.write(at, &bytes).and_then(|()| to.sync_data()).map_err(StoreError::io)?;
        let current = Current { file, generation, base, begun, end: begun, synced: begun };
        if let Some(before) = self.current.replace(current) {
            self.leave(before, generation);
        }
        (self.open, self.cut) = (true, false);
        Ok(())
    }

    /// Notes in a file that it does not count any more: when the other one cannot be read, that is damage. Nothing
    /// waits for it, so it may fail.
    fn leave(&self, before: Current, generation: u64) {
        let mut records = Records::new(before.end, before.generation, before.synced);
        records.push(Kind::Next, &generation.to_be_bytes());
        let _ = self.file(before.file).write(before.end, &records.bytes);
    }

    /// Adds batches, in one write. Durable on return; after an error they are not in the log, and it is closed.
    pub(super) fn write(&mut self, batches: &[Bytes]) -> Result<(), StoreError> {
        assert!(self.open, "a file that is closed is not written to");
        let mut current = self.current.expect("an open log has a file");
        let mut records = Records::new(current.end, current.generation, current.synced);
        for batch in batches {
            records.push(Kind::Batch, batch);
        }
        let written = self.make_room(current.file, records.end()).and_then(|()| {
            let file = self.file(current.file);
            file.write(current.end, &records.bytes).and_then(|()| file.sync_data()).map_err(StoreError::io)
        });
        self.open = written.is_ok();
        written?;
        (current.end, current.synced) = (records.end(), records.end());
        self.current = Some(current);
        Ok(())
    }

    /// Notes how far the tables are committed. It becomes durable with the next batches, and is there before when the
    /// process dies and the machine does not.
    pub(super) fn note(&mut self, committed: Revision) {
        let Some(current) = self.current.filter(|_| self.open) else { return };
        let mut records = Records::new(current.end, current.generation, current.synced);
        records.push(Kind::Commit, &record::commit(committed));
        let noted = self
            .make_room(current.file, records.end())
            .and_then(|()| self.file(current.file).write(current.end, &records.bytes).map_err(StoreError::io));
        // Nothing is lost without it. The next batches will meet the same trouble, and begin the other file.
        self.open = noted.is_ok();
        if self.open {
            self.current = Some(Current { end: records.end(), ..current });
        }
    }

    /// What failed is not to be found: the file ends where it is known to be durable, and takes nothing more.
    pub(super) fn cut(&mut self) {
        (self.open, self.cut) = (false, true);
        if let Some(current) = &mut self.current {
            current.end = current.synced;
        }
    }

    fn file(&self, file: usize) -> &dyn StorageBackend {
        self.files[file].as_deref().expect("the file was opened")
    }

    /// Makes a file so long that it has room up to here, and fills what is new with zeros.
    fn make_room(&mut self, which: usize, needed: u64) -> Result<(), StoreError> {
        if self.lengths[which].is_some_and(|length| needed <= length) {
            return Ok(());
        }
        // Until it is as long as it should be, nobody relies on its length.
        self.lengths[which] = None;
        let file = self.file(which);
        let length = file.len().map_err(StoreError::io)?;
        if needed <= length {
            self.lengths[which] = Some(length);
            return Ok(());
        }
        let step = STEPS.into_iter().map(|part| self.segment / part).find(|step| *step >= needed);
        let longer = step.unwrap_or_else(|| needed.next_multiple_of(self.segment));
        file.set_len(longer).map_err(StoreError::io)?;
        let zeros = vec![0; PIECE.min(usize::try_from(longer - length).unwrap_or(PIECE))];
        let mut at = length;
        while at < longer {
            let count = PIECE.min(usize::try_from(longer - at).unwrap_or(PIECE));
            file.write(at, &zeros[..count]).map_err(StoreError::io)?;
            at += count as u64;
        }
        self.lengths[which] = Some(longer);
        Ok(())
    }
}

/// What there is in a file.
#[derive(Clone, Copy, Debug)]
struct Found {
    /// 0 when it has no header.
    generation: u64,
    base: Revision,
    begun: u64,
    /// Where the records end that can be read.
    end: u64,
    rest: Rest,
    /// The generation that follows in the other file; or 0.
    next: u64,
}

impl Found {
    /// Whether all is there that the file was begun with.
    fn is_whole(&self) -> bool {
        self.generation > 0 && self.end >= self.begun
    }
}

fn examine(file: &dyn StorageBackend) -> Result<Found, StoreError> {
    let mut scan = Scan::new(file)?;
    let Some(Header { generation, begun, base }) = scan.header()? else {
        let rest = scan.rest(0, 1)?;
        return Ok(Found { generation: 0, base: Revision::ZERO, begun: 0, end: 0, rest, next: 0 });
    };
    let (mut end, mut next) = (HEADER, 0);
    while let Some(record) = scan.record(end)?.filter(|record| record.generation == generation) {
        end = record.end;
        next = next.max(record.next().filter(|_| record.kind == Kind::Next).unwrap_or(0));
    }
    Ok(Found { generation, base, begun, end, rest: scan.rest(end, generation)?, next })
}

fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(what.to_owned())
}

#[cfg(test)]
#[path = "tests/log.rs"]
mod tests;
