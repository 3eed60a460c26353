//! Scenes: each runs in private namespaces of its own and prints its figures; the process outside gathers them.

use super::way::{end_with_parent, way};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

/// Names the scene to the process that plays it, and its directory.
const SCENE: &str = "TANIST_BENCH_SCENE";
const DIR: &str = "TANIST_BENCH_DIR";

/// Begins the line of a figure.
const FIGURE: &str = "figure ";

/// A scene that takes longer is ended, in seconds.
const LONGEST: &str = "7200";

/// One figure: of whom, of what, how much.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Whose it is: a kind of cluster.
    pub(crate) of: String,
    /// What was measured.
    pub(crate) what: String,
    pub(crate) value: f64,
}

/// A scene that is to be played here.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
}

/// The scene that this process was started for.
pub(crate) fn inside() -> Option<Scene> {
    let (name, dir) = (std::env::var(SCENE).ok()?, std::env::var_os(DIR)?);
    end_with_parent();
    Some(Scene { name, dir: PathBuf::from(dir) })
}

/// Plays a scene to its end.
///
/// # Errors
/// Those of the scene.
pub(crate) fn play(scene: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    // The processes that are started here have the numbers that they are asked by.
    let proc = Command::new("mount").args(["-t", "proc", "proc", "/proc"]).status();
    proc.ok().filter(ExitStatus::success).ok_or("/proc of these processes cannot be had")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(scene)
}

/// Prints a figure for the process outside.
pub(crate) fn figure(of: &str, what: &str, value: f64) {
    let figure = Figure { of: of.to_owned(), what: what.to_owned(), value };
    println!("{FIGURE}{}", serde_json::to_string(&figure).expect("plain values"));
}

/// True when the user asked for a short run, which shows that everything works and no more.
pub(crate) fn quick() -> bool {
    number("TANIST_BENCH_QUICK", 0) != 0
}

/// A number from the environment.
pub(crate) fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// The words on the command line: only scenes whose names have one of them are played. Cargo adds flags of its own.
pub(crate) fn wanted(scene: &str) -> bool {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with('-')).peekable();
    words.peek().is_none() || words.any(|word| scene.contains(&word))
}

/// Plays a scene in a process and namespaces of its own, and gathers its figures.
///
/// # Errors
/// When no LAN can be made here, or the scene ended badly: what it said is on standard error already, and what it
/// measured before is in `figures`.
pub(crate) fn started(name: &str, figures: &mut Vec<Figure>) -> Result<(), String> {
    let way = way().as_ref().map_err(Clone::clone)?;
    let dir = tempfile::tempdir().map_err(|e| format!("no directory: {e}"))?;
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", LONGEST, "unshare"]).args(way);
    command.arg(std::env::current_exe().map_err(|e| e.to_string())?);
    command.env(SCENE, name).env(DIR, dir.path()).env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("timeout: {e}"))?;
    let held = child.stdin.take();
    let out = child.stdout.take().ok_or("no output")?;
    for line in BufReader::new(out).lines() {
        let line = line.map_err(|e| e.to_string())?;
        match line.strip_prefix(FIGURE).map(serde_json::from_str) {
            Some(Ok(figure)) => figures.push(figure),
            _ => eprintln!("{line}"),
        }
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    drop(held);
    if status.success() { Ok(()) } else { Err(format!("the scene `{name}` ended with {status}")) }
}
