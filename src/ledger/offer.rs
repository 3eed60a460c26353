//! Joining: a leader takes in what a member offers (rules 1 to 6 of a reunion).
//!
//! Records come first and one by one: they can only be added, and become changes at once. Everything else lies aside
//! until it is complete. Then the leader makes one joined whole of it, part by part: what each key became, and all that
//! the member knows. An offer that breaks off leaves nothing behind but records.

use super::aside::{self, OFFER, Sort};
use super::codec::{Unread, decode, encode, read_piece};
use super::limits::{ENTRY, KEPT, PIECE, SIBLINGS};
use super::pending::{Ahead, Making};
use super::records::all_births;
use super::scan::Scan;
use super::shares::{SHARED, of_rows};
use super::storage::{EVERYTHING, Storage, Table, behind};
use super::{Encoded, Ledger, Trouble, Unfit, join, lists, rows, whole};
use crate::data::{
    Add, Batch, Carried, Change, Context, Ending, Item, JoinedKey, KeyEntry, Merge, Part, ReignId, Revision, Sibling,
};
use bytes::Bytes;
use join::{Pick, Tip};
use std::ops::ControlFlow;

/// What became of a piece of an offer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offered {
    /// Its records as changes, when there are any.
    pub batch: Option<Encoded>,
    /// Of these, the records that were not here.
    pub records: u64,
    /// The offer is complete: it can be joined.
    pub complete: bool,
}

/// A part of a joined whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joined {
    /// The part, to be logged and sent like any batch.
    pub batch: Encoded,
    /// How many keys took over something that was not here.
    pub keys: u64,
    /// Keys that have a conflict which they had not here: as many as fit in a `PIECE`.
    pub conflicts: Vec<String>,
    /// Keys that are as they were here, because they would be beyond a limit, as many as fit in a `PIECE`: what the member
    /// has is kept aside.
    pub refused: Vec<String>,
}

/// An offer that is being joined.
#[derive(Debug)]
pub(super) struct Joining {
    reign: ReignId,
    ending: Ending,
    /// What the member has seen: at most REIGNS reigns, as any context.
    theirs: Context,
    place: Place,
    /// The number of the next change, and of the next part.
    next: (u64, u32),
    /// The position that the whole continues.
    start: Revision,
}

/// How far a join has come.
#[derive(Debug)]
struct Place {
    stage: Stage,
    /// The last thing that was joined in this stage. Bounded by `KEY`.
    after: Option<Vec<u8>>,
    /// The list of all keys was part of the offer.
    listed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The keys that were offered.
    Offered,
    /// The keys that are here and not in the member's list of all keys.
    Unlisted,
    Shared(usize),
    Merge,
}

impl Ledger {
    /// The next piece of what a leader that has seen this lacks of what is here, pending changes included. The member
    /// takes no batches meanwhile.
    ///
    /// # Errors
    /// Those of the store.
    pub fn offer<S: Storage>(
        &mut self,
        store: &mut S,
        scan: &mut Scan,
        most: usize,
    ) -> Result<Option<Bytes>, Trouble<S::Error>> {
        self.guarded(|ledger| {
            ledger.unfold(store)?;
            scan.next(&Ahead { store: &*store, pending: &ledger.pending }, most)
        })
    }

    /// A leader begins to take in an offer. What lay aside of another is dropped.
    ///
    /// # Errors
    /// Those of the store.
    pub fn begin_offer<S: Storage>(&mut self, store: &mut S) -> Result<(), Trouble<S::Error>> {
        self.guarded(|ledger| {
            ledger.cancel_join();
            whole::clear(store, Some(OFFER))
        })
    }

    /// Takes in a piece of the offer. Its records become a batch. As in [`Ledger::order`], the numbers are above `above`,
    /// which must be at least the number of the member's position.
    ///
    /// # Errors
    /// Those of the store; [`Trouble::Unread`]; [`Unfit::Full`] while [`Ledger::holds`].
    pub fn take_offer<S: Storage>(
        &mut self,
        store: &mut S,
        reign: ReignId,
        above: u64,
        piece: &[u8],
    ) -> Result<Offered, Trouble<S::Error>> {
        if self.holds() {
            return Err(Trouble::Unfit(Unfit::Full));
        }
        let piece = read_piece(piece).map_err(Trouble::Unread)?;
        if piece.items.iter().any(|item| matches!(item, Item::Key(_, key) if key.siblings.iter().any(is_held))) {
            return Err(Trouble::Unread(Unread::Garbage("an offer without its values")));
        }
        let mut offered = Vec::new();
        let end = self.guarded(|_| {
            aside::lay(store, OFFER, piece, |item| match item {
                Item::Record(_, record) => {
                    offered.push(record);
                    None
                }
                Item::Again(..) => None,
                other => Some(other),
            })
        })?;
        let (batch, records) = self.make(store, reign, above, 0, |making, new| {
            for record in offered {
                let known = making.draft.births_of(record.id)?.unwrap_or_default();
                // Of two births the greater stays, everywhere: so a store that has seen it has its content.
                if known.last() >= record.births.last() {
                    let births = record.births.into_iter().filter(|birth| !known.contains(birth));
                    making.push(Change::Again(record.id, births.collect()))?;
                    continue;
                }
                let births = all_births(&known, &record.births);
                if !making.draft.is_trimmed(&record.topic, &births)? {
                    *new += u64::from(known.is_empty());
                    let (id, topic, at, node, value) = (record.id, record.topic, record.at, record.node, record.value);
                    making.push(Change::Add(Add { births, id, topic, at, node, value }))?;
                }
            }
            Ok(())
        })?;
        Ok(Offered { batch, records, complete: end.is_some() })
    }

    /// Begins to join the offer, when it is complete. From now on [`Ledger::holds`], until the whole is made, and if it is
    /// long, until it is committed.
    ///
    /// # Errors
    /// Those of the store; [`Unfit::Full`] while [`Ledger::holds`]; [`Unfit::Crowded`].
    pub fn begin_join<S: Storage>(
        &mut self,
        store: &mut S,
        reign: ReignId,
        above: u64,
    ) -> Result<(), Trouble<S::Error>> {
        if self.holds() {
            return Err(Trouble::Unfit(Unfit::Full));
        }
        self.guarded(|ledger| {
            if is_crowded(store)? {
                return Err(Trouble::Unfit(Unfit::Crowded));
            }
            ledger.whole = None;
            let ending = aside::ending(store, OFFER)?.expect("the offer is complete");
            let theirs = aside::context(store, OFFER, Table::Seen)?;
            let start = ledger.position();
            let seen = theirs.highest().max(ending.position.number);
            let first = start.number.max(above).max(ledger.given).max(seen) + 1;
            let place = Place { stage: Stage::Offered, after: None, listed: ending.listed };
            ledger.joining = Some(Joining { reign, ending, theirs, place, next: (first, 0), start });
            Ok(())
        })
    }

    /// Makes the next part of the joined whole, of about `most` bytes. None when the last was made.
    ///
    /// # Errors
    /// Those of the store.
    pub fn join_next<S: Storage>(&mut self, store: &mut S, most: usize) -> Result<Option<Joined>, Trouble<S::Error>> {
        self.guarded(|ledger| {
            let Some(mut joining) = ledger.joining.take() else { return Ok(None) };
            let mut part = Parting { most: most.clamp(1, PIECE), ..Parting::default() };
            while !part.is_full() && joining.place.stage != Stage::Merge {
                let view = Making { store: &*store, pending: &mut ledger.pending };
                let side = Side { view: &view, store: &*store, seen: &ledger.head.seen, theirs: &joining.theirs };
                joining.place.step(&side, &mut part)?;
            }
            let is_last = !part.is_full();
            if is_last {
                let Ending { position: with, floor, pruned, .. } = joining.ending;
                part.changes.push(Change::Merge(Merge { with, floor, pruned }));
            }
            let (first, number) = joining.next;
            let kind = if is_last { Part::Last(number) } else { Part::Piece(number) };
            let (after, committed, reign) = (joining.start, ledger.committed, joining.reign);
            let batch = Batch { after, committed, reign, first, part: kind, changes: part.changes };
            let (last, bytes) = (batch.last(), Bytes::from(encode(&batch)));
            ledger.take_part(store, &batch, &bytes)?;
            if is_last {
                whole::clear(store, Some(OFFER))?;
            } else {
                joining.next = (last.number + 1, number + 1);
                ledger.joining = Some(joining);
            }
            let batch = Encoded { after: batch.after, last, complete: is_last, bytes };
            Ok(Some(Joined { batch, keys: part.keys, conflicts: part.conflicts, refused: part.refused }))
        })
    }

    /// The offer broke off, or this member leads no more: what was made of the whole counts for nothing.
    pub fn cancel_join(&mut self) {
        if self.joining.take().is_some() {
            self.whole = None;
        }
    }
}

/// Whether as much is kept aside as may be.
fn is_crowded<S: Storage>(store: &S) -> Result<bool, Trouble<S::Error>> {
    let mut room = KEPT;
    rows::each(store, Table::Kept, EVERYTHING, |_, _| {
        room = room.saturating_sub(1);
        Ok(if room > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(room == 0)
}

fn is_held(carried: &Carried) -> bool {
    matches!(carried, Carried::Held(_))
}

/// A part that is being made.
#[derive(Default)]
struct Parting {
    /// At most CHANGES, and one more than fit in `PIECE` bytes.
    changes: Vec<Change>,
    bytes: usize,
    most: usize,
    keys: u64,
    /// Keys of these changes: bounded by CHANGES.
    conflicts: Vec<String>,
    /// Keys of these changes: bounded by CHANGES.
    refused: Vec<String>,
}

impl Parting {
    fn is_full(&self) -> bool {
        self.bytes >= self.most || self.changes.len() + 1 >= super::limits::CHANGES
    }

    fn left(&self) -> usize {
        self.most.saturating_sub(self.bytes)
    }
}

/// What the join looks at.
struct Side<'a, V, S> {
    /// What is here, pending changes included.
    view: &'a V,
    /// Where the offer lies aside.
    store: &'a S,
    seen: &'a Context,
    theirs: &'a Context,
}

impl Place {
    fn go_on(&mut self, stage: Stage) {
        self.stage = stage;
        self.after = None;
    }

    fn step<V: Storage<Error = S::Error>, S: Storage>(
        &mut self,
        side: &Side<'_, V, S>,
        part: &mut Parting,
    ) -> Result<(), Trouble<S::Error>> {
        let after = self.after.take();
        match self.stage {
            Stage::Offered => {
                let found = aside::some(side.store, OFFER, Sort::Key, after.as_deref(), 1)?;
                let Some((key, row)) = found.into_iter().next() else {
                    self.go_on(if self.listed { Stage::Unlisted } else { Stage::Shared(0) });
                    return Ok(());
                };
                let offered: JoinedKey = decode(&row).map_err(|_| Trouble::Damaged(Table::Aside))?;
                side.join_key(&offered.key, offered.siblings, part)?;
                self.after = Some(key);
            }
            Stage::Unlisted => {
                let range = after.as_deref().map_or(EVERYTHING, behind);
                let Some(key) = rows::first(side.view, Table::Keys, range, |key, _| Some(key.to_vec()))? else {
                    self.go_on(Stage::Shared(0));
                    return Ok(());
                };
                if aside::get(side.store, OFFER, Sort::Listed, &key, |_| Ok(()))?.is_none() {
                    let name = std::str::from_utf8(&key).map_err(|_| Trouble::Damaged(Table::Keys))?;
                    side.join_key(name, Vec::new(), part)?;
                }
                self.after = Some(key);
            }
            Stage::Shared(at) => {
                let found = aside::some(side.store, OFFER, Sort::Row(SHARED[at]), after.as_deref(), part.left())?;
                let Some((last, _)) = found.last() else {
                    self.go_on(if at + 1 < SHARED.len() { Stage::Shared(at + 1) } else { Stage::Merge });
                    return Ok(());
                };
                self.after = Some(last.clone());
                part.bytes += found.iter().map(|(key, value)| key.len() + value.len() + 8).sum::<usize>();
                let share = of_rows(SHARED[at], &found).map_err(|_| Trouble::Damaged(Table::Aside))?;
                part.changes.push(Change::Share(share));
            }
            Stage::Merge => {}
        }
        Ok(())
    }
}

impl<V: Storage<Error = S::Error>, S: Storage> Side<'_, V, S> {
    fn join_key(&self, key: &str, offered: Vec<Carried>, part: &mut Parting) -> Result<(), Trouble<S::Error>> {
        let theirs: Vec<Sibling> = offered.into_iter().filter_map(of_offer).collect();
        let mine = lists::key(self.view, key)?.map_or_else(Vec::new, |(_, entry): (Revision, KeyEntry)| entry.siblings);
        let my_tips = mine.iter().map(|sibling| self.tip(sibling, true)).collect::<Result<Vec<_>, _>>()?;
        let their_tips = theirs.iter().map(|sibling| self.tip(sibling, false)).collect::<Result<Vec<_>, _>>()?;
        let mut picks = join::join(&my_tips, &their_tips);
        if is_beyond(&picks, &mine, &theirs) {
            picks = (0..mine.len()).map(Pick::Mine).collect();
            part.refused.push(key.to_owned());
            part.bytes += theirs.iter().map(|sibling| sibling.value.as_ref().map_or(0, Bytes::len) + 64).sum::<usize>();
            part.changes.push(Change::Keep(KeyEntry { key: key.to_owned(), siblings: theirs.clone() }));
        }
        let came =
            |pick: &Pick| matches!(pick, Pick::Theirs(at) if !my_tips.iter().any(|tip| tip.is(&their_tips[*at])));
        let came = picks.iter().any(came);
        part.keys += u64::from(came);
        if came && picks.len() > 1 && picks.iter().any(|pick| picked(pick, &mine, &theirs).value.is_some()) {
            part.conflicts.push(key.to_owned());
        }
        part.bytes += key.len() + 32;
        let siblings = picks.into_iter().map(|pick| match pick {
            Pick::Mine(at) => Carried::Held(mine[at].birth),
            Pick::Theirs(at) => {
                part.bytes += theirs[at].value.as_ref().map_or(0, Bytes::len) + 64;
                Carried::New(theirs[at].clone())
            }
        });
        let siblings = siblings.collect();
        part.changes.push(Change::Key(JoinedKey { key: key.to_owned(), siblings }));
        Ok(())
    }

    /// What the other side knows of a sibling. What was executed is told by the rows of both sides: a row whose birth the
    /// other side has seen says so, and so does any row that the other side holds.
    fn tip(&self, sibling: &Sibling, is_mine: bool) -> Result<Tip, Trouble<S::Error>> {
        let here = self.view.find_request(sibling.request).map_err(Trouble::Storage)?;
        let there = aside::offered_births(self.store, sibling.request)?;
        let (other, others) = if is_mine { (self.theirs, &there) } else { (self.seen, &here) };
        let executed = !others.is_empty() || here.iter().chain(&there).any(|birth| other.covers(*birth));
        Ok(Tip { birth: sibling.birth, request: sibling.request, seen: other.covers(sibling.birth), executed })
    }
}

fn of_offer(carried: Carried) -> Option<Sibling> {
    match carried {
        Carried::New(sibling) => Some(sibling),
        Carried::Held(_) => None,
    }
}

fn picked<'a>(pick: &Pick, mine: &'a [Sibling], theirs: &'a [Sibling]) -> &'a Sibling {
    match pick {
        Pick::Mine(at) => &mine[*at],
        Pick::Theirs(at) => &theirs[*at],
    }
}

/// Whether a joined key would be beyond a limit. What one side has by itself is within.
fn is_beyond(picks: &[Pick], mine: &[Sibling], theirs: &[Sibling]) -> bool {
    let size = |pick: &Pick| picked(pick, mine, theirs).value.as_ref().map_or(0, Bytes::len);
    let from = |mine: bool| picks.iter().any(|pick| matches!(pick, Pick::Mine(_)) == mine);
    picks.len() > SIBLINGS || picks.iter().map(size).sum::<usize>() > ENTRY && from(true) && from(false)
}

#[cfg(test)]
#[path = "offer_tests.rs"]
mod tests;
