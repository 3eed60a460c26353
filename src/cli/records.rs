//! Records: `add`, `records`, `topics` and `trim`.

use super::input::Given;
use super::out::{Out, Tint};
use super::show::{age, in_line, size, value};
use super::table::Table;
use super::{Asking, Fail, NO_AGENT, USAGE};
use crate::client::{Client, Error, Trim, Watch};
use crate::view::data::{Change, Line, Op, Point, Record, Topic, Topics};
use clap::Args;
use std::time::Duration;

#[derive(Args)]
pub(super) struct AddOptions {
    /// The topic
    topic: String,
    #[command(flatten)]
    value: Given,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Args)]
pub(super) struct ListOptions {
    /// The topic
    topic: String,
    /// Only records behind this point: a cursor, or the revision of another record
    #[arg(long, value_name = "CURSOR")]
    after: Option<Point>,
    /// Go on with records as they are added, until interrupted
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Args)]
pub(super) struct TrimOptions {
    /// The topic
    topic: String,
    #[command(flatten)]
    old: Old,
    #[command(flatten)]
    asking: Asking,
}

/// Which records are dropped.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Old {
    /// Those up to this point: a cursor, or the revision of the last one that goes
    #[arg(long, value_name = "CURSOR")]
    before: Option<Point>,
    /// All but the latest N
    #[arg(long, value_name = "N")]
    keep: Option<u64>,
    /// Those that are older than this: 90s, 15m, 12h, 30d
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
    older: Option<Duration>,
}

impl Old {
    fn trim(&self) -> Result<Trim, Fail> {
        match (self.before, self.keep, self.older) {
            (Some(cursor), _, _) => Ok(Trim::Before(cursor)),
            (_, Some(keep), _) => Ok(Trim::Keep(keep)),
            (_, _, Some(age)) => Ok(Trim::Older(age)),
            _ => Err(Fail::new(USAGE, "which records? say --before, --keep or --older")),
        }
    }
}

pub(super) async fn add(options: AddOptions, out: Out) -> Result<(), Fail> {
    let client = options.asking.asked.client()?;
    let added = client.add(&options.topic, options.value.bytes()?).await?;
    if options.asking.json { out.json(&added) } else { out.line(added.id) }
}

pub(super) async fn list(options: &ListOptions, out: Out) -> Result<(), Fail> {
    let client = options.asking.asked.client()?;
    if options.follow {
        return tokio::select! {
            ended = follow(&client, options, out) => ended,
            () = out.reader_gone() => Ok(()),
        };
    }
    let mut page = client.records(&options.topic, options.after).await?;
    // A page is a line of JSON, also when there is nothing on the only one: its cursor says from where to go on.
    loop {
        if options.asking.json {
            out.json(&page)?;
        } else {
            page.records.iter().try_for_each(|record| tell(record, options, out))?;
        }
        if !page.records.is_empty() {
            page = client.records(&options.topic, Some(page.cursor)).await?;
        }
        if page.records.is_empty() {
            return Ok(());
        }
    }
}

async fn follow(client: &Client, options: &ListOptions, out: Out) -> Result<(), Fail> {
    let mut last = options.after;
    let watch = Watch { topic: Some(options.topic.clone()), prefix: None, after: last };
    let mut changes = client.watch_data(&watch).await?;
    while let Some(line) = changes.next().await.map_err(|error| broken(error, last))? {
        match line {
            Line::Change(change) => {
                last = Some(change.cursor);
                if let Some(record) = record(*change) {
                    tell(&record, options, out)?;
                }
            }
            Line::CaughtUp { caught_up } => last = Some(caught_up),
            Line::Again { .. } | Line::Only { .. } => {}
        }
    }
    Err(ended("the agent has ended, and the stream with it", last))
}

/// The end of a stream that was to go on.
pub(super) fn ended(why: &str, last: Option<Point>) -> Fail {
    let on = last.map_or_else(String::new, |last| format!("with --after {last}, "));
    Fail::new(NO_AGENT, format!("{why}: go on {on}when it is back"))
}

/// The same when it broke.
pub(super) fn broken(error: Error, last: Option<Point>) -> Fail {
    match error {
        Error::Broken { .. } => ended("the stream broke off, as when its agent dies", last),
        error => error.into(),
    }
}

fn record(change: Change) -> Option<Record> {
    let (Op::Add, Some(topic), Some(id), Some(at), Some(node), Some(content)) =
        (change.op, change.topic, change.id, change.at, change.node, change.content)
    else {
        return None;
    };
    Some(Record { id, topic, at, node, revision: change.revision, content })
}

fn tell(record: &Record, options: &ListOptions, out: Out) -> Result<(), Fail> {
    if options.asking.json {
        return out.json(record);
    }
    let at = out.tint(Tint::Faint, &record.at.local());
    let id = out.tint(Tint::Faint, &record.id.to_string());
    out.line(format!("{at}  {:<16}  {id}  {}", record.revision, value(&record.content, out.terminal())))
}

pub(super) async fn trim(options: &TrimOptions, out: Out) -> Result<(), Fail> {
    let trimmed = options.asking.asked.client()?.trim(&options.topic, options.old.trim()?).await?;
    if options.asking.json {
        return out.json(&trimmed);
    }
    let records = if trimmed.dropped == 1 { "record" } else { "records" };
    out.line(format!("dropped {} {records} of {}", trimmed.dropped, in_line(&options.topic)))
}

pub(super) async fn topics(options: &Asking, out: Out) -> Result<(), Fail> {
    let client = options.asked.client()?;
    let mut all = client.topics(None).await?;
    while let Some(next) = all.next.take() {
        let Topics { topics, next, .. } = client.topics(Some(&next)).await?;
        all.topics.extend(topics);
        all.next = next;
    }
    if options.json { out.json(&all) } else { out.line(topics_text(&all.topics, out).join("\n")) }
}

fn topics_text(topics: &[Topic], out: Out) -> Vec<String> {
    if topics.is_empty() {
        return vec!["there are no records yet: `tanist add TOPIC VALUE` adds one".to_owned()];
    }
    let mut table = Table::new(&["TOPIC", "RECORDS", "SIZE", "OLDEST", "NEWEST"]);
    for topic in topics {
        table.row(vec![
            (in_line(&topic.topic), Tint::Strong),
            (topic.records.to_string(), Tint::Plain),
            (size(topic.bytes), Tint::Plain),
            (age(topic.oldest), Tint::Plain),
            (age(topic.newest), Tint::Plain),
        ]);
    }
    table.lines(out, 0)
}
