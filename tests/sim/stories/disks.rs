//! Section 6: disks that take nothing, or hang. Their machines are in nobody's way.

use crate::disk::Trouble;
use crate::lan::Lan;
use crate::network::M;
use crate::script::{ms, priority, s};
use tanist::protocol::RoleName;
use tanist::settings::Settings;

const TROUBLES: [Trouble; 3] = [Trouble::Full, Trouble::Failing, Trouble::Stuck];

/// One leads and all name it, whoever cannot write left out unless it leads itself: what it follows it cannot show.
fn one_but_for(lan: &Lan, broken: &[M]) -> Result<(), String> {
    let leaders = lan.leaders();
    let (bad, good): (Vec<M>, Vec<M>) = lan.running().into_iter().partition(|m| broken.contains(m));
    let leads: Vec<M> = bad.into_iter().filter(|m| leaders.contains(m)).collect();
    lan.one_among(&[leads, good].concat())
}

fn works_again(lan: &mut Lan, m: M) {
    lan.machines[m].disk.set_trouble(Trouble::None);
    if let Some(life) = lan.life(m) {
        lan.disk_done(m, life);
    }
}

story! {
    /// Two parts of an office meet, and one machine cannot write from then on, or from some time before or after: soon one
    /// leads all others, and does not wait for that one's disk.
    the_parts_meet_and_one_cannot_write 600 |seed| {
        let n = usize::try_from(2 + seed % 5).expect("small");
        let mut lan = Lan::new(seed);
        for m in 0..n {
            // In some offices few may lead.
            lan.add(if seed % 3 == 0 && m > 1 { priority(0) } else { Settings::default() }, &[0]);
        }
        let part: Vec<M> = (0..n).filter(|m| *m == 0 || *m > 1 && lan.dice.chance(0.5)).collect();
        lan.split(&part);
        lan.boot_all_within(s(1));
        lan.run(s(8));
        let m = if lan.dice.chance(0.7) { *lan.dice.pick(&lan.leaders()) } else { *lan.dice.pick(&lan.running()) };
        let trouble = *lan.dice.pick(&TROUBLES);
        let (before, after) = if lan.dice.chance(0.5) { (lan.dice.below(s(3)), 0) } else { (0, lan.dice.below(ms(800))) };
        if before > 0 {
            lan.machines[m].disk.set_trouble(trouble);
        }
        lan.run(before);
        lan.heal_all();
        lan.run(after);
        lan.machines[m].disk.set_trouble(trouble);
        lan.run(s(6));
        let one = one_but_for(&lan, &[m]);
        assert!(one.is_ok(), "pc-{m} is {trouble:?} {before} µs before, {after} µs after: {}", one.unwrap_err());
        works_again(&mut lan, m);
        lan.run(s(3));
        lan.expect_one_leader();
    }
}

story! {
    /// Nobody else may lead: whoever cannot write leads on, and nobody leaves it for good, whatever happens to the network.
    the_only_one_that_may_lead_leads_on 150 |seed| {
        let mut lan = Lan::new(seed);
        for m in 0..4 {
            lan.add(if m == 0 { Settings::default() } else { priority(0) }, &[0]);
        }
        lan.boot_all_within(s(1));
        lan.run(s(8));
        lan.expect_leader(0);
        lan.machines[0].disk.set_trouble(TROUBLES[usize::try_from(seed % 3).expect("small")]);
        // Something is to be written: a member joins.
        let m = lan.add(priority(0), &[0]);
        lan.boot(m);
        let until = lan.dice.below(s(6));
        lan.run(until);
        let (m, lasts) = (*lan.dice.pick(&lan.running()), lan.dice.below(s(5)));
        match seed / 3 % 5 {
            0 => lan.standing().into_iter().for_each(|key| lan.break_connection(key)),
            1 => lan.isolate(m),
            2 => (0..5).filter(|n| *n != m).for_each(|n| lan.cut_one_way(m, n)),
            3 => lan.new_address(m),
            _ => lan.freeze(m, lasts),
        }
        lan.run(lasts);
        lan.heal_all();
        lan.run(s(6));
        lan.expect_leader(0);
    }
}

story! {
    /// Disks fill up, fail, hang and recover, one after the other and several at a time, while leaders die: at the end, with
    /// some of them still broken, one leads the others.
    disks_come_and_go 200 |seed| {
        let mut lan = Lan::office(seed, usize::try_from(3 + seed % 4).expect("small"));
        let mut broken: Vec<M> = Vec::new();
        for _ in 0..12 {
            let all = lan.running();
            match lan.dice.below(6) {
                0 | 1 if broken.len() + 1 < all.len() => {
                    let m = *lan.dice.pick(&all);
                    let trouble = *lan.dice.pick(&TROUBLES);
                    lan.machines[m].disk.set_trouble(trouble);
                    if !broken.contains(&m) {
                        broken.push(m);
                    }
                }
                2 if !broken.is_empty() => {
                    let at = usize::try_from(lan.dice.below(broken.len() as u64)).expect("small");
                    let m = broken.swap_remove(at);
                    works_again(&mut lan, m);
                }
                3 => {
                    let m = *lan.dice.pick(&all);
                    let until = lan.dice.below(s(2));
                    lan.isolate(m);
                    lan.run(until);
                    lan.heal_all();
                }
                4 => {
                    let leader = lan.leaders().first().copied();
                    if let Some(m) = leader.filter(|m| !broken.contains(m)) {
                        lan.restart(m);
                    }
                }
                _ => {
                    let leader = lan.leaders().first().copied();
                    if let Some(m) = leader {
                        lan.handover(m, 1, None);
                    }
                }
            }
            let pause = lan.dice.below(ms(2500));
            lan.run(pause);
        }
        lan.run(s(8));
        // It may be handing over just now.
        let end = lan.now + s(2);
        while lan.now < end && one_but_for(&lan, &broken).is_err() {
            lan.run(ms(50));
        }
        let one = one_but_for(&lan, &broken);
        assert!(one.is_ok(), "broken: {broken:?}: {}", one.unwrap_err());
        for m in broken {
            works_again(&mut lan, m);
        }
        lan.run(s(4));
        lan.expect_one_leader();
    }
}

story! {
    /// A disk takes some writes and not others, and now and then none: its machine is not named, nobody can hand the role to
    /// it, and its users are told once, and once more when it has worked for a while.
    a_disk_that_takes_some_writes_is_not_believed |seed| {
        let mut lan = Lan::office(seed, 4);
        let (leader, m) = (lan.leader(), lan.successor());
        let other = *lan.followers().iter().find(|n| **n != m).expect("four are there");
        lan.machines[m].disk.set_trouble(Trouble::Full);
        // Something has to be written for it to notice.
        lan.handover(leader, 1, Some(other));
        lan.run_until(s(5), "the other leads", |lan| lan.role(other) == Some(RoleName::Leading));
        lan.listen();
        lan.run(s(3));
        for _ in 0..6 {
            assert!(!lan.in_line(other, m), "it is not in line");
            assert_ne!(lan.successor(), m, "nor named");
            works_again(&mut lan, m);
            let works = lan.dice.between(ms(1200), ms(1900));
            lan.run(works);
            assert!(!lan.in_line(other, m), "it has not worked for long");
            lan.machines[m].disk.set_trouble(Trouble::Full);
            // Where a member is now is something to write down.
            lan.new_address(leader);
            lan.run(s(2));
        }
        works_again(&mut lan, m);
        lan.run(s(8));
        let leader = lan.leader();
        assert!(lan.in_line(leader, m), "it is trusted again");
    }
}
