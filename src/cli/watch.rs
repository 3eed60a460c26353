//! `watch`: events, or the changes of keys, as they happen.

use super::out::{Out, Tint};
use super::records::{broken, ended};
use super::show::{in_line, value};
use super::{Asking, Fail, NO_AGENT};
use crate::client::Watch;
use crate::view::data::{self, Change, Op, Point};
use crate::view::{Event, Line};
use clap::Args;
use serde_json::Value;

/// Where the fields of a line begin, unless its words need more.
const WORDS: usize = 72;

#[derive(Args)]
pub(super) struct Options {
    /// The changes of keys that begin so, instead of events: first the keys that there are
    #[arg(long, value_name = "PREFIX")]
    data: Option<String>,
    /// Only changes behind this point: a cursor, or the revision of a change
    #[arg(long, value_name = "CURSOR", requires = "data")]
    after: Option<Point>,
    #[command(flatten)]
    asking: Asking,
}

pub(super) async fn run(options: &Options, out: Out) -> Result<(), Fail> {
    // A reader that went away has seen enough: the next line may be days away.
    tokio::select! {
        ended = async {
            match &options.data {
                Some(prefix) => changes(prefix, options, out).await,
                None => events(&options.asking, out).await,
            }
        } => ended,
        () = out.reader_gone() => Ok(()),
    }
}

async fn changes(prefix: &str, options: &Options, out: Out) -> Result<(), Fail> {
    let mut last = options.after;
    let watch = Watch { topic: None, prefix: Some(prefix.to_owned()), after: last };
    let mut changes = options.asking.asked.client()?.watch_data(&watch).await?;
    while let Some(line) = changes.next().await.map_err(|error| broken(error, last))? {
        match &line {
            data::Line::Change(change) => last = Some(change.cursor),
            data::Line::CaughtUp { caught_up } => last = Some(*caught_up),
            data::Line::Again { .. } | data::Line::Only { .. } => {}
        }
        if options.asking.json { out.json(&line)? } else { out.line(change_text(&line, out))? }
    }
    Err(ended("the agent has ended, and the stream with it", last))
}

/// A line for people.
fn change_text(line: &data::Line, out: Out) -> String {
    let aside = |text: String| out.tint(Tint::Faint, &text);
    match line {
        data::Line::CaughtUp { caught_up } => aside(format!("-- what follows happens now, behind {caught_up}")),
        data::Line::Again { again_from } => {
            aside(format!("-- groups have met: what followed {again_from} comes again"))
        }
        data::Line::Only { only, after, through } => {
            let from = after.as_ref().map_or_else(String::new, |after| format!(" behind {after:?}"));
            let to = through.as_ref().map_or_else(String::new, |through| format!(" up to {through:?}"));
            let only: Vec<String> = only.iter().map(|key| in_line(key)).collect();
            aside(format!("-- many keys were deleted:{from}{to} only these may be left: {}", only.join(" ")))
        }
        data::Line::Change(change) => key_text(change, out),
    }
}

fn key_text(change: &Change, out: Out) -> String {
    let at = change.at.map_or_else(|| "-".to_owned(), |at| at.local());
    let name = out.tint(Tint::Strong, &in_line(change.key.as_deref().unwrap_or_default()));
    let (word, tint) = match change.op {
        Op::Add => ("add", Tint::Good),
        Op::Put => ("put", Tint::Good),
        Op::Delete => ("delete", Tint::Bad),
    };
    let content =
        change.content.as_ref().map_or_else(String::new, |content| format!(" = {}", value(content, out.terminal())));
    let word = out.tint(tint, &format!("{word:<6}"));
    format!("{}  {:<16}  {word}  {name}{content}", out.tint(Tint::Faint, &at), change.revision)
}

async fn events(options: &Asking, out: Out) -> Result<(), Fail> {
    let mut events = options.asked.client()?.events().await?;
    loop {
        if options.json {
            match events.next_text().await? {
                Some(line) => out.line(line)?,
                None => break,
            }
        } else {
            match events.next().await? {
                Some(line) => out.line(text(&line, out))?,
                None => break,
            }
        }
    }
    Err(Fail::new(NO_AGENT, "the agent has ended, and the stream with it: watch again when it is back"))
}

/// A line as the log has it, behind the time of day.
pub(super) fn text(line: &Line, out: Out) -> String {
    match line {
        Line::Lagged { lagged } => {
            out.tint(Tint::Bad, &format!("WARN  {lagged} events were missed: reading too slowly"))
        }
        Line::Event(event) => {
            let at = out.tint(Tint::Faint, &event.at.local_time());
            format!("{at}  {}", words(event, out))
        }
    }
}

/// Plain words first, fields after.
fn words(event: &Event, out: Out) -> String {
    let (level, tint) = if event.level == "warn" { ("WARN", Tint::Bad) } else { ("INFO", Tint::Good) };
    let mut fields = format!("event={} epoch={}", event.event, event.epoch);
    if let Some(cause) = event.cause {
        fields.push_str(&format!(" cause={}", cause.as_str()));
    }
    for (name, value) in &event.fields {
        match value {
            Value::Null => {}
            Value::String(text) if !text.is_empty() && !text.contains(char::is_whitespace) => {
                fields.push_str(&format!(" {name}={text}"));
            }
            value => fields.push_str(&format!(" {name}={value}")),
        }
    }
    format!("{}  {:<WORDS$} {}", out.tint(tint, level), event.text, out.tint(Tint::Faint, &fields))
}
