//! What an agent tells its users: events, and the causes of a change of leader.

use crate::time::Wall;
use serde::{Deserialize, Serialize};

/// Why a reign began, which is what ended the one before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// There was no leader.
    First,
    /// Its process ended: it refused the question, or another boot answered.
    Died,
    /// Its machine was silent.
    Silent,
    /// This machine lost the leader with its links.
    CutOff,
    /// It beat, but served nothing.
    Stalled,
    /// Its store failed or stalled.
    Store,
    /// It was told to hand over.
    Handover,
    /// It stopped.
    Goodbye,
    /// Two leaders met.
    Reunion,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Cause; 9] = [
        Cause::First,
        Cause::Died,
        Cause::Silent,
        Cause::CutOff,
        Cause::Stalled,
        Cause::Store,
        Cause::Handover,
        Cause::Goodbye,
        Cause::Reunion,
    ];

    /// The word users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::First => "first",
            Cause::Died => "died",
            Cause::Silent => "silent",
            Cause::CutOff => "cut-off",
            Cause::Stalled => "stalled",
            Cause::Store => "store",
            Cause::Handover => "handover",
            Cause::Goodbye => "goodbye",
            Cause::Reunion => "reunion",
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $word:literal,)*) => {
        /// What happened.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Kind { $($(#[$doc])* $kind,)* }
        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Kind] = &[$(Kind::$kind,)*];
            /// The word users see.
            pub fn as_str(self) -> &'static str {
                match self { $(Kind::$kind => $word,)* }
            }
        }
    };
}

kinds! {
    /// The agent started.
    Started = "started",
    /// It hears and claims nothing.
    Listening = "listening",
    /// A member is there.
    MemberJoined = "member-joined",
    /// A member said goodbye, or was forgotten.
    MemberLeft = "member-left",
    /// A member does not answer.
    MemberSilent = "member-silent",
    /// The leader is suspected.
    LeaderSuspected = "leader-suspected",
    /// It answered.
    LeaderAnswered = "leader-answered",
    /// The leader is dead to this agent.
    LeaderLost = "leader-lost",
    /// This agent claims.
    Claiming = "claiming",
    /// This agent backed another's claim.
    ClaimBacked = "claim-backed",
    /// This agent objected to another's claim.
    ClaimRefused = "claim-refused",
    /// This agent withdrew its claim.
    ClaimWithdrawn = "claim-withdrawn",
    /// This agent leads.
    Leading = "leading",
    /// This agent follows.
    Following = "following",
    /// A successor is named.
    SuccessorNamed = "successor-named",
    /// There is no successor.
    SuccessorNone = "successor-none",
    /// A handover began, succeeded or failed.
    Handover = "handover",
    /// A member says goodbye.
    Goodbye = "goodbye",
    /// Two leaders met.
    Reunion = "reunion",
    /// A reunion left a conflict.
    Conflict = "conflict",
    /// This agent holds everything.
    CaughtUp = "caught-up",
    /// This agent's copy differs from the leader's.
    CopyDiffers = "copy-differs",
    /// A reunion refused an item.
    ItemKeptAside = "item-kept-aside",
    /// The store fails or stalls.
    StoreTrouble = "store-trouble",
    /// There is a network.
    NetworkUp = "network-up",
    /// There is none.
    NetworkAlone = "network-alone",
    /// The leader is reached through another member, or directly again.
    Relayed = "relayed",
    /// This process stood still.
    Stalled = "stalled",
    /// This machine slept.
    Woke = "woke",
    /// A limit of members or sessions is reached.
    ClusterFull = "cluster-full",
    /// Two agents have one id.
    CloneDetected = "clone-detected",
    /// Something was not believed.
    IntruderIgnored = "intruder-ignored",
}

/// How loud an event is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// As it should be.
    Info,
    /// Worth a look.
    Warn,
}

/// The value of an event's field.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A count, or a duration with its unit in the field's name.
    Number(u64),
    /// A name, an id or an address.
    Text(String),
    /// Yes or no.
    Flag(bool),
}

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        Value::Number(n)
    }
}

impl From<String> for Value {
    fn from(s: String) -> Self {
        Value::Text(s)
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Self {
        Value::Text(s.to_owned())
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Value::Flag(b)
    }
}

/// One event: what happened, in plain words first, and the facts after them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// How loud.
    pub level: Level,
    /// When, on the wall clock of the machine it happened on.
    pub at: Wall,
    /// The epoch that the agent shows.
    pub epoch: u64,
    /// Why a reign began or ended, where that is what the event tells.
    pub cause: Option<Cause>,
    /// One sentence without a full stop, for someone who has never read the protocol.
    pub text: String,
    /// The facts: names end in `_us` or `_ms` where they are durations.
    pub fields: Vec<(&'static str, Value)>,
}
