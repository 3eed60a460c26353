//! How late this program's own ears are: what a measurement adds to every time it takes.

use std::io::Write;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, BufReader};

/// How many lines are timed.
const LINES: usize = 200;

/// The times between a line's writing into a Unix socket and its reading here, as event streams are read, in
/// milliseconds.
pub(crate) async fn lateness() -> Vec<f64> {
    let (mut mouth, ear) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
    ear.set_nonblocking(true).expect("a socket");
    let mut ear = BufReader::new(tokio::net::UnixStream::from_std(ear).expect("a socket"));
    let begun = Instant::now();
    let speaks = std::thread::spawn(move || {
        for _ in 0..LINES {
            std::thread::sleep(Duration::from_millis(3));
            let said = u64::try_from(begun.elapsed().as_nanos()).expect("a short time");
            mouth.write_all(&said.to_le_bytes()).expect("somebody listens");
        }
    });
    let mut late = Vec::new();
    for _ in 0..LINES {
        let said = Duration::from_nanos(ear.read_u64_le().await.expect("somebody speaks"));
        late.push((begun.elapsed().saturating_sub(said)).as_secs_f64() * 1000.0);
    }
    speaks.join().expect("it spoke");
    late
}
