//! Sentences of the protocol about an agent whose disk takes nothing (§6, §7): it stands in nobody's way.

use super::hosted::{Disk, Hosted, address, beat, sender};
use super::*;
use crate::event::{Cause, Kind};
use crate::ident::ConnId;
use crate::message::{Abdicate, Frame, Named, Question, Says, Told};
use crate::wire::samples;

const SECOND: Duration = Duration::from_secs(1);

impl Hosted {
    /// It hears its leader for so many heartbeats.
    fn hears_its_leader(&mut self, times: u32) {
        for _ in 0..times {
            self.run(Duration::from_millis(250));
            self.hears(1, beat(samples::claim(7, 1), 2));
        }
    }

    /// It follows, and has found out that its disk takes nothing.
    fn that_cannot_write() -> Self {
        let mut agent = Self::following();
        agent.disk = Disk::Fails;
        agent.hears_its_leader(8);
        assert_eq!(agent.times(Kind::StoreTrouble), 1, "{:?}", agent.told);
        agent
    }

    /// It leads, numbers 3 and 4 follow, and what it was to write has just failed, or hangs since 3 s.
    fn that_leads_and_cannot_write(disk: Disk) -> Self {
        let (mut leader, sessions) = Self::leading_with([3, 4]);
        leader.disk = disk;
        leader.is_to_begin_a_new_reign();
        for seq in 2..5 {
            for session in sessions {
                leader.pings(session, seq, 0);
            }
            if disk == Disk::Hangs {
                leader.run(SECOND);
            }
        }
        assert_eq!(leader.times(Kind::StoreTrouble), 1, "{:?}", leader.told);
        leader
    }

    /// How old its oldest write is, as it answers when it is asked.
    fn says_of_its_store(&mut self) -> u64 {
        let conn = self.accepts(sender(4), address(4));
        self.frame(conn, Frame::Question(Question { nonce: 5, to: samples::node(2) }));
        let said = self.sent.iter().rev().find_map(|(_, frame)| match frame {
            Frame::Answer(answer) => Some(answer.store_ms),
            _ => None,
        });
        said.expect("an answer")
    }

    /// To whom the last frame went that says that the leader is dead.
    fn tells(&self) -> Option<SocketAddr> {
        let conn = self.sent.iter().rev().find_map(|(conn, frame)| matches!(frame, Frame::Tell(_)).then_some(*conn))?;
        self.dials.iter().find(|(c, _)| *c == conn).map(|(_, to)| *to)
    }
}

/// §7.4: a claim that is not kept is over: the next in line is told, and nobody is asked for a voice that could not count.
/// The disk is tried once a second, and the claim is made when it works.
#[test]
fn who_cannot_keep_its_claim_tells_the_next_in_line() {
    let mut agent = Hosted::following();
    agent.loses_its_leader();
    agent.disk = Disk::Fails;
    agent.refuses(3);
    assert_eq!((agent.times(Kind::Claiming), agent.times(Kind::ClaimWithdrawn)), (1, 1), "{:?}", agent.told);
    assert_eq!(agent.tells(), Some(address(3)), "{:?}", agent.sent);
    agent.refuses(3);
    agent.run(SECOND * 5);
    assert_eq!((agent.times(Kind::Claiming), agent.times(Kind::StoreTrouble)), (1, 1), "{:?}", agent.told);
    agent.disk = Disk::Works;
    agent.run(SECOND * 21 / 4);
    assert_eq!((agent.times(Kind::Claiming), agent.times(Kind::StoreTrouble)), (2, 2), "{:?}", agent.told);
}

/// The same of one that has never led or followed, and of which nothing is on the disk.
#[test]
fn whose_first_claim_is_not_kept_claims_when_its_disk_works() {
    let mut agent = Hosted::listening();
    agent.disk = Disk::Fails;
    agent.run(SECOND * 5);
    assert_eq!((agent.times(Kind::Claiming), agent.times(Kind::StoreTrouble)), (1, 1), "{:?}", agent.told);
    agent.disk = Disk::Works;
    agent.run(SECOND * 21 / 4);
    assert_eq!(agent.node.status().role, RoleName::Leading);
}

/// §7.2: nobody counts on one that cannot write, nor does it count on itself.
#[test]
fn who_cannot_write_is_not_on_it() {
    let mut agent = Hosted::that_cannot_write();
    assert_eq!(agent.is_told(), Told::NotI, "it follows");
    agent.loses_its_leader();
    agent.refuses(3);
    agent.run(SECOND * 3);
    assert_eq!(agent.times(Kind::Claiming), 0, "{:?}", agent.told);
    assert_eq!(agent.is_told_by(5), Told::NotI, "it has lost its leader");
}

/// The same of one that has been named successor: it tells the next.
#[test]
fn a_successor_that_cannot_write_tells_the_next_in_line() {
    let mut agent = Hosted::that_cannot_write();
    agent.frame(ConnId(1), Frame::Named(Named { claim: samples::claim(7, 1), successor: Some(samples::node(2)) }));
    agent.loses_its_leader();
    assert_eq!((agent.times(Kind::Claiming), agent.tells()), (0, Some(address(3))), "{:?}", agent.sent);
}

/// §8: nor does it take over.
#[test]
fn who_cannot_write_takes_no_role_that_is_handed_over() {
    let mut agent = Hosted::that_cannot_write();
    let (claim, to) = (samples::claim(7, 1), samples::node(2));
    agent.frame(ConnId(1), Frame::Abdicate(Abdicate { claim, to, cause: Cause::Handover }));
    let stays_with = agent.node.status().leader.map(|leader| leader.node);
    assert_eq!((stays_with, agent.times(Kind::Claiming)), (Some(samples::node(1)), 0));
}

/// §7.3: a voice that is not kept is not given, and the claimant need not wait for it.
#[test]
fn a_voice_that_is_not_kept_is_not_waited_for() {
    for disk in [Disk::Works, Disk::Fails] {
        let mut agent = Hosted::following();
        agent.loses_its_leader();
        agent.disk = disk;
        let conn = agent.canvassed_by(3, samples::claim(12, 3));
        let gives = disk == Disk::Works;
        assert_eq!((agent.voted(conn).is_some(), agent.closed.contains(&conn)), (gives, !gives), "{:?}", agent.sent);
    }
}

/// §7.4: whoever counts on others claims no more: nobody waits for it.
#[test]
fn a_claimant_that_tells_others_is_awaited_no_more() {
    for (teller, claims) in [(4, 0), (5, 1)] {
        let (mut agent, _) = Hosted::backing_5();
        assert_eq!(agent.is_told_by(teller), Told::OnIt);
        assert_eq!(agent.times(Kind::Claiming), claims, "{teller}: {:?}", agent.told);
    }
}

/// The same of one that has not noticed yet that its leader is dead: it backed the claim because that did not answer.
#[test]
fn a_follower_that_is_told_by_the_claimant_does_not_wait_for_it() {
    for (teller, claims) in [(4, 0), (5, 1)] {
        let mut agent = Hosted::following();
        agent.canvassed_by(5, samples::claim(12, 5));
        agent.hears_its_leader(1);
        assert_eq!(agent.times(Kind::ClaimBacked), 1, "{:?}", agent.told);
        assert_eq!(agent.is_told_by(teller), Told::OnIt);
        agent.refuses(1);
        assert_eq!(
            (agent.times(Kind::LeaderLost), agent.times(Kind::Claiming)),
            (1, claims),
            "{teller}: {:?}",
            agent.told
        );
    }
}

/// §6, §8: a leader that cannot write hands over to one after the other, and then leads on: it tries again after 10 s.
#[test]
fn a_leader_that_cannot_write_hands_over_to_whoever_takes_over() {
    for disk in [Disk::Fails, Disk::Hangs] {
        let mut leader = Hosted::that_leads_and_cannot_write(disk);
        assert_eq!(leader.abdicated_on().len(), 1, "{disk:?}");
        leader.run(SECOND / 2);
        let heirs = leader.abdicated_on();
        assert!(heirs.len() == 2 && heirs[0] != heirs[1], "{disk:?}: {heirs:?}");
        for seq in 10..23 {
            // Found out at the next look at the store, and both asked within half a second.
            assert!(seq > 19 || leader.abdicated_on().len() == 2, "{disk:?}, {seq}");
            heirs.iter().for_each(|session| leader.pings(*session, seq, 0));
            leader.run(SECOND);
        }
        assert_eq!(leader.abdicated_on().len(), 4, "{disk:?}");
        assert_eq!((leader.times(Kind::Claiming), leader.node.status().role), (0, RoleName::Leading), "{disk:?}");
    }
}

/// §6, §7.3: it does not count as alive when it is asked, and stands against nobody's claim.
#[test]
fn a_leader_that_cannot_write_does_not_count_as_alive() {
    for disk in [Disk::Fails, Disk::Hangs] {
        let mut leader = Hosted::that_leads_and_cannot_write(disk);
        assert!(leader.says_of_its_store() > 2_000, "{disk:?}");
        let conn = leader.canvassed_by(5, samples::claim(50, 5));
        assert!(!matches!(leader.voted(conn), Some(Says::LeaderAlive(_))), "{disk:?}: {:?}", leader.voted(conn));
    }
    let mut leader = Hosted::leading();
    assert_eq!(leader.says_of_its_store(), 0);
}

/// §9: it yields to any leader that it meets, and begins no reign for anybody.
#[test]
fn a_leader_that_cannot_write_yields() {
    for disk in [Disk::Works, Disk::Fails, Disk::Hangs] {
        let mut leader = Hosted::leading();
        let own = leader.node.status().shown.expect("it leads");
        let theirs = samples::claim(9, 3);
        leader.disk = disk;
        if disk != Disk::Works {
            leader.is_to_begin_a_new_reign();
            leader.run(SECOND * 4);
            // Nobody waits for that reign any more.
            leader.forget();
            leader.is_to_begin_a_new_reign();
            let taken_in = leader.sent.iter().any(|(_, frame)| matches!(frame, Frame::Joined(_)));
            assert_eq!((leader.writes, taken_in), (0, false), "{disk:?}");
        }
        let conn = leader.is_met_by(3, theirs, 0);
        let decided = leader.decided_on(conn);
        match disk {
            Disk::Works => assert_eq!(decided[0].yields, theirs),
            _ => assert_eq!((decided[0].stays, decided[0].yields), (theirs, own), "{disk:?}"),
        }
    }
}

/// §6: whether it can write again it finds out by itself.
#[test]
fn a_leader_whose_disk_works_again_is_a_leader_like_any_other() {
    let mut leader = Hosted::leading();
    leader.disk = Disk::Fails;
    leader.is_to_begin_a_new_reign();
    leader.run(SECOND * 3);
    assert_eq!((leader.times(Kind::StoreTrouble), leader.says_of_its_store()), (1, u64::MAX));
    leader.disk = Disk::Works;
    leader.run(SECOND * 5);
    assert_eq!((leader.times(Kind::StoreTrouble), leader.says_of_its_store()), (2, 0));
    leader.is_to_begin_a_new_reign();
    assert!(leader.node.status().shown.is_some_and(|claim| claim.epoch > 20));
}
