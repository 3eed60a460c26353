//! Two sides that wrote apart become one: how long that takes, what it sends, what users notice of it, and what it needs of
//! memory.

use super::clients::{Client, Door, Load, millis};
use super::many::{self, MANY, copied, door, fill, sent_to, state};
use super::slow::{hear, read};
use super::trouble::pass;
use super::{ground, speed};
use crate::bench::faults::LONG;
use crate::bench::lan::Lan;
use crate::bench::scene::{self, Scene, figure};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tanist::client::Condition;
use tokio::task::JoinSet;

/// The length of a record, in bytes, as everywhere here; and where it is compared with what is sent, so that what goes along
/// with each record counts for little.
const VALUE: usize = 100;
const LONG_VALUE: usize = 1000;

/// Users of each side that write together while the sides are apart.
const TOGETHER: usize = 64;

/// Machines that follow the yielding leader, where there are many.
const MANY_FOLLOW: usize = 50;

/// Keys that both sides change.
const CHANGED: usize = 1000;

/// Where the records are, and the keys.
const TOPIC: &str = "apart";
const KEYS: &str = "both/";

/// Between two looks at whether all is there.
const LOOK: Duration = Duration::from_millis(50);

/// Whose figures they are, and the figures.
pub(super) const REUNION: &str = "reunion";
pub(super) const ONE: &str = "all machines have all, after the cable is back";
pub(super) const LED: &str = "one leads, after the cable is back";
pub(super) const CONTENT: &str = "what a machine is sent, in times of what it lacks (records of 1,000 bytes)";
pub(super) const FOLLOWERS: &str = "what 50 followers of the leader that yields add";
pub(super) const LOADED: &str = "all have all while 16 users write and 4 read";
pub(super) const HEARD: &str = "between two heartbeats of the leader that stays";
pub(super) const READ: &str = "a read";
pub(super) const WRITE: &str = "a write";
pub(super) const CONFLICTS: &str = "1,000 conflicts are listed";
pub(super) const JOINED: &str = "they are brought to a leader that has none of them";
pub(super) const TAKES: &str = "resident memory of the leader that takes them in, at most";
pub(super) const OFFERS: &str = "resident memory of the leader that brings them, at most";
pub(super) const OPENED: &str = "resident memory of the one that brings them before";

/// How many records each side has of its own.
pub(super) fn apart() -> usize {
    scene::number("TANIST_BENCH_APART", if scene::quick() { 1000 } else { 10_000 })
}

/// Plays the scene.
///
/// # Errors
/// When an agent does not answer, or is not sent what it lacks.
pub(super) fn play(scene: &Scene) -> Result<(), String> {
    ground::on_disk(&scene.dir)?;
    scene::play(async {
        let mut lan = Lan::new(scene.dir.clone(), None).await;
        lan.office(4 + MANY_FOLLOW).await;
        lan.start(&[1, 2, 3, 4]);
        let mut sides = Sides { lan, stay: vec![1, 2], yield_: vec![3, 4], round: 0 };
        let times = if scene::quick() { 1 } else { 3 };
        let mut alone = Vec::new();
        for _ in 0..times {
            let took = sides.quietly(VALUE).await?;
            figure(REUNION, ONE, took);
            alone.push(took);
            sides.under_load().await?;
        }
        sides.quietly(LONG_VALUE).await?;
        sides.conflicts().await?;
        let more: Vec<usize> = (5..=4 + MANY_FOLLOW).collect();
        sides.lan.start(&more);
        sides.yield_.extend(more);
        let all = sides.all();
        sides.lan.settled(&all, LONG).await;
        // They have all that was written before, so that what follows is the reunion alone.
        let topic = format!("{TOPIC}-{}", sides.round);
        sides.all_have(&topic).await?;
        alone.sort_by(f64::total_cmp);
        for _ in 0..times {
            let took = sides.quietly(VALUE).await?;
            figure(REUNION, FOLLOWERS, (took - alone[alone.len() / 2]).max(0.0));
        }
        Ok(())
    })
}

/// An office in two parts.
struct Sides {
    lan: Lan,
    /// The part whose leader goes on.
    stay: Vec<usize>,
    /// The part whose leader yields.
    yield_: Vec<usize>,
    round: usize,
}

impl Sides {
    /// All machines that are on.
    fn all(&self) -> Vec<usize> {
        self.stay.iter().chain(&self.yield_).copied().collect()
    }

    async fn cut(&mut self, cut: bool) {
        self.lan.net.cut(&self.stay, &self.yield_, cut).await;
        self.lan.net.cut(&self.yield_, &self.stay, cut).await;
    }

    /// Parts the office. Each side has a leader, and that of one stays the leader when they meet.
    async fn part(&mut self) -> Result<usize, String> {
        let all = self.all();
        self.lan.settled(&all, LONG).await;
        pass(&mut self.lan, speed::REST).await;
        self.cut(true).await;
        for side in [self.stay.clone(), self.yield_.clone()] {
            self.lan.settled(&side, LONG).await;
        }
        // Every handover is one reign more, and the higher one stays.
        let highest = |lan: &Lan, side: &[usize]| lan.view(side[0]).epoch;
        while highest(&self.lan, &self.stay) <= highest(&self.lan, &self.yield_) {
            let leader = self.lan.settled(&self.stay, LONG).await.leader;
            let client = self.lan.client(leader);
            // Its successor may not be named yet.
            let moved = tokio::spawn(async move { client.handover(None).await.is_ok() });
            pass(&mut self.lan, Duration::from_millis(300)).await;
            moved.await.map_err(|e| e.to_string())?;
        }
        Ok(self.lan.settled(&self.stay, LONG).await.leader)
    }

    /// Users of both sides write records of the next round.
    async fn write_apart(&mut self, length: usize) -> Result<String, String> {
        self.round += 1;
        let topic = format!("{TOPIC}-{}", self.round);
        let (each, mut writers) = (apart() / TOGETHER, JoinSet::new());
        let most = move |n: usize| if n == 0 { each + apart() % TOGETHER } else { each };
        for side in [self.stay.clone(), self.yield_.clone()] {
            for n in 0..TOGETHER {
                let (client, topic) = (self.lan.client(side[n % 2]), topic.clone());
                writers.spawn(async move {
                    for _ in 0..most(n) {
                        client.add(&topic, vec![b'v'; length]).await.map_err(|e| e.to_string())?;
                    }
                    Ok::<_, String>(())
                });
            }
        }
        while let Some(done) = writers.join_next().await {
            done.map_err(|e| e.to_string())??;
        }
        pass(&mut self.lan, Duration::from_secs(1)).await;
        Ok(topic)
    }

    /// Waits until all machines have all records of both sides; when that was so.
    async fn all_have(&mut self, topic: &str) -> Result<Instant, String> {
        let (all, wanted) = (self.all(), 2 * apart());
        let mut waits = JoinSet::new();
        for machine in all {
            let (door, topic) = (door(&self.lan, machine), topic.to_owned());
            waits.spawn_blocking(move || until_it_has(&door, &topic, wanted).map_err(|e| format!("pc-{machine}: {e}")));
        }
        let mut last = Instant::now();
        while let Some(has) = waits.join_next().await {
            last = last.max(has.map_err(|e| e.to_string())??);
        }
        pass(&mut self.lan, Duration::from_millis(1)).await;
        Ok(last)
    }

    /// Nobody writes while the sides meet. Seconds until all have all.
    async fn quietly(&mut self, length: usize) -> Result<f64, String> {
        self.part().await?;
        let topic = self.write_apart(length).await?;
        let all = self.all();
        let before = all.iter().map(|machine| sent_to(*machine)).collect::<Result<Vec<_>, _>>()?;
        let at = Instant::now();
        self.cut(false).await;
        let took = (self.all_have(&topic).await? - at).as_secs_f64();
        let lacked = (apart() * length) as f64;
        for (machine, before) in all.iter().zip(before).filter(|_| length == LONG_VALUE) {
            figure(REUNION, CONTENT, (sent_to(*machine)? - before) / lacked);
        }
        self.lan.settled(&all, LONG).await;
        let since = self.yield_.iter().filter_map(|machine| self.lan.view(*machine).since).max();
        let led = since.ok_or("nobody follows")?.saturating_duration_since(at);
        figure(REUNION, LED, led.as_secs_f64());
        eprintln!("one after {:.2} s, all have all after {took:.2} s", led.as_secs_f64());
        Ok(took)
    }

    /// Users write and read on all machines while the sides meet.
    async fn under_load(&mut self) -> Result<(), String> {
        let leader = self.part().await?;
        let topic = self.write_apart(VALUE).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let ear = hear(leader, Arc::clone(&stop)).map_err(|e| e.to_string())?;
        let doors: Vec<Door> = self.all().into_iter().map(|machine| door(&self.lan, machine)).collect();
        let readers: Vec<_> = doors.iter().map(|door| read(door.clone(), Arc::clone(&stop))).collect();
        let load = Load::begin(doors.iter().cycle().take(16).cloned(), VALUE);
        pass(&mut self.lan, Duration::from_secs(1)).await;
        let at = Instant::now();
        self.cut(false).await;
        let last = self.all_have(&topic).await?;
        let stories = tokio::task::spawn_blocking(|| load.end()).await.map_err(|e| e.to_string())?;
        stop.store(true, Ordering::Relaxed);
        figure(REUNION, LOADED, (last - at).as_secs_f64());
        let heard = ear.join().expect("it does not panic");
        let during = heard.windows(2).filter(|two| two[1] > at && two[0] < last);
        during.for_each(|two| figure(REUNION, HEARD, millis(two[1] - two[0])));
        for reader in readers {
            let took = reader.join().expect("it does not panic").map_err(|e| e.to_string())?;
            took.into_iter().for_each(|ms| figure(REUNION, READ, ms));
        }
        if let Some(error) = stories.iter().find_map(|story| story.broken.as_ref()) {
            return Err(format!("a client was told: {error}"));
        }
        stories.iter().for_each(|story| figure(REUNION, WRITE, story.longest(at, last)));
        let longest = stories.iter().map(|story| story.longest(at, last)).fold(0.0, f64::max);
        eprintln!(
            "under load: all have all after {:.2} s, a write waits for {longest:.0} ms",
            (last - at).as_secs_f64()
        );
        let all = self.all();
        self.lan.settled(&all, LONG).await;
        Ok(())
    }

    /// Both sides change the same keys, and what they could not decide is listed.
    async fn conflicts(&mut self) -> Result<(), String> {
        self.part().await?;
        for side in [&self.stay, &self.yield_] {
            let client = self.lan.client(side[0]);
            for n in 0..CHANGED {
                let value = format!("{n} by {side:?}");
                client.put(&format!("{KEYS}{n}"), value, Condition::None).await.map_err(|e| e.to_string())?;
            }
        }
        self.cut(false).await;
        let all = self.all();
        self.lan.settled(&all, LONG).await;
        let client = self.lan.client(1);
        self.lan
            .until(LONG, "the conflicts are known", async |_| {
                (client.status().await.ok()?.conflicts >= CHANGED as u64).then_some(())
            })
            .await;
        for _ in 0..20 {
            let at = Instant::now();
            let (mut listed, mut after) = (0, None);
            loop {
                let page = client.conflicts(after.as_deref()).await.map_err(|e| e.to_string())?;
                (listed, after) = (listed + page.conflicts.len(), page.next);
                if after.is_none() {
                    break;
                }
            }
            figure(REUNION, CONFLICTS, millis(at.elapsed()));
            if listed < CHANGED {
                return Err(format!("only {listed} conflicts are listed"));
            }
        }
        Ok(())
    }
}

/// Asks until a topic has so many records.
fn until_it_has(door: &Door, topic: &str, wanted: usize) -> std::io::Result<Instant> {
    let (mut client, end) = (Client::new(door)?, Instant::now() + LONG * 3);
    let begins = format!("\"topic\":\"{topic}\",\"records\":");
    loop {
        let topics = client.get("/v1/topics", "HTTP/1.1 200")?;
        let rest = topics.split_once(&begins).map_or("", |(_, rest)| rest);
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or("");
        match digits.parse::<usize>() {
            Ok(records) if records >= wanted => return Ok(Instant::now()),
            _ if Instant::now() > end => {
                return Err(std::io::Error::other(format!("it has {digits} of {wanted} records")));
            }
            _ => std::thread::sleep(LOOK),
        }
    }
}

/// A leader that has none of many records meets one that has them all.
///
/// # Errors
/// When the store cannot be filled, or an agent does not answer.
pub(super) fn play_large(scene: &Scene) -> Result<(), String> {
    ground::on_disk(&scene.dir)?;
    let made = scene.dir.join("made");
    fill(&made)?;
    scene::play(async {
        let mut lan = Lan::new(scene.dir.clone(), None).await;
        lan.office(2).await;
        copied(&made, &state(&lan, 2).join("data"))?;
        lan.net.cut(&[1], &[2], true).await;
        lan.net.cut(&[2], &[1], true).await;
        // Each start is a reign more, and the higher one stays.
        for machine in [1, 1, 1, 2] {
            lan.start(&[machine]);
            lan.settled(&[machine], LONG).await;
            if machine == 1 && lan.view(1).epoch < 3 {
                lan.signal(1, nix::sys::signal::Signal::SIGKILL);
                lan.ended(&[1], LONG).await;
            }
        }
        lan.client(1).add("other", "one").await.map_err(|e| e.to_string())?;
        pass(&mut lan, speed::REST).await;
        figure(MANY, OPENED, peak(&lan, 2, true)?);
        let at = Instant::now();
        lan.net.cut(&[1], &[2], false).await;
        lan.net.cut(&[2], &[1], false).await;
        lan.settled(&[1, 2], LONG).await;
        if lan.view(1).leader != Some(crate::bench::net::name(1)) {
            return Err("the leader with all records stayed".to_owned());
        }
        let door = door(&lan, 1);
        let has = tokio::task::spawn_blocking(move || until_it_has(&door, "topic-9", many::records() / 10));
        let has = has.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
        figure(MANY, JOINED, (has - at).as_secs_f64());
        pass(&mut lan, speed::REST).await;
        figure(MANY, TAKES, peak(&lan, 1, false)?);
        figure(MANY, OFFERS, peak(&lan, 2, false)?);
        Ok(())
    })
}

/// The most that an agent had resident since it began, or what it has now, in megabytes.
fn peak(lan: &Lan, machine: usize, now: bool) -> Result<f64, String> {
    let pid = lan.machines[machine - 1].agent.pid.ok_or("an agent has ended")?;
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(|e| e.to_string())?;
    let field = if now { "VmRSS:" } else { "VmHWM:" };
    let kib = text.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.map(|kib| kib * 1024.0 / 1e6).ok_or_else(|| format!("{field} is not told"))
}
