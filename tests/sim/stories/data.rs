//! The data (protocol §10).

use crate::disk::Trouble;
use crate::lan::Lan;
use crate::script::{ms, s};
use tanist::protocol::RoleName;
use tanist::settings::Settings;

/// A machine alone, that leads.
fn alone(seed: u64) -> Lan {
    let mut lan = Lan::new(seed);
    let m = lan.add(Settings::default(), &[0]);
    lan.boot(m);
    lan.run_until(s(5), "it leads", |lan| lan.role(0) == Some(RoleName::Leading));
    lan
}

/// Writes for so long, a few at a time.
fn writes(lan: &mut Lan, bursts: u64) {
    for _ in 0..bursts {
        for _ in 0..=lan.dice.below(6) {
            lan.user_writes(0);
        }
        let pause = lan.dice.below(ms(4));
        lan.run(pause);
    }
}

story! {
    /// A lone machine is killed, loses its power, and starts again, in the middle of writes and of the sync that they wait
    /// for: what it acknowledged is there, each record once.
    a_lone_machine_loses_nothing_that_it_acknowledged 60 |seed| {
        let mut lan = alone(seed);
        for _ in 0..6 {
            let bursts = 1 + lan.dice.below(60);
            writes(&mut lan, bursts);
            if lan.dice.chance(0.5) { lan.kill(0) } else { lan.power_cut(0) }
            lan.run(ms(200));
            lan.boot(0);
            lan.run_until(s(5), "it leads", |lan| lan.role(0) == Some(RoleName::Leading));
            lan.run(ms(100));
            lan.nothing_acknowledged_is_lost();
        }
        writes(&mut lan, 5);
        lan.run(s(1));
        assert!(lan.users.outcomes["acknowledged alone"] > 30, "{:?}", lan.users.outcomes);
    }
}

story! {
    /// The disk of a lone machine is full, fails or hangs for a while: users are told so, nothing that was acknowledged is
    /// lost, and it goes on when the disk works again.
    a_lone_machine_refuses_what_its_disk_does_not_take 60 |seed| {
        let mut lan = alone(seed);
        writes(&mut lan, 20);
        lan.run(ms(100));
        let before = lan.users.outcomes["acknowledged alone"];
        let trouble = [Trouble::Full, Trouble::Failing, Trouble::Stuck][usize::try_from(seed % 3).expect("small")];
        lan.machines[0].disk.set_trouble(trouble);
        writes(&mut lan, 20);
        lan.run(s(12));
        let told = lan.users.outcomes.iter().filter(|(word, _)| **word != "acknowledged alone").map(|(_, n)| n).sum::<u64>();
        assert!(told > 0, "{:?}", lan.users.outcomes);
        lan.machines[0].disk.set_trouble(Trouble::None);
        let life = lan.life(0).expect("it runs");
        lan.disk_done(0, life);
        lan.run(s(3));
        writes(&mut lan, 20);
        lan.run(s(1));
        assert!(lan.users.outcomes["acknowledged alone"] > before, "{:?}", lan.users.outcomes);
        lan.nothing_acknowledged_is_lost();
        lan.power_cut(0);
        lan.boot(0);
        lan.run(s(2));
        lan.nothing_acknowledged_is_lost();
    }
}
