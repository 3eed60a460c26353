//! A place for agents of a test: a directory, an address and a port of its own.

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) const TANIST: &str = env!("CARGO_BIN_EXE_tanist");

/// Far longer than anything here takes; a test that waits so long has failed.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// An address and port of this test's own, so that nothing meets anything else.
pub(crate) fn place() -> (Ipv4Addr, u16) {
    let [a, b, c, ..] = uuid::Uuid::new_v4().into_bytes();
    let ip = Ipv4Addr::new(127, a, b, c.clamp(2, 250));
    (ip, free_port(ip))
}

pub(crate) fn free_port(ip: Ipv4Addr) -> u16 {
    loop {
        let tcp = TcpListener::bind((ip, 0)).expect("loopback is there");
        let port = tcp.local_addr().expect("bound").port();
        if UdpSocket::bind((ip, port)).is_ok() && UdpSocket::bind(("127.255.255.255", port)).is_ok() {
            return port;
        }
    }
}

pub(crate) struct Agent {
    pub(crate) child: Child,
    pub(crate) lines: Receiver<String>,
    pub(crate) seen: Vec<String>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Agent {
    pub(crate) fn spawn(command: &mut Command) -> Agent {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it runs");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Agent { child, lines, seen: Vec::new() }
    }

    /// The next line with this in it.
    pub(crate) fn line(&mut self, with: &str) -> String {
        let until = Instant::now() + LONG;
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            self.seen.push(line.clone());
            if line.contains(with) {
                return line;
            }
        }
        panic!("no line with {with:?} in {:#?}", self.seen);
    }

    /// Whether it writes nothing for so long, and lives.
    pub(crate) fn is_silent_for(&mut self, time: Duration) -> bool {
        match self.lines.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
            Ok(line) => {
                self.seen.push(line);
                false
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("it is there");
    }

    /// Waits for its end; gives back how, and how long it took.
    pub(crate) fn end(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        // The pipe closes when the process ends.
        while let Ok(line) = self.lines.recv_timeout(LONG.saturating_sub(begun.elapsed())) {
            self.seen.push(line);
        }
        if begun.elapsed() >= LONG {
            panic!("it does not end: {:#?}", self.seen);
        }
        (self.child.wait().expect("a status"), begun.elapsed())
    }

    /// It must end by itself, with this status and one line that has all of this in it.
    pub(crate) fn fails(mut self, code: i32, words: &[&str]) {
        let (status, _) = self.end();
        assert_eq!(status.code(), Some(code), "{:#?}", self.seen);
        let last = self.seen.last().expect("a reason");
        for word in words {
            assert!(last.contains(word), "{word:?} is missing: {:#?}", self.seen);
        }
        assert_eq!(self.seen.len(), 1, "one line: {:#?}", self.seen);
    }
}

/// A place to run agents in, and how to start them.
pub(crate) struct Site {
    pub(crate) dir: TempDir,
    pub(crate) ip: Ipv4Addr,
    pub(crate) port: u16,
    pub(crate) state: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) program: PathBuf,
}

/// A user without rights: root may do anything, and would find nothing of what users find.
pub(crate) const NOBODY: u32 = 65534;

/// The program where that user may run it, in a directory of that user's own; the tests' own user when that is not root.
pub(crate) fn program_for(dir: &Path) -> PathBuf {
    if !geteuid().is_root() {
        return TANIST.into();
    }
    nix::unistd::chown(dir, Some(NOBODY.into()), Some(NOBODY.into())).expect("given away");
    let program = dir.join("tanist");
    if fs::hard_link(TANIST, &program).is_err() {
        fs::copy(TANIST, &program).expect("copied");
    }
    program
}

/// Has a command run without rights.
pub(crate) fn without_rights(command: &mut Command) -> &mut Command {
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// A script in a user namespace of its own, followed by what it shall run; none where that cannot be had. In there the
/// agent may mount, and has no rights outside.
pub(crate) fn in_namespace(kinds: &str, script: &str, options: &[&str], agent: &Command) -> Option<Command> {
    let mut probe = Command::new("unshare");
    if !without_rights(probe.args([kinds, "true"]).stderr(Stdio::null())).status().is_ok_and(|s| s.success()) {
        assert!(std::env::var_os("TANIST_TESTS_MUST_RUN").is_none(), "no user namespaces here");
        eprintln!("skipped: no user namespaces here");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args([kinds, "sh", "-c", script, "sh"]).args(options).arg(agent.get_program()).args(agent.get_args());
    without_rights(&mut command);
    Some(command)
}

impl Site {
    pub(crate) fn new() -> Site {
        let (ip, port) = place();
        let dir = tempfile::tempdir().expect("a directory");
        let (state, socket) = (dir.path().join("state"), dir.path().join("tanist.sock"));
        let program = program_for(dir.path());
        Site { dir, ip, port, state, socket, program }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The agent, run by a user without rights.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        without_rights(&mut command);
        command.env_clear().args(["agent", "--cluster", "test"]).arg("--config").arg(self.config(""));
        command.arg("--bind").arg(self.ip.to_string()).arg("--port").arg(self.port.to_string());
        command.arg("--state-dir").arg(&self.state).arg("--socket").arg(&self.socket);
        command
    }

    pub(crate) fn config(&self, text: &str) -> PathBuf {
        let path = self.path("tanist.toml");
        fs::write(&path, text).expect("written");
        path
    }

    pub(crate) fn start(&self) -> Agent {
        Agent::spawn(&mut self.command())
    }

    /// Asks the agent's socket; the status line of the answer.
    pub(crate) fn ask(&self, what: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).expect("it is served");
        stream.set_read_timeout(Some(LONG)).expect("set");
        write!(stream, "GET {what} HTTP/1.1\r\nHost: tanist\r\nConnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

pub(crate) fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let start = line.find(&format!(" {name}=")).unwrap_or_else(|| panic!("no {name} in {line}")) + name.len() + 2;
    line[start..].split(' ').next().expect("a value")
}
