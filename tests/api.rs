//! The local API of real agents, as programs meet it: bytes over the socket.

#![expect(clippy::disallowed_methods, reason = "tests of real processes have real deadlines")]

mod common;

use common::{Agent, Lan, in_time};
use serde_json::Value;
use std::time::{Duration, Instant};
use tanist::client::{Error, Events};
use tanist::protocol::RoleName;
use tanist::view::{Event, Line};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// The next event of a stream that satisfies `is`.
async fn next(events: &mut Events, what: &str, is: impl Fn(&Event) -> bool) -> Event {
    in_time(what, async {
        loop {
            match events.next().await.expect("a line") {
                Some(Line::Event(event)) if is(&event) => return event,
                Some(_) => {}
                None => panic!("{what}: the stream ended"),
            }
        }
    })
    .await
}

/// Waits until an agent says that there is a successor.
async fn successor_is_named(agent: &Agent) {
    let mut events = agent.client().events().await.expect("a stream");
    let named = |event: &Event| event.event == "successor-named" || event.text_field("successor").is_some();
    next(&mut events, "a successor is named", named).await;
}

async fn ask(agent: &Agent, method: &str, path: &str, body: &str) -> (u16, String, String) {
    let mut stream = UnixStream::connect(&agent.socket).await.expect("a connection");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: tanist\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    in_time(path, stream.read_to_string(&mut answer)).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head.to_owned(), body.to_owned())
}

async fn json(agent: &Agent, path: &str) -> Value {
    let (status, head, body) = ask(agent, "GET", path, "").await;
    assert_eq!(status, 200, "{path}: {body}");
    assert!(head.to_lowercase().contains("content-type: application/json"), "{path}: {head}");
    serde_json::from_str(&body).expect("JSON")
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_lone_agent_leads_and_every_resource_has_its_fields() {
    let lan = Lan::new();
    let agent = lan.start(1).await;
    let leader = agent.client().leader(Some(Duration::from_secs(20))).await.expect("it leads itself");
    assert!(leader.own && leader.epoch >= 1);

    let status = json(&agent, "/v1/status").await;
    let expected = [
        "cluster",
        "conflicts",
        "digest",
        "epoch",
        "kept_aside",
        "keyed",
        "leader",
        "members",
        "node",
        "quorum",
        "revision",
        "role",
        "since",
        "successor",
        "trouble",
        "via",
    ];
    assert_eq!(keys(&status), expected);
    assert_eq!(keys(&status["node"]), ["boot", "id", "name", "version"]);
    assert_eq!(keys(&status["leader"]), ["address", "host", "id", "name", "port"]);
    assert_eq!((status["role"].as_str(), status["members"].as_u64()), (Some("leading"), Some(1)));
    assert_eq!(status["cluster"], lan.cluster);
    assert_eq!(
        keys(&json(&agent, "/v1/leader").await),
        ["address", "epoch", "host", "id", "name", "port", "self", "since"]
    );
    assert_eq!(json(&agent, "/v1/is-leader").await["epoch"], leader.epoch);
    assert_eq!(ask(&agent, "HEAD", "/v1/is-leader", "").await.0, 200);
    let members = json(&agent, "/v1/members").await;
    let expected = [
        "address",
        "because",
        "host",
        "id",
        "lag",
        "last_heard_ms",
        "name",
        "place",
        "port",
        "priority",
        "revision",
        "role",
        "rtt_us",
        "self",
        "state",
        "successor",
        "version",
        "via",
    ];
    assert_eq!(keys(&members["members"][0]), expected);
    let history = json(&agent, "/v1/history").await;
    assert_eq!(keys(&history), ["drills", "reigns", "reunions"]);
    let reign = &history["reigns"][0];
    assert_eq!(keys(reign), ["began", "cause", "ended", "epoch", "leader", "text"]);
    assert_eq!((reign["cause"].as_str(), reign["ended"].is_null()), (Some("first"), true));
    assert!(reign["began"].as_str().is_some_and(|at| at.ends_with('Z')));
}

#[tokio::test]
async fn errors_are_problems() {
    let lan = Lan::new();
    let agent = lan.start(1).await;
    agent.client().leader(Some(Duration::from_secs(20))).await.expect("a leader");
    for (method, path, body, expected) in [
        ("GET", "/v1/nothing", "", 404),
        ("POST", "/v1/status", "", 405),
        ("GET", "/v1/leader?wait_ms=x", "", 400),
        ("GET", "/v1/members?sorted=1", "", 400),
        ("POST", "/v1/handover", "[]", 400),
        ("POST", "/v1/handover", "", 409),
        ("POST", "/v1/handover", r#"{"to":"nobody"}"#, 409),
    ] {
        let (status, head, body) = ask(&agent, method, path, body).await;
        assert_eq!(status, expected, "{method} {path}: {body}");
        assert!(head.contains("content-type: application/problem+json"), "{head}");
        let problem: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(keys(&problem), ["detail", "status", "title", "type"]);
        assert_eq!(problem["status"], expected);
    }
}

#[tokio::test]
async fn two_agents_follow_one_leader_and_the_role_can_be_moved_from_either() {
    let lan = Lan::new();
    let one = lan.start(1).await;
    one.client().leader(Some(Duration::from_secs(20))).await.expect("it leads itself");
    let two = lan.start(2).await;
    let mut seen = two.client().events().await.expect("a stream");
    let following = next(&mut seen, "pc-2 follows", |event| event.event == "following").await;
    successor_is_named(&one).await;
    let (status, ..) = ask(&two, "GET", "/v1/is-leader", "").await;
    assert_eq!(status, 503);

    let moved = two.client().handover(None).await.expect("the follower passes it on");
    assert_eq!(moved.name, "pc-2");
    assert!(moved.own && moved.epoch > following.epoch);
    let leading = next(&mut seen, "pc-2 leads", |event| event.event == "leading").await;
    let names =
        |event: &Event| ["leader", "leader_id", "leader_address", "leader_host"].map(|n| event.text_field(n).is_some());
    assert_eq!((names(&following), names(&leading)), ([true; 4], [true; 4]), "{following:?} {leading:?}");
    assert_eq!(leading.text_field("leader"), Some("pc-2"));
    assert_eq!(leading.epoch, moved.epoch);
    successor_is_named(&two).await;
    let back = two.client().handover(Some("pc-1")).await.expect("by name");
    assert_eq!(back.name, "pc-1");
    successor_is_named(&one).await;
    let began = Instant::now();
    let again = two.client().handover(Some("pc-1")).await.expect("it leads already");
    assert_eq!(again.epoch, back.epoch);
    assert!(began.elapsed() < Duration::from_millis(500), "at once, not after {:?}", began.elapsed());
    let status = one.client().status().await.expect("a status");
    assert_eq!((status.role, status.epoch), (RoleName::Leading, back.epoch));
    let history = one.client().history().await.expect("a history");
    assert_eq!(history.reigns[0].cause.as_str(), "handover", "{history:?}");
}

#[tokio::test]
async fn a_stream_ends_with_its_agent_and_the_socket_then_answers_nobody() {
    let lan = Lan::new();
    let mut agent = lan.start(1).await;
    let client = agent.client();
    client.leader(Some(Duration::from_secs(20))).await.expect("a leader");
    let mut events = client.events().await.expect("a stream");
    let first = next(&mut events, "the present state", |_| true).await;
    assert!(first.present);
    let began = Instant::now();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(agent.child.id()).expect("an id"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("a signal");
    in_time("the end of the stream", async { while let Ok(Some(_)) = events.next().await {} }).await;
    assert!(agent.child.wait().expect("its end").success());
    assert!(began.elapsed() < Duration::from_secs(2), "SIGTERM took {:?}", began.elapsed());
    assert!(matches!(client.status().await, Err(Error::NoAgent { .. })));
}

#[tokio::test]
async fn rubbish_and_silence_cost_nobody_else_anything() {
    let lan = Lan::new();
    let agent = lan.start(1).await;
    agent.client().leader(Some(Duration::from_secs(20))).await.expect("a leader");
    let mut held = Vec::new();
    for n in 0..100_u32 {
        let mut stream = UnixStream::connect(&agent.socket).await.expect("a connection");
        let rubbish: Vec<u8> =
            (0..200_u32).map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(n * 7919) >> 13) as u8).collect();
        // An agent that hangs up on rubbish while it is still being sent does what it should.
        let _ = stream.write_all(if n % 2 == 0 { &rubbish } else { b"GET /v1/le" }).await;
        held.push(stream);
    }
    for _ in 0..20 {
        assert!(agent.client().leader(None).await.expect("others are served").own);
    }
}

fn signal(agent: &Agent, signal: nix::sys::signal::Signal) {
    let pid = nix::unistd::Pid::from_raw(agent.child.id().cast_signed());
    nix::sys::signal::kill(pid, signal).expect("it runs");
}

/// Waits until an agent's newest reign began for this cause; all of these words are in its text, in this order.
async fn told(agent: &Agent, cause: &str, words: &[&str]) {
    let mut again = tokio::time::interval(Duration::from_millis(20));
    let text = in_time(cause, async {
        loop {
            let history = json(agent, "/v1/history").await;
            let reign = &history["reigns"][0];
            if reign["cause"] == cause && reign["ended"].is_null() {
                return reign["text"].as_str().expect("a text").to_owned();
            }
            again.tick().await;
        }
    })
    .await;
    let mut rest = text.as_str();
    for word in words {
        let Some((_, after)) = rest.split_once(word) else { panic!("{word:?} is missing in {text:?}") };
        rest = after;
    }
}

/// Each cause that can be had on loopback, with what was missed, for how long, who was asked and what it answered. (A
/// failing store: tests/agent.rs; a cut cable: tests/lan; all of them: tests/sim/stories/histories.rs.)
#[tokio::test]
async fn history_tells_why_each_leader_changed() {
    use nix::sys::signal::Signal;
    let lan = Lan::new();
    let one = lan.start(1).await;
    told(&one, "first", &["there was no leader", "nobody else was there to ask"]).await;
    let mut two = lan.start(2).await;
    successor_is_named(&one).await;
    // Named is one thing, following by the book another: that waits for its own disk.
    two.client().leader(Some(Duration::from_secs(20))).await.expect("it follows");
    two.client().handover(None).await.expect("it takes over");
    for agent in [&one, &two] {
        told(agent, "handover", &["pc-1 handed over to pc-2; ", " ms from the first sign to the new leader"]).await;
    }
    successor_is_named(&two).await;
    signal(&two, Signal::SIGTERM);
    let handed = "pc-2 was told to stop, and handed over to pc-1; ";
    told(&one, "goodbye", &[handed, " ms from the first sign to the new leader"]).await;
    assert!(two.child.wait().expect("its end").success());
    let two = lan.start(2).await;
    successor_is_named(&one).await;
    signal(&one, Signal::SIGKILL);
    let words = [
        "pc-2 noticed: leader pc-1 went away: its connection was reset; it refused the question after ",
        " ms; ",
        " ms from the first sign to the new leader",
    ];
    told(&two, "died", &words).await;
    drop(one);
    let one = lan.start(1).await;
    successor_is_named(&two).await;
    signal(&two, Signal::SIGSTOP);
    let words =
        ["pc-1 noticed: leader pc-2 ", "it did not answer for ", " ms, and was silent for ", " ms from the first"];
    told(&one, "silent", &words).await;
    signal(&two, Signal::SIGCONT);
    // Whichever of the two stays, both tell of it; only a new reign has a cause.
    for agent in [&one, &two] {
        let mut again = tokio::time::interval(Duration::from_millis(20));
        in_time("the reunion is told", async {
            while json(agent, "/v1/history").await["reunions"].as_array().is_none_or(Vec::is_empty) {
                again.tick().await;
            }
        })
        .await;
        let reunion = &json(agent, "/v1/history").await["reunions"][0];
        assert!(reunion["text"].as_str().is_some_and(|t| t.contains(" met leader pc-")), "{reunion}");
    }
}
