//! The data's own lane: it holds up what has to wait for it, and nothing else.

use super::hosted::*;
use super::*;
use crate::event::Kind;

impl Hosted {
    /// A leader, with number 3 as its successor, whose data's thread was given something.
    fn leading_with_a_job() -> (Self, ConnId) {
        let mut leader = Self::leading();
        let three = leader.asks_to_join(3);
        leader.pings(three, 1, 0);
        assert_eq!(leader.node.status().successor.map(|s| s.node.id), Some(sender(3).node.id));
        (leader.by_hand, leader.jobs) = (true, Vec::new());
        leader.node.begin_job(Job::Order(Vec::new()));
        leader.step(Input::Tick);
        assert_eq!(leader.jobs.len(), 1);
        leader.forget();
        (leader, three)
    }

    /// Whether the heir was asked.
    fn asked_its_heir(&self) -> bool {
        self.sent.iter().any(|(_, frame)| matches!(frame, Frame::Abdicate(_)))
    }
}

/// A load of writes is no store that hangs: the role stays, the answers are fresh, and users are told once.
#[test]
fn a_data_thread_that_hangs_deposes_nobody() {
    let (mut leader, three) = Hosted::leading_with_a_job();
    for second in 0..10 {
        leader.run(Duration::from_secs(1));
        leader.pings(three, 2 + second, 0);
    }
    assert_eq!(leader.node.status().role, RoleName::Leading);
    assert!(!leader.asked_its_heir());
    assert_eq!(leader.told.iter().filter(|k| **k == Kind::StoreTrouble).count(), 1, "{:?}", leader.told);
    let nonce = 77;
    let asks = leader.accepts(sender(4), address(4));
    leader.frame(asks, Frame::Question(crate::message::Question { nonce, to: leader.node.sender().node }));
    let fresh = |(_, frame): &(ConnId, Frame)| matches!(frame, Frame::Answer(a) if a.nonce == nonce && a.store_ms == 0);
    assert!(leader.sent.iter().any(fresh), "the age of the election's own writes is what it states");
}

/// A handover waits for what was under way when it began, and for nothing that came later.
#[test]
fn a_handover_drains_the_lane_first() {
    let (mut leader, _) = Hosted::leading_with_a_job();
    leader.step(Input::Handover { request: 1, to: None });
    assert!(!leader.asked_its_heir(), "the heir would lack what is under way");
    let barrier = leader.jobs.last().expect("it waits for one behind the others").0;
    leader.node.begin_job(Job::Barrier);
    leader.step(Input::Done { through: leader.jobs[0].0 });
    assert!(!leader.asked_its_heir());
    leader.step(Input::Done { through: barrier });
    assert!(leader.asked_its_heir());
}

#[test]
fn a_job_that_fails_holds_up_nothing() {
    let (mut leader, _) = Hosted::leading_with_a_job();
    leader.step(Input::Handover { request: 1, to: None });
    let barrier = leader.jobs.last().expect("it waits for one behind the others").0;
    for job in [leader.jobs[0].0, barrier] {
        leader.step(Input::Failed { job, why: "no space left".to_owned() });
    }
    assert!(leader.asked_its_heir());
    assert!(leader.told.contains(&Kind::StoreTrouble));
}

/// A lane that does not drain ends the handover, and the leader leads on.
#[test]
fn a_lane_that_does_not_drain_ends_the_handover() {
    let (mut leader, three) = Hosted::leading_with_a_job();
    leader.step(Input::Handover { request: 1, to: None });
    leader.run(Duration::from_secs(1));
    leader.pings(three, 2, 0);
    assert!(!leader.asked_its_heir());
    assert_eq!(leader.told.iter().filter(|k| **k == Kind::Handover).count(), 2, "it began and it failed");
    assert_eq!(leader.node.status().role, RoleName::Leading);
    leader.forget();
    leader.step(Input::Done { through: leader.jobs.last().expect("given").0 });
    assert!(!leader.asked_its_heir(), "that handover is over");
}
