//! Datagrams: who is there, who leads, and the questions that need no connection (protocol §5, §6).

use crate::claim::Claim;
use crate::ident::Incarnation;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Who speaks, and on which port it listens. The address is never stated: it is where the message came from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sender {
    /// The agent.
    pub node: Incarnation,
    /// Its label, at most [`NAME_MAX`] bytes.
    pub name: String,
    /// Its port, UDP and TCP.
    pub port: u16,
}

/// The longest name of an agent, in bytes.
pub const NAME_MAX: usize = 64;

/// One datagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Datagram {
    /// Who sent it.
    pub from: Sender,
    /// What it says.
    pub cast: Cast,
}

/// What a datagram says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cast {
    /// "Here I am." Padded on the wire, so that no answer is larger.
    Hello(Hello),
    /// A member's answer to a Hello.
    Hi(Hi),
    /// The leader's answer to a Hello.
    Welcome(Welcome),
    /// "I am still there."
    Heartbeat(Heartbeat),
    /// A claim that begins.
    Notice(Notice),
    /// A member that leaves.
    Goodbye(Goodbye),
    /// An interrogation's question.
    Question(Question),
    /// The answer to it.
    Answer(Answer),
}

/// "Here I am" (§5).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Sent to everybody, so answered to everybody.
    pub broadcast: bool,
    /// The program's version.
    pub version: String,
    /// The sender's priority.
    pub priority: u8,
}

/// What a member knows of a leader, and how it reaches it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Known {
    /// The reign.
    pub claim: Claim,
    /// The leader's name.
    pub name: String,
    /// The leader's address as the teller sees it. The scope of a link-local address does not travel.
    pub address: SocketAddr,
    /// The teller reaches the leader directly: only then can others go through it.
    pub direct: bool,
}

/// A member's answer to a Hello (§5).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hi {
    /// Whose Hello it answers.
    pub to: Incarnation,
    /// What the member knows of the leader.
    pub leader: Option<Known>,
    /// The member's priority.
    pub priority: u8,
}

/// "I'm the server" (§5).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// Whose Hello it answers.
    pub to: Incarnation,
    /// The leader's reign.
    pub claim: Claim,
    /// The designated successor.
    pub successor: Option<Incarnation>,
    /// How many followers the leader has.
    pub followers: u32,
}

/// The leader's announcement, one an interval (§6).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The reign.
    pub claim: Claim,
    /// The designated successor.
    pub successor: Option<Incarnation>,
    /// How many followers the leader has.
    pub followers: u32,
    /// Grows with each heartbeat of a boot.
    pub seq: u64,
}

/// A claim that begins (§7.2).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// The claim.
    pub claim: Claim,
}

/// A member that leaves (§8).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Goodbye {
    /// The reign that ends with it, when the leader leaves and has nobody to hand to.
    pub ends: Option<Claim>,
    /// Who leads from now on, as far as the sender knows.
    pub leader: Option<Known>,
}

/// "Are you still there, and do you lead?" (§6).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Question {
    /// Comes back in the answer.
    pub nonce: u64,
    /// Whom it is meant for: another boot at that address answers for itself.
    pub to: Incarnation,
}

/// The served answer to a question (§6).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// From the question.
    pub nonce: u64,
    /// How the answerer stands.
    pub standing: Standing,
    /// The age of its oldest unfinished store operation, in milliseconds.
    pub store_ms: u64,
}

/// How a member stands to the role.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It leads.
    Leads(Claim),
    /// It follows this leader.
    Follows(Known),
    /// It knows no leader.
    Neither,
}
