//! Cards and switches that carry a part of what they are given, behind a live carrier.

use crate::commands::{nft, within};
use crate::ground::story;
use crate::lan::{Lan, SETTLE, SLACK};
use crate::net::{name, port};
use nix::sys::signal::Signal;
use nix::unistd::sethostname;
use std::time::{Duration, Instant};
use tanist::message::MemberState;
use tanist::protocol::RoleName;
use tanist::view::Member;

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

/// Three faults of one machine at a time: it starts again as `localhost`, its first card is dead behind a live carrier, and
/// the port of the second passes nothing at first. It deposes nobody, follows by the card that works, and is known by the
/// name that the host has by then.
#[test]
fn a_dead_card_a_port_that_is_deaf_at_first_and_a_name_that_comes_late() {
    story("cards::a_dead_card_a_port_that_is_deaf_at_first_and_a_name_that_comes_late", async |lan| {
        office_with_two_cards(lan).await;
        let (late, all) = (1, lan.all());
        let rest = lan.but(&[late]);
        lan.start(&rest);
        lan.settled(&rest, SETTLE + SLACK).await;
        lan.start(&[late]);
        let before = lan.settled(&all, SETTLE + SLACK).await;
        // Until each has written down who is there.
        lan.quiet(Duration::from_secs(3)).await;
        lan.signal(late, Signal::SIGKILL);
        lan.ended(&[late], SLACK).await;
        for card in ["eth0", "wlan0"] {
            lan.net.dead(&port(late, card), true).await;
        }
        sethostname("localhost").expect("this host is the test's own");
        lan.machines[late - 1].agent.named_by_host = true;
        let at = lan.start(&[late]);
        lan.logs(late, "network-alone", 1, at, SETTLE + SLACK).await;
        lan.quiet(Duration::from_secs(2)).await;
        sethostname(name(late)).expect("this host is the test's own");
        lan.quiet(Duration::from_secs(2)).await;
        lan.net.dead(&port(late, "wlan0"), false).await;
        assert_eq!(lan.settled(&all, SETTLE + SLACK).await, before, "it deposes nobody, and the epoch stays");
        lan.until(Duration::from_secs(10) + SLACK, "all know it by its name, and have a session", async |lan| {
            for machine in lan.all() {
                let members = lan.client(machine).members().await.ok()?.members;
                let is_well = |member: &Member| member.name != "localhost" && member.state == MemberState::Alive;
                (members.len() == 3 && members.iter().all(is_well)).then_some(())?;
            }
            Some(())
        })
        .await;
        lan.quiet(Duration::from_secs(3)).await;
        assert_eq!(lan.settled(&all, SLACK).await, before);
    });
}

/// So many links of containers has a host, with their other ends more than twice what an agent uses at a time.
const CONTAINERS: usize = 80;

/// A host of containers has its card after 80 links that lead to them: it uses the card alone, as leader too. (Here a
/// `macvlan` is the card, for the cables of these machines are of the kind that leads to containers.)
#[test]
fn a_card_that_comes_after_eighty_containers() {
    story("cards::a_card_that_comes_after_eighty_containers", async |lan| {
        lan.office(2).await;
        let host = lan.machine().await;
        let links = |k| format!("link add veth{k} type veth peer name in{k}\nlink set veth{k} up\nlink set in{k} up\n");
        lan.ip(host, (1..=CONTAINERS).map(links).collect::<String>().trim_end()).await;
        lan.net.cable(host, "eth0", "office").await;
        lan.ip(host, "link add card link eth0 type macvlan mode bridge\nlink set card up").await;
        lan.ip(host, &format!("addr add 10.77.0.{host}/24 brd + dev card")).await;
        lan.start(&[host]);
        lan.settled(&[host], SETTLE + SLACK).await;
        let all = lan.all();
        lan.start(&lan.but(&[host]));
        let reign = lan.settled(&all, SETTLE + SLACK).await;
        assert_eq!(reign.leader, host, "it was there first");
        lan.quiet(Duration::from_secs(1)).await;
        let before = packets(host).await;
        lan.quiet(Duration::from_secs(5)).await;
        let after = packets(host).await;
        assert!(after.0 >= before.0 + 20, "heartbeats leave by the card: {before:?}, {after:?}");
        // The kernel greets on new links, some 3 packets on each in this time; heartbeats would be 20.
        assert!(after.1 <= before.1 + 10 * CONTAINERS as u64, "none go into containers: {before:?}, {after:?}");
    });
}

/// How many packets have left by a machine's card, and by all its links to containers.
async fn packets(machine: usize) -> (u64, u64) {
    let output = within(Some(&name(machine)), "cat").arg("/proc/net/dev").output().await.expect("`cat` runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut sum = (0, 0);
    for line in text.lines() {
        let Some((link, numbers)) = line.split_once(':') else { continue };
        let sent: u64 = numbers.split_whitespace().nth(9).and_then(|n| n.parse().ok()).expect("a count of packets");
        match link.trim() {
            "card" => sum.0 += sent,
            link if link.starts_with("veth") => sum.1 += sent,
            _ => {}
        }
    }
    sum
}
