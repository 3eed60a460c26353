//! Lines of the event stream.

use super::{Stamp, epoch, host};
use crate::event::{self, Cause, Kind, Level};
use crate::protocol::{self, RoleName};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One line of `GET /v1/events`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// The reader was too slow: so many events are missing here.
    Lagged {
        /// How many.
        lagged: u64,
    },
    /// An event, or the present state.
    Event(Event),
}

/// An event as users get it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// When, on the wall clock of the machine that it happened on.
    pub at: Stamp,
    /// What happened: one of the words of [`Kind`].
    pub event: String,
    /// The epoch that the agent shows.
    pub epoch: u64,
    /// Why a reign began or ended, where that is what the event tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// `info` or `warn`.
    pub level: String,
    /// Nothing happened: this is how the agent stood when the stream began.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub present: bool,
    /// One sentence, for someone who has never read the protocol.
    pub text: String,
    /// The facts: names end in `_us` or `_ms` where they are durations.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// Names that fields may not take, because they are the line's own.
const OWN: [&str; 7] = ["at", "event", "epoch", "cause", "level", "present", "text"];

impl From<&event::Event> for Event {
    fn from(event: &event::Event) -> Self {
        let fields = event.fields.iter().filter(|(name, _)| !OWN.contains(name));
        Self {
            at: Stamp(event.at),
            event: event.kind.as_str().to_owned(),
            epoch: event.epoch,
            cause: event.cause,
            level: match event.level {
                Level::Info => "info".to_owned(),
                Level::Warn => "warn".to_owned(),
            },
            present: false,
            text: event.text.clone(),
            fields: fields.map(|(name, value)| ((*name).to_owned(), plain(value))).collect(),
        }
    }
}

fn plain(value: &event::Value) -> Value {
    match value {
        event::Value::Number(n) => Value::from(*n),
        event::Value::Text(s) => Value::from(s.as_str()),
        event::Value::Flag(b) => Value::from(*b),
        event::Value::Null => Value::Null,
    }
}

/// Who leads and where, as the fields of an event that shows an epoch: null while there is no leader, or it has no address.
/// An event of an epoch that is over names nobody: one epoch has one leader (protocol §3, P3).
pub(crate) fn leader_facts(status: &protocol::Status, shows: u64) -> [(&'static str, event::Value); 5] {
    let text = |text: Option<String>| text.map_or(event::Value::Null, event::Value::Text);
    let leader = status.leader.as_ref().filter(|_| epoch(status) == shows);
    let address = leader.and_then(|leader| leader.address);
    [
        ("leader", text(leader.map(|leader| leader.name.clone()))),
        ("leader_id", text(leader.map(|leader| leader.node.id.to_string()))),
        ("leader_address", text(address.map(|address| address.to_string()))),
        ("leader_host", text(address.map(host))),
        ("leader_port", address.map_or(event::Value::Null, |address| u64::from(address.port()).into())),
    ]
}

impl Event {
    /// How an agent stands, as the first line of a stream.
    pub fn present(status: &protocol::Status) -> Self {
        let leader = status.leader.as_ref().map(|who| who.name.as_str());
        let (kind, text) = match (status.role, leader) {
            (RoleName::Listening, _) => (Kind::Listening, "this machine listens and has no leader yet".to_owned()),
            (RoleName::Following, Some(name)) => (Kind::Following, format!("this machine follows {name}")),
            (RoleName::Following, None) => (Kind::Following, "this machine waits for a new leader".to_owned()),
            (RoleName::Claiming, _) => (Kind::Claiming, "this machine asks the others whether it may lead".to_owned()),
            (RoleName::Leading, _) => (Kind::Leading, "this machine leads".to_owned()),
        };
        let mut fields = Map::new();
        for (name, who) in [("successor", &status.successor), ("via", &status.via)] {
            fields.insert(name.to_owned(), who.as_ref().map_or(Value::Null, |who| Value::from(who.name.as_str())));
        }
        fields.extend(
            leader_facts(status, epoch(status)).into_iter().map(|(name, value)| (name.to_owned(), plain(&value))),
        );
        Self {
            at: Stamp(status.since),
            event: kind.as_str().to_owned(),
            epoch: epoch(status),
            cause: None,
            level: "info".to_owned(),
            present: true,
            text,
            fields,
        }
    }

    /// A field's text, when there is such a field and it is text.
    pub fn text_field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_str)
    }
}
