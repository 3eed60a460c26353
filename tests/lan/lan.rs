//! A LAN with its machines and agents: what a test does to them, and what it waits for.

use super::agents::{Agent, Life, News, What};
use super::commands::ip;
use super::net::{Net, name};
use super::told::{self, Role, View};
use nix::sys::signal::Signal;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tanist::client::Client;
use tanist::view::{Line, Status};
use tokio::sync::mpsc;

/// Within this a set of joined agents has one leader (§11), with default settings.
pub(crate) const SETTLE: Duration = Duration::from_secs(5);

/// What processors that others keep busy may add to any time that is asked for here.
pub(crate) const SLACK: Duration = Duration::from_secs(3);

/// Begins every line of a test's output that is printed even when it succeeds.
pub(crate) const FIGURE: &str = "lan | ";

/// News that wait to be taken in.
const NEWS: usize = 8192;

/// How much of what was told a failing test prints.
const TRANSCRIPT: usize = 1500;

/// How often a condition is looked at when nothing happens.
const LOOK: Duration = Duration::from_millis(100);

/// A reign that all agree on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reign {
    /// The leader's number.
    pub(crate) leader: usize,
    pub(crate) epoch: u64,
    /// Why it began, as the leader says.
    pub(crate) cause: String,
}

/// One machine's agent, and what it told.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) agent: Agent,
    pub(crate) view: View,
    /// The flags that it is started with.
    flags: Vec<String>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Lan {
    pub(crate) net: Net,
    /// Machine `k` is at `k - 1`.
    pub(crate) machines: Vec<Machine>,
    pub(crate) dir: PathBuf,
    begun: Instant,
    pub(crate) news: mpsc::Receiver<News>,
    mouth: mpsc::Sender<News>,
    /// At most `TRANSCRIPT` lines.
    pub(crate) transcript: VecDeque<String>,
    /// Times that were taken.
    pub(crate) figures: Vec<String>,
    /// Every event that was told: when, by whom, which, and the epoch that it showed.
    pub(crate) told: Vec<(Instant, usize, String, u64)>,
    /// Every line that was logged and is no event: when, by whom, which.
    pub(crate) lines: Vec<(Instant, usize, String)>,
    /// Every event that was logged: when, by whom, which.
    pub(crate) logged: Vec<(Instant, usize, String)>,
    /// Everything that was told and logged from the beginning, for whoever looks for the reason of a failure. A benchmark
    /// has none: its lines are written while the agents want the processors.
    log: Option<File>,
    /// When who began to lead that did not lead before, and with which epoch.
    pub(crate) begun_to_lead: Vec<(Instant, usize, u64)>,
}

impl Lan {
    /// Without switches and machines.
    pub(crate) async fn new(dir: PathBuf, log: Option<File>) -> Self {
        let (mouth, news) = mpsc::channel(NEWS);
        let net = Net::new().await;
        Self {
            net,
            machines: Vec::new(),
            dir,
            begun: Instant::now(),
            news,
            mouth,
            transcript: VecDeque::new(),
            figures: Vec::new(),
            told: Vec::new(),
            lines: Vec::new(),
            logged: Vec::new(),
            log,
            begun_to_lead: Vec::new(),
        }
    }

    // ---- building

    /// One more machine, without a cable.
    pub(crate) async fn machine(&mut self) -> usize {
        let machine = self.machines.len() + 1;
        self.net.machine(machine).await;
        let agent = Agent::new(&name(machine), &self.dir);
        self.machines.push(Machine { agent, view: View::default(), flags: Vec::new() });
        machine
    }

    /// An office: one switch, `n` machines with the addresses 10.77.0.1 and so on, and IPv6's own.
    pub(crate) async fn office(&mut self, n: usize) {
        self.net.switch("office").await;
        for _ in 0..n {
            let machine = self.machine().await;
            self.net.cable(machine, "eth0", "office").await;
            self.ip(machine, &format!("addr add 10.77.0.{machine}/24 brd + dev eth0")).await;
        }
    }

    /// `ip` on a machine, one command a line.
    pub(crate) async fn ip(&mut self, machine: usize, lines: &str) {
        ip(Some(&name(machine)), &format!("{lines}\n")).await;
    }

    /// Every machine's number.
    pub(crate) fn all(&self) -> Vec<usize> {
        (1..=self.machines.len()).collect()
    }

    /// Every machine's number but some.
    pub(crate) fn but(&self, without: &[usize]) -> Vec<usize> {
        self.all().into_iter().filter(|machine| !without.contains(machine)).collect()
    }

    // ---- what happens to agents

    /// The flags with which an agent is started from now on.
    pub(crate) fn flags(&mut self, machine: usize, flags: &[&str]) {
        self.machines[machine - 1].flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    }

    /// Starts agents, all at once.
    pub(crate) fn start(&mut self, machines: &[usize]) -> Instant {
        self.note(&format!("start {machines:?}"));
        for machine in machines {
            let this = &mut self.machines[machine - 1];
            this.view.leader = None;
            this.agent.start(*machine, &this.flags, &self.mouth);
        }
        Instant::now()
    }

    /// Signals an agent; gives back the moment before.
    pub(crate) fn signal(&mut self, machine: usize, signal: Signal) -> Instant {
        self.note(&format!("{signal} to {}", name(machine)));
        let at = Instant::now();
        self.machines[machine - 1].agent.signal(signal);
        at
    }

    /// Waits until agents have ended; every one of them had to.
    pub(crate) async fn ended(&mut self, machines: &[usize], within: Duration) {
        self.until(within, &format!("{machines:?} have ended"), async |lan| {
            machines.iter().all(|m| lan.machines[m - 1].agent.life == Life::Off).then_some(())
        })
        .await;
    }

    /// Asks an agent.
    pub(crate) fn client(&self, machine: usize) -> Client {
        self.machines[machine - 1].agent.client.clone()
    }

    /// How an agent says that it stands; none when it does not say.
    pub(crate) async fn status(&self, machine: usize) -> Option<Status> {
        if self.machines[machine - 1].agent.life != Life::Running {
            return None;
        }
        tokio::time::timeout(SLACK, self.client(machine).status()).await.ok()?.ok()
    }

    /// What an agent told.
    pub(crate) fn view(&self, machine: usize) -> &View {
        &self.machines[machine - 1].view
    }

    // ---- waiting

    /// A line of the transcript.
    pub(crate) fn note(&mut self, text: &str) {
        self.write(Instant::now(), &format!("---- {text}"));
    }

    fn write(&mut self, at: Instant, text: &str) {
        if self.transcript.len() >= TRANSCRIPT {
            self.transcript.pop_front();
        }
        let line = self.stamped(at, text);
        self.keep(&line);
        self.transcript.push_back(line);
    }

    fn stamped(&self, at: Instant, text: &str) -> String {
        format!("{:9.4} {text}", at.duration_since(self.begun).as_secs_f64())
    }

    fn keep(&mut self, line: &str) {
        if let Some(log) = &mut self.log {
            // Whoever has no room for a log has a test all the same.
            let _ = writeln!(log, "{line}");
        }
    }

    /// Takes in one piece of news.
    pub(crate) fn take_in(&mut self, news: News) {
        let who = name(news.machine);
        match &news.what {
            What::Told(line) => self.write(news.at, &format!("{who} {}", told::line(line))),
            What::Logged(line) => self.write(news.at, &format!("{who} logs: {line}")),
            What::Noted { line, .. } if self.log.is_some() => {
                let line = self.stamped(news.at, &format!("{who} logs: {line}"));
                self.keep(&line);
            }
            What::Noted { .. } => {}
            What::Ended(status) => self.write(news.at, &format!("{who} ended: {status}")),
        }
        let machine = &mut self.machines[news.machine - 1];
        if news.run != machine.agent.run {
            return;
        }
        match news.what {
            What::Told(Line::Event(event)) => {
                let led = machine.view.role == Role::Leading;
                if let Err(broken) = machine.view.hear(&who, &event, news.at) {
                    panic!("{broken}");
                }
                if event.event == "leading" && !led {
                    self.begun_to_lead.push((news.at, news.machine, event.epoch));
                }
                if !event.present {
                    self.told.push((news.at, news.machine, event.event, event.epoch));
                }
            }
            What::Told(Line::Lagged { lagged }) => panic!("{who}: {lagged} events were missed"),
            What::Ended(status) => {
                assert!(machine.agent.asked_to_end, "{who} ended by itself: {status}");
                machine.agent.has_ended(status);
                machine.view.leader = None;
                machine.view.role = Role::Listening;
            }
            What::Noted { event, .. } => self.logged.push((news.at, news.machine, event)),
            What::Logged(line) => self.lines.push((news.at, news.machine, line)),
        }
    }

    /// Takes in what happens until `look` finds what it looks for. It is asked after all that has happened so far, and
    /// now and then when nothing happens.
    pub(crate) async fn until<T>(
        &mut self,
        within: Duration,
        what: &str,
        mut look: impl AsyncFnMut(&Lan) -> Option<T>,
    ) -> T {
        let end = tokio::time::Instant::now() + within;
        loop {
            while let Ok(news) = self.news.try_recv() {
                self.take_in(news);
            }
            if let Some(found) = look(self).await {
                return found;
            }
            let next = end.min(tokio::time::Instant::now() + LOOK);
            if let Ok(Some(news)) = tokio::time::timeout_at(next, self.news.recv()).await {
                self.take_in(news);
            } else if next == end {
                self.note("too late");
                panic!("after {within:?} it was not so that {what}; {}", self.standing());
            }
        }
    }

    /// Takes in what happens for a while, in which nobody may change the leader.
    pub(crate) async fn quiet(&mut self, during: Duration) {
        let before: Vec<_> = self.machines.iter().map(|m| (m.view.leader.clone(), m.view.epoch)).collect();
        let end = tokio::time::Instant::now() + during;
        while let Ok(Some(news)) = tokio::time::timeout_at(end, self.news.recv()).await {
            self.take_in(news);
            let after: Vec<_> = self.machines.iter().map(|m| (m.view.leader.clone(), m.view.epoch)).collect();
            assert_eq!(before, after, "the leader changed without a cause");
        }
    }

    /// Waits until these machines, and no others, have one leader among them, and all name it: on their event streams,
    /// and when they are asked.
    pub(crate) async fn settled(&mut self, machines: &[usize], within: Duration) -> Reign {
        let what = format!("{machines:?} have one leader");
        self.until(within, &what, async |lan| {
            let reign = lan.agreed(machines)?;
            for machine in machines {
                let status = lan.status(*machine).await?;
                let leader = status.leader.map(|leader| leader.name);
                if leader != Some(name(reign.leader)) || status.epoch != reign.epoch {
                    return None;
                }
            }
            Some(reign)
        })
        .await
    }

    /// The reign that these machines agree on by what they told.
    fn agreed(&self, machines: &[usize]) -> Option<Reign> {
        let first = self.view(*machines.first()?);
        let same = |machine: &usize| {
            let (view, life) = (self.view(*machine), self.machines[machine - 1].agent.life);
            let role = if view.leader == Some(name(*machine)) { Role::Leading } else { Role::Following };
            life == Life::Running && view.role == role && view.leader == first.leader && view.epoch == first.epoch
        };
        let leader = *machines.iter().find(|machine| Some(name(**machine)) == first.leader)?;
        let cause = self.view(leader).cause.clone().unwrap_or_default();
        machines.iter().all(same).then_some(Reign { leader, epoch: first.epoch, cause })
    }

    /// Waits until the survivors all name a leader after `before`; takes the time from the fault to the moment when the
    /// last of them told so.
    pub(crate) async fn failover(
        &mut self,
        fault: (&str, Instant),
        survivors: &[usize],
        before: &Reign,
        within: Duration,
    ) -> (Reign, Duration) {
        let what = format!("{survivors:?} have a leader after {} of epoch {}", name(before.leader), before.epoch);
        let reign = self
            .until(within, &what, async |lan| {
                lan.agreed(survivors).filter(|r| r.epoch > before.epoch && r.leader != before.leader)
            })
            .await;
        let last = survivors.iter().filter_map(|m| self.view(*m).since).max().expect("all told");
        let took = last.saturating_duration_since(fault.1);
        self.figure(
            &format!("{}: {} -> {}, epoch {}", fault.0, name(before.leader), name(reign.leader), reign.epoch),
            took,
        );
        (reign, took)
    }

    // ---- what is told at the end

    /// Keeps a time for the table at the end.
    pub(crate) fn figure(&mut self, what: &str, took: Duration) {
        self.note(&format!("{what}: {took:?}"));
        self.figures.push(format!("{FIGURE}  {:>9.1} ms  {what}", took.as_secs_f64() * 1000.0));
    }

    /// How all stand, in one line.
    fn standing(&self) -> String {
        let one = |(i, m): (usize, &Machine)| format!("{} ({:?}): {}", name(i + 1), m.agent.life, m.view.line());
        self.machines.iter().enumerate().map(one).collect::<Vec<_>>().join("; ")
    }

    /// The table of the times that were taken.
    pub(crate) fn print_figures(&self) {
        // The line above has no end yet.
        println!();
        self.figures.iter().for_each(|figure| println!("{figure}"));
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        if std::thread::panicking() {
            while let Ok(news) = self.news.try_recv() {
                let line = match &news.what {
                    What::Told(line) => told::line(line),
                    other => format!("{other:?}"),
                };
                self.write(news.at, &format!("{} {line}", name(news.machine)));
            }
            self.print_figures();
            if self.log.is_some() {
                // Whatever the last lines below lack.
                println!("the whole log: target/tmp/lan/");
            }
            self.transcript.iter().for_each(|line| println!("{line}"));
        }
    }
}
