//! The simulated LAN: machines, an event queue in virtual time, and the loop that delivers inputs and performs outputs.

use crate::clocks::Clock;
use crate::dice::Dice;
use crate::disk::{Disk, Trouble};
use crate::machine::{Event, Machine, Queued, Work};
use crate::network::{M, Network, Nic, Packet, addresses};
use crate::oracle::Oracle;
use crate::tally::Tally;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use tanist::ident::{ConnId, Ticket};
use tanist::message::Cast;
use tanist::protocol::{Closed, Input, Output, To, Write};
use tanist::settings::Settings;
use tanist::store::Store;
use tanist::wire::Wire;

pub(crate) const PORT: u16 = 8264;
/// How many datagrams a socket keeps for a process that does not read them.
const SOCKET_MAX: usize = 256;
/// More machines than the swarm has.
const CROWD: usize = 60;

/// A second, in the simulation's microseconds.
pub(crate) const S: u64 = 1_000_000;

/// The office.
pub(crate) struct Lan {
    pub(crate) now: u64,
    pub(crate) dice: Dice,
    queue: BinaryHeap<Reverse<Queued>>,
    seq: u64,
    pub(crate) lives: u64,
    pub(crate) machines: Vec<Machine>,
    pub(crate) net: Network,
    pub(crate) oracle: Oracle,
    /// Those who ask for data.
    pub(crate) users: crate::users::Users,
    /// What arrived.
    pub(crate) tally: Tally,
    /// What was sent: a broadcast counts once.
    pub(crate) sent: Tally,
    pub(crate) transcript: Option<Vec<String>>,
}

impl Lan {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: 0,
            dice: Dice::new(seed),
            queue: BinaryHeap::new(),
            seq: 0,
            lives: 0,
            machines: Vec::new(),
            net: Network::new(),
            oracle: Oracle::default(),
            users: crate::users::Users::default(),
            tally: Tally::default(),
            sent: Tally::default(),
            transcript: crate::transcript::wanted().then(Vec::new),
        }
    }

    /// A machine on a segment, switched off, with a copy of what `model` has on its disk; a clone has its machine id too.
    pub(crate) fn add_copy_of(&mut self, model: M, segment: u8, clone: bool) -> M {
        let m = self.add(Settings::default(), &[segment]);
        self.copy_disk(model, m, clone);
        m
    }

    /// `to`, switched off, gets a copy of the disk of `from`; a clone gets its machine id too.
    pub(crate) fn copy_disk(&mut self, from: M, to: M, clone: bool) {
        self.machines[to].disk = self.machines[from].disk.copy();
        if clone {
            self.machines[to].machine_id = self.machines[from].machine_id.clone();
        }
        self.oracle.copied(from, to);
    }

    /// A new machine, switched off, with an empty store.
    pub(crate) fn add(&mut self, settings: Settings, segments: &[u8]) -> M {
        let m = self.machines.len();
        let nic = |(segment, address): (&u8, IpAddr)| Nic {
            segment: *segment,
            address,
            up: true,
            dead: false,
            no_broadcast: false,
        };
        let drift = self.dice.below(401).cast_signed() - 200;
        let base = self.dice.between(S, 1_000_000 * S);
        self.machines.push(Machine {
            name: format!("pc-{m}"),
            wire: Wire::new("office"),
            cluster: "office".to_owned(),
            settings,
            version: "0.1.0".to_owned(),
            peers: Vec::new(),
            nics: segments.iter().zip(addresses(segments, 0, m)).map(nic).collect(),
            clock: Clock::new(base, drift),
            disk: Disk::new(),
            damaged: false,
            sync: (100, 2000),
            machine_id: format!("machine-{m}"),
            powered: false,
            asleep: false,
            process: None,
            future: false,
            salt: 0,
        });
        self.oracle.add();
        m
    }

    pub(crate) fn say(&mut self, m: M, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.transcript {
            let (name, now) = (&self.machines[m].name, self.now);
            lines.push(format!("{:>4}.{:06} {name:<5} {}", now / S, now % S, text()));
            crate::transcript::keep(lines);
        }
    }

    pub(crate) fn plan(&mut self, at: u64, event: Event) {
        self.seq += 1;
        self.queue.push(Reverse(Queued { at: at.max(self.now), seq: self.seq, event }));
    }

    pub(crate) fn run(&mut self, microseconds: u64) {
        let end = self.now + microseconds;
        while self.next(end) {}
        self.now = end;
    }

    /// Carries out the next event up to `end`.
    pub(crate) fn next(&mut self, end: u64) -> bool {
        if self.queue.peek().is_none_or(|Reverse(next)| next.at > end) {
            return false;
        }
        let Reverse(Queued { at, event, .. }) = self.queue.pop().expect("looked at");
        self.now = at;
        self.happen(event);
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake { m, life, at } => self.wake(m, life, at),
            Event::Datagram { m, from, packet } => {
                if self.machines[m].on() {
                    self.deliver(m, Work::Datagram { from, packet });
                }
            }
            Event::Work { m, life, work } => {
                if self.life(m) == Some(life) {
                    self.deliver(m, *work);
                }
            }
            Event::Thaw { m } => self.thaw(m),
            Event::Awake { m } => self.awake(m),
            Event::Disk { m, life } => self.disk_done(m, life),
            Event::Data { m, life } => self.data_done(m, life),
            Event::Syn { conn } => self.syn(conn),
            Event::SynAck { conn } => self.syn_ack(conn),
            Event::GiveUp { conn } => self.give_up(conn),
            Event::Refused { conn } => self.refused(conn),
            Event::Flow { conn, from } => self.flow(conn, from),
            Event::Reset { conn, end } => self.reset(conn, end),
            Event::Quiet { conn, end } => self.quiet(conn, end),
        }
    }

    pub(crate) fn life(&self, m: M) -> Option<u64> {
        self.machines[m].process.as_ref().map(|p| p.life)
    }

    /// Gives a process something to do, now or when it runs again.
    pub(crate) fn deliver(&mut self, m: M, work: Work) {
        let Some(process) = &mut self.machines[m].process else { return };
        if process.frozen {
            if matches!(work, Work::Datagram { .. }) {
                if process.waiting_datagrams >= SOCKET_MAX {
                    return;
                }
                process.waiting_datagrams += 1;
            }
            process.inbox.push_back(work);
            return;
        }
        self.take(m, work);
    }

    fn take(&mut self, m: M, work: Work) {
        let Some(process) = &mut self.machines[m].process else { return };
        if process.unread(&work) {
            // A datagram finds its socket full; a stream loses nothing of its middle.
            if !matches!(work, Work::Datagram { .. }) {
                process.inbox.push_back(work);
            }
            return;
        }
        if let Some(input) = self.read(m, work) {
            self.step(m, input);
        }
    }

    /// What this is to the core; none when it is nothing to it, or was dealt with.
    pub(crate) fn read(&mut self, m: M, work: Work) -> Option<Input> {
        match work {
            Work::Input(input) => Some(input),
            Work::Datagram { from, packet } => {
                let wire = &self.machines[m].wire;
                let read = || wire.read_datagram(&packet.bytes).ok();
                let own = packet.cluster == self.machines[m].cluster;
                let read = if own { packet.read.get_or_init(read).clone() } else { read() };
                let Some(datagram) = read else {
                    self.tally.unread += 1;
                    return None;
                };
                self.tally.cast(&datagram.cast);
                Some(Input::Datagram { from, datagram })
            }
            Work::Bytes { conn, bytes } => match self.machines[m].wire.read_frame(&bytes) {
                Ok(frame) => {
                    self.tally.frame(&frame);
                    Some(Input::Frame { conn, frame })
                }
                Err(tanist::wire::Unread::Unknown(_)) => {
                    self.tally.unread += 1;
                    None
                }
                Err(why) => {
                    self.say(m, || format!("   {conn:?} is closed: {why}"));
                    self.close(m, conn);
                    Some(Input::Closed { conn, how: Closed::Local })
                }
            },
            Work::Piped { conn, end, what } => {
                self.piped(m, conn, end, what);
                None
            }
        }
    }

    fn wake(&mut self, m: M, life: u64, at: u64) {
        let Some(process) = &mut self.machines[m].process else { return };
        if process.life != life || process.wake != Some(at) {
            return;
        }
        process.wake = None;
        if process.frozen {
            return;
        }
        let due = process.node.deadline().map(|(time, _)| self.machines[m].clock.when(time));
        if due.is_some_and(|due| due <= self.now) {
            self.step(m, Input::Tick);
        } else {
            self.plan_wake(m);
        }
    }

    /// One step of the core with one input.
    pub(crate) fn step(&mut self, m: M, input: Input) {
        self.step_all(m, vec![input]);
    }

    /// One step of the core, its outputs, and the judgement on both.
    pub(crate) fn step_all(&mut self, m: M, inputs: Vec<Input>) {
        if self.transcript.is_some() {
            for input in inputs.iter().filter(|input| !matches!(input, Input::Tick)) {
                self.say(m, || format!("<- {}", crate::transcript::input(input)));
            }
        }
        let now = self.machines[m].clock.read(self.now);
        let process = self.machines[m].process.as_mut().expect("a step of a running process");
        let (life, taken) = (process.life, inputs.len());
        let mut outputs = Vec::new();
        process.node.step(now, inputs, &mut outputs);
        self.tally.steps += 1;
        // Whoever changes its id hangs up on all who came, and that may be many.
        let closed = outputs.iter().filter(|o| matches!(o, Output::Close { .. })).count();
        let made = outputs.len() - closed;
        // The last changes go to a follower at once, as far as they are kept; users are answered one by one.
        let data = |o: &&Output| {
            matches!(o, Output::Send { frame: tanist::message::Frame::Changes(_), .. } | Output::Answer { .. })
                || matches!(o, Output::Job { job: tanist::protocol::Job::Append { .. }, .. })
        };
        let made = made - outputs.iter().filter(data).count();
        if made > taken * (96 + 12 * self.machines.len()) || closed > tanist::protocol::limits::CONNS {
            for output in &outputs {
                self.say(m, || format!("!! {output:?}"));
            }
            panic!("bounds: one step of pc-{m} has {made} outputs, and closes {closed} connections");
        }
        // Of a crowd everybody hears everybody: a status counts the members, and is looked at when something came of a step.
        let idle = outputs.is_empty() && self.machines.len() > CROWD;
        for output in outputs {
            if let Some(left) = self.machines[m].process.as_mut().and_then(|p| p.dies_after.as_mut()) {
                if *left == 0 {
                    self.say(m, || "== dies between two outputs".to_owned());
                    self.kill(m);
                    return;
                }
                *left -= 1;
            }
            self.perform(m, output);
            if self.life(m) != Some(life) {
                return;
            }
        }
        if !idle {
            self.judge(m);
        }
        self.plan_wake(m);
    }

    fn judge(&mut self, m: M) {
        let process = self.machines[m].process.as_mut().expect("it runs");
        let status = process.node.status();
        if process.shown.as_ref() == Some(&status) {
            return;
        }
        process.shown = Some(status.clone());
        let life = process.life;
        if self.transcript.is_some() {
            self.say(m, || crate::transcript::status(&status));
        }
        self.oracle.status(m, life, &status);
    }

    fn plan_wake(&mut self, m: M) {
        let machine = &mut self.machines[m];
        let process = machine.process.as_mut().expect("it runs");
        let Some((time, _)) = process.node.deadline() else { return };
        // A thread is woken a little late, and now and then later.
        let late = if self.dice.chance(0.01) { self.dice.below(3000) } else { self.dice.below(100) };
        let due = machine.clock.when(time).max(self.now);
        if process.wake.is_some_and(|at| at <= due + 100) {
            return;
        }
        let at = due + late;
        process.wake = Some(at);
        let life = process.life;
        self.plan(at, Event::Wake { m, life, at });
    }

    fn perform(&mut self, m: M, output: Output) {
        if self.transcript.is_some() {
            self.say(m, || format!("   -> {}", crate::transcript::output(&output)));
        }
        self.oracle.output(m, &output, &self.machines[m]);
        output.perform(&mut crate::host::At { lan: self, m });
    }

    pub(crate) fn cast(&mut self, m: M, to: To, cast: &Cast) {
        let machine = &self.machines[m];
        let sender = machine.process.as_ref().expect("it runs").node.sender();
        let mut bytes = machine.wire.datagram(sender, cast);
        if machine.future && !matches!(cast, Cast::Hello(_) | Cast::Question(_)) {
            crate::future::more_fields(&mut bytes);
        }
        assert!(bytes.len() <= tanist::wire::DATAGRAM_MAX, "bounds: a datagram of {} bytes", bytes.len());
        let packet = Packet::new(&machine.cluster, bytes);
        self.send_datagram(m, to, packet);
    }

    pub(crate) fn send_datagram(&mut self, m: M, to: To, packet: Rc<Packet>) {
        if !self.machines[m].on() {
            return;
        }
        match to {
            To::Everyone => {
                for n in 0..self.machines.len() {
                    for (from, _) in self.shared(m, n, true) {
                        self.post(m, n, from, &packet);
                    }
                }
            }
            To::One(to) => {
                if let Some((n, from)) = self.route(m, to.ip()) {
                    self.post(m, n, from, &packet);
                }
            }
        }
    }

    fn post(&mut self, m: M, n: M, from: IpAddr, packet: &Rc<Packet>) {
        for delay in self.net.datagram(m, n, &mut self.dice).into_iter().flatten() {
            let (from, packet) = (SocketAddr::new(from, PORT), packet.clone());
            self.plan(self.now + delay, Event::Datagram { m: n, from, packet });
        }
    }

    /// The segments on which `m` reaches `n` by broadcast: its own address and the other's.
    fn shared(&self, m: M, n: M, broadcast: bool) -> Vec<(IpAddr, IpAddr)> {
        if m == n && !self.net.echo || !self.passes(m, n) || broadcast && self.net.deaf.contains(&(m, n)) {
            return Vec::new();
        }
        let open = |nic: &&Nic| nic.works() && !(broadcast && nic.no_broadcast);
        let mine = self.machines[m].nics.iter().filter(open);
        let theirs = |segment| self.machines[n].nics.iter().filter(open).find(move |nic| nic.segment == segment);
        mine.filter_map(|nic| Some((nic.address, theirs(nic.segment)?.address))).collect()
    }

    /// Packets from `m` get to `n`, when there is a wire.
    pub(crate) fn passes(&self, m: M, n: M) -> bool {
        self.machines[m].on() && self.machines[n].on() && !self.net.cuts.contains(&(m, n))
    }

    /// Who has that address now and gets a packet that `m` sends, and from which address of `m` it comes.
    pub(crate) fn route(&self, m: M, to: IpAddr) -> Option<(M, IpAddr)> {
        let n = self.machines.iter().position(|n| n.nics.iter().any(|nic| nic.works() && nic.address == to))?;
        if !self.passes(m, n) {
            return None;
        }
        let segment = self.machines[n].nics.iter().find(|nic| nic.address == to)?.segment;
        // The host sends by the card on which it hears the other.
        let mine = self.machines[m].nics.iter().filter(|nic| nic.works());
        let direct = mine.clone().find(|nic| nic.segment == segment);
        let from = direct.or_else(|| self.net.routed.then(|| mine.clone().next()).flatten())?;
        Some((n, from.address))
    }

    pub(crate) fn accept(&mut self, m: M) -> ConnId {
        let process = self.machines[m].process.as_mut().expect("it runs");
        process.next_accepted += 1;
        ConnId(process.next_accepted - 1)
    }

    pub(crate) fn persist(&mut self, m: M, ticket: Ticket, writes: &[Write]) {
        let machine = &mut self.machines[m];
        let process = machine.process.as_mut().expect("it runs");
        let done = match &mut process.store {
            Some(store) => store.apply(writes).map_err(|why| why.to_string()),
            None => Err("the store failed".to_owned()),
        };
        if done.is_err() {
            process.store = None;
        }
        let mark = machine.disk.mark();
        let last = process.writes.back().map_or(0, |w| w.2);
        let (low, high) = machine.sync;
        let at = last.max(self.now) + self.dice.between(low, high);
        process.writes.push_back((ticket, mark, at, done));
        let life = process.life;
        self.oracle.begun(m, ticket, writes);
        self.plan(at, Event::Disk { m, life });
    }

    /// The oldest write comes back, unless the disk is stuck.
    pub(crate) fn disk_done(&mut self, m: M, life: u64) {
        if self.life(m) != Some(life) || self.machines[m].disk.trouble() == Trouble::Stuck {
            return;
        }
        // A disk that hung is asked again for everything.
        self.data_done(m, life);
        let mut reports = Vec::new();
        while let Some(process) = self.machines[m].process.as_mut().filter(|p| p.life == life) {
            if process.writes.front().is_none_or(|w| w.2 > self.now) {
                break;
            }
            let machine = &mut self.machines[m];
            let process = machine.process.as_mut().expect("it runs");
            let (ticket, mark, _, done) = process.writes.pop_front().expect("looked at");
            machine.disk.complete(mark);
            if done.is_err() && process.store.is_none() && process.writes.is_empty() {
                // The real store opens its file anew after a failure.
                process.store = Store::with_backend(machine.disk.open()).ok();
            }
            self.oracle.durable(m, ticket, done.is_ok());
            match (done, reports.last_mut()) {
                // As the real disk's thread does it: one report for all that were done at once.
                (Ok(()), Some(Input::Persisted { through })) => *through = ticket,
                (Ok(()), _) => reports.push(Input::Persisted { through: ticket }),
                (Err(why), _) => reports.push(Input::NotPersisted { ticket, why }),
            }
        }
        for report in reports {
            if self.life(m) == Some(life) {
                self.deliver(m, Work::Input(report));
            }
        }
    }

    /// Tells a running agent what its links are now.
    pub(crate) fn links_changed(&mut self, m: M) {
        let links = self.machines[m].links();
        self.say(m, || format!("== links: {links:?}"));
        self.deliver(m, Work::Input(Input::Links(links)));
    }
}
