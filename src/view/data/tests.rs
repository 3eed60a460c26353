use super::*;
use crate::data::{Keep, ReignId, Revision};
use crate::time::Wall;
use bytes::Bytes;
use proptest::prelude::*;

fn point(number: u64) -> Point {
    Revision::new(ReignId(0x0a1b_2c3d << 32), number).into()
}

fn record(value: &[u8]) -> Record {
    Record {
        id: Uuid::from_u128(7),
        topic: "jobs".to_owned(),
        at: Stamp(Wall(1_795_233_565_123_456)),
        node: NodeId(Uuid::from_u128(1)),
        revision: point(5210),
        content: Content::new(value),
    }
}

#[test]
fn a_value_is_text_where_it_can_be() {
    let text = serde_json::to_string(&record("zwölf\n".as_bytes())).expect("JSON");
    assert!(text.ends_with(r#""revision":"5210.0a1b2c3d","value":"zwölf\n"}"#), "{text}");
    let binary = serde_json::to_string(&record(b"\xff\x00")).expect("JSON");
    assert!(binary.ends_with(r#""value_base64":"/wA="}"#), "{binary}");
    for value in [&b""[..], "zwölf\n".as_bytes(), b"\xff\x00", b"\0", &[0xfe; 1000]] {
        let text = serde_json::to_string(&record(value)).expect("JSON");
        let read: Record = serde_json::from_str(&text).expect("its own JSON");
        assert_eq!(read, record(value));
        assert_eq!((read.content.bytes(), read.content.clone().into_bytes().as_ref()), (value, value));
    }
}

#[test]
fn every_line_of_the_stream_can_be_read_back() {
    let change = Change {
        cursor: point(2),
        revision: point(2),
        op: Op::Put,
        topic: None,
        key: Some("a/b".to_owned()),
        version: Some(point(1)),
        id: Some(Uuid::from_u128(7)),
        at: Some(Stamp(Wall(1_795_233_565_123_456))),
        node: Some(NodeId(Uuid::from_u128(1))),
        content: Some(Content::new(b"v")),
    };
    let deleted =
        Change { op: Op::Delete, version: None, id: None, at: None, node: None, content: None, ..change.clone() };
    let only = |after: Option<&str>| Line::Only {
        only: vec!["a".to_owned()],
        after: after.map(str::to_owned),
        through: Some("b".to_owned()),
    };
    for (line, says) in [
        (Line::CaughtUp { caught_up: point(3) }, r#"{"caught_up":"3.0a1b2c3d"}"#),
        (Line::Again { again_from: Point::START }, r#"{"again_from":"0.00000000"}"#),
        (only(None), r#"{"only":["a"],"after":null,"through":"b"}"#),
        (only(Some("")), r#""after":"""#),
        (Line::Change(Box::new(change)), r#""op":"put","key":"a/b","version":"1.0a1b2c3d""#),
        (Line::Change(Box::new(deleted)), r#""op":"delete","key":"a/b","id":null,"at":null,"node":null}"#),
    ] {
        let text = serde_json::to_string(&line).expect("JSON");
        assert!(text.contains(says), "{text}");
        assert_eq!(serde_json::from_str::<Line>(&text).expect("its own JSON"), line);
    }
}

#[test]
fn text_that_would_be_longer_than_base64_is_in_base64_too() {
    let is_text = |bytes: &[u8]| matches!(Content::short(bytes), Content::Text { .. });
    assert!(is_text(b"") && is_text(b"\n") && is_text("zwölf".as_bytes()) && is_text(b"a \"quoted\" word"));
    assert!(!is_text(b"\x01") && !is_text(b"\xff") && !is_text(&[b'"'; 9]) && is_text(&[b'"'; 1]));
    for bytes in [&b"\x01"[..], b"\"\\\n\r\t\x08\x0c\x1f\x7f", "ü€".as_bytes()] {
        let text = std::str::from_utf8(bytes).expect("text");
        let escaped: usize = bytes.iter().map(|byte| content::in_json(*byte)).sum();
        assert_eq!(serde_json::to_string(text).expect("JSON").len(), escaped + 2, "{text:?}");
        assert_eq!(Content::short(bytes).bytes(), bytes);
    }
}

#[test]
fn how_a_conflict_is_settled_is_said_in_one_way() {
    let text = |value: &'static str| Keep::Value(Some(Bytes::from_static(value.as_bytes())));
    for (keep, body) in [
        (Keep::Present, r#"{"keep":"present"}"#),
        (Keep::Other, r#"{"keep":"other"}"#),
        (Keep::Value(None), r#"{"value":null}"#),
        (text(""), r#"{"value":""}"#),
        (text("ü"), r#"{"value":"ü"}"#),
        (Keep::Value(Some(Bytes::from_static(b"\xff\0"))), r#"{"value_base64":"/wA="}"#),
    ] {
        assert_eq!(serde_json::to_string(&Settlement::from(&keep)).expect("JSON"), body);
        let read: Settlement = serde_json::from_str(body).expect("its own JSON");
        assert_eq!(Keep::try_from(read), Ok(keep));
    }
    for body in ["{}", r#"{"keep":"other","value":null}"#, r#"{"value":"a","value_base64":""}"#] {
        let read: Settlement = serde_json::from_str(body).expect("JSON");
        assert_eq!(Keep::try_from(read), Err(NotOne), "{body}");
    }
    for body in [r#"{"keep":"both"}"#, r#"{"kep":"other"}"#, r#"{"value":7}"#, r#"{"value_base64":"/w"}"#] {
        assert!(serde_json::from_str::<Settlement>(body).is_err(), "{body}");
    }
}

#[test]
fn a_conflict_shows_both_sides() {
    let present = Present {
        version: Some(point(3)),
        at: Stamp(Wall(1_795_233_565_123_456)),
        node: NodeId(Uuid::from_u128(1)),
        deleted: false,
        content: Some(Content::new(b"here")),
    };
    let conflict = Conflict {
        id: point(2),
        key: "a/b".to_owned(),
        at: present.at,
        node: present.node,
        deleted: true,
        content: None,
        present,
    };
    let text = serde_json::to_string(&conflict).expect("JSON");
    assert!(text.starts_with(r#"{"id":"2.0a1b2c3d","key":"a/b","#), "{text}");
    assert!(text.contains(r#""deleted":true,"present":{"version":"3.0a1b2c3d""#), "{text}");
    assert!(text.ends_with(r#""deleted":false,"value":"here"}}"#), "{text}");
    assert_eq!(serde_json::from_str::<Conflict>(&text).expect("its own JSON"), conflict);
    let gone = Present { version: None, deleted: true, content: None, ..conflict.present.clone() };
    let other = Conflict { deleted: false, content: Some(Content::new(b"\xff")), present: gone, ..conflict };
    let text = serde_json::to_string(&other).expect("JSON");
    assert!(text.contains(r#""value_base64":"/w==","present":{"version":null"#), "{text}");
    assert_eq!(serde_json::from_str::<Conflict>(&text).expect("its own JSON"), other);
}

/// The examples of RFC 4648 §10.
#[test]
fn base64_is_that_of_everybody() {
    for (bytes, text) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(Base64(Bytes::from_static(bytes.as_bytes())).to_string(), text);
        assert_eq!(text.parse::<Base64>().map(|read| read.0), Ok(Bytes::from_static(bytes.as_bytes())));
    }
    for wrong in ["Z", "Zg", "Zg=", "Zh==", "Zm9=", "====", "Zg==Zg==", "Zm 9", "Zm9v\n", "Zm9-", "=Zm9", "Z==="] {
        assert_eq!(wrong.parse::<Base64>(), Err(NotBase64), "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn base64_comes_back(bytes: Vec<u8>) {
        let made = Base64(bytes.into());
        prop_assert_eq!(made.to_string().parse::<Base64>(), Ok(made));
    }
}
