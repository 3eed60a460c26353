//! Records and keys: what goes in comes out.

use super::*;
use uuid::Uuid;

#[tokio::test]
async fn a_record_is_added_listed_and_read() {
    let stage = Stage::new();
    let added = done(&stage, "POST", "/v1/records/jobs", "one").await;
    assert_eq!(added.status, 201);
    let id = added.field("id");
    assert_eq!(added.field("topic"), "jobs");
    assert_eq!((added.field("revision").as_str(), added.field("cursor").as_str()), ("1.0000000a", "1.0000000a"));
    assert_eq!((added.json()["epoch"].as_u64(), added.json()["copies"].as_u64()), (Some(7), Some(2)));
    assert_eq!(added.header("location"), Some(format!("/v1/records/jobs/{id}").as_str()));
    assert_eq!(added.header("idempotency-key"), Some(id.as_str()));
    assert_eq!(added.header("tanist-cursor"), Some("1.0000000a"));

    done(&stage, "POST", "/v1/records/other", "elsewhere").await;
    let two = ask_with(&stage, "POST", "/v1/records/jobs", &[], b"\xff\0").await;
    assert_eq!(two.status, 201);
    let listed = get(&stage, "/v1/records/jobs").await;
    assert_eq!((listed.status, listed.header("tanist-cursor")), (200, Some("3.0000000a")));
    let page = listed.json();
    assert_eq!(page["cursor"], "3.0000000a");
    let records = page["records"].as_array().expect("records");
    assert_eq!(records.len(), 2);
    assert_eq!((&records[0]["value"], &records[0]["id"]), (&"one".into(), &id.as_str().into()));
    assert_eq!((&records[1]["value_base64"], &records[1]["revision"]), (&"/wA=".into(), &"3.0000000a".into()));
    assert!(records[0]["at"].as_str().is_some_and(|at| at.ends_with('Z')));
    assert_eq!(records[0]["node"], Uuid::from_u128(1).to_string());

    let value = get(&stage, &format!("/v1/records/jobs/{id}")).await;
    assert_eq!((value.status, value.text()), (200, "one"));
    assert_eq!(value.header("content-type"), Some("application/octet-stream"));
    assert_eq!(get(&stage, &format!("/v1/records/other/{id}")).await.status, 404, "of another topic");
    stage.end().await;
}

#[tokio::test]
async fn pages_follow_one_another() {
    let stage = Stage::new();
    for n in 0..7 {
        done(&stage, "POST", "/v1/records/jobs", &n.to_string()).await;
        done(&stage, "PUT", &format!("/v1/keys/k/{n}"), "").await;
    }
    let (mut after, mut values) = (String::new(), Vec::new());
    loop {
        let page = get(&stage, &format!("/v1/records/jobs?limit=2{after}")).await.json();
        let records = page["records"].as_array().expect("records").clone();
        assert!(records.len() <= 2);
        after = format!("&after={}", page["cursor"].as_str().expect("a cursor"));
        if records.is_empty() {
            break;
        }
        values.extend(records.iter().map(|record| record["value"].as_str().expect("text").to_owned()));
    }
    assert_eq!(values, ["0", "1", "2", "3", "4", "5", "6"]);
    let (mut after, mut keys) = (String::new(), Vec::new());
    loop {
        let page = get(&stage, &format!("/v1/keys?prefix=k/&limit=3{after}")).await.json();
        keys.extend(
            page["keys"].as_array().expect("keys").iter().map(|key| key["key"].as_str().expect("text").to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(keys, (0..7).map(|n| format!("k/{n}")).collect::<Vec<_>>());
    // A mebibyte is more than a page has, and still there is a page for it.
    let large = "x".repeat(1 << 20);
    for _ in 0..2 {
        done(&stage, "POST", "/v1/records/large", &large).await;
    }
    let page = get(&stage, "/v1/records/large").await.json();
    assert_eq!(page["records"].as_array().map(Vec::len), Some(1));
    let page = get(&stage, &format!("/v1/records/large?after={}", page["cursor"].as_str().expect("a cursor"))).await;
    assert_eq!(page.json()["records"][0]["value"].as_str().map(str::len), Some(1 << 20));
    stage.end().await;
}

#[tokio::test]
async fn a_key_is_written_read_listed_and_deleted() {
    let stage = Stage::new();
    let put = done(&stage, "PUT", "/v1/keys/app/config", "v1").await;
    assert_eq!((put.status, put.field("key").as_str()), (200, "app/config"));
    let version = put.field("version");
    assert_eq!((&put.field("revision"), &put.field("cursor")), (&version, &version));
    assert_eq!(put.header("etag"), Some(format!("\"{version}\"").as_str()));
    assert!(put.header("idempotency-key").is_some_and(|id| Uuid::try_parse(id).is_ok()));

    let read = get(&stage, "/v1/keys/app/config").await;
    assert_eq!((read.status, read.text()), (200, "v1"));
    assert_eq!((read.header("etag"), read.header("tanist-cursor")), (put.header("etag"), Some(version.as_str())));
    let held =
        ask_with(&stage, "GET", "/v1/keys/app/config", &[("If-None-Match", &format!("\"{version}\""))], b"").await;
    assert_eq!((held.status, held.body.len()), (304, 0));
    let headed = ask(&stage, "HEAD", "/v1/keys/app/config", "").await;
    assert_eq!((headed.status, headed.header("etag"), headed.body.len()), (200, put.header("etag"), 0));

    ask_with(&stage, "PUT", "/v1/keys/app%2Fz%C3%BCrich%20%25", &[], b"\xff").await;
    let page = get(&stage, "/v1/keys?prefix=app/").await.json();
    let keys = page["keys"].as_array().expect("keys");
    assert_eq!((&keys[0]["key"], &keys[0]["size"]), (&"app/config".into(), &2.into()));
    assert_eq!((&keys[1]["key"], &keys[1]["conflicts"]), (&"app/zürich %".into(), &0.into()));
    assert_eq!((page["next"].is_null(), &keys[0]["version"]), (true, &version.as_str().into()));
    assert_eq!(get(&stage, "/v1/keys/app/z%c3%bcrich%20%25").await.body, b"\xff");
    assert_eq!(get(&stage, "/v1/keys?prefix=b").await.json()["keys"].as_array().map(Vec::len), Some(0));

    let deleted = done(&stage, "DELETE", "/v1/keys/app/config", "").await;
    assert_eq!((deleted.status, deleted.field("key").as_str()), (200, "app/config"));
    assert_ne!(deleted.field("version"), version);
    assert_eq!(get(&stage, "/v1/keys/app/config").await.status, 404);
    assert_eq!(get(&stage, "/v1/keys?prefix=app/").await.json()["keys"].as_array().map(Vec::len), Some(1));
    stage.end().await;
}

#[tokio::test]
async fn topics_are_counted() {
    let stage = Stage::new();
    for (topic, value) in [("b", "12"), ("a", ""), ("b", "345"), ("c", "x")] {
        done(&stage, "POST", &format!("/v1/records/{topic}"), value).await;
    }
    let page = get(&stage, "/v1/topics").await.json();
    let topics = page["topics"].as_array().expect("topics");
    let counts: Vec<_> =
        topics.iter().map(|t| (t["topic"].as_str(), t["records"].as_u64(), t["bytes"].as_u64())).collect();
    assert_eq!(counts, [(Some("a"), Some(1), Some(0)), (Some("b"), Some(2), Some(5)), (Some("c"), Some(1), Some(1))]);
    assert!(topics[1]["oldest"].as_str() < topics[1]["newest"].as_str(), "{page}");
    assert_eq!((page["next"].is_null(), &page["cursor"]), (true, &"4.0000000a".into()));
    let page = get(&stage, "/v1/topics?limit=2").await.json();
    assert_eq!((page["topics"].as_array().map(Vec::len), &page["next"]), (Some(2), &"b".into()));
    let page = get(&stage, "/v1/topics?limit=2&after=b").await.json();
    assert_eq!((&page["topics"][0]["topic"], page["next"].is_null()), (&"c".into(), true));
    stage.end().await;
}

#[tokio::test]
async fn compare_and_set_takes_the_present_version_and_no_other() {
    let stage = Stage::new();
    let first = ask_with(&stage, "PUT", "/v1/keys/a", &[("If-None-Match", "*")], b"1").await;
    assert_eq!(first.status, 200);
    let again = ask_with(&stage, "PUT", "/v1/keys/a", &[("If-None-Match", "*")], b"2").await;
    assert_eq!((again.status, again.header("etag")), (412, first.header("etag")));
    assert!(again.detail().contains("has the version 1.0000000a now"), "{again:?}");
    let tag = first.header("etag").expect("a tag");
    let second = ask_with(&stage, "PUT", "/v1/keys/a", &[("If-Match", tag)], b"2").await;
    assert_eq!(second.status, 200);
    let stale = ask_with(&stage, "PUT", "/v1/keys/a", &[("If-Match", tag)], b"3").await;
    assert_eq!((stale.status, stale.header("etag")), (412, second.header("etag")));
    let stale = ask_with(&stage, "DELETE", "/v1/keys/a", &[("If-Match", tag)], b"").await;
    assert_eq!((stale.status, stale.header("etag")), (412, second.header("etag")));
    assert_eq!(get(&stage, "/v1/keys/a").await.text(), "2");
    let tag = second.header("etag").expect("a tag");
    assert_eq!(ask_with(&stage, "DELETE", "/v1/keys/a", &[("If-Match", tag)], b"").await.status, 200);
    let gone = ask_with(&stage, "PUT", "/v1/keys/a", &[("If-Match", tag)], b"3").await;
    assert_eq!((gone.status, gone.header("etag")), (412, None));
    assert!(gone.detail().contains("has no value now"), "{gone:?}");
    stage.end().await;
}

#[tokio::test]
async fn a_request_that_comes_again_has_one_effect_and_gets_the_first_answer() {
    let stage = Stage::new();
    let id = "0192f0c1-2345-7abc-8def-0123456789ab";
    let quoted = format!("\"{id}\"");
    let first = ask_with(&stage, "POST", "/v1/records/jobs", &[("Idempotency-Key", id)], b"one").await;
    assert_eq!((first.status, first.field("id").as_str()), (201, id));
    for as_sent in [id, quoted.as_str()] {
        let again = ask_with(&stage, "POST", "/v1/records/jobs", &[("Idempotency-Key", as_sent)], b"one").await;
        assert_eq!((again.status, again.json()), (201, first.json()));
    }
    let other = ask_with(&stage, "POST", "/v1/records/jobs", &[("Idempotency-Key", id)], b"two").await;
    assert_eq!((other.status, other.header("idempotency-key")), (422, Some(id)));
    assert!(other.detail().contains("belongs to another request"), "{other:?}");
    assert_eq!(get(&stage, "/v1/records/jobs").await.json()["records"].as_array().map(Vec::len), Some(1));

    let put = ask_with(&stage, "PUT", "/v1/keys/a", &[("Idempotency-Key", id)], b"1").await;
    done(&stage, "PUT", "/v1/keys/a", "2").await;
    let again = ask_with(&stage, "PUT", "/v1/keys/a", &[("Idempotency-Key", id)], b"1").await;
    assert_eq!((again.status, again.json()), (200, put.json()));
    assert_eq!(get(&stage, "/v1/keys/a").await.text(), "2", "it was done once");
    let other = ask_with(&stage, "DELETE", "/v1/keys/a", &[("Idempotency-Key", id)], b"").await;
    assert_eq!(other.status, 422);
    stage.end().await;
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_can_be_sent_again_with_the_id_that_it_was_given() {
    let stage = Stage::new();
    stage.mood(Mood::Forget(1)).await;
    let lost = ask(&stage, "POST", "/v1/records/jobs", "one").await;
    assert_eq!(lost.status, 503, "nobody knows whether it was done");
    let id = lost.header("idempotency-key").expect("an id").to_owned();
    assert!(lost.detail().contains(&id), "{lost:?}");
    let again = ask_with(&stage, "POST", "/v1/records/jobs", &[("Idempotency-Key", &id)], b"one").await;
    assert_eq!((again.status, again.field("revision").as_str()), (201, "1.0000000a"), "it was, and is not done twice");
    assert_eq!(get(&stage, "/v1/records/jobs").await.json()["records"].as_array().map(Vec::len), Some(1));
    stage.end().await;
}

#[tokio::test]
async fn ids_that_are_made_here_are_in_the_order_of_time() {
    let stage = Stage::new();
    let mut ids = Vec::new();
    for _ in 0..50 {
        let id = done(&stage, "POST", "/v1/records/jobs", "").await.field("id");
        assert_eq!(Uuid::try_parse(&id).expect("a UUID").get_version_num(), 7);
        ids.push(id);
    }
    assert!(ids.is_sorted(), "{ids:?}");
    stage.end().await;
}
