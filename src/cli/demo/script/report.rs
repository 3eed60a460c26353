//! What a script prints: a line for each step as it ends, what the agents told, where the records are, and the figures.

use crate::cli::Fail;
use crate::cli::demo::records::{Found, grouped};
use crate::cli::out::{Out, Tint};
use crate::view::Event;
use serde::Serialize;
use std::time::Duration;

/// One thing that an agent told during a step.
#[derive(Serialize)]
pub(super) struct Stage {
    after_ms: f64,
    agent: String,
    event: String,
    text: String,
}

impl Stage {
    pub(super) fn new(agent: &str, event: &Event) -> Self {
        Self { after_ms: 0.0, agent: agent.to_owned(), event: event.event.clone(), text: event.text.clone() }
    }

    /// The same, so long after the beginning of its step.
    pub(super) fn after(mut self, d: Duration) -> Self {
        self.after_ms = ms(d);
        self
    }
}

/// What became of the records in a step.
#[derive(Serialize)]
pub(super) struct Compared {
    #[serde(flatten)]
    found: Found,
    /// The longest wait of a write that was acknowledged during the step, in milliseconds; at the end, of all.
    longest_wait_ms: f64,
}

impl Compared {
    pub(super) fn new(found: Found, waited: Duration) -> Self {
        Self { found, longest_wait_ms: ms(waited) }
    }

    fn text(&self) -> String {
        if self.found.trouble.is_some() {
            return self.found.text();
        }
        let (acknowledged, waited) = (grouped(self.found.acknowledged), self.longest_wait_ms);
        format!("{acknowledged} acknowledged · {} · longest wait {waited:.1} ms", self.found.text())
    }
}

/// One step.
#[derive(Serialize)]
pub(super) struct Step {
    step: &'static str,
    ok: bool,
    /// How long it took; null when it failed before its end.
    ms: Option<f64>,
    text: String,
    stages: Vec<Stage>,
    /// None when it failed before they were compared.
    records: Option<Compared>,
}

impl Step {
    /// One that came to its end. It has failed all the same when a record is missing then, or there twice.
    pub(super) fn new(step: &'static str, took: Duration, text: String, stages: Vec<Stage>, records: Compared) -> Self {
        Self { step, ok: records.found.is_good(), ms: Some(ms(took)), text, stages, records: Some(records) }
    }

    pub(super) fn bad(step: &'static str, why: String) -> Self {
        Self { step, ok: false, ms: None, text: why, stages: Vec::new(), records: None }
    }

    /// Why it has failed, when it came to its end and has.
    pub(super) fn failed(&self) -> Option<String> {
        self.records.as_ref().filter(|records| !records.found.is_good()).map(Compared::text)
    }
}

/// Milliseconds with three decimals.
fn ms(d: Duration) -> f64 {
    (d.as_secs_f64() * 1e6).round() / 1e3
}

/// The steps of a script.
pub(super) const STEPS: [&str; 6] = ["start", "kill", "rejoin", "handover", "split", "end"];

/// Everything that a script found.
#[derive(Serialize)]
pub(super) struct Report {
    ok: bool,
    steps: Vec<Step>,
    cold_start_ms: Option<f64>,
    failover_ms: Option<f64>,
    rejoin_ms: Option<f64>,
    handover_ms: Option<f64>,
    reunion_ms: Option<f64>,
    #[serde(flatten)]
    records: Totals,
    heartbeat_ms: f64,
    agents: usize,
}

/// What the last comparison of the records found, and the longest wait of a write during each kind of step.
#[derive(Default, Serialize)]
struct Totals {
    acknowledged: Option<u64>,
    missing: Option<u64>,
    twice: Option<u64>,
    cold_start_wait_ms: Option<f64>,
    failover_wait_ms: Option<f64>,
    rejoin_wait_ms: Option<f64>,
    handover_wait_ms: Option<f64>,
    split_wait_ms: Option<f64>,
}

impl Report {
    pub(super) fn new(agents: usize, heartbeat: Duration) -> Self {
        Self {
            ok: false,
            steps: Vec::new(),
            cold_start_ms: None,
            failover_ms: None,
            rejoin_ms: None,
            handover_ms: None,
            reunion_ms: None,
            records: Totals::default(),
            heartbeat_ms: ms(heartbeat),
            agents,
        }
    }

    /// Takes in a step, and prints it.
    pub(super) fn add(&mut self, step: Step, out: Out) -> Result<(), Fail> {
        self.note(&step);
        let (word, tint) = if step.ok { ("ok", Tint::Good) } else { ("FAILED", Tint::Bad) };
        let took = step.ms.map_or_else(String::new, |ms| format!("{ms:>9.1} ms"));
        out.line(format!("{}  {:<9} {took}  {}", out.tint(tint, &format!("{word:<6}")), step.step, step.text))?;
        if step.step == "kill" || step.step == "handover" {
            for Stage { after_ms, agent, text, .. } in &step.stages {
                out.line(out.tint(Tint::Faint, &format!("                  {after_ms:>9.1} ms  {agent:<5}  {text}")))?;
            }
        }
        if let Some(records) = &step.records {
            out.line(format!("        {:<9} {}", "records", out.tint(tint, &records.text())))?;
        }
        self.steps.push(step);
        Ok(())
    }

    /// Takes in the figures of a step.
    fn note(&mut self, step: &Step) {
        let totals = &mut self.records;
        if let Some(Compared { found, longest_wait_ms }) = &step.records {
            if found.trouble.is_none() {
                totals.acknowledged = Some(found.acknowledged);
                totals.missing = Some(found.missing);
                totals.twice = Some(found.twice);
            }
            match step.step {
                "start" => totals.cold_start_wait_ms = Some(*longest_wait_ms),
                "kill" => totals.failover_wait_ms = Some(*longest_wait_ms),
                "rejoin" => totals.rejoin_wait_ms = Some(*longest_wait_ms),
                "handover" => totals.handover_wait_ms = Some(*longest_wait_ms),
                "split" => totals.split_wait_ms = Some(*longest_wait_ms),
                _ => {}
            }
        }
        match step.step {
            "start" => self.cold_start_ms = step.ms,
            "kill" => self.failover_ms = step.ms,
            "rejoin" => self.rejoin_ms = step.ms,
            "handover" => self.handover_ms = step.ms,
            "split" => self.reunion_ms = step.ms,
            _ => {}
        }
    }

    /// Prints the figures.
    pub(super) fn end(&mut self, json: bool, out: Out) -> Result<(), Fail> {
        self.ok = self.steps.len() == STEPS.len() && self.steps.iter().all(|step| step.ok);
        let figure = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
        let figures = |last: &str, all: [Option<f64>; 5]| {
            let [start, kill, rejoin, handover, split] = all.map(figure);
            format!("cold start {start}, failover {kill}, rejoin {rejoin}, handover {handover}, {last} {split}")
        };
        let took = [self.cold_start_ms, self.failover_ms, self.rejoin_ms, self.handover_ms, self.reunion_ms];
        let took = figures("reunion", took);
        out.line(format!("{} agents, heartbeat {} ms: {took}", self.agents, self.heartbeat_ms))?;
        let totals = &self.records;
        let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), grouped);
        let [acknowledged, missing, twice] = [totals.acknowledged, totals.missing, totals.twice].map(number);
        out.line(format!("{acknowledged} records acknowledged: {missing} missing, {twice} twice"))?;
        let waited = [
            totals.cold_start_wait_ms,
            totals.failover_wait_ms,
            totals.rejoin_wait_ms,
            totals.handover_wait_ms,
            totals.split_wait_ms,
        ];
        let waited = figures("split", waited);
        out.line(format!("longest wait of a write: {waited}"))?;
        if json { out.json(self) } else { Ok(()) }
    }
}
