//! The demo on a terminal: agents, events and failovers as they happen, and keys to make them happen.

mod app;
mod draw;

use super::cluster::Cluster;
use crate::cli::{Fail, NO};
use app::{App, Look};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// Keys that wait for the demo.
const KEYS: usize = 64;

/// Answers of agents that wait for the demo.
const LOOKS: usize = 64;

/// How often the picture is drawn when nothing happens, and how often the agents are asked.
const TICK: Duration = Duration::from_millis(100);

/// How long the key thread sleeps before it looks whether it is still needed.
const KEY_WAIT: Duration = Duration::from_millis(50);

/// Gives the terminal back, whichever way the demo ends. A panic does it through a hook of its own.
struct Screen;

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// The thread that reads keys; it ends with its owner.
struct Keys {
    keys: mpsc::Receiver<KeyEvent>,
    ended: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Keys {
    fn start() -> std::io::Result<Self> {
        let (sender, keys) = mpsc::channel(KEYS);
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let thread = std::thread::Builder::new().name("keys".into()).spawn(move || {
            while !end.load(Ordering::Relaxed) {
                match event::poll(KEY_WAIT).and_then(|ready| if ready { event::read().map(Some) } else { Ok(None) }) {
                    Ok(Some(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                        // A key that finds no room was one of many.
                        let _ = sender.try_send(key);
                    }
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        })?;
        Ok(Self { keys, ended, thread: Some(thread) })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(super) async fn run(cluster: &mut Cluster, interrupted: impl Future<Output = ()>) -> Result<(), Fail> {
    let mut terminal =
        ratatui::try_init().map_err(|error| Fail::new(NO, format!("could not take over the terminal: {error}")))?;
    let _screen = Screen;
    let mut keys = Keys::start().map_err(|error| Fail::runtime(&error))?;
    let (answers, mut looks) = mpsc::channel::<Look>(LOOKS);
    let mut app = App::new(cluster, answers);
    app.start_all();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    tokio::pin!(interrupted);
    loop {
        let drawn = terminal.draw(|frame| draw::draw(&app, frame));
        drawn.map_err(|error| Fail::new(NO, format!("could not draw: {error}")))?;
        tokio::select! {
            news = app.cluster.next() => app.news(news),
            Some(look) = looks.recv() => app.looked(look),
            key = keys.keys.recv() => match key {
                Some(key) if quits(&key) => return Ok(()),
                Some(key) => app.key(key.code).await,
                None => return Err(Fail::new(NO, "the terminal gives no keys any more")),
            },
            _ = tick.tick() => app.ask(),
            () = &mut interrupted => return Ok(()),
        }
        // What came together is drawn together.
        while let Ok(look) = looks.try_recv() {
            app.looked(look);
        }
    }
}

fn quits(key: &KeyEvent) -> bool {
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    #[tokio::test]
    async fn the_picture_names_every_agent_and_every_key() {
        let mut cluster = Cluster::new(3, Duration::from_millis(250)).expect("a place");
        let (answers, _looks) = mpsc::channel(LOOKS);
        let mut app = App::new(&mut cluster, answers);
        app.key(KeyCode::Char('2')).await;
        for (width, height) in [(120, 30), (80, 24), (20, 5)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
            terminal.draw(|frame| draw::draw(&app, frame)).expect("drawn");
            let shown = terminal.backend().to_string();
            if width >= 80 {
                for word in [
                    "pc-1",
                    "pc-2",
                    "pc-3",
                    "not started",
                    "changes of leader",
                    "1-3",
                    "pc-2: k",
                    "q quit",
                    "h hand over",
                ] {
                    assert!(shown.contains(word), "{width}x{height} lacks {word}:\n{shown}");
                }
            }
        }
    }
}
