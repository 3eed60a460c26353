//! A group: batches flow, disks sync, a leader commits what two have, members crash.

use crate::ghost::Ghost;
use crate::member::{Disk, Member, Waiting};
use crate::world::World;
use tanist::data::Revision;

impl World {
    fn followers(&self, l: usize) -> Vec<usize> {
        let Some(lead) = &self.members[l].lead else { return Vec::new() };
        let follows = |f: &usize| {
            let follows = self.members[*f].follows;
            follows.is_some_and(|follows| follows.leader == l && follows.reign == lead.reign)
                && self.group[*f] == self.group[l]
        };
        (0..self.members.len()).filter(follows).collect()
    }

    /// A follower takes in the next batch.
    pub(crate) fn deliver(&mut self, f: usize) {
        let Some(follows) = self.members[f].follows else { return };
        if self.group[f] != self.group[follows.leader] {
            self.members[f].follows = None;
            return;
        }
        let lead = self.members[follows.leader].lead.as_ref().filter(|lead| lead.reign == follows.reign);
        let Some(sent) = lead.and_then(|lead| lead.stream.get(follows.next)).cloned() else { return };
        let member = &mut self.members[f];
        member.follows.as_mut().expect("it follows").next += 1;
        let done = member.ledger.append(&mut member.store, &sent.bytes);
        member.write(sent.bytes);
        self.must(done.is_ok(), "a follower cannot take the next batch", || format!("{f}: {done:?}"));
        if self.members[f].ledger.committed() != self.members[f].shown {
            self.count("a batch said that a whole is committed");
            self.show(f);
        }
    }

    pub(crate) fn sync(&mut self, x: usize) {
        let waiting = self.members[x].unsynced.len();
        if waiting > 0 {
            let count = 1 + self.dice.below(waiting);
            self.members[x].sync(count);
        }
        if self.dice.percent(30) {
            let keep = self.dice.below(3);
            self.members[x].checkpoint(keep);
        }
    }

    pub(crate) fn crash(&mut self, x: usize) {
        self.tell(|| format!("{x} crashes"));
        self.leave(x);
        if !self.members[x].unsynced.is_empty() {
            self.count("a crash lost something that was not synced");
        }
        let mut disk = std::mem::take(&mut self.members[x].disk);
        let mut durable = self.members[x].durable;
        if !self.lost_disk && self.dice.percent(4) {
            self.lost_disk = true;
            (disk, durable) = (Disk::default(), Revision::ZERO);
            self.count("a disk was lost");
        }
        self.members[x] = Member::open(disk, self.setup.limits);
        let position = self.members[x].ledger.position();
        self.must(position == durable, "a restart is not where the disk was", || {
            format!("{x}: {position:?} {durable:?}")
        });
        // A checkpoint may be older than what was shown.
        self.members[x].shown = Revision::ZERO;
        self.show(x);
    }

    /// How much of a leader's stream is durable at a member.
    fn durable(&self, x: usize, l: usize) -> Option<usize> {
        self.members[l].lead.as_ref().and_then(|lead| lead.index(self.members[x].durable))
    }

    pub(crate) fn commit(&mut self, l: usize) {
        let followers = self.followers(l);
        if self.members[l].lead.is_none() {
            return;
        }
        let own = self.durable(l, l);
        let told: Vec<(usize, usize)> =
            followers.iter().filter_map(|f| self.durable(*f, l).map(|index| (*f, index))).collect();
        let told: Vec<_> = told.into_iter().filter(|_| self.dice.percent(70)).collect();
        let name = self.dice.percent(80);
        let candidate = if followers.is_empty() { None } else { Some(self.dice.pick(&followers)) };
        let alone = self.dice.percent(25) || followers.is_empty() && self.dice.percent(60);
        let lead = self.lead(l);
        lead.acked.retain(|f, _| followers.contains(f));
        lead.acked.extend(told);
        lead.successor = lead.successor.filter(|(successor, _)| followers.contains(successor));
        if let (None, true, Some(candidate)) = (lead.successor, name, candidate) {
            // It must be durable up to the commit.
            let has = lead.acked.get(&candidate).copied();
            if has.is_some_and(|has| has >= lead.commit && lead.committed_once || has >= lead.stream.len()) {
                lead.successor = Some((candidate, lead.commit));
            }
        }
        let Some(own) = own else { return };
        let (to, copies) = match lead.successor.map(|(successor, _)| lead.acked.get(&successor)) {
            Some(Some(has)) => (own.min(*has), 2),
            None if alone => (own, 1),
            _ => return,
        };
        if to < lead.commit || to == lead.commit && lead.committed_once && lead.waiting.is_empty() {
            return;
        }
        self.commit_to(l, to, copies);
    }

    /// Everything up to here is acknowledged.
    pub(crate) fn commit_to(&mut self, l: usize, to: usize, copies: usize) {
        let lead = self.lead(l);
        let through = lead.position(to);
        (lead.commit, lead.committed_once) = (to, true);
        let (due, waiting): (Vec<Waiting>, Vec<Waiting>) =
            std::mem::take(&mut lead.waiting).into_iter().partition(|wait| wait.judged.by.number <= through.number);
        lead.waiting = waiting;
        let successor = lead.successor.map(|(successor, _)| successor);
        let ghost = self.ghosts[&through].clone();
        self.committed.0 |= ghost.all_done();
        self.committed.1 |= ghost.records;
        if let Some(successor) = successor {
            let has = self.ghosts[&self.members[successor].durable].clone();
            let lacks = ghost.all_done() & !has.all_done() | ghost.records & !has.records;
            self.must(lacks == 0, "P4 the successor lacks something acknowledged", || format!("{successor}"));
        }
        self.answer(l, successor, due, copies);
        let member = &mut self.members[l];
        let done = member.ledger.commit(&mut member.store, through);
        self.must(done == Ok(through), "a commit stops elsewhere", || format!("{done:?}, not {through:?}"));
        self.tell(|| format!("{l} commits {through:?} with {copies}"));
        self.show(l);
    }

    fn answer(&mut self, l: usize, successor: Option<usize>, due: Vec<Waiting>, copies: usize) {
        for Waiting { request, key, refused, judged } in due {
            if refused {
                continue;
            }
            let has = |x: usize| {
                let ghost = &self.ghosts[&self.members[x].durable];
                match &key {
                    Some(key) => self.same[&request] & Ghost::of(&ghost.done, key) != 0,
                    None => {
                        let at = self.records.iter().position(|(id, _)| *id == request).expect("it was asked for");
                        ghost.records & (1 << at) != 0
                    }
                }
            };
            let good = has(l) && successor.is_none_or(has) && (copies == 1 || successor.is_some());
            self.must(good, "P4 acknowledged without the copies", || format!("{request:?} {judged:?} {successor:?}"));
            self.acknowledged[copies - 1].push((request, key));
            self.count(if copies == 2 { "acknowledged with two copies" } else { "acknowledged alone" });
        }
    }

    /// A follower is told of the commit. It shows what is committed and durable on it.
    pub(crate) fn notice(&mut self, f: usize) {
        let Some(follows) = self.members[f].follows else { return };
        let lead = self.members[follows.leader].lead.as_ref();
        let Some(lead) = lead.filter(|lead| lead.reign == follows.reign && lead.committed_once) else { return };
        let Some(own) = lead.index(self.members[f].durable) else { return };
        let through = lead.position(own.min(lead.commit));
        let member = &mut self.members[f];
        let done = member.ledger.commit(&mut member.store, through);
        // A copy may be ahead of what is durable of the log.
        let right = matches!(done, Ok(at) if at == through || at.number > through.number);
        self.must(right, "a follower commits elsewhere", || format!("{f}: {done:?}, not {through:?}"));
        self.show(f);
    }
}
