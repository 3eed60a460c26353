//! Lines into requests, and whether they come in the order of an export: first the header, last the end.

use super::cut::Line;
use crate::data::{Ask, Request, RequestId, Saved};
use crate::view::data::Fault;
use crate::view::data::export::{self, End, LINE, NotALine};
use std::collections::VecDeque;

/// A record or a key of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Item {
    pub(super) line: u64,
    pub(super) is_key: bool,
    /// One of a record; those of a key in the order of its siblings.
    pub(super) requests: VecDeque<Request>, // bound: SIBLINGS of the ledger
}

/// How far a file is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Stage {
    /// The header is to come.
    #[default]
    Before,
    Within,
    /// The end has come.
    Behind,
}

/// What was read of a file.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Course {
    stage: Stage,
    /// Lines of records, of keys, and those that are broken.
    records: u64,
    keys: u64,
    broken: u64,
    /// The last line.
    line: u64,
    /// It has no header, or fewer lines than its end says.
    lacks: bool,
}

impl Course {
    /// The last line that was read.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Whether the file had its header and its end, and as many lines in between as that says.
    pub(super) fn is_complete(&self) -> bool {
        self.stage == Stage::Behind && !self.lacks
    }

    /// Reads lines, the last ones or not: what they hold, and what is wrong with them. A file of a later version is none.
    pub(super) fn read(&mut self, lines: Vec<Line>, last: bool) -> Result<(Vec<Item>, Vec<Fault>), String> {
        let (mut items, mut faults) = (Vec::new(), Vec::new());
        for Line { number, text } in lines {
            self.line = number;
            let read = match text {
                Some(text) if text.trim_ascii().is_empty() => continue,
                Some(text) => export::Line::read(&text),
                None => Err(NotALine::Broken(format!("it is longer than {LINE} bytes"))),
            };
            let mut fault = |reason: String| faults.push(Fault { line: number, reason });
            match read {
                Ok(line) => {
                    let (item, reason) = self.pass(line);
                    items.extend(item);
                    reason.into_iter().for_each(fault);
                }
                Err(NotALine::Broken(reason)) => {
                    self.broken += 1;
                    fault(reason);
                }
                Err(later) => return Err(format!("line {number}: {later}")),
            }
        }
        if last && self.stage != Stage::Behind {
            let reason = "the last line of the export is missing: the file is cut off".to_owned();
            faults.push(Fault { line: self.line + 1, reason });
        }
        Ok((items, faults))
    }

    /// A line that can be read: what it holds, and what is wrong with its place.
    fn pass(&mut self, line: export::Line) -> (Option<Item>, Option<String>) {
        let before = self.stage;
        match (before, &line) {
            (Stage::Before, export::Line::Header(_)) => {
                self.stage = Stage::Within;
                return (None, None);
            }
            (Stage::Within, export::Line::Header(_)) => {
                return (None, Some("another export begins in the middle of this one".to_owned()));
            }
            (Stage::Behind, _) => {
                let why = "it stands behind the end of the export: import one file after the other";
                return (None, Some(why.to_owned()));
            }
            _ => {}
        }
        let headless = before == Stage::Before;
        self.lacks |= headless;
        self.stage = Stage::Within;
        let missing = headless.then(|| "the first line of the export is missing".to_owned());
        match line {
            export::Line::Record(record) => {
                self.records += 1;
                (Some(self.record(record)), missing)
            }
            export::Line::Key(key) => {
                self.keys += 1;
                (Some(self.key(key)), missing)
            }
            export::Line::End(end) => {
                self.stage = Stage::Behind;
                (None, self.count(end).or(missing))
            }
            export::Line::Header(_) => (None, None),
        }
    }

    /// What is wrong with the number of lines.
    fn count(&mut self, end: End) -> Option<String> {
        if self.records + self.keys + self.broken == end.records + end.keys {
            return None;
        }
        self.lacks = true;
        let (records, keys, here) = (end.records, end.keys, self.records + self.keys + self.broken);
        Some(format!(
            "the export has {records} records and {keys} keys, and the file {here} lines of them: some are missing, or too many"
        ))
    }

    fn record(&self, record: export::Record) -> Item {
        let saved = Saved::Record { topic: record.topic, value: record.content.into_bytes() };
        let ask = Ask::Import { birth: record.birth.0, saved };
        let id = RequestId(record.record.as_u128());
        let request = Request { id, at: record.at.0, node: record.node, ask };
        Item { line: self.line, is_key: false, requests: VecDeque::from([request]) }
    }

    fn key(&self, key: export::Key) -> Item {
        let name = key.key;
        let requests = key.siblings.into_iter().map(|sibling| {
            let value = sibling.content.map(|content| content.into_bytes());
            let ask = Ask::Import { birth: sibling.birth.0, saved: Saved::Sibling { key: name.clone(), value } };
            Request { id: RequestId(sibling.id.as_u128()), at: sibling.at.0, node: sibling.node, ask }
        });
        Item { line: self.line, is_key: true, requests: requests.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"tanist_export":1,"at":"2026-11-21T05:15:29.536624Z","cluster":"office","node":"bb0c9202-d5ef-48df-9119-98fb255efc78","cursor":"9.0a1b2c3d"}"#;
    const RECORD: &str = r#"{"record":"0192f0c1-2345-7abc-8def-0123456789ab","topic":"jobs","birth":"5.0a1b2c3d","at":"2026-11-21T05:15:29.536624Z","node":"bb0c9202-d5ef-48df-9119-98fb255efc78","value":"first job"}"#;
    const KEY: &str = r#"{"key":"k","siblings":[{"birth":"6.0a1b2c3d","id":"0192f0c1-2346-7abc-8def-0123456789ab","at":"2026-11-21T05:15:29.536624Z","node":"bb0c9202-d5ef-48df-9119-98fb255efc78","value":"v"},{"birth":"7.0a1b2c3d","id":"0192f0c1-2347-7abc-8def-0123456789ab","at":"2026-11-21T05:15:29.536624Z","node":"bb0c9202-d5ef-48df-9119-98fb255efc78","deleted":true}]}"#;
    const END: &str = r#"{"end":true,"records":1,"keys":1,"conflicts":1}"#;

    /// What becomes of a file: the lines that hold something, the faults, and whether it is complete.
    fn read(lines: &[&str]) -> (Vec<u64>, Vec<(u64, String)>, bool) {
        let mut course = Course::default();
        let line = |(number, text): (u64, &&str)| Line { number, text: Some(text.as_bytes().to_vec().into()) };
        let lines: Vec<Line> = (1..).zip(lines).map(line).collect();
        let (items, faults) = course.read(lines, true).expect("this version");
        let faults = faults.into_iter().map(|fault| (fault.line, fault.reason)).collect();
        (items.into_iter().map(|item| item.line).collect(), faults, course.is_complete())
    }

    #[test]
    fn a_whole_file_is_complete_and_any_other_says_what_it_lacks() {
        let garbage = "{";
        for (lines, held, faults, complete) in [
            (&[HEADER, RECORD, KEY, END][..], &[2, 3][..], &[][..], true),
            (&["", HEADER, " ", RECORD, "", KEY, END, "\r", ""], &[4, 6], &[], true),
            (&[HEADER, RECORD, KEY], &[2, 3], &[(4, "the last line")], false),
            (&[HEADER, RECORD, END], &[2], &[(3, "1 records and 1 keys, and the file 1 lines of them")], false),
            (&[RECORD, KEY, END], &[1, 2], &[(1, "the first line")], false),
            (&[HEADER, RECORD, garbage, END], &[2], &[(3, "not JSON")], true),
            (&[garbage, RECORD, KEY], &[2, 3], &[(1, "not JSON"), (2, "the first line"), (4, "the last line")], false),
            (&[HEADER, RECORD, HEADER, KEY, END], &[2, 4], &[(3, "another export")], true),
            (
                &[HEADER, RECORD, KEY, END, RECORD, HEADER],
                &[2, 3],
                &[(5, "behind the end"), (6, "behind the end")],
                true,
            ),
            (&[END], &[], &[(1, "some are missing")], false),
            (&[], &[], &[(1, "the last line")], false),
        ] {
            let (items, said, whole) = read(lines);
            assert_eq!((&items[..], whole), (held, complete), "{lines:?}");
            assert_eq!(said.len(), faults.len(), "{lines:?}: {said:?}");
            for ((line, reason), (at, says)) in said.iter().zip(faults) {
                assert!(line == at && reason.contains(says), "{lines:?}: {said:?}");
            }
        }
        let later = Line { number: 1, text: Some("{\"tanist_export\":9}".into()) };
        assert!(Course::default().read(vec![later], false).is_err_and(|why| why.contains("format 9")));
        let long = Line { number: 1, text: None };
        assert!(Course::default().read(vec![long], false).is_ok_and(|(_, faults)| faults[0].reason.contains("longer")));
    }

    #[test]
    fn a_line_becomes_requests_of_its_origin() {
        let mut course = Course::default();
        let lines = [HEADER, RECORD, KEY].map(|text| Line { number: 7, text: Some(text.into()) });
        let (items, _) = course.read(lines.to_vec(), false).expect("this version");
        let [record, key] = &items[..] else { panic!("{items:?}") };
        assert_eq!((record.is_key, key.is_key, record.requests.len(), key.requests.len()), (false, true, 1, 2));
        let request = &record.requests[0];
        assert_eq!(request.id.to_string(), "0192f0c1-2345-7abc-8def-0123456789ab");
        assert_eq!(request.node.to_string(), "bb0c9202-d5ef-48df-9119-98fb255efc78");
        assert_eq!(crate::view::Stamp(request.at).to_string(), "2026-11-21T05:15:29.536624Z");
        let Ask::Import { birth, saved: Saved::Sibling { value: None, .. } } = &key.requests[1].ask else {
            panic!("{key:?}")
        };
        assert_eq!(birth.to_string(), "7.0a1b2c3d");
    }
}
