//! What one agent can answer on its local socket.

use super::faults::Stage;
use super::lan::Lan;
use super::scene::{self, Scene, figure};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const REQUEST: &[u8] = b"GET /v1/leader HTTP/1.1\r\nHost: tanist\r\n\r\n";

/// How many clients ask at once.
pub(crate) const CLIENTS: usize = 16;

/// A connection that is kept and asked again and again.
struct Asker {
    stream: UnixStream,
    answer: Vec<u8>,
}

impl Asker {
    fn new(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(Self { stream, answer: vec![0; 4096] })
    }

    /// One question and its whole answer.
    fn ask(&mut self) -> io::Result<()> {
        self.stream.write_all(REQUEST)?;
        let mut got = 0;
        loop {
            match self.stream.read(&mut self.answer[got..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => got += n,
            }
            let answer = &self.answer[..got];
            if !answer.starts_with(b"HTTP/1.1 200") {
                return Err(io::Error::other(String::from_utf8_lossy(answer).into_owned()));
            }
            // The body is one JSON object.
            if answer.ends_with(b"}") {
                return Ok(());
            }
        }
    }
}

/// Asks from several threads for a while; gives back how many were answered.
fn ask_together(socket: &Path, during: Duration) -> io::Result<usize> {
    let end = Instant::now() + during;
    let ask = |socket: PathBuf| {
        std::thread::spawn(move || {
            let (mut asker, mut answered) = (Asker::new(&socket)?, 0);
            while Instant::now() < end {
                asker.ask()?;
                answered += 1;
            }
            io::Result::Ok(answered)
        })
    };
    let threads: Vec<_> = (0..CLIENTS).map(|_| ask(socket.to_owned())).collect();
    threads.into_iter().map(|thread| thread.join().expect("a client that does not panic")).sum()
}

/// Plays the scene.
///
/// # Errors
/// When the agent does not answer.
pub(crate) fn inside(scene: &Scene) -> Result<(), String> {
    scene::play(async {
        let mut stage = Stage::new(Lan::new(scene.dir.clone(), None).await, 3, 0, None).await;
        stage.ready().await;
        let socket = stage.lan.machines[0].agent.dir.join("sock");
        let times = if scene::quick() { 1000 } else { 20_000 };
        let asked = tokio::task::spawn_blocking(move || {
            let (mut asker, mut took) = (Asker::new(&socket)?, Vec::with_capacity(times));
            for _ in 0..times {
                let at = Instant::now();
                asker.ask()?;
                took.push(at.elapsed().as_secs_f64() * 1000.0);
            }
            let during = Duration::from_secs(if scene::quick() { 1 } else { 10 });
            io::Result::Ok((took, ask_together(&socket, during)? as f64 / during.as_secs_f64()))
        });
        let (took, rate) = asked.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
        took.into_iter().for_each(|ms| figure("local", "one", ms));
        figure("local", "together", rate);
        Ok(())
    })
}
