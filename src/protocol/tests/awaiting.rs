//! Sentences of the protocol about those who wait for another's claim (§7.2, §7.4).

use super::hosted::{Hosted, address, beat, sender};
use super::*;
use crate::event::Kind;
use crate::ident::BootId;
use crate::message::{Answer, Cast, Frame, Known, Notice, Open, Says, Sender, Standing, Tell, Told};
use crate::wire::samples;

const I: Duration = Duration::from_millis(250);

impl Hosted {
    /// The dial to number `n` ends.
    fn dial_ends(&mut self, n: u64, how: Closed) {
        let found = self.dials.iter().position(|(_, to)| *to == address(n));
        let (conn, _) = self.dials.remove(found.expect("it is dialled"));
        self.step(Input::Closed { conn, how });
    }

    /// Number `n` is being asked whether it is there.
    fn asks(&self, n: u64) -> bool {
        self.dials.iter().any(|(conn, to)| {
            let asked = |(c, frame): &(ConnId, Frame)| c == conn && matches!(frame, Frame::Question(_));
            *to == address(n) && self.sent.iter().any(asked)
        })
    }

    /// Without a leader, it has backed the claim of number 5.
    pub(super) fn backing_5() -> (Self, ConnId) {
        let mut agent = Self::following();
        agent.loses_its_leader();
        let conn = agent.canvassed_by(5, samples::claim(12, 5));
        assert!(matches!(agent.voted(conn), Some(Says::Backed)), "{:?}", agent.sent);
        agent.forget();
        (agent, conn)
    }

    /// Number 3, the first in line, has been told again.
    fn goes_on(&self) -> bool {
        self.dials.iter().filter(|(_, to)| *to == address(3)).count() == 2
    }

    /// Number 5 says that it is there.
    fn answers_as(&mut self, from: Sender) -> ConnId {
        let found = self.dials.iter().position(|(_, to)| *to == address(5));
        let (conn, _) = self.dials.remove(found.expect("it is asked"));
        self.step(Input::Connected { conn });
        self.frame(conn, Frame::Open(Open { from, via: None }));
        self.answers(conn, Standing::Neither);
        conn
    }

    fn answers(&mut self, conn: ConnId, standing: Standing) {
        self.frame(conn, Frame::Answer(Answer { nonce: 1, standing, store_ms: 0 }));
    }

    /// How often it has asked on this connection.
    fn questions(&self, conn: ConnId) -> usize {
        self.sent.iter().filter(|(c, frame)| *c == conn && matches!(frame, Frame::Question(_))).count()
    }
}

/// §7.4: the connection of a canvass stands for as long as the claim: when it ends, its claimant is asked at once, and when
/// that is gone, nobody waits for it.
#[test]
fn nobody_waits_for_a_claimant_that_is_gone() {
    let (mut agent, conn) = Hosted::backing_5();
    agent.step(Input::Closed { conn, how: Closed::Reset });
    assert!(agent.asks(5), "{:?}", agent.dials);
    agent.dial_ends(5, Closed::Refused);
    assert!(agent.goes_on(), "{:?}", agent.dials);
    agent.run(I * 2);
    assert_eq!(agent.times(Kind::Claiming), 1, "{:?}", agent.told);
}

/// §7.4: it is told of a member, and not of a stranger.
#[test]
fn only_a_members_end_is_told() {
    for (n, told) in [(5, 0), (3, 1)] {
        let mut agent = Hosted::following();
        agent.loses_its_leader();
        agent.dials.clear();
        let conn = agent.canvassed_by(n, samples::claim(12, n));
        agent.step(Input::Closed { conn, how: Closed::Reset });
        agent.dial_ends(n, Closed::Refused);
        assert_eq!(agent.times(Kind::MemberSilent), told, "{n}: {:?}", agent.told);
    }
}

/// §7.4: an error of one's own side is no refusal: it asks again soon, and waits until the canvass deadline and 2 `i`.
#[test]
fn an_own_error_does_not_end_the_wait() {
    let (mut agent, conn) = Hosted::backing_5();
    agent.step(Input::Closed { conn, how: Closed::Reset });
    agent.dial_ends(5, Closed::Local);
    assert!(!agent.goes_on() && !agent.asks(5), "{:?}", agent.dials);
    agent.run(I / 16);
    assert!(agent.asks(5), "{:?}", agent.dials);
    agent.run(I * 31 / 16);
    assert_eq!(agent.times(Kind::Claiming), 0, "{:?}", agent.told);
    agent.run(I);
    assert_eq!(agent.times(Kind::Claiming), 1, "{:?}", agent.told);
}

/// §7.4: a claimant that is there is waited for, and asked again when it hangs up.
#[test]
fn a_claimant_that_is_there_is_waited_for() {
    let (mut agent, _) = Hosted::backing_5();
    agent.run(I / 16);
    assert!(agent.asks(5), "nothing came of it soon: {:?}", agent.dials);
    let conn = agent.answers_as(sender(5));
    agent.run(I);
    assert_eq!((agent.times(Kind::Claiming), agent.asks(5)), (0, false), "{:?}", agent.told);
    agent.step(Input::Closed { conn, how: Closed::Reset });
    agent.run(I / 16);
    agent.dial_ends(5, Closed::Refused);
    assert!(agent.goes_on(), "{:?}", agent.dials);
}

/// §7.4: who claims and has not won yet is asked again, less and less often, on the connection that stands; and at once when
/// that of its canvass ends.
#[test]
fn who_may_still_win_is_asked_again() {
    let (mut agent, canvass) = Hosted::backing_5();
    agent.run(I / 16);
    let conn = agent.answers_as(sender(5));
    let mut asked = vec![agent.questions(conn)];
    for _ in 0..30 {
        agent.run(I / 16);
        if agent.questions(conn) > asked[asked.len() - 1] {
            asked.push(agent.questions(conn));
            agent.answers(conn, Standing::Neither);
        }
    }
    assert_eq!(asked, [1, 2, 3, 4, 5], "{:?}", agent.dials);
    agent.step(Input::Closed { conn: canvass, how: Closed::Reset });
    assert_eq!(agent.questions(conn), 6, "its claim is over, or it is gone");
    assert_eq!(agent.times(Kind::Claiming), 0, "{:?}", agent.told);
}

/// §7.4: nothing will come of the claim of one that follows. Whom it follows is no stranger's to say: that is asked of
/// those in line, as ever.
#[test]
fn who_claimed_and_follows_is_awaited_no_more() {
    let (mut agent, canvass) = Hosted::backing_5();
    agent.step(Input::Closed { conn: canvass, how: Closed::Reset });
    let conn = agent.answers_as(sender(5));
    assert!(!agent.goes_on(), "it may have lost the connection only: {:?}", agent.dials);
    agent.run(I / 16);
    assert_eq!(agent.questions(conn), 2);
    let known = Known { claim: samples::claim(20, 9), name: "pc-9".to_owned(), address: address(9), direct: true };
    agent.answers(conn, Standing::Follows(known));
    assert!(agent.goes_on() && agent.closed.contains(&conn), "{:?}", agent.dials);
    assert!(!agent.dials.iter().any(|(_, to)| *to == address(9)), "{:?}", agent.dials);
    assert_eq!(agent.times(Kind::MemberSilent), 0, "{:?}", agent.told);
    let worse = Claim { at: Wall(samples::claim(12, 5).at.0 + 1), ..samples::claim(12, 6) };
    let conn = agent.canvassed_by(6, worse);
    assert!(matches!(agent.voted(conn), Some(Says::Higher(12))), "{:?}", agent.voted(conn));
}

/// §7.4: a claimant that has won and says so is followed, when its heartbeat does not come by another way.
#[test]
fn who_claimed_and_leads_is_followed() {
    let (mut agent, canvass) = Hosted::backing_5();
    agent.step(Input::Closed { conn: canvass, how: Closed::Reset });
    let conn = agent.answers_as(sender(5));
    agent.answers(conn, Standing::Leads(samples::claim(12, 6)));
    assert_eq!(agent.node.status().role, RoleName::Following, "{:?}", agent.told);
    assert_eq!(agent.dials.iter().filter(|(_, to)| *to == address(5)).count(), 0, "that is not its own reign");
    agent.answers(conn, Standing::Leads(samples::claim(12, 5)));
    agent.dials.retain(|(_, to)| *to == address(5));
    let session = agent.connects(5);
    let joins = |(c, frame): &(ConnId, Frame)| *c == session && matches!(frame, Frame::Join(_));
    assert!(agent.sent.iter().any(joins), "{:?}", agent.sent);
}

/// §7.4: another start of the claimant knows nothing of the claim.
#[test]
fn another_start_of_the_claimant_makes_no_claim() {
    let (mut agent, _) = Hosted::backing_5();
    agent.run(I / 16);
    let node = Incarnation { boot: BootId(99), ..samples::node(5) };
    agent.answers_as(Sender { node, ..sender(5) });
    assert!(agent.goes_on(), "{:?}", agent.dials);
}

/// §7.2: so is whoever has only announced a claim.
#[test]
fn who_announced_a_claim_is_asked_when_nothing_comes_of_it() {
    let mut agent = Hosted::following();
    agent.loses_its_leader();
    agent.hears(5, Cast::Notice(Notice { claim: samples::claim(12, 5) }));
    agent.forget();
    assert!(!agent.asks(5));
    agent.run(I / 16);
    assert!(agent.asks(5), "{:?}", agent.dials);
    agent.run(I);
    assert_eq!(agent.times(Kind::Claiming), 0, "silence is no refusal: {:?}", agent.told);
}

/// §7.4: of what became of a promise whose claimant is gone, others are told so: the epoch is taken, and nothing is better.
#[test]
fn a_promise_to_the_dead_stops_nobody() {
    let (mut agent, conn) = Hosted::backing_5();
    agent.step(Input::Closed { conn, how: Closed::Reset });
    agent.dial_ends(5, Closed::Refused);
    let worse = Claim { at: Wall(samples::claim(12, 5).at.0 + 1), ..samples::claim(12, 6) };
    let conn = agent.canvassed_by(6, worse);
    assert!(matches!(agent.voted(conn), Some(Says::Higher(12))), "{:?}", agent.voted(conn));
}

/// §7.2: two that take each other for the first in line, and are on it both, do not wait for each other.
#[test]
fn who_is_counted_on_does_not_wait_for_long() {
    for (counted, claims) in [(false, 0), (true, 1)] {
        let mut agent = Hosted::following();
        agent.loses_its_leader();
        let conn = agent.connects(3);
        if counted {
            let teller = agent.accepts(sender(4), address(4));
            agent.frame(teller, Frame::Tell(Tell { claim: samples::claim(7, 1) }));
        }
        agent.frame(conn, Frame::Told(Told::OnIt));
        agent.run(I);
        assert_eq!(agent.times(Kind::Claiming), claims, "{counted}: {:?}", agent.told);
    }
}

/// §7.2: who follows a leader that no connection has confirmed could not tell whether it lives, and is not counted on; who
/// knows no line of succession claims as soon as another counts on it.
#[test]
fn who_knows_no_line_claims_when_it_is_counted_on() {
    let mut agent = Hosted::listening();
    agent.hears(1, beat(samples::claim(7, 1), 2));
    assert_eq!(agent.is_told(), Told::NotI, "it has never spoken with that leader");
    while agent.times(Kind::LeaderLost) == 0 {
        assert!(!agent.dials.is_empty(), "{:?}", agent.told);
        agent.refuses(1);
    }
    assert!(agent.claimed().is_none(), "it waits for a random time: {:?}", agent.told);
    agent.sent.clear();
    assert_eq!(agent.is_told(), Told::OnIt);
    assert!(agent.claimed().is_some(), "{:?}", agent.told);
}
