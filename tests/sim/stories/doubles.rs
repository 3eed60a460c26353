//! Section 4: whose address is it? On two networks that one or two machines join, images of machines are started anywhere,
//! or addresses go from machine to machine, and everything else goes wrong too.

use crate::dice::Dice;
use crate::lan::Lan;
use crate::network::M;
use crate::script::{ms, s};
use crate::transcript::seeded;
use std::collections::BTreeSet;
use std::time::Duration;
use tanist::settings::Settings;

/// Four to ten machines; the first ones are on both networks.
struct Office {
    lan: Lan,
    dice: Dice,
    bridges: usize,
    settings: Settings,
}

impl Office {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x00d0_b1e5);
        let heartbeat = *dice.pick(&[250, 250, 250, 250, 20, 100, 1000]);
        let settings = Settings::default().with_heartbeat(Duration::from_millis(heartbeat));
        let mut lan = Lan::new(seed);
        let n = dice.index(7) + 4;
        let bridges = dice.index(2) + 1;
        for m in 0..n {
            let segments: &[u8] = match m {
                m if m < bridges => &[0, 1],
                m if m % 2 == 0 => &[0],
                _ => &[1],
            };
            let mut settings = settings.clone();
            if dice.chance(0.1) {
                settings.priority = 200;
            }
            lan.add(settings, segments);
        }
        Self { lan, dice, bridges, settings }
    }

    fn play(&mut self, act: fn(&mut Self, M)) {
        self.lan.boot_all_within(s(2));
        self.lan.run(s(6));
        let i = u64::try_from(self.settings.heartbeat().as_micros()).expect("small");
        for _ in 0..self.dice.between(3, 14) {
            let all = self.lan.machines.len();
            let m = if self.dice.chance(0.3) { self.dice.index(self.bridges) } else { self.dice.index(all) };
            let longest = *self.dice.pick(&[ms(1), ms(20), i, i * 4, s(1), s(3), s(8)]);
            act(self, m);
            let pause = self.dice.between(0, longest);
            self.lan.run(pause);
        }
    }

    fn start_images(&mut self, m: M) {
        let other = self.dice.index(self.lan.machines.len());
        let runs = self.lan.machines[m].process.is_some();
        match self.dice.below(12) {
            0..=3 => self.start_image(m, other),
            4 if runs => self.lan.kill(m),
            5 if runs => self.lan.power_cut(m),
            5 => self.lan.boot(m),
            6 | 7 => self.turn_a_link_of_each_bridge(),
            8 if m != other && self.dice.chance(0.5) => self.lan.cut(m, other),
            8 if m != other => self.lan.cut_one_way(m, other),
            9 => self.lan.heal_all(),
            10 => self.lan.new_address(m),
            11 if runs => self.lan.restart(m),
            _ => {}
        }
    }

    /// In place of `m` an image is started: of the leader, as often as not.
    fn start_image(&mut self, m: M, other: M) {
        let leaders = self.lan.leaders();
        let of = if self.dice.chance(0.5) && !leaders.is_empty() { *self.dice.pick(&leaders) } else { other };
        if of == m {
            return;
        }
        if self.lan.machines[m].process.is_some() {
            self.lan.power_cut(m);
        }
        self.lan.copy_disk(of, m, true);
        self.lan.boot(m);
    }

    fn move_addresses(&mut self, m: M) {
        let other = self.dice.index(self.lan.machines.len());
        let runs = self.lan.machines[m].process.is_some();
        match self.dice.below(12) {
            0..=3 => self.swap_addresses(m, other),
            4 => (1..self.lan.machines.len()).for_each(|a| self.swap_addresses(a, a - 1)),
            5 | 6 if runs => {
                self.lan.power_cut(m);
                self.swap_addresses(m, other);
                let pause = self.dice.between(0, s(2));
                self.lan.run(pause);
                self.lan.boot(m);
            }
            7 if runs => self.lan.kill(m),
            5..=7 => self.lan.boot(m),
            8 => self.start_image(m, other),
            9 => self.lan.heal_all(),
            10 if m != other => self.lan.cut(m, other),
            11 if runs => self.lan.restart(m),
            _ => {}
        }
    }

    /// On their common network each of the two has the address of the other from now on.
    fn swap_addresses(&mut self, a: M, b: M) {
        let lan = &mut self.lan;
        let nic = |lan: &Lan, m: M| (lan.machines[m].nics[0].segment, lan.machines[m].nics[0].address);
        let (of_a, of_b) = (nic(lan, a), nic(lan, b));
        if a == b || of_a.0 != of_b.0 {
            return;
        }
        lan.link_down(a, 0);
        lan.link_down(b, 0);
        lan.machines[a].nics[0].address = of_b.1;
        lan.machines[b].nics[0].address = of_a.1;
        lan.link_up(a, 0);
        lan.link_up(b, 0);
    }

    fn turn_a_link_of_each_bridge(&mut self) {
        for b in 0..self.bridges {
            let nic = self.dice.index(2);
            if self.lan.machines[b].nics[nic].up {
                self.lan.link_down(b, nic);
            } else {
                self.lan.link_up(b, nic);
            }
        }
    }

    /// Everything is mended: one leads within the settling time, and stays, and nobody has another's id.
    fn calm(&mut self) {
        let lan = &mut self.lan;
        lan.heal_all();
        for m in 0..lan.machines.len() {
            for nic in 0..lan.machines[m].nics.len() {
                if !lan.machines[m].nics[nic].up {
                    lan.link_up(m, nic);
                }
            }
        }
        for m in 0..lan.machines.len() {
            if lan.machines[m].process.is_none() && (m < self.bridges || self.dice.chance(0.7)) {
                lan.boot(m);
            }
        }
        lan.run(u64::try_from(self.settings.settling().as_micros()).expect("small"));
        lan.expect_one_leader();
        lan.watch();
        lan.run(s(10));
        lan.expect_no_leader_change();
        lan.expect_one_leader();
        let ids: BTreeSet<_> = lan.running().into_iter().map(|m| lan.status(m).expect("it runs").node.id).collect();
        assert_eq!(ids.len(), lan.running().len(), "two still have one id");
    }
}

fn images_anywhere(seed: u64) {
    let mut office = Office::new(seed);
    office.play(Office::start_images);
    office.calm();
}

/// Seeds that found something once: an elector that had never had a leader, and never said Hello; a question of whose an id
/// is that went where nothing is, again and again, while the way through the bridge was known; a leader that was asked
/// through the double of the member in between.
const KEPT: [u64; 6] = [361, 440, 1568, 3783, 4435, 6050];

#[test]
fn images_of_machines_kept_seeds() {
    for seed in KEPT {
        seeded("images_of_machines_anywhere", seed, images_anywhere).unwrap_or_else(|why| panic!("{why}"));
    }
}

story! {
    images_of_machines_anywhere 250 |seed| { images_anywhere(seed) }
}

story! {
    addresses_go_round 250 |seed| {
        let mut office = Office::new(seed ^ 0xadd2);
        office.play(Office::move_addresses);
        office.calm();
    }
}
