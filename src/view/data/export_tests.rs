use super::*;
use crate::data::{ReignId, Revision};
use crate::time::Wall;
use bytes::Bytes;
use proptest::prelude::*;

fn point(number: u64) -> Point {
    Revision::new(ReignId(0x0a1b_2c3d << 32), number).into()
}

fn node() -> NodeId {
    NodeId(Uuid::from_u128(1))
}

fn sibling(value: Option<&[u8]>) -> Sibling {
    let (id, at) = (Uuid::from_u128(7), Stamp(Wall(1_795_233_565_123_456)));
    Sibling { birth: point(3), id, at, node: node(), content: value.map(Content::short), deleted: value.is_none() }
}

fn record(topic: &str, value: &[u8]) -> Line {
    Line::Record(Record {
        record: Uuid::from_u128(7),
        topic: topic.to_owned(),
        birth: point(5210),
        at: Stamp(Wall(1_795_233_565_123_456)),
        node: node(),
        content: Content::short(value),
    })
}

fn key(key: &str, siblings: Vec<Sibling>) -> Line {
    Line::Key(Key { key: key.to_owned(), siblings, kept_aside: false })
}

fn text(line: &Line) -> String {
    serde_json::to_string(line).expect("JSON")
}

fn every_line() -> Vec<Line> {
    let header = Header {
        tanist_export: FORMAT,
        at: Stamp(Wall(1_795_233_565_123_456)),
        cluster: "office".to_owned(),
        node: node(),
        cursor: point(5210),
    };
    vec![
        Line::Header(header),
        record("jobs", b"first job"),
        record("ü\n", b"\xff\0"),
        key("app/config", vec![sibling(Some(b"v1"))]),
        key("k", vec![sibling(None), sibling(Some(b"")), sibling(Some(b"\xff"))]),
        Line::End(End { end: true, records: 2, keys: 2, conflicts: 2 }),
    ]
}

#[test]
fn every_line_can_be_read_back() {
    for line in every_line() {
        assert_eq!(Line::read(text(&line).as_bytes()), Ok(line));
    }
    let lines: Vec<String> = every_line().iter().map(text).collect();
    assert!(lines[0].starts_with(r#"{"tanist_export":1,"at":"20"#), "{}", lines[0]);
    assert!(
        lines[1]
            .starts_with(r#"{"record":"00000000-0000-0000-0000-000000000007","topic":"jobs","birth":"5210.0a1b2c3d","#)
    );
    assert!(lines[1].ends_with(r#""value":"first job"}"#));
    assert!(lines[4].contains(r#""deleted":true},{"birth""#) && lines[4].ends_with(r#""value_base64":"/w=="}]}"#));
    assert_eq!(lines[5], r#"{"end":true,"records":2,"keys":2,"conflicts":2}"#);
}

#[test]
fn what_a_later_version_adds_is_passed_over_and_its_format_is_not() {
    let more = text(&record("jobs", b"v")).replacen('{', r#"{"more":{"a":[1]},"#, 1);
    assert_eq!(Line::read(more.as_bytes()), Ok(record("jobs", b"v")));
    for later in [&br#"{"tanist_export":2}"#[..], br#"{"tanist_export":2,"at":[7]}"#] {
        assert_eq!(Line::read(later), Err(NotALine::Later(2)));
    }
}

#[test]
fn the_longest_line_is_no_longer_than_a_line_may_be() {
    // The worst that a key may have: an odd length each, and nothing that text could show shorter.
    let mut siblings = vec![sibling(Some(&[0xff; VALUE]))];
    siblings.extend((1..SIBLINGS).map(|_| sibling(Some(&vec![0xff; ENTRY / (SIBLINGS - 1)]))));
    for sibling in &mut siblings {
        sibling.birth = "18446744073709551615.0a1b2c3d".parse().expect("a point");
    }
    let line = key(&"\u{1}".repeat(KEY), siblings);
    let long = text(&line);
    assert!(long.len() <= LINE && long.len() > LINE - 16 * 1024, "{} of {LINE}", long.len());
    assert_eq!(Line::read(long.as_bytes()), Ok(line));
    assert!(text(&record(&"\u{1}".repeat(TOPIC), &[1; VALUE])).len() < LINE);
}

#[test]
fn a_broken_line_says_what_is_wrong() {
    let good = text(&record("jobs", b"v"));
    let without = |field: &str| {
        let mut line: serde_json::Value = serde_json::from_str(&good).expect("JSON");
        line.as_object_mut().expect("an object").remove(field).expect("it was there");
        line.to_string()
    };
    let keyed = |siblings: &str| format!(r#"{{"key":"k","siblings":[{siblings}]}}"#);
    let one = serde_json::to_string(&sibling(Some(b"v"))).expect("JSON");
    let gone = serde_json::to_string(&sibling(None)).expect("JSON");
    let half = "v".repeat(VALUE);
    let large = serde_json::to_string(&sibling(Some(half.as_bytes()))).expect("JSON");
    for (line, says) in [
        (String::new(), "not JSON: EOF"),
        (good[..good.len() - 3].to_owned(), "not JSON: EOF"),
        ("{\"key\":tru}".to_owned(), "not JSON: expected ident, at byte 11"),
        ("[]".to_owned(), "not as an export has it"),
        ("{}".to_owned(), "neither a record nor a key"),
        (r#"{"end":false}"#.to_owned(), "neither a record nor a key"),
        (r#"{"end":true,"records":1,"keys":1}"#.to_owned(), "no `conflicts`"),
        (r#"{"tanist_export":0}"#.to_owned(), "no format 0"),
        (r#"{"tanist_export":1}"#.to_owned(), "no `at`"),
        (without("topic"), "no `topic`"),
        (without("birth"), "no `birth`"),
        (without("at"), "no `at`"),
        (without("node"), "no `node`"),
        (without("value"), "no `value`, and no `value_base64`"),
        (good.replace("jobs", ""), "the topic is empty"),
        (good.replace("jobs", "a\\u0000b"), "the topic has a NUL"),
        (good.replace("jobs", &"t".repeat(TOPIC + 1)), "257 bytes, and may have 256"),
        (good.replace("5210.0a1b2c3d", "5210"), "a version or cursor is a number"),
        (good.replace("2026-", "soon-"), "RFC 3339"),
        (good.replace("00000007", "0007"), "UUID"),
        (good.replace("\"v\"", "7"), "expected a string"),
        (good.replace("\"v\"", "\"v\",\"value_base64\":\"\""), "both"),
        (good.replace("\"v\"", &format!("\"{}\"", "v".repeat(VALUE + 1))), "1048577 bytes"),
        (good.replace("\"value\":\"v\"", "\"value_base64\":\"v\""), "not base64"),
        (keyed(""), "the key has no value"),
        (keyed(&gone), "the key has no value"),
        (keyed(&one.replace("\"id\"", "\"di\"")), "no `id`"),
        (keyed(&one.replace("\"value\"", "\"deleted\":true,\"value\"")), "one of"),
        (keyed(&one.replace("\"value\"", "\"values\"")), "one of"),
        (keyed(&[one.as_str(); SIBLINGS + 1].join(",")), "at most 64"),
        (keyed(&[large.as_str(); ENTRY / VALUE + 2].join(",")), "the conflicts of the key have"),
        (r#"{"key":"k"}"#.to_owned(), "no `siblings`"),
        (keyed(&one).replace("\"k\"", "\"\""), "the key is empty"),
        (keyed(&one).replace("\"k\"", &format!("\"{}\"", "k".repeat(KEY + 1))), "1025 bytes"),
    ] {
        let why = Line::read(line.as_bytes()).expect_err(says).to_string();
        assert!(why.contains(says), "{says}: {why}: {line:.200}");
    }
    assert!(Line::read(keyed(&[large.as_str(); ENTRY / VALUE + 1].join(",")).as_bytes()).is_ok());
}

proptest! {
    /// What the clock of a machine can show, to the microsecond.
    #[test]
    fn times_come_back_exactly(at in 0..253_402_207_200_000_000_u64, value: Vec<u8>, topic in "[^\0]{1,50}") {
        let content = Content::short(&value);
        let line = Line::Record(Record {
            record: Uuid::from_u128(u128::from(at)),
            topic,
            birth: point(at),
            at: Stamp(Wall(at)),
            node: node(),
            content,
        });
        let read = Line::read(text(&line).as_bytes());
        prop_assert_eq!(&read, &Ok(line));
        let Ok(Line::Record(record)) = read else { unreachable!("it was a record") };
        prop_assert_eq!(record.content.into_bytes(), Bytes::from(value));
    }

    #[test]
    fn garbage_never_panics(noise: Vec<u8>, at: prop::sample::Index, byte: u8) {
        let _ = Line::read(&noise);
        for line in every_line() {
            let mut line = text(&line).into_bytes();
            let at = at.index(line.len());
            line[at] = byte;
            let _ = Line::read(&line);
        }
    }
}
