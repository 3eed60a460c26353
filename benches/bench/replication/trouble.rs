//! Faults while clients of the other machines write: whether they are told anything but that it is done, and how long they
//! wait at most.

use super::clients::{Door, Load, millis};
use super::ground;
use super::rivals::MACHINES;
use crate::bench::faults::{LONG, Stage};
use crate::bench::lan::Lan;
use crate::bench::plug::Plug;
use crate::bench::scene::{self, Scene, figure};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// Clients on each of the two machines that nothing happens to.
const CLIENTS: usize = 8;

/// Before the fault, and at least so long after it.
const BEFORE: Duration = Duration::from_secs(1);
const AFTER: Duration = Duration::from_millis(2500);

/// Whose figures they are.
pub(super) const TROUBLE: &str = "trouble";

/// What happens, and the longest pause that clients may see, in milliseconds: beyond the failover, where there is one.
pub(super) const FAULTS: [(&str, Fault, f64); 4] = [
    ("leader killed", Fault::Leader, 20.0),
    ("successor killed", Fault::Killed, 20.0),
    ("successor cut off", Fault::Cut, 800.0),
    ("successor stands still", Fault::Frozen, 800.0),
];

/// What happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// The leader's process ends without a word.
    Leader,
    /// The successor's does.
    Killed,
    /// Nothing passes the successor's cable.
    Cut,
    /// The successor's process stands still.
    Frozen,
}

/// The name of a figure of a fault.
pub(super) fn of(what: &str, figure: &str) -> String {
    format!("{what}: {figure}")
}

/// The figures of a fault.
pub(super) const PAUSE: &str = "pause";
pub(super) const FAILOVER: &str = "failover";
pub(super) const BEYOND: &str = "beyond";
pub(super) const USUAL: &str = "usual";
pub(super) const ERRORS: &str = "errors";
pub(super) const ANSWERS: &str = "answers";

/// Plays the scene.
///
/// # Errors
/// When an agent does not come back.
pub(super) fn play(scene: &Scene) -> Result<(), String> {
    ground::on_disk(&scene.dir)?;
    let times = scene::number("TANIST_BENCH_FAULTS", if scene::quick() { 1 } else { 7 });
    scene::play(async {
        let mut stage = Stage::new(Lan::new(scene.dir.clone(), None).await, MACHINES.len(), 0, None).await;
        for n in 1..=times {
            for (what, fault, _) in FAULTS {
                once(&mut stage, what, fault).await;
                eprintln!("{what}: {n} of {times}");
            }
        }
        Ok(())
    })
}

async fn once(stage: &mut Stage, what: &str, fault: Fault) {
    let (reign, heir) = stage.ready().await;
    let hit = if fault == Fault::Leader { reign.leader } else { heir };
    let well = stage.lan.but(&[hit]);
    let doors = well.iter().map(|machine| Door::Tanist(stage.lan.machines[machine - 1].agent.dir.join("sock")));
    let doors: Vec<Door> = doors.flat_map(|door| std::iter::repeat_n(door, CLIENTS)).collect();
    let begun = Instant::now();
    let load = Load::begin(doors, 100);
    stage.lan.quiet(BEFORE).await;
    let plug = Plug::new();
    let at = Instant::now();
    match fault {
        Fault::Leader | Fault::Killed => drop(stage.lan.signal(hit, Signal::SIGKILL)),
        Fault::Cut => plug.silent(hit, true),
        Fault::Frozen => drop(stage.lan.signal(hit, Signal::SIGSTOP)),
    }
    let failover = match fault {
        Fault::Leader => {
            let (_, took) = stage.lan.failover(("leader killed under load", at), &well, &reign, LONG).await;
            figure(TROUBLE, &of(what, FAILOVER), millis(took));
            took
        }
        _ => Duration::ZERO,
    };
    pass(&mut stage.lan, AFTER).await;
    let stories = tokio::task::spawn_blocking(|| load.end()).await.expect("it does not panic");
    match fault {
        Fault::Leader | Fault::Killed => {
            stage.lan.ended(&[hit], LONG).await;
            stage.lan.start(&[hit]);
        }
        Fault::Cut => plug.silent(hit, false),
        Fault::Frozen => drop(stage.lan.signal(hit, Signal::SIGCONT)),
    }
    let longest = |from, to| stories.iter().map(|story| story.longest(from, to)).fold(0.0, f64::max);
    let pause = longest(at, Instant::now());
    let errors = stories.iter().filter_map(|story| story.broken.as_ref());
    let told = errors.inspect(|error| eprintln!("{what}: a client was told: {error}")).count();
    let say = |name: &str, value: f64| figure(TROUBLE, &of(what, name), value);
    // The first answers may wait for a connection.
    say(USUAL, longest(begun + BEFORE / 4, at - BEFORE / 4));
    say(PAUSE, pause);
    say(BEYOND, (pause - millis(failover)).max(0.0));
    say(ERRORS, told as f64);
    say(ANSWERS, stories.iter().map(|story| story.answered.len()).sum::<usize>() as f64);
}

/// Takes in what happens for a while, whatever it is.
pub(super) async fn pass(lan: &mut Lan, during: Duration) {
    let end = tokio::time::Instant::now() + during;
    while let Ok(Some(news)) = tokio::time::timeout_at(end, lan.news.recv()).await {
        lan.take_in(news);
    }
}
