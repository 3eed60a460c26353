//! Users that change keys on machines of both sides of a split, and what they had seen of each.
//!
//! A value is the ids of all the changes that it has seen, itself included, one a line: it replaces what its user has read,
//! by compare-and-set. So it can be said of any change whether it is still there: something that stands has seen it. And of
//! two values that stand side by side neither may have seen the other.

use super::users::{passes, wide};
use crate::lan::Lan;
use crate::net::name;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tanist::client::{Client, Condition, Error, Keep, Reading};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Between two changes of a user.
const PACE: Duration = Duration::from_millis(150);

/// The keys that they change, each machine one after the other.
const KEYS: [&str; 3] = ["edited/a", "edited/b", "edited/c"];

/// What a value had seen.
type Seen = BTreeSet<Uuid>;

#[derive(Debug, Default)]
struct Changes {
    /// Those that were acknowledged, with their keys. bound: the length of a test
    done: BTreeMap<Uuid, &'static str>,
    /// What no user may be told.
    untrue: Vec<String>,
}

/// All of them. When it is dropped they are gone.
pub(super) struct Editors {
    changes: Arc<Mutex<Changes>>,
    over: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

struct Editor {
    machine: usize,
    client: Client,
    changes: Arc<Mutex<Changes>>,
    over: Arc<AtomicBool>,
}

fn locked(changes: &Mutex<Changes>) -> MutexGuard<'_, Changes> {
    changes.lock().unwrap_or_else(PoisonError::into_inner)
}

fn seen(text: &[u8]) -> Seen {
    let text = std::str::from_utf8(text).expect("text");
    text.lines().map(|line| line.parse().expect("an id")).collect()
}

impl Editors {
    /// The keys get their first values on one machine, and then somebody changes them on each.
    pub(super) async fn begin(lan: &Lan, machines: &[usize]) -> Editors {
        for key in KEYS {
            let id = Uuid::now_v7();
            let put = lan.client(machines[0]).put_as(id, key, id.to_string(), Condition::Absent).await;
            put.unwrap_or_else(|error| panic!("{key} is not begun: {error}"));
        }
        let mut editors = Editors { changes: Arc::default(), over: Arc::default(), tasks: JoinSet::new() };
        for machine in machines {
            let editor = Editor {
                machine: *machine,
                client: lan.client(*machine),
                changes: editors.changes.clone(),
                over: editors.over.clone(),
            };
            editors.tasks.spawn(editor.edits());
        }
        editors
    }

    /// Everybody finishes what they have begun.
    pub(super) async fn end(&mut self, lan: &mut Lan) {
        self.over.store(true, Ordering::Relaxed);
        let tasks = Mutex::new(&mut self.tasks);
        lan.until(wide(), "every editor has its last answer", async |_| {
            let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
            while let Some(ended) = tasks.try_join_next() {
                ended.expect("it edits");
            }
            tasks.is_empty().then_some(())
        })
        .await;
    }

    /// Somebody settles every conflict that a machine lists: with what both values have seen. Gives how many there were.
    pub(super) async fn settle(&self, client: &Client) -> usize {
        let mut settled = 0;
        loop {
            let page = client.conflicts(None).await.unwrap_or_else(|error| panic!("no conflicts: {error}"));
            if page.conflicts.is_empty() {
                return settled;
            }
            for conflict in page.conflicts {
                let (present, id) = (conflict.present, Uuid::now_v7());
                let (here, there) =
                    (present.content.expect("nobody deletes"), conflict.content.expect("nobody deletes"));
                let both: Seen = seen(here.bytes()).union(&seen(there.bytes())).copied().chain([id]).collect();
                let lines: Vec<String> = both.iter().map(Uuid::to_string).collect();
                let keep = Keep::Value(Some(lines.join("\n").into()));
                let condition = present.version.map_or(Condition::Absent, |version| Condition::Is(version.0));
                match client.resolve_as(id, conflict.id, &keep, condition).await {
                    Ok(_) => {
                        settled += 1;
                        if let Some(key) = KEYS.into_iter().find(|key| *key == conflict.key) {
                            locked(&self.changes).done.insert(id, key);
                        }
                    }
                    // Somebody has changed the key since.
                    Err(Error::Refused { problem }) if matches!(problem.status, 404 | 412) => {}
                    Err(error) => panic!("a conflict of {} is not settled: {error}", conflict.key),
                }
            }
        }
    }

    /// What is wrong on a machine, and how many conflicts it lists.
    pub(super) async fn judge(&self, client: &Client, machine: usize, wrong: &mut Vec<String>) -> usize {
        let mut standing: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
        for key in KEYS {
            let value = client.get(key, Reading::default()).await.unwrap_or_else(|error| panic!("{key}: {error}"));
            standing.entry(key.to_owned()).or_default().extend(value.map(|value| seen(&value.value)));
        }
        let (mut after, mut count) = (None, 0);
        loop {
            let page = client.conflicts(after.as_deref()).await.unwrap_or_else(|error| panic!("no conflicts: {error}"));
            for conflict in page.conflicts.into_iter().filter(|conflict| KEYS.contains(&conflict.key.as_str())) {
                count += 1;
                let value = conflict.content.expect("nobody deletes").bytes().to_vec();
                standing.entry(conflict.key).or_default().push(seen(&value));
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let changes = locked(&self.changes);
        wrong.extend(changes.untrue.iter().cloned());
        for (id, key) in &changes.done {
            if !standing[*key].iter().any(|seen| seen.contains(id)) {
                wrong.push(format!("{key} on {} has lost the acknowledged change {id}", name(machine)));
            }
        }
        for (key, values) in &standing {
            for (n, one) in values.iter().enumerate() {
                if values.iter().skip(n + 1).any(|other| one.is_subset(other) || other.is_subset(one)) {
                    wrong.push(format!("{key} on {} has a conflict of two that knew of each other", name(machine)));
                }
            }
        }
        count
    }
}

impl Editor {
    async fn edits(self) {
        for turn in 0.. {
            tokio::time::sleep(PACE).await;
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            let key = KEYS[(turn + self.machine) % KEYS.len()];
            let old = match self.client.get(key, Reading::default()).await {
                Ok(Some(old)) => old,
                Err(error) if passes(&error) => continue,
                other => return self.never(format!("{key} on {} is read as {other:?}", name(self.machine))),
            };
            let id = Uuid::now_v7();
            let value = format!("{}\n{id}", std::str::from_utf8(&old.value).expect("text"));
            loop {
                match self.client.put_as(id, key, value.clone(), Condition::Is(old.version.0)).await {
                    Ok(_) => {
                        locked(&self.changes).done.insert(id, key);
                        break;
                    }
                    // Somebody else was faster.
                    Err(Error::Refused { problem }) if problem.status == 412 => break,
                    Err(error) if passes(&error) => tokio::time::sleep(PACE).await,
                    Err(error) => {
                        return self.never(format!("{key} on {} is answered with {error}", name(self.machine)));
                    }
                }
            }
        }
    }

    fn never(&self, what: String) {
        locked(&self.changes).untrue.push(what);
    }
}
