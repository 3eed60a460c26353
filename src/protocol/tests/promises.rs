//! A durable promise vouches for the reign that was promised: it is shown without another write, and what a crash may have
//! cut off counts as shown (protocol §3, P3).

use super::hosted::{Disk, Hosted, beat, joined};
use super::*;
use crate::message::Says;
use crate::wire::samples;

/// It follows number 1 in epoch 7, has lost it, and has backed number 3 for epoch 8.
fn backer() -> (Hosted, Claim) {
    let mut agent = Hosted::following();
    agent.loses_its_leader();
    let claim = Claim { epoch: 8, ..samples::claim(8, 3) };
    let conn = agent.canvassed_by(3, claim);
    assert!(matches!(agent.voted(conn), Some(Says::Backed)), "{:?}", agent.sent);
    (agent, claim)
}

fn shown(agent: &Hosted) -> Option<u64> {
    agent.node.status().shown.map(|claim| claim.epoch)
}

/// §7.5: who backed a claim shows its reign with the first heartbeat, whatever the disk does then.
#[test]
fn who_backed_a_claim_shows_its_reign_at_once() {
    for disk in [Disk::Works, Disk::Hangs, Disk::Fails] {
        let (mut agent, claim) = backer();
        agent.disk = disk;
        agent.hears(3, beat(claim, 1));
        assert_eq!(shown(&agent), Some(8), "{disk:?}");
        assert_eq!(shown(&agent.restarts()), Some(8), "{disk:?}: the epoch that is shown never falls");
    }
}

/// §7.5: a heartbeat that comes before the own promise is durable is shown with that, and waits for no second write.
#[test]
fn a_reign_that_is_heard_before_its_promise_is_durable_is_shown_with_it() {
    let mut agent = Hosted::following();
    agent.loses_its_leader();
    agent.disk = Disk::Hangs;
    let claim = Claim { epoch: 8, ..samples::claim(8, 3) };
    agent.canvassed_by(3, claim);
    agent.hears(3, beat(claim, 1));
    assert_eq!(shown(&agent), Some(7));
    agent.released();
    assert_eq!(shown(&agent), Some(8));
}

/// §7.3, §7.5: a claim is won with its promise, and the reign begins whatever the disk does then.
#[test]
fn a_reign_begins_with_the_own_promise() {
    let mut agent = Hosted::following();
    agent.loses_its_leader();
    // It will not be told, and has no voice.
    agent.refuses(3);
    agent.refuses(3);
    assert_eq!(agent.node.status().role, RoleName::Leading);
    let epoch = shown(&agent);
    let promised = agent.durable.promised;
    agent.durable = Durable { shown: Some(samples::claim(7, 1)), promised, ..Durable::default() };
    assert_eq!(shown(&agent.restarts()), epoch, "cut off before the reign was written");
}

/// Nobody may be told of the own reign, or hear the own voice, before the promise is durable.
#[test]
fn nothing_is_said_while_the_disk_hangs() {
    let mut agent = Hosted::following();
    agent.disk = Disk::Hangs;
    agent.loses_its_leader();
    agent.refuses(3);
    agent.refuses(3);
    agent.run(Duration::from_millis(400));
    assert_ne!(agent.node.status().role, RoleName::Leading);
    let conn = agent.canvassed_by(3, samples::claim(90, 3));
    assert!(agent.voted(conn).is_none(), "{:?}", agent.voted(conn));
}

/// What is shown on the word of a promise is durable with the next promise at the latest.
#[test]
fn the_next_promise_does_not_forget_what_is_shown() {
    let (mut agent, claim) = backer();
    agent.disk = Disk::Fails;
    agent.hears(3, beat(claim, 1));
    assert_eq!((shown(&agent), agent.durable.shown.map(|c| c.epoch)), (Some(8), Some(7)));
    agent.disk = Disk::Works;
    let conn = agent.canvassed_by(3, Claim { epoch: 9, ..samples::claim(9, 3) });
    assert!(matches!(agent.voted(conn), Some(Says::Backed)), "{:?}", agent.sent);
    assert_eq!(agent.durable.shown.map(|c| c.epoch), Some(8));
}

/// A claim that was backed in vain is over when its time is: a restart later on does not take it for shown, which would
/// cost the leader a new reign.
#[test]
fn a_promise_in_vain_is_not_taken_for_shown() {
    for late in [false, true] {
        // Its leader beats all the time, but does not answer in time when another claims.
        let mut agent = Hosted::following();
        let claim = Claim { epoch: 8, ..samples::claim(8, 3) };
        let conn = agent.canvassed_by(3, claim);
        for _ in 0..if late { 36 } else { 4 } {
            agent.run(Duration::from_millis(50));
            agent.hears(1, beat(samples::claim(7, 1), 2));
        }
        assert!(matches!(agent.voted(conn), Some(Says::Backed)), "{:?}", agent.sent);
        assert_eq!(shown(&agent), Some(7));
        assert_eq!(agent.durable.promised.map(|p| p.claim), Some(claim), "one claim in an epoch, for ever");
        assert_eq!(shown(&agent.restarts()), Some(if late { 7 } else { 8 }));
        // Should it begin after all, it is shown when that is durable.
        agent.disk = Disk::Hangs;
        agent.loses_its_leader();
        agent.hears(3, beat(claim, 1));
        assert_eq!(shown(&agent), Some(if late { 7 } else { 8 }));
    }
}

/// P3: a reign on its way to the disk may be shown after a crash. Another one of its epoch is not begun beside it: the
/// leader that offers it is told, and begins a new one.
#[test]
fn a_reign_on_its_way_to_the_disk_counts_as_shown() {
    let mut agent = Hosted::listening();
    agent.disk = Disk::Hangs;
    let (first, second) = (samples::claim(9, 1), samples::claim(9, 3));
    agent.hears(1, beat(first, 2));
    let session = agent.connects(1);
    agent.frame(session, Frame::Joined(joined(first)));
    agent.loses_its_leader();
    agent.hears(3, beat(second, 2));
    let session = agent.connects(3);
    agent.frame(session, Frame::Joined(joined(second)));
    // An elector of the same epoch is not backed either.
    let elector = agent.canvassed_by(4, samples::claim(9, 4));
    assert!(!matches!(agent.voted(elector), Some(Says::Backed)), "{:?}", agent.voted(elector));
    agent.released();
    assert_eq!((agent.durable.shown, agent.restarts().node.status().shown), (Some(first), Some(first)));
    assert_eq!(agent.node.status().shown, Some(first));
    let told = |frame: &Frame| matches!(frame, Frame::Join(join) if join.claim == second && join.shown == Some(first));
    assert!(agent.sent.iter().any(|(_, frame)| told(frame)), "{:?}", agent.sent);
}
