//! Pings, and answers that wait for a heartbeat (protocol §6).

use super::host_for_tests::{Hosted, beat};
use super::*;
use crate::event::Kind;
use crate::message::Pong;
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
    assert_eq!(told(&mut agent, 990, Some((2, 986_000))), [(3, 1000, Some(2_500))]);
    // From a leader that holds nothing back.
    assert_eq!(told(&mut agent, 2, Some((3, 0))), []);
    assert_eq!(told(&mut agent, 990, None), []);
    assert_eq!(told(&mut agent, 9, None), [(4, 1000, Some(2_375))]);
    // Unanswered for one second and the deadline: the leader is asked.
    assert_eq!(told(&mut agent, 1_555, None), []);
    assert_eq!(agent.times(Kind::LeaderSuspected), 0);
    told(&mut agent, 10, None);
    assert_eq!(agent.times(Kind::LeaderSuspected), 1);
}
