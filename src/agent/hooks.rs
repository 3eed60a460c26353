//! Hooks: commands that run when something happens, one at a time and in order.
//!
//! They run as the agent's own user, inside its sandbox. What a hook leaves behind when it ends, or is too slow, is ended with
//! it. Of role changes that wait, only the latest counts.

use super::config::{Config, Hooks};
use super::journal::{Journal, Level};
use super::shared::Shared;
use crate::event::{Event, Kind, Value};
use crate::processes::Tree;
use crate::view::leader_facts;
use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

/// How many events wait for hooks before them; when there are more, the oldest is left out.
const QUEUE: usize = 256;

/// How many lines of a hook's output are logged, and how many bytes of each.
const LINES: usize = 20;
const LINE_MAX: usize = 500;

/// How long what is left of a hook may take to end after SIGTERM.
const GRACE: Duration = Duration::from_millis(200);

/// What tells a service manager's own from others; no hook's business.
const NOT_FOR_HOOKS: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "JOURNAL_STREAM"];

/// Runs hooks; when `ends` is cancelled, those that wait still run.
pub(super) async fn run(
    events: broadcast::Receiver<Arc<Event>>,
    config: watch::Receiver<Arc<Config>>,
    shared: Shared,
    journal: Journal,
    ends: CancellationToken,
) {
    Runner { waiting: VecDeque::new(), events, config, shared, journal, tree: None }.run(ends).await;
}

struct Runner {
    waiting: VecDeque<Arc<Event>>,           // bound: QUEUE
    events: broadcast::Receiver<Arc<Event>>, // bound: EVENTS
    config: watch::Receiver<Arc<Config>>,
    shared: Shared,
    journal: Journal,
    /// From the first hook on.
    tree: Option<Tree>,
}

/// How a hook ended.
enum Ended {
    Well,
    Badly(String),
}

impl Runner {
    async fn run(mut self, ends: CancellationToken) {
        loop {
            let Some(event) = self.waiting.pop_front() else {
                // What has happened comes before the end, so that there is a hook for the goodbye.
                tokio::select! {
                    biased;
                    happened = self.events.recv() => match happened {
                        Ok(event) => self.queue(event),
                        Err(RecvError::Lagged(missed)) => self.missed(missed),
                        Err(RecvError::Closed) => return,
                    },
                    () = ends.cancelled() => return,
                }
                continue;
            };
            let hooks = self.config.borrow().hooks.clone();
            for command in hooks.of(event.kind.as_str()) {
                self.one(&event, command, &hooks).await;
            }
        }
    }

    fn missed(&self, missed: u64) {
        let text = format!("hooks are too slow: {missed} events were left out");
        self.journal.line(Level::Warn, text, Vec::new());
    }

    /// An event waits for its hooks, if it has any. Of role changes only the latest waits, whether it has a hook or not.
    fn queue(&mut self, event: Arc<Event>) {
        if is_role(event.kind) {
            self.waiting.retain(|waits| !is_role(waits.kind));
        }
        if self.config.borrow().hooks.of(event.kind.as_str()).next().is_none() {
            return;
        }
        self.waiting.push_back(event);
        if self.waiting.len() > QUEUE {
            self.waiting.pop_front();
            self.missed(1);
        }
    }

    /// Runs a command, and takes in what happens meanwhile.
    async fn one(&mut self, event: &Event, words: &[String], hooks: &Hooks) {
        let what = format!("hook {} ({})", event.kind.as_str(), words[0]);
        let mut child = match self.start(event, words) {
            Ok(child) => child,
            Err(error) => {
                let text = format!("{what} cannot be run: {error}: check its path, and chmod +x");
                return self.journal.line(Level::Warn, text, Vec::new());
            }
        };
        let streams = (child.stdout.take(), child.stderr.take());
        let said = tokio::spawn(async move {
            let (out, err) = streams;
            let (out, err) = tokio::join!(lines(out), lines(err));
            [out, err].concat()
        });
        if let Some(tree) = &mut self.tree {
            tree.of(&child);
        }
        let ended = self.waited(&mut child, hooks.timeout).await;
        let mut tree = self.tree.take();
        if let Some(tree) = &mut tree {
            // Nothing of a hook outlives it.
            let grace = if matches!(ended, Ended::Well) { Duration::ZERO } else { GRACE };
            tree.stop(Some(&mut child), grace, std::future::pending()).await;
        }
        self.tree = tree;
        for line in super::clock::within(GRACE, said).await.and_then(Result::ok).unwrap_or_default() {
            self.journal.line(Level::Info, format!("hook {}: {line}", event.kind.as_str()), Vec::new());
        }
        if let Ended::Badly(why) = ended {
            self.journal.line(Level::Warn, format!("{what} {why}"), Vec::new());
        }
    }

    fn start(&mut self, event: &Event, words: &[String]) -> std::io::Result<Child> {
        if self.tree.is_none() {
            self.tree = Some(Tree::adopt()?);
        }
        let status = self.shared.status.borrow().clone();
        // A change of the role says itself who leads from then on, or that nobody does yet.
        let own: &[_] = if is_role(event.kind) { &event.fields } else { &[] };
        let present = leader_facts(&status, event.epoch);
        let fact = |name: &str| {
            let found = own.iter().chain(&present).find(|(field, _)| *field == name);
            match found {
                Some((_, Value::Text(text))) => text.clone(),
                _ => String::new(),
            }
        };
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir("/").process_group(0).kill_on_drop(true);
        for name in NOT_FOR_HOOKS {
            command.env_remove(name);
        }
        command.env("TANIST_EVENT", event.kind.as_str()).env("TANIST_EPOCH", event.epoch.to_string());
        command.env("TANIST_LEADER", fact("leader")).env("TANIST_LEADER_ADDRESS", fact("leader_address"));
        command.env("TANIST_NAME", &status.name).env("TANIST_SOCKET", &self.shared.facts.socket);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    }

    /// Waits for the end of a hook.
    async fn waited(&mut self, child: &mut Child, timeout: Duration) -> Ended {
        let over = super::clock::pause(timeout);
        tokio::pin!(over);
        loop {
            tokio::select! {
                status = child.wait() => return match status {
                    Ok(status) if status.success() => Ended::Well,
                    Ok(status) => Ended::Badly(format!("ended with {status}")),
                    Err(error) => Ended::Badly(format!("cannot be waited for: {error}")),
                },
                () = &mut over => {
                    return Ended::Badly(format!("took longer than {}: it was killed with its children", limit(timeout)));
                }
                happened = self.events.recv() => match happened {
                    Ok(event) => self.queue(event),
                    Err(RecvError::Lagged(missed)) => self.missed(missed),
                    Err(RecvError::Closed) => std::future::pending().await,
                },
            }
        }
    }
}

fn limit(timeout: Duration) -> String {
    humantime::format_duration(timeout).to_string()
}

fn is_role(kind: Kind) -> bool {
    matches!(kind, Kind::Leading | Kind::Following | Kind::Listening)
}

/// The first lines of a stream, which is read to its end so that nobody waits for a reader.
async fn lines(stream: Option<impl AsyncRead + Unpin>) -> Vec<String> {
    let Some(mut stream) = stream else { return Vec::new() };
    let (mut kept, mut piece) = (Vec::new(), [0; 4096]);
    let most = LINES * (LINE_MAX + 1);
    while let Ok(read @ 1..) = stream.read(&mut piece).await {
        let room = most.saturating_sub(kept.len());
        kept.extend_from_slice(&piece[..read.min(room)]);
    }
    let text = String::from_utf8_lossy(&kept);
    let short = |line: &str| line[..line.floor_char_boundary(LINE_MAX)].trim_end().to_owned();
    text.lines().map(short).filter(|line| !line.is_empty()).take(LINES).collect()
}
