//! What a store has seen.

use super::{ReignId, Revision};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A version vector: for each reign the highest number that was taken in. A revision at or below it is *covered*: the
/// change was seen.
///
/// A store keeps the newest [`crate::ledger::limits::REIGNS`] reigns.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Context(BTreeMap<ReignId, u64>);

impl Context {
    /// Nothing was seen.
    pub fn new() -> Context {
        Context::default()
    }

    /// Whether the change of this revision was seen.
    pub fn covers(&self, revision: Revision) -> bool {
        revision.number > 0 && self.of(revision.reign) >= revision.number
    }

    /// The highest number of a reign that was seen; 0 when none was.
    pub fn of(&self, reign: ReignId) -> u64 {
        self.0.get(&reign).copied().unwrap_or(0)
    }

    /// Whether anything of this reign was seen.
    pub fn knows(&self, reign: ReignId) -> bool {
        self.0.contains_key(&reign)
    }

    /// Takes in a revision, and with it all of its reign below. Says whether it was new.
    pub fn raise(&mut self, revision: Revision) -> bool {
        if revision.number == 0 {
            return false;
        }
        let known = self.0.entry(revision.reign).or_insert(0);
        let raised = revision.number > *known;
        *known = (*known).max(revision.number);
        raised
    }

    /// Takes in all that the other has seen.
    pub fn union(&mut self, other: &Context) {
        for revision in other.iter() {
            self.raise(revision);
        }
    }

    /// Whether the other has seen all that this one has.
    pub fn below(&self, other: &Context) -> bool {
        self.iter().all(|revision| other.covers(revision))
    }

    /// The highest number of all reigns; 0 when nothing was seen.
    pub fn highest(&self) -> u64 {
        self.0.values().copied().max().unwrap_or(0)
    }

    /// Forgets a reign.
    pub fn forget(&mut self, reign: ReignId) {
        self.0.remove(&reign);
    }

    /// The reign to be forgotten first: the one with the lowest number, and of two the smaller, but not `present`.
    pub fn oldest(&self, present: ReignId) -> Option<ReignId> {
        self.iter().filter(|revision| revision.reign != present).min().map(|revision| revision.reign)
    }

    /// How many reigns it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The highest revision of each reign, in the order of the reigns' ids.
    pub fn iter(&self) -> impl Iterator<Item = Revision> + '_ {
        self.0.iter().map(|(reign, number)| Revision::new(*reign, *number))
    }
}

impl FromIterator<Revision> for Context {
    fn from_iter<I: IntoIterator<Item = Revision>>(revisions: I) -> Context {
        let mut context = Context::new();
        for revision in revisions {
            context.raise(revision);
        }
        context
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(reign: u64, number: u64) -> Revision {
        Revision::new(ReignId(reign), number)
    }

    fn context(of: &[(u64, u64)]) -> Context {
        of.iter().map(|(reign, number)| revision(*reign, *number)).collect()
    }

    #[test]
    fn a_reign_is_covered_up_to_its_number_and_no_other_is() {
        let seen = context(&[(1, 5), (2, 9)]);
        for (reign, number, covered) in [(1, 5, true), (1, 4, true), (1, 6, false), (2, 6, true), (3, 1, false)] {
            assert_eq!(seen.covers(revision(reign, number)), covered, "{number} of {reign}");
        }
        assert!(!seen.covers(Revision::ZERO), "before the first change there is nothing to be seen");
    }

    #[test]
    fn raising_never_lowers() {
        let mut seen = context(&[(1, 5)]);
        assert!(!seen.raise(revision(1, 4)));
        assert!(!seen.raise(revision(1, 5)));
        assert!(seen.raise(revision(1, 6)));
        assert!(seen.raise(revision(2, 1)));
        assert_eq!(seen, context(&[(1, 6), (2, 1)]));
        assert_eq!((seen.highest(), Context::new().highest()), (6, 0));
    }

    #[test]
    fn below_is_an_order_with_strangers() {
        let (less, more) = (context(&[(1, 5)]), context(&[(1, 5), (2, 1)]));
        let strange = context(&[(1, 4), (3, 1)]);
        assert!(Context::new().below(&less) && less.below(&less) && less.below(&more) && !more.below(&less));
        assert!(!strange.below(&more) && !more.below(&strange));
        let mut both = more.clone();
        both.union(&strange);
        assert_eq!(both, context(&[(1, 5), (2, 1), (3, 1)]));
        assert!(more.below(&both) && strange.below(&both));
    }

    #[test]
    fn the_lowest_number_is_forgotten_first_but_not_the_present_reign() {
        let seen = context(&[(1, 5), (2, 3), (3, 3)]);
        assert_eq!(seen.oldest(ReignId(9)), Some(ReignId(2)), "of two with one number the smaller reign");
        assert_eq!(seen.oldest(ReignId(2)), Some(ReignId(3)));
        assert_eq!(context(&[(1, 5)]).oldest(ReignId(1)), None);
    }
}
