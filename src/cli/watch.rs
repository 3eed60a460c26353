//! `watch`: events as they happen.

use super::out::{Out, Tint};
use super::{Asking, Fail, NO_AGENT};
use crate::view::{Event, Line};
use serde_json::Value;

/// Where the fields of a line begin, unless its words need more.
const WORDS: usize = 72;

pub(super) async fn run(options: &Asking, out: Out) -> Result<(), Fail> {
    let mut events = options.asked.client()?.events().await?;
    let told = async {
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
    };
    // A reader that went away has seen enough: the next event may be days away.
    tokio::select! {
        ended = told => ended,
        () = out.reader_gone() => Ok(()),
    }
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
