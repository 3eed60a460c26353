//! How far a command is that takes longer than a second, on a terminal.
#![expect(clippy::disallowed_methods, reason = "a program for people, which shows how long it took")]

use super::show::size;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Nothing is shown of what takes less than this.
const SHORT: Duration = Duration::from_secs(1);

/// How often the line is written anew.
const OFTEN: Duration = Duration::from_millis(200);

/// One line on standard error, which is written anew and is gone at the end.
pub(super) struct Progress {
    is_seen: bool,
    begun: Instant,
    shown: Option<Instant>,
    lines: u64,
    bytes: u64,
    /// The bytes of all of it, when that is known.
    whole: Option<u64>,
}

impl Progress {
    pub(super) fn new(whole: Option<u64>) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let is_seen = std::io::stderr().is_terminal() && !dumb;
        Self { is_seen, begun: Instant::now(), shown: None, lines: 0, bytes: 0, whole: whole.filter(|all| *all > 0) }
    }

    /// So much more is done.
    pub(super) fn add(&mut self, piece: &[u8]) {
        if !self.is_seen {
            return;
        }
        self.lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.bytes += piece.len() as u64;
        let now = Instant::now();
        if now - self.begun >= SHORT && self.shown.is_none_or(|shown| now - shown >= OFTEN) {
            self.shown = Some(now);
            self.write(&self.text(now - self.begun));
        }
    }

    /// All of it was sent.
    pub(super) fn wait(&self) {
        if self.is_seen {
            self.write(&format!("{}: waiting for the agent", self.text(self.begun.elapsed())));
        }
    }

    fn text(&self, took: Duration) -> String {
        let rate = self.bytes as f64 / took.as_secs_f64().max(0.001);
        let part = self.whole.map_or_else(String::new, |all| format!("{:3} %  ", self.bytes.min(all) * 100 / all));
        format!("{part}{} lines  {}  {}/s", self.lines, size(self.bytes), size(rate as u64))
    }

    fn write(&self, text: &str) {
        let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_seen {
            self.write("");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_part_count_size_and_rate() {
        let progress = Progress { lines: 12, bytes: 3 << 20, whole: Some(6 << 20), ..Progress::new(None) };
        assert_eq!(progress.text(Duration::from_secs(2)), " 50 %  12 lines  3.0 MiB  1.5 MiB/s");
        let progress = Progress { whole: None, ..progress };
        assert_eq!(progress.text(Duration::from_secs(3)), "12 lines  3.0 MiB  1.0 MiB/s");
    }
}
