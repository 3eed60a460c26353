//! The form of a file of the log: a header, the records that the file was begun with, and those that were added.
//!
//! A file is used again and again, in place. Its *generation* grows with each use and is part of every checksum, so what
//! is left of an earlier use is never taken for something new. So is the place of a record: a copy of one in a value that
//! a user stores is no record. The header says where the records end that the file was begun with: it counts only when
//! all of these are there.
//!
//! Each record says how far the file was synced when the record was written. What stands before that point must be
//! good. So a record that cannot be read is the torn end of the log, unless a later one vouches for it.

use super::super::StoreError;
use crate::data::{ReignId, Revision};
use crate::ledger::limits::ARRIVING;
use bytes::Bytes;
use redb::StorageBackend;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The length of the header, in bytes.
pub(super) const HEADER: u64 = 64;
/// The length of what stands before the content of a record, in bytes.
const HEAD: usize = 32;
/// Records begin at multiples of this, in bytes.
const ALIGNED: usize = 8;
/// How much of a file is read at once, in bytes.
const WINDOW: usize = 256 << 10;

/// What a file begins with.
const MAGIC: [u8; 8] = *b"tanist/l";
/// The format of the files. It grows when an older program could not read them. The sum stands in the last eight bytes
/// of the header in every format.
const FORMAT: u32 = 1;

/// The beginning of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    /// Which use of the files this is.
    pub generation: u64,
    /// Where the records end that the file was begun with.
    pub begun: u64,
    /// The position of the tables when the file was begun: they were durable up to here.
    pub base: Revision,
}

impl Header {
    pub(super) fn to_bytes(self) -> [u8; HEADER as usize] {
        let mut form = [0; HEADER as usize];
        form[..8].copy_from_slice(&MAGIC);
        form[8..12].copy_from_slice(&FORMAT.to_be_bytes());
        let numbers = [self.generation, self.begun, self.base.number, self.base.reign.0];
        for (at, number) in numbers.into_iter().enumerate() {
            form[16 + at * 8..24 + at * 8].copy_from_slice(&number.to_be_bytes());
        }
        let sum = xxh3_64_with_seed(&form[..56], 0);
        form[56..].copy_from_slice(&sum.to_be_bytes());
        form
    }

    /// None when it is not a header, or not all of one.
    fn of_bytes(form: &[u8]) -> Result<Option<Header>, StoreError> {
        if !form.starts_with(&MAGIC) || number(form, 56) != xxh3_64_with_seed(&form[..56], 0) {
            return Ok(None);
        }
        match number(form, 8) >> 32 {
            format if format == u64::from(FORMAT) => {}
            later => return Err(StoreError::Later(later)),
        }
        let base = Revision::new(ReignId(number(form, 40)), number(form, 32));
        Ok(Some(Header { generation: number(form, 16), begun: number(form, 24), base }))
    }
}

/// What a record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(super) enum Kind {
    /// A batch that was ordered or appended.
    Batch = 0x7461_0001,
    /// The tables are committed up to this revision.
    Commit = 0x7461_0002,
    /// The log goes on in the other file, under this generation.
    Next = 0x7461_0003,
}

impl Kind {
    fn of(number: u64) -> Option<Kind> {
        [Kind::Batch, Kind::Commit, Kind::Next].into_iter().find(|kind| *kind as u64 == number)
    }
}

/// A record that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Record {
    pub kind: Kind,
    pub generation: u64,
    /// How far the file was synced when it was written.
    pub synced: u64,
    pub content: Bytes,
    /// Where the next one begins.
    pub end: u64,
}

impl Record {
    /// The revision of a commit.
    pub(super) fn revision(&self) -> Option<Revision> {
        let form = self.content.get(..16)?;
        Some(Revision::new(ReignId(number(form, 8)), number(form, 0)))
    }

    /// The generation that follows.
    pub(super) fn next(&self) -> Option<u64> {
        Some(number(self.content.get(..8)?, 0))
    }
}

/// How much room a record takes with this much content, in bytes.
pub(super) fn size(content: usize) -> usize {
    HEAD + content.next_multiple_of(ALIGNED)
}

/// Records that are to be written, one behind the other.
#[derive(Debug)]
pub(super) struct Records {
    /// The bytes of them: at most those of what is pending ([`crate::ledger::limits::PENDING`]).
    pub bytes: Vec<u8>,
    /// Where they are to be written.
    at: u64,
    generation: u64,
    synced: u64,
}

impl Records {
    /// None yet, for this place in a file that is synced so far.
    pub(super) fn new(at: u64, generation: u64, synced: u64) -> Records {
        Records { bytes: Vec::new(), at, generation, synced }
    }

    pub(super) fn push(&mut self, kind: Kind, content: &[u8]) {
        let start = self.bytes.len();
        let length = u32::try_from(content.len()).expect("a batch is far shorter");
        self.bytes.extend_from_slice(&(kind as u32).to_be_bytes());
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(&self.generation.to_be_bytes());
        self.bytes.extend_from_slice(&self.synced.to_be_bytes());
        let sum = sum(self.at + start as u64, &self.bytes[start..], content);
        self.bytes.extend_from_slice(&sum.to_be_bytes());
        self.bytes.extend_from_slice(content);
        self.bytes.resize(start + size(content.len()), 0);
    }

    /// Where they end.
    pub(super) fn end(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }

    /// What is to be written now, and where. Further records follow it.
    pub(super) fn take(&mut self) -> (u64, Vec<u8>) {
        let at = self.at;
        self.at = self.end();
        (at, std::mem::take(&mut self.bytes))
    }
}

/// The content of a record that tells how far the tables are committed.
pub(super) fn commit(committed: Revision) -> [u8; 16] {
    let mut form = [0; 16];
    form[..8].copy_from_slice(&committed.number.to_be_bytes());
    form[8..].copy_from_slice(&committed.reign.0.to_be_bytes());
    form
}

/// The checksum of a record at this place. Its head, before the sum, has its generation.
fn sum(at: u64, head: &[u8], content: &[u8]) -> u64 {
    xxh3_64_with_seed(head, xxh3_64_with_seed(content, at))
}

fn number(form: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(form[at..at + 8].try_into().expect("eight bytes"))
}

/// Reads a file, a window at a time.
pub(super) struct Scan<'a> {
    file: &'a dyn StorageBackend,
    length: u64,
    /// What was read last, at most `WINDOW` bytes or one record.
    window: Vec<u8>,
    /// Where the window begins.
    at: u64,
}

impl<'a> Scan<'a> {
    pub(super) fn new(file: &'a dyn StorageBackend) -> Result<Scan<'a>, StoreError> {
        Ok(Scan { file, length: file.len().map_err(StoreError::io)?, window: Vec::new(), at: 0 })
    }

    /// So many bytes from here on. None when the file ends before.
    fn bytes(&mut self, at: u64, count: usize) -> Result<Option<&[u8]>, StoreError> {
        let end = at.saturating_add(count as u64);
        if end > self.length {
            return Ok(None);
        }
        if at < self.at || end > self.at + self.window.len() as u64 {
            let left = usize::try_from(self.length - at).unwrap_or(usize::MAX);
            self.window.resize(count.max(WINDOW).min(left), 0);
            self.at = at;
            self.file.read(at, &mut self.window).map_err(StoreError::io)?;
        }
        let from = usize::try_from(at - self.at).expect("it is in the window");
        Ok(Some(&self.window[from..from + count]))
    }

    /// The header, if there is one.
    pub(super) fn header(&mut self) -> Result<Option<Header>, StoreError> {
        let form = self.bytes(0, HEADER as usize)?;
        form.map_or(Ok(None), Header::of_bytes)
    }

    /// The record that begins here, of whatever generation.
    pub(super) fn record(&mut self, at: u64) -> Result<Option<Record>, StoreError> {
        let Some(head) = self.bytes(at, HEAD)? else { return Ok(None) };
        let first = number(head, 0);
        let (Some(kind), length) = (Kind::of(first >> 32), first as u32 as usize) else { return Ok(None) };
        let (generation, synced, stated) = (number(head, 8), number(head, 16), number(head, 24));
        if length > ARRIVING {
            return Ok(None);
        }
        let Some(all) = self.bytes(at, size(length))? else { return Ok(None) };
        let content = &all[HEAD..HEAD + length];
        if sum(at, &all[..24], content) != stated {
            return Ok(None);
        }
        let content = Bytes::copy_from_slice(content);
        Ok(Some(Record { kind, generation, synced, content, end: at + size(length) as u64 }))
    }

    /// Looks at all records behind this point, wherever they stand.
    pub(super) fn rest(&mut self, behind: u64, generation: u64) -> Result<Rest, StoreError> {
        let (mut at, mut rest) = (behind.max(HEADER), Rest::default());
        while at + HEAD as u64 <= self.length {
            match self.record(at)? {
                Some(record) => {
                    rest.highest = rest.highest.max(record.generation);
                    if record.generation >= generation && record.synced > behind {
                        rest.witness = rest.witness.max(record.generation);
                    }
                    at = record.end;
                }
                None => at += ALIGNED as u64,
            }
        }
        Ok(rest)
    }
}

/// What there is behind the end of the records.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Rest {
    /// The highest generation of a record: it must not be used again, for the record would count. 0 when there is none.
    pub highest: u64,
    /// The highest generation of a record that was written when the file was synced beyond the end: what stands there
    /// was good once. 0 when there is none.
    pub witness: u64,
}

#[cfg(test)]
#[path = "tests/record.rs"]
mod tests;
