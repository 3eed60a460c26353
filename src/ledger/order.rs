//! Ordering: the leader judges each request by the state after everything that is pending, and gives it a number.

use super::codec::{check_key, check_topic, check_value, encode};
use super::draft::Draft;
use super::limits::{BATCH, CHANGES};
use super::pending::Making;
use super::storage::Storage;
use super::trims::{self, Due, NoTrim};
use super::{Ledger, Trouble, codec, import, records, requests};
use crate::data::{
    Add, Answer, Ask, Batch, Before, Change, Condition, Judged, Keep, Part, Refusal, ReignId, Replaces, Request,
    RequestId, Revision, Saved, Sibling, Slice, Tagged, Write,
};
use bytes::Bytes;
use std::collections::VecDeque;

/// What became of requests.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ordered {
    /// The changes, when there are any.
    pub batch: Option<Encoded>,
    /// One answer for each request that was taken, in their order: at most CHANGES.
    pub answers: Vec<Judged>,
}

/// A batch as bytes, which are made once: for the log, and for every follower.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Encoded {
    /// The position that it continues; for a part of a joined whole, where the whole continues.
    pub after: Revision,
    /// The revision of its last change.
    pub last: Revision,
    /// Whether a store is complete with it: what does not end a joined whole is not.
    pub complete: bool,
    /// All of it.
    pub bytes: Bytes,
}

/// What is to be done about a request.
pub(super) enum Verdict {
    /// Under the next number.
    Do(Change),
    /// The same, and it stands beside others.
    Beside(Change),
    /// The same, and what is told.
    Trims(Change, u64, bool),
    /// Nothing.
    Say(Answer),
}

impl Ledger {
    /// Judges requests from the front of the queue, in their order, and makes one batch of those that have an effect.
    /// Those that do not fit stay in the queue, and all do while [`Ledger::holds`].
    ///
    /// The numbers are above every number that was seen here and above `above`, the highest that the leader was told of.
    ///
    /// # Errors
    /// Those of the store.
    pub fn order<S: Storage>(
        &mut self,
        store: &S,
        reign: ReignId,
        above: u64,
        queue: &mut VecDeque<Request>,
    ) -> Result<Ordered, Trouble<S::Error>> {
        if self.holds() || queue.is_empty() {
            return Ok(Ordered::default());
        }
        let answers = Vec::with_capacity(queue.len().min(CHANGES));
        self.make(store, reign, above, answers, |making, answers| {
            while let Some(request) = queue.pop_front() {
                let next = making.next();
                let answer = match judge(&making.draft, request)? {
                    Verdict::Do(change) => making.push(change).map(|()| Answer::Done(next))?,
                    Verdict::Beside(change) => making.push(change).map(|()| Answer::Beside(next))?,
                    Verdict::Trims(change, dropped, more) => {
                        making.push(change)?;
                        Answer::Trimmed { revision: Some(next), dropped, more }
                    }
                    Verdict::Say(answer) => answer,
                };
                answers.push(Judged { answer, by: making.position() });
                if making.is_full() || answers.len() == CHANGES {
                    break;
                }
            }
            Ok(())
        })
        .map(|(batch, answers)| Ordered { batch, answers })
    }

    /// Makes a batch that stands alone; none when nothing is pushed.
    pub(super) fn make<S: Storage, T>(
        &mut self,
        store: &S,
        reign: ReignId,
        above: u64,
        mut with: T,
        fill: impl FnOnce(&mut Batching<'_, '_, S>, &mut T) -> Result<(), Trouble<S::Error>>,
    ) -> Result<(Option<Encoded>, T), Trouble<S::Error>> {
        self.guarded(|ledger| {
            // Of a whole that an earlier leader did not complete nothing is left.
            ledger.whole = None;
            let after = ledger.head.facts.position;
            let first = after.number.max(above).max(ledger.given) + 1;
            ledger.pending.begin(after);
            let mut rows = Making { store, pending: &mut ledger.pending };
            let draft = Draft { rows: &mut rows, head: &mut ledger.head, limits: &ledger.limits };
            let (committed, part) = (ledger.committed, Part::Alone);
            let batch = Batch { after, committed, reign, first, part, changes: Vec::new() };
            let mut making = Batching { draft, batch, bytes: 0 };
            fill(&mut making, &mut with)?;
            let Batching { mut draft, batch, .. } = making;
            if batch.changes.is_empty() {
                ledger.pending.nothing();
                return Ok((None, with));
            }
            let last = batch.last();
            draft.end(last)?;
            let bytes = Bytes::from(encode(&batch));
            ledger.given = last.number;
            ledger.pending.end(last, vec![bytes.clone()]);
            Ok((Some(Encoded { after, last, complete: true, bytes }), with))
        })
    }
}

/// A batch that is being made.
pub(super) struct Batching<'a, 'b, S> {
    pub draft: Draft<'a, Making<'b, S>>,
    batch: Batch,
    bytes: usize,
}

impl<S: Storage> Batching<'_, '_, S> {
    /// The revision of the next change.
    fn next(&self) -> Revision {
        Revision::new(self.batch.reign, self.batch.first + self.batch.changes.len() as u64)
    }

    /// The revision of the last change; without one the position that the batch continues.
    fn position(&self) -> Revision {
        if self.batch.changes.is_empty() { self.batch.after } else { self.batch.last() }
    }

    pub(super) fn push(&mut self, change: Change) -> Result<(), Trouble<S::Error>> {
        if self.batch.changes.is_empty() {
            self.draft.begin(self.batch.reign)?;
        }
        self.draft.apply(self.next(), &change)?;
        self.bytes += size(&change);
        self.batch.changes.push(change);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.bytes >= BATCH || self.batch.changes.len() >= CHANGES
    }
}

/// About how many bytes a change of a request has.
fn size(change: &Change) -> usize {
    let varying = match change {
        Change::Add(add) => add.topic.len() + add.value.len(),
        Change::Write(write) => write.key.len() + write.value.as_ref().map_or(0, Bytes::len),
        Change::Trim(trim) => trim.topic.len() + trim.context.len() * 20,
        _ => 0,
    };
    128 + varying
}

fn judge<S: Storage>(draft: &Draft<'_, Making<'_, S>>, request: Request) -> Result<Verdict, Trouble<S::Error>> {
    if let Err(why) = well_formed(&request.ask) {
        return Ok(Verdict::Say(Answer::Refused(Refusal::Malformed(why))));
    }
    match request.ask {
        Ask::Add { .. } => judge_add(draft, request),
        Ask::Trim { topic, before } => judge_trim(draft, &topic, before),
        Ask::Import { .. } => import::judge(draft, request),
        Ask::Put { .. } | Ask::Delete { .. } | Ask::Resolve { .. } => judge_write(draft, request),
    }
}

/// Says what is wrong with the sizes of a request.
fn well_formed(ask: &Ask) -> Result<(), &'static str> {
    let checked = match ask {
        Ask::Add { topic, value } | Ask::Import { saved: Saved::Record { topic, value }, .. } => {
            check_topic(topic).and_then(|()| check_value(value))
        }
        Ask::Put { key, value, .. } => check_key(key).and_then(|()| check_value(value)),
        Ask::Delete { key, .. } => check_key(key),
        Ask::Resolve { key, keep: Keep::Value(Some(value)), .. } => check_key(key).and_then(|()| check_value(value)),
        Ask::Resolve { key, .. } => check_key(key),
        Ask::Import { saved: Saved::Sibling { key, value }, .. } => {
            check_key(key).and_then(|()| value.iter().try_for_each(|value| check_value(value)))
        }
        Ask::Trim { topic, .. } => check_topic(topic),
    };
    checked.map_err(|why| match why {
        codec::Unread::Garbage(why) => why,
        codec::Unread::Later(_) => "it is of a later version",
    })
}

fn judge_add<S: Storage>(draft: &Draft<'_, Making<'_, S>>, request: Request) -> Result<Verdict, Trouble<S::Error>> {
    let Request { id, at, node, ask: Ask::Add { topic, value } } = request else { unreachable!("it adds") };
    Ok(match known_record(draft, id, &topic, &value)? {
        Some(answer) => Verdict::Say(answer),
        None => Verdict::Do(Change::Add(Add { births: Vec::new(), id, topic, at, node, value })),
    })
}

/// What is said of a record whose id is here already.
pub(super) fn known_record<S: Storage>(
    draft: &Draft<'_, Making<'_, S>>,
    id: RequestId,
    topic: &str,
    value: &[u8],
) -> Result<Option<Answer>, Trouble<S::Error>> {
    let Some(known) = records::find(&*draft.rows, id)? else { return Ok(None) };
    let same = |record: records::RecordHere<'_>| (record.topic == topic && record.value.0 == value, record.birth());
    let (same, birth) = records::with(&*draft.rows, known, same)?;
    Ok(Some(if same { Answer::Known(birth) } else { Answer::Refused(Refusal::Reused) }))
}

fn judge_trim<S: Storage>(
    draft: &Draft<'_, Making<'_, S>>,
    topic: &str,
    before: Before,
) -> Result<Verdict, Trouble<S::Error>> {
    Ok(match trims::due(&*draft.rows, &draft.head.seen, topic, before)? {
        Ok(Due { trim: Some(trim), dropped, more }) => Verdict::Trims(Change::Trim(trim), dropped, more),
        Ok(Due { trim: None, dropped, more }) => Verdict::Say(Answer::Trimmed { revision: None, dropped, more }),
        Err(NoTrim::Forgotten) => Verdict::Say(Answer::Refused(Refusal::Forgotten)),
        Err(NoTrim::Full) => Verdict::Say(Answer::Refused(Refusal::Full)),
    })
}

fn judge_write<S: Storage>(draft: &Draft<'_, Making<'_, S>>, request: Request) -> Result<Verdict, Trouble<S::Error>> {
    let hash = request.ask.hash();
    if let Some((birth, known)) = requests::known(&*draft.rows, request.id)? {
        let answer = if known == hash || known == requests::SAVED {
            Answer::Known(birth)
        } else {
            Answer::Refused(Refusal::Reused)
        };
        return Ok(Verdict::Say(answer));
    }
    let Request { id, at, node, ask } = request;
    let (key, looked) = match ask {
        // Nothing is asked of the key: it need not be read here.
        Ask::Put { key, value, condition: Condition::None } => (key, Ok((Some(value), Replaces::First))),
        Ask::Put { key, value, condition } => {
            let looked = with_siblings(draft, &key, |siblings| look(Demand::Value(condition), siblings))?;
            (key, looked.map(|replaces| (Some(value), replaces)))
        }
        Ask::Delete { key, condition } => {
            let looked = with_siblings(draft, &key, |siblings| look(Demand::SomeValue(condition), siblings))?;
            (key, looked.map(|replaces| (None, replaces)))
        }
        Ask::Resolve { key, conflict, present, keep } => {
            let looked = with_siblings(draft, &key, |siblings| settle(conflict, present, keep, siblings))?;
            (key, looked)
        }
        Ask::Add { .. } | Ask::Trim { .. } | Ask::Import { .. } => unreachable!("it writes a key"),
    };
    Ok(match looked {
        Ok((value, replaces)) => {
            Verdict::Do(Change::Write(Write { key, value, request: id, hash, at, node, replaces }))
        }
        Err(refusal) => Verdict::Say(Answer::Refused(refusal)),
    })
}

/// Shows the siblings of a key in place; none when there is no such key.
fn with_siblings<S: Storage, T>(
    draft: &Draft<'_, Making<'_, S>>,
    key: &str,
    visit: impl FnOnce(&[Sibling<Slice<'_>>]) -> T,
) -> Result<T, Trouble<S::Error>> {
    let looked = draft.with_key(key, |present| Ok(visit(&present.map_or_else(Vec::new, |(_, entry)| entry.siblings))));
    looked.map(|(_, looked)| looked)
}

/// What a write asks of the siblings of its key.
#[derive(Clone, Copy, Debug)]
enum Demand {
    /// A condition on the value.
    Value(Condition),
    /// The same, and that there is a value.
    SomeValue(Condition),
}

/// The version of a key's value. A key whose first sibling is a deletion has no value.
fn present<V>(siblings: &[Sibling<V>]) -> Option<Revision> {
    siblings.first().filter(|first| first.value.is_some()).map(|first| first.birth)
}

/// Which siblings a write replaces, or why it is refused.
fn look<V>(demand: Demand, siblings: &[Sibling<V>]) -> Result<Replaces, Refusal> {
    let present = present(siblings);
    let (Demand::Value(condition) | Demand::SomeValue(condition)) = demand;
    let holds = match condition {
        Condition::None => true,
        Condition::Absent => present.is_none(),
        Condition::Is(version) => present.map(Revision::tagged) == Some(version),
    };
    match (holds, demand, present) {
        (false, _, _) => Err(Refusal::Changed(present)),
        (true, Demand::SomeValue(_), None) => Err(Refusal::Missing),
        (true, _, _) => Ok(Replaces::First),
    }
}

/// What a key becomes when a conflict of it is settled, and which siblings that replaces; or why it is refused. Nothing is
/// replaced that the author has not read.
fn settle<V: AsRef<[u8]>>(
    conflict: Tagged,
    read: Option<Tagged>,
    keep: Keep,
    siblings: &[Sibling<V>],
) -> Result<(Option<Bytes>, Replaces), Refusal> {
    let [first, conflicts @ ..] = siblings else { return Err(Refusal::Missing) };
    let other = conflicts.iter().find(|other| other.birth.tagged() == conflict).ok_or(Refusal::Missing)?;
    let present = present(siblings);
    if present.map(Revision::tagged) != read {
        return Err(Refusal::Changed(present));
    }
    let of = |sibling: &Sibling<V>| sibling.value.as_ref().map(|value| Bytes::copy_from_slice(value.as_ref()));
    let value = match keep {
        Keep::Present => of(first),
        Keep::Other => of(other),
        Keep::Value(value) => value,
    };
    Ok((value, Replaces::Births(vec![first.birth, other.birth])))
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
