//! Following: a member continues the leader's log, or adopts a copy. And the end of a life, when all meet.

use crate::ghost::Ghost;
use crate::member::{Disk, Following, Member};
use crate::world::{World, differs};
use tanist::data::Revision;
use tanist::ledger::{Facts, Memory, Scan, Trouble, Unfit, Values};

impl World {
    /// A member goes to a leader: it offers what the leader lacks, and then continues its log or adopts its copy.
    pub(crate) fn follow(&mut self, f: usize, l: usize, sure: bool) {
        if f == l || self.members[l].lead.is_none() || self.group[f] != self.group[l] {
            return;
        }
        self.tell(|| format!("{f} goes to {l}"));
        self.leave(f);
        let position = self.members[f].ledger.position();
        let member = &mut self.members[l];
        member.told = member.told.max(position.number);
        let joined = self.has_joined(l, position);
        if !joined && !self.members[f].ledger.context().below(self.members[l].ledger.context()) {
            if self.members[l].ledger.holds() {
                return self.count("a leader held an offer");
            }
            if !self.offer(f, l, sure) {
                return self.count("an offer broke off");
            }
        }
        if sure {
            self.settle(l);
        }
        // The leader works on while the member waits for the commit of what it offered.
        for _ in 0..if self.dice.percent(70) { 6 } else { 0 } {
            self.sync(l);
            self.commit(l);
        }
        if self.dice.percent(20) && !sure {
            return;
        }
        let lead = self.lead(l);
        let reign = lead.reign;
        if let Some(next) = lead.index(position) {
            self.count("a member continued the log");
            self.members[f].follows = Some(Following { leader: l, reign, next });
            return;
        }
        self.adopt(f, l, sure);
    }

    /// Whether a leader has taken in what stands at this position, whatever its context still says of it.
    fn has_joined(&self, l: usize, position: Revision) -> bool {
        let merges = self.ahead(l).1.rows(tanist::ledger::Table::Merges);
        let with = [&position.reign.0.to_be_bytes()[..], &position.number.to_be_bytes()[..]].concat();
        merges.into_iter().any(|(_, other)| other == with)
    }

    /// The member takes a copy of what the leader has committed.
    fn adopt(&mut self, f: usize, l: usize, sure: bool) {
        let source = self.members[l].store.clone();
        let at = self.members[l].ledger.committed();
        let was = self.members[f].ledger.position();
        let values = if self.dice.percent(70) { Values::Lacking } else { Values::All };
        let before = (self.members[f].store.clone(), self.ghosts[&was].clone());
        let Some(done) = self.fetch(f, &source, values, sure) else { return };
        match done {
            Ok(_) => self.count("a copy was adopted"),
            Err(Trouble::Unfit(Unfit::Lacks | Unfit::Old)) => {
                self.must(!sure, "a settled leader's copy lacks something", || format!("{f} from {l}"));
                return self.count("a copy was not there yet");
            }
            Err(Trouble::Missing) => {
                self.count("a value was missing");
                // Once more, into an empty store.
                self.members[f] = Member::open(Disk::default(), self.setup.limits);
                let again = self.fetch(f, &source, Values::All, true);
                self.must(matches!(again, Some(Ok(_))), "a copy does not fit an empty store", || format!("{again:?}"));
                self.members[f].shown = was;
            }
            Err(other) => {
                self.must(false, "P7 a copy failed", || format!("{other:?}: {f} at {was:?} from {l} at {at:?}"));
                return self.crash(f);
            }
        }
        let forgets = before.1.done.iter().any(|(key, bits)| bits & !Ghost::of(&self.ghosts[&at].done, key) != 0);
        let forgets = forgets || before.1.records & !self.ghosts[&at].records != 0;
        self.must(!forgets, "P5 adopting forgets", || format!("{f} at {was:?} from {l} at {at:?}"));
        self.tell(|| format!("{f} adopted {at:?} from {l}"));
        self.members[f].adopted();
        let lead = self.lead(l);
        let follows = Following { leader: l, reign: lead.reign, next: lead.index(at).expect("it is committed") };
        self.members[f].follows = Some(follows);
        if self.members[f].shown.number > at.number {
            self.must(false, "a revision fell", || format!("{f}"));
        }
        self.show(f);
    }

    /// Piece by piece. None when it broke off, or the member crashed in the middle.
    fn fetch(
        &mut self,
        f: usize,
        source: &Memory,
        values: Values,
        sure: bool,
    ) -> Option<Result<tanist::ledger::Adopted, Trouble<std::convert::Infallible>>> {
        let stop = if sure || self.dice.percent(70) { usize::MAX } else { self.dice.below(8) };
        let mut scan = Scan::new(self.members[f].ledger.context().clone(), values);
        let member = &mut self.members[f];
        member.ledger.begin_copy(&mut member.store).expect("memory does not fail");
        for piece in 0.. {
            if piece == stop {
                self.count("a copy broke off");
                if self.dice.percent(50) {
                    self.crash(f);
                }
                return None;
            }
            let most = 1 + self.dice.below(self.setup.piece);
            let bytes =
                scan.next(source, most).expect("memory does not fail").expect("the last says that it is the last");
            let member = &mut self.members[f];
            if member.ledger.take_copy(&mut member.store, &bytes).expect("it can be read") {
                break;
            }
        }
        let member = &mut self.members[f];
        let mut store = member.store.clone();
        let done = member.ledger.adopt(&mut store);
        if done == Err(Trouble::Differs) {
            let at = Facts::read(source).expect("it can be read").position;
            self.tell(|| format!("the copy differs: {:?}", differs(&store, &self.states[&at])));
        }
        let member = &mut self.members[f];
        // What was written is taken back when it failed.
        if done.is_ok() {
            member.store = store;
        }
        Some(done)
    }

    /// Everything that a leader has is durable and committed.
    fn settle(&mut self, l: usize) {
        let waiting = self.members[l].unsynced.len();
        self.members[l].sync(waiting);
        self.lead(l).successor = None;
        let end = self.lead(l).stream.len();
        self.commit_to(l, end, 1);
    }

    /// Everybody meets, but for one that may stay away for ever.
    pub(crate) fn end(&mut self) {
        self.tell(|| "the end".to_owned());
        self.group.iter_mut().for_each(|group| *group = 0);
        let count = self.members.len();
        let gone = if !self.lost_disk && self.dice.percent(40) { Some(self.dice.below(count)) } else { None };
        if let Some(gone) = gone {
            self.leave(gone);
            self.group[gone] = 9;
        }
        let rest: Vec<usize> = (0..count).filter(|x| Some(*x) != gone).collect();
        let power = self.dice.percent(30);
        for x in &rest {
            if power {
                self.lost_disk |= !self.lost_disk && gone.is_some();
                self.crash(*x);
            }
            let waiting = self.members[*x].unsynced.len();
            self.members[*x].sync(waiting);
        }
        let l = self.dice.pick(&rest);
        self.begin(l);
        self.settle(l);
        for f in &rest {
            self.follow(*f, l, true);
        }
        self.settle(l);
        for f in &rest {
            while self.members[*f].follows.is_some_and(|follows| follows.next < self.lead(l).stream.len()) {
                self.deliver(*f);
            }
            let waiting = self.members[*f].unsynced.len();
            self.members[*f].sync(waiting);
            self.notice(*f);
        }
        self.judge_end(l, &rest, gone.is_some());
    }

    fn judge_end(&mut self, l: usize, rest: &[usize], one_is_gone: bool) {
        let (position, _, ghost) = self.ahead(l);
        for f in rest {
            let at = self.members[*f].ledger.committed();
            self.must(at == position, "P7 not all are at one position at the end", || {
                format!("{f}: {at:?} {position:?}")
            });
            let other = differs(&self.members[*f].store, &self.members[l].store);
            self.must(other.is_none(), "P7 not all have one store at the end", || format!("{f}: {other:?}"));
        }
        // Of what one member alone acknowledged nothing is promised when that one is gone.
        let one = one_is_gone || self.lost_disk;
        let due: Vec<_> = self.acknowledged[usize::from(one)..].iter().flatten().cloned().collect();
        for (request, key) in due {
            let there = match &key {
                Some(key) => self.same[&request] & Ghost::of(&ghost.done, key) != 0,
                None => {
                    let at = self.records.iter().position(|(id, _)| *id == request).expect("it was asked for");
                    ghost.records & (1 << at) != 0
                }
            };
            self.must(there, "P5 acknowledged and nowhere", || format!("{request:?} {key:?}"));
        }
    }
}
