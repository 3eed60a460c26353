//! Links that come, go and change while agents run, and links that lead to no LAN.

use crate::commands::nft;
use crate::ground::story;
use crate::lan::{SETTLE, SLACK};
use crate::net::name;
use crate::watch::AT_ONCE;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use tanist::protocol::RoleName;

/// A follower without a link leads itself after this.
const LINK_LOST: Duration = Duration::from_secs(3);

/// All machines get addresses in another subnet, in one moment: the same leader, at its new address.
#[test]
fn every_address_changes() {
    story("links::every_address_changes", async |lan| {
        lan.office(3).await;
        for machine in lan.all() {
            // Over the addresses that IPv6 gives itself all would stay as it is.
            lan.ip(machine, "link set eth0 addrgenmode none\naddr flush dev eth0 scope link").await;
        }
        let all = lan.all();
        lan.start(&all);
        let before = lan.settled(&all, SETTLE + SLACK).await;
        let at = Instant::now();
        lan.note("every address changes");
        for machine in lan.all() {
            let change =
                format!("addr del 10.77.0.{machine}/24 dev eth0\naddr add 10.78.0.{machine}/24 brd + dev eth0");
            lan.ip(machine, &change).await;
        }
        lan.until(SETTLE + SLACK, "every member is listed with its new address", async |lan| {
            for machine in lan.all() {
                let members = lan.client(machine).members().await.ok()?.members;
                let moved = members.iter().all(|m| m.address.expect("linked").ip().to_string().starts_with("10.78.0."));
                if members.len() != 3 || !moved {
                    return None;
                }
            }
            Some(())
        })
        .await;
        let reign = lan.settled(&all, SETTLE + SLACK).await;
        lan.figure("every address changed: all follow, and know where the others are", at.elapsed());
        lan.quiet(Duration::from_secs(1)).await;
        assert_eq!(reign.leader, before.leader, "a healthy leader stays when addresses change");
    });
}

/// No cable at the start: nobody leads; with the cables comes a leader.
#[test]
fn a_network_that_comes_later() {
    story("links::a_network_that_comes_later", async |lan| {
        lan.office(3).await;
        for machine in lan.all() {
            lan.net.plugged(machine, "eth0", false).await;
        }
        let all = lan.all();
        let began = lan.start(&all);
        lan.until(SLACK, "all listen", async |lan| {
            for machine in lan.all() {
                lan.status(machine).await.filter(|status| status.role == RoleName::Listening)?;
            }
            Some(())
        })
        .await;
        for machine in lan.all() {
            lan.logs(machine, "network-alone", 1, began, SLACK).await;
        }
        lan.quiet(Duration::from_secs(2)).await;
        let at = Instant::now();
        lan.note("the cables are plugged in");
        for machine in lan.all() {
            lan.net.plugged(machine, "eth0", true).await;
        }
        lan.settled(&all, SETTLE + SLACK).await;
        lan.figure("the network came: the last one has a leader", at.elapsed());
        assert!(lan.all().into_iter().all(|machine| lan.has_told(machine, "network-up", at)));
        lan.quiet(Duration::from_secs(1)).await;
    });
}

/// A machine that never gets a network leads itself in the end.
#[test]
fn a_machine_that_stays_without_network_leads_itself() {
    story("links::a_machine_that_stays_without_network_leads_itself", async |lan| {
        lan.machine().await;
        lan.flags(1, &["--lone-after", "1s"]);
        let at = lan.start(&[1]);
        lan.logs(1, "network-alone", 1, at, SLACK).await;
        lan.settled(&[1], Duration::from_secs(1) + SLACK).await;
        assert!(at.elapsed() >= Duration::from_secs(1), "not before its time");
        // When it begins to wait, and when the wait is over.
        lan.logs(1, "network-alone", 2, at, SLACK).await;
    });
}

/// A laptop is taken away and brought back: alone it leads itself, back in the office it deposes nobody; the same when it
/// was the leader.
#[test]
fn a_cable_is_pulled_and_put_back() {
    story("links::a_cable_is_pulled_and_put_back", async |lan| {
        lan.office(4).await;
        let all = lan.all();
        lan.start(&all);
        let reign = lan.settled(&all, SETTLE + SLACK).await;
        let laptop = lan.but(&[reign.leader])[0];
        let rest = lan.but(&[laptop]);
        let at = Instant::now();
        lan.note("the laptop's cable is pulled");
        lan.net.plugged(laptop, "eth0", false).await;
        lan.settled(&[laptop], LINK_LOST + SLACK).await;
        assert!(lan.has_told(laptop, "network-alone", at));
        assert!(lan.view(laptop).cause.as_deref() == Some("cut-off"), "{:?}", lan.view(laptop));
        assert_eq!(lan.settled(&rest, SLACK).await, reign);
        let back = Instant::now();
        lan.note("the laptop's cable is put back");
        lan.net.plugged(laptop, "eth0", true).await;
        let together = lan.settled(&all, SETTLE + SLACK).await;
        assert_eq!(together.leader, reign.leader, "who comes back deposes nobody");
        lan.figure("a laptop came back: it follows", lan.view(laptop).since.expect("it told").duration_since(back));

        let at = Instant::now();
        lan.note("the leader's cable is pulled");
        lan.net.plugged(together.leader, "eth0", false).await;
        let rest = lan.but(&[together.leader]);
        let (next, _) = lan.failover(("the leader's cable is pulled", at), &rest, &together, SETTLE + SLACK).await;
        let own = lan.settled(&[together.leader], SLACK).await;
        assert_eq!(own, together, "without a network it leads on, alone");
        // Until then it counts those who followed it a moment ago.
        lan.hears(together.leader, "successor-none", at, SETTLE).await;
        lan.note("the leader's cable is put back");
        lan.net.plugged(together.leader, "eth0", true).await;
        assert_eq!(lan.settled(&all, SETTLE + SLACK).await.leader, next.leader, "who has followers stays");
        lan.quiet(Duration::from_secs(1)).await;
    });
}

/// A leader's cable is out for a moment, just long enough for another to take over; it comes back while it still counts
/// those who followed it a moment ago, and the way to the new leader takes its time. What counts is who follows it when
/// the two meet: it deposes nobody.
#[test]
fn a_cable_is_out_for_a_moment() {
    story("links::a_cable_is_out_for_a_moment", async |lan| {
        lan.office(4).await;
        let all = lan.all();
        lan.start(&all);
        let mut reign = lan.settled(&all, SETTLE + SLACK).await;
        for (out, settle) in [(800, 0), (800, 30), (800, 300), (1200, 0)] {
            lan.quiet(Duration::from_secs(1)).await;
            let at = Instant::now();
            lan.note(&format!("the leader's cable is pulled for {out} ms at least"));
            lan.net.plugged(reign.leader, "eth0", false).await;
            lan.pass(Duration::from_millis(out)).await;
            let rest = lan.but(&[reign.leader]);
            let (next, _) = lan.failover(("a short cut", at), &rest, &reign, SETTLE + SLACK).await;
            lan.pass(Duration::from_millis(settle)).await;
            lan.note("the leader's cable is put back");
            lan.net.plugged(reign.leader, "eth0", true).await;
            let together = lan.settled(&all, SETTLE + SLACK).await;
            assert_eq!(together.leader, next.leader, "who has followers stays");
            let others: Vec<_> = lan.reigns_since(at).into_iter().filter(|r| r.0 != next.leader).collect();
            assert_eq!(others, [], "nobody else began a reign");
            reign = together;
        }
    });
}

/// Machines get a second network while they run; when the first fails the leader stays, reached by the second.
#[test]
fn a_second_link_takes_over() {
    story("links::a_second_link_takes_over", async |lan| {
        lan.office(3).await;
        let all = lan.all();
        lan.start(&all);
        let reign = lan.settled(&all, SETTLE + SLACK).await;
        lan.net.switch("second").await;
        for machine in lan.all() {
            lan.net.cable(machine, "eth1", "second").await;
            lan.ip(machine, &format!("addr add 10.79.0.{machine}/24 brd + dev eth1")).await;
        }
        lan.quiet(Duration::from_secs(3)).await;
        let at = Instant::now();
        lan.note("the first switch loses its power");
        for machine in lan.all() {
            lan.net.plugged(machine, "eth0", false).await;
        }
        lan.until(SETTLE + SLACK, "every member is listed on the second network", async |lan| {
            for machine in lan.all() {
                let members = lan.client(machine).members().await.ok()?.members;
                let here = |ip: std::net::IpAddr| ip.is_ipv6() || ip.to_string().starts_with("10.79.0.");
                if members.len() != 3 || !members.iter().all(|m| here(m.address.expect("linked").ip())) {
                    return None;
                }
            }
            Some(())
        })
        .await;
        assert_eq!(lan.settled(&all, SETTLE + SLACK).await.leader, reign.leader, "a leader that lives stays");
        lan.figure("the first network failed: all follow over the second", at.elapsed());
        lan.quiet(Duration::from_secs(1)).await;
    });
}

/// All lose their IPv4 addresses in one moment, and have those left that IPv6 gives itself: nobody loses the leader, and a
/// handover and a kill take milliseconds there too.
#[test]
fn ipv4_goes_away() {
    story("links::ipv4_goes_away", async |lan| {
        lan.office(3).await;
        let all = lan.all();
        lan.start(&all);
        let reign = lan.settled(&all, SETTLE + SLACK).await;
        lan.quiet(Duration::from_secs(2)).await;
        lan.note("there is no IPv4 any more");
        for machine in lan.all() {
            lan.ip(machine, "addr flush dev eth0 scope global").await;
        }
        lan.quiet(Duration::from_secs(7)).await;
        assert_eq!(lan.settled(&all, SETTLE).await, reign);
        lan.successor(&all).await;
        let third = lan.but(&[reign.leader])[1];
        let at = Instant::now();
        let told = lan.client(third).handover(None).await.expect("it hands over");
        let next = lan.settled(&all, SETTLE).await;
        assert_eq!((name(next.leader), next.cause.as_str()), (told.name, "handover"));
        lan.figure("handover by link-local addresses", at.elapsed());
        lan.successor(&all).await;
        let at = lan.signal(next.leader, Signal::SIGKILL);
        let survivors = lan.but(&[next.leader]);
        let (_, took) = lan.failover(("kill -9, link-local", at), &survivors, &next, SETTLE + SLACK).await;
        assert!(took < AT_ONCE, "{took:?} after a kill");
    });
}

/// No IPv4 anywhere: all is well over the addresses that IPv6 gives itself.
#[test]
fn ipv6_only() {
    story("links::ipv6_only", async |lan| {
        lan.net.switch("office").await;
        for _ in 0..3 {
            let machine = lan.machine().await;
            lan.net.cable(machine, "eth0", "office").await;
        }
        let all = lan.all();
        let at = lan.start(&all);
        let reign = lan.settled(&all, SETTLE + SLACK).await;
        lan.figure("cold start of 3 without IPv4", at.elapsed());
        lan.until(SETTLE, "a successor is named", async |lan| lan.status(reign.leader).await?.successor.map(|_| ()))
            .await;
        for machine in lan.all() {
            let members = lan.client(machine).members().await.expect("it answers").members;
            assert!(members.iter().all(|m| m.address.expect("linked").is_ipv6()), "{members:?}");
        }
        // Until the last that came has the list: two that do not know each other would lead both, and meet.
        lan.quiet(Duration::from_secs(1)).await;
        let at = lan.signal(reign.leader, Signal::SIGKILL);
        let survivors = lan.but(&[reign.leader]);
        let (next, took) = lan.failover(("kill -9 without IPv4", at), &survivors, &reign, SETTLE + SLACK).await;
        assert!(took < AT_ONCE, "{took:?} after a kill");
        assert_eq!(next.cause, "died");
    });
}

/// Bridges of containers, tunnels: not a word of an agent goes out there, though they are up and have addresses. The
/// container runs an agent of its own, which sees the bridge only and stays alone.
#[test]
fn container_bridges_and_tunnels_are_not_used() {
    story("links::container_bridges_and_tunnels_are_not_used", async |lan| {
        lan.office(2).await;
        let container = lan.machine().await;
        // Not every user may open what makes such a device.
        let tun = std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun").is_ok();
        if !tun {
            lan.say("without tun: /dev/net/tun cannot be opened");
        }
        for machine in 1..=2 {
            // The first machine runs the container; the other end of the second one's port is not in use.
            let far = if machine == 1 { format!("eth0 netns {}", name(container)) } else { "box1".to_owned() };
            let lines = format!(
                "link add docker0 type bridge\nlink add box0 type veth peer name {far}\n\
                 link set box0 master docker0 up\nlink set docker0 up\naddr add 172.17.0.1/16 brd + dev docker0\n\
                 link add vxlan0 type vxlan id 7 dstport 4789 dev eth0 remote 10.77.0.{}\nlink set vxlan0 up\n\
                 addr add 10.9.0.{machine}/24 brd + dev vxlan0",
                3 - machine
            );
            lan.ip(machine, &lines).await;
            if tun {
                let address = format!("addr add 10.8.0.{machine}/24 dev tun0");
                lan.ip(machine, &format!("tuntap add tun0 mode tun\nlink set tun0 up\n{address}")).await;
            }
            if machine == 2 {
                lan.ip(machine, "link set box1 up").await;
            }
            let count = |device: &str| {
                format!(
                    "add rule inet watch out oifname \"{device}\" meta l4proto {{ tcp, udp }} th dport 8264 counter\n"
                )
            };
            let rules: String = ["docker0", "box0", "tun0", "vxlan0", "eth0"].map(count).concat();
            let hook = "{ type filter hook output priority 0; }";
            nft(Some(&name(machine)), &format!("add table inet watch\nadd chain inet watch out {hook}\n{rules}")).await;
        }
        lan.ip(container, "link set eth0 up\naddr add 172.17.0.2/16 brd + dev eth0").await;
        let all = lan.all();
        lan.start(&all);
        let reign = lan.settled(&[1, 2], SETTLE + SLACK).await;
        let boxed = lan.settled(&[container], SETTLE + SLACK).await;
        assert_eq!(boxed.leader, container);
        lan.quiet(Duration::from_secs(3)).await;
        assert_eq!(lan.status(reign.leader).await.expect("it answers").members, 2);
        assert_eq!(lan.status(container).await.expect("it answers").members, 1);
        for machine in 1..=2 {
            let rules = nft(Some(&name(machine)), "list chain inet watch out\n").await;
            for device in ["docker0", "box0", "tun0", "vxlan0", "eth0"] {
                let rule =
                    rules.lines().find(|line| line.contains(&format!("\"{device}\""))).expect("the rule is there");
                assert_eq!(rule.contains("packets 0 "), device != "eth0", "{}: {rule}", name(machine));
            }
            let members = lan.client(machine).members().await.expect("it answers").members;
            assert!(members.iter().all(|m| m.address.expect("linked").is_ipv6()
                || m.address.expect("linked").ip().to_string().starts_with("10.77.")));
        }
    });
}
