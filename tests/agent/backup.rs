//! A backup and a restore, with exactly the commands of `docs/operations.md`; and imports while what is in their way dies.

use crate::data::{Office, runtime};
use crate::site::{Agent, Site, TANIST};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tanist::client::{Client, Condition, Error};
use uuid::Uuid;

/// The part of the documentation that tells of this.
fn chapter() -> String {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).expect("it is there");
    let (_, rest) = text.split_once("\n## Backup and restore\n").expect("a chapter");
    rest.split("\n## ").next().expect("its end").to_owned()
}

/// The first block of code in this language that has these words.
fn block(language: &str, words: &str) -> String {
    let (chapter, start) = (chapter(), format!("```{language}\n"));
    let mut blocks = chapter.split(&start).skip(1).map(|rest| rest.split_once("```").expect("its end").0);
    blocks.find(|block| block.contains(words)).expect("a block").to_owned()
}

/// Runs a script as cron and people do: `tanist` is installed, and asks the agent of this machine.
fn sh(site: &Site, backups: &Path, script: &str) -> Output {
    let bin = site.path("bin");
    if !bin.exists() {
        fs::create_dir(&bin).expect("made");
        std::os::unix::fs::symlink(TANIST, bin.join("tanist")).expect("linked");
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let script = script.replace("/var/backups", &backups.display().to_string());
    let mut shell = Command::new("sh");
    shell.arg("-ec").arg(&script).env("PATH", path).env("TANIST_SOCKET", &site.socket);
    let output = shell.output().expect("it runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {error}");
    output
}

fn text(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("text")
}

const NODE: &str = "bb0c9202-d5ef-48df-9119-98fb255efc78";

/// A line of a key with three values.
fn conflict(key: &str) -> String {
    let sibling = |n: u32, value: &str| {
        let id = Uuid::from_u128(u128::from(n) << 64 | key.len() as u128);
        format!(r#"{{"birth":"{n}.000000ff","id":"{id}","at":"2020-02-29T23:59:59.123456Z","node":"{NODE}",{value}}}"#)
    };
    let values = [sibling(1, r#""value":"one""#), sibling(2, r#""deleted":true"#), sibling(3, r#""value":"two""#)];
    format!(r#"{{"key":"{key}","siblings":[{}]}}"#, values.join(","))
}

async fn fill(client: &Client) {
    for n in 0..50 {
        client.add(&format!("topic {}", n % 3), format!("record {n}")).await.expect("added");
        client.put(&format!("key/{n}"), vec![0xff, n], Condition::None).await.expect("written");
    }
    client.put("config/printer", "hall", Condition::None).await.expect("written");
    client.delete("key/7", Condition::None).await.expect("deleted");
    let header = format!(
        r#"{{"tanist_export":1,"at":"2020-02-29T23:59:59.123456Z","cluster":"old","node":"{NODE}","cursor":"3.000000ff"}}"#
    );
    let end = r#"{"end":true,"records":0,"keys":2,"conflicts":4}"#;
    let file = format!("{header}\n{}\n{}\n{end}\n", conflict("c"), conflict("cc"));
    let mut import = client.import(false).await.expect("begun");
    import.send(file).await.expect("sent");
    let imported = import.finish().await.expect("imported");
    assert_eq!((imported.keys.added, imported.conflicts), (2, 4));
}

/// What users see of an office: all records in order, and all keys with their sizes, times and conflicts.
async fn seen(client: &Client) -> (Vec<Value>, Vec<Value>) {
    let bare = |mut value: Value| {
        let fields = value.as_object_mut().expect("an object");
        fields.remove("revision");
        fields.remove("version");
        value
    };
    let mut records = Vec::new();
    for topic in client.topics(None).await.expect("it reads").topics {
        let page = client.records(&topic.topic, None).await.expect("it reads");
        records.extend(page.records.into_iter().map(|record| bare(serde_json::to_value(record).expect("JSON"))));
    }
    let keys = client.keys("", None).await.expect("it reads").keys;
    (records, keys.into_iter().map(|key| bare(serde_json::to_value(key).expect("JSON"))).collect())
}

fn start(site: &Site) -> Agent {
    let mut agent = site.start();
    agent.line("event=leading");
    agent
}

#[test]
fn a_backup_comes_back_into_an_empty_office() {
    let (old, new) = (Site::new(), Site::new());
    let backups = tempfile::tempdir().expect("a directory");
    let mut agent = start(&old);
    let client = Client::at(&old.socket);
    runtime().block_on(fill(&client));
    let (records, keys) = runtime().block_on(seen(&client));
    assert_eq!((records.len(), keys.len()), (50, 52));

    // Cron takes away the time and the user, and the backslash before a percent sign.
    let line = block("text", "/var/backups");
    let command = line.trim().splitn(7, ' ').last().expect("a command").replace("\\%", "%");
    let silent = sh(&old, backups.path(), &command);
    assert!(silent.stdout.is_empty() && silent.stderr.is_empty(), "cron has nothing to mail: {silent:?}");
    let made: Vec<_> = fs::read_dir(backups.path()).expect("read").map(|entry| entry.expect("read").path()).collect();
    assert_eq!(made.len(), 1, "{made:?}");
    // Whatever day it is, in the documentation it is a Monday.
    let monday = backups.path().join("tanist-1.ndjson");
    fs::rename(&made[0], &monday).expect("renamed");
    let ends = sh(&old, backups.path(), &block("sh", "head -n 1"));
    assert!(text(&ends).starts_with("{\"tanist_export\":1,"), "{ends:?}");
    assert!(text(&ends).ends_with("{\"end\":true,\"records\":50,\"keys\":52,\"conflicts\":4}\n"), "{ends:?}");
    agent.signal(Signal::SIGTERM);
    agent.end();

    let mut agent = start(&new);
    let client = Client::at(&new.socket);
    let restore = block("sh", "tanist import");
    let said = sh(&new, backups.path(), &restore);
    assert!(text(&said).contains("records: 50 added, 0 known; keys: 52 added, 0 known; conflicts: 4"), "{said:?}");
    assert_eq!(runtime().block_on(seen(&client)), (records.clone(), keys.clone()), "ids, times, values, conflicts");
    let said = sh(&new, backups.path(), &restore);
    assert!(text(&said).contains("records: 0 added, 50 known; keys: 0 added, 52 known; conflicts: 0"), "{said:?}");
    assert_eq!(runtime().block_on(seen(&client)), (records.clone(), keys.clone()), "twice is once");
    // A file is left in the state directory neither by this nor by what breaks off.
    agent.signal(Signal::SIGKILL);
    agent.end();
    let left: Vec<_> = fs::read_dir(&new.state).expect("read").map(|entry| entry.expect("read").file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("import")), "{left:?}");
    let _again = start(&new);
    assert_eq!(runtime().block_on(seen(&client)), (records, keys), "it is durable");

    if Command::new("jq").arg("--version").output().is_ok() {
        let _agent = start(&old);
        let client = Client::at(&old.socket);
        runtime().block_on(client.put("config/printer", "wrong", Condition::None)).expect("written");
        sh(&old, backups.path(), &block("sh", "jq"));
        let value = runtime().block_on(client.get("config/printer", Default::default())).expect("it reads");
        assert_eq!(value.expect("a value").value, "hall");
    }
}

/// A file of so many records of one topic, in order.
fn records(count: u32) -> Vec<String> {
    let mut lines = vec![format!(
        r#"{{"tanist_export":1,"at":"2020-02-29T23:59:59.123456Z","cluster":"old","node":"{NODE}","cursor":"3.000000ff"}}"#
    )];
    lines.extend((0..count).map(|n| {
        let id = Uuid::from_u128(u128::from(n) + 1);
        format!(r#"{{"record":"{id}","topic":"notes","birth":"{n}.000000ff","at":"2020-02-29T23:59:59.123456Z","node":"{NODE}","value":"{n}"}}"#)
    }));
    lines.push(format!(r#"{{"end":true,"records":{count},"keys":0,"conflicts":0}}"#));
    lines
}

/// Sends a file, and does something when half of it is sent.
async fn import(client: &Client, lines: &[String], half: impl FnOnce()) -> Result<tanist::view::data::Imported, Error> {
    let mut import = client.import(false).await?;
    let (first, rest) = lines.split_at(lines.len() / 2);
    for piece in first.chunks(100) {
        import.send(piece.join("\n") + "\n").await?;
    }
    half();
    for piece in rest.chunks(100) {
        if !import.send(piece.join("\n") + "\n").await? {
            break;
        }
    }
    import.finish().await
}

/// The leader dies in the middle of an import that another machine takes; then that machine dies in the middle of one.
#[test]
fn an_import_goes_on_under_the_next_leader_and_one_that_broke_off_is_made_again() {
    const COUNT: u32 = 20_000;
    let mut office = Office::new();
    let lines = records(COUNT);
    runtime().block_on(async {
        let leader = office.leader().await;
        let taker = (leader + 1) % 3;
        let client = Client::at(office.socket(taker));
        let imported = import(&client, &lines[..lines.len() - 1], || office.kill(leader)).await.expect("imported");
        let taken = imported.records;
        assert_eq!(taken.added + taken.known, u64::from(COUNT), "{imported:?}");
        assert!(!imported.complete && imported.refused.is_empty(), "{imported:?}");
        office.start(leader);
        office.leader().await;

        let broken = import(&client, &lines, || office.kill(taker)).await;
        assert!(matches!(broken, Err(Error::Broken { .. })), "{broken:?}");
        office.start(taker);
        office.leader().await;
        let imported = import(&client, &lines, || {}).await.expect("imported");
        assert_eq!((imported.records.added, imported.records.known), (0, u64::from(COUNT)), "{imported:?}");
        assert!(imported.is_whole());
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = client.records("notes", after).await.expect("it reads");
            if page.records.is_empty() {
                break;
            }
            found.extend(page.records.iter().map(|record| record.id.as_u128()));
            after = Some(page.cursor);
        }
        // What a leader that died had alone stands further back when it has come back: the order is not promised then.
        found.sort_unstable();
        assert_eq!(found, (1..=u128::from(COUNT)).collect::<Vec<_>>(), "each is there once");
    });
}
