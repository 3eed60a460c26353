//! What follows the role besides `tanist run`: hooks, the leader's file, and a configuration that is read again.

use crate::site::{Agent, LONG, Site, TANIST};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Between two looks at a file.
const LOOK: Duration = Duration::from_millis(2);

/// A script that may be run.
fn script(site: &Site, name: &str, text: &str) -> PathBuf {
    let path = site.path(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("allowed");
    path
}

/// An agent with this configuration.
fn start(site: &Site, text: &str) -> Agent {
    let mut command = site.command();
    site.config(text);
    Agent::spawn(&mut command)
}

fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < LONG, "it was not so that {what}");
        std::thread::sleep(LOOK);
    }
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn ask(site: &Site, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(TANIST).args(arguments).env("TANIST_SOCKET", &site.socket).output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().expect("a status"), String::from_utf8_lossy(&said).into_owned())
}

/// Hooks run in the order of what happened, `any` before an event's own, and know what it was; the last one is the goodbye's.
#[test]
fn hooks_run_in_order_and_know_what_happened() {
    let site = Site::new();
    let log = site.path("log");
    let told = "$TANIST_EVENT $TANIST_EPOCH [$TANIST_LEADER] $TANIST_LEADER_ADDRESS $TANIST_NAME $TANIST_SOCKET";
    let any = script(&site, "any", &format!("echo any $TANIST_EVENT >> {}", log.display()));
    let own = script(&site, "own", &format!("echo own {told} >> {}; echo said \"by it\"", log.display()));
    let text = format!("[hooks]\nany = '{}'\nleading = '{}'\n", any.display(), own.display());
    let mut agent = start(&site, &text);
    agent.line("event=leading");
    agent.line("hook leading: said by it");
    agent.signal(Signal::SIGTERM);
    assert!(agent.end().0.success());
    let found = lines(&log);
    let at = found.iter().position(|line| line == "any leading").expect("any comes first");
    let socket = site.socket.display();
    let name = found[at + 1].split(' ').nth(5).expect("a name").to_owned();
    let address = format!("{}:{}", site.ip, site.port);
    assert_eq!(found[at + 1], format!("own leading 1 [{name}] {address} {name} {socket}"), "{found:?}");
    assert_eq!(found[0], "any started", "{found:?}");
    assert_eq!(found.last().expect("the last"), "any goodbye", "{found:?}");
}

/// A hook starts within milliseconds of the role.
#[test]
fn a_hook_starts_within_milliseconds_of_the_role() {
    let site = Site::new();
    let log = site.path("log");
    let own = script(&site, "own", &format!("date +%s%N > {}", log.display()));
    let mut agent = start(&site, &format!("[hooks]\nleading = '{}'\n", own.display()));
    agent.line("event=leading");
    until("the hook has run", || !lines(&log).is_empty());
    let (_, history) = ask(&site, &["history", "--json"]);
    let history: serde_json::Value = serde_json::from_str(&history).expect("JSON");
    let began = history["reigns"][0]["began"].as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time");
    let ran: i128 = lines(&log)[0].parse().expect("nanoseconds");
    let after = ran - began.as_nanosecond();
    // The shell and its date take most of it, and tests share their processors.
    assert!(after < 100_000_000, "{after} ns after the role");
}

/// What goes wrong with a hook is one clear line, and the role is not harmed.
#[test]
fn a_hook_that_goes_wrong_is_one_line_and_harms_nobody() {
    let site = Site::new();
    let pids = site.path("pids");
    let plain = site.path("plain");
    fs::write(&plain, "no program").expect("written");
    let fails = script(&site, "fails", "exit 3");
    let floods = script(&site, "floods", "yes flood | head -c 3000000");
    let hangs = script(
        &site,
        "hangs",
        &format!(
            "trap '' TERM; (setsid sh -c 'trap \"\" TERM; echo $$ >> {pids}; sleep 1000' &); echo $$ >> {pids}; sleep 1000",
            pids = pids.display()
        ),
    );
    let text = format!(
        "[hooks]\nstarted = '/no/such/hook'\nlistening = '{}'\nclaiming = '{}'\nnetwork-up = '{}'\nleading = '{}'\ntimeout = '300ms'\n",
        plain.display(),
        fails.display(),
        floods.display(),
        hangs.display()
    );
    let mut agent = start(&site, &text);
    agent.line("hook started (/no/such/hook) cannot be run: ");
    agent.line("hook leading");
    let said = agent.seen.clone();
    let warns = |what: &str| said.iter().any(|line| line.contains(what));
    assert!(warns("took longer than 300ms: it was killed with its children"), "{said:#?}");
    let flood = said.iter().filter(|line| line.contains(": flood")).count();
    assert!(flood <= 20, "{flood} lines of a flood");
    until("all of the hook's processes have ended", || {
        lines(&pids).len() == 2 && lines(&pids).iter().all(|pid| !Path::new(&format!("/proc/{pid}/cwd")).exists())
    });
    let (status, said) = ask(&site, &["leader"]);
    assert_eq!(status, 0, "{said}");
}

/// The leader's file stands beside the socket in the runtime directory, and is empty when the agent has ended. An agent that
/// listens elsewhere, as those of a demo do, leaves it alone.
#[test]
fn a_file_names_the_leader() {
    let mut site = Site::new();
    let run = site.path("run");
    fs::create_dir(&run).expect("made");
    fs::set_permissions(&run, fs::Permissions::from_mode(0o777)).expect("allowed");
    let file = run.join("leader");
    let mut elsewhere = Agent::spawn(site.command().env("RUNTIME_DIRECTORY", &run));
    elsewhere.line("event=leading");
    elsewhere.signal(Signal::SIGTERM);
    assert!(elsewhere.end().0.success() && !file.exists());
    site.socket = run.join("tanist.sock");
    let mut agent = Agent::spawn(site.command().env("RUNTIME_DIRECTORY", &run));
    agent.line("event=leading");
    until("the leader is named", || {
        lines(&file).first().is_some_and(|line| line.ends_with(&format!(" {}:{}", site.ip, site.port)))
    });
    agent.signal(Signal::SIGTERM);
    assert!(agent.end().0.success());
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "");
}

/// A configuration is read again at SIGHUP and when a user asks: the role stays, what can change does, what cannot is said,
/// and a wrong file changes nothing.
#[test]
fn a_configuration_is_read_again_without_losing_the_role() {
    let site = Site::new();
    let mut agent = start(&site, "priority = 90\n");
    agent.line("event=leading");
    site.config("priority = 7\nheartbeat = '300ms'\nlog = 'debug'\n");
    let (status, said) = ask(&site, &["reload"]);
    assert_eq!(status, 0, "{said}");
    assert!(
        said.contains("changed: priority, log") && said.contains("next start of the agent on: heartbeat"),
        "{said}"
    );
    let (_, members) = ask(&site, &["members", "--json"]);
    assert!(members.contains("\"priority\":7"), "{members}");
    site.config("priority = 300\n");
    let (status, said) = ask(&site, &["reload"]);
    assert_eq!(status, 78, "{said}");
    assert!(said.contains("tanist.toml:1: priority: 300 is out of bounds") && said.lines().count() == 1, "{said}");
    site.config("name = 'another'\n");
    agent.signal(Signal::SIGHUP);
    agent.line("the configuration was read again: changed name, priority, log");
    until("it has its new name", || ask(&site, &["leader"]).1.starts_with("another "));
    let (_, history) = ask(&site, &["history", "--json"]);
    let history: serde_json::Value = serde_json::from_str(&history).expect("JSON");
    assert_eq!(history["reigns"].as_array().expect("reigns").len(), 1, "it led all the while: {history}");
}

/// Only members of the group may change something; everybody may read.
#[test]
fn a_group_may_write_and_everybody_may_read() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can ask as somebody else");
        return;
    }
    let site = Site::new();
    fs::set_permissions(site.dir.path(), fs::Permissions::from_mode(0o755)).expect("allowed");
    let mut agent = start(&site, "write_group = 'games'\n");
    agent.line("event=leading");
    let program = site.path("asks");
    fs::copy(TANIST, &program).expect("copied");
    let daemon = nix::unistd::User::from_name("daemon").expect("users can be read").expect("it is there");
    let somebody = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(arguments).env("TANIST_SOCKET", &site.socket).uid(daemon.uid.as_raw()).gid(daemon.gid.as_raw());
        let output = command.output().expect("it runs");
        (output.status.code().expect("a status"), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(somebody(&["keys"]).0, 0, "everybody may read");
    for arguments in [&["put", "a", "1"][..], &["handover"], &["reload"], &["run", "--", "true"]] {
        let (status, said) = somebody(arguments);
        assert_eq!(status, 77, "{arguments:?}: {said}");
        assert!(said.contains("members of the group games") && said.contains("usermod -aG games"), "{said}");
    }
    let own = nix::unistd::Group::from_gid(daemon.gid).expect("groups can be read").expect("it is there").name;
    site.config(&format!("write_group = '{own}'\n"));
    assert_eq!(ask(&site, &["reload"]).0, 0);
    assert_eq!(somebody(&["put", "a", "1"]).0, 0, "its own group may");
}
