//! How often everything occurred: messages, answers of a canvass, events, causes, faults.

use std::collections::BTreeMap;
use tanist::event::{Cause, Event, Kind};
use tanist::message::{Cast, Frame, Says};

/// What occurred, by word. bound: the words of this file and of the swarm's faults
#[derive(Clone, Default)]
pub(crate) struct Tally {
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) messages: BTreeMap<&'static str, u64>,
    pub(crate) says: BTreeMap<&'static str, u64>,
    pub(crate) events: BTreeMap<&'static str, u64>,
    pub(crate) causes: BTreeMap<&'static str, u64>,
    pub(crate) outcomes: BTreeMap<&'static str, u64>,
    pub(crate) unread: u64,
    pub(crate) steps: u64,
}

/// Every message that an agent can be sent.
pub(crate) const MESSAGES: [&str; 40] = [
    "Hello",
    "Hi",
    "Welcome",
    "Heartbeat",
    "Notice",
    "Goodbye",
    "Question (datagram)",
    "Answer (datagram)",
    "Open",
    "Question",
    "Answer",
    "Join",
    "Joined",
    "NotJoined",
    "Ping",
    "Pong",
    "Members",
    "Beat",
    "Named",
    "Reigns",
    "Yields",
    "Report",
    "Leaves",
    "Tell",
    "Told",
    "Canvass",
    "Voice",
    "Abdicate",
    "Meet",
    "Decided",
    "Check",
    "Checked",
    "Handover",
    "HandoverDone",
    "Forget",
    "Look",
    "Via",
    "ViaReady",
    "ViaFailed",
    "unknown",
];

/// Every answer of a canvass.
pub(crate) const SAYS: [&str; 5] = ["LeaderAlive", "Better", "Taken", "Higher", "Backed"];

/// Events that come with the data, with more members than a seed draws, or from the real host alone.
pub(crate) const ELSEWHERE: [Kind; 6] =
    [Kind::Conflict, Kind::CopyDiffers, Kind::ItemKeptAside, Kind::CaughtUp, Kind::ClusterFull, Kind::Started];

fn add(map: &mut BTreeMap<&'static str, u64>, word: &'static str) {
    *map.entry(word).or_default() += 1;
}

impl Tally {
    pub(crate) fn fault(&mut self, word: &'static str) {
        add(&mut self.faults, word);
    }

    pub(crate) fn cast(&mut self, cast: &Cast) {
        let word = match cast {
            Cast::Hello(_) => "Hello",
            Cast::Hi(_) => "Hi",
            Cast::Welcome(_) => "Welcome",
            Cast::Heartbeat(_) => "Heartbeat",
            Cast::Notice(_) => "Notice",
            Cast::Goodbye(_) => "Goodbye",
            Cast::Question(_) => "Question (datagram)",
            Cast::Answer(_) => "Answer (datagram)",
        };
        add(&mut self.messages, word);
    }

    pub(crate) fn frame(&mut self, frame: &Frame) {
        let word = match frame {
            Frame::Open(_) => "Open",
            Frame::Question(_) => "Question",
            Frame::Answer(_) => "Answer",
            Frame::Join(_) => "Join",
            Frame::Joined(_) => "Joined",
            Frame::NotJoined(_) => "NotJoined",
            Frame::Ping(_) => "Ping",
            Frame::Pong(_) => "Pong",
            Frame::Members(_) => "Members",
            Frame::Beat(_) => "Beat",
            Frame::Named(_) => "Named",
            Frame::Reigns(_) => "Reigns",
            Frame::Yields(_) => "Yields",
            Frame::Report(_) => "Report",
            Frame::Leaves => "Leaves",
            Frame::Tell(_) => "Tell",
            Frame::Told(_) => "Told",
            Frame::Canvass(_) => "Canvass",
            Frame::Voice(voice) => {
                let says = match &voice.says {
                    Says::LeaderAlive(_) => "LeaderAlive",
                    Says::Better(_) => "Better",
                    Says::Taken(_) => "Taken",
                    Says::Higher(_) => "Higher",
                    Says::Backed => "Backed",
                };
                add(&mut self.says, says);
                "Voice"
            }
            Frame::Abdicate(_) => "Abdicate",
            Frame::Meet(_) => "Meet",
            Frame::Decided(_) => "Decided",
            Frame::Check(_) => "Check",
            Frame::Checked(_) => "Checked",
            Frame::Handover(_) => "Handover",
            Frame::HandoverDone(_) => "HandoverDone",
            Frame::Forget(_) => "Forget",
            Frame::Look(_) => "Look",
            Frame::Via(_) => "Via",
            Frame::ViaReady => "ViaReady",
            Frame::ViaFailed(_) => "ViaFailed",
            Frame::Requests(_) => "Requests",
            Frame::Outcomes(_) => "Outcomes",
            Frame::Holds(_) => "Holds",
            Frame::Wanted(_) => "Wanted",
            Frame::Piece(_) => "Piece",
            Frame::Covered => "Covered",
            Frame::Taken => "Taken",
            Frame::Reunited(_) => "Reunited",
            Frame::Changes(_) => "Changes",
            Frame::Committed(_) => "Committed",
            Frame::Digest(_) => "Digest",
            Frame::Stored(_) => "Stored",
            Frame::Anew => "Anew",
        };
        add(&mut self.messages, word);
    }

    /// How requests of users ended.
    pub(crate) fn outcomes(&mut self, outcomes: &BTreeMap<&'static str, u64>) {
        outcomes.iter().for_each(|(word, n)| *self.outcomes.entry(word).or_default() += n);
    }

    /// Prints how requests ended, and with what messages, and gives back what occurred fewer than `least` times.
    pub(crate) fn outcomes_table(&self, least: u64) -> Vec<String> {
        println!("{:?}", self.outcomes);
        let data = [
            "Requests",
            "Outcomes",
            "Holds",
            "Wanted",
            "Piece",
            "Covered",
            "Taken",
            "Reunited",
            "Changes",
            "Committed",
            "Digest",
            "Stored",
            "Anew",
        ];
        let ended = ["acknowledged", "acknowledged alone"];
        let words =
            data.iter().map(|word| (word, &self.messages)).chain(ended.iter().map(|word| (word, &self.outcomes)));
        let counts = words.map(|(word, counts)| (word, counts.get(word).copied().unwrap_or(0)));
        counts
            .inspect(|(word, n)| println!("  {word:<24}{n:>10}"))
            .filter(|(_, n)| *n < least)
            .map(|(word, n)| format!("{word} ({n})"))
            .collect()
    }

    pub(crate) fn event(&mut self, event: &Event) {
        add(&mut self.events, event.kind.as_str());
        if let (Kind::Leading, Some(cause)) = (event.kind, event.cause) {
            add(&mut self.causes, cause.as_str());
        }
    }

    pub(crate) fn absorb(&mut self, other: &Tally) {
        let pairs = [
            (&mut self.faults, &other.faults),
            (&mut self.messages, &other.messages),
            (&mut self.says, &other.says),
            (&mut self.events, &other.events),
            (&mut self.causes, &other.causes),
            (&mut self.outcomes, &other.outcomes),
        ];
        for (mine, theirs) in pairs {
            theirs.iter().for_each(|(word, n)| *mine.entry(word).or_default() += n);
        }
        self.unread += other.unread;
        self.steps += other.steps;
        self.messages.insert("unknown", self.unread);
    }

    /// Prints the table, and gives back what occurred fewer than `least` times.
    pub(crate) fn table(&self, faults: &[&'static str], least: u64) -> Vec<String> {
        let events: Vec<&'static str> =
            Kind::ALL.iter().filter(|k| !ELSEWHERE.contains(k)).map(|k| k.as_str()).collect();
        let causes: Vec<&'static str> = Cause::ALL.iter().map(|c| c.as_str()).collect();
        let mut rare = Vec::new();
        for (title, words, counts) in [
            ("faults", faults, &self.faults),
            ("messages", &MESSAGES[..], &self.messages),
            ("answers of a canvass", &SAYS[..], &self.says),
            ("events", &events[..], &self.events),
            ("causes of a reign", &causes[..], &self.causes),
        ] {
            println!("{title}:");
            for word in words {
                let n = counts.get(word).copied().unwrap_or(0);
                println!("  {word:<24}{n:>10}");
                if n < least {
                    rare.push(format!("{title}: {word} ({n})"));
                }
            }
        }
        rare
    }
}
