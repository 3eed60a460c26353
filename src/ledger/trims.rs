//! Trimming: records of a topic are dropped for ever, on every side of a split.
//!
//! A trim holds a context: the records of the topic whose births it covers are gone, all of its births when a record has
//! several. It stays when they are, so that they do not come back from another group. Trims of one topic are joined by
//! union.

use super::codec::Unread;
use super::draft::Draft;
use super::limits::{ITEMS, TRIM, TRIMS};
use super::records::{self, Counts};
use super::shares::{trim_key, trim_of};
use super::storage::{Read, Storage, Table, beginning, end_of, number_of, reign_first, topic_prefix};
use super::{Facts, Trouble, contexts, rows};
use crate::data::{Before, Context, Revision, Tagged, Trim};
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

/// What a trim would do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// The change; none when no record would go, and none be nearer to it.
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
    let context = match before {
        Before::Cursor(cursor) => match at(store, cursor)? {
            Some(context) => context,
            None => return Ok(Err(NoTrim::Forgotten)),
        },
        Before::Keep(_) | Before::Older(_) => seen.clone(),
    };
    let surplus = match before {
        Before::Keep(keep) => Counts::of(store, topic)?.records.saturating_sub(keep),
        _ => u64::MAX,
    };
    let mut look = Look { before, context, firsts: Firsts::default(), bound: u64::MAX, part_of_some: false };
    if surplus > 0 {
        look.over(store, topic)?;
    }
    if let (Before::Keep(_), Ok(at)) = (before, usize::try_from(surplus)) {
        let numbers = std::mem::take(&mut look.firsts.0).into_sorted_vec();
        look.bound = numbers.get(at).copied().unwrap_or(look.bound);
        look.firsts.0 = numbers.into();
    }
    let (end, dropped, more) = look.firsts.due(look.bound);
    if dropped == 0 && !look.part_of_some {
        return Ok(Ok(Due { trim: None, dropped, more }));
    }
    let context = cut(store, &look.context, end)?;
    if Facts::read(store)?.trims + context.len() as u64 > TRIMS {
        return Ok(Err(NoTrim::Full));
    }
    Ok(Ok(Due { trim: Some(Trim { topic: topic.to_owned(), context }), dropped, more }))
}

/// What is found when the records of a topic are looked at for a trim.
struct Look {
    before: Before,
    context: Context,
    firsts: Firsts,
    /// What was born from this number on stays.
    bound: u64,
    /// A record stays for now, though one of its births is before the cursor.
    part_of_some: bool,
}

impl Look {
    fn over<R: Read>(&mut self, store: &R, topic: &str) -> Result<(), Trouble<R::Error>> {
        // Without records that were joined, births come in order.
        let in_order = Counts::of(store, topic)?.joined == 0;
        let is_cursor = matches!(self.before, Before::Cursor(_));
        let last = if in_order && is_cursor { self.context.highest() } else { u64::MAX };
        let trimmed = trims_of(store, topic)?;
        records::each(store, topic, (0, last), |record| {
            // A birth that was trimmed before counts for nothing.
            let due: Vec<Revision> = record.births.into_iter().filter(|birth| !trimmed.covers(*birth)).collect();
            let birth = due.last().map_or(0, |birth| birth.number);
            let young = matches!(self.before, Before::Older(age) if record.at >= age);
            if young {
                self.bound = self.bound.min(birth);
            }
            if !is_cursor {
                // Of a reign that is forgotten, the context does not say that it was seen.
                for birth in &due {
                    self.context.raise(*birth);
                }
            }
            let covered = due.iter().filter(|birth| self.context.covers(**birth)).count();
            self.part_of_some |= is_cursor && covered > 0 && covered < due.len();
            let enough = covered == due.len() && self.firsts.push(birth);
            if in_order && (young || enough) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }
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
    /// Whether a record with these births is gone for ever.
    pub(super) fn is_trimmed(&self, topic: &str, births: &[Revision]) -> Result<bool, Trouble<R::Error>> {
        for birth in births {
            if trimmed(&*self.rows, topic, *birth)? < birth.number {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn trim(&mut self, trim: &Trim) -> Result<(), Trouble<R::Error>> {
        self.trim_through(&trim.topic, &trim.context)
    }

    /// Drops the records of a topic whose births the context covers, and remembers that.
    pub(super) fn trim_through(&mut self, topic: &str, context: &Context) -> Result<(), Trouble<R::Error>> {
        let mut grown = Context::new();
        for upto in context.iter() {
            if trimmed(&*self.rows, topic, upto)? < upto.number {
                let old = self.put_number(Table::Trims, &trim_key(topic, upto), upto.number)?;
                self.head.facts.trims += u64::from(old.is_none());
                grown.raise(upto);
            }
        }
        self.drop_trimmed(topic, &grown)
    }

    /// Drops the records of a topic whose births are trimmed, after its trims have grown by this.
    pub(super) fn drop_trimmed(&mut self, topic: &str, grown: &Context) -> Result<(), Trouble<R::Error>> {
        if grown.is_empty() {
            return Ok(());
        }
        let all = trims_of(&*self.rows, topic)?;
        let last = if Counts::of(&*self.rows, topic)?.joined == 0 { grown.highest() } else { u64::MAX };
        let mut from = 0;
        loop {
            let (mut gone, mut looked) = (Vec::new(), 0);
            records::each(&*self.rows, topic, (from, last), |record| {
                from = record.revision.number + 1;
                looked += 1;
                if record.births.iter().all(|birth| all.covers(*birth)) {
                    gone.push(record.revision);
                }
                if looked < ITEMS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            for revision in gone {
                self.drop_record(revision)?;
            }
            if looked < ITEMS {
                return self.count_anew(topic);
            }
        }
    }
}

/// All trims of a topic.
fn trims_of<R: Read>(store: &R, topic: &str) -> Result<Context, Trouble<R::Error>> {
    let prefix = topic_prefix(topic);
    let end = end_of(&prefix);
    let mut all = Context::new();
    rows::each(store, Table::Trims, beginning(&prefix, &end), |key, number| {
        let (_, upto) = trim_of(key, number).ok_or(Trouble::Damaged(Table::Trims))?;
        all.raise(upto);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(all)
}

#[cfg(test)]
#[path = "trims_tests.rs"]
mod tests;
