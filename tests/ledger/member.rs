//! A member: a ledger over a store, and a disk that keeps what was synced.

use bytes::Bytes;
use std::collections::BTreeMap;
use tanist::data::{Judged, ReignId, RequestId, Revision};
use tanist::ledger::limits::Limits;
use tanist::ledger::{Ledger, Memory};

/// What outlives a crash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    /// The store at the last checkpoint.
    pub(crate) store: Memory,
    /// The log since, and maybe some before.
    pub(crate) log: Vec<Bytes>,
}

/// A batch, or a part of a whole, in a leader's stream.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) after: Revision,
    pub(crate) last: Revision,
    pub(crate) complete: bool,
    pub(crate) bytes: Bytes,
}

/// A request that waits for its answer.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) judged: Judged,
    pub(crate) request: RequestId,
    /// None for a record.
    pub(crate) key: Option<String>,
    pub(crate) refused: bool,
}

/// What a leader has.
#[derive(Clone, Debug)]
pub(crate) struct Lead {
    pub(crate) reign: ReignId,
    /// Where the stream begins: the leader's store when its reign began.
    pub(crate) start: Revision,
    /// What was pending then, and all that it ordered since.
    pub(crate) stream: Vec<Sent>,
    /// Followers, and how much of the stream is durable there as far as the leader was told.
    pub(crate) acked: BTreeMap<usize, usize>,
    /// The successor, and from where commits wait for it.
    pub(crate) successor: Option<(usize, usize)>,
    /// How much of the stream is committed.
    pub(crate) commit: usize,
    pub(crate) committed_once: bool,
    pub(crate) waiting: Vec<Waiting>,
}

impl Lead {
    /// The position behind so much of the stream, when it is one.
    pub(crate) fn position(&self, index: usize) -> Revision {
        let complete = self.stream[..index].iter().rfind(|sent| sent.complete);
        complete.map_or(self.start, |sent| sent.last)
    }

    /// How much of the stream a store at this position has, when it is one of the stream's.
    pub(crate) fn index(&self, position: Revision) -> Option<usize> {
        if position == self.start {
            return Some(0);
        }
        self.stream.iter().position(|sent| sent.complete && sent.last == position).map(|at| at + 1)
    }
}

/// A follower, and what it gets next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Following {
    pub(crate) leader: usize,
    pub(crate) reign: ReignId,
    pub(crate) next: usize,
}

pub(crate) struct Member {
    pub(crate) store: Memory,
    pub(crate) ledger: Ledger,
    pub(crate) disk: Disk,
    /// On their way to the disk, and the position that is durable when each has come there.
    pub(crate) unsynced: Vec<(Bytes, Revision)>,
    /// The position that is durable.
    pub(crate) durable: Revision,
    /// What readers saw.
    pub(crate) shown: Revision,
    pub(crate) lead: Option<Lead>,
    pub(crate) follows: Option<Following>,
    /// The highest number that it was told of.
    pub(crate) told: u64,
}

impl Member {
    pub(crate) fn new(limits: Limits) -> Member {
        Member::open(Disk::default(), limits)
    }

    /// A process starts: the store is opened as it is on the disk, and the log appended.
    pub(crate) fn open(disk: Disk, limits: Limits) -> Member {
        let mut store = disk.store.clone();
        let mut ledger = Ledger::open(&mut store, limits).expect("memory does not fail");
        for bytes in &disk.log {
            ledger.append(&mut store, bytes).expect("the log continues the store");
        }
        let (durable, shown) = (ledger.position(), ledger.committed());
        Member { store, ledger, disk, unsynced: Vec::new(), durable, shown, lead: None, follows: None, told: 0 }
    }

    /// A batch goes to the disk.
    pub(crate) fn write(&mut self, bytes: Bytes) {
        self.unsynced.push((bytes, self.ledger.position()));
    }

    /// So many of the batches that are on their way come to the disk.
    pub(crate) fn sync(&mut self, count: usize) {
        for (bytes, position) in self.unsynced.drain(..count) {
            self.disk.log.push(bytes);
            self.durable = self.durable.max(position);
        }
    }

    /// The store becomes durable as it is, and the log that it has is forgotten, or some of it.
    pub(crate) fn checkpoint(&mut self, keep: usize) {
        self.disk.store = self.store.clone();
        // A batch may have said that a whole is committed which was not durable here by itself.
        self.durable = self.durable.max(self.ledger.committed());
        let old = self.disk.log.iter().take_while(|bytes| {
            let batch = tanist::ledger::read_batch(bytes).expect("it was written here");
            batch.last().number <= self.ledger.committed().number
        });
        let old = old.count().saturating_sub(keep);
        self.disk.log.drain(..old);
    }

    /// A copy was adopted: one transaction, and nothing of the log is left.
    pub(crate) fn adopted(&mut self) {
        self.unsynced.clear();
        self.disk = Disk { store: self.store.clone(), log: Vec::new() };
        self.durable = self.ledger.position();
    }
}
