//! Faults over faults, then calm, then one fault: what the leader's successor does is what was announced.

use crate::dice::Dice;
use crate::lan::Lan;
use crate::network::M;
use crate::script::{ms, s};
use tanist::ident::Incarnation;
use tanist::protocol::RoleName;

/// What is mended later.
enum Mend {
    Boot(M),
    Plug(M),
    Cuts(Vec<(M, M)>),
    Weather,
}

struct Wild {
    lan: Lan,
    dice: Dice,
    broken: Vec<(u64, Mend)>,
}

impl Wild {
    /// Breaks something every second or so, for so long; then all is mended.
    fn wild(&mut self, microseconds: u64) {
        let end = self.lan.now + microseconds;
        while self.lan.now < end {
            let pause = self.dice.between(ms(20), ms(1800));
            self.pass(pause);
            let at = self.lan.now + self.dice.between(ms(100), ms(6000));
            self.strike(at);
        }
        self.broken.sort_by_key(|(at, _)| *at);
        for (_, mend) in std::mem::take(&mut self.broken) {
            self.mend(mend);
        }
        for m in 0..self.lan.machines.len() {
            self.lan.thaw(m);
        }
        self.lan.heal_all();
    }

    /// Lets time pass, and mends what is due.
    fn pass(&mut self, microseconds: u64) {
        let end = self.lan.now + microseconds;
        let next =
            |broken: &[(u64, Mend)]| (0..broken.len()).min_by_key(|i| broken[*i].0).filter(|i| broken[*i].0 <= end);
        while let Some(i) = next(&self.broken) {
            let (at, mend) = self.broken.swap_remove(i);
            self.lan.run(at.saturating_sub(self.lan.now));
            self.mend(mend);
        }
        self.lan.run(end.saturating_sub(self.lan.now));
    }

    fn mend(&mut self, mend: Mend) {
        match mend {
            Mend::Boot(m) => {
                self.lan.kill(m);
                self.lan.boot(m);
            }
            Mend::Plug(m) => self.lan.link_up(m, 0),
            Mend::Cuts(pairs) => pairs.iter().for_each(|pair| {
                self.lan.net.cuts.remove(pair);
            }),
            Mend::Weather => self.lan.net.weather = crate::network::Weather::calm(),
        }
    }

    fn cut(&mut self, pairs: Vec<(M, M)>, until: u64) {
        pairs.iter().for_each(|(from, to)| self.lan.cut_one_way(*from, *to));
        self.broken.push((until, Mend::Cuts(pairs)));
    }

    /// Cuts all ways between these and the rest, or one direction of them.
    fn separate(&mut self, some: &[M], until: u64) {
        let rest: Vec<M> = (0..self.lan.machines.len()).filter(|m| !some.contains(m)).collect();
        let out: Vec<(M, M)> = some.iter().flat_map(|a| rest.iter().map(move |b| (*a, *b))).collect();
        let back: Vec<(M, M)> = out.iter().map(|(a, b)| (*b, *a)).collect();
        let pairs = match self.dice.below(4) {
            0 => out,
            1 => back,
            _ => [out, back].concat(),
        };
        self.cut(pairs, until);
    }

    /// One fault, which lasts until then.
    fn strike(&mut self, until: u64) {
        let running = self.lan.running();
        if running.is_empty() {
            return;
        }
        let n = self.lan.machines.len();
        let one = *self.dice.pick(&running);
        let leaders = self.lan.leaders();
        let leader = leaders.first().copied().unwrap_or(one);
        let other = (one + 1 + self.dice.index(n - 1)) % n;
        match self.dice.below(12) {
            0 | 1 => {
                self.lan.kill(one);
                self.broken.push((until, Mend::Boot(one)));
            }
            2 => {
                self.lan.kill(leader);
                self.broken.push((until, Mend::Boot(leader)));
            }
            3 => {
                self.lan.stop(one);
                self.broken.push((until, Mend::Boot(one)));
            }
            4 => self.lan.freeze(one, until - self.lan.now),
            5 => self.lan.freeze(leader, until - self.lan.now),
            6 => self.separate(&[one], until),
            7 => {
                let part = self.dice.part(n);
                self.separate(&part, until);
            }
            8 => {
                let pairs = if self.dice.chance(0.5) { vec![(one, other)] } else { vec![(one, other), (other, one)] };
                self.cut(pairs, until);
            }
            9 => {
                let weather = &mut self.lan.net.weather;
                (weather.loss, weather.tcp_loss) = (self.dice.unit() * 0.4, self.dice.unit() * 0.1);
                self.broken.push((until, Mend::Weather));
            }
            10 => self.lan.new_address(one),
            _ if self.dice.chance(0.5) => self.lan.handover(one, self.lan.now, None),
            _ => {
                self.lan.link_down(one, 0);
                self.broken.push((until, Mend::Plug(one)));
            }
        }
    }

    /// Waits until all have named the same successor for a second, and gives that one.
    fn calm(&mut self) -> M {
        let end = self.lan.now + s(12);
        let mut since: Option<(M, u64)> = None;
        loop {
            let now = self.lan.now;
            since =
                self.heir().map(|heir| (heir, since.filter(|(before, _)| *before == heir).map_or(now, |(_, at)| at)));
            if let Some((heir, _)) = since.filter(|(_, at)| now >= at + s(1)) {
                return heir;
            }
            assert!(now < end, "no calm");
            self.lan.run(ms(50));
        }
    }

    /// The one whom all name as the successor.
    fn heir(&self) -> Option<M> {
        let lan = &self.lan;
        let running = lan.running();
        lan.one_among(&running).ok()?;
        let named = |m: M| -> Option<Incarnation> { Some(lan.status(m)?.successor?.node) };
        let first = named(running[0])?;
        running.iter().all(|m| named(*m) == Some(first)).then(|| lan.machine_of(first.id)).flatten()
    }
}

story! {
    /// Faults over faults, all is mended, a second of calm; then the leader falls silent: its successor leads, and nobody
    /// else does.
    the_successor_of_a_silent_leader_leads_whatever_was_before 200 |seed| {
        let mut dice = Dice::new(seed);
        let lan = Lan::office(seed, 3 + dice.index(4));
        let during = s(dice.between(2, 15));
        let mut wild = Wild { lan, dice, broken: Vec::new() };
        wild.wild(during);
        let heir = wild.calm();
        let mut lan = wild.lan;
        let leader = lan.leader();
        lan.say(leader, || format!("==== falls silent; pc-{heir} is its successor"));
        lan.link_down(leader, 0);
        let others: Vec<M> = lan.running().into_iter().filter(|m| *m != leader).collect();
        lan.listen();
        let took = lan.run_until(s(5), "another leads", |lan| lan.one_among(&others).is_ok());
        let leads: Vec<M> = others.iter().copied().filter(|m| lan.role(*m) == Some(RoleName::Leading)).collect();
        assert!(leads == [heir] && took < s(2), "pc-{leader} fell silent: {leads:?} instead of [{heir}], {took} µs");
    }
}
