//! What holds for every message, and for whatever else arrives.

use super::samples::{self, casts, frames, heartbeat, longest_sender, sender};
use super::*;
use crate::message::{
    BODY_MAX, Changes, Goodbye, Handover, HandoverDone, Hello, Member, MemberState, Members, NAME_MAX, Question,
    Reigns, STORY_MAX, Story, Welcome,
};
use proptest::prelude::*;
use rmp_serde::encode::to_vec_named;
use serde::Serialize;

fn office() -> Wire {
    Wire::new("office")
}

/// The longest head that a datagram can have.
fn longest_wire() -> Wire {
    Wire::new(&"c".repeat(CLUSTER_MAX))
}

fn messages() -> Vec<Vec<u8>> {
    let wire = office();
    let datagrams = casts().into_iter().map(|cast| wire.datagram(&sender(), &cast));
    let frames = frames().into_iter().map(|frame| wire.frame(&frame).expect("fits").to_vec());
    datagrams.chain(frames).collect()
}

/// A message that is put together by hand. Every part is a value of its own.
#[derive(Serialize)]
struct Made<F: Serialize, B: Serialize> {
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Vec<Vec<u8>>>,
    v: u64,
    c: &'static str,
    t: &'static str,
    f: F,
    b: B,
    #[serde(skip_serializing_if = "Option::is_none")]
    later: Option<Vec<Vec<u8>>>,
}

fn made<F: Serialize, B: Serialize>(v: u64, t: &'static str, f: F, b: B) -> Vec<u8> {
    let news = Some(vec![vec![1, 2], vec![3]]);
    to_vec_named(&Made { before: news.clone(), v, c: "office", t, f, b, later: news }).expect("has an encoding")
}

#[test]
fn every_message_comes_back_as_it_was() {
    for wire in [office(), longest_wire()] {
        for from in [sender(), longest_sender()] {
            for cast in casts() {
                let read = wire.read_datagram(&wire.datagram(&from, &cast));
                assert_eq!(read, Ok(Datagram { from: from.clone(), cast }));
            }
        }
        for frame in frames() {
            assert_eq!(wire.read_frame(&wire.frame(&frame).expect("fits")), Ok(frame));
        }
    }
}

#[test]
fn the_samples_have_every_word() {
    let missing = |all: &[&'static str], found: Vec<&str>| all.iter().find(|word| !found.contains(word)).copied();
    assert_eq!(missing(words::CASTS, casts().iter().map(words::cast_word).collect()), None);
    assert_eq!(missing(words::FRAMES, frames().iter().map(words::frame_word).collect()), None);
    assert_eq!((words::CASTS.len(), words::FRAMES.len()), (8, 44));
}

#[test]
fn no_datagram_is_too_long_and_no_answer_longer_than_its_question() {
    let wire = longest_wire();
    for cast in casts() {
        let length = wire.datagram(&longest_sender(), &cast).len();
        assert!(length <= DATAGRAM_MAX, "{cast:?} has {length} bytes");
        match cast {
            Cast::Hello(_) | Cast::Question(_) => assert_eq!(length, ASK_SIZE),
            Cast::Hi(_) | Cast::Welcome(_) | Cast::Answer(_) => assert!(length <= ASK_SIZE, "{cast:?}: {length}"),
            Cast::Heartbeat(_) | Cast::Notice(_) | Cast::Goodbye(_) => {}
        }
    }
}

#[test]
fn what_asks_without_padding_is_not_believed() {
    let question = made(1, "question", sender(), Question { nonce: 1, to: samples::node(2) });
    assert_eq!(office().read_datagram(&question), Err(Unread::Malformed("what asks must be padded")));
    assert!(office().read_datagram(&made(1, "heartbeat", sender(), heartbeat())).is_ok());
}

#[test]
fn what_is_too_long_is_cut_at_a_character() {
    let wire = office();
    let long = "ä".repeat(STORY_MAX);
    let from = Sender { name: format!("n{long}"), ..sender() };
    let hello = Cast::Hello(Hello { broadcast: true, version: long.clone(), priority: 1 });
    let read = wire.read_datagram(&wire.datagram(&from, &hello)).expect("readable");
    assert_eq!(read.from.name, format!("n{}", "ä".repeat(31)), "64 bytes would split the last character");
    let Cast::Hello(hello) = read.cast else { panic!("a Hello") };
    assert_eq!(hello.version, "ä".repeat(VERSION_MAX / 2));

    let through = |frame: Frame| wire.read_frame(&wire.frame(&frame).expect("fits")).expect("readable");
    let reigns = Reigns {
        claim: samples::claim(1, 1),
        story: Story { name: long.clone(), cause: crate::event::Cause::First, text: long.clone() },
    };
    let Frame::Reigns(read) = through(Frame::Reigns(reigns)) else { panic!("as sent") };
    assert_eq!((read.story.name.len(), read.story.text.len()), (NAME_MAX, STORY_MAX));
    let done = HandoverDone { request: 1, refused: Some(long.clone()) };
    let Frame::HandoverDone(read) = through(Frame::HandoverDone(done)) else { panic!("as sent") };
    assert_eq!(read.refused.expect("a reason").len(), REASON_MAX);
    let Frame::ViaFailed(read) = through(Frame::ViaFailed(long.clone())) else { panic!("as sent") };
    assert_eq!(read.len(), REASON_MAX);
    let Frame::Handover(read) = through(Frame::Handover(Handover { request: 1, to: Some(long) })) else {
        panic!("as sent")
    };
    assert_eq!(read.to.expect("a name").len(), ASKED_MAX);
}

#[test]
fn what_is_too_long_is_refused_when_it_arrives() {
    let long = "x".repeat(STORY_MAX + 1);
    let wire = office();
    let named = Sender { name: "n".repeat(NAME_MAX + 1), ..sender() };
    let heartbeat = made(1, "heartbeat", named, heartbeat());
    assert_eq!(wire.read_datagram(&heartbeat), Err(Unread::Malformed("the name is too long")));
    let reigns = |name: &str, text: &str| Reigns {
        claim: samples::claim(1, 1),
        story: Story { name: name.to_owned(), cause: crate::event::Cause::First, text: text.to_owned() },
    };
    for (bytes, what) in [
        (made(1, "reigns", (), reigns("pc", &long)), "the story is too long"),
        (made(1, "reigns", (), reigns(&long, "")), "the leader's name is too long"),
        (made(1, "via_failed", (), &long[..REASON_MAX + 1]), "the reason is too long"),
        (
            made(1, "handover_done", (), HandoverDone { request: 1, refused: Some(long[..513].to_owned()) }),
            "the reason is too long",
        ),
        (
            made(1, "handover", (), Handover { request: 1, to: Some(long[..ASKED_MAX + 1].to_owned()) }),
            "the name that is asked for is too long",
        ),
        (made(1, "members", (), list(1, &long)), "a member's name is too long"),
        (made(1, "members", (), list(limits::MEMBERS_MAX + 1, "pc")), "too many members"),
    ] {
        assert_eq!(wire.read_frame(&bytes), Err(Unread::Malformed(what)));
    }
    assert_eq!(wire.read_datagram(&[0; DATAGRAM_MAX + 1]), Err(Unread::TooLong));
    assert_eq!(wire.read_frame(&vec![0; FRAME_MAX + 1]), Err(Unread::TooLong));
}

fn list(members: usize, name: &str) -> Members {
    let member = Member {
        node: samples::node(1),
        name: name.to_owned(),
        address: ([10, 0, 0, 1], 8264).into(),
        version: "0.1.0".to_owned(),
        priority: 1,
        state: MemberState::Alive,
        whole: true,
        sick: false,
        rtt_us: None,
        seniority_ms: 1,
        via: None,
    };
    Members { changed: vec![member; members], gone: Vec::new() }
}

#[test]
fn the_largest_list_of_members_fits_and_a_larger_one_is_not_sent() {
    let long = "n".repeat(NAME_MAX);
    let full = Frame::Members(list(limits::MEMBERS_MAX, &long));
    let bytes = office().frame(&full).expect("fits");
    assert!(bytes.len() < FRAME_MAX / 2, "{} bytes leave room for more fields", bytes.len());
    assert_eq!(office().read_frame(&bytes), Ok(full));
    let over = Frame::Members(list(limits::MEMBERS_MAX + 1, "pc"));
    assert_eq!(office().frame(&over), Err(TooLong("too many members")));
}

#[test]
fn another_cluster_is_told_apart() {
    let home = Wire::new("home");
    for cast in casts() {
        assert_eq!(home.read_datagram(&office().datagram(&sender(), &cast)), Err(Unread::OtherCluster));
    }
    for frame in frames() {
        assert_eq!(home.read_frame(&office().frame(&frame).expect("fits")), Err(Unread::OtherCluster));
    }
}

#[test]
fn later_versions_are_read_as_far_as_they_are_known() {
    #[derive(Serialize)]
    struct LaterPong {
        colour: &'static str,
        seq: u64,
        list: Vec<Vec<u8>>,
    }
    let wire = office();
    let pong = LaterPong { colour: "red", seq: 9, list: vec![vec![1], vec![]] };
    assert_eq!(
        wire.read_frame(&made(2, "pong", (), &pong)),
        Ok(Frame::Pong(crate::message::Pong { seq: 9, held_us: 0 }))
    );
    assert_eq!(wire.read_frame(&made(99, "leaves", (), &pong)), Ok(Frame::Leaves), "a body where there was none");

    let unknown = |word: &str| Err(Unread::Unknown(word.to_owned()));
    assert_eq!(wire.read_frame(&made(2, "dance", (), &pong)), unknown("dance"));
    let long = "a_word_much_longer_than_any_word_of_this_protocol";
    assert_eq!(wire.read_frame(&made(2, long, (), &pong)), unknown(&long[..32]));
    assert_eq!(
        wire.read_datagram(&made(2, "dance", sender(), &pong)).map(|_| ()),
        Err(Unread::Unknown("dance".into()))
    );
    assert_eq!(wire.read_frame(&made(2, "told", (), "perhaps")), unknown("perhaps"), "a choice of a known type");
    assert_eq!(wire.read_frame(&made(VERSION_END, "leaves", (), ())), Err(Unread::Version(VERSION_END)));
    assert_eq!(wire.read_frame(&made(0, "leaves", (), ())), Err(Unread::Malformed("it has no version")));
}

#[test]
fn missing_and_doubled_parts_are_malformed() {
    // Heads of maps, then {v, c, t, b} of a pong.
    let part = |key: &str, value: &[u8]| [&[0xa0 | key.len() as u8], key.as_bytes(), value].concat();
    let parts = [part("v", &[1]), part("c", b"\xa6office"), part("t", b"\xa4pong"), part("b", b"\x81\xa3seq\x09")];
    let whole = [&[0x84][..], &parts.concat()].concat();
    assert!(office().read_frame(&whole).is_ok());
    for left_out in 0..parts.len() {
        let rest: Vec<u8> = (0..parts.len()).filter(|n| *n != left_out).flat_map(|n| parts[n].clone()).collect();
        let bytes = [&[0x83][..], &rest].concat();
        assert!(matches!(office().read_frame(&bytes), Err(Unread::Malformed(_))), "without part {left_out}");
    }
    for doubled in &parts {
        let bytes = [&[0x85][..], &parts.concat(), doubled].concat();
        assert_eq!(office().read_frame(&bytes), Err(Unread::Malformed("a part is there twice")));
    }
    let no_sender = made(1, "heartbeat", (), heartbeat());
    assert!(matches!(office().read_datagram(&no_sender), Err(Unread::Malformed(_))));
}

#[test]
fn what_is_cut_off_or_followed_by_something_is_malformed() {
    for bytes in messages() {
        for length in 0..bytes.len() {
            assert!(matches!(office().read_datagram(&bytes[..length]), Err(Unread::Malformed(_) | Unread::TooLong)));
            assert!(matches!(office().read_frame(&bytes[..length]), Err(Unread::Malformed(_))));
        }
        let more = [&bytes[..], &[0]].concat();
        assert_eq!(office().read_frame(&more), Err(Unread::Malformed("something follows the message")));
    }
}

#[test]
fn bombs_do_not_go_off() {
    let deep = |head: &[u8], n: usize| [&[0x81, 0xa1, b'x'][..], &head.repeat(n), &[0xc0]].concat();
    for bomb in [
        deep(&[0x91], 100_000),
        deep(&[0x81, 0xc0], 100_000),
        vec![0xdd, 0xff, 0xff, 0xff, 0xff],
        vec![0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1, b'v'],
        vec![0x81, 0xa1, b'x', 0xdb, 0xff, 0xff, 0xff, 0xff],
        vec![0x81, 0xa1, b'x', 0xc6, 0xff, 0xff, 0xff, 0xff, 1],
        vec![0x81, 0xa1, b'x', 0xc9, 0xff, 0xff, 0xff, 0xff, 1],
        [&[0xdd, 0, 0, 0xff, 0xff][..], &[0xdd, 0, 0, 0xff, 0xff].repeat(20_000)].concat(),
    ] {
        assert!(matches!(office().read_frame(&bomb), Err(Unread::Malformed(_))));
    }
}

#[test]
fn the_names_of_clusters_are_cut_at_a_character() {
    let name = format!("x{}", "ä".repeat(CLUSTER_MAX));
    let wire = Wire::new(&name);
    let bytes = wire.datagram(&sender(), &Cast::Heartbeat(heartbeat()));
    assert!(wire.read_datagram(&bytes).is_ok());
    assert_eq!(Wire::new("").read_datagram(&bytes), Err(Unread::OtherCluster));
}

/// What a frame carries is where the frame is: a megabyte is not copied when it arrives.
#[test]
fn data_stays_where_it_arrived() {
    let wire = office();
    let body = Bytes::from(vec![7; BODY_MAX]);
    let changes = |body: &Bytes| {
        Frame::Changes(Changes { claim: samples::claim(7, 1), last: 9, committed: 1, body: body.clone() })
    };
    let bytes = wire.frame(&changes(&body)).expect("fits");
    assert!(bytes.len() < body.len() + 300, "{} bytes around it", bytes.len() - body.len());
    let Ok(Frame::Changes(read)) = wire.read_shared(&bytes) else { panic!("as sent") };
    assert_eq!(read.body, body);
    assert!(bytes.as_ptr_range().contains(&read.body.as_ptr()), "it was copied");
    assert_eq!(wire.read_frame(&bytes).as_ref(), Ok(&changes(&body)));
    let longer = Bytes::from(vec![7; BODY_MAX + 1]);
    assert_eq!(wire.frame(&changes(&longer)), Err(TooLong("the body is too long")));
    let bare = made(1, "changes", (), Changes { claim: samples::claim(7, 1), last: 9, committed: 1, body });
    assert_eq!(wire.read_frame(&bare), Err(Unread::Malformed("a part is missing")));
}

/// The format must not change by accident: agents of both versions may be running.
#[test]
fn a_heartbeat_has_these_bytes() {
    let bytes = office().datagram(&sender(), &Cast::Heartbeat(heartbeat()));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, HEARTBEAT);
}

const HEARTBEAT: &str = concat!(
    "85a17601a163a66f6666696365a174a9686561727462656174a16683a46e6f646582a26964c410000000014abc8def01",
    "23456789abcdefa4626f6f74cf9e3779b97f4a7c15a46e616d65a470632d33a4706f7274cd2048a16284a5636c61696d",
    "83a565706f636807a26174cf0006651728988001a46e6f646582a26964c410000000014abc8def0123456789abcdefa4",
    "626f6f74cf9e3779b97f4a7c15a9737563636573736f7282a26964c410000000024abc8def0123456789abcdefa4626f",
    "6f74cf3c6ef372fe94f82aa9666f6c6c6f776572730ba3736571ce0001e240",
);

fn anything(wire: &Wire, bytes: &[u8]) {
    let _ = wire.read_datagram(bytes);
    let _ = wire.read_frame(bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        anything(&office(), &bytes);
        let mut reader = Reader::new(&bytes);
        let _ = reader.value();
    }

    /// Garbage behind a good header gets as far as garbage can.
    #[test]
    fn random_bodies_do_no_harm(n in 0..37_usize, body in prop::collection::vec(any::<u8>(), 0..200)) {
        let word = casts().iter().map(words::cast_word).chain(frames().iter().map(words::frame_word)).nth(n);
        let mut bytes = vec![0x85];
        office().put_head(&mut bytes, word.expect("there are more words"));
        raw::put_text(&mut bytes, "f");
        words::put(&mut bytes, &sender());
        raw::put_text(&mut bytes, "b");
        bytes.extend(body);
        anything(&office(), &bytes);
    }

    #[test]
    fn changed_messages_do_no_harm(
        n in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let messages = messages();
        let mut bytes = messages[n.index(messages.len())].clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        anything(&office(), &bytes);
    }

    /// What was read can be sent again, and is then read as the same.
    #[test]
    fn names_of_every_kind_travel(name in any::<String>(), port in any::<u16>()) {
        let from = Sender { name, port, ..sender() };
        let goodbye = Cast::Goodbye(Goodbye { ends: None, leader: None });
        let read = office().read_datagram(&office().datagram(&from, &goodbye)).expect("readable");
        prop_assert!(from.name.starts_with(&read.from.name) && read.from.name.len() <= NAME_MAX);
        prop_assert_eq!(office().read_datagram(&office().datagram(&read.from, &read.cast)), Ok(read));
    }
}

#[test]
fn a_welcome_is_read_whatever_the_order_of_its_parts() {
    #[derive(Serialize)]
    struct Reversed {
        b: Welcome,
        f: Sender,
        t: &'static str,
        c: &'static str,
        v: u64,
    }
    let welcome = Welcome { to: samples::node(1), claim: samples::claim(1, 2), successor: None, followers: 3 };
    let bytes = to_vec_named(&Reversed { b: welcome.clone(), f: sender(), t: "welcome", c: "office", v: 1 });
    let read = office().read_datagram(&bytes.expect("has an encoding"));
    assert_eq!(read, Ok(Datagram { from: sender(), cast: Cast::Welcome(welcome) }));
}
