//! Properties of the ledger, for whatever is asked of it.

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::VecDeque;
use tanist::data::{Ask, Before, Condition, Context, Keep, ReignId, Request, RequestId, Revision, Saved, Tagged};
use tanist::ident::NodeId;
use tanist::ledger::limits::Limits;
use tanist::ledger::{Appended, Encoded, Facts, Ledger, Memory, Scan, Table, Values, read_batch, read_piece, recount};
use tanist::time::Wall;
use uuid::Uuid;

/// A leader's call, and what is committed after it.
#[derive(Clone, Debug)]
struct Call {
    asks: Vec<(u128, Ask)>,
    new_reign: bool,
    /// Of what is pending, in parts of 4.
    commit: u64,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]", "[a-c]{1,40}"]
}

fn value() -> impl Strategy<Value = Bytes> {
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..3), proptest::collection::vec(any::<u8>(), 0..300)]
        .prop_map(Bytes::from)
}

fn tagged() -> impl Strategy<Value = Tagged> {
    (0..40_u64, 0..4_u32).prop_map(|(number, tag)| Tagged { number, tag })
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![4 => Just(Condition::None), 1 => Just(Condition::Absent), 1 => tagged().prop_map(Condition::Is)]
}

fn keep() -> impl Strategy<Value = Keep> {
    let value = proptest::option::of(value()).prop_map(Keep::Value);
    prop_oneof![1 => Just(Keep::Present), 1 => Just(Keep::Other), 1 => value]
}

fn ask() -> impl Strategy<Value = Ask> {
    let before = prop_oneof![
        tagged().prop_map(Before::Cursor),
        (0..4_u64).prop_map(Before::Keep),
        (0..200_u64).prop_map(|at| Before::Older(Wall(at)))
    ];
    prop_oneof![
        4 => (text(), value()).prop_map(|(topic, value)| Ask::Add { topic, value }),
        6 => (text(), value(), condition()).prop_map(|(key, value, condition)| Ask::Put { key, value, condition }),
        4 => (text(), condition()).prop_map(|(key, condition)| Ask::Delete { key, condition }),
        1 => (text(), tagged(), proptest::option::of(tagged()), keep())
            .prop_map(|(key, conflict, present, keep)| Ask::Resolve { key, conflict, present, keep }),
        1 => (text(), before).prop_map(|(topic, before)| Ask::Trim { topic, before }),
        2 => (tagged(), saved()).prop_map(|(birth, saved)| Ask::Import { birth, saved }),
    ]
}

fn saved() -> impl Strategy<Value = Saved> {
    prop_oneof![
        (text(), value()).prop_map(|(topic, value)| Saved::Record { topic, value }),
        (text(), proptest::option::of(value())).prop_map(|(key, value)| Saved::Sibling { key, value }),
    ]
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let asks = proptest::collection::vec((0..60_u128, ask()), 0..6);
    let call = (asks, proptest::bool::weighted(0.1), 0..5_u64);
    proptest::collection::vec(call.prop_map(|(asks, new_reign, commit)| Call { asks, new_reign, commit }), 1..20)
}

fn limits() -> impl Strategy<Value = Limits> {
    (0..4_u64, 1..9_u64, 2..5_usize, 0..3_usize).prop_map(|(tombstones, requests, reigns, unfold)| Limits {
        tombstones,
        requests,
        reigns,
        unfold: unfold * 200,
    })
}

struct Member {
    store: Memory,
    ledger: Ledger,
}

impl Member {
    fn open(mut store: Memory, limits: Limits) -> Member {
        let ledger = Ledger::open(&mut store, limits).expect("memory does not fail");
        Member { store, ledger }
    }

    fn append(&mut self, bytes: &Bytes) -> Appended {
        self.ledger.append(&mut self.store, bytes).expect("it continues")
    }

    fn commit(&mut self, through: Revision) -> Revision {
        self.ledger.commit(&mut self.store, through).expect("memory does not fail")
    }
}

/// A leader that did all of this: its log, and the store after each call.
fn lead(calls: &[Call], limits: Limits, from: u64) -> (Member, Vec<Encoded>, Vec<Memory>) {
    let mut leader = Member::open(Memory::new(), limits);
    let (mut log, mut stores, mut reign) = (Vec::new(), Vec::new(), from);
    for (at, call) in (1..).zip(calls) {
        reign += u64::from(call.new_reign);
        let request = |(id, ask): &(u128, Ask)| Request {
            id: RequestId(*id),
            at: Wall(at),
            node: NodeId(Uuid::from_u128(1)),
            ask: ask.clone(),
        };
        let mut queue: VecDeque<Request> = call.asks.iter().map(request).collect();
        let reign = ReignId(reign << 32 | 7);
        let ordered = leader.ledger.order(&leader.store, reign, 0, &mut queue).expect("memory does not fail");
        log.extend(ordered.batch);
        let (low, high) = (leader.ledger.committed(), leader.ledger.position());
        let number = low.number + (high.number - low.number) * call.commit / 4;
        leader.commit(Revision::new(high.reign, number));
        stores.push(leader.store.clone());
    }
    let last = leader.ledger.position();
    assert_eq!(leader.commit(last), last);
    (leader, log, stores)
}

fn copy(to: &mut Member, from: &Memory, values: Values, most: usize) {
    let mut scan = Scan::new(to.ledger.context().clone(), values);
    to.ledger.begin_copy(&mut to.store).expect("memory does not fail");
    while let Some(piece) = scan.next(from, most).expect("memory does not fail") {
        to.ledger.take_copy(&mut to.store, &piece).expect("it can be read");
    }
    to.ledger.adopt(&mut to.store).expect("it fits");
}

proptest! {
    #[test]
    fn the_same_changes_make_the_same_rows(calls in calls(), limits in limits(), one_by_one: bool) {
        let (leader, log, _) = lead(&calls, limits, 1);
        let mut follower = Member::open(Memory::new(), limits);
        for batch in &log {
            prop_assert_eq!(follower.append(&batch.bytes), Appended::New);
            if one_by_one {
                prop_assert_eq!(follower.commit(batch.last), batch.last);
            }
        }
        let last = follower.ledger.position();
        follower.commit(last);
        prop_assert_eq!(&follower.store, &leader.store);
        let facts = Facts::read(&leader.store).expect("memory does not fail");
        prop_assert_eq!(recount(&leader.store), Ok(facts.sum));
    }

    #[test]
    fn a_log_that_is_appended_again_changes_nothing(calls in calls(), limits in limits(), at: prop::sample::Index) {
        let (leader, log, stores) = lead(&calls, limits, 1);
        // A crash left this store, and all of the log; the log is appended from its beginning.
        let mut again = Member::open(at.get(&stores).clone(), limits);
        for batch in log.iter().chain(&log) {
            again.append(&batch.bytes);
        }
        prop_assert_eq!(again.ledger.position(), leader.ledger.position());
        let last = again.ledger.position();
        again.commit(last);
        prop_assert_eq!(again.store, leader.store);
    }

    #[test]
    fn a_copy_in_pieces_of_any_size_is_the_same(
        calls in calls(), limits in limits(), at: prop::sample::Index, most in 0..2000_usize, all: bool
    ) {
        let limits = Limits { reigns: 1000, ..limits };
        let (leader, log, _) = lead(&calls, limits, 1);
        let mut follower = Member::open(Memory::new(), limits);
        prop_assume!(!log.is_empty());
        for batch in &log[..at.index(log.len())] {
            follower.append(&batch.bytes);
        }
        copy(&mut follower, &leader.store, if all { Values::All } else { Values::Lacking }, most);
        prop_assert_eq!(follower.store, leader.store);
    }

    #[test]
    fn two_groups_become_one(a in calls(), b in calls(), most in 0..500_usize, tombstones in 0..3_u64, unfold in 0..2000_usize) {
        let limits = Limits { tombstones, unfold, ..Limits::default() };
        let (mut leader, _, _) = lead(&a, limits, 1);
        let (mut member, _, _) = lead(&b, limits, 100);
        let (reign, above) = (ReignId(50 << 32), member.ledger.position().number);
        let mut scan = Scan::new(leader.ledger.context().clone(), Values::All);
        leader.ledger.begin_offer(&mut leader.store).expect("memory does not fail");
        let mut log = Vec::new();
        while let Some(piece) = member.ledger.offer(&mut member.store, &mut scan, most).expect("memory does not fail") {
            let taken = leader.ledger.take_offer(&mut leader.store, reign, above, &piece).expect("it can be taken");
            log.extend(taken.batch);
        }
        leader.ledger.begin_join(&mut leader.store, reign, above).expect("it is complete");
        while let Some(part) = leader.ledger.join_next(&mut leader.store, most).expect("memory does not fail") {
            log.push(part.batch);
        }
        let mut follower = lead(&a, limits, 1).0;
        for batch in &log {
            prop_assert_eq!(follower.append(&batch.bytes), Appended::New);
        }
        let last = leader.ledger.position();
        leader.commit(last);
        follower.commit(last);
        prop_assert_eq!(&follower.store, &leader.store);
        copy(&mut member, &leader.store, Values::Lacking, most);
        let state = Table::ALL.into_iter().take(Table::Aside as usize);
        prop_assert_eq!(member.store.fingerprint(state.clone()), leader.store.fingerprint(state));
        let facts = Facts::read(&leader.store).expect("memory does not fail");
        prop_assert_eq!(recount(&leader.store), Ok(facts.sum));
    }

    #[test]
    fn garbage_is_refused_and_changes_nothing(
        calls in calls(), at: prop::sample::Index, flip: prop::sample::Index, byte: u8, noise in proptest::collection::vec(any::<u8>(), 0..200)
    ) {
        let (leader, log, _) = lead(&calls, Limits::default(), 1);
        prop_assert!(read_batch(&noise).is_err() || !noise.is_empty());
        let _ = read_piece(&noise);
        let mut follower = Member::open(Memory::new(), Limits::default());
        for bytes in [Bytes::from(noise)].into_iter().chain(log.iter().map(|batch| batch.bytes.clone())) {
            let before = follower.store.clone();
            let mut broken = bytes.to_vec();
            if !broken.is_empty() {
                let at = flip.index(broken.len());
                broken[at] ^= byte;
            }
            let broken = Bytes::from(broken);
            // A batch that can be read is believed: it has a checksum where it comes from.
            if read_batch(&broken).is_err() {
                prop_assert!(follower.ledger.append(&mut follower.store, &broken).is_err());
            }
            prop_assert_eq!(&follower.store, &before);
        }
        let mut scan = Scan::new(Context::new(), Values::All);
        let piece = scan.next(&leader.store, usize::MAX).expect("memory does not fail").expect("a piece");
        let mut broken = piece.to_vec();
        broken[at.index(piece.len())] ^= byte;
        follower.ledger.begin_copy(&mut follower.store).expect("memory does not fail");
        if let Ok(true) = follower.ledger.take_copy(&mut follower.store, &broken) {
            let adopted = follower.ledger.adopt(&mut follower.store);
            prop_assert!(byte == 0 || adopted.is_err() || follower.store == leader.store, "{:?}", adopted);
        }
    }
}
