//! A disk that takes 50 ms for a sync, under many writers: heartbeats, the leader, and readers.

use super::clients::{Client, Door, Load, millis};
use super::ground;
use super::rivals::MACHINES;
use super::speed::WRITERS;
use super::trouble::pass;
use crate::bench::commands::ip;
use crate::bench::faults::Stage;
use crate::bench::lan::{Lan, Reign};
use crate::bench::net::name;
use crate::bench::scene::{self, Scene, figure};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tanist::message::Cast;
use tanist::wire::Wire;

/// What makes a disk slow.
const SLOW: &str = include_str!("slow.c");

/// Whose figures they are, and the figures.
pub(super) const DISK: &str = "slow disk";
pub(super) const HEARD: &str = "between two heartbeats";
pub(super) const CHANGES: &str = "changes of the leader";
pub(super) const READ: &str = "a read";
pub(super) const RATE: &str = "writes a second";
pub(super) const WRITE: &str = "a write";

/// Between two reads.
const PACE: Duration = Duration::from_millis(2);

/// The cluster and the port that agents have by default.
const CLUSTER: &str = "office";
const PORT: u16 = 8264;

/// Plays the scene.
///
/// # Errors
/// When there is no C compiler, or an agent does not answer.
pub(super) fn play(scene: &Scene) -> Result<(), String> {
    ground::on_disk(&scene.dir)?;
    let library = compiled(&scene.dir)?;
    scene::play(async {
        let mut lan = Lan::new(scene.dir.clone(), None).await;
        lan.office(MACHINES.len()).await;
        ip(None, "addr add 10.77.0.254/24 brd + dev office\n").await;
        for machine in &mut lan.machines {
            machine.agent.environment = vec![("LD_PRELOAD".to_owned(), library.display().to_string())];
        }
        let all = lan.all();
        lan.start(&all);
        let mut stage = Stage::of_running(lan);
        let (reign, _) = stage.ready().await;
        under_load(&mut stage, &reign).await
    })
}

/// Compiles what makes a disk slow.
fn compiled(dir: &Path) -> Result<PathBuf, String> {
    let (source, library) = (dir.join("slow.c"), dir.join("slow.so"));
    std::fs::write(&source, SLOW).map_err(|e| format!("{}: {e}", source.display()))?;
    let done = Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(&source).status();
    match done {
        Ok(status) if status.success() => Ok(library),
        Ok(status) => Err(format!("cc ended with {status}")),
        Err(error) => Err(format!("cc: {error}: a C compiler is needed here")),
    }
}

async fn under_load(stage: &mut Stage, reign: &Reign) -> Result<(), String> {
    let during = Duration::from_secs(if scene::quick() { 3 } else { 10 });
    let door = |machine: usize| Door::Tanist(stage.lan.machines[machine - 1].agent.dir.join("sock"));
    let doors: Vec<Door> = stage.lan.all().into_iter().map(door).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let ear = hear(reign.leader, Arc::clone(&stop)).map_err(|e| e.to_string())?;
    let others = stage.lan.but(&[reign.leader]);
    let readers = [reign.leader, others[0]].map(|machine| read(door(machine), Arc::clone(&stop)));
    let before = stage.lan.begun_to_lead.len();
    let load = Load::begin(doors.iter().cycle().take(WRITERS).cloned(), 100);
    let begun = Instant::now();
    pass(&mut stage.lan, during).await;
    let took = begun.elapsed();
    let stories = tokio::task::spawn_blocking(|| load.end()).await.map_err(|e| e.to_string())?;
    stop.store(true, Ordering::Relaxed);
    figure(DISK, CHANGES, (stage.lan.begun_to_lead.len() - before) as f64);
    let heard = ear.join().expect("it does not panic");
    heard.windows(2).for_each(|two| figure(DISK, HEARD, millis(two[1] - two[0])));
    for reader in readers {
        let took = reader.join().expect("it does not panic").map_err(|e| e.to_string())?;
        took.into_iter().for_each(|ms| figure(DISK, READ, ms));
    }
    if let Some(error) = stories.iter().find_map(|story| story.broken.as_ref()) {
        return Err(format!("a client was told: {error}"));
    }
    let answered = stories.iter().flat_map(|story| &story.answered);
    answered.clone().for_each(|(sent, done)| figure(DISK, WRITE, millis(*done - *sent)));
    figure(DISK, RATE, answered.count() as f64 / took.as_secs_f64());
    Ok(())
}

/// Hears the leader's broadcasts at the switch: when each heartbeat came.
pub(super) fn hear(leader: usize, stop: Arc<AtomicBool>) -> std::io::Result<JoinHandle<Vec<Instant>>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let wire = Wire::new(CLUSTER);
    let leader = (IpAddr::V4(Ipv4Addr::new(10, 77, 0, u8::try_from(leader).unwrap_or(0))), name(leader));
    Ok(std::thread::spawn(move || {
        let (mut heard, mut bytes) = (Vec::new(), [0; 2048]);
        while !stop.load(Ordering::Relaxed) {
            let Ok((length, from)) = socket.recv_from(&mut bytes) else { continue };
            let at = Instant::now();
            let said = wire.read_datagram(&bytes[..length]);
            if said.is_ok_and(|said| (from.ip(), said.from.name) == leader && matches!(said.cast, Cast::Heartbeat(_))) {
                heard.push(at);
            }
        }
        heard
    }))
}

/// Reads a key now and then: how long each answer took, in milliseconds.
pub(super) fn read(door: Door, stop: Arc<AtomicBool>) -> JoinHandle<std::io::Result<Vec<f64>>> {
    std::thread::spawn(move || {
        let (mut client, mut took) = (Client::new(&door)?, Vec::new());
        while !stop.load(Ordering::Relaxed) {
            let at = Instant::now();
            client.get("/v1/keys/none", "HTTP/1.1 404")?;
            took.push(millis(at.elapsed()));
            std::thread::sleep(PACE);
        }
        Ok(took)
    })
}
