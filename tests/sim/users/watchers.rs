//! Users that follow the changes, each from its own cursor, through restarts of its agent and from another one.

use crate::lan::Lan;
use crate::network::M;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use tanist::data::{Context, Entry, RequestId, Revision};
use tanist::ledger::{Facts, Unknown, context_at, lists, seen_by};

/// One of them.
#[derive(Default)]
pub(super) struct Watcher {
    /// The machine, and the life of its agent, in which it last looked, and what readers of it had seen then.
    here: Option<(M, u64, Context)>,
    /// What it need not be told of.
    known: Context,
    /// From where it goes on elsewhere.
    cursor: Revision,
    /// Records that it was told of, and under which revision last. bound: the length of a run
    records: BTreeMap<RequestId, Revision>,
    /// Keys that it was told of, whether they had a value, and under which revision. bound: the keys
    keys: BTreeMap<String, (bool, Revision)>,
}

impl Lan {
    /// The watcher of this machine looks for what is new, here or, having moved, on another machine.
    pub(super) fn user_watches(&mut self, m: M) {
        let n = self.machines.len();
        self.users.watchers.resize_with(n, Watcher::default);
        let which = if self.dice.chance(0.1) { self.dice.index(n) } else { m };
        let most = if self.dice.chance(0.3) { 1 + self.dice.index(20) } else { usize::MAX };
        self.look_for(which, m, most);
    }

    /// This watcher reads at most so much on this machine.
    fn look_for(&mut self, which: usize, m: M, most: usize) {
        let life = self.life(m).expect("it runs");
        let Some(snapshot) = self.user_reads(m) else { return };
        let seen = seen_by(&snapshot).expect("the disk works");
        let position = Facts::read(&snapshot).expect("the disk works").position;
        let through = self.users.through;
        assert!(position.number <= through, "pc-{m} shows {position:?}, and only {through} is acknowledged");
        let mut watcher = std::mem::take(&mut self.users.watchers[which]);
        match &watcher.here {
            Some((at, then, had)) if (*at, *then) == (m, life) => {
                assert!(had.below(&seen), "pc-{m} shows less than it did: {seen:?} after {had:?}");
            }
            _ => match context_at(&snapshot, watcher.cursor).expect("the disk works") {
                Ok(known) => watcher.known = known,
                Err(Unknown::Reign) if watcher.cursor.number <= position.number => {
                    watcher = Watcher::default();
                    self.users.ended("a watcher began anew");
                }
                // This machine lacks what the watcher was told of elsewhere.
                Err(_) => {
                    self.users.watchers[which] = watcher;
                    return;
                }
            },
        }
        let (mut told, mut new) = (0, Vec::new());
        let more = lists::changes(&snapshot, &watcher.known, None, most, &mut |revision, entry| {
            told += 1;
            watcher.cursor = revision;
            match entry {
                Entry::Record(record) => {
                    let before = watcher.records.insert(record.id, revision);
                    assert_ne!(before, Some(revision), "a watcher was told of {:?} twice, on pc-{m}", record.id);
                    new.push(record.id);
                }
                Entry::Key(entry) => {
                    let before = watcher.keys.insert(entry.key.to_owned(), (!entry.is_tombstone(), revision));
                    assert_ne!(before.map(|b| b.1), Some(revision), "a watcher was told of {} twice", entry.key);
                }
            }
            if told < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        // A watcher that stops in the middle goes on from the cursor of the last line.
        watcher.here = None;
        if !more.expect("the disk works") {
            watcher.known.union(&seen);
            (watcher.cursor, watcher.here) = (position, Some((m, life, seen)));
        }
        self.users.watchers[which] = watcher;
        for id in new {
            if self.users.shown.insert(id) && !self.users.trims.adds(id) {
                // Nobody is shown what a power cut could take back.
                self.there_are(id, 1);
            }
        }
    }

    /// What watchers were told, when each has looked once more, is what there is.
    pub(super) fn expect_watchers_know_all(&mut self) {
        for which in 0..self.users.watchers.len() {
            let Some(m) = Some(which).filter(|m| self.machines[*m].process.is_some()) else { continue };
            // Twice: the first look may have to begin anew.
            self.look_for(which, m, usize::MAX);
            let watcher = &self.users.watchers[which];
            let missed: Vec<_> = self.records(m).into_iter().filter(|id| !watcher.records.contains_key(id)).collect();
            assert!(missed.is_empty(), "a watcher of pc-{m} was not told of {missed:?}");
            let mut keys = BTreeMap::new();
            let shown = lists::keys(&self.shown_by(m), "", None, &mut |revision, entry| {
                keys.insert(entry.key.to_owned(), (true, revision));
                ControlFlow::Continue(())
            });
            shown.expect("the disk works");
            let told: BTreeMap<_, _> = watcher.keys.clone().into_iter().filter(|(_, (value, _))| *value).collect();
            assert_eq!(told, keys, "a watcher of pc-{m} knows other keys");
        }
    }
}
