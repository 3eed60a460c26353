//! The real agent as a process on loopback: how it starts and ends, what stops it from starting, and what must not
//! disturb it.

#![expect(clippy::disallowed_methods, reason = "tests of real processes have real deadlines")]

mod backup;
mod conflicts;
mod data;
mod docs;
mod hooks;
mod http;
mod ledger;
mod noise;
mod site;
mod stalls;

use nix::sys::signal::Signal;
use site::{Agent, LONG, Site, field, in_namespace, without_rights};
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

#[test]
fn an_agent_starts_leads_alone_and_ends_in_time() {
    let site = Site::new();
    let mut agent = site.start();
    let started = agent.line("event=started");
    assert_eq!(field(&started, "heartbeat_ms"), "250");
    assert_eq!(field(&started, "cluster"), "test");
    agent.line("event=leading");
    let facts = fs::metadata(&site.socket).expect("the socket is there");
    assert!(facts.file_type().is_socket() && facts.permissions().mode() & 0o777 == 0o666);
    assert!(site.ask("/v1/is-leader").starts_with("HTTP/1.1 200"));
    agent.signal(Signal::SIGTERM);
    let (status, took) = agent.end();
    assert!(status.success() && took < Duration::from_secs(2), "{status} after {took:?}");
    assert!(agent.seen.iter().any(|line| line.contains("event=goodbye")), "{:#?}", agent.seen);
    assert!(!site.socket.exists(), "the socket is taken away");
}

#[test]
fn the_started_event_tells_every_setting() {
    let site = Site::new();
    let mut agent = site.command();
    let config = "name = 'front desk'\npriority = 7\nheartbeat = '100ms'\nlone_after = '31s'\nforget_after = '2d'\n\
                  write_timeout = '9s'\nquorum = 1\npeer = ['10.9.9.9', '[fd00::1]:99', '127.0.0.1:77']\n\
                  interface = ['eth*', 'lo']\ndeny_interfaces = 'wlan0'\nlog = 'debug'\nhttp = '[::1]:1'\n";
    site.config(config);
    let started = Agent::spawn(&mut agent).line("event=started");
    for (name, value) in [
        ("cluster", "test"),
        ("port", &site.port.to_string()),
        ("bind", &site.ip.to_string()),
        ("priority", "7"),
        ("heartbeat_ms", "100"),
        ("lone_after_ms", "31000"),
        ("forget_after_ms", "172800000"),
        ("write_timeout_ms", "9000"),
        ("quorum", "1"),
        ("peer", "10.9.9.9,[fd00::1]:99,127.0.0.1:77"),
        ("interface", "eth*,lo"),
        ("deny_interfaces", "wlan0"),
        ("log", "debug"),
        ("state_dir", &site.state.display().to_string()),
        ("socket", &site.socket.display().to_string()),
        ("keyed", "false"),
        ("http", "[::1]:1"),
        ("http_writes", "false"),
    ] {
        assert_eq!(field(&started, name), value, "{name} in {started}");
    }
    assert!(started.contains(" name=\"front desk\" "), "{started}");
}

#[test]
fn a_second_signal_ends_it_at_once_and_an_interrupt_is_a_stop_too() {
    let site = Site::new();
    let mut agent = site.start();
    agent.line("event=leading");
    agent.signal(Signal::SIGINT);
    agent.signal(Signal::SIGTERM);
    let (status, took) = agent.end();
    assert!(status.success() && took < Duration::from_secs(1), "{status} after {took:?}");
    assert!(!site.socket.exists());
}

#[test]
fn nobody_reading_the_log_does_not_keep_it_from_ending() {
    let site = Site::new();
    let mut command = site.command();
    // A pipe that is full and never read.
    let child = command.args(["--log", "trace", "--heartbeat", "5ms"]).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut agent = Agent { child, lines: channel().1, seen: Vec::new() };
    let until = Instant::now() + LONG;
    while UnixStream::connect(&site.socket).is_err() {
        assert!(Instant::now() < until, "it serves");
        std::thread::yield_now();
    }
    while !site.ask("/v1/is-leader").starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < until, "it leads");
    }
    agent.signal(Signal::SIGTERM);
    let begun = Instant::now();
    assert!(agent.child.wait().expect("a status").success());
    assert!(begun.elapsed() < Duration::from_millis(2200), "{:?}", begun.elapsed());
}

#[test]
fn identity_and_epoch_outlive_a_crash() {
    let site = Site::new();
    let mut agent = site.start();
    let id = field(&agent.line("event=started"), "id").to_owned();
    assert_eq!(field(&agent.line("event=leading"), "epoch"), "1");
    agent.signal(Signal::SIGKILL);
    agent.end();
    assert!(site.socket.exists(), "nobody took the socket away");
    let mut again = site.start();
    assert_eq!(field(&again.line("event=started"), "id"), id);
    assert_eq!(field(&again.line("event=leading"), "epoch"), "2");
    assert!(site.ask("/v1/status").contains(&id), "the stale socket was replaced");
}

#[test]
fn a_follower_takes_over_when_its_leader_is_killed() {
    let (first, mut second) = (Site::new(), Site::new());
    second.port = first.port;
    let start = |site: &Site, name: &str| Agent::spawn(site.command().args(["--name", name]));
    let mut leader = start(&first, "one");
    leader.line("event=leading");
    let mut follower = start(&second, "two");
    follower.line("following one: epoch 1");
    leader.line("successor is two");
    leader.signal(Signal::SIGKILL);
    follower.line("leader one is gone: it refused the question");
    assert_eq!(field(&follower.line("event=leading"), "epoch"), "2");
    let mut leader = start(&first, "one");
    leader.line("following two: epoch 2");
    follower.signal(Signal::SIGTERM);
    leader.line("event=leading");
    assert!(follower.end().0.success());
}

#[test]
fn a_taken_port_is_named_once_and_waited_for() {
    for udp in [false, true] {
        let site = Site::new();
        let at: SocketAddr = (site.ip, site.port).into();
        let taken = (udp.then(|| UdpSocket::bind(at)), (!udp).then(|| TcpListener::bind(at)));
        let mut agent = site.start();
        let said = agent.line(if udp { "UDP port" } else { "TCP port" });
        for word in [&site.port.to_string(), "another program", "--port", "waiting for it to pass"] {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert!(!site.socket.exists(), "who asks is told that there is no agent yet");
        // It has tried again by then.
        assert!(agent.is_silent_for(Duration::from_secs(1)), "it is said once: {:#?}", agent.seen);
        drop(taken);
        agent.line("event=leading");
        agent.signal(Signal::SIGTERM);
        assert!(agent.end().0.success());
    }
}

#[test]
fn an_agent_that_waits_ends_when_it_is_told_to() {
    let site = Site::new();
    let _taken = TcpListener::bind((site.ip, site.port)).expect("bound");
    let listener = UnixListener::bind(&site.socket).expect("another's");
    let mut agent = site.start();
    agent.line("TCP port");
    agent.signal(Signal::SIGTERM);
    let (status, took) = agent.end();
    assert!(status.success() && took < Duration::from_secs(1), "{status} after {took:?}");
    assert!(site.socket.exists(), "a socket that it did not make is left alone");
    drop(listener);
}

/// After a downgrade: the state is refused and left as it is, also when it is the data that is too new.
#[test]
fn state_of_a_later_version_is_refused_with_a_status_of_its_own() {
    for file in ["tanist.redb", "data/data.redb"] {
        let site = Site::new();
        let mut agent = site.start();
        agent.line("event=leading");
        let put =
            Command::new(env!("CARGO_BIN_EXE_tanist")).args(["put", "k", "v", "--socket"]).arg(&site.socket).status();
        assert!(put.is_ok_and(|put| put.success()));
        agent.signal(Signal::SIGTERM);
        assert!(agent.end().0.success());
        let path = site.state.join(file);
        let mut later = std::fs::read(&path).expect("the database is there");
        for at in [64, 192] {
            later[at] = 77;
        }
        std::fs::write(&path, &later).expect("written");
        site.start().fails(65, &["later version", "77", "install that one"]);
        assert!(std::fs::read(&path).expect("read") == later, "{file} was touched");
    }
}

#[test]
fn a_state_directory_serves_one_agent() {
    let site = Site::new();
    let mut agent = site.start();
    agent.line("event=leading");
    let mut other = Site::new();
    other.state.clone_from(&site.state);
    other.start().fails(1, &["is used by another agent", "state directory"]);
    assert!(site.ask("/v1/is-leader").starts_with("HTTP/1.1 200"), "the first one goes on");
}

#[test]
fn a_socket_serves_one_agent_and_other_files_are_left_alone() {
    let site = Site::new();
    let listener = UnixListener::bind(&site.socket).expect("bound");
    fs::set_permissions(&site.socket, fs::Permissions::from_mode(0o777)).expect("set");
    site.start().fails(1, &["another agent serves it", "--socket"]);
    drop(listener);
    fs::remove_file(&site.socket).expect("removed");
    fs::write(&site.socket, "precious").expect("written");
    site.start().fails(1, &["another file is in its place", "--socket"]);
    assert_eq!(fs::read_to_string(&site.socket).expect("still there"), "precious");
}

#[test]
fn a_socket_that_was_removed_is_made_anew_and_a_lost_state_directory_is_said() {
    let site = Site::new();
    let mut agent = site.start();
    agent.line("event=leading");
    fs::remove_file(&site.socket).expect("removed");
    let kept = site.path("kept");
    fs::rename(&site.state, &kept).expect("moved away");
    agent.line("was removed: it is made anew");
    let trouble = agent.line("event=store-trouble");
    assert!(trouble.contains("is gone") && trouble.contains(&site.state.display().to_string()), "{trouble}");
    assert!(site.ask("/v1/is-leader").starts_with("HTTP/1.1 200"));
    agent.signal(Signal::SIGTERM);
    assert!(agent.end().0.success());
    assert!(!site.socket.exists(), "the new one is taken away too");
}

#[test]
fn a_damaged_store_is_set_aside_and_said() {
    let site = Site::new();
    let mut agent = site.start();
    let id = field(&agent.line("event=started"), "id").to_owned();
    agent.line("event=leading");
    agent.signal(Signal::SIGTERM);
    agent.end();
    let store = site.state.join("tanist.redb");
    let mut bytes = fs::read(&store).expect("a store");
    bytes.iter_mut().for_each(|b| *b = !*b);
    fs::write(&store, &bytes).expect("damaged");
    let mut agent = site.start();
    assert_ne!(field(&agent.line("event=started"), "id"), id, "a new id");
    let trouble = agent.line("event=store-trouble");
    assert_eq!(fs::read(field(&trouble, "set_aside")).expect("kept"), bytes);
    agent.line("event=leading");
}

#[test]
fn a_wrong_configuration_is_refused_with_its_line() {
    let site = Site::new();
    for (text, words) in [
        ("port = 1\nkey_file = 'x'\n", &[":2: unknown key `key_file`"][..]),
        ("quorum = 2\n", &[":1: quorum: 2 is not available yet"][..]),
        ("heartbeat = '1ms'\n", &[":1: heartbeat: ", "5ms to 5s"][..]),
    ] {
        let mut command = Command::new(&site.program);
        without_rights(&mut command);
        command.env_clear().arg("agent").arg("--config").arg(site.config(text));
        command.arg("--state-dir").arg(site.path("state")).arg("--socket").arg(&site.socket);
        Agent::spawn(&mut command).fails(78, words);
    }
    let mut command = Command::new(&site.program);
    without_rights(&mut command);
    command.env_clear().arg("agent").arg("--config").arg(site.path("none.toml"));
    Agent::spawn(&mut command).fails(78, &["none.toml", "there is no such file"]);
    assert!(!site.state.exists(), "nothing was begun");
}

#[test]
fn without_permission_it_says_so() {
    let mut site = Site::new();
    let start = Site::start;
    let closed = site.path("closed");
    fs::create_dir(&closed).expect("made");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).expect("set");
    let open = site.path("open");
    fs::create_dir(&open).expect("made");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("set");
    site.state = closed.join("state");
    start(&site).fails(77, &["closed", "permission denied", "state directory"]);
    (site.state, site.socket) = (open.join("state"), closed.join("t.sock"));
    start(&site).fails(77, &["closed/t.sock", "ermission denied", "--socket"]);
    site.socket = open.join("t.sock");
    start(&site).line("event=leading");
    let low = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    if low.trim().parse::<u16>().is_ok_and(|first| first > 80) {
        site.port = 80;
        start(&site).fails(77, &["TCP port 80", "ermission denied", "--port"]);
    }
}

#[test]
fn a_full_or_read_only_disk_is_named_once_and_waited_for() {
    for (trouble, mended, word) in [
        ("dd if=/dev/zero of=\"$0/fill\" bs=4k 2>/dev/null || true", "rm \"$0/fill\"", "o space left"),
        ("mount -o remount,bind,ro \"$0\"", "mount -o remount,bind,rw \"$0\"", "read-only"),
    ] {
        let mut site = Site::new();
        let disk = site.path("disk");
        fs::create_dir(&disk).expect("made");
        site.state = disk.join("state");
        // The disk is mended when a line comes on standard input.
        let script = "set -e; mount -t tmpfs -o size=1m tmpfs \"$3\"; sh -c \"$1\" \"$3\"; exec 3<&0; \
                      { read -r _ && sh -c \"$2\" \"$3\"; } <&3 & shift 3; exec \"$@\" 3<&-";
        let disk = disk.display().to_string();
        let Some(mut command) = in_namespace("-Urm", script, &[trouble, mended, &disk], &site.command()) else {
            return;
        };
        let mut agent = Agent::spawn(command.stdin(Stdio::piped()));
        let said = agent.line("waiting for it to pass");
        assert!(said.contains(word) && said.contains("disk/state"), "{said}");
        assert!(agent.is_silent_for(Duration::from_secs(1)), "it is said once: {:#?}", agent.seen);
        writeln!(agent.child.stdin.as_mut().expect("piped"), "mend").expect("told");
        agent.line("event=leading");
    }
}

/// A leader's disk fills up while it runs: it says so once and hands over. It serves on as a follower that shows no new
/// leader, and when there is space again it goes on, and remembers what it could not write meanwhile.
#[test]
fn a_leader_whose_disk_fills_hands_over_and_goes_on_when_there_is_space() {
    let mut sites = [Site::new(), Site::new(), Site::new()];
    (sites[1].port, sites[2].port) = (sites[0].port, sites[0].port);
    let disk = sites[0].path("disk");
    fs::create_dir(&disk).expect("made");
    sites[0].state = disk.join("state");
    let disk = disk.display().to_string();
    // What is to be done on that disk comes on standard input: nobody outside sees it.
    let script = "set -e; mount -t tmpfs -o size=1m tmpfs \"$1\"; exec 3<&0; \
                  { while read -r todo <&3; do eval \"$todo\"; done; } & shift; exec \"$@\" 3<&-";
    let mut agent = sites[0].command();
    let Some(mut command) = in_namespace("-Urm", script, &[&disk], agent.args(["--name", "one"])) else { return };
    let mut leader = Agent::spawn(command.stdin(Stdio::piped()));
    let mut todo = leader.child.stdin.take().expect("piped");
    let id = field(&leader.line("event=started"), "id").to_owned();
    leader.line("event=leading");
    let mut second = Agent::spawn(sites[1].command().args(["--name", "two"]));
    leader.line("successor is two");
    writeln!(todo, "dd if=/dev/zero of='{disk}/fill' bs=4k 2>/dev/null || echo filled >&2").expect("told");
    leader.line("filled");
    // Something is to be written: a member to remember.
    let mut third = Agent::spawn(sites[2].command().args(["--name", "three"]));
    let trouble = leader.line("event=store-trouble");
    assert!(trouble.starts_with("WARN ") && trouble.contains("store: No space left on device"), "{trouble}");
    leader.line("handing over to ");
    let follows = leader.line("event=following");
    second.line("epoch=2 cause=store");
    // It may hear the new leader beat before it is told why that leads.
    third.line("following two: epoch 2");
    // A promise may still find room where another write did not, and then the new leader is shown.
    let kept = follows.contains("following two: epoch 2");
    let none = sites[0].ask("/v1/status").contains(r#""leader":null"#);
    assert!(kept != none, "what it cannot keep it does not show: {follows}");
    writeln!(todo, "rm '{disk}/fill'").expect("told");
    if !kept {
        leader.line("event=following epoch=2");
        leader.line("can write to its store again");
        let said = leader.seen.iter().filter(|line| line.contains("event=store-trouble")).count();
        assert_eq!(said, 2, "once that it is so, and once that it is over: {:#?}", leader.seen);
    }
    assert!(!leader.seen.iter().any(|line| line.contains("source=redb")), "the database's own works are no news");
    let status = sites[0].ask("/v1/status");
    assert!(status.contains(&id) && status.contains(r#""role":"following""#), "{status}");
    // What found no room is written when there is some: it is tried once a second.
    let told = |history: &str| [r#""cause":"store""#, r#""cause":"first""#].iter().all(|cause| history.contains(cause));
    let mut history = sites[0].ask("/v1/history");
    for _ in 0..50 {
        if !told(&history) {
            std::thread::sleep(Duration::from_millis(100));
            history = sites[0].ask("/v1/history");
        }
    }
    assert!(told(&history), "{history}");
    drop(todo);
    leader.signal(Signal::SIGTERM);
    assert!(leader.end().0.success());
}

/// No interface fits: it says which setting is in the way, and leads itself after its time.
#[test]
fn without_an_interface_it_says_why_and_goes_on_alone() {
    for (flag, value, why) in [
        ("--interface", "nosuch0", "fits interface = nosuch0: correct that"),
        ("--bind", "192.0.2.77", "has the address 192.0.2.77: give it one"),
        ("--deny-interfaces", "x*", "is up, with carrier and an address, deny_interfaces = x*: plug in a cable"),
    ] {
        let site = Site::new();
        let mut agent = Command::new(&site.program);
        agent.args(["agent", "--lone-after", "100ms", flag, value]).arg("--config").arg(site.config(""));
        agent.arg("--state-dir").arg(&site.state).arg("--socket").arg(&site.socket);
        let Some(mut command) = in_namespace("-Urn", "exec \"$@\"", &[], &agent) else { return };
        let mut agent = Agent::spawn(command.env_clear());
        let said = agent.line("no interface");
        assert!(said.starts_with("WARN ") && said.contains(why), "{said}");
        agent.line("event=network-alone");
        agent.line("event=leading");
        agent.signal(Signal::SIGTERM);
        assert!(agent.end().0.success());
    }
}
