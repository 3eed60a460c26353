//! `GET /v1/history`: past reigns, and reunions with what they brought.

use super::{Machine, Stamp};
use crate::data::ReignId;
use crate::event::Cause;
use crate::ident::NodeId;
use crate::protocol::{self, BroughtReport, ReunionReport};
use serde::{Deserialize, Serialize};

/// `GET /v1/history`: the newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct History {
    /// Reigns that this agent saw.
    pub reigns: Vec<Reign>,
    /// Reunions that this agent saw.
    pub reunions: Vec<Reunion>,
    /// Rehearsed failovers.
    pub drills: Vec<Drill>,
}

/// A past or present reign.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reign {
    /// Its epoch.
    pub epoch: u64,
    /// Who led; the address is not remembered.
    pub leader: Machine,
    /// When this agent saw it begin.
    pub began: Stamp,
    /// When this agent saw it end; null while it lasts, or when this agent was not there.
    pub ended: Option<Stamp>,
    /// Why it began.
    pub cause: Cause,
    /// How it began, in words.
    pub text: String,
}

/// A reunion of two leaders.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reunion {
    /// When.
    pub at: Stamp,
    /// The leader that was met; the one that yielded, when this agent was neither.
    pub with: Machine,
    /// The epoch that stayed.
    pub epoch: u64,
    /// For how long both had led, in milliseconds; null where this agent was neither, or the other had not said it.
    pub both_led_ms: Option<u64>,
    /// Records that came over.
    pub records: u64,
    /// Keys that came over.
    pub keys: u64,
    /// Conflicts that it left.
    pub conflicts: u64,
    /// Items that it refused.
    pub kept_aside: u64,
    /// Who met whom, in words.
    pub text: String,
}

/// A rehearsed failover. There are none yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Drill {
    /// When.
    pub at: Stamp,
}

impl History {
    /// The answer from what the store keeps: `own` is the agent that answers.
    pub fn new(own: NodeId, reigns: &[protocol::Reign], met: &[ReunionReport], brought: &[BroughtReport]) -> Self {
        let mut told: Vec<Reign> = reigns
            .iter()
            .map(|reign| Reign {
                epoch: reign.claim.epoch,
                leader: Machine::new(reign.claim.node.id, reign.name.clone(), None),
                began: Stamp(reign.began),
                ended: reign.ended.map(Stamp),
                cause: reign.cause,
                text: reign.text.clone(),
            })
            .collect();
        told.sort_by(|a, b| b.epoch.cmp(&a.epoch).then_with(|| b.began.cmp(&a.began)));
        let name = |id: NodeId| reigns.iter().find(|r| r.claim.node.id == id).map(|reign| reign.name.clone());
        let node = |id: NodeId| Machine::new(id, name(id).unwrap_or_else(|| id.short()), None);
        let mut reunions: Vec<(Option<ReignId>, Reunion)> = met
            .iter()
            .map(|report| {
                let with = if report.yields.node.id == own { report.stays.node.id } else { report.yields.node.id };
                (Some(ReignId::of(&report.yields)), Reunion::of(report, node(with)))
            })
            .collect();
        // What the members of the leader that yielded brought belongs to that meeting; anything else stands by itself.
        for report in brought.iter().rev() {
            let meeting = reunions.iter_mut().find(|(yielded, _)| *yielded == Some(report.reign));
            match meeting {
                Some((_, meeting)) => meeting.adds(report),
                None => reunions.push((None, Reunion::by_itself(report))),
            }
        }
        let mut reunions: Vec<Reunion> = reunions.into_iter().map(|(_, reunion)| reunion).collect();
        reunions.sort_by_key(|reunion| std::cmp::Reverse(reunion.at));
        Self { reigns: told, reunions, drills: Vec::new() }
    }
}

impl Reunion {
    fn of(report: &ReunionReport, with: Machine) -> Self {
        Self {
            at: Stamp(report.at),
            with,
            epoch: report.stays.epoch,
            both_led_ms: report.both_led_ms,
            records: 0,
            keys: 0,
            conflicts: 0,
            kept_aside: 0,
            text: report.text.clone(),
        }
    }

    fn by_itself(report: &BroughtReport) -> Self {
        let mut reunion = Self {
            at: Stamp(report.at),
            with: Machine::new(report.with, report.name.clone(), None),
            epoch: report.epoch,
            both_led_ms: None,
            records: 0,
            keys: 0,
            conflicts: 0,
            kept_aside: 0,
            text: String::new(),
        };
        reunion.adds(report);
        reunion
    }

    fn adds(&mut self, report: &BroughtReport) {
        self.records += report.brought.records;
        self.keys += report.brought.keys;
        self.conflicts += report.brought.conflicts;
        self.kept_aside += report.brought.kept_aside;
        let between = if self.text.is_empty() { "" } else { "; " };
        self.text = format!("{}{between}{}", self.text, report.text);
    }
}
