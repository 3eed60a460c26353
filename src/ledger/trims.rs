//! Trimming: records of a topic are dropped for ever, on every side of a split.
//!
//! A trim holds a context: the records of the topic whose birth it covers are gone. It stays when they are, so that they
//! do not come back from another group. Trims of one topic are joined by union.

use super::codec::Unread;
use super::draft::Draft;
use super::limits::{ITEMS, TRIM, TRIMS};
use super::records::{Counts, with};
use super::shares::trim_key;
use super::storage::{Read, Storage, Table, in_topic, number_of, reign_first, reign_of, split_topic};
use super::{Facts, Trouble, contexts, rows};
use crate::data::{Before, Context, Revision, Tagged, Trim};
use crate::time::Wall;
use std::collections::BinaryHeap;
use std::ops::{Bound, ControlFlow};

/// A record of a topic, as a trim looks at it.
struct Seen {
    revision: Revision,
    birth: Revision,
    at: Wall,
}

/// What a trim would do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// The change; none when no record would go.
    pub trim: Option<Trim>,
    /// How many records go.
    pub dropped: u64,
    /// Whether more are due than go at once.
    pub more: bool,
}

/// Why a trim is not to be.
pub(super) enum NoTrim {
    /// The cursor is not known here.
    Forgotten,
    /// Too many trims are remembered.
    Full,
}

/// Up to which number of a reign a topic was trimmed.
fn trimmed<R: Read>(store: &R, topic: &str, of: Revision) -> Result<u64, Trouble<R::Error>> {
    let row = |row: &[u8]| number_of(row).ok_or(Unread::Garbage("a number"));
    Ok(rows::get(store, Table::Trims, &trim_key(topic, of), row)?.unwrap_or(0))
}

/// Shows the records of a topic from a number on in the order of their revisions.
fn each_record<R: Read>(
    store: &R,
    topic: &str,
    (first, last): (u64, u64),
    mut visit: impl FnMut(Seen) -> ControlFlow<()>,
) -> Result<(), Trouble<R::Error>> {
    let (first, last) = (in_topic(topic, first), in_topic(topic, last));
    let range = (Bound::Included(&first[..]), Bound::Included(&last[..]));
    rows::each(store, Table::Topics, range, |key, reign| {
        let number = split_topic(key).map(|(_, number)| number);
        let (Some(number), Some(reign)) = (number, reign_of(reign)) else {
            return Err(Trouble::Damaged(Table::Topics));
        };
        let revision = Revision::new(reign, number);
        let (birth, at) = with(store, revision, |record| (record.birth, record.at))?;
        Ok(visit(Seen { revision, birth, at }))
    })
}

/// The numbers of the first births, at most one more than a trim drops.
#[derive(Default)]
struct Firsts(BinaryHeap<u64>);

impl Firsts {
    const MOST: usize = TRIM + 1;

    /// Says whether it has as many as it takes.
    fn push(&mut self, number: u64) -> bool {
        self.0.push(number);
        if self.0.len() > Self::MOST {
            self.0.pop();
        }
        self.0.len() == Self::MOST
    }

    /// A trim of births below the bound drops so many, and is due below this number; more are due then.
    fn due(self, bound: u64) -> (u64, u64, bool) {
        let numbers = self.0.into_sorted_vec();
        let end = match numbers.last() {
            Some(last) if numbers.len() == Self::MOST => bound.min(*last),
            _ => bound,
        };
        let dropped = numbers.iter().filter(|number| **number < end).count() as u64;
        (end, dropped, dropped > 0 && end < bound)
    }
}

/// What a trim does to the records that are here.
pub(super) fn due<R: Read>(
    store: &R,
    seen: &Context,
    topic: &str,
    before: Before,
) -> Result<Result<Due, NoTrim>, Trouble<R::Error>> {
    let mut context = match before {
        Before::Cursor(cursor) => match at(store, cursor)? {
            Some(context) => context,
            None => return Ok(Err(NoTrim::Forgotten)),
        },
        Before::Keep(_) | Before::Older(_) => seen.clone(),
    };
    let counts = Counts::of(store, topic)?;
    // Without records that were joined, births come in order.
    let in_order = counts.joined == 0;
    let (mut firsts, mut bound) = (Firsts::default(), u64::MAX);
    let surplus = match before {
        Before::Keep(keep) => counts.records.saturating_sub(keep),
        _ => u64::MAX,
    };
    if surplus == 0 {
        return Ok(Ok(Due { trim: None, dropped: 0, more: false }));
    }
    each_record(store, topic, (0, u64::MAX), |record| {
        let young = matches!(before, Before::Older(age) if record.at >= age);
        if young {
            bound = bound.min(record.birth.number);
        }
        if !matches!(before, Before::Cursor(_)) {
            // Of a reign that is forgotten, the context does not say that it was seen.
            context.raise(record.birth);
        }
        let enough = context.covers(record.birth) && firsts.push(record.birth.number);
        if in_order && (young || enough) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if let (Before::Keep(_), Ok(at)) = (before, usize::try_from(surplus)) {
        let numbers = std::mem::take(&mut firsts.0).into_sorted_vec();
        bound = numbers.get(at).copied().unwrap_or(bound);
        firsts.0 = numbers.into();
    }
    let (end, dropped, more) = firsts.due(bound);
    if dropped == 0 {
        return Ok(Ok(Due { trim: None, dropped, more }));
    }
    let context = cut(store, &context, end)?;
    if Facts::read(store)?.trims + context.len() as u64 > TRIMS {
        return Ok(Err(NoTrim::Full));
    }
    Ok(Ok(Due { trim: Some(Trim { topic: topic.to_owned(), context }), dropped, more }))
}

fn at<R: Read>(store: &R, cursor: Tagged) -> Result<Option<Context>, Trouble<R::Error>> {
    match contexts::resolve(store, cursor)? {
        Ok(position) => Ok(contexts::context_at(store, position)?.ok()),
        Err(_) => Ok(None),
    }
}

/// The part of a context that is below a number, without the reigns that begin above it.
fn cut<R: Read>(store: &R, context: &Context, end: u64) -> Result<Context, Trouble<R::Error>> {
    let mut part = Context::new();
    for upto in context.iter() {
        let number = upto.number.min(end - 1);
        let row = |row: &[u8]| reign_first(row).ok_or(Unread::Garbage("a position"));
        let begin = rows::get(store, Table::Begins, &upto.reign.0.to_be_bytes(), row)?.unwrap_or_default();
        if begin.number < number {
            part.raise(Revision::new(upto.reign, number));
        }
    }
    Ok(part)
}

impl<R: Storage> Draft<'_, R> {
    /// Whether a record with this birth is gone for ever.
    pub(super) fn is_trimmed(&self, topic: &str, birth: Revision) -> Result<bool, Trouble<R::Error>> {
        Ok(trimmed(&*self.rows, topic, birth)? >= birth.number)
    }

    pub(super) fn trim(&mut self, trim: &Trim) -> Result<(), Trouble<R::Error>> {
        self.trim_through(&trim.topic, &trim.context)
    }

    /// Drops the records of a topic whose birth the context covers, and remembers that.
    pub(super) fn trim_through(&mut self, topic: &str, context: &Context) -> Result<(), Trouble<R::Error>> {
        let mut grown = Context::new();
        for upto in context.iter() {
            if trimmed(&*self.rows, topic, upto)? < upto.number {
                let old = self.put_number(Table::Trims, &trim_key(topic, upto), upto.number)?;
                self.head.facts.trims += u64::from(old.is_none());
                grown.raise(upto);
            }
        }
        if grown.is_empty() {
            return Ok(());
        }
        self.drop_covered(topic, &grown)
    }

    /// Drops the records of a topic whose birth the context covers.
    pub(super) fn drop_covered(&mut self, topic: &str, context: &Context) -> Result<(), Trouble<R::Error>> {
        let last = if Counts::of(&*self.rows, topic)?.joined == 0 { context.highest() } else { u64::MAX };
        let (mut from, mut newest) = (0, None);
        loop {
            let (mut gone, mut looked) = (Vec::new(), 0);
            each_record(&*self.rows, topic, (from, last), |record| {
                from = record.revision.number + 1;
                looked += 1;
                if context.covers(record.birth) {
                    gone.push(record.revision);
                } else {
                    newest = Some(record.at);
                }
                if looked < ITEMS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            for revision in gone {
                self.drop_record(revision)?;
            }
            if looked < ITEMS {
                break;
            }
        }
        if last == u64::MAX {
            self.count_anew(topic, newest)?;
        }
        Ok(())
    }
}
