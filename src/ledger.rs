//! The rules of the data, pure, over a store of tables, and knowing nothing of members.
//!
//! The data is a causal CRDT, a map of dotted values with one version vector for all of it, and within a connected group
//! a leader orders all changes: a replicated log with one writer, joined causally when groups meet. A store is a
//! *compacted log*: of everything ever written the present state of each record and each key, in the order of revisions.
//!
//! # The contracts
//!
//! - **Order and append.** [`Ledger::order`] judges requests and makes a batch; [`Ledger::append`] takes in one that the
//!   leader made, or that the log holds after a restart. Both keep it *pending*, in memory: the store does not have it.
//! - **Commit.** [`Ledger::commit`] writes what is pending to the store, up to a position. Readers read the store, or a
//!   snapshot of it, and so see nothing that is not acknowledged.
//! - **One call is one transaction.** What a call writes to the store must become visible, and durable, all at once.
//!   Between calls nothing needs to be durable, as long as the log still has what was pending at the last moment at which
//!   the store was: batches that the store has already are known by their revisions and passed over.
//! - **The same everywhere (P7).** Applying asks nothing, uses no clock and no chance, and forgets by count: the same
//!   changes in the same order make the same rows. [`Facts::digest`] of two stores at one position is the same.
//! - **Failing.** After an error of the store, or a row that cannot be read, a ledger is of no more use: it is opened
//!   anew, over what is durable, and the log appended again. Other errors leave everything as it was. A broken invariant
//!   of its own is an `assert!`.
//! - **Bounds** are in [`limits`], each with its name.

mod adopt;
mod apply;
mod aside;
mod codec;
mod contexts;
mod digest;
mod draft;
#[cfg(test)]
mod for_tests;
mod forget;
mod head;
mod import;
mod join;
pub mod limits;
pub mod lists;
mod memory;
mod offer;
mod order;
mod passed;
mod pending;
mod records;
mod requests;
mod rows;
mod scan;
mod shares;
mod small;
mod storage;
mod trims;
mod whole;

pub use adopt::Adopted;
pub use codec::{Unread, read_batch, read_piece};
pub use contexts::{Unknown, context_at, resolve};
pub use digest::recount;
pub use head::{Facts, accept};
pub use lists::name_of;
pub use memory::Memory;
pub use offer::{Joined, Offered};
pub use order::{Encoded, Ordered};
pub use passed::{read_answer, read_context, read_request, write_answer, write_context, write_request};
pub use records::Counts;
pub use scan::{Scan, Values};
pub use storage::{EVERYTHING, Range, Read, Storage, Table, Visit};

use crate::data::{Batch, Context, Part, Revision};
use bytes::Bytes;
use draft::Draft;
use head::Head;
use limits::Limits;
use offer::Joining;
use pending::{Making, Pending};
use thiserror::Error;
use whole::Whole;

/// What a store has seen.
///
/// # Errors
/// Those of the store, and when a row cannot be read.
pub fn seen_by<R: Read>(store: &R) -> Result<Context, Trouble<R::Error>> {
    head::context(store, Table::Seen)
}

/// Why the ledger did not do what it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Trouble<E> {
    /// The store failed. The ledger must be opened anew.
    #[error("the store could not be read or written")]
    Storage(E),
    /// A row of this table cannot be read, or one that should be there is not. The ledger must be opened anew, and if it
    /// comes again, the copy be fetched anew.
    #[error("the table {} is damaged", .0.name())]
    Damaged(Table),
    /// What came cannot be read. Nothing has happened.
    #[error(transparent)]
    Unread(Unread),
    /// What came does not fit here. Nothing has happened.
    #[error(transparent)]
    Unfit(Unfit),
    /// A value was to be taken from this store, by its birth, that is not here. The ledger must be opened anew, and the
    /// copy be fetched with all values.
    #[error("a value that should be here already is not")]
    Missing,
    /// A copy that was adopted does not have the digest that it should have. The ledger must be opened anew, and the copy
    /// be fetched into an empty store.
    #[error("the copy differs from the original")]
    Differs,
}

/// Why a batch, an offer or a copy does not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Unfit {
    /// The batch does not continue what is here.
    #[error("it does not continue what is here")]
    NotNext,
    /// Too much is pending: nobody commits.
    #[error("too much is pending")]
    Full,
    /// The copy lacks something that is here: it was not offered yet, or what was offered is not committed yet.
    #[error("it lacks something that is here")]
    Lacks,
    /// So much was refused already that no more can be kept aside.
    #[error("so much was kept aside already that there is no room for what may come")]
    Crowded,
    /// The copy is older than what readers have seen here.
    #[error("it is older than what is shown here")]
    Old,
}

/// What became of a batch that was appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Appended {
    /// It is pending.
    New,
    /// It was here already, or is a part of a whole that was given up.
    Known,
}

/// The part of a store that is kept in memory: what is known of the state after everything pending, and what is pending.
///
/// It does not own the store: every call is given it, and it must always be the same.
#[derive(Debug)]
pub struct Ledger {
    limits: Limits,
    /// The state after all that is pending, without a whole that lies aside.
    head: Head,
    pending: Pending,
    /// A joined whole of which not all has come, or that is not to be held in memory.
    whole: Option<Whole>,
    /// An offer that is being joined.
    joining: Option<Joining>,
    /// The position of the store.
    committed: Revision,
    /// The highest number that was given or taken in here, also in a whole that was dropped.
    given: u64,
    /// A call failed half way.
    broken: bool,
}

impl Ledger {
    /// Over a store, which may be empty. What lay aside in it is dropped.
    ///
    /// # Errors
    /// Those of the store.
    pub fn open<S: Storage>(store: &mut S, limits: Limits) -> Result<Ledger, Trouble<S::Error>> {
        assert!(limits.reigns >= 2, "there is the present reign, and the one before it");
        whole::clear(store, None)?;
        let head = Head::load(store)?;
        let committed = head.facts.position;
        Ok(Ledger {
            limits,
            committed,
            given: committed.number,
            head,
            pending: Pending::default(),
            whole: None,
            joining: None,
            broken: false,
        })
    }

    /// The revision of the last change that was taken in, pending ones included.
    pub fn position(&self) -> Revision {
        self.complete().and_then(|whole| whole.end).unwrap_or(self.head.facts.position)
    }

    /// What was seen, pending changes included.
    pub fn context(&self) -> &Context {
        self.complete().map_or(&self.head.seen, |whole| &whole.seen)
    }

    /// The position of the store: what readers see.
    pub fn committed(&self) -> Revision {
        self.committed
    }

    /// The highest number that must not be given again.
    pub fn highest(&self) -> u64 {
        self.given.max(self.position().number)
    }

    /// Whether requests must wait: while a joined whole is made, until one is committed that is not held in memory, or
    /// because [`limits::PENDING`] bytes are pending.
    pub fn holds(&self) -> bool {
        self.joining.is_some() || self.complete().is_some() || self.pending.is_full()
    }

    /// Whether a piece of an offer must wait: as requests must, and sooner ([`limits::UNFOLD`]).
    pub fn holds_offers(&self) -> bool {
        self.holds() || self.pending.bytes() > self.limits.unfold
    }

    fn complete(&self) -> Option<&Whole> {
        self.whole.as_ref().filter(|whole| whole.end.is_some())
    }

    /// Takes in a batch that the leader made, or one from the log. A batch that is here already is passed over.
    ///
    /// # Errors
    /// Those of the store; [`Trouble::Unread`] and [`Trouble::Unfit`].
    pub fn append<S: Storage>(&mut self, store: &mut S, bytes: &Bytes) -> Result<Appended, Trouble<S::Error>> {
        let batch = read_batch(bytes).map_err(Trouble::Unread)?;
        self.guarded(|ledger| {
            if ledger.context().covers(batch.last()) || ledger.is_old(&batch) {
                return Ok(Appended::Known);
            }
            ledger.check_next(&batch)?;
            ledger.cancel_join();
            ledger.settle_whole(store, &batch)?;
            if batch.part != Part::Alone {
                return ledger.take_part(store, &batch, bytes).map(|()| Appended::New);
            }
            ledger.whole = None;
            ledger.pending.begin(batch.after);
            let mut rows = Making { store: &*store, pending: &mut ledger.pending };
            let mut draft = Draft { rows: &mut rows, head: &mut ledger.head, limits: &ledger.limits };
            draft.begin(batch.reign)?;
            for (number, change) in (batch.first..).zip(&batch.changes) {
                draft.apply(Revision::new(batch.reign, number), change)?;
            }
            let last = batch.last();
            draft.end(last)?;
            ledger.given = ledger.given.max(last.number);
            ledger.pending.end(last, vec![bytes.clone()]);
            Ok(Appended::New)
        })
    }

    /// Whether a batch of the log is of a reign that is forgotten since, or a part of a whole that was given up and behind
    /// which others went on.
    fn is_old(&self, batch: &Batch) -> bool {
        let forgotten = self.head.facts.pruned && !self.head.seen.knows(batch.reign);
        let part = matches!(batch.part, Part::Piece(_));
        batch.last().number <= self.position().number && (forgotten || part)
    }

    fn check_next<E>(&self, batch: &Batch) -> Result<(), Trouble<E>> {
        if self.pending.is_over() {
            return Err(Trouble::Unfit(Unfit::Full));
        }
        if batch.after == self.position() && batch.first > self.position().number {
            return Ok(());
        }
        Err(Trouble::Unfit(Unfit::NotNext))
    }

    /// Writes what is pending to the store, up to a position; what is not complete there stays pending. Says up to where
    /// the store is now.
    ///
    /// # Errors
    /// Those of the store.
    pub fn commit<S: Storage>(&mut self, store: &mut S, through: Revision) -> Result<Revision, Trouble<S::Error>> {
        self.guarded(|ledger| {
            ledger.commit_through(store, through.number)?;
            Ok(ledger.committed)
        })
    }

    fn commit_all<S: Storage>(&mut self, store: &mut S) -> Result<(), Trouble<S::Error>> {
        self.commit_through(store, u64::MAX)
    }

    fn commit_through<S: Storage>(&mut self, store: &mut S, through: u64) -> Result<(), Trouble<S::Error>> {
        if let Some(last) = self.pending.commit(store, through).map_err(Trouble::Storage)? {
            self.committed = last;
        }
        if self.complete().is_some_and(|whole| whole.end.is_some_and(|end| end.number <= through)) {
            self.commit_whole(store)?;
        }
        Ok(())
    }

    /// The batches that are pending after a position, in order, as they were ordered. None when the position is not one
    /// between them, nor that of the store.
    ///
    /// # Errors
    /// Those of the store.
    pub fn pending_after<S: Storage>(
        &self,
        store: &S,
        position: Revision,
    ) -> Result<Option<Vec<Bytes>>, Trouble<S::Error>> {
        let held: Vec<_> = self.pending.iter().skip_while(|held| held.after != position).collect();
        let whole = self.complete();
        let at_end = self.head.facts.position == position;
        let after_all = self.position() == position;
        if held.is_empty() && !at_end && !after_all {
            return Ok(None);
        }
        let mut batches: Vec<Bytes> = held.into_iter().flat_map(|held| held.parts.iter().cloned()).collect();
        if let Some(whole) = whole.filter(|_| !after_all) {
            batches.extend(self.parts(store, whole)?);
        }
        Ok(Some(batches))
    }

    /// Does what may fail half way. What has failed so must not be used any more.
    fn guarded<T, E>(&mut self, act: impl FnOnce(&mut Ledger) -> Result<T, Trouble<E>>) -> Result<T, Trouble<E>> {
        assert!(!self.broken, "a ledger that failed is opened anew");
        self.broken = true;
        let outcome = act(self);
        self.broken =
            matches!(outcome, Err(Trouble::Storage(_) | Trouble::Damaged(_) | Trouble::Missing | Trouble::Differs));
        outcome
    }
}
