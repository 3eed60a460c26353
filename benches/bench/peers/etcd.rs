//! etcd: it logs whom a member takes for the leader as soon as the member knows, which costs nothing to watch.

use super::{Says, spawned, write};
use crate::bench::net::name;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::mpsc;

/// Where a member's id is kept for others to read.
const ID: &str = "member-id";

fn url(machine: usize, port: u16) -> String {
    format!("http://10.77.0.{machine}:{port}")
}

/// Starts it on a machine.
pub(super) fn start(
    mut command: Command,
    dir: &Path,
    machine: usize,
    (heartbeat, election): (Duration, Duration),
    mouth: &mpsc::Sender<Says>,
) -> Result<Child, String> {
    let cluster: Vec<String> = super::MACHINES.iter().map(|m| format!("{}={}", name(*m), url(*m, 2380))).collect();
    let (heartbeat, election) = (heartbeat.as_millis().to_string(), election.as_millis().to_string());
    command
        .args(["--name", &name(machine), "--initial-cluster", &cluster.join(",")])
        .arg("--data-dir")
        .arg(dir.join("data"));
    command.args(["--listen-peer-urls", &url(machine, 2380), "--initial-advertise-peer-urls", &url(machine, 2380)]);
    command.args(["--listen-client-urls", &url(machine, 2379), "--advertise-client-urls", &url(machine, 2379)]);
    command.args(["--heartbeat-interval", &heartbeat, "--election-timeout", &election]);
    command.args(["--logger", "zap", "--log-level", "info"]).stderr(Stdio::piped());
    let mut child = spawned(command)?;
    let log = child.stderr.take().ok_or("no log")?;
    tokio::spawn(hear(log, machine, dir.to_owned(), mouth.clone()));
    Ok(child)
}

async fn hear(log: ChildStderr, machine: usize, dir: std::path::PathBuf, mouth: mpsc::Sender<Says>) {
    let mut lines = BufReader::new(log).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let at = Instant::now();
        let Some((_, said)) = line.split_once("raft.node: ") else { continue };
        let words: Vec<&str> = said.split([' ', '"']).collect();
        let leader = match words[..] {
            [own, "elected", "leader", leader, ..] | [own, "changed", "leader", "from", _, "to", leader, ..] => {
                // The directory is gone when a new start has begun.
                let _ = write(&dir.join(ID), own);
                Some(leader)
            }
            [_, "lost", "leader", ..] => None,
            _ => continue,
        };
        let leader = match leader {
            Some(id) => numbered(&dir, id).await,
            None => None,
        };
        if mouth.send(Says { machine, at, leader }).await.is_err() {
            return;
        }
    }
}

/// Whose id this is. A member says its own id when it names its first leader, which may be a moment later.
async fn numbered(dir: &Path, id: &str) -> Option<usize> {
    let all = dir.parent()?;
    let mut again = tokio::time::interval(Duration::from_millis(2));
    for _ in 0..1000 {
        let own =
            |machine: &usize| std::fs::read_to_string(all.join(name(*machine)).join(ID)).is_ok_and(|own| own == id);
        if let Some(machine) = super::MACHINES.into_iter().find(|machine| own(machine)) {
            return Some(machine);
        }
        again.tick().await;
    }
    None
}

/// A machine's member id, as the call for a new leader wants it.
pub(super) fn id(dir: &Path, machine: usize) -> Result<u64, String> {
    let id = std::fs::read_to_string(dir.join(name(machine)).join(ID)).map_err(|e| e.to_string())?;
    u64::from_str_radix(&id, 16).map_err(|e| e.to_string())
}

/// Asks the leader to make another member the leader.
pub(super) async fn move_leader(leader: usize, to: u64) -> Result<(), String> {
    let asked = async {
        let mut stream = TcpStream::connect((format!("10.77.0.{leader}"), 2379)).await?;
        let body = format!("{{\"targetID\":\"{to}\"}}");
        let head = "POST /v3/maintenance/transfer-leadership HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n";
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = asked.await.map_err(|e| e.to_string())?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(format!("etcd refused: {answer}")) }
}
