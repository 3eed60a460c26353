//! `demo --script`: a start, a kill, a return, a handover and a cut of the network, each timed by what the agents themselves tell, while every
//! agent has a writer. After each, and at the end, every acknowledged record is to be on every agent that runs, once.
#![expect(clippy::disallowed_methods, reason = "a program for people, which times what it shows")]

mod cut;
mod report;

use super::agree::{Agreed, Agreement};
use super::cluster::{Cluster, News, What};
use super::records::{Found, Records, grouped};
use super::split::Split;
use crate::cli::out::Out;
use crate::cli::{Fail, NO};
use crate::view::Line;
use nix::sys::signal::Signal;
use report::{Compared, Report, STEPS, Stage, Step};
use std::time::{Duration, Instant};

/// How long a step may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// How often the demo looks whether somebody meddles with its agents, and whether they have settled.
const LOOK: Duration = Duration::from_millis(20);

/// How long the writers go on after a step, before its records are compared: so long they also write before the next one.
const WRITES: Duration = Duration::from_millis(500);

/// Records that all writers of a script together add in a second.
const RATE: u32 = 400;

/// How many stages of one step are kept; no election of twelve agents has as many.
const STAGES: usize = 200;

/// The events that tell how an election went.
const TELLING: [&str; 10] = [
    "leader-suspected",
    "leader-answered",
    "leader-lost",
    "claiming",
    "claim-backed",
    "claim-refused",
    "claim-withdrawn",
    "leading",
    "following",
    "handover",
];

struct Script<'a> {
    cluster: &'a mut Cluster,
    records: Records,
    said: Agreement,
    split: Split,
    /// The agent that the script killed: the only one that may end.
    doomed: Option<usize>,
    /// The events of the step under way that tell how it went; at most [`STAGES`].
    stages: Vec<(Instant, Stage)>,
}

/// How the agents stand when nothing moves any more.
#[derive(Clone, Copy)]
struct Settled {
    epoch: u64,
    leader: usize,
    /// None when the leader is alone.
    successor: Option<usize>,
}

pub(super) async fn run(cluster: &mut Cluster, json: bool, out: Out) -> Result<(), Fail> {
    let mut report = Report::new(cluster.agents.len(), cluster.heartbeat());
    let said = Agreement::new(cluster.agents.len());
    let records = Records::begin(cluster, RATE);
    let mut script = Script { cluster, records, said, split: Split::default(), doomed: None, stages: Vec::new() };
    let played = play(&mut script, &mut report, out).await;
    report.end(json, out)?;
    match played {
        Ok(()) => Ok(()),
        Err(Stopped::Failed(step, why)) => Err(Fail::new(NO, format!("the demo failed at \"{step}\": {why}"))),
        Err(Stopped::Unwritten(fail)) => Err(fail),
    }
}

/// Why a script did not reach its end.
enum Stopped {
    Failed(&'static str, String),
    Unwritten(Fail),
}

async fn play(script: &mut Script<'_>, report: &mut Report, out: Out) -> Result<(), Stopped> {
    for name in STEPS {
        script.stages.clear();
        script.records.mark();
        let played = script.step(name).await;
        let failed = match &played {
            Ok(step) => step.failed(),
            Err(why) => Some(why.clone()),
        };
        report.add(played.unwrap_or_else(|why| Step::bad(name, why)), out).map_err(Stopped::Unwritten)?;
        if let Some(why) = failed {
            return Err(Stopped::Failed(name, why));
        }
    }
    Ok(())
}

/// How long a step took, what came of it, and since when it is counted.
type Played = Result<(Duration, String, Instant), String>;

impl Script<'_> {
    /// One step, which is over when the agents have nothing more to say, and every record is where it must be.
    async fn step(&mut self, name: &'static str) -> Result<Step, String> {
        let (took, text, since) = match name {
            "start" => self.start().await?,
            "kill" => self.kill().await?,
            "rejoin" => self.rejoin().await?,
            "handover" => self.handover().await?,
            "split" => self.cut().await?,
            _ => return self.end().await,
        };
        let stages = self.told(since);
        self.settle().await?;
        self.go_on().await?;
        let found = self.compare().await?;
        let compared = Compared::new(found, self.records.recent_wait());
        Ok(Step::new(name, took, text, stages, compared))
    }

    /// The writers end, and all that they have written is compared once more.
    async fn end(&mut self) -> Result<Step, String> {
        let since = Instant::now();
        self.records.stop().await;
        let found = self.compare().await?;
        let text = format!("the writers ended with {} acknowledged", grouped(found.acknowledged));
        let compared = Compared::new(found, self.records.longest_wait());
        Ok(Step::new("end", since.elapsed(), text, Vec::new(), compared))
    }

    /// Lets the writers write.
    async fn go_on(&mut self) -> Result<(), String> {
        let end = Instant::now() + WRITES;
        while Instant::now() < end {
            self.news(LOOK).await?;
        }
        Ok(())
    }

    /// Compares what was acknowledged with what every agent has. An agent that ends or stands still meanwhile, and was
    /// not told to, ends the demo.
    async fn compare(&mut self) -> Result<Found, String> {
        let proving = self.records.prove(self.cluster);
        tokio::pin!(proving);
        loop {
            tokio::select! {
                found = &mut proving => return Ok(found),
                taken = self.news(LOOK) => taken?,
            }
        }
    }

    /// Everybody starts; one leader, whom all name.
    async fn start(&mut self) -> Played {
        let mut since = None;
        for agent in 0..self.cluster.agents.len() {
            let at = self.cluster.start(agent)?;
            since.get_or_insert(at);
        }
        let since = since.unwrap_or_else(Instant::now);
        let everyone = self.cluster.running();
        let agreed = self.agree(&everyone, 0).await?;
        let text = format!("{} agents found one another: {}", everyone.len(), self.leads(agreed));
        Ok((agreed.at - since, text, since))
    }

    /// The leader dies without a word; the others agree on a new one.
    async fn kill(&mut self) -> Played {
        let before = self.settle().await?;
        self.doomed = Some(before.leader);
        let since = self.cluster.signal(before.leader, Signal::SIGKILL).await?;
        let others: Vec<usize> = self.cluster.running().into_iter().filter(|n| *n != before.leader).collect();
        let agreed = self.agree(&others, before.epoch).await?;
        let promised = if Some(agreed.leader) == before.successor { ", as named" } else { "" };
        let text = format!("{} was killed: {}{promised}", self.name(before.leader), self.leads(agreed));
        Ok((agreed.at - since, text, since))
    }

    /// The former leader starts again, and follows.
    async fn rejoin(&mut self) -> Played {
        let killed = self.doomed.ok_or("nobody was killed")?;
        let before = self.settle().await?;
        self.stages.clear();
        self.doomed = None;
        let since = self.cluster.start(killed)?;
        let everyone = self.cluster.running();
        let agreed = self.agree(&everyone, before.epoch - 1).await?;
        if (agreed.leader, agreed.epoch) != (before.leader, before.epoch) {
            let (came, is) = (self.name(killed), self.leads(agreed));
            return Err(format!("the return of {came} deposed {}: {is}", self.name(before.leader)));
        }
        let text = format!("{} came back and follows {}", self.name(killed), self.name(agreed.leader));
        Ok((agreed.at - since, text, since))
    }

    /// The leader hands over to its successor.
    async fn handover(&mut self) -> Played {
        let before = self.settle().await?;
        self.stages.clear();
        let client = self.cluster.agents[before.leader].client.clone();
        let since = Instant::now();
        let served = tokio::time::timeout(DEADLINE, client.handover(None)).await;
        let served = served.map_err(|_| "the leader did not say how the handover ended".to_owned())?;
        let served = served.map_err(|error| format!("{} refused it: {error}", self.name(before.leader)))?;
        let everyone = self.cluster.running();
        let agreed = self.agree(&everyone, before.epoch).await?;
        if served.name != self.name(agreed.leader) {
            return Err(format!("the answer names {}, and yet {}", served.name, self.leads(agreed)));
        }
        let text = format!("{} handed over: {}", self.name(before.leader), self.leads(agreed));
        Ok((agreed.at - since, text, since))
    }

    fn name(&self, agent: usize) -> &str {
        &self.cluster.agents[agent].name
    }

    fn leads(&self, agreed: Agreed) -> String {
        format!("{} leads epoch {}", self.name(agreed.leader), agreed.epoch)
    }

    /// Waits until all of these agents name one leader of an epoch above `above`.
    async fn agree(&mut self, agents: &[usize], above: u64) -> Result<Agreed, String> {
        let end = tokio::time::Instant::now() + DEADLINE;
        loop {
            if let Some(agreed) = self.said.agreed(agents, above) {
                return Ok(agreed);
            }
            self.news(LOOK).await?;
            if tokio::time::Instant::now() > end {
                let names: Vec<&str> = agents.iter().map(|n| self.name(*n)).collect();
                let (names, s) = (names.join(", "), DEADLINE.as_secs());
                return Err(format!("{names} did not agree on one leader within {s} s"));
            }
        }
    }

    /// Waits until the agents that run say alike who leads and who is to follow, when they are asked.
    async fn settle(&mut self) -> Result<Settled, String> {
        let end = tokio::time::Instant::now() + DEADLINE;
        loop {
            match self.look().await {
                Ok(settled) => return Ok(settled),
                Err(why) if tokio::time::Instant::now() > end => {
                    return Err(format!("the agents did not settle within {} s: {why}", DEADLINE.as_secs()));
                }
                Err(_) => self.news(LOOK).await?,
            }
        }
    }

    /// How the agents stand, or what is still missing.
    async fn look(&self) -> Result<Settled, String> {
        let mut settled: Option<Settled> = None;
        let mut ids = Vec::new();
        let mut named = Vec::new();
        let agents = self.cluster.running();
        for agent in &agents {
            let name = self.name(*agent);
            let status = self.cluster.look(*agent).await.ok_or_else(|| format!("{name} does not answer"))?;
            let leader = status.leader.ok_or_else(|| format!("{name} has no leader"))?;
            if status.successor.is_none() && agents.len() > 1 {
                return Err(format!("{name} knows no successor"));
            }
            ids.push((status.node.id, *agent));
            named.push((status.epoch, leader.id, status.successor.map(|successor| successor.id)));
        }
        for (epoch, leader, successor) in named {
            let find = |id| ids.iter().find(|(known, _)| *known == id).map(|(_, agent)| *agent);
            let leader = find(leader).ok_or("a leader is named that does not run")?;
            let successor = match successor {
                Some(id) => Some(find(id).ok_or("a successor is named that does not run")?),
                None => None,
            };
            let same = settled.is_none_or(|s| (s.epoch, s.leader, s.successor) == (epoch, leader, successor));
            if !same {
                return Err("the agents name different leaders or successors".to_owned());
            }
            settled = Some(Settled { epoch, leader, successor });
        }
        settled.ok_or_else(|| "no agent runs".to_owned())
    }

    /// Takes in what happens within so long. An agent that ends or stands still, and was not told to, ends the demo.
    async fn news(&mut self, within: Duration) -> Result<(), String> {
        let Ok(news) = tokio::time::timeout(within, self.cluster.next()).await else {
            return match self.cluster.stopped_by_others() {
                Some(agent) => Err(format!("{} stands still: somebody stopped its process", agent.name)),
                None => Ok(()),
            };
        };
        self.take(news)
    }

    fn take(&mut self, news: News) -> Result<(), String> {
        let agent = news.agent;
        match news.what {
            What::Line(Line::Event(event)) => {
                self.said.hear(agent, &event, news.at);
                if !event.present && TELLING.contains(&event.event.as_str()) && self.stages.len() < STAGES {
                    let stage = Stage::new(self.name(agent), &event);
                    self.stages.push((news.at, stage));
                }
            }
            What::Line(Line::Lagged { .. }) => {}
            What::Ended(how) => {
                self.said.forget(agent);
                if self.doomed != Some(agent) {
                    return Err(format!("{} is gone: {how}", self.name(agent)));
                }
            }
        }
        Ok(())
    }

    /// The stages of the step, in order, each so long after its beginning.
    fn told(&mut self, since: Instant) -> Vec<Stage> {
        let mut stages = std::mem::take(&mut self.stages);
        stages.sort_by_key(|(at, _)| *at);
        stages.into_iter().filter_map(|(at, stage)| Some(stage.after(at.checked_duration_since(since)?))).collect()
    }
}
