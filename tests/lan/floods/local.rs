//! The local interface: garbage, clients that are slow or many, and more requests than anybody needs.

use super::{Flood, Prey, breathe};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

pub(super) const FLOODS: [Flood; 5] = [
    ("local connections of random bytes", random),
    ("local connections that say nothing", silent),
    ("local requests byte by byte", slow),
    ("event streams that nobody reads", streams),
    ("local requests as fast as they are answered", requests),
];

/// So many connections are held at a time, and made in all, at most.
const HELD: usize = 700;
const MOST: usize = 10_000;

fn connect(path: &PathBuf) -> Option<UnixStream> {
    // Beyond the bound it is refused, or answered with 429 and closed.
    let stream = UnixStream::connect(path).ok()?;
    stream.set_write_timeout(Some(Duration::from_millis(20))).expect("a time");
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a time");
    Some(stream)
}

fn hold(prey: &mut Prey, mut say: impl FnMut(&mut Prey, &mut UnixStream)) {
    let mut held: Vec<UnixStream> = Vec::new();
    for made in 0..MOST {
        if !prey.goes_on() {
            return;
        }
        let path = prey.socket();
        let Some(mut stream) = connect(&path) else { continue };
        say(prey, &mut stream);
        if held.len() >= HELD {
            drop(held.swap_remove(made % HELD));
        }
        held.push(stream);
        if made % 4 == 0 {
            breathe();
        }
    }
}

fn random(prey: &mut Prey) {
    hold(prey, |prey, stream| {
        let bytes = prey.bytes(4000);
        let _ = stream.write_all(&bytes);
    });
}

fn silent(prey: &mut Prey) {
    hold(prey, |_, _| {});
}

fn slow(prey: &mut Prey) {
    let paths: Vec<PathBuf> = (0..200).map(|_| prey.socket()).collect();
    let mut held: Vec<UnixStream> = paths.iter().filter_map(connect).collect();
    let request = b"GET /v1/status HTTP/1.1\r\nHost: tanist\r\nX-Long: ";
    let mut said = 0;
    while prey.goes_on() {
        for (i, stream) in held.iter_mut().enumerate() {
            let _ = stream.write_all(&[request.get(said).copied().unwrap_or(b'x')]);
            if i % 20 == 0 {
                breathe();
            }
        }
        said += 1;
    }
}

fn streams(prey: &mut Prey) {
    hold(prey, |_, stream| {
        let _ = stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: tanist\r\n\r\n");
    });
}

fn requests(prey: &mut Prey) {
    let paths: Vec<PathBuf> = (0..8).map(|_| prey.socket()).collect();
    let end = prey.end;
    let clients: Vec<_> = paths
        .into_iter()
        .map(|path| {
            std::thread::spawn(move || {
                let Some(mut stream) = connect(&path) else { return };
                let mut answer = [0; 4096];
                while std::time::Instant::now() < end {
                    if stream.write_all(b"GET /v1/members HTTP/1.1\r\nHost: tanist\r\n\r\n").is_err()
                        || stream.read(&mut answer).is_err()
                    {
                        return;
                    }
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("a client"));
}
