//! Log lines: to the journal in its own format when standard error leads there, else as text on standard error.
//!
//! A thread of its own writes them, so that a reader who stopped reading never holds up the loop; what it cannot take
//! is counted and said later.

mod libraries;
mod line;
mod throttle;

pub(super) use libraries::listen;
pub(super) use throttle::{Counts, Ignored};

use super::clock;
use crate::event::{self, Event, Value};
use crate::time::Wall;
use crate::view::Stamp;
use std::io::{IsTerminal, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// How many lines wait for the thread that writes them.
const LINES: usize = 1024;

const JOURNAL: &str = "/run/systemd/journal/socket";

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What keeps the agent from its work.
    Error,
    /// What is worth a look.
    Warn,
    /// What happens to the role.
    #[default]
    Info,
    /// What is ignored, and why.
    Debug,
    /// Every input of the core.
    Trace,
}

impl Level {
    /// The word users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }
}

#[derive(Debug)]
struct Line {
    at: Wall,
    level: Level,
    text: String,
    fields: Vec<(&'static str, Value)>, // bound: an event's own; see LINES
}

/// Where log lines go. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    /// A [`Level`], which may be another later.
    level: Arc<AtomicU8>,
    lines: SyncSender<Line>, // bound: LINES
    missed: Arc<AtomicU64>,
}

impl Journal {
    /// Starts the thread, which ends when every clone is gone and all is written.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(level: Level) -> std::io::Result<(Journal, JoinHandle<()>)> {
        let (lines, queue) = sync_channel(LINES);
        let missed = Arc::new(AtomicU64::new(0));
        let counter = missed.clone();
        let sink = Sink::find();
        let thread =
            std::thread::Builder::new().name("log".into()).spawn(move || write_all(&sink, &queue, &counter))?;
        Ok((Journal { level: Arc::new(AtomicU8::new(level as u8)), lines, missed }, thread))
    }

    /// Would a line of this level be written?
    pub(super) fn wants(&self, level: Level) -> bool {
        level as u8 <= self.level.load(Ordering::Relaxed)
    }

    /// From now on so much is logged.
    pub(super) fn set_level(&self, level: Level) {
        self.level.store(level as u8, Ordering::Relaxed);
    }

    /// How much is logged.
    fn level(&self) -> Level {
        let now = self.level.load(Ordering::Relaxed);
        [Level::Error, Level::Warn, Level::Info, Level::Debug]
            .into_iter()
            .find(|l| *l as u8 == now)
            .unwrap_or(Level::Trace)
    }

    /// Writes a line.
    pub(super) fn line(&self, level: Level, text: impl Into<String>, fields: Vec<(&'static str, Value)>) {
        if self.wants(level)
            && self.lines.try_send(Line { at: clock::now().wall, level, text: text.into(), fields }).is_err()
        {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes an event.
    pub(super) fn event(&self, event: &Event) {
        let level = match event.level {
            event::Level::Info => Level::Info,
            event::Level::Warn => Level::Warn,
        };
        if !self.wants(level) {
            return;
        }
        let mut fields = vec![("event", Value::from(event.kind.as_str())), ("epoch", Value::from(event.epoch))];
        fields.extend(event.cause.map(|cause| ("cause", Value::from(cause.as_str()))));
        fields.extend(event.fields.iter().cloned());
        self.line(level, event.text.clone(), fields);
    }
}

fn write_all(sink: &Sink, queue: &Receiver<Line>, missed: &AtomicU64) {
    while let Ok(line) = queue.recv() {
        sink.write(&line);
        let lost = missed.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let text = format!("{lost} log lines were dropped: whoever reads them is too slow");
            sink.write(&Line {
                at: clock::now().wall,
                level: Level::Warn,
                text,
                fields: vec![("lines", Value::from(lost))],
            });
        }
    }
}

enum Sink {
    Journal(UnixDatagram),
    /// On a terminal each line begins with the time of day.
    Text {
        colour: bool,
        times: bool,
    },
}

impl Sink {
    fn find() -> Sink {
        if let Some(socket) = journal() {
            return Sink::Journal(socket);
        }
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let terminal = std::io::stderr().is_terminal();
        Sink::Text { colour: !plain && terminal, times: terminal }
    }

    /// A line that cannot be written is lost: there is nowhere left to say so.
    fn write(&self, line: &Line) {
        match self {
            Sink::Journal(socket) => {
                let _ = socket.send(&line::native(line.level, &line.text, &line.fields));
            }
            Sink::Text { colour, times } => {
                let mut text = line::plain(line.level, &line.text, &line.fields, *colour);
                if *times {
                    text.insert_str(0, &format!("{} ", Stamp(line.at).local_time()));
                }
                let _ = std::io::stderr().lock().write_all(text.as_bytes());
            }
        }
    }
}

/// The journal's socket, when standard error is the journal's own stream: the service manager says which that is.
fn journal() -> Option<UnixDatagram> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    let (device, inode) = stream.split_once(':')?;
    let stderr = nix::sys::stat::fstat(std::io::stderr()).ok()?;
    if device.parse() != Ok(stderr.st_dev) || inode.parse() != Ok(stderr.st_ino) {
        return None;
    }
    let socket = UnixDatagram::unbound().ok()?;
    socket.connect(JOURNAL).ok()?;
    Some(socket)
}
