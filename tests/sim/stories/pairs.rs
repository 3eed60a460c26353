//! A leader that is killed shortly after something else went wrong: whatever that was, once its traces are gone, another
//! leads within milliseconds.

use crate::lan::Lan;
use crate::network::M;
use crate::script::{ms, s};

/// An office, and who is who in it before anything goes wrong.
struct Office {
    lan: Lan,
    leader: M,
    successor: M,
    follower: M,
    /// How long it stays wrong.
    lasts: u64,
}

impl Office {
    fn for_a_while(&mut self, wrong: impl FnOnce(&mut Lan)) {
        wrong(&mut self.lan);
        self.lan.run(self.lasts);
        self.lan.heal_all();
    }

    fn frozen(&mut self, m: M) {
        self.lan.freeze(m, self.lasts);
        self.lan.run(self.lasts);
    }

    fn unplugged(&mut self, m: M) {
        self.lan.link_down(m, 0);
        self.lan.run(self.lasts);
        self.lan.link_up(m, 0);
    }

    fn restarted(&mut self, m: M) {
        self.lan.kill(m);
        self.lan.run(self.lasts);
        self.lan.boot(m);
    }

    fn one_way(&mut self, to_the_leader: bool) {
        let leader = self.leader;
        let others = self.lan.followers();
        self.for_a_while(|lan| {
            for other in others {
                let (from, to) = if to_the_leader { (other, leader) } else { (leader, other) };
                lan.cut_one_way(from, to);
            }
        });
    }
}

/// What goes wrong, and how many milliseconds later nothing is left of it: sessions stand again, and questions of before
/// are answered.
struct Trouble(&'static str, u64, fn(&mut Office));

const TROUBLES: [Trouble; 18] = [
    Trouble("nothing", 0, |_| {}),
    Trouble("the leader is isolated", 600, |o| o.for_a_while(|lan| lan.isolate(lan.leader()))),
    Trouble("the successor is isolated", 600, |o| o.for_a_while(|lan| lan.isolate(lan.successor()))),
    Trouble("a follower is isolated", 600, |o| {
        let follower = o.follower;
        o.for_a_while(|lan| lan.isolate(follower));
    }),
    Trouble("leader and successor do not hear each other", 600, |o| {
        let (leader, successor) = (o.leader, o.successor);
        o.for_a_while(|lan| lan.cut(leader, successor));
    }),
    Trouble("leader and follower do not hear each other", 600, |o| {
        let (leader, follower) = (o.leader, o.follower);
        o.for_a_while(|lan| lan.cut(leader, follower));
    }),
    Trouble("nobody hears the leader", 600, |o| o.one_way(false)),
    // Followers ask for 2 s before they take it for a black hole.
    Trouble("the leader hears nobody", 1200, |o| o.one_way(true)),
    Trouble("the leader stands still", 600, |o| o.frozen(o.leader)),
    Trouble("the successor stands still", 600, |o| o.frozen(o.successor)),
    Trouble("a follower stands still", 600, |o| o.frozen(o.follower)),
    Trouble("the leader's cable is out", 600, |o| o.unplugged(o.leader)),
    Trouble("the successor's cable is out", 600, |o| o.unplugged(o.successor)),
    Trouble("the leader is killed", 300, |o| o.restarted(o.leader)),
    Trouble("the successor is killed", 300, |o| o.restarted(o.successor)),
    Trouble("a handover", 300, |o| o.lan.handover(o.leader, 1, None)),
    // A session to an address that is gone lasts until its next ping is missed: its answer may wait 1 s.
    Trouble("the leader has another address", 1700, |o| o.lan.new_address(o.leader)),
    Trouble("the successor has another address", 600, |o| o.lan.new_address(o.successor)),
];

story! {
    /// Nothing that went wrong and is mended makes the next failover slower: no pause, no promise and no list of before.
    whatever_was_mended_the_next_failover_takes_milliseconds 900 |seed| {
        let lan = Lan::office(seed, 3 + usize::try_from(seed / 18 % 4).expect("small"));
        let (leader, successor) = (lan.leader(), lan.successor());
        let follower = lan.followers().into_iter().find(|m| *m != successor).expect("three at least");
        let lasts = ms(50) + seed * 7919 % ms(3000);
        let Trouble(what, calm, happens) = &TROUBLES[usize::try_from(seed % 18).expect("small")];
        let mut office = Office { lan, leader, successor, follower, lasts };
        happens(&mut office);
        let mut lan = office.lan;
        lan.settle_within(s(5));
        lan.run(ms(*calm) + seed * 104_729 % ms(700));
        let gone = lan.kill_leader();
        let others = lan.running();
        let began = lan.now;
        lan.run_until(s(5), "another leads", |lan| lan.one_among(&others).is_ok());
        let took = lan.now - began;
        assert!(took < ms(60), "{what} for {lasts} µs, then pc-{gone} was killed: {took} µs");
    }
}

story! {
    /// The leader falls silent after two troubles: its successor leads, and nobody else.
    the_successor_of_a_silent_leader_leads_whatever_was_mended 900 |seed| {
        let lan = Lan::office(seed, 3 + usize::try_from(seed / 18 % 4).expect("small"));
        let mut dice = crate::dice::Dice::new(seed);
        let mut office = Office { lan, leader: 0, successor: 0, follower: 0, lasts: 0 };
        let mut story = Vec::new();
        for _ in 0..1 + dice.below(3) {
            let lan = &office.lan;
            (office.leader, office.successor) = (lan.leader(), lan.successor());
            office.follower = lan.followers().into_iter().find(|m| *m != office.successor).expect("three at least");
            office.lasts = ms(50) + dice.below(ms(4000));
            let Trouble(what, calm, happens) = dice.pick(&TROUBLES);
            story.push((*what, office.lasts));
            happens(&mut office);
            let settled = if dice.chance(0.5) { ms(*calm) } else { 0 };
            office.lan.settle_within(s(5));
            office.lan.run(settled + dice.below(ms(1000)));
            office.lan.settle_within(s(5));
            office.lan.run_until(s(5), "all name a successor", |lan| {
                let of = |m: &M| lan.status(*m).and_then(|s| s.successor).map(|s| s.node);
                let first = of(&lan.running()[0]);
                first.is_some() && lan.running().iter().all(|m| of(m) == first) && lan.one_among(&lan.running()).is_ok()
            });
        }
        let mut lan = office.lan;
        let (leader, heir) = (lan.leader(), lan.successor());
        lan.link_down(leader, 0);
        let others: Vec<_> = lan.running().into_iter().filter(|m| *m != leader).collect();
        lan.run_until(s(5), "another leads", |lan| lan.one_among(&others).is_ok());
        let leads: Vec<_> = others.iter().filter(|m| lan.role(**m) == Some(tanist::protocol::RoleName::Leading)).collect();
        assert!(leads == [&heir], "{story:?}, then pc-{leader} fell silent: {leads:?} instead of {heir}");
    }
}
