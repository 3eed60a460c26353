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

/// What follows from a choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Choice {
    /// It is named, or the candidate, already.
    Stands,
    /// This one is the candidate: it is to be made ready.
    Candidate(Incarnation),
    /// Nobody is named any more, nor is anybody to be.
    Nobody,
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

    /// The first in line is this one now, or nobody.
    pub(super) fn choose(&mut self, first: Option<Incarnation>) -> Choice {
        if first == self.candidate.or(self.named) {
            return Choice::Stands;
        }
        self.candidate = first.filter(|f| self.named != Some(*f));
        match (first, self.candidate) {
            (None, _) => {
                self.named = None;
                Choice::Nobody
            }
            (Some(_), None) => Choice::Stands,
            (Some(_), Some(candidate)) => Choice::Candidate(candidate),
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
        assert_eq!(naming.choose(None), Choice::Stands);
        assert_eq!(naming.choose(a), Choice::Candidate(node(1)));
        assert_eq!((naming.named(), naming.choose(a)), (None, Choice::Stands), "it is made ready once");
        naming.name();
        assert_eq!((naming.named(), naming.choose(a)), (a, Choice::Stands));
        assert_eq!((naming.choose(b), naming.named()), (Choice::Candidate(node(2)), a), "until then the old one stays");
        assert_eq!((naming.choose(a), naming.named()), (Choice::Stands, a), "back to the one that is named");
        naming.name();
        assert_eq!(naming.named(), a, "nobody else was ready");
        assert_eq!(
            (naming.choose(b), naming.choose(None), naming.named()),
            (Choice::Candidate(node(2)), Choice::Nobody, None)
        );
        naming.name();
        assert_eq!(naming.named(), None, "who left is not named when it would be ready");
    }
}
