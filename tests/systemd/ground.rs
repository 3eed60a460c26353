//! Where a test runs: in private namespaces and a control group, made by starting this program again inside `unshare`.

use super::tree;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Names the tree of a test's machines to the process that runs it.
const INSIDE: &str = "TANIST_SYSTEMD_INSIDE";

/// Makes a test that cannot run fail.
const MUST_RUN: &str = "TANIST_TESTS_MUST_RUN";

/// A test that takes longer is ended.
const LONGEST: &str = "180";

/// How long the last processes of a test may take to go.
const ENDING: Duration = Duration::from_secs(10);

/// Says that the story was told to its end.
const DONE: &str = "the story ends here";

const PROGRAMS: [&str; 8] =
    ["debootstrap", "systemd-nspawn", "systemctl", "unshare", "nsenter", "ip", "timeout", "dpkg-deb"];

/// One story at a time: machines that wait for a processor look like machines that stand still.
static PLACE: Mutex<()> = Mutex::new(());

/// Why no machine can be booted here, if none can.
fn missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("only root can boot machines".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |program: &&&str| !std::env::split_paths(&path).any(|dir| dir.join(program).exists());
    if let Some(program) = PROGRAMS.iter().find(there) {
        return Some(format!("there is no {program} here"));
    }
    if groups().is_none() {
        return Some("no control groups of version 2 are mounted".to_owned());
    }
    package().err()
}

/// Says that a test does not run, or fails.
///
/// # Panics
/// When every test must run.
pub(crate) fn skip(name: &str, why: &str) {
    assert!(std::env::var_os(MUST_RUN).is_none_or(|v| v != "1"), "{why}");
    say(&format!("systemd | {name} skipped: {why}\n"));
}

/// The newest `.deb`.
pub(crate) fn package() -> Result<PathBuf, String> {
    built("deb")
}

/// The package that ends so.
pub(crate) fn built(end: &str) -> Result<PathBuf, String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/package");
    let entries = fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let found = entries.into_iter().find(|path| path.to_string_lossy().ends_with(end));
    found.ok_or_else(|| format!("there is no .{end} in target/package/: systemd/package/build makes it"))
}

/// Where the control groups of version 2 are.
fn groups() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().map(|line| line.split(' ')).find_map(|mut words| {
        let place = words.nth(1)?;
        (words.next() == Some("cgroup2")).then(|| PathBuf::from(place))
    })
}

/// Runs a test: `name` is the test's own path in this program, `suite` the Debian of its machines. `story` gets a place for
/// their disks, and the tree that all begin with.
///
/// # Panics
/// When the story fails.
pub(crate) fn story(name: &str, suite: &str, story: impl FnOnce(&Path, &Path)) {
    if let Some(tree) = std::env::var_os(INSIDE) {
        return inside(Path::new(&tree), story);
    }
    if let Some(why) = missing() {
        return skip(name, &why);
    }
    let tree = tree::of(suite);
    let _place = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    let group = groups().expect("looked for").join(format!("tanist-{}", std::process::id()));
    fs::create_dir(&group).expect("a control group");
    // Once in its group, the story cannot start a process that is not.
    let within = "echo $$ > \"$1\"/cgroup.procs && shift && exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", within, "sh"]).arg(&group).args(["timeout", "--signal=KILL", LONGEST, "unshare"]);
    command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--fork", "--kill-child", "--mount-proc"]);
    command.arg(std::env::current_exe().expect("this program has a path"));
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(INSIDE, tree).env("RUST_BACKTRACE", "0");
    let output = command.stdin(Stdio::null()).output().expect("`sh` runs");
    end(&group);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() || !out.contains(DONE) {
        // The reason first and last: whoever leaves out a part leaves out the middle.
        panic!("{name} failed ({}):\n{err}\n{out}\n{name} failed ({0}):\n{err}", output.status);
    }
    let figures: String = out.lines().filter(|line| line.starts_with("systemd | ")).map(|l| format!("{l}\n")).collect();
    say(&format!("systemd | {name}\n{figures}"));
}

/// Ends every process of a control group, and removes it.
pub(crate) fn end(group: &Path) {
    let begun = Instant::now();
    let _ = fs::write(group.join("cgroup.kill"), "1");
    while !remove(group) {
        assert!(begun.elapsed() < ENDING, "a process of {} does not end", group.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Removes a control group and those below it; not when there are processes.
pub(crate) fn remove(group: &Path) -> bool {
    let below = fs::read_dir(group).into_iter().flatten().flatten().map(|entry| entry.path());
    below.filter(|path| path.is_dir()).all(|path| remove(&path)) && fs::remove_dir(group).is_ok()
}

/// Prints past the test harness, which swallows what a successful test prints.
fn say(text: &str) {
    // Nobody to tell.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn inside(tree: &Path, story: impl FnOnce(&Path, &Path)) {
    let dir = Path::new("/run/tanist-machines");
    sh("mount --make-rprivate / && mount -t sysfs sysfs /sys && mount -t cgroup2 cgroup2 /sys/fs/cgroup &&
        mkdir /sys/fs/cgroup/test && echo 1 > /sys/fs/cgroup/test/cgroup.procs &&
        mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/tanist-machines && ip link set lo up");
    // Behind the name of the test, which has no end of line.
    println!();
    story(dir, tree);
    println!("{DONE}");
}

/// Runs a few lines of shell here.
///
/// # Panics
/// When they fail.
pub(crate) fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().expect("`sh` runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
