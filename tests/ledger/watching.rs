//! Readers that follow changes from a cursor, at whatever member they find, and a copy that they make of it.

use crate::ghost::keys;
use crate::world::World;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use tanist::data::{Context, Entry, KeyEntry, RequestId, Revision};
use tanist::ledger::{Memory, Unknown, context_at, lists, resolve};

#[derive(Clone, Debug, Default)]
pub(crate) struct Watcher {
    /// The keys that have a value, or had one that is a conflict of a deletion, and their births.
    keys: BTreeMap<String, Vec<Revision>>,
    records: BTreeMap<RequestId, ()>,
    pub(crate) cursor: Revision,
    known: Context,
}

fn births(entry: &KeyEntry) -> Vec<Revision> {
    entry.siblings.iter().map(|sibling| sibling.birth).collect()
}

impl World {
    pub(crate) fn watch(&mut self, w: usize, y: usize) {
        let store = self.members[y].store.clone();
        let mut watcher = self.watchers[w].clone();
        let named = match resolve(&store, watcher.cursor.tagged()).expect("it can be read") {
            Ok(named) => named,
            Err(unknown) => return self.count(of_unknown(unknown)),
        };
        self.must(named == watcher.cursor, "a cursor names another revision", || format!("{named:?}"));
        let known = match context_at(&store, named).expect("it can be read") {
            Ok(known) => known,
            Err(unknown) => return self.count(of_unknown(unknown)),
        };
        // Where reigns are forgotten, one member may say more of a cursor than another.
        let same = self.setup.limits.reigns < 1000 || known == watcher.known;
        self.must(same, "a cursor means two things", || format!("{named:?}: {known:?} {:?}", watcher.known));
        if lists::forgot(&store, &known).expect("it can be read") {
            self.count("a list of all keys for a watcher");
            let there = keys(&store);
            watcher.keys.retain(|key, _| there.contains_key(key));
        }
        self.read_changes(&store, &known, &mut watcher);
        let there = keys(&store);
        let live = there.iter().filter(|(_, (_, entry))| !entry.is_tombstone());
        let live: BTreeMap<String, Vec<Revision>> =
            live.map(|(key, (_, entry))| (key.clone(), births(entry))).collect();
        self.must(live == watcher.keys, "a watcher missed something", || format!("{live:?} {:?}", watcher.keys));
        let missed = crate::ghost::records(&store).keys().any(|id| !watcher.records.contains_key(id));
        self.must(!missed, "a watcher missed a record", || format!("{named:?} at {y}"));
        self.read_lists(&store, &live, &known);
        watcher.cursor = self.members[y].ledger.committed();
        watcher.known = self.context_of(&store);
        self.watchers[w] = watcher;
        self.count("a watcher went on");
    }

    /// What changed since, some at a time.
    fn read_changes(&mut self, store: &Memory, known: &Context, watcher: &mut Watcher) {
        let most = 1 + self.dice.below(5);
        let mut after = None;
        loop {
            let before = after;
            let more = lists::changes(store, known, before, most, &mut |revision, entry| {
                assert!(after.is_none_or(|after| after < revision), "changes come in order");
                after = Some(revision);
                match entry.owned() {
                    Entry::Record(record) => drop(watcher.records.insert(record.id, ())),
                    Entry::Key(entry) if entry.is_tombstone() => drop(watcher.keys.remove(&entry.key)),
                    Entry::Key(entry) => drop(watcher.keys.insert(entry.key.clone(), births(&entry))),
                }
                ControlFlow::Continue(())
            });
            if !more.expect("it can be read") {
                return;
            }
        }
    }

    /// The lists show the same as the tables.
    fn read_lists(&mut self, store: &Memory, live: &BTreeMap<String, Vec<Revision>>, known: &Context) {
        let mut listed = BTreeMap::new();
        let shown = lists::keys(store, "key", None, &mut |_, entry| {
            listed.insert(entry.key.to_owned(), births(&entry.owned()));
            ControlFlow::Continue(())
        });
        self.must(shown.is_ok() && listed == *live, "the list of keys is wrong", || format!("{listed:?} {live:?}"));
        let mut torn = 0;
        let shown = lists::conflicts(store, None, &mut |_, _| {
            torn += 1;
            ControlFlow::Continue(())
        });
        let all = keys(store).values().filter(|(_, entry)| entry.has_conflict()).count();
        self.must(shown.is_ok() && torn == all, "the list of conflicts is wrong", || format!("{torn} {all}"));
        let held = crate::ghost::records(store);
        let (mut found, mut counted) = (0, 0);
        let shown = lists::topics(store, None, &mut |topic, view| {
            counted += view.counts.records;
            let shown = lists::records(store, topic, known, None, &mut |revision, record| {
                let right = held.get(&record.id) == Some(&(revision, record.birth())) && !known.covers(revision);
                found += usize::from(right);
                ControlFlow::Continue(())
            });
            assert!(shown.is_ok());
            ControlFlow::Continue(())
        });
        let due = held.values().filter(|(revision, _)| !known.covers(*revision)).count();
        let right = shown.is_ok() && found == due && counted as usize == held.len();
        self.must(right, "the list of records is wrong", || format!("{found} {due} {counted} {}", held.len()));
    }
}

fn of_unknown(unknown: Unknown) -> &'static str {
    match unknown {
        Unknown::Ahead => "a cursor was ahead of a member",
        Unknown::Reign => "a cursor was of a reign not known",
    }
}
