//! Cards and switches that carry a part of what they are given, behind a live carrier.

use crate::commands::nft;
use crate::ground::story;
use crate::lan::{Lan, SETTLE, SLACK};
use crate::net::{name, port};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use tanist::message::MemberState;
use tanist::protocol::RoleName;

/// The cards of all machines take frames of 9000 bytes, and the switch takes 1500: each machine that comes finds the
/// leader, however long the list is that it is sent.
#[test]
fn jumbo_frames_on_the_hosts_and_not_on_the_switch() {
    story("cards::jumbo_frames_on_the_hosts_and_not_on_the_switch", async |lan| {
        lan.office(11).await;
        for machine in lan.all() {
            lan.ip(machine, "link set eth0 mtu 9000").await;
        }
        let mut up = Vec::new();
        for machine in lan.all() {
            up.push(machine);
            let at = lan.start(&[machine]);
            lan.settled(&up, SETTLE + SLACK).await;
            if machine == 11 {
                lan.figure("jumbo frames: the eleventh machine has a leader", at.elapsed());
            }
        }
        lan.quiet(Duration::from_secs(1)).await;
    });
}

/// An office in which machine 1 has a second card, which the kernel uses only when the first has no carrier.
async fn office_with_two_cards(lan: &mut Lan) {
    lan.office(3).await;
    lan.net.cable(1, "wlan0", "office").await;
    lan.ip(1, "addr flush dev eth0 scope global").await;
    lan.ip(1, "addr add 10.77.0.1/24 brd + dev eth0 metric 100").await;
    lan.ip(1, "addr add 10.77.0.101/24 brd + dev wlan0 metric 600").await;
}

/// One of two cards dies behind a live carrier, and works again later; machine `first` leads all the while.
async fn a_card_dies(lan: &mut Lan, first: usize, figure: &str) {
    office_with_two_cards(lan).await;
    lan.start(&[first]);
    lan.settled(&[first], SETTLE + SLACK).await;
    let all = lan.all();
    lan.start(&lan.but(&[first]));
    let before = lan.settled(&all, SETTLE + SLACK).await;
    assert_eq!(before.leader, first, "it was there first");
    lan.quiet(Duration::from_secs(2)).await;
    lan.note("the card dies");
    let at = Instant::now();
    lan.net.dead(&port(1, "eth0"), true).await;
    lan.quiet(Duration::from_secs(8)).await;
    assert_eq!(lan.settled(&all, SLACK).await, before, "nobody loses the leader");
    lan.until(SETTLE + SLACK, "every member has a session", async |lan| {
        let members = lan.client(first).members().await.ok()?.members;
        members.iter().all(|member| member.state == MemberState::Alive).then_some(())
    })
    .await;
    lan.figure(figure, at.elapsed());
    lan.net.dead(&port(1, "eth0"), false).await;
    lan.quiet(Duration::from_secs(3)).await;
    assert_eq!(lan.settled(&all, SLACK).await, before);
}

#[test]
fn a_leaders_first_card_dies() {
    story("cards::a_leaders_first_card_dies", async |lan| {
        a_card_dies(lan, 1, "a leader's first card died: it leads on").await;
    });
}

#[test]
fn a_followers_first_card_dies() {
    story("cards::a_followers_first_card_dies", async |lan| {
        a_card_dies(lan, 2, "a follower's first card died: it follows on").await;
    });
}

/// A switch passes short packets only: who comes behind it says so once, and follows by heartbeat alone.
#[test]
fn a_switch_passes_short_packets_only() {
    story("cards::a_switch_passes_short_packets_only", async |lan| {
        lan.office(6).await;
        let (all, late) = (lan.all(), 6);
        lan.start(&lan.but(&[late]));
        lan.settled(&lan.but(&[late]), SETTLE + SLACK).await;
        lan.net.narrow(&port(late, "eth0"), 500).await;
        let at = lan.start(&[late]);
        lan.logs(late, "narrow-path", 1, at, SETTLE + SLACK).await;
        lan.settled(&all, SETTLE + SLACK).await;
        lan.quiet(Duration::from_secs(5)).await;
        assert_eq!(lan.logged.iter().filter(|(_, m, what)| *m == late && what == "narrow-path").count(), 1);
        lan.net.mend().await;
        lan.until(Duration::from_secs(10) + SLACK, "it has a session", async |lan| {
            let status = lan.status(late).await?;
            status.successor.map(|_| ())
        })
        .await;
    });
}

/// A switch passes nothing on the port of a machine that starts again: it waits, and the office keeps its epoch.
#[test]
fn a_port_that_passes_nothing_at_first() {
    story("cards::a_port_that_passes_nothing_at_first", async |lan| {
        lan.office(3).await;
        let all = lan.all();
        lan.start(&all);
        let before = lan.settled(&all, SETTLE + SLACK).await;
        // Until each has written down who is there.
        lan.quiet(Duration::from_secs(3)).await;
        let late = lan.but(&[before.leader])[0];
        lan.signal(late, Signal::SIGKILL);
        lan.ended(&[late], SLACK).await;
        lan.net.dead(&port(late, "eth0"), true).await;
        let at = lan.start(&[late]);
        lan.logs(late, "network-alone", 1, at, SETTLE + SLACK).await;
        lan.quiet(Duration::from_secs(6)).await;
        lan.net.mend().await;
        let after = lan.settled(&all, SETTLE + SLACK).await;
        assert_eq!(after, before, "it deposes nobody, and the epoch stays");
    });
}

/// The firewall of a machine lets nothing in, and its words out: it leads alone, and those who hear it say so.
#[test]
fn a_firewall_that_lets_nothing_in() {
    story("cards::a_firewall_that_lets_nothing_in", async |lan| {
        lan.office(3).await;
        let (late, rest) = (3, [1, 2]);
        lan.start(&rest);
        let before = lan.settled(&rest, SETTLE + SLACK).await;
        let rules = "add table inet wall\nadd chain inet wall in { type filter hook input priority 0; policy drop; }\n\
                     add rule inet wall in iifname lo accept\n";
        nft(Some(&name(late)), rules).await;
        lan.start(&[late]);
        lan.settled(&[late], SETTLE + SLACK).await;
        let at = Instant::now();
        for machine in rest {
            lan.logs(machine, "two-leaders", 1, at, Duration::from_secs(12) + SLACK).await;
        }
        let members = lan.client(before.leader).members().await.expect("it answers").members;
        let other = members.iter().find(|member| member.name == name(late)).expect("it is heard");
        assert_eq!(other.role, RoleName::Leading);
        assert_eq!(lan.settled(&rest, SLACK).await, before);
    });
}
