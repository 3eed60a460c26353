//! What it costs to make data durable, and to open a store that has much of it, on the disk that has the folder for
//! temporary files.
//!
//!   cargo bench --bench store
//!
//! A batch is ordered, synced and committed; the time to durable is that of the first two. Beside it stands what the disk
//! takes for 4 KiB behind the end of a file, and over what is there.

#![expect(clippy::disallowed_methods, reason = "benchmarks read the clock")]

use bytes::Bytes;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tanist::data::{Ask, Condition, ReignId, Request, RequestId};
use tanist::ident::NodeId;
use tanist::store::data::DataStore;
use tanist::time::Wall;
use tempfile::TempDir;
use uuid::Uuid;

/// How long each figure is measured.
const MEASURED: Duration = Duration::from_secs(4);
/// Rows that a store has before anything is measured.
const LOADED: u64 = 260_000;
/// Rows of a large store.
const MANY: u64 = 1_000_000;
/// The length of a value, in bytes.
const VALUE: usize = 100;

/// What is asked for.
#[derive(Clone, Copy)]
enum Load {
    /// Records, with ids in the order of time.
    Records,
    /// Puts on so many keys.
    Puts(u64),
}

/// Draws, and ids in the order of time.
struct Client {
    load: Load,
    seed: u64,
    asked: u64,
}

impl Client {
    fn new(load: Load) -> Client {
        Client { load, seed: 7, asked: 0 }
    }

    fn draw(&mut self) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.seed >> 33
    }

    fn request(&mut self) -> Request {
        self.asked += 1;
        let id = RequestId(u128::from(self.asked) << 64 | u128::from(self.draw()));
        let value = Bytes::from(vec![self.draw() as u8; VALUE]);
        let ask = match self.load {
            Load::Records => Ask::Add { topic: format!("topic-{}", self.draw() % 10), value },
            Load::Puts(keys) => {
                let key = format!("department/machine/{:06}", self.draw() % keys);
                Ask::Put { key, value, condition: Condition::None }
            }
        };
        Request { id, at: Wall(1_800_000_000_000_000 + self.asked), node: NodeId(Uuid::from_u128(7)), ask }
    }

    fn requests(&mut self, count: u64) -> VecDeque<Request> {
        (0..count).map(|_| self.request()).collect()
    }
}

fn open(dir: &Path) -> DataStore {
    DataStore::open(dir).expect("it opens").store
}

/// One batch. Gives how long it took until it was durable.
fn batch(store: &mut DataStore, mut requests: VecDeque<Request>) -> Duration {
    let begun = Instant::now();
    while !requests.is_empty() {
        store.order(ReignId(1), 0, &mut requests).expect("ordered");
    }
    store.sync().expect("durable");
    let durable = begun.elapsed();
    store.commit(store.durable()).expect("committed");
    durable
}

fn fill(store: &mut DataStore, client: &mut Client, rows: u64) {
    for _ in 0..rows / 1000 {
        batch(store, client.requests(1000));
    }
}

fn micros(mut times: Vec<Duration>) -> (f64, f64, f64) {
    times.sort_unstable();
    let mean = times.iter().sum::<Duration>().as_secs_f64() / times.len() as f64;
    let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e6;
    (at(50), at(99), mean * 1e6)
}

/// What the disk itself takes for 4 KiB.
fn disk(dir: &Path) {
    for (name, length) in [("4 KiB appended and synced", 0), ("4 KiB written over and synced", 8 << 20)] {
        let file = File::options().create(true).truncate(true).write(true).open(dir.join("plain")).expect("a file");
        file.write_all_at(&vec![0; length], 0).expect("written");
        file.sync_all().expect("synced");
        let (mut times, mut at) = (Vec::new(), 0);
        let begun = Instant::now();
        while begun.elapsed() < MEASURED / 2 {
            let this = Instant::now();
            file.write_all_at(&[7; 4096], at).expect("written");
            file.sync_data().expect("synced");
            times.push(this.elapsed());
            at += 4096;
            if length > 0 {
                at %= length as u64;
            }
        }
        let (median, most, mean) = micros(times);
        println!("| {name} | {median:.0} | {most:.0} | {mean:.0} | | |");
    }
}

fn durable(dir: &Path, name: &str, load: Load) {
    let mut store = open(&dir.join("data"));
    let mut client = Client::new(load);
    fill(&mut store, &mut client, LOADED);
    for count in [1, 64] {
        let (mut times, mut busy, mut all) = (Vec::new(), Duration::ZERO, 0);
        while busy < MEASURED {
            let requests = client.requests(count);
            let begun = Instant::now();
            times.push(batch(&mut store, requests));
            busy += begun.elapsed();
            all += 1;
        }
        let (median, most, mean) = micros(times);
        let whole = busy.as_secs_f64() / f64::from(all);
        let rate = count as f64 / whole;
        println!("| {name}, {count} | {median:.0} | {most:.0} | {mean:.0} | {:.0} | {rate:.0} |", whole * 1e6);
    }
    store.close().expect("closed");
    fs::remove_dir_all(dir.join("data")).expect("removed");
}

/// In a process of its own: opens a store, and says how long that took and what it takes in memory.
fn opened(dir: &Path) {
    let before = resident();
    let begun = Instant::now();
    let store = open(dir);
    let took = begun.elapsed();
    let facts = store.facts().expect("they can be read");
    println!(
        "| {} records, {} keys, {} requests | {:.1} | {} | {} |",
        facts.records,
        facts.keys,
        facts.requests,
        took.as_secs_f64() * 1e3,
        before,
        resident()
    );
}

/// The memory of this process, in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("there is one");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("it is there");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

fn many(dir: &Path) {
    let size = |dir: &Path| {
        let files = fs::read_dir(dir).expect("it is there").flatten();
        files.map(|file| file.metadata().expect("it is there").len()).sum::<u64>() >> 20
    };
    let again = |dir: &Path| {
        let own = std::env::current_exe().expect("it runs");
        let ended = Command::new(own).arg("--open").arg(dir).status().expect("it starts");
        assert!(ended.success());
    };
    for load in [None, Some(Load::Records), Some(Load::Puts(100_000))] {
        let data = dir.join("many");
        let Some(load) = load else {
            again(&data);
            continue;
        };
        let mut store = open(&data);
        let begun = Instant::now();
        fill(&mut store, &mut Client::new(load), MANY);
        let filled = begun.elapsed().as_secs_f64();
        println!("| (filled in {filled:.1} s, {} KiB then, {} MiB on the disk) | | | |", resident(), size(&data));
        let killed = dir.join("killed");
        copy(&data, &killed);
        store.close().expect("closed");
        again(&data);
        println!("| (as a process leaves it that was killed) | | | |");
        again(&killed);
        fs::remove_dir_all(&killed).expect("removed");
        fs::remove_dir_all(&data).expect("removed");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for file in fs::read_dir(from).expect("it is there").flatten() {
        fs::copy(file.path(), to.join(file.file_name())).expect("copied");
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--open") {
        opened(Path::new(&args[at + 1]));
        return;
    }
    let dir = TempDir::new().expect("a directory");
    println!("| a batch of … | µs to durable, median | 99 of 100 | mean | µs with commit | a second |");
    println!("|---|---:|---:|---:|---:|---:|");
    disk(dir.path());
    durable(dir.path(), "records", Load::Records);
    durable(dir.path(), "puts on 1,000 keys", Load::Puts(1000));
    durable(dir.path(), "puts on 100,000 keys", Load::Puts(100_000));
    disk(dir.path());
    println!("\n| a store of … | ms to open | KiB resident before | after |");
    println!("|---|---:|---:|---:|");
    many(dir.path());
}
