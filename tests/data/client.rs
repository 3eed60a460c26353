//! The client library.

use crate::for_tests::{Mood, Stage, in_time};
use bytes::Bytes;
use std::path::Path;
use std::time::Duration;
use tanist::agent::data::Outcome;
use tanist::client::{Client, Condition, Error, PATIENCE, Reading, UPDATES, Watch};
use tanist::ledger::limits::{Limits, VALUE};
use tanist::view::data::{Line, Op, Point};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use uuid::Uuid;

fn client(stage: &Stage) -> Client {
    Client::at(&stage.socket)
}

/// The status of a refusal.
fn refused<T: std::fmt::Debug>(answer: Result<T, Error>) -> u16 {
    match answer {
        Err(Error::Refused { problem }) => problem.status,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn everything_that_the_api_does_is_a_function() {
    let stage = Stage::new();
    let client = client(&stage);
    let added = client.add("jobs", "one").await.expect("added");
    assert_eq!((added.topic.as_str(), added.copies, added.epoch), ("jobs", 2, 7));
    client.add("jobs", Bytes::from_static(b"\xff\0")).await.expect("added");
    let page = client.records("jobs", None).await.expect("a page");
    let values: Vec<&[u8]> = page.records.iter().map(|record| record.content.bytes()).collect();
    assert_eq!(values, [&b"one"[..], b"\xff\0"]);
    let rest = client.records("jobs", Some(added.cursor)).await.expect("a page");
    assert_eq!(rest.records, page.records[1..]);
    assert!(client.records("jobs", Some(page.cursor)).await.expect("a page").records.is_empty());
    assert_eq!(client.record("jobs", added.id).await.expect("an answer"), Some(Bytes::from_static(b"one")));
    assert_eq!(client.record("jobs", Uuid::from_u128(5)).await.expect("an answer"), None);

    let put = client.put("a/b", "1", Condition::Absent).await.expect("written");
    let got = client.get("a/b", Reading::default()).await.expect("an answer").expect("a value");
    assert_eq!((got.value.as_ref(), got.version, got.cursor), (&b"1"[..], put.version, put.cursor));
    assert_eq!(refused(client.put("a/b", "2", Condition::Absent).await), 412);
    client.put("a/b", "2", Condition::Is(put.version.0)).await.expect("written");
    assert_eq!(refused(client.delete("a/b", Condition::Is(put.version.0)).await), 412);
    let fresh = Reading { fresh: true, at_least: Some(put.cursor) };
    assert_eq!(client.get("a/b", fresh).await.expect("an answer").expect("a value").value, "2");
    let keys = client.keys("a/", None).await.expect("a page");
    assert_eq!((keys.keys.len(), keys.keys[0].size, keys.next), (1, 1, None));
    client.delete("a/b", Condition::None).await.expect("deleted");
    assert_eq!(client.get("a/b", Reading::default()).await.expect("an answer"), None);
    assert_eq!(refused(client.delete("a/b", Condition::None).await), 404);
    let topics = client.topics(None).await.expect("a page");
    assert_eq!((topics.topics.len(), topics.topics[0].records, topics.topics[0].bytes), (1, 2, 5));
    assert_eq!(refused(client.put("a", vec![0; VALUE + 1], Condition::None).await), 413);
    stage.end().await;
}

#[tokio::test]
async fn names_of_every_kind_arrive_as_they_are() {
    let stage = Stage::new();
    let client = client(&stage);
    let names =
        ["a b", "ä/ö", "100%", "%41", "?x=1&y#z", "a+b", "../up", "a//b/", "\"quoted\"", "line\nbreak", "{}[]|\\^`"];
    for name in names {
        client.put(name, name.to_owned(), Condition::None).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let got = client.get(name, Reading::default()).await.expect("an answer").expect("a value");
        assert_eq!(got.value, name.as_bytes(), "{name}");
        let listed = client.keys(name, None).await.expect("a page");
        assert!(listed.keys.iter().any(|key| key.key == name), "{name}: {listed:?}");
        let behind = client.keys("", Some(name)).await.expect("a page");
        assert!(behind.keys.iter().all(|key| key.key.as_str() > name), "{name}: {behind:?}");
        let added = client.add(name, "v").await.expect("added");
        assert_eq!(added.topic, name);
        assert_eq!(client.records(name, None).await.expect("a page").records.len(), 1);
        assert!(client.record(name, added.id).await.expect("an answer").is_some());
        let watch = Watch { topic: Some(name.to_owned()), prefix: Some(name.to_owned()), after: None };
        let mut changes = client.watch_data(&watch).await.expect("a stream");
        let Some(Line::Change(change)) = in_time(changes.next()).await.expect("a line") else { panic!("{name}") };
        assert_eq!(change.key.as_deref(), Some(name));
    }
    stage.end().await;
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_done_once() {
    let stage = Stage::new();
    let client = client(&stage);
    stage.mood(Mood::Forget(3)).await;
    let added = in_time(client.add("jobs", "one")).await.expect("added in the end");
    assert_eq!(added.revision.to_string(), "1.0000000a");
    stage.mood(Mood::Forget(2)).await;
    let put = in_time(client.put("a", "1", Condition::Absent)).await.expect("its own first try is no conflict");
    assert_eq!(put.version.to_string(), "2.0000000a");
    stage.mood(Mood::Forget(1)).await;
    in_time(client.delete("a", Condition::Is(put.version.0))).await.expect("nor here");
    assert_eq!(stage.act(|play| play.ledger.committed().number).await, 3, "each was done once");
    assert_eq!(client.records("jobs", None).await.expect("a page").records.len(), 1);
    let id = Uuid::now_v7();
    let first = client.put_as(id, "b", "1", Condition::None).await.expect("written");
    client.put("b", "2", Condition::None).await.expect("written");
    assert_eq!(client.put_as(id, "b", "1", Condition::None).await.expect("known").version, first.version);
    assert_eq!(client.get("b", Reading::default()).await.expect("an answer").expect("a value").value, "2");
    stage.end().await;
}

#[tokio::test]
async fn who_is_told_to_come_back_comes_back() {
    let stage = Stage::new();
    for outcome in [Outcome::Later("there is no leader".to_owned()), Outcome::Busy("too much waits".to_owned())] {
        stage.mood(Mood::Say(outcome)).await;
        let client = client(&stage);
        let writing = tokio::spawn(async move { client.add("jobs", "one").await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!writing.is_finished());
        stage.mood(Mood::Serve).await;
        in_time(writing).await.expect("it ran").expect("added");
    }
    assert_eq!(client(&stage).records("jobs", None).await.expect("a page").records.len(), 2);
    stage.end().await;
}

#[tokio::test]
async fn an_agent_that_is_started_again_is_waited_for_and_one_that_is_not_there_is_not() {
    let mut stage = Stage::with(Limits::default(), Duration::from_secs(10));
    stage.mood(Mood::Hold).await;
    let client = client(&stage);
    let writing = {
        let client = client.clone();
        tokio::spawn(async move { client.put("a", "1", Condition::None).await })
    };
    in_time(async {
        while stage.data.asks.capacity() == stage.data.asks.max_capacity() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    stage.restart(Duration::from_millis(300)).await;
    stage.mood(Mood::Serve).await;
    in_time(writing).await.expect("it ran").expect("written");
    assert_eq!(stage.act(|play| play.ledger.committed().number).await, 1);
    stage.end().await;
    let nobody = in_time(client.put("a", "1", Condition::None)).await;
    assert!(matches!(nobody, Err(Error::NoAgent { .. })), "{nobody:?}");
}

/// Virtual time: the runtime's clock runs ahead whenever everything waits.
#[tokio::test(start_paused = true)]
async fn patience_ends() {
    let stage = Stage::new();
    stage.mood(Mood::Say(Outcome::Later("there is no leader".to_owned()))).await;
    let begun = tokio::time::Instant::now();
    let answer = client(&stage).put("a", "1", Condition::None).await;
    assert!(matches!(&answer, Err(Error::Later { why, .. }) if why.contains("no leader")), "{answer:?}");
    let took = begun.elapsed();
    assert!(took >= PATIENCE && took < PATIENCE * 2, "{took:?}");
    stage.end().await;
}

/// A way to an agent that breaks off the first answers in the middle, each with the text that is given for it.
async fn broken_way(dir: &Path, to: &Path, answers: &'static [&'static str]) -> Client {
    let socket = dir.join("way");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let to = to.to_owned();
    tokio::spawn(async move {
        let mut answers = answers.iter();
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = UnixStream::connect(&to).await.expect("the API listens");
            let Some(answer) = answers.next() else {
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
                continue;
            };
            // The request arrives, and its answer does not.
            let mut request = vec![0; 4096];
            let length = near.read(&mut request).await.expect("a request");
            far.write_all(&request[..length]).await.expect("passed on");
            let _ = far.read(&mut request).await;
            near.write_all(answer.as_bytes()).await.expect("sent");
        }
    });
    Client::at(&socket)
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    let stage = Stage::new();
    let dir = tempfile::tempdir().expect("a directory");
    let answers = &["", "HTTP/1.1 2", "HTTP/1.1 201 Created\r\nContent-Length: 200\r\n\r\n{\"id\":"];
    let client = broken_way(dir.path(), &stage.socket, answers).await;
    let added = in_time(client.add("jobs", "one")).await.expect("added in the end");
    assert_eq!(client.records("jobs", None).await.expect("a page").records[0].id, added.id);
    assert_eq!(stage.act(|play| play.ledger.committed().number).await, 1, "once");
    stage.end().await;
}

#[tokio::test]
async fn updates_of_many_at_once_lose_nothing() {
    let stage = Stage::new();
    let counting: Vec<_> = (0..4)
        .map(|_| {
            let client = client(&stage);
            tokio::spawn(async move {
                for _ in 0..5 {
                    let count = async |value: Option<Bytes>| {
                        let value = value.map_or(0, |value| String::from_utf8_lossy(&value).parse().unwrap_or(0));
                        Ok::<Bytes, Error>((value + 1_u32).to_string().into())
                    };
                    client.update("count", count).await.expect("counted");
                }
            })
        })
        .collect();
    for one in counting {
        in_time(one).await.expect("it ran");
    }
    let count = client(&stage).get("count", Reading::default()).await.expect("an answer").expect("a value");
    assert_eq!(count.value, "20");
    stage.end().await;
}

#[tokio::test]
async fn an_update_gives_up_when_others_are_always_faster_and_when_it_is_told_to() {
    let stage = Stage::new();
    let client = client(&stage);
    let mut tries = 0;
    let answer = client
        .update("a", async |_| {
            tries += 1;
            // Somebody else.
            client.put("a", "theirs", Condition::None).await?;
            Ok::<Bytes, Error>("mine".into())
        })
        .await;
    assert_eq!((refused(answer), tries), (412, UPDATES));
    assert_eq!(client.get("a", Reading::default()).await.expect("an answer").expect("a value").value, "theirs");
    let stopped = client.update("a", async |_| Err(Error::Strange { why: "no".to_owned() })).await;
    assert!(matches!(stopped, Err(Error::Strange { .. })), "{stopped:?}");
    stage.end().await;
}

#[tokio::test]
async fn a_stream_of_changes_goes_on_where_it_broke_off() {
    let mut stage = Stage::new();
    let client = client(&stage);
    client.put("a/1", "one", Condition::None).await.expect("written");
    let mut watch = Watch { topic: None, prefix: Some("a/".to_owned()), after: None };
    let mut changes = client.watch_data(&watch).await.expect("a stream");
    let Some(Line::Change(first)) = in_time(changes.next()).await.expect("a line") else { panic!("no change") };
    assert_eq!(
        (first.op, first.key.as_deref(), first.content.map(|c| c.into_bytes())),
        (Op::Put, Some("a/1"), Some("one".into()))
    );
    let Some(Line::CaughtUp { caught_up }) = in_time(changes.next()).await.expect("a line") else { panic!("not yet") };
    assert_eq!(caught_up, first.cursor);
    stage.restart(Duration::from_millis(1)).await;
    assert!(!matches!(in_time(changes.next()).await, Ok(Some(_))), "it ends with the agent");
    client.put("a/2", vec![0; VALUE], Condition::None).await.expect("written");
    client.delete("a/1", Condition::None).await.expect("deleted");
    watch.after = Some(first.cursor);
    let mut changes = client.watch_data(&watch).await.expect("a stream");
    let Some(Line::Change(second)) = in_time(changes.next()).await.expect("a line") else { panic!("no change") };
    assert_eq!(second.content.map(|content| content.into_bytes().len()), Some(VALUE), "6 MiB in JSON");
    let Some(Line::Change(third)) = in_time(changes.next()).await.expect("a line") else { panic!("no change") };
    assert_eq!((third.op, third.key.as_deref(), third.content), (Op::Delete, Some("a/1"), None));
    let gone = Watch { after: "1.000000ff".parse::<Point>().ok(), ..watch };
    assert_eq!(refused(client.watch_data(&gone).await.map(drop)), 410);
    stage.end().await;
}
