//! What a topic holds, against what was acknowledged.

use super::RECORDS;
use serde::Serialize;

/// What the record with this number of a writer holds. The numbers of a writer have no gap, so the last one that was
/// acknowledged stands for all of them.
pub(super) fn value(writer: &str, number: u64) -> String {
    format!("{writer} {number}")
}

/// The records of one writer that must be found.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) writer: String,
    /// Those up to this number need not be there.
    pub(super) after: u64,
    /// The number of the last one that was acknowledged.
    pub(super) last: u64,
}

/// How often each record of each writer was read.
#[derive(Debug)]
pub(super) struct Count {
    /// One for each writer.
    writers: Vec<Writer>,
}

#[derive(Debug)]
struct Writer {
    name: String,
    /// The numbers of its records that must be there, from 0.
    due: std::ops::Range<usize>,
    /// By number, from 1: how often it was read, 255 at the most. At most [`RECORDS`].
    read: Vec<u8>,
}

impl Count {
    /// Nothing was read yet.
    pub(super) fn new(due: &[Due]) -> Self {
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let writer = |due: &Due| {
            let last = number(due.last);
            Writer { name: due.writer.clone(), due: number(due.after).min(last)..last, read: vec![0; last] }
        };
        Self { writers: due.iter().map(writer).collect() }
    }

    /// Takes in a record. One that no writer made is none of the demo's.
    pub(super) fn take(&mut self, value: &[u8]) {
        let Some((name, number)) = std::str::from_utf8(value).ok().and_then(|value| value.split_once(' ')) else {
            return;
        };
        let number = number.parse().ok().filter(|number| (1..=RECORDS).contains(number));
        let (Some(number), Some(writer)) = (number, self.writers.iter_mut().find(|writer| writer.name == name)) else {
            return;
        };
        let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
        if writer.read.len() <= at {
            writer.read.resize(at + 1, 0);
        }
        writer.read[at] = writer.read[at].saturating_add(1);
    }

    /// Records that must be there, and were not read.
    pub(super) fn missing(&self) -> u64 {
        let due = self.writers.iter().flat_map(|writer| &writer.read[writer.due.clone()]);
        due.filter(|times| **times == 0).count() as u64
    }

    /// Records, acknowledged or not, that were read more than once.
    pub(super) fn twice(&self) -> u64 {
        self.writers.iter().flat_map(|writer| &writer.read).filter(|times| **times > 1).count() as u64
    }

    /// Each acknowledged record was read once, and none twice.
    pub(super) fn is_good(&self) -> bool {
        self.missing() == 0 && self.twice() == 0
    }
}

/// What a check found.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize)]
pub(in crate::cli::demo) struct Found {
    /// Records that were acknowledged when the machines were read.
    pub(in crate::cli::demo) acknowledged: u64,
    /// How many of them are missing, on all machines together.
    pub(in crate::cli::demo) missing: u64,
    /// How many records are there more than once, on all machines together.
    pub(in crate::cli::demo) twice: u64,
    /// Every machine that was read.
    pub(in crate::cli::demo) machines: Vec<Machine>,
    /// The machines of each side, when the network is cut: a side must have what its own writers added since then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::cli::demo) sides: Vec<Vec<String>>,
    /// Why nothing could be compared.
    pub(in crate::cli::demo) trouble: Option<String>,
}

/// What a check found on one machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(in crate::cli::demo) struct Machine {
    agent: String,
    missing: u64,
    twice: u64,
}

impl Found {
    /// No machine has been read yet.
    pub(super) fn new(acknowledged: u64, sides: Vec<Vec<String>>) -> Self {
        Self { acknowledged, sides, ..Self::default() }
    }

    /// Nothing could be compared.
    pub(in crate::cli::demo) fn none(why: String) -> Self {
        Self { trouble: Some(why), ..Self::default() }
    }

    /// Takes in a machine.
    pub(super) fn add(&mut self, agent: String, count: &Count) {
        let (missing, twice) = (count.missing(), count.twice());
        self.missing += missing;
        self.twice += twice;
        self.machines.push(Machine { agent, missing, twice });
    }

    /// Everything was compared, and is everywhere once.
    pub(in crate::cli::demo) fn is_good(&self) -> bool {
        self.trouble.is_none() && self.missing == 0 && self.twice == 0
    }

    /// Where the records are, in words for people.
    pub(in crate::cli::demo) fn text(&self) -> String {
        if let Some(trouble) = &self.trouble {
            return trouble.clone();
        }
        let machines = match self.machines.as_slice() {
            _ if !self.sides.is_empty() => "on all of its side".to_owned(),
            [one] => format!("on {}, which is alone", one.agent),
            [_, _] => "on both machines".to_owned(),
            all => format!("on all {} machines", all.len()),
        };
        if self.is_good() {
            return format!("{machines}, none missing, none twice");
        }
        let bad = self.machines.iter().filter(|machine| machine.missing + machine.twice > 0);
        let each = bad.map(|m| format!("{}: {} missing, {} twice", m.agent, m.missing, m.twice));
        each.collect::<Vec<_>>().join("; ")
    }
}

/// A number with commas: `12,345`.
pub(in crate::cli::demo) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(acknowledged: [u64; 2], values: &[&str]) -> Count {
        let due = |(writer, last): (&str, u64)| Due { writer: writer.to_owned(), after: 0, last };
        let mut count = Count::new(&[("pc-1", acknowledged[0]), ("pc-12", acknowledged[1])].map(due));
        values.iter().for_each(|value| count.take(value.as_bytes()));
        count
    }

    #[test]
    fn what_is_missing_or_there_twice_is_noticed() {
        let figures = |acknowledged, values: &[&str]| {
            let count = count(acknowledged, values);
            (count.missing(), count.twice(), count.is_good())
        };
        let all = ["pc-1 1", "pc-12 2", "pc-1 2", "pc-12 1", "pc-1 3"];
        assert_eq!(figures([3, 2], &all), (0, 0, true), "in whatever order");
        for n in 0..all.len() {
            let without: Vec<&str> = [&all[..n], &all[n + 1..]].concat();
            assert_eq!(figures([3, 2], &without), (1, 0, false), "without {}", all[n]);
            let doubled: Vec<&str> = [&all[..], &all[n..=n]].concat();
            assert_eq!(figures([3, 2], &doubled), (0, 1, false), "with {} twice", all[n]);
        }
        assert_eq!(figures([4, 2], &["pc-1 2", "pc-1 2", "pc-1 2"]), (5, 1, false), "three times is one record");
        assert_eq!(figures([2, 2], &all), (0, 0, true), "one that is under way may be there");
        assert_eq!(figures([2, 2], &[&all[..], &["pc-1 3"]].concat()), (0, 1, false), "and not twice");
    }

    #[test]
    fn what_was_written_before_a_cut_or_on_the_other_side_need_not_be_there() {
        let due = |writer: &str, after, last| Due { writer: writer.to_owned(), after, last };
        let figures = |values: &[&str]| {
            let mut count = Count::new(&[due("pc-1", 2, 4), due("pc-12", 3, 3)]);
            values.iter().for_each(|value| count.take(value.as_bytes()));
            (count.missing(), count.twice())
        };
        assert_eq!(figures(&["pc-1 4", "pc-1 3"]), (0, 0));
        assert_eq!(figures(&["pc-1 2", "pc-1 4"]), (1, 0));
        assert_eq!(figures(&["pc-1 3", "pc-12 1", "pc-1 4", "pc-12 1"]), (0, 1), "and nothing is there twice");
    }

    #[test]
    fn what_no_writer_made_is_not_counted() {
        let strange = ["", " ", "pc-1", "pc-1 ", "pc-1 0", "pc-1 -1", "pc-3 1", "pc-1 50001", "pc-1 1 1", "pc-1  1"];
        let mut read = count([1, 0], &strange);
        read.take(b"pc-1 \xff");
        assert_eq!((read.missing(), read.twice()), (1, 0));
    }

    #[test]
    fn what_was_found_says_where() {
        let mut found = Found::new(3, Vec::new());
        found.add("pc-1".to_owned(), &count([2, 1], &["pc-1 1", "pc-1 2", "pc-12 1"]));
        assert_eq!(found.text(), "on pc-1, which is alone, none missing, none twice");
        found.add("pc-2".to_owned(), &count([2, 1], &["pc-1 1", "pc-1 2", "pc-12 1"]));
        assert_eq!((found.text().as_str(), found.is_good()), ("on both machines, none missing, none twice", true));
        found.add("pc-3".to_owned(), &count([2, 1], &["pc-1 1", "pc-1 1"]));
        assert_eq!((found.missing, found.twice, found.is_good()), (2, 1, false));
        assert_eq!(found.text(), "pc-3: 2 missing, 1 twice");
        let (one, other) = (vec!["pc-1".to_owned(), "pc-2".to_owned()], vec!["pc-3".to_owned()]);
        let mut apart = Found::new(3, vec![one, other]);
        assert_eq!(apart.text(), "on all of its side, none missing, none twice");
        apart.add("pc-3".to_owned(), &count([2, 1], &["pc-1 1", "pc-12 1"]));
        assert_eq!(apart.text(), "pc-3: 1 missing, 0 twice");
        let none = Found::none("pc-1 takes no records: its disk is full".to_owned());
        assert_eq!((none.is_good(), none.text().as_str()), (false, "pc-1 takes no records: its disk is full"));
    }

    #[test]
    fn numbers_have_commas() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (50_000, "50,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
