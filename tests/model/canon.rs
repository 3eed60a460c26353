//! One text for all histories that leave a node in the same state: what a fingerprint is made of.
//!
//! The text of a node is what `Debug` prints of it. Numbers that only grow (of connections, tickets, questions,
//! heartbeats) are replaced by their rank among those in use, times by their distance from the node's present, and what
//! is written for people (stories, reasons) is left out.

use tanist::time::Time;

/// Silences longer than this are all alike: no rule but that of OWN_EARS, which is about addresses, looks further back.
const LONG_AGO: u64 = 12_000_000;
/// Longer texts are for people.
const WORDS: usize = 36;

/// 128 bits of everything that was written.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Print(u128);

impl Print {
    pub(crate) fn add(&mut self, n: u128) {
        let mixed = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        self.0 = mixed ^ mixed >> 67;
    }

    pub(crate) fn text(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(16) {
            let mut word = [0; 16];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u128::from_le_bytes(word));
        }
        self.add(bytes.len() as u128);
    }

    pub(crate) fn value(self) -> u128 {
        self.0
    }
}

/// Numbers that only grow, in the order in which a text mentions them.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Numbers {
    conns: Vec<u64>,
    tickets: Vec<u64>,
    nonces: Vec<u64>,
}

/// The numbers in use in a node: their ranks stand for them elsewhere too.
#[derive(Clone, Default, Debug)]
pub(crate) struct Names(Numbers);

impl Names {
    pub(crate) fn conn(&self, id: u64) -> usize {
        self.0.conns.binary_search(&id).unwrap_or(usize::MAX)
    }

    fn of(mut numbers: Numbers) -> Self {
        for list in [&mut numbers.conns, &mut numbers.tickets] {
            list.sort_unstable();
            list.dedup();
        }
        Names(numbers)
    }

    fn ranks(&self, numbers: &Numbers, out: &mut Vec<u8>) {
        let rank = |list: &[u64], n: &u64| list.iter().position(|x| x == n).unwrap_or(usize::MAX) as u64;
        numbers.conns.iter().for_each(|n| put(out, self.conn(*n) as u64));
        numbers.tickets.iter().for_each(|n| put(out, rank(&self.0.tickets, n)));
        numbers.nonces.iter().for_each(|n| put(out, rank(&self.0.nonces, n)));
    }
}

/// Writes `text`, the whole of a node, without what two histories may differ in.
pub(crate) fn canonical(text: &str, now: Time, out: &mut Vec<u8>) -> Names {
    let numbers = masked(text, now, out);
    let names = Names::of(numbers.clone());
    names.ranks(&numbers, out);
    names
}

/// Writes `text`, which speaks of a node's numbers, likewise.
pub(crate) fn canonical_beside(text: &str, names: &Names, out: &mut Vec<u8>) {
    let numbers = masked(text, Time(0), out);
    names.ranks(&numbers, out);
}

/// Writes `text` with a sign for each number that only grows, and returns these.
fn masked(text: &str, now: Time, out: &mut Vec<u8>) -> Numbers {
    let mut numbers = Numbers::default();
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(plain) = bytes[at..].iter().position(|b| b.is_ascii_digit() || *b == b'"') {
        let from = at + plain;
        out.extend_from_slice(&bytes[at..from]);
        at = if bytes[from] == b'"' {
            quoted(bytes, from, out)
        } else if bytes[..from].last().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'.') {
            let end = number(bytes, from).1;
            out.extend_from_slice(&bytes[from..end]);
            end
        } else {
            figure(bytes, from, now, &mut numbers, out)
        };
    }
    out.extend_from_slice(&bytes[at..]);
    numbers
}

fn quoted(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> usize {
    let end = at + 1 + bytes[at + 1..].iter().position(|b| *b == b'"').expect("a closed text");
    if end - at <= WORDS {
        out.extend_from_slice(&bytes[at..end]);
    }
    end + 1
}

fn number(bytes: &[u8], from: usize) -> (u64, usize) {
    let mut at = from;
    let mut n = 0u64;
    while at < bytes.len() && bytes[at].is_ascii_digit() {
        n = n.wrapping_mul(10).wrapping_add(u64::from(bytes[at] - b'0'));
        at += 1;
    }
    (n, at)
}

fn figure(bytes: &[u8], at: usize, now: Time, numbers: &mut Numbers, out: &mut Vec<u8>) -> usize {
    let (n, end) = number(bytes, at);
    let before = &bytes[..at];
    let grows = if before.ends_with(b"ConnId(") {
        Some(&mut numbers.conns)
    } else if before.ends_with(b"Ticket(") {
        Some(&mut numbers.tickets)
    } else if before.ends_with(b"nonce: ") && !before.ends_with(b"_nonce: ") {
        Some(&mut numbers.nonces)
    } else {
        None
    };
    if let Some(list) = grows {
        list.push(n);
        out.push(b'?');
    } else if [&b"last: "[..], b"last_ticket: ", b"last_nonce: ", b"seq: "].iter().any(|name| before.ends_with(name)) {
        out.push(b'#');
    } else if end + 7 <= bytes.len()
        && bytes[end] == b'.'
        && bytes[end + 1..end + 7].iter().all(u8::is_ascii_digit)
        && bytes.get(end + 7).is_none_or(|b| !b.is_ascii_alphanumeric())
    {
        time(n * 1_000_000 + number(bytes, end + 1).0, now, out);
        return end + 7;
    } else {
        out.extend_from_slice(&bytes[at..end]);
    }
    end
}

fn time(at: u64, now: Time, out: &mut Vec<u8>) {
    if at == 0 {
        out.push(b'0');
    } else if at >= now.0 {
        out.push(b'+');
        put(out, at - now.0);
    } else {
        out.push(b'-');
        put(out, (now.0 - at).min(LONG_AGO));
    }
}

fn put(out: &mut Vec<u8>, n: u64) {
    out.push(b'@');
    out.extend_from_slice(&n.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str, now: (u64, u64)) -> bool {
        let print = |text: &str, now| {
            let mut out = Vec::new();
            canonical(text, Time(now), &mut out);
            out
        };
        print(a, now.0) == print(b, now.1)
    }

    #[test]
    fn what_only_grows_and_what_is_for_people_makes_no_difference() {
        let now = (1_500_000, 7_500_000);
        assert!(same("x { heard: 1.250000 }", "x { heard: 7.250000 }", now), "as long ago");
        assert!(!same("x { heard: 1.250000 }", "x { heard: 7.250001 }", now), "not as long ago");
        assert!(!same("x { d: 1.250000s }", "x { d: 7.250000s }", now), "a duration is no time");
        assert!(same("{ConnId(3): a, ConnId(9): b}", "{ConnId(4): a, ConnId(5): b}", now), "in the same order");
        assert!(!same("ConnId(9), {ConnId(3): a, ConnId(9): b}", "ConnId(4), {ConnId(4): a, ConnId(5): b}", now));
        assert!(same("nonce: 77, last_nonce: 78", "nonce: 99, last_nonce: 3", now));
        assert!(!same("epoch: 77", "epoch: 78", now));
        assert!(!same("e2@5by0001/0001", "e2@6by0001/0001", now), "a claim is what it is");
        let long = "\"it refused the question after 3.2 ms, and that was that\"";
        assert!(same(long, "\"it refused the question after 9.9 ms, and that was that\"", now));
        assert!(!same("\"the first\"", "\"the next\"", now), "short words have a meaning");
    }
}
