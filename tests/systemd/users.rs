//! Users of a machine's local socket: each adds a record, waits for the answer, and adds the next.

use super::machine::Machine;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The topic of their records.
pub(crate) const TOPIC: &str = "days";

/// How long a user waits for an answer, and between two records.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);

/// What became of one machine's requests.
#[derive(Debug, Default)]
pub(crate) struct Days {
    /// What was acknowledged.
    pub(crate) kept: Vec<String>,
    /// What was not, and why.
    pub(crate) failed: Vec<String>,
    /// The longest wait for an answer.
    pub(crate) worst: Duration,
}

/// Adds a record with a connection of its own, as `curl` does.
fn add(socket: &Path, value: &str) -> Result<(), String> {
    let head = format!(
        "POST /v1/records/{TOPIC} HTTP/1.1\r\nHost: tanist\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        value.len()
    );
    let ask = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{head}{value}").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    match ask() {
        Ok(answer) if answer.starts_with("HTTP/1.1 201 ") => Ok(()),
        Ok(answer) => Err(answer),
        Err(why) => Err(why.to_string()),
    }
}

/// Something happens to one machine while users of all of them write: what became of their requests, machine by machine.
pub(crate) fn meanwhile(machines: &mut [Machine], happens: impl FnOnce(&mut [Machine])) -> Vec<Days> {
    static WORDS: AtomicUsize = AtomicUsize::new(0);
    let over = AtomicBool::new(false);
    // Looked up once: a machine that boots again has another socket, and its users do not outlive it.
    let sockets: Vec<_> = machines.iter().map(|machine| machine.socket().expect("it is on")).collect();
    let begun: Vec<AtomicUsize> = sockets.iter().map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        let users = sockets.iter().zip(&begun).map(|(socket, begun)| {
            let over = &over;
            scope.spawn(move || {
                let mut days = Days::default();
                while !over.load(Ordering::Relaxed) {
                    let value = format!("record {}", WORDS.fetch_add(1, Ordering::Relaxed));
                    let asked = Instant::now();
                    match add(socket, &value) {
                        Ok(()) => days.kept.push(value),
                        Err(why) => days.failed.push(format!("after {:?}: {why}", asked.elapsed())),
                    }
                    days.worst = days.worst.max(asked.elapsed());
                    begun.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(PAUSE);
                }
                days
            })
        });
        let users: Vec<_> = users.collect();
        machines[0].until(PATIENCE, "users write", || begun.iter().all(|n| n.load(Ordering::Relaxed) > 10));
        happens(machines);
        let so_far: Vec<usize> = begun.iter().map(|n| n.load(Ordering::Relaxed)).collect();
        machines[0].until(PATIENCE, "users go on", || {
            begun.iter().zip(&so_far).all(|(n, so_far)| n.load(Ordering::Relaxed) > so_far + 10)
        });
        over.store(true, Ordering::Relaxed);
        users.into_iter().map(|user| user.join().expect("no panic")).collect()
    })
}

/// All records of a topic that a machine has.
pub(crate) fn all(machine: &Machine, topic: &str) -> BTreeSet<String> {
    let records = machine.run(&format!("tanist records {topic} --json"));
    let pages = serde_json::Deserializer::from_str(&records).into_iter::<serde_json::Value>();
    let values = pages.flat_map(|page| page.expect("JSON")["records"].as_array().cloned().expect("a list"));
    values.map(|record| record["value"].as_str().expect("text").to_owned()).collect()
}
