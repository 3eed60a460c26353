//! How simulated machines start, and how they end, stand still and sleep.

use crate::disk::{Disk, Trouble};
use crate::lan::{Lan, PORT, S};
use crate::machine::{Event, Illness, Process, Work};
use crate::network::M;
use std::collections::{BTreeMap, VecDeque};
use tanist::ident::{BootId, ConnId, Incarnation, NodeId};
use tanist::protocol::{Input, Node, Start};
use tanist::store::{Identity, Store};

/// How much of what waited is taken in one step.
const TOGETHER: usize = 64;

impl Lan {
    /// Switches a machine on, or starts its agent again.
    pub(crate) fn boot(&mut self, m: M) {
        if self.machines[m].process.is_some() {
            return;
        }
        if !self.machines[m].powered {
            self.machines[m].powered = true;
            let base = self.dice.between(S, 60 * S);
            let now = self.now;
            self.machines[m].clock.reboot(now, base);
        }
        self.machines[m].asleep = false;
        let (node, store, identity) = self.open_store(m);
        self.lives += 1;
        let life = self.lives;
        let boot = BootId(self.dice.bits());
        let durable = store.durable().expect("a store that opened can be read");
        self.oracle.opened(m, &durable);
        let seed = self.dice.bits();
        let data = self.open_data(m);
        let machine = &self.machines[m];
        let start = Start {
            node: Incarnation { id: node, boot },
            name: machine.name.clone(),
            port: PORT,
            version: machine.version.clone(),
            settings: machine.settings.clone(),
            peers: machine.peers.clone(),
            seed,
            durable,
            data: data.position(),
        };
        let _ = identity;
        let now = machine.clock.read(self.now);
        let process = Process {
            node: Node::new(start, now),
            store: Some(store),
            life,
            next_accepted: ConnId::FIRST_ACCEPTED,
            conns: BTreeMap::new(),
            inbox: VecDeque::new(),
            waiting_datagrams: 0,
            frozen: false,
            wake: None,
            writes: VecDeque::new(),
            data,
            illness: Illness::None,
            dies_after: None,
            shown: None,
            stopping: false,
        };
        self.machines[m].process = Some(process);
        self.say(m, || format!("== starts as {node:?}/{boot:?}"));
        let links = self.machines[m].links();
        self.deliver(m, Work::Input(Input::Links(links)));
    }

    /// Opens the store as the real host does: an image of another machine gets a new id; what is damaged is set aside.
    fn open_store(&mut self, m: M) -> (NodeId, Store, Identity) {
        let mut store = match Store::with_backend(self.machines[m].disk.open()) {
            Ok(store) => store,
            Err(why) => {
                assert!(!self.oracle.holds_something(m), "the store of pc-{m} did not survive a crash: {why}");
                self.machines[m].disk = Disk::new();
                Store::with_backend(self.machines[m].disk.open()).expect("a new disk is good")
            }
        };
        let fresh = NodeId::from_random(self.dice.uuid_bits());
        let here = &self.machines[m].machine_id;
        let found = store.identity().expect("a store that opened can be read").filter(|i| i.machine == *here);
        let identity = found.unwrap_or_else(|| Identity { id: fresh, machine: here.clone() });
        // A disk in trouble at the start ends the real agent; here the trouble waits until the agent runs.
        let disk = self.machines[m].disk.clone();
        let trouble = disk.trouble();
        disk.set_trouble(Trouble::None);
        store.set_identity(&identity).expect("the disk works");
        disk.set_trouble(trouble);
        disk.complete(disk.mark());
        (identity.id, store, identity)
    }

    pub(crate) fn stopped(&mut self, m: M) {
        self.say(m, || "== stopped".to_owned());
        self.end_process(m);
        let disk = self.machines[m].disk.clone();
        disk.complete(disk.mark());
        disk.process_died(&mut self.dice);
    }

    /// kill -9: the kernel lives and closes what was open.
    pub(crate) fn kill(&mut self, m: M) {
        if self.machines[m].process.is_none() {
            return;
        }
        self.say(m, || "== killed".to_owned());
        let disk = self.machines[m].disk.clone();
        disk.process_died(&mut self.dice);
        self.end_process(m);
    }

    fn end_process(&mut self, m: M) {
        let Some(process) = self.machines[m].process.take() else { return };
        self.oracle.ended(m, self.now);
        self.close_all(m, process.life, true);
    }

    /// The power goes: nobody hears of it.
    pub(crate) fn power_cut(&mut self, m: M) {
        self.say(m, || "== power cut".to_owned());
        let disk = self.machines[m].disk.clone();
        disk.power_cut(&mut self.dice);
        self.machines[m].powered = false;
        if let Some(process) = self.machines[m].process.take() {
            self.oracle.ended(m, self.now);
            self.close_all(m, process.life, false);
        }
    }

    /// The power goes, and what the disk had of the data is not what was written any more.
    pub(crate) fn damage(&mut self, m: M) {
        self.power_cut(m);
        let disk = self.machines[m].disk.clone();
        let place = disk.damage(&mut self.dice);
        self.machines[m].damaged = true;
        self.say(m, || format!("== {place} is damaged"));
    }

    /// Wherever the tables of a machine that is off have this text, they have another.
    pub(crate) fn alter(&mut self, m: M, text: &[u8]) {
        let places = self.machines[m].disk.alter("data.redb", text);
        assert!(places > 0, "pc-{m} has none of it");
        self.machines[m].damaged = true;
        self.say(m, || format!("== altered in {places} places"));
    }

    /// The process stands still; its machine's kernel does not.
    pub(crate) fn freeze(&mut self, m: M, microseconds: u64) {
        if let Some(process) = &mut self.machines[m].process {
            process.frozen = true;
            self.say(m, || format!("== frozen for {} ms", microseconds / 1000));
            self.plan(self.now + microseconds, Event::Thaw { m });
        }
    }

    pub(crate) fn thaw(&mut self, m: M) {
        if self.machines[m].asleep {
            return;
        }
        let Some(process) = self.machines[m].process.as_mut().filter(|p| p.frozen) else { return };
        process.frozen = false;
        process.waiting_datagrams = 0;
        let life = process.life;
        self.say(m, || "== runs again".to_owned());
        self.read_what_waited(m);
        if self.life(m) == Some(life) {
            self.step(m, Input::Tick);
        }
    }

    /// Its process was ill, and is well again.
    pub(crate) fn cure(&mut self, m: M) {
        let Some(process) = self.machines[m].process.as_mut() else { return };
        process.illness = Illness::None;
        if !process.frozen {
            self.read_what_waited(m);
        }
    }

    /// What waited is taken as the real host takes it: much of it in one step.
    fn read_what_waited(&mut self, m: M) {
        let Some(process) = self.machines[m].process.as_mut() else { return };
        let (inbox, life) = (std::mem::take(&mut process.inbox), process.life);
        let mut together = Vec::new();
        for work in inbox {
            if self.life(m) != Some(life) {
                return;
            }
            let process = self.machines[m].process.as_mut().expect("it runs");
            if process.frozen || process.unread(&work) {
                self.deliver(m, work);
                continue;
            }
            together.extend(self.read(m, work));
            if together.len() >= TOGETHER {
                self.step_all(m, std::mem::take(&mut together));
            }
        }
        if self.life(m) == Some(life) && !together.is_empty() {
            self.step_all(m, together);
        }
    }

    /// The whole machine is off the network and does nothing; its clocks go on.
    pub(crate) fn sleep(&mut self, m: M, microseconds: u64) {
        if !self.machines[m].on() {
            return;
        }
        self.say(m, || format!("== sleeps for {} ms", microseconds / 1000));
        self.machines[m].asleep = true;
        if let Some(process) = &mut self.machines[m].process {
            process.frozen = true;
        }
        self.plan(self.now + microseconds, Event::Awake { m });
    }

    pub(crate) fn awake(&mut self, m: M) {
        if self.machines[m].asleep {
            self.machines[m].asleep = false;
            self.thaw(m);
        }
    }
}
