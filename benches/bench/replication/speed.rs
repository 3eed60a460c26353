//! How long a write takes, how many there are a second, how many reads, and how soon a watcher knows.

use super::clients::{Client, Door, measure, millis, socket};
use super::ground;
use super::rivals::{MACHINES, Rivals};
use crate::bench::cost;
use crate::bench::faults::Stage;
use crate::bench::lan::Lan;
use crate::bench::numbers::Sample;
use crate::bench::scene::{self, Scene, figure};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// How many clients write together.
pub(super) const WRITERS: usize = 64;

/// How many read together.
pub(super) const READERS: usize = 16;

/// Addresses are settled, lists are exchanged, neighbours are known.
pub(super) const REST: Duration = Duration::from_secs(5);

/// How often a watcher is waited for in a round.
const SEEN: usize = 500;

/// Names of figures.
pub(super) const S: &str = "S";
pub(super) const OVER: &str = "S over what is there";
pub(super) const R: &str = "R";
pub(super) const LEADER: &str = "one client on the leader's machine";
pub(super) const SUCCESSOR: &str = "one client on the successor's machine";
pub(super) const FOLLOWER: &str = "one client on another follower's machine";
pub(super) const SMALL: &str = "64 clients, 100 bytes";
pub(super) const LARGE: &str = "64 clients, 1 KiB";
pub(super) const READS: &str = "reads";
pub(super) const WATCHED: &str = "acknowledged to seen by a watcher on another machine";
pub(super) const AT_REST: &str = "an agent without data at rest: resident memory";

/// Whose figures they are.
pub(super) const GROUND: &str = "ground";
pub(super) const TANIST: &str = "tanist";
pub(super) const ETCD: &str = "etcd";
pub(super) const REDIS: &str = "Redis";

/// What is measured in one round.
#[derive(Clone)]
struct Round {
    dir: PathBuf,
    /// Sockets of the leader's, the successor's and the third machine.
    agents: [PathBuf; 3],
    /// The machine of etcd's leader.
    etcd: Option<usize>,
    redis: Option<Door>,
    /// The leader's machine, and its successor's.
    between: (usize, usize),
    during: Duration,
}

/// How often everything is measured, one after the other.
fn rounds() -> usize {
    scene::number("TANIST_BENCH_ROUNDS", if scene::quick() { 1 } else { 11 })
}

/// Plays the scene.
///
/// # Errors
/// When something does not start, is not answered, or another machine leads at the end.
pub(super) fn play(scene: &Scene) -> Result<(), String> {
    ground::on_disk(&scene.dir)?;
    scene::play(async {
        let mut stage = Stage::new(Lan::new(scene.dir.clone(), None).await, MACHINES.len(), 0, None).await;
        let (reign, heir) = stage.ready().await;
        stage.lan.quiet(REST).await;
        for machine in &stage.lan.machines {
            let pid = machine.agent.pid.ok_or("an agent has ended")?;
            figure(TANIST, AT_REST, cost::memory(pid.as_raw())?.0);
        }
        let rivals = Rivals::start(&scene.dir, reign.leader).await?;
        let third = stage.lan.but(&[reign.leader, heir])[0];
        let socket = |machine: usize| stage.lan.machines[machine - 1].agent.dir.join("sock");
        let round = Round {
            dir: scene.dir.clone(),
            agents: [reign.leader, heir, third].map(socket),
            etcd: rivals.etcd_leads(),
            redis: rivals.redis(),
            between: (reign.leader, heir),
            during: Duration::from_secs(1),
        };
        for n in 1..=rounds() {
            eprintln!("round {n} of {}", rounds());
            let round = round.clone();
            tokio::task::spawn_blocking(move || round.measure()).await.map_err(|e| e.to_string())??;
        }
        let (after, _) = stage.ready().await;
        if after.epoch == reign.epoch { Ok(()) } else { Err("another machine leads now".to_owned()) }
    })
}

impl Round {
    fn measure(&self) -> Result<(), String> {
        let failed = |e: std::io::Error| e.to_string();
        for (what, over) in [(S, false), (OVER, true)] {
            told(GROUND, what, ground::syncs(&self.dir, over, self.during / 4).map_err(failed)?);
        }
        told(GROUND, R, ground::trips(self.between.0, self.between.1, self.during / 4).map_err(failed)?);
        for (what, agent) in [LEADER, SUCCESSOR, FOLLOWER].into_iter().zip(&self.agents) {
            self.one(TANIST, what, Door::Tanist(agent.clone()))?;
            let peer = self.etcd.map(|leader| if what == LEADER { leader } else { leader % MACHINES.len() + 1 });
            if let Some(machine) = peer.filter(|_| what != SUCCESSOR) {
                self.one(ETCD, what, Door::Etcd(machine))?;
            }
            if let Some(door) = self.redis.clone().filter(|_| what == LEADER) {
                self.one(REDIS, what, door)?;
            }
        }
        for (what, length) in [(SMALL, 100), (LARGE, 1024)] {
            let own: Vec<Door> = self.agents.iter().cloned().map(Door::Tanist).collect();
            self.many(TANIST, what, &own, length)?;
            if let Some(leader) = self.etcd {
                // Etcd's clients are where they are answered soonest.
                let all = MACHINES.map(Door::Etcd);
                let rates = [&all[..], &[Door::Etcd(leader)]].map(|doors| measure(spread(doors), length, self.during));
                let [all, leader] = rates;
                figure(ETCD, what, all?.1.max(leader?.1));
            }
            if let Some(door) = &self.redis {
                self.many(REDIS, what, std::slice::from_ref(door), length)?;
            }
        }
        figure(TANIST, READS, reads(&self.agents[1], self.during).map_err(failed)?);
        told(TANIST, WATCHED, seen(&self.agents[0], &self.agents[2]).map_err(failed)?);
        Ok(())
    }

    fn one(&self, of: &str, what: &str, door: Door) -> Result<(), String> {
        told(of, what, measure(vec![door], 100, self.during)?.0);
        Ok(())
    }

    fn many(&self, of: &str, what: &str, doors: &[Door], length: usize) -> Result<(), String> {
        figure(of, what, measure(spread(doors), length, self.during)?.1);
        Ok(())
    }
}

/// The name of a figure: its median in each round. Whoever else uses the machine comes and goes.
pub(super) fn of_rounds(what: &str) -> String {
    format!("{what}: median of a round")
}

/// Prints all figures of a round, and their median.
fn told(of: &str, what: &str, values: Vec<f64>) {
    values.iter().for_each(|value| figure(of, what, *value));
    if let Some(sample) = Sample::new(values) {
        figure(of, &of_rounds(what), sample.median());
    }
}

/// As many clients as write together, on all of these.
fn spread(doors: &[Door]) -> Vec<Door> {
    doors.iter().cycle().take(WRITERS).cloned().collect()
}

/// How many reads of a key are answered a second.
fn reads(agent: &Path, during: Duration) -> std::io::Result<f64> {
    let mut stream = socket(agent)?;
    stream
        .write_all(b"PUT /v1/keys/bench HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 5\r\n\r\nvalue")?;
    std::io::read_to_string(stream)?;
    let end = Instant::now() + during;
    let ask = |door: Door| {
        std::thread::spawn(move || {
            let (mut client, mut answered) = (Client::new(&door)?, 0_usize);
            while Instant::now() < end {
                client.get("/v1/keys/bench", "HTTP/1.1 200")?;
                answered += 1;
            }
            std::io::Result::Ok(answered)
        })
    };
    let threads: Vec<_> = (0..READERS).map(|_| ask(Door::Tanist(agent.to_owned()))).collect();
    let answered = threads.into_iter().map(|thread| thread.join().expect("it does not panic"));
    Ok(answered.sum::<std::io::Result<usize>>()? as f64 / during.as_secs_f64())
}

/// How long after a client of one agent was answered a watcher on another machine has the change, in milliseconds: 0
/// when it had it before.
fn seen(writes: &Path, watches: &Path) -> std::io::Result<Vec<f64>> {
    let mut writer = Client::new(&Door::Tanist(writes.to_owned()))?;
    let (tell, told) = sync_channel(1);
    let stream = socket(watches)?;
    let end = stream.try_clone()?;
    let cursor = Client::new(&Door::Tanist(watches.to_owned()))?.cursor()?;
    let watcher = std::thread::spawn(move || watch(stream, &cursor, &tell));
    told.recv().map_err(std::io::Error::other)?;
    let mut took = Vec::new();
    for n in 0..SEEN {
        writer.write(0, format!("seen-{n}-").as_bytes())?;
        let acknowledged = Instant::now();
        let at: Instant = told.recv_timeout(Duration::from_secs(10)).map_err(std::io::Error::other)?;
        took.push(millis(at.saturating_duration_since(acknowledged)));
    }
    end.shutdown(std::net::Shutdown::Both)?;
    let _ = watcher.join().expect("it does not panic");
    Ok(took)
}

/// Says when it has caught up, and then when each record was read.
fn watch(mut stream: UnixStream, cursor: &str, tell: &SyncSender<Instant>) -> std::io::Result<()> {
    write!(stream, "GET /v1/watch?topic=bench&after={cursor} HTTP/1.1\r\nHost: t\r\n\r\n")?;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if (line.contains("caught_up") || line.contains("\"seen-")) && tell.send(Instant::now()).is_err() {
            break;
        }
    }
    Ok(())
}
