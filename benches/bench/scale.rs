//! Many agents, and many questions.

use super::crowd::{self, Neighbours};
use super::local::{self, CLIENTS};
use super::numbers::short;
use super::rows::Found;
use super::scene::{self, Scene};
use super::table::{SPREAD, Table, spread, verdict};
use super::{docs, machine};

const CROWD: &str = "crowd";
const LOCAL: &str = "local socket";

/// A crowd is one cluster within this, in seconds.
const FORMED: f64 = 10.0;

/// What a leader at rest sends on each follower's session in a second, however many there are.
const PACKETS_EACH: f64 = 2.0;
const BYTES_EACH: f64 = 300.0;

/// One client's median, in milliseconds, and the answers a second to all of them.
const ANSWER: f64 = 0.1;
const ANSWERS: f64 = 30_000.0;

/// Plays one scene.
///
/// # Errors
/// Those of the scene.
pub(crate) fn inside(scene: &Scene) -> Result<(), String> {
    if scene.name == CROWD { crowd::inside(scene) } else { local::inside(scene) }
}

/// Plays both scenes and prints the tables.
///
/// # Errors
/// When a scene failed, or this user may not raise the kernel's limits.
pub(crate) fn run() -> Result<(), String> {
    let mut text = machine::described("cargo bench --bench scale");
    if scene::wanted(LOCAL) {
        let mut figures = Vec::new();
        scene::started(LOCAL, &mut figures)?;
        text.push_str(&asked(&Found::new(figures)));
    }
    if scene::wanted(CROWD) {
        let neighbours = Neighbours::raise()?;
        let mut figures = Vec::new();
        let played = scene::started(CROWD, &mut figures);
        drop(neighbours);
        played?;
        text.push_str(&crowded(&Found::new(figures)));
    }
    docs::part("scale", &text)
}

fn asked(found: &Found) -> String {
    let head = [&["`GET /v1/leader` on the local socket"], &SPREAD[..], &["asked for", "stands"]].concat();
    let mut table = Table::new(&head);
    if let Some(took) = found.sample("local", "one") {
        let stands = [format!("median ≤ {ANSWER}"), verdict(took.median(), ANSWER).to_owned()];
        table.row(std::iter::once("one client, ms".to_owned()).chain(spread(&took)).chain(stands).collect());
    }
    if let Some(rate) = found.sample("local", "together").map(|rate| rate.median()) {
        let cells =
            [format!("{CLIENTS} clients, answers a second"), "1".to_owned(), String::new(), format!("{rate:.0}")];
        let stands = [format!("≥ {ANSWERS}"), verdict(-rate, -ANSWERS).to_owned()];
        table.row(cells.into_iter().chain([String::new(), String::new(), String::new()]).chain(stands).collect());
    }
    format!("\n{}", table.markdown())
}

fn crowded(found: &Found) -> String {
    let one = |what: &str| found.sample(CROWD, what).map_or_else(|| "–".to_owned(), |s| short(s.median()));
    let most = |what: &str| found.sample(CROWD, what).map_or_else(|| "–".to_owned(), |s| short(s.max()));
    let n = crowd::size();
    let mut table = Table::new(&[&format!("{n} agents on one machine"), "", "asked for", "stands"]);
    let formed = found.sample(CROWD, "formed").map_or(f64::NAN, |s| s.max());
    let stands = [format!("≤ {FORMED}"), verdict(formed, FORMED).to_owned()];
    table.row(
        ["one leader that all name, s after the first start".to_owned(), short(formed)]
            .into_iter()
            .chain(stands)
            .collect(),
    );
    let more = [
        ("all know one another, s after the first start", one("listed")),
        ("leader killed: all name the next, ms (median)", one("killed")),
        ("the same, ms (longest)", most("killed")),
        ("processor that an agent had used by then, s (median)", one("formed: processor")),
        ("the same, the leader and whoever used most, s", most("formed: processor")),
        ("at rest: leader, % of a core", one("leader: processor")),
        ("at rest: follower, % of a core (median)", one("follower: processor")),
        ("leader: resident, MB", one("leader: resident")),
        ("leader: proportional, MB", one("leader: proportional")),
        ("follower: resident, MB (median)", one("follower: resident")),
        ("follower: proportional, MB (median)", one("follower: proportional")),
        ("at rest: packets a second that the leader sends", one("leader: packets")),
        ("at rest: bytes a second that the leader sends", one("leader: bytes")),
    ];
    for (what, value) in more {
        table.row(vec![what.to_owned(), value, String::new(), String::new()]);
    }
    for (what, limit) in [("packets", PACKETS_EACH), ("bytes", BYTES_EACH)] {
        let found = found.sample(CROWD, &format!("leader: {what} for each")).map_or(f64::NAN, |s| s.max());
        let name = format!("at rest: {what} a second for each follower, beside the heartbeats");
        table.row(vec![name, short(found), format!("≤ {limit}"), verdict(found, limit).to_owned()]);
    }
    format!("\n{}", table.markdown())
}
