//! The demo on a terminal: agents, records, events and failovers as they happen, and keys to make them happen.

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
            checked = app.proof.done() => app.checked(&checked),
            () = app.split.done() => app.came(),
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
    async fn a_handover_without_anybody_who_runs_says_so() {
        let mut cluster = Cluster::new(2, Duration::from_millis(250)).expect("a place");
        let (answers, _looks) = mpsc::channel(LOOKS);
        let mut app = App::new(&mut cluster, answers);
        app.key(KeyCode::Char('h')).await;
        let told: Vec<_> = app.log.iter().map(|told| (told.agent.as_str(), told.text.as_str())).collect();
        assert_eq!(told, [("pc-1", "no handover: no agent runs")]);
    }

    #[tokio::test]
    async fn a_handover_to_one_that_ended_is_asked_of_one_that_runs_and_its_refusal_is_shown() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut cluster = Cluster::new(2, Duration::from_millis(250)).expect("a place");
        let socket = cluster.socket(1);
        std::fs::create_dir_all(socket.parent().expect("a directory")).expect("made");
        let runs = tokio::net::UnixListener::bind(&socket).expect("bound");
        cluster.agents[1].life = crate::cli::demo::cluster::Life::Running;
        let (answers, mut looks) = mpsc::channel(LOOKS);
        let mut app = App::new(&mut cluster, answers);
        app.key(KeyCode::Char('1')).await;
        app.key(KeyCode::Char('h')).await;
        let (mut asked, _) = runs.accept().await.expect("somebody asks");
        let mut request = String::new();
        while !request.contains("}") {
            let mut bytes = [0; 1024];
            let n = asked.read(&mut bytes).await.expect("a request");
            request.push_str(std::str::from_utf8(&bytes[..n]).expect("text"));
        }
        assert!(request.starts_with("POST /v1/handover ") && request.contains(r#"{"to":"pc-1"}"#), "{request}");
        let problem = r#"{"type":"about:blank","title":"Conflict","status":409,"detail":"pc-1 is away"}"#;
        let head = "HTTP/1.1 409 Conflict\r\nContent-Type: application/problem+json\r\nConnection: close\r\n";
        let answer = format!("{head}Content-Length: {}\r\n\r\n{problem}", problem.len());
        asked.write_all(answer.as_bytes()).await.expect("sent");
        let look = looks.recv().await.expect("the refusal");
        app.looked(look);
        let told: Vec<_> = app.log.iter().map(|told| (told.agent.as_str(), told.text.as_str())).collect();
        assert_eq!(told, [("pc-1", "no handover: pc-1 is away")]);
    }

    #[tokio::test]
    async fn a_key_cuts_the_network_and_mends_it_and_the_picture_shows_both_sides() {
        let mut cluster = Cluster::new(5, Duration::from_millis(250)).expect("a place");
        let (answers, _looks) = mpsc::channel(LOOKS);
        let addresses = cluster.ground.addresses.clone();
        let files: Vec<_> = (0..5).map(|n| cluster.socket(n).with_file_name("cut")).collect();
        let unreachable = || -> Vec<String> {
            files.iter().map(|file| std::fs::read_to_string(file).expect("a file").replace('\n', " ")).collect()
        };
        let list = |range: std::ops::Range<usize>| -> String {
            addresses[range].iter().map(|address| format!("{address} ")).collect()
        };
        let mut app = App::new(&mut cluster, answers);
        let picture = |app: &App<'_>| {
            let mut terminal = Terminal::new(TestBackend::new(80, 28)).expect("a terminal");
            terminal.draw(|frame| draw::draw(app, frame)).expect("drawn");
            terminal.backend().to_string()
        };
        app.key(KeyCode::Char('x')).await;
        let (minority, majority) = (list(3..5), list(0..3));
        assert_eq!(unreachable(), [&minority, &minority, &minority, &majority, &majority].map(Clone::clone));
        let shown = picture(&app);
        let at = |word: &str| shown.find(word).unwrap_or_else(|| panic!("lacks {word}:\n{shown}"));
        assert!(at("3  pc-3") < at("cut: nothing gets") && at("cut: nothing gets") < at("4  pc-4"), "{shown}");
        at("pc-4 and pc-5 cut off from pc-1 to pc-3");
        at("x mend");
        app.key(KeyCode::Char('x')).await;
        assert_eq!(unreachable(), [""; 5]);
        let shown = picture(&app);
        assert!(!shown.contains("cut off") && !shown.contains("nothing gets") && shown.contains("x cut"), "{shown}");
    }

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
                    "0 acknowledged",
                    "50,000 at most",
                    "no machine runs",
                    "longest wait of a write",
                    "1-3",
                    "pc-2: k",
                    "q quit",
                    "x cut",
                    "h hand over",
                ] {
                    assert!(shown.contains(word), "{width}x{height} lacks {word}:\n{shown}");
                }
            }
        }
    }
}
