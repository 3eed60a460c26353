//! The agents of a demo: real processes, their signals, and what their event streams tell.
#![expect(clippy::disallowed_methods, reason = "a program for people, which times what it shows")]

use super::agree::names_leader;
use super::ground::Ground;
use crate::cli::leash;
use crate::client::Client;
use crate::view::{Line, Status};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// News that wait for the demo.
const NEWS: usize = 4096;

/// Orders that wait for one agent's keeper.
const ORDERS: usize = 4;

/// How soon an agent that does not listen yet is asked again.
const AGAIN: Duration = Duration::from_millis(2);

/// How long an agent may take to say how it stands.
const LOOK: Duration = Duration::from_millis(500);

/// How long the end of a killed process may take.
const END: Duration = Duration::from_secs(3);

/// The file in an agent's directory that names those that it cannot reach.
const CUT: &str = "cut";

/// What has become of an agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Life {
    Running,
    /// Stopped by SIGSTOP, by the demo.
    Frozen,
    /// Ended, and how.
    Ended(String),
}

/// One agent of the demo.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) name: String,
    pub(super) address: Ipv4Addr,
    pub(super) client: Client,
    pub(super) life: Life,
    /// It runs, and has named a leader since it was started.
    pub(super) up: watch::Sender<bool>,
    dir: PathBuf,
    /// Counts its starts; news of an earlier one are dropped.
    run: u64,
    pid: i32,
    orders: Option<mpsc::Sender<Order>>,
    keeper: Option<JoinHandle<()>>,
    ear: Option<JoinHandle<()>>,
}

/// A signal to send, and where to say when it was sent.
type Order = (Signal, oneshot::Sender<Instant>);

/// Something that happened to an agent.
#[derive(Debug)]
pub(super) struct News {
    pub(super) agent: usize,
    run: u64,
    /// When the demo heard of it.
    pub(super) at: Instant,
    pub(super) what: What,
}

/// What happened.
#[derive(Debug)]
pub(super) enum What {
    /// A line of its event stream.
    Line(Line),
    /// Its process ended.
    Ended(String),
}

/// The network between the agents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Net {
    Whole,
    /// Cut in two, a moment ago: a side may still miss its leader.
    Cut,
    /// Cut in two, and each side has had a leader since.
    Apart,
}

/// All agents of the demo.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) net: Net,
    pub(super) agents: Vec<Agent>,
    pub(super) ground: Ground,
    heartbeat: Duration,
    program: PathBuf,
    news: mpsc::Receiver<News>,
    sender: mpsc::Sender<News>,
}

impl Cluster {
    /// So many agents, none of which has been started.
    pub(super) fn new(agents: usize, heartbeat: Duration) -> Result<Self, String> {
        let program =
            std::env::current_exe().map_err(|error| format!("could not find this program itself: {error}"))?;
        let ground = Ground::find(agents)?;
        let (sender, news) = mpsc::channel(NEWS);
        let agent = |(n, address): (usize, &Ipv4Addr)| {
            let name = format!("pc-{}", n + 1);
            let dir = ground.dir.path().join(&name);
            Agent {
                client: Client::at(&dir.join("sock")),
                name,
                address: *address,
                life: Life::Ended("not started".to_owned()),
                up: watch::Sender::new(false),
                dir,
                run: 0,
                pid: 0,
                orders: None,
                keeper: None,
                ear: None,
            }
        };
        let agents = ground.addresses.iter().enumerate().map(agent).collect();
        Ok(Self { net: Net::Whole, agents, ground, heartbeat, program, news, sender })
    }

    pub(super) fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// The socket of an agent, for users who want to ask it themselves.
    pub(super) fn socket(&self, agent: usize) -> PathBuf {
        self.agents[agent].dir.join("sock")
    }

    /// The agents that run and are not frozen.
    pub(super) fn running(&self) -> Vec<usize> {
        (0..self.agents.len()).filter(|n| self.agents[*n].life == Life::Running).collect()
    }

    /// Which side of a cut an agent is on: the second has the last of them, half of all at the most.
    pub(super) fn side(&self, agent: usize) -> usize {
        let agents = self.agents.len();
        usize::from(agent >= agents - agents / 2)
    }

    /// The agents that run, each with those that it can reach: two sides while the network is cut. None is empty.
    pub(super) fn sides(&self) -> Vec<Vec<usize>> {
        let running = self.running();
        if self.net == Net::Whole {
            return vec![running];
        }
        let (one, other): (Vec<usize>, Vec<usize>) = running.into_iter().partition(|agent| self.side(*agent) == 0);
        [one, other].into_iter().filter(|side| !side.is_empty()).collect()
    }

    /// The agents of a side, in words: `pc-1 to pc-3`.
    pub(super) fn of_side(&self, side: usize) -> String {
        let here = self.agents.iter().enumerate().filter(|(n, _)| self.side(*n) == side);
        let names: Vec<&str> = here.map(|(_, agent)| agent.name.as_str()).collect();
        match names.as_slice() {
            [] => String::new(),
            [one] => (*one).to_owned(),
            [one, other] => format!("{one} and {other}"),
            [first, .., last] => format!("{first} to {last}"),
        }
    }

    /// Cuts the network in two, or mends it; gives back when that began. The agents notice within 50 ms.
    pub(super) fn cut(&mut self, cut: bool) -> Result<Instant, String> {
        let at = Instant::now();
        for (n, agent) in self.agents.iter().enumerate() {
            let others = self.agents.iter().enumerate().filter(|(other, _)| cut && self.side(*other) != self.side(n));
            let list: String = others.map(|(_, other)| format!("{}\n", other.address)).collect();
            let (file, new) = (agent.dir.join(CUT), agent.dir.join("cut.new"));
            // An agent that looks meanwhile sees what was before, or what is now.
            let written = std::fs::create_dir_all(&agent.dir)
                .and_then(|()| std::fs::write(&new, list))
                .and_then(|()| std::fs::rename(&new, &file));
            written.map_err(|error| format!("could not write {}: {error}", file.display()))?;
        }
        self.net = if cut { Net::Cut } else { Net::Whole };
        Ok(at)
    }

    /// Starts an agent, or starts it again with what it remembers; gives back when.
    pub(super) fn start(&mut self, agent: usize) -> Result<Instant, String> {
        let (port, cluster) = (self.ground.port, self.ground.cluster.clone());
        let heartbeat = humantime::format_duration(self.heartbeat).to_string().replace(' ', "");
        let this = &mut self.agents[agent];
        let failed = |what: &str, error: std::io::Error| format!("could not {what} for {}: {error}", this.name);
        std::fs::create_dir_all(&this.dir).map_err(|error| failed("make a directory", error))?;
        let log = File::create(this.dir.join("log")).map_err(|error| failed("make a log", error))?;
        let also = log.try_clone().map_err(|error| failed("make a log", error))?;
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            let known = ["STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET", "JOURNAL_STREAM"];
            if name.to_str().is_some_and(|name| name.starts_with("TANIST_") || known.contains(&name)) {
                command.env_remove(name);
            }
        }
        command.arg("agent").args(["--config", "/dev/null", "--name", &this.name, "--cluster", &cluster]);
        command.args(["--bind", &this.address.to_string(), "--port", &port.to_string(), "--heartbeat", &heartbeat]);
        command.arg("--state-dir").arg(this.dir.join("state")).arg("--socket").arg(this.dir.join("sock"));
        command.arg("--demo-cut").arg(this.dir.join(CUT));
        command.env(leash::PARENT, std::process::id().to_string());
        command.stdin(Stdio::null()).stdout(log).stderr(also);
        // A group of its own: Ctrl-C is for the demo, which ends the agents itself.
        command.process_group(0).kill_on_drop(true);
        let at = Instant::now();
        let child = command.spawn().map_err(|error| failed("start a process", error))?;
        this.run += 1;
        this.pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
        this.life = Life::Running;
        let (orders, taken) = mpsc::channel(ORDERS);
        this.orders = Some(orders);
        let news = self.sender.clone();
        let (run, log) = (this.run, this.dir.join("log"));
        this.keeper = Some(tokio::spawn(keep(child, Pid::from_raw(this.pid), taken, agent, run, log, news)));
        if let Some(ear) = this.ear.take() {
            ear.abort();
        }
        this.ear = Some(tokio::spawn(hear(this.client.clone(), agent, run, self.sender.clone())));
        Ok(at)
    }

    /// Sends a signal to an agent; gives back the moment just before.
    pub(super) async fn signal(&mut self, agent: usize, signal: Signal) -> Result<Instant, String> {
        let this = &mut self.agents[agent];
        let gone = || format!("{} has ended already", this.name);
        let orders = this.orders.as_ref().ok_or_else(gone)?;
        let (done, at) = oneshot::channel();
        orders.send((signal, done)).await.map_err(|_| gone())?;
        let at = at.await.map_err(|_| gone())?;
        match signal {
            Signal::SIGSTOP => this.life = Life::Frozen,
            Signal::SIGCONT => this.life = Life::Running,
            _ => return Ok(at),
        }
        this.up.send_replace(this.life == Life::Running);
        Ok(at)
    }

    /// The next thing that happened. May be given up at its await.
    pub(super) async fn next(&mut self) -> News {
        loop {
            // This end of the channel keeps a sender, so that it never closes.
            let Some(news) = self.news.recv().await else { std::future::pending().await };
            let agent = &mut self.agents[news.agent];
            if news.run != agent.run {
                continue;
            }
            match &news.what {
                What::Ended(how) => {
                    agent.life = Life::Ended(how.clone());
                    agent.up.send_replace(false);
                    agent.orders = None;
                    if let Some(ear) = agent.ear.take() {
                        ear.abort();
                    }
                }
                What::Line(Line::Event(event)) if agent.life == Life::Running && names_leader(event) => {
                    agent.up.send_if_modified(|up| !std::mem::replace(up, true));
                }
                What::Line(_) => {}
            }
            return news;
        }
    }

    /// How an agent says that it stands; none when it does not say.
    pub(super) async fn look(&self, agent: usize) -> Option<Status> {
        tokio::time::timeout(LOOK, self.agents[agent].client.status()).await.ok()?.ok()
    }

    /// An agent that runs, as far as the demo knows, and that somebody else has stopped.
    pub(super) fn stopped_by_others(&self) -> Option<&Agent> {
        self.running().into_iter().map(|n| &self.agents[n]).find(|agent| {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", agent.pid)).unwrap_or_default();
            // The state follows the program's name, which is in brackets and may hold anything.
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't']))
        })
    }

    /// Ends every agent.
    pub(super) async fn end(&mut self) {
        for agent in &mut self.agents {
            agent.orders = None;
            if let Some(ear) = agent.ear.take() {
                ear.abort();
            }
        }
        self.news.close();
        for agent in &mut self.agents {
            if let Some(keeper) = agent.keeper.take() {
                let _ = tokio::time::timeout(END, keeper).await;
            }
        }
    }
}

/// Owns a process: signals it while it is there, and tells its end. Kills it when the demo has no orders any more.
async fn keep(
    mut child: Child,
    pid: Pid,
    mut orders: mpsc::Receiver<Order>,
    agent: usize,
    run: u64,
    log: PathBuf,
    news: mpsc::Sender<News>,
) {
    let status = loop {
        tokio::select! {
            biased;
            status = child.wait() => break status.ok(),
            order = orders.recv() => match order {
                Some((signal, done)) => {
                    let at = Instant::now();
                    // It is not reaped yet, so the number is still its own.
                    let _ = kill(pid, signal);
                    let _ = done.send(at);
                }
                None => {
                    let _ = child.kill().await;
                    return;
                }
            },
        }
    };
    let what = What::Ended(epitaph(status, &log));
    let _ = news.send(News { agent, run, at: Instant::now(), what }).await;
}

/// How a process ended, with its last words when it ended by itself.
fn epitaph(status: Option<ExitStatus>, log: &std::path::Path) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status {
        Some(status) if status.success() => "it ended".to_owned(),
        Some(status) => match status.signal().and_then(|signal| Signal::try_from(signal).ok()) {
            Some(signal) => format!("it was ended by {}", signal.as_str()),
            None => {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
                format!("it ended with status {}: {last}", status.code().unwrap_or(-1))
            }
        },
        None => "it is gone".to_owned(),
    }
}

/// Listens to an agent's events, from as soon as it speaks.
async fn hear(client: Client, agent: usize, run: u64, news: mpsc::Sender<News>) {
    loop {
        if let Ok(mut events) = client.events().await {
            while let Ok(Some(line)) = events.next().await {
                let what = What::Line(line);
                if news.send(News { agent, run, at: Instant::now(), what }).await.is_err() {
                    return;
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}
