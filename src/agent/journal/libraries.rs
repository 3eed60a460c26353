//! What libraries say through `tracing` and `log`, and those tasks of this program that have no journal at hand: it goes
//! where every other line goes.
//!
//! Warnings and errors only: what a library says below that is about its own works. A library that has nothing else to
//! say must not drown what the agent has: at most [`LINES`] in a second, the same words not twice within [`AGAIN`], and
//! what is held back is counted.

use super::{Journal, Level};
use crate::agent::clock;
use crate::event::Value;
use crate::time::Time;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span;

/// How many lines of libraries are written in one second.
const LINES: u32 = 8;

const SECOND: Duration = Duration::from_secs(1);

/// The words that were written last are written again after so long.
const AGAIN: Duration = Duration::from_secs(60);

/// How long such a line may be, in bytes.
const LENGTH: usize = 1024;

/// Libraries are heard for as long as this lives.
pub(in crate::agent) struct Listening {
    _journal: Arc<Journal>,
}

/// Has everything that libraries say from now on written to `journal`, by the first agent of the process and in as far
/// as the program around it does not listen itself.
pub(in crate::agent) fn listen(journal: &Journal) -> Listening {
    let journal = Arc::new(journal.clone());
    let heard =
        Arc::new(Heard { journal: Arc::downgrade(&journal), most: most(journal.level()), pace: Mutex::default() });
    if log::set_boxed_logger(Box::new(Logger(heard.clone()))).is_ok() {
        log::set_max_level(log_level(heard.most));
    }
    let _ = tracing::subscriber::set_global_default(Subscriber(heard));
    Listening { _journal: journal }
}

/// The least important level of a library that is heard.
fn most(log: Level) -> Level {
    log.min(Level::Warn)
}

fn log_level(level: Level) -> log::LevelFilter {
    if level == Level::Error { log::LevelFilter::Error } else { log::LevelFilter::Warn }
}

/// The journal, while there is an agent, and how much of it libraries took lately.
struct Heard {
    journal: Weak<Journal>,
    most: Level,
    pace: Mutex<Pace>,
}

#[derive(Default)]
struct Pace {
    /// The second that is counted.
    began: Time,
    lines: u32,
    held_back: u64,
    /// What was written last, and when.
    last: (String, Time),
}

impl Pace {
    /// How many were held back since the last line; none when this one is to be held back as well.
    fn may(&mut self, text: &str, now: Time) -> Option<u64> {
        if self.last.0 == text && now.since(self.last.1) < AGAIN {
            self.held_back += 1;
            return None;
        }
        if now.since(self.began) >= SECOND {
            (self.began, self.lines) = (now, 0);
        }
        if self.lines >= LINES {
            self.held_back += 1;
            return None;
        }
        self.lines += 1;
        self.last = (text.to_owned(), now);
        Some(std::mem::take(&mut self.held_back))
    }
}

impl Heard {
    fn line(&self, level: Level, source: &str, mut text: String) {
        let Some(journal) = self.journal.upgrade() else { return };
        // A database that repairs itself after a crash is no news: what it cannot do the agent tells in its own words.
        let level = if source.starts_with("redb") && level == Level::Warn { Level::Debug } else { level };
        if !journal.wants(level) {
            return;
        }
        text.truncate(text.floor_char_boundary(LENGTH));
        // Nothing in there can leave it half done.
        let may = self.pace.lock().unwrap_or_else(PoisonError::into_inner).may(&text, clock::time());
        let Some(held_back) = may else { return };
        let mut fields = vec![("source", Value::from(source))];
        fields.extend((held_back > 0).then(|| ("held_back", Value::from(held_back))));
        journal.line(level, text, fields);
    }
}

struct Logger(Arc<Heard>);

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.level() <= log_level(self.0.most)
    }

    fn log(&self, record: &log::Record) {
        if self.enabled(record.metadata()) {
            let level = if record.level() == log::Level::Error { Level::Error } else { Level::Warn };
            self.0.line(level, record.target(), record.args().to_string());
        }
    }

    fn flush(&self) {}
}

struct Subscriber(Arc<Heard>);

impl Subscriber {
    fn most(&self) -> tracing::Level {
        if self.0.most == Level::Error { tracing::Level::ERROR } else { tracing::Level::WARN }
    }
}

/// Spans are the libraries' own: events tell all that is written.
impl tracing::Subscriber for Subscriber {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.most()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.most()))
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let metadata = event.metadata();
        let level = if *metadata.level() == tracing::Level::ERROR { Level::Error } else { Level::Warn };
        let mut said = Said::default();
        event.record(&mut said);
        self.0.line(level, metadata.target(), said.message + &said.facts);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// An event's words, and its fields behind them.
#[derive(Default)]
struct Said {
    message: String,
    facts: String,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a text cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.facts, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Log;
    use std::sync::mpsc::{Receiver, sync_channel};

    fn heard(level: Level) -> (Arc<Journal>, Arc<Heard>, Receiver<super::super::Line>) {
        let (lines, queue) = sync_channel(64);
        let journal = Arc::new(Journal { level: Arc::new((level as u8).into()), lines, missed: Arc::default() });
        let heard = Heard { journal: Arc::downgrade(&journal), most: most(level), pace: Mutex::default() };
        (journal, Arc::new(heard), queue)
    }

    fn texts(queue: &Receiver<super::super::Line>) -> Vec<String> {
        queue.try_iter().map(|line| format!("{} {}", line.level.as_str(), line.text)).collect()
    }

    #[test]
    fn warnings_and_errors_reach_the_journal_as_its_level_allows() {
        for (level, expected) in [
            (Level::Error, &["error e n=2"][..]),
            (Level::Warn, &["warn w who=\"you\"", "error e n=2"]),
            (Level::Trace, &["warn w who=\"you\"", "error e n=2"]),
        ] {
            let (_journal, heard, queue) = heard(level);
            tracing::subscriber::with_default(Subscriber(heard), || {
                tracing::warn!(who = "you", "w");
                tracing::error!(n = 2, "{}", "e");
                tracing::info!("below");
                tracing::warn_span!("a span").in_scope(|| tracing::trace!("far below"));
            });
            assert_eq!(texts(&queue), expected, "{level:?}");
        }
    }

    #[test]
    fn the_other_facade_is_heard_too() {
        let (_journal, heard, queue) = heard(Level::Info);
        let logger = Logger(heard);
        for (level, target) in [
            (log::Level::Error, "redb"),
            (log::Level::Warn, "redb"),
            (log::Level::Warn, "hyper"),
            (log::Level::Info, "hyper"),
        ] {
            logger.log(&log::Record::builder().level(level).target(target).args(format_args!("torn {level}")).build());
        }
        let lines: Vec<_> = queue.try_iter().collect();
        assert_eq!(lines.iter().map(|l| l.level).collect::<Vec<_>>(), [Level::Error, Level::Warn]);
        assert_eq!(lines[0].fields, [("source", Value::from("redb"))]);
    }

    #[test]
    fn a_flood_is_held_back_and_counted() {
        let mut pace = Pace::default();
        let at = |ms: u64| Time::default() + Duration::from_millis(5000 + ms);
        let may: Vec<_> = (0..12_u64).map(|n| pace.may(&n.to_string(), at(n))).collect();
        assert_eq!(may.iter().flatten().count() as u32, LINES);
        assert_eq!((pace.may("a", at(1000)), pace.may("b", at(1001))), (Some(4), Some(0)));
        assert_eq!((pace.may("b", at(9000)), pace.may("b", at(60_999))), (None, None), "the same words");
        assert_eq!(pace.may("b", at(61_001)), Some(2), "a minute later");
    }

    #[test]
    fn nothing_keeps_the_journal_when_the_agent_is_gone() {
        let (journal, heard, queue) = heard(Level::Info);
        drop(journal);
        heard.line(Level::Warn, "late", "nobody hears this".to_owned());
        assert!(queue.recv().is_err(), "the last sender is gone");
    }
}
