//! What every machine has in the end, against what users know.

use super::users::{Book, COUNT, End, TOPIC, Users, number};
use crate::lan::{Lan, SETTLE, SLACK};
use crate::net::name;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::{Duration, Instant};
use tanist::client::{Client, Reading};
use uuid::Uuid;

/// Within this all machines have the same when nobody writes.
const SAME: Duration = Duration::from_secs(20);

/// So many of what is wrong are named.
const NAMED: usize = 8;

/// A record on a machine.
type Found = (Uuid, String);

/// All running machines have one leader and the same data.
pub(super) async fn settled_and_same(lan: &mut Lan, machines: &[usize]) {
    lan.settled(machines, SETTLE + SLACK).await;
    let began = Instant::now();
    loop {
        let mut standing = BTreeSet::new();
        let mut lines = String::new();
        for machine in machines {
            let status = lan.status(*machine).await;
            let one = status.map(|status| (status.revision, status.digest));
            let _ = write!(lines, "{}: {one:?}; ", name(*machine));
            standing.insert(one);
        }
        if standing.len() == 1 && standing.first().is_some_and(Option::is_some) {
            let took = began.elapsed();
            lan.note(&format!("{machines:?} have the same after {took:?}: {lines}"));
            return;
        }
        assert!(began.elapsed() < SAME, "after {SAME:?} machines differ, and nobody writes: {lines}");
        lan.pass(Duration::from_millis(50)).await;
    }
}

/// Every record that a machine shows, in order.
pub(super) async fn records(client: &Client) -> Vec<Found> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = client.records(TOPIC, after).await.unwrap_or_else(|error| panic!("records are not read: {error}"));
        if page.records.is_empty() {
            return found;
        }
        for record in page.records {
            found.push((record.id, String::from_utf8_lossy(record.content.bytes()).into_owned()));
        }
        after = Some(page.cursor);
    }
}

/// Ends the users' work, and compares what they know with what each machine has.
pub(super) async fn all_is_there(lan: &mut Lan, users: &mut Users) {
    all_is_there_and(lan, users, true).await;
}

/// The same where nobody counts.
pub(super) async fn all_is_there_but_counts(lan: &mut Lan, users: &mut Users) {
    all_is_there_and(lan, users, false).await;
}

async fn all_is_there_and(lan: &mut Lan, users: &mut Users, counts: bool) {
    users.end(lan).await;
    let all = lan.all();
    settled_and_same(lan, &all).await;
    let mut wrong = users.book().untrue.clone();
    let mut first: Option<Vec<Found>> = None;
    let mut conflicts = 0;
    for machine in &all {
        let found = records(&lan.client(*machine)).await;
        compare(&users.book(), *machine, &found, &mut wrong);
        let first = first.get_or_insert_with(|| found.clone());
        if let Some(at) = (0..first.len().max(found.len())).find(|at| first.get(*at) != found.get(*at)) {
            let (there, here) = (first.get(at), found.get(at));
            wrong.push(format!("record {at} is {here:?} on {}, and {there:?} on {}", name(*machine), name(all[0])));
        }
        if counts {
            conflicts = counted(&lan.client(*machine), *machine, users, &mut wrong).await;
        }
    }
    wrong.extend(lags(lan).await);
    let (asked, told) = {
        let book = users.book();
        (book.notes.len(), book.acknowledged().count())
    };
    assert!(
        wrong.is_empty(),
        "{} things are wrong, {told} of {asked} records were acknowledged:\n  {}",
        wrong.len(),
        wrong.join("\n  ")
    );
    let alone = users.book().acknowledged().filter(|n| matches!(n.1.end, End::Acknowledged { copies: 1, .. })).count();
    let steps: u64 = users.book().steps.values().sum();
    let errors = users.book().errors.len();
    lan.say(&format!(
        "{asked} records, {told} acknowledged, {alone} of them alone; {steps} steps counted, {conflicts} in conflict; \
         {errors} errors, all true"
    ));
}

/// Acknowledged records are on the machine once, refused ones are not, and there is none that nobody asked for.
fn compare(book: &Book, machine: usize, found: &[Found], wrong: &mut Vec<String>) {
    let machine = name(machine);
    let mut here: BTreeMap<Uuid, &str> = BTreeMap::new();
    for (id, text) in found {
        if here.insert(*id, text).is_some() {
            wrong.push(format!("{machine} has {id} ({text}) more than once"));
        }
        match book.notes.get(id) {
            None => wrong.push(format!("{machine} has {id} ({text}), which nobody asked for")),
            Some(note) if note.text != *text => {
                wrong.push(format!("{machine} has {id} as {text} in place of {}", note.text));
            }
            Some(note) => {
                if let End::Refused(why) = &note.end {
                    wrong.push(format!("{machine} has {id} ({text}), whose user was told that it was not done: {why}"));
                }
            }
        }
    }
    let missing: Vec<_> = book.acknowledged().filter(|(id, _)| !here.contains_key(id)).collect();
    if missing.is_empty() {
        return;
    }
    let began = book.notes.values().map(|note| note.asked).min().expect("something was asked for");
    let mut text = format!("{machine} lacks {} acknowledged records of {}:", missing.len(), book.notes.len());
    for (id, note) in missing.iter().take(NAMED) {
        let since = (note.asked - began).as_secs_f64();
        let _ = write!(text, "\n    {id} ({}), asked for {since:.3} s after the first, {:?}", note.text, note.end);
    }
    wrong.push(text);
}

/// Each key is as great as steps were acknowledged. A step that only a leader had when it died or stood still was made beside
/// those of the next one: it is listed as a conflict (P5), whether its user was told that it is done or that it is not.
/// Gives how many there are.
async fn counted(client: &Client, machine: usize, users: &Users, wrong: &mut Vec<String>) -> usize {
    let steps = users.book().steps.clone();
    let keys = client.keys(COUNT, None).await.unwrap_or_else(|error| panic!("no keys: {error}")).keys;
    let conflicts = |key: &str| keys.iter().find(|found| found.key == key).map_or(0, |found| found.conflicts);
    for (key, steps) in steps {
        let value = client.get(&key, Reading::default()).await.unwrap_or_else(|error| panic!("{key}: {error}"));
        let value = value.map_or(0, |value| number(&value.value));
        let conflicts = conflicts(&key);
        if value > steps || value + (conflicts as u64) < steps {
            let machine = name(machine);
            wrong
                .push(format!("{key} is {value} on {machine}, {steps} steps were acknowledged, {conflicts} conflicts"));
        }
    }
    keys.iter().map(|key| key.conflicts).sum()
}

/// The leader knows that nobody is behind. Of the old selves of machines that were set up anew it knows nothing.
async fn lags(lan: &Lan) -> Option<String> {
    let leader = *lan.all().iter().find(|machine| lan.view(**machine).leader == Some(name(**machine)))?;
    let members = lan.client(leader).members().await.expect("it answers").members;
    let lags: Vec<u64> = members.iter().filter_map(|member| member.lag).collect();
    let whole = lags.len() == lan.all().len() && lags.iter().all(|lag| *lag == 0);
    (!whole).then(|| format!("{} says that members are behind: {members:?}", name(leader)))
}
