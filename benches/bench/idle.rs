//! What an agent costs while nothing happens: processor, memory, packets.

use super::bare;
use super::cost::{self, KINDS};
use super::faults::Stage;
use super::lan::Lan;
use super::numbers::short;
use super::scene::{self, Scene, figure};
use super::table::{Table, verdict};
use super::{docs, machine};
use std::time::Duration;

/// Offices of these sizes: what the leader sends must not depend on how many follow.
const SIZES: [usize; 2] = [3, 6];

/// Two families (IPv4 and IPv6), one interface, four heartbeats a second.
const BEATS: f64 = 4.0;

/// What is measured, and the most that it may be on the leader and on a follower of three machines.
const ROWS: [(&str, Option<f64>, Option<f64>); 9] = [
    ("processor, % of a core", Some(0.1), Some(0.03)),
    ("resident memory, MB", Some(8.0), Some(8.0)),
    ("proportional memory, MB", Some(5.0), Some(5.0)),
    ("IPv4 datagrams a second", Some(BEATS * 1.05), Some(0.05)),
    ("IPv6 datagrams a second", Some(BEATS * 1.05), Some(0.05)),
    ("TCP packets a second", None, Some(1.05)),
    ("TCP packets a second that carry something", None, Some(1.05)),
    ("all packets a second", None, None),
    ("bytes a second", None, None),
];

/// What a thread that only reads takes, and a process that only sends.
const READER: &str = "a thread that only reads";
const SENDER: &str = "a process that only sends";

/// How long it is watched, in seconds.
fn seconds() -> usize {
    scene::number("TANIST_BENCH_SECONDS", if scene::quick() { 10 } else { 60 })
}

fn name(size: usize) -> String {
    format!("{size} machines")
}

/// Plays one scene.
///
/// # Errors
/// When an agent is not there any more.
pub(crate) fn inside(scene: &Scene) -> Result<(), String> {
    let size = SIZES.into_iter().find(|size| name(*size) == scene.name).ok_or("no such scene")?;
    scene::play(async {
        let mut stage = Stage::new(Lan::new(scene.dir.clone(), None).await, size, 0, None).await;
        let (reign, _) = stage.ready().await;
        // Addresses are settled, lists are exchanged, neighbours are known.
        stage.lan.quiet(Duration::from_secs(5)).await;
        let all = stage.lan.all();
        let pids: Vec<i32> =
            stage.lan.machines.iter().filter_map(|m| m.agent.pid).map(nix::unistd::Pid::as_raw).collect();
        cost::count(&all).await;
        let ran = |pids: &[i32]| pids.iter().map(|pid| cost::processor(*pid)).collect::<Result<Vec<_>, _>>();
        let before = ran(&pids)?;
        let reader = bare::reader(seconds());
        stage.lan.quiet(Duration::from_secs(seconds() as u64)).await;
        let after = ran(&pids)?;
        let packets = cost::counted().await;
        let during = seconds() as f64;
        let read = reader.join().map_err(|_| "the reader ended")?;
        figure(&scene.name, READER, read / during * 100.0);
        let sent = bare::sender(reign.leader, seconds()).await?;
        figure(&scene.name, SENDER, sent / during * 100.0);
        for (i, machine) in all.iter().enumerate() {
            let of = format!("{}: {}", scene.name, if *machine == reign.leader { "leader" } else { "follower" });
            let (resident, share) = cost::memory(pids[i])?;
            let counts = &packets[i];
            let rate = |kind: usize| counts[kind].0 / during;
            let values = [
                (after[i] - before[i]) / during * 100.0,
                resident,
                share,
                rate(0),
                rate(1),
                rate(2),
                counts[4].0 / during,
                rate(3),
                counts[3].1 / during,
            ];
            ROWS.iter().zip(values).for_each(|(row, value)| figure(&of, row.0, value));
        }
        Ok(())
    })
}

/// Plays all scenes and prints the table.
///
/// # Errors
/// When a scene failed.
pub(crate) fn run() -> Result<(), String> {
    let mut figures = Vec::new();
    for size in SIZES {
        scene::started(&name(size), &mut figures)?;
    }
    let mut columns = Vec::new();
    for size in SIZES {
        columns.extend(["leader", "follower"].map(|role| format!("{}: {role}", name(size))));
    }
    let mut head: Vec<&str> = vec!["at the default heartbeat"];
    head.extend(columns.iter().map(String::as_str));
    head.extend(["leader at most", "follower at most", "stands"]);
    let mut table = Table::new(&head);
    for (what, leader, follower) in ROWS {
        // The most costly of several followers.
        let worst = |of: &str| {
            let values =
                figures.iter().filter(|figure| figure.of == *of && figure.what == what).map(|figure| figure.value);
            values.fold(f64::NAN, f64::max)
        };
        let values: Vec<f64> = columns.iter().map(|of| worst(of)).collect();
        let mut cells = vec![what.to_owned()];
        cells.extend(values.iter().map(|value| short(*value)));
        cells.extend([leader, follower].map(|most| most.map_or_else(String::new, short)));
        let stands = [(values[0], leader), (values[1], follower)];
        let stands: Vec<&str> = stands.iter().filter_map(|(value, most)| Some(verdict(*value, (*most)?))).collect();
        cells.push(
            if stands.iter().all(|one| *one == "ok") { stands.first().copied().unwrap_or("") } else { "**behind**" }
                .to_owned(),
        );
        table.row(cells);
    }
    let text = format!("{}\n{}", machine::described("cargo bench --bench idle"), table.markdown());
    let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.0).collect();
    let bare = |what: &str| {
        let values = figures.iter().filter(|figure| figure.what == what).map(|figure| short(figure.value));
        values.collect::<Vec<_>>().join(" and ")
    };
    let text = format!(
        "{text}\nWatched for {} s. The switch counted: {}. Of several followers, the most costly. A thread that does \
         nothing but read as many datagrams as a follower hears took {} % of a core here, and a process on the leader's \
         machine that does nothing but send its heartbeats {} %: the virtual switch works in the sender's time.\n",
        seconds(),
        kinds.join(", "),
        bare(READER),
        bare(SENDER),
    );
    docs::part("idle", &text)
}
