//! What the live view knows, and what its keys do.
#![expect(clippy::disallowed_methods, reason = "a program for people, which times what it shows")]

use crate::cli::demo::agree::Agreement;
use crate::cli::demo::cluster::{Cluster, Life, Net, News, What};
use crate::cli::demo::proof::{Checked, Proof};
use crate::cli::demo::records::{RATE, Records};
use crate::cli::demo::split::{KEY, Split, Stage};
use crate::protocol::RoleName;
use crate::view::{Event, Line, Stamp};
use nix::sys::signal::Signal;
use ratatui::crossterm::event::KeyCode;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// What chooses an agent, each its own.
pub(super) const CHOOSE: [char; 12] = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '0', 'a', 'b'];

/// Events that are kept for the eye.
const LOG: usize = 500;

/// Failovers that are kept for the eye.
const FAILOVERS: usize = 100;

/// How long an agent may take to say how it stands, before it is shown as silent.
const ANSWER: Duration = Duration::from_millis(400);

/// A change of leader that has not come by then is expected no longer.
const OVERDUE: Duration = Duration::from_secs(15);

/// What is shown of one agent.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) role: Option<RoleName>,
    pub(super) epoch: u64,
    pub(super) leader: Option<String>,
    pub(super) successor: bool,
    /// How long ago it heard its leader, when it said so.
    pub(super) heard: Option<Duration>,
    /// A question to it is under way.
    asked: bool,
}

/// What an agent answered.
#[derive(Debug)]
pub(super) struct Look {
    agent: usize,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    /// How it stands; none when it did not answer in time.
    Stands(Option<Stands>),
    /// The handover that was asked for at that moment did not happen, and why.
    Refused(Instant, String),
}

#[derive(Debug)]
struct Stands {
    role: RoleName,
    epoch: u64,
    leader: Option<String>,
    successor: bool,
    heard: Option<Duration>,
}

/// One event of one agent.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) agent: String,
    pub(super) at: String,
    pub(super) warn: bool,
    pub(super) text: String,
}

/// A change of leader that is under way.
#[derive(Debug)]
struct Pending {
    what: String,
    since: Instant,
    above: u64,
    /// The side of the cut that it is about.
    side: Option<usize>,
}

/// A change of leader that is complete.
#[derive(Debug)]
pub(super) struct Failover {
    pub(super) text: String,
    /// The longest wait of a write around it; none until the records were compared.
    pub(super) waited: Option<Duration>,
}

pub(super) struct App<'a> {
    pub(super) cluster: &'a mut Cluster,
    pub(super) records: Records,
    pub(super) proof: Proof,
    pub(super) split: Split,
    pub(super) rows: Vec<Row>,
    pub(super) selected: usize,
    /// The newest last; at most [`LOG`].
    pub(super) log: VecDeque<Told>,
    /// The newest last; at most [`FAILOVERS`].
    pub(super) failovers: VecDeque<Failover>,
    said: Agreement,
    pending: Option<Pending>,
    answers: mpsc::Sender<Look>,
}

impl<'a> App<'a> {
    pub(super) fn new(cluster: &'a mut Cluster, answers: mpsc::Sender<Look>) -> Self {
        let agents = cluster.agents.len();
        Self {
            records: Records::begin(cluster, RATE),
            proof: Proof::default(),
            split: Split::default(),
            cluster,
            rows: (0..agents).map(|_| Row::default()).collect(),
            selected: 0,
            log: VecDeque::new(),
            failovers: VecDeque::new(),
            said: Agreement::new(agents),
            pending: None,
            answers,
        }
    }

    pub(super) fn start_all(&mut self) {
        self.expect("all started", Instant::now(), None);
        for agent in 0..self.rows.len() {
            self.start(agent);
        }
    }

    fn start(&mut self, agent: usize) {
        self.rows[agent] = Row::default();
        if let Err(why) = self.cluster.start(agent) {
            self.note(agent, why);
        }
    }

    /// From now on a new leader is expected, on one side of the cut or everywhere; its time is counted from `since`.
    fn expect(&mut self, what: &str, since: Instant, side: Option<usize>) {
        let concerned = |n: &usize| side.is_none_or(|side| self.cluster.side(*n) == side);
        let above = (0..self.rows.len()).filter(concerned).map(|n| self.rows[n].epoch).max().unwrap_or(0);
        self.pending = Some(Pending { what: what.to_owned(), since, above, side });
    }

    /// The side of an agent while the network is cut.
    fn side(&self, agent: usize) -> Option<usize> {
        (self.cluster.net != Net::Whole).then(|| self.cluster.side(agent))
    }

    /// What the demo itself says about an agent.
    fn note(&mut self, agent: usize, text: String) {
        self.tell(agent, Stamp(crate::agent::clock::now().wall).local_time(), true, text);
    }

    /// What the demo itself says about all of them.
    fn note_of_all(&mut self, text: String) {
        self.tell_of("all", Stamp(crate::agent::clock::now().wall).local_time(), true, text);
    }

    fn tell(&mut self, agent: usize, at: String, warn: bool, text: String) {
        let agent = self.cluster.agents[agent].name.clone();
        self.tell_of(&agent, at, warn, text);
    }

    fn tell_of(&mut self, agent: &str, at: String, warn: bool, text: String) {
        if self.log.len() == LOG {
            self.log.pop_front();
        }
        self.log.push_back(Told { agent: agent.to_owned(), at, warn, text });
    }

    pub(super) fn news(&mut self, news: News) {
        let agent = news.agent;
        match news.what {
            What::Line(Line::Event(event)) => self.event(agent, &event, news.at),
            What::Line(Line::Lagged { lagged }) => {
                self.note(agent, format!("{lagged} events were missed"));
            }
            What::Ended(how) => {
                self.said.forget(agent);
                self.rows[agent] = Row { epoch: self.rows[agent].epoch, ..Row::default() };
                self.note(agent, how);
            }
        }
        self.judge();
        self.look();
    }

    /// Begins what the agents are ready for.
    fn look(&mut self) {
        self.split.look(self.cluster, &self.said, &self.records);
        self.proof.look(self.cluster, &self.said, &self.records);
    }

    /// The cut has come further.
    pub(super) fn came(&mut self) {
        let text = match &self.split.stage {
            Stage::Changed => format!("{KEY} was changed on both sides; x mends the network"),
            Stage::Found(clash) => {
                format!("{KEY} is in conflict: {} and {} wrote it", clash.sides[0].by, clash.sides[1].by)
            }
            Stage::Settled(_) => format!("the conflict of {KEY} was settled"),
            _ => return,
        };
        self.note_of_all(text);
        self.look();
    }

    /// Cuts the network in two, or mends it.
    fn cut(&mut self) {
        let whole = self.cluster.net == Net::Whole;
        let done = if whole { self.split.cut(self.cluster) } else { self.split.heal(self.cluster) };
        let at = match done {
            Ok(at) => at,
            Err(why) => return self.note_of_all(why),
        };
        if whole {
            // The side that the leader is not on needs one.
            let leader = (0..self.rows.len()).find(|n| self.leads(*n));
            let lost = leader.map_or(1, |leader| 1 - self.cluster.side(leader));
            self.expect("cut off", at, Some(lost));
            self.note_of_all("the network was cut in two".to_owned());
        } else {
            self.expect("mended", at, None);
            // The leader of either side may be the one.
            self.pending.iter_mut().for_each(|pending| pending.above = 0);
            self.note_of_all("the network was mended".to_owned());
        }
        self.look();
    }

    /// The records were compared.
    pub(super) fn checked(&mut self, checked: &Checked) {
        let waited = self.records.recent_wait();
        self.records.mark();
        if checked.changed {
            let open = self.failovers.iter_mut().rev().take_while(|failover| failover.waited.is_none());
            open.for_each(|failover| failover.waited = Some(waited));
        }
    }

    fn event(&mut self, agent: usize, event: &Event, at: Instant) {
        self.said.hear(agent, event, at);
        let row = &mut self.rows[agent];
        row.epoch = event.epoch;
        row.role = match event.event.as_str() {
            "listening" => Some(RoleName::Listening),
            "following" => Some(RoleName::Following),
            "claiming" => Some(RoleName::Claiming),
            "leading" => Some(RoleName::Leading),
            _ => row.role,
        };
        // Nobody pressed a key, and yet somebody misses the leader.
        let overdue = self.pending.as_ref().is_none_or(|p| at.saturating_duration_since(p.since) > OVERDUE);
        if event.event == "leader-lost" && overdue {
            self.expect("leader lost", at, self.side(agent));
        }
        if !event.present {
            self.tell(agent, event.at.local_time(), event.level == "warn", event.text.clone());
        }
    }

    /// Is the change of leader that was expected complete?
    fn judge(&mut self) {
        let Some(pending) = &self.pending else { return };
        let concerned = |n: &usize| pending.side.is_none_or(|side| self.cluster.side(*n) == side);
        let agents: Vec<usize> = self.cluster.running().into_iter().filter(concerned).collect();
        let Some(agreed) = self.said.agreed(&agents, pending.above) else { return };
        let took = crate::time::ms(agreed.at.saturating_duration_since(pending.since));
        let leader = &self.cluster.agents[agreed.leader].name;
        let text = format!("{:>10}  {}: {leader} leads epoch {}", took, pending.what, agreed.epoch);
        self.pending = None;
        if self.failovers.len() == FAILOVERS {
            self.failovers.pop_front();
        }
        self.failovers.push_back(Failover { text, waited: None });
    }

    /// Asks every agent that runs how it stands, unless it still owes an answer.
    pub(super) fn ask(&mut self) {
        self.look();
        self.proof.look_again(self.cluster, &self.records);
        for agent in self.cluster.running() {
            if std::mem::replace(&mut self.rows[agent].asked, true) {
                continue;
            }
            let client = self.cluster.agents[agent].client.clone();
            let answers = self.answers.clone();
            tokio::spawn(async move {
                let look = async {
                    let status = client.status().await.ok()?;
                    let members = client.members().await.ok()?;
                    let leader = status.leader.as_ref().map(|leader| leader.id);
                    let heard = members.members.iter().find(|member| Some(member.id) == leader);
                    Some(Stands {
                        role: status.role,
                        epoch: status.epoch,
                        successor: status.successor.is_some_and(|successor| successor.id == status.node.id),
                        leader: status.leader.map(|leader| leader.name),
                        heard: heard.and_then(|member| member.last_heard_ms).map(Duration::from_millis),
                    })
                };
                let stands = tokio::time::timeout(ANSWER, look).await.ok().flatten();
                // Nobody listens when the demo is at its end.
                let _ = answers.send(Look { agent, answer: Answer::Stands(stands) }).await;
            });
        }
    }

    pub(super) fn looked(&mut self, look: Look) {
        let runs = self.cluster.agents[look.agent].life == Life::Running;
        let stands = match look.answer {
            Answer::Stands(stands) => stands,
            Answer::Refused(asked, why) => {
                self.pending.take_if(|pending| pending.since == asked);
                return self.note(look.agent, format!("no handover: {why}"));
            }
        };
        let row = &mut self.rows[look.agent];
        row.asked = false;
        match stands {
            Some(stands) if runs => {
                *row = Row {
                    role: Some(stands.role),
                    epoch: stands.epoch,
                    leader: stands.leader,
                    successor: stands.successor,
                    heard: stands.heard,
                    asked: false,
                };
            }
            _ => row.heard = None,
        }
    }

    pub(super) async fn key(&mut self, key: KeyCode) {
        let agents = self.rows.len();
        match key {
            KeyCode::Char(key) if CHOOSE.contains(&key) => {
                let n = CHOOSE.iter().position(|choose| *choose == key);
                self.selected = n.filter(|n| *n < agents).unwrap_or(self.selected);
            }
            KeyCode::Up => self.selected = self.selected.saturating_sub(1),
            KeyCode::Down => self.selected = (self.selected + 1).min(agents - 1),
            KeyCode::Char('k') => self.signal(Signal::SIGKILL, "was killed").await,
            KeyCode::Char('s') if self.cluster.agents[self.selected].life == Life::Frozen => {
                self.signal(Signal::SIGTERM, "was told to stop, and will when it is thawed").await;
            }
            KeyCode::Char('s') => self.signal(Signal::SIGTERM, "was told to stop").await,
            KeyCode::Char('f') => match self.cluster.agents[self.selected].life {
                Life::Frozen => self.signal(Signal::SIGCONT, "was thawed").await,
                _ => self.signal(Signal::SIGSTOP, "was frozen").await,
            },
            KeyCode::Char('r') => {
                if matches!(self.cluster.agents[self.selected].life, Life::Ended(_)) {
                    self.start(self.selected);
                }
            }
            KeyCode::Char('h') => self.handover(),
            KeyCode::Char('x') => self.cut(),
            _ => {}
        }
    }

    async fn signal(&mut self, signal: Signal, what: &str) {
        let agent = self.selected;
        if matches!(self.cluster.agents[agent].life, Life::Ended(_)) {
            return;
        }
        let led = self.leads(agent);
        match self.cluster.signal(agent, signal).await {
            Ok(at) => {
                if led && signal != Signal::SIGCONT {
                    let what = format!("{} {what}", self.cluster.agents[agent].name);
                    self.expect(&what, at, self.side(agent));
                }
                self.note(agent, what.to_owned());
            }
            Err(why) => self.note(agent, why),
        }
        self.look();
    }

    fn leads(&self, agent: usize) -> bool {
        self.cluster.agents[agent].life == Life::Running && self.rows[agent].role == Some(RoleName::Leading)
    }

    /// The selected agent takes over; or, when it leads, its successor does. The leader is asked, or any agent that runs:
    /// one that has ended or is frozen answers nobody, and why it cannot take over the others tell.
    fn handover(&mut self) {
        let agent = self.selected;
        let to = (!self.leads(agent)).then(|| self.cluster.agents[agent].name.clone());
        let running = self.cluster.running();
        // Those that it can reach.
        let near: Vec<usize> = running.into_iter().filter(|n| self.side(*n) == self.side(agent)).collect();
        let asked = near.iter().find(|n| self.leads(**n)).or(near.first());
        let Some(asked) = asked else {
            return self.note(agent, "no handover: no agent runs".to_owned());
        };
        let (client, answers, at) = (self.cluster.agents[*asked].client.clone(), self.answers.clone(), Instant::now());
        self.expect("handover", at, self.side(agent));
        // How it ends, the events tell.
        tokio::spawn(async move {
            if let Err(why) = client.handover(to.as_deref()).await {
                // Nobody listens when the demo is at its end.
                let _ = answers.send(Look { agent, answer: Answer::Refused(at, why.to_string()) }).await;
            }
        });
    }
}
