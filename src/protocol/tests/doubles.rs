//! Whose address is it? Two living agents may have one id (protocol §4, §6).

use super::hosted::{Hosted, address, beat, hi_that_names_the_leader, joined, sender};
use super::*;
use crate::event::Kind;
use crate::ident::BootId;
use crate::message::{Answer, Canvass, Cast, Frame, Hi, Known, NotJoined, Notice, Open, Says, Sender, Standing, Via};
use crate::wire::samples;

/// Another living agent with the id of number `n`.
fn double_of(n: u64) -> Sender {
    Sender { node: Incarnation { boot: BootId(99), ..samples::node(n) }, ..sender(n) }
}

/// It is only heard.
fn notice(n: u64) -> Cast {
    Cast::Notice(Notice { claim: samples::claim(1, n) })
}

/// What happens to a question.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Double,
    Refused,
    Reset,
}

impl Hosted {
    /// It knows the double of number 5, whose home is at 9, when its own leader yields to number 5 itself, of which it is
    /// told in these words. Then the session that it dials there breaks.
    fn sent_to_number_5(known: Known) -> Self {
        let mut agent = Self::following();
        let session = ConnId(1);
        agent.hears_from(double_of(5), address(9), notice(5));
        agent.frame(session, Frame::Yields(known));
        let (dial, to) = agent.dials.pop().expect("it dials the only address that it knows");
        assert_eq!(to, address(9));
        agent.step(Input::Connected { conn: dial });
        agent.frame(dial, Frame::Open(Open { from: double_of(5), via: None }));
        agent.step(Input::Closed { conn: dial, how: Closed::Reset });
        agent
    }

    /// The question that it puts at 9 ends so.
    fn question_at_9_ends(&mut self, end: End) {
        let at_9 = self.dials.iter().position(|(_, to)| *to == address(9)).expect("it asks there");
        let (conn, _) = self.dials.remove(at_9);
        let how = match end {
            End::Refused => Closed::Refused,
            End::Reset => Closed::Reset,
            End::Double => {
                self.step(Input::Connected { conn });
                let asked = self.sent.iter().rev().find_map(|(c, frame)| match frame {
                    Frame::Question(question) if *c == conn => Some(question.nonce),
                    _ => None,
                });
                let nonce = asked.expect("it asks");
                self.frame(conn, Frame::Open(Open { from: double_of(5), via: None }));
                let answer = Answer { nonce, standing: Standing::Neither, store_ms: 0 };
                return self.frame(conn, Frame::Answer(answer));
            }
        };
        self.step(Input::Closed { conn, how });
    }

    fn is_followed(&self) -> bool {
        matches!(&self.node.role, role::Role::Following(f) if f.claim == samples::claim(9, 5))
    }
}

fn number_5(address: SocketAddr, direct: bool) -> Known {
    Known { claim: samples::claim(9, 5), name: "pc-5".to_owned(), address, direct }
}

/// §4, §6: only where the leader itself was heard, or is reached by others, does another start or a refusal prove it dead:
/// where its double lives, they prove nothing.
#[test]
fn nothing_at_its_doubles_place_proves_a_leader_dead() {
    let nowhere = ([0, 0, 0, 0], 8264).into();
    for end in [End::Double, End::Refused, End::Reset] {
        let mut agent = Hosted::sent_to_number_5(number_5(nowhere, false));
        agent.told.clear();
        agent.question_at_9_ends(end);
        assert!(agent.is_followed(), "{end:?}: {:?}", agent.told);
        // Somebody has heard it there: now it is its own place.
        let mut agent = Hosted::sent_to_number_5(number_5(nowhere, false));
        agent.hears_from(sender(5), address(9), notice(5));
        agent.told.clear();
        agent.question_at_9_ends(end);
        assert_eq!((agent.is_followed(), agent.times(Kind::LeaderLost)), (false, 1), "{end:?}: {:?}", agent.told);
    }
}

/// §4: nobody is sent to a double: who goes to the leader through another does not tell where the leader's double is.
#[test]
fn the_place_of_a_double_is_not_told() {
    let nowhere = ([0, 0, 0, 0], 8264).into();
    let mut agent = Hosted::sent_to_number_5(number_5(nowhere, false));
    let hi = Hi { to: samples::node(2), leader: Some(number_5(address(5), true)), priority: 100 };
    agent.hears(3, Cast::Hi(hi));
    let way = agent.dials.iter().position(|(_, to)| *to == address(3)).expect("it goes through number 3");
    let (way, _) = agent.dials.remove(way);
    agent.step(Input::Connected { conn: way });
    agent.frame(way, Frame::ViaReady);
    agent.frame(way, Frame::Open(Open { from: sender(5), via: None }));
    agent.frame(way, Frame::Joined(joined(samples::claim(9, 5))));
    let told = agent.node.known().expect("it follows");
    assert_eq!((told.claim, told.direct), (samples::claim(9, 5), false));
    assert!(told.address.ip().is_unspecified(), "{told:?}");
}

/// §6: a way to one start of a member leads to where that start is heard, and not to its double.
#[test]
fn a_way_for_others_leads_to_the_start_that_is_asked_for() {
    let mut agent = Hosted::following();
    agent.hears_from(double_of(5), address(9), notice(5));
    agent.hears(5, notice(5));
    let conn = ConnId(agent.accepted);
    agent.step(Input::Accepted { conn, from: address(4) });
    agent.frame(conn, Frame::Via(Via { to: samples::node(5) }));
    assert_eq!(agent.pipes, [address(5)]);
}

/// §7.4: a claimant that is known through another only is awaited, and its double is not asked in its stead.
#[test]
fn a_claimants_double_does_not_say_that_it_is_gone() {
    for heard in [false, true] {
        let mut agent = Hosted::following();
        agent.hears_from(double_of(5), address(9), notice(5));
        if heard {
            agent.hears(5, notice(5));
        }
        agent.loses_its_leader();
        let way = ConnId(agent.accepted);
        agent.step(Input::Accepted { conn: way, from: address(3) });
        agent.frame(way, Frame::Open(Open { from: sender(5), via: Some(samples::node(3).id) }));
        agent.frame(
            way,
            Frame::Canvass(Canvass { claim: samples::claim(12, 5), replaces: None, whole: true, abdicate: None }),
        );
        assert!(matches!(agent.voted(way), Some(Says::Backed)), "{:?}", agent.sent);
        agent.dials.clear();
        agent.step(Input::Closed { conn: way, how: Closed::Reset });
        agent.run(Duration::from_millis(100));
        let asked: Vec<SocketAddr> = agent.dials.iter().map(|(_, to)| *to).collect();
        assert_eq!(asked, if heard { vec![address(5)] } else { vec![] });
    }
}

/// §4: who has the id of a leader behind a bridge asks that leader through the bridge, also when it has just been told of
/// it by members that do not reach it.
#[test]
fn a_way_that_leads_nowhere_does_not_keep_the_other_from_being_gone() {
    for address_told in [address(8), ([0, 0, 0, 0], 8264).into()] {
        let mut agent = Hosted::listening();
        let double = Claim { node: double_of(2).node, ..samples::claim(9, 2) };
        let names = |known: Known| Cast::Hi(Hi { to: samples::node(2), leader: Some(known), priority: 100 });
        let known = Known { claim: double, name: "pc-2".to_owned(), address: address_told, direct: false };
        agent.hears(4, names(known.clone()));
        agent.hears(3, names(Known { address: address(8), direct: true, ..known }));
        assert!(agent.dials.iter().any(|(_, to)| *to == address(3)), "{address_told}: {:?}", agent.dials);
    }
}

/// §6: of two members with one id the one that spoke last is in between, and not the one whose address is kept.
#[test]
fn the_member_in_between_is_dialled_where_it_spoke() {
    let mut agent = Hosted::listening();
    agent.hears_from(double_of(3), address(9), notice(3));
    let hi = hi_that_names_the_leader(&agent);
    agent.hears(3, hi);
    let dialled: Vec<SocketAddr> = agent.dials.iter().map(|(_, to)| *to).collect();
    assert!(dialled.contains(&address(3)) && !dialled.contains(&address(9)), "{dialled:?}");
}

/// §6: a leader is asked through the member on whose way the session stands, whoever has that one's id.
#[test]
fn a_leader_is_asked_on_the_way_of_its_session() {
    let (mut agent, _) = Hosted::following_through_3();
    agent.dials.clear();
    agent.hears_from(double_of(3), address(9), notice(3));
    agent.hears_from(double_of(1), address(8), notice(1));
    assert_eq!(agent.times(Kind::LeaderSuspected), 1, "{:?}", agent.told);
    let dialled: Vec<SocketAddr> = agent.dials.iter().map(|(_, to)| *to).collect();
    assert!(dialled.contains(&address(3)) && !dialled.contains(&address(9)), "{dialled:?}");
}

/// §4: a machine with two addresses restarts: what its new start says where the former was heard last is proof at once.
#[test]
fn a_restart_shows_at_each_of_two_addresses() {
    let mut agent = Hosted::following();
    agent.hears_from(sender(1), address(101), beat(samples::claim(7, 1), 2));
    agent.step(Input::Closed { conn: ConnId(1), how: Closed::Reset });
    agent.told.clear();
    agent.hears_from(double_of(1), address(1), notice(1));
    while let Some((conn, _)) = agent.dials.pop() {
        agent.step(Input::Connected { conn });
        let asked = agent.sent.iter().rev().find_map(|(c, frame)| match frame {
            Frame::Question(question) if *c == conn => Some(question.nonce),
            _ => None,
        });
        agent.frame(conn, Frame::Open(Open { from: double_of(1), via: None }));
        if let Some(nonce) = asked {
            agent.frame(conn, Frame::Answer(Answer { nonce, standing: Standing::Neither, store_ms: 0 }));
        }
    }
    assert_eq!(agent.times(Kind::LeaderLost), 1, "{:?}", agent.told);
}

/// §4: of two living agents with one id each is dialled where it was heard itself; what the other says is not its answer.
#[test]
fn a_leader_is_dialled_where_it_was_heard_and_not_where_its_clone_was() {
    let mut agent = Hosted::listening();
    let clone = Sender { node: Incarnation { boot: BootId(99), ..samples::node(1) }, ..sender(1) };
    agent.hears_from(clone.clone(), address(9), Cast::Notice(Notice { claim: samples::claim(1, 9) }));
    agent.hears(1, beat(samples::claim(7, 1), 2));
    assert_eq!(agent.dials.iter().map(|(_, to)| *to).collect::<Vec<_>>(), [address(1)]);
    // The clone is at that place all of a sudden, and follows another: that does not move this agent.
    let (conn, _) = agent.dials.remove(0);
    agent.step(Input::Connected { conn });
    agent.frame(conn, Frame::Open(Open { from: clone, via: None }));
    let other = Known { claim: samples::claim(9, 4), name: "pc-4".to_owned(), address: address(4), direct: true };
    agent.frame(conn, Frame::NotJoined(NotJoined::NotLeader(Standing::Follows(other))));
    assert!(agent.dials.iter().all(|(_, to)| *to != address(4)), "{:?}", agent.dials);
    assert_eq!(agent.times(Kind::LeaderSuspected), 1, "it asks: {:?}", agent.told);
}
