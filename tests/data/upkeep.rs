//! Conflicts and trims: the client library and the commands.

use crate::commands::{run, run_with};
use crate::for_tests::{Mood, Stage, in_time, reign};
use std::time::Duration;
use tanist::agent::data::Outcome;
use tanist::client::{Client, Condition, Error, Keep, Reading, Trim};
use tanist::data::{Answer, Ask, Refusal};
use tanist::ledger::limits::TRIM;
use tanist::view::data::Point;

fn put(key: &str, value: &str) -> Ask {
    Ask::Put { key: key.to_owned(), value: value.to_owned().into(), condition: Condition::None }
}

/// An agent whose keys have these values, and each a conflict.
async fn disputed(keys: &'static [(&'static str, &'static str, &'static str)]) -> Stage {
    let stage = Stage::new();
    let client = Client::at(&stage.socket);
    for (key, here, _) in keys {
        client.put(key, *here, Condition::None).await.expect("written");
    }
    let asks = keys.iter().map(|(key, _, there)| put(key, there)).collect();
    stage.act(|play| play.meet(reign(0xb), asks)).await;
    stage
}

async fn value(client: &Client, key: &str) -> Option<String> {
    let value = client.get(key, Reading::default()).await.expect("an answer")?;
    Some(String::from_utf8(value.value.into()).expect("text"))
}

fn status<T: std::fmt::Debug>(answer: Result<T, Error>) -> u16 {
    match answer {
        Err(Error::Refused { problem }) => problem.status,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn conflicts_are_listed_and_settled_by_functions() {
    let stage = disputed(&[("a", "here", "there"), ("b", "here", "there"), ("c", "here", "there")]).await;
    let client = Client::at(&stage.socket);
    assert_eq!(client.status().await.expect("it answers").conflicts, 3);
    let page = client.conflicts(None).await.expect("a page");
    let keys: Vec<&str> = page.conflicts.iter().map(|conflict| conflict.key.as_str()).collect();
    assert_eq!((keys, page.next), (vec!["a", "b", "c"], None));
    let behind = format!("{} b", page.conflicts[1].id);
    let rest = client.conflicts(Some(&behind)).await.expect("a page");
    assert_eq!(rest.conflicts[..], page.conflicts[2..]);

    let (a, b, c) = (&page.conflicts[0], &page.conflicts[1], &page.conflicts[2]);
    let read = Condition::Is(a.present.version.expect("a value").0);
    // Of its first tries the answers are lost.
    stage.mood(Mood::Forget(2)).await;
    let settled = in_time(client.resolve(a.id, &Keep::Other, read)).await.expect("settled");
    assert_eq!((settled.key.as_str(), value(&client, "a").await.as_deref()), ("a", Some("there")));
    assert_eq!(status(client.resolve(a.id, &Keep::Other, read).await), 404, "it is settled");
    assert_eq!(status(client.resolve(b.id, &Keep::Other, read).await), 412, "that is no version of it");
    client.resolve(b.id, &Keep::Value(Some("both".into())), Condition::None).await.expect("settled");
    assert_eq!(value(&client, "b").await.as_deref(), Some("both"));
    client.resolve(c.id, &Keep::Value(None), Condition::None).await.expect("settled");
    assert_eq!(value(&client, "c").await, None);
    assert!(client.conflicts(None).await.expect("a page").conflicts.is_empty());
    stage.end().await;
}

#[tokio::test]
async fn records_are_trimmed_by_a_function_until_all_are_gone() {
    let stage = Stage::new();
    let client = Client::at(&stage.socket);
    let more = 3 * TRIM;
    let add = || Ask::Add { topic: "a/b".to_owned(), value: "v".into() };
    stage.act(move |play| play.elsewhere((0..more).map(|_| add()))).await;
    let at: Point = "100.0000000a".parse().expect("a cursor");
    assert_eq!(client.trim("a/b", Trim::Before(at)).await.expect("trimmed").dropped, 100);
    assert_eq!(client.trim("a/b", Trim::Older(Duration::from_secs(1 << 40))).await.expect("trimmed").dropped, 0);
    let trimmed = client.trim("a/b", Trim::Keep(7)).await.expect("trimmed");
    assert_eq!((trimmed.dropped, trimmed.more), (more as u64 - 107, false));
    assert_eq!(client.records("a/b", None).await.expect("a page").records.len(), 7);
    // An agent that says that there is more is asked again.
    let part =
        |more| Outcome::Judged { answer: Answer::Trimmed { revision: None, dropped: 5, more }, copies: 1, epoch: 8 };
    stage.mood(Mood::Say(part(false))).await;
    let trimmed = client.trim("a/b", Trim::Keep(2)).await.expect("trimmed");
    assert_eq!((trimmed.dropped, trimmed.copies, trimmed.epoch, trimmed.revision), (5, 1, 8, None));
    stage.mood(Mood::Say(Outcome::Judged { answer: Answer::Refused(Refusal::Full), copies: 2, epoch: 7 })).await;
    assert_eq!(status(client.trim("a/b", Trim::Keep(2)).await), 409);
    stage.mood(Mood::Serve).await;
    assert_eq!(status(client.trim("a/b", Trim::Before("1.000000ff".parse().expect("a cursor"))).await), 410);
    stage.end().await;
}

#[tokio::test]
async fn conflicts_are_shown_to_people_and_settled_by_them() {
    let stage = disputed(&[("a\tb", "he\x1b[1mre", "there"), ("k", "1", "2"), ("l", "1", "2")]).await;
    let listed = run(&stage, &["conflicts"]).await;
    let lines: Vec<&str> = listed.text().lines().collect();
    assert_eq!((listed.status, lines.len()), (0, 8), "{listed:?}");
    let words = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>();
    assert_eq!(words(0), ["ID", "KEY", "WHICH", "VALUE", "WRITTEN", "BY", "VERSION"]);
    assert_eq!(words(1)[..4], ["1.0000000b", "a\\tb", "present", "he\\u{1b}[1mre"]);
    assert_eq!(words(1).last(), Some(&"1.0000000a"), "the version of the value that is there");
    assert_eq!(
        (&words(2)[..2], words(2).last()),
        (&["other", "there"][..], Some(&"0000")),
        "by a machine without a name"
    );
    assert!(lines[7].contains("tanist conflicts resolve ID"), "{listed:?}");
    assert!(!listed.text().contains(|c: char| c.is_control() && c != '\n'), "{listed:?}");
    let json = run(&stage, &["conflicts", "--json"]).await.json();
    assert_eq!((&json["conflicts"][0]["key"], json["next"].is_null()), (&"a\tb".into(), true));
    let shown = run(&stage, &["status"]).await;
    assert!(shown.text().contains("3 keys have conflicts: `tanist conflicts` lists them"), "{shown:?}");

    let id = |n: usize| json["conflicts"][n]["id"].as_str().expect("an id");
    let stale = run(&stage, &["conflicts", "resolve", id(0), "--other", "--if-version", "9.0000000a"]).await;
    assert_eq!((stale.status, stale.out.len()), (1, 0));
    assert!(stale.error.contains("has the version 1.0000000a now: read it again"), "{stale:?}");
    assert_eq!(run(&stage, &["conflicts", "resolve", id(0), "--other", "--if-absent"]).await.status, 1);
    let settled = run(&stage, &["conflicts", "resolve", id(0), "--other", "--if-version", "1.0000000a"]).await;
    assert_eq!((settled.status, settled.text().ends_with(".0000000a")), (0, true), "{settled:?}");
    assert_eq!(run(&stage, &["get", "a\tb"]).await.out, b"there");
    let late = run(&stage, &["conflicts", "resolve", id(0), "--present"]).await;
    assert_eq!((late.status, late.out.len()), (1, 0));
    assert!(late.error.contains("no conflict 1.0000000b, or no more"), "{late:?}");

    let settled = run_with(&stage, &["conflicts", "resolve", id(1), "--value", "-"], b"\xff\n").await;
    assert_eq!(settled.status, 0, "{settled:?}");
    assert_eq!(run(&stage, &["get", "k"]).await.out, b"\xff\n");
    let settled = run(&stage, &["conflicts", "resolve", id(2), "--present", "--json"]).await.json();
    assert_eq!(settled["key"], "l");
    assert_eq!(run(&stage, &["conflicts"]).await.text(), "no conflicts");
    assert!(!run(&stage, &["status"]).await.text().contains("conflict"));
    for arguments in [&["conflicts", "resolve"][..], &["conflicts", "resolve", "5", "--other"], &["conflicts", "all"]] {
        assert_eq!(run(&stage, arguments).await.status, 2, "{arguments:?}");
    }
    stage.end().await;
}

#[tokio::test]
async fn a_topic_is_trimmed_by_a_command() {
    let stage = Stage::new();
    for n in 0..5 {
        run(&stage, &["add", "jobs", &n.to_string()]).await;
    }
    let none = run(&stage, &["trim", "jobs", "--older", "30d"]).await;
    assert_eq!((none.status, none.text()), (0, "dropped 0 records of jobs"));
    let before = run(&stage, &["trim", "jobs", "--before", "1.0000000a"]).await;
    assert_eq!((before.status, before.text()), (0, "dropped 1 record of jobs"));
    let json = run(&stage, &["trim", "jobs", "--keep", "1", "--json"]).await.json();
    assert_eq!((&json["dropped"], &json["topic"]), (&3.into(), &"jobs".into()));
    assert!(run(&stage, &["topics"]).await.text().contains("jobs   1        1 B"));
    let gone = run(&stage, &["trim", "jobs", "--before", "1.000000ff"]).await;
    assert_eq!(gone.status, 1, "{gone:?}");
    for arguments in [&["trim", "jobs"][..], &["trim", "jobs", "--keep", "x"], &["trim", "jobs", "--older", "soon"]] {
        let said = run(&stage, arguments).await;
        assert_eq!((said.status, said.out.len()), (2, 0), "{said:?}");
    }
    stage.end().await;
}

/// It takes as long as a client is patient.
#[tokio::test]
async fn no_leader_is_75() {
    let stage = disputed(&[("k", "1", "2")]).await;
    stage.mood(Mood::Say(Outcome::Later("there was no leader for 10 s".to_owned()))).await;
    for arguments in [&["conflicts", "resolve", "1.0000000b", "--other"][..], &["trim", "jobs", "--keep", "1"]] {
        let said = run(&stage, arguments).await;
        assert_eq!((said.status, said.out.len()), (75, 0), "{said:?}");
    }
    stage.end().await;
}
