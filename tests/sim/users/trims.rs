//! Users that add to a topic of which others drop what they have read.

use crate::lan::Lan;
use crate::network::M;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use tanist::data::{Ask, Before, Context, RequestId, Revision};
use tanist::ledger::{Facts, lists};

/// The topic.
const TOPIC: &str = "old";

/// The records of the topic.
#[derive(Default)]
pub(super) struct Trims {
    /// Those that were acknowledged. bound: the length of a run
    added: BTreeSet<RequestId>,
    /// All that were asked for. bound: the length of a run
    sent: BTreeSet<RequestId>,
    /// What each trim drops, as far as it was acknowledged before: once the trim is, it never comes back. A request that was
    /// sent to two groups may have another birth, of which nobody knew there. bound: the length of a run
    drops: BTreeMap<RequestId, BTreeSet<(RequestId, Revision)>>,
    /// All that some trim may have dropped. bound: the length of a run
    may_be_gone: BTreeSet<RequestId>,
    /// What acknowledged trims dropped. bound: the length of a run
    gone: BTreeSet<(RequestId, Revision)>,
}

impl Trims {
    /// Whether it is a trim.
    pub(super) fn trims(&self, id: RequestId) -> bool {
        self.drops.contains_key(&id)
    }

    /// Whether it adds to the topic.
    pub(super) fn adds(&self, id: RequestId) -> bool {
        self.sent.contains(&id)
    }

    /// A record of the topic was acknowledged, or a trim.
    pub(super) fn done(&mut self, id: RequestId) {
        if self.sent.contains(&id) {
            self.added.insert(id);
        }
        if let Some(drops) = self.drops.get(&id) {
            self.gone.extend(drops);
        }
    }
}

impl Lan {
    /// A user of this machine adds to the topic, or drops what it reads there.
    pub(super) fn user_trims(&mut self, m: M) {
        if self.dice.chance(0.1) { self.user_trims_all(m) } else { self.user_adds_old(m) }
    }

    pub(crate) fn user_adds_old(&mut self, m: M) {
        let id = self.users.next_id();
        self.users.trims.sent.insert(id);
        let request = self.signs(m, id, Ask::Add { topic: TOPIC.to_owned(), value: vec![7; 20].into() });
        self.ask(m, &request);
    }

    /// A user of this machine drops what it reads of the topic.
    pub(crate) fn user_trims_all(&mut self, m: M) {
        let id = self.users.next_id();
        let Some(snapshot) = self.user_reads(m) else { return };
        let position = Facts::read(&snapshot).expect("the disk works").position;
        let read = self.old_births(m);
        let trims = &mut self.users.trims;
        let added = |record: &&(RequestId, Revision)| trims.added.contains(&record.0);
        trims.drops.insert(id, read.iter().filter(added).copied().collect());
        trims.may_be_gone.extend(read.iter().map(|record| record.0));
        let before = Before::Cursor(position.tagged());
        let request = self.signs(m, id, Ask::Trim { topic: TOPIC.to_owned(), before });
        self.ask(m, &request);
    }

    /// The records of the topic that readers of this machine see.
    pub(crate) fn old_records(&self, m: M) -> BTreeSet<RequestId> {
        self.old_births(m).into_iter().map(|record| record.0).collect()
    }

    /// The same, each with all its births.
    fn old_births(&self, m: M) -> BTreeSet<(RequestId, Revision)> {
        let mut all = BTreeSet::new();
        let shown = lists::records(&self.shown_by(m), TOPIC, &Context::new(), None, &mut |_, record| {
            all.extend(record.births.iter().map(|birth| (record.id, *birth)));
            ControlFlow::Continue(())
        });
        shown.expect("the disk works");
        all
    }

    /// When all follow one leader: what was dropped is nowhere, and what nobody dropped is everywhere.
    pub(super) fn expect_trimmed_stays_trimmed(&self) {
        let trims = &self.users.trims;
        for m in self.running() {
            let births = self.old_births(m);
            let back: Vec<_> = births.intersection(&trims.gone).collect();
            let here = self.old_records(m);
            assert!(back.is_empty(), "pc-{m} has again {back:?}, which were trimmed");
            let owed = trims.added.difference(&trims.may_be_gone);
            let lost: Vec<_> = owed.filter(|id| !here.contains(id)).collect();
            assert!(lost.is_empty(), "P5: pc-{m} has lost {lost:?}, which nobody trimmed");
        }
    }
}
