//! Faults over faults.

use super::{Chaos, End};
use crate::agents::Life;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// A silence that may be noticed: suspicion, and something for busy processors.
const NOTICED: Duration = Duration::from_millis(450);

const FAULTS: [&str; 14] = [
    "kill",
    "kill",
    "kill the leader",
    "end",
    "stop",
    "stop the leader",
    "separate one",
    "separate some",
    "one link",
    "loss of datagrams",
    "loss of packets",
    "address",
    "handover",
    "cable",
];

impl Chaos<'_> {
    /// Breaks something every second or so.
    pub(super) async fn wild(&mut self, end: Instant) {
        while Instant::now() < end {
            let pause = self.time(20, 1800);
            self.pass_until(end.min(Instant::now() + pause)).await;
            let fault = self.pick(&FAULTS).expect("there are some");
            self.allowed += self.break_something(fault).await;
        }
    }

    /// Gives back how many may begin to lead because of it.
    async fn break_something(&mut self, fault: &str) -> usize {
        let running = self.lives(Life::Running);
        let Some(one) = self.pick(&running) else { return 0 };
        let leader = running.iter().copied().find(|machine| self.leads(*machine)).unwrap_or(one);
        let pause = self.time(100, 6000);
        match fault {
            "kill" => self.killed(one, Signal::SIGKILL, pause).await,
            "kill the leader" => self.killed(leader, Signal::SIGKILL, pause).await,
            "end" => self.killed(one, Signal::SIGTERM, pause).await,
            "stop" => self.stopped(one, pause),
            "stop the leader" => self.stopped(leader, pause),
            "separate one" => {
                self.separate(&[one], pause).await;
                // The others get a leader, if it led; else it leads itself.
                if pause > NOTICED { 2 } else { 0 }
            }
            "separate some" => {
                let mut some = self.lan.all();
                for _ in 0..self.between(1, 4) {
                    let index = self.between(0, some.len() as u64 - 1) as usize;
                    some.remove(index);
                }
                self.separate(&some, pause).await;
                if pause > NOTICED { 2 } else { 0 }
            }
            "one link" => {
                let Some(other) = self.pick(&self.lan.but(&[one])) else { return 0 };
                let pairs = if self.between(0, 1) == 0 { vec![(one, other)] } else { vec![(one, other), (other, one)] };
                self.cut(pairs, pause).await;
                // With nobody else there to go through.
                1
            }
            "loss of datagrams" => {
                let percent = self.between(1, 40) as u32;
                self.lose(percent, false, pause).await;
                if percent > 30 { 2 } else { 1 }
            }
            "loss of packets" => {
                let percent = self.between(1, 10) as u32;
                self.lose(percent, true, pause).await;
                1
            }
            "address" => {
                self.new_address(one).await;
                1
            }
            "handover" => {
                self.hand_over(one, false);
                1
            }
            "cable" => {
                self.unplug(one, pause).await;
                1
            }
            other => unreachable!("{other}"),
        }
    }

    /// Its end makes a leader, if it led; its start, when it finds nobody.
    async fn killed(&mut self, machine: usize, signal: Signal, pause: Duration) -> usize {
        let gone = self.broken.iter().any(|(_, end)| matches!(end, End::Start(m) if *m == machine));
        if gone {
            return 0;
        }
        let led = usize::from(self.leads(machine));
        let broken = usize::from(!self.broken.is_empty());
        self.kill(machine, signal, pause).await;
        led + broken
    }

    fn stopped(&mut self, machine: usize, pause: Duration) -> usize {
        let ending = self.broken.iter().any(|(_, end)| matches!(end, End::Start(m) if *m == machine));
        if ending {
            return 0;
        }
        let led = self.leads(machine);
        let broken = usize::from(!self.broken.is_empty());
        self.stop(machine, pause);
        if pause > NOTICED { usize::from(led) + broken } else { 0 }
    }
}
