//! A million records: how long an agent takes to open them, its memory, and how long others take to have them, or what
//! they missed of them.

use super::clients::{Client, Door, millis};
use super::ground;
use super::rivals::MACHINES;
use super::speed::REST;
use crate::bench::cost;
use crate::bench::faults::{LONG, Stage};
use crate::bench::lan::Lan;
use crate::bench::net::port;
use crate::bench::scene::{self, Scene, figure};
use nix::sys::signal::Signal;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tanist::data::{Ask, ReignId, Request, RequestId};
use tanist::ident::NodeId;
use tanist::store::data::DataStore;
use tanist::time::Wall;

/// How many changes a member misses.
pub(super) const MISSED: usize = 1000;

/// The length of a record, in bytes.
const VALUE: usize = 100;

/// Records that are made durable together while the store is filled.
const BATCH: usize = 1000;

/// The machine that comes late.
const LATE: usize = 3;

/// Between two tries to reach an agent that starts.
const AGAIN: Duration = Duration::from_millis(1);

/// Whose figures they are, and the figures.
pub(super) const MANY: &str = "many";
pub(super) const EMPTY: &str = "an agent without data answers after its start";
pub(super) const OPEN: &str = "an agent with them answers after its start";
pub(super) const RESIDENT: &str = "resident memory then";
pub(super) const ALL_IN: &str = "a new member has all";
pub(super) const ALL_BYTES: &str = "bytes that it was sent";
pub(super) const SERVING: &str = "resident memory of the leader afterwards";
pub(super) const TAKING: &str = "resident memory of the new member afterwards";
pub(super) const BACK: &str = "a member has what it missed after it found the leader";
pub(super) const START: &str = "the same after its start";
pub(super) const BYTES: &str = "bytes that it was sent for that";

pub(super) const BESIDES: &str = "bytes that it is sent when it starts and has missed nothing";

/// The most that what it missed may be on the way, in 1000 bytes: a frame of its own for each change, and no change else.
pub(super) const MISSED_KB: f64 = 500.0;

/// How many records.
pub(super) fn records() -> usize {
    scene::number("TANIST_BENCH_RECORDS", if scene::quick() { 20_000 } else { 1_000_000 })
}

/// Plays the scene.
///
/// # Errors
/// When the store cannot be filled, or an agent does not answer.
pub(super) fn play(scene: &Scene) -> Result<(), String> {
    ground::on_disk(&scene.dir)?;
    let made = scene.dir.join("made");
    fill(&made)?;
    scene::play(async {
        let mut lan = Lan::new(scene.dir.clone(), None).await;
        lan.office(MACHINES.len()).await;
        let times = if scene::quick() { 1 } else { 5 };
        for (machine, what) in [(LATE, EMPTY), (1, OPEN)] {
            if machine == 1 {
                [1, 2].iter().try_for_each(|machine| copied(&made, &state(&lan, *machine).join("data")))?;
            }
            for _ in 0..times {
                let at = lan.start(&[machine]);
                let answered = found(&mut lan, machine, None).await?;
                figure(MANY, what, millis(answered - at));
                killed(&mut lan, machine).await;
            }
        }
        std::fs::remove_dir_all(state(&lan, LATE)).map_err(|e| e.to_string())?;
        let mut stage = settled(lan).await?;
        newcomer(&mut stage).await?;
        for _ in 0..times {
            missed(&mut stage, 0).await?;
            missed(&mut stage, MISSED).await?;
        }
        Ok(())
    })
}

/// Makes a store with all records.
pub(super) fn fill(dir: &Path) -> Result<(), String> {
    let mut store = DataStore::open(dir).map_err(|e| e.to_string())?.store;
    let record = |n: usize| Request {
        id: RequestId((n as u128 + 1) << 64 | 7),
        at: Wall(1_800_000_000_000_000 + n as u64),
        node: NodeId(uuid::Uuid::from_u128(7)),
        ask: Ask::Add { topic: format!("topic-{}", n % 10), value: vec![b'v'; VALUE].into() },
    };
    for first in (0..records()).step_by(BATCH) {
        let mut requests: VecDeque<Request> = (first..first + BATCH).map(record).collect();
        while !requests.is_empty() {
            store.order(ReignId(1), 0, &mut requests).map_err(|e| e.to_string())?;
        }
        store.sync().map_err(|e| e.to_string())?;
        store.commit(store.durable()).map_err(|e| e.to_string())?;
    }
    store.close().map_err(|e| e.to_string())
}

pub(super) fn copied(from: &Path, to: &Path) -> Result<(), String> {
    let copy = || {
        std::fs::create_dir_all(to)?;
        for file in std::fs::read_dir(from)?.flatten() {
            std::fs::copy(file.path(), to.join(file.file_name()))?;
        }
        std::io::Result::Ok(())
    };
    copy().map_err(|e| format!("{}: {e}", to.display()))
}

pub(super) fn state(lan: &Lan, machine: usize) -> PathBuf {
    lan.machines[machine - 1].agent.dir.join("state")
}

pub(super) fn door(lan: &Lan, machine: usize) -> Door {
    Door::Tanist(lan.machines[machine - 1].agent.dir.join("sock"))
}

fn resident(lan: &Lan, machine: usize) -> Result<f64, String> {
    let pid = lan.machines[machine - 1].agent.pid.ok_or("an agent has ended")?;
    cost::memory(pid.as_raw()).map(|memory| memory.0)
}

async fn killed(lan: &mut Lan, machine: usize) {
    lan.signal(machine, Signal::SIGKILL);
    lan.ended(&[machine], LONG).await;
}

/// The two machines that have all of it.
async fn settled(mut lan: Lan) -> Result<Stage, String> {
    lan.start(&[1, 2]);
    lan.settled(&[1, 2], LONG).await;
    lan.quiet(REST).await;
    for machine in [1, 2] {
        figure(MANY, RESIDENT, resident(&lan, machine)?);
    }
    Ok(Stage::of_running(lan))
}

/// Waits until an agent answers, and has all up to a cursor: when that was.
async fn found(lan: &mut Lan, machine: usize, cursor: Option<String>) -> Result<Instant, String> {
    let (door, end) = (door(lan, machine), Instant::now() + LONG * 3);
    let path = cursor.map_or_else(|| "/v1/topics".to_owned(), |cursor| format!("/v1/topics?at_least={cursor}"));
    let waits = tokio::task::spawn_blocking(move || {
        loop {
            let asked = Client::new(&door).and_then(|mut client| client.get(&path, "HTTP/1.1 200").map(drop));
            match asked {
                Ok(()) => return Ok(Instant::now()),
                Err(error) if Instant::now() > end => return Err(error.to_string()),
                Err(_) => std::thread::sleep(AGAIN),
            }
        }
    });
    lan.until(LONG * 4, "it was waited for", async |_| waits.is_finished().then_some(())).await;
    waits.await.map_err(|e| e.to_string())?
}

/// Bytes that went to a machine so far.
pub(super) fn sent_to(machine: usize) -> Result<f64, String> {
    let text = std::fs::read_to_string("/proc/net/dev").map_err(|e| e.to_string())?;
    let port = port(machine, "eth0");
    let line = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{port}:")));
    // Eight columns of what came from there, and then the bytes that went there.
    let bytes = line.and_then(|line| line.split_whitespace().nth(8)?.parse().ok());
    bytes.ok_or_else(|| format!("{port} is not counted"))
}

/// Where the leader stands.
async fn cursor(lan: &Lan, leader: usize) -> Result<String, String> {
    let door = door(lan, leader);
    let asked = tokio::task::spawn_blocking(move || Client::new(&door)?.cursor());
    asked.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}

/// A machine without data joins.
async fn newcomer(stage: &mut Stage) -> Result<(), String> {
    let lan = &mut stage.lan;
    let leader = lan.settled(&[1, 2], LONG).await.leader;
    let (cursor, before) = (cursor(lan, leader).await?, sent_to(LATE)?);
    let at = lan.start(&[LATE]);
    let has = found(lan, LATE, Some(cursor)).await?;
    figure(MANY, ALL_IN, (has - at).as_secs_f64());
    figure(MANY, ALL_BYTES, (sent_to(LATE)? - before) / 1e6);
    figure(MANY, SERVING, resident(lan, leader)?);
    figure(MANY, TAKING, resident(lan, LATE)?);
    Ok(())
}

/// A machine is killed, and started when it has missed so many changes.
async fn missed(stage: &mut Stage, changes: usize) -> Result<(), String> {
    let (reign, _) = stage.ready().await;
    let lan = &mut stage.lan;
    let (gone, leader) = (lan.but(&[reign.leader])[1], reign.leader);
    killed(lan, gone).await;
    let door = door(lan, leader);
    let written = tokio::task::spawn_blocking(move || {
        let mut client = Client::new(&door)?;
        (0..changes as u128).try_for_each(|n| client.write(n, &[b'v'; VALUE]))
    });
    lan.until(LONG, "it was written", async |_| written.is_finished().then_some(())).await;
    written.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
    let (cursor, before) = (cursor(lan, leader).await?, sent_to(gone)?);
    let at = lan.start(&[gone]);
    let has = found(lan, gone, Some(cursor)).await?;
    let bytes = (sent_to(gone)? - before) / 1e3;
    if changes == 0 {
        figure(MANY, BESIDES, bytes);
        return Ok(());
    }
    figure(MANY, BYTES, bytes);
    lan.settled(&lan.all(), LONG).await;
    let follows = lan.view(gone).since.ok_or("it follows nobody")?;
    figure(MANY, BACK, millis(has.saturating_duration_since(follows)));
    figure(MANY, START, millis(has - at));
    Ok(())
}
