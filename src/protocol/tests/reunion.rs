//! Two leaders that meet, one of them played by hand (protocol §9).

use super::hosted::{Disk, Hosted, address, beat, sender};
use super::*;
use crate::ident::BootId;
use crate::message::{Checked, Decided, Meet, Sender, Standing};
use crate::wire::samples;
use std::collections::BTreeSet;

impl Hosted {
    /// Twenty others lead, and are heard; then an interval passes.
    fn hears_20(&mut self) {
        (10..30).for_each(|n| self.hears(n, beat(samples::claim(5, n), 0)));
        self.run(Duration::from_millis(250));
    }

    /// Leader `n` dials, and states its values: so many followers, numbers 100 and on.
    pub(super) fn is_met_by(&mut self, n: u64, claim: Claim, followers: u64) -> ConnId {
        let conn = self.accepts(sender(n), address(n));
        self.meets(conn, claim, followers);
        conn
    }

    fn meets(&mut self, conn: ConnId, claim: Claim, followers: u64) {
        let followers = (100..100 + followers).map(|n| samples::node(n).id).collect();
        self.frame(
            conn,
            Frame::Meet(Meet { claim, followers, led_ms: 1, leading_ms: 1, highest: claim.epoch, via: None }),
        );
    }

    /// What it decided on this connection, in order.
    pub(super) fn decided_on(&self, conn: ConnId) -> Vec<Decided> {
        let of = |(c, frame): &(ConnId, Frame)| match frame {
            Frame::Decided(decided) if *c == conn => Some(decided.clone()),
            _ => None,
        };
        self.sent.iter().filter_map(of).collect()
    }
}

/// §9: a decider that yields is bound for 3 intervals: until then it decides nothing with anybody else, nor otherwise.
#[test]
fn a_decider_that_yields_is_bound() {
    let mut leader = Hosted::leading();
    let own = leader.node.status().shown.expect("it leads");
    let (three, four) = (samples::claim(9, 3), samples::claim(10, 4));
    let first = leader.is_met_by(3, three, 2);
    let yields = || Decided { stays: three, yields: own };
    assert_eq!(leader.decided_on(first), [yields()]);
    let second = leader.is_met_by(4, four, 5);
    assert_eq!(leader.decided_on(second), [], "it is decided already");
    leader.run(Duration::from_millis(749));
    leader.meets(second, four, 5);
    assert_eq!(leader.decided_on(second), []);
    // It has lost its followers meanwhile, which changes nothing.
    leader.meets(first, three, 0);
    assert_eq!(leader.decided_on(first), [yields(), yields()]);
    // From then on it is bound anew.
    leader.run(Duration::from_millis(751));
    leader.meets(second, four, 5);
    assert_eq!(leader.decided_on(second), [Decided { stays: four, yields: own }]);
}

/// §9: whom it yielded to was never heard of again: it leads on, and hands over when it is asked to.
#[test]
fn a_decider_whose_word_binds_no_more_hands_over() {
    let (mut leader, [three, _]) = Hosted::leading_with([3, 4]);
    let first = leader.is_met_by(5, samples::claim(90, 5), 9);
    assert_eq!(leader.decided_on(first).len(), 1);
    leader.step(Input::Closed { conn: first, how: Closed::Reset });
    leader.step(Input::Handover { request: 1, to: None });
    assert_eq!(leader.abdicated_on(), [], "it is bound");
    leader.run(Duration::from_millis(751));
    leader.step(Input::Handover { request: 2, to: None });
    assert_eq!(leader.abdicated_on(), [three]);
}

/// §9: a leader that yields tells its followers where to go.
#[test]
fn who_yields_tells_its_followers_where_to_go() {
    let (mut leader, sessions) = Hosted::leading_with([3, 4]);
    let (own, one) = (leader.node.status().shown.expect("it leads"), samples::claim(9, 1));
    let conn = leader.is_met_by(1, one, 5);
    leader.frame(conn, Frame::Decided(Decided { stays: one, yields: own }));
    assert_eq!(leader.node.status().leader.map(|l| l.node), Some(samples::node(1)));
    for session in sessions {
        let told = leader.sent.iter().find_map(|(c, frame)| match frame {
            Frame::Yields(known) if *c == session => Some((known.claim, known.address)),
            _ => None,
        });
        assert_eq!(told, Some((one, address(1))));
    }
}

/// §9: nobody yields while a reign of its own is being written.
#[test]
fn nobody_yields_while_a_reign_of_its_own_is_written() {
    let (mut leader, _) = Hosted::leading_with([3]);
    let (own, one) = (leader.node.status().shown.expect("it leads"), samples::claim(9, 1));
    leader.disk = Disk::Hangs;
    let newcomer = leader.is_to_begin_a_new_reign();
    let conn = leader.is_met_by(1, one, 5);
    leader.frame(conn, Frame::Decided(Decided { stays: one, yields: own }));
    assert_eq!(leader.node.status().role, RoleName::Leading);
    leader.disk = Disk::Works;
    leader.released();
    let status = leader.node.status();
    assert_eq!((status.role, status.shown.map(|c| c.epoch)), (RoleName::Leading, Some(21)));
    assert!(leader.sent.iter().any(|(c, frame)| *c == newcomer && matches!(frame, Frame::Joined(_))));
}

/// §6: a leader that was replaced while it stood still, and stays, is sure of its role in its new reign and not before.
#[test]
fn who_was_replaced_and_stays_is_sure_in_its_new_reign() {
    let (mut leader, _) = Hosted::leading_with([3]);
    let (own, three) = (leader.node.status().shown.expect("it leads"), samples::claim(9, 3));
    leader.at(leader.now.time + Duration::from_secs(2));
    leader.step(Input::Tick);
    let check = leader.connects(3);
    leader.frame(check, Frame::Checked(Checked { standing: Standing::Leads(three) }));
    leader.disk = Disk::Hangs;
    let conn = leader.accepts(sender(3), address(3));
    leader.frame(conn, Frame::Decided(Decided { stays: own, yields: three }));
    let stands = |leader: &Hosted| {
        let status = leader.node.status();
        (status.role, status.sure, status.shown.map(|claim| claim.epoch))
    };
    assert_eq!(stands(&leader), (RoleName::Leading, false, Some(own.epoch)), "the other leads above it");
    leader.disk = Disk::Works;
    leader.released();
    assert_eq!(stands(&leader), (RoleName::Leading, true, Some(10)));
}

/// §4: of two leaders with one id the one that yields takes a new one, and if it has taken many: once in 1 s.
#[test]
fn a_leader_that_yields_to_its_double_takes_a_new_id_however_often_that_was() {
    let mut leader = Hosted::leading();
    let mut ids = std::collections::BTreeSet::from([leader.id()]);
    for round in 1..=6 {
        let own = leader.node.status().shown.expect("it leads");
        let node = Incarnation { id: leader.id(), boot: BootId(600 + round) };
        let double = Claim { node, ..samples::claim(20 + 10 * round, 9) };
        leader.run(limits::MEET);
        let conn = leader.accepts(Sender { node, ..sender(9) }, address(9));
        leader.meets(conn, double, 5);
        leader.frame(conn, Frame::Decided(Decided { stays: double, yields: own }));
        assert_eq!(leader.node.status().role, RoleName::Following);
        ids.insert(leader.id());
        assert_eq!(ids.len(), 1 + round as usize, "a new one each time");
        leader.run(Duration::from_secs(20));
        assert_eq!(leader.node.status().role, RoleName::Leading, "the other was never heard of again");
    }
}

/// §9: where many lead, a leader dials 8 of them in a second, and nobody again before all others.
#[test]
fn a_leader_meets_a_few_at_a_time() {
    let mut leader = Hosted::leading();
    leader.hears_20();
    assert_eq!(leader.dials.len(), 8);
    (0..7).for_each(|_| leader.hears_20());
    assert_eq!(leader.dialled, 16);
    leader.hears_20();
    let dialled: BTreeSet<SocketAddr> = leader.dials.iter().map(|(_, to)| *to).take(20).collect();
    assert_eq!((leader.dialled, dialled.len()), (24, 20), "{:?}", leader.dials);
}

/// §9: a follower reports 8 of them in 4 intervals, and nobody again before all others.
#[test]
fn a_follower_reports_a_few_at_a_time() {
    let mut agent = Hosted::following();
    let reported = |agent: &Hosted| -> Vec<Claim> {
        let of = |(_, frame): &(ConnId, Frame)| match frame {
            Frame::Report(known) => Some(known.claim),
            _ => None,
        };
        agent.sent.iter().filter_map(of).collect()
    };
    agent.hears_20();
    assert_eq!(reported(&agent).len(), 8);
    (0..9).for_each(|_| {
        agent.hears(1, beat(samples::claim(7, 1), 2));
        agent.hears_20();
    });
    let (all, each) = (reported(&agent), reported(&agent).into_iter().take(20).collect::<BTreeSet<Claim>>());
    assert_eq!((all.len(), each.len()), (24, 20), "{all:?}");
}
