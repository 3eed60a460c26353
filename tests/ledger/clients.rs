//! Clients: they read anywhere, write at a leader, and send again what they have no answer to. The oracle says beforehand
//! what each will be answered.

use crate::ghost::{Bits, Ghost, records};
use crate::member::Waiting;
use crate::world::World;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use tanist::data::{
    Answer, Ask, Before, Change, Condition, Keep, KeyEntry, Refusal, ReignId, Request, RequestId, Revision, Saved,
    Sibling, Tagged,
};
use tanist::ident::NodeId;
use tanist::ledger::{Memory, Storage, context_at, lists, read_batch, resolve};
use tanist::time::Wall;
use uuid::Uuid;

/// The most executions, and records, of a life: one bit each.
const MOST: usize = 120;

/// What a batch adds to the past.
#[derive(Default)]
pub(crate) struct Effects {
    /// Key, the execution, and what it replaced.
    pub(crate) writes: Vec<(String, Bits, Bits)>,
    pub(crate) records: Bits,
}

/// What the oracle expects of the requests of one call, one after the other.
pub(crate) struct Expecting {
    pub(crate) store: Memory,
    reign: ReignId,
    next: u64,
    pub(crate) keys: BTreeMap<String, Vec<Sibling>>,
    pub(crate) rows: BTreeMap<RequestId, Revision>,
    pub(crate) added: BTreeMap<RequestId, Revision>,
    pub(crate) effects: Effects,
}

impl World {
    pub(crate) fn write(&mut self, l: usize) {
        if self.members[l].ledger.holds() {
            return self.count("a leader held writes");
        }
        if self.dice.percent(4) {
            return self.trim(l);
        }
        if self.dice.percent(8) {
            return self.import(l);
        }
        let count = 1 + self.dice.below(2);
        if self.is_over(count) {
            return;
        }
        let queue = (0..count).map(|_| self.request(l)).collect();
        self.order(l, queue);
    }

    /// Whether so many more executions, or records, would be too many for this life.
    pub(crate) fn is_over(&self, count: usize) -> bool {
        self.executions.len() + count > MOST || self.records.len() + count > MOST
    }

    /// A leader orders what is asked, and the oracle says beforehand what becomes of it.
    pub(crate) fn order(&mut self, l: usize, queue: VecDeque<Request>) {
        let (_, store, ghost) = self.ahead(l);
        let reign = self.lead(l).reign;
        let told = self.members[l].told;
        let next = self.members[l].ledger.highest().max(told) + 1;
        let (keys, rows, added) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut expecting = Expecting { store, reign, next, keys, rows, added, effects: Effects::default() };
        let expected: Vec<Answer> = queue.iter().map(|request| self.expect(&mut expecting, request, &ghost)).collect();
        let asked = queue.clone();
        let mut queue = queue;
        let member = &mut self.members[l];
        let ordered = member.ledger.order(&member.store, reign, told, &mut queue).expect("memory does not fail");
        let answers: Vec<Answer> = ordered.answers.iter().map(|judged| judged.answer).collect();
        self.must(answers == expected, "an answer is not what was expected", || {
            format!("{asked:?}: {answers:?}, not {expected:?}")
        });
        let (Effects { writes, records }, added) = (expecting.effects, expecting.added);
        if let Some(batch) = &ordered.batch {
            self.emit(l, batch, |ghost| {
                ghost.records |= records;
                for (id, birth) in added {
                    ghost.births.entry(id).or_default().insert(birth);
                }
                for (key, done, dead) in writes {
                    *ghost.done.entry(key.clone()).or_insert(0) |= done;
                    *ghost.dead.entry(key).or_insert(0) |= dead;
                }
            });
        }
        for (request, judged) in asked.into_iter().zip(ordered.answers) {
            let refused = matches!(judged.answer, Answer::Refused(_));
            let key = key_of(&request.ask).map(str::to_owned);
            self.lead(l).waiting.push(Waiting { judged, request: request.id, key, refused });
        }
    }

    /// What somebody asks for.
    fn request(&mut self, l: usize) -> Request {
        let dice = self.dice.below(100);
        if dice < 20 && !self.again.is_empty() {
            let at = self.dice.below(self.again.len());
            let mut request = self.again[at].clone();
            let known = !self.ahead(l).1.find_request(request.id).expect("memory does not fail").is_empty();
            if known && self.dice.percent(5) {
                request.ask = other(&request.ask);
                self.count("an id was used for another request");
            }
            return request;
        }
        self.requests += 1;
        let ask = if dice < 40 { self.ask_record() } else { self.ask_key() };
        let node = NodeId(Uuid::from_u128(l as u128 + 1));
        let request = Request { id: RequestId(self.requests), at: Wall(self.step), node, ask };
        if let Ask::Add { topic, .. } = &request.ask {
            self.records.push((request.id, topic.clone()));
        }
        if self.dice.percent(60) {
            self.again.push(request.clone());
            if self.again.len() > 5 {
                self.again.remove(0);
            }
        }
        request
    }

    fn ask_record(&mut self) -> Ask {
        Ask::Add { topic: format!("topic {}", self.requests % 2), value: Bytes::from(format!("{}", self.requests)) }
    }

    fn ask_key(&mut self) -> Ask {
        let key = format!("key {}", self.dice.below(self.setup.keys));
        let reader = self.dice.below(self.members.len());
        let read = lists::key(&self.members[reader].store, &key).expect("it can be read");
        let read = read.map_or_else(Vec::new, |(_, entry)| entry.siblings);
        let value = (!self.dice.percent(35)).then(|| Bytes::from(format!("{}", self.dice.below(6))));
        let condition = match self.dice.below(10) {
            0..=2 => match read.first().filter(|first| first.value.is_some()) {
                Some(present) => Condition::Is(present.birth.tagged()),
                None => Condition::Absent,
            },
            3..=4 if read.len() > 1 => {
                let conflict = read[1 + self.dice.below(read.len() - 1)].birth.tagged();
                let present = read[0].value.as_ref().map(|_| read[0].birth.tagged());
                let keep = match self.dice.below(3) {
                    0 => Keep::Present,
                    1 => Keep::Other,
                    _ => Keep::Value(value),
                };
                return Ask::Resolve { key, conflict, present, keep };
            }
            _ => Condition::None,
        };
        match value {
            Some(value) => Ask::Put { key, value, condition },
            None => Ask::Delete { key, condition },
        }
    }

    fn expect(&mut self, expecting: &mut Expecting, request: &Request, ghost: &Ghost) -> Answer {
        let revision = Revision::new(expecting.reign, expecting.next);
        let answer = match (&request.ask, key_of(&request.ask)) {
            (Ask::Import { birth, saved }, _) => self.expect_import(expecting, request, *birth, saved, revision),
            (_, None) => self.expect_record(expecting, request, revision),
            (_, Some(key)) => self.expect_write(expecting, request, key, revision, ghost),
        };
        if answer == Answer::Done(revision) || answer == Answer::Beside(revision) {
            expecting.next += 1;
        }
        answer
    }

    fn expect_record(&mut self, expecting: &mut Expecting, request: &Request, revision: Revision) -> Answer {
        let stored =
            lists::record(&expecting.store, request.id).expect("it can be read").map(|(_, record)| record.birth());
        if let Some(birth) = stored.or(expecting.added.get(&request.id).copied()) {
            self.count("a record was sent again");
            return if is_altered(request) { Answer::Refused(Refusal::Reused) } else { Answer::Known(birth) };
        }
        expecting.added.insert(request.id, revision);
        let at = self.records.iter().position(|(id, _)| *id == request.id).expect("it was asked for");
        expecting.effects.records |= 1 << at;
        Answer::Done(revision)
    }

    fn expect_write(
        &mut self,
        expecting: &mut Expecting,
        request: &Request,
        key: &str,
        revision: Revision,
        ghost: &Ghost,
    ) -> Answer {
        let rows = expecting.store.find_request(request.id).expect("memory does not fail").into_iter().max();
        if let Some(birth) = expecting.rows.get(&request.id).copied().or(rows) {
            self.count("a request was sent again");
            let altered = is_altered(request) && !self.imported.contains(&birth);
            return if altered { Answer::Refused(Refusal::Reused) } else { Answer::Known(birth) };
        }
        let before = self.same.get(&request.id).copied().unwrap_or(0);
        let siblings = match expecting.keys.get(key) {
            Some(siblings) => siblings.clone(),
            None => siblings_of(&expecting.store, key),
        };
        let gone = match gone(&request.ask, &siblings) {
            Ok(gone) => gone,
            Err(refusal) => {
                self.count("a condition was refused");
                return Answer::Refused(refusal);
            }
        };
        let twice = before & Ghost::of(&ghost.done, key) != 0 && self.is_strict();
        self.must(!twice, "P6 done twice", || format!("{request:?}"));
        if matches!(request.ask, Ask::Resolve { .. }) {
            self.count("a conflict was resolved");
        }
        let value = value_of(&request.ask, &siblings);
        let execution = self.executed(request.id, revision, value.is_none());
        let (mut stay, mut dead) = (Vec::new(), 0);
        for (at, sibling) in siblings.iter().enumerate() {
            if gone.iter().any(|gone| *gone == at || siblings[*gone].value == sibling.value) {
                dead |= 1 << self.births[&sibling.birth];
            } else {
                stay.push(sibling.clone());
            }
        }
        let new = Sibling { birth: revision, request: request.id, at: request.at, node: request.node, value };
        stay.insert(0, new);
        expecting.keys.insert(key.to_owned(), stay);
        expecting.rows.insert(request.id, revision);
        expecting.effects.writes.push((key.to_owned(), 1 << execution, dead));
        Answer::Done(revision)
    }

    /// A request is executed on a key: the number of that.
    pub(crate) fn executed(&mut self, request: RequestId, revision: Revision, deletes: bool) -> usize {
        let execution = self.executions.len();
        self.executions.push(request);
        self.births.insert(revision, execution);
        *self.same.entry(request).or_insert(0) |= 1 << execution;
        self.deletions |= Bits::from(deletes) << execution;
        execution
    }

    /// Old records of a topic go.
    fn trim(&mut self, l: usize) {
        let topic = format!("topic {}", self.dice.below(2));
        let reader = self.dice.below(self.members.len());
        let before = match self.dice.below(4) {
            0 => Before::Keep(self.dice.below(4) as u64),
            1 => Before::Older(Wall(self.step / 2)),
            2 => Before::Cursor(self.watchers[0].cursor.tagged()),
            _ => Before::Cursor(self.members[reader].shown.tagged()),
        };
        let (_, store, ghost) = self.ahead(l);
        let (reign, told) = (self.lead(l).reign, self.members[l].told);
        let ask = Ask::Trim { topic: topic.clone(), before };
        self.requests += 1;
        let request = Request { id: RequestId(self.requests), at: Wall(self.step), node: NodeId(Uuid::nil()), ask };
        let member = &mut self.members[l];
        let mut queue = VecDeque::from([request]);
        let ordered = member.ledger.order(&member.store, reign, told, &mut queue).expect("memory does not fail");
        let (answer, held) = (ordered.answers[0].answer, self.topic(&store, &ghost, &topic));
        let known = match before {
            Before::Cursor(cursor) => resolve(&store, cursor).expect("it can be read").is_ok(),
            _ => true,
        };
        self.must(known == (answer != Answer::Refused(Refusal::Forgotten)), "a cursor is known or not", || {
            format!("{before:?}: {answer:?}")
        });
        let Some(batch) = ordered.batch else { return };
        let changes = read_batch(&batch.bytes).expect("it was just made").changes;
        let [Change::Trim(change)] = &changes[..] else { panic!("a trim makes one change: {changes:?}") };
        self.emit(l, &batch, |ghost| ghost.trims.push((change.topic.clone(), change.context.clone())));
        let left = self.topic(&self.ahead(l).1, &ghost, &topic);
        let dropped = (held.len() - left.len()) as u64;
        let said = matches!(answer, Answer::Trimmed { dropped: n, more: false, .. } if n == dropped);
        self.must(said, "a trim dropped other than it said", || format!("{before:?}: {answer:?}, {dropped}"));
        let due = |birth: &Revision| match before {
            Before::Cursor(cursor) => {
                let cursor = resolve(&store, cursor).expect("it can be read").expect("it is known");
                let seen = context_at(&store, cursor).expect("it can be read").expect("it is known");
                ghost.due(held[birth].1, &topic).iter().all(|birth| seen.covers(*birth))
            }
            // Several that were born under one number stay together.
            Before::Keep(keep) => {
                let kept = held.keys().rev().take(keep as usize).map(|birth| birth.number).min();
                kept.is_none_or(|kept| birth.number < kept)
            }
            Before::Older(age) => held.iter().all(|(other, (at, _))| *at < age || birth.number < other.number),
        };
        let right = held.keys().all(|birth| left.contains_key(birth) != due(birth));
        self.must(right, "a trim dropped the wrong records", || format!("{before:?}: {held:?} {left:?}"));
        self.count("records were trimmed");
    }

    /// The records of a topic: the last birth that is not trimmed, age and id.
    fn topic(&self, store: &Memory, ghost: &Ghost, topic: &str) -> BTreeMap<Revision, (Wall, RequestId)> {
        let own = self.records.iter().filter(|(_, of)| of == topic);
        let held = records(store);
        let own = own.filter(|(id, _)| held.contains_key(id));
        let own = own.map(|(id, _)| (*ghost.due(*id, topic).last().expect("it is not trimmed"), *id));
        own.map(|(birth, id)| {
            let record = lists::record(store, id).expect("it can be read").expect("it is there");
            (birth, (record.1.at, id))
        })
        .collect()
    }
}

pub(crate) fn siblings_of(store: &Memory, key: &str) -> Vec<Sibling> {
    let entry: Option<(Revision, KeyEntry)> = lists::key(store, key).expect("it can be read");
    entry.map_or_else(Vec::new, |(_, entry)| entry.siblings)
}

/// Which siblings a write names, or why it is refused.
fn gone(ask: &Ask, siblings: &[Sibling]) -> Result<Vec<usize>, Refusal> {
    let present = siblings.first().filter(|first| first.value.is_some()).map(|first| first.birth);
    let first: Vec<usize> = siblings.first().map(|_| 0).into_iter().collect();
    match ask {
        Ask::Put { condition, .. } | Ask::Delete { condition, .. } => {
            let holds = match condition {
                Condition::None => true,
                Condition::Absent => present.is_none(),
                Condition::Is(version) => present.is_some_and(|birth| birth.to_string() == version.to_string()),
            };
            if !holds {
                return Err(Refusal::Changed(present));
            }
            if matches!(ask, Ask::Delete { .. }) && present.is_none() { Err(Refusal::Missing) } else { Ok(first) }
        }
        Ask::Resolve { conflict, present: read, .. } => match position(siblings, *conflict) {
            None | Some(0) => Err(Refusal::Missing),
            Some(_) if present.map(Revision::tagged) != *read => Err(Refusal::Changed(present)),
            Some(at) => Ok(vec![0, at]),
        },
        Ask::Add { .. } | Ask::Trim { .. } | Ask::Import { .. } => unreachable!("it writes a key"),
    }
}

fn key_of(ask: &Ask) -> Option<&str> {
    match ask {
        Ask::Put { key, .. } | Ask::Delete { key, .. } | Ask::Resolve { key, .. } => Some(key),
        Ask::Import { saved: Saved::Sibling { key, .. }, .. } => Some(key),
        Ask::Add { .. } | Ask::Trim { .. } | Ask::Import { .. } => None,
    }
}

/// What a write makes of a key that has these.
fn value_of(ask: &Ask, siblings: &[Sibling]) -> Option<Bytes> {
    match ask {
        Ask::Put { value, .. } => Some(value.clone()),
        Ask::Resolve { conflict, keep, .. } => match keep {
            Keep::Present => siblings[0].value.clone(),
            Keep::Other => siblings[position(siblings, *conflict).expect("it is there")].value.clone(),
            Keep::Value(value) => value.clone(),
        },
        _ => None,
    }
}

fn position(siblings: &[Sibling], birth: Tagged) -> Option<usize> {
    siblings.iter().position(|sibling| sibling.birth.tagged() == birth)
}

/// Another request, that is never sent under an id of its own.
fn other(ask: &Ask) -> Ask {
    let value = Bytes::from_static(b"another");
    match ask {
        Ask::Add { topic, .. } => Ask::Add { topic: topic.clone(), value },
        _ => Ask::Put { key: key_of(ask).expect("it writes a key").to_owned(), value, condition: Condition::None },
    }
}

fn is_altered(request: &Request) -> bool {
    match &request.ask {
        Ask::Add { value, .. } | Ask::Put { value, .. } => value == "another",
        _ => false,
    }
}
