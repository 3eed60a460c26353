//! What a service manager and its journal are told: real agents, and ears of the test's own in the places of both.

#![expect(clippy::disallowed_methods, reason = "tests of real processes have real deadlines")]

mod common;

use common::{Agent, DEADLINE, Lan, in_time};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A socket on which datagrams are awaited.
struct Ear {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Ear {
    fn at(path: &Path) -> Ear {
        let socket = UnixDatagram::bind(path).expect("bound");
        socket.set_read_timeout(Some(DEADLINE)).expect("set");
        Ear { socket, heard: Vec::new() }
    }

    fn next(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 65536];
        let length = self.socket.recv(&mut bytes).unwrap_or_else(|why| panic!("{why} after {:#?}", self.heard));
        bytes.truncate(length);
        self.heard.push(String::from_utf8_lossy(&bytes).into_owned());
        bytes
    }

    /// Waits for a datagram that has this line.
    fn hears(&mut self, line: &str) {
        while !String::from_utf8_lossy(&self.next()).lines().any(|l| l == line) {}
    }
}

fn signal(agent: &Agent, signal: Signal) {
    kill(Pid::from_raw(agent.child.id().cast_signed()), signal).expect("it runs");
}

/// How often the service manager wants a sign of life at least.
const WATCHDOG: Duration = Duration::from_secs(2);

/// An agent that a service manager started, and that manager's ear.
fn managed(lan: &Lan, n: u8) -> (Agent, Ear) {
    let mut command = lan.command(n);
    let home = lan.dir.path().join(format!("pc-{n}"));
    let ear = Ear::at(&home.join("notify"));
    command.env("NOTIFY_SOCKET", home.join("notify")).env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
    let child = command.spawn().expect("it starts");
    (Agent { child, socket: home.join("sock") }, ear)
}

#[tokio::test]
async fn a_service_manager_is_told_the_role_and_that_the_agent_lives() {
    let lan = Lan::new();
    let (mut one, mut ear) = managed(&lan, 1);
    ear.hears("READY=1");
    UnixStream::connect(&one.socket).expect("whoever waited for it to be ready is served");
    ear.hears("STATUS=leading, epoch 1, successor none");
    let mut last = Instant::now();
    for _ in 0..3 {
        ear.hears("WATCHDOG=1");
        assert!(last.elapsed() < WATCHDOG, "a sign of life came after {:?}", last.elapsed());
        last = Instant::now();
    }
    let _two = lan.start(2).await;
    ear.hears("STATUS=leading, epoch 1, successor pc-2");
    one.client().handover(None).await.expect("it takes over");
    ear.hears("STATUS=following pc-2, epoch 2");
    signal(&one, Signal::SIGTERM);
    ear.hears("STOPPING=1");
    ear.hears("STATUS=stopped");
    assert!(one.child.wait().expect("its end").success());
    assert_eq!(ear.heard.iter().filter(|said| said.contains("READY=1")).count(), 1, "{:#?}", ear.heard);
}

/// The fields of an entry in the journal's own format.
fn fields(mut entry: &[u8]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    while let Some(end) = entry.iter().position(|b| *b == b'\n') {
        let name = text(&entry[..end]);
        let (length, rest) = entry[end + 1..].split_at(8);
        let length = u64::from_le_bytes(length.try_into().expect("eight")) as usize;
        assert_eq!(rest[length], b'\n', "{name}");
        all.insert(name, text(&rest[..length]));
        entry = &rest[length + 1..];
    }
    all
}

/// The test's directory in the place of the journal's, for one agent.
fn with_journal(command: &Command, journal: &Path) -> Command {
    let script = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && \
                  mount --bind \"$1\" /run/systemd/journal && shift && exec \"$@\"";
    let mut inside = Command::new("unshare");
    inside.args(["-Urm", "sh", "-c", script, "sh"]).arg(journal).arg(command.get_program()).args(command.get_args());
    inside
}

#[test]
fn the_journal_gets_every_event_with_its_fields() {
    let lan = Lan::new();
    let mut probe = with_journal(&Command::new("true"), lan.dir.path());
    if !probe.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("TANIST_TESTS_MUST_RUN").is_none(), "no user namespaces here");
        eprintln!("skipped: no user namespaces here");
        return;
    }
    let place = lan.dir.path().join("journal");
    std::fs::create_dir(&place).expect("made");
    let mut ear = Ear::at(&place.join("socket"));
    let log: PathBuf = lan.dir.path().join("stderr");
    let stderr = std::fs::File::create(&log).expect("made");
    let facts = stderr.metadata().expect("a file");
    let mut command = with_journal(&lan.command(1), &place);
    // The service manager says so when standard error is the journal's own stream.
    command.env("JOURNAL_STREAM", format!("{}:{}", facts.dev(), facts.ino())).stderr(stderr).stdin(Stdio::null());
    let agent = Agent { child: command.spawn().expect("it starts"), socket: lan.dir.path().join("pc-1/sock") };
    let mut entry = |event: &str| loop {
        let entry = fields(&ear.next());
        if entry.get("TANIST_EVENT").is_some_and(|e| e == event) {
            return entry;
        }
    };
    let started = entry("started");
    assert!(started["MESSAGE"].ends_with(&format!("started as pc-1 in cluster {}", lan.cluster)), "{started:?}");
    assert_eq!((started["PRIORITY"].as_str(), started["SYSLOG_IDENTIFIER"].as_str()), ("6", "tanist"));
    assert_eq!(started["TANIST_HEARTBEAT_MS"], "250");
    let leading = entry("leading");
    assert_eq!(leading["MESSAGE"], "this machine leads: epoch 1, with nobody else");
    let facts = ["TANIST_EPOCH", "TANIST_CAUSE", "TANIST_BACKED"].map(|name| leading[name].as_str());
    assert_eq!(facts, ["1", "first", "0"]);
    signal(&agent, Signal::SIGTERM);
    entry("goodbye");
    assert_eq!(std::fs::read_to_string(&log).expect("a file"), "", "nothing is said twice");
}

/// An agent to which a socket unit passes `socket`, as systemd does.
fn given(lan: &Lan, socket: OwnedFd) -> Agent {
    let command = lan.command(1);
    let home = lan.dir.path().join("pc-1");
    let log = std::fs::File::create(home.join("log")).expect("made");
    let mut inside = Command::new("sh");
    inside.args(["-c", "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\" 3<&0 </dev/null", "sh"]);
    inside.arg(command.get_program()).args(command.get_args());
    inside.stdin(socket).stdout(Stdio::null()).stderr(log);
    Agent { child: inside.spawn().expect("it starts"), socket: home.join("sock") }
}

#[tokio::test]
async fn a_socket_unit_keeps_the_socket_open_while_the_agent_is_started_again() {
    let lan = Lan::new();
    std::fs::create_dir(lan.dir.path().join("pc-1")).expect("made");
    let path = lan.dir.path().join("pc-1/sock");
    let kept = UnixListener::bind(&path).expect("bound");
    let file = || std::fs::metadata(&path).expect("it is there").ino();
    let before = file();
    let mut one = given(&lan, kept.try_clone().expect("a copy").into());
    in_time("it leads", one.client().leader(Some(DEADLINE))).await.expect("it leads");
    signal(&one, Signal::SIGTERM);
    assert!(one.child.wait().expect("its end").success());
    assert_eq!(file(), before, "it is not the agent's to remove");
    let waits = tokio::spawn(in_time("what was asked meanwhile is answered", {
        let client = tanist::client::Client::at(&path);
        async move { client.leader(Some(DEADLINE)).await }
    }));
    tokio::task::yield_now().await;
    let _two = given(&lan, kept.into());
    waits.await.expect("it is not over").expect("the next agent answers");
    assert_eq!(file(), before, "nor to make anew");
}

/// One request on a connection of its own, and the first line of the answer.
fn add(path: &Path, value: &str) -> String {
    let mut stream = UnixStream::connect(path).expect("the socket is open");
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    let head = format!("POST /v1/records/t HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", value.len());
    stream.write_all(format!("{head}{value}").as_bytes()).expect("sent");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("an answer");
    line
}

#[test]
fn no_request_fails_while_the_agent_is_started_again() {
    let lan = Lan::new();
    std::fs::create_dir(lan.dir.path().join("pc-1")).expect("made");
    let path = lan.dir.path().join("pc-1/sock");
    let kept = UnixListener::bind(&path).expect("bound");
    let mut agent = given(&lan, kept.try_clone().expect("a copy").into());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let users: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..).take_while(|_| !over.load(Ordering::Relaxed)).map(|n| add(&path, &n.to_string())).collect()
                })
            })
            .collect();
        for _ in 0..3 {
            // It leads, and all four are at work.
            (0..100).for_each(|n| drop(add(&path, &n.to_string())));
            signal(&agent, Signal::SIGTERM);
            assert!(agent.child.wait().expect("its end").success());
            agent = given(&lan, kept.try_clone().expect("a copy").into());
        }
        over.store(true, Ordering::Relaxed);
        let answers: Vec<String> =
            users.into_iter().flat_map(|user| -> Vec<String> { user.join().expect("no panic") }).collect();
        let failed: Vec<&String> = answers.iter().filter(|line| !line.starts_with("HTTP/1.1 201 ")).collect();
        assert!(answers.len() > 100 && failed.is_empty(), "of {}: {failed:#?}", answers.len());
    });
}

#[tokio::test]
async fn an_agent_serves_the_socket_that_it_was_passed_whatever_was_configured() {
    let lan = Lan::new();
    std::fs::create_dir(lan.dir.path().join("pc-1")).expect("made");
    let path = lan.dir.path().join("passed");
    let kept = UnixListener::bind(&path).expect("bound");
    let one = given(&lan, kept.into());
    in_time("it leads", tanist::client::Client::at(&path).leader(Some(DEADLINE))).await.expect("it leads");
    assert!(!one.socket.exists(), "nobody is served there");
    let log = std::fs::read_to_string(lan.dir.path().join("pc-1/log")).expect("a log");
    let (passed, named) = (path.display(), one.socket.display());
    let said =
        format!("the socket unit passed {passed}, and the configuration names {named}: this agent serves {passed}");
    assert_eq!(log.matches(&said).count(), 1, "{log}");
}

#[tokio::test]
async fn what_no_agent_can_serve_is_named_and_the_agent_makes_its_own_socket() {
    let there = tempfile::tempdir().expect("a directory");
    let datagrams = UnixDatagram::bind(there.path().join("datagrams")).expect("bound");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let (connected, _other) = UnixStream::pair().expect("made");
    let stream = "something else than a Unix stream socket";
    for (socket, why) in [
        (OwnedFd::from(datagrams), stream),
        (listener.into(), stream),
        (connected.into(), "a socket that does not listen"),
    ] {
        let lan = Lan::new();
        std::fs::create_dir(lan.dir.path().join("pc-1")).expect("made");
        let one = given(&lan, socket);
        let leads = async {
            let mut again = tokio::time::interval(Duration::from_millis(5));
            while one.client().leader(None).await.is_err() {
                again.tick().await;
            }
        };
        in_time("it leads", leads).await;
        let log = std::fs::read_to_string(lan.dir.path().join("pc-1/log")).expect("a log");
        assert_eq!(log.matches(&format!("the socket unit passed {why}")).count(), 1, "{log}");
    }
}

#[tokio::test]
async fn a_start_that_waits_for_long_keeps_nobody_waiting() {
    let lan = Lan::new();
    let one = lan.start(1).await;
    // The same address, and a state directory of its own.
    let (like, state) = (lan.command(1), lan.dir.path().join("pc-1/state"));
    let mut command = Command::new(like.get_program());
    command.args(
        like.get_args().map(|arg| if *arg == *state { lan.dir.path().join("other").into() } else { arg.to_owned() }),
    );
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let place = lan.dir.path().join("notify");
    let mut ear = Ear::at(&place);
    let _two = Agent { child: command.env("NOTIFY_SOCKET", &place).spawn().expect("it starts"), socket: place };
    ear.hears("READY=1");
    assert!(ear.heard[0].starts_with("STATUS=waiting: TCP port"), "{:#?}", ear.heard);
    assert!(ear.heard[0].contains("another program, or another agent, has it"), "{:#?}", ear.heard);
    // And so that the watchdog lets it wait.
    ear.hears("WATCHDOG=1");
    drop(one);
    ear.hears("STATUS=leading, epoch 1, successor none");
}
