//! What an agent tells its users: events, and the causes of a change of leader.

use crate::time::Wall;
use serde::{Deserialize, Serialize};

/// Why a reign began, which is what ended the one before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// There was no leader, and never had been.
    First,
    /// There was no leader any more: all were off, or started again.
    Restart,
    /// Its process ended: it refused the question, or another boot answered.
    Died,
    /// Its machine was silent.
    Silent,
    /// This machine lost the leader with its links.
    CutOff,
    /// It beat, but served nothing.
    Unresponsive,
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
    pub const ALL: [Cause; 10] = [
        Cause::First,
        Cause::Restart,
        Cause::Died,
        Cause::Silent,
        Cause::CutOff,
        Cause::Unresponsive,
        Cause::Store,
        Cause::Handover,
        Cause::Goodbye,
        Cause::Reunion,
    ];

    /// The word users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::First => "first",
            Cause::Restart => "restart",
            Cause::Died => "died",
            Cause::Silent => "silent",
            Cause::CutOff => "cut-off",
            Cause::Unresponsive => "unresponsive",
            Cause::Store => "store",
            Cause::Handover => "handover",
            Cause::Goodbye => "goodbye",
            Cause::Reunion => "reunion",
        }
    }
}

macro_rules! kinds {
    (@others itself) => { false };
    (@others others) => { true };
    ($($(#[$doc:meta])* $kind:ident = $word:literal by $who:ident,)*) => {
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
            /// Whether others can cause it as often as they like: it is told so often in a second and no more.
            pub fn others_cause_it(self) -> bool {
                match self { $(Kind::$kind => kinds!(@others $who),)* }
            }
        }
    };
}

kinds! {
    /// The agent started.
    Started = "started" by itself,
    /// It hears and claims nothing.
    Listening = "listening" by itself,
    /// A member is there.
    MemberJoined = "member-joined" by itself,
    /// A member said goodbye, or was forgotten.
    MemberLeft = "member-left" by itself,
    /// A member does not answer.
    MemberSilent = "member-silent" by itself,
    /// The leader is suspected.
    LeaderSuspected = "leader-suspected" by others,
    /// It answered.
    LeaderAnswered = "leader-answered" by others,
    /// The leader is dead to this agent.
    LeaderLost = "leader-lost" by itself,
    /// This agent claims.
    Claiming = "claiming" by itself,
    /// This agent backed another's claim.
    ClaimBacked = "claim-backed" by others,
    /// This agent objected to another's claim.
    ClaimRefused = "claim-refused" by others,
    /// This agent withdrew its claim.
    ClaimWithdrawn = "claim-withdrawn" by itself,
    /// This agent leads.
    Leading = "leading" by itself,
    /// This agent follows.
    Following = "following" by itself,
    /// A successor is named.
    SuccessorNamed = "successor-named" by itself,
    /// There is no successor.
    SuccessorNone = "successor-none" by itself,
    /// A handover began, succeeded or failed.
    Handover = "handover" by itself,
    /// A member says goodbye.
    Goodbye = "goodbye" by itself,
    /// Another leads too, and the two do not meet.
    TwoLeaders = "two-leaders" by others,
    /// Two leaders met.
    Reunion = "reunion" by itself,
    /// A reunion left a conflict.
    Conflict = "conflict" by itself,
    /// This agent holds everything.
    CaughtUp = "caught-up" by itself,
    /// This agent's copy differs from the leader's.
    CopyDiffers = "copy-differs" by itself,
    /// A reunion refused an item.
    ItemKeptAside = "item-kept-aside" by itself,
    /// The store fails or stalls.
    StoreTrouble = "store-trouble" by itself,
    /// There is a network.
    NetworkUp = "network-up" by itself,
    /// There is none.
    NetworkAlone = "network-alone" by itself,
    /// The leader is reached through another member, or directly again.
    Relayed = "relayed" by itself,
    /// The leader answers, and long messages of it do not arrive.
    NarrowPath = "narrow-path" by itself,
    /// This machine hears others, and nobody answers it.
    Deaf = "deaf" by itself,
    /// This process stood still.
    Stalled = "stalled" by itself,
    /// This machine slept.
    Woke = "woke" by itself,
    /// A limit of members or sessions is reached.
    ClusterFull = "cluster-full" by others,
    /// Two agents have one id.
    CloneDetected = "clone-detected" by others,
    /// Something was not believed.
    IntruderIgnored = "intruder-ignored" by others,
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
    /// Not known, or not there.
    Null,
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
