//! The client in `docs/api.md` that needs nothing but a standard library does what it says.

use crate::for_tests::{Mood, Stage, in_time};
use std::path::Path;
use tanist::client::{Client, Reading};
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
