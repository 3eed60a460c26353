//! The fuzzer's corpus (`fuzz/`): every message has an entry, and every entry is replayed through the same functions
//! that the fuzzer calls, against a node in each of its roles.
//!
//! `TANIST_CORPUS=write cargo test --test fuzz` writes the entries that are made from the samples.

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tanist::message::{Cast, Frame, Open, Sender};
use tanist::wire::samples::{self, cast_word, frame_word};
use tanist::wire::{Unread, Wire};

/// What one may add to the other's repository: all entries of all targets, in bytes.
const CORPUS_MAX: u64 = 200 * 1024;

/// What replaying everything may add to the memory of this process, in KiB.
const MEMORY_MAX: u64 = 256 * 1024;

/// An entry's name and content.
type Entries = BTreeMap<String, Vec<u8>>;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

fn files(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(corpus(target)).unwrap_or_else(|e| panic!("no corpus of {target}: {e}"));
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.clone(), fs::read(path).expect("an entry can be read")))
        .collect();
    files.sort();
    files
}

fn run(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a sample is short").to_le_bytes();
    [&length, bytes].concat()
}

/// A step that hears a datagram as it stands.
fn hears(from: u8, bytes: &[u8]) -> Vec<u8> {
    [&[8, from], run(bytes).as_slice()].concat()
}

/// Steps in which `from` connects and says this: the newest connection is number 0.
fn says(from: &Sender, frame: &Frame) -> Vec<u8> {
    let wire = Wire::new("office");
    let open = Frame::Open(Open { from: from.clone(), via: None });
    let mut steps = vec![5, 4, 3];
    for frame in [&open, frame] {
        steps.extend([0, 0]);
        steps.extend(run(&wire.frame(frame).expect("a sample fits")));
    }
    steps
}

/// Who says such a thing: whose claim it is, or the leader.
fn speaker(frame: &Frame) -> Sender {
    let node = match frame {
        Frame::Canvass(canvass) => canvass.claim.node,
        Frame::Joined(joined) => joined.claim.node,
        Frame::Meet(meet) => meet.claim.node,
        Frame::Join(_) | Frame::Tell(_) | Frame::Report(_) => samples::node(4),
        _ => samples::node(1),
    };
    Sender { node, ..samples::sender() }
}

/// The entries that are made from the samples, and what goes after: some time, the disk, more time.
fn made(target: &str) -> Entries {
    let wire = Wire::new("office");
    let end = [13, 7, 12, 5, 13, 7, 12, 15];
    let mut entries = Entries::new();
    let mut add = |word: &str, n: usize, steps: Vec<u8>| {
        // The role moves on with every entry; the replay plays them all.
        let role = (n % targets::ROLES.len()) as u8;
        entries.insert(format!("{word}-{n:02}"), [&[role], steps.as_slice(), &end].concat());
    };
    match target {
        "datagram" => {
            for (n, cast) in samples::casts().iter().enumerate() {
                let from = match cast {
                    Cast::Welcome(w) => w.claim.node,
                    Cast::Heartbeat(h) => h.claim.node,
                    Cast::Notice(n) => n.claim.node,
                    _ => samples::node(1),
                };
                let from = Sender { node: from, ..samples::sender() };
                add(cast_word(cast), n, hears(3, &wire.datagram(&from, cast)));
            }
        }
        "frame" => {
            for (n, frame) in samples::frames().iter().enumerate() {
                add(frame_word(frame), n, says(&speaker(frame), frame));
            }
        }
        _ => {}
    }
    entries
}

#[test]
fn every_message_has_an_entry() {
    for target in ["datagram", "frame"] {
        for (name, content) in made(target) {
            let path = corpus(target).join(&name);
            if std::env::var("TANIST_CORPUS").is_ok_and(|v| v == "write") {
                fs::create_dir_all(corpus(target)).expect("a directory");
                fs::write(&path, &content).expect("written");
            }
            let found = fs::read(&path).unwrap_or_default();
            let todo = "run `TANIST_CORPUS=write cargo test --test fuzz`";
            assert!(found == content, "{} is not what the samples make: {todo}", path.display());
        }
        let all = if target == "frame" { samples::FRAMES } else { samples::CASTS };
        let has = |word: &str| files(target).iter().any(|(path, content)| holds(path, content, word));
        let missing: Vec<_> = all.iter().filter(|word| !has(word)).collect();
        assert!(missing.is_empty(), "no entry of {target} for {missing:?}");
    }
}

/// Whether an entry of this word holds a message that says so.
fn holds(path: &Path, content: &[u8], word: &str) -> bool {
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    let key = [&[0xa1, b't', 0xa0 | word.len() as u8], word.as_bytes()].concat();
    name.starts_with(&format!("{word}-")) && content.windows(key.len()).any(|found| found == key)
}

#[test]
fn the_corpus_is_small() {
    let all = ["datagram", "frame", "configuration", "local_api"].map(files);
    let size: u64 = all.iter().flatten().map(|(_, content)| content.len() as u64).sum();
    assert!(size <= CORPUS_MAX, "the corpus has {size} bytes");
}

#[test]
fn every_entry_is_survived_in_every_role() {
    let before = memory();
    for (target, play) in [
        ("datagram", targets::datagram as fn(&[u8])),
        ("frame", targets::frame),
        ("configuration", targets::configuration),
        ("local_api", targets::local_api),
    ] {
        let files = files(target);
        assert!(files.len() >= 8, "the corpus of {target} has {} entries", files.len());
        for (path, mut content) in files {
            println!("{}", path.display());
            play(&content);
            if target == "configuration" || content.is_empty() {
                continue;
            }
            for role in 0..targets::ROLES.len() {
                content[0] = role as u8;
                play(&content);
            }
        }
    }
    let grown = memory() - before;
    assert!(grown <= MEMORY_MAX, "the memory grew by {grown} KiB");
}

/// The most that this process ever had in memory, in KiB.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux says");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("its peak");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
}

#[test]
fn one_input_is_played_again() {
    // TANIST_INPUT=TARGET:FILE, for a finding without the fuzzer at hand.
    let Ok(input) = std::env::var("TANIST_INPUT") else { return };
    let (target, file) = input.split_once(':').expect("TARGET:FILE");
    let content = fs::read(file).expect("the file can be read");
    match target {
        "datagram" => targets::datagram(&content),
        "frame" => targets::frame(&content),
        "configuration" => targets::configuration(&content),
        _ => targets::local_api(&content),
    }
}

#[test]
fn the_samples_are_read_by_the_cluster_that_the_targets_play() {
    // If the cluster's name differed, the fuzzer would fuzz nothing but the header.
    let (wire, other) = (Wire::new("office"), Wire::new("home"));
    let cast = &samples::casts()[0];
    let bytes = wire.datagram(&samples::sender(), cast);
    assert!(wire.read_datagram(&bytes).is_ok() && other.read_datagram(&bytes) == Err(Unread::OtherCluster));
}
