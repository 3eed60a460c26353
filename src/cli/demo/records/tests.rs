use super::*;
use crate::cli::demo::cluster::Life;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// A cluster whose first agent is this test.
fn cluster() -> (Cluster, UnixListener) {
    let mut cluster = Cluster::new(2, Duration::from_millis(250)).expect("a place");
    let socket = cluster.socket(0);
    std::fs::create_dir_all(socket.parent().expect("a directory")).expect("made");
    let listener = UnixListener::bind(&socket).expect("bound");
    cluster.agents[0].life = Life::Running;
    cluster.agents[0].up.send_replace(true);
    (cluster, listener)
}

/// The next request, up to its last byte that matters here, and where to answer it.
async fn asked(listener: &UnixListener) -> (String, UnixStream) {
    let (mut stream, _) = listener.accept().await.expect("somebody asks");
    let mut request = String::new();
    while !request.contains("\r\n\r\n") || (request.starts_with("POST") && !request.contains("pc-1 ")) {
        let mut bytes = [0; 1024];
        let n = stream.read(&mut bytes).await.expect("a request");
        request.push_str(std::str::from_utf8(&bytes[..n]).expect("text"));
    }
    (request, stream)
}

async fn answer(mut stream: UnixStream, status: &str, body: &str) {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).await.expect("sent");
}

fn id(request: &str) -> &str {
    request.lines().find_map(|line| line.strip_prefix("idempotency-key: ")).expect("an id")
}

fn added(id: &str) -> String {
    format!(r#"{{"id":"{id}","topic":"demo","revision":"1.00000001","cursor":"1.00000001","epoch":1,"copies":1}}"#)
}

#[tokio::test]
async fn a_writer_whose_agent_dies_goes_on_with_the_same_id_and_does_not_count_the_time() {
    let (cluster, agent) = cluster();
    let records = Records::begin(&cluster, RATE);
    let (first, unanswered) = asked(&agent).await;
    assert!(first.starts_with("POST /v1/records/demo ") && first.ends_with("pc-1 1"), "{first}");
    cluster.agents[0].up.send_replace(false);
    drop(unanswered);
    // Nobody asks an agent that is down.
    assert!(tokio::time::timeout(Duration::from_millis(200), agent.accept()).await.is_err());
    assert_eq!(records.acknowledged(0), 0);
    let back = Instant::now();
    cluster.agents[0].up.send_replace(true);
    let (again, stream) = asked(&agent).await;
    assert_eq!((id(&first), again.ends_with("pc-1 1")), (id(&again), true));
    answer(stream, "201 Created", &added(id(&again))).await;
    let (next, _) = asked(&agent).await;
    assert!(next.ends_with("pc-1 2") && id(&next) != id(&again), "{next}");
    assert_eq!((records.acknowledged(0), records.acknowledged(1)), (1, 0));
    assert!(records.longest_wait() <= back.elapsed(), "{:?}", records.longest_wait());
    records.mark();
    assert_eq!(records.recent_wait(), Duration::ZERO);
}

/// Two pages, the second of which is empty.
async fn topic(agent: &UnixListener, values: &[&str]) {
    let record = |value: &&str| {
        let id = Uuid::now_v7();
        format!(
            r#"{{"id":"{id}","topic":"demo","at":"2026-11-21T05:15:29.536624Z",
                "node":"bb0c9202-d5ef-48df-9119-98fb255efc78","revision":"1.00000001","value":"{value}"}}"#
        )
    };
    let all = values.iter().map(record).collect::<Vec<_>>().join(",");
    for page in [all.as_str(), ""] {
        let (request, stream) = asked(agent).await;
        assert!(request.starts_with("GET /v1/records/demo"), "{request}");
        answer(stream, "200 OK", &format!(r#"{{"records":[{page}],"cursor":"9.00000001"}}"#)).await;
        if values.is_empty() {
            return;
        }
    }
}

/// So many records are acknowledged, and the writers ended while the next was under way.
async fn acknowledged(records: &mut Records, agent: &UnixListener, number: u64) {
    for _ in 0..number {
        let (request, stream) = asked(agent).await;
        answer(stream, "201 Created", &added(id(&request))).await;
    }
    let (next, _unanswered) = asked(agent).await;
    assert!(next.ends_with(&format!("pc-1 {}", number + 1)), "{next}");
    records.writers.clear();
    assert_eq!(records.acknowledged(0), number);
}

#[tokio::test]
async fn a_check_waits_for_what_is_missing_and_believes_what_is_there_twice() {
    let (cluster, agent) = cluster();
    let mut records = Records::begin(&cluster, RATE);
    acknowledged(&mut records, &agent, 2).await;
    let (found, ()) = tokio::join!(records.prove(&cluster), async {
        topic(&agent, &[]).await;
        topic(&agent, &["pc-1 1"]).await;
        topic(&agent, &["pc-1 1", "pc-1 2", "pc-1 3"]).await;
    });
    assert_eq!((found.text().as_str(), found.acknowledged), ("on pc-1, which is alone, none missing, none twice", 2));
    let (found, ()) = tokio::join!(records.prove(&cluster), async {
        for _ in 0..PASSES {
            topic(&agent, &["pc-1 1", "pc-1 2", "pc-1 2"]).await;
        }
    });
    assert_eq!((found.missing, found.twice, found.is_good()), (0, 1, false));
}

/// Virtual time: a check is patient.
#[tokio::test(start_paused = true)]
async fn what_stays_missing_is_found() {
    let (cluster, agent) = cluster();
    let mut records = Records::begin(&cluster, RATE);
    acknowledged(&mut records, &agent, 2).await;
    let holds = async {
        loop {
            topic(&agent, &["pc-1 2"]).await;
        }
    };
    let found = tokio::select! {
        found = records.prove(&cluster) => found,
        () = holds => unreachable!("it holds no more for ever"),
    };
    assert_eq!((found.missing, found.twice, found.is_good()), (1, 0, false));
    assert_eq!(found.text(), "pc-1: 1 missing, 0 twice");
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_gets_nowhere_is_found() {
    let (cluster, agent) = cluster();
    let records = Records::begin(&cluster, RATE);
    let refuses = async {
        loop {
            let (_, stream) = asked(&agent).await;
            let problem = r#"{"type":"about:blank","title":"","status":507,"detail":"its disk is full"}"#;
            answer(stream, "507 Insufficient Storage", problem).await;
        }
    };
    let found = tokio::select! {
        found = records.prove(&cluster) => found,
        () = refuses => unreachable!("it refuses for ever"),
    };
    assert_eq!(found.text(), "pc-1 takes no records: its disk is full");
}
