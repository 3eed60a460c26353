//! Three machines on one switch, and what all of them were told is kept.

use super::ground::sh;
use super::machine::Machine;
use super::users::{Days, TOPIC, all, meanwhile};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long anything may take that a test waits for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// See the module.
pub(crate) struct Office {
    pub(crate) machines: Vec<Machine>,
    /// What was acknowledged, on whichever machine.
    kept: Vec<String>,
}

impl Office {
    /// So many fresh machines, booted.
    pub(crate) fn booted(machines: usize, dir: &Path, tree: &Path) -> Self {
        sh("ip link add lan type bridge forward_delay 0 && ip link set lan up");
        let mut machines: Vec<Machine> = (1..=machines).map(|k| Machine::new(k, dir, tree)).collect();
        machines.iter_mut().for_each(Machine::switch_on);
        machines.iter().for_each(Machine::booted);
        Self { machines, kept: Vec::new() }
    }

    /// Puts a file on every machine.
    pub(crate) fn put(&self, file: &Path, place: &str) {
        self.machines.iter().for_each(|machine| machine.put(file, place));
    }

    /// Runs the same on all machines at once.
    pub(crate) fn run(&self, script: &str) {
        std::thread::scope(|scope| {
            for machine in &self.machines {
                scope.spawn(|| machine.run(script));
            }
        });
    }

    /// Which machine leads, once all say the same.
    pub(crate) fn leader(&self) -> usize {
        let mut leader = String::new();
        self.machines[0].until(DEADLINE, "all name one leader", || {
            let named: Vec<String> = self.machines.iter().map(named).collect();
            leader.clone_from(&named[0]);
            !leader.is_empty() && named.iter().all(|name| *name == leader)
        });
        self.machines.iter().position(|machine| machine.name == leader).expect("one of them")
    }

    /// Something happens to one machine while all have users. Those of the others see no failed request, and wait for less
    /// than `limit`. Gives back what became of the requests on the one.
    pub(crate) fn under_writes(
        &mut self,
        what: &str,
        to: usize,
        limit: Duration,
        happens: impl FnOnce(&mut Machine),
    ) -> Days {
        let begun = Instant::now();
        let mut took = Duration::ZERO;
        let mut days = meanwhile(&mut self.machines, |machines| {
            let before = begun.elapsed();
            happens(&mut machines[to]);
            took = begun.elapsed() - before;
        });
        for (machine, days) in self.machines.iter().zip(&mut days) {
            self.kept.append(&mut days.kept);
            let other = machine.name != self.machines[to].name;
            assert!(!other || days.failed.is_empty(), "{what}: {} failed: {:#?}", machine.name, days.failed);
            assert!(!other || days.worst < limit, "{what}: {} waited for {:?}", machine.name, days.worst);
        }
        let one = days.swap_remove(to);
        let (waited, failed) = (one.worst, one.failed.len());
        let others = days.iter().map(|days| days.worst).max().unwrap_or_default();
        println!(
            "systemd | {what}: took {took:.2?}, users there waited for {waited:.2?} ({failed} failed), others {others:.2?}"
        );
        one
    }

    /// Every acknowledged record is on every machine.
    pub(crate) fn nothing_is_lost(&self) {
        assert!(self.kept.len() > 100, "users were at work");
        for machine in &self.machines {
            let (begun, mut missing) = (Instant::now(), self.kept.clone());
            while !missing.is_empty() {
                assert!(begun.elapsed() < DEADLINE, "{} lacks {missing:?}", machine.name);
                let there = all(machine, TOPIC);
                missing.retain(|value| !there.contains(value));
            }
        }
        println!("systemd | {} records were acknowledged, and are on all machines", self.kept.len());
    }
}

/// The leader that a machine names; empty when none.
fn named(machine: &Machine) -> String {
    let (status, said) = machine.fails("tanist leader --json");
    let leader: Option<serde_json::Value> = (status == Some(0)).then(|| serde_json::from_str(&said).ok()).flatten();
    leader.and_then(|leader| Some(leader["name"].as_str()?.to_owned())).unwrap_or_default()
}

impl Drop for Office {
    /// The reason of a failure is in what the services said.
    fn drop(&mut self) {
        if std::thread::panicking() {
            for machine in &self.machines {
                eprintln!("--- {}\n{}", machine.name, machine.journal());
            }
        }
    }
}
