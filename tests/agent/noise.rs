//! What must not disturb an agent: noise and silence on its sockets, and libraries that speak.

use crate::site::{Agent, LONG, Site, without_rights};
use nix::sys::signal::Signal;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::Command;

/// Noise that repeats: the same on every run.
fn noise(n: usize) -> Vec<u8> {
    let mut x = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(n as u64 + 1);
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as u8
    };
    (0..n % 1500).map(|_| next()).collect()
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).expect("a figure");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
}

#[test]
fn noise_and_silence_on_its_sockets_do_not_disturb_it() {
    let site = Site::new();
    let mut agent = site.start();
    agent.line("event=leading");
    let before = resident_kib(agent.child.id());
    let at: SocketAddr = (site.ip, site.port).into();
    let udp = UdpSocket::bind((IpAddr::V4(site.ip), 0)).expect("bound");
    for n in 0..3000 {
        let _ = udp.send_to(&noise(n), at);
    }
    // More than may be silent at once, and some that promise a frame which is too long, or never comes.
    let silent: Vec<TcpStream> = (0..400)
        .map(|n| {
            let mut stream = TcpStream::connect(at).expect("it listens");
            let said: &[u8] = match n % 4 {
                0 => &[],
                1 => &[0xff; 8],
                2 => &[0, 0, 0, 100, 1, 2],
                _ => &[0, 0],
            };
            let _ = stream.write_all(said);
            stream
        })
        .collect();
    for n in 0..200 {
        let mut stream = TcpStream::connect(at).expect("it listens");
        let _ = stream.write_all(&noise(1 + n * 7));
    }
    assert!(site.ask("/v1/is-leader").starts_with("HTTP/1.1 200"), "it answers meanwhile");
    for mut stream in silent {
        stream.set_read_timeout(Some(LONG)).expect("set");
        // Its end or a reset, but an end.
        let end = stream.read(&mut [0; 16]);
        assert!(!end.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock), "silence is cut off");
    }
    let grown = resident_kib(agent.child.id()).saturating_sub(before);
    assert!(grown < 32 * 1024, "grew by {grown} KiB");
    assert!(site.ask("/v1/is-leader").starts_with("HTTP/1.1 200"));
    agent.signal(Signal::SIGTERM);
    let (status, _) = agent.end();
    assert!(status.success());
    let said = agent.seen.iter().filter(|line| line.contains("ignored=")).count();
    assert!((1..=12).contains(&said), "one line a second at most: {:#?}", agent.seen);
    assert!(!agent.seen.iter().any(|line| line.contains("event=leader-")), "{:#?}", agent.seen);
}

#[test]
fn what_libraries_and_tasks_without_a_journal_say_is_in_the_log() {
    let site = Site::new();
    let agent = site.command();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 48; exec \"$@\"", "sh"]).arg(agent.get_program()).args(agent.get_args());
    without_rights(&mut command);
    let mut agent = Agent::spawn(&mut command);
    agent.line("event=leading");
    // More than it has descriptors for: it must say why it takes no more, a few times a second and not a thousand.
    let clients: Vec<UnixStream> = (0..80).filter_map(|_| UnixStream::connect(&site.socket).ok()).collect();
    let said = agent.line("could not take a connection");
    assert!(said.starts_with("WARN ") && said.contains("source=tanist::agent::api"), "{said}");
    drop(clients);
    assert!(site.ask("/v1/is-leader").starts_with("HTTP/1.1 200"), "it goes on when there is room again");
    agent.signal(Signal::SIGTERM);
    assert!(agent.end().0.success());
    let said = agent.seen.iter().filter(|line| line.contains("could not take a connection")).count();
    assert_eq!(said, 1, "the same words once a minute: {:#?}", agent.seen);
}
