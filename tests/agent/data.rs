//! The data of agents: what was acknowledged outlives whatever is killed.

use crate::site::{Agent, LONG, Site};
use bytes::Bytes;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tanist::client::{Client, Error, Reading};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

/// Writers at once: several wait for one sync.
const WRITERS: usize = 8;
/// How often the agent is killed.
const KILLS: usize = 8;
/// Between two looks for an agent that is being started.
const MOMENT: Duration = Duration::from_millis(5);

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// What was acknowledged.
#[derive(Default)]
struct Acknowledged {
    records: Mutex<BTreeSet<Uuid>>,
    /// One more record.
    more: Condvar,
    counted: AtomicUsize,
    over: AtomicBool,
}

/// Adds records and counts, until it is told to end. A call that is cut off is made again with its id by the client, and
/// one that finds nobody is made again here.
async fn write(client: Client, done: Arc<Acknowledged>) {
    while !done.over.load(Ordering::Relaxed) {
        let id = Uuid::now_v7();
        match client.add_as(id, "notes", "a note").await {
            Err(Error::NoAgent { .. }) => {
                // Its id has not left this machine, and the agent comes back.
                tokio::time::sleep(MOMENT).await;
                continue;
            }
            added => assert_eq!(added.expect("the agent comes back in time").id, id),
        }
        assert!(done.records.lock().expect("whole").insert(id), "no id is given twice");
        done.more.notify_all();
        let step = async |old: Option<Bytes>| {
            let old = old.map_or(0, |text| String::from_utf8_lossy(&text).parse::<u64>().expect("a number"));
            Ok::<_, Error>((old + 1).to_string().into())
        };
        match client.update("count", step).await {
            Ok(_) => _ = done.counted.fetch_add(1, Ordering::Relaxed),
            // It was not done: nobody was there, or others were faster ten times in a row.
            Err(Error::NoAgent { .. }) => tokio::time::sleep(MOMENT).await,
            Err(error) => assert!(error.to_string().contains("others wrote"), "{error}"),
        }
    }
}

/// Waits until so many more were acknowledged.
fn more(done: &Acknowledged, count: usize) {
    let records = done.records.lock().expect("whole");
    let enough = records.len() + count;
    let (records, late) = done.more.wait_timeout_while(records, LONG, |records| records.len() < enough).expect("whole");
    assert!(!late.timed_out(), "only {} of {enough} were acknowledged", records.len());
}

/// `kill -9` at any instant, again and again, while clients write: every acknowledged record is there once, and every
/// counted step was counted once.
#[test]
fn what_was_acknowledged_outlives_kill_9_at_any_instant() {
    let site = Site::new();
    let mut agent: Agent = site.start();
    agent.line("event=leading");
    let done = Arc::new(Acknowledged::default());
    let (client, writers) = (Client::at(&site.socket), done.clone());
    let writing = std::thread::spawn(move || {
        runtime().block_on(async {
            let mut all = tokio::task::JoinSet::new();
            for _ in 0..WRITERS {
                all.spawn(write(client.clone(), writers.clone()));
            }
            while let Some(ended) = all.join_next().await {
                ended.expect("it writes");
            }
        });
    });
    for kill in 0..KILLS {
        more(&done, 5 + 7 * kill);
        agent.signal(Signal::SIGKILL);
        agent.end();
        agent = site.start();
    }
    more(&done, 20);
    done.over.store(true, Ordering::Relaxed);
    writing.join().expect("every call had its answer");
    agent.signal(Signal::SIGTERM);
    agent.end();
    let mut agent = site.start();
    agent.line("event=leading");
    runtime().block_on(async {
        let client = Client::at(&site.socket);
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = client.records("notes", after).await.expect("it reads");
            if page.records.is_empty() {
                break;
            }
            found.extend(page.records.iter().map(|record| record.id));
            after = Some(page.cursor);
        }
        let here: BTreeSet<Uuid> = found.iter().copied().collect();
        assert_eq!(here.len(), found.len(), "each is there once");
        assert_eq!(here, *done.records.lock().expect("whole"), "what is there is what was acknowledged");
        let count = client.get("count", Reading::default()).await.expect("it reads").expect("it was counted");
        let counted = done.counted.load(Ordering::Relaxed);
        assert_eq!(String::from_utf8_lossy(&count.value), counted.to_string(), "each step counted once");
        let status = client.status().await.expect("it answers");
        assert_eq!(status.revision, (here.len() + counted) as u64, "each change has one number");
        let members = client.members().await.expect("it answers").members;
        assert_eq!(members.first().and_then(|own| own.revision), Some(status.revision));
    });
}

/// Three agents of one site, each with a state and a socket of its own.
pub(crate) struct Office {
    sites: Vec<Site>,
    agents: Vec<Option<Agent>>,
}

impl Office {
    pub(crate) fn new() -> Office {
        let first = Site::new();
        let [a, b, c, _] = first.ip.octets();
        let others = [251, 252].map(|d| Site { ip: [a, b, c, d].into(), port: first.port, ..Site::new() });
        let sites: Vec<Site> = std::iter::once(first).chain(others).collect();
        let mut office = Office { agents: sites.iter().map(|_| None).collect(), sites };
        (0..3).for_each(|n| office.start(n));
        office
    }

    pub(crate) fn start(&mut self, n: usize) {
        let name = format!("pc-{n}");
        self.agents[n] = Some(Agent::spawn(self.sites[n].command().args(["--name", &name])));
    }

    pub(crate) fn kill(&mut self, n: usize) {
        let mut agent = self.agents[n].take().expect("it runs");
        agent.signal(Signal::SIGKILL);
        agent.end();
    }

    pub(crate) fn socket(&self, n: usize) -> &std::path::Path {
        &self.sites[n].socket
    }

    fn client(&self, n: usize) -> Client {
        Client::at(&self.sites[n].socket)
    }

    /// Which one leads, as soon as one does and all that run say so.
    pub(crate) async fn leader(&self) -> usize {
        let until = std::time::Instant::now() + LONG;
        loop {
            assert!(std::time::Instant::now() < until, "no leader");
            let mut named = BTreeSet::new();
            for n in (0..3).filter(|n| self.agents[*n].is_some()) {
                let leader = self.client(n).leader(None).await.ok().map(|leader| leader.name);
                named.insert(leader);
            }
            if let Some(Some(name)) = named.first().filter(|_| named.len() == 1) {
                return name.trim_start_matches("pc-").parse().expect("one of these");
            }
            tokio::time::sleep(MOMENT).await;
        }
    }

    /// All records that readers of this machine see.
    async fn records(&self, n: usize) -> Vec<Uuid> {
        let (client, mut found, mut after) = (self.client(n), Vec::new(), None);
        loop {
            let page = client.records("notes", after).await.expect("it reads");
            if page.records.is_empty() {
                return found;
            }
            found.extend(page.records.iter().map(|record| record.id));
            after = Some(page.cursor);
        }
    }
}

/// Writers on every machine, while the leader is killed again and again: each acknowledged record is on every machine
/// once, also on one that was away, and nobody begins anew without a reason.
#[test]
fn what_was_acknowledged_is_on_every_machine_whoever_is_killed() {
    let mut office = Office::new();
    runtime().block_on(office.leader());
    let done = Arc::new(Acknowledged::default());
    let clients: Vec<Client> = (0..3).map(|n| office.client(n)).collect();
    let writers = done.clone();
    let writing = std::thread::spawn(move || {
        runtime().block_on(async {
            let mut all = tokio::task::JoinSet::new();
            for client in clients.iter().cycle().take(WRITERS) {
                all.spawn(write(client.clone(), writers.clone()));
            }
            while let Some(ended) = all.join_next().await {
                ended.expect("it writes");
            }
        });
    });
    for kill in 0..4 {
        more(&done, 100);
        let leader = runtime().block_on(office.leader());
        office.kill(leader);
        more(&done, 100 + 100 * kill);
        office.start(leader);
    }
    more(&done, 50);
    done.over.store(true, Ordering::Relaxed);
    writing.join().expect("every call had its answer");
    let acknowledged = done.records.lock().expect("whole").clone();
    runtime().block_on(async {
        let last = office.client(0).status().await.expect("it answers").revision;
        for n in 0..3 {
            let until = std::time::Instant::now() + LONG;
            while office.client(n).status().await.map_or(0, |status| status.revision) < last {
                assert!(std::time::Instant::now() < until, "pc-{n} does not catch up");
                tokio::time::sleep(MOMENT).await;
            }
            let found = office.records(n).await;
            let here: BTreeSet<Uuid> = found.iter().copied().collect();
            assert_eq!(here.len(), found.len(), "each is there once on pc-{n}");
            let missing = acknowledged.difference(&here).count();
            assert_eq!(missing, 0, "pc-{n} lacks some of {}", acknowledged.len());
            let count =
                office.client(n).get("count", Reading::default()).await.expect("it reads").expect("it was counted");
            let digest = office.client(n).status().await.expect("it answers").digest;
            assert_eq!(digest, office.client(0).status().await.expect("it answers").digest, "pc-{n} has the same");
            let count: usize = String::from_utf8_lossy(&count.value).parse().expect("a number");
            // A step that only a leader that died had, and nobody was told of, may be in conflict with the next one's: its
            // user, who asks again, is told that it is done, and the conflict is listed (P5).
            let keys = office.client(n).keys("count", None).await.expect("it reads").keys;
            let conflicts = keys.iter().find(|found| found.key == "count").map_or(0, |found| found.conflicts);
            let steps = done.counted.load(Ordering::Relaxed);
            assert!(
                count <= steps && steps <= count + conflicts,
                "{count} of {steps} on pc-{n}, {conflicts} conflicts"
            );
        }
    });
    for agent in office.agents.iter_mut().flatten() {
        agent.seen.extend(agent.lines.try_iter());
        assert!(!agent.seen.iter().any(|line| line.contains("begins anew")), "{:#?}", agent.seen);
    }
}
