//! Cursors, and what readers see when.

use super::*;
use crate::agent::data::Outcome;
use std::time::Duration;

#[tokio::test]
async fn who_was_told_of_a_write_finds_it_here() {
    let stage = Stage::new();
    stage.act(|play| play.lags = true).await;
    assert_eq!(done(&stage, "PUT", "/v1/keys/a", "v").await.status, 200, "a write waits for no reader");
    let reading = tokio::spawn({
        let socket = stage.socket.clone();
        async move {
            let mut stream = UnixStream::connect(&socket).await.expect("the API listens");
            stream.write_all(head("GET", "/v1/keys/a", &[], 0).as_bytes()).await.expect("sent");
            read(&mut stream).await
        }
    });
    let other = get(&stage, "/v1/status").await;
    assert_eq!(other.status, 200);
    assert!(!reading.is_finished(), "it waits for what was written before it");
    stage.act(|play| play.show()).await;
    assert_eq!(in_time(reading).await.expect("it ran").text(), "v");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_lags_for_long_answers_all_the_same() {
    let stage = Stage::new();
    stage.act(|play| play.lags = true).await;
    let put = done(&stage, "PUT", "/v1/keys/a", "v").await;
    assert_eq!((put.header("tanist-cursor"), put.status), (Some("1.0000000a"), 200));
    let read = get(&stage, "/v1/keys/a").await;
    assert_eq!((read.status, read.header("tanist-cursor")), (404, Some("0.00000000")), "it says how far it is");
    stage.end().await;
}

#[tokio::test]
async fn a_reader_waits_for_the_point_that_it_names() {
    let stage = Stage::new();
    stage.act(|play| play.lags = true).await;
    let put = done(&stage, "PUT", "/v1/keys/a", "v").await;
    let cursor = put.field("cursor");
    let short = get(&stage, &format!("/v1/keys/a?at_least={cursor}")).await;
    assert_eq!((short.status, short.header("retry-after")), (503, Some("1")));
    assert!(short.detail().contains(&format!("within {} ms", WAIT.as_millis())), "{short:?}");
    let paths =
        ["/v1/keys/a?", "/v1/keys?", "/v1/topics?", "/v1/records/jobs?"].map(|path| format!("{path}at_least={cursor}"));
    let socket = stage.socket.clone();
    let reading = tokio::spawn(async move {
        let mut streams = Vec::new();
        for path in paths {
            let mut stream = UnixStream::connect(&socket).await.expect("the API listens");
            stream.write_all(head("GET", &path, &[], 0).as_bytes()).await.expect("sent");
            streams.push(stream);
        }
        let mut answers = Vec::new();
        for mut stream in streams {
            answers.push(read(&mut stream).await);
        }
        answers
    });
    in_time(async {
        // Each has a receiver of its own while it waits.
        while stage.act(|play| play.watchers()).await < 6 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    stage.act(|play| play.show()).await;
    for answer in in_time(reading).await.expect("it ran") {
        assert_eq!((answer.status, answer.header("tanist-cursor")), (200, Some(cursor.as_str())), "{answer:?}");
    }
    stage.end().await;
}

#[tokio::test]
async fn a_cursor_of_a_reign_that_is_forgotten_is_410_and_says_how_to_begin_anew() {
    let stage = Stage::new();
    for n in 0..3 {
        done(&stage, "POST", "/v1/records/jobs", &n.to_string()).await;
    }
    for path in [
        "/v1/records/jobs?after=1.000000ff",
        "/v1/watch?after=1.000000ff",
        "/v1/keys/a?at_least=1.000000ff",
        "/v1/keys?at_least=3.000000ff",
    ] {
        let answer = get(&stage, path).await;
        assert_eq!(answer.status, 410, "{path}: {answer:?}");
        assert!(answer.detail().contains("begin anew"), "{answer:?}");
    }
    // One that is ahead of everything here may be of a reign that has just begun elsewhere.
    for path in ["/v1/records/jobs?after=9.000000ff", "/v1/watch?after=9.0000000a", "/v1/keys/a?at_least=9.000000ff"] {
        let answer = get(&stage, path).await;
        assert_eq!(answer.status, 503, "{path}: {answer:?}");
        assert!(answer.detail().contains("it is at 3.0000000a"), "{answer:?}");
    }
    stage.end().await;
}

#[tokio::test]
async fn a_cursor_stays_good_when_the_leader_changes() {
    let stage = Stage::new();
    let old = done(&stage, "POST", "/v1/records/jobs", "0").await.field("cursor");
    done(&stage, "POST", "/v1/records/jobs", "1").await;
    stage
        .act(|play| {
            play.reign = reign(0xb);
            play.epoch = 8;
        })
        .await;
    let new = done(&stage, "POST", "/v1/records/jobs", "2").await;
    assert_eq!((new.field("cursor").as_str(), new.json()["epoch"].as_u64()), ("3.0000000b", Some(8)));
    let page = get(&stage, &format!("/v1/records/jobs?after={old}")).await.json();
    let values: Vec<_> = page["records"].as_array().expect("records").iter().map(|r| r["value"].as_str()).collect();
    assert_eq!(values, [Some("1"), Some("2")]);
    stage.end().await;
}

#[tokio::test]
async fn a_fresh_read_waits_for_what_the_leader_has() {
    let stage = Stage::new();
    assert_eq!(get(&stage, "/v1/keys/a?fresh=true").await.status, 404, "nobody wrote it");
    let first = done(&stage, "PUT", "/v1/keys/a", "old").await;
    assert_eq!(get(&stage, "/v1/keys/a?fresh=true").await.text(), "old");
    stage.act(|play| play.lags = true).await;
    // Written through another member, so that nothing here waits for it.
    let mut stream = connect(&stage).await;
    stream.write_all(head("PUT", "/v1/keys/a", &[], 3).as_bytes()).await.expect("sent");
    stream.write_all(b"new").await.expect("sent");
    in_time(async {
        while stage.act(|play| play.ledger.committed().number).await < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(get(&stage, "/v1/keys/a").await.header("etag"), first.header("etag"), "a local read lags");
    let late = get(&stage, "/v1/keys/a?fresh=true").await;
    assert_eq!((late.status, late.header("retry-after")), (503, Some("1")));
    let socket = stage.socket.clone();
    let reading = tokio::spawn(async move {
        let mut stream = UnixStream::connect(&socket).await.expect("the API listens");
        stream.write_all(head("GET", "/v1/keys/a?fresh=true", &[], 0).as_bytes()).await.expect("sent");
        read(&mut stream).await
    });
    tokio::task::yield_now().await;
    stage.act(|play| play.show()).await;
    assert_eq!(in_time(reading).await.expect("it ran").text(), "new");
    assert_eq!(stage.act(|play| play.ledger.committed().number).await, 2, "asking wrote nothing");

    stage.mood(Mood::Say(Outcome::Later("there is no leader".to_owned()))).await;
    let none = get(&stage, "/v1/keys/a?fresh=true").await;
    assert_eq!(none.status, 503);
    assert!(none.detail().contains("without fresh"), "{none:?}");
    assert_eq!(get(&stage, "/v1/keys/a").await.status, 200, "what is here can be read");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_fresh_read_sees_a_deletion() {
    let stage = Stage::new();
    done(&stage, "PUT", "/v1/keys/a", "v").await;
    stage.act(|play| play.lags = true).await;
    done(&stage, "DELETE", "/v1/keys/a", "").await;
    assert_eq!(get(&stage, "/v1/keys/a").await.status, 200);
    assert_eq!(get(&stage, "/v1/keys/a?fresh=true").await.status, 503, "this member does not hold it");
    stage.act(|play| play.show()).await;
    let read = tokio::time::timeout(Duration::from_secs(60), get(&stage, "/v1/keys/a?fresh=true")).await;
    assert_eq!(read.expect("an end").status, 404);
    stage.end().await;
}
