//! What users are told, and how often (the table of kinds is [`Kind`]).

use super::limits;
use crate::event::{Kind, Value};
use crate::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// The facts of an event.
pub(super) type Fields = Vec<(&'static str, Value)>;

/// A duration as a field, in microseconds.
pub(super) fn us(d: Duration) -> Value {
    Value::Number(u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}

/// How often others have caused an event of a kind, and since when that is counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Notices {
    counted: BTreeMap<Kind, (Time, u32)>, // bound: the words of KIND
}

impl Notices {
    /// What others can cause as often as they like is told so often and no more, until a second is over.
    pub(super) fn may_tell(&mut self, kind: Kind, now: Time) -> bool {
        if !kind.others_cause_it() {
            return true;
        }
        let (since, count) = self.counted.entry(kind).or_insert((now, 0));
        if now.since(*since) >= limits::HOUSE {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= limits::TOLD
    }
}
