//! Bytes into lines, which have a longest length.

use crate::view::data::export::LINE;
use bytes::{Buf, Bytes, BytesMut};

/// A line without its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    /// None when it is longer than a line may be.
    pub(super) text: Option<Bytes>,
}

/// What was taken in and not yet given out.
#[derive(Default)]
pub(super) struct Cut {
    /// As long as LINE, and what was taken in last.
    rest: BytesMut,
    /// Up to where `rest` has no line end.
    looked: usize,
    /// How many lines were given out.
    number: u64,
    /// What comes up to the next line end belongs to a line that was too long.
    passes: bool,
}

impl Cut {
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    /// The next line whose end has come.
    pub(super) fn next(&mut self) -> Option<Line> {
        loop {
            let end = self.rest[self.looked..].iter().position(|byte| *byte == b'\n').map(|end| self.looked + end);
            let Some(end) = end else {
                self.looked = self.rest.len();
                if self.looked <= LINE && !self.passes {
                    return None;
                }
                self.rest.clear();
                self.looked = 0;
                return if std::mem::replace(&mut self.passes, true) { None } else { Some(self.line(None)) };
            };
            let text = self.rest.split_to(end).freeze();
            self.rest.advance(1);
            self.looked = 0;
            if !std::mem::take(&mut self.passes) {
                return Some(self.line(Some(text)));
            }
        }
    }

    /// What is left at the end of the file: a line without an end.
    pub(super) fn rest(&mut self) -> Option<Line> {
        let text = std::mem::take(&mut self.rest).freeze();
        self.looked = 0;
        (!text.is_empty() && !self.passes).then(|| self.line(Some(text)))
    }

    fn line(&mut self, text: Option<Bytes>) -> Line {
        self.number += 1;
        Line { number: self.number, text: text.filter(|text| text.len() <= LINE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(bytes: &[u8], step: usize) -> Vec<(u64, Option<String>)> {
        let (mut cut, mut lines) = (Cut::default(), Vec::new());
        for piece in bytes.chunks(step) {
            cut.take(piece);
            lines.extend(std::iter::from_fn(|| cut.next()));
            assert!(cut.rest.len() <= LINE, "no more is kept than a line");
        }
        lines.extend(cut.rest());
        let text = |text: Bytes| String::from_utf8(text.to_vec()).expect("text");
        lines.into_iter().map(|line| (line.number, line.text.map(text))).collect()
    }

    #[test]
    fn lines_are_the_same_in_whatever_pieces_they_come() {
        let of = |lines: &[&str]| (1..).zip(lines.iter().map(|line| Some((*line).to_owned()))).collect::<Vec<_>>();
        for (text, lines) in [
            ("", &[][..]),
            ("\n", &[""]),
            ("a\n\nb\n", &["a", "", "b"]),
            ("a\r\nlast", &["a\r", "last"]),
            ("last", &["last"]),
        ] {
            for step in 1..=text.len().max(1) {
                assert_eq!(cut(text.as_bytes(), step), of(lines), "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_counted_and_the_next_one_is_whole() {
        let most = "x".repeat(LINE);
        for (long, is_read) in [(most.clone(), true), (format!("{most}x"), false), (most.repeat(3), false)] {
            for step in [LINE / 3, LINE + 1, 4 * LINE] {
                let lines = cut(format!("a\n{long}\nb\n").as_bytes(), step);
                let numbers: Vec<u64> = lines.iter().map(|(number, _)| *number).collect();
                assert_eq!(numbers, [1, 2, 3], "by {step}");
                assert_eq!(lines[1].1.is_some(), is_read, "by {step}");
                assert_eq!(lines[2].1.as_deref(), Some("b"), "by {step}");
                assert_eq!(cut(long.as_bytes(), step).len(), 1, "without an end");
            }
        }
    }
}
