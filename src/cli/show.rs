//! How values, keys, sizes and ages are shown in lines.

use super::who::lasting;
use crate::time::Wall;
use crate::view::Stamp;
use crate::view::data::Content;

/// So many characters of a value are shown to people in a line of its own, and in a table.
const GLANCE: usize = 200;
const CELL: usize = 40;

/// A text in one line: what would leave the line, or do something to a terminal, is shown as an escape.
pub(super) fn in_line(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut line, c| {
        if c.is_control() {
            line.extend(c.escape_default())
        } else {
            line.push(c)
        }
        line
    })
}

/// A value in one line; for people the beginning of it.
pub(super) fn value(content: &Content, glance: bool) -> String {
    let bytes = content.bytes().len();
    match content {
        Content::Text { value } if glance => start(value, GLANCE),
        Content::Text { value } => in_line(value),
        Content::Binary { .. } if glance => no_text(bytes),
        Content::Binary { value_base64 } => format!("base64:{value_base64}"),
    }
}

/// The beginning of a value, for a table.
pub(super) fn glance(content: &Content) -> String {
    match content {
        Content::Text { value } => start(value, CELL),
        Content::Binary { .. } => no_text(content.bytes().len()),
    }
}

/// So many characters of a text, and how long it is when it has more.
fn start(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}… ({})", in_line(&text[..end]), size(text.len() as u64)),
        None => in_line(text),
    }
}

fn no_text(bytes: usize) -> String {
    format!("({} that are no text)", size(bytes as u64))
}

/// A number of bytes: `17 B`, `1.5 KiB`, `20.0 MiB`.
pub(super) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut scaled, mut unit) = (bytes as f64 / 1024.0, 0);
    while scaled >= 1024.0 && unit + 1 < units.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    format!("{scaled:.1} {}", units[unit])
}

/// How long ago that was, by this machine's clock.
#[expect(clippy::disallowed_methods, reason = "a program for people, which shows ages")]
pub(super) fn age(at: Stamp) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = Stamp(Wall(u64::try_from(now.as_micros()).unwrap_or(u64::MAX)));
    format!("{} ago", lasting(now.since(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(in_line("a\tb\n\x1b[31mü"), "a\\tb\\n\\u{1b}[31mü");
        assert_eq!(value(&Content::new(b"x\ny"), true), "x\\ny");
        assert_eq!(value(&Content::new(&[0xff; 2000]), true), "(2.0 KiB that are no text)");
        assert_eq!(value(&Content::new(b"\xff"), false), "base64:/w==");
        let long = "ü".repeat(GLANCE + 1);
        assert_eq!(value(&Content::new(long.as_bytes()), true), format!("{}… (402 B)", "ü".repeat(GLANCE)));
        assert_eq!(value(&Content::new(long.as_bytes()), false), long);
        assert_eq!(glance(&Content::new(long.as_bytes())), format!("{}… (402 B)", "ü".repeat(CELL)));
        assert_eq!(glance(&Content::new(b"x\ny")), "x\\ny");
        assert_eq!(glance(&Content::new(b"\xff")), "(1 B that are no text)");
    }

    #[test]
    fn sizes_have_the_unit_that_fits() {
        let sizes = [0, 1023, 1024, 1536, 1 << 20, 20 << 30, u64::MAX].map(size);
        assert_eq!(sizes[..6], ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "20.0 GiB"]);
        assert!(sizes[6].ends_with("TiB"));
    }
}
