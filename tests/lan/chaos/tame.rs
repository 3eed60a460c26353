//! One fault at a time, and what it may change.

use super::Chaos;
use crate::lan::{Reign, SETTLE};
use crate::net::name;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// Who may lead after a fault.
#[derive(Debug)]
enum After {
    /// The same; one machine may have led itself meanwhile.
    Same(Option<usize>),
    /// The successor, and nobody else since.
    Successor,
    /// The successor, or the same one: still, or again, when the successor led for less time than it takes to be followed.
    SameOrSuccessor,
    /// The same one, still or again, or one other.
    SameOrOther,
}

const FAULTS: [&str; 16] = [
    "a follower is killed",
    "a follower is ended",
    "a follower stands still",
    "a follower loses its cable",
    "a follower is separated",
    "the leader stands still for a moment",
    "one link is cut",
    "datagrams are lost",
    "packets are lost",
    "an address changes",
    "the leader is killed",
    "the leader is ended",
    "a handover",
    "the leader stands still",
    "the leader is separated",
    "the leader loses its cable",
];

impl Chaos<'_> {
    /// One fault, from calm to calm.
    pub(super) async fn tame(&mut self) {
        let all = self.lan.all();
        let before = self.lan.settled(&all, SETTLE).await;
        let heir = self.lan.successor(&all).await;
        let fault = self.pick(&FAULTS).expect("there are some");
        self.stopped.clear();
        let began = Instant::now();
        let after = self.one_fault(fault, &before).await;
        let last = self.broken.iter().map(|(at, _)| *at).max().unwrap_or(began + Duration::from_secs(1));
        self.pass_until(last).await;
        let reign = self.lan.settled(&all, SETTLE + crate::lan::SLACK).await;
        // Where a cable was out, the kernel asks for addresses again, once a second: until then broadcasts pass alone. And
        // a session from an address that is gone ends with the next ping, once a second, that nobody answers.
        let calm = if fault.contains("cable") || fault.contains("address") { 2_000 } else { 500 };
        let reign = self.still(Duration::from_millis(calm), reign).await;
        let others = self.lan.leaders_since(began);
        let told = format!("P2: {fault}: {after:?}; {before:?}, successor {heir}; then {others:?} led; now {reign:?}");
        let same = reign.leader == before.leader;
        let good = match after {
            After::Same(alone) => same && others.len() <= 1 && others.iter().all(|other| Some(*other) == alone),
            After::Successor => reign.leader == heir && others == [heir],
            After::SameOrSuccessor => others.is_empty() && same || others == [heir] && (same || reign.leader == heir),
            After::SameOrOther => others.is_empty() && same || others.len() == 1 && (same || others == [reign.leader]),
        };
        assert!(good || self.starved(began), "{told}");
        self.promises();
    }

    async fn one_fault(&mut self, fault: &str, before: &Reign) -> After {
        let leader = before.leader;
        let follower = self.pick(&self.lan.but(&[leader])).expect("there are some");
        let one = self.pick(&self.lan.all()).expect("there are some");
        let pause = self.time(50, 3500);
        match fault {
            "a follower is killed" => self.kill(follower, Signal::SIGKILL, pause).await,
            "a follower is ended" => self.kill(follower, Signal::SIGTERM, pause).await,
            "a follower stands still" => self.stop(follower, pause),
            "a follower loses its cable" => {
                self.unplug(follower, 2 * pause).await;
                return After::Same(Some(follower));
            }
            "a follower is separated" => {
                self.separate(&[follower], 2 * pause).await;
                return After::Same(Some(follower));
            }
            "the leader stands still for a moment" => {
                let moment = self.time(10, 400);
                self.stop(leader, moment);
            }
            "one link is cut" => {
                let other = self.pick(&self.lan.but(&[one])).expect("there are some");
                let pairs = if self.between(0, 1) == 0 { vec![(one, other)] } else { vec![(one, other), (other, one)] };
                self.cut(pairs, pause).await;
            }
            "datagrams are lost" => {
                let percent = self.between(1, 30) as u32;
                self.lose(percent, false, 2 * pause).await;
            }
            "packets are lost" => {
                let percent = self.between(1, 10) as u32;
                self.lose(percent, true, 2 * pause).await;
            }
            "an address changes" => self.new_address(one).await,
            "the leader is killed" => {
                self.kill(leader, Signal::SIGKILL, pause).await;
                return After::Successor;
            }
            "the leader is ended" => {
                self.kill(leader, Signal::SIGTERM, pause).await;
                return After::Successor;
            }
            "a handover" => {
                self.hand_over(one, true);
                let what = format!("somebody took over from {}", name(leader));
                let begun = before.epoch;
                self.lan
                    .until(SETTLE, &what, async |lan| lan.reigns().any(|reign| reign.2 > begun).then_some(()))
                    .await;
                return After::Successor;
            }
            "the leader stands still" => {
                self.stop(leader, pause);
                return After::SameOrSuccessor;
            }
            "the leader is separated" => {
                self.separate(&[leader], pause).await;
                return After::SameOrOther;
            }
            "the leader loses its cable" => {
                self.unplug(leader, pause).await;
                return After::SameOrSuccessor;
            }
            other => unreachable!("{other}"),
        }
        After::Same(None)
    }
}
