//! The records of a demo: a writer on every agent, and the proof that nothing acknowledged is missing or there twice.
#![expect(clippy::disallowed_methods, reason = "a program for people, which times what it shows")]

mod count;

use super::cluster::{Agent, Cluster, Net};
use crate::client::Client;
use count::{Count, Due};
pub(super) use count::{Found, grouped};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// The topic that the writers add to.
const TOPIC: &str = "demo";

/// Records that all writers together add in a second while somebody watches.
pub(super) const RATE: u32 = 60;

/// Records that all writers together add at the most, a quarter of an hour's: every check reads all of them.
pub(super) const RECORDS: u64 = 50_000;

/// How soon something that failed, or is not there yet, is tried again.
const AGAIN: Duration = Duration::from_millis(20);

/// How long it may take, once the agents have settled, until every writer gets on and every record is everywhere.
const DEADLINE: Duration = Duration::from_secs(15);

/// Passes in a row that find a record twice until that is believed. A reader that a reunion overtakes may meet a record
/// under its old revision and under its new one.
const PASSES: u32 = 3;

/// What one writer has done.
#[derive(Debug, Default)]
struct Tally {
    /// Its records are numbered from 1; all up to this one are acknowledged.
    acknowledged: AtomicU64,
    /// How many were when the sides of a cut had a leader each.
    parted: AtomicU64,
    /// The longest wait of a write, in microseconds.
    longest: AtomicU64,
    /// The same since the last [`Records::mark`].
    recent: AtomicU64,
    /// Why its last request failed.
    refused: Mutex<Option<String>>,
}

/// The writers of a demo. They end with it.
#[derive(Debug)]
pub(super) struct Records {
    /// One for each agent.
    tallies: Vec<Arc<Tally>>,
    /// One for each agent.
    writers: Vec<AbortOnDropHandle<()>>,
    /// The number of records that a writer adds at the most.
    share: u64,
    stop: watch::Sender<bool>,
}

impl Records {
    /// Lets a writer begin on every agent; together they add so many records in a second. Needs a tokio runtime.
    pub(super) fn begin(cluster: &Cluster, rate: u32) -> Self {
        let (stop, _) = watch::channel(false);
        let agents = u32::try_from(cluster.agents.len()).unwrap_or(u32::MAX);
        let (pace, share) = (Duration::from_secs(1) * agents / rate, RECORDS / u64::from(agents));
        let tallies: Vec<Arc<Tally>> = cluster.agents.iter().map(|_| Arc::default()).collect();
        let writer = |(agent, tally): (&Agent, &Arc<Tally>)| {
            let writer = Writer {
                name: agent.name.clone(),
                client: agent.client.clone(),
                up: agent.up.subscribe(),
                tally: Arc::clone(tally),
            };
            AbortOnDropHandle::new(tokio::spawn(writer.write(share, pace, stop.subscribe())))
        };
        let writers = cluster.agents.iter().zip(&tallies).map(writer).collect();
        Self { tallies, writers, share, stop }
    }

    /// How many records of one agent's writer are acknowledged.
    pub(super) fn acknowledged(&self, agent: usize) -> u64 {
        self.tallies[agent].acknowledged.load(Ordering::Relaxed)
    }

    /// How many records are acknowledged in all.
    #[cfg(feature = "tui")]
    pub(super) fn total(&self) -> u64 {
        (0..self.tallies.len()).map(|agent| self.acknowledged(agent)).sum()
    }

    /// Every writer has added its share.
    #[cfg(feature = "tui")]
    pub(super) fn full(&self) -> bool {
        (0..self.tallies.len()).all(|agent| self.acknowledged(agent) == self.share)
    }

    /// The longest time that an acknowledged write took on an agent that was up all the while.
    pub(super) fn longest_wait(&self) -> Duration {
        self.longest(|tally| &tally.longest)
    }

    /// The same since the last mark.
    pub(super) fn recent_wait(&self) -> Duration {
        self.longest(|tally| &tally.recent)
    }

    fn longest(&self, of: impl Fn(&Tally) -> &AtomicU64) -> Duration {
        let us = self.tallies.iter().map(|tally| of(tally).load(Ordering::Relaxed)).max();
        Duration::from_micros(us.unwrap_or(0))
    }

    /// From now on waits are recent.
    pub(super) fn mark(&self) {
        self.tallies.iter().for_each(|tally| tally.recent.store(0, Ordering::Relaxed));
    }

    /// From now on each side of a cut has what its own writers are acknowledged for. Before, what was acknowledged a moment
    /// before the cut may be on the other side alone.
    pub(super) fn part(&self) {
        let each = self.tallies.iter();
        each.for_each(|tally| tally.parted.store(tally.acknowledged.load(Ordering::Relaxed), Ordering::Relaxed));
    }

    /// Lets every writer end its present write and begin no other. Gives up after 15 s.
    pub(super) async fn stop(&mut self) {
        self.stop.send_replace(true);
        let end = tokio::time::Instant::now() + DEADLINE;
        for writer in self.writers.drain(..) {
            // A write that is still under way is not acknowledged, and nobody counts it.
            let _ = tokio::time::timeout_at(end, writer).await;
        }
    }

    /// Reads the topic on every agent that runs, once the writers of all of them get on, and compares it with what was
    /// acknowledged by then: while the network is cut, on its own side and since then. Takes 15 s at most, and then whatever one reading of the topic takes.
    pub(super) fn prove(&self, cluster: &Cluster) -> impl Future<Output = Found> + Send + 'static {
        let running = cluster.running();
        let apart = cluster.net != Net::Whole;
        let name = |n: &usize| cluster.agents[*n].name.clone();
        let agents: Vec<Reader> =
            running.iter().map(|n| Reader { agent: *n, client: cluster.agents[*n].client.clone() }).collect();
        let writers = (0..cluster.agents.len()).map(|n| (name(&n), apart.then(|| cluster.side(n)))).collect();
        let sides = if apart { cluster.sides() } else { Vec::new() };
        let found = Found::new(0, sides.iter().map(|side| side.iter().map(name).collect()).collect());
        let begun: Vec<(usize, u64)> = if self.writers.is_empty() {
            Vec::new()
        } else {
            running.iter().map(|n| (*n, (self.acknowledged(*n) + 1).min(self.share))).collect()
        };
        prove(agents, writers, self.tallies.clone(), begun, found)
    }
}

/// The writer of one agent.
struct Writer {
    /// The agent's name, which its records bear.
    name: String,
    client: Client,
    up: watch::Receiver<bool>,
    tally: Arc<Tally>,
}

impl Writer {
    /// Adds records one after the other, as many as its share, until it is stopped.
    async fn write(mut self, share: u64, pace: Duration, stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(pace);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 1..=share {
            tick.tick().await;
            if *stop.borrow() {
                return;
            }
            let Some(waited) = self.add(number).await else { return };
            let us = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
            self.tally.longest.fetch_max(us, Ordering::Relaxed);
            self.tally.recent.fetch_max(us, Ordering::Relaxed);
            self.tally.acknowledged.store(number, Ordering::Relaxed);
            self.failed(None);
        }
    }

    /// Adds one record, with one id however often it is sent. How long that took, from the moment since which the agent
    /// was up; none at the end of the demo.
    async fn add(&mut self, number: u64) -> Option<Duration> {
        let (id, value) = (Uuid::now_v7(), count::value(&self.name, number));
        loop {
            self.up.wait_for(|up| *up).await.ok()?;
            let (since, mut up) = (Instant::now(), self.up.clone());
            tokio::select! {
                () = self.insist(id, &value) => return Some(since.elapsed()),
                // Whether it was added before the agent went, the id tells when the agent is back.
                down = up.wait_for(|up| !*up) => drop(down.ok()?),
            }
        }
    }

    /// Sends a record until it is acknowledged.
    async fn insist(&self, id: Uuid, value: &str) {
        while let Err(error) = self.client.add_as(id, TOPIC, value.to_owned()).await {
            self.failed(Some(error.to_string()));
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn failed(&self, why: Option<String>) {
        *self.tally.refused.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }
}

/// An agent whose records are compared.
struct Reader {
    agent: usize,
    client: Client,
}

/// Waits until each writer of `begun` has as many records acknowledged, and then compares what `agents` hold. `writers`
/// are all of them, each with its side while the network is cut.
async fn prove(
    agents: Vec<Reader>,
    writers: Vec<(String, Option<usize>)>,
    tallies: Vec<Arc<Tally>>,
    begun: Vec<(usize, u64)>,
    mut found: Found,
) -> Found {
    let end = tokio::time::Instant::now() + DEADLINE;
    let so_far = |writer: usize| tallies[writer].acknowledged.load(Ordering::Relaxed);
    for (writer, awaited) in begun {
        while so_far(writer) < awaited {
            if tokio::time::Instant::now() > end {
                let refused = tallies[writer].refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let why = refused.unwrap_or_else(|| format!("no answer within {} s", DEADLINE.as_secs()));
                return Found::none(format!("{} takes no records: {why}", writers[writer].0));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
    let acknowledged: Vec<u64> = (0..writers.len()).map(so_far).collect();
    found.acknowledged = acknowledged.iter().sum();
    for Reader { agent, client } in agents {
        let due = |(n, (writer, side)): (usize, &(String, Option<usize>))| {
            let last = acknowledged[n];
            let after = match side {
                None => 0,
                Some(_) if *side == writers[agent].1 => tallies[n].parted.load(Ordering::Relaxed),
                Some(_) => last,
            };
            Due { writer: writer.clone(), after, last }
        };
        let due: Vec<Due> = writers.iter().enumerate().map(due).collect();
        let agent = writers[agent].0.clone();
        match compare(&client, &due, end).await {
            Ok(count) => found.add(agent, &count),
            Err(why) => return Found::none(format!("the records on {agent} cannot be read: {why}")),
        }
    }
    found
}

/// What one agent holds, against what was acknowledged. Reads it again while something is missing, for a write is
/// acknowledged once two machines have it, and on its way to the others then.
async fn compare(client: &Client, due: &[Due], end: tokio::time::Instant) -> Result<Count, crate::client::Error> {
    let mut doubled = 0;
    loop {
        let over = tokio::time::Instant::now() > end;
        match read(client, due).await {
            Ok(count) if over || count.is_good() => return Ok(count),
            Ok(count) if count.missing() == 0 => {
                doubled += 1;
                if doubled == PASSES {
                    return Ok(count);
                }
            }
            Err(error) if over => return Err(error),
            _ => {}
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Reads the topic from its first record to its last.
async fn read(client: &Client, due: &[Due]) -> Result<Count, crate::client::Error> {
    let mut count = Count::new(due);
    let mut after = None;
    loop {
        let page = client.records(TOPIC, after).await?;
        if page.records.is_empty() {
            return Ok(count);
        }
        after = Some(page.cursor);
        page.records.iter().for_each(|record| count.take(record.content.bytes()));
    }
}

#[cfg(test)]
mod tests;
