//! The verbs of the stories.

use crate::lan::{Lan, PORT, S};
use crate::machine::Work;
use crate::network::{M, Packet, Weather, addresses};
use crate::oracle::Change;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use tanist::claim::Claim;
use tanist::event::Kind;
use tanist::message::MemberState;
use tanist::protocol::{Input, MemberView, RoleName, Status, To};
use tanist::settings::Settings;

/// Seconds.
pub(crate) const fn s(n: u64) -> u64 {
    n * S
}

/// Milliseconds.
pub(crate) const fn ms(n: u64) -> u64 {
    n * 1000
}

/// The defaults, with another priority.
pub(crate) fn priority(priority: u8) -> Settings {
    let mut settings = Settings::default();
    settings.priority = priority;
    settings
}

impl Lan {
    /// `n` machines on one segment, all switched off.
    pub(crate) fn dark(seed: u64, n: usize) -> Lan {
        let mut lan = Lan::new(seed);
        for _ in 0..n {
            lan.add(Settings::default(), &[0]);
        }
        lan
    }

    /// An office that has settled: the machines were switched on within a second.
    pub(crate) fn office(seed: u64, n: usize) -> Lan {
        let mut lan = Lan::dark(seed, n);
        lan.boot_all_within(s(1));
        lan.run(s(8));
        lan.expect_one_leader();
        lan
    }

    /// An office in which pc-0 leads: it was switched on first.
    pub(crate) fn office_of_first(seed: u64, n: usize) -> Lan {
        let mut lan = Lan::dark(seed, n);
        lan.boot(0);
        lan.run(s(2));
        lan.boot_all_within(s(1));
        lan.run(s(8));
        lan.expect_leader(0);
        lan
    }

    pub(crate) fn boot_all_within(&mut self, microseconds: u64) {
        let mut order: Vec<(u64, M)> =
            (0..self.machines.len()).map(|m| (self.dice.below(microseconds + 1), m)).collect();
        order.sort_unstable();
        let start = self.now;
        for (at, m) in order {
            self.run(start + at - self.now);
            self.boot(m);
        }
    }

    pub(crate) fn status(&self, m: M) -> Option<Status> {
        self.machines[m].process.as_ref().map(|p| p.node.status())
    }

    /// What users of this machine see of the members.
    pub(crate) fn members_at(&self, m: M) -> Vec<MemberView> {
        let process = self.machines[m].process.as_ref().expect("it runs");
        process.node.members(self.machines[m].clock.read(self.now))
    }

    /// Everybody who runs shows this one in this state, and with a place in the line of succession only when it is alive.
    pub(crate) fn expect_state(&self, of: M, state: MemberState) {
        let name = &self.machines[of].name;
        for m in self.running().into_iter().filter(|m| *m != of) {
            let all = self.members_at(m);
            let view = all.iter().find(|v| v.member.name == *name).unwrap_or_else(|| panic!("pc-{m} has no {name}"));
            assert_eq!(view.member.state, state, "{name} as pc-{m} sees it");
            assert!(view.place.is_none() || state == MemberState::Alive, "{name} has a place at pc-{m}: {view:?}");
        }
    }

    pub(crate) fn role(&self, m: M) -> Option<RoleName> {
        self.status(m).map(|s| s.role)
    }

    pub(crate) fn shown(&self, m: M) -> Claim {
        self.status(m).and_then(|s| s.shown).unwrap_or_else(|| panic!("pc-{m} shows no reign"))
    }

    pub(crate) fn running(&self) -> Vec<M> {
        (0..self.machines.len()).filter(|m| self.machines[*m].process.is_some()).collect()
    }

    pub(crate) fn leaders(&self) -> Vec<M> {
        self.running().into_iter().filter(|m| self.role(*m) == Some(RoleName::Leading)).collect()
    }

    /// The one that leads.
    pub(crate) fn leader(&self) -> M {
        let leaders = self.leaders();
        assert!(leaders.len() == 1, "P1: one leader is expected, and there are {leaders:?}");
        leaders[0]
    }

    /// The machine that the leader has named.
    pub(crate) fn successor(&self) -> M {
        let who = self.status(self.leader()).and_then(|s| s.successor).expect("a successor is named");
        self.machine_of(who.node.id).expect("it runs")
    }

    /// Whether that member has a place in this one's line of succession.
    pub(crate) fn in_line(&self, here: M, m: M) -> bool {
        let (machine, id) = (&self.machines[here], self.status(m).map(|s| s.node.id));
        let node = machine.process.as_ref().map(|process| &process.node);
        let members = node.map(|node| node.members(machine.clock.read(self.now))).unwrap_or_default();
        members.iter().any(|view| Some(view.member.node.id) == id && view.place.is_some())
    }

    pub(crate) fn machine_of(&self, id: tanist::ident::NodeId) -> Option<M> {
        self.running().into_iter().find(|m| self.status(*m).is_some_and(|s| s.node.id == id))
    }

    pub(crate) fn followers(&self) -> Vec<M> {
        let leader = self.leader();
        self.running().into_iter().filter(|m| *m != leader).collect()
    }

    /// P1 for all who run.
    pub(crate) fn expect_one_leader(&self) -> M {
        let all = self.running();
        self.expect_one_among(&all)
    }

    pub(crate) fn expect_leader(&self, m: M) {
        assert_eq!(self.expect_one_leader(), m, "P1: pc-{m} is expected to lead");
    }

    /// P1 for one set: exactly one leads and all name it.
    pub(crate) fn expect_one_among(&self, set: &[M]) -> M {
        if let Err(why) = self.one_among(set) {
            panic!("P1: {why}");
        }
        set.iter().copied().find(|m| self.role(*m) == Some(RoleName::Leading)).expect("checked")
    }

    pub(crate) fn one_among(&self, set: &[M]) -> Result<(), String> {
        let view = |m: &M| {
            let status = self.status(*m);
            let text = |s: Status| {
                format!("{:?}, {:?}, follows {}", s.role, s.shown, s.leader.map_or("nobody".to_owned(), |w| w.name))
            };
            format!("pc-{m}: {}", status.map_or("is off".to_owned(), text))
        };
        let all = || set.iter().map(view).collect::<Vec<_>>().join("; ");
        let leaders: Vec<M> = set.iter().copied().filter(|m| self.role(*m) == Some(RoleName::Leading)).collect();
        let [leader] = leaders[..] else { return Err(format!("{} leaders among: {}", leaders.len(), all())) };
        let claim = self.shown(leader);
        for m in set {
            let status = self.status(*m).ok_or_else(|| format!("pc-{m} does not run"))?;
            let names = status.leader.as_ref().map(|w| w.node) == Some(claim.node);
            if !names || status.shown != Some(claim) {
                return Err(format!("pc-{m} does not name pc-{leader}: {}", all()));
            }
        }
        Ok(())
    }

    /// Runs until it is so, at most `microseconds`; says how long it took.
    pub(crate) fn run_until(&mut self, microseconds: u64, what: &str, so: impl Fn(&Lan) -> bool) -> u64 {
        let start = self.now;
        let end = start + microseconds;
        while !so(self) {
            assert!(self.next(end), "{what}: not within {} ms", microseconds / 1000);
        }
        self.now - start
    }

    /// Runs until one leads and all name it.
    pub(crate) fn settle_within(&mut self, microseconds: u64) -> u64 {
        let end = self.now + microseconds;
        let start = self.now;
        while self.one_among(&self.running()).is_err() {
            if self.now >= end {
                self.expect_one_leader();
            }
            let step = ms(5).min(end - self.now);
            self.run(step);
        }
        self.now - start
    }

    pub(crate) fn kill_leader(&mut self) -> M {
        let leader = self.leader();
        self.kill(leader);
        leader
    }

    pub(crate) fn restart(&mut self, m: M) {
        self.kill(m);
        self.boot(m);
    }

    pub(crate) fn cut(&mut self, a: M, b: M) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    pub(crate) fn cut_one_way(&mut self, from: M, to: M) {
        self.say(from, || format!("== cut towards pc-{to}"));
        self.net.cuts.insert((from, to));
    }

    pub(crate) fn heal(&mut self, a: M, b: M) {
        self.say(a, || format!("== healed with pc-{b}"));
        self.net.cuts.remove(&(a, b));
        self.net.cuts.remove(&(b, a));
    }

    /// Cuts a set off from everybody else.
    pub(crate) fn split(&mut self, set: &[M]) {
        let inside: BTreeSet<M> = set.iter().copied().collect();
        for a in 0..self.machines.len() {
            for b in 0..a {
                if inside.contains(&a) != inside.contains(&b) {
                    self.cut(a, b);
                }
            }
        }
    }

    pub(crate) fn isolate(&mut self, m: M) {
        self.split(&[m]);
    }

    pub(crate) fn heal_all(&mut self) {
        if !self.machines.is_empty() {
            self.say(0, || "== everything is healed".to_owned());
        }
        self.net.cuts.clear();
        self.net.bad.clear();
        self.net.deaf.clear();
        self.net.narrow.clear();
        self.net.no_tcp.clear();
        self.machines.iter_mut().flat_map(|machine| &mut machine.nics).for_each(|nic| nic.dead = false);
        self.net.weather = Weather::calm();
    }

    /// Nobody hears `to`'s broadcasts, and it hears nobody's; unicast passes.
    pub(crate) fn no_broadcast(&mut self, m: M) {
        for n in 0..self.machines.len() {
            self.net.deaf.insert((m, n));
            self.net.deaf.insert((n, m));
        }
    }

    pub(crate) fn jump_clock(&mut self, m: M, seconds: i64) {
        self.say(m, || format!("== its wall clock jumps by {seconds} s"));
        self.machines[m].clock.wall_off += seconds * 1_000_000;
    }

    pub(crate) fn power_cut_all(&mut self) {
        for m in 0..self.machines.len() {
            self.power_cut(m);
        }
    }

    /// SIGTERM.
    pub(crate) fn stop(&mut self, m: M) {
        if let Some(process) = &mut self.machines[m].process {
            process.stopping = true;
            self.say(m, || "== is told to stop".to_owned());
            self.deliver(m, Work::Input(Input::Stop));
        }
    }

    pub(crate) fn handover(&mut self, m: M, request: u64, to: Option<M>) {
        let to = to.map(|to| self.machines[to].name.clone());
        self.say(m, || format!("== a user asks to hand over to {to:?}"));
        self.deliver(m, Work::Input(Input::Handover { request, to }));
    }

    /// The settings of `m` are changed while it runs.
    pub(crate) fn set(&mut self, m: M, settings: Settings) {
        self.say(m, || format!("== settings: {settings:?}"));
        self.deliver(m, Work::Input(Input::Settings(settings)));
    }

    /// Programs that follow the role run on `m` and need so long to end, or none does any more.
    pub(crate) fn programs(&mut self, m: M, need: Option<u64>) {
        self.say(m, || format!("== programs that follow the role: {need:?}"));
        self.deliver(m, Work::Input(Input::Programs(need.map(Duration::from_micros))));
    }

    /// A user of `m` asks that this one be forgotten.
    pub(crate) fn asks_to_forget(&mut self, m: M, request: u64, who: M) {
        let who = self.machines[who].name.clone();
        self.say(m, || format!("== a user asks to forget {who}"));
        self.deliver(m, Work::Input(Input::Forget { request, who }));
    }

    /// A user of `m` looks at the members.
    pub(crate) fn asks_to_look(&mut self, m: M, request: u64) {
        self.deliver(m, Work::Input(Input::Look { request }));
    }

    /// What a user was answered.
    pub(crate) fn reply(&self, request: u64) -> Option<Option<String>> {
        self.oracle.replies.iter().find(|(_, r, _)| *r == request).map(|(_, _, why)| why.clone())
    }

    pub(crate) fn link_down(&mut self, m: M, nic: usize) {
        self.machines[m].nics[nic].up = false;
        self.links_changed(m);
    }

    pub(crate) fn link_up(&mut self, m: M, nic: usize) {
        self.machines[m].nics[nic].up = true;
        self.links_changed(m);
    }

    pub(crate) fn new_address(&mut self, m: M) {
        self.machines[m].salt = (self.machines[m].salt + 1) % 30;
        let salt = self.machines[m].salt;
        let segments: Vec<u8> = self.machines[m].nics.iter().map(|nic| nic.segment).collect();
        for (nic, address) in self.machines[m].nics.iter_mut().zip(addresses(&segments, salt, m)) {
            nic.address = address;
        }
        self.links_changed(m);
    }

    pub(crate) fn address_of(&self, m: M) -> SocketAddr {
        SocketAddr::new(self.machines[m].nics[0].address, PORT)
    }

    /// A datagram that `from` never meant to send.
    pub(crate) fn inject(&mut self, from: M, to: To, bytes: Vec<u8>) {
        let packet = Packet::new(&self.machines[from].cluster, bytes);
        self.send_datagram(from, to, packet);
    }

    pub(crate) fn listen(&mut self) {
        self.oracle.listen = true;
        self.oracle.told.clear();
    }

    pub(crate) fn heard(&self, m: M, kind: Kind) -> bool {
        self.oracle.told.iter().any(|(who, _, what, _)| *who == m && *what == kind)
    }

    /// How often somebody said something of this kind with this text in it.
    pub(crate) fn said(&self, kind: Kind, text: &str) -> usize {
        self.oracle.told.iter().filter(|(_, _, what, said)| *what == kind && said.contains(text)).count()
    }

    pub(crate) fn expect_event(&self, m: M, kind: Kind) {
        assert!(self.heard(m, kind), "pc-{m} did not say {}", kind.as_str());
    }

    pub(crate) fn expect_no_event(&self, m: M, kind: Kind) {
        assert!(!self.heard(m, kind), "pc-{m} said {}", kind.as_str());
    }

    /// From now on, who begins or stops leading is counted.
    pub(crate) fn watch(&mut self) {
        self.oracle.entries.clear();
        self.oracle.depositions.clear();
    }

    /// P2: nobody began or stopped leading since [`Lan::watch`].
    pub(crate) fn expect_no_leader_change(&self) {
        let (began, ended): (&[Change], &[Change]) = (&self.oracle.entries, &self.oracle.depositions);
        assert!(began.is_empty() && ended.is_empty(), "P2: the leader changed without a cause: {began:?}, {ended:?}");
    }

    /// P2: nobody was deposed since [`Lan::watch`], whoever began to lead alone.
    pub(crate) fn expect_not_deposed(&self, m: M) {
        let ended = self.oracle.depositions.iter().find(|c| c.m == m);
        assert!(ended.is_none(), "P2: pc-{m} was deposed: {ended:?}");
    }
}
