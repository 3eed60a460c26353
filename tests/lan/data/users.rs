//! Users on machines that write whatever happens, and what they know of it.
//!
//! A **patient** user sends a record again with its id until it is acknowledged. A **hurried** one asks once and keeps what
//! it was told. A user that **counts** makes a key greater by one, by compare-and-set, and sends each step again until it is
//! acknowledged or refused.

use super::asking::{Told, ask_once};
use crate::lan::Lan;
use crate::net::name;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tanist::client::{Client, Condition, Error, Reading};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Where the records are.
pub(super) const TOPIC: &str = "notes";

/// The key that all users count with.
pub(super) const COUNT: &str = "count";

/// Between two requests of a user.
const PACE: Duration = Duration::from_millis(15);

/// Between two tries where no agent runs.
const MOMENT: Duration = Duration::from_millis(20);

/// Within this every request is answered: no fault lasts for half as long.
const ANSWERED: Duration = Duration::from_secs(45);

/// What a user knows of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// It may be done, or be done yet.
    Open,
    /// It is done.
    Acknowledged { at: Instant, copies: u8 },
    /// It is not done, and never will be.
    Refused(String),
}

/// A record that somebody asked for.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) text: String,
    /// The machine that was asked.
    pub(super) machine: usize,
    pub(super) asked: Instant,
    pub(super) end: End,
}

/// What all users know.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) notes: BTreeMap<Uuid, Note>,
    /// How many steps of each key were acknowledged.
    pub(super) steps: BTreeMap<String, u64>,
    /// What hurried users were told instead of an acknowledgement: when, on which machine, and what.
    pub(super) errors: Vec<(Instant, usize, String)>,
    /// What no user may be told.
    pub(super) untrue: Vec<String>,
}

impl Book {
    pub(super) fn acknowledged(&self) -> impl Iterator<Item = (&Uuid, &Note)> {
        self.notes.iter().filter(|(_, note)| matches!(note.end, End::Acknowledged { .. }))
    }

    fn asks(&mut self, id: Uuid, machine: usize, text: &str) {
        let note = Note { text: text.to_owned(), machine, asked: Instant::now(), end: End::Open };
        assert!(self.notes.insert(id, note).is_none(), "no id is given twice");
    }

    fn ends(&mut self, id: Uuid, end: End) {
        self.notes.get_mut(&id).expect("it was asked for").end = end;
    }

    /// What may not be.
    fn never(&mut self, machine: usize, what: &str) {
        self.untrue.push(format!("on {}: {what}", name(machine)));
    }
}

/// All users. When it is dropped they are gone.
pub(super) struct Users {
    book: Arc<Mutex<Book>>,
    /// Whoever has it for writing holds up all users, or those that count.
    all: Arc<RwLock<()>>,
    counting: Arc<RwLock<()>>,
    over: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

/// One user.
#[derive(Clone)]
struct User {
    machine: usize,
    client: Client,
    socket: PathBuf,
    book: Arc<Mutex<Book>>,
    all: Arc<RwLock<()>>,
    counting: Arc<RwLock<()>>,
    over: Arc<AtomicBool>,
}

impl Users {
    /// Users on these machines: on each one of every kind. The shared key and one of the machine's own are counted.
    pub(super) fn begin(lan: &Lan, machines: &[usize]) -> Users {
        let mut users = Users::adding(lan, machines);
        for machine in machines {
            let user = users.user(lan, *machine);
            users.tasks.spawn(user.clone().counts(COUNT.to_owned()));
            users.tasks.spawn(user.counts(format!("count-{machine}")));
        }
        users
    }

    /// Users that add records and do not count.
    pub(super) fn adding(lan: &Lan, machines: &[usize]) -> Users {
        let book = Arc::default();
        let (all, counting, over) = (Arc::default(), Arc::default(), Arc::default());
        let mut users = Users { book, all, counting, over, tasks: JoinSet::new() };
        for machine in machines {
            let user = users.user(lan, *machine);
            users.tasks.spawn(user.clone().patient());
            users.tasks.spawn(user.hurried());
        }
        users
    }

    fn user(&self, lan: &Lan, machine: usize) -> User {
        User {
            machine,
            client: lan.client(machine),
            socket: lan.socket(machine),
            book: self.book.clone(),
            all: self.all.clone(),
            counting: self.counting.clone(),
            over: self.over.clone(),
        }
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        locked(&self.book)
    }

    /// Nobody asks for anything, and everything that was asked for is answered, while this is held.
    pub(super) async fn all_wait(&self, lan: &mut Lan) -> OwnedRwLockWriteGuard<()> {
        held(&self.all, lan, "every user has its answer").await
    }

    /// The same for users that count.
    pub(super) async fn counting_waits(&self, lan: &mut Lan) -> OwnedRwLockWriteGuard<()> {
        held(&self.counting, lan, "every user that counts has its answer").await
    }

    /// Waits until so many more were acknowledged.
    pub(super) async fn more(&self, lan: &mut Lan, count: usize) {
        let enough = self.book().acknowledged().count() + count;
        lan.until(ANSWERED, &format!("{count} more records are acknowledged"), async |_| {
            (self.book().acknowledged().count() >= enough).then_some(())
        })
        .await;
    }

    /// Everybody finishes what they have begun.
    pub(super) async fn end(&mut self, lan: &mut Lan) {
        self.over.store(true, Ordering::Relaxed);
        let tasks = Mutex::new(&mut self.tasks);
        lan.until(wide(), "every user has its last answer", async |_| {
            let mut tasks = locked(&tasks);
            while let Some(ended) = tasks.try_join_next() {
                ended.expect("it writes");
            }
            tasks.is_empty().then_some(())
        })
        .await;
    }

    /// The longest time that a request on these machines took which was under way in this time.
    pub(super) fn longest(&self, machines: &[usize], during: (Instant, Instant)) -> Duration {
        let book = self.book();
        let took = book.acknowledged().filter_map(|(_, note)| match note.end {
            End::Acknowledged { at, .. } if at >= during.0 && note.asked <= during.1 => {
                machines.contains(&note.machine).then(|| at - note.asked)
            }
            _ => None,
        });
        took.max().unwrap_or_default()
    }

    /// What hurried users on these machines were told since then instead of an acknowledgement.
    pub(super) fn errors(&self, machines: &[usize], since: Instant) -> Vec<String> {
        let book = self.book();
        let told = book.errors.iter().filter(|(at, machine, _)| *at >= since && machines.contains(machine));
        told.map(|(_, machine, why)| format!("{}: {why}", name(*machine))).collect()
    }
}

fn locked<T: ?Sized>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn held(gate: &Arc<RwLock<()>>, lan: &mut Lan, what: &str) -> OwnedRwLockWriteGuard<()> {
    let gate = gate.clone();
    let mut waiting = tokio::spawn(async move { gate.write_owned().await });
    lan.until(ANSWERED, what, async |_| waiting.is_finished().then_some(())).await;
    (&mut waiting).await.expect("it waits")
}

impl User {
    fn book(&self) -> MutexGuard<'_, Book> {
        locked(&self.book)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// See the module.
    async fn patient(self) {
        for number in 1.. {
            tokio::time::sleep(PACE).await;
            let _here = self.all.read().await;
            if self.is_over() {
                return;
            }
            let (id, text) = (Uuid::now_v7(), format!("{} patiently {number}", name(self.machine)));
            self.book().asks(id, self.machine, &text);
            let asked = Instant::now();
            let end = loop {
                match self.client.add_as(id, TOPIC, text.clone()).await {
                    Ok(added) => break End::Acknowledged { at: Instant::now(), copies: added.copies },
                    Err(error) if passes(&error) && asked.elapsed() < ANSWERED => tokio::time::sleep(MOMENT).await,
                    Err(error) => {
                        self.book().never(self.machine, &format!("{text} is answered with: {error}"));
                        break End::Open;
                    }
                }
            };
            self.book().ends(id, end);
        }
    }

    /// See the module.
    async fn hurried(self) {
        for number in 1.. {
            tokio::time::sleep(PACE).await;
            let _here = self.all.read().await;
            if self.is_over() {
                return;
            }
            let (id, text) = (Uuid::now_v7(), format!("{} in a hurry {number}", name(self.machine)));
            self.book().asks(id, self.machine, &text);
            let told = ask_once(&self.socket, id, TOPIC, &text).await;
            if !self.told(id, &text, told) {
                tokio::time::sleep(MOMENT).await;
            }
        }
    }

    /// Keeps what a hurried user was told. Whether the record is there.
    fn told(&self, id: Uuid, text: &str, told: Told) -> bool {
        let mut book = self.book();
        let end = match &told {
            Told::Done { copies } => End::Acknowledged { at: Instant::now(), copies: *copies },
            Told::NotDone(why) => End::Refused(why.clone()),
            Told::MayBe(_) => End::Open,
            Told::Strange(what) => {
                book.never(self.machine, &format!("{text} is answered with: {what}"));
                End::Open
            }
        };
        book.ends(id, end);
        match told {
            Told::NotDone(why) | Told::MayBe(why) => book.errors.push((Instant::now(), self.machine, why)),
            Told::Done { .. } => return true,
            Told::Strange(_) => {}
        }
        false
    }

    /// See the module.
    async fn counts(self, key: String) {
        loop {
            tokio::time::sleep(2 * PACE).await;
            // In this order: whoever holds up those that count may hold up all others after that.
            let _counting = self.counting.read().await;
            let _here = self.all.read().await;
            if self.is_over() {
                return;
            }
            let (old, condition) = match self.client.get(&key, Reading::default()).await {
                Ok(Some(old)) => (number(&old.value), Condition::Is(old.version.0)),
                Ok(None) => (0, Condition::Absent),
                Err(error) if passes(&error) => continue,
                Err(error) => return self.book().never(self.machine, &format!("{key} is not read: {error}")),
            };
            self.step(&key, old + 1, condition).await;
        }
    }

    /// One step, until it is acknowledged or refused.
    async fn step(&self, key: &str, new: u64, condition: Condition) {
        let (id, asked) = (Uuid::now_v7(), Instant::now());
        loop {
            match self.client.put_as(id, key, new.to_string(), condition).await {
                Ok(_) => {
                    *self.book().steps.entry(key.to_owned()).or_default() += 1;
                    return;
                }
                // Somebody else was faster. One that has been done is acknowledged, and never refused.
                Err(Error::Refused { problem }) if problem.status == 412 => return,
                Err(error) if passes(&error) && asked.elapsed() < ANSWERED => tokio::time::sleep(MOMENT).await,
                Err(error) => {
                    return self.book().never(self.machine, &format!("{key} {new} is answered with: {error}"));
                }
            }
        }
    }
}

/// Within this everybody has the last answer.
pub(super) fn wide() -> Duration {
    2 * ANSWERED
}

/// A number that users count with.
pub(super) fn number(value: &Bytes) -> u64 {
    let text = String::from_utf8_lossy(value);
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

/// Whether the request may be sent again: it was lost, or nobody is there, or nobody can take it now.
pub(super) fn passes(error: &Error) -> bool {
    match error {
        Error::NoAgent { .. } | Error::Later { .. } | Error::Broken { .. } => true,
        // Its disk is full.
        Error::Refused { problem } => problem.status == 507,
        _ => false,
    }
}
