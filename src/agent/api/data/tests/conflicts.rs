//! Conflicts: both sides are shown, one is settled, and nothing goes that nobody has read.

use super::*;
use crate::data::{Answer as Verdict, Ask, Condition, Keep};

const ID: &str = "0192f0c1-2345-7abc-8def-0123456789ab";

fn put(key: &str, value: &str) -> Ask {
    Ask::Put { key: key.to_owned(), value: value.to_owned().into(), condition: Condition::None }
}

fn delete(key: &str) -> Ask {
    Ask::Delete { key: key.to_owned(), condition: Condition::None }
}

/// The agent meets groups that did this, each in a reign of its own from 0xb on.
async fn meet(stage: &Stage, groups: Vec<Vec<Ask>>) {
    for (tag, asks) in (0xb..).zip(groups) {
        stage.act(move |play| play.meet(reign(tag), asks)).await;
    }
}

/// An agent whose key `k` has the value `here`, and two conflicts.
async fn disputed() -> Stage {
    let stage = Stage::new();
    done(&stage, "PUT", "/v1/keys/k", "here").await;
    meet(&stage, vec![vec![put("k", "there")], vec![put("k", "elsewhere")]]).await;
    stage
}

const THERE: &str = "/v1/conflicts/1.0000000b";
const ELSEWHERE: &str = "/v1/conflicts/1.0000000c";

async fn conflicts(stage: &Stage) -> Vec<Value> {
    get(stage, "/v1/conflicts").await.json()["conflicts"].as_array().expect("a list").clone()
}

async fn ids(stage: &Stage) -> Vec<String> {
    conflicts(stage).await.iter().map(|conflict| conflict["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn both_sides_of_a_conflict_are_listed() {
    let stage = Stage::new();
    assert_eq!(get(&stage, "/v1/conflicts").await.json()["conflicts"], Value::Array(Vec::new()));
    done(&stage, "PUT", "/v1/keys/a", "here").await;
    ask_with(&stage, "PUT", "/v1/keys/b", &[], b"\xff").await;
    done(&stage, "PUT", "/v1/keys/c", "").await;
    done(&stage, "DELETE", "/v1/keys/c", "").await;
    done(&stage, "PUT", "/v1/keys/d", "alone").await;
    meet(&stage, vec![vec![put("a", "there"), put("b", "x"), delete("b"), put("c", "")]]).await;
    let page = get(&stage, "/v1/conflicts").await;
    let page = page.json();
    let listed = page["conflicts"].as_array().expect("a list");
    assert_eq!((listed.len(), &page["next"]), (3, &Value::Null), "{page}");
    let (a, b, c) = (&listed[0], &listed[1], &listed[2]);
    assert_eq!((&a["id"], &a["key"], &a["value"]), (&"1.0000000b".into(), &"a".into(), &"there".into()));
    assert_eq!((&a["deleted"], &a["node"]), (&false.into(), &uuid::Uuid::from_u128(2).to_string().into()));
    assert_eq!(a["at"], "2026-11-21T03:59:25.000000Z");
    let present = &a["present"];
    assert_eq!((&present["version"], &present["value"]), (&"1.0000000a".into(), &"here".into()));
    assert_eq!((&present["deleted"], &present["node"]), (&false.into(), &uuid::Uuid::from_u128(1).to_string().into()));
    assert_eq!((&b["key"], &b["deleted"], b.get("value")), (&"b".into(), &true.into(), None));
    assert_eq!(b["present"]["value_base64"], "/w==");
    assert_eq!((&c["value"], &c["present"]["version"]), (&"".into(), &Value::Null));
    assert_eq!((&c["present"]["deleted"], c["present"].get("value")), (&true.into(), None));
    assert_eq!(get(&stage, "/v1/status").await.json()["conflicts"], 3);
    assert_eq!(get(&stage, "/v1/keys?prefix=a").await.json()["keys"][0]["conflicts"], 1);
    stage.end().await;
}

#[tokio::test]
async fn pages_of_conflicts_follow_one_another_also_within_a_key() {
    let stage = Stage::new();
    for key in ["a", "b", "b c", "d"] {
        done(&stage, "PUT", &format!("/v1/keys/{}", key.replace(' ', "%20")), key).await;
    }
    let group = |n: u32| ["b", "b c", "d"].map(|key| put(key, &format!("{key}{n}"))).to_vec();
    meet(&stage, (0..3).map(group).collect()).await;
    let mut whole = ids(&stage).await;
    assert_eq!(whole.len(), 9);
    for limit in [1, 2, 4, 8] {
        let (mut after, mut found, mut pages) = (String::new(), Vec::new(), 0);
        loop {
            let page = get(&stage, &format!("/v1/conflicts?limit={limit}{after}")).await.json();
            let listed = page["conflicts"].as_array().expect("a list");
            found.extend(listed.iter().map(|conflict| conflict["id"].as_str().expect("an id").to_owned()));
            pages += 1;
            match page["next"].as_str() {
                Some(next) => after = format!("&after={}", next.replace(' ', "%20")),
                None => break,
            }
        }
        assert_eq!((&found, pages), (&whole, whole.len().div_ceil(limit)));
    }
    // One that is settled while somebody goes from page to page takes no other with it.
    let first = get(&stage, "/v1/conflicts?limit=2").await.json();
    let next = first["next"].as_str().expect("there is more").replace(' ', "%20");
    let settled = first["conflicts"][1]["id"].as_str().expect("an id");
    done(&stage, "POST", &format!("/v1/conflicts/{settled}"), r#"{"keep":"present"}"#).await;
    let rest = get(&stage, &format!("/v1/conflicts?after={next}")).await.json();
    let rest: Vec<_> = rest["conflicts"].as_array().expect("a list").iter().map(|one| one["id"].clone()).collect();
    whole.retain(|id| id != settled);
    assert!(whole[1..].iter().all(|id| rest.contains(&id.as_str().into())), "{rest:?}");
    stage.end().await;
}

#[tokio::test]
async fn a_page_of_large_conflicts_is_short() {
    let stage = Stage::new();
    let large = "x".repeat(1 << 20);
    for key in ["a", "b"] {
        done(&stage, "PUT", &format!("/v1/keys/{key}"), &large).await;
    }
    meet(&stage, vec![vec![put("a", &large.replace('x', "y")), put("b", "small")]]).await;
    let page = get(&stage, "/v1/conflicts").await.json();
    assert_eq!(page["conflicts"].as_array().map(Vec::len), Some(1), "a mebibyte on each side is more than a page has");
    let next = page["next"].as_str().expect("there is more").replace(' ', "%20");
    let page = get(&stage, &format!("/v1/conflicts?after={next}")).await.json();
    assert_eq!((&page["conflicts"][0]["key"], &page["next"]), (&"b".into(), &Value::Null));
    stage.end().await;
}

#[tokio::test]
async fn a_thousand_conflicts_are_listed_and_one_of_them_is_found() {
    let stage = Stage::new();
    let all = |value: &'static str| (0..1000).map(move |n| put(&format!("k{n:04}"), value));
    let here = all("here");
    stage.act(|play| play.elsewhere(here)).await;
    meet(&stage, vec![all("there").collect()]).await;
    assert_eq!(get(&stage, "/v1/status").await.json()["conflicts"], 1000);
    let first = get(&stage, "/v1/conflicts").await.json();
    let next = first["next"].as_str().expect("there is more").replace(' ', "%20");
    let second = get(&stage, &format!("/v1/conflicts?after={next}")).await.json();
    let lengths = [&first, &second].map(|page| page["conflicts"].as_array().map(Vec::len));
    assert_eq!((lengths, &second["next"]), ([Some(500), Some(500)], &Value::Null));
    let last = second["conflicts"][499]["id"].as_str().expect("an id");
    let settled = done(&stage, "POST", &format!("/v1/conflicts/{last}"), r#"{"keep":"other"}"#).await;
    assert_eq!(settled.field("key"), "k0999");
    assert_eq!(get(&stage, "/v1/status").await.json()["conflicts"], 999);
    stage.end().await;
}

#[tokio::test]
async fn a_conflict_is_settled_and_the_others_of_its_key_stay() {
    for (body, value) in [
        (r#"{"keep":"present"}"#, Some("here")),
        (r#" {"keep":"other"} "#, Some("there")),
        (r#"{"value":"both"}"#, Some("both")),
        (r#"{"value_base64":"Ym90aA=="}"#, Some("both")),
        (r#"{"value":null}"#, None),
    ] {
        let stage = disputed().await;
        let settled = done(&stage, "POST", THERE, body).await;
        let version = settled.field("version");
        assert_eq!((settled.status, settled.field("key").as_str()), (200, "k"), "{body}");
        assert_eq!(settled.header("etag"), Some(format!("\"{version}\"").as_str()));
        assert_eq!(
            (settled.header("tanist-cursor"), settled.field("cursor")),
            (Some(version.as_str()), version.clone())
        );
        assert_eq!((&settled.json()["epoch"], &settled.json()["copies"]), (&7.into(), &2.into()));
        let read = get(&stage, "/v1/keys/k").await;
        assert_eq!((read.status == 200).then(|| read.text()), value, "{body}");
        let left = conflicts(&stage).await;
        assert_eq!((left.len(), &left[0]["value"]), (1, &"elsewhere".into()), "{body}");
        let again = ask(&stage, "POST", THERE, body).await;
        assert_eq!(again.status, 404, "it is settled: {again:?}");
        assert!(again.detail().contains("there is no conflict 1.0000000b, or no more"), "{again:?}");
        done(&stage, "POST", ELSEWHERE, r#"{"keep":"present"}"#).await;
        assert!(conflicts(&stage).await.is_empty());
        assert_eq!(get(&stage, "/v1/status").await.json()["conflicts"], 0);
        let read = get(&stage, "/v1/keys/k").await;
        assert_eq!((read.status == 200).then(|| read.text()), value, "{body}");
        stage.end().await;
    }
}

#[tokio::test]
async fn what_the_other_side_deleted_is_deleted_and_what_was_deleted_here_comes_back() {
    let stage = Stage::new();
    done(&stage, "PUT", "/v1/keys/a", "here").await;
    done(&stage, "PUT", "/v1/keys/b", "here").await;
    done(&stage, "DELETE", "/v1/keys/b", "").await;
    meet(&stage, vec![vec![put("a", ""), delete("a"), put("b", "there")]]).await;
    let [a, b] = &conflicts(&stage).await[..] else { panic!("two") };
    let path = |conflict: &Value| format!("/v1/conflicts/{}", conflict["id"].as_str().expect("an id"));
    let (a, b) = (path(a), path(b));
    done(&stage, "POST", &a, r#"{"keep":"other"}"#).await;
    assert_eq!(get(&stage, "/v1/keys/a").await.status, 404);
    let stale = ask_with(&stage, "POST", &b, &[("If-Match", "\"2.0000000a\"")], br#"{"keep":"other"}"#).await;
    assert_eq!((stale.status, stale.header("etag")), (412, None), "it is deleted: {stale:?}");
    let absent = ask_with(&stage, "POST", &b, &[("If-None-Match", "*")], br#"{"keep":"other"}"#).await;
    assert_eq!(absent.status, 200, "{absent:?}");
    assert_eq!(get(&stage, "/v1/keys/b").await.text(), "there");
    stage.end().await;
}

#[tokio::test]
async fn a_value_that_its_author_has_not_read_is_not_replaced() {
    let stage = disputed().await;
    let read = get(&stage, "/v1/keys/k").await;
    let read = read.header("etag").expect("a version");
    let new = done(&stage, "PUT", "/v1/keys/k", "new").await;
    for keep in ["present", "other"] {
        let body = format!(r#"{{"keep":"{keep}"}}"#);
        let stale = ask_with(&stage, "POST", THERE, &[("If-Match", read)], body.as_bytes()).await;
        assert_eq!((stale.status, stale.header("etag")), (412, new.header("etag")), "{stale:?}");
        assert!(stale.detail().contains("read it again"), "{stale:?}");
    }
    // This agent does not show yet what was written through another.
    stage.act(|play| play.lags = true).await;
    let newest = stage.act(|play| play.elsewhere([put("k", "newest")])).await;
    let [Verdict::Done(newest)] = newest[..] else { panic!("{newest:?}") };
    let tag = format!("\"{newest}\"");
    for keep in ["present", "other"] {
        let body = format!(r#"{{"keep":"{keep}"}}"#);
        let unread = ask(&stage, "POST", THERE, &body).await;
        assert_eq!((unread.status, unread.header("etag")), (412, Some(tag.as_str())), "{unread:?}");
    }
    stage.act(|play| play.show()).await;
    assert_eq!((get(&stage, "/v1/keys/k").await.text(), ids(&stage).await.len()), ("newest", 2), "all is there");
    let settled = ask_with(&stage, "POST", THERE, &[("If-Match", &tag)], br#"{"keep":"present"}"#).await;
    assert_eq!(settled.status, 200, "{settled:?}");
    stage.act(|play| play.show()).await;
    assert_eq!((get(&stage, "/v1/keys/k").await.text(), ids(&stage).await.len()), ("newest", 1));
    stage.end().await;
}

#[tokio::test]
async fn a_conflict_that_was_just_settled_elsewhere_is_404() {
    let stage = disputed().await;
    stage.act(|play| play.lags = true).await;
    let there = Ask::Resolve {
        key: "k".to_owned(),
        conflict: "1.0000000b".parse().expect("a birth"),
        present: "1.0000000a".parse().ok(),
        keep: Keep::Other,
    };
    assert!(matches!(stage.act(|play| play.elsewhere([there])).await[..], [Verdict::Done(_)]));
    assert_eq!(ids(&stage).await.len(), 2, "this agent still shows it");
    let late = ask(&stage, "POST", THERE, r#"{"keep":"present"}"#).await;
    assert_eq!(late.status, 404, "{late:?}");
    stage.act(|play| play.show()).await;
    assert_eq!(get(&stage, "/v1/keys/k").await.text(), "there");
    for path in ["/v1/conflicts/9.0000000a", "/v1/conflicts/1.000000ff", "/v1/conflicts/1.0000000a"] {
        let none = ask(&stage, "POST", path, r#"{"keep":"present"}"#).await;
        assert_eq!(none.status, 404, "{path}: {none:?}");
    }
    stage.end().await;
}

#[tokio::test]
async fn a_settlement_that_comes_again_is_done_once_and_gets_the_first_answer() {
    let stage = disputed().await;
    let id = [("Idempotency-Key", ID)];
    stage.mood(Mood::Forget(1)).await;
    let lost = ask_with(&stage, "POST", THERE, &id, br#"{"keep":"other"}"#).await;
    assert_eq!((lost.status, lost.header("idempotency-key")), (503, Some(ID)));
    let first = ask_with(&stage, "POST", THERE, &id, br#"{"keep":"other"}"#).await;
    assert_eq!(first.status, 200, "{first:?}");
    done(&stage, "PUT", "/v1/keys/k", "newer").await;
    let again = ask_with(&stage, "POST", THERE, &id, br#"{"keep":"other"}"#).await;
    assert_eq!((again.status, again.json()), (200, first.json()));
    assert_eq!((get(&stage, "/v1/keys/k").await.text(), ids(&stage).await.len()), ("newer", 1), "it was done once");
    for (path, body) in
        [(THERE, r#"{"keep":"present"}"#), (THERE, r#"{"value":"x"}"#), (ELSEWHERE, r#"{"keep":"other"}"#)]
    {
        let other = ask_with(&stage, "POST", path, &id, body.as_bytes()).await;
        assert_eq!(other.status, 422, "{path} {body}: {other:?}");
    }
    stage.end().await;
}

#[tokio::test]
async fn a_settlement_may_have_a_value_of_a_mebibyte_and_no_more() {
    let stage = disputed().await;
    // Each of them is six in JSON.
    let value = "\u{1}".repeat(1 << 20);
    let body = serde_json::json!({ "value": value }).to_string();
    assert!(body.len() > 6 << 20);
    done(&stage, "POST", THERE, &body).await;
    assert_eq!(get(&stage, "/v1/keys/k").await.body.len(), 1 << 20);
    let large = serde_json::json!({ "value": "x".repeat((1 << 20) + 1) }).to_string();
    let body = format!("{}{large}", " ".repeat(7 << 20));
    for body in [large, body] {
        let refused = ask(&stage, "POST", ELSEWHERE, &body).await;
        assert_eq!(refused.status, 413, "{refused:?}");
    }
    assert_eq!(ids(&stage).await.len(), 1);
    stage.end().await;
}

#[tokio::test]
async fn what_is_malformed_in_a_settlement_is_said() {
    let stage = disputed().await;
    for (path, heads, body, status, says) in [
        ("/v1/conflicts/1", &[][..], r#"{"keep":"other"}"#, 400, "5210.0a1b2c3d"),
        ("/v1/conflicts/1.0000000b?now=1", &[], r#"{"keep":"other"}"#, 400, "no parameters"),
        (THERE, &[], "", 400, "no JSON object"),
        (THERE, &[], r#"["present"]"#, 400, "no JSON object"),
        (THERE, &[], "{", 400, "the body is"),
        (THERE, &[], "{}", 400, "says nothing, or more"),
        (THERE, &[], r#"{"keep":"other","value":null}"#, 400, "says nothing, or more"),
        (THERE, &[], r#"{"keep":"mine"}"#, 400, "unknown variant `mine`"),
        (THERE, &[], r#"{"kep":"other"}"#, 400, "unknown field `kep`"),
        (THERE, &[], r#"{"value_base64":"?"}"#, 400, "base64"),
        (THERE, &[("If-Match", "1.0000000a")], r#"{"keep":"other"}"#, 400, "in quotes"),
        (THERE, &[("Idempotency-Key", "7")], r#"{"keep":"other"}"#, 400, "is a UUID"),
    ] {
        let answer = ask_with(&stage, "POST", path, heads, body.as_bytes()).await;
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
        assert!(answer.detail().contains(says), "{path} {body}: {answer:?}");
    }
    for (path, says) in [
        ("/v1/conflicts?after=k", "no next of a page"),
        ("/v1/conflicts?after=1%20k", "no next of a page"),
        ("/v1/conflicts?limit=0", "asks for nothing"),
        ("/v1/conflicts?prefix=a", "unknown field `prefix`"),
    ] {
        let answer = get(&stage, path).await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        assert!(answer.detail().contains(says), "{path}: {answer:?}");
    }
    assert_eq!((ask(&stage, "DELETE", THERE, "").await.status, get(&stage, THERE).await.status), (405, 405));
    assert_eq!(ids(&stage).await.len(), 2, "nothing happened");
    stage.end().await;
}
