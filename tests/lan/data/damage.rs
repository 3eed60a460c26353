//! Files that are damaged while their machine is off.

use super::copies::{all_is_there, records};
use super::users::Users;
use crate::ground::story;
use crate::lan::{Lan, SETTLE, SLACK};
use crate::net::name;
use nix::sys::signal::Signal;
use std::path::Path;
use std::time::{Duration, Instant};
use tanist::client::{Condition, Reading};

/// Within this a stopped agent has ended.
const STOPPED: Duration = Duration::from_secs(5);

/// Within this a damaged copy is found and replaced.
const REPLACED: Duration = Duration::from_secs(20);

/// Turns every bit of one byte in 64, in the middle half of a file.
fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (from, to) = (bytes.len() / 4, bytes.len() / 4 * 3);
    bytes[from..to].iter_mut().step_by(64).for_each(|byte| *byte = !*byte);
    std::fs::write(path, bytes).expect("it was read");
}

/// A machine is stopped, its data is damaged, and it is started again, while the others write: the damage is named, the
/// file is kept aside, and what is shown there is the others' copy.
async fn damaged(lan: &mut Lan, users: &Users, machine: usize) {
    users.more(lan, 300).await;
    lan.signal(machine, Signal::SIGTERM);
    lan.ended(&[machine], STOPPED).await;
    let data = lan.machines[machine - 1].agent.dir.join("state/data");
    lan.note(&format!("the data of {} is damaged", name(machine)));
    damage(&data.join("data.redb"));
    users.more(lan, 20).await;
    let at = Instant::now();
    lan.start(&[machine]);
    lan.logs(machine, "store-trouble", 1, at, REPLACED).await;
    let client = lan.client(machine);
    // Until it has a copy it may show nothing, and it never shows what nobody wrote.
    lan.until(REPLACED, &format!("{} has a copy again", name(machine)), async |lan| {
        let leader = lan.all().into_iter().find(|m| lan.view(*m).leader == Some(name(*m)))?;
        if lan.status(machine).await?.revision == 0 {
            return None;
        }
        let found = records(&client).await;
        for (id, text) in &found {
            let asked = users.book().notes.get(id).map(|note| note.text.clone());
            assert_eq!(asked.as_ref(), Some(text), "{} shows {id}, which nobody wrote so", name(machine));
        }
        let lag = lan.client(leader).members().await.ok()?.members.into_iter().find(|m| m.name == name(machine))?.lag;
        (leader != machine && found.len() > 300 && lag.is_some_and(|lag| lag < 300)).then_some(())
    })
    .await;
    let state = data.parent().expect("it has one");
    let aside = std::fs::read_dir(state).expect("it is there").flatten();
    let aside: Vec<_> = aside.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(aside.iter().any(|entry| entry.starts_with("data.damaged-")), "no copy was kept aside: {aside:?}");
}

#[test]
fn a_damaged_copy_is_set_aside_and_fetched_anew() {
    story("data::damage::a_damaged_copy_is_set_aside_and_fetched_anew", async |lan| {
        lan.office(3).await;
        let all = lan.all();
        lan.start(&all);
        let leader = lan.settled(&all, SETTLE + SLACK).await.leader;
        let successor = lan.successor(&all).await;
        let mut users = Users::begin(lan, &all);
        let follower = lan.but(&[leader, successor])[0];
        damaged(lan, &users, follower).await;
        let leader = lan.settled(&all, SETTLE + SLACK).await.leader;
        damaged(lan, &users, leader).await;
        lan.settled(&all, SETTLE + SLACK).await;
        all_is_there(lan, &mut users).await;
    });
}

const TEXT: &[u8] = b"what was written, and nothing else";

/// A value in a follower's file is not what was written: its readers are never shown it, the log says what is damaged, and
/// the leader's copy takes its place while others write.
#[test]
fn a_value_that_was_altered_is_never_shown() {
    story("data::damage::a_value_that_was_altered_is_never_shown", async |lan| {
        lan.office(3).await;
        let all = lan.all();
        lan.start(&all);
        let leader = lan.settled(&all, SETTLE + SLACK).await.leader;
        lan.client(leader).put("notice", TEXT, Condition::None).await.expect("it is written");
        let machine = lan.but(&[leader])[0];
        let client = lan.client(machine);
        let shown = async || client.get("notice", Reading::default()).await;
        lan.until(SLACK, "it is there", async |_| shown().await.ok()?).await;
        lan.signal(machine, Signal::SIGTERM);
        lan.ended(&[machine], STOPPED).await;
        alter(&lan.machines[machine - 1].agent.dir.join("state/data/data.redb"));
        let at = Instant::now();
        lan.start(&[machine]);
        lan.settled(&all, SETTLE + SLACK).await;
        let mut writes = 0;
        loop {
            // The client repeats what cannot be read now, for a while.
            let answer = tokio::time::timeout(Duration::from_millis(300), shown()).await;
            if let Ok(Ok(value)) = answer {
                assert_eq!(value.expect("it is there").value, TEXT);
                break;
            }
            assert!(at.elapsed() < REPLACED, "no copy has taken its place: {answer:?}");
            writes += 1;
            lan.client(leader).put("other", format!("{writes}"), Condition::None).await.expect("the leader serves");
            lan.quiet(Duration::from_millis(200)).await;
        }
        assert!(writes > 0, "it could not be read at first");
        lan.logs(machine, "copy-differs", 1, at, SLACK).await;
        lan.figure("an altered value: the leader's copy is there", at.elapsed());
    });
}

/// Wherever a file has the text, it has another.
fn alter(path: &Path) {
    let mut bytes = std::fs::read(path).expect("it is there");
    let places: Vec<usize> = (0..bytes.len() - TEXT.len()).filter(|at| bytes[*at..].starts_with(TEXT)).collect();
    assert!(!places.is_empty(), "it is in the tables");
    places.into_iter().for_each(|at| bytes[at] ^= 1);
    std::fs::write(path, bytes).expect("it was read");
}
