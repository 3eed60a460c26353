//! The tables of what was written, and what is asked of each row.

use super::many::{self, MANY};
use super::reunion::{self, REUNION};
use super::slow::{self, DISK};
use super::speed::{
    AT_REST, ETCD, FOLLOWER, GROUND, LARGE, LEADER, OVER, R, READS, REDIS, S, SMALL, SUCCESSOR, TANIST, WATCHED,
    of_rounds,
};
use super::trouble::{ANSWERS, BEYOND, ERRORS, FAILOVER, FAULTS, PAUSE, TROUBLE, USUAL, of};
use crate::bench::numbers::short;
use crate::bench::rows::Found;
use crate::bench::table::{Table, verdict};

/// All of them, those left out that nothing was measured of.
pub(super) fn all(found: &Found) -> String {
    [one(found), many(found), trouble(found), rest(found)].into_iter().filter(|text| !text.is_empty()).collect()
}

/// What a table lacks.
fn none() -> String {
    "–".to_owned()
}

/// The median of what the rounds show, and the 99th percentile of all.
fn middle(found: &Found, of: &str, what: &str) -> Option<(f64, f64)> {
    Some((found.sample(of, &of_rounds(what))?.median(), found.sample(of, what)?.p99()))
}

/// Both in one cell.
fn both(figure: Option<(f64, f64)>) -> String {
    figure.map_or_else(none, |(median, p99)| format!("{} (p99 {})", short(median), short(p99)))
}

/// One client: against the ground, and on the leader's machine against both peers.
fn one(found: &Found) -> String {
    let (Some(sync), Some(trip)) = (middle(found, GROUND, S), middle(found, GROUND, R)) else { return String::new() };
    let (s, r) = (sync.0, trip.0);
    let ground = format!(
        "S, 4 KiB at the end of a file and `fdatasync`: {} ms (over what is there: {}). R, 64 bytes there and back by TCP: {} ms. Every figure is \
         the median of the medians of all rounds, in which everybody takes turns.",
        both(Some(sync)),
        both(middle(found, GROUND, OVER)),
        both(Some(trip)),
    );
    let mut table = Table::new(&["one client, 100 bytes (ms)", TANIST, "at most", "stands", "aim", ETCD, REDIS]);
    for (what, trips, limit) in [(LEADER, 1.0, "1.5 (R + S)"), (SUCCESSOR, 2.0, ""), (FOLLOWER, 2.0, "1.5 (2 R + S)")] {
        let Some(own) = middle(found, TANIST, what) else { continue };
        let theirs = [ETCD, REDIS].map(|of| middle(found, of, what));
        let (mut most, mut asked) = (1.5 * (trips * r + s), limit.to_owned());
        if what == LEADER {
            most = theirs.iter().flatten().map(|peer| peer.0).fold(most, f64::min);
            asked.push_str(", below both peers");
        }
        let asked = if asked.is_empty() { asked } else { format!("{}: {asked}", short(most)) };
        let stands = if asked.is_empty() { "" } else { verdict(own.0, most) };
        let aim = if what == LEADER { "0.4" } else { "" };
        let cells = [what.to_owned(), both(Some(own)), asked, stands.to_owned(), aim.to_owned()];
        table.row(cells.into_iter().chain(theirs.map(both)).collect());
    }
    format!("\n{ground}\n\n{}", table.markdown())
}

/// Many clients: how many answers a second.
fn many(found: &Found) -> String {
    let mut table = Table::new(&["answers a second", TANIST, "at least", "stands", "aim: past", ETCD, REDIS]);
    for (what, name) in [
        (SMALL, "64 clients on all machines write 100 bytes"),
        (LARGE, "64 clients on all machines write 1 KiB"),
        (READS, "16 clients on one machine read a key"),
    ] {
        let Some(own) = found.sample(TANIST, what).map(|sample| sample.median()) else { continue };
        let theirs = [ETCD, REDIS].map(|of| found.sample(of, what).map(|sample| sample.median()));
        let least = if what == READS { Some(30_000.0) } else { theirs[0].map(|rate| 1.5 * rate) };
        let asked = match least {
            None => String::new(),
            Some(least) if what == READS => short(least),
            Some(least) => format!("{}: 1.5 × etcd", short(least)),
        };
        let stands = least.map_or("", |least| verdict(-own, -least)).to_owned();
        let aim = if what == READS { "" } else { REDIS }.to_owned();
        let theirs = theirs.map(|rate| rate.map_or_else(none, short));
        table.row([name.to_owned(), short(own), asked, stands, aim].into_iter().chain(theirs).collect());
    }
    if found.sample(TANIST, SMALL).is_none() { String::new() } else { format!("\n{}", table.markdown()) }
}

/// Faults under load.
fn trouble(found: &Found) -> String {
    let head = ["under load, clients of the other machines (ms)", "runs", "answers", "errors", "longest answer before"];
    let mut table = Table::new(
        &[&head[..], &["failover", "longest pause, median", "max", "beyond the failover, median", "at most", "stands"]]
            .concat(),
    );
    let mut any = false;
    for (what, _, most) in FAULTS {
        let sample = |figure: &str| found.sample(TROUBLE, &of(what, figure));
        let (Some(pause), Some(beyond), Some(errors)) = (sample(PAUSE), sample(BEYOND), sample(ERRORS)) else {
            continue;
        };
        any = true;
        let median = |figure: &str| sample(figure).map_or_else(none, |sample| short(sample.median()));
        let stands = if errors.max() > 0.0 { verdict(1.0, 0.0) } else { verdict(beyond.median(), most) };
        table.row(vec![
            what.to_owned(),
            pause.count().to_string(),
            median(ANSWERS),
            short(errors.total()),
            median(USUAL),
            median(FAILOVER),
            short(pause.median()),
            short(pause.max()),
            short(beyond.median()),
            format!("no error, {most}"),
            stands.to_owned(),
        ]);
    }
    if any { format!("\n{}", table.markdown()) } else { String::new() }
}

/// Which value of a sample counts.
#[derive(Clone, Copy)]
enum Counts {
    Median,
    P99,
    Max,
}

/// Whose figure, which, in which unit, what counts of it, and the most that it may be.
type Row = (&'static str, &'static str, &'static str, Counts, Option<f64>);

const REST: [Row; 31] = [
    (TANIST, WATCHED, "ms", Counts::Median, Some(2.0)),
    (TANIST, AT_REST, "MB", Counts::Max, Some(8.0)),
    (DISK, slow::HEARD, "ms", Counts::Max, Some(500.0)),
    (DISK, slow::CHANGES, "", Counts::Max, Some(0.0)),
    (DISK, slow::READ, "ms", Counts::P99, Some(10.0)),
    (DISK, slow::WRITE, "ms", Counts::Median, None),
    (DISK, slow::RATE, "", Counts::Median, None),
    (MANY, many::EMPTY, "ms", Counts::Median, None),
    (MANY, many::OPEN, "ms", Counts::Median, Some(100.0)),
    (MANY, many::RESIDENT, "MB", Counts::Max, Some(40.0)),
    (MANY, many::ALL_IN, "s", Counts::Max, Some(30.0)),
    (MANY, many::ALL_BYTES, "MB", Counts::Median, None),
    (MANY, many::SERVING, "MB", Counts::Max, None),
    (MANY, many::TAKING, "MB", Counts::Max, None),
    (MANY, many::BACK, "ms", Counts::Median, Some(100.0)),
    (MANY, many::START, "ms", Counts::Median, None),
    (MANY, many::BYTES, "KB", Counts::Median, Some(many::MISSED_KB)),
    (MANY, many::BESIDES, "KB", Counts::Median, None),
    (REUNION, reunion::ONE, "s", Counts::Max, Some(5.0)),
    (REUNION, reunion::LED, "s", Counts::Max, None),
    (REUNION, reunion::CONTENT, "", Counts::Max, Some(1.5)),
    (REUNION, reunion::FOLLOWERS, "s", Counts::Max, Some(2.0)),
    (REUNION, reunion::LOADED, "s", Counts::Max, None),
    (REUNION, reunion::HEARD, "ms", Counts::Max, Some(500.0)),
    (REUNION, reunion::READ, "ms", Counts::P99, Some(10.0)),
    (REUNION, reunion::WRITE, "ms", Counts::Max, Some(1000.0)),
    (REUNION, reunion::CONFLICTS, "ms", Counts::Median, Some(100.0)),
    (MANY, reunion::JOINED, "s", Counts::Max, None),
    (MANY, reunion::TAKES, "MB", Counts::Max, Some(80.0)),
    (MANY, reunion::OFFERS, "MB", Counts::Max, Some(80.0)),
    (MANY, reunion::OPENED, "MB", Counts::Max, None),
];

/// Everything else, a row each.
fn rest(found: &Found) -> String {
    let mut table = Table::new(&["", "runs", "median", "p99", "max", "at most", "stands"]);
    let mut any = false;
    for (of, what, unit, counts, most) in REST {
        let Some(sample) = found.sample(of, what) else { continue };
        any = true;
        let (value, which) = match counts {
            Counts::Median => (sample.median(), "median"),
            Counts::P99 => (sample.p99(), "p99"),
            Counts::Max => (sample.max(), "max"),
        };
        let named = match of {
            DISK => format!("a sync takes 50 ms, 64 writers: {what}"),
            MANY => format!("{} records: {what}", many::records()),
            REUNION => format!("two sides with {} new records each: {what}", reunion::apart()),
            _ => what.to_owned(),
        };
        let spread = [sample.median(), sample.p99(), sample.max()].map(short);
        let named = if unit.is_empty() { named } else { format!("{named}, {unit}") };
        let cells = [named, sample.count().to_string()].into_iter().chain(spread);
        let asked = most.map_or_else(String::new, |most| format!("{which} {most}"));
        let stands = most.map_or("", |most| verdict(value, most)).to_owned();
        table.row(cells.chain([asked, stands]).collect());
    }
    if any { format!("\n{}", table.markdown()) } else { String::new() }
}
