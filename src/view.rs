//! What the local API says, as types: made from the core's snapshots by the agent, read back by clients.
//!
//! Times are RFC 3339 in UTC; durations are numbers with the unit in the name. Ids, claims and addresses that are not
//! known are `null`, never left out. [`Event`] lives in a file of its own.

pub mod data;
mod event;
mod history;
mod stamp;

pub(crate) use event::leader_facts;
pub use event::{Event, Line};
pub use history::{Drill, History, Reign, Reunion};
pub use stamp::Stamp;

use crate::ident::NodeId;
use crate::message::{Member as Listed, MemberState};
use crate::protocol::{self, MemberView, RoleName, Trouble, Who};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What the API needs to know of an agent besides the protocol's own state; it never changes while the agent runs.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The name of the cluster.
    pub cluster: &'a str,
    /// The program's version.
    pub version: &'a str,
    /// How many voices win a claim.
    pub quorum: u32,
    /// A cluster key is set.
    pub keyed: bool,
}

/// A member as others name it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Its lasting id.
    pub id: NodeId,
    /// Its label.
    pub name: String,
    /// The address of its agent, where one is known.
    pub address: Option<SocketAddr>,
    /// The machine alone, of that address: where its other programs are reached.
    #[serde(default)]
    pub host: Option<String>,
    /// The agent's port, of that address.
    #[serde(default)]
    pub port: Option<u16>,
}

impl Machine {
    fn new(id: NodeId, name: String, address: Option<SocketAddr>) -> Self {
        Self { id, name, address, host: address.map(host), port: address.map(|address| address.port()) }
    }
}

/// The host of an address: what programs take to connect, with the interface where an address means nothing without.
pub(crate) fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V6(six) if six.scope_id() != 0 => format!("{}%{}", six.ip(), six.scope_id()),
        _ => address.ip().to_string(),
    }
}

impl From<&Who> for Machine {
    fn from(who: &Who) -> Self {
        Self::new(who.node.id, who.name.clone(), who.address)
    }
}

impl From<&Listed> for Machine {
    fn from(member: &Listed) -> Self {
        let address = Some(member.address).filter(|address| !address.ip().is_unspecified());
        Self::new(member.node.id, member.name.clone(), address)
    }
}

/// The agent that answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Own {
    /// Its lasting id.
    pub id: NodeId,
    /// Its label.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// Its present start, 16 hexadecimal digits.
    pub boot: String,
}

/// `GET /v1/status`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The agent that answers.
    pub node: Own,
    /// The name of its cluster.
    pub cluster: String,
    /// Its role.
    pub role: RoleName,
    /// The epoch that it shows; 0 before its first leader.
    pub epoch: u64,
    /// The leader, or null while there is none.
    pub leader: Option<Machine>,
    /// The designated successor, or null.
    pub successor: Option<Machine>,
    /// The member that the leader is reached through, or null when it is reached directly.
    pub via: Option<Machine>,
    /// The number of the last change that its readers see; 0 until there is data.
    pub revision: u64,
    /// The digest of what its readers see, 32 hexadecimal digits: machines at the same revision have the same. 0 until there
    /// is data.
    pub digest: String,
    /// How many keys have conflicts: values that a reunion found beside theirs.
    #[serde(default)]
    pub conflicts: u64,
    /// What is the matter with this agent; empty when nothing is.
    pub trouble: Vec<Trouble>,
    /// How many items a reunion refused.
    pub kept_aside: u64,
    /// Members that have not left, this agent included.
    pub members: usize,
    /// How many voices win a claim.
    pub quorum: u32,
    /// A cluster key is set; without one the cluster is open to the whole LAN.
    pub keyed: bool,
    /// Since when it stands so.
    pub since: Stamp,
}

impl Status {
    /// The answer of an agent that stands so.
    pub fn new(status: &protocol::Status, standing: Standing<'_>) -> Self {
        Self {
            node: Own {
                id: status.node.id,
                name: status.name.clone(),
                version: standing.version.to_owned(),
                boot: status.node.boot.to_string(),
            },
            cluster: standing.cluster.to_owned(),
            role: status.role,
            epoch: epoch(status),
            leader: status.leader.as_ref().map(Machine::from),
            successor: status.successor.as_ref().map(Machine::from),
            via: status.via.as_ref().map(Machine::from),
            revision: 0,
            digest: format!("{:032x}", 0),
            conflicts: 0,
            trouble: status.trouble.clone(),
            kept_aside: 0,
            members: status.members,
            quorum: standing.quorum,
            keyed: standing.keyed,
            since: Stamp(status.since),
        }
    }
}

/// The epoch that a status shows: 0 before the first leader.
pub fn epoch(status: &protocol::Status) -> u64 {
    status.shown.map_or(0, |claim| claim.epoch)
}

/// `GET /v1/leader`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Leader {
    /// Its lasting id.
    pub id: NodeId,
    /// Its label.
    pub name: String,
    /// The address of its agent; null on a leader that has no link.
    pub address: Option<SocketAddr>,
    /// The machine alone, of that address: where its other programs are reached.
    #[serde(default)]
    pub host: Option<String>,
    /// The agent's port, of that address.
    #[serde(default)]
    pub port: Option<u16>,
    /// The epoch of its reign: the fencing token.
    pub epoch: u64,
    /// Since when the agent that answers leads or follows it.
    pub since: Stamp,
    /// The agent that answers is the leader.
    #[serde(rename = "self")]
    pub own: bool,
}

impl Leader {
    /// The leader that a status names, if it names one.
    pub fn new(status: &protocol::Status) -> Option<Self> {
        let who = status.leader.as_ref()?;
        Some(Self {
            id: who.node.id,
            name: who.name.clone(),
            address: who.address,
            host: who.address.map(host),
            port: who.address.map(|address| address.port()),
            epoch: epoch(status),
            since: Stamp(status.since),
            own: who.node.id == status.node.id,
        })
    }
}

/// `GET /v1/is-leader` on the leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IsLeader {
    /// Always true: elsewhere the answer is 503.
    pub leads: bool,
    /// The epoch of its reign.
    pub epoch: u64,
}

/// `GET /v1/members`: in the order of succession.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Members {
    /// The members.
    pub members: Vec<Member>,
}

/// One member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// Its lasting id.
    pub id: NodeId,
    /// Its label.
    pub name: String,
    /// The address of its agent as the leader sees it; null for this agent when it has no link.
    pub address: Option<SocketAddr>,
    /// The machine alone, of that address.
    #[serde(default)]
    pub host: Option<String>,
    /// The agent's port, of that address.
    #[serde(default)]
    pub port: Option<u16>,
    /// It is the agent that answers.
    #[serde(rename = "self")]
    pub own: bool,
    /// Its role, as far as the agent that answers knows.
    pub role: RoleName,
    /// It is the designated successor.
    pub successor: bool,
    /// Whether it answers.
    pub state: MemberState,
    /// How long ago it was heard; null when this agent never heard it itself.
    pub last_heard_ms: Option<u64>,
    /// The number of the last change that it has, 0 when there is no data; null where the agent that answers does not know:
    /// a leader knows it of all that follow, another member of itself and of the leader.
    pub revision: Option<u64>,
    /// How many changes it is behind what this agent has; null where that is not known.
    pub lag: Option<u64>,
    /// The round trip on its session with the leader.
    pub rtt_us: Option<u64>,
    /// The program's version.
    pub version: String,
    /// 0 never leads.
    pub priority: u8,
    /// The member that it is reached through, or null.
    pub via: Option<Machine>,
    /// Its place in the line of succession, from 1; null when it is not in line.
    pub place: Option<usize>,
    /// What decided that place.
    pub because: String,
}

impl Members {
    /// The answer from a snapshot of the node.
    pub fn new(status: &protocol::Status, members: &[MemberView]) -> Self {
        let find = |id: NodeId| members.iter().find(|m| m.member.node.id == id).map(|m| Machine::from(&m.member));
        let members = members.iter().map(|view| {
            let member = &view.member;
            let own = member.node.id == status.node.id;
            let Machine { id, name, address, host, port } = Machine::from(member);
            Member {
                id,
                name,
                address,
                host,
                port,
                own,
                role: view.role,
                successor: view.successor,
                state: member.state,
                last_heard_ms: if own { Some(0) } else { view.heard.map(millis) },
                revision: view.revision,
                lag: None,
                rtt_us: member.rtt_us,
                version: member.version.clone(),
                priority: member.priority,
                via: member.via.and_then(find),
                place: view.place,
                because: view.because.clone(),
            }
        });
        Self { members: members.collect() }
    }

    /// The agent that answers has this revision.
    pub fn here(&mut self, revision: u64) {
        for member in &mut self.members {
            if member.own {
                member.revision = Some(revision);
            }
            member.lag = member.revision.map(|has| revision.saturating_sub(has));
        }
    }
}

fn millis(d: std::time::Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// `DELETE /v1/members/{id}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Forgotten {
    /// The members that were taken out of every list, as this agent knew them.
    pub forgotten: Vec<Machine>,
}

/// The body of `POST /v1/handover`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandoverRequest {
    /// A name or an id; the successor when null or missing.
    #[serde(default)]
    pub to: Option<String>,
}

/// The answer to `POST /v1/reload`: keys of the configuration that have changed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Reloaded {
    /// Those that count from now on.
    pub applied: Vec<String>,
    /// Those that count from the next start on.
    pub restart: Vec<String>,
}

/// The body of `POST /v1/runners`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunnerRequest {
    /// What is run, for the log; at most 64 bytes of text.
    pub name: String,
    /// How long it may need to end, in milliseconds: a handover waits for it so long at most. At most 60,000.
    pub grace_ms: u64,
}

/// A line of the stream that answers `POST /v1/runners`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// This machine leads, in this epoch: the program starts.
    Start(u64),
    /// It does not any more, or is about to give the role away: the program stops, and the stream is closed when it has.
    Stop(String),
}

/// Every error of the API: `application/problem+json` (RFC 9457).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// The kind of problem; `about:blank`: the status says it all.
    #[serde(rename = "type")]
    pub kind: String,
    /// The meaning of the status.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here, and what to do.
    pub detail: String,
}

#[cfg(test)]
mod tests;
