//! Faults of leaders, successors and followers, one after the other or two at once, in an order that a seed gives.

use super::copies::settled_and_same;
use super::users::Users;
use crate::agents::Life;
use crate::lan::{Lan, SETTLE, SLACK};
use crate::net::name;
use crate::told::View;
use nix::sys::signal::Signal;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::time::{Duration, Instant};

/// Within this a machine that was told to stop has stopped: 2 s, and what a busy computer adds.
const STOPPED: Duration = Duration::from_secs(5);

/// What happens to a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    /// `kill -9`, and a new start.
    Killed,
    /// SIGTERM, and a new start.
    Stopped,
    /// It stands still.
    Frozen,
    /// Its cable is pulled: it sees that.
    Unplugged,
    /// Nothing passes between it and the others, and nobody is told.
    Cut,
    /// The role is handed to it; of the leader: by it, to whom it likes.
    HandedOver,
    /// `kill -9`, and a new start with nothing of what it had.
    SetUpAnew,
}

/// Whom it happens to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whom {
    Leader,
    Successor,
    Follower,
}

/// Every fault of everybody. A leader is not set up anew: what it acknowledged alone would be gone.
fn plots() -> Vec<(Whom, Fault)> {
    let faults = [
        Fault::Killed,
        Fault::Stopped,
        Fault::Frozen,
        Fault::Unplugged,
        Fault::Cut,
        Fault::HandedOver,
        Fault::SetUpAnew,
    ];
    let of = |whom: Whom| faults.into_iter().map(move |fault| (whom, fault));
    let all = [Whom::Leader, Whom::Successor, Whom::Follower].into_iter().flat_map(of);
    all.filter(|plot| *plot != (Whom::Leader, Fault::SetUpAnew)).collect()
}

/// What is to be mended.
#[derive(Clone, Copy, Debug)]
enum Mend {
    Start(usize),
    Wake(usize),
    Plug(usize),
    Join(usize),
}

/// See the module.
pub(super) struct Play<'a> {
    lan: &'a mut Lan,
    users: &'a mut Users,
    dice: ChaCha8Rng,
    /// What comes next, from the end.
    next: Vec<(Whom, Fault)>,
    /// Every fault so far.
    faults: Vec<String>,
    begun: Instant,
}

impl Drop for Play<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the faults:");
            self.faults.iter().for_each(|fault| println!("{fault}"));
        }
    }
}

impl<'a> Play<'a> {
    pub(super) fn new(lan: &'a mut Lan, users: &'a mut Users, seed: u64) -> Self {
        let dice = ChaCha8Rng::seed_from_u64(seed);
        Self { lan, users, dice, next: Vec::new(), faults: Vec::new(), begun: Instant::now() }
    }

    /// Plays for so long, and ends with everything mended.
    pub(super) async fn run(&mut self, during: Duration) {
        let end = Instant::now() + during;
        while Instant::now() < end {
            self.round().await;
            let untrue = self.users.book().untrue.clone();
            assert!(untrue.is_empty(), "users were told what may not be: {untrue:?}");
        }
        self.lan.say(&format!("{} faults", self.faults.len()));
    }

    // ---- chance

    /// A number from `low` to `high`, both included.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.dice.next_u64() % (high - low + 1)
    }

    fn time(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }

    /// What comes next: all of it once before anything comes again.
    fn plot(&mut self) -> (Whom, Fault) {
        if self.next.is_empty() {
            self.next = plots();
            for at in (1..self.next.len()).rev() {
                let with = self.between(0, at as u64) as usize;
                self.next.swap(at, with);
            }
        }
        self.next.pop().expect("there are some")
    }

    // ---- a round

    /// One fault, or two where enough machines are left, from the beginning until all follow one leader again.
    async fn round(&mut self) {
        let all = self.lan.all();
        let mut plots = vec![self.plot()];
        if all.len() > 3 && self.between(0, 1) == 0 {
            plots.push(self.plot());
        }
        let parts = plots.iter().any(|(_, fault)| matches!(fault, Fault::Unplugged | Fault::Cut));
        // Two sides that count make two values of a key.
        let counting = if parts { Some(self.users.counting_waits(self.lan).await) } else { None };
        let leader = self.lan.settled(&all, SETTLE + SLACK).await.leader;
        let successor = self.lan.successor(&all).await;
        if plots.iter().any(|(_, fault)| *fault == Fault::SetUpAnew) {
            // Whatever has one copy only must not be on a machine that loses it.
            let _nobody_writes = self.users.all_wait(self.lan).await;
            settled_and_same(self.lan, &all).await;
        }
        let mut mends = Vec::new();
        let mut hit = Vec::new();
        for (whom, fault) in plots {
            let followers = self.lan.but(&[leader, successor]);
            let machine = match whom {
                Whom::Leader => leader,
                Whom::Successor => successor,
                Whom::Follower => followers[self.between(0, followers.len() as u64 - 1) as usize],
            };
            if hit.contains(&machine) {
                continue;
            }
            hit.push(machine);
            mends.extend(self.strike(whom, machine, fault).await);
            let pause = self.time(0, 600);
            self.lan.pass(pause).await;
        }
        self.mend(mends).await;
        self.lan.settled(&all, 2 * SETTLE + SLACK).await;
        if parts {
            let _nobody_writes = self.users.all_wait(self.lan).await;
            settled_and_same(self.lan, &all).await;
        }
        drop(counting);
        let calm = self.time(100, 700);
        self.lan.pass(calm).await;
    }

    /// The fault, and when it is mended how.
    async fn strike(&mut self, whom: Whom, machine: usize, fault: Fault) -> Option<(Instant, Mend)> {
        let pause = match fault {
            Fault::Frozen => self.time(1000, 3000),
            Fault::Unplugged | Fault::Cut => self.time(500, 5000),
            _ => self.time(50, 2500),
        };
        let text = format!("{whom:?} {} is {fault:?}, for {pause:?}", name(machine));
        self.lan.note(&format!("FAULT: {text}"));
        self.faults.push(format!("{:9.3} {text}", self.begun.elapsed().as_secs_f64()));
        let mend = match fault {
            Fault::Killed => {
                self.lan.signal(machine, Signal::SIGKILL);
                Mend::Start(machine)
            }
            Fault::Stopped => {
                self.lan.signal(machine, Signal::SIGTERM);
                Mend::Start(machine)
            }
            Fault::SetUpAnew => {
                self.lan.signal(machine, Signal::SIGKILL);
                self.lan.ended(&[machine], STOPPED).await;
                forgets(self.lan, machine);
                Mend::Start(machine)
            }
            Fault::Frozen => {
                self.lan.signal(machine, Signal::SIGSTOP);
                Mend::Wake(machine)
            }
            Fault::Unplugged => {
                self.lan.net.plugged(machine, "eth0", false).await;
                Mend::Plug(machine)
            }
            Fault::Cut => {
                self.cut(machine, true).await;
                Mend::Join(machine)
            }
            Fault::HandedOver => {
                self.hand_over(whom, machine);
                return None;
            }
        };
        Some((Instant::now() + pause, mend))
    }

    async fn cut(&mut self, machine: usize, cut: bool) {
        let rest = self.lan.but(&[machine]);
        self.lan.net.cut(&[machine], &rest, cut).await;
        self.lan.net.cut(&rest, &[machine], cut).await;
    }

    /// Asks for a handover, which may be refused for its reasons when there is another fault.
    fn hand_over(&mut self, whom: Whom, machine: usize) {
        let to = (whom != Whom::Leader).then(|| name(machine));
        let client = self.lan.client(machine);
        tokio::spawn(async move {
            let _ = tokio::time::timeout(2 * SETTLE, client.handover(to.as_deref())).await;
        });
    }

    async fn mend(&mut self, mut mends: Vec<(Instant, Mend)>) {
        mends.sort_by_key(|(at, _)| *at);
        for (at, mend) in mends {
            self.lan.pass(at.saturating_duration_since(Instant::now())).await;
            self.lan.note(&format!("mended: {mend:?}"));
            match mend {
                Mend::Start(machine) => {
                    self.lan.ended(&[machine], STOPPED).await;
                    self.lan.start(&[machine]);
                }
                Mend::Wake(machine) => {
                    assert_eq!(self.lan.life(machine), Life::Frozen);
                    self.lan.signal(machine, Signal::SIGCONT);
                }
                Mend::Plug(machine) => self.lan.net.plugged(machine, "eth0", true).await,
                Mend::Join(machine) => self.cut(machine, false).await,
            }
        }
    }
}

/// A machine that is off is set up anew: nothing of what its agent knew is left.
fn forgets(lan: &mut Lan, machine: usize) {
    lan.note(&format!("{} is set up anew", name(machine)));
    let this = &mut lan.machines[machine - 1];
    assert_eq!(this.agent.life, Life::Off, "its agent runs");
    std::fs::remove_dir_all(this.agent.dir.join("state")).expect("it was there");
    this.view = View::default();
}
