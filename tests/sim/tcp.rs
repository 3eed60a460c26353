//! TCP as a host sees it: dials, what two kernels do for a connection, and pipes through a machine in between.

use crate::lan::{Lan, PORT};
use crate::machine::{Event, Pipe, Work};
use crate::network::{Conn, DIAL_MAX, End, FLOW_MAX, Flow, Item, M, Owner, QUIET, SYN_AGAIN, Stage, UNANSWERED, pack};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use tanist::ident::ConnId;
use tanist::message::Frame;
use tanist::protocol::{Closed, Input};

impl Lan {
    fn life_of(&self, m: M) -> u64 {
        self.life(m).expect("it runs")
    }

    pub(crate) fn dial(&mut self, m: M, owner: Owner, to: SocketAddr) {
        let life = self.life_of(m);
        let mine = self.machines[m].nics.iter().find(|nic| nic.up).map(|nic| nic.address);
        let key = self.net.next_conn;
        self.net.next_conn += 1;
        let here = mine.unwrap_or(to.ip());
        let end = |m, owner| End { m, life, owner, open: true, piped: None };
        let conn = Conn {
            ends: [end(m, owner), End { life: 0, open: false, ..end(m, owner) }],
            addresses: [here, to.ip()],
            stage: Stage::Dialing,
            tries: 0,
            flows: [Flow::default(), Flow::default()],
            waiting: Vec::new(),
        };
        self.net.conns.insert(key, conn);
        if let Owner::Core(id) = owner {
            let process = self.machines[m].process.as_mut().expect("it runs");
            assert!(process.conns.insert(id, (key, 0)).is_none(), "contract: {id:?} is dialled twice");
        }
        if mine.is_none() || to.port() != PORT {
            self.plan(self.now + 10, Event::GiveUp { conn: key });
            return;
        }
        self.plan(self.now + DIAL_MAX, Event::GiveUp { conn: key });
        self.send_syn(key);
    }

    fn send_syn(&mut self, key: u64) {
        let delay = self.net.segment(&mut self.dice, SYN_AGAIN);
        self.plan(self.now + delay, Event::Syn { conn: key });
    }

    /// A SYN arrives, or does not; the kernel repeats it.
    pub(crate) fn syn(&mut self, key: u64) {
        let Some(conn) = self.net.conns.get_mut(&key).filter(|c| c.stage == Stage::Dialing && c.ends[0].open) else {
            return;
        };
        let (m, to) = (conn.ends[0].m, conn.addresses[1]);
        conn.tries += 1;
        if conn.ends[1].open {
            return;
        }
        let Some((n, from)) = self.route(m, to).filter(|(n, _)| self.has_tcp(m, *n)) else {
            self.plan(self.now + SYN_AGAIN, Event::Syn { conn: key });
            return;
        };
        let delay = self.net.segment(&mut self.dice, SYN_AGAIN);
        let Some(life) = self.life(n) else {
            self.plan(self.now + delay, Event::Refused { conn: key });
            return;
        };
        let conn = self.net.conns.get_mut(&key).expect("looked at");
        conn.addresses[0] = from;
        // Not known to the process before the handshake is over.
        conn.ends[1] = End { m: n, life, owner: Owner::Core(ConnId(0)), open: true, piped: None };
        self.plan(self.now + delay, Event::SynAck { conn: key });
    }

    pub(crate) fn refused(&mut self, key: u64) {
        let Some(conn) = self.net.conns.get(&key).filter(|c| c.stage == Stage::Dialing && c.ends[0].open) else {
            return;
        };
        let (m, to) = (conn.ends[0].m, conn.addresses[1]);
        match self.owner_of(to).filter(|n| self.passes(*n, m)) {
            Some(_) => self.end_over(key, 0, Closed::Refused),
            None => self.plan(self.now + SYN_AGAIN, Event::Syn { conn: key }),
        }
    }

    fn owner_of(&self, address: IpAddr) -> Option<M> {
        self.machines.iter().position(|n| n.nics.iter().any(|nic| nic.up && nic.address == address))
    }

    pub(crate) fn syn_ack(&mut self, key: u64) {
        let Some(conn) = self.net.conns.get(&key).filter(|c| c.stage == Stage::Dialing && c.ends[0].open) else {
            return;
        };
        let (n, m) = (conn.ends[1].m, conn.ends[0].m);
        if !self.way(key, 1) {
            self.plan(self.now + SYN_AGAIN, Event::SynAck { conn: key });
            return;
        }
        let _ = n;
        let conn = self.net.conns.get_mut(&key).expect("looked at");
        conn.stage = Stage::Open;
        let waiting = std::mem::take(&mut conn.waiting);
        let end = conn.ends[0].clone();
        self.push(key, 0, Item::Shake);
        for item in waiting {
            self.push(key, 0, item);
        }
        let work = match end.owner {
            Owner::Core(conn) => Work::Input(Input::Connected { conn }),
            Owner::Leg(_) => Work::Piped { conn: key, end: 0, what: Pipe::Connected },
        };
        if self.life(m) == Some(end.life) {
            self.deliver(m, work);
        }
    }

    pub(crate) fn give_up(&mut self, key: u64) {
        if self.net.conns.get(&key).is_some_and(|c| c.stage == Stage::Dialing && c.ends[0].open) {
            self.end_over(key, 0, Closed::Local);
        }
    }

    /// Packets pass from that end to the other: both addresses are where they were, and nothing is cut.
    fn way(&self, key: u64, from: usize) -> bool {
        let conn = &self.net.conns[&key];
        let (a, b) = (conn.ends[from].m, conn.ends[1 - from].m);
        let at = |m: M, address| self.machines[m].nics.iter().any(|nic| nic.works() && nic.address == address);
        self.passes(a, b) && self.has_tcp(a, b) && at(a, conn.addresses[from]) && at(b, conn.addresses[1 - from])
    }

    pub(crate) fn send(&mut self, m: M, to: &[ConnId], frame: &Frame) {
        let machine = &self.machines[m];
        let mut bytes = pack(&machine.wire, frame);
        assert!(bytes.len() <= tanist::wire::FRAME_MAX, "bounds: a frame of {} bytes", bytes.len());
        if machine.future {
            let mut more = bytes.to_vec();
            crate::future::more_fields(&mut more);
            bytes = Rc::from(more);
        }
        for conn in to {
            self.sent.frame(frame);
            let machine = &self.machines[m];
            let Some((key, end)) = machine.process.as_ref().and_then(|p| p.conns.get(conn)).copied() else { continue };
            if machine.future && self.dice.chance(0.05) {
                self.push(key, end, Item::Data(Rc::from(crate::future::unknown_frame(&self.machines[m].cluster))));
            }
            self.push(key, end, Item::Data(bytes.clone()));
        }
    }

    fn push(&mut self, key: u64, end: usize, item: Item) {
        let delay = self.net.data_delay(&mut self.dice);
        let now = self.now;
        let Some(conn) = self.net.conns.get_mut(&key) else { return };
        if conn.stage == Stage::Dialing {
            conn.waiting.push(item);
            return;
        }
        let flow = &mut conn.flows[end];
        if let Item::Data(bytes) = &item {
            flow.bytes += bytes.len();
        }
        if flow.bytes > FLOW_MAX {
            self.end_over(key, end, Closed::Local);
            return;
        }
        let at = flow.queue.back().map_or(0, |(at, _)| *at).max(now + delay);
        flow.queue.push_back((at, item));
        if flow.stalled.is_none() {
            self.plan(at, Event::Flow { conn: key, from: end });
        }
    }

    /// What is due in one direction arrives, unless something is in the way.
    pub(crate) fn flow(&mut self, key: u64, from: usize) {
        loop {
            let Some(conn) = self.net.conns.get_mut(&key) else { return };
            let now = self.now;
            let flow = &mut conn.flows[from];
            if flow.stalled.is_some_and(|until| until > now) {
                return;
            }
            flow.stalled = None;
            let Some((at, _)) = flow.queue.front() else { break };
            if *at > now {
                let at = *at;
                self.plan(at, Event::Flow { conn: key, from });
                return;
            }
            if !self.passable(key, from) {
                let flow = &mut self.net.conns.get_mut(&key).expect("looked at").flows[from];
                let again = now + flow.pause();
                flow.stalled = Some(again);
                self.plan(again, Event::Flow { conn: key, from });
                return;
            }
            let conn = self.net.conns.get_mut(&key).expect("looked at");
            let flow = &mut conn.flows[from];
            flow.repeats = 0;
            let (_, item) = flow.queue.pop_front().expect("looked at");
            if let Item::Data(bytes) = &item {
                flow.bytes -= bytes.len();
            }
            self.arrive(key, 1 - from, item);
        }
        self.forget(key);
    }

    /// Data needs the way back too: without acknowledgements a kernel soon only repeats its first packet.
    fn passable(&mut self, key: u64, from: usize) -> bool {
        let (there, back) = (self.way(key, from) && self.fits(key, from), self.way(key, 1 - from));
        let now = self.now;
        let unacked = &mut self.net.conns.get_mut(&key).expect("looked at").flows[from].unacked;
        if !there {
            return false;
        }
        if back {
            *unacked = None;
            return true;
        }
        now - *unacked.get_or_insert(now) < 200_000
    }

    fn has_tcp(&self, a: M, b: M) -> bool {
        !self.net.no_tcp.contains(&a) && !self.net.no_tcp.contains(&b)
    }

    /// What is next in one direction is not too long for the way.
    fn fits(&self, key: u64, from: usize) -> bool {
        let conn = &self.net.conns[&key];
        let narrow = conn.ends.iter().filter_map(|end| self.net.narrow.get(&end.m)).min();
        let longest = narrow.copied().unwrap_or(usize::MAX);
        !matches!(conn.flows[from].queue.front(), Some((_, Item::Data(bytes))) if bytes.len() > longest)
    }

    fn arrive(&mut self, key: u64, end: usize, item: Item) {
        let conn = self.net.conns.get_mut(&key).expect("looked at");
        let (to, other) = (conn.ends[end].clone(), conn.ends[1 - end].clone());
        if !to.open || self.life(to.m) != Some(to.life) {
            // The kernel does not know the connection.
            if other.open {
                let delay = self.net.delay(&mut self.dice);
                self.plan(self.now + delay, Event::Reset { conn: key, end: 1 - end });
            }
            return;
        }
        match item {
            Item::Shake => {
                let id = self.accept(to.m);
                let conn = self.net.conns.get_mut(&key).expect("looked at");
                conn.ends[end].owner = Owner::Core(id);
                let from =
                    SocketAddr::new(conn.addresses[1 - end], 40_000 + u16::try_from(key % 20_000).expect("small"));
                self.machines[to.m].process.as_mut().expect("it runs").conns.insert(id, (key, end));
                self.deliver(to.m, Work::Input(Input::Accepted { conn: id, from }));
            }
            Item::Data(bytes) => match (to.owner, to.piped) {
                (Owner::Core(conn), None) => self.deliver(to.m, Work::Bytes { conn, bytes }),
                _ => self.deliver(to.m, Work::Piped { conn: key, end, what: Pipe::Bytes(bytes) }),
            },
            Item::Fin => self.end_over(key, end, Closed::Reset),
        }
    }

    pub(crate) fn reset(&mut self, key: u64, end: usize) {
        if self.net.conns.get(&key).is_some_and(|c| c.ends[end].open) {
            self.end_over(key, end, Closed::Reset);
        }
    }

    /// One end learns that the connection is over.
    pub(crate) fn end_over(&mut self, key: u64, end: usize, how: Closed) {
        let Some(conn) = self.net.conns.get_mut(&key).filter(|c| c.ends[end].open) else { return };
        conn.ends[end].open = false;
        conn.flows[end].queue.clear();
        let this = conn.ends[end].clone();
        if how == Closed::Local && conn.stage == Stage::Open {
            self.push(key, end, Item::Fin);
        }
        if self.life(this.m) != Some(this.life) {
            return;
        }
        let work = match (this.owner, this.piped) {
            (Owner::Core(id), None) => {
                self.machines[this.m].process.as_mut().expect("it runs").conns.remove(&id);
                Work::Input(Input::Closed { conn: id, how })
            }
            _ => Work::Piped { conn: key, end, what: Pipe::Ended },
        };
        // Through the queue: the core must not be stepped while it performs outputs.
        self.plan(self.now, Event::Work { m: this.m, life: this.life, work: Box::new(work) });
        self.forget(key);
    }

    /// Drops a connection that nobody knows any more.
    fn forget(&mut self, key: u64) {
        let over = self.net.conns.get(&key).is_some_and(|c| {
            c.ends.iter().all(|e| !e.open && e.piped.is_none()) && c.flows.iter().all(|f| f.queue.is_empty())
        });
        if over {
            self.net.conns.remove(&key);
        }
    }

    /// The core, or its process' end, closes: what was given to send goes out first.
    pub(crate) fn close(&mut self, m: M, id: ConnId) {
        let Some((key, end)) = self.machines[m].process.as_mut().and_then(|p| p.conns.remove(&id)) else { return };
        let Some(conn) = self.net.conns.get(&key) else { return };
        if let Some((leg, leg_end)) = conn.ends[end].piped {
            self.hang_up(leg, leg_end, true);
        }
        self.hang_up(key, end, true);
    }

    fn hang_up(&mut self, key: u64, end: usize, kernel: bool) {
        let Some(conn) = self.net.conns.get_mut(&key) else { return };
        if !conn.ends[end].open {
            return;
        }
        conn.ends[end].open = false;
        if !kernel {
            conn.flows[end].queue.clear();
            self.plan(self.now + QUIET, Event::Quiet { conn: key, end: 1 - end });
        } else if conn.stage == Stage::Open {
            self.push(key, end, Item::Fin);
        }
        self.forget(key);
    }

    /// Nothing has been said on a connection for long, for the other end lost its power: the kernel asks whether it is still
    /// there. One that has started again knows nothing of it; of one that is off nothing comes.
    pub(crate) fn quiet(&mut self, key: u64, end: usize) {
        let Some(conn) = self.net.conns.get(&key).filter(|c| c.ends[end].open) else { return };
        let (m, far) = (conn.ends[end].m, conn.ends[1 - end].m);
        if self.passes(m, far) && self.passes(far, m) {
            self.reset(key, end);
        } else {
            self.plan(self.now + UNANSWERED, Event::Reset { conn: key, end });
        }
    }

    /// A process ended. With its kernel alive the others hear of it.
    pub(crate) fn close_all(&mut self, m: M, life: u64, kernel: bool) {
        let mine = |end: &End| end.m == m && end.life == life && end.open;
        let keys: Vec<(u64, usize)> = (self.net.conns.iter())
            .flat_map(|(key, c)| (0..2).filter(|i| mine(&c.ends[*i])).map(|i| (*key, i)))
            .collect();
        for (key, end) in keys {
            self.hang_up(key, end, kernel);
        }
    }

    /// The core asks for a pipe from one of its connections to another machine.
    pub(crate) fn pipe(&mut self, m: M, id: ConnId, to: SocketAddr) {
        let Some((key, end)) = self.machines[m].process.as_ref().and_then(|p| p.conns.get(&id)).copied() else {
            return;
        };
        let leg = self.net.next_conn;
        self.dial(m, Owner::Leg(id), to);
        if let Some(conn) = self.net.conns.get_mut(&key) {
            conn.ends[end].piped = Some((leg, 0));
        }
        if let Some(conn) = self.net.conns.get_mut(&leg) {
            conn.ends[0].piped = Some((key, end));
        }
    }

    pub(crate) fn piped(&mut self, m: M, key: u64, end: usize, what: Pipe) {
        let Some(this) = self.net.conns.get(&key).map(|c| c.ends[end].clone()) else { return };
        let Some((other, other_end)) = this.piped else { return };
        match what {
            Pipe::Connected => {
                let bytes = pack(&self.machines[m].wire, &Frame::ViaReady);
                self.push(other, other_end, Item::Data(bytes));
            }
            Pipe::Bytes(bytes) => self.push(other, other_end, Item::Data(bytes)),
            Pipe::Ended => {
                let dialing = self.net.conns.get(&key).is_some_and(|c| c.stage == Stage::Dialing);
                if matches!(this.owner, Owner::Leg(_)) && dialing {
                    let bytes = pack(&self.machines[m].wire, &Frame::ViaFailed("it did not answer".to_owned()));
                    self.push(other, other_end, Item::Data(bytes));
                }
                self.hang_up(other, other_end, true);
                for (key, end) in [(key, end), (other, other_end)] {
                    if let Some(conn) = self.net.conns.get_mut(&key) {
                        conn.ends[end].piped = None;
                    }
                    self.forget(key);
                }
                let id = match this.owner {
                    Owner::Core(id) | Owner::Leg(id) => id,
                };
                let process = self.machines[m].process.as_mut().expect("it runs");
                if process.conns.remove(&id).is_some() {
                    self.step(m, Input::Closed { conn: id, how: Closed::Reset });
                }
            }
        }
    }

    /// A fault: one connection breaks, for both ends.
    pub(crate) fn break_connection(&mut self, key: u64) {
        for end in 0..2 {
            self.reset(key, end);
        }
    }

    /// Connections that stand between two running processes.
    pub(crate) fn standing(&self) -> Vec<u64> {
        let stands = |c: &Conn| c.stage == Stage::Open && c.ends.iter().all(|e| e.open);
        self.net.conns.iter().filter(|(_, c)| stands(c)).map(|(key, _)| *key).collect()
    }
}
