//! Clients of tanist and of the peers: each has one connection that it keeps, blocks on it, and writes as soon as it was
//! answered.

use crate::bench::net::name;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// No answer takes longer.
const LONGEST: Duration = Duration::from_secs(20);

/// Where a client is, and whom it asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Door {
    /// An agent's local socket.
    Tanist(PathBuf),
    /// etcd's JSON gateway on this machine, asked from the same machine.
    Etcd(usize),
    /// The local socket of a Redis server whose writes are copied.
    Redis(PathBuf),
}

trait Stream: Read + Write + Send {}
impl Stream for UnixStream {}
impl Stream for TcpStream {}

/// One connection.
pub(super) struct Client {
    door: Door,
    stream: Box<dyn Stream>,
    /// What it is to send.
    request: Vec<u8>,
    answer: Vec<u8>,
}

/// Puts this thread on a machine of the LAN: sockets that it makes from now on are there.
///
/// # Errors
/// When there is no such machine.
pub(super) fn go_to(machine: usize) -> io::Result<()> {
    let space = File::open(format!("/run/netns/{}", name(machine)))?;
    setns(space, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
}

/// A socket of the local API, with the longest time that a read may take.
///
/// # Errors
/// When nobody listens there.
pub(super) fn socket(path: &std::path::Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(LONGEST))?;
    Ok(stream)
}

impl Client {
    /// Connects. A thread that asks etcd is on its machine afterwards.
    ///
    /// # Errors
    /// When nobody listens there.
    pub(super) fn new(door: &Door) -> io::Result<Self> {
        let stream: Box<dyn Stream> = match door {
            Door::Tanist(path) | Door::Redis(path) => Box::new(socket(path)?),
            Door::Etcd(machine) => {
                go_to(*machine)?;
                let stream = TcpStream::connect((format!("10.77.0.{machine}"), 2379))?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(LONGEST))?;
                Box::new(stream)
            }
        };
        Ok(Self { door: door.clone(), stream, request: Vec::new(), answer: Vec::new() })
    }

    /// Writes a value: a record, or a key that nobody else writes.
    ///
    /// # Errors
    /// When the answer is not that it is durable.
    pub(super) fn write(&mut self, key: u128, value: &[u8]) -> io::Result<()> {
        self.request.clear();
        match self.door {
            Door::Tanist(_) => {
                let length = value.len();
                write!(self.request, "POST /v1/records/bench HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n")?;
                self.request.extend_from_slice(value);
                self.http("HTTP/1.1 201")
            }
            Door::Etcd(_) => {
                let body = format!("{{\"key\":\"{}\",\"value\":\"{}\"}}", base64(&key.to_be_bytes()), base64(value));
                let head = "POST /v3/kv/put HTTP/1.1\r\nHost: e\r\nContent-Type: application/json\r\n";
                write!(self.request, "{head}Content-Length: {}\r\n\r\n{body}", body.len())?;
                self.http("HTTP/1.1 200")
            }
            Door::Redis(_) => {
                write!(self.request, "*3\r\n$3\r\nSET\r\n$32\r\n{key:032x}\r\n${}\r\n", value.len())?;
                self.request.extend_from_slice(value);
                self.request.extend_from_slice(b"\r\n*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$4\r\n5000\r\n");
                self.redis()
            }
        }
    }

    /// Asks an agent, and wants the status line to begin so. The answer's head and body can be looked at afterwards.
    ///
    /// # Errors
    /// When it begins otherwise, or nothing comes.
    pub(super) fn get(&mut self, path: &str, wanted: &str) -> io::Result<&str> {
        self.request.clear();
        write!(self.request, "GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")?;
        self.http(wanted)?;
        str::from_utf8(&self.answer).map_err(io::Error::other)
    }

    /// The point up to which an agent knows everything.
    ///
    /// # Errors
    /// When it does not say.
    pub(super) fn cursor(&mut self) -> io::Result<String> {
        let answer = self.get("/v1/topics", "HTTP/1.1 200")?;
        let rest = answer.split_once("tanist-cursor: ").map(|(_, rest)| rest);
        let cursor = rest.and_then(|rest| rest.lines().next()).ok_or_else(|| io::Error::other("it has no cursor"))?;
        Ok(cursor.to_owned())
    }

    fn more(&mut self) -> io::Result<()> {
        let had = self.answer.len();
        self.answer.resize(had + 4096, 0);
        let got = self.stream.read(&mut self.answer[had..])?;
        self.answer.truncate(had + got);
        if got == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn told(&self) -> io::Error {
        io::Error::other(String::from_utf8_lossy(&self.answer).into_owned())
    }

    /// Sends the request and takes the whole answer.
    fn http(&mut self, wanted: &str) -> io::Result<()> {
        self.stream.write_all(&self.request)?;
        self.answer.clear();
        let body = loop {
            self.more()?;
            if let Some(end) = self.answer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = str::from_utf8(&self.answer[..body]).map_err(io::Error::other)?;
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        let length = fields.find(|(field, _)| field.eq_ignore_ascii_case("content-length"));
        let length: usize = length.and_then(|(_, length)| length.parse().ok()).ok_or_else(|| self.told())?;
        while self.answer.len() < body + length {
            self.more()?;
        }
        if self.answer.starts_with(wanted.as_bytes()) { Ok(()) } else { Err(self.told()) }
    }

    /// Takes two answers: that it is written here, and in how many other places.
    fn redis(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.request)?;
        self.answer.clear();
        while self.answer.iter().filter(|byte| **byte == b'\n').count() < 2 {
            self.more()?;
        }
        let copied = self.answer.strip_prefix(b"+OK\r\n:").is_some_and(|copies| !copies.starts_with(b"0"));
        if copied { Ok(()) } else { Err(self.told()) }
    }
}

/// As JSON carries bytes to etcd.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let shown = digit <= three.len();
            text.push(if shown { char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]) } else { '=' });
        }
    }
    text
}

/// What became of one client: when each request was sent and when it was answered, and what ended it before its time.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) answered: Vec<(Instant, Instant)>,
    pub(super) broken: Option<io::Error>,
}

impl Story {
    /// The longest time without an answer among requests that were answered in a span, in milliseconds.
    pub(super) fn longest(&self, from: Instant, to: Instant) -> f64 {
        let within = self.answered.iter().filter(|(sent, done)| *done >= from && *sent <= to);
        within.map(|(sent, done)| millis(*done - *sent)).fold(0.0, f64::max)
    }
}

pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Clients that write at the same time.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Story>>,
}

impl Load {
    /// Starts one client at each of these doors; all write values of one length.
    pub(super) fn begin(doors: impl IntoIterator<Item = Door>, length: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |door: Door| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || writer(&door, length, &stop))
        };
        let threads = doors.into_iter().map(start).collect();
        Self { stop, threads }
    }

    /// Tells all to end, and takes what they found.
    pub(super) fn end(self) -> Vec<Story> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().map(|thread| thread.join().expect("a client that does not panic")).collect()
    }
}

fn writer(door: &Door, length: usize, stop: &AtomicBool) -> Story {
    let mut answered = Vec::new();
    let mut write_all = || {
        let mut client = Client::new(door)?;
        let value = vec![b'v'; length];
        while !stop.load(Ordering::Relaxed) {
            let key = uuid::Uuid::now_v7().as_u128();
            let sent = Instant::now();
            client.write(key, &value)?;
            answered.push((sent, Instant::now()));
        }
        io::Result::Ok(())
    };
    let broken = write_all().err();
    Story { answered, broken }
}

/// Has clients write for a while, and gives back how long each answer took, in milliseconds, and how many came a second.
///
/// # Errors
/// When one of them was not answered that its value is durable.
pub(super) fn measure(doors: Vec<Door>, length: usize, during: Duration) -> Result<(Vec<f64>, f64), String> {
    let begun = Instant::now();
    let load = Load::begin(doors, length);
    std::thread::sleep(during);
    let ended = Instant::now();
    let stories = load.end();
    if let Some(error) = stories.iter().find_map(|story| story.broken.as_ref()) {
        return Err(format!("a client was told: {error}"));
    }
    // The first tenth warms up.
    let from = begun + during / 10;
    let all = stories.iter().flat_map(|story| &story.answered);
    let took: Vec<f64> =
        all.filter(|(sent, done)| *sent >= from && *done <= ended).map(|(sent, done)| millis(*done - *sent)).collect();
    let rate = took.len() as f64 / (ended - from).as_secs_f64();
    Ok((took, rate))
}
