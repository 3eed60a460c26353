//! Faults, and the time from each to the moment when every surviving machine names the new leader.

use super::lan::{Lan, Reign, SETTLE};
use super::net::name;
use super::plug::Plug;
use super::scene::figure;
use super::stages;
use super::told::View;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use tanist::message::MemberState;

/// Whatever takes longer than this does not come.
pub(crate) const LONG: Duration = SETTLE.saturating_mul(12);

/// Between two faults. A member backs eight claims of others a second (§11), and no office needs more.
const PACE: Duration = Duration::from_millis(150);

/// A machine that has been off for so long is only remembered: its session is closed after 10 s.
const FORGOTTEN: Duration = Duration::from_secs(11);

/// What goes wrong, or is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The leader's process ends without a word.
    Killed,
    /// The same while 30 of 100 datagrams are lost.
    KilledInLoss,
    /// The leader's and the successor's at once.
    BothKilled,
    /// Nothing comes from the leader's machine any more, and nothing reaches it.
    Silent,
    /// The leader's and the successor's machine at once.
    BothSilent,
    /// The leader's process stands still; its kernel still answers.
    Frozen,
    /// A user asks for a handover.
    Handover,
    /// The leader is told to stop.
    Stopped,
    /// All start together and know nothing.
    Fresh,
    /// All start together and remember one another.
    PowerCut,
}

/// Agents on a LAN, ready for faults.
pub(crate) struct Stage {
    pub(crate) lan: Lan,
    plug: Plug,
    /// The machines that are switched on.
    on: Vec<usize>,
    interval: Duration,
}

impl Stage {
    /// A running office, in which `off` of the machines were switched off again.
    pub(crate) async fn new(mut lan: Lan, machines: usize, off: usize, interval: Option<Duration>) -> Self {
        lan.office(machines).await;
        let all = lan.all();
        if let Some(interval) = interval {
            let flags = ["--heartbeat".to_owned(), format!("{}ms", interval.as_millis())];
            all.iter().for_each(|machine| lan.flags(*machine, &[&flags[0], &flags[1]]));
        }
        lan.start(&all);
        let mut stage = Self::of_running(lan);
        stage.interval = interval.unwrap_or(stage.interval);
        let (reign, _) = stage.ready().await;
        if off > 0 {
            let leaves: Vec<usize> = stage.lan.but(&[reign.leader]).split_off(machines - 1 - off);
            stage.kill(&leaves).await;
            stage.on = stage.lan.but(&leaves);
            let on = stage.on.clone();
            stage.lan.net.cut(&leaves, &on, true).await;
            stage.lan.net.cut(&on, &leaves, true).await;
            // Until nobody has heard of them for a while.
            stage.lan.quiet(FORGOTTEN).await;
        }
        stage
    }

    /// An office that runs already, by default settings.
    pub(crate) fn of_running(lan: Lan) -> Self {
        let on = lan.all();
        Self { lan, plug: Plug::new(), on, interval: Duration::from_millis(250) }
    }

    /// Waits until all that are on follow one leader, know one another alive and name one successor, and then for a
    /// random part of an interval, so that faults come at any moment between two heartbeats.
    pub(crate) async fn ready(&mut self) -> (Reign, usize) {
        let on = self.on.clone();
        let reign = self.lan.settled(&on, LONG).await;
        let heir = self
            .lan
            .until(LONG, "all know one another and name one successor", async |lan| {
                let mut heir = None;
                for machine in &on {
                    let members = lan.client(*machine).members().await.ok()?.members;
                    let alive = members.iter().filter(|m| m.state == MemberState::Alive).count();
                    let named = members.into_iter().find(|m| m.successor)?.name;
                    if alive != on.len() || heir.get_or_insert_with(|| named.clone()) != &named {
                        return None;
                    }
                }
                on.iter().copied().find(|machine| Some(name(*machine)) == heir)
            })
            .await;
        let calm = self.interval.max(PACE);
        let random = f64::from(getrandom::u32().expect("randomness")) / f64::from(u32::MAX);
        self.lan.quiet(calm + self.interval.mul_f64(random)).await;
        (reign, heir)
    }

    /// Does it so many times, and prints each time.
    pub(crate) async fn row(&mut self, of: &str, what: &str, fault: Fault, times: usize) {
        if fault == Fault::KilledInLoss {
            self.lan.net.lose(30).await;
        }
        for n in 1..=times {
            let took = self.once(of, what, fault).await;
            figure(of, what, took);
            eprintln!("{of}: {what}: {n} of {times}: {took:.3} ms");
        }
        if fault == Fault::KilledInLoss {
            self.lan.net.mend().await;
        }
    }

    /// Does it once; the time is in milliseconds. Everything is as before when this returns, but for the reign.
    async fn once(&mut self, of: &str, what: &str, fault: Fault) -> f64 {
        if matches!(fault, Fault::Fresh | Fault::PowerCut) {
            return self.start_together(fault).await;
        }
        let (reign, heir) = self.ready().await;
        self.lan.told.clear();
        match fault {
            Fault::Silent | Fault::BothSilent => {
                let silent = if fault == Fault::Silent { vec![reign.leader] } else { vec![reign.leader, heir] };
                let at = Instant::now();
                silent.iter().for_each(|machine| self.plug.silent(*machine, true));
                let took = self.known(at, &silent, &reign).await;
                silent.iter().for_each(|machine| self.plug.silent(*machine, false));
                took
            }
            Fault::Frozen => {
                let at = self.lan.signal(reign.leader, Signal::SIGSTOP);
                let took = self.known(at, &[reign.leader], &reign).await;
                self.lan.signal(reign.leader, Signal::SIGCONT);
                took
            }
            Fault::Handover => {
                let client = self.lan.client(reign.leader);
                let at = Instant::now();
                let asked = tokio::spawn(async move { client.handover(None).await });
                let took = self.known(at, &[], &reign).await;
                asked.await.expect("it ran").unwrap_or_else(|error| panic!("handover refused: {error}"));
                took
            }
            _ => {
                let (at, took) = self.end(fault, &reign, heir).await;
                stages::print(&self.lan, of, what, reign.leader, at);
                took
            }
        }
    }

    /// Ends the process of the leader, or of the successor too, and starts it again afterwards. Says when it began, too.
    async fn end(&mut self, fault: Fault, reign: &Reign, heir: usize) -> (Instant, f64) {
        let signal = if fault == Fault::Stopped { Signal::SIGTERM } else { Signal::SIGKILL };
        let ends = if fault == Fault::BothKilled { vec![reign.leader, heir] } else { vec![reign.leader] };
        let at = self.lan.signal(ends[0], signal);
        for machine in &ends[1..] {
            self.lan.signal(*machine, signal);
        }
        let took = self.known(at, &ends, reign).await;
        self.lan.ended(&ends, LONG).await;
        self.lan.start(&ends);
        (at, took)
    }

    /// The time until all who are on, but those, name a leader after `before`.
    async fn known(&mut self, at: Instant, but: &[usize], before: &Reign) -> f64 {
        let survivors: Vec<usize> = self.on.iter().copied().filter(|machine| !but.contains(machine)).collect();
        let (_, took) = self.lan.failover(("fault", at), &survivors, before, LONG).await;
        took.as_secs_f64() * 1000.0
    }

    async fn kill(&mut self, machines: &[usize]) {
        for machine in machines {
            self.lan.signal(*machine, Signal::SIGKILL);
        }
        self.lan.ended(machines, LONG).await;
    }

    async fn start_together(&mut self, fault: Fault) -> f64 {
        if fault == Fault::PowerCut {
            // All remember all.
            self.ready().await;
        }
        let on = self.on.clone();
        self.kill(&on).await;
        if fault == Fault::Fresh {
            for machine in &on {
                std::fs::remove_dir_all(self.lan.dir.join(name(*machine)).join("state")).expect("the agent's state");
            }
            // Nobody remembers an epoch.
            self.lan.machines.iter_mut().for_each(|machine| machine.view = View::default());
        }
        let at = Instant::now();
        self.lan.start(&on);
        self.lan.settled(&on, LONG).await;
        let last = on.iter().filter_map(|machine| self.lan.view(*machine).since).max().expect("all told");
        last.duration_since(at).as_secs_f64() * 1000.0
    }
}
