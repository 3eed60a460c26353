//! Requests of other members' users, at the leader (protocol §10).

use crate::ident::ConnId;
use crate::protocol::limits;
use bytes::Bytes;
use std::collections::VecDeque;

/// A member's request: its session, and the member's number for it.
pub(in crate::protocol) type Theirs = (ConnId, u64);

/// See the module. A member sends what is not answered to the next leader, so nothing is kept beyond the role.
#[derive(Clone, Debug, Default)]
pub(in crate::protocol) struct Remote {
    /// Those that were not given to the ledger. Bound: [`limits::FORWARDED`], and [`limits::DATA_BYTES`] in all.
    waiting: VecDeque<(Theirs, Bytes)>,
    bytes: usize,
    /// Those that were given and are not answered. Bound: as those that wait, together.
    given: usize,
}

impl Remote {
    /// Takes a request in. False when too many are there.
    pub(in crate::protocol) fn add(&mut self, from: Theirs, body: Bytes) -> bool {
        if self.waiting.len() + self.given >= limits::FORWARDED || self.bytes + body.len() > limits::DATA_BYTES {
            return false;
        }
        self.bytes += body.len();
        self.waiting.push_back((from, body));
        true
    }

    pub(in crate::protocol) fn any_to_give(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// All that were not given, in the order in which they came. From now on they are.
    pub(in crate::protocol) fn give(&mut self) -> VecDeque<(Theirs, Bytes)> {
        self.given += self.waiting.len();
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    /// One has its answer, or has none to expect.
    pub(in crate::protocol) fn answered(&mut self) {
        self.given = self.given.saturating_sub(1);
    }

    /// Those of a session that is gone wait no more.
    pub(in crate::protocol) fn forget(&mut self, conn: ConnId) {
        self.waiting.retain(|((of, _), _)| *of != conn);
        self.bytes = self.waiting.iter().map(|(_, body)| body.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_refused_and_who_is_gone_makes_room() {
        let mut remote = Remote::default();
        let half = Bytes::from(vec![0; limits::DATA_BYTES / 2]);
        assert!(remote.add((ConnId(1), 1), half.clone()) && remote.add((ConnId(2), 1), half.clone()));
        assert!(!remote.add((ConnId(2), 2), Bytes::from_static(b"x")));
        remote.forget(ConnId(1));
        assert!(remote.add((ConnId(2), 2), Bytes::from_static(b"x")));
        let given: Vec<Theirs> = remote.give().into_iter().map(|(from, _)| from).collect();
        assert_eq!(given, [(ConnId(2), 1), (ConnId(2), 2)]);
        assert!(!remote.any_to_give());
        let room = limits::FORWARDED - 2;
        assert!((0..room as u64).all(|n| remote.add((ConnId(3), n), Bytes::new())));
        assert!(!remote.add((ConnId(3), 0), Bytes::new()), "those that are given count");
        remote.answered();
        assert!(remote.add((ConnId(3), 0), Bytes::new()));
    }
}
