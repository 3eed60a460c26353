//! What an agent keeps on its disk: what it starts with, and each write that it begins.

use crate::claim::Claim;
use crate::data::ReignId;
use crate::event::Cause;
use crate::ident::NodeId;
use crate::message::Brought;
use crate::time::Wall;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What the core needs back from the store after a start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durable {
    /// The reign that this agent showed last.
    pub shown: Option<Claim>,
    /// The claim that it backed or made last: the best of the highest epoch that it promised.
    pub promised: Option<Promise>,
    /// Members that it remembers, with the address that each was last heard at.
    pub members: Vec<Remembered>, // bound: limits::MEMBERS
}

/// A promise: one claim per epoch is backed, and it is durable before it is said (§7.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Promise {
    /// The claim that was backed, or made.
    pub claim: Claim,
    /// An own claim that was withdrawn for good.
    pub withdrawn: bool,
    /// Its reign did not begin here in time. Until then a crash leaves open whether it was shown, and so it counts as shown.
    #[serde(default)]
    pub over: bool,
}

impl Promise {
    /// Just made.
    #[must_use]
    pub fn of(claim: Claim) -> Self {
        Self { claim, withdrawn: false, over: false }
    }

    /// After a crash, the claim that may have been shown.
    #[must_use]
    pub fn may_be_shown(&self) -> Option<Claim> {
        (!self.withdrawn && !self.over).then_some(self.claim)
    }
}

/// A member that is greeted after a restart (§5).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Remembered {
    /// The member.
    pub id: NodeId,
    /// Its label.
    pub name: String,
    /// Where it was last heard.
    pub address: SocketAddr,
    /// When it was last heard, on this machine's wall clock.
    pub heard: Wall,
    /// It had said goodbye.
    pub left: bool,
}

/// A past or present reign, as `history` shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reign {
    /// The claim that was won.
    pub claim: Claim,
    /// The leader's name.
    pub name: String,
    /// When this agent saw it begin, on its wall clock.
    pub began: Wall,
    /// When this agent saw it end.
    pub ended: Option<Wall>,
    /// Why it began.
    pub cause: Cause,
    /// How it began, in words.
    pub text: String,
}

/// A reunion, as `history` shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReunionReport {
    /// When, on this machine's wall clock.
    pub at: Wall,
    /// The reign that stayed (or its successor reign).
    pub stays: Claim,
    /// The reign that yielded.
    pub yields: Claim,
    /// For how long both had led, in milliseconds, where both had said so.
    #[serde(default)]
    pub both_led_ms: Option<u64>,
    /// Who met whom, in words.
    pub text: String,
}

/// What a member brought to its leader's data, as `history` shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BroughtReport {
    /// When, on this machine's wall clock.
    pub at: Wall,
    /// The member that offered it.
    pub with: NodeId,
    /// Its name, in words.
    pub name: String,
    /// The epoch of the leader.
    pub epoch: u64,
    /// The reign in which the last of it was ordered: that of a leader that yielded, or an earlier one.
    pub reign: ReignId,
    /// What it was.
    pub brought: Brought,
    /// The same in words.
    pub text: String,
}

/// One thing to make durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// The reign that the agent is about to show. Never falls.
    Shown(Claim),
    /// The claim that it is about to back or has made.
    Promised(Promise),
    /// A reign that began, or ended (the same claim again).
    Reign(Reign),
    /// A reunion that was decided.
    Reunion(ReunionReport),
    /// What a member brought.
    Brought(BroughtReport),
    /// A member to remember.
    Member(Remembered),
    /// A member to forget.
    Forget(NodeId),
    /// A new id, because another living agent has this one.
    Identity(NodeId),
}
