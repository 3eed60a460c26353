//! How an agent comes to lead, serves its followers, and lets go of the role (protocol §6 to §8).

use super::hosted::{Disk, Hosted, address, samples_member, sender};
use super::*;
use crate::event::Kind;
use crate::message::{Decided, Goodbye, Join, Members, Reigns, Says, Voice};
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

    /// Number 9 comes from a reign of epoch 20, so that this leader writes down a new one.
    pub(super) fn is_to_begin_a_new_reign(&mut self) -> ConnId {
        let conn = self.accepts(sender(9), address(9));
        let join = Join { shown: Some(samples::claim(20, 8)), ..self.join() };
        self.frame(conn, Frame::Join(join));
        conn
    }

    /// It has lost its leader, and claims; numbers 3 and 4 are asked for their voices.
    fn claims(&mut self) {
        let members = vec![samples_member(4)];
        self.frame(ConnId(1), Frame::Members(Members { changed: members, gone: vec![] }));
        self.loses_its_leader();
        self.refuses(3);
        self.refuses(4);
        assert_eq!(self.times(Kind::Claiming), 1, "{:?}", self.told);
    }

    /// The claim that it asked for on this connection.
    fn asked_for(&self, conn: ConnId) -> Claim {
        let of = |(c, frame): &(ConnId, Frame)| match frame {
            Frame::Canvass(canvass) if *c == conn => Some(canvass.claim),
            _ => None,
        };
        self.sent.iter().find_map(of).expect("it asks there")
    }

    /// Whom it asked to take over, in order, on which sessions.
    pub(super) fn abdicated_on(&self) -> Vec<ConnId> {
        let to = |(conn, frame): &(ConnId, Frame)| matches!(frame, Frame::Abdicate(_)).then_some(*conn);
        self.sent.iter().filter_map(to).collect()
    }

    /// The claims that it said goodbye to.
    fn goodbyes(&self) -> Vec<Option<Claim>> {
        let of = |(_, cast): &(To, Cast)| match cast {
            Cast::Goodbye(Goodbye { ends, .. }) => Some(*ends),
            _ => None,
        };
        self.cast.iter().filter_map(of).collect()
    }

    fn leads_in(&self) -> Option<u64> {
        let status = self.node.status();
        status.shown.filter(|_| status.role == RoleName::Leading).map(|claim| claim.epoch)
    }
}

/// §7.5: what a claim asked of one that never answered is not asked when the reign is over: it would be heard a second
/// late, as the word of a leader.
#[test]
fn nobody_hears_a_claim_when_its_reign_is_over() {
    let mut agent = Hosted::following();
    agent.claims();
    let unanswered = agent.dials.iter().find(|(_, to)| *to == address(3)).expect("number 3 is asked").0;
    let backed = agent.connects(4);
    let claim = agent.asked_for(backed);
    agent.frame(backed, Frame::Voice(Voice { claim, says: Says::Backed, withdrew: None, holds: 0 }));
    agent.run(I * 4);
    assert_eq!(agent.leads_in(), Some(claim.epoch));
    assert!(!agent.closed.contains(&unanswered), "it may answer yet");
    let one = samples::claim(claim.epoch + 1, 5);
    let conn = agent.is_met_by(5, one, 9);
    agent.frame(conn, Frame::Decided(Decided { stays: one, yields: claim }));
    assert_eq!(agent.leads_in(), None);
    assert!(agent.closed.contains(&unanswered) && !agent.closed.contains(&backed), "{:?}", agent.closed);
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

/// §7.3: after `higher` it claims again at once, at most three times in a row; then its claim is as lost.
#[test]
fn who_is_always_too_low_claims_four_times_and_pauses() {
    let mut agent = Hosted::following();
    agent.claims();
    for claims in [2, 3, 4, 4] {
        let conn = agent.connects(4);
        let claim = agent.asked_for(conn);
        agent.frame(conn, Frame::Voice(Voice { claim, says: Says::Higher(claim.epoch + 5), withdrew: None, holds: 0 }));
        assert_eq!(agent.times(Kind::Claiming), claims);
    }
    agent.run(I / 2 - Duration::from_millis(1));
    assert_eq!(agent.times(Kind::Claiming), 4, "it pauses");
    agent.run(I * 2);
    assert_eq!(agent.times(Kind::Claiming), 5);
}

/// §7.3: a leader that is asked for its voice names itself, whatever the epoch.
#[test]
fn a_leader_objects_to_a_claim() {
    let mut leader = Hosted::leading();
    let own = leader.node.status().shown;
    for epoch in [1, 90] {
        let conn = leader.canvassed_by(3, samples::claim(epoch, 3));
        let said = leader.voted(conn);
        assert!(matches!(said, Some(Says::LeaderAlive(known)) if Some(known.claim) == own), "{said:?}");
    }
}

/// §7.5: the winner beats on the connections of its canvass, and keeps them.
#[test]
fn the_winner_beats_where_it_asked() {
    let mut agent = Hosted::following();
    agent.claims();
    let asked = [3, 4].map(|n| agent.connects(n));
    let claim = agent.asked_for(asked[0]);
    for conn in asked {
        let says = Says::Backed;
        agent.frame(conn, Frame::Voice(Voice { claim, says, withdrew: None, holds: 0 }));
    }
    assert_eq!(agent.leads_in(), Some(claim.epoch));
    for conn in asked {
        let beats = |(c, f): &&(ConnId, Frame)| *c == conn && matches!(f, Frame::Beat(beat) if beat.claim == claim);
        assert_eq!(agent.sent.iter().filter(beats).count(), 1, "{:?}", agent.sent);
        assert!(!agent.closed.contains(&conn));
    }
}

/// §8: when a handover has failed, a stopping leader tries the next in line, and says Goodbye when nobody is left.
#[test]
fn a_leader_that_stops_asks_one_after_the_other() {
    let (mut leader, [three, four, five]) = Hosted::leading_with([3, 4, 5]);
    let claim = leader.node.status().shown;
    leader.step(Input::Stop);
    assert_eq!(leader.abdicated_on(), [three]);
    leader.step(Input::Closed { conn: three, how: Closed::Reset });
    assert_eq!(leader.abdicated_on(), [three, four], "it is gone");
    leader.run(Duration::from_millis(249));
    assert_eq!(leader.abdicated_on(), [three, four]);
    leader.run(Duration::from_millis(1));
    assert_eq!(leader.abdicated_on(), [three, four, five], "nothing was heard of its reign");
    assert_eq!(leader.goodbyes(), []);
    leader.run(Duration::from_millis(250));
    assert_eq!(leader.goodbyes(), [claim]);
}

/// §8: an heir that says goodbye is gone at once, and not when its time is over.
#[test]
fn an_heir_that_leaves_is_waited_for_no_more() {
    for on_session in [false, true] {
        let (mut leader, [three, four]) = Hosted::leading_with([3, 4]);
        leader.step(Input::Stop);
        assert_eq!(leader.abdicated_on(), [three]);
        if on_session {
            leader.frame(three, Frame::Leaves);
        } else {
            leader.hears(3, Cast::Goodbye(Goodbye { ends: None, leader: None }));
        }
        assert_eq!(leader.abdicated_on(), [three, four]);
    }
}

/// §8: an agent that was told to stop has stopped 1.8 s later, whatever happens; told twice, at once.
#[test]
fn who_is_told_to_stop_stops_whatever_the_disk_does() {
    for twice in [false, true] {
        let (mut leader, _) = Hosted::leading_with([3]);
        leader.disk = Disk::Hangs;
        leader.is_to_begin_a_new_reign();
        leader.step(Input::Stop);
        leader.run(Duration::from_millis(1_799));
        assert_eq!(leader.goodbyes().len(), 0, "it waits for its new reign");
        if twice {
            leader.step(Input::Stop);
        } else {
            leader.run(Duration::from_millis(1));
        }
        assert_eq!(leader.goodbyes().len(), 1);
        assert_eq!(leader.node.deadline(), None, "it has stopped");
    }
}

/// §8: when a handover has failed, the leader claims anew by a canvass in the next epoch, while it goes on leading.
#[test]
fn a_leader_whose_handover_failed_claims_the_next_epoch() {
    let (mut leader, [three, four]) = Hosted::leading_with([3, 4]);
    let old = leader.leads_in().expect("it leads");
    leader.step(Input::Handover { request: 1, to: None });
    assert_eq!(leader.abdicated_on(), [three]);
    leader.run(Duration::from_millis(250));
    assert_eq!((leader.times(Kind::Claiming), leader.leads_in()), (1, Some(old)));
    leader.refuses(3);
    let conn = leader.connects(4);
    let (claim, says) = (leader.asked_for(conn), Says::Backed);
    leader.frame(conn, Frame::Voice(Voice { claim, says, withdrew: None, holds: 0 }));
    assert_eq!((claim.epoch, leader.leads_in()), (old + 1, Some(old + 1)));
    for session in [three, four] {
        let tells = |(c, f): &(ConnId, Frame)| {
            *c == session && matches!(f, Frame::Reigns(Reigns { claim: new, .. }) if *new == claim)
        };
        assert!(leader.sent.iter().any(tells), "{:?}", leader.sent);
    }
}

/// §8: a reign that begins in the middle of a handover is above what the heir claims: the handover is over at once, and
/// nothing has to outlive it.
#[test]
fn a_new_reign_ends_the_handover_under_way() {
    let (mut leader, [three, _]) = Hosted::leading_with([3, 4]);
    let old = leader.leads_in().expect("it leads");
    leader.step(Input::Handover { request: 1, to: None });
    assert_eq!(leader.abdicated_on(), [three]);
    leader.is_to_begin_a_new_reign();
    assert!(leader.leads_in() > Some(old + 1), "{:?}", leader.leads_in());
    assert_eq!(leader.times(Kind::Handover), 2, "it begins, and has failed: {:?}", leader.told);
    leader.run(Duration::from_secs(1));
    assert_eq!(leader.times(Kind::Claiming), 0, "{:?}", leader.told);
}

/// §6: a write is not older for the time in which this process stood still: after that the disk has its 2 s.
#[test]
fn a_write_is_no_older_for_an_own_stall() {
    let mut leader = Hosted::leading();
    leader.disk = Disk::Hangs;
    leader.is_to_begin_a_new_reign();
    leader.run(Duration::from_millis(100));
    leader.at(leader.now.time + Duration::from_secs(5));
    leader.step(Input::Tick);
    leader.run(Duration::from_millis(1_700));
    assert_eq!(leader.times(Kind::StoreTrouble), 0, "{:?}", leader.told);
    leader.run(Duration::from_millis(1_500));
    assert_eq!(leader.times(Kind::StoreTrouble), 1, "{:?}", leader.told);
}
