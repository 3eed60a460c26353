//! At least one message of every kind, for tests and as seeds of a fuzzer's corpus.
//!
//! The values are arbitrary but fixed, and every text is as long as it may be in one of them.

use crate::claim::Claim;
use crate::data::{ReignId, Revision};
use crate::event::Cause;
use crate::ident::{BootId, Incarnation, NodeId};
use crate::message::{
    Abdicate, Answer, Brought, Canvass, Cast, Changes, Check, Checked, Committed, Decided, Digest, Ended, Forget,
    Frame, Goodbye, Handover, HandoverDone, Heartbeat, Hello, Hi, Holds, Join, Joined, Known, Look, Meet, Member,
    MemberState, Members, NAME_MAX, Named, NotJoined, Notice, Open, Outcomes, Piece, Ping, Pong, Question, Reigns,
    Requests, Reunited, STORY_MAX, Says, Sender, Standing, Stored, Story, Tell, Told, Via, Voice, Wanted, Welcome,
};
use crate::time::Wall;
use bytes::Bytes;
use std::net::{Ipv6Addr, SocketAddr};
use uuid::Uuid;

pub use super::words::{CASTS, FRAMES, cast_word, frame_word};

fn most_brought() -> Brought {
    let keys = || vec![longest(crate::ledger::limits::KEY); crate::message::NAMED_MAX];
    let count = u64::MAX;
    Brought { records: count, keys: count, conflicts: count, kept_aside: count, conflicting: keys(), refused: keys() }
}

/// A member; every number gives another.
pub fn node(n: u64) -> Incarnation {
    let id = u128::from(n) << 96 | 0x4abc_8def_0123_4567_89ab_cdef;
    Incarnation { id: NodeId(Uuid::from_u128(id)), boot: BootId(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) }
}

/// A claim of that member.
pub fn claim(epoch: u64, n: u64) -> Claim {
    Claim { epoch, at: Wall(1_800_000_000_000_000 + n), node: node(n) }
}

/// A sender with a usual name.
pub fn sender() -> Sender {
    Sender { node: node(1), name: "pc-3".to_owned(), port: 8264 }
}

/// A sender whose every part is as long as it may be.
pub fn longest_sender() -> Sender {
    Sender { node: longest_node(), name: longest(NAME_MAX), port: u16::MAX }
}

fn longest(bytes: usize) -> String {
    "n".repeat(bytes)
}

fn longest_node() -> Incarnation {
    Incarnation { id: NodeId(Uuid::from_u128(u128::MAX)), boot: BootId(u64::MAX) }
}

fn longest_claim() -> Claim {
    Claim { epoch: u64::MAX, at: Wall(u64::MAX), node: longest_node() }
}

fn known() -> Known {
    Known {
        claim: claim(7, 2),
        name: "pc-9".to_owned(),
        address: SocketAddr::from(([192, 168, 1, 9], 8264)),
        direct: true,
    }
}

fn longest_known() -> Known {
    let address = SocketAddr::from((Ipv6Addr::from(u128::MAX), u16::MAX));
    Known { claim: longest_claim(), name: longest(NAME_MAX), address, direct: false }
}

fn story() -> Story {
    Story {
        name: "pc-9".to_owned(),
        cause: Cause::Died,
        text: "pc-9 noticed first: pc-3 refused the question after 0.4 ms; pc-5 backed it".to_owned(),
    }
}

fn member(n: u64) -> Member {
    Member {
        node: node(n),
        name: format!("pc-{n}"),
        address: SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 8264)),
        version: "0.1.0".to_owned(),
        priority: 100,
        state: [MemberState::Alive, MemberState::Silent, MemberState::Left][n as usize % 3],
        whole: n.is_multiple_of(2),
        sick: n.is_multiple_of(3),
        rtt_us: n.is_multiple_of(2).then_some(300),
        seniority_ms: 86_400_000,
        via: n.is_multiple_of(5).then(|| node(n + 1).id),
    }
}

/// A heartbeat with usual values.
pub fn heartbeat() -> Heartbeat {
    Heartbeat { claim: claim(7, 1), successor: Some(node(2)), followers: 11, seq: 123_456 }
}

/// What datagrams say.
pub fn casts() -> Vec<Cast> {
    let standings = [
        Standing::Leads(claim(7, 2)),
        Standing::Follows(known()),
        Standing::Follows(longest_known()),
        Standing::Neither,
        Standing::Leads(longest_claim()),
    ];
    let mut casts = vec![
        Cast::Hello(Hello { broadcast: true, version: "0.1.0".to_owned(), priority: 100 }),
        Cast::Hello(Hello { broadcast: false, version: longest(super::VERSION_MAX), priority: 255 }),
        Cast::Hi(Hi { to: node(1), leader: None, priority: 0 }),
        Cast::Hi(Hi { to: node(1), leader: Some(known()), priority: 100 }),
        Cast::Hi(Hi { to: longest_node(), leader: Some(longest_known()), priority: 255 }),
        Cast::Welcome(Welcome { to: node(1), claim: claim(7, 2), successor: None, followers: 0 }),
        Cast::Welcome(Welcome {
            to: longest_node(),
            claim: longest_claim(),
            successor: Some(longest_node()),
            followers: u32::MAX,
        }),
        Cast::Heartbeat(heartbeat()),
        Cast::Heartbeat(Heartbeat { successor: None, ..heartbeat() }),
        Cast::Heartbeat(Heartbeat {
            claim: longest_claim(),
            successor: Some(longest_node()),
            followers: u32::MAX,
            seq: u64::MAX,
        }),
        Cast::Notice(Notice { claim: claim(8, 3) }),
        Cast::Goodbye(Goodbye { ends: Some(claim(7, 1)), leader: None }),
        Cast::Goodbye(Goodbye { ends: Some(longest_claim()), leader: Some(longest_known()) }),
        Cast::Question(Question { nonce: 42, to: node(2) }),
        Cast::Question(Question { nonce: u64::MAX, to: longest_node() }),
    ];
    casts.extend(standings.map(|standing| Cast::Answer(Answer { nonce: u64::MAX, standing, store_ms: u64::MAX })));
    casts
}

/// What connections carry.
pub fn frames() -> Vec<Frame> {
    let mut frames = vec![
        Frame::Open(Open { from: sender(), via: None }),
        Frame::Open(Open { from: longest_sender(), via: Some(node(4).id) }),
        Frame::Question(Question { nonce: 42, to: node(2) }),
        Frame::Answer(Answer { nonce: 42, standing: Standing::Leads(claim(7, 2)), store_ms: 0 }),
        Frame::Pong(Pong { seq: 9, held_us: 999_000 }),
        Frame::Members(Members { changed: (0..6).map(member).collect(), gone: vec![node(9).id] }),
        Frame::Members(Members { changed: Vec::new(), gone: Vec::new() }),
        Frame::Beat(heartbeat()),
        Frame::Named(Named { claim: claim(7, 1), successor: Some(node(2)) }),
        Frame::Named(Named { claim: claim(7, 1), successor: None }),
        Frame::Reigns(Reigns { claim: claim(8, 1), story: Story { text: longest(STORY_MAX), ..story() } }),
        Frame::Yields(known()),
        Frame::Report(longest_known()),
        Frame::Leaves,
        Frame::Tell(Tell { claim: claim(7, 1) }),
        Frame::Told(Told::OnIt),
        Frame::Told(Told::Alive(known())),
        Frame::Told(Told::NotI),
        Frame::Abdicate(Abdicate { claim: claim(7, 1), to: node(2), cause: Cause::Goodbye }),
        Frame::Meet(Meet {
            claim: claim(7, 1),
            followers: vec![node(2).id, node(3).id],
            led_ms: 60_000,
            leading_ms: 9,
            highest: 9,
            via: Some(node(6).id),
        }),
        Frame::Decided(Decided { stays: claim(10, 1), yields: claim(7, 2) }),
        Frame::Check(Check { claim: claim(7, 1) }),
        Frame::Checked(Checked { standing: Standing::Follows(longest_known()) }),
        Frame::Handover(Handover { request: 1, to: None }),
        Frame::Handover(Handover { request: 2, to: Some(longest(super::ASKED_MAX)) }),
        Frame::Look(Look { request: 4 }),
        Frame::Forget(Forget { request: 3, who: longest(super::ASKED_MAX) }),
        Frame::HandoverDone(HandoverDone { request: 1, refused: None }),
        Frame::HandoverDone(HandoverDone { request: 2, refused: Some(longest(super::REASON_MAX)) }),
        Frame::Via(Via { to: node(3) }),
        Frame::ViaReady,
        Frame::ViaFailed("pc-3 refused the connection".to_owned()),
    ];
    frames.extend(pings());
    frames.extend(joins());
    frames.extend(elections());
    frames.extend(frames_of_data());
    frames
}

fn frames_of_data() -> Vec<Frame> {
    let body = Bytes::from_static(b"three changes, as the ledger wrote them");
    let stretch = |committed| Changes { claim: claim(7, 1), last: 14, committed, body: body.clone() };
    let position = Revision::new(ReignId::of(&claim(6, 2)), 11);
    let (one, two) = (Bytes::from_static(b"one"), Bytes::from_static(b"onetwo"));
    vec![
        Frame::Changes(stretch(0)),
        Frame::Changes(stretch(11)),
        Frame::Requests(Requests { requests: Vec::new(), body: Bytes::new() }),
        Frame::Requests(Requests { requests: vec![(1, 3), (u64::MAX, 3)], body: two.clone() }),
        Frame::Outcomes(Outcomes { epoch: 7, outcomes: vec![(1, Ended::Judged(2), 3)], body: one }),
        Frame::Outcomes(Outcomes { epoch: 7, outcomes: vec![(2, Ended::Busy, 0), (3, Ended::NoSpace, 6)], body: two }),
        Frame::Holds(Holds { position, all: false, body: body.clone() }),
        Frame::Holds(Holds { position: Revision::ZERO, all: true, body: Bytes::new() }),
        Frame::Wanted(Wanted { body: body.clone() }),
        Frame::Piece(Piece { number: 0, last: false, body: body.clone() }),
        Frame::Piece(Piece { number: 9, last: true, body }),
        Frame::Covered,
        Frame::Taken,
        Frame::Reunited(Reunited { with: node(3).id, reign: ReignId(7), brought: Brought::default() }),
        Frame::Reunited(Reunited { with: node(3).id, reign: ReignId(u64::MAX), brought: most_brought() }),
        Frame::Committed(Committed { claim: claim(7, 1), number: 14 }),
        Frame::Digest(Digest { claim: claim(7, 1), number: 14, digest: u128::MAX }),
        Frame::Stored(Stored { number: 14 }),
        Frame::Anew,
    ]
}

fn pings() -> [Frame; 2] {
    [
        Frame::Ping(Ping { seq: 9, deaf: true, rtt_us: Some(310), hold_ms: 1000, sick: true }),
        Frame::Ping(Ping { seq: 10, deaf: false, rtt_us: None, hold_ms: 0, sick: false }),
    ]
}

fn joins() -> Vec<Frame> {
    let join = |shown, whole, via| {
        Frame::Join(Join { claim: claim(7, 1), shown, priority: 100, version: "0.1.0".to_owned(), whole, via })
    };
    let joined = |successor, members| Frame::Joined(Joined { claim: claim(7, 1), story: story(), successor, members });
    vec![
        join(None, true, None),
        join(Some(claim(6, 2)), false, Some(node(4).id)),
        joined(None, Vec::new()),
        joined(Some(node(2)), (0..50).map(member).collect()),
        Frame::NotJoined(NotJoined::NotLeader(Standing::Follows(known()))),
        Frame::NotJoined(NotJoined::NotLeader(Standing::Neither)),
        Frame::NotJoined(NotJoined::Cloned),
        Frame::NotJoined(NotJoined::Full),
    ]
}

fn elections() -> Vec<Frame> {
    let voice = |says, withdrew| Frame::Voice(Voice { claim: claim(8, 3), says, withdrew, holds: 0 });
    vec![
        Frame::Canvass(Canvass { claim: claim(8, 3), replaces: None, whole: true, abdicate: None }),
        Frame::Canvass(Canvass {
            claim: claim(8, 3),
            replaces: Some(claim(7, 1)),
            whole: false,
            abdicate: Some(Abdicate { claim: claim(7, 1), to: node(3), cause: Cause::Handover }),
        }),
        voice(Says::LeaderAlive(known()), None),
        voice(Says::Better(claim(8, 2)), Some(claim(8, 5))),
        voice(Says::Taken(claim(8, 4)), None),
        voice(Says::Higher(12), None),
        voice(Says::Backed, Some(claim(8, 5))),
    ]
}
