//! How an agent comes to lead, serves its followers, and lets go of the role (protocol §6 to §8).

use super::host_for_tests::Hosted;
use super::*;
use crate::event::Kind;
use crate::wire::samples;

const I: Duration = Duration::from_millis(250);

impl Hosted {
    /// A leader with the sessions of these members, of which the first is named.
    pub(super) fn leading_with<const N: usize>(members: [u64; N]) -> (Self, [ConnId; N]) {
        let mut leader = Self::leading();
        let sessions = members.map(|n| {
            let session = leader.asks_to_join(n);
            leader.pings(session, 1, 0);
            session
        });
        leader.run(I);
        assert_eq!(leader.node.status().successor.map(|s| s.node), members.first().map(|n| samples::node(*n)));
        leader.forget();
        (leader, sessions)
    }
}

/// §6: a session counts, and ends an older one of that member, when the follower has spoken after `Joined`.
#[test]
fn a_session_counts_when_the_follower_has_spoken() {
    let mut leader = Hosted::leading();
    let first = leader.asks_to_join(3);
    let named = |leader: &Hosted| leader.node.status().successor.map(|s| s.node);
    assert!(leader.sent.iter().any(|(conn, frame)| *conn == first && matches!(frame, Frame::Joined(_))));
    assert_eq!(named(&leader), None);
    leader.pings(first, 1, 0);
    assert_eq!(named(&leader), Some(samples::node(3)));

    let second = leader.asks_to_join(3);
    assert!(leader.sent.iter().any(|(conn, frame)| *conn == second && matches!(frame, Frame::Joined(_))));
    assert!(!leader.closed.contains(&first), "the answer may have been lost");
    leader.pings(second, 1, 0);
    assert!(leader.closed.contains(&first));
}

/// §6: after an own stall of more than one interval a follower counts the silence of its leader anew.
#[test]
fn a_follower_does_not_count_its_own_stall_as_silence() {
    let mut agent = Hosted::following();
    agent.run(I);
    agent.at(agent.now.time + I * 2);
    agent.step(Input::Tick);
    assert_eq!((agent.times(Kind::LeaderSuspected), agent.dialled), (0, 1), "{:?}", agent.told);
    agent.run(I * 9 / 4 - Duration::from_millis(1));
    assert_eq!(agent.times(Kind::LeaderSuspected), 0, "{:?}", agent.told);
    agent.run(Duration::from_millis(1));
    assert_eq!(agent.times(Kind::LeaderSuspected), 1);
}

/// §6: after an own stall a leader counts the silence of its followers anew.
#[test]
fn a_leader_does_not_count_its_own_stall_as_silence() {
    let (mut leader, _) = Hosted::leading_with([3]);
    leader.run(I * 10);
    leader.at(leader.now.time + I * 3);
    leader.step(Input::Tick);
    assert_eq!(leader.times(Kind::MemberSilent), 0, "{:?}", leader.told);
    leader.run(limits::SILENT);
    assert_eq!(leader.times(Kind::MemberSilent), 1, "{:?}", leader.told);
}
