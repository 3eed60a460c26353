//! The reigns that this agent has seen, as history has them.

use super::{Reign, Write, limits};
use crate::claim::Claim;
use crate::message::Story;
use crate::time::Wall;
use std::collections::VecDeque;

/// At most one reign is open; those before it have ended.
#[derive(Clone, Debug)]
pub(super) struct Past {
    /// The reign that is shown, until it ends.
    open: Option<Reign>,
    /// The last reigns that ended: what the disk could not take is given to it again when it can.
    ended: VecDeque<Reign>, // bound: PAST
    /// Since when this agent stands as it does.
    since: Wall,
    /// The reign that yielded to this agent last.
    yielded: Option<Claim>,
}

impl Past {
    pub(super) fn new(since: Wall) -> Self {
        Self { open: None, ended: VecDeque::new(), since, yielded: None }
    }

    /// Ends the reign that is open, and opens another.
    pub(super) fn enter(&mut self, claim: Claim, story: &Story, wall: Wall) -> Vec<Write> {
        let mut writes = self.end(wall);
        let (name, text) = (story.name.clone(), story.text.clone());
        let reign = Reign { claim, name, began: wall, ended: None, cause: story.cause, text };
        self.open = Some(reign.clone());
        writes.push(Write::Reign(reign));
        writes
    }

    /// Ends the reign that is open, if one is.
    pub(super) fn end(&mut self, wall: Wall) -> Vec<Write> {
        let Some(mut old) = self.open.take() else { return Vec::new() };
        old.ended = Some(wall);
        if self.ended.len() >= limits::PAST {
            self.ended.pop_front();
        }
        self.ended.push_back(old.clone());
        vec![Write::Reign(old)]
    }

    pub(super) fn is_open(&self, claim: Claim) -> bool {
        self.open.as_ref().is_some_and(|r| r.claim == claim)
    }

    /// Everything that is kept in mind, to be written again.
    pub(super) fn anew(&self) -> impl Iterator<Item = Write> {
        self.ended.iter().chain(&self.open).cloned().map(Write::Reign)
    }

    /// From now on this agent stands otherwise.
    pub(super) fn turns(&mut self, wall: Wall) {
        self.since = wall;
    }

    pub(super) fn since(&self) -> Wall {
        self.since
    }

    /// That reign has yielded to this agent. False when it was the last one that did, too.
    pub(super) fn first_yield_of(&mut self, claim: Claim) -> bool {
        self.yielded.replace(claim) != Some(claim)
    }
}
