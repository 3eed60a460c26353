//! Pings, and answers that wait for a heartbeat (protocol §6).

use super::hosted::{Hosted, beat, joined};
use super::*;
use crate::event::Kind;
use crate::message::{Heartbeat, Named, Ping, Pong};
use crate::wire::samples;

/// §6: an answer that may wait goes with the heartbeat that is nearest to the end of that time.
#[test]
fn an_answer_that_may_wait_goes_with_a_heartbeat() {
    let mut leader = Hosted::leading();
    let conn = leader.asks_to_join(3);
    for (seq, hold_ms, late) in [(1, 0, 0), (2, 1_000, 980), (3, 1_000, 1_000), (4, 90, 0), (5, 60_000, 1_000)] {
        leader.forget();
        leader.pings(conn, seq, hold_ms);
        // 20 ms after a heartbeat the first time, and then with one.
        let pongs = |leader: &Hosted| {
            let of = |(_, frame): &(ConnId, Frame)| if let Frame::Pong(p) = frame { Some(p.clone()) } else { None };
            leader.sent.iter().filter_map(of).collect::<Vec<_>>()
        };
        for _ in 0..late {
            assert_eq!(pongs(&leader), [], "ping {seq}");
            leader.run(Duration::from_millis(1));
        }
        assert_eq!(pongs(&leader), [Pong { seq, held_us: late * 1_000 }], "ping {seq}");
        if seq == 1 {
            while !matches!(leader.cast.last(), Some((_, Cast::Heartbeat(_)))) {
                leader.run(Duration::from_millis(1));
            }
            leader.run(Duration::from_millis(20));
        }
    }
}

/// §6: the next ping goes with the answer to the last, not more than one a second, and what was held back is no way.
#[test]
fn the_next_ping_goes_with_the_answer() {
    let mut agent = Hosted::following();
    let session = ConnId(1);
    let ping = |agent: &mut Hosted| {
        let of = |(_, f): (ConnId, Frame)| if let Frame::Ping(p) = f { Some(p) } else { None };
        std::mem::take(&mut agent.sent).into_iter().filter_map(of).collect::<Vec<_>>()
    };
    let told = |agent: &mut Hosted, ms: u64, pong: Option<(u64, u64)>| {
        for _ in 0..ms {
            agent.hears(1, beat(samples::claim(7, 1), 2));
            agent.run(Duration::from_millis(1));
        }
        if let Some((seq, held_us)) = pong {
            agent.frame(session, Frame::Pong(Pong { seq, held_us }));
        }
        ping(agent).iter().map(|p| (p.seq, p.hold_ms, p.rtt_us)).collect::<Vec<_>>()
    };
    // The first is answered at once, and tells the round trip one interval later.
    assert_eq!(told(&mut agent, 2, Some((1, 0))), []);
    assert_eq!(told(&mut agent, 250, None), [(2, 1000, Some(2_000))]);
    assert_eq!(told(&mut agent, 990, Some((2, 986_000))), [(3, 1000, Some(2_125))], "longer slowly");
    // From a leader that holds nothing back.
    assert_eq!(told(&mut agent, 2, Some((3, 0))), []);
    assert_eq!(told(&mut agent, 990, None), []);
    assert_eq!(told(&mut agent, 9, None), [(4, 1000, Some(2_000))], "shorter at once");
    // Unanswered for one second and the deadline: the leader is asked.
    assert_eq!(told(&mut agent, 1_555, None), []);
    assert_eq!(agent.times(Kind::LeaderSuspected), 0);
    told(&mut agent, 10, None);
    assert_eq!(agent.times(Kind::LeaderSuspected), 1);
}

/// §6: the first round trip is told at once, another one seldom, and the less often the more there are to hear it.
#[test]
fn another_round_trip_is_told_seldom() {
    for followers in [2, 10] {
        let mut leader = Hosted::leading();
        let sessions: Vec<ConnId> = (3..3 + followers).map(|n| leader.asks_to_join(n)).collect();
        // After how many seconds the list tells of it, if it does.
        let mut told = |conn: ConnId, rtt_us: u64, seconds: u64| {
            leader.forget();
            leader
                .frame(conn, Frame::Ping(Ping { seq: 1, deaf: false, rtt_us: Some(rtt_us), hold_ms: 0, sick: false }));
            (0..seconds).find(|_| {
                sessions.iter().for_each(|conn| leader.pings(*conn, 1, 0));
                leader.run(Duration::from_secs(1));
                leader.sent.iter().any(|(_, frame)| matches!(frame, Frame::Members(_)))
            })
        };
        let pause = 2 * followers;
        assert_eq!(told(sessions[0], 4_000, 1), Some(0), "the first");
        assert_eq!(told(sessions[0], 7_900, pause + 2), None, "not twice as long: no news");
        assert_eq!(told(sessions[0], 8_000, 1), Some(0), "the last list is old enough");
        assert_eq!(told(sessions[0], 2_000, pause + 2), Some(pause - 2), "{followers} followers: not yet");
        assert_eq!(told(sessions[0], 9_000, 1), None);
        assert_eq!(told(sessions[1], 300, 1), Some(0), "other news takes it along");
        assert_eq!(told(sessions[1], 300, pause + 2), None, "and no more");
    }
}

/// §6: what is said on a session comes in order: a later reign that it did not tell of was missed, and it begins anew.
#[test]
fn a_session_that_missed_a_reign_begins_anew() {
    let beats = |claim| Frame::Beat(Heartbeat { claim, successor: None, followers: 2, seq: 1 });
    let names = |claim| Frame::Named(Named { claim, successor: None });
    let (own, later) = (samples::claim(7, 1), samples::claim(8, 1));
    for says in [beats(later), names(later)] {
        let mut agent = Hosted::following();
        agent.frame(ConnId(1), says.clone());
        assert_eq!(agent.closed, [ConnId(1)], "{says:?}");
        agent.run(Settings::default().interrogation());
        let session = agent.connects(1);
        agent.frame(session, Frame::Joined(joined(later)));
        assert_eq!(agent.node.status().shown, Some(later), "it is told there");
    }
    for says in [beats(own), names(own), beats(samples::claim(6, 1)), beats(samples::claim(8, 3))] {
        let mut agent = Hosted::following();
        agent.frame(ConnId(1), says.clone());
        assert_eq!(agent.closed, [], "{says:?}");
    }
}

/// §6: with a session the successor is the one that is named there, by itself or with a heartbeat, and not by datagram.
#[test]
fn the_successor_is_the_one_that_the_session_names() {
    let says = |successor| {
        let claim = samples::claim(7, 1);
        (Named { claim, successor }, Heartbeat { claim, successor, followers: 2, seq: 1 })
    };
    let successor = |agent: &Hosted| agent.node.status().successor.map(|s| s.node);
    let mut agent = Hosted::following();
    let was = successor(&agent);
    assert_eq!(was, Some(samples::node(3)));
    agent.hears(1, Cast::Heartbeat(says(None).1));
    assert_eq!(successor(&agent), was);
    agent.frame(ConnId(1), Frame::Beat(says(None).1));
    assert_eq!(successor(&agent), None);
    agent.frame(ConnId(1), Frame::Named(says(was).0));
    assert_eq!(successor(&agent), was);
}
