//! The demo: by itself, as lines, and what it leaves behind.

use super::common::{self, in_time, tanist};
use super::{status, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn demo(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = tanist();
    command.arg("demo").args(arguments).env("TMPDIR", dir).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The processes that name `word` in their arguments: what a test may have left behind.
fn left_behind(word: &Path) -> Vec<String> {
    let word = word.to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&word))
        .collect()
}

fn nothing_is_left(dir: &Path) {
    assert_eq!(left_behind(dir), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(dir).expect("a directory").count(), 0);
}

#[test]
fn two_demos_at_once_play_to_the_end_and_leave_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let demos: Vec<Child> = [["2", "--script", "--json"], ["4", "--script", "--json"]]
        .iter()
        .map(|arguments| demo(dir.path(), arguments).spawn().expect("it runs"))
        .collect();
    for (child, agents) in demos.into_iter().zip([2, 4]) {
        let output = child.wait_with_output().expect("its end");
        let said = text(&output.stdout);
        assert_eq!(status(&output), 0, "{said}{}", text(&output.stderr));
        let figures: Value = serde_json::from_str(said.lines().last().expect("a line")).expect("JSON");
        assert_eq!((figures["ok"].as_bool(), figures["agents"].as_u64()), (Some(true), Some(agents)));
        for figure in ["cold_start_ms", "failover_ms", "rejoin_ms", "handover_ms", "reunion_ms", "heartbeat_ms"] {
            assert!(figures[figure].as_f64().is_some_and(|ms| ms > 0.0), "{figure}: {figures}");
        }
        let steps: Vec<&str> =
            figures["steps"].as_array().expect("steps").iter().filter_map(|s| s["step"].as_str()).collect();
        assert_eq!(steps, ["start", "kill", "rejoin", "handover", "split", "end"]);
        every_record_is_everywhere(&figures, agents);
        both_sides_led_and_one_key_was_in_conflict(&figures, agents);
    }
    nothing_is_left(dir.path());
}

/// After each step every acknowledged record was on every agent that ran, and at the end on all.
fn every_record_is_everywhere(figures: &Value, agents: u64) {
    for step in ["cold_start", "failover", "rejoin", "handover", "split"] {
        let figure = format!("{step}_wait_ms");
        assert!(figures[&figure].as_f64().is_some_and(|ms| ms > 0.0), "{figure}: {figures}");
    }
    let mut before = 0;
    for (step, runs) in
        figures["steps"].as_array().expect("steps").iter().zip([agents, agents - 1, agents, agents, agents, agents])
    {
        let records = &step["records"];
        let machines = records["machines"].as_array().expect("machines");
        assert_eq!(machines.len() as u64, runs, "{step}");
        assert!(machines.iter().all(|machine| machine["missing"] == 0 && machine["twice"] == 0), "{step}");
        let acknowledged = records["acknowledged"].as_u64().expect("a number");
        // Every writer got on during the step; at the end they had ended.
        assert!(acknowledged >= before + if step["step"] == "end" { 0 } else { runs }, "{step}");
        before = acknowledged;
    }
    let whole = ["acknowledged", "missing", "twice"].map(|figure| figures[figure].as_u64());
    assert_eq!(whole, [Some(before), Some(0), Some(0)], "{figures}");
}

/// Half of the agents, and no more, were cut off, had a leader of their own, and changed the key.
fn both_sides_led_and_one_key_was_in_conflict(figures: &Value, agents: u64) {
    let step = &figures["steps"][4];
    let said = step["text"].as_str().expect("text");
    let off: Vec<String> = (agents - agents / 2 + 1..=agents).map(|n| format!("pc-{n}")).collect();
    assert!(said.starts_with(&format!("{} cut off: ", off.join(" and "))), "{said}");
    let (rest, wrote) = said.split_once(", one conflict: demo/both by ").expect("a conflict");
    let (_, led) = rest.split_once("cut off: ").expect("leaders");
    let led = led.split_once(" led after ").expect("a time").0.split_once(" and ").expect("two leaders");
    let is_off = |name: &str| off.iter().any(|off| off == name);
    for (one, other) in [led, wrote.split_once(" and by ").expect("two sides")] {
        assert_ne!(is_off(one), is_off(other), "{said}");
    }
}

/// The socket of the first agent of the demo that plays in this directory.
fn first_socket(dir: &Path) -> Option<PathBuf> {
    let mut demos = std::fs::read_dir(dir).expect("a directory").filter_map(Result::ok);
    demos.next().map(|demo| demo.path().join("pc-1/sock")).filter(|socket| socket.exists())
}

/// Somebody adds the first record of a writer a second time: the next check finds it on every agent.
#[tokio::test]
async fn a_script_fails_when_a_record_is_there_twice() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = demo(dir.path(), &["3", "--script", "--json"]).spawn().expect("it runs");
    let mut again = tokio::time::interval(Duration::from_millis(5));
    in_time("the record is added", async {
        loop {
            again.tick().await;
            assert!(child.try_wait().expect("its state").is_none(), "the demo ended before");
            let Some(socket) = first_socket(dir.path()) else { continue };
            if tanist::client::Client::at(&socket).add("demo", "pc-2 1").await.is_ok() {
                return;
            }
        }
    })
    .await;
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output = in_time("the demo ends", ended).await.expect("it").expect("ended");
    assert_eq!(status(&output), 1, "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("0 missing, 1 twice"), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("FAILED"), "{said}");
    let figures: Value = serde_json::from_str(said.lines().last().expect("a line")).expect("JSON");
    assert_eq!((figures["ok"].as_bool(), figures["missing"].as_u64()), (Some(false), Some(0)), "{figures}");
    assert!(figures["twice"].as_u64().is_some_and(|twice| twice > 0), "{figures}");
    nothing_is_left(dir.path());
}

/// The agents of a demo: what runs in its directory.
fn agents(demo: &Child) -> Vec<Pid> {
    let parent = format!("PPid:\t{}\n", demo.id());
    let processes = std::fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
    processes
        .filter(|p| std::fs::read_to_string(p.path().join("status")).is_ok_and(|status| status.contains(&parent)))
        .filter_map(|process| process.file_name().to_str().and_then(|pid| pid.parse().ok()))
        .map(Pid::from_raw)
        .collect()
}

#[test]
fn a_script_fails_with_the_reason_when_somebody_meddles_with_its_agents() {
    for (signal, says) in [(Signal::SIGSTOP, "stands still"), (Signal::SIGKILL, "is gone")] {
        let dir = tempfile::tempdir().expect("a directory");
        // At this pace the start alone takes a second and more.
        let mut child = demo(dir.path(), &["3", "--script", "--json", "--heartbeat", "5s"]).spawn().expect("it runs");
        let mut victims = agents(&child);
        while victims.len() < 3 && child.try_wait().expect("its state").is_none() {
            std::thread::yield_now();
            victims = agents(&child);
        }
        kill(*victims.first().expect("agents run"), signal).expect("a signal");
        let output = child.wait_with_output().expect("its end");
        assert_eq!(status(&output), 1, "{}", text(&output.stdout));
        assert!(text(&output.stderr).contains(says), "{}", text(&output.stderr));
        let figures: Value = serde_json::from_str(text(&output.stdout).lines().last().expect("a line")).expect("JSON");
        assert_eq!(figures["ok"].as_bool(), Some(false));
        nothing_is_left(dir.path());
    }
}

#[test]
fn a_demo_without_a_terminal_tells_events_until_it_is_interrupted() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut child = demo(dir.path(), &["2"]).spawn().expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        while !line.contains("event=leading") {
            line.clear();
            assert_ne!(lines.read_line(&mut line).expect("a line"), 0, "the demo ended");
        }
        assert!(line.starts_with("pc-"), "{line}");
        while !line.starts_with("all ") {
            line.clear();
            assert_ne!(lines.read_line(&mut line).expect("a line"), 0, "the demo ended");
        }
        assert!(line.contains("acknowledged · on both machines, none missing, none twice · longest wait "), "{line}");
        kill(Pid::from_raw(i32::try_from(child.id()).expect("an id")), signal).expect("a signal");
        let mut rest = String::new();
        lines.read_to_string(&mut rest).expect("the rest");
        assert!(child.wait().expect("its end").success(), "{rest}");
        nothing_is_left(dir.path());
    }
}

#[test]
fn agents_die_with_a_demo_that_is_killed() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = demo(dir.path(), &["2", "--json"]).spawn().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    let mut told = Value::Null;
    while told["event"] != "records-compared" {
        line.clear();
        assert_ne!(lines.read_line(&mut line).expect("a line"), 0, "the demo ended");
        told = serde_json::from_str(&line).expect("JSON");
        let of_agent = told["agent"].as_str().is_some_and(|agent| agent.starts_with("pc-"));
        assert_eq!(of_agent, told["event"] != "records-compared", "{line}");
    }
    let figures = ["acknowledged", "missing", "twice"].map(|figure| told[figure].as_u64());
    assert!(figures[0] > Some(0) && figures[1..] == [Some(0), Some(0)] && told["ok"] == true, "{told}");
    child.kill().expect("killed");
    child.wait().expect("its end");
    let began = std::time::Instant::now();
    while !left_behind(dir.path()).is_empty() {
        assert!(began.elapsed() < common::DEADLINE, "agents outlive their demo: {:?}", left_behind(dir.path()));
        std::thread::yield_now();
    }
}
