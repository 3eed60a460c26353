use super::*;
use crate::claim::Claim;
use crate::data::ReignId;
use crate::event::{Cause, Event as Happened, Kind, Level};
use crate::ident::{BootId, Incarnation};
use crate::message::Brought;
use crate::time::Wall;
use serde_json::json;
use std::time::Duration;

const AT: Wall = Wall(1_795_233_565_123_456);

fn node(n: u128) -> Incarnation {
    Incarnation { id: NodeId(uuid::Uuid::from_u128(n)), boot: BootId(n as u64) }
}

fn who(n: u128) -> Who {
    Who { node: node(n), name: format!("pc-{n}"), address: Some(format!("10.0.0.{n}:8264").parse().expect("valid")) }
}

fn status() -> protocol::Status {
    protocol::Status {
        node: node(1),
        name: "pc-1".into(),
        sure: true,
        gives_up: false,
        role: RoleName::Following,
        shown: Some(Claim { epoch: 7, at: AT, node: node(2) }),
        leader: Some(who(2)),
        successor: Some(who(3)),
        via: None,
        since: AT,
        trouble: vec![protocol::Trouble::TwoLeaders],
        members: 3,
    }
}

fn id(n: u128) -> String {
    node(n).id.to_string()
}

#[test]
fn status_has_every_field_of_the_interface() {
    let standing = Standing { cluster: "office", version: "0.1.0", quorum: 1, keyed: false };
    let told = serde_json::to_value(Status::new(&status(), standing)).expect("JSON");
    let expected = json!({
        "node": {"id": id(1), "name": "pc-1", "version": "0.1.0", "boot": "0000000000000001"},
        "cluster": "office",
        "role": "following",
        "epoch": 7,
        "leader": {"id": id(2), "name": "pc-2", "address": "10.0.0.2:8264", "host": "10.0.0.2", "port": 8264},
        "successor": {"id": id(3), "name": "pc-3", "address": "10.0.0.3:8264", "host": "10.0.0.3", "port": 8264},
        "via": null,
        "revision": 0,
        "digest": "00000000000000000000000000000000",
        "conflicts": 0,
        "trouble": ["two-leaders"],
        "kept_aside": 0,
        "members": 3,
        "quorum": 1,
        "keyed": false,
        "since": "2026-11-21T03:59:25.123456Z",
    });
    assert_eq!(told, expected);
}

#[test]
fn an_event_of_an_epoch_that_is_over_names_no_leader_of_a_later_one() {
    let status = status();
    let leader = |shows| event::leader_facts(&status, shows).map(|(_, value)| value != crate::event::Value::Null);
    assert_eq!(leader(7), [true; 5]);
    // The step that told it has gone on to the next leader.
    assert_eq!(leader(6), [false; 5]);
}

#[test]
fn leader_says_whether_it_is_this_agent() {
    let mut status = status();
    let told = serde_json::to_value(Leader::new(&status)).expect("JSON");
    let mut expected = json!({
        "id": id(2), "name": "pc-2", "address": "10.0.0.2:8264", "host": "10.0.0.2", "port": 8264, "epoch": 7, "since": "2026-11-21T03:59:25.123456Z",
        "self": false,
    });
    assert_eq!(told, expected);
    status.node = node(2);
    expected["self"] = true.into();
    assert_eq!(serde_json::to_value(Leader::new(&status)).expect("JSON"), expected);
    status.leader = None;
    assert_eq!(Leader::new(&status), None);
}

#[test]
fn members_name_the_one_they_are_reached_through() {
    let listed = |n: u128, via: Option<u128>| MemberView {
        member: Listed {
            node: node(n),
            name: format!("pc-{n}"),
            address: format!("10.0.0.{n}:8264").parse().expect("valid"),
            version: "0.1.0".into(),
            priority: 100,
            state: MemberState::Alive,
            whole: true,
            sick: false,
            rtt_us: Some(310),
            seniority_ms: 1,
            via: via.map(|n| node(n).id),
        },
        role: RoleName::Following,
        successor: n == 3,
        heard: (n != 1).then_some(Duration::from_micros(12_500)),
        revision: (n != 1).then_some(8),
        place: Some(1),
        because: "lowest round trip".into(),
    };
    let mut members = Members::new(&status(), &[listed(3, None), listed(1, Some(3))]);
    members.here(10);
    let told = serde_json::to_value(members).expect("JSON");
    let expected = json!({"members": [
        {
            "id": id(3), "name": "pc-3", "address": "10.0.0.3:8264", "host": "10.0.0.3", "port": 8264, "self": false, "role": "following",
            "successor": true, "state": "alive", "last_heard_ms": 12, "revision": 8, "lag": 2, "rtt_us": 310,
            "version": "0.1.0", "priority": 100, "via": null, "place": 1, "because": "lowest round trip",
        },
        {
            "id": id(1), "name": "pc-1", "address": "10.0.0.1:8264", "host": "10.0.0.1", "port": 8264, "self": true, "role": "following",
            "successor": false, "state": "alive", "last_heard_ms": 0, "revision": 10, "lag": 0, "rtt_us": 310,
            "version": "0.1.0", "priority": 100,
            "via": {"id": id(3), "name": "pc-3", "address": "10.0.0.3:8264", "host": "10.0.0.3", "port": 8264},
            "place": 1, "because": "lowest round trip",
        },
    ]});
    assert_eq!(told, expected);
}

#[test]
fn history_is_newest_first_and_names_whom_this_agent_met() {
    let reign = |epoch: u64, n: u128| protocol::Reign {
        claim: Claim { epoch, at: AT, node: node(n) },
        name: format!("pc-{n}"),
        began: AT,
        ended: None,
        cause: Cause::CutOff,
        text: "pc-1 lost its last link".into(),
    };
    let report = |stays: u128, yields: u128| protocol::ReunionReport {
        at: AT,
        stays: Claim { epoch: 9, at: AT, node: node(stays) },
        yields: Claim { epoch: 8, at: AT, node: node(yields) },
        both_led_ms: Some(15_000),
        text: "two met".into(),
    };
    let reigns = [reign(7, 2), reign(8, 1)];
    for (own, reunion, with) in [(1, report(2, 1), "pc-2"), (2, report(2, 1), "pc-1"), (9, report(1, 2), "pc-2")] {
        let history = History::new(node(own).id, &reigns, &[reunion], &[]);
        assert_eq!(history.reigns.iter().map(|r| r.epoch).collect::<Vec<_>>(), [8, 7]);
        assert_eq!(history.reunions[0].with.name, with);
    }
    let told = serde_json::to_value(History::new(node(1).id, &reigns[..1], &[], &[])).expect("JSON");
    let expected = json!({
        "reigns": [{
            "epoch": 7, "leader": {"id": id(2), "name": "pc-2", "address": null, "host": null, "port": null},
            "began": "2026-11-21T03:59:25.123456Z", "ended": null, "cause": "cut-off",
            "text": "pc-1 lost its last link",
        }],
        "reunions": [],
        "drills": [],
    });
    assert_eq!(told, expected);
}

#[test]
fn what_members_of_the_leader_that_yielded_brought_belongs_to_the_reunion() {
    let claim = |epoch, n| Claim { epoch, at: AT, node: node(n) };
    let yields = claim(8, 2);
    let met = protocol::ReunionReport {
        at: AT,
        stays: claim(9, 1),
        yields,
        both_led_ms: None,
        text: "this machine met leader pc-2: pc-2 yields".into(),
    };
    let brought = |with: u128, reign, records, conflicting: &[&str]| {
        let mut brought = Brought { records, keys: 1, ..Brought::default() };
        brought.names(conflicting.iter().map(|key| (*key).to_owned()).collect(), vec![]);
        let (name, text) = (format!("pc-{with}"), format!("pc-{with} brought {records}"));
        protocol::BroughtReport { at: AT, with: node(with).id, name, epoch: 9, reign, brought, text }
    };
    let yielded = ReignId::of(&yields);
    // The newest first, as the store keeps them.
    let all = [brought(4, ReignId(7), 1, &[]), brought(2, yielded, 20, &["b"]), brought(3, yielded, 100, &["a"])];
    let reunions = History::new(node(1).id, &[], &[met], &all).reunions;
    let told: Vec<_> = reunions.iter().map(|r| (r.with.id, r.records, r.keys, r.conflicts, r.text.as_str())).collect();
    let text = "this machine met leader pc-2: pc-2 yields; pc-3 brought 100; pc-2 brought 20";
    assert_eq!(told, [(node(2).id, 120, 2, 2, text), (node(4).id, 1, 1, 0, "pc-4 brought 1")]);
}

#[test]
fn an_event_carries_its_fields_beside_its_own_names_and_survives_the_trip() {
    let happened = Happened {
        kind: Kind::LeaderLost,
        level: Level::Warn,
        at: AT,
        epoch: 7,
        cause: Some(Cause::Died),
        text: "leader pc-3 is gone".into(),
        fields: vec![("leader", "pc-3".into()), ("took_us", 400.into()), ("epoch", 99.into())],
    };
    let event = Event::from(&happened);
    let told = serde_json::to_string(&Line::Event(event.clone())).expect("JSON");
    assert_eq!(
        told,
        r#"{"at":"2026-11-21T03:59:25.123456Z","event":"leader-lost","epoch":7,"cause":"died","level":"warn","text":"leader pc-3 is gone","leader":"pc-3","took_us":400}"#
    );
    assert_eq!(serde_json::from_str::<Line>(&told).expect("a line"), Line::Event(event));
    assert_eq!(serde_json::from_str::<Line>(r#"{"lagged":3}"#).expect("a line"), Line::Lagged { lagged: 3 });
}

#[test]
fn the_present_state_is_an_event_of_its_role() {
    let told = serde_json::to_value(Event::present(&status())).expect("JSON");
    let expected = json!({
        "at": "2026-11-21T03:59:25.123456Z", "event": "following", "epoch": 7, "level": "info", "present": true,
        "text": "this machine follows pc-2", "leader": "pc-2", "leader_id": id(2), "leader_address": "10.0.0.2:8264",
        "leader_host": "10.0.0.2", "leader_port": 8264,
        "successor": "pc-3", "via": null,
    });
    assert_eq!(told, expected);
}

#[test]
fn a_clock_that_shows_nonsense_is_still_shown() {
    assert_eq!(Stamp(Wall(u64::MAX)).to_string(), "9999-12-30T22:00:00.999999Z");
    assert_eq!(Stamp(Wall(0)).to_string(), "1970-01-01T00:00:00.000000Z");
    let back: Stamp = serde_json::from_str(r#""2026-11-21T03:59:25.123456Z""#).expect("a time");
    assert_eq!(back, Stamp(AT));
}
