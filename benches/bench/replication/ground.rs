//! What the ground itself takes: the disk for a sync, and the network for a round trip.

use super::clients::{go_to, millis};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// The port of the machine that answers.
const PORT: u16 = 7007;

/// What travels, in bytes.
const PACKET: usize = 64;

/// What is written, in bytes.
const PAGE: usize = 4096;

/// The file system that keeps everything in memory, as `statfs` names it.
const IN_MEMORY: nix::sys::statfs::FsType = nix::sys::statfs::TMPFS_MAGIC;

/// Whether this directory is on a disk.
///
/// # Errors
/// When it is not, and what to do.
pub(super) fn on_disk(dir: &Path) -> Result<(), String> {
    let kind = nix::sys::statfs::statfs(dir).map_err(|e| format!("{}: {e}", dir.display()))?.filesystem_type();
    if kind == IN_MEMORY {
        return Err(format!("{} is in memory: name a folder on a disk with TMPDIR", dir.display()));
    }
    Ok(())
}

/// S: how long 4 KiB take to be durable, again and again for a while, in milliseconds: at the end of a file, or over what
/// it has already.
///
/// # Errors
/// Those of the disk.
pub(super) fn syncs(dir: &Path, over: bool, during: Duration) -> io::Result<Vec<f64>> {
    let path = dir.join("plain");
    let file = File::create(&path)?;
    if over {
        file.write_all_at(&[0; PAGE], 0)?;
        file.sync_all()?;
    }
    let (begun, mut took, mut end) = (Instant::now(), Vec::new(), 0);
    while begun.elapsed() < during {
        let at = Instant::now();
        file.write_all_at(&[7; PAGE], end)?;
        file.sync_data()?;
        took.push(millis(at.elapsed()));
        end += if over { 0 } else { PAGE as u64 };
    }
    std::fs::remove_file(path)?;
    Ok(took)
}

/// R: how long 64 bytes take from a machine of the LAN to another and back, on one TCP connection, again and again for a
/// while, in milliseconds.
///
/// # Errors
/// Those of the network.
pub(super) fn trips(from: usize, to: usize, during: Duration) -> io::Result<Vec<f64>> {
    let (ready, is_ready) = sync_channel(1);
    let answers = std::thread::spawn(move || {
        go_to(to)?;
        let listener = TcpListener::bind((format!("10.77.0.{to}"), PORT))?;
        let _ = ready.send(());
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut packet = [0; PACKET];
        while stream.read_exact(&mut packet).is_ok() {
            stream.write_all(&packet)?;
        }
        io::Result::Ok(())
    });
    let asks = std::thread::spawn(move || {
        is_ready.recv().map_err(io::Error::other)?;
        go_to(from)?;
        let mut stream = TcpStream::connect((format!("10.77.0.{to}"), PORT))?;
        stream.set_nodelay(true)?;
        let (begun, mut took, mut packet) = (Instant::now(), Vec::new(), [7; PACKET]);
        while begun.elapsed() < during {
            let at = Instant::now();
            stream.write_all(&packet)?;
            stream.read_exact(&mut packet)?;
            took.push(millis(at.elapsed()));
        }
        io::Result::Ok(took)
    });
    let took = asks.join().expect("it does not panic")?;
    answers.join().expect("it does not panic")?;
    Ok(took)
}
