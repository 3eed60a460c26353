//! The stream of changes.

use super::super::for_tests::Loop;
use super::*;
use crate::agent::api::{UNREAD, WATCHERS};
use crate::data::{Ask, Condition, Request, RequestId};
use crate::ident::NodeId;
use crate::ledger::limits::VALUE;
use crate::time::Wall;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

/// A stream of lines. An answer to HTTP/1.0 has no chunks in between.
struct Watch(BufReader<UnixStream>);

impl Watch {
    async fn new(stage: &Stage, query: &str) -> Self {
        let mut stream = connect(stage).await;
        stream.write_all(format!("GET /v1/watch{query} HTTP/1.0\r\n\r\n").as_bytes()).await.expect("sent");
        let mut watch = Self(BufReader::new(stream));
        let first = watch.line().await.expect("a head");
        assert!(first.starts_with("HTTP/1.0 200"), "{first}");
        while !watch.line().await.expect("a head").trim().is_empty() {}
        watch
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = in_time(self.0.read_line(&mut line)).await.ok()?;
        (read > 0).then_some(line)
    }

    async fn next(&mut self) -> Value {
        let line = self.line().await.expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Everything up to the point at which it is caught up.
    async fn caught_up(&mut self) -> (Vec<Value>, String) {
        let mut lines = Vec::new();
        loop {
            let line = self.next().await;
            match line["caught_up"].as_str() {
                Some(cursor) => return (lines, cursor.to_owned()),
                None => lines.push(line),
            }
        }
    }
}

#[tokio::test]
async fn a_watcher_is_told_what_there_is_and_then_what_happens() {
    let stage = Stage::new();
    done(&stage, "PUT", "/v1/keys/a/1", "one").await;
    let id = done(&stage, "POST", "/v1/records/jobs", "job").await.field("id");
    done(&stage, "PUT", "/v1/keys/b", "other").await;
    let mut watch = Watch::new(&stage, "?prefix=a/&topic=jobs").await;
    let (lines, cursor) = watch.caught_up().await;
    assert_eq!(cursor, "3.0000000a");
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["op"], &lines[0]["key"], &lines[0]["value"]), (&"put".into(), &"a/1".into(), &"one".into()));
    assert_eq!((&lines[0]["cursor"], &lines[0]["version"]), (&"1.0000000a".into(), &"1.0000000a".into()));
    assert_eq!((&lines[1]["op"], &lines[1]["topic"], &lines[1]["id"]), (&"add".into(), &"jobs".into(), &id.into()));
    assert!(lines[0].get("topic").is_none() && lines[1].get("key").is_none());

    done(&stage, "DELETE", "/v1/keys/b", "").await;
    ask_with(&stage, "PUT", "/v1/keys/a/2", &[], b"\xff").await;
    let line = watch.next().await;
    assert_eq!((&line["revision"], &line["value_base64"]), (&"5.0000000a".into(), &"/w==".into()));
    done(&stage, "DELETE", "/v1/keys/a/2", "").await;
    let line = watch.next().await;
    assert_eq!((&line["op"], &line["key"]), (&"delete".into(), &"a/2".into()));
    assert!(line.get("value").is_none() && line.get("version").is_none() && line["at"].is_string(), "{line}");
    stage.stop.cancel();
    assert_eq!(watch.line().await, None, "it ends with the agent");
    stage.end().await;
}

#[tokio::test]
async fn a_watch_goes_on_from_any_cursor_over_a_new_leader_and_a_restart() {
    let mut stage = Stage::new();
    let mut cursors = Vec::new();
    for n in 0..20 {
        if n % 7 == 0 {
            stage.act(move |play| play.reign = reign(0x20 + n)).await;
        }
        cursors.push(done(&stage, "POST", "/v1/records/jobs", &n.to_string()).await.field("cursor"));
    }
    stage.restart(Duration::from_millis(1)).await;
    for (n, cursor) in cursors.iter().enumerate() {
        let mut watch = Watch::new(&stage, &format!("?topic=jobs&after={cursor}")).await;
        let (lines, end) = watch.caught_up().await;
        let values: Vec<_> = lines.iter().map(|line| line["value"].as_str().expect("text").to_owned()).collect();
        assert_eq!(values, (n + 1..20).map(|n| n.to_string()).collect::<Vec<_>>());
        assert_eq!(&end, cursors.last().expect("cursors"));
    }
    stage.end().await;
}

/// A thousand writes of others, under a dozen leaders.
fn write_a_thousand(play: &mut Loop) {
    let mut dice = ChaCha8Rng::seed_from_u64(7);
    for n in 0..1000_u64 {
        if dice.next_u32() % 80 == 0 {
            play.reign = reign(0x100 + n as u32);
        }
        let key = format!("k/{}", dice.next_u32() % 50);
        let ask = match dice.next_u32() % 10 {
            0..4 => Ask::Add { topic: "jobs".to_owned(), value: n.to_string().into() },
            4..9 => Ask::Put { key, value: n.to_string().into(), condition: Condition::None },
            _ => Ask::Delete { key, condition: Condition::None },
        };
        let request = Request { id: RequestId(n.into()), at: Wall(n), node: NodeId(uuid::Uuid::nil()), ask };
        let mut queue = VecDeque::from([request]);
        play.ledger.order(&play.store, play.reign, 0, &mut queue).expect("memory does not fail");
    }
    play.commit();
}

#[tokio::test]
async fn a_watch_resumes_exactly_after_any_of_a_thousand_writes() {
    let stage = Stage::new();
    stage.act(write_a_thousand).await;
    let (whole, end) = Watch::new(&stage, "").await.caught_up().await;
    let cursors: Vec<String> = whole.iter().map(|line| line["cursor"].as_str().expect("a cursor").to_owned()).collect();
    let number = |cursor: &String| cursor.split('.').next().and_then(|n| n.parse::<u64>().ok()).expect("a number");
    assert!(whole.len() > 400 && cursors.iter().map(number).is_sorted_by(|a, b| a < b), "in order, and each once");
    for n in (0..whole.len()).step_by(whole.len() / 40) {
        let (rest, same) = Watch::new(&stage, &format!("?after={}", cursors[n])).await.caught_up().await;
        assert_eq!((&rest[..], &same), (&whole[n + 1..], &end), "after {}", cursors[n]);
        let (jobs, _) = Watch::new(&stage, &format!("?topic=jobs&after={}", cursors[n])).await.caught_up().await;
        assert!(jobs.iter().eq(rest.iter().filter(|line| line["topic"] == "jobs")), "after {}", cursors[n]);
    }
    stage.end().await;
}

#[tokio::test]
async fn who_watches_while_others_write_hears_everything_once() {
    let stage = Stage::new();
    let mut watches = Vec::new();
    for _ in 0..8 {
        watches.push(Watch::new(&stage, "?topic=jobs").await);
    }
    let stage = std::sync::Arc::new(stage);
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let stage = std::sync::Arc::clone(&stage);
            tokio::spawn(async move {
                for n in 0..50 {
                    loop {
                        let answer = ask(&stage, "POST", "/v1/records/jobs", &format!("{writer}/{n}")).await;
                        if answer.status == 201 {
                            break;
                        }
                        assert_eq!(answer.status, 429);
                    }
                }
            })
        })
        .collect();
    for watch in &mut watches {
        let (mut told, mut last) = (Vec::new(), 0);
        while told.len() < 200 {
            let line = watch.next().await;
            if line.get("caught_up").is_some() {
                continue;
            }
            let revision = line["revision"].as_str().expect("a revision");
            let number: u64 = revision.split('.').next().and_then(|number| number.parse().ok()).expect("a number");
            assert!(number > last, "{number} came after {last}");
            last = number;
            told.push(line["value"].as_str().expect("text").to_owned());
        }
        told.sort();
        told.dedup();
        assert_eq!(told.len(), 200);
    }
    for writer in writers {
        writer.await.expect("it wrote");
    }
    stage.stop.cancel();
}

#[tokio::test]
async fn watchers_are_bounded_and_leave_their_places() {
    let stage = Stage::new();
    let mut watches = Vec::new();
    for _ in 0..WATCHERS.each {
        watches.push(Watch::new(&stage, "").await);
    }
    let turned = get(&stage, "/v1/watch").await;
    assert_eq!((turned.status, turned.header("retry-after")), (429, Some("1")));
    assert_eq!(get(&stage, "/v1/keys").await.status, 200, "others are served");
    drop(watches);
    in_time(async {
        loop {
            let mut stream = connect(&stage).await;
            stream.write_all(b"GET /v1/watch HTTP/1.0\r\n\r\n").await.expect("sent");
            let mut start = [0; 12];
            stream.read_exact(&mut start).await.expect("an answer");
            if start.ends_with(b"200") {
                break;
            }
        }
    })
    .await;
    stage.end().await;
}

/// Virtual time: the runtime's clock runs ahead whenever everything waits.
#[tokio::test(start_paused = true)]
async fn a_watcher_that_does_not_read_is_cut_off_and_resumes() {
    let stage = Stage::with(crate::ledger::limits::Limits::default(), Duration::from_secs(10));
    for n in 0..6 {
        done(&stage, "POST", "/v1/records/jobs", &format!("{n}{}", "x".repeat(VALUE - 1))).await;
    }
    let mut watch = Watch::new(&stage, "?topic=jobs").await;
    let first = watch.next().await;
    assert!(first["value"].as_str().is_some_and(|value| value.starts_with('0')));
    tokio::time::timeout(UNREAD * 3, std::future::pending::<()>()).await.expect_err("nothing ends it");
    let mut told = vec![first];
    // What was sent before may still be read; the last line may be cut.
    while let Some(line) = watch.line().await.filter(|line| line.ends_with('\n')) {
        told.push(serde_json::from_str(&line).expect("JSON"));
    }
    assert!(told.len() < 6, "it was cut off");
    let cursor = told.last().expect("a line")["cursor"].as_str().expect("a cursor").to_owned();
    let mut watch = Watch::new(&stage, &format!("?topic=jobs&after={cursor}")).await;
    let (rest, _) = watch.caught_up().await;
    told.extend(rest);
    let order: Vec<_> = told.iter().map(|line| line["value"].as_str().expect("text")[..1].to_owned()).collect();
    assert_eq!(order, ["0", "1", "2", "3", "4", "5"]);
    stage.end().await;
}
