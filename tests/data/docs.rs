//! What stands in `docs/api.md` does what it says: the client that needs nothing but a standard library, and lines of curl.

use crate::for_tests::{Mood, Stage, in_time, reign};
use std::path::Path;
use tanist::client::{Client, Condition, Reading};
use tanist::data::Ask;
use tokio::process::Command;

/// The first block of code in this language that has these words.
pub(crate) fn block(language: &str, words: &str) -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md")).expect("it is there");
    let start = format!("```{language}\n");
    let mut blocks = text.split(&start).skip(1).map(|rest| rest.split_once("```").expect("its end").0);
    blocks.find(|block| block.contains(words)).expect("a block").to_owned()
}

const USE: &str = r#"
import itertools
assert update("counter", lambda value: str(int(value or 0) + 1).encode())
assert update("counter", lambda value: str(int(value or 0) + 1).encode())
status, headers, answer = call("POST", "/v1/records/jobs", b"first job")
assert status == 201 and headers["Idempotency-Key"] == json.loads(answer)["id"]
for n in range(3):
    call("PUT", key_path("app/ü %" + str(n)), b"\xff")
seen = list(itertools.islice(watch("app/"), 4))
assert [change.get("op") for change in seen] == ["put", "put", "put", None], seen
again = next(watch("app/", seen[1]["cursor"]))
assert again["key"] == "app/ü %2" and again["value_base64"] == "/w==", again
"#;

#[tokio::test]
async fn the_python_client_works() {
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        assert!(std::env::var_os("TANIST_TESTS_MUST_RUN").is_none(), "there is no python3 here");
        eprintln!("skipped: there is no python3 here");
        return;
    }
    let stage = Stage::new();
    // Of its first writes the answers are lost.
    stage.mood(Mood::Forget(2)).await;
    let program =
        block("python", "class Agent").replace("/run/tanist/tanist.sock", &stage.socket.display().to_string()) + USE;
    let output = in_time(Command::new("python3").arg("-c").arg(program).output()).await.expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let counter = Client::at(&stage.socket).get("counter", Reading::default()).await.expect("an answer");
    assert_eq!(counter.expect("a value").value, "2");
    assert_eq!(stage.act(|play| play.ledger.committed().number).await, 6, "each was done once");
    stage.end().await;
}

/// The lines of curl that have this path; they go to this agent, and fail when it says no.
async fn curl(stage: &Stage, path: &str, names: &[(&str, &str)]) -> String {
    let mut script = block("sh", path).replace("/run/tanist/tanist.sock", &stage.socket.display().to_string());
    for (documented, real) in names {
        assert!(script.contains(documented), "{documented} is missing: {script}");
        script = script.replace(documented, real);
    }
    let uuid = "uuidgen() { cat /proc/sys/kernel/random/uuid; }";
    let script = format!("set -e; {uuid}; curl() {{ command curl -sS --fail-with-body \"$@\"; echo; }}\n{script}");
    let output = in_time(Command::new("sh").arg("-c").arg(&script).output()).await.expect("it runs");
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{script}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[tokio::test]
async fn the_lines_of_curl_on_conflicts_and_trims_work() {
    if std::process::Command::new("curl").arg("--version").output().is_err() {
        assert!(std::env::var_os("TANIST_TESTS_MUST_RUN").is_none(), "there is no curl here");
        eprintln!("skipped: there is no curl here");
        return;
    }
    let stage = Stage::new();
    let client = Client::at(&stage.socket);
    client.put("app/config", "v1", Condition::None).await.expect("written");
    let there = Ask::Put { key: "app/config".to_owned(), value: "v2".into(), condition: Condition::None };
    stage.act(|play| play.meet(reign(0xb), vec![there])).await;
    let listed = curl(&stage, "v1/conflicts?", &[]).await;
    assert!(listed.contains(r#""id":"1.0000000b","key":"app/config""#), "{listed}");
    curl(&stage, "v1/conflicts/", &[("5211.0a1b2c3d", "1.0000000b"), ("5210.77c01e42", "1.0000000a")]).await;
    let value = client.get("app/config", Reading::default()).await.expect("an answer").expect("a value");
    assert_eq!(value.value, "v2");
    let last = client.add("jobs", "first job").await.expect("added").cursor.to_string();
    let trimmed = curl(&stage, "v1/records/jobs?keep=", &[("5210.0a1b2c3d", &last)]).await;
    assert!(trimmed.contains(r#"{"topic":"jobs","dropped":1,"#), "{trimmed}");
    assert!(client.topics(None).await.expect("a page").topics.is_empty());
    stage.end().await;
}
