//! keepalived: one VRRP instance. Its own way to tell the state is a pipe that it writes a line into.

use super::{Says, spawned, write};
use crate::bench::net::name;
use nix::sys::stat::Mode;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// Starts it on a machine, for the so-manieth time.
pub(super) fn start(
    mut command: Command,
    dir: &Path,
    (machine, starts): (usize, usize),
    advert: Duration,
    mouth: &mpsc::Sender<Says>,
) -> Result<Child, String> {
    let (fifo, config) = (dir.join(format!("told-{starts}")), dir.join("keepalived.conf"));
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).map_err(|e| e.to_string())?;
    let told = pipe::OpenOptions::new().read_write(true).open_receiver(&fifo).map_err(|e| e.to_string())?;
    // Of one that was killed; its number may still be taken by what nobody has reaped.
    let pids = [dir.join("pid"), dir.join("vrrp.pid")];
    for pid in &pids {
        // The first start finds none.
        let _ = std::fs::remove_file(pid);
    }
    // Only the third version of the protocol has intervals under a second.
    let version = if advert < Duration::from_secs(1) { 3 } else { 2 };
    let text = format!(
        "global_defs {{\n vrrp_version {version}\n router_id {}\n vrrp_notify_fifo {}\n}}\nvrrp_instance office {{\n state BACKUP\n nopreempt\n \
         interface eth0\n virtual_router_id 51\n priority {}\n advert_int {}\n virtual_ipaddress {{\n  10.77.0.100/24\n \
         }}\n}}\n",
        name(machine),
        fifo.display(),
        100 + machine,
        advert.as_secs_f64()
    );
    write(&config, &text)?;
    command.args(["--dont-fork", "--vrrp", "--use-file"]).arg(&config);
    command.arg("--pid").arg(&pids[0]).arg("--vrrp_pid").arg(&pids[1]);
    let child = spawned(command)?;
    let mouth = mouth.clone();
    tokio::spawn(async move {
        let mut lines = BufReader::new(told).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let at = Instant::now();
            let leader = line.contains(" MASTER").then_some(machine);
            if mouth.send(Says { machine, at, leader }).await.is_err() {
                return;
            }
        }
    });
    Ok(child)
}
