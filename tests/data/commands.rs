//! The commands of the real binary.

use crate::for_tests::{Mood, Stage, in_time};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use tanist::agent::data::Outcome;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// The program, without anything of this machine's own configuration.
pub(crate) fn tanist(socket: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tanist"));
    command.env_remove("NO_COLOR").env("TANIST_SOCKET", socket).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) out: Vec<u8>,
    /// At most one line.
    pub(crate) error: String,
}

impl Said {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("text").trim_end()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub(crate) async fn run_with(stage: &Stage, arguments: &[&str], input: &[u8]) -> Said {
    let mut child = tanist(&stage.socket, arguments).stdin(Stdio::piped()).spawn().expect("it runs");
    let mut stdin = child.stdin.take().expect("piped");
    // Who does not read it needs nothing of it.
    let _ = stdin.write_all(input).await;
    drop(stdin);
    let output = in_time(child.wait_with_output()).await.expect("its end");
    let error = String::from_utf8(output.stderr).expect("text");
    assert!(error.lines().count() <= 1, "{arguments:?}: {error}");
    let status = output.status.code().expect("a status");
    assert!(status == 0 || error.starts_with("tanist: "), "{arguments:?}: {error}");
    Said { status, out: output.stdout, error }
}

pub(crate) async fn run(stage: &Stage, arguments: &[&str]) -> Said {
    run_with(stage, arguments, b"").await
}

/// A command that goes on.
struct Running(Child, Lines<BufReader<ChildStdout>>);

impl Running {
    fn new(stage: &Stage, arguments: &[&str]) -> Self {
        let mut child = tanist(&stage.socket, arguments).spawn().expect("it runs");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self(child, lines)
    }

    async fn line(&mut self) -> String {
        in_time(self.1.next_line()).await.expect("text").expect("a line")
    }
}

#[tokio::test]
async fn keys_are_written_read_and_deleted() {
    let stage = Stage::new();
    let put = run(&stage, &["put", "app/config", "v1"]).await;
    assert_eq!((put.status, put.text()), (0, "1.0000000a"));
    assert_eq!(run(&stage, &["get", "app/config"]).await.out, b"v1", "byte for byte");
    for arguments in [&["put", "app/raw"][..], &["put", "app/raw", "-"]] {
        assert_eq!(run_with(&stage, arguments, b"\xff\0\n").await.status, 0);
        assert_eq!(run(&stage, &["get", "app/raw", "--fresh"]).await.out, b"\xff\0\n");
    }
    let got = run(&stage, &["get", "app/config", "--json"]).await.json();
    assert_eq!(
        (&got["key"], &got["value"], &got["version"]),
        (&"app/config".into(), &"v1".into(), &"1.0000000a".into())
    );
    assert_eq!(run(&stage, &["get", "app/raw", "--json"]).await.json()["value_base64"], "/wAK");
    assert_eq!(run(&stage, &["keys"]).await.text(), "app/config\napp/raw");
    assert_eq!(run(&stage, &["keys", "app/c"]).await.text(), "app/config");
    let keys = run(&stage, &["keys", "--json"]).await.json();
    assert_eq!((&keys["keys"][1]["size"], keys["next"].is_null()), (&3.into(), true));

    let refused = run(&stage, &["put", "app/config", "v2", "--if-absent"]).await;
    assert_eq!((refused.status, refused.out.len()), (1, 0));
    assert!(refused.error.contains("has the version 1.0000000a now: read it again"), "{refused:?}");
    let refused = run(&stage, &["put", "app/config", "v2", "--if-version", "9.0000000a"]).await;
    assert_eq!(refused.status, 1);
    let json = run(&stage, &["put", "app/config", "v2", "--if-version", "1.0000000a", "--json"]).await.json();
    let version = json["version"].as_str().expect("a version").to_owned();
    assert_eq!(run(&stage, &["delete", "app/config", "--if-version", "1.0000000a"]).await.status, 1);
    let deleted = run(&stage, &["delete", "app/config", "--if-version", &version]).await;
    assert_eq!((deleted.status, deleted.text()), (0, ""));
    for arguments in [&["get", "app/config"][..], &["delete", "app/config"]] {
        let missing = run(&stage, arguments).await;
        assert_eq!((missing.status, missing.out.len()), (1, 0));
        assert!(missing.error.contains("\"app/config\" has no value"), "{missing:?}");
    }
    let large = run_with(&stage, &["put", "large"], &vec![b'x'; (1 << 20) + 1]).await;
    assert_eq!(large.status, 1);
    assert!(large.error.contains("1048576"), "{large:?}");
    stage.end().await;
}

#[tokio::test]
async fn records_are_added_and_listed() {
    let stage = Stage::new();
    let added = run(&stage, &["add", "jobs", "first job"]).await;
    let id = added.text().to_owned();
    assert_eq!((added.status, id.len()), (0, 36));
    assert_eq!(run_with(&stage, &["add", "jobs"], b"two\nlines").await.status, 0);
    let json = run(&stage, &["add", "jobs", "-5", "--json"]).await.json();
    assert_eq!((&json["topic"], &json["copies"]), (&"jobs".into(), &2.into()));
    let listed = run(&stage, &["records", "jobs"]).await;
    let lines: Vec<&str> = listed.text().lines().collect();
    assert_eq!(lines.len(), 3, "{listed:?}");
    assert!(lines[0].contains("1.0000000a") && lines[0].ends_with(&format!("{id}  first job")), "{listed:?}");
    assert!(lines[1].ends_with("two\\nlines") && lines[2].ends_with("-5"), "{listed:?}");
    let listed = run(&stage, &["records", "jobs", "--after", "1.0000000a"]).await;
    assert_eq!(listed.text().lines().count(), 2);
    let page = run(&stage, &["records", "jobs", "--json"]).await.json();
    assert_eq!((page["records"].as_array().map(Vec::len), &page["cursor"]), (Some(3), &"3.0000000a".into()));
    assert_eq!(run(&stage, &["records", "none", "--json"]).await.json()["records"].as_array().map(Vec::len), Some(0));
    let gone = run(&stage, &["records", "jobs", "--after", "1.000000ff"]).await;
    assert_eq!(gone.status, 1);
    assert!(gone.error.contains("begin anew"), "{gone:?}");

    let topics = run(&stage, &["topics"]).await;
    assert!(topics.text().starts_with("TOPIC  RECORDS  SIZE  OLDEST"), "{topics:?}");
    assert!(topics.text().contains("jobs   3        20 B"), "{topics:?}");
    assert_eq!(run(&stage, &["topics", "--json"]).await.json()["topics"][0]["records"], 3);
    stage.end().await;
}

#[tokio::test]
async fn what_happens_is_followed_and_gone_on_with() {
    let stage = Stage::new();
    run(&stage, &["add", "jobs", "one"]).await;
    run(&stage, &["put", "a/1", "x"]).await;
    let mut follow = Running::new(&stage, &["records", "jobs", "--follow"]);
    let mut json = Running::new(&stage, &["records", "jobs", "--follow", "--json", "--after", "1.0000000a"]);
    let mut watch = Running::new(&stage, &["watch", "--data", "a/"]);
    assert!(follow.line().await.ends_with("one"));
    let line = watch.line().await;
    assert!(line.contains("2.0000000a") && line.ends_with("put     a/1 = x"), "{line}");
    assert!(watch.line().await.starts_with("-- what follows"));
    run(&stage, &["add", "jobs", "two"]).await;
    run(&stage, &["delete", "a/1"]).await;
    assert!(follow.line().await.ends_with("two"));
    let record: Value = serde_json::from_str(&json.line().await).expect("JSON");
    assert_eq!((&record["value"], &record["topic"]), (&"two".into(), &"jobs".into()));
    assert!(watch.line().await.ends_with("delete  a/1"));
    let mut lines = Running::new(&stage, &["watch", "--data", "", "--after", "2.0000000a", "--json"]);
    let line: Value = serde_json::from_str(&lines.line().await).expect("JSON");
    assert_eq!((&line["op"], &line["cursor"]), (&"delete".into(), &"4.0000000a".into()));
    // Its reader goes, and so does it.
    drop(lines.1);
    assert!(in_time(lines.0.wait()).await.expect("its end").success());
    stage.end().await;
    for Running(child, _) in [follow, json, watch] {
        let output = in_time(child.wait_with_output()).await.expect("its end");
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(69), "{error}");
        assert!(error.contains("go on with --after 4.0000000a") || error.contains("--after 3.0000000a"), "{error}");
    }
}

#[tokio::test]
async fn a_value_is_passed_through_a_command() {
    let stage = Stage::new();
    let first = run(&stage, &["update", "a", "--", "sh", "-c", "cat; echo \"$TANIST_KEY\""]).await;
    assert_eq!((first.status, first.text()), (0, "1.0000000a"));
    assert_eq!(run(&stage, &["update", "a", "--json", "--", "tr", "a", "b"]).await.json()["key"], "a");
    assert_eq!(run(&stage, &["get", "a"]).await.out, b"b\n");
    for (command, says) in [
        (&["false"][..], "false ended with exit status: 1: nothing was written"),
        (&["sh", "-c", "echo half; exit 7"], "exit status: 7"),
        (&["sh", "-c", "kill $$"], "signal: 15"),
        (&["no-such-command"], "could not be run"),
        (&["sh", "-c", "cat; yes | head -c 1048576"], "more than 1048576 bytes"),
    ] {
        let failed = run(&stage, &[&["update", "a", "--"], command].concat()).await;
        assert_eq!((failed.status, failed.out.len()), (1, 0), "{failed:?}");
        assert!(failed.error.contains(says), "{failed:?}");
    }
    // One that does not read a mebibyte is given it all the same.
    run_with(&stage, &["put", "a"], &vec![b'x'; 1 << 20]).await;
    assert_eq!(run(&stage, &["update", "a", "--", "echo", "new"]).await.status, 0);
    assert_eq!(run(&stage, &["get", "a"]).await.out, b"new\n");
    // Several at once lose nothing.
    run(&stage, &["put", "count", "0"]).await;
    let counts = (0..4).map(|_| {
        let add = "read n; echo $((n + 1))";
        let mut command = tanist(&stage.socket, &["update", "count", "--", "sh", "-c", add]);
        tokio::spawn(async move { in_time(command.output()).await.expect("it ran").status.success() })
    });
    for count in counts.collect::<Vec<_>>() {
        assert!(count.await.expect("it ran"));
    }
    assert_eq!(run(&stage, &["get", "count"]).await.out, b"4\n");
    stage.end().await;
}

#[tokio::test]
async fn wrong_usage_is_2_and_nobody_there_is_69() {
    let stage = Stage::new();
    for arguments in [
        &["put"][..],
        &["put", "a", "v", "--if-version", "soon"],
        &["put", "a", "v", "--if-absent", "--if-version", "1.0000000a"],
        &["records", "jobs", "--after", "yesterday"],
        &["update", "a"],
        &["watch", "--after", "1.0000000a"],
    ] {
        let said = run(&stage, arguments).await;
        assert_eq!((said.status, said.out.len()), (2, 0), "{arguments:?}: {said:?}");
    }
    for arguments in [&["add", "jobs", "\n"][..], &["put", "a\tb", "v"], &["get", "-"]] {
        let said = run(&stage, arguments).await;
        assert!([0, 1].contains(&said.status), "{said:?}");
    }
    assert_eq!(run(&stage, &["put", "", "v"]).await.status, 1, "the key is empty");
    stage.stop.cancel();
    in_time(async {
        while tokio::net::UnixStream::connect(&stage.socket).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for arguments in [
        &["add", "jobs", "v"][..],
        &["records", "jobs"],
        &["records", "jobs", "--follow"],
        &["topics"],
        &["put", "a", "v"],
        &["get", "a"],
        &["delete", "a"],
        &["keys"],
        &["update", "a", "--", "cat"],
        &["watch", "--data", ""],
        &["trim", "jobs", "--keep", "1"],
        &["conflicts"],
        &["conflicts", "resolve", "1.0000000a", "--other"],
    ] {
        let said = run(&stage, arguments).await;
        assert_eq!(said.status, 69, "{arguments:?}: {said:?}");
        assert!(said.error.contains(&stage.socket.display().to_string()), "{said:?}");
    }
}

/// It takes as long as a client is patient.
#[tokio::test]
async fn no_leader_is_75() {
    let stage = Stage::new();
    stage.mood(Mood::Say(Outcome::Later("there was no leader for 10 s".to_owned()))).await;
    let said = run(&stage, &["put", "a", "v"]).await;
    assert_eq!((said.status, said.out.len()), (75, 0), "{said:?}");
    assert!(said.error.contains("there was no leader"), "{said:?}");
    stage.end().await;
}
