//! Agents as processes: started in a machine's namespace, signalled, frozen, and listened to.

use super::commands::within;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Instant;
use tanist::client::Client;
use tanist::view::Line;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What has become of an agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Life {
    Off,
    Running,
    /// Stopped or frozen by the test.
    Frozen,
}

/// Something that happened to an agent.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) machine: usize,
    /// The start that it belongs to.
    pub(crate) run: u64,
    pub(crate) at: Instant,
    pub(crate) what: What,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum What {
    /// A line of its event stream.
    Told(Line),
    /// A line that it logged and that is no event.
    Logged(String),
    /// An event that it logged, and the whole line. The event stream has the same, but only what happens after it was
    /// opened.
    Noted { event: String, line: String },
    /// Its process ended.
    Ended(ExitStatus),
}

/// The agent of one machine, running or not.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) client: Client,
    pub(crate) life: Life,
    /// How it ended last.
    pub(crate) ended: Option<ExitStatus>,
    /// A signal has ended it, or will.
    pub(crate) asked_to_end: bool,
    /// Counts its starts.
    pub(crate) run: u64,
    pub(crate) name: String,
    /// Its name is not given to it: it takes that of the host.
    pub(crate) named_by_host: bool,
    pub(crate) dir: PathBuf,
    pub(crate) pid: Option<Pid>,
    /// Variables that it is started with.
    pub(crate) environment: Vec<(String, String)>,
    tasks: Vec<JoinHandle<()>>,
}

impl Agent {
    pub(crate) fn new(name: &str, dir: &Path) -> Self {
        let dir = dir.join(name);
        std::fs::create_dir_all(&dir).expect("a directory");
        let client = Client::at(&dir.join("sock"));
        let name = name.to_owned();
        let (environment, tasks) = (Vec::new(), Vec::new());
        let (life, ended, pid) = (Life::Off, None, None);
        let (asked_to_end, named_by_host, run) = (false, false, 0);
        Self { client, life, ended, asked_to_end, run, name, named_by_host, dir, pid, environment, tasks }
    }

    /// Starts it on its machine, with what it remembers.
    pub(crate) fn start(&mut self, machine: usize, arguments: &[String], news: &mpsc::Sender<News>) {
        assert_eq!(self.life, Life::Off, "{} runs already", self.name);
        let mut command = within(Some(&self.name), env!("CARGO_BIN_EXE_tanist"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(["agent", "--config", "/dev/null"]);
        if !self.named_by_host {
            command.args(["--name", &self.name]);
        }
        command.arg("--state-dir").arg(self.dir.join("state")).arg("--socket").arg(self.dir.join("sock"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the agent can be started");
        self.pid = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        self.run += 1;
        self.life = Life::Running;
        (self.ended, self.asked_to_end) = (None, false);
        let mouth = Mouth { machine, run: self.run, news: news.clone() };
        let log = child.stderr.take().expect("it was piped");
        self.tasks.drain(..).for_each(|task| task.abort());
        self.tasks.push(tokio::spawn(read(mouth.clone(), log, self.client.clone())));
        self.tasks.push(tokio::spawn(keep(mouth, child)));
    }

    /// Sends a signal.
    pub(crate) fn signal(&mut self, signal: Signal) {
        let pid = self.pid.filter(|_| self.life != Life::Off).unwrap_or_else(|| panic!("{} does not run", self.name));
        kill(pid, signal).unwrap_or_else(|error| panic!("{signal} to {}: {error}", self.name));
        match signal {
            Signal::SIGSTOP => self.life = Life::Frozen,
            Signal::SIGCONT => self.life = Life::Running,
            _ => self.asked_to_end = true,
        }
    }

    /// Takes in that the process has ended.
    pub(crate) fn has_ended(&mut self, status: ExitStatus) {
        (self.life, self.ended, self.pid) = (Life::Off, Some(status), None);
    }
}

/// Says what happens to one start of an agent.
#[derive(Clone)]
struct Mouth {
    machine: usize,
    run: u64,
    news: mpsc::Sender<News>,
}

impl Mouth {
    async fn say(&self, what: What) -> bool {
        self.news.send(News { machine: self.machine, run: self.run, at: Instant::now(), what }).await.is_ok()
    }
}

/// Reads the log; when it says that the agent has started, its socket is there.
async fn read(mouth: Mouth, log: impl AsyncRead + Unpin, client: Client) {
    let mut lines = BufReader::new(log).lines();
    let mut started = false;
    while let Ok(Some(line)) = lines.next_line().await {
        let event = line.split(" event=").nth(1).and_then(|rest| rest.split(' ').next()).map(str::to_owned);
        if event.is_some() && !started {
            started = true;
            tokio::spawn(hear(mouth.clone(), client.clone()));
        }
        let what = match event {
            Some(event) => What::Noted { event, line },
            None => What::Logged(line),
        };
        if !mouth.say(what).await {
            return;
        }
    }
}

/// Listens to the event stream until it ends.
async fn hear(mouth: Mouth, client: Client) {
    let mut events = match client.events().await {
        Ok(events) => events,
        Err(error) => {
            mouth.say(What::Logged(format!("no event stream: {error}"))).await;
            return;
        }
    };
    while let Ok(Some(line)) = events.next().await {
        if !mouth.say(What::Told(line)).await {
            return;
        }
    }
}

/// Waits for the end of the process.
async fn keep(mouth: Mouth, mut child: Child) {
    if let Ok(status) = child.wait().await {
        mouth.say(What::Ended(status)).await;
    }
}
