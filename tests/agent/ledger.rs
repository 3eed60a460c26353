//! The expense ledger of `examples/`, played by three people on three machines.

use crate::data::{Office, runtime};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// The example as it was built with this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    let target = test.parent().and_then(|deps| deps.parent()).expect("target/debug/deps");
    let program = target.join("examples").join("ledger");
    assert!(program.exists(), "`cargo test` builds it; for this test alone, `cargo build --example ledger` does");
    program
}

/// What it says to amounts that are none.
#[test]
fn what_is_no_amount_is_not_entered() {
    for amount in ["x", "1.234", "1,5", ".5", "1e3"] {
        let socket = ["--socket", "/nowhere"];
        let done = Command::new(program()).args(socket).args(["add", amount, "--by", "a", "--for", "b"]).output();
        let done = done.expect("it runs");
        let why = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success() && why.contains("is no amount"), "{amount}: {why}");
    }
}

/// What it prints on one machine.
fn ledger(office: &Office, n: usize, options: &[&str]) -> String {
    let mut command = Command::new(program());
    command.env_clear().env("USER", format!("user-{n}")).arg("--socket").arg(office.socket(n)).args(options);
    let done = command.output().expect("it runs");
    assert!(done.status.success(), "{options:?} on pc-{n}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

fn whole(office: &Office, n: usize) -> Value {
    serde_json::from_str(&ledger(office, n, &["--json"])).expect("JSON")
}

/// Waits until a machine has so many entries, and gives all that it says.
fn with_entries(office: &Office, n: usize, count: usize) -> Value {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let found = whole(office, n);
        let entries = found["entries"].as_array().map_or(0, Vec::len);
        if entries >= count {
            assert_eq!(entries, count, "no entry is there twice on pc-{n}");
            return found;
        }
        assert!(Instant::now() < until, "pc-{n} has {entries} of {count} entries");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_ledger_is_the_same_everywhere_through_a_failover() {
    let mut office = Office::new();
    let leader = runtime().block_on(office.leader());
    let others: Vec<usize> = (0..3).filter(|n| *n != leader).collect();
    ledger(&office, leader, &["--sample"]);
    let id = ledger(&office, others[0], &["add", "12.50", "--by", "anna", "--for", "pens", "--among", "anna,eve"]);
    with_entries(&office, others[1], 21);
    office.kill(leader);
    // Nobody waits for anybody: the call goes on until there is another leader.
    let late = ledger(&office, others[1], &["add", "3", "--by", "ben", "--for", "tape", "--among", "ben"]);
    ledger(&office, others[0], &["correct", id.trim(), "11.50"]);
    office.start(leader);
    runtime().block_on(office.leader());
    let all: Vec<Value> = (0..3).map(|n| with_entries(&office, n, 23)).collect();
    assert!(all.iter().all(|one| *one == all[0]), "all machines say the same");
    let entry = |id: &str| {
        let entries = all[0]["entries"].as_array().expect("a list");
        entries.iter().find(|entry| entry["id"] == id.trim()).expect("it is there").clone()
    };
    assert_eq!(entry(&late)["machine"], format!("pc-{}", others[1]));
    assert_eq!(entry(&late)["entered_by"], format!("user-{}", others[1]));
    assert_eq!((entry(&id)["corrected"].clone(), entry(&late)["corrected"].clone()), (true.into(), false.into()));
    let balance = all[0]["balance"].as_object().expect("of each person");
    assert_eq!(balance["eve"], -575, "half of what it came to");
    assert_eq!(balance.values().filter_map(Value::as_i64).sum::<i64>(), 0);
    assert_eq!(balance.len(), 5, "four of the sample, and eve");
    let text = ledger(&office, leader, &[]);
    assert!(text.contains("eve        owes 5.75") && text.contains("-- corrected since"), "{text}");
}
