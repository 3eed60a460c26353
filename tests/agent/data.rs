//! The data of an agent that is alone: what it acknowledged outlives it.

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

fn runtime() -> Runtime {
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
        assert_eq!(members.first().map(|own| own.revision), Some(status.revision));
    });
}
