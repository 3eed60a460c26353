//! Two subnets with a router between them: broadcast does not pass, configured peers do.

use crate::commands::feed;
use crate::ground::story;
use crate::lan::{Lan, SETTLE, SLACK};
use crate::net::name;
use crate::watch::AT_ONCE;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// Machines 1 and 2 in the west, 3 and 4 in the east, and a router, which runs no agent, between them.
async fn two_subnets(lan: &mut Lan) {
    for (switch, subnet, machines) in [("west", 0, [1, 2]), ("east", 1, [3, 4])] {
        lan.net.switch(switch).await;
        for machine in machines {
            assert_eq!(lan.machine().await, machine);
            lan.net.cable(machine, "eth0", switch).await;
            let address = format!("addr add 10.77.{subnet}.{machine}/24 brd + dev eth0");
            lan.ip(machine, &format!("{address}\nroute add default via 10.77.{subnet}.254")).await;
        }
    }
    let router = lan.machine().await;
    for (device, switch, subnet) in [("eth0", "west", 0), ("eth1", "east", 1)] {
        lan.net.cable(router, device, switch).await;
        lan.ip(router, &format!("addr add 10.77.{subnet}.254/24 brd + dev {device}")).await;
    }
    sysctl(Some(&name(router)), "net.ipv4.ip_forward", "1").await;
}

/// Without a word of configuration each subnet has its own leader. One peer, named on one machine of the east, joins
/// them; from then on all know one another, and a leader's death is noticed as fast as anywhere.
#[test]
fn two_subnets_are_joined_by_configured_peers() {
    story("subnets::two_subnets_are_joined_by_configured_peers", async |lan| {
        two_subnets(lan).await;
        let machines = [1, 2, 3, 4];
        lan.start(&[1, 2, 4]);
        lan.settled(&[1, 2], SETTLE + SLACK).await;
        assert_eq!(lan.settled(&[4], SETTLE + SLACK).await.leader, 4);
        lan.flags(3, &["--peer", "10.77.0.1,10.77.0.2"]);
        let at = lan.start(&[3]);
        let mut reign = lan.settled(&machines, SETTLE * 2).await;
        lan.figure("two subnets were joined by one agent that names its peers", at.elapsed());
        lan.quiet(Duration::from_secs(2)).await;
        for _ in 0..2 {
            lan.until(SETTLE, "a successor is named", async |lan| {
                lan.status(reign.leader).await?.successor.map(|_| ())
            })
            .await;
            let at = lan.signal(reign.leader, Signal::SIGKILL);
            let survivors: Vec<usize> = machines.into_iter().filter(|m| *m != reign.leader).collect();
            let (_, took) = lan.failover(("kill -9 across subnets", at), &survivors, &reign, SETTLE + SLACK).await;
            assert!(took < AT_ONCE, "{took:?} after a kill");
            let next = lan.settled(&survivors, SETTLE).await;
            lan.ended(&[reign.leader], SLACK).await;
            let dead = reign.leader;
            let began = Instant::now();
            lan.start(&[dead]);
            reign = lan.settled(&machines, SETTLE * 2).await;
            assert_eq!(reign.leader, next.leader, "who comes back deposes nobody");
            lan.figure("a member came back, across subnets", began.elapsed());
        }
    });
}

/// Whoever answers for names on these machines: a file in the place of `/etc/hosts`, and nobody else.
fn names(text: &str) {
    std::fs::write("/run/hosts", text).expect("written");
    std::fs::write("/run/nobody", "").expect("written");
    let script = "mount --bind /run/hosts /etc/hosts && if [ -e /etc/resolv.conf ]; then \
                  mount --bind /run/nobody /etc/resolv.conf; fi";
    let mounted = std::process::Command::new("sh").args(["-c", script]).status();
    assert!(mounted.is_ok_and(|status| status.success()), "names of the test's own");
}

/// A peer is configured by its name, and nobody answers for that when the agent starts, as when a machine boots before
/// its name server. The agent serves its own subnet meanwhile; when the name is known, the two are joined.
#[test]
fn a_peer_whose_name_is_known_later_is_greeted_then() {
    story("subnets::a_peer_whose_name_is_known_later_is_greeted_then", async |lan| {
        two_subnets(lan).await;
        names("127.0.0.1 localhost\n");
        lan.start(&[1, 2]);
        lan.settled(&[1, 2], SETTLE + SLACK).await;
        lan.flags(3, &["--peer", "server.west.test"]);
        lan.start(&[3]);
        // The names had their two seconds first.
        assert_eq!(lan.settled(&[3], SETTLE * 2).await.leader, 3);
        std::fs::write("/run/hosts", "127.0.0.1 localhost\n10.77.0.1 server.west.test\n").expect("written");
        let at = Instant::now();
        lan.settled(&[1, 2, 3], Duration::from_secs(20) + SETTLE).await;
        lan.figure("two subnets were joined after the peer's name was known", at.elapsed());
    });
}

/// Writes kernel settings of a machine, `name=value` a line.
async fn sysctl(machine: Option<&str>, name: &str, value: &str) {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    feed(machine, "tee", &[&path], value).await;
}
