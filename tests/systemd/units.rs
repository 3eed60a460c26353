//! Units that follow the role: a web server on a fixed port that keeps what it is told in tanist, under
//! `tanist-leader.target`.

use super::ground::{package, sh, story};
use super::machine::Machine;
use super::office::{DEADLINE, Office};
use super::tree::{BOOKWORM, TRIXIE};
use super::users::all;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What the web server keeps its records in.
const TOPIC: &str = "visits";

/// A visitor waits for less when the role moves in order: the old one ends, the new one starts.
const MOVES: Duration = Duration::from_secs(2);

/// A unit stops within this when its agent is killed.
const DIES: Duration = Duration::from_secs(1);

/// How long a visitor waits for an answer, and before it tries again.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);

/// Three machines with the package and the web server, whose unit is part of the target.
fn served(dir: &Path, tree: &Path) -> Office {
    let office = Office::booted(3, dir, tree);
    sh("ip address add 10.88.0.254/24 dev lan");
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systemd");
    office.put(&package().expect("looked for"), "root/tanist.deb");
    office.put(&here.join("visits.pl"), "usr/local/bin/visits");
    office.put(&here.join("visits.service"), "etc/systemd/system/visits.service");
    office.run("dpkg --install /root/tanist.deb && systemctl daemon-reload && systemctl enable visits.service");
    office.run("systemctl enable --now tanist-target.service");
    office
}

fn is_active(machine: &Machine, unit: &str) -> bool {
    machine.fails(&format!("systemctl --quiet is-active {unit}")).0 == Some(0)
}

/// Waits until the unit runs where the leader is, and there alone.
fn follows(office: &Office) -> usize {
    let leader = office.leader();
    let right = |(k, machine)| is_active(machine, "visits.service") == (k == leader);
    office.machines[leader].until(DEADLINE, "the web server is where the leader is, and there alone", || {
        office.machines.iter().enumerate().all(right)
    });
    leader
}

/// When systemd last said so of the web server: microseconds of a clock that all machines share.
fn when(machine: &Machine, what: &str) -> u64 {
    let said = machine.run("journalctl --quiet --no-pager -o json -u visits.service");
    let lines =
        serde_json::Deserializer::from_str(&said).into_iter::<serde_json::Value>().map(|line| line.expect("JSON"));
    let last = lines.filter(|line| line["MESSAGE"].as_str().is_some_and(|text| text.starts_with(what))).last();
    let at = last.unwrap_or_else(|| panic!("{}: {what} is not in its journal", machine.name));
    at["__MONOTONIC_TIMESTAMP"].as_str().and_then(|at| at.parse().ok()).expect("a number")
}

/// Leaves a word on the web server of one machine, if there is one.
fn visit(machine: usize, word: &str) -> bool {
    let ask = || {
        let address = SocketAddr::from(([10, 88, 0, u8::try_from(machine + 1).expect("few")], 8000));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(200))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = word.len();
        write!(stream, "POST / HTTP/1.1\r\nHost: visits\r\nContent-Length: {length}\r\n\r\n{word}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}

/// Something happens while a visitor goes from machine to machine. Gives the words that were taken, and the longest time
/// without one.
fn visited(office: &mut Office, name: &str, happens: impl FnOnce(&mut Office)) -> (Vec<String>, Duration) {
    let over = AtomicBool::new(false);
    let taken = AtomicUsize::new(0);
    let machines = office.machines.len();
    let (words, worst) = std::thread::scope(|scope| {
        let visitor = scope.spawn(|| {
            let (mut words, mut worst, mut last) = (Vec::new(), Duration::ZERO, Instant::now());
            let mut at = 0;
            while !over.load(Ordering::Relaxed) {
                // Whether a word was taken whose answer was lost is not known: it is another word the next time.
                let word = format!("{name} {} {}", words.len(), last.elapsed().as_micros());
                if visit(at, &word) {
                    words.push(word);
                    taken.fetch_add(1, Ordering::Relaxed);
                    worst = worst.max(last.elapsed());
                    last = Instant::now();
                } else {
                    at = (at + 1) % machines;
                    std::thread::sleep(PAUSE);
                }
            }
            (words, worst.max(last.elapsed()))
        });
        let more = |office: &Office| {
            let so_far = taken.load(Ordering::Relaxed);
            office.machines[0].until(DEADLINE, "words are taken", || taken.load(Ordering::Relaxed) > so_far + 20);
        };
        more(office);
        happens(office);
        more(office);
        over.store(true, Ordering::Relaxed);
        visitor.join().expect("no panic")
    });
    println!("systemd | {name}: {} visits, the longest time without one {worst:.2?}", words.len());
    (words, worst)
}

/// In an orderly change the one has ended before the other starts.
fn moves(office: &mut Office) -> Vec<String> {
    let old = follows(office);
    let (words, worst) = visited(office, "handover", |office| {
        office.machines[old].run("tanist handover");
        assert_ne!(follows(office), old);
    });
    let new = follows(office);
    let (ended, began) = (when(&office.machines[old], "Stopped"), when(&office.machines[new], "Started"));
    assert!(ended < began, "it ended at {ended} and began at {began}");
    assert!(worst < MOVES, "{worst:?}");
    words
}

/// The agent dies: the unit ends with it, and begins where the next leader is.
fn dies(office: &mut Office) -> Vec<String> {
    let old = follows(office);
    let (words, _) = visited(office, "kill -9", |office| {
        let machine = &office.machines[old];
        machine.run("systemctl kill --signal=KILL tanist.service");
        machine.until(DIES, "the web server ends with the agent", || !is_active(machine, "visits.service"));
        assert_ne!(follows(office), old);
    });
    words
}

/// The machine of the leader is switched off: what was answered is on the others.
fn lost(office: &mut Office) -> Vec<String> {
    let old = follows(office);
    let (words, _) = visited(office, "power-off", |office| {
        office.machines[old].power_off_hard();
        let rest: Vec<usize> = (0..3).filter(|k| *k != old).collect();
        office.machines[rest[0]].until(DEADLINE, "another serves", || {
            rest.iter().any(|k| is_active(&office.machines[*k], "visits.service"))
        });
        office.machines[old].switch_on();
        office.machines[old].booted();
        follows(office);
    });
    words
}

/// A unit that cannot start is told in one line, and costs the machine nothing.
fn fails(office: &Office) {
    office.run(
        "printf '[Unit]\\nPartOf=tanist-leader.target\\n[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/false\\n\
         [Install]\\nWantedBy=tanist-leader.target\\n' > /etc/systemd/system/broken.service && systemctl enable broken.service",
    );
    let old = follows(office);
    office.machines[old].run("tanist handover");
    let new = follows(office);
    let line = "broken.service failed, and this machine leads all the same";
    let machine = &office.machines[new];
    machine.until(DEADLINE, "the failure is told", || {
        machine.run("journalctl -q --no-pager -u tanist-target.service -o cat").contains(line)
    });
    assert!(machine.run("journalctl -q --no-pager -u tanist-target.service -o cat").matches(line).count() == 1);
}

fn units(dir: &Path, tree: &Path) {
    let mut office = served(dir, tree);
    let mut words = moves(&mut office);
    words.append(&mut dies(&mut office));
    words.append(&mut lost(&mut office));
    fails(&office);
    // The unit that drives the target ends: all that the target started ends.
    let leader = follows(&office);
    office.machines[leader].run("systemctl stop tanist-target.service");
    office.machines[leader].until(DIES, "its units end", || !is_active(&office.machines[leader], "visits.service"));
    assert!(words.len() > 30, "{} visits", words.len());
    for machine in &office.machines {
        let there = all(machine, TOPIC);
        let missing: Vec<&String> = words.iter().filter(|word| !there.contains(*word)).collect();
        assert!(missing.is_empty(), "{} lacks {missing:?}", machine.name);
    }
}

/// With systemd 252.
#[test]
fn units_follow_the_role_on_debian_12() {
    story("units::units_follow_the_role_on_debian_12", BOOKWORM, units);
}

/// With systemd 257.
#[test]
fn units_follow_the_role_on_debian_13() {
    story("units::units_follow_the_role_on_debian_13", TRIXIE, units);
}
