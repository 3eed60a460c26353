//! The readable log of a run. It is written only when a seed is run again after it failed: the same seed gives the same
//! run, so nothing is lost and the swarm stays fast.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use tanist::message::Cast;
use tanist::protocol::{Input, Output, Status};

/// How many lines are kept, the newest.
const LINES_MAX: usize = 400_000;
/// How many of them a failure prints.
const TAIL: usize = 60;
/// The longest line, in characters.
const LINE_MAX: usize = 420;

thread_local! {
    static WANTED: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn wanted() -> bool {
    WANTED.get()
}

pub(crate) fn keep(lines: &mut Vec<String>) {
    if lines.len() > LINES_MAX {
        lines.drain(..LINES_MAX / 2);
    }
}

impl Drop for crate::lan::Lan {
    fn drop(&mut self) {
        if let Some(lines) = self.transcript.take() {
            LAST.set(lines);
        }
    }
}

fn short(what: &impl Debug) -> String {
    let mut text = format!("{what:?}");
    if let Some((at, _)) = text.char_indices().nth(LINE_MAX) {
        text.truncate(at);
        text.push('…');
    }
    text
}

pub(crate) fn input(input: &Input) -> String {
    match input {
        Input::Datagram { from, datagram } => {
            format!("{} {from} {}", datagram.from.name, short(&datagram.cast))
        }
        Input::Frame { conn, frame } => format!("{conn:?} {}", short(frame)),
        other => short(other),
    }
}

pub(crate) fn output(output: &Output) -> String {
    match output {
        Output::Cast { to, cast: Cast::Heartbeat(beat) } => {
            format!("{to:?} Heartbeat {:?} seq {} followers {}", beat.claim, beat.seq, beat.followers)
        }
        Output::Event(event) => {
            format!("EVENT {} e{} {:?} {}", event.kind.as_str(), event.epoch, event.cause, event.text)
        }
        other => short(other),
    }
}

pub(crate) fn status(status: &Status) -> String {
    let name = |who: &Option<tanist::protocol::Who>| who.as_ref().map_or("-".to_owned(), |w| w.name.clone());
    format!(
        "** {:?} shows {:?} leader {} successor {} via {} of {}",
        status.role,
        status.shown,
        name(&status.leader),
        name(&status.successor),
        name(&status.via),
        status.members
    )
}

fn words(why: &(dyn Any + Send)) -> String {
    let text = why.downcast_ref::<String>().cloned();
    text.or_else(|| why.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_else(|| "a panic".to_owned())
}

pub(crate) fn attempt<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|why| words(&*why))
}

/// Runs `run` with `seed`; when it fails, once more with a transcript.
///
/// # Errors
/// The broken promise, the seed, how to replay it, and the end of the transcript.
pub(crate) fn seeded<T>(name: &str, seed: u64, run: impl Fn(u64) -> T) -> Result<T, String> {
    let loud = std::env::var_os("TANIST_SEED").is_some();
    WANTED.set(loud);
    let first = attempt(|| run(seed));
    if let (Ok(_), true) = (&first, loud) {
        println!("{}", file(name, seed));
    }
    let first = match first {
        Ok(done) => return Ok(done),
        Err(why) => why,
    };
    if !loud {
        WANTED.set(true);
        let again = attempt(|| run(seed)).err();
        WANTED.set(false);
        if again.as_ref() != Some(&first) {
            return Err(format!("{name} is not deterministic: seed {seed} gave {first:?}, then {again:?}"));
        }
    }
    let where_to = file(name, seed);
    let tail = LAST.with_borrow(|lines| lines[lines.len().saturating_sub(TAIL)..].join("\n"));
    let test = match name {
        "swarm" => "replay",
        "swarm-data" => "replay_with_users",
        story => story,
    };
    Err(format!(
        "{name}: {first}\n  seed {seed}; replay: TANIST_SEED={seed} cargo test --test sim {test} -- --nocapture\n  \
         transcript: {where_to}\n{tail}"
    ))
}

fn file(name: &str, seed: u64) -> String {
    let dir = option_env!("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from).join("sim");
    let path = dir.join(format!("{name}-{seed}.txt"));
    let text = LAST.with_borrow(|lines| lines.join("\n"));
    match std::fs::create_dir_all(&dir).and_then(|()| std::fs::write(&path, text)) {
        Ok(()) => path.display().to_string(),
        Err(why) => format!("not written: {why}"),
    }
}

/// Runs a story under `seeds` seeds, or as many as `TANIST_STORY_SEEDS` says, from `TANIST_FIRST_SEED` on; or under the one
/// of `TANIST_SEED`.
pub(crate) fn story(name: &str, seeds: u64, plot: impl Fn(u64)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let only = number("TANIST_SEED");
    let first = only.or(number("TANIST_FIRST_SEED")).unwrap_or(1);
    let seeds = if only.is_some() { 1 } else { number("TANIST_STORY_SEEDS").unwrap_or(seeds) };
    let failed: Vec<String> = (first..first + seeds).filter_map(|seed| seeded(name, seed, &plot).err()).collect();
    for why in failed.iter().skip(1) {
        println!("{}", why.lines().take(2).collect::<Vec<_>>().join("\n"));
    }
    assert!(failed.is_empty(), "{} of {seeds} seeds failed; the first:\n{}", failed.len(), failed[0]);
}
