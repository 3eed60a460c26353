//! What clients of this agent were told of, and readers here may not see yet.
//!
//! A write is answered when it is durable, a moment before the tables have it. Whoever reads what it wrote waits for that,
//! and nobody else does: a slow disk holds up no other read.

use crate::data::Revision;
use crate::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long after an answer to a write a read waits until it finds what was written. A member that lags longer says so by
/// its cursor.
pub(super) const SHOWN: Duration = Duration::from_secs(1);

/// So many names are kept in mind; when there are more, an answer waits until readers see what it tells.
const NAMES: usize = 1024;

/// What was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target<'a> {
    Topic(&'a str),
    Key(&'a str),
}

/// The latest change of each name, and when it was told.
#[derive(Debug, Default)]
pub(super) struct Owed {
    topics: BTreeMap<String, (Revision, Time)>, // bound: NAMES with the keys
    keys: BTreeMap<String, (Revision, Time)>,   // bound: NAMES with the topics
}

/// Readers see a change; in a later reign the number alone does not say so.
fn is_seen(visible: Revision, change: Revision) -> bool {
    visible.reign == change.reign && visible.number >= change.number
}

impl Owed {
    /// A client is told of a change, while readers see what is `visible`. False when there is no room to keep that in mind.
    pub(super) fn tells(&mut self, target: Target<'_>, change: Revision, visible: Revision, now: Time) -> bool {
        if is_seen(visible, change) {
            return true;
        }
        if self.topics.len() + self.keys.len() >= NAMES {
            let owed =
                |_: &String, (change, at): &mut (Revision, Time)| !is_seen(visible, *change) && now.since(*at) < SHOWN;
            self.topics.retain(owed);
            self.keys.retain(owed);
        }
        let full = self.topics.len() + self.keys.len() >= NAMES;
        let (of, name) = match target {
            Target::Topic(name) => (&mut self.topics, name),
            Target::Key(name) => (&mut self.keys, name),
        };
        match of.get_mut(name) {
            Some(before) if before.0.number >= change.number => {}
            Some(before) => *before = (change, now),
            None if full => return false,
            None => drop(of.insert(name.to_owned(), (change, now))),
        }
        true
    }

    /// The latest change that a reader must find who reads what this says, and for how long the read waits for it yet. What
    /// readers see is forgotten.
    pub(super) fn owes(
        &mut self,
        reads: impl Fn(Target<'_>) -> bool,
        visible: Revision,
        now: Time,
    ) -> Option<(Revision, Duration)> {
        let mut latest: Option<(Revision, Time)> = None;
        let mut look = |target: Target<'_>, told: &(Revision, Time)| {
            if is_seen(visible, told.0) || now.since(told.1) >= SHOWN {
                return false;
            }
            if reads(target) && latest.is_none_or(|latest| latest.0.number < told.0.number) {
                latest = Some(*told);
            }
            true
        };
        self.topics.retain(|name, told| look(Target::Topic(name), told));
        self.keys.retain(|name, told| look(Target::Key(name), told));
        latest.map(|(change, at)| (change, SHOWN.saturating_sub(now.since(at))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ReignId;

    fn at(number: u64) -> Revision {
        Revision::new(ReignId(7), number)
    }

    #[test]
    fn a_reader_waits_for_what_it_reads_and_for_nothing_else() {
        let mut told = Owed::default();
        let second = Time(0) + SHOWN;
        assert!(told.tells(Target::Key("a"), at(3), at(2), Time(0)));
        assert!(told.tells(Target::Key("a"), at(2), at(1), Time(0)), "an older one came later");
        assert!(told.tells(Target::Topic("t"), at(4), at(2), Time(0)));
        let owes = |told: &mut Owed, target, visible, now| told.owes(|t| t == target, visible, now);
        assert_eq!(owes(&mut told, Target::Key("a"), at(2), Time(0)), Some((at(3), SHOWN)));
        assert_eq!(owes(&mut told, Target::Key("b"), at(2), Time(0)), None);
        assert_eq!(owes(&mut told, Target::Topic("a"), at(2), Time(0)), None);
        assert_eq!(told.owes(|_| true, at(2), Time(0)).map(|owed| owed.0), Some(at(4)), "who reads all waits for all");
        assert_eq!(owes(&mut told, Target::Key("a"), at(3), Time(0)), None, "it is there");
        assert_eq!(owes(&mut told, Target::Topic("t"), at(3), second), None, "a member that lags says so");
        assert_eq!((told.topics.len(), told.keys.len()), (0, 0), "nothing is kept longer than it must");
    }

    #[test]
    fn what_cannot_be_kept_in_mind_is_said() {
        let mut told = Owed::default();
        for n in 0..NAMES as u64 {
            assert!(told.tells(Target::Key(&n.to_string()), at(n + 1), at(0), Time(0)));
        }
        assert!(!told.tells(Target::Topic("t"), at(5000), at(0), Time(0)), "there is no room");
        assert!(told.tells(Target::Key("0"), at(5000), at(0), Time(0)), "a name that is there needs none");
        assert!(told.tells(Target::Topic("t"), at(5001), at(9), Time(0)), "what is seen makes room");
    }
}
