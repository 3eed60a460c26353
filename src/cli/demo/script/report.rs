//! What a script prints: a line for each step as it ends, what the agents told, and the figures.

use crate::cli::Fail;
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

/// One step.
#[derive(Serialize)]
pub(super) struct Step {
    step: &'static str,
    ok: bool,
    /// How long it took; null when it failed.
    ms: Option<f64>,
    text: String,
    stages: Vec<Stage>,
}

impl Step {
    pub(super) fn good(step: &'static str, took: Duration, text: String, stages: Vec<Stage>) -> Self {
        Self { step, ok: true, ms: Some(ms(took)), text, stages }
    }

    pub(super) fn bad(step: &'static str, why: String) -> Self {
        Self { step, ok: false, ms: None, text: why, stages: Vec::new() }
    }
}

/// Milliseconds with three decimals.
fn ms(d: Duration) -> f64 {
    (d.as_secs_f64() * 1e6).round() / 1e3
}

/// Everything that a script found.
#[derive(Serialize)]
pub(super) struct Report {
    ok: bool,
    steps: Vec<Step>,
    cold_start_ms: Option<f64>,
    failover_ms: Option<f64>,
    rejoin_ms: Option<f64>,
    handover_ms: Option<f64>,
    heartbeat_ms: f64,
    agents: usize,
}

/// How many steps a script has.
const STEPS: usize = 4;

impl Report {
    pub(super) fn new(agents: usize, heartbeat: Duration) -> Self {
        Self {
            ok: false,
            steps: Vec::new(),
            cold_start_ms: None,
            failover_ms: None,
            rejoin_ms: None,
            handover_ms: None,
            heartbeat_ms: ms(heartbeat),
            agents,
        }
    }

    /// Takes in a step, and prints it.
    pub(super) fn add(&mut self, step: Step, out: Out) -> Result<(), Fail> {
        let figure = match step.step {
            "start" => &mut self.cold_start_ms,
            "kill" => &mut self.failover_ms,
            "rejoin" => &mut self.rejoin_ms,
            _ => &mut self.handover_ms,
        };
        *figure = step.ms;
        let (word, tint) = if step.ok { ("ok", Tint::Good) } else { ("FAILED", Tint::Bad) };
        let took = step.ms.map_or_else(String::new, |ms| format!("{ms:>9.1} ms"));
        out.line(format!("{}  {:<9} {took}  {}", out.tint(tint, &format!("{word:<6}")), step.step, step.text))?;
        if step.step == "kill" || step.step == "handover" {
            for Stage { after_ms, agent, text, .. } in &step.stages {
                out.line(out.tint(Tint::Faint, &format!("                  {after_ms:>9.1} ms  {agent:<5}  {text}")))?;
            }
        }
        self.steps.push(step);
        Ok(())
    }

    /// Prints the figures.
    pub(super) fn end(&mut self, json: bool, out: Out) -> Result<(), Fail> {
        self.ok = self.steps.len() == STEPS && self.steps.iter().all(|step| step.ok);
        let figure = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
        out.line(format!(
            "{} agents, heartbeat {} ms: cold start {}, failover {}, rejoin {}, handover {}",
            self.agents,
            self.heartbeat_ms,
            figure(self.cold_start_ms),
            figure(self.failover_ms),
            figure(self.rejoin_ms),
            figure(self.handover_ms),
        ))?;
        if json { out.json(self) } else { Ok(()) }
    }
}
