//! etcd and Redis on the machines that the agents are on, where they are installed: three members of etcd, and a Redis
//! server with two that copy it.

use super::clients::{Door, socket};
use crate::bench::commands::within;
use crate::bench::faults::LONG;
use crate::bench::net::name;
use crate::bench::peers::{Group, Peer, installed};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Child;

/// Where Redis listens for those that copy it.
const PORT: &str = "6379";

/// The machines of the office.
pub(super) const MACHINES: [usize; 3] = [1, 2, 3];

/// What runs beside the agents. It ends when this is dropped.
pub(super) struct Rivals {
    etcd: Option<(Group, usize)>,
    redis: Option<Redis>,
}

struct Redis {
    _servers: Vec<Child>,
    /// Of the one that takes writes.
    socket: PathBuf,
}

impl Rivals {
    /// Starts what is installed, and says what is not. Redis takes writes on one machine.
    ///
    /// # Errors
    /// When one that is installed does not start.
    pub(super) async fn start(dir: &Path, machine: usize) -> Result<Self, String> {
        let peer = Peer::ALL.into_iter().find(|peer| matches!(peer, Peer::Etcd { .. })).ok_or("no etcd")?;
        let mut rivals = Self { etcd: None, redis: None };
        if peer.is_installed() {
            let mut group = Group::new(peer, dir.join("etcd"));
            group.fresh().await?;
            let leader = group.ready().await?;
            rivals.etcd = Some((group, leader));
        } else {
            eprintln!("etcd is not installed");
        }
        if installed("redis-server") {
            rivals.redis = Some(Redis::start(&dir.join("redis"), machine).await?);
        } else {
            eprintln!("redis-server is not installed");
        }
        Ok(rivals)
    }

    /// The machine of etcd's leader.
    pub(super) fn etcd_leads(&self) -> Option<usize> {
        self.etcd.as_ref().map(|(_, leader)| *leader)
    }

    /// The way to Redis.
    pub(super) fn redis(&self) -> Option<Door> {
        self.redis.as_ref().map(|redis| Door::Redis(redis.socket.clone()))
    }
}

impl Redis {
    async fn start(dir: &Path, first: usize) -> Result<Self, String> {
        let mut servers = Vec::new();
        for machine in MACHINES {
            let own = dir.join(name(machine));
            std::fs::create_dir_all(&own).map_err(|e| e.to_string())?;
            let mut command = within(Some(&name(machine)), "redis-server");
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
            command.args(["--port", PORT, "--bind", &format!("10.77.0.{machine}"), "--protected-mode", "no"]);
            command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
            command.arg("--unixsocket").arg(own.join("sock")).arg("--dir").arg(&own);
            command.args(["--repl-diskless-sync-delay", "0"]);
            if machine != first {
                command.args(["--replicaof", &format!("10.77.0.{first}"), PORT]);
            }
            servers.push(command.spawn().map_err(|e| format!("redis-server cannot be started: {e}"))?);
        }
        let socket = dir.join(name(first)).join("sock");
        let end = Instant::now() + LONG;
        let mut again = tokio::time::interval(Duration::from_millis(50));
        while copies(&socket).is_none_or(|copies| copies < MACHINES.len() - 1) {
            if Instant::now() > end {
                return Err("redis-server has nobody that copies it".to_owned());
            }
            again.tick().await;
        }
        Ok(Self { _servers: servers, socket })
    }
}

/// How many other servers copy this one; none when it does not say.
fn copies(path: &Path) -> Option<usize> {
    let mut stream = socket(path).ok()?;
    stream.write_all(b"INFO replication\r\n").ok()?;
    let mut said = [0; 4096];
    let length = stream.read(&mut said).ok()?;
    Some(String::from_utf8_lossy(&said[..length]).matches("state=online").count())
}
