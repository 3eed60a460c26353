//! Sentences of the protocol that say what one agent does when others say just this at just that time.

use super::hosted::{Hosted, address, beat, hi_that_names_the_leader, joined, sender};
use super::*;
use crate::event::Kind;
use crate::ident::BootId;
use crate::message::{
    Answer, Canvass, Checked, Hello, Joined, Known, Member, MemberState, NotJoined, Notice, Open, Ping, Question, Says,
    Sender, Standing, Told, Voice, Welcome,
};
use crate::wire::samples;

const I: Duration = Duration::from_millis(250);

/// The default interval, `n` quarters of it.
fn quarters(n: u32) -> Duration {
    I * n / 4
}

impl Hosted {
    /// Whoever it dialled to ask refuses: its leader, number 1, is dead to it.
    pub(super) fn loses_its_leader(&mut self) {
        self.step(Input::Closed { conn: ConnId(1), how: Closed::Reset });
        self.refuses(1);
        assert!(self.told.contains(&Kind::LeaderLost), "{:?}", self.told);
    }

    /// The dials to number `n` that are under way are refused.
    pub(super) fn refuses(&mut self, n: u64) {
        let refused: Vec<ConnId> = self.dials.iter().filter(|(_, to)| *to == address(n)).map(|(c, _)| *c).collect();
        self.dials.retain(|(conn, _)| !refused.contains(conn));
        for conn in refused {
            self.step(Input::Closed { conn, how: Closed::Refused });
        }
    }

    /// What it said on this connection in answer to a canvass.
    pub(super) fn voted(&self, conn: ConnId) -> Option<&Says> {
        self.sent.iter().find_map(|(c, frame)| match frame {
            Frame::Voice(voice) if *c == conn => Some(&voice.says),
            _ => None,
        })
    }

    /// Number `n` asks for its voice.
    pub(super) fn canvassed_by(&mut self, n: u64, claim: Claim) -> ConnId {
        let conn = self.accepts(sender(n), address(n));
        self.frame(conn, Frame::Canvass(Canvass { claim, replaces: None, whole: true, abdicate: None }));
        conn
    }

    pub(super) fn claimed(&self) -> Option<Claim> {
        self.sent.iter().rev().find_map(|(_, frame)| match frame {
            Frame::Canvass(canvass) => Some(canvass.claim),
            _ => None,
        })
    }

    /// Number 1 answers the question that was put to it.
    pub(super) fn leader_answers(&mut self) {
        let conn = self.connects(1);
        let nonce = self.sent.iter().rev().find_map(|(_, frame)| match frame {
            Frame::Question(question) => Some(question.nonce),
            _ => None,
        });
        let standing = Standing::Leads(samples::claim(7, 1));
        self.frame(conn, Frame::Answer(Answer { nonce: nonce.expect("it asked"), standing, store_ms: 0 }));
    }

    pub(super) fn times(&self, kind: Kind) -> usize {
        self.told.iter().filter(|told| **told == kind).count()
    }
}

/// §7.2: who was told that the first in line is on it waits 2 intervals and half an interval for its own place.
#[test]
fn who_was_told_that_another_is_on_it_waits_for_its_turn() {
    let mut agent = Hosted::following();
    agent.loses_its_leader();
    let first = agent.connects(3);
    agent.frame(first, Frame::Told(Told::OnIt));
    agent.run(I * 2 + quarters(2) - Duration::from_millis(1));
    assert_eq!(agent.times(Kind::Claiming), 0, "it is the other's turn");
    agent.run(Duration::from_millis(2));
    assert_eq!(agent.times(Kind::Claiming), 1);
}

/// §7.2: "not I", and a refusal: the next in line is told; who finds itself next claims at once.
#[test]
fn who_finds_itself_next_in_line_claims_at_once() {
    for refused in [false, true] {
        let mut agent = Hosted::following();
        agent.loses_its_leader();
        if refused {
            agent.refuses(3);
        } else {
            let first = agent.connects(3);
            agent.frame(first, Frame::Told(Told::NotI));
        }
        assert_eq!(agent.times(Kind::Claiming), 1, "{:?}", agent.told);
    }
}

/// §7.2: when one in the line is silent, those that were heard since the leader was missed come first. Who has heard
/// nobody says Hello, and tries one more before it claims.
#[test]
fn after_a_silent_one_those_are_told_that_were_heard() {
    for heard in [true, false] {
        let mut agent = Hosted::following();
        let members = [4, 5, 6].map(super::hosted::samples_member).to_vec();
        agent.frame(ConnId(1), Frame::Members(crate::message::Members { changed: members, gone: vec![] }));
        agent.run(Duration::from_millis(10));
        agent.loses_its_leader();
        let told = |agent: &Hosted| agent.dials.last().map(|(_, to)| *to);
        assert_eq!(told(&agent), Some(address(3)), "the named one is told first");
        agent.run(Duration::from_millis(10));
        if heard {
            agent.hears(6, Cast::Hello(Hello { broadcast: true, version: String::new(), priority: 100 }));
        }
        agent.forget();
        agent.run(quarters(3));
        let hello = agent.cast.iter().any(|(_, cast)| matches!(cast, Cast::Hello(hello) if hello.broadcast));
        let second = if heard { address(6) } else { address(4) };
        assert_eq!((told(&agent), hello), (Some(second), !heard), "{:?}", agent.dials);
        assert_eq!(agent.times(Kind::Claiming), 0);
        agent.run(quarters(3));
        assert_eq!(agent.times(Kind::Claiming), 1, "nobody else was heard, so it is its turn");
    }
}

/// §7.3: another claim of the same epoch that a member has backed is an objection, until its owner says that it withdrew.
#[test]
fn a_claim_that_is_taken_wins_when_the_other_is_withdrawn() {
    for withdrawn in [false, true] {
        let mut agent = Hosted::following();
        let members = vec![super::hosted::samples_member(4)];
        agent.frame(ConnId(1), Frame::Members(crate::message::Members { changed: members, gone: vec![] }));
        agent.loses_its_leader();
        agent.refuses(3);
        agent.refuses(4);
        let claim = agent.claimed().expect("it claims");
        let worse = Claim { epoch: claim.epoch, ..samples::claim(0, 3) };
        let four = agent.connects(4);
        agent.frame(four, Frame::Voice(Voice { claim, says: Says::Taken(worse), withdrew: None, holds: 0 }));
        if withdrawn {
            let owner = agent.connects(3);
            let says = Says::Backed;
            agent.frame(owner, Frame::Voice(Voice { claim, says, withdrew: Some(worse), holds: 0 }));
        } else {
            agent.refuses(3);
        }
        agent.run(quarters(4));
        let won = agent.node.status().role == RoleName::Leading;
        assert_eq!(won, withdrawn, "{:?}", agent.told);
    }
}

/// §7.3: whoever was there lately is waited for although the list shows nobody there and no successor is named.
#[test]
fn who_was_there_lately_is_waited_for() {
    let mut agent = Hosted::listening();
    let claim = samples::claim(7, 1);
    agent.hears(1, beat(claim, 2));
    let session = agent.connects(1);
    agent.frame(session, Frame::Joined(Joined { successor: None, ..joined(claim) }));
    let silent = Member { state: MemberState::Silent, ..super::hosted::samples_member(3) };
    agent.frame(session, Frame::Members(crate::message::Members { changed: vec![silent], gone: vec![] }));
    agent.step(Input::Closed { conn: session, how: Closed::Reset });
    agent.refuses(1);
    assert_eq!(agent.times(Kind::Claiming), 1, "nobody else is in line: {:?}", agent.told);
    assert_ne!(agent.node.status().role, RoleName::Leading, "it asks number 3 for its voice");
    agent.refuses(3);
    assert_eq!(agent.node.status().role, RoleName::Leading);
}

/// §5: while it has no leader an agent says Hello, also when it has begun to claim and nothing comes of it.
#[test]
fn who_claims_in_vain_says_hello() {
    let mut agent = Hosted::listening();
    agent.disk = hosted::Disk::Hangs;
    agent.run(Duration::from_secs(1));
    assert_eq!(agent.times(Kind::Claiming), 1, "{:?}", agent.told);
    agent.forget();
    agent.run(Duration::from_secs(5));
    let hellos = agent.cast.iter().filter(|(to, cast)| *to == To::Everyone && matches!(cast, Cast::Hello(_))).count();
    assert!((2..=6).contains(&hellos), "{hellos}");
}

/// §5: Hellos at 0, a third and two thirds of the join wait, then with pauses that double up to 2 s, give or take a fifth.
#[test]
fn hellos_become_rarer_while_there_is_no_leader() {
    let mut agent = Hosted::listening();
    // A claim that is announced again and again keeps it from claiming itself.
    let mut said = vec![agent.now.time];
    agent.forget();
    for n in 0..1500 {
        let claim = samples::claim(20 + n / 40, 9);
        agent.hears_from(sender(9), address(9), Cast::Notice(Notice { claim }));
        agent.run(Duration::from_millis(5));
        let hellos = agent.cast.iter().filter(|(to, cast)| *to == To::Everyone && matches!(cast, Cast::Hello(_)));
        said.extend(hellos.map(|_| agent.now.time));
        agent.forget();
    }
    let pauses: Vec<u128> = said.windows(2).map(|two| two[1].since(two[0]).as_millis()).collect();
    assert!(pauses.len() >= 5, "{pauses:?}");
    // Now that it knows of somebody, its join wait is 2.25 intervals.
    assert!(pauses[0].abs_diff(100) <= 10 && pauses[1].abs_diff(187) <= 10, "{pauses:?}");
    for (pause, due) in pauses[2..].iter().zip([375, 750, 1500, 2000, 2000]) {
        assert!((due * 4 / 5..=due * 6 / 5 + 10).contains(pause), "{due}: {pauses:?}");
    }
}

/// §6: a beat of another reign of the same process is a sign of life and nothing else, until a connection says more.
#[test]
fn a_datagram_does_not_move_the_reign_that_is_shown() {
    let mut agent = Hosted::following();
    let shown = agent.node.status().shown;
    agent.hears(1, beat(samples::claim(8, 1), 2));
    assert_eq!(agent.node.status().shown, shown);
}

/// §5: a claim that somebody announces moves the end of the join wait: the canvass deadline and 2 intervals for it to win.
#[test]
fn a_claim_that_is_announced_moves_the_end_of_the_join_wait() {
    let mut agent = Hosted::listening();
    agent.run(Duration::from_millis(50));
    agent.hears(9, Cast::Notice(Notice { claim: samples::claim(3, 9) }));
    agent.run(Duration::from_millis(600));
    assert_eq!(agent.times(Kind::Claiming), 0, "it waits for the other's heartbeat");
    agent.run(Duration::from_millis(200));
    assert_eq!(agent.times(Kind::Claiming), 1);
}

/// §5: a member that has already heard the answer to a Hello stays silent.
#[test]
fn who_has_heard_the_welcome_says_nothing() {
    for welcomed in [false, true] {
        let mut agent = Hosted::following();
        agent.hears(9, Cast::Hello(Hello { broadcast: true, version: String::new(), priority: 100 }));
        if welcomed {
            let claim = samples::claim(7, 1);
            agent.hears(1, Cast::Welcome(Welcome { to: samples::node(9), claim, successor: None, followers: 1 }));
        }
        agent.run(Duration::from_millis(100));
        let answered = agent.cast.iter().any(|(_, cast)| matches!(cast, Cast::Hi(_)));
        assert_eq!(answered, !welcomed);
    }
}

/// §4: a new boot is a reason to ask, and proves nothing until it answers at the address of the former.
#[test]
fn a_new_boot_that_is_heard_is_a_reason_to_ask_and_no_proof() {
    let mut agent = Hosted::following();
    let node = Incarnation { boot: BootId(99), ..samples::node(1) };
    agent.hears_from(Sender { node, ..sender(1) }, address(1), hi_that_names_the_leader(&Hosted::listening()));
    assert_eq!(agent.times(Kind::LeaderLost), 0, "{:?}", agent.told);
    let conn = agent.connects(1);
    assert!(agent.sent.iter().any(|(c, frame)| *c == conn && matches!(frame, Frame::Question(_))));
    // What `connects` said was the former boot: it lives, and answers.
    let nonce = agent.sent.iter().find_map(|(_, frame)| match frame {
        Frame::Question(question) => Some(question.nonce),
        _ => None,
    });
    let standing = Standing::Leads(samples::claim(7, 1));
    agent.frame(conn, Frame::Answer(Answer { nonce: nonce.expect("it asked"), standing, store_ms: 0 }));
    assert_eq!((agent.times(Kind::LeaderLost), agent.times(Kind::LeaderAnswered)), (0, 1), "{:?}", agent.told);
}

/// §4: who takes a new id keeps its promises: in an epoch it backs one claim, whatever it is called.
#[test]
fn who_takes_a_new_id_keeps_its_promises() {
    let mut agent = Hosted::listening();
    let first = agent.canvassed_by(5, samples::claim(12, 5));
    assert!(matches!(agent.voted(first), Some(Says::Backed)), "{:?}", agent.sent);
    let node = Incarnation { id: agent.id(), boot: BootId(666) };
    let double = Sender { node, ..sender(2) };
    agent.hears_from(double.clone(), address(9), beat(Claim { node, ..samples::claim(9, 9) }, 9));
    let asked = agent.dials.iter().position(|(_, to)| *to == address(9)).expect("it asks whose the id is");
    let (conn, _) = agent.dials.remove(asked);
    agent.step(Input::Connected { conn });
    agent.frame(conn, Frame::Open(Open { from: double, via: None }));
    agent.frame(conn, Frame::NotJoined(NotJoined::Cloned));
    assert_ne!(agent.id(), node.id, "it has a new id");
    let worse = Claim { at: Wall(samples::claim(12, 5).at.0 + 1), ..samples::claim(12, 6) };
    let second = agent.canvassed_by(6, worse);
    assert!(matches!(agent.voted(second), Some(Says::Better(_))), "{:?}", agent.voted(second));
}

/// §6: an error of one's own side (no route, no link, prohibited) is no answer; a refusal is one.
#[test]
fn an_error_of_ones_own_side_is_no_refusal() {
    for (how, lost) in [(Closed::Local, 0), (Closed::Refused, 1)] {
        let mut agent = Hosted::following();
        agent.step(Input::Closed { conn: ConnId(1), how: Closed::Reset });
        while let Some((conn, _)) = agent.dials.pop() {
            agent.step(Input::Closed { conn, how });
        }
        assert_eq!(agent.times(Kind::LeaderLost), lost, "{how:?}");
    }
}

/// §6: an answer whose oldest store operation is older than 2 s (at this interval) counts as none.
#[test]
fn an_answer_with_an_old_write_is_none() {
    for (store_ms, answers) in [(1_900, 1), (2_100, 0)] {
        let mut agent = Hosted::following();
        agent.step(Input::Closed { conn: ConnId(1), how: Closed::Reset });
        let question = agent.dials.iter().map(|(conn, _)| *conn).min().expect("it asks");
        agent.step(Input::Connected { conn: question });
        agent.frame(question, Frame::Open(Open { from: sender(1), via: None }));
        let nonce = agent.sent.iter().find_map(|(_, frame)| match frame {
            Frame::Question(question) => Some(question.nonce),
            _ => None,
        });
        let standing = Standing::Leads(samples::claim(7, 1));
        agent.frame(question, Frame::Answer(Answer { nonce: nonce.expect("it asked"), standing, store_ms }));
        assert_eq!(agent.times(Kind::LeaderAnswered), answers, "{store_ms}: {:?}", agent.told);
    }
}

/// §6: who stood still asks its leader before anything else.
#[test]
fn a_follower_that_stood_still_asks_first() {
    let mut agent = Hosted::following();
    agent.run(quarters(1));
    agent.forget();
    let after = agent.now.time + I * 8;
    agent.at(after);
    agent.step(Input::Tick);
    let conn = agent.connects(1);
    assert!(agent.sent.iter().any(|(c, frame)| *c == conn && matches!(frame, Frame::Question(_))));
    assert_eq!(agent.times(Kind::LeaderSuspected), 0, "it does not blame the leader: {:?}", agent.told);
}

/// §6: a leader that stood still serves nothing before its successor has said that it still follows.
#[test]
fn a_leader_that_stood_still_asks_its_successor_first() {
    let mut leader = Hosted::leading();
    let session = leader.asks_to_join(3);
    leader.pings(session, 1, 0);
    leader.run(I);
    let claim = leader.node.status().shown.expect("it leads");
    leader.at(leader.now.time + I * 8);
    leader.forget();
    leader.step(Input::Tick);
    let asker = leader.accepts(sender(4), address(4));
    leader.frame(asker, Frame::Question(Question { nonce: 5, to: samples::node(2) }));
    leader.run(I / 2);
    let serves = |leader: &Hosted| {
        let answered = leader.sent.iter().any(|(conn, frame)| *conn == asker && matches!(frame, Frame::Answer(_)));
        (answered, leader.cast.iter().any(|(_, cast)| matches!(cast, Cast::Heartbeat(_))))
    };
    assert_eq!(serves(&leader), (false, false), "{:?} {:?}", leader.sent, leader.cast);
    assert!(!leader.node.status().sure, "users are not told that it leads");

    let conn = leader.connects(3);
    let known = Known { claim, name: "pc-2".to_owned(), address: address(2), direct: true };
    assert!(leader.sent.iter().any(|(c, frame)| *c == conn && matches!(frame, Frame::Check(_))));
    leader.frame(conn, Frame::Checked(Checked { standing: Standing::Follows(known) }));
    leader.frame(asker, Frame::Question(Question { nonce: 6, to: samples::node(2) }));
    assert_eq!(serves(&leader), (true, true));
    assert!(leader.node.status().sure);
}

/// §6: the leader counts a follower silent after 3 s, and closes its session after 10 s.
#[test]
fn a_follower_that_says_nothing_is_silent_and_then_hung_up() {
    let mut leader = Hosted::leading();
    let conn = leader.asks_to_join(3);
    leader.pings(conn, 1, 0);
    leader.run(Duration::from_millis(2_950));
    assert_eq!(leader.times(Kind::MemberSilent), 0);
    leader.run(Duration::from_millis(100));
    assert_eq!(leader.times(Kind::MemberSilent), 1);
    leader.run(Duration::from_millis(6_900));
    assert!(!leader.closed.contains(&conn));
    leader.run(Duration::from_millis(100));
    assert!(leader.closed.contains(&conn));
}

/// §6: a leader that beats is asked once more just before its 2 s are over: it may be heard again by then.
#[test]
fn a_leader_that_beats_is_asked_to_the_last() {
    let mut agent = Hosted::following();
    agent.step(Input::Closed { conn: ConnId(1), how: Closed::Reset });
    let began = agent.now.time;
    let mut last = began;
    while agent.times(Kind::LeaderLost) == 0 {
        agent.hears(1, beat(samples::claim(7, 1), 2));
        let before = agent.dialled;
        agent.run(Duration::from_millis(10));
        last = if agent.dialled > before && agent.times(Kind::LeaderLost) == 0 { agent.now.time } else { last };
    }
    let (asked, lost) = (last.since(began).as_millis(), agent.now.time.since(began).as_millis());
    assert!(lost.abs_diff(2_000) <= 20 && asked.abs_diff(1_813) <= 20, "asked at {asked}, lost at {lost}");
}

/// §4: a member's address is where its session comes from, when nothing is heard from the one that is remembered.
#[test]
fn a_follower_is_where_its_session_comes_from() {
    let mut leader = Hosted::leading();
    // A datagram from elsewhere, just before: its former address, or a clone's.
    let elsewhere: SocketAddr = ([192, 0, 9, 9], 8264).into();
    leader.hears_from(sender(3), elsewhere, Cast::Notice(Notice { claim: samples::claim(1, 3) }));
    let conn = leader.asks_to_join(3);
    for (seq, at) in [(1, elsewhere), (2, elsewhere), (3, address(3))] {
        leader.pings(conn, seq, 0);
        assert_eq!(leader.node.base.members.get(samples::node(3).id).map(|e| e.address), Some(at), "ping {seq}");
        leader.run(Duration::from_millis(600));
    }
}

/// §6: a session whose ping failed is opened anew, also when the leader was asked for another reason first.
#[test]
fn a_session_whose_ping_failed_is_opened_anew_whatever_was_asked_first() {
    let mut agent = Hosted::following();
    // Neither beats nor pongs: silence is the first reason, the ping the second.
    agent.run(I * 9 / 4);
    assert_eq!(agent.times(Kind::LeaderSuspected), 1, "{:?}", agent.told);
    agent.run(Duration::from_millis(20));
    agent.leader_answers();
    assert_eq!(agent.times(Kind::LeaderAnswered), 1, "{:?}", agent.told);
    assert!(agent.closed.contains(&ConnId(1)), "the session that leads nowhere");
    assert!(agent.dials.iter().any(|(_, to)| *to == address(1)), "{:?}", agent.dials);
}

/// §7.5: the named successor keeps its place while it qualifies, however near another is.
#[test]
fn the_named_one_keeps_its_place() {
    let mut leader = Hosted::leading();
    for n in [3, 4, 5] {
        let session = leader.asks_to_join(n);
        let rtt_us = (n == 4).then_some(300);
        leader.frame(session, Frame::Ping(Ping { seq: 1, deaf: false, rtt_us, hold_ms: 0, sick: false }));
        leader.holds(session, 0);
        leader.run(I);
        assert_eq!(leader.node.status().successor.map(|s| s.node), Some(samples::node(3)), "when {n} had come");
    }
}

/// §8: a handover that is asked for while there is no session goes with the next one.
#[test]
fn a_handover_that_is_asked_for_waits_for_the_session() {
    let mut agent = Hosted::following();
    agent.step(Input::Closed { conn: ConnId(1), how: Closed::Reset });
    agent.step(Input::Handover { request: 5, to: None });
    let asked = |agent: &Hosted| agent.sent.iter().any(|(_, frame)| matches!(frame, Frame::Handover(_)));
    assert!(!asked(&agent));
    agent.leader_answers();
    let session = agent.connects(1);
    assert!(!asked(&agent));
    agent.frame(session, Frame::Joined(joined(samples::claim(7, 1))));
    assert!(asked(&agent), "{:?}", agent.sent);
}
