//! keepalived and etcd under the same faults, where they are installed: by default, and tuned as far as they go.

mod etcd;
mod keepalived;

use super::commands::{ip, within};
use super::faults::LONG;
use super::lan::Lan;
use super::net::name;
use super::plug::Plug;
use super::rows::{FRESH, HANDOVER, KILLED, SILENT, STOPPED, times};
use super::scene::figure;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// What was told and is not yet taken in.
const NEWS: usize = 4096;

/// Another program that makes one of several machines the leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Peer {
    /// VRRP; advertisements every so often.
    Keepalived { name: &'static str, advert: Duration },
    /// Raft.
    Etcd { name: &'static str, heartbeat: Duration, election: Duration },
}

/// The names of the peers by default, and tuned.
pub(crate) const DEFAULTS: [&str; 2] = ["keepalived, 1 s (default)", "etcd, 100/1000 ms (default)"];
pub(crate) const TUNED: [&str; 2] = ["keepalived, 10 ms", "etcd, 10/100 ms"];

impl Peer {
    pub(crate) const ALL: [Peer; 4] = [
        Peer::Keepalived { name: DEFAULTS[0], advert: Duration::from_secs(1) },
        Peer::Keepalived { name: TUNED[0], advert: Duration::from_millis(10) },
        Peer::Etcd { name: DEFAULTS[1], heartbeat: Duration::from_millis(100), election: Duration::from_secs(1) },
        Peer::Etcd { name: TUNED[1], heartbeat: Duration::from_millis(10), election: Duration::from_millis(100) },
    ];

    pub(crate) fn named(name: &str) -> Option<Peer> {
        Peer::ALL.into_iter().find(|peer| peer.name() == name)
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Peer::Keepalived { name, .. } | Peer::Etcd { name, .. } => name,
        }
    }

    fn program(&self) -> &'static str {
        match self {
            Peer::Keepalived { .. } => "keepalived",
            Peer::Etcd { .. } => "etcd",
        }
    }

    pub(crate) fn is_installed(&self) -> bool {
        installed(self.program())
    }

    /// How often the leader is heard.
    fn interval(&self) -> Duration {
        match self {
            Peer::Keepalived { advert, .. } => *advert,
            Peer::Etcd { heartbeat, .. } => *heartbeat,
        }
    }

    fn has_handover(&self) -> bool {
        matches!(self, Peer::Etcd { .. })
    }
}

/// A machine says whom it takes for the leader, by its number; none: nobody.
#[derive(Clone, Copy, Debug)]
struct Says {
    machine: usize,
    at: Instant,
    leader: Option<usize>,
}

/// One machine's process.
#[derive(Debug)]
struct Member {
    child: Child,
    pid: Pid,
}

/// Three machines with a peer each.
pub(crate) struct Group {
    peer: Peer,
    dir: PathBuf,
    members: BTreeMap<usize, Member>,
    /// What each said last, and since when.
    view: BTreeMap<usize, (Option<usize>, Instant)>,
    news: mpsc::Receiver<Says>,
    mouth: mpsc::Sender<Says>,
    starts: usize,
}

const MACHINES: [usize; 3] = [1, 2, 3];

/// Measures a peer.
///
/// # Errors
/// When it cannot be started.
pub(crate) async fn play(peer: Peer, mut lan: Lan) -> Result<(), String> {
    lan.office(MACHINES.len()).await;
    ip(None, "addr add 10.77.0.254/24 dev office\n").await;
    let plug = Plug::new();
    let mut group = Group::new(peer, lan.dir.clone());
    let of = peer.name();
    let say = |what: &str, took: Duration| {
        let ms = took.as_secs_f64() * 1000.0;
        eprintln!("{of}: {what}: {ms:.3} ms");
        figure(of, what, ms);
    };
    for _ in 0..times(false) {
        let took = group.fresh().await?;
        say(FRESH, took);
    }
    for (what, signal) in [(KILLED, Signal::SIGKILL), (STOPPED, Signal::SIGTERM)] {
        for _ in 0..times(peer.interval() < Duration::from_millis(50)) {
            let leader = group.ready().await?;
            let at = Instant::now();
            group.signal(leader, signal);
            let took = group.known(at, leader, true).await?;
            say(what, took);
            group.ended(leader).await?;
            group.start(leader)?;
        }
    }
    for _ in 0..times(false) {
        let leader = group.ready().await?;
        let at = Instant::now();
        plug.silent(leader, true);
        let took = group.known(at, leader, true).await?;
        say(SILENT, took);
        plug.silent(leader, false);
    }
    if peer.has_handover() {
        for _ in 0..times(true) {
            let leader = group.ready().await?;
            let to = MACHINES[leader % MACHINES.len()];
            let at = Instant::now();
            let asked = tokio::spawn(etcd::move_leader(leader, etcd::id(&group.dir, to)?));
            match group.known(at, leader, false).await {
                Ok(took) => say(HANDOVER, took),
                // It may have lost the role by itself meanwhile, and refuses.
                Err(why) => eprintln!("{of}: {HANDOVER}: {why}: {:?}", asked.await),
            }
        }
    }
    Ok(())
}

impl Group {
    /// Nothing runs yet. Everything that they write is below the directory.
    pub(crate) fn new(peer: Peer, dir: PathBuf) -> Self {
        let (mouth, news) = mpsc::channel(NEWS);
        Self { peer, dir, members: BTreeMap::new(), view: BTreeMap::new(), news, mouth, starts: 0 }
    }

    fn start(&mut self, machine: usize) -> Result<(), String> {
        self.starts += 1;
        let dir = self.dir.join(name(machine));
        std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
        let mut command = within(Some(&name(machine)), self.peer.program());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let child = match self.peer {
            Peer::Keepalived { advert, .. } => {
                keepalived::start(command, &dir, (machine, self.starts), advert, &self.mouth)?
            }
            Peer::Etcd { heartbeat, election, .. } => {
                etcd::start(command, &dir, machine, (heartbeat, election), &self.mouth)?
            }
        };
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw).ok_or("it ended at once")?;
        self.view.insert(machine, (None, Instant::now()));
        self.members.insert(machine, Member { child, pid });
        Ok(())
    }

    /// The process, and those that it started.
    fn signal(&self, machine: usize, signal: Signal) {
        let pid = self.members[&machine].pid;
        let mut pids = vec![pid];
        if signal == Signal::SIGKILL {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw));
        }
        for pid in pids {
            // A child may have ended with its parent.
            let _ = kill(pid, signal);
        }
    }

    async fn ended(&mut self, machine: usize) -> Result<(), String> {
        self.view.remove(&machine);
        let Some(mut member) = self.members.remove(&machine) else { return Ok(()) };
        let ended = tokio::time::timeout(LONG, member.child.wait()).await;
        ended.map_err(|_| format!("{} does not end", name(machine)))?.map_err(|e| e.to_string()).map(drop)
    }

    fn take_in(&mut self, says: Says) {
        if self.members.contains_key(&says.machine) {
            self.view.insert(says.machine, (says.leader, says.at));
        }
    }

    async fn until(&mut self, found: impl Fn(&Group) -> Option<usize>) -> Result<usize, String> {
        let end = tokio::time::Instant::now() + LONG;
        loop {
            if let Some(leader) = found(self) {
                return Ok(leader);
            }
            match tokio::time::timeout_at(end, self.news.recv()).await {
                Ok(Some(says)) => self.take_in(says),
                _ => return Err(format!("{} has no leader: {:?}", self.peer.name(), self.view)),
            }
        }
    }

    /// The leader that all who are asked name; with VRRP only the leader itself knows.
    fn agreed(&self, asked: &[usize]) -> Option<usize> {
        let named = |machine: &usize| self.view.get(machine).and_then(|view| view.0);
        match self.peer {
            Peer::Keepalived { .. } => {
                let mut leaders = asked.iter().filter_map(named);
                let leader = leaders.next()?;
                leaders.next().is_none().then_some(leader)
            }
            Peer::Etcd { .. } => {
                let leader = named(asked.first()?)?;
                asked.iter().all(|machine| named(machine) == Some(leader)).then_some(leader)
            }
        }
    }

    /// Waits until there is one leader, and then at least an interval more.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn ready(&mut self) -> Result<usize, String> {
        let leader = self.until(|group| group.agreed(&MACHINES)).await?;
        let random = f64::from(getrandom::u32().expect("randomness")) / f64::from(u32::MAX);
        let calm = self.peer.interval() * 4 + Duration::from_millis(100);
        let end = tokio::time::Instant::now() + calm + self.peer.interval().mul_f64(random);
        while let Ok(Some(says)) = tokio::time::timeout_at(end, self.news.recv()).await {
            self.take_in(says);
        }
        match self.agreed(&MACHINES) {
            Some(same) if same == leader => Ok(leader),
            _ => Box::pin(self.ready()).await,
        }
    }

    /// The time from a moment until the others name another leader.
    async fn known(&mut self, at: Instant, leader: usize, gone: bool) -> Result<Duration, String> {
        let asked: Vec<usize> = MACHINES.into_iter().filter(|machine| !gone || *machine != leader).collect();
        let next = self.until(|group| group.agreed(&asked).filter(|next| *next != leader)).await?;
        let told = |machine: &usize| self.view.get(machine).filter(|view| view.0 == Some(next)).map(|view| view.1);
        Ok(asked.iter().filter_map(told).max().expect("it was told").saturating_duration_since(at))
    }

    /// Ends all, forgets all, and starts all.
    ///
    /// # Errors
    /// When one cannot be started, or none becomes the leader.
    pub(crate) async fn fresh(&mut self) -> Result<Duration, String> {
        for machine in MACHINES {
            if self.members.contains_key(&machine) {
                self.signal(machine, Signal::SIGKILL);
                self.ended(machine).await?;
            }
            // At the first time there is nothing.
            let _ = std::fs::remove_dir_all(self.dir.join(name(machine)));
        }
        while self.news.try_recv().is_ok() {}
        let at = Instant::now();
        MACHINES.into_iter().try_for_each(|machine| self.start(machine))?;
        let leader = self.until(|group| group.agreed(&MACHINES)).await?;
        let told = self.view.values().filter(|view| view.0 == Some(leader)).map(|view| view.1).max();
        Ok(told.expect("it was told").saturating_duration_since(at))
    }
}

/// Whether a program can be started by its name.
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Writes a file that a peer reads.
fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// What a peer is started by.
fn spawned(mut command: Command) -> Result<Child, String> {
    command.spawn().map_err(|e| format!("the peer cannot be started: {e}"))
}
