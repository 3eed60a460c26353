//! The join of one key (rule 2 of a reunion), and nothing else: which siblings of two sides stay, and in which order.

use crate::data::{RequestId, Revision};

/// A sibling, as the join looks at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tip {
    /// Its birth.
    pub birth: Revision,
    /// The request that wrote it.
    pub request: RequestId,
    /// Whether the other side has seen its birth.
    pub seen: bool,
    /// Whether the other side has executed its request, under this birth or another.
    pub executed: bool,
}

/// A sibling that stays: of which side, and which one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pick {
    Mine(usize),
    Theirs(usize),
}

impl Tip {
    /// Whether two are the same: one birth, or one request that was executed on both sides.
    pub(super) fn is(&self, other: &Tip) -> bool {
        self.birth == other.birth || self.request == other.request
    }

    /// Whether the other side has seen it and no longer holds it, so that it is gone.
    fn is_gone(&self, held: &[Tip], requests: bool) -> bool {
        !held.iter().any(|other| self.is(other)) && (self.seen || requests && self.executed)
    }
}

/// Joins the siblings of a key that the leader has with those of a member.
///
/// A sibling stays when both sides have it, or when the side that lacks it has not seen it: neither its birth nor its
/// request. Of one that both have, the greater birth stays, everywhere. Two requests that were sent on both sides in
/// opposite order have each seen the other; when nothing would be left of a key that both sides have, births alone
/// decide. If the leader's first stays, it stays the first; else the member's order counts.
pub(super) fn join(mine: &[Tip], theirs: &[Tip]) -> Vec<Pick> {
    let stay = |requests: bool| {
        let mut stay: Vec<(Pick, Tip)> = Vec::new();
        stay.extend((0..).map(Pick::Mine).zip(mine.iter().copied()).filter(|(_, tip)| !tip.is_gone(theirs, requests)));
        for (at, tip) in theirs.iter().enumerate().filter(|(_, tip)| !tip.is_gone(mine, requests)) {
            match stay.iter_mut().find(|(_, other)| other.is(tip)) {
                Some(same) if tip.birth > same.1.birth => *same = (Pick::Theirs(at), *tip),
                Some(_) => {}
                None => stay.push((Pick::Theirs(at), *tip)),
            }
        }
        stay
    };
    let mut stays = stay(true);
    if stays.is_empty() && !mine.is_empty() && !theirs.is_empty() {
        stays = stay(false);
    }
    let first_stays = mine.first().is_some_and(|first| stays.iter().any(|(_, tip)| first.is(tip)));
    let order: Vec<&Tip> =
        if first_stays { mine.iter().chain(theirs).collect() } else { theirs.iter().chain(mine).collect() };
    let mut picks = Vec::new();
    for tip in order {
        let pick = stays.iter().find(|(_, other)| tip.is(other)).map(|(pick, _)| *pick);
        picks.extend(pick.filter(|pick| !picks.contains(pick)));
    }
    picks
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
