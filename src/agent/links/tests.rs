use super::*;
use std::net::Ipv6Addr;

/// What Linux 6.18 told, message by message, in a network namespace with the links of
/// [`what_a_kernel_told_is_understood`]; counters and other long attributes are left out.
const RECORDED: &str = include_str!("recorded.hex");

fn recorded() -> Vec<LinkFacts> {
    let byte = |line: &str, i: usize| u8::from_str_radix(&line[i..i + 2], 16).expect("hexadecimal");
    let bytes: Vec<u8> = RECORDED
        .lines()
        .flat_map(|line| {
            let mut message: Vec<u8> = (0..line.len()).step_by(2).map(|i| byte(line, i)).collect();
            message.resize(message.len().next_multiple_of(4), 0);
            message
        })
        .collect();
    netlink::facts_of(&bytes)
}

fn names(all: &[LinkFacts], rules: &Rules) -> Vec<String> {
    eligible(all, rules).used.into_iter().map(|e| e.name).collect()
}

fn v4(text: &str, prefix: u8) -> Address {
    Address { ip: text.parse().expect("an address"), prefix, broadcast: None }
}

/// An Ethernet card that is fit in every way.
fn card(index: u32, name: &str) -> LinkFacts {
    LinkFacts {
        index,
        name: name.to_owned(),
        up: true,
        running: true,
        broadcast: true,
        multicast: true,
        addresses: vec![v4("10.0.0.1", 24)],
        ..LinkFacts::default()
    }
}

fn of_kind(kind: &str) -> LinkFacts {
    LinkFacts { kind: Some(kind.to_owned()), ..card(1, "one") }
}

#[test]
fn what_a_kernel_told_is_understood() {
    let all = recorded();
    let get = |name: &str| all.iter().find(|l| l.name == name).unwrap_or_else(|| panic!("{name} was recorded"));
    for (name, kind) in [
        ("lo", None),
        ("cable", Some("veth")),
        ("br-full", Some("bridge")),
        ("tap0", Some("tun")),
        ("tun0", Some("tun")),
        ("vx0", Some("vxlan")),
        ("mv0", Some("macvlan")),
    ] {
        assert_eq!(get(name).kind.as_deref(), kind, "{name}");
    }
    let lo = get("lo");
    assert!(lo.loopback && lo.up && lo.running && lo.addresses.contains(&v4("127.0.0.1", 8)));
    assert!(lo.addresses.iter().any(|a| a.ip == IpAddr::from(Ipv6Addr::LOCALHOST)));
    let cable = get("cable");
    assert!(cable.up && cable.running && cable.broadcast && cable.multicast && cable.master.is_none());
    let address = cable.addresses.iter().find(|a| a.ip.is_ipv4()).expect("an IPv4 address");
    assert_eq!(address.everybody(), Some(Ipv4Addr::new(10, 1, 1, 255)));
    assert!(cable.addresses.iter().any(|a| matches!(a.ip, IpAddr::V6(ip) if ip.is_unicast_link_local())));
    assert_eq!(get("port0").master, Some(get("br-cont").index));
    assert!(get("tun0").point_to_point && !get("mv0").up);
    // The only one that leads anywhere; a bridge of containers, an empty one, and tunnels do not. The far end of the
    // cable has no master either: in a real namespace it would be elsewhere.
    assert_eq!(names(&all, &Rules::default()), ["cable", "far0", "in0"].map(String::from));
}

#[test]
fn each_kind_of_link_one_change_at_a_time() {
    let fit = card(1, "one");
    let with = |change: &dyn Fn(&mut LinkFacts)| {
        let mut link = fit.clone();
        change(&mut link);
        link
    };
    let table: Vec<(&str, LinkFacts, bool)> = vec![
        ("ethernet", fit.clone(), true),
        ("wlan", with(&|l| l.name = "wlan0".into()), true),
        ("vlan", of_kind("vlan"), true),
        ("macvlan", of_kind("macvlan"), true),
        ("ipvlan", of_kind("ipvlan"), true),
        ("bond", of_kind("bond"), true),
        ("team", of_kind("team"), true),
        ("veth without a master", of_kind("veth"), true),
        ("multicast only", with(&|l| l.broadcast = false), true),
        ("broadcast only", with(&|l| l.multicast = false), true),
        ("IPv6 only", with(&|l| l.addresses = vec![v4("fe80::1", 64)]), true),
        ("port of a bond", with(&|l| l.master = Some(9)), false),
        ("veth in a bridge", LinkFacts { master: Some(9), ..of_kind("veth") }, false),
        ("empty bridge", of_kind("bridge"), false),
        ("tun or tap", of_kind("tun"), false),
        ("wireguard", of_kind("wireguard"), false),
        ("vxlan", of_kind("vxlan"), false),
        ("gre", of_kind("gre"), false),
        ("gretap", of_kind("gretap"), false),
        ("sit", of_kind("sit"), false),
        ("dummy", of_kind("dummy"), false),
        ("loopback", with(&|l| l.loopback = true), false),
        ("ppp without a kind", with(&|l| l.point_to_point = true), false),
        ("down", with(&|l| l.up = false), false),
        ("no carrier", with(&|l| l.running = false), false),
        ("no address", with(&|l| l.addresses.clear()), false),
        ("neither broadcast nor multicast", with(&|l| (l.broadcast, l.multicast) = (false, false)), false),
    ];
    for (what, link, expected) in table {
        assert_eq!(names(&[link], &Rules::default()).len() == 1, expected, "{what}");
    }
}

#[test]
fn a_bridge_counts_when_it_leads_out_of_the_machine() {
    let bridge = of_kind("bridge");
    let port = |kind: Option<&str>| LinkFacts {
        kind: kind.map(str::to_owned),
        master: Some(1),
        addresses: Vec::new(),
        ..card(2, "port")
    };
    for (ports, expected) in [
        (vec![port(None)], true),
        (vec![port(Some("veth")), port(None)], true),
        (vec![port(Some("bond"))], true),
        (vec![port(Some("veth")), port(Some("tun"))], false),
        (vec![], false),
    ] {
        let all: Vec<_> = std::iter::once(bridge.clone()).chain(ports.clone()).collect();
        assert_eq!(!names(&all, &Rules::default()).is_empty(), expected, "{ports:?}");
    }
}

#[test]
fn a_routing_domain_speaks_for_nobody() {
    let vrf = LinkFacts { index: 9, name: "vrf".into(), kind: Some("vrf".into()), ..LinkFacts::default() };
    let member = LinkFacts { master: Some(9), ..card(1, "one") };
    assert_eq!(names(&[member.clone(), vrf], &Rules::default()), ["one"]);
    assert!(names(&[member], &Rules::default()).is_empty(), "an unknown master speaks for it");
}

#[test]
fn lists_of_names_overrule() {
    let all = [card(1, "eth0"), card(2, "eth1"), LinkFacts { index: 3, name: "wg0".into(), ..of_kind("wireguard") }];
    for (only, deny, expected) in [
        (vec![], vec!["eth1"], vec!["eth0"]),
        (vec![], vec!["e*"], vec![]),
        (vec![], vec!["*1"], vec!["eth0"]),
        (vec!["wg0"], vec![], vec!["wg0"]),
        (vec!["*"], vec![], vec!["eth0", "eth1", "wg0"]),
        (vec!["e*h*"], vec!["eth0"], vec!["eth1"]),
        (vec!["eth"], vec![], vec![]),
    ] {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let rules = Rules { only: own(&only), deny: own(&deny), bind: None };
        assert_eq!(names(&all, &rules), expected, "only {only:?}, never {deny:?}");
    }
    let down = LinkFacts { running: false, ..card(1, "eth0") };
    assert!(names(&[down], &Rules { only: vec!["*".into()], ..Rules::default() }).is_empty(), "a name is no carrier");
}

#[test]
fn what_most_likely_leads_to_the_office_comes_first_and_what_finds_no_room_is_named() {
    let local = |link: LinkFacts| LinkFacts { addresses: vec![v4("fe80::1", 64)], ..link };
    let veth = |index: u32| LinkFacts { kind: Some("veth".into()), ..card(index, &format!("veth{index}")) };
    let containers = || (1..=80).map(|index| local(veth(index)));
    let used = |all: Vec<LinkFacts>| names(&all, &Rules::default());

    let host: Vec<_> = containers().chain([card(81, "eth0"), LinkFacts { index: 82, ..of_kind("vlan") }]).collect();
    assert_eq!(used(host.clone()), ["eth0", "one"]);
    assert_eq!(eligible(&host, &Rules::default()).warning(), None, "a container is nobody's office");
    let wanted = Rules { only: vec!["veth7".into(), "eth0".into()], ..Rules::default() };
    assert_eq!(names(&host, &wanted), ["eth0", "veth7"], "what is named is used");

    let inside: Vec<_> = containers().chain([LinkFacts { name: "eth0".into(), ..veth(81) }]).collect();
    let found = eligible(&inside, &Rules::default());
    assert_eq!((found.used.len(), found.used[0].name.as_str()), (INTERFACES, "eth0"));
    assert_eq!(found.left_out.len(), 81 - INTERFACES);
    let warning = found.warning().expect("it is said");
    assert!(warning.contains("veth64 and 16 more"), "{warning}");
    assert_eq!(used((1..=3).map(|n| card(9 - n, &format!("eth{n}"))).collect()), ["eth3", "eth2", "eth1"]);
}

#[test]
fn one_address_is_the_link_while_it_is_there() {
    let lo = LinkFacts { loopback: true, addresses: vec![v4("127.0.0.1", 8)], ..card(1, "lo") };
    let all = [lo, card(2, "eth0")];
    let of = |text: &str| {
        let rules = Rules { bind: Some(text.parse().expect("an address")), ..Rules::default() };
        eligible(&all, &rules)
            .used
            .into_iter()
            .map(|e| (e.name.clone(), e.addresses[0].everybody()))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("127.7.8.9"), [("lo".to_owned(), Some(Ipv4Addr::new(127, 255, 255, 255)))]);
    assert_eq!(of("10.0.0.1"), [("eth0".to_owned(), Some(Ipv4Addr::new(10, 0, 0, 255)))]);
    assert!(of("10.0.0.2").is_empty(), "another machine's");
    assert!(of("fd00::1").is_empty());
}

#[test]
fn subnets_and_everybody_in_them() {
    for (own, prefix, everybody) in [
        ("10.1.2.3", 24, Some("10.1.2.255")),
        ("10.1.2.3", 30, Some("10.1.2.3")),
        ("10.1.2.3", 31, None),
        ("10.1.2.3", 32, None),
        ("10.1.2.3", 0, Some("255.255.255.255")),
    ] {
        assert_eq!(v4(own, prefix).everybody().map(|ip| ip.to_string()).as_deref(), everybody, "{own}/{prefix}");
    }
    let has = |own: &str, prefix, other: &str| v4(own, prefix).subnet_has(other.parse().expect("an address"));
    assert!(has("10.1.2.3", 24, "10.1.2.77") && !has("10.1.2.3", 24, "10.1.3.77"));
    assert!(has("10.1.2.3", 32, "10.1.2.3") && has("10.1.2.3", 0, "1.1.1.1"));
    assert!(has("fd00::1", 64, "fd00::2") && !has("fd00::1", 64, "fd00:0:0:1::2") && !has("fd00::1", 0, "1.1.1.1"));
}

#[test]
fn the_kernel_here_tells_of_its_loopback_interface() {
    let all = netlink::scan().expect("the kernel can be asked");
    let lo = all.iter().find(|l| l.loopback).expect("every machine has one");
    assert!(lo.index > 0 && !lo.name.is_empty());
}

#[test]
fn broken_messages_are_harmless() {
    let hex = RECORDED.lines().nth(2).expect("a message");
    let whole: Vec<u8> =
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex")).collect();
    for cut in 0..whole.len() {
        netlink::facts_of(&whole[..cut]);
        let mut bent = whole.clone();
        bent[cut] ^= 0xff;
        netlink::facts_of(&bent);
    }
}
