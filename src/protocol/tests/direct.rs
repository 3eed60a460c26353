//! Sentences of the protocol about the way to a leader through another member.

use super::hosted::{Hosted, address, beat, hi_that_names_the_leader, joined, sender};
use super::*;
use crate::event::Kind;
use crate::message::{Answer, Cast, Frame, Hi, Known, Open, Pong, Question, Standing, Via};
use crate::wire::samples;

const I: Duration = Duration::from_millis(250);

impl Hosted {
    /// Number 3 is asked for the way to number 1.
    fn asks_3_for_the_way(&mut self) -> ConnId {
        let found = self.dials.iter().position(|(_, to)| *to == address(3));
        let (conn, _) = self.dials.remove(found.expect("number 3 is dialled"));
        self.step(Input::Connected { conn });
        let asked =
            |(c, frame): &(ConnId, Frame)| *c == conn && matches!(frame, Frame::Via(v) if v.to == samples::node(1));
        assert!(self.sent.iter().any(asked));
        conn
    }

    /// The way to number 1 through number 3 opens, and number 1 takes it in.
    fn joins_through_3(&mut self) -> ConnId {
        let conn = self.asks_3_for_the_way();
        self.frame(conn, Frame::ViaReady);
        self.frame(conn, Frame::Open(Open { from: sender(1), via: None }));
        self.frame(conn, Frame::Joined(joined(samples::claim(7, 1))));
        conn
    }

    /// It has lost sight of its leader, and goes through number 3.
    pub(super) fn following_through_3() -> (Self, ConnId) {
        let mut agent = Self::listening();
        let hi = hi_that_names_the_leader(&agent);
        agent.hears(3, hi);
        let session = agent.joins_through_3();
        agent.told.clear();
        (agent, session)
    }

    /// It asks the leader directly, as it does now and then while it goes through another.
    fn tries_the_direct_way(&mut self, session: ConnId) {
        self.dials.clear();
        while self.dials.is_empty() {
            let seq = self.sent.iter().rev().find_map(|(_, frame)| match frame {
                Frame::Ping(ping) => Some(ping.seq),
                _ => None,
            });
            self.frame(session, Frame::Pong(Pong { seq: seq.expect("it speaks"), held_us: 0 }));
            self.run(I / 4);
        }
    }
}

/// §6: a Hi that names the leader which was taken for dead, from a member that reaches it, is followed: through it.
#[test]
fn a_silent_leader_that_a_member_reaches_is_followed_through_it() {
    let mut agent = Hosted::following();
    agent.run(I * 4);
    assert_eq!(agent.times(Kind::LeaderLost), 1, "{:?}", agent.told);
    assert!(agent.cast.iter().any(|(_, cast)| matches!(cast, Cast::Hello(_))), "it says Hello at once");
    agent.dials.clear();
    let hi = hi_that_names_the_leader(&agent);
    agent.hears(3, hi);
    agent.joins_through_3();
    let status = agent.node.status();
    assert_eq!((status.role, status.leader.map(|l| l.node)), (RoleName::Following, Some(samples::node(1))));
}

/// §6: a leader that was never heard by datagram is silent after 1 s at least, from the beginning of its reign on.
#[test]
fn a_leader_that_is_heard_by_tcp_only_has_a_second() {
    for (datagram, lost_after) in [(true, I * 3), (false, I * 4)] {
        let (mut agent, _) = Hosted::following_through_3();
        if datagram {
            agent.hears(1, beat(samples::claim(7, 1), 2));
        }
        agent.run(lost_after - Duration::from_millis(1));
        assert_eq!((agent.times(Kind::LeaderSuspected), agent.times(Kind::LeaderLost)), (1, 0), "{:?}", agent.told);
        agent.run(Duration::from_millis(1));
        assert_eq!(agent.times(Kind::LeaderLost), 1, "{datagram}: {:?}", agent.told);
    }
}

/// §6: a member vouches for a leader whose heartbeats it hears itself, and for no other.
#[test]
fn who_hears_no_heartbeat_itself_vouches_for_nobody() {
    for hears in [false, true] {
        let (mut agent, _) = Hosted::following_through_3();
        if hears {
            agent.hears(1, beat(samples::claim(7, 1), 2));
        }
        agent.hears(4, Cast::Question(Question { nonce: 9, to: samples::node(2) }));
        let answered = |(_, cast): &&(To, Cast)| {
            matches!(cast, Cast::Answer(Answer { nonce: 9, standing: Standing::Follows(_), .. }))
        };
        assert_eq!(agent.cast.iter().any(|c| answered(&c)), hears, "{:?}", agent.cast);
    }
}

/// §6: a way through another is one hop long: who goes through another itself opens none.
#[test]
fn a_way_through_another_is_one_hop_long() {
    let asked = |agent: &mut Hosted| {
        let conn = ConnId(agent.accepted);
        agent.accepted += 1;
        agent.step(Input::Accepted { conn, from: address(9) });
        agent.frame(conn, Frame::Via(Via { to: samples::node(1) }));
        agent.sent.iter().any(|(c, frame)| *c == conn && matches!(frame, Frame::ViaFailed(_)))
    };
    let mut direct = Hosted::following();
    assert!(!asked(&mut direct));
    assert_eq!(direct.pipes, [address(1)]);
    let (mut through, _) = Hosted::following_through_3();
    assert!(asked(&mut through), "{:?}", through.sent);
    assert_eq!(through.pipes, []);
}

/// §6: a refusal counts when it comes from the leader's own address. The member in between may have gone, or be unable to
/// open the way: neither says anything about the leader.
#[test]
fn a_refusal_of_the_member_in_between_is_none_by_the_leader() {
    for (how, its_own) in [(Closed::Refused, false), (Closed::Reset, false), (Closed::Refused, true)] {
        let (mut agent, session) = Hosted::following_through_3();
        agent.dials.clear();
        agent.step(Input::Closed { conn: session, how: Closed::Reset });
        let to = address(if its_own { 1 } else { 3 });
        let question = agent.dials.iter().find(|(_, at)| *at == to).expect("it asks both ways").0;
        agent.dials.retain(|(conn, _)| *conn != question);
        agent.step(Input::Closed { conn: question, how });
        assert_eq!(agent.times(Kind::LeaderLost), usize::from(its_own), "{how:?}: {:?}", agent.told);
    }
}

/// §6: the member in between says that it cannot open the way: the leader is asked on, and an answer settles it.
#[test]
fn a_way_that_cannot_be_opened_is_no_answer() {
    let (mut agent, session) = Hosted::following_through_3();
    agent.dials.clear();
    agent.step(Input::Closed { conn: session, how: Closed::Reset });
    let way = agent.asks_3_for_the_way();
    agent.frame(way, Frame::ViaFailed("no route to host".to_owned()));
    assert_eq!(agent.times(Kind::LeaderLost), 0, "{:?}", agent.told);
    agent.leader_answers();
    assert_eq!((agent.times(Kind::LeaderLost), agent.times(Kind::LeaderAnswered)), (0, 1), "{:?}", agent.told);
}

/// §6: the direct way opens again: the leader hears the member there before it hears that the other session ended, or it
/// would take the member for gone; what was asked on the other session is answered.
#[test]
fn who_goes_direct_again_speaks_before_it_hangs_up() {
    let (mut agent, session) = Hosted::following_through_3();
    agent.tries_the_direct_way(session);
    agent.step(Input::Handover { request: 5, to: None });
    agent.leader_answers();
    let direct = agent.connects(1);
    assert!(!agent.closed.contains(&session));
    let mut outputs = Vec::new();
    let joined = Input::Frame { conn: direct, frame: Frame::Joined(joined(samples::claim(7, 1))) };
    agent.node.step(agent.now, [joined], &mut outputs);
    let place = |of: &dyn Fn(&Output) -> bool| outputs.iter().position(of).expect("it is done");
    let speaks = place(&|o| matches!(o, Output::Send { to, frame: Frame::Ping(_) } if to.conns() == [direct]));
    let hangs_up = place(&|o| matches!(o, Output::Close { conn } if *conn == session));
    assert!(speaks < hangs_up, "{outputs:?}");
    place(&|o| matches!(o, Output::Reply { request: 5, refused: Some(_) }));
}

/// §6: who has gone direct again because the way through another ended asks no more whether it can: the answer, which may
/// be a second late, would end the session for another one of the same kind, and an heir would lose its place by that.
#[test]
fn who_went_direct_by_itself_does_not_go_direct_again() {
    let (mut agent, session) = Hosted::following_through_3();
    agent.tries_the_direct_way(session);
    let (question, to) = agent.dials.remove(0);
    assert_eq!(to, address(1));
    agent.step(Input::Closed { conn: session, how: Closed::Reset });
    agent.leader_answers();
    let direct = agent.connects(1);
    agent.frame(direct, Frame::Joined(joined(samples::claim(7, 1))));
    assert!(agent.closed.contains(&question), "{:?}", agent.closed);
}

/// §6: a leader that others take to be at this agent's own address is reached through one of them: whoever has had
/// another's id has left its address with that.
#[test]
fn an_agent_does_not_dial_itself() {
    let mut agent = Hosted::listening();
    let known = Known { claim: samples::claim(7, 1), name: "pc-1".to_owned(), address: address(2), direct: true };
    agent.hears(3, Cast::Hi(Hi { to: samples::node(2), leader: Some(known), priority: 100 }));
    agent.joins_through_3();
    assert_eq!(agent.node.status().leader.map(|l| l.node), Some(samples::node(1)));
    agent.run(I * 16);
    assert!(agent.dials.iter().all(|(_, to)| *to != address(2)), "{:?}", agent.dials);
}
