//! Between groups: a member that holds what the leader lacks offers it.

use crate::ghost::keys;
use crate::world::World;
use std::collections::BTreeSet;
use tanist::data::{Change, Context, RequestId, Revision};
use tanist::ledger::{Memory, Scan, Values, lists, read_batch};

impl World {
    /// The member offers, the leader joins. Says whether it came to its end.
    pub(crate) fn offer(&mut self, f: usize, l: usize, sure: bool) -> bool {
        self.count("an offer");
        let before = self.members[l].ledger.context().clone();
        if lists::forgot(&self.ahead(f).1, &before).expect("it can be read") {
            self.count("a list of all keys for an offer");
        }
        let mut scan = Scan::new(before.clone(), Values::All);
        let (reign, piece) = (self.lead(l).reign, self.setup.piece);
        let member = &mut self.members[l];
        member.ledger.begin_offer(&mut member.store).expect("memory does not fail");
        let mut stop = if sure || self.dice.percent(60) { usize::MAX } else { self.dice.below(8) };
        loop {
            if !sure && self.dice.percent(15) {
                self.write(l);
            }
            if stop == 0 || self.members[l].ledger.holds() {
                return false;
            }
            stop -= 1;
            let most = 1 + self.dice.below(piece);
            let member = &mut self.members[f];
            let bytes = member.ledger.offer(&mut member.store, &mut scan, most).expect("memory does not fail");
            let bytes = bytes.expect("the last one says that it is the last");
            let told = self.members[l].told;
            let member = &mut self.members[l];
            let offered = member.ledger.take_offer(&mut member.store, reign, told, &bytes).expect("it can be taken");
            if let Some(batch) = &offered.batch {
                let (records, births) = self.records_of(&batch.bytes);
                self.emit(l, batch, |ghost| {
                    ghost.records |= records;
                    births.into_iter().for_each(|(id, births)| ghost.births.entry(id).or_default().extend(births));
                });
            }
            if offered.complete {
                break;
            }
        }
        self.join(f, l, &before, stop)
    }

    /// The records of a batch, and the births that come with them.
    fn records_of(&self, batch: &[u8]) -> (u128, Vec<(RequestId, Vec<Revision>)>) {
        let (mut bits, mut all) = (0, Vec::new());
        for change in read_batch(batch).expect("it was just made").changes {
            let (id, births) = match change {
                Change::Add(add) => (add.id, add.births),
                Change::Again(id, births) => (id, births),
                _ => continue,
            };
            bits |= 1 << self.records.iter().position(|(other, _)| *other == id).expect("it was asked for");
            all.push((id, births));
        }
        (bits, all)
    }

    fn join(&mut self, f: usize, l: usize, before: &Context, mut stop: usize) -> bool {
        let (reign, told) = (self.lead(l).reign, self.members[l].told);
        let member = &mut self.members[l];
        member.ledger.begin_join(&mut member.store, reign, told).expect("it is complete");
        let (theirs, there, other) = self.ahead(f);
        let meeting = Meeting::new(before, self.ahead(l).1, there);
        self.tell(|| format!("{l} joins {f} at {theirs:?}"));
        let (mut parts, mut refused) = (0, BTreeSet::new());
        loop {
            if stop == 0 {
                self.members[l].ledger.cancel_join();
                self.count("a whole broke off");
                return false;
            }
            stop -= 1;
            let most = 1 + self.dice.below(self.setup.piece);
            let member = &mut self.members[l];
            let joined = member.ledger.join_next(&mut member.store, most).expect("memory does not fail");
            let joined = joined.expect("the last one says that it is the last");
            parts += 1;
            refused.extend(joined.refused);
            let excused = if joined.batch.complete { self.opposite(&meeting) } else { 0 };
            self.emit(l, &joined.batch, |ghost| {
                ghost.union(&other);
                ghost.excused |= excused;
            });
            if joined.batch.complete {
                break;
            }
        }
        self.must(refused.is_empty(), "a key was refused", || format!("{refused:?}"));
        self.judge_join(l, &meeting);
        if parts > 1 {
            self.count("a whole in parts");
        }
        if self.members[l].ledger.holds() {
            self.count("a whole that lies aside");
        }
        true
    }

    /// What stands at the leader is what the join of the two should be.
    fn judge_join(&mut self, l: usize, meeting: &Meeting) {
        let joined = self.ahead(l).1;
        for (key, (_, entry)) in keys(&joined) {
            if entry.siblings.len() > 1 {
                self.count("siblings after a join");
            }
            let first = keys(&meeting.here).get(&key).and_then(|(_, entry)| entry.siblings.first().cloned());
            if let (Some(first), Some(now)) = (first, entry.siblings.first()) {
                let stays = entry.siblings.iter().any(|sibling| sibling.birth == first.birth);
                let same = now.birth == first.birth || now.request == first.request;
                self.must(!stays || same, "a reunion changed the value of the side that stayed", || key.clone());
            }
            if self.is_strict() && meeting.compared.contains(&key) {
                let expected = crate::joined::join(&key, &meeting.here, &meeting.there).0;
                self.must(entry.siblings == expected, "a join is not what the rules say", || {
                    format!("{key}: {:?}, not {expected:?}", entry.siblings)
                });
            }
        }
    }

    /// Requests that were sent on both sides in opposite order have each seen the other: of their executions either may
    /// stay.
    fn opposite(&mut self, meeting: &Meeting) -> u128 {
        let mut excused = 0;
        for key in &meeting.compared {
            let (siblings, opposite) = crate::joined::join(key, &meeting.here, &meeting.there);
            if opposite {
                self.count("requests in opposite order");
                excused |= siblings.iter().fold(0, |bits, sibling| bits | self.same[&sibling.request]);
            }
        }
        excused
    }
}

/// Two stores that meet.
struct Meeting {
    here: Memory,
    there: Memory,
    /// The keys that are compared: those that are new to the leader, and with a list of all keys those that the member
    /// lacks.
    compared: BTreeSet<String>,
}

impl Meeting {
    fn new(before: &Context, here: Memory, there: Memory) -> Meeting {
        let theirs = keys(&there);
        let offered = theirs.iter().filter(|(_, (revision, _))| !before.covers(*revision));
        let mut compared: BTreeSet<String> = offered.map(|(key, _)| key.clone()).collect();
        if lists::forgot(&there, before).expect("it can be read") {
            compared.extend(keys(&here).into_keys().filter(|key| !theirs.contains_key(key)));
        }
        Meeting { here, there, compared }
    }
}
