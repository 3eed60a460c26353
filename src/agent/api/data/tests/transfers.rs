//! Export and import.

use super::super::import::IMPORTS;
use super::*;
use crate::agent::data::Outcome;
use crate::ledger::limits::{ENTRY, VALUE};
use crate::view::data::export::{FORMAT, LINE};
use std::time::Duration;

/// A file that was exported. An answer to HTTP/1.0 has no chunks in between.
async fn export(stage: &Stage) -> Vec<String> {
    let mut stream = connect(stage).await;
    stream.write_all(b"GET /v1/export HTTP/1.0\r\n\r\n").await.expect("sent");
    let answer = read(&mut stream).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
    answer.text().lines().map(str::to_owned).collect()
}

async fn import(stage: &Stage, query: &str, lines: &[String]) -> Answer {
    let body = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    ask(stage, "POST", &format!("/v1/import{query}"), &body).await
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// What must be the same wherever a file was imported: everything but births, and the first line.
fn essence(lines: &[String]) -> Vec<Value> {
    let bare = |line: &String| {
        let mut line = json(line);
        line.as_object_mut().expect("an object").remove("birth");
        let siblings = line.get_mut("siblings").and_then(Value::as_array_mut).into_iter().flatten();
        siblings.for_each(|sibling| drop(sibling.as_object_mut().expect("an object").remove("birth")));
        line
    };
    lines[1..].iter().map(bare).collect()
}

const AT: &str = "2026-11-21T05:15:29.536624Z";
const NODE: &str = "bb0c9202-d5ef-48df-9119-98fb255efc78";

fn id(n: u32) -> String {
    format!("0192f0c1-2345-7abc-8def-{n:012x}")
}

fn origin(n: u32) -> String {
    format!(r#""birth":"{n}.000000ff","at":"{AT}","node":"{NODE}""#)
}

fn record(n: u32, value: &str) -> String {
    format!(r#"{{"record":"{}","topic":"jobs",{},"value":"{value}"}}"#, id(n), origin(n))
}

fn key(key: &str, siblings: &[(u32, Option<&str>)]) -> String {
    let sibling = |(n, value): &(u32, Option<&str>)| {
        let value = value.map_or(r#""deleted":true"#.to_owned(), |value| format!(r#""value":"{value}""#));
        format!(r#"{{"id":"{}",{},{value}}}"#, id(*n), origin(*n))
    };
    let siblings: Vec<String> = siblings.iter().map(sibling).collect();
    format!(r#"{{"key":"{key}","siblings":[{}]}}"#, siblings.join(","))
}

/// A whole file of these lines.
fn file(lines: &[String]) -> Vec<String> {
    let header =
        format!(r#"{{"tanist_export":{FORMAT},"at":"{AT}","cluster":"c","node":"{NODE}","cursor":"9.000000ff"}}"#);
    let count = |of: &str| lines.iter().filter(|line| line.starts_with(of)).count();
    let (records, keys) = (count("{\"record\""), count("{\"key\""));
    let end = format!(r#"{{"end":true,"records":{records},"keys":{keys},"conflicts":0}}"#);
    std::iter::once(header).chain(lines.iter().cloned()).chain([end]).collect()
}

/// Counts of an answer: records added and known, keys added and known, conflicts.
fn counts(answer: &Answer) -> [u64; 5] {
    assert_eq!(answer.status, 200, "{answer:?}");
    let said = answer.json();
    let of = |what: &str, how: &str| said[what][how].as_u64().expect("a number");
    let conflicts = said["conflicts"].as_u64().expect("a number");
    [of("records", "added"), of("records", "known"), of("keys", "added"), of("keys", "known"), conflicts]
}

/// Something of every kind: records of some topics, keys, a conflict, a deletion, bytes that are no text.
async fn fill(stage: &Stage) {
    for n in 0..20 {
        done(stage, "POST", &format!("/v1/records/topic-{}", n % 3), &format!("record {n}")).await;
    }
    ask_with(stage, "POST", "/v1/records/%C3%BC%0A", &[], b"\xff\0").await;
    done(stage, "PUT", "/v1/keys/a/b", "v1").await;
    done(stage, "PUT", "/v1/keys/a/b", "v2").await;
    ask_with(stage, "PUT", "/v1/keys/raw", &[], b"\xff\0").await;
    done(stage, "PUT", "/v1/keys/empty", "").await;
    done(stage, "PUT", "/v1/keys/gone", "v").await;
    done(stage, "DELETE", "/v1/keys/gone", "").await;
    let conflicts = [key("c", &[(1, Some("x")), (2, None), (3, Some("y"))]), key("d", &[(4, None), (5, Some("z"))])];
    assert_eq!(counts(&import(stage, "", &file(&conflicts)).await), [0, 0, 2, 0, 3]);
}

#[tokio::test]
async fn what_is_exported_comes_back_into_an_empty_cluster_and_changes_nothing_where_it_is() {
    let stage = Stage::new();
    fill(&stage).await;
    let saved = export(&stage).await;
    let header = json(&saved[0]);
    assert_eq!((&header["tanist_export"], &header["cluster"]), (&FORMAT.into(), &"office".into()));
    assert_eq!(header["cursor"], get(&stage, "/v1/keys").await.json()["cursor"]);
    assert_eq!(saved.last().map(String::as_str), Some(r#"{"end":true,"records":21,"keys":5,"conflicts":3}"#));
    assert!(!saved.iter().any(|line| line.contains("gone")), "a deletion alone is not exported");

    let number = stage.act(|play| play.ledger.position().number).await;
    for _ in 0..2 {
        assert_eq!(counts(&import(&stage, "", &saved).await), [0, 21, 0, 5, 0]);
    }
    assert_eq!(stage.act(|play| play.ledger.position().number).await, number, "nothing changed where it came from");

    let empty = Stage::new();
    empty.act(|play| play.reign = reign(0xb)).await;
    let answer = import(&empty, "?all_or_nothing=true", &saved).await;
    assert_eq!(counts(&answer), [21, 0, 5, 0, 3]);
    let said = answer.json();
    assert_eq!((&said["complete"], &said["copies"], &said["epoch"]), (&true.into(), &2.into(), &7.into()));
    assert_eq!(said["cursor"], get(&empty, "/v1/keys").await.json()["cursor"]);
    let again = export(&empty).await;
    assert_eq!(essence(&again), essence(&saved), "ids, times, members, values, conflicts and their order");
    assert_ne!(again[1], saved[1], "births are of the importing leader's order");
    assert_eq!(counts(&import(&empty, "", &saved).await), [0, 21, 0, 5, 0], "twice is once");
    assert_eq!(counts(&import(&stage, "", &again).await), [0, 21, 0, 5, 0], "and back again");
    stage.end().await;
    empty.end().await;
}

#[tokio::test]
async fn what_was_deleted_trimmed_or_replaced_since_does_not_come_back() {
    let stage = Stage::new();
    fill(&stage).await;
    let saved = export(&stage).await;
    done(&stage, "PUT", "/v1/keys/a/b", "v3").await;
    done(&stage, "DELETE", "/v1/keys/empty", "").await;
    stage
        .act(|play| {
            use crate::data::{Ask, Before, Request, RequestId};
            let ask = Ask::Trim { topic: "topic-0".to_owned(), before: Before::Keep(0) };
            let node = crate::ident::NodeId(uuid::Uuid::nil());
            let trim = Request { id: RequestId(1 << 100), at: crate::time::Wall(0), node, ask };
            let (reign, mut queue) = (play.reign, [trim].into());
            play.ledger.order(&play.store, reign, 0, &mut queue).expect("memory does not fail");
            play.commit();
        })
        .await;
    assert_eq!(counts(&import(&stage, "", &saved).await), [0, 21, 0, 5, 0]);
    assert_eq!(get(&stage, "/v1/keys/a/b").await.body, b"v3");
    assert_eq!(get(&stage, "/v1/keys/empty").await.status, 404);
    assert_eq!(get(&stage, "/v1/records/topic-0").await.json()["records"].as_array().map(Vec::len), Some(0));
    stage.end().await;
}

#[tokio::test]
async fn a_value_that_is_here_stays_and_what_comes_in_is_its_conflict() {
    let stage = Stage::new();
    done(&stage, "PUT", "/v1/keys/k", "here").await;
    let lines = file(&[key("k", &[(1, Some("there"))]), key("l", &[(2, Some("new"))])]);
    assert_eq!(counts(&import(&stage, "", &lines).await), [0, 0, 2, 0, 1]);
    assert_eq!(get(&stage, "/v1/keys/k").await.body, b"here");
    assert_eq!(get(&stage, "/v1/keys").await.json()["keys"][0]["conflicts"], 1);
    assert_eq!(get(&stage, "/v1/keys/l").await.body, b"new");
    stage.end().await;
}

#[tokio::test]
async fn what_is_broken_is_named_and_the_rest_is_in_or_nothing_is() {
    let stage = Stage::new();
    let broken = [
        record(1, "one"),
        "{\"record\":7}".to_owned(),
        record(2, "two"),
        format!("{{\"key\":\"{}", "x".repeat(LINE)),
        key("k", &[(3, Some("v"))]),
        record(2, "another two"),
    ];
    let nothing = import(&stage, "?all_or_nothing=true", &file(&broken)).await;
    assert_eq!(nothing.status, 422);
    let detail = nothing.detail();
    assert!(detail.starts_with("line 3: ") && detail.contains("UUID") && detail.ends_with("nothing was imported"));
    let cut = &file(&[record(1, "one")])[..2];
    let detail = import(&stage, "?all_or_nothing=true", cut).await.detail();
    assert!(detail.starts_with("line 3: the last line of the export is missing"), "{detail}");
    assert_eq!(stage.act(|play| play.ledger.position().number).await, 0, "nothing happened");

    let answer = import(&stage, "", &file(&broken)).await;
    assert_eq!(counts(&answer), [2, 0, 1, 0, 0]);
    let said = answer.json();
    let line = |of: &str, n: usize| (said[of][n]["line"].as_u64(), said[of][n]["reason"].as_str().unwrap_or_default());
    assert_eq!((line("broken", 0).0, line("broken", 1).0, line("broken", 2).0), (Some(3), Some(5), None));
    assert!(line("broken", 1).1.contains("longer than"), "{said}");
    assert_eq!(line("refused", 0).0, Some(7));
    assert!(line("refused", 0).1.contains("that of something else here"), "{said}");
    let answer = import(&stage, "", cut).await;
    assert_eq!((counts(&answer), &answer.json()["complete"]), ([0, 1, 0, 0, 0], &false.into()));
    assert!(answer.json()["broken"][0]["reason"].as_str().is_some_and(|why| why.contains("cut off")));
    stage.end().await;
}

#[tokio::test]
async fn more_faults_than_are_named_are_counted() {
    let stage = Stage::new();
    let lines: Vec<String> = (0..250).map(|_| "{".to_owned()).chain([record(1, "one")]).collect();
    let answer = import(&stage, "", &lines).await;
    assert_eq!(counts(&answer), [1, 0, 0, 0, 0]);
    let said = answer.json();
    assert_eq!((said["broken"].as_array().map(Vec::len), said["unnamed"].as_u64()), (Some(100), Some(152)));
    assert_eq!(said["complete"], false);
    for (text, says) in [("{\"tanist_export\":2}", "format 2 of a later version"), ("", "is missing")] {
        let answer = import(&stage, "?all_or_nothing=true", &[text.to_owned()]).await;
        assert!(answer.status == 422 && answer.detail().contains(says), "{answer:?}");
    }
    let answer = import(&stage, "", &["{\"tanist_export\":2}".to_owned()]).await;
    assert!(answer.status == 422 && answer.detail().ends_with("nothing was imported"), "{answer:?}");
    assert_eq!(import(&stage, "?all=true", &[]).await.status, 400);
    stage.end().await;
}

#[tokio::test]
async fn a_key_with_all_that_a_key_may_have_comes_over() {
    let stage = Stage::new();
    let half = "v".repeat(VALUE - 1);
    let values: Vec<String> = (0..=ENTRY / VALUE).map(|n| format!("{n}{half}")).collect();
    let siblings: Vec<(u32, Option<&str>)> = (1..).zip(values.iter().map(|value| Some(value.as_str()))).collect();
    assert_eq!(counts(&import(&stage, "", &file(&[key("k", &siblings)])).await), [0, 0, 1, 0, 8]);
    let full = import(&stage, "", &file(&[key("k", &[(99, Some("more"))])])).await.json();
    assert!(full["refused"][0]["reason"].as_str().is_some_and(|why| why.contains("settle its conflicts")), "{full}");
    let saved = export(&stage).await;
    let empty = Stage::new();
    assert_eq!(counts(&import(&empty, "?all_or_nothing=true", &saved).await), [0, 0, 1, 0, 8]);
    assert_eq!(essence(&export(&empty).await), essence(&saved));
    stage.end().await;
    empty.end().await;
}

#[tokio::test]
async fn many_come_in_their_order() {
    let stage = Stage::new();
    let lines: Vec<String> = (0..3000).map(|n| record(n, &format!("{n}{}", "x".repeat(200)))).collect();
    let lines = [lines, (0..1500).map(|n| key(&format!("k/{n}"), &[(9000 + n, Some("v"))])).collect()].concat();
    assert_eq!(counts(&import(&stage, "", &file(&lines)).await), [3000, 0, 1500, 0, 0]);
    let saved = export(&stage).await;
    assert_eq!(saved.len(), 4502);
    let order: Vec<String> = saved[1..=3000].iter().map(|line| json(line)["record"].to_string()).collect();
    assert!(order.is_sorted(), "records of a topic keep their order");
    let names: Vec<String> = saved[3001..4501].iter().map(|line| json(line)["key"].to_string()).collect();
    assert!(names.is_sorted());
    stage.end().await;
}

/// While it is read slowly, others write: what was there is in it once, in its old state or in a later one.
#[tokio::test]
async fn an_export_has_all_that_was_there_whatever_is_written_meanwhile() {
    let stage = Stage::new();
    let long = "x".repeat(VALUE / 2);
    for n in 0..8 {
        done(&stage, "POST", "/v1/records/jobs", &format!("{n}{long}")).await;
        done(&stage, "PUT", &format!("/v1/keys/k/{n}"), &format!("old {n}{long}")).await;
    }
    let mut stream = connect(&stage).await;
    stream.write_all(b"GET /v1/export HTTP/1.0\r\n\r\n").await.expect("sent");
    let mut start = [0; 4096];
    stream.read_exact(&mut start).await.expect("its beginning");
    for n in 0..8 {
        done(&stage, "POST", "/v1/records/jobs", "new").await;
        done(&stage, "PUT", &format!("/v1/keys/k/{n}"), &format!("new {n}")).await;
        done(&stage, "PUT", &format!("/v1/keys/a/{n}"), "new").await;
    }
    let mut rest = Vec::new();
    in_time(stream.read_to_end(&mut rest)).await.expect("all of it");
    let text = String::from_utf8([&start[..], &rest].concat()).expect("text");
    let lines: Vec<Value> = text.split_once("\r\n\r\n").expect("a head").1.lines().map(json).collect();
    assert_eq!(lines[0]["cursor"], "16.0000000a", "what the machine had seen when it began");
    let records: Vec<&str> =
        lines.iter().filter(|line| line["record"].is_string()).filter_map(|line| line["value"].as_str()).collect();
    assert_eq!(records.iter().map(|value| &value[..1]).collect::<String>(), "01234567", "and none that came later");
    let keys: Vec<&str> = lines.iter().filter_map(|line| line["key"].as_str()).collect();
    assert!((0..8).all(|n| keys.iter().filter(|key| **key == format!("k/{n}")).count() == 1), "{keys:?}");
    assert_eq!(lines.last().expect("lines")["end"], true);
    stage.end().await;
}

#[tokio::test]
async fn an_import_waits_for_a_leader_and_an_export_ends_with_its_agent() {
    let stage = Stage::new();
    stage.mood(Mood::Say(Outcome::Later("there is no leader".to_owned()))).await;
    let lines = file(&[record(1, "one"), key("k", &[(2, Some("v")), (3, Some("w"))])]);
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut stream = connect(&stage).await;
    stream.write_all(head("POST", "/v1/import", &[], body.len()).as_bytes()).await.expect("sent");
    stream.write_all(body.as_bytes()).await.expect("sent");
    let mut answer = [0; 1];
    assert!(tokio::time::timeout(WAIT, stream.read(&mut answer)).await.is_err(), "it waits");
    stage.mood(Mood::Serve).await;
    assert_eq!(counts(&read(&mut stream).await), [1, 0, 1, 0, 1]);
    for (outcome, status, says) in [(Outcome::NoSpace("the disk of pc-2 is full".to_owned()), 507, "make room")] {
        stage.mood(Mood::Say(outcome)).await;
        let answer = import(&stage, "", &lines).await;
        assert!(answer.status == status && answer.detail().contains(says), "{answer:?}");
        stage.mood(Mood::Serve).await;
    }
    for n in 0..4 {
        done(&stage, "POST", "/v1/records/jobs", &format!("{n}{}", "x".repeat(VALUE - 1))).await;
    }
    let mut stream = connect(&stage).await;
    stream.write_all(b"GET /v1/export HTTP/1.0\r\n\r\n").await.expect("sent");
    let mut start = [0; 1000];
    stream.read_exact(&mut start).await.expect("its beginning");
    stage.stop.cancel();
    let mut rest = Vec::new();
    let _ = in_time(stream.read_to_end(&mut rest)).await;
    assert!(!String::from_utf8_lossy(&rest).contains("{\"end\""), "without its last line it is not whole");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_leader_an_import_ends_and_a_client_that_stalls_is_cut_off() {
    let stage = Stage::new();
    stage.mood(Mood::Say(Outcome::Busy("4096 requests wait".to_owned()))).await;
    let body = file(&[record(1, "one")]).join("\n");
    let mut stream = connect(&stage).await;
    stream.write_all(head("POST", "/v1/import", &[], body.len()).as_bytes()).await.expect("sent");
    stream.write_all(body.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(90), stream.read_to_end(&mut answer)).await;
    ended.expect("an end").expect("an answer");
    let answer = parsed(&answer);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert!(answer.detail().contains("4096 requests wait: of the lines up to 3 all or some"), "{answer:?}");
    stage.mood(Mood::Serve).await;
    for (query, says) in [("", "nothing was imported"), ("?all_or_nothing=true", "nothing was imported")] {
        let mut stream = connect(&stage).await;
        stream.write_all(head("POST", &format!("/v1/import{query}"), &[], 9).as_bytes()).await.expect("sent");
        stream.write_all(b"{").await.expect("sent");
        let answer = tokio::time::timeout(Duration::from_secs(60), read(&mut stream)).await.expect("an end");
        assert_eq!(answer.status, 408);
        assert!(answer.detail().contains(says), "{answer:?}");
    }
    stage.end().await;
}

#[tokio::test]
async fn imports_are_bounded_and_leave_their_places() {
    let stage = Stage::new();
    let mut sending = Vec::new();
    for _ in 0..IMPORTS {
        let mut stream = connect(&stage).await;
        stream.write_all(head("POST", "/v1/import", &[], 9).as_bytes()).await.expect("sent");
        sending.push(stream);
    }
    in_time(async {
        while import(&stage, "", &file(&[])).await.status != 429 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(sending);
    in_time(async {
        while import(&stage, "", &file(&[])).await.status != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    stage.end().await;
}
