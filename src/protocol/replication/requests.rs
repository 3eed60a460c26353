//! What users of this agent ask, until it is answered (protocol §10).

use crate::protocol::limits;
use crate::time::Time;
use bytes::Bytes;
use std::collections::BTreeMap;

/// A request that waits for its answer.
#[derive(Clone, Debug)]
struct Waiting {
    body: Bytes,
    /// Then its user is told that there was no leader in time.
    until: Time,
    /// A leader has it. When that one leads no more, the next is given it, and knows it by its id.
    given: bool,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(in crate::protocol) struct Requests {
    /// By the host's numbers, which grow. Bound: [`limits::DATA_REQUESTS`], and [`limits::DATA_BYTES`] in all.
    waiting: BTreeMap<u64, Waiting>,
    bytes: usize,
    /// How many were given to nobody.
    ungiven: usize,
}

impl Requests {
    /// Takes a request in. False when too many wait, or they are too long.
    pub(in crate::protocol) fn add(&mut self, request: u64, body: Bytes, until: Time) -> bool {
        if self.waiting.len() >= limits::DATA_REQUESTS || self.bytes + body.len() > limits::DATA_BYTES {
            return false;
        }
        self.bytes += body.len();
        self.ungiven += 1;
        self.waiting.insert(request, Waiting { body, until, given: false });
        true
    }

    /// Those that were given to nobody, in the order in which they came. From now on they are given.
    pub(in crate::protocol) fn give(&mut self) -> Vec<(u64, Bytes)> {
        if self.ungiven == 0 {
            return Vec::new();
        }
        self.ungiven = 0;
        let give = |(request, w): (&u64, &mut Waiting)| {
            let first = !std::mem::replace(&mut w.given, true);
            first.then(|| (*request, w.body.clone()))
        };
        self.waiting.iter_mut().filter_map(give).collect()
    }

    /// The one that was given them leads no more, or has lost them: they are to be given again.
    pub(in crate::protocol) fn take_back(&mut self) {
        for w in self.waiting.values_mut() {
            w.given = false;
        }
        self.ungiven = self.waiting.len();
    }

    /// The one that was given this has lost it, and somebody else is to be given it.
    pub(in crate::protocol) fn give_again(&mut self, request: u64) {
        if let Some(w) = self.waiting.get_mut(&request) {
            self.ungiven += usize::from(std::mem::replace(&mut w.given, false));
        }
    }

    /// Whether some were given to nobody.
    pub(in crate::protocol) fn any_to_give(&self) -> bool {
        self.ungiven > 0
    }

    /// A request has its answer. False when nobody waits for that any more.
    pub(in crate::protocol) fn answered(&mut self, request: u64) -> bool {
        let Some(w) = self.waiting.remove(&request) else { return false };
        self.bytes -= w.body.len();
        self.ungiven -= usize::from(!w.given);
        true
    }

    /// Those whose time is over. They wait no more.
    pub(in crate::protocol) fn expired(&mut self, now: Time) -> Vec<u64> {
        let over: Vec<u64> = self.waiting.iter().filter(|(_, w)| w.until <= now).map(|(request, _)| *request).collect();
        for request in &over {
            self.answered(*request);
        }
        over
    }

    /// When the time of the next one is over. All have the same time, so it is the one that came first.
    pub(in crate::protocol) fn next_expiry(&self) -> Option<Time> {
        self.waiting.values().next().map(|w| w.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn body(n: u8) -> Bytes {
        Bytes::from(vec![n; 10])
    }

    #[test]
    fn each_is_given_once_until_it_is_taken_back() {
        let mut requests = Requests::default();
        assert!(requests.add(1, body(1), Time(10)) && requests.add(2, body(2), Time(20)));
        assert_eq!(requests.give(), [(1, body(1)), (2, body(2))]);
        assert!(requests.give().is_empty() && !requests.any_to_give());
        assert!(requests.add(3, body(3), Time(30)));
        assert_eq!(requests.give(), [(3, body(3))], "the others have been given");
        assert!(requests.answered(2) && !requests.answered(2), "once");
        requests.take_back();
        assert_eq!(requests.give(), [(1, body(1)), (3, body(3))], "in the order in which they came");
    }

    #[test]
    fn what_is_too_much_is_refused_and_what_is_over_makes_room() {
        let mut requests = Requests::default();
        let half = Bytes::from(vec![0; limits::DATA_BYTES / 2]);
        assert!(requests.add(1, half.clone(), Time(10)) && requests.add(2, half.clone(), Time(20)));
        assert!(!requests.add(3, body(1), Time(30)), "too many bytes");
        assert_eq!(requests.next_expiry(), Some(Time(10)));
        assert_eq!(requests.expired(Time(10)), [1]);
        assert!(requests.add(3, body(1), Time(10) + Duration::from_secs(1)));
        assert_eq!(requests.next_expiry(), Some(Time(20)));
        assert_eq!(requests.give().len(), 2);
        let mut many = Requests::default();
        assert!((0..limits::DATA_REQUESTS as u64).all(|n| many.add(n, Bytes::new(), Time(1))));
        assert!(!many.add(u64::MAX, Bytes::new(), Time(1)), "too many");
    }
}
