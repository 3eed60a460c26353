//! Ids: who a member is, which process of it speaks, which connection is meant.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// The lasting id of an agent: a random UUID kept in its state directory, never an address or a host name
/// (protocol §4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub Uuid);

impl NodeId {
    /// An id made from 128 random bits.
    pub fn from_random(bits: u128) -> Self {
        Self(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid())
    }

    /// The first four hexadecimal digits, shown behind a name that two members share.
    pub fn short(self) -> String {
        self.0.simple().to_string()[..4].to_owned()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

/// One start of one agent: drawn anew each time the process starts (protocol §4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(pub u64);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.0 >> 48)
    }
}

/// A running agent: its lasting id and its present start. This is the `node` of a claim.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation {
    /// The lasting id.
    pub id: NodeId,
    /// The start that speaks.
    pub boot: BootId,
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}", self.id, self.boot)
    }
}

/// One TCP connection, as the core and its host speak of it. The core numbers those that it dials from 1 upward; the
/// host numbers those that it accepts from [`ConnId::FIRST_ACCEPTED`] upward. Numbers are never used again in one boot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId(pub u64);

impl ConnId {
    /// Where the host begins to number the connections that it accepts.
    pub const FIRST_ACCEPTED: u64 = 1 << 63;
}

/// Names one `Persist`; a later one has a greater ticket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// Names one job of the data's thread; a later one has a greater number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JobId(pub u64);
