//! The leader's side of its followers' copies: what each has, and what is to be done next for it (protocol §10).

use crate::data::{ReignId, Revision};
use crate::ident::{ConnId, JobId};
use crate::message::Reunited;
use crate::protocol::Stretch;
use crate::time::Time;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Copies and offers that are under way at once.
const TOGETHER: usize = 4;
/// Pieces of a copy that are on their way to one member.
const AHEAD: u32 = 4;
/// Batches that are on their way to one follower.
const BATCHES: usize = 512;
/// Bytes of them.
const BYTES: usize = 16 << 20;

/// What a member says that it has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::protocol) struct Stated {
    pub(in crate::protocol) position: Revision,
    pub(in crate::protocol) all: bool,
    pub(in crate::protocol) seen: Bytes,
}

/// How far a follower's copy is.
#[derive(Clone, Debug)]
enum State {
    /// It waits until it is compared.
    Stated,
    /// It is being compared.
    Compared(JobId),
    /// What it has is here, and not acknowledged yet.
    Early,
    /// It needs a copy, and waits until fewer are on their way.
    Behind,
    /// It has something that is missing here, and waits until others have offered theirs.
    Queued,
    /// It offers. The number of its next piece.
    Offers(u64),
    /// It is sent a copy.
    Sent { next: u64, unanswered: u32, scanning: bool, all: bool },
    /// Changes flow.
    Follows(Flow),
}

/// The changes on their way to a follower.
#[derive(Clone, Debug, Default)]
struct Flow {
    /// Everything up to here is durable there.
    stored: u64,
    /// The last change of each batch that is not, and its length. Bound: [`BATCHES`].
    under_way: VecDeque<(u64, usize)>,
    bytes: usize,
    /// What it missed and is sent as soon as there is room, and what was ordered since. Bound: what continues a position,
    /// and [`BYTES`].
    rest: VecDeque<Stretch>,
    rest_bytes: usize,
    /// Since when it has not said anything although something is under way.
    waits: Option<Time>,
}

#[derive(Clone, Debug)]
struct Copy {
    stated: Stated,
    state: State,
    /// It has everything up to here, and more that is missing here.
    exceeds: Option<u64>,
}

/// All of them, by session. Bound: [`crate::protocol::limits::SESSIONS`].
#[derive(Clone, Debug, Default)]
pub(in crate::protocol) struct Copies {
    of: BTreeMap<ConnId, Copy>,
    /// What members brought and users are not told yet, with the number of the last change of each. Bound:
    /// [`crate::protocol::limits::OTHERS`].
    pub(in crate::protocol) untold: Vec<(u64, Reunited)>,
}

/// What is to be done with a piece, or about a copy that goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::protocol) enum Next {
    /// Nothing, or not yet.
    Nothing,
    /// The next piece is to be read.
    Scan,
    /// What the member says fits nothing that was asked of it.
    Strange,
}

impl Copies {
    /// A member says what it has. Whatever was under way with it counts no more.
    pub(in crate::protocol) fn states(&mut self, conn: ConnId, stated: Stated) {
        self.of.insert(conn, Copy { stated, state: State::Stated, exceeds: None });
    }

    /// A member is gone, or has to begin anew. Says whether something was begun for it on the disk.
    pub(in crate::protocol) fn forget(&mut self, conn: ConnId) -> bool {
        self.of.remove(&conn).is_some_and(|copy| matches!(copy.state, State::Sent { .. }))
    }

    /// The reign in which the last change of this one was ordered, as it said.
    pub(in crate::protocol) fn reign(&self, conn: ConnId) -> Option<ReignId> {
        self.of.get(&conn).map(|copy| copy.stated.position.reign)
    }

    /// The next one that is to be compared, if there is room for it, and whether a copy may be begun for it.
    pub(in crate::protocol) fn to_compare(&self) -> Option<(ConnId, Stated, bool)> {
        let count = |of: fn(&State) -> bool| self.of.values().filter(|copy| of(&copy.state)).count();
        let compared = count(|state| matches!(state, State::Compared(_)));
        if compared >= TOGETHER {
            return None;
        }
        let room = compared + count(|state| matches!(state, State::Sent { .. })) < TOGETHER;
        let due = |state: &State| matches!(state, State::Stated) || room && matches!(state, State::Behind);
        let next = self.of.iter().find(|(_, copy)| due(&copy.state));
        next.map(|(conn, copy)| (*conn, copy.stated.clone(), room))
    }

    pub(in crate::protocol) fn compares(&mut self, conn: ConnId, job: JobId) {
        if let Some(copy) = self.of.get_mut(&conn) {
            copy.state = State::Compared(job);
        }
    }

    /// The one that this job compares.
    pub(in crate::protocol) fn compared(&self, job: JobId) -> Option<ConnId> {
        let this = |copy: &Copy| matches!(copy.state, State::Compared(j) if j == job);
        self.of.iter().find(|(_, copy)| this(copy)).map(|(conn, _)| *conn)
    }

    /// Its place is in the order of this leader: from now on it is sent what it missed ([`Copies::next`]), and then what is
    /// ordered.
    pub(in crate::protocol) fn follows(&mut self, conn: ConnId, missed: Vec<Stretch>) {
        if let Some(copy) = self.of.get_mut(&conn) {
            let stored = copy.stated.position.number;
            let rest_bytes = missed.iter().map(|stretch| stretch.batch.len()).sum();
            copy.state = State::Follows(Flow { stored, rest: missed.into(), rest_bytes, ..Flow::default() });
        }
    }

    /// A copy of it was begun.
    pub(in crate::protocol) fn is_sent(&mut self, conn: ConnId) {
        if let Some(copy) = self.of.get_mut(&conn) {
            copy.state = State::Sent { next: 0, unanswered: 0, scanning: false, all: false };
        }
    }

    /// What it has was acknowledged since it was compared: it is compared again.
    pub(in crate::protocol) fn is_stated(&mut self, conn: ConnId) {
        if let Some(copy) = self.of.get_mut(&conn) {
            copy.state = State::Stated;
        }
    }

    /// Not all that it has is acknowledged.
    pub(in crate::protocol) fn is_early(&mut self, conn: ConnId) {
        if let Some(copy) = self.of.get_mut(&conn) {
            copy.state = State::Early;
        }
    }

    /// It needs a copy, and there is no room for one.
    pub(in crate::protocol) fn is_behind(&mut self, conn: ConnId) {
        if let Some(copy) = self.of.get_mut(&conn) {
            copy.state = State::Behind;
        }
    }

    /// It has something that is missing here, and perhaps everything up to a number besides. Says whether it may offer now.
    pub(in crate::protocol) fn lacks(&mut self, conn: ConnId, exceeds: Option<u64>) -> bool {
        let taken = self.of.values().any(|c| matches!(c.state, State::Offers(_)));
        if let Some(copy) = self.of.get_mut(&conn) {
            copy.state = if taken { State::Queued } else { State::Offers(0) };
            copy.exceeds = exceeds;
        }
        !taken
    }

    /// More is acknowledged than before: compare again.
    pub(in crate::protocol) fn committed(&mut self) {
        self.again(|state| matches!(state, State::Early));
    }

    /// An offer was joined, or broke off: whoever waited for that is compared again, and so is the one that offered.
    pub(in crate::protocol) fn joined(&mut self) {
        self.again(|state| matches!(state, State::Queued | State::Offers(_)));
    }

    /// Nobody offers any more, and some wait for that.
    pub(in crate::protocol) fn offers_wait(&self) -> bool {
        let any = |of: fn(&State) -> bool| self.of.values().any(|c| of(&c.state));
        any(|s| matches!(s, State::Queued)) && !any(|s| matches!(s, State::Offers(_)))
    }

    fn again(&mut self, of: impl Fn(&State) -> bool) {
        for copy in self.of.values_mut().filter(|c| of(&c.state)) {
            copy.state = State::Stated;
        }
    }

    /// A piece of an offer came: the first, a later one, or a strange one.
    pub(in crate::protocol) fn offered(&mut self, conn: ConnId, number: u64) -> Option<bool> {
        match self.of.get_mut(&conn).map(|copy| &mut copy.state) {
            Some(State::Offers(next)) if *next == number => {
                *next += 1;
                Some(number == 0)
            }
            _ => None,
        }
    }

    /// The one whose copy goes on, as far as it may.
    pub(in crate::protocol) fn goes_on(&mut self, conn: ConnId) -> Next {
        match self.of.get_mut(&conn).map(|copy| &mut copy.state) {
            Some(State::Sent { unanswered, scanning, all, .. }) if !*all && !*scanning && *unanswered < AHEAD => {
                *scanning = true;
                Next::Scan
            }
            Some(State::Sent { .. }) => Next::Nothing,
            _ => Next::Strange,
        }
    }

    /// A piece was read: its number. None when nobody waits for it any more.
    pub(in crate::protocol) fn scanned(&mut self, conn: ConnId, last: bool) -> Option<u64> {
        let Some(State::Sent { next, unanswered, scanning, all }) = self.of.get_mut(&conn).map(|c| &mut c.state) else {
            return None;
        };
        (*scanning, *all) = (false, last);
        *unanswered += 1;
        *next += 1;
        Some(*next - 1)
    }

    /// The member has taken in a piece.
    pub(in crate::protocol) fn taken(&mut self, conn: ConnId) -> Next {
        if let Some(State::Sent { unanswered, .. }) = self.of.get_mut(&conn).map(|copy| &mut copy.state) {
            *unanswered = unanswered.saturating_sub(1);
        }
        self.goes_on(conn)
    }

    /// A batch goes to these; the others that should have it take too little of what is sent, and must begin anew. Who is
    /// still sent what it missed has it later.
    pub(in crate::protocol) fn sends(&mut self, stretch: &Stretch, now: Time) -> (Vec<ConnId>, Vec<ConnId>) {
        let (mut to, mut slow) = (Vec::new(), Vec::new());
        for (conn, copy) in &mut self.of {
            let State::Follows(flow) = &mut copy.state else { continue };
            let length = stretch.batch.len();
            if flow.rest.is_empty() && flow.has_room(length) {
                flow.put(stretch.last, length, now);
                to.push(*conn);
            } else if !flow.rest.is_empty() && flow.rest_bytes + length <= BYTES {
                flow.rest_bytes += length;
                flow.rest.push_back(stretch.clone());
            } else {
                slow.push(*conn);
            }
        }
        (to, slow)
    }

    /// The next of what this one missed, if there is room for it on its way.
    pub(in crate::protocol) fn next(&mut self, conn: ConnId, now: Time) -> Option<Stretch> {
        let Some(State::Follows(flow)) = self.of.get_mut(&conn).map(|copy| &mut copy.state) else { return None };
        let length = flow.rest.front()?.batch.len();
        if !flow.has_room(length) {
            return None;
        }
        let stretch = flow.rest.pop_front()?;
        flow.rest_bytes -= length;
        flow.put(stretch.last, length, now);
        Some(stretch)
    }

    /// A follower says how far it is durable.
    pub(in crate::protocol) fn stored(&mut self, conn: ConnId, number: u64, now: Time) {
        let Some(State::Follows(flow)) = self.of.get_mut(&conn).map(|copy| &mut copy.state) else { return };
        while let Some((last, length)) = flow.under_way.front().copied().filter(|(last, _)| *last <= number) {
            // Only what was sent counts.
            flow.stored = flow.stored.max(last);
            flow.bytes -= length;
            flow.under_way.pop_front();
        }
        flow.waits = (!flow.under_way.is_empty()).then_some(now);
    }

    /// Up to where this one is durable, when its changes flow.
    pub(in crate::protocol) fn durable(&self, conn: ConnId) -> Option<u64> {
        match &self.of.get(&conn)?.state {
            State::Follows(flow) => Some(flow.stored),
            _ => None,
        }
    }

    /// Up to where this one has everything, whether its changes flow or it has more than this leader.
    pub(in crate::protocol) fn has(&self, conn: ConnId) -> Option<u64> {
        self.durable(conn).or_else(|| self.of.get(&conn)?.exceeds)
    }

    /// Whether this one's changes flow, it misses none, and it says so in time.
    pub(in crate::protocol) fn is_current(&self, conn: ConnId, now: Time, patience: Duration) -> bool {
        match self.of.get(&conn).map(|copy| &copy.state) {
            Some(State::Follows(flow)) => flow.rest.is_empty() && flow.waits.is_none_or(|at| now.since(at) < patience),
            _ => false,
        }
    }

    /// Since when this one owes an answer.
    pub(in crate::protocol) fn waits(&self, conn: ConnId) -> Option<Time> {
        match &self.of.get(&conn)?.state {
            State::Follows(flow) => flow.waits,
            _ => None,
        }
    }

    /// Those whose changes flow.
    pub(in crate::protocol) fn followers(&self) -> Vec<ConnId> {
        let follows = |(_, copy): &(&ConnId, &Copy)| matches!(copy.state, State::Follows(_));
        self.of.iter().filter(follows).map(|(conn, _)| *conn).collect()
    }

    /// This process stood still: nobody could answer it.
    pub(in crate::protocol) fn excuse(&mut self, gap: Duration, now: Time) {
        for copy in self.of.values_mut() {
            if let State::Follows(Flow { waits: Some(at), .. }) = &mut copy.state {
                *at = (*at + gap).min(now);
            }
        }
    }
}

impl Flow {
    fn has_room(&self, length: usize) -> bool {
        self.under_way.len() < BATCHES && (self.bytes + length <= BYTES || self.under_way.is_empty())
    }

    fn put(&mut self, last: u64, length: usize, now: Time) {
        self.under_way.push_back((last, length));
        self.bytes += length;
        self.waits.get_or_insert(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(number: u64) -> Stated {
        Stated { position: Revision::new(ReignId(1), number), all: false, seen: Bytes::new() }
    }

    fn stretch(last: u64) -> Stretch {
        Stretch { last, batch: Bytes::from_static(b"0123456789") }
    }

    const ONE: ConnId = ConnId(1);
    const TWO: ConnId = ConnId(2);

    #[test]
    fn what_was_sent_and_stored_counts_and_nothing_else() {
        let mut copies = Copies::default();
        copies.states(ONE, stated(4));
        assert_eq!((copies.durable(ONE), copies.sends(&stretch(5), Time(1)).0), (None, vec![]), "nothing flows yet");
        copies.compares(ONE, JobId(7));
        assert_eq!((copies.compared(JobId(7)), copies.compared(JobId(8))), (Some(ONE), None));
        copies.follows(ONE, vec![]);
        assert_eq!(copies.durable(ONE), Some(4));
        assert_eq!(copies.sends(&stretch(6), Time(1)).0, [ONE]);
        copies.sends(&stretch(9), Time(2));
        copies.stored(ONE, 5, Time(3));
        assert_eq!(copies.durable(ONE), Some(4), "a part of a batch is not");
        copies.stored(ONE, 6, Time(4));
        assert_eq!((copies.durable(ONE), copies.waits(ONE)), (Some(6), Some(Time(4))));
        copies.stored(ONE, 1_000, Time(5));
        assert_eq!((copies.durable(ONE), copies.waits(ONE)), (Some(9), None), "nor what was never sent");
        copies.states(ONE, stated(4));
        assert_eq!(copies.durable(ONE), None, "it begins anew");
    }

    #[test]
    fn who_takes_too_little_is_left_behind_and_who_says_nothing_is_not_current() {
        let mut copies = Copies::default();
        for conn in [ONE, TWO] {
            copies.states(conn, stated(0));
            copies.follows(conn, vec![]);
        }
        for n in 1..=BATCHES as u64 {
            assert_eq!(copies.sends(&stretch(n), Time(n)), (vec![ONE, TWO], vec![]));
        }
        copies.stored(TWO, 100, Time(600_000));
        assert_eq!(copies.sends(&stretch(1_000), Time(600_000)), (vec![TWO], vec![ONE]));
        let half = Duration::from_millis(500);
        assert!(!copies.is_current(ONE, Time(600_000), half) && copies.is_current(TWO, Time(600_000), half));
        copies.excuse(half, Time(600_000));
        assert!(copies.is_current(ONE, Time(600_000), half), "it could not be heard");
    }

    #[test]
    fn who_missed_much_is_sent_it_as_it_takes_it_in() {
        let mut copies = Copies::default();
        copies.states(ONE, stated(0));
        let missed = 3 * BATCHES as u64;
        copies.follows(ONE, (1..=missed).map(stretch).collect());
        let half = Duration::from_millis(500);
        let mut sent = 0;
        for round in 1..=4 {
            while let Some(next) = copies.next(ONE, Time(round)) {
                assert_eq!(next.last, sent + 1, "in order");
                sent = next.last;
            }
            assert_eq!(sent, (round * BATCHES as u64).min(missed + 1), "no more than may be on the way");
            if round == 1 {
                assert_eq!(copies.sends(&stretch(missed + 1), Time(1)), (vec![], vec![]), "that comes behind it");
                assert!(!copies.is_current(ONE, Time(1), half), "it misses something");
            }
            copies.stored(ONE, sent, Time(round));
        }
        assert!(copies.is_current(ONE, Time(5), half));
        assert_eq!(copies.sends(&stretch(missed + 2), Time(5)).0, [ONE], "from now on it has it at once");
    }

    #[test]
    fn one_offers_at_a_time_and_who_waits_is_compared_again() {
        let mut copies = Copies::default();
        for conn in [ONE, TWO] {
            copies.states(conn, stated(0));
            copies.compares(conn, JobId(conn.0));
        }
        assert!(copies.to_compare().is_none());
        assert!(copies.lacks(ONE, Some(7)) && !copies.lacks(TWO, None));
        assert_eq!((copies.has(ONE), copies.has(TWO), copies.durable(ONE)), (Some(7), None, None));
        assert_eq!(
            (copies.offered(ONE, 0), copies.offered(ONE, 1), copies.offered(ONE, 1)),
            (Some(true), Some(false), None)
        );
        assert_eq!((copies.offered(TWO, 0), copies.offers_wait()), (None, false));
        copies.joined();
        assert_eq!(copies.to_compare().map(|next| next.0), Some(ONE));
        copies.is_early(ONE);
        assert_eq!(copies.to_compare().map(|next| next.0), Some(TWO));
        copies.committed();
        assert_eq!(copies.to_compare().map(|next| next.0), Some(ONE), "what it has is acknowledged now");
        assert!(copies.lacks(ONE, Some(7)) && !copies.lacks(TWO, None));
        copies.forget(ONE);
        assert!(copies.offers_wait(), "the one that offered is gone");
    }

    #[test]
    fn a_copy_is_sent_a_few_pieces_ahead() {
        let mut copies = Copies::default();
        copies.states(ONE, stated(0));
        assert_eq!(copies.goes_on(ONE), Next::Strange);
        copies.is_sent(ONE);
        for n in 0..u64::from(AHEAD) {
            assert_eq!((copies.goes_on(ONE), copies.goes_on(ONE)), (Next::Scan, Next::Nothing), "one after the other");
            assert_eq!(copies.scanned(ONE, false), Some(n));
        }
        assert_eq!(copies.goes_on(ONE), Next::Nothing);
        assert_eq!(copies.taken(ONE), Next::Scan);
        assert_eq!((copies.scanned(ONE, true), copies.taken(ONE)), (Some(4), Next::Nothing), "that was all");
        assert!(copies.forget(ONE) && !copies.forget(ONE));
    }
}
