//! `tanist run`: a command that follows the role.

use super::common::{Agent, Lan, in_time, tanist};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::runtime::Builder;

/// Between two looks at what a command wrote.
const LOOK: Duration = Duration::from_millis(2);

/// A runner; it is killed when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(agent: &Agent, options: &[&str], command: &[&str]) -> Command {
    let mut run = tanist();
    run.arg("run").arg("--socket").arg(&agent.socket).args(options).arg("--").args(command);
    run.stdout(Stdio::piped()).stderr(Stdio::piped());
    run
}

/// A shell that says in a file when it starts and when it has stopped, which takes it a while.
fn says(log: &Path, name: &str, stops: &str) -> String {
    let log = log.display();
    format!(
        "trap '{stops}; echo {name} stopped >> {log}; exit 0' TERM; echo {name} started $TANIST_EPOCH >> {log}; \
         while :; do sleep 0.02; done"
    )
}

fn lines(log: &Path) -> Vec<String> {
    fs::read_to_string(log).unwrap_or_default().lines().map(str::to_owned).collect()
}

async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let mut look = tokio::time::interval(LOOK);
    in_time(what, async {
        while !so() {
            look.tick().await;
        }
    })
    .await;
}

async fn ended(running: &mut Running) -> ExitStatus {
    let mut status = None;
    until("the runner ends", || {
        status = running.0.try_wait().expect("its state");
        status.is_some()
    })
    .await;
    status.expect("it ended")
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).expect("it is there");
}

/// Whether a process with this number lives.
fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn number(file: &Path) -> Option<i32> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn play(story: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(story);
}

/// One that leads, and its directory.
async fn leader(lan: &Lan) -> (Agent, PathBuf) {
    let agent = lan.start(1).await;
    in_time("it leads", agent.client().leader(Some(Duration::from_secs(10)))).await.expect("a leader");
    (agent, lan.dir.path().to_owned())
}

/// On two machines the command runs on the one that leads, and a handover waits until it has stopped there before it starts
/// on the other: never two at once.
#[test]
fn a_command_follows_the_role_and_never_runs_twice() {
    play(async {
        let lan = Lan::new();
        let (first, dir) = leader(&lan).await;
        let second = lan.start(2).await;
        let log = dir.join("log");
        let agents = [&first, &second];
        let commands = ["a", "b"].map(|name| says(&log, name, "sleep 0.3"));
        let _runners: Vec<Running> = agents
            .iter()
            .zip(&commands)
            .map(|(agent, command)| Running(run(agent, &[], &["sh", "-c", command]).spawn().expect("it runs")))
            .collect();
        until("it runs where the role is", || lines(&log) == ["a started 1"]).await;
        until_successor(&first).await;
        let begun = Instant::now();
        let leader = first.client().handover(None).await.expect("the second takes over");
        assert!(begun.elapsed() >= Duration::from_millis(300), "it waits for the command: {:?}", begun.elapsed());
        let epoch = leader.epoch;
        let all = ["a started 1".to_owned(), "a stopped".to_owned(), format!("b started {epoch}")];
        until("it runs on the other machine", || lines(&log) == all).await;
        until_successor(&second).await;
        second.client().handover(None).await.expect("the first takes over again");
        until("it is back", || lines(&log).len() == 5).await;
        assert_eq!(lines(&log)[3], "b stopped");
        assert!(lines(&log)[4].starts_with("a started "));
    });
}

async fn until_successor(agent: &Agent) {
    let mut look = tokio::time::interval(LOOK);
    in_time("there is a successor", async {
        while agent.client().status().await.expect("it answers").successor.is_none() {
            look.tick().await;
        }
    })
    .await;
}

/// A tree whose processes ignore SIGTERM, have a session of their own and lost their parents: it is gone after the grace, and
/// the handover is not held up for longer.
#[test]
fn a_whole_tree_is_stopped_whatever_it_does() {
    play(async {
        let lan = Lan::new();
        let (first, dir) = leader(&lan).await;
        let _second = lan.start(2).await;
        let deep = dir.join("deep");
        let command = format!(
            "trap '' TERM; (setsid sh -c 'trap \"\" TERM; echo $$ > {}; while :; do sleep 1; done' &) ; while :; do sleep 1; done",
            deep.display()
        );
        let _runner = Running(run(&first, &["--grace", "400ms"], &["sh", "-c", &command]).spawn().expect("it runs"));
        until("all of it runs", || number(&deep).is_some()).await;
        let pid = number(&deep).expect("its number");
        until_successor(&first).await;
        let begun = Instant::now();
        first.client().handover(None).await.expect("the second takes over");
        assert!(begun.elapsed() >= Duration::from_millis(400), "it had its grace: {:?}", begun.elapsed());
        until("it is killed", || !lives(pid)).await;
    });
}

/// An agent that dies takes the command along at once, and one that only stands still does not.
#[test]
fn the_death_of_the_agent_stops_the_command_and_a_late_heartbeat_does_not() {
    play(async {
        let lan = Lan::new();
        let (mut agent, dir) = leader(&lan).await;
        let pid = dir.join("pid");
        let command = format!("echo $$ > {}; exec sleep 1000", pid.display());
        let mut runner = Running(run(&agent, &[], &["sh", "-c", &command]).spawn().expect("it runs"));
        until("it runs", || number(&pid).is_some()).await;
        let process = number(&pid).expect("its number");
        signal(&agent.child, Signal::SIGSTOP);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(lives(process), "nobody said that it is to stop");
        signal(&agent.child, Signal::SIGCONT);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(lives(process), "this machine leads on");
        agent.child.kill().expect("killed");
        let begun = Instant::now();
        until("the command has ended", || !lives(process)).await;
        assert!(begun.elapsed() < Duration::from_millis(100) * slow(), "{:?}", begun.elapsed());
        assert_eq!(ended(&mut runner).await.code(), Some(69));
    });
}

/// How much longer things may take here: tests share their processors.
fn slow() -> u32 {
    5
}

/// The agent of a machine that is alone is told to stop: the command has its grace first, and neither is left behind.
#[test]
fn an_agent_that_stops_waits_for_the_command() {
    play(async {
        let lan = Lan::new();
        let (mut agent, dir) = leader(&lan).await;
        let log = dir.join("log");
        // It writes its last word through the agent.
        let stops = format!("sleep 0.5; {} add last word", env!("CARGO_BIN_EXE_tanist"));
        let command = says(&log, "a", &stops);
        let _runner = Running(run(&agent, &[], &["sh", "-c", &command]).spawn().expect("it runs"));
        until("it runs", || lines(&log).len() == 1).await;
        signal(&agent.child, Signal::SIGTERM);
        until("the agent has ended", || agent.child.try_wait().expect("its state").is_some()).await;
        assert_eq!(lines(&log), ["a started 1", "a stopped"], "before the agent");
        let agent = lan.start(1).await;
        let last = agent.client().records("last", None).await.expect("it answers").records;
        assert_eq!(last.len(), 1, "its last word is there");
    });
}

/// The command ends with its runner, however that ends.
#[test]
fn the_command_ends_with_its_runner() {
    play(async {
        let lan = Lan::new();
        let (agent, dir) = leader(&lan).await;
        for (signal_, code) in [(Signal::SIGTERM, Some(0)), (Signal::SIGINT, Some(130)), (Signal::SIGKILL, None)] {
            let pid = dir.join(format!("pid-{signal_}"));
            let command = format!("echo $$ > {}; exec sleep 1000", pid.display());
            let mut runner = Running(run(&agent, &[], &["sh", "-c", &command]).spawn().expect("it runs"));
            until("it runs", || number(&pid).is_some()).await;
            signal(&runner.0, signal_);
            assert_eq!(ended(&mut runner).await.code(), code, "{signal_}");
            until("the command has ended", || !lives(number(&pid).expect("its number"))).await;
        }
    });
}

/// A command that ends is started again, and with `--once` its status is the runner's.
#[test]
fn a_command_that_ends_is_started_again_but_for_once() {
    play(async {
        let lan = Lan::new();
        let (agent, dir) = leader(&lan).await;
        let log = dir.join("log");
        let command = format!("echo x >> {}; exit 3", log.display());
        let mut runner = Running(run(&agent, &[], &["sh", "-c", &command]).spawn().expect("it runs"));
        until("it is started again and again", || lines(&log).len() == 3).await;
        signal(&runner.0, Signal::SIGTERM);
        assert_eq!(ended(&mut runner).await.code(), Some(0));
        for (command, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)] {
            let mut runner = Running(run(&agent, &["--once"], &["sh", "-c", command]).spawn().expect("it runs"));
            assert_eq!(ended(&mut runner).await.code(), Some(code), "{command}");
        }
    });
}

/// What cannot be run is said before anything waits for the role.
#[test]
fn a_command_that_cannot_be_run_is_said_at_once() {
    play(async {
        let lan = Lan::new();
        let (agent, dir) = leader(&lan).await;
        let plain = dir.join("plain");
        fs::write(&plain, "no program").expect("written");
        let plain = plain.display().to_string();
        for (command, code, words) in [
            ("/no/such/thing", 127, "there is no such command"),
            ("no-such-thing-anywhere", 127, "there is no such command"),
            (plain.as_str(), 126, "may not be run"),
        ] {
            let output = run(&agent, &[], &[command]).output().expect("it runs");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(code), "{said}");
            assert!(said.contains(command) && said.contains(words) && said.lines().count() == 1, "{said}");
        }
        let mut nobody = tanist();
        nobody.args(["run", "--socket", "/no/sock", "--", "true"]);
        let output = nobody.output().expect("it runs");
        assert_eq!(output.status.code(), Some(69), "{}", String::from_utf8_lossy(&output.stderr));
    });
}
