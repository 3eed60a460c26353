//! Trimming: what goes, what is said of it, and what topics are then.

use super::*;
use crate::agent::data::Outcome;
use crate::data::{Answer as Verdict, Ask, Refusal};
use crate::ledger::limits::TRIM;

/// So many records are added to a topic.
async fn add(stage: &Stage, topic: &'static str, count: usize) {
    let add = move || Ask::Add { topic: topic.to_owned(), value: "12".into() };
    stage.act(move |play| play.elsewhere((0..count).map(|_| add()))).await;
}

async fn values(stage: &Stage) -> Vec<String> {
    let page = get(stage, "/v1/records/jobs").await.json();
    let values = page["records"].as_array().expect("records").iter();
    values.map(|record| record["value"].as_str().expect("text").to_owned()).collect()
}

#[tokio::test]
async fn old_records_are_dropped_and_the_counts_follow() {
    for (which, dropped, left) in [
        ("keep=1", 3, &["3"][..]),
        ("keep=0", 4, &[]),
        ("keep=9", 0, &["0", "1", "2", "3"]),
        ("before=2.0000000a", 2, &["2", "3"]),
        ("before=0.00000000", 0, &["0", "1", "2", "3"]),
        ("older_ms=0", 4, &[]),
        ("older_ms=3600000", 0, &["0", "1", "2", "3"]),
        ("older_ms=18446744073709551615", 0, &["0", "1", "2", "3"]),
    ] {
        let stage = Stage::new();
        for n in 0..4 {
            done(&stage, "POST", "/v1/records/jobs", &n.to_string()).await;
        }
        done(&stage, "POST", "/v1/records/other", "x").await;
        let trimmed = done(&stage, "DELETE", &format!("/v1/records/jobs?{which}"), "").await;
        let said = trimmed.json();
        assert_eq!(
            (trimmed.status, &said["topic"], &said["dropped"]),
            (200, &"jobs".into(), &dropped.into()),
            "{which}"
        );
        assert_eq!((&said["more"], &said["epoch"], &said["copies"]), (&false.into(), &7.into(), &2.into()));
        let point = (dropped > 0).then_some("6.0000000a");
        assert_eq!((said["revision"].as_str(), said["cursor"].as_str()), (point, point), "{which}");
        assert_eq!(trimmed.header("tanist-cursor"), point);
        assert_eq!(values(&stage).await, left, "{which}");
        let topics = get(&stage, "/v1/topics").await.json();
        let topics: Vec<_> = topics["topics"].as_array().expect("topics").clone();
        let counts: Vec<_> =
            topics.iter().map(|t| (t["topic"].as_str(), t["records"].as_u64(), t["bytes"].as_u64())).collect();
        let count = left.len() as u64;
        let jobs = (Some("jobs"), Some(count), Some(count));
        let expected = [jobs, (Some("other"), Some(1), Some(1))];
        assert_eq!(counts, expected[usize::from(count == 0)..], "{which}: an empty topic is none");
        if let [first, .., last] | [first @ last] = left {
            let page = get(&stage, "/v1/records/jobs").await.json();
            let records = page["records"].as_array().expect("records");
            assert_eq!((first, last), (&records[0]["value"].as_str().expect("text"), last));
            assert_eq!(topics[0]["oldest"], records[0]["at"], "{which}");
            assert_eq!(topics[0]["newest"], records[records.len() - 1]["at"], "{which}");
        }
        let again = done(&stage, "DELETE", &format!("/v1/records/jobs?{which}"), "").await;
        assert_eq!((&again.json()["dropped"], &again.json()["revision"]), (&0.into(), &Value::Null), "{which}");
        stage.end().await;
    }
}

#[tokio::test]
async fn more_than_goes_at_once_goes_with_one_call() {
    let stage = Stage::new();
    add(&stage, "jobs", 2 * TRIM + 10).await;
    let trimmed = done(&stage, "DELETE", "/v1/records/jobs?keep=3", "").await.json();
    assert_eq!((&trimmed["dropped"], &trimmed["more"]), (&(2 * TRIM + 7).into(), &false.into()));
    assert_eq!(trimmed["revision"], format!("{}.0000000a", 2 * TRIM + 13), "the last of three changes");
    assert_eq!(values(&stage).await.len(), 3);
    let topic = &get(&stage, "/v1/topics").await.json()["topics"][0];
    assert_eq!((&topic["records"], &topic["bytes"]), (&3.into(), &6.into()));
    stage.end().await;
}

#[tokio::test]
async fn what_was_dropped_before_a_failure_is_said() {
    let stage = Stage::new();
    add(&stage, "jobs", 2 * TRIM + 10).await;
    for (outcome, status) in [
        (Outcome::Later("there was no leader for 10 s".to_owned()), 503),
        (Outcome::Judged { answer: Verdict::Refused(Refusal::Full), copies: 2, epoch: 7 }, 409),
    ] {
        stage.mood(Mood::Then(1, outcome)).await;
        let trimmed = done(&stage, "DELETE", "/v1/records/jobs?keep=3", "").await.json();
        assert_eq!((&trimmed["dropped"], &trimmed["more"]), (&TRIM.into(), &true.into()));
        let failed = ask(&stage, "DELETE", "/v1/records/jobs?keep=3", "").await;
        assert_eq!(failed.status, status, "{failed:?}");
        let says = if status == 409 { "as many trims as may be" } else { "send it again" };
        assert!(failed.detail().contains(says), "{failed:?}");
    }
    stage.mood(Mood::Serve).await;
    let trimmed = done(&stage, "DELETE", "/v1/records/jobs?keep=3", "").await.json();
    assert_eq!((&trimmed["dropped"], &trimmed["more"]), (&7.into(), &false.into()));
    stage.end().await;
}

#[tokio::test]
async fn a_trim_that_comes_again_with_its_id_drops_what_is_left() {
    let stage = Stage::new();
    add(&stage, "jobs", 5).await;
    let id = [("Idempotency-Key", "0192f0c1-2345-7abc-8def-0123456789ab")];
    stage.mood(Mood::Forget(1)).await;
    let lost = ask_with(&stage, "DELETE", "/v1/records/jobs?keep=3", &id, b"").await;
    assert_eq!((lost.status, lost.header("idempotency-key")), (503, Some(id[0].1)));
    let again = ask_with(&stage, "DELETE", "/v1/records/jobs?keep=3", &id, b"").await;
    assert_eq!((again.status, &again.json()["dropped"]), (200, &0.into()));
    assert_eq!(again.header("idempotency-key"), Some(id[0].1));
    assert_eq!(values(&stage).await.len(), 3);
    stage.end().await;
}

#[tokio::test]
async fn what_is_malformed_in_a_trim_is_said() {
    let stage = Stage::new();
    add(&stage, "jobs", 2).await;
    for (path, status, says) in [
        ("/v1/records/jobs", 400, "one of before=CURSOR, keep=N and older_ms=N"),
        ("/v1/records/jobs?keep=1&older_ms=1", 400, "one of before=CURSOR"),
        ("/v1/records/jobs?keep=-1", 400, "keep"),
        ("/v1/records/jobs?older=30d", 400, "unknown field `older`"),
        ("/v1/records/jobs?before=1", 400, "before=\"1\""),
        ("/v1/records/?keep=1", 400, "the topic is empty"),
        ("/v1/records/jobs?before=1.000000ff", 410, "not known here"),
        ("/v1/records/jobs?before=9.0000000a", 410, "not known here"),
    ] {
        let answer = ask(&stage, "DELETE", path, "").await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.detail().contains(says), "{path}: {answer:?}");
    }
    let version = [("If-Match", "\"1.0000000a\"")];
    assert_eq!(ask_with(&stage, "DELETE", "/v1/records/jobs?keep=1", &version, b"").await.status, 400);
    assert_eq!(values(&stage).await.len(), 2);
    assert_eq!(
        ask(&stage, "DELETE", "/v1/records/none?keep=1", "").await.json()["dropped"],
        0,
        "there is no such topic"
    );
    stage.end().await;
}
