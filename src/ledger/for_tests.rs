//! What the tables of tests are made of.

use super::limits::Limits;
use super::{Adopted, Joined, Ledger, Memory, Ordered, Scan, Trouble, Values};
use crate::data::{Ask, Condition, Judged, ReignId, Request, RequestId, Revision, Tagged};
use crate::ident::NodeId;
use crate::time::Wall;
use bytes::Bytes;
use std::collections::VecDeque;
use std::convert::Infallible;
use uuid::Uuid;

pub(super) const NODE: NodeId = NodeId(Uuid::from_u128(7));
/// Reigns whose tags differ.
pub(super) const A: ReignId = ReignId(0xa << 32);
pub(super) const B: ReignId = ReignId(0xb << 32);

pub(super) fn at(reign: ReignId, number: u64) -> Revision {
    Revision::new(reign, number)
}

pub(super) fn request(id: u128, ask: Ask) -> Request {
    Request { id: RequestId(id), at: Wall(1_000_000 + id as u64), node: NODE, ask }
}

pub(super) fn put_if(key: &str, value: &str, condition: Condition) -> Ask {
    Ask::Put { key: key.to_owned(), value: Bytes::copy_from_slice(value.as_bytes()), condition }
}

pub(super) fn put(key: &str, value: &str) -> Ask {
    put_if(key, value, Condition::None)
}

pub(super) fn delete(key: &str) -> Ask {
    Ask::Delete { key: key.to_owned(), condition: Condition::None }
}

pub(super) fn add(topic: &str, value: &str) -> Ask {
    Ask::Add { topic: topic.to_owned(), value: Bytes::copy_from_slice(value.as_bytes()) }
}

pub(super) fn is(revision: Revision) -> Condition {
    let Tagged { number, tag } = revision.tagged();
    Condition::Is(Tagged { number, tag })
}

/// One member: a ledger and its store.
#[derive(Debug)]
pub(super) struct Member {
    pub store: Memory,
    pub ledger: Ledger,
}

impl Member {
    pub(super) fn new(limits: Limits) -> Member {
        let mut store = Memory::new();
        let ledger = Ledger::open(&mut store, limits).expect("memory does not fail");
        Member { store, ledger }
    }

    /// Orders what is asked.
    pub(super) fn order(&mut self, reign: ReignId, requests: Vec<Request>) -> Ordered {
        self.ledger.order(&self.store, reign, 0, &mut VecDeque::from(requests)).expect("memory does not fail")
    }

    pub(super) fn ask(&mut self, reign: ReignId, id: u128, ask: Ask) -> Judged {
        self.order(reign, vec![request(id, ask)]).answers[0]
    }

    pub(super) fn commit(&mut self) {
        let through = self.ledger.position();
        assert_eq!(self.ledger.commit(&mut self.store, through), Ok(through));
    }
}

impl Member {
    /// Joins all that another has, after it was told of its position.
    pub(super) fn meet(&mut self, reign: ReignId, other: &mut Member) -> Vec<Joined> {
        let mut scan = Scan::new(self.ledger.context().clone(), Values::All);
        let above = other.ledger.position().number;
        self.ledger.begin_offer(&mut self.store).expect("memory does not fail");
        while let Some(piece) = other.ledger.offer(&mut other.store, &mut scan, 100).expect("memory does not fail") {
            let taken = self.ledger.take_offer(&mut self.store, reign, above, &piece).expect("it can be taken");
            if taken.complete {
                break;
            }
        }
        self.ledger.begin_join(&mut self.store, reign, above).expect("it is complete");
        let mut joined = Vec::new();
        while let Some(part) = self.ledger.join_next(&mut self.store, 100).expect("memory does not fail") {
            joined.push(part);
        }
        joined
    }

    /// Takes over what another has committed.
    pub(super) fn copy(&mut self, other: &Member, values: Values) -> Result<Adopted, Trouble<Infallible>> {
        let mut scan = Scan::new(self.ledger.context().clone(), values);
        self.ledger.begin_copy(&mut self.store)?;
        while let Some(piece) = scan.next(&other.store, 100)? {
            self.ledger.take_copy(&mut self.store, &piece)?;
        }
        self.ledger.adopt(&mut self.store)
    }
}
