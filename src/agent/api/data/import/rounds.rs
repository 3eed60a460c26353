//! The requests of an import: those of a piece go to the leader together, and the next piece follows when all of them have
//! been judged. What the leader could not take is sent again with its id.
//!
//! Of a key that has several values one request is under way at a time: their order is the order of its values.

use super::super::{Access, IN_FLIGHT};
use super::Stop;
use super::course::Item;
use crate::agent::clock;
use crate::agent::data::{Asked, Outcome};
use crate::data::{Answer, Refusal, Revision};
use crate::ledger::limits::SIBLINGS;
use crate::view::data::{Fault, Imported, NAMED, Taken};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// For how long an import goes on while the leader takes nothing: a few times as long as a request waits for one.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it waits before what the leader could not take is sent again.
const PAUSE: Duration = Duration::from_millis(50);

/// What became of the lines so far.
pub(super) struct Rounds<'a> {
    access: &'a Access,
    /// Something was asked of a leader.
    began: bool,
    records: Taken,
    keys: Taken,
    conflicts: u64,
    refused: Vec<Fault>, // bound: NAMED
    broken: Vec<Fault>,  // bound: NAMED
    unnamed: u64,
    /// The highest revision of what was added.
    last: Option<Revision>,
    epoch: Option<u64>,
    copies: Option<u8>,
}

/// An item that is under way.
struct Under {
    item: Item,
    added: bool,
    known: bool,
}

impl<'a> Rounds<'a> {
    pub(super) fn new(access: &'a Access) -> Self {
        Self {
            access,
            began: false,
            records: Taken::default(),
            keys: Taken::default(),
            conflicts: 0,
            refused: Vec::new(),
            broken: Vec::new(),
            unnamed: 0,
            last: None,
            epoch: None,
            copies: None,
        }
    }

    /// Whether anything was asked of a leader.
    pub(super) fn began(&self) -> bool {
        self.began
    }

    /// The highest revision of what was added.
    pub(super) fn last(&self) -> Option<Revision> {
        self.last
    }

    /// Lines that cannot be read.
    pub(super) fn broken(&mut self, faults: Vec<Fault>) {
        for fault in faults {
            if self.broken.len() < NAMED { self.broken.push(fault) } else { self.unnamed += 1 }
        }
    }

    /// What became of the file. Readers here are at a position.
    pub(super) fn imported(self, complete: bool, here: Revision) -> Imported {
        Imported {
            records: self.records,
            keys: self.keys,
            conflicts: self.conflicts,
            refused: self.refused,
            broken: self.broken,
            unnamed: self.unnamed,
            complete,
            cursor: self.last.unwrap_or(here).into(),
            epoch: self.epoch,
            copies: self.copies,
        }
    }

    /// Has the leader judge what a piece of the file holds, whose lines are so many bytes long.
    pub(super) async fn send(&mut self, items: Vec<Item>, bytes: usize) -> Result<(), Stop> {
        let bytes = u32::try_from(bytes.min(IN_FLIGHT)).unwrap_or(u32::MAX);
        let place = clock::within(PATIENCE, Arc::clone(&self.access.in_flight).acquire_many_owned(bytes)).await;
        let Some(Ok(_place)) = place else {
            return Err(Stop::NoLeader("too many values are on their way already".to_owned()));
        };
        let under = |item| Under { item, added: false, known: false };
        let mut open: Vec<Under> = items.into_iter().map(under).collect();
        self.began |= !open.is_empty();
        let mut why = String::new();
        while !open.is_empty() {
            let round = self.round(&mut open, &mut why);
            match clock::within(PATIENCE, round).await {
                Some(ended) => ended?,
                None if why.is_empty() => return Err(Stop::NoLeader("the agent is too busy to answer".to_owned())),
                None => return Err(Stop::NoLeader(why)),
            }
        }
        Ok(())
    }

    /// Sends the next request of each item, and again until the leader has judged one of them.
    async fn round(&mut self, open: &mut Vec<Under>, why: &mut String) -> Result<(), Stop> {
        loop {
            let mut waiting = Vec::with_capacity(open.len());
            for request in open.iter().filter_map(|under| under.item.requests.front()) {
                let (reply, outcome) = oneshot::channel();
                let asked = Asked { request: request.clone(), reply };
                self.access.data.asks.send(asked).await.map_err(|_| Stop::Ends)?;
                waiting.push(outcome);
            }
            let (mut judged, mut again) = (false, false);
            for (under, outcome) in open.iter_mut().zip(waiting) {
                match outcome.await.map_err(|_| Stop::Ends)? {
                    Outcome::Judged { answer, copies, epoch } => {
                        judged = true;
                        self.copies = Some(self.copies.map_or(copies, |least| least.min(copies)));
                        self.epoch = Some(epoch);
                        self.judged(under, answer);
                    }
                    Outcome::Later(said) | Outcome::Busy(said) => {
                        again = true;
                        *why = said;
                    }
                    Outcome::NoSpace(said) => return Err(Stop::NoSpace(said)),
                }
            }
            open.retain(|under| {
                let goes_on = !under.item.requests.is_empty();
                if !goes_on {
                    let taken = if under.item.is_key { &mut self.keys } else { &mut self.records };
                    taken.added += u64::from(under.added);
                    taken.known += u64::from(under.known && !under.added);
                }
                goes_on
            });
            if again {
                clock::pause(PAUSE).await;
            }
            if judged {
                return Ok(());
            }
        }
    }

    /// The first request of an item was judged.
    fn judged(&mut self, under: &mut Under, answer: Answer) {
        let request = under.item.requests.pop_front();
        match answer {
            Answer::Done(revision) | Answer::Beside(revision) => {
                under.added = true;
                self.conflicts += u64::from(matches!(answer, Answer::Beside(_)));
                self.last = self.last.max(Some(revision));
            }
            Answer::Known(_) => under.known = true,
            Answer::Refused(refusal) => {
                let id = request.map(|request| request.id.to_string()).unwrap_or_default();
                let fault = Fault { line: under.item.line, reason: reason(refusal, &id) };
                if self.refused.len() < NAMED { self.refused.push(fault) } else { self.unnamed += 1 }
            }
            Answer::Trimmed { .. } => {}
        }
    }
}

fn reason(refusal: Refusal, id: &str) -> String {
    match refusal {
        Refusal::Reused => format!("the id {id} is that of something else here"),
        Refusal::Crowded => {
            format!(
                "the key has as many values as it may have: {SIBLINGS}, or 8 MiB of them; settle its conflicts first"
            )
        }
        Refusal::Malformed(why) => why.to_owned(),
        Refusal::Changed(_) | Refusal::Missing | Refusal::Forgotten | Refusal::Full => {
            "the leader refused it".to_owned()
        }
    }
}
