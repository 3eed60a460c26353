//! The command line of the real binary: words, exit statuses, the demo (`cli/demo.rs`) and `run` (`cli/run.rs`).

#![expect(clippy::disallowed_methods, reason = "tests of real processes have real deadlines")]

mod common;
#[path = "cli/demo.rs"]
mod demo;
#[path = "cli/run.rs"]
mod run;

use common::{Lan, in_time, tanist};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

fn done(command: &mut Command) -> Output {
    command.output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// The exit status; whatever is not 0 comes with one line on standard error at most.
fn status(output: &Output) -> i32 {
    let code = output.status.code().expect("a status");
    let lines = text(&output.stderr).lines().count();
    assert!(lines <= 1, "{}", text(&output.stderr));
    code
}

#[test]
fn wrong_usage_is_2_with_one_line() {
    for arguments in [
        &["bogus"][..],
        &["status", "--bogus"],
        &["leader", "--wait=soon"],
        &["demo", "1"],
        &["demo", "13"],
        &["demo", "--heartbeat", "1ms"],
        &["completions", "nosuchshell"],
        &["man"],
    ] {
        let output = done(tanist().args(arguments));
        assert_eq!(status(&output), 2, "{arguments:?}");
        assert!(text(&output.stderr).starts_with("tanist: "), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
    assert_eq!(done(&mut tanist()).status.code(), Some(2));
    for asked in ["--help", "--version", "help"] {
        let output = done(tanist().arg(asked));
        assert_eq!((status(&output), output.stdout.is_empty()), (0, false), "{asked}");
    }
}

/// Only agents of a demo can be told whom they do not reach, and nobody is invited to.
#[test]
fn an_agent_that_is_no_demos_has_no_network_to_cut() {
    let help = done(tanist().args(["agent", "--help"]));
    assert!(!text(&help.stdout).contains("demo"), "{}", text(&help.stdout));
    for bind in [&[][..], &["--bind", "192.0.2.1"]] {
        let output = done(tanist().args(["agent", "--config", "/dev/null", "--demo-cut", "cut"]).args(bind));
        let said = text(&output.stderr);
        assert_eq!(status(&output), 78, "{said}");
        assert!(said.contains("--demo-cut: it is for the agents of `tanist demo`: leave it out"), "{said}");
    }
}

#[test]
fn a_slip_of_the_keyboard_gets_a_hint_and_the_right_help() {
    for (arguments, says) in [
        (&["statsu"][..], &["'status'", "`tanist --help`"][..]),
        (&["leader", "--wait", "2s"], &["--wait=2s", "`tanist leader --help`"]),
        (&["agent", "--hartbeat", "1s"], &["'--heartbeat'", "`tanist agent --help`"]),
    ] {
        let output = done(tanist().args(arguments));
        let said = text(&output.stderr);
        assert_eq!(status(&output), 2, "{said}");
        assert!(says.iter().all(|word| said.contains(word)) && said.lines().count() == 1, "{said}");
    }
}

/// `leader --wait` waits for the agent as well.
#[tokio::test]
async fn who_waits_for_a_leader_waits_for_the_agent_too() {
    let lan = Lan::new();
    let socket = lan.dir.path().join("pc-1/sock");
    let short = done(tanist().args(["leader", "--wait=300ms", "--socket"]).arg(&socket));
    assert_eq!(status(&short), 69, "there is none: {}", text(&short.stderr));
    let mut waiting = tanist();
    waiting.args(["leader", "--wait", "--json", "--socket"]).arg(&socket).stdout(Stdio::piped());
    let waiting = waiting.spawn().expect("it runs");
    let _agent = lan.start(1).await;
    let output = waiting.wait_with_output().expect("its end");
    assert!(output.status.success() && text(&output.stdout).contains("\"host\":\"127."), "{output:?}");
}

#[test]
fn without_an_agent_every_question_is_69_and_names_what_was_tried() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("nobody.sock");
    for command in ["status", "leader", "is-leader", "members", "history", "watch", "handover"] {
        let output = done(tanist().arg(command).arg("--socket").arg(&socket));
        assert_eq!(status(&output), 69, "{command}");
        assert!(text(&output.stderr).contains(&socket.display().to_string()), "{command}");
        let output = done(tanist().arg(command).env("TANIST_SOCKET", &socket));
        assert_eq!(status(&output), 69, "{command}");
        assert!(text(&output.stderr).contains(&socket.display().to_string()), "{command}");
    }
    // A socket that nobody listens on any more is no agent either.
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("a socket"));
    let output = done(tanist().arg("status").arg("--socket").arg(&socket));
    assert_eq!(status(&output), 69);
    assert!(text(&output.stderr).contains("nobody listens there"), "{}", text(&output.stderr));
    // The user's own socket comes first, then the machine's; both are named.
    if !Path::new("/run/tanist/tanist.sock").exists() {
        let output = done(tanist().arg("status").env("XDG_RUNTIME_DIR", dir.path()));
        assert_eq!(status(&output), 69);
        let said = text(&output.stderr);
        assert!(said.contains(&dir.path().join("tanist.sock").display().to_string()), "{said}");
        assert!(said.contains("/run/tanist/tanist.sock"), "{said}");
    }
}

/// Root may do anything, so this is tried as somebody else.
#[test]
fn a_socket_that_is_not_for_this_user_is_77() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let allow = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
    };
    allow(dir.path(), 0o755);
    let closed = dir.path().join("closed");
    std::fs::create_dir(&closed).expect("a directory");
    let socket = closed.join("sock");
    let _listens = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    allow(&closed, 0o000);
    let output = if nix::unistd::geteuid().is_root() {
        let program = dir.path().join("tanist");
        std::fs::copy(env!("CARGO_BIN_EXE_tanist"), &program).expect("a copy");
        allow(&program, 0o755);
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
        done(command.arg("status").arg("--socket").arg(&socket))
    } else {
        done(tanist().arg("status").arg("--socket").arg(&socket))
    };
    allow(&closed, 0o700);
    assert_eq!(status(&output), 77, "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("not allowed"), "{}", text(&output.stderr));
}

#[test]
fn check_names_what_is_wrong() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("tanist.toml");
    for (content, code, says) in [
        ("name = \"pc-1\"\nheartbeat = \"250ms\"\n", 0, "valid"),
        ("heartbeat = \"10ms\"\n", 0, "WARN"),
        ("name = \"pc-1\"\nhartbeat = \"250ms\"\n", 78, "hartbeat"),
        ("heartbeat = \"1ms\"\n", 78, "5ms to 5s"),
        ("quorum = 2\n", 78, "not available yet"),
        ("name = \n", 78, ":1"),
    ] {
        std::fs::write(&file, content).expect("written");
        let output = done(tanist().arg("check").arg(&file));
        assert_eq!(status(&output), code, "{content}: {}", text(&output.stderr));
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(said.contains(says), "{content}: {said}");
        assert_eq!(output.stdout.is_empty(), code != 0);
    }
    assert_eq!(status(&done(tanist().arg("check").arg(dir.path().join("missing")))), 78);
}

#[test]
fn completions_and_manual_pages_cover_every_command() {
    let commands = [
        "agent",
        "demo",
        "status",
        "leader",
        "is-leader",
        "members",
        "history",
        "watch",
        "handover",
        "forget",
        "add",
        "records",
        "topics",
        "trim",
        "put",
        "get",
        "delete",
        "keys",
        "update",
        "export",
        "import",
        "conflicts",
        "check",
        "completions",
        "man",
    ];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = done(tanist().args(["completions", shell]));
        assert_eq!(status(&output), 0, "{shell}");
        let script = text(&output.stdout);
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let pages = dir.path().join("new/man1");
    assert_eq!(status(&done(tanist().arg("man").arg(&pages))), 0);
    assert!(pages.join("tanist.1").is_file());
    for command in commands {
        let page = std::fs::read_to_string(pages.join(format!("tanist-{command}.1"))).expect(command);
        assert!(page.contains(".SH"), "{command}");
    }
    let resolve = std::fs::read_to_string(pages.join("tanist-conflicts-resolve.1")).expect("a page of its own");
    assert!(resolve.replace("\\-", "-").contains("--if-version"), "{resolve}");
    let other = |section: u8, page: &str| {
        let at = dir.path().join(format!("new/man{section}")).join(page);
        std::fs::read_to_string(&at).unwrap_or_else(|error| panic!("{}: {error}", at.display()))
    };
    let settings = other(5, "tanist.toml.5");
    for key in ["state_dir", "heartbeat", "deny_interfaces", "write_timeout"] {
        assert!(settings.contains(key), "{key}: {settings}");
    }
    assert!(!settings.contains("config\n"), "{settings}");
    let log = other(7, "tanist.7");
    assert!(log.contains("two\\-leaders") || log.contains("two-leaders"), "{log}");
    assert!(log.contains("epoch"), "{log}");
}

/// The long flags of a command, as its help has them.
fn flags(command: &str) -> Vec<String> {
    let output = done(tanist().args([command, "--help"]));
    assert_eq!(status(&output), 0, "{command}");
    let help = text(&output.stdout);
    let words = help.split(|c: char| !(c.is_ascii_lowercase() || c == '-'));
    let mut flags: Vec<String> = words.filter_map(|word| word.strip_prefix("--")).map(str::to_owned).collect();
    flags.sort();
    flags.dedup();
    assert!(flags.contains(&"help".to_owned()), "{command}: {help}");
    flags
}

#[test]
fn every_flag_is_completed_and_in_the_manual() {
    let script = |shell| text(&done(tanist().args(["completions", shell])).stdout);
    let (bash, zsh, fish) = (script("bash"), script("zsh"), script("fish"));
    let dir = tempfile::tempdir().expect("a directory");
    assert_eq!(status(&done(tanist().arg("man").arg(dir.path()))), 0);
    let asking = ["status", "leader", "members", "history", "watch", "handover", "forget"];
    let data = ["add", "records", "topics", "trim", "put", "get", "delete", "keys", "update", "conflicts"];
    let copies = ["export", "import"];
    for command in ["agent", "demo", "check"].into_iter().chain(asking).chain(data).chain(copies) {
        let page = std::fs::read_to_string(dir.path().join(format!("tanist-{command}.1"))).expect(command);
        // A manual writes its hyphens with a backslash.
        let page = page.replace("\\-", "-");
        for flag in flags(command) {
            assert!(page.contains(&format!("--{flag}")), "{command} --{flag} is in no manual page");
            assert!(bash.contains(&format!("--{flag}")) && zsh.contains(&format!("--{flag}")), "{command} --{flag}");
            assert!(fish.contains(&format!("-l {flag}")), "{command} --{flag} in fish");
        }
    }
    // As the shell does it: what begins with `ha`, and the flags of `members` that begin with `--j`.
    let ask = r#"COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _tanist tanist "${!#}" x; echo "${COMPREPLY[*]}""#;
    for (words, expected) in [(&["tanist", "ha"][..], "handover"), (&["tanist", "members", "--j"], "--json")] {
        let output = done(Command::new("bash").arg("-c").arg(format!("{bash}\n{ask}")).arg("bash").args(words));
        assert_eq!(
            (text(&output.stdout).trim(), output.status.success()),
            (expected, true),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn manual_pages_that_cannot_be_written_are_said() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    let output = done(tanist().arg("man").arg(file.join("man1")));
    assert_eq!(status(&output), 1);
    assert!(text(&output.stderr).contains("could not write manual pages"), "{}", text(&output.stderr));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child =
        tanist().args(["completions", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("its end");
    assert_eq!((status(&output), text(&output.stderr)), (0, String::new()));
}

/// The next event may be days away: `watch` ends when its reader does.
#[tokio::test]
async fn watch_ends_with_its_reader() {
    let lan = Lan::new();
    let agent = lan.start(1).await;
    agent.client().leader(Some(Duration::from_secs(20))).await.expect("it leads itself");
    let mut child = tanist()
        .args(["watch", "--socket"])
        .arg(&agent.socket)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut reader = std::io::BufReader::new(child.stdout.take().expect("piped"));
    let mut first = String::new();
    std::io::BufRead::read_line(&mut reader, &mut first).expect("the present state");
    drop(reader);
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output = tokio::time::timeout(Duration::from_secs(10), ended).await.expect("soon").expect("it").expect("ended");
    assert_eq!((status(&output), text(&output.stderr)), (0, String::new()));
}

/// What a service's environment says wrongly is wrong configuration: no service manager starts it again for that.
#[test]
fn a_wrong_value_in_the_environment_is_78_and_named() {
    for (variable, value, word) in [
        ("TANIST_PRIORITY", "999", "999 is not in 0..=255"),
        ("TANIST_PRIORITY", "", "unset it"),
        ("TANIST_HEARTBEAT", "soon", "expected number"),
    ] {
        let output = done(tanist().arg("agent").env(variable, value));
        let said = text(&output.stderr);
        assert_eq!(status(&output), 78, "{said}");
        assert!(said.starts_with(&format!("tanist: {variable}={value} in the environment: ")), "{said}");
        assert!(said.contains(word) && said.lines().count() == 1, "{said}");
        let typed = format!("--{}", variable.trim_start_matches("TANIST_").to_lowercase());
        assert_eq!(status(&done(tanist().arg("agent").arg(format!("{typed}={value}")).env(variable, "1"))), 2);
    }
}

/// A lone agent, and every command that asks it.
#[tokio::test]
async fn commands_tell_people_and_programs_what_they_ask() {
    let lan = Lan::new();
    let agent = lan.start(1).await;
    let ask = |arguments: &[&str]| {
        let output = done(tanist().args(arguments).arg("--socket").arg(&agent.socket));
        (status(&output), text(&output.stdout), text(&output.stderr))
    };
    let (code, leader, _) = ask(&["leader", "--wait=20s"]);
    assert_eq!(code, 0);
    assert!(leader.starts_with("pc-1  127."), "{leader}");
    assert_eq!(ask(&["is-leader"]), (0, String::new(), String::new()));
    assert!(ask(&["status"]).1.starts_with("pc-1 leads\n"));
    assert!(ask(&["members"]).1.contains("* "));
    assert!(ask(&["history"]).1.contains("first"));
    let (code, said, why) = ask(&["handover"]);
    assert_eq!((code, said.as_str()), (1, ""), "there is nobody to hand over to");
    assert!(why.starts_with("tanist: "), "{why}");
    for command in ["status", "leader", "members", "history"] {
        let (code, said, _) = ask(&[command, "--json"]);
        assert_eq!((code, said.lines().count()), (0, 1), "{command}");
        assert!(serde_json::from_str::<Value>(&said).expect("JSON").is_object());
        assert!(!ask(&[command]).1.contains('\x1b'), "{command}: colour without a terminal");
    }
    let mut watch = tanist();
    watch.args(["watch", "--json", "--socket"]).arg(&agent.socket).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut watch = watch.spawn().expect("it runs");
    let mut lines = BufReader::new(watch.stdout.take().expect("piped"));
    let mut first = String::new();
    lines.read_line(&mut first).expect("a line");
    let first: Value = serde_json::from_str(&first).expect("JSON");
    assert_eq!((first["event"].as_str(), first["present"].as_bool()), (Some("leading"), Some(true)));
    drop(agent);
    assert_eq!(watch.wait().expect("its end").code(), Some(69), "the agent went away");
}

/// Two agents, one of which is stopped: it has left, is listed with `--all` only, and then in no list.
#[tokio::test]
async fn who_left_is_listed_with_all_and_can_be_forgotten() {
    let lan = Lan::new();
    let agent = lan.start(1).await;
    let ask = |arguments: &[&str]| {
        let output = done(tanist().args(arguments).arg("--socket").arg(&agent.socket));
        (status(&output), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(ask(&["leader", "--wait=20s"]).0, 0);
    let mut other = lan.start(2).await;
    let mut again = tokio::time::interval(Duration::from_millis(20));
    in_time("it is there", async {
        while !ask(&["members"]).1.contains("pc-2") {
            again.tick().await;
        }
    })
    .await;
    let (code, _, why) = ask(&["forget", "PC-2"]);
    assert_eq!(code, 1, "{why}");
    assert!(why.contains("PC-2 is connected: only members that left"), "{why}");
    let pid = nix::unistd::Pid::from_raw(other.child.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it runs");
    assert!(other.child.wait().expect("its end").success());
    in_time("it has left", async {
        while ask(&["members"]).1.contains("pc-2") {
            again.tick().await;
        }
    })
    .await;
    assert!(ask(&["members"]).1.contains("1 that left: tanist members --all"), "{}", ask(&["members"]).1);
    assert!(ask(&["members", "--all"]).1.contains("pc-2"));
    let (code, said, why) = ask(&["forget", "PC-2"]);
    assert!(code == 0 && said.starts_with("forgot pc-2 ("), "{said}{why}");
    assert!(!ask(&["members", "--all"]).1.contains("pc-2"));
    let (code, _, why) = ask(&["forget", "pc-2"]);
    assert!(code == 1 && why.contains("no member is called pc-2"), "{why}");
    assert_eq!((ask(&["forget", "--gone"]).0, ask(&["forget"]).0, ask(&["forget", "pc-2", "--gone"]).0), (1, 2, 2));
}

#[tokio::test]
async fn no_leader_is_75_at_once_or_after_the_wait() {
    let lan = Lan::new();
    let mut command = lan.command(1);
    // One that may not lead, alone: nobody leads.
    command.args(["--priority", "0"]);
    let mut child = Killed(command.spawn().expect("it starts"));
    let socket = lan.dir.path().join("pc-1/sock");
    let client = tanist::client::Client::at(&socket);
    let mut again = tokio::time::interval(Duration::from_millis(5));
    in_time("it answers", async {
        while client.status().await.is_err() {
            again.tick().await;
        }
    })
    .await;
    for wait in [None, Some("--wait=50ms")] {
        let output = done(tanist().arg("leader").args(wait).arg("--socket").arg(&socket));
        assert_eq!(status(&output), 75, "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("--wait"));
    }
    assert_eq!(status(&done(tanist().arg("is-leader").arg("--socket").arg(&socket))), 1);
    child.0.kill().expect("killed");
}

/// Ends with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
