//! The changes that were ordered or taken in last, whether acknowledged or not: a member that was away for a moment goes on
//! from where it was.

use crate::data::Revision;
use crate::ledger::read_batch;
use crate::protocol::Stretch;
use bytes::Bytes;
use std::collections::VecDeque;

/// Bytes of changes that are kept, beyond the last batch.
const TAIL: usize = 8 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// Where each batch continues, and its last change. Bound: [`TAIL`] bytes.
    batches: VecDeque<(Revision, Stretch)>,
    bytes: usize,
}

impl Tail {
    pub(super) fn push(&mut self, after: Revision, last: Revision, batch: Bytes) {
        self.bytes += batch.len();
        self.batches.push_back((after, Stretch { last: last.number, batch }));
        while self.bytes > TAIL && self.batches.len() > 1 {
            let (_, oldest) = self.batches.pop_front().expect("there is one");
            self.bytes -= oldest.batch.len();
        }
    }

    /// A batch of the leader, which was taken in.
    pub(super) fn push_read(&mut self, bytes: &Bytes) {
        if let Ok(batch) = read_batch(bytes) {
            self.push(batch.after, batch.last(), bytes.clone());
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Tail::default();
    }

    /// What continues this position; none when that is not known any more.
    pub(super) fn after(&self, position: Revision) -> Option<Vec<Stretch>> {
        let from = self.batches.iter().position(|(after, _)| *after == position)?;
        Some(self.batches.range(from..).map(|(_, stretch)| stretch.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ReignId;

    #[test]
    fn it_goes_back_as_far_as_its_bytes_allow() {
        let at = |n| Revision::new(ReignId(1), n);
        let mut tail = Tail::default();
        for n in 0..20 {
            tail.push(at(n), at(n + 1), Bytes::from(vec![0; 1 << 20]));
        }
        assert_eq!(tail.after(at(11)), None);
        let lasts: Vec<u64> = tail.after(at(12)).expect("kept").iter().map(|s| s.last).collect();
        assert_eq!(lasts, (13..=20).collect::<Vec<_>>());
        tail.push(at(20), at(21), Bytes::from(vec![0; 9 << 20]));
        assert_eq!((tail.after(at(19)), tail.after(at(20)).map(|all| all.len())), (None, Some(1)));
        tail.clear();
        assert_eq!(tail.after(at(20)), None);
    }
}
