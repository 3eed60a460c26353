//! What each fault of the swarm does.

use super::Run;
use crate::disk::Trouble;
use crate::machine::Illness;
use crate::network::M;
use crate::script::ms;
use tanist::claim::Claim;
use tanist::ident::{BootId, Incarnation, NodeId};
use tanist::message::{Cast, Heartbeat, Notice, Sender};
use tanist::protocol::To;
use tanist::time::Wall;
use tanist::wire::Wire;

impl Run {
    pub(super) fn weather(&mut self, fault: &str) {
        let dice = &mut self.dice;
        let (a, b) = (dice.index(self.lan.machines.len()), dice.index(self.lan.machines.len()));
        let net = &mut self.lan.net;
        let weather = &mut net.weather;
        let on = dice.chance(0.6);
        match fault {
            "loss" => (weather.loss, weather.tcp_loss) = if on { (dice.unit() * 0.3, 0.0) } else { (0.0, 0.0) },
            "loss of all packets" => {
                (weather.loss, weather.tcp_loss) = if on { (0.1, dice.unit() * 0.1) } else { (0.0, 0.0) };
            }
            "doubling" => weather.double = if on { dice.unit() * 0.3 } else { 0.0 },
            "reordering" => (weather.late, weather.late_max) = if on { (dice.unit() * 0.3, ms(5)) } else { (0.0, 0) },
            "delay" => weather.delay = if on { (ms(1), ms(dice.between(2, 30))) } else { (50, 250) },
            _ if on => {
                net.bad.insert((a, b), dice.unit());
            }
            _ => net.bad.clear(),
        }
    }

    pub(super) fn cut(&mut self, fault: &str) {
        let n = self.lan.machines.len();
        if self.dice.chance(0.5) {
            self.lan.net.cuts.clear();
            self.lan.net.deaf.clear();
        }
        let (a, b) = (self.anyone(), self.victim());
        match fault {
            "cut" => {
                let part = self.dice.part(n);
                self.lan.split(&part);
            }
            "one-way cut" => {
                for m in self.dice.part(n) {
                    self.lan.cut_one_way(m, b);
                }
            }
            "no broadcast" => self.lan.no_broadcast(a),
            _ => {
                if a != b {
                    self.lan.cut(a, b);
                }
            }
        }
        let pause = ms(self.dice.between(50, 20_000));
        self.lan.run(pause);
        if self.dice.chance(0.7) {
            self.lan.net.cuts.clear();
        }
    }

    pub(super) fn crash(&mut self, fault: &str) {
        let m = self.victim();
        let n = self.lan.machines.len();
        let pause = ms(*self.dice.pick(&[0, 1, 20, 300, 3000, 20_000]));
        let mut hit = vec![m];
        match fault {
            "crash" => self.lan.kill(m),
            "restart" => {
                let order = self.dice.below(2) == 0;
                if order { self.lan.stop(m) } else { self.lan.restart(m) }
            }
            "crash between outputs" => {
                let after = u32::try_from(self.dice.below(12)).expect("small");
                if let Some(process) = &mut self.lan.machines[m].process {
                    process.dies_after = Some(after);
                }
            }
            "power cut" => self.lan.power_cut(m),
            "power cut of several" => {
                hit = self.dice.part(n);
                hit.iter().for_each(|m| self.lan.power_cut(*m));
            }
            "power cut of all" => {
                hit = (0..n).collect();
                self.lan.power_cut_all();
            }
            _ => {
                self.clone_of(m, fault == "clone");
                return;
            }
        }
        self.lan.run(pause);
        let together = self.dice.chance(0.5);
        for m in hit {
            if !together {
                let pause = ms(self.dice.below(500));
                self.lan.run(pause);
            }
            self.lan.boot(m);
        }
    }

    /// Another machine starts from a copy of this one's disk; with `same`, its machine id was copied too.
    pub(super) fn clone_of(&mut self, m: M, same: bool) {
        let free: Vec<M> = (0..self.lan.machines.len()).filter(|n| *n != m).collect();
        let to = *self.dice.pick(&free);
        self.lan.power_cut(to);
        self.lan.copy_disk(m, to, same);
        self.lan.boot(to);
    }

    pub(super) fn disk(&mut self, fault: &str) {
        let m = self.victim();
        let trouble = match fault {
            "full disk" => Trouble::Full,
            "failing disk" => Trouble::Failing,
            _ => Trouble::Stuck,
        };
        self.lan.say(m, || format!("== {trouble:?} disk"));
        self.lan.machines[m].disk.set_trouble(trouble);
        // Something has to be written for anybody to notice.
        self.lan.machines[m].sync = (100, 2000);
        let pause = ms(self.dice.between(100, 8000));
        self.lan.run(pause);
        self.lan.machines[m].disk.set_trouble(Trouble::None);
        if let Some(life) = self.lan.life(m) {
            self.lan.disk_done(m, life);
        }
    }

    /// A path, or a card, that carries a part of what it is given.
    pub(super) fn path(&mut self, fault: &str) {
        let m = self.victim();
        match fault {
            "narrow path" => {
                let longest = usize::try_from(self.dice.between(500, 2000)).expect("small");
                self.lan.net.narrow.insert(m, longest);
                let pause = ms(self.dice.between(100, 30_000));
                self.lan.run(pause);
                self.lan.net.narrow.clear();
            }
            "dead card" => {
                self.lan.machines[m].nics[0].dead = true;
                let pause = ms(self.dice.between(100, 20_000));
                self.lan.run(pause);
                self.lan.machines[m].nics[0].dead = false;
            }
            "no TCP" => {
                self.lan.net.no_tcp.insert(m);
                let pause = ms(self.dice.between(100, 20_000));
                self.lan.run(pause);
                self.lan.net.no_tcp.clear();
            }
            _ => unreachable!("no such path: {fault}"),
        }
    }

    pub(super) fn other(&mut self, fault: &str) {
        let m = self.victim();
        match fault {
            "TCP break" => {
                let standing = self.lan.standing();
                if !standing.is_empty() {
                    let key = *self.dice.pick(&standing);
                    self.lan.break_connection(key);
                }
            }
            "stop" => {
                self.lan.stop(m);
                let pause = ms(self.dice.between(10, 5000));
                self.lan.run(pause);
                self.lan.boot(m);
            }
            "handover" | "handover by a follower" => {
                let leaders = self.lan.leaders();
                let m = if fault == "handover" && !leaders.is_empty() { *self.dice.pick(&leaders) } else { m };
                let to = self.dice.chance(0.5).then(|| self.anyone());
                self.requests += 1;
                match to {
                    // By a follower mostly, which passes it on.
                    Some(who) if self.requests.is_multiple_of(4) => {
                        let by = (m + 1) % self.lan.machines.len();
                        self.lan.asks_to_forget(by, self.requests, who);
                    }
                    Some(_) if self.requests % 4 == 1 => self.lan.asks_to_look(m, self.requests),
                    to => self.lan.handover(m, self.requests, to),
                }
            }
            "stall" => {
                let stall = ms(*self.dice.pick(&[30, 300, 900, 3000, 10_000]));
                self.lan.freeze(m, stall);
            }
            "sleep" => {
                let sleep = ms(self.dice.between(100, 60_000));
                self.lan.sleep(m, sleep);
            }
            "clock jump" => {
                let seconds = self.dice.between(1, 40_000_000).cast_signed();
                let seconds = if self.dice.chance(0.5) { -seconds } else { seconds };
                self.lan.jump_clock(m, seconds);
            }
            "leave and return" => {
                self.lan.isolate(m);
                let pause = ms(self.dice.between(100, 15_000));
                self.lan.run(pause);
                self.lan.net.cuts.clear();
            }
            "link down" if self.lan.machines[m].on() => {
                self.lan.link_down(m, 0);
                let pause = ms(self.dice.between(100, 8000));
                self.lan.run(pause);
                self.lan.link_up(m, 0);
            }
            "address change" if self.lan.machines[m].on() => self.lan.new_address(m),
            "deaf process" => {
                if let Some(process) = &mut self.lan.machines[m].process {
                    process.illness = Illness::Deaf;
                }
                let pause = ms(self.dice.between(500, 10_000));
                self.lan.run(pause);
                self.lan.cure(m);
            }
            "later version" => self.lan.machines[m].future = !self.lan.machines[m].future,
            _ => {}
        }
    }

    /// Somebody sends what no agent would.
    pub(super) fn poison(&mut self) {
        let from = self.anyone();
        let huge = *self.dice.pick(&[u64::MAX, u64::MAX - 1, 1 << 40, 1 << 33, 77]);
        let id = match self.lan.status(from).filter(|_| self.dice.chance(0.5)) {
            Some(status) => status.node,
            None => Incarnation { id: NodeId::from_random(self.dice.uuid_bits()), boot: BootId(self.dice.bits()) },
        };
        let at = Wall(*self.dice.pick(&[0, 1, u64::MAX, u64::MAX / 2]));
        let claim = Claim { epoch: huge, at, node: id };
        let sender = Sender { node: id, name: "intruder".to_owned(), port: crate::lan::PORT };
        let beat = Heartbeat { claim, successor: None, followers: u32::MAX, seq: u64::MAX };
        let cast = if self.dice.chance(0.5) { Cast::Heartbeat(beat) } else { Cast::Notice(Notice { claim }) };
        let mut bytes = Wire::new("office").datagram(&sender, &cast);
        if self.dice.chance(0.2) {
            let at = self.dice.index(bytes.len());
            bytes[at] ^= 1 << self.dice.below(8);
        }
        self.lan.inject(from, To::Everyone, bytes);
    }
}
