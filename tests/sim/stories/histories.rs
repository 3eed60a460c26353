//! What `history` tells of a change of leader, on every machine that saw it: one story for each cause.

use crate::disk::Trouble;
use crate::lan::Lan;
use crate::machine::Illness;
use crate::network::M;
use crate::script::{ms, s};
use tanist::event::Cause;
use tanist::protocol::Reign;
use tanist::settings::Settings;

/// What the store of a machine has, newest first.
fn history(lan: &Lan, m: M) -> Vec<Reign> {
    let process = lan.machines[m].process.as_ref().expect("it runs");
    process.store.as_ref().expect("its store works").reigns(usize::MAX).expect("it can be read")
}

/// The reign that all who run are in: each has it in its history, with this cause and the same words, and lasting.
fn told(lan: &Lan, cause: Cause) -> String {
    let leader = lan.expect_one_leader();
    let claim = lan.shown(leader);
    let text = history(lan, leader)[0].text.clone();
    for m in lan.running() {
        let reign = history(lan, m)[0].clone();
        assert_eq!((reign.claim, reign.cause, reign.ended), (claim, cause, None), "pc-{m}: {}", reign.text);
        assert_eq!((reign.name, reign.text), (format!("pc-{leader}"), text.clone()), "pc-{m}");
        for (newer, older) in history(lan, m).iter().zip(history(lan, m).iter().skip(1)) {
            assert!(older.ended.is_some_and(|end| end <= newer.began && end >= older.began), "pc-{m}: {older:?}");
        }
    }
    text
}

/// All of this is in the text, in this order.
fn says(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let Some(at) = rest.find(word) else { panic!("{word:?} is missing, or out of order, in {text:?}") };
        rest = &rest[at + word.len()..];
    }
}

/// Each of these was asked, and it is told how it answered.
fn backed_by(text: &str, members: &[M]) {
    let (_, asked) = text.split_once("asked: ").unwrap_or_else(|| panic!("nobody was asked: {text}"));
    for m in members {
        let answer = asked.split(", ").find_map(|a| a.strip_prefix(&format!("pc-{m} "))).unwrap_or_default();
        let backed = answer.starts_with("backed after ") && answer.ends_with(" ms");
        assert!(backed || answer == "had backed a claim since withdrawn", "pc-{m}: {text}");
    }
}

/// The machines that neither led nor lead, and the one that leads now.
fn others(lan: &Lan, old: M) -> (String, Vec<M>) {
    let new = lan.expect_one_leader();
    (format!("pc-{new}"), lan.running().into_iter().filter(|m| *m != new && *m != old).collect())
}

story! {
    /// Nobody led: one machine alone, and three that are switched on together.
    history_tells_of_the_first_leader |seed| {
        let mut lan = Lan::dark(seed, 1);
        lan.boot(0);
        lan.run(s(3));
        says(&told(&lan, Cause::First), &["there was no leader", "nobody else was there to ask"]);
        let mut lan = Lan::dark(seed, 3);
        lan.boot_all_within(1);
        lan.run(s(8));
        let leader = lan.expect_one_leader();
        let text = told(&lan, Cause::First);
        says(&text, &["there was no leader", "asked: "]);
        backed_by(&text, &(0..3).filter(|m| *m != leader).collect::<Vec<_>>());
    }
}

story! {
    /// The leader's process is killed, and its machine refuses the question.
    history_tells_of_a_leader_that_died |seed| {
        let mut lan = Lan::office(seed, 4);
        let old = lan.kill_leader();
        lan.run(s(5));
        let (new, asked) = others(&lan, old);
        let text = told(&lan, Cause::Died);
        let noticed = format!("{new} noticed: leader pc-{old} went away: its connection was reset");
        says(&text, &[&noticed, "it refused the question after ", " ms", " ms from the first sign to the new leader"]);
        backed_by(&text, &asked);
    }
}

story! {
    /// The leader's machine loses its power: what was missed for how long is told, and how long it did not answer.
    history_tells_of_a_leader_that_fell_silent |seed| {
        let mut lan = Lan::office(seed, 4);
        let old = lan.leader();
        lan.power_cut(old);
        lan.run(s(5));
        let (new, asked) = others(&lan, old);
        let text = told(&lan, Cause::Silent);
        let noticed = format!("{new} noticed: leader pc-{old} ");
        says(&text, &[&noticed, "it did not answer for ", " ms, and was silent for ", " ms from the first sign"]);
        backed_by(&text, &asked);
    }
}

story! {
    /// A follower's cable is pulled: it leads itself, and its history says that it was its own network.
    history_tells_of_a_machine_that_was_cut_off |seed| {
        let mut lan = Lan::office(seed, 3);
        let m = lan.followers()[0];
        lan.link_down(m, 0);
        lan.run(s(10));
        let reign = history(&lan, m)[0].clone();
        assert_eq!((reign.cause, reign.ended), (Cause::CutOff, None), "{}", reign.text);
        let noticed = format!("pc-{m} noticed: ");
        says(&reign.text, &[&noticed, "this machine has no network", "from the first sign to the new leader"]);
    }
}

story! {
    /// The leader beats and takes nothing in.
    history_tells_of_a_leader_that_stalled |seed| {
        let mut lan = Lan::office(seed, 4);
        let old = lan.leader();
        lan.machines[old].process.as_mut().expect("it runs").illness = Illness::Deaf;
        lan.run_until(s(12), "another leads", |lan| lan.leaders().len() == 2);
        lan.kill(old);
        lan.run(s(2));
        let (new, _) = others(&lan, old);
        let text = told(&lan, Cause::Unresponsive);
        let noticed = format!("{new} noticed: leader pc-{old} ");
        says(&text, &[&noticed, "it beats, but answered none of ", "questions in ", " from the first sign", "asked: "]);
    }
}

story! {
    /// The leader's disk fails: it hands over and says why.
    history_tells_of_a_leader_whose_store_failed |seed| {
        let mut lan = Lan::office(seed, 4);
        let old = lan.leader();
        lan.machines[old].disk.set_trouble(Trouble::Full);
        // Something is to be written: a member joins.
        let m = lan.add(Settings::default(), &[0]);
        lan.boot(m);
        lan.run_until(s(5), "another leads", |lan| lan.leaders().iter().any(|m| *m != old));
        lan.kill(old);
        lan.run(s(2));
        let (new, _) = others(&lan, old);
        let text = told(&lan, Cause::Store);
        let handed = format!("pc-{old} said that its store failed, and handed over to {new}; ");
        says(&text, &[&handed, " ms from the first sign to the new leader", "asked: "]);
    }
}

story! {
    /// A user hands over.
    history_tells_of_a_handover |seed| {
        let mut lan = Lan::office(seed, 4);
        let old = lan.leader();
        lan.handover(old, 1, None);
        lan.run(s(3));
        let (new, asked) = others(&lan, old);
        let text = told(&lan, Cause::Handover);
        says(&text, &[&format!("pc-{old} handed over to {new}; "), " ms from the first sign to the new leader"]);
        backed_by(&text, &asked);
    }
}

story! {
    /// The leader is stopped: it hands over first.
    history_tells_of_a_leader_that_was_stopped |seed| {
        let mut lan = Lan::office(seed, 4);
        let old = lan.leader();
        lan.stop(old);
        lan.run(s(3));
        let (new, asked) = others(&lan, old);
        let text = told(&lan, Cause::Goodbye);
        let handed = format!("pc-{old} was told to stop, and handed over to {new}; ");
        says(&text, &[&handed, " ms from the first sign to the new leader"]);
        backed_by(&text, &asked);
    }
}

story! {
    /// Two halves that led themselves meet, with epochs that are equal: the one that stays begins a new reign, and
    /// everybody can read who met whom.
    history_tells_of_a_reunion |seed| {
        let mut lan = Lan::dark(seed, 5);
        lan.split(&[0, 1]);
        lan.boot_all_within(ms(1));
        lan.run(s(8));
        let small = lan.expect_one_among(&[0, 1]);
        let large = lan.expect_one_among(&[2, 3, 4]);
        let (met, above) = (lan.shown(small).epoch, lan.shown(large).epoch > lan.shown(small).epoch);
        lan.heal_all();
        lan.run(s(5));
        lan.expect_leader(large);
        if !above {
            let text = told(&lan, Cause::Reunion);
            says(&text, &[&format!("pc-{large} met leader pc-{small} of epoch {met}: pc-{small} yields")]);
        }
    }
}

story! {
    /// An agent is killed in a reign that lasts: started again, it keeps the beginning that it saw. Killed in a reign that
    /// ends meanwhile, it gives that an end when it sees the next.
    history_outlives_the_agent |seed| {
        let mut lan = Lan::office_of_first(seed, 3);
        let began = history(&lan, 1)[0].began;
        lan.restart(1);
        lan.run(s(5));
        told(&lan, Cause::First);
        assert_eq!(history(&lan, 1)[0].began, began, "the reign began when this machine saw it begin");
        lan.kill(1);
        lan.kill(0);
        lan.run(s(5));
        lan.boot(1);
        lan.run(s(5));
        told(&lan, Cause::Died);
        assert_eq!(history(&lan, 1).len(), 2);
    }
}
