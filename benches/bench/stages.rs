//! The stages of a failover, from the events that the agents tell.

use super::lan::Lan;
use super::rows::{KILLED, STOPPED};
use super::scene::figure;
use std::time::Instant;

/// Who tells of it.
enum Who {
    /// The machine that led, first.
    Old,
    /// The machine that leads at the end, first.
    New,
    /// Whoever is first.
    First,
    /// Whoever is last.
    Last,
}

/// What is told, by whom, and what it means.
type Told = (&'static str, Who, &'static str);

const OF_KILLED: [Told; 2] = [
    ("leader-suspected", Who::New, "noticed: the successor's session broke"),
    ("leader-lost", Who::New, "refused: the dead leader's machine refused the question"),
];

const OF_STOPPED: [Told; 2] = [
    ("handover", Who::Old, "told: the leader asks the successor to take over"),
    ("handover", Who::New, "heard: the successor is asked to take over"),
];

/// What follows in every failover.
const THEN: [Told; 4] = [
    ("claiming", Who::New, "asked: the successor canvasses"),
    ("claim-backed", Who::First, "backed: another machine begins to make its promise durable"),
    ("leading", Who::New, "won: the new leader leads"),
    ("following", Who::Last, "known: every machine names it"),
];

/// The faults whose stages are worth a table, and how each begins.
const ALL: [(&str, [Told; 2]); 2] = [(KILLED, OF_KILLED), (STOPPED, OF_STOPPED)];

fn title(what: &str, stage: &str) -> String {
    format!("{what}; {stage}")
}

/// For every fault that has stages: its name, and of each stage what it is and the name of its figure.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Vec<(&'static str, String)>)> {
    let named =
        |what, stages: [Told; 2]| stages.into_iter().chain(THEN).map(move |(.., stage)| (stage, title(what, stage)));
    ALL.into_iter().map(move |(what, stages)| (what, named(what, stages).collect()))
}

/// Prints when each stage of a failover came, if this fault has any. `old` has led until then.
pub(crate) fn print(lan: &Lan, of: &str, what: &str, old: usize, at: Instant) {
    let told = |event: &'static str| lan.told.iter().filter(move |told| told.2 == event && told.0 >= at);
    let Some(new) = told("leading").next().map(|told| told.1) else { return };
    for (_, stages) in ALL.into_iter().filter(|(of, _)| *of == what) {
        for (event, who, stage) in stages.into_iter().chain(THEN) {
            let by = |machine: usize| told(event).filter(|told| told.1 == machine).map(|told| told.0).next();
            let time = match who {
                Who::Old => by(old),
                Who::New => by(new),
                Who::First => told(event).map(|told| told.0).next(),
                Who::Last => told(event).map(|told| told.0).max(),
            };
            if let Some(time) = time {
                figure(of, &title(what, stage), time.duration_since(at).as_secs_f64() * 1000.0);
            }
        }
    }
}
