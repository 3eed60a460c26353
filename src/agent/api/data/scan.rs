//! What has changed since a point: entries in the order of revisions, in pieces, each from a snapshot of its own.
//!
//! A store is a compacted log, so what a reader lacks is what stands under revisions that it has not seen. What a
//! position has seen has lower numbers than the position. So a reader that was told everything up to an entry may go on
//! from that entry's revision, on any member, and misses nothing.

use super::tables::{begin, context, position};
use crate::data::{Context, Entry, Revision, Slice};
use crate::ledger::{Read, Table, Trouble, lists};
use std::ops::ControlFlow;

/// Entries and bytes of one piece, before the last entry is added.
pub(super) const ROWS: usize = 500;
pub(super) const BYTES: usize = 256 << 10;

/// Entries that are looked at for one piece by a reader that does not want all of them.
pub(super) const LOOKS: usize = 4096;

/// An entry, read in place.
pub(super) type EntryHere<'a> = Entry<&'a str, Slice<'a>>;

/// What a reader wants to be told of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wanted {
    /// Records of this topic, or of all.
    pub(super) topic: Option<String>,
    /// Keys that begin so.
    pub(super) prefix: Option<String>,
}

impl Wanted {
    /// Without a topic and a prefix, everything.
    fn everything(&self) -> bool {
        self.topic.is_none() && self.prefix.is_none()
    }

    fn wants(&self, entry: &EntryHere<'_>) -> bool {
        match entry {
            Entry::Record(record) => self.everything() || self.topic.as_deref() == Some(record.topic),
            Entry::Key(entry) => {
                self.everything() || self.prefix.as_deref().is_some_and(|prefix| entry.key.starts_with(prefix))
            }
        }
    }

    /// What the keys begin with that are wanted, when any are.
    fn keys(&self) -> Option<&str> {
        if self.everything() { Some("") } else { self.prefix.as_deref() }
    }
}

/// How far a reader is.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    wanted: Wanted,
    /// What it was told of, or need not be told of: the ledger's REIGNS, and those older ones in which entries stand.
    seen: Context,
    /// The point that it was brought to.
    at: Revision,
    /// What it knows of deletions whose tombstones are forgotten.
    deletions: Deletions,
}

/// What a reader knows of deletions whose tombstones are forgotten.
#[derive(Clone, Debug)]
enum Deletions {
    /// It held nothing when it began.
    HoldsNothing,
    /// It may have missed some.
    MayHaveMissed,
    /// It is being told which keys there are.
    Listing(Listing),
    /// Of these it need not be told.
    Told(Context),
}

/// A list of the keys that there are, in pieces.
#[derive(Clone, Debug)]
struct Listing {
    /// Those behind this one are to come.
    behind: Option<String>,
    /// What was forgotten when it began: the reader is told of that by what is missing in the list.
    forgotten: Context,
}

/// What a reader is told.
pub(super) enum Told<'a> {
    /// What followed this point comes again.
    Again(Revision),
    /// Of the keys behind the first and up to the second, only these may still be there.
    Only(Vec<String>, Option<String>, Option<String>),
    /// This stands under this revision.
    Entry(Revision, &'a EntryHere<'a>),
}

/// How a piece ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// There is more.
    More,
    /// The reader knows everything that stands at this position.
    All(Revision),
}

impl Reader {
    /// One that holds nothing.
    pub(super) fn new(wanted: Wanted) -> Self {
        Self::after(wanted, Revision::ZERO, Context::new())
    }

    /// One that knows what there was at a position.
    pub(super) fn after(wanted: Wanted, position: Revision, seen: Context) -> Self {
        let blank = position == Revision::ZERO;
        let deletions = if blank { Deletions::HoldsNothing } else { Deletions::MayHaveMissed };
        Self { wanted, seen, at: position, deletions }
    }

    /// As much as there is, up to so many entries. Says from where to go on.
    pub(super) fn page<R: Read>(
        &mut self,
        store: &R,
        most: usize,
        mut tell: impl FnMut(Told<'_>) -> usize,
    ) -> Result<Revision, Trouble<R::Error>> {
        let mut any = false;
        loop {
            let end = self.piece(store, most, |told| {
                any |= matches!(told, Told::Entry(..));
                tell(told)
            })?;
            match end {
                End::All(here) => return Ok(here),
                End::More if any => return Ok(self.at),
                End::More => {}
            }
        }
    }

    /// The next piece, of so many entries at the most. `tell` gives back how many bytes it took.
    pub(super) fn piece<R: Read>(
        &mut self,
        store: &R,
        most: usize,
        mut tell: impl FnMut(Told<'_>) -> usize,
    ) -> Result<End, Trouble<R::Error>> {
        let here = position(store)?;
        if let Some(common) = self.left(store, here)? {
            tell(Told::Again(common));
            self.at = common;
        }
        if let Some(listing) = self.unsettled(store)? {
            self.list(store, listing, &mut tell)?;
            return Ok(End::More);
        }
        let seen = context(store, Table::Seen)?;
        match self.entries(store, most, tell)? {
            Some(stop) => {
                self.pass(store, &seen, stop)?;
                Ok(End::More)
            }
            None => {
                self.seen.union(&seen);
                self.at = here;
                Ok(End::All(here))
            }
        }
    }

    /// Where the way to this position left the way that the reader came, if it did.
    fn left<R: Read>(&self, store: &R, here: Revision) -> Result<Option<Revision>, Trouble<R::Error>> {
        let (mut way, mut common) = (here, None);
        loop {
            if self.at == Revision::ZERO || way.reign == self.at.reign && self.at.number <= way.number {
                return Ok(None);
            }
            if common.is_none() && self.seen.of(way.reign) > 0 {
                common = Some(Revision::new(way.reign, way.number.min(self.seen.of(way.reign))));
            }
            if way == Revision::ZERO {
                return Ok(Some(common.unwrap_or_default()));
            }
            let before = begin(store, way.reign)?;
            // Numbers fall on the way back. Rows that say otherwise must not lead around in a circle.
            way = if before.number < way.number { before } else { Revision::ZERO };
        }
    }

    /// The list that the reader is to be told, when it may have missed deletions whose tombstones are forgotten.
    fn unsettled<R: Read>(&mut self, store: &R) -> Result<Option<Listing>, Trouble<R::Error>> {
        if self.wanted.keys().is_none() {
            return Ok(None);
        }
        let forgotten = context(store, Table::Forgotten)?;
        let missed = match &self.deletions {
            Deletions::Listing(listing) => return Ok(Some(listing.clone())),
            Deletions::HoldsNothing => false,
            Deletions::MayHaveMissed => lists::forgot(store, &self.seen)?,
            Deletions::Told(of) => {
                let known = |revision| self.seen.covers(revision) || of.covers(revision);
                if forgotten.iter().all(known) {
                    return Ok(None);
                }
                true
            }
        };
        if missed {
            return Ok(Some(Listing { behind: None, forgotten }));
        }
        self.deletions = Deletions::Told(forgotten);
        Ok(None)
    }

    /// Tells which keys there are.
    fn list<R: Read>(
        &mut self,
        store: &R,
        listing: Listing,
        tell: &mut impl FnMut(Told<'_>) -> usize,
    ) -> Result<(), Trouble<R::Error>> {
        let Listing { behind, forgotten } = listing;
        let prefix = self.wanted.keys().unwrap_or_default();
        let (mut only, mut bytes, mut more) = (Vec::new(), 0, false);
        lists::keys(store, prefix, behind.as_deref(), &mut |_, entry| {
            more = only.len() == LOOKS || bytes >= BYTES;
            if more {
                return ControlFlow::Break(());
            }
            bytes += entry.key.len() + 3;
            only.push(entry.key.to_owned());
            ControlFlow::Continue(())
        })?;
        let through = only.last().filter(|_| more).cloned();
        self.deletions = match &through {
            Some(last) => Deletions::Listing(Listing { behind: Some(last.clone()), forgotten }),
            None => Deletions::Told(forgotten),
        };
        tell(Told::Only(only, behind, through));
        Ok(())
    }

    /// Tells of the entries that are wanted and were not seen, in their order. Says at which it stopped, if it did.
    fn entries<R: Read>(
        &mut self,
        store: &R,
        most: usize,
        mut tell: impl FnMut(Told<'_>) -> usize,
    ) -> Result<Option<Revision>, Trouble<R::Error>> {
        let (known, mut seen) = (self.seen.clone(), std::mem::take(&mut self.seen));
        let (mut rows, mut bytes, mut last, mut stopped) = (0, 0, None, None);
        let mut look = |revision: Revision, entry: &EntryHere<'_>| {
            // Also where nobody knows the reign any more: what was told is not told again.
            seen.raise(revision);
            last = Some(revision);
            if self.wanted.wants(entry) {
                rows += 1;
                self.at = revision;
                bytes += tell(Told::Entry(revision, entry));
            }
            if rows < most && bytes < BYTES {
                return ControlFlow::Continue(());
            }
            stopped = last;
            ControlFlow::Break(())
        };
        let more = match (&self.wanted.topic, &self.wanted.prefix) {
            (Some(topic), None) => lists::records(store, topic, &known, None, &mut |revision, record| {
                look(revision, &Entry::Record(record.clone()))
            })
            .map(|()| false),
            (topic, prefix) => {
                let looks = if topic.is_none() && prefix.is_none() { most } else { LOOKS };
                lists::changes(store, &known, None, looks, &mut |revision, entry| look(revision, entry))
            }
        };
        self.seen = seen;
        Ok(if more? { stopped.or(last) } else { stopped })
    }

    /// Notes that everything up to a revision was looked at: not only where entries stand.
    fn pass<R: Read>(&mut self, store: &R, seen: &Context, stop: Revision) -> Result<(), Trouble<R::Error>> {
        for upto in seen.iter() {
            let number = if upto.reign <= stop.reign { stop.number } else { stop.number - 1 };
            let number = number.min(upto.number);
            // Of a reign that began later nothing was looked at.
            if number > self.seen.of(upto.reign) && number > begin(store, upto.reign)?.number {
                self.seen.raise(Revision::new(upto.reign, number));
            }
        }
        Ok(())
    }
}
