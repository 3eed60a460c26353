//! Frames: everything that must be heard (protocol §6 to §9).

use super::{
    Answer, Changes, Committed, Digest, Heartbeat, Holds, Known, Outcomes, Piece, Question, Requests, Reunited, Sender,
    Standing, Stored, Wanted,
};
use crate::claim::Claim;
use crate::event::Cause;
use crate::ident::{Incarnation, NodeId};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// One message on a TCP connection. The first on each side is `Open` (after `Via` and `ViaReady`, on a relayed one).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frame {
    /// Who speaks, and whether through another member.
    Open(Open),
    /// An interrogation (§6).
    Question(Question),
    /// Its answer.
    Answer(Answer),
    /// A follower opens its session (§6).
    Join(Join),
    /// The leader takes it in.
    Joined(Joined),
    /// The leader does not.
    NotJoined(NotJoined),
    /// A follower's sign of life, once a second.
    Ping(Ping),
    /// The leader's answer.
    Pong(Pong),
    /// Members that changed and members that are gone.
    Members(Members),
    /// A heartbeat for a follower that hears no broadcast.
    Beat(Heartbeat),
    /// The leader names its successor, or none.
    Named(Named),
    /// The leader begins another reign of its own.
    Reigns(Reigns),
    /// The leader yields: where its followers go.
    Yields(Known),
    /// A follower reports another leader that it hears (§9).
    Report(Known),
    /// A follower leaves.
    Leaves,
    /// "The leader is dead to me, you are the first in line" (§7.2).
    Tell(Tell),
    /// The answer.
    Told(Told),
    /// A claimant asks for a voice (§7.3).
    Canvass(Canvass),
    /// The answer.
    Voice(Voice),
    /// The leader asks its successor to take over (§8).
    Abdicate(Abdicate),
    /// A leader states its values to another (§9).
    Meet(Meet),
    /// The decision of a reunion.
    Decided(Decided),
    /// A leader that stalled asks whether it is still followed (§6).
    Check(Check),
    /// The answer.
    Checked(Checked),
    /// A member passes on that its user asks for a handover (§8).
    Handover(Handover),
    /// How that ended, or a [`Frame::Forget`], or a [`Frame::Look`].
    HandoverDone(HandoverDone),
    /// A member passes on that its user asks to forget a member (§5).
    Forget(Forget),
    /// A member's user looks at the list: what moved since it was last told (§6).
    Look(Look),
    /// Requests of a member's users (§10).
    Requests(Requests),
    /// What became of them.
    Outcomes(Outcomes),
    /// What a follower has of the data.
    Holds(Holds),
    /// The leader lacks something of that.
    Wanted(Wanted),
    /// All that the member has is known to the leader: what its users ask is judged by it.
    Covered,
    /// A piece of a copy, or of an offer.
    Piece(Piece),
    /// A piece was taken in: another may come.
    Taken,
    /// What a member brought, from the leader to its followers.
    Reunited(Reunited),
    /// Changes of the data, from the leader to its followers.
    Changes(Changes),
    /// What is acknowledged.
    Committed(Committed),
    /// What the state is like that is acknowledged.
    Digest(Digest),
    /// What is durable at a follower.
    Stored(Stored),
    /// What was sent of the data on this session is not taken in any more: the follower says later what it has, or, from
    /// the leader, it is to say so again.
    Anew,
    /// "Connect me to that member": bytes are copied from then on (§6).
    Via(Via),
    /// The pipe stands.
    ViaReady,
    /// It does not, and why.
    ViaFailed(String),
}

/// The first words of each side of a connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Open {
    /// Who speaks.
    pub from: Sender,
    /// The member that the connection goes through: its address is not the speaker's.
    pub via: Option<NodeId>,
}

/// A follower's first words on its session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Join {
    /// The reign that it means to follow.
    pub claim: Claim,
    /// The reign that it showed last.
    pub shown: Option<Claim>,
    /// Its priority.
    pub priority: u8,
    /// Its program's version.
    pub version: String,
    /// Not in the middle of catching up.
    pub whole: bool,
    /// The member that the session goes through.
    pub via: Option<NodeId>,
}

/// How a reign began, in words, as its leader tells it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Story {
    /// The leader's name.
    pub name: String,
    /// Why the reign before it ended.
    pub cause: Cause,
    /// Who noticed, what was missed for how long, who was asked and what each answered. At most [`STORY_MAX`] bytes.
    pub text: String,
}

/// The longest text of a story, in bytes.
pub const STORY_MAX: usize = 2048;

/// The leader's answer to a Join.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Joined {
    /// The reign, which may be a new one.
    pub claim: Claim,
    /// How it began.
    pub story: Story,
    /// The designated successor.
    pub successor: Option<Incarnation>,
    /// Every member that the leader knows, in the order of succession.
    pub members: Vec<Member>,
}

/// Why a Join was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotJoined {
    /// The one asked does not lead; how it stands.
    NotLeader(Standing),
    /// Another living agent has this id: take a new one (§4).
    Cloned,
    /// No more sessions: follow by heartbeat alone.
    Full,
}

/// A member as the leader's list shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// The member.
    pub node: Incarnation,
    /// Its label.
    pub name: String,
    /// Its address as the leader sees it.
    pub address: SocketAddr,
    /// Its program's version.
    pub version: String,
    /// 0 never leads.
    pub priority: u8,
    /// Alive, silent or left.
    pub state: MemberState,
    /// Not in the middle of catching up.
    pub whole: bool,
    /// Its disk does not work, as it says itself.
    #[serde(default)]
    pub sick: bool,
    /// The round trip on its session, in microseconds, when measured.
    pub rtt_us: Option<u64>,
    /// How long it has been in this cluster's list, in milliseconds, counted by the leaders and passed on.
    pub seniority_ms: u64,
    /// The member that it is reached through.
    pub via: Option<NodeId>,
}

/// How a member was last heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// It answers.
    Alive,
    /// It does not.
    Silent,
    /// It said goodbye.
    Left,
}

/// A follower's sign of life.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ping {
    /// Comes back in the pong.
    pub seq: u64,
    /// It hears no broadcast: heartbeats are to come on the session.
    pub deaf: bool,
    /// The round trip that the last pong showed, in microseconds.
    pub rtt_us: Option<u64>,
    /// How long the answer may wait for a heartbeat, in milliseconds: sent with it, it takes the acknowledgement of the
    /// ping with it, and the next ping that of the answer (§6).
    #[serde(default)]
    pub hold_ms: u64,
    /// The disk of the follower does not work (§6).
    #[serde(default)]
    pub sick: bool,
}

/// The answer to a ping.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pong {
    /// From the ping.
    pub seq: u64,
    /// How long it was held back, in microseconds: no part of the round trip.
    #[serde(default)]
    pub held_us: u64,
}

/// A change of the member list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Members {
    /// New or changed entries.
    pub changed: Vec<Member>,
    /// Forgotten members.
    pub gone: Vec<NodeId>,
}

/// Who is named to take over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Named {
    /// The reign.
    pub claim: Claim,
    /// The designated successor, or none.
    pub successor: Option<Incarnation>,
}

/// A new reign of the same leader.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reigns {
    /// The reign.
    pub claim: Claim,
    /// How it began.
    pub story: Story,
}

/// "This reign is dead to me."
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tell {
    /// The dead reign.
    pub claim: Claim,
}

/// What one who is told answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// "I am on it."
    OnIt,
    /// "That leader answers me": the teller goes through this member.
    Alive(Known),
    /// "I may not lead, or am none of this reign": the next is told.
    NotI,
}

/// A claimant asks for a voice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Canvass {
    /// The claim.
    pub claim: Claim,
    /// The reign that it replaces, if the claimant followed one.
    pub replaces: Option<Claim>,
    /// The claimant is not in the middle of catching up.
    pub whole: bool,
    /// The order of the old leader that the claimant carries out.
    pub abdicate: Option<Abdicate>,
}

/// The answer to a canvass.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Voice {
    /// The claim that was asked about.
    pub claim: Claim,
    /// What is said.
    pub says: Says,
    /// The answerer's own claim of this epoch, when it has withdrawn it.
    pub withdrew: Option<Claim>,
    /// The number of the last change of the data that the answerer has, acknowledged or not.
    #[serde(default)]
    pub holds: u64,
}

/// What a voice says (§7.3).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// The leader has answered since the canvass arrived.
    LeaderAlive(Known),
    /// It has backed or made a better claim.
    Better(Claim),
    /// It has backed a worse claim of this epoch.
    Taken(Claim),
    /// It knows of a higher epoch, but of no such claim.
    Higher(u64),
    /// It backs the claim, durably.
    Backed,
}

/// "Take over."
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Abdicate {
    /// The reign that ends.
    pub claim: Claim,
    /// Who is to follow.
    pub to: Incarnation,
    /// Why: handover, goodbye or store.
    pub cause: Cause,
}

/// The values that a reunion is decided by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Meet {
    /// The reign.
    pub claim: Claim,
    /// Who follows: sessions that answered within 3 s, and who has just backed this reign. At most 2,048 (§11).
    pub followers: Vec<NodeId>,
    /// How long this agent has led without a break, in milliseconds on its own clock.
    pub led_ms: u64,
    /// How long it has led, breaks included, in milliseconds; 0 when it does not say.
    #[serde(default)]
    pub leading_ms: u64,
    /// The highest epoch that it has promised or shown.
    pub highest: u64,
    /// The member that the connection goes through, if it does.
    pub via: Option<NodeId>,
}

/// The decision of a reunion, and the new reign where one was needed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Decided {
    /// The reign of the one that stays, or its new one.
    pub stays: Claim,
    /// The reign that yields.
    pub yields: Claim,
}

/// "Do you still follow me?"
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Check {
    /// The reign.
    pub claim: Claim,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Checked {
    /// How the answerer stands.
    pub standing: Standing,
}

/// A handover that a user asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Handover {
    /// The asker's number for it.
    pub request: u64,
    /// A name or an id; the successor when missing.
    pub to: Option<String>,
}

/// A member that a user wants forgotten.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Forget {
    /// The asker's number for it.
    pub request: u64,
    /// A name or an id.
    pub who: String,
}

/// A user looks at the list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Look {
    /// The asker's number for it.
    pub request: u64,
}

/// How a handover ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HandoverDone {
    /// The asker's number for it.
    pub request: u64,
    /// Why it was refused, if it was. Success shows itself by the new leader's heartbeat, and by this without a reason.
    pub refused: Option<String>,
}

/// Where a pipe is to lead.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Via {
    /// The member that is to be reached: this start of it, for another may have its id.
    pub to: Incarnation,
}
