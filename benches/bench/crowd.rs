//! Many agents on one machine: how long they take to become one cluster, to fail over, and what each costs.

use super::cost;
use super::faults::{LONG, Stage};
use super::lan::Lan;
use super::scene::{self, Scene, figure};
use std::fs;
use std::time::{Duration, Instant};

/// How many machines.
pub(crate) fn size() -> usize {
    scene::number("TANIST_BENCH_AGENTS", if scene::quick() { 40 } else { 200 })
}

/// How often the leader is killed.
const KILLS: usize = 10;

/// How long it is watched at rest.
const REST: Duration = Duration::from_secs(20);

/// Plays the scene.
///
/// # Errors
/// When an agent is not there any more.
pub(crate) fn inside(scene: &Scene) -> Result<(), String> {
    scene::play(async {
        let mut lan = Lan::new(scene.dir.clone(), None).await;
        lan.office(size()).await;
        let all = lan.all();
        let at = Instant::now();
        lan.start(&all);
        lan.settled(&all, LONG).await;
        let last = all.iter().filter_map(|machine| lan.view(*machine).since).max().expect("all told");
        figure("crowd", "formed", last.duration_since(at).as_secs_f64());
        let mut stage = Stage::of_running(lan);
        let (reign, _) = stage.ready().await;
        figure("crowd", "listed", at.elapsed().as_secs_f64());
        // The leader first.
        let pids = |stage: &Stage| -> Vec<i32> {
            let order = std::iter::once(reign.leader).chain(stage.lan.but(&[reign.leader]));
            order.filter_map(|m| stage.lan.machines[m - 1].agent.pid).map(nix::unistd::Pid::as_raw).collect()
        };
        let pids = pids(&stage);
        let ran = || pids.iter().map(|pid| cost::processor(*pid)).collect::<Result<Vec<f64>, String>>();
        let begun = ran()?;
        begun.iter().for_each(|seconds| figure("crowd", "formed: processor", *seconds));
        cost::count(&[reign.leader]).await;
        let rest = if scene::quick() { REST / 4 } else { REST };
        stage.lan.quiet(rest).await;
        let after = ran()?;
        let counted = cost::counted().await.swap_remove(0);
        let ((all_packets, bytes), (session_packets, session_bytes)) = (counted[cost::ALL], counted[cost::TCP]);
        for (i, pid) in pids.iter().enumerate() {
            let who = if i == 0 { "leader" } else { "follower" };
            figure("crowd", &format!("{who}: processor"), (after[i] - begun[i]) / rest.as_secs_f64() * 100.0);
            let (resident, share) = cost::memory(*pid)?;
            figure("crowd", &format!("{who}: resident"), resident);
            figure("crowd", &format!("{who}: proportional"), share);
        }
        figure("crowd", "leader: packets", all_packets / rest.as_secs_f64());
        figure("crowd", "leader: bytes", bytes / rest.as_secs_f64());
        // Heartbeats are datagrams.
        let each = rest.as_secs_f64() * (pids.len() - 1) as f64;
        figure("crowd", "leader: packets for each", session_packets / each);
        figure("crowd", "leader: bytes for each", session_bytes / each);
        stage.row("crowd", "killed", super::faults::Fault::Killed, if scene::quick() { 2 } else { KILLS }).await;
        Ok(())
    })
}

/// The kernel's table of neighbours is one for all namespaces, and holds fewer than this many machines need: raised
/// while this lives.
pub(crate) struct Neighbours(Vec<(String, String)>);

impl Neighbours {
    /// # Errors
    /// When this user may not.
    pub(crate) fn raise() -> Result<Self, String> {
        let mut before = Neighbours(Vec::new());
        for family in ["ipv4", "ipv6"] {
            for (name, most) in [("gc_thresh3", 65536), ("gc_thresh2", 32768), ("gc_thresh1", 16384)] {
                let path = format!("/proc/sys/net/{family}/neigh/default/{name}");
                let failed = |e: std::io::Error| format!("{path}: {e}: run this as root, outside of containers");
                let value = fs::read_to_string(&path).map_err(failed)?;
                fs::write(&path, most.to_string()).map_err(failed)?;
                before.0.push((path, value));
            }
        }
        Ok(before)
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        for (path, value) in self.0.iter().rev() {
            if let Err(error) = fs::write(path, value) {
                eprintln!("{path} could not be put back to {}: {error}", value.trim());
            }
        }
    }
}
