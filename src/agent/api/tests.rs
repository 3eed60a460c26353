//! The API over a real socket, before a loop that the test plays.

use super::clients::HEAD;
use super::patience::Patient;
use super::*;
use crate::agent::rights::Rights;
use crate::agent::shared::{Command, Pulse, Snapshot};
use crate::claim::Claim;
use crate::client::{Client, Error};
use crate::event::{Event, Kind, Level};
use crate::ident::{BootId, Incarnation, NodeId};
use crate::protocol::{RoleName, Status, Who};
use crate::time::{Time, Wall};
use crate::view::Line;
use std::future::Future;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{broadcast, mpsc, watch};

/// Events that a watcher may lag behind in these tests.
const RING: usize = 8;

fn node(n: u128) -> Incarnation {
    Incarnation { id: NodeId(uuid::Uuid::from_u128(n)), boot: BootId(1) }
}

pub(in crate::agent) fn standing(role: RoleName, epoch: u64, leader: Option<u128>) -> Arc<Status> {
    let who = |n| Who { node: node(n), name: format!("pc-{n}"), address: Some(([127, 0, 0, n as u8], 8264).into()) };
    Arc::new(Status {
        node: node(1),
        name: "pc-1".into(),
        role,
        sure: true,
        gives_up: false,
        shown: leader.map(|n| Claim { epoch, at: Wall(1), node: node(n) }),
        leader: leader.map(who),
        successor: None,
        via: None,
        since: Wall(1_795_233_565_123_456),
        trouble: Vec::new(),
        members: 2,
    })
}

fn event(epoch: u64) -> Arc<Event> {
    let text = format!("this machine leads: epoch {epoch}");
    Arc::new(Event { kind: Kind::Leading, level: Level::Info, at: Wall(1), epoch, cause: None, text, fields: vec![] })
}

/// A served API, and everything that the agent would hold of it.
struct Stage {
    client: Client,
    status: watch::Sender<Arc<Status>>,
    events: broadcast::Sender<Arc<Event>>,
    commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<()>,
    dir: tempfile::TempDir,
}

impl Stage {
    fn new(status: Arc<Status>) -> Self {
        Self::with_pulse(status, Pulse::new(Duration::MAX))
    }

    fn with_pulse(status: Arc<Status>, pulse: Pulse) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(dir.path().join("sock")).expect("a socket");
        let (status, watched) = watch::channel(status);
        let (events, _) = broadcast::channel(RING);
        let (asks, commands) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let shared = Shared { pulse, ..shared(watched, events.clone(), asks, dir.path()) };
        let served = tokio::spawn(serve(listener, shared, None, stop.clone()));
        let client = Client::at(&dir.path().join("sock"));
        Self { client, status, events, commands, stop, served, dir }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.dir.path().join("sock")).await.expect("the API listens")
    }

    /// Sends a request as it stands and reads until the API hangs up.
    async fn raw(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        in_time(stream.read_to_end(&mut answer)).await.expect("read");
        String::from_utf8(answer).expect("text")
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let length = body.len();
        self.raw(&format!(
            "{method} {path} HTTP/1.1\r\nHost: tanist\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    async fn end(self) {
        self.stop.cancel();
        in_time(self.served).await.expect("the API ended");
    }
}

fn shared(
    status: watch::Receiver<Arc<Status>>,
    events: broadcast::Sender<Arc<Event>>,
    commands: mpsc::Sender<Command>,
    dir: &std::path::Path,
) -> Shared {
    let store = crate::store::Store::open(&dir.join("state")).expect("a store").store;
    let history = crate::agent::History::of(store).expect("a thread");
    let facts = crate::agent::shared::Facts {
        cluster: "office".into(),
        version: "0.1.0".into(),
        quorum: 1,
        port: 8264,
        socket: dir.join("sock"),
        state_dir: dir.join("state"),
        keyed: false,
    };
    Shared {
        status,
        pulse: Pulse::new(Duration::MAX),
        events,
        commands,
        store: Arc::new(history),
        rights: Rights::everybody(),
        reloads: mpsc::channel(1).0,
        metrics: Arc::default(),
        facts: Arc::new(facts),
    }
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("in time")
}

fn head(answer: &str) -> &str {
    answer.split("\r\n\r\n").next().unwrap_or_default()
}

fn body(answer: &str) -> serde_json::Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").expect("a body").1).expect("JSON")
}

#[tokio::test]
async fn facts_come_from_the_published_status() {
    let stage = Stage::new(standing(RoleName::Following, 7, Some(2)));
    let status = stage.client.status().await.expect("a status");
    assert_eq!((status.epoch, status.role, status.cluster.as_str()), (7, RoleName::Following, "office"));
    let leader = stage.client.leader(None).await.expect("a leader");
    assert_eq!((leader.name.as_str(), leader.epoch, leader.own), ("pc-2", 7, false));
    assert_eq!(stage.client.is_leader().await.expect("an answer"), None);
    stage.status.send_replace(standing(RoleName::Leading, 8, Some(1)));
    assert_eq!(stage.client.is_leader().await.expect("an answer"), Some(8));
    assert!(stage.client.leader(None).await.expect("a leader").own);
    assert!(stage.ask("HEAD", "/v1/is-leader", "").await.starts_with("HTTP/1.1 200"));
    let history = stage.client.history().await.expect("a history");
    assert!(history.reigns.is_empty() && history.reunions.is_empty() && history.drills.is_empty());
    stage.end().await;
}

/// The loop comes by when it is asked to; what it shows until then is not said.
#[tokio::test]
async fn a_word_from_before_the_agent_stood_still_is_not_said() {
    let pulse = Pulse::new(Duration::ZERO);
    pulse.beat(Time(u64::MAX));
    let mut stage = Stage::with_pulse(standing(RoleName::Leading, 7, Some(1)), pulse.clone());
    assert_eq!(stage.client.is_leader().await.expect("an answer"), Some(7), "it came by lately");
    for path in ["/v1/is-leader", "/v1/leader", "/v1/leader?wait_ms=9000", "/v1/status", "/v1/members", "/v1/events"] {
        pulse.beat(Time(0));
        stage.status.send_replace(standing(RoleName::Leading, 7, Some(1)));
        let mut stream = stage.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: tanist\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let Some(Command::Look { reply }) = in_time(stage.commands.recv()).await else { panic!("{path}: a look") };
        // It checks whether it was replaced, and was.
        let unsure = Status { sure: false, ..(*standing(RoleName::Leading, 7, Some(1))).clone() };
        stage.status.send_replace(Arc::new(unsure));
        pulse.beat(Time(u64::MAX));
        reply.send(()).expect("it waits");
        let mut answer = vec![0; 4096];
        let waits = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut answer)).await;
        assert!(waits.is_err(), "{path}: nothing is said before the check is over");
        let replaced = standing(RoleName::Following, 8, Some(2));
        stage.status.send_replace(replaced.clone());
        if path == "/v1/members" {
            let Some(Command::Snapshot { reply }) = in_time(stage.commands.recv()).await else { panic!("a snapshot") };
            let status = (*replaced).clone();
            reply.send(Snapshot { status, members: Vec::new(), made: clock::time() }).expect("it waits");
        }
        let length = in_time(stream.read(&mut answer)).await.expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(!answer.contains("\"epoch\":7"), "{path}: {answer}");
        assert_eq!(answer.starts_with("HTTP/1.1 503"), path == "/v1/is-leader", "{path}: {answer}");
    }
    stage.end().await;
}

#[tokio::test]
async fn every_error_is_a_problem_that_says_what_to_do() {
    let stage = Stage::new(standing(RoleName::Listening, 0, None));
    for (method, path, sent, status, says) in [
        ("GET", "/v1/nothing", "", 404, "/v1/nothing"),
        ("POST", "/", "", 405, "POST"),
        ("GET", "/metrics?all", "", 400, "takes no parameters"),
        ("DELETE", "/v1/leader", "", 405, "DELETE"),
        ("GET", "/v1/handover", "", 405, "GET"),
        ("GET", "/v1/leader?wait_ms=soon", "", 400, "wait_ms"),
        ("GET", "/v1/leader?wait=5", "", 400, "wait_ms"),
        ("GET", "/v1/leader", "", 503, "no leader"),
        ("GET", "/v1/is-leader", "", 503, "does not lead"),
        ("POST", "/v1/handover", "{", 400, r#"{"to":NAME}"#),
        ("POST", "/v1/handover", r#"{"too":"pc-2"}"#, 400, "unknown field"),
    ] {
        let answer = stage.ask(method, path, sent).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{method} {path}: {answer}");
        assert!(head(&answer).contains("content-type: application/problem+json"), "{method} {path}: {answer}");
        let problem = body(&answer);
        assert_eq!(problem["status"], status, "{method} {path}");
        assert_eq!(problem["type"], "about:blank");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()));
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{method} {path}: {problem}");
        assert_eq!(head(&answer).contains("allow: "), status == 405, "{method} {path}: {answer}");
    }
    let long = "x".repeat(BODY_MAX + 1);
    assert!(stage.ask("POST", "/v1/handover", &long).await.starts_with("HTTP/1.1 413"));
    let malformed = "GET /v1/leader HTTP/1.1\r\nno colon\r\n\r\n";
    let answer = stage.raw(malformed).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    stage.end().await;
}

#[tokio::test]
async fn waiting_for_a_leader_ends_with_it_or_with_the_time() {
    let stage = Stage::new(standing(RoleName::Listening, 0, None));
    let none = stage.client.leader(Some(Duration::from_millis(5))).await;
    assert!(matches!(none, Err(Error::Later { .. })), "{none:?}");
    let client = stage.client.clone();
    let waiting = tokio::spawn(async move { client.leader(Some(Duration::from_secs(60))).await });
    while stage.status.receiver_count() < 2 {
        tokio::task::yield_now().await;
    }
    stage.status.send_replace(standing(RoleName::Following, 3, Some(2)));
    let leader = in_time(waiting).await.expect("ran").expect("a leader");
    assert_eq!(leader.epoch, 3);
    stage.end().await;
}

#[tokio::test]
async fn members_come_from_the_loop() {
    let mut stage = Stage::new(standing(RoleName::Leading, 8, Some(1)));
    let client = stage.client.clone();
    let asking = tokio::spawn(async move { client.members().await });
    match in_time(stage.commands.recv()).await {
        Some(Command::Snapshot { reply }) => {
            let snapshot =
                Snapshot { status: (**stage.status.borrow()).clone(), members: Vec::new(), made: Time::default() };
            assert!(reply.send(snapshot).is_ok());
        }
        other => panic!("{other:?}"),
    }
    assert!(in_time(asking).await.expect("ran").expect("members").members.is_empty());
    stage.end().await;
}

#[tokio::test]
async fn a_stream_begins_with_the_present_and_tells_what_it_missed() {
    let stage = Stage::new(standing(RoleName::Following, 7, Some(2)));
    let mut events = stage.client.events().await.expect("a stream");
    let Some(Line::Event(present)) = in_time(events.next()).await.expect("a line") else { panic!("no present state") };
    assert!(present.present);
    assert_eq!((present.event.as_str(), present.epoch), ("following", 7));
    stage.events.send(event(8)).expect("a watcher");
    let Some(Line::Event(next)) = in_time(events.next()).await.expect("a line") else { panic!("no event") };
    assert_eq!((next.event.as_str(), next.epoch, next.present), ("leading", 8, false));

    let sent = 4 * RING as u64;
    for epoch in 9..9 + sent {
        stage.events.send(event(epoch)).expect("a watcher");
    }
    let (mut told, mut missed) = (0, 0);
    while told + missed < sent {
        match in_time(events.next()).await.expect("a line") {
            Some(Line::Event(_)) => told += 1,
            Some(Line::Lagged { lagged }) => missed += lagged,
            None => panic!("the stream ended"),
        }
    }
    assert!(missed > 0 && told >= RING as u64, "told {told}, missed {missed}");
    stage.events.send(event(99)).expect("a watcher");
    stage.stop.cancel();
    let Some(Line::Event(last)) = in_time(events.next()).await.expect("a line") else { panic!("no last words") };
    assert_eq!(last.epoch, 99, "what happened before the end is still told");
    assert_eq!(in_time(events.next()).await.expect("the end"), None);
    stage.end().await;
}

#[tokio::test]
async fn handover_answers_when_the_new_leader_is_shown_and_refuses_with_the_reason() {
    let mut stage = Stage::new(standing(RoleName::Leading, 8, Some(1)));
    let client = stage.client.clone();
    let asking = tokio::spawn(async move { client.handover(None).await });
    let Some(Command::Handover { to: None, reply }) = in_time(stage.commands.recv()).await else {
        panic!("no command")
    };
    reply.send(Ok(())).expect("it waits");
    stage.status.send_replace(standing(RoleName::Following, 9, Some(2)));
    let leader = in_time(asking).await.expect("ran").expect("a leader");
    assert_eq!((leader.name.as_str(), leader.epoch), ("pc-2", 9));

    let client = stage.client.clone();
    let asking = tokio::spawn(async move { client.handover(Some("pc-9")).await });
    let Some(Command::Handover { to: Some(to), reply }) = in_time(stage.commands.recv()).await else { panic!("none") };
    reply.send(Err(format!("there is no member {to}"))).expect("it waits");
    match in_time(asking).await.expect("ran") {
        Err(Error::Refused { problem }) => {
            assert_eq!((problem.status, problem.detail.as_str()), (409, "there is no member pc-9"));
        }
        other => panic!("{other:?}"),
    }
    stage.end().await;
}

#[tokio::test]
async fn one_watcher_too_many_is_told_to_come_back() {
    let stage = Stage::new(standing(RoleName::Leading, 8, Some(1)));
    let mut watchers = Vec::new();
    for _ in 0..WATCHERS.each {
        watchers.push(stage.client.events().await.expect("a stream"));
    }
    let answer = stage.ask("GET", "/v1/events", "").await;
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    assert!(head(&answer).contains("retry-after: 1"), "{answer}");
    assert!(matches!(stage.client.events().await, Err(Error::Later { .. })));
    assert_eq!(stage.client.leader(None).await.expect("others are served").epoch, 8);
    drop(watchers);
    in_time(async {
        while stage.client.events().await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    stage.end().await;
}

/// 700 that come at once: whoever has no place is told so, and nobody is hung up on.
#[tokio::test]
async fn a_crowd_is_answered_and_nobody_is_hung_up_on() {
    let stage = Stage::new(standing(RoleName::Leading, 8, Some(1)));
    let mut crowd = Vec::new();
    for _ in 0..700 {
        let mut stream = stage.connect().await;
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: tanist\r\n\r\n").await.expect("sent");
        crowd.push(stream);
    }
    let (mut served, mut turned) = (0, 0);
    for stream in &mut crowd {
        let mut answer = [0; 12];
        in_time(stream.read_exact(&mut answer)).await.expect("an answer");
        match &answer {
            b"HTTP/1.1 200" => served += 1,
            b"HTTP/1.1 429" => turned += 1,
            other => panic!("{}", String::from_utf8_lossy(other)),
        }
    }
    assert_eq!((served, turned), (WATCHERS.each, 700 - WATCHERS.each));
    // Those that were told to come back are idle now, and give way.
    in_time(async {
        while stage.client.leader(None).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(stage.client.status().await.expect("a crowd locks nobody out").epoch, 8);
    drop(crowd);
    stage.end().await;
}

/// Who says nothing makes room for whoever asks.
#[tokio::test]
async fn idle_connections_make_room() {
    let stage = Stage::new(standing(RoleName::Leading, 8, Some(1)));
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS.each {
        silent.push(stage.connect().await);
    }
    let turned = stage.client.leader(None).await;
    assert!(matches!(turned, Err(Error::Later { busy: true, .. })), "they came just now: {turned:?}");
    in_time(async {
        while stage.client.leader(None).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut first = String::new();
    let ended = in_time(silent[0].read_to_string(&mut first)).await;
    assert!(ended.is_ok_and(|length| length == 0), "the first that came went: {first}");
    stage.end().await;
}

/// An agent that does not answer is another thing than none.
#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_answer_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let unanswered = Client::at(&path).status().await.expect_err("nobody answers");
    assert!(matches!(&unanswered, Error::Later { busy: true, why } if why.contains("did not answer")), "{unanswered}");
    drop(listener);
    let nobody = Client::at(&path).status().await.expect_err("nobody is there");
    assert!(matches!(&nobody, Error::NoAgent { .. }), "{nobody}");
}

/// A stream on which nothing happens says that it lives; clients do not see that.
#[tokio::test(start_paused = true)]
async fn a_stream_on_which_nothing_happens_says_that_it_lives() {
    let stage = Stage::new(standing(RoleName::Leading, 8, Some(1)));
    let mut events = stage.client.events().await.expect("a stream");
    let mut stream = stage.connect().await;
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: tanist\r\n\r\n").await.expect("sent");
    let mut heard = String::new();
    // Each line is a chunk; an empty one is a byte long.
    while heard.matches("\r\n1\r\n\n\r\n").count() < 3 {
        let mut bytes = [0; 4096];
        let length = tokio::time::timeout(events::SIGN_OF_LIFE * 2, stream.read(&mut bytes)).await;
        let length = length.expect("a sign of life").expect("read");
        heard.push_str(std::str::from_utf8(&bytes[..length]).expect("text"));
    }
    stage.events.send(event(9)).expect("a watcher");
    for epoch in [8, 9] {
        let Some(Line::Event(told)) = events.next().await.expect("a line") else { panic!("an event") };
        assert_eq!(told.epoch, epoch);
    }
    stage.end().await;
}

/// Virtual time: the runtime's clock runs ahead whenever everything waits.
#[tokio::test(start_paused = true)]
async fn who_says_nothing_or_half_a_request_is_cut_off() {
    for sent in ["", "GET /v1/leader HT", "POST /v1/handover HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"] {
        let stage = Stage::new(standing(RoleName::Leading, 8, Some(1)));
        let mut stream = stage.connect().await;
        stream.write_all(sent.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        let ended = tokio::time::timeout(HEAD + BODY + HEAD, stream.read_to_string(&mut answer)).await;
        assert!(ended.is_ok(), "still connected after {sent:?}");
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
        stage.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_cut_off() {
    let (near, far) = UnixStream::pair().expect("a pair");
    let mut patient = Patient::new(near, UNREAD);
    let piece = vec![0; 1 << 20];
    let written = tokio::time::timeout(UNREAD * 2, async {
        loop {
            patient.write_all(&piece).await?;
        }
    });
    let error: std::io::Result<()> = written.await.expect("it gave up");
    assert_eq!(error.expect_err("nobody reads").kind(), std::io::ErrorKind::TimedOut);
    drop(far);
}
