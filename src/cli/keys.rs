//! Keys: `put`, `get`, `delete`, `keys` and `update`.

use super::input::Given;
use super::out::{Out, Tint};
use super::show::{age, in_line, size};
use super::table::Table;
use super::{Asking, Fail, NO};
use crate::client::{Condition, Reading};
use crate::ledger::limits::VALUE;
use crate::view::data::{Content, Key, Point, Written};
use bytes::Bytes;
use clap::Args;
use serde::Serialize;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

#[derive(Args)]
pub(super) struct PutOptions {
    /// The key
    pub(super) key: String,
    #[command(flatten)]
    value: Given,
    /// Write only when the present value has this version
    #[arg(long, value_name = "VERSION", conflicts_with = "if_absent")]
    pub(super) if_version: Option<Point>,
    /// Write only when there is no value
    #[arg(long)]
    if_absent: bool,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Args)]
pub(super) struct GetOptions {
    /// The key
    key: String,
    /// The value as the leader has it, not as this machine has it, which may lag
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Args)]
pub(super) struct DeleteOptions {
    /// The key
    key: String,
    /// Delete only when the present value has this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<Point>,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Args)]
pub(super) struct ListOptions {
    /// What the keys begin with; all without it
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Args)]
pub(super) struct UpdateOptions {
    /// The key
    key: String,
    #[command(flatten)]
    asking: Asking,
    /// The command: it reads the value from standard input (nothing when there is none), and writes the new one to
    /// standard output; TANIST_KEY in its environment is the key
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

/// `get --json`.
#[derive(Serialize)]
struct Got {
    key: String,
    version: Point,
    cursor: Point,
    #[serde(flatten)]
    content: Content,
}

pub(super) async fn put(options: PutOptions, out: Out) -> Result<(), Fail> {
    let client = options.asking.asked.client()?;
    let condition = match options.if_version {
        Some(version) => Condition::Is(version.0),
        None if options.if_absent => Condition::Absent,
        None => Condition::None,
    };
    let written = client.put(&options.key, options.value.bytes()?, condition).await?;
    wrote(&written, &options.asking, out)
}

pub(super) fn wrote(written: &Written, asking: &Asking, out: Out) -> Result<(), Fail> {
    if asking.json { out.json(written) } else { out.line(written.version) }
}

pub(super) async fn get(options: GetOptions, out: Out) -> Result<(), Fail> {
    let how = Reading { fresh: options.fresh, at_least: None };
    let Some(got) = options.asking.asked.client()?.get(&options.key, how).await? else {
        return Err(Fail::new(
            NO,
            format!("the key {:?} has no value: `tanist keys` lists those that have", options.key),
        ));
    };
    if options.asking.json {
        let content = Content::new(&got.value);
        return out.json(&Got { key: options.key, version: got.version, cursor: got.cursor, content });
    }
    out.bytes(&got.value)?;
    // Whoever looks at it sees where it ends; whoever reads it gets it as it is.
    if out.terminal() && !got.value.ends_with(b"\n") { out.line("") } else { Ok(()) }
}

pub(super) async fn delete(options: &DeleteOptions, out: Out) -> Result<(), Fail> {
    let condition = options.if_version.map_or(Condition::None, |version| Condition::Is(version.0));
    let deleted = options.asking.asked.client()?.delete(&options.key, condition).await?;
    if options.asking.json { out.json(&deleted) } else { Ok(()) }
}

pub(super) async fn list(options: &ListOptions, out: Out) -> Result<(), Fail> {
    let client = options.asking.asked.client()?;
    let (mut after, mut is_first): (Option<String>, bool) = (None, true);
    loop {
        let page = client.keys(&options.prefix, after.as_deref()).await?;
        if options.asking.json {
            out.json(&page)?;
        } else if !out.terminal() {
            page.keys.iter().try_for_each(|key| out.line(in_line(&key.key)))?;
        } else if !page.keys.is_empty() {
            out.line(keys_text(&page.keys, is_first, out).join("\n"))?;
            is_first = false;
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

fn keys_text(keys: &[Key], with_head: bool, out: Out) -> Vec<String> {
    let mut table = Table::new(&["KEY", "SIZE", "WRITTEN", "VERSION", "CONFLICTS"]);
    for key in keys {
        let conflicts = match key.conflicts {
            0 => (String::new(), Tint::Plain),
            some => (some.to_string(), Tint::Bad),
        };
        table.row(vec![
            (in_line(&key.key), Tint::Strong),
            (size(key.size), Tint::Plain),
            (age(key.at), Tint::Plain),
            (key.version.to_string(), Tint::Plain),
            conflicts,
        ]);
    }
    let mut lines = table.lines(out, 0);
    if !with_head {
        lines.remove(0);
    }
    lines
}

pub(super) async fn update(options: &UpdateOptions, out: Out) -> Result<(), Fail> {
    let client = options.asking.asked.client()?;
    let written = client
        .update(&options.key, async |value| filtered(&options.key, &options.command, value.unwrap_or_default()).await)
        .await?;
    wrote(&written, &options.asking, out)
}

/// What a command makes of a value.
async fn filtered(key: &str, command: &[OsString], value: Bytes) -> Result<Bytes, Fail> {
    let [program, arguments @ ..] = command else { return Err(Fail::new(super::USAGE, "which command?")) };
    let name = program.to_string_lossy();
    let failed = |what: String| Fail::new(NO, format!("{name} {what}: nothing was written"));
    let mut child = Command::new(program)
        .args(arguments)
        .env("TANIST_KEY", key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("could not be run ({error})")))?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let give = async {
        match stdin {
            Some(mut stdin) => stdin.write_all(&value).await,
            None => Ok(()),
        }
    };
    let mut made = Vec::new();
    let take = async {
        match stdout {
            Some(stdout) => stdout.take(VALUE as u64 + 1).read_to_end(&mut made).await,
            None => Ok(0),
        }
    };
    let (given, taken) = tokio::join!(give, take);
    // One that needs nothing of the value need not read it.
    if let Some(error) = given.err().filter(|error| error.kind() != ErrorKind::BrokenPipe) {
        return Err(failed(format!("could not be given the value ({error})")));
    }
    taken.map_err(|error| failed(format!("could not be read ({error})")))?;
    if made.len() > VALUE {
        return Err(failed(format!("wrote more than {VALUE} bytes (1 MiB), which is all that a value may have")));
    }
    let status = child.wait().await.map_err(|error| failed(format!("could not be waited for ({error})")))?;
    if status.success() { Ok(made.into()) } else { Err(failed(format!("ended with {status}"))) }
}
