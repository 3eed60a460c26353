//! What a log line looks like.

use super::Level;
use crate::event::Value;
use std::fmt::Write;

/// Where the fields begin, in characters, when the text is shorter.
const TEXT_WIDTH: usize = 70;

/// One line of text: the words first, the fields after them.
pub(super) fn plain(level: Level, text: &str, fields: &[(&'static str, Value)], colour: bool) -> String {
    let text = printable(text);
    let word = level.as_str().to_uppercase();
    let word = match (colour, level) {
        (true, Level::Error) => format!("\x1b[31m{word:<5}\x1b[0m"),
        (true, Level::Warn) => format!("\x1b[33m{word:<5}\x1b[0m"),
        (true, Level::Info) => format!("\x1b[32m{word:<5}\x1b[0m"),
        _ => format!("{word:<5}"),
    };
    let mut line = format!("{word} {text}");
    if !fields.is_empty() {
        let gap = TEXT_WIDTH.saturating_sub(text.chars().count());
        let (dim, plain) = if colour { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        let _ = write!(line, "{:gap$} {dim}", "");
        for (name, value) in fields {
            let _ = write!(line, " {name}={}", shown(value));
        }
        line.push_str(plain);
    }
    line.push('\n');
    line
}

/// Names and addresses come from other machines: none may begin a new line or paint the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Number(n) => n.to_string(),
        Value::Flag(yes) => yes.to_string(),
        Value::Null => String::new(),
        Value::Text(text) if text.is_empty() || text.contains([' ', '"', '=']) => format!("{:?}", printable(text)),
        Value::Text(text) => printable(text),
    }
}

/// One entry in the journal's own format: the text as it is, the fields in upper case behind `TANIST_`.
pub(super) fn native(level: Level, text: &str, fields: &[(&'static str, Value)]) -> Vec<u8> {
    let mut entry = Vec::with_capacity(256);
    let priority = match level {
        Level::Error => "3",
        Level::Warn => "4",
        Level::Info => "6",
        Level::Debug | Level::Trace => "7",
    };
    put(&mut entry, "MESSAGE", text);
    put(&mut entry, "PRIORITY", priority);
    put(&mut entry, "SYSLOG_IDENTIFIER", "tanist");
    for (name, value) in fields {
        let value = match value {
            Value::Number(n) => n.to_string(),
            Value::Flag(yes) => yes.to_string(),
            Value::Null => String::new(),
            Value::Text(text) => text.clone(),
        };
        put(&mut entry, &format!("TANIST_{}", name.to_uppercase()), &value);
    }
    entry
}

/// A value goes behind its length, so that it may hold anything.
fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    entry.push(b'\n');
    entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_words_first_and_fields_after() {
        let fields = [("event", Value::from("leader-suspected")), ("epoch", Value::from(7))];
        assert_eq!(
            plain(Level::Warn, "leader pc-3 went away: its connection was reset", &fields, false),
            "WARN  leader pc-3 went away: its connection was reset                         \
             event=leader-suspected epoch=7\n"
        );
        assert_eq!(plain(Level::Info, "hello", &[], false), "INFO  hello\n");
        assert!(plain(Level::Warn, "x", &fields, true).starts_with("\x1b[33mWARN \x1b[0m x"));
    }

    #[test]
    fn what_others_say_cannot_forge_a_line_or_paint_the_terminal() {
        let fields = [("name", Value::from("a b\n\x1b[31m"))];
        assert_eq!(plain(Level::Info, "pc\nERROR all lost", &fields, false).matches('\n').count(), 1);
        assert!(!plain(Level::Info, "pc", &fields, false).contains('\x1b'));
    }

    #[test]
    fn the_journal_gets_fields_of_its_own() {
        let entry = native(Level::Warn, "two\nlines", &[("epoch", Value::from(7))]);
        assert!(entry.starts_with(b"MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\nPRIORITY\n"));
        assert!(entry.ends_with(b"TANIST_EPOCH\n\x01\0\0\0\0\0\0\x007\n"));
    }
}
