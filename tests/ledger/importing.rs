//! What was saved of a member at some time is imported at a leader, of any group.

use crate::clients::{Expecting, siblings_of};
use crate::ghost::{keys, records};
use crate::world::World;
use std::collections::VecDeque;
use tanist::data::{Answer, Ask, Request, RequestId, Revision, Saved, Sibling, Tagged};
use tanist::ledger::{Memory, Storage, lists, resolve};

/// Files that are kept.
const FILES: usize = 3;

/// An import of a record.
fn record(store: &Memory, id: RequestId) -> Request {
    let (_, record) = lists::record(store, id).expect("it can be read").expect("it is there");
    let birth = record.birth().tagged();
    let ask = Ask::Import { birth, saved: Saved::Record { topic: record.topic, value: record.value } };
    Request { id, at: record.at, node: record.node, ask }
}

/// The imports of a key, in the order of its siblings.
fn key(store: &Memory, key: &str) -> VecDeque<Request> {
    let import = |sibling: Sibling| {
        let saved = Saved::Sibling { key: key.to_owned(), value: sibling.value };
        let ask = Ask::Import { birth: sibling.birth.tagged(), saved };
        Request { id: sibling.request, at: sibling.at, node: sibling.node, ask }
    };
    siblings_of(store, key).into_iter().map(import).collect()
}

impl World {
    /// Something of a file comes in.
    pub(crate) fn import(&mut self, l: usize) {
        if self.files.is_empty() || self.dice.percent(40) {
            let member = self.dice.below(self.members.len());
            self.files.truncate(FILES - 1);
            self.files.insert(0, self.members[member].store.clone());
        }
        let file = self.files[self.dice.below(self.files.len())].clone();
        let (records, keys) = (records(&file), keys(&file));
        let keys: Vec<&String> = keys.iter().filter(|(_, (_, entry))| !entry.is_tombstone()).map(|(k, _)| k).collect();
        let queue = if keys.is_empty() || self.dice.percent(30) {
            let ids: Vec<RequestId> = records.into_keys().collect();
            if ids.is_empty() { return } else { VecDeque::from([record(&file, self.dice.pick(&ids))]) }
        } else {
            key(&file, keys[self.dice.below(keys.len())])
        };
        if !self.is_over(queue.len()) {
            self.order(l, queue);
        }
    }

    pub(crate) fn expect_import(
        &mut self,
        expecting: &mut Expecting,
        request: &Request,
        birth: Tagged,
        saved: &Saved,
        revision: Revision,
    ) -> Answer {
        let (known, behind) = match saved {
            Saved::Record { .. } => {
                let here = lists::record(&expecting.store, request.id).expect("it can be read");
                (here.map(|(_, record)| record.birth()).or(expecting.added.get(&request.id).copied()), false)
            }
            Saved::Sibling { key, .. } => {
                let siblings = expecting.keys.get(key).cloned();
                let siblings = siblings.unwrap_or_else(|| siblings_of(&expecting.store, key));
                let is = |sibling: &&Sibling| sibling.request == request.id || sibling.birth.tagged() == birth;
                let here = siblings.iter().find(is).map(|sibling| sibling.birth);
                let rows = expecting.store.find_request(request.id).expect("memory does not fail").into_iter().max();
                (here.or(expecting.rows.get(&request.id).copied()).or(rows), !siblings.is_empty())
            }
        };
        if let Some(birth) = known {
            self.count("an import of what is here");
            return Answer::Known(birth);
        }
        if let Ok(birth) = resolve(&expecting.store, birth).expect("it can be read") {
            self.count("an import of what is gone");
            return Answer::Known(birth);
        }
        self.count("an import came in");
        let Saved::Sibling { key, value } = saved else {
            expecting.added.insert(request.id, revision);
            let at = self.records.iter().position(|(id, _)| *id == request.id).expect("it was asked for");
            expecting.effects.records |= 1 << at;
            return Answer::Done(revision);
        };
        let execution = self.executed(request.id, revision, value.is_none());
        self.imported.insert(revision);
        let new =
            Sibling { birth: revision, request: request.id, at: request.at, node: request.node, value: value.clone() };
        let store = &expecting.store;
        expecting.keys.entry(key.clone()).or_insert_with(|| siblings_of(store, key)).push(new);
        expecting.rows.insert(request.id, revision);
        expecting.effects.writes.push((key.clone(), 1 << execution, 0));
        if !behind {
            return Answer::Done(revision);
        }
        self.count("an import made a conflict");
        Answer::Beside(revision)
    }
}
