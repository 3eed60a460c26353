//! What the tests of the real binary share: agents on loopback addresses of their own, and deadlines.

use std::future::Future;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tanist::client::Client;
use tempfile::TempDir;

/// How long a test waits for anything.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// What comes of it, in time.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// The program, without anything of this machine's own configuration.
pub fn tanist() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tanist"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("TANIST_")) {
            command.env_remove(name);
        }
    }
    for name in ["STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET", "JOURNAL_STREAM", "NO_COLOR"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// A place for agents that no other test meets: addresses 127.a.b.*, a port that is free on the first of them, a cluster
/// of its own and a directory.
pub struct Lan {
    net: (u8, u8),
    port: u16,
    /// The cluster's name.
    pub cluster: String,
    /// Everything that they write.
    pub dir: TempDir,
}

impl Lan {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for _ in 0..100 {
            let random = uuid::Uuid::new_v4().into_bytes();
            let net = (1 + random[0] % 250, 1 + random[1] % 250);
            let port = 20_000 + u16::from_be_bytes([random[2], random[3]]) % 12_000;
            let address = Ipv4Addr::new(127, net.0, net.1, 1);
            if UdpSocket::bind((address, port)).is_ok() && TcpListener::bind((address, port)).is_ok() {
                let cluster = format!("test-{:02x}{:02x}{port}", random[4], random[5]);
                return Self { net, port, cluster, dir };
            }
        }
        panic!("no free port");
    }

    /// Where the agent `pc-n` is.
    pub fn address(&self, n: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.net.0, self.net.1, n)
    }

    /// What starts the agent `pc-n`; more options may be added.
    pub fn command(&self, n: u8) -> Command {
        let dir = self.home(n);
        std::fs::create_dir_all(&dir).expect("a directory");
        let mut command = tanist();
        command.arg("agent").args(["--config", "/dev/null", "--cluster", &self.cluster]);
        command.args(["--name", &format!("pc-{n}"), "--port", &self.port.to_string()]);
        command.args(["--bind", &self.address(n).to_string()]);
        command.arg("--state-dir").arg(dir.join("state")).arg("--socket").arg(dir.join("sock"));
        let log = std::fs::File::create(dir.join("log")).expect("a log");
        command.stderr(log.try_clone().expect("a log")).stdout(log);
        command
    }

    /// Starts the agent `pc-n` and waits until it answers.
    pub async fn start(&self, n: u8) -> Agent {
        self.start_as(n, &mut self.command(n)).await
    }

    /// The same, by a command with more options.
    pub async fn start_as(&self, n: u8, command: &mut Command) -> Agent {
        let child = command.spawn().expect("the agent starts");
        let mut agent = Agent { child, socket: self.home(n).join("sock") };
        let mut again = tokio::time::interval(Duration::from_millis(5));
        in_time("the agent answers", async {
            while agent.client().status().await.is_err() {
                if let Some(status) = agent.child.try_wait().expect("its state") {
                    let log = std::fs::read_to_string(self.home(n).join("log")).unwrap_or_default();
                    panic!("the agent ended with {status}: {log}");
                }
                again.tick().await;
            }
        })
        .await;
        agent
    }

    fn home(&self, n: u8) -> PathBuf {
        self.dir.path().join(format!("pc-{n}"))
    }
}

/// A running agent; it is killed when this is dropped.
pub struct Agent {
    /// Its process.
    pub child: Child,
    /// Where it listens for users.
    pub socket: PathBuf,
}

impl Agent {
    pub fn client(&self) -> Client {
        Client::at(&self.socket)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
