//! Who is named to take over, as a state machine (protocol §7).

use crate::ident::Incarnation;

/// Who is named, and who is to be. A successor is chosen first, then made ready, then named: told, and stated in every
/// heartbeat.
#[derive(Clone, Debug, Default)]
pub(super) struct Naming {
    named: Option<Incarnation>,
    /// Chosen and not named yet.
    candidate: Option<Incarnation>,
}

impl Naming {
    pub(super) fn named(&self) -> Option<Incarnation> {
        self.named
    }

    /// Chosen and not named yet.
    pub(super) fn candidate(&self) -> Option<Incarnation> {
        self.candidate
    }

    /// The one that is named does not hold what it should: it is named no more. The candidate is none any more either, when
    /// it is the same.
    pub(super) fn unname(&mut self) {
        self.named = None;
    }

    /// The first in line is this one now, or nobody: then nobody is named any more either.
    pub(super) fn choose(&mut self, first: Option<Incarnation>) {
        self.candidate = first.filter(|f| self.named != Some(*f));
        if first.is_none() {
            self.named = None;
        }
    }

    /// The candidate is ready: it is named.
    pub(super) fn name(&mut self) {
        self.named = self.candidate.take().or(self.named);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::samples::node;

    #[test]
    fn one_is_named_after_it_was_made_ready_and_unnamed_at_once() {
        let (a, b) = (Some(node(1)), Some(node(2)));
        let mut naming = Naming::default();
        let stands = |naming: &Naming| (naming.named(), naming.candidate());
        naming.choose(a);
        naming.choose(a);
        assert_eq!(stands(&naming), (None, a), "it is made ready first");
        naming.name();
        naming.choose(a);
        assert_eq!(stands(&naming), (a, None));
        naming.choose(b);
        assert_eq!(stands(&naming), (a, b), "until then the old one stays");
        naming.choose(a);
        naming.name();
        assert_eq!(stands(&naming), (a, None), "back to the one that is named: nobody else was ready");
        naming.choose(b);
        naming.choose(None);
        assert_eq!(stands(&naming), (None, None));
        naming.name();
        assert_eq!(naming.named(), None, "who left is not named when it would be ready");
    }
}
