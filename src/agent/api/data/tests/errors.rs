//! Everything that can go wrong says what, why, and what to do.

use super::*;
use crate::agent::data::Outcome;
use crate::data::{Answer as Verdict, Refusal};
use crate::ledger::limits::{KEY, TOPIC, VALUE};
use std::time::Duration;

const ID: &str = "0192f0c1-2345-7abc-8def-0123456789ab";

#[tokio::test]
async fn what_is_malformed_is_said() {
    let stage = Stage::new();
    let version = ("If-Match", "\"1.0000000a\"");
    for (method, path, heads, status, says) in [
        ("POST", "/v1/records/", &[][..], 400, "the topic is empty"),
        ("POST", "/v1/records/%00", &[], 400, "a NUL"),
        ("POST", "/v1/records/100%", &[], 400, "%25"),
        ("POST", "/v1/records/%ff", &[], 400, "not UTF-8"),
        ("POST", "/v1/records/jobs?after=1", &[], 400, "no parameters"),
        ("POST", "/v1/records/jobs", &[version], 400, "leave If-Match"),
        ("POST", "/v1/records/jobs", &[("Idempotency-Key", "7")], 400, "is a UUID"),
        ("POST", "/v1/records/jobs", &[("Idempotency-Key", ID), ("Idempotency-Key", ID)], 400, "more than once"),
        ("GET", "/v1/records/jobs/7", &[], 400, "\"7\" is none"),
        ("GET", "/v1/records/jobs?limit=0", &[], 400, "asks for nothing"),
        ("GET", "/v1/records/jobs?limit=x", &[], 400, "limit"),
        ("GET", "/v1/records/jobs?before=1", &[], 400, "unknown field `before`"),
        ("GET", "/v1/records/jobs?after=1", &[], 400, "5210.0a1b2c3d"),
        ("GET", "/v1/records/jobs?at_least=1.x", &[], 400, "at_least=\"1.x\""),
        ("PUT", "/v1/keys/", &[], 400, "the key is empty"),
        ("PUT", "/v1/keys/a%00", &[], 400, "a NUL"),
        ("PUT", "/v1/keys/a%2", &[], 400, "%25"),
        ("PUT", "/v1/keys/a", &[("If-Match", "1.0000000a")], 400, "in quotes"),
        ("PUT", "/v1/keys/a", &[("If-Match", "*")], 400, "in quotes"),
        ("PUT", "/v1/keys/a", &[("If-None-Match", "\"1.0000000a\"")], 400, "takes * here"),
        ("PUT", "/v1/keys/a", &[version, ("If-None-Match", "*")], 400, "contradict"),
        ("DELETE", "/v1/keys/a?now=1", &[], 400, "no parameters"),
        ("GET", "/v1/keys/a?fresh=maybe", &[], 400, "fresh"),
        ("GET", "/v1/keys/a?fesh=true", &[], 400, "unknown field `fesh`"),
        ("GET", "/v1/keys?limit=-1", &[], 400, "limit"),
        ("GET", "/v1/topics?prefix=a", &[], 400, "unknown field `prefix`"),
        ("GET", "/v1/watch?topic=", &[], 400, "the topic is empty"),
        ("GET", "/v1/watch?after=", &[], 400, "5210.0a1b2c3d"),
        ("PATCH", "/v1/keys/a", &[], 405, "PATCH"),
        ("PUT", "/v1/records/jobs", &[], 405, "PUT"),
        ("GET", "/v1/keys/a", &[], 404, "the key \"a\" has no value"),
        ("DELETE", "/v1/keys/a", &[], 404, "nothing to delete"),
        ("DELETE", "/v1/keys/a", &[("If-Match", "\"1.0000000a\"")], 412, "has no value now"),
        ("GET", &format!("/v1/records/jobs/{ID}"), &[], 404, ID),
        ("PUT", &format!("/v1/keys/{}", "k".repeat(KEY + 1)), &[], 413, "1025 bytes"),
        ("GET", &format!("/v1/keys/{}", "k".repeat(KEY + 1)), &[], 413, "1025 bytes"),
        ("POST", &format!("/v1/records/{}", "t".repeat(TOPIC + 1)), &[], 413, "257 bytes"),
    ] {
        let answer = ask_with(&stage, method, path, heads, b"").await;
        assert_eq!(answer.status, status, "{method} {path} {heads:?}: {answer:?}");
        assert!(answer.detail().contains(says), "{method} {path} {heads:?}: {}", answer.detail());
    }
    assert_eq!(stage.act(|play| play.ledger.committed().number).await, 0, "nothing happened");
    done(&stage, "PUT", &format!("/v1/keys/{}", "%6b".repeat(KEY)), "").await;
    stage.end().await;
}

#[tokio::test]
async fn a_value_that_is_too_large_is_refused_before_it_is_sent_or_while() {
    let stage = Stage::new();
    let mut stream = connect(&stage).await;
    let heads = [("Expect", "100-continue")];
    stream.write_all(head("PUT", "/v1/keys/a", &heads, VALUE + 1).as_bytes()).await.expect("sent");
    let answer = read(&mut stream).await;
    assert_eq!(answer.status, 413, "no 100 came before: {answer:?}");
    assert!(answer.detail().contains("1048576 bytes"));
    let answer = ask(&stage, "PUT", "/v1/keys/a", &"x".repeat(VALUE + 1)).await;
    assert_eq!(answer.status, 413);

    let mut stream = connect(&stage).await;
    let head = "PUT /v1/keys/a HTTP/1.1\r\nHost: tanist\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sent");
    let chunk = format!("{:x}\r\n{}\r\n", VALUE / 2, "x".repeat(VALUE / 2));
    for _ in 0..3 {
        let _ = stream.write_all(chunk.as_bytes()).await;
    }
    assert_eq!(read(&mut stream).await.status, 413);
    assert_eq!(get(&stage, "/v1/keys/a").await.status, 404);
    assert_eq!(done(&stage, "PUT", "/v1/keys/a", &"x".repeat(VALUE)).await.status, 200);
    assert_eq!(get(&stage, "/v1/keys/a").await.body.len(), VALUE);
    stage.end().await;
}

#[tokio::test]
async fn what_the_leader_says_becomes_its_status() {
    let stage = Stage::new();
    let refused = |refusal| Outcome::Judged { answer: Verdict::Refused(refusal), copies: 2, epoch: 7 };
    for (outcome, status, says) in [
        (Outcome::Later("there was no leader for 10 s".to_owned()), 503, "Idempotency-Key: 0192f0c1"),
        (Outcome::Busy("4096 requests wait".to_owned()), 429, "nothing was written"),
        (Outcome::NoSpace("the disk of pc-2 is full".to_owned()), 507, "make room"),
        (refused(Refusal::Reused), 422, "belongs to another request"),
        (refused(Refusal::Changed(None)), 412, "has no value now"),
        (refused(Refusal::Missing), 404, "nothing to delete"),
        (refused(Refusal::Malformed("the key is empty")), 400, "the key is empty"),
        (refused(Refusal::Malformed("the value is too long")), 413, "too long"),
        (refused(Refusal::Forgotten), 410, "begin anew"),
        (refused(Refusal::Full), 409, "as many trims as may be"),
    ] {
        stage.mood(Mood::Say(outcome)).await;
        let answer = ask_with(&stage, "PUT", "/v1/keys/a", &[("Idempotency-Key", ID)], b"v").await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.detail().contains(says), "{answer:?}");
        assert_eq!(answer.header("retry-after"), [429, 503].contains(&status).then_some("1"));
        assert_eq!(answer.header("idempotency-key"), Some(ID), "it says what to send again");
    }
    stage.end().await;
}

#[tokio::test]
async fn a_full_queue_is_429_and_who_waits_in_it_is_served() {
    let stage = Stage::new();
    stage.mood(Mood::Hold).await;
    let mut waiting = Vec::new();
    let mut turned = 0;
    for n in 0..8 {
        let mut stream = connect(&stage).await;
        stream.write_all(head("PUT", &format!("/v1/keys/{n}"), &[], 0).as_bytes()).await.expect("sent");
        waiting.push(stream);
    }
    in_time(async {
        while stage.data.asks.capacity() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let answer = ask(&stage, "PUT", "/v1/keys/more", "").await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    assert!(answer.detail().contains("try again"), "{answer:?}");
    stage.mood(Mood::Serve).await;
    for mut stream in waiting {
        turned += usize::from(in_time(read(&mut stream)).await.status == 429);
    }
    assert_eq!(turned, 4, "the channel of these tests has four places");
    stage.end().await;
}

/// Virtual time: the runtime's clock runs ahead whenever everything waits.
#[tokio::test(start_paused = true)]
async fn a_loop_that_stands_still_is_503_with_the_id() {
    let stage = Stage::new();
    stage.mood(Mood::Hold).await;
    let answer = ask_with(&stage, "POST", "/v1/records/jobs", &[("Idempotency-Key", ID)], b"v").await;
    assert_eq!((answer.status, answer.header("idempotency-key")), (503, Some(ID)));
    assert!(answer.detail().contains("it is done once"), "{answer:?}");
    stage.end().await;
}

#[tokio::test]
async fn a_value_that_does_not_come_is_given_up_and_one_that_breaks_off_leaks_nothing() {
    let stage = Stage::new();
    // More of them than fit beside one another.
    for n in 0..2 * super::super::IN_FLIGHT / VALUE {
        let mut stream = connect(&stage).await;
        stream.write_all(head("PUT", "/v1/keys/a", &[], VALUE).as_bytes()).await.expect("sent");
        stream.write_all(&vec![0; VALUE / 2]).await.unwrap_or_else(|error| panic!("{n}: {error}"));
    }
    let mut last = 429;
    in_time(async {
        while last == 429 {
            last = ask(&stage, "PUT", "/v1/keys/a", &"x".repeat(VALUE)).await.status;
        }
    })
    .await;
    assert_eq!(last, 200);
    assert_eq!(stage.act(|play| play.ledger.committed().number).await, 1, "of the others nothing was written");
    stage.end().await;
}

#[tokio::test]
async fn values_on_their_way_are_bounded() {
    let stage = Stage::new();
    let mut sending = Vec::new();
    for _ in 0..super::super::IN_FLIGHT / VALUE {
        let mut stream = connect(&stage).await;
        stream.write_all(head("PUT", "/v1/keys/a", &[], VALUE).as_bytes()).await.expect("sent");
        sending.push(stream);
    }
    let answer = in_time(async {
        loop {
            let answer = ask(&stage, "PUT", "/v1/keys/b", "v").await;
            if answer.status != 200 {
                return answer;
            }
        }
    })
    .await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    assert!(answer.detail().contains("on their way"), "{answer:?}");
    drop(sending);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_value_that_stays_away_is_408() {
    let stage = Stage::new();
    let mut stream = connect(&stage).await;
    stream.write_all(head("PUT", "/v1/keys/a", &[], 10).as_bytes()).await.expect("sent");
    let answer = tokio::time::timeout(Duration::from_secs(60), read(&mut stream)).await.expect("an end");
    assert_eq!(answer.status, 408);
    assert!(answer.detail().contains("nothing was written"), "{answer:?}");
    stage.end().await;
}
