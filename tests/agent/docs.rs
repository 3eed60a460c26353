//! The loops in `docs/api.md` that start and stop a service with the role: when the agent is killed, the service stops.

use crate::site::{LONG, Site};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The first block of code in this language that has these words.
fn block(language: &str, words: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md")).expect("it is there");
    let start = format!("```{language}\n");
    let mut blocks = text.split(&start).skip(1).map(|rest| rest.split_once("```").expect("its end").0);
    blocks.find(|block| block.contains(words)).expect("a block").to_owned()
}

/// A program and all that it started; they are killed when this is dropped.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// Waits until the last thing that was done to the service is this.
fn last_done(log: &Path, what: &str) {
    let until = Instant::now() + LONG;
    let done = || fs::read_to_string(log).unwrap_or_default();
    while done().lines().last() != Some(what) {
        assert!(Instant::now() < until, "{what} is missing: {}", done());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A leader's loop starts the service, and stops it when the agent is killed; an agent that is there again begins anew.
fn stops_with_the_agent(site: &Site, log: &Path, program: &mut Command) {
    let mut agent = site.start();
    agent.line("event=leading");
    let _group = Group(program.process_group(0).stdin(Stdio::null()).spawn().expect("it runs"));
    last_done(log, "start");
    agent.signal(Signal::SIGKILL);
    agent.end();
    last_done(log, "stop");
    let mut again = site.start();
    again.line("event=leading");
    last_done(log, "start");
    again.signal(Signal::SIGTERM);
    again.end();
    last_done(log, "stop");
}

#[test]
fn the_loop_in_a_shell_stops_the_service_when_the_agent_is_killed() {
    let site = Site::new();
    let log = site.path("done");
    let script = format!("#!/bin/sh\necho \"$1\" >>'{}'\n", log.display());
    let bin = site.path("bin");
    fs::create_dir(&bin).expect("made");
    fs::write(bin.join("systemctl"), script).expect("written");
    fs::set_permissions(bin.join("systemctl"), fs::Permissions::from_mode(0o755)).expect("set");
    std::os::unix::fs::symlink(crate::site::TANIST, bin.join("tanist")).expect("linked");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(block("sh", "office-db; else")).env("PATH", path).env("TANIST_SOCKET", &site.socket);
    stops_with_the_agent(&site, &log, shell.stderr(Stdio::null()));
}

#[test]
fn the_loop_in_python_stops_the_service_when_the_agent_is_killed() {
    if Command::new("python3").arg("--version").output().is_err() {
        assert!(std::env::var_os("TANIST_TESTS_MUST_RUN").is_none(), "there is no python3 here");
        eprintln!("skipped: there is no python3 here");
        return;
    }
    let site = Site::new();
    let log = site.path("done");
    let client = block("python", "class Agent").replace("/run/tanist/tanist.sock", &site.socket.display().to_string());
    let does = |what: &str| format!("lambda: print({what:?}, file=open({:?}, 'a'))", log.display().to_string());
    let calls = format!("follow_role({}, {})", does("start"), does("stop"));
    let mut python = Command::new("python3");
    python.arg("-c").arg(format!("{client}\n{}\n{calls}\n", block("python", "def follow_role")));
    stops_with_the_agent(&site, &log, &mut python);
}
