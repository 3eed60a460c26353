//! Where a test runs: in private namespaces of its own, made by starting this program again inside `unshare`.

use super::lan::{FIGURE, Lan};
use super::net::in_memory;
use super::way::{end_with_parent, way};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Names the directory of a test to the process that runs it.
const INSIDE: &str = "TANIST_LAN_INSIDE";

/// Makes a test that cannot run fail.
const MUST_RUN: &str = "TANIST_TESTS_MUST_RUN";

/// So many LANs run at once: agents that wait for a processor look like agents that stand still.
const AT_ONCE: usize = 2;

/// A test that takes longer is ended, unless it says how long it takes.
const LONGEST: Duration = Duration::from_secs(110);

/// Says that the story was told to its end.
const DONE: &str = "the story ends here";

/// Runs a test: `name` is the test's own path in this program.
///
/// # Panics
/// When the story fails.
pub(crate) fn story(name: &str, story: impl AsyncFnOnce(&mut Lan)) {
    story_within(name, LONGEST, story);
}

/// Runs a test that takes so long at most.
///
/// # Panics
/// When the story fails.
pub(crate) fn story_within(name: &str, longest: Duration, story: impl AsyncFnOnce(&mut Lan)) {
    if let Some(dir) = std::env::var_os(INSIDE) {
        return inside(name, PathBuf::from(dir), story);
    }
    let way = match way() {
        Ok(way) => way,
        Err(why) if std::env::var_os(MUST_RUN).is_some_and(|v| v == "1") => panic!("{why}"),
        Err(why) => return say(&format!("{FIGURE}{name} skipped: {why}\n")),
    };
    let _place = Place::take();
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", &longest.as_secs().to_string(), "unshare"]).args(way);
    command.arg(std::env::current_exe().expect("this program has a path"));
    command
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, dir.path())
        .env("RUST_BACKTRACE", "0");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("`timeout` runs");
    // The test ends when this end of its standard input closes, however this process dies.
    let held = child.stdin.take();
    let output = child.wait_with_output().expect("a child of this process");
    drop(held);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    crate::freezer::thaw_all(dir.path());
    if !output.status.success() || !out.contains(DONE) {
        // The reason first and last: whoever leaves out a part leaves out the middle.
        panic!("{name} failed ({}):\n{err}\n{out}\n{name} failed ({0}):\n{err}", output.status);
    }
    let figures: String = out.lines().filter(|line| line.starts_with(FIGURE)).map(|line| format!("{line}\n")).collect();
    say(&format!("{FIGURE}{name}\n{figures}"));
}

/// Prints past the test harness, which swallows what a successful test prints.
fn say(text: &str) {
    // Nobody to tell.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// A new file for the log of a test.
fn log_of(name: &str) -> File {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lan").join(format!("{}.log", name.replace("::", "-")));
    std::fs::create_dir_all(path.parent().expect("it has a directory")).expect("a directory for logs");
    File::create(path).expect("a file for the log")
}

fn inside(name: &str, dir: PathBuf, story: impl AsyncFnOnce(&mut Lan)) {
    end_with_parent();
    // All machines would share one disk, and wait for whatever else this computer writes: no machine of an office does.
    in_memory(&dir);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut lan = Lan::new(dir, Some(log_of(name))).await;
        story(&mut lan).await;
        lan.print_figures();
    });
    println!("{DONE}");
}

/// A place among the tests that run.
struct Place;

static TAKEN: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

impl Place {
    fn take() -> Self {
        let taken = TAKEN.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = TAKEN.1.wait_while(taken, |n| *n >= AT_ONCE).unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        Place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *TAKEN.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        TAKEN.1.notify_one();
    }
}
