//! Export and import: the client library, the commands, and the calls in `docs/api.md`.

use crate::commands::{run, run_with, tanist};
use crate::docs::block;
use crate::for_tests::{Stage, in_time, reign};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use tanist::client::{Client, Condition, Error};
use tanist::ledger::limits::VALUE;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

async fn fill(stage: &Stage) {
    let client = Client::at(&stage.socket);
    for n in 0..30 {
        client.add("jobs", format!("job {n}")).await.expect("added");
        client.put(&format!("k/{n}"), vec![0xff, n], Condition::None).await.expect("written");
    }
    client.delete("k/7", Condition::None).await.expect("deleted");
}

/// Another cluster: no reign of it is one of the first.
async fn another() -> Stage {
    let stage = Stage::new();
    stage.act(|play| play.reign = reign(0xb)).await;
    stage
}

/// Lines without what an import makes anew.
fn essence(file: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(file).expect("text");
    let lines = text.lines().skip(1).map(|line| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        line.as_object_mut().expect("an object").remove("birth");
        for sibling in line.get_mut("siblings").and_then(Value::as_array_mut).into_iter().flatten() {
            sibling.as_object_mut().expect("an object").remove("birth");
        }
        line
    });
    lines.collect()
}

fn names(dir: &Path) -> Vec<String> {
    let all = fs::read_dir(dir).expect("it is there");
    let mut names: Vec<_> = all.map(|entry| entry.expect("read").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_export_is_a_stream_or_a_file_that_is_complete() {
    let stage = Stage::new();
    fill(&stage).await;
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let out = run(&stage, &["export"]).await;
    assert_eq!(out.status, 0);
    assert!(out.text().ends_with(r#"{"end":true,"records":30,"keys":29,"conflicts":0}"#), "{out:?}");
    assert_eq!(essence(&run(&stage, &["export", "-"]).await.out), essence(&out.out));

    fs::write(dir.path().join("old"), "an older one").expect("written");
    fs::set_permissions(dir.path().join("old"), fs::Permissions::from_mode(0o600)).expect("set");
    std::os::unix::fs::symlink("old", dir.path().join("link")).expect("linked");
    for name in ["new", "link"] {
        let said = run(&stage, &["export", &path(name)]).await;
        assert_eq!((said.status, said.out.len(), said.error.len()), (0, 0, 0), "{said:?}");
    }
    assert_eq!(names(dir.path()), ["link", "new", "old"], "nothing else is left");
    assert!(fs::symlink_metadata(dir.path().join("link")).expect("it is there").is_symlink());
    for name in ["new", "old"] {
        assert_eq!(essence(&fs::read(dir.path().join(name)).expect("read")), essence(&out.out));
    }
    let mode = fs::metadata(dir.path().join("old")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "a user that could not read the old one cannot read this one");

    let said = run(&stage, &["export", "/dev/null"]).await;
    assert_eq!(said.status, 0);
    assert!(fs::metadata("/dev/null").expect("it is there").file_type().is_char_device());
    for nowhere in [path("no/such/file"), dir.path().display().to_string()] {
        let said = run(&stage, &["export", &nowhere]).await;
        assert_eq!(said.status, 1);
        assert!(said.error.contains("could not write"), "{said:?}");
    }
    stage.end().await;
}

#[tokio::test]
async fn an_export_that_breaks_off_leaves_the_older_one() {
    let stage = Stage::new();
    let client = Client::at(&stage.socket);
    for n in 0..8_u8 {
        client.put(&format!("k/{n}"), vec![n; VALUE], Condition::None).await.expect("written");
    }
    let mut export = client.export().await.expect("a stream");
    assert!(in_time(export.next()).await.expect("a line").is_some_and(|line| line.contains("tanist_export")));
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("backup"), "an older one").expect("written");
    // It writes into a pipe that nobody reads, until the agent is gone.
    let mut child = tanist(&stage.socket, &["export"]).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut first = [0; 10];
    let mut stdout = child.stdout.take().expect("piped");
    in_time(tokio::io::AsyncReadExt::read_exact(&mut stdout, &mut first)).await.expect("its beginning");
    stage.stop.cancel();
    let ended = in_time(async {
        loop {
            match export.next().await {
                Ok(Some(line)) => assert!(!line.starts_with("{\"end\"")),
                other => return other,
            }
        }
    });
    let ended = ended.await;
    assert!(matches!(&ended, Err(Error::Broken { why }) if why.contains("not whole")), "{ended:?}");
    assert_eq!(export.end(), None);
    let mut rest = Vec::new();
    in_time(tokio::io::AsyncReadExt::read_to_end(&mut stdout, &mut rest)).await.expect("read");
    let output = in_time(child.wait_with_output()).await.expect("its end");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(69) && error.contains("make it again"), "{error}");
    let backup = dir.path().join("backup").display().to_string();
    let said = run(&stage, &["export", &backup]).await;
    assert_eq!(said.status, 69);
    assert_eq!(names(dir.path()), ["backup"]);
    assert_eq!(fs::read(&backup).expect("read"), b"an older one");
    stage.end().await;
}

#[tokio::test]
async fn what_was_exported_is_imported_once() {
    let stage = Stage::new();
    fill(&stage).await;
    let saved = run(&stage, &["export"]).await.out;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("saved");
    fs::write(&file, &saved).expect("written");
    let name = file.display().to_string();
    let empty = another().await;
    let said = run(&empty, &["import", &name]).await;
    let all = "records: 30 added, 0 known; keys: 29 added, 0 known; conflicts: 0";
    assert_eq!((said.status, said.text(), said.error.as_str()), (0, all, ""));
    assert_eq!(essence(&run(&empty, &["export"]).await.out), essence(&saved));
    for arguments in [&["import"][..], &["import", "-", "--all-or-nothing"]] {
        let said = run_with(&empty, arguments, &saved).await;
        assert!(said.status == 0 && said.text().starts_with("records: 0 added, 30 known"), "{said:?}");
    }
    let json = run(&stage, &["import", &name, "--json"]).await.json();
    assert_eq!((&json["records"]["known"], &json["complete"]), (&30.into(), &true.into()));
    stage.end().await;
    empty.end().await;
}

#[tokio::test]
async fn a_broken_file_is_named_line_by_line_or_does_nothing() {
    let stage = Stage::new();
    fill(&stage).await;
    let saved = run(&stage, &["export"]).await.out;
    let text = String::from_utf8(saved).expect("text");
    let mut lines: Vec<&str> = text.lines().collect();
    lines[2] = "{\"record\":";
    lines.pop();
    let broken = lines.join("\n");
    let empty = another().await;
    let said = run_with(&empty, &["import", "--all-or-nothing"], broken.as_bytes()).await;
    assert_eq!((said.status, said.out.len()), (1, 0), "{said:?}");
    assert!(said.error.contains("line 3: not JSON") && said.error.contains("nothing was imported"), "{said:?}");
    assert_eq!(empty.act(|play| play.ledger.position().number).await, 0);
    let said = run_with(&empty, &["import"], broken.as_bytes()).await;
    assert_eq!(said.status, 1);
    let told: Vec<&str> = said.text().lines().collect();
    assert_eq!(told[0], "records: 29 added, 0 known; keys: 29 added, 0 known; conflicts: 0");
    assert!(told[1].starts_with("line 3: broken: not JSON") && told[2].contains("cut off"), "{said:?}");
    assert!(said.error.contains("mend the file and import it again"), "{said:?}");
    let json = run_with(&empty, &["import", "--json"], broken.as_bytes()).await;
    assert_eq!((json.status, json.json()["broken"].as_array().map(Vec::len)), (1, Some(2)));

    // The agent answers long before all of it is sent.
    let late = format!("{}\n{}\n", lines[0], "x\n".repeat(20 << 20));
    let said = run_with(&empty, &["import", "--all-or-nothing"], late.as_bytes()).await;
    assert!(said.status == 1 && said.error.contains("line 2: not JSON"), "{said:?}");
    for (arguments, status) in [
        (&["import", "/no/such/file"][..], 1),
        (&["import", "/"], 1),
        (&["import", "a", "b"], 2),
        (&["export", "--json"], 2),
    ] {
        assert_eq!(run(&empty, arguments).await.status, status, "{arguments:?}");
    }
    empty.stop.cancel();
    in_time(async {
        while tokio::net::UnixStream::connect(&empty.socket).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for arguments in [&["export"][..], &["import"]] {
        assert_eq!(run(&empty, arguments).await.status, 69, "{arguments:?}");
    }
    stage.end().await;
}

#[tokio::test]
async fn half_an_import_is_no_whole_one() {
    let stage = Stage::new();
    fill(&stage).await;
    let saved = run(&stage, &["export"]).await.out;
    let empty = another().await;
    let client = Client::at(&empty.socket);
    let mut import = client.import(true).await.expect("begun");
    // In pieces of any size, and given up in the middle.
    for piece in saved[..saved.len() / 2].chunks(7) {
        assert!(in_time(import.send(piece.to_vec())).await.expect("taken"));
    }
    drop(import);
    let mut import = client.import(true).await.expect("begun");
    for piece in saved.chunks(100) {
        assert!(in_time(import.send(piece.to_vec())).await.expect("taken"));
    }
    let imported = in_time(import.finish()).await.expect("imported");
    assert_eq!((imported.records.added, imported.records.known, imported.keys.added), (30, 0, 29));
    assert!(imported.is_whole());
    let import = client.import(false).await.expect("begun");
    let imported = in_time(import.finish()).await.expect("an answer");
    assert_eq!((imported.is_whole(), imported.epoch, imported.copies), (false, None, None), "an empty file is none");
    stage.end().await;
    empty.end().await;
}

/// The calls as they stand in the documentation, on a socket of this test.
#[tokio::test]
async fn the_documented_calls_work() {
    if std::process::Command::new("curl").arg("--version").output().is_err() {
        assert!(std::env::var_os("TANIST_TESTS_MUST_RUN").is_none(), "there is no curl here");
        eprintln!("skipped: there is no curl here");
        return;
    }
    let stage = Stage::new();
    fill(&stage).await;
    let dir = tempfile::tempdir().expect("a directory");
    for words in ["/v1/export -o", "/v1/import"] {
        let script = block("sh", words).replace("/run/tanist/tanist.sock", &stage.socket.display().to_string());
        let mut shell = Command::new("sh");
        shell.arg("-ec").arg(script).current_dir(dir.path()).stdin(Stdio::null()).stderr(Stdio::null());
        let output = in_time(shell.output()).await.expect("it runs");
        assert!(output.status.success(), "{words}: {output:?}");
        let answers = String::from_utf8(output.stdout).expect("text");
        let whole = r#"{"records":{"added":0,"known":30},"keys":{"added":0,"known":29}"#;
        assert_eq!(answers.matches(whole).count(), if words == "/v1/import" { 2 } else { 0 }, "{answers}");
    }
    let file = fs::read(dir.path().join("office.ndjson")).expect("it was written");
    assert_eq!(essence(&file), essence(&run(&stage, &["export"]).await.out));
    // A pipe that is empty for a while is no end.
    let mut child = tanist(&stage.socket, &["import"]).stdin(Stdio::piped()).spawn().expect("it runs");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&file[..100]).await.expect("written");
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    stdin.write_all(&file[100..]).await.expect("written");
    drop(stdin);
    assert!(in_time(child.wait()).await.expect("its end").success());
    stage.end().await;
}
