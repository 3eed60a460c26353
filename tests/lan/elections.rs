//! Machines that start: three, five, one after the other, and all after a power cut.

use crate::ground::story;
use crate::lan::{Lan, SETTLE, SLACK};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::time::Duration;
use tanist::ident::NodeId;
use tanist::message::MemberState;

/// Waits until all of them list all of them as alive, and one of them as successor; every list names the same ones.
async fn know_one_another(lan: &mut Lan, machines: &[usize]) {
    lan.until(SETTLE, &format!("{machines:?} list one another and the same successor"), async |lan| {
        let mut lists: BTreeSet<(Vec<NodeId>, Vec<NodeId>)> = BTreeSet::new();
        for machine in machines {
            let members = lan.client(*machine).members().await.ok()?.members;
            let mut alive: Vec<NodeId> =
                members.iter().filter(|m| m.state == MemberState::Alive).map(|m| m.id).collect();
            alive.sort();
            let successor: Vec<NodeId> = members.iter().filter(|m| m.successor).map(|m| m.id).collect();
            lists.insert((alive, successor));
        }
        let (alive, successor) = lists.first()?;
        (lists.len() == 1 && alive.len() == machines.len() && successor.len() == 1).then_some(())
    })
    .await;
}

/// Machines that are switched on in one moment agree on one leader, know one another, and leave it at that.
async fn elect(lan: &mut Lan, n: usize) {
    lan.office(n).await;
    let all = lan.all();
    let at = lan.start(&all);
    lan.settled(&all, SETTLE + SLACK).await;
    let took = all.iter().filter_map(|m| lan.view(*m).since).max().expect("all told").duration_since(at);
    lan.figure(&format!("cold start of {n}: the last one has a leader"), took);
    know_one_another(lan, &all).await;
    lan.quiet(Duration::from_secs(1)).await;
}

#[test]
fn three_machines_elect_one_leader() {
    story("elections::three_machines_elect_one_leader", async |lan| elect(lan, 3).await);
}

#[test]
fn five_machines_elect_one_leader() {
    story("elections::five_machines_elect_one_leader", async |lan| elect(lan, 5).await);
}

/// Who comes later finds the leader and follows it: nobody else ever leads, whatever comes and goes.
#[test]
fn newcomers_and_returners_follow_the_leader() {
    story("elections::newcomers_and_returners_follow_the_leader", async |lan| {
        lan.office(4).await;
        let began = lan.start(&[1]);
        let reign = lan.settled(&[1], SETTLE + SLACK).await;
        for newcomer in 2..=4 {
            let at = lan.start(&[newcomer]);
            let all: Vec<usize> = (1..=newcomer).collect();
            assert_eq!(lan.settled(&all, SETTLE + SLACK).await, reign);
            let took = lan.view(newcomer).since.expect("it told").duration_since(at);
            lan.figure("a newcomer follows", took);
        }
        know_one_another(lan, &lan.all()).await;
        for returner in [2, 3] {
            lan.signal(returner, Signal::SIGKILL);
            lan.ended(&[returner], SLACK).await;
            let at = lan.start(&[returner]);
            assert_eq!(lan.settled(&lan.all(), SETTLE + SLACK).await, reign);
            let took = lan.view(returner).since.expect("it told").duration_since(at);
            lan.figure("a machine that was switched off and on again follows", took);
        }
        assert_eq!(lan.reigns_since(began), [(1, reign.epoch)]);
    });
}

/// A power cut, and another: all start in one moment, the second and third time with what they remember of one another,
/// and nobody ever shows a lower epoch than before (which every test here watches).
#[test]
fn an_office_starts_again_after_power_cuts() {
    story("elections::an_office_starts_again_after_power_cuts", async |lan| {
        lan.office(5).await;
        let all = lan.all();
        let mut epoch = 0;
        for start in 1..=3 {
            let at = lan.start(&all);
            let reign = lan.settled(&all, SETTLE + SLACK).await;
            let took = all.iter().filter_map(|m| lan.view(*m).since).max().expect("all told").duration_since(at);
            lan.figure(&format!("start {start} of all 5: the last one has a leader"), took);
            assert!(reign.epoch > epoch, "start {start}: epoch {} after {epoch}", reign.epoch);
            epoch = reign.epoch;
            know_one_another(lan, &all).await;
            for machine in &all {
                lan.signal(*machine, Signal::SIGKILL);
            }
            lan.ended(&all, SLACK).await;
        }
    });
}

/// Two clusters of different names share the LAN and never mix.
#[test]
fn two_clusters_share_a_lan() {
    story("elections::two_clusters_share_a_lan", async |lan| {
        lan.office(5).await;
        let (one, other) = ([1, 2, 3], [4, 5]);
        for machine in other {
            lan.flags(machine, &["--cluster", "workshop"]);
        }
        let began = lan.start(&lan.all());
        lan.settled(&one, SETTLE + SLACK).await;
        lan.settled(&other, SETTLE + SLACK).await;
        know_one_another(lan, &one).await;
        know_one_another(lan, &other).await;
        lan.quiet(Duration::from_secs(2)).await;
        assert_eq!(lan.reigns_since(began).len(), 2, "one for each");
        for (machine, members) in [(1, 3), (4, 2)] {
            assert_eq!(lan.status(machine).await.expect("it answers").members, members);
        }
    });
}
