//! Users that count together: each reads a key, and writes one more on the condition that nobody has since.

use crate::lan::Lan;
use crate::network::M;
use std::collections::BTreeMap;
use tanist::data::{Ask, Condition, RequestId, Revision};
use tanist::ledger::lists;
use tanist::store::data::Snapshot;

/// The key in which they count.
const KEY: &str = "steps";

/// The steps of a run.
#[derive(Default)]
pub(super) struct Steps {
    /// What each had read: the birth of the value. bound: the length of a run
    from: BTreeMap<RequestId, Option<Revision>>,
    /// Those that were acknowledged, by what they had read, with their births. bound: the length of a run
    done: BTreeMap<Option<Revision>, BTreeMap<RequestId, Revision>>,
}

impl Steps {
    pub(super) fn sent(&self, id: RequestId) -> bool {
        self.from.contains_key(&id)
    }

    /// A request was acknowledged; perhaps it was a step. Within one reign two steps never come from one value.
    pub(super) fn done(&mut self, id: RequestId, birth: Revision) {
        let Some(from) = self.from.get(&id) else { return };
        let others = self.done.entry(*from).or_default();
        let other = others.iter().find(|(other, at)| **other != id && at.reign == birth.reign);
        assert!(other.is_none(), "{id:?} and {other:?} both replaced {from:?}");
        others.insert(id, birth);
    }
}

impl Lan {
    /// A user of this machine counts a step.
    pub(super) fn user_steps(&mut self, m: M) {
        let Some(snapshot) = self.user_reads(m) else { return };
        let (from, count) = counted(&snapshot);
        let id = self.users.next_id();
        let value = (count + 1).to_string().into_bytes().into();
        let condition = from.map_or(Condition::Absent, |birth| Condition::Is(birth.tagged()));
        let request = self.signed(m, id, Ask::Put { key: KEY.to_owned(), value, condition });
        self.users.steps.from.insert(id, from);
        self.ask(m, &request);
    }

    /// Where no two machines led at once: every step that was acknowledged is counted, and counted once.
    pub(crate) fn expect_every_step_counted(&self) {
        let done: usize = self.users.steps.done.values().map(BTreeMap::len).sum();
        let torn = self.users.steps.done.iter().find(|(_, steps)| steps.len() > 1);
        assert!(torn.is_none(), "two steps from one value: {torn:?}");
        assert!(done > 0, "nobody counted a step");
        let (done, sent) = (done as u64, self.users.steps.from.len() as u64);
        for m in self.running() {
            let (_, count) = counted(&self.shown_by(m));
            assert!((done..=sent).contains(&count), "pc-{m} counts {count} of {done} to {sent} steps");
        }
    }
}

/// What readers are shown: the birth of the value, and how many steps it counts.
fn counted(snapshot: &Snapshot) -> (Option<Revision>, u64) {
    let entry = lists::key(snapshot, KEY).expect("the disk works");
    let value = entry.and_then(|(_, entry)| entry.siblings.into_iter().next());
    let Some(value) = value else { return (None, 0) };
    let count = value.value.as_deref().map(|digits| std::str::from_utf8(digits).expect("digits"));
    (Some(value.birth), count.expect("nobody deletes it").parse().expect("a number"))
}
