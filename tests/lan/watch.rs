//! What tests expect of a LAN, and watch over a time.

use super::agents::{Agent, Life};
use super::commands::ip;
use super::lan::{FIGURE, Lan, SETTLE};
use super::net::{Net, name, port};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A leader whose process ended, or who hands over, is followed long before its silence could be noticed (562 ms).
pub(crate) const AT_ONCE: Duration = Duration::from_millis(500);

/// A leader who is silent is followed after this at the latest: 3 intervals, a question, a canvass, and the slack.
pub(crate) const SILENCE: Duration = Duration::from_millis(750 + 190 + 190 + 500);

impl Lan {
    /// Freezes an agent by the kernel's freezer. None where that cannot be had.
    pub(crate) fn freeze(&mut self, machine: usize, frozen: bool) -> Option<Instant> {
        self.note(&format!("freeze {}: {frozen}", name(machine)));
        let at = Instant::now();
        self.machines[machine - 1].agent.freeze(frozen).then_some(at)
    }

    /// With which status an agent ended by itself.
    pub(crate) fn exit_status(&self, machine: usize) -> Option<i32> {
        self.machines[machine - 1].agent.ended.and_then(|status| status.code())
    }

    /// How often an agent has told such an event since a moment.
    pub(crate) fn times_told(&self, machine: usize, event: &str, since: Instant) -> usize {
        self.told.iter().filter(|told| told.0 >= since && told.1 == machine && told.2 == event).count()
    }

    /// Whether it has told one.
    pub(crate) fn has_told(&self, machine: usize, event: &str, since: Instant) -> bool {
        self.times_told(machine, event, since) > 0
    }

    /// Waits until an agent has logged an event so often since a moment: also one of its start, before anybody listens.
    pub(crate) async fn logs(&mut self, machine: usize, event: &str, times: usize, since: Instant, within: Duration) {
        let what = format!("{} logged {event} {times} times", name(machine));
        let one = |log: &&(Instant, usize, String)| log.0 >= since && log.1 == machine && log.2 == event;
        self.until(within, &what, async |lan| (lan.logged.iter().filter(one).count() == times).then_some(())).await;
    }

    /// Waits until an agent has told such an event since a moment.
    pub(crate) async fn hears(&mut self, machine: usize, event: &str, since: Instant, within: Duration) {
        let what = format!("{} told {event}", name(machine));
        self.until(within, &what, async |lan| lan.has_told(machine, event, since).then_some(())).await;
    }

    /// Takes in what happens for a while.
    pub(crate) async fn pass(&mut self, during: Duration) {
        let end = tokio::time::Instant::now() + during;
        while let Ok(Some(news)) = tokio::time::timeout_at(end, self.news.recv()).await {
            self.take_in(news);
        }
    }

    /// Says something in the table at the end.
    pub(crate) fn say(&mut self, what: &str) {
        self.figures.push(format!("{FIGURE}  {what}"));
    }

    /// The reigns that began since a moment: who leads, and the epoch.
    pub(crate) fn reigns_since(&self, at: Instant) -> Vec<(usize, u64)> {
        self.reigns().filter(|reign| reign.0 >= at).map(|reign| (reign.1, reign.2)).collect()
    }

    /// Every reign that began: when, who leads, and the epoch.
    pub(crate) fn reigns(&self) -> impl Iterator<Item = (Instant, usize, u64)> {
        self.told.iter().filter(|told| told.2 == "leading").map(|told| (told.0, told.1, told.3))
    }

    /// Who began to lead since a moment, without those that led on with a higher epoch.
    pub(crate) fn leaders_since(&self, at: Instant) -> Vec<usize> {
        self.begun_to_lead.iter().filter(|begun| begun.0 >= at).map(|begun| begun.1).collect()
    }

    /// What has become of an agent.
    pub(crate) fn life(&self, machine: usize) -> Life {
        self.machines[machine - 1].agent.life
    }

    /// Waits until all of them name one successor.
    pub(crate) async fn successor(&mut self, machines: &[usize]) -> usize {
        self.until(SETTLE, &format!("{machines:?} name one successor"), async |lan| {
            let mut named = None;
            for machine in machines {
                let successor = lan.status(*machine).await?.successor?.name;
                if named.get_or_insert_with(|| successor.clone()) != &successor {
                    return None;
                }
            }
            machines.iter().copied().find(|machine| Some(name(*machine)) == named)
        })
        .await
    }

    /// Where an agent's local interface is.
    pub(crate) fn socket(&self, machine: usize) -> PathBuf {
        self.machines[machine - 1].agent.socket()
    }

    /// An agent's resident memory in KiB.
    pub(crate) fn resident(&self, machine: usize) -> u64 {
        self.machines[machine - 1].agent.resident()
    }

    /// How many lines of one kind an agent has logged since a moment, of that kind which it logged most, and one of them.
    /// Of one kind are lines that differ in numbers only.
    pub(crate) fn most_lines(&self, machine: usize, since: Instant) -> (usize, String) {
        let mut kinds: BTreeMap<String, (usize, String)> = BTreeMap::new();
        for (_, _, line) in self.lines.iter().filter(|line| line.0 >= since && line.1 == machine) {
            let kind: String = line.chars().filter(|c| !c.is_ascii_digit()).collect();
            kinds.entry(kind).or_insert_with(|| (0, line.clone())).0 += 1;
        }
        kinds.into_values().max().unwrap_or_default()
    }
}

impl Net {
    /// Pulls a cable out of the switch, or puts it back: the machine sees it by the carrier.
    pub(crate) async fn plugged(&self, machine: usize, device: &str, plugged: bool) {
        let state = if plugged { "up" } else { "down" };
        ip(None, &format!("link set {} {state}\n", port(machine, device))).await;
    }

    /// Lets nothing through a port of a switch, or everything again; its carrier stays.
    pub(crate) async fn dead(&mut self, port: &str, dead: bool) {
        if dead {
            self.dead.insert(port.to_owned());
        } else {
            self.dead.remove(port);
        }
        self.filter().await;
    }

    /// Lets nothing through a port of a switch that is longer than so many bytes.
    pub(crate) async fn narrow(&mut self, port: &str, longest: u32) {
        self.narrow.insert(port.to_owned(), longest);
        self.filter().await;
    }

    /// Loses so many of a hundred packets of every kind on their way through the switches.
    pub(crate) async fn lose_all(&mut self, percent: u32) {
        self.loss_of_all = percent;
        self.filter().await;
    }
}

impl Agent {
    /// Where its local interface is.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("sock")
    }

    /// Its resident memory in KiB, by whatever number the mounted /proc knows it.
    pub(crate) fn resident(&self) -> u64 {
        let state = self.dir.join("state");
        let state = state.to_str().expect("plain text");
        let processes = std::fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path());
        let is_it = |process: &PathBuf| {
            let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
            let mut words = line.split(|byte| *byte == 0);
            words.clone().nth(1) == Some(b"agent") && words.any(|word| word == state.as_bytes())
        };
        let process = processes.filter(|path| path.join("status").exists()).find(is_it).expect("it runs");
        let status = std::fs::read_to_string(process.join("status")).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}
