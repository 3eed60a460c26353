//! The join of a key as the rules say it, over two whole stores: what the ledger makes piece by piece must be the same.

use tanist::data::{Context, ReignId, Revision, Sibling};
use tanist::ledger::{Memory, Storage, Table, lists};

fn siblings(store: &Memory, key: &str) -> Vec<Sibling> {
    let entry = lists::key(store, key).expect("it can be read");
    entry.map_or_else(Vec::new, |(_, entry)| entry.siblings)
}

fn context(store: &Memory) -> Context {
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
    let rows = store.rows(Table::Seen).into_iter();
    rows.map(|(reign, n)| Revision::new(ReignId(number(&reign)), number(&n))).collect()
}

fn is(a: &Sibling, b: &Sibling) -> bool {
    a.birth == b.birth || a.request == b.request
}

/// Whether a store has seen a sibling that it does not hold: its birth, or its request.
fn has_seen(store: &Memory, context: &Context, sibling: &Sibling, requests: bool) -> bool {
    let executed = || !store.find_request(sibling.request).expect("memory does not fail").is_empty();
    context.covers(sibling.birth) || requests && executed()
}

/// The siblings that stay, in order; and whether requests had to be passed over, because nothing would have been left.
pub(crate) fn join(key: &str, here: &Memory, there: &Memory) -> (Vec<Sibling>, bool) {
    let (mine, theirs) = (siblings(here, key), siblings(there, key));
    let (my_context, their_context) = (context(here), context(there));
    let stay = |requests: bool| -> Vec<Sibling> {
        let held = |by: &[Sibling], sibling: &Sibling| by.iter().any(|other| is(other, sibling));
        let a = mine.iter().filter(|s| held(&theirs, s) || !has_seen(there, &their_context, s, requests));
        let b = theirs.iter().filter(|s| held(&mine, s) || !has_seen(here, &my_context, s, requests));
        let mut stay: Vec<Sibling> = a.cloned().collect();
        for sibling in b {
            match stay.iter_mut().find(|other| is(other, sibling)) {
                Some(other) if sibling.birth > other.birth => *other = sibling.clone(),
                Some(_) => {}
                None => stay.push(sibling.clone()),
            }
        }
        stay
    };
    let mut stays = stay(true);
    let opposite = stays.is_empty() && !mine.is_empty() && !theirs.is_empty();
    if opposite {
        stays = stay(false);
    }
    let first_stays = mine.first().is_some_and(|first| stays.iter().any(|sibling| is(first, sibling)));
    let order = if first_stays { [&mine[..], &theirs] } else { [&theirs[..], &mine] };
    let mut joined: Vec<Sibling> = Vec::new();
    for sibling in order.into_iter().flatten() {
        if let Some(stays) = stays.iter().find(|other| is(other, sibling))
            && !joined.contains(stays)
        {
            joined.push(stays.clone());
        }
    }
    (joined, opposite)
}
