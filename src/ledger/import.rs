//! Importing: what an export saved comes in, unless it is here or was.
//!
//! What is saved is known by the id of its request, and not by its birth: a birth of another store's reign would be
//! covered by no context here. So what comes in is born anew, under the importing leader's order, and keeps id, time and
//! member of its origin. A birth that was seen here says that the thing was here, and is gone or was replaced since.

use super::draft::Draft;
use super::limits::{ENTRY, SIBLINGS};
use super::order::{Verdict, known_record};
use super::pending::Making;
use super::requests::SAVED;
use super::storage::Storage;
use super::{Trouble, contexts, requests};
use crate::data::{
    Add, Answer, Ask, Change, Refusal, Replaces, Request, RequestId, Revision, Saved, Sibling, Slice, Tagged, Write,
};

/// Says what is to be done about an import.
pub(super) fn judge<S: Storage>(
    draft: &Draft<'_, Making<'_, S>>,
    request: Request,
) -> Result<Verdict, Trouble<S::Error>> {
    let Request { id, at, node, ask: Ask::Import { birth, saved } } = request else { unreachable!("it imports") };
    match saved {
        Saved::Record { topic, value } => {
            if let Some(answer) = known_record(draft, id, &topic, &value)? {
                return Ok(Verdict::Say(answer));
            }
            if let Some(seen) = seen(draft, birth)? {
                return Ok(Verdict::Say(Answer::Known(seen)));
            }
            Ok(Verdict::Do(Change::Add(Add { births: Vec::new(), id, topic, at, node, value })))
        }
        Saved::Sibling { key, value } => {
            let (_, here) = draft.with_key(&key, |present| {
                let siblings = present.map_or_else(Vec::new, |(_, entry)| entry.siblings);
                Ok(look(&siblings, id, birth, value.as_deref()))
            })?;
            let was = match here {
                Here::Known(_) | Here::Reused => None,
                Here::Absent | Here::Behind | Here::Crowded => was_here(draft, id, birth)?,
            };
            let change = |value| {
                let replaces = Replaces::Nothing;
                Change::Write(Write { key, value, request: id, hash: SAVED, at, node, replaces })
            };
            Ok(match (here, was) {
                (Here::Known(birth), _) | (_, Some(birth)) => Verdict::Say(Answer::Known(birth)),
                (Here::Reused, None) => Verdict::Say(Answer::Refused(Refusal::Reused)),
                (Here::Crowded, None) => Verdict::Say(Answer::Refused(Refusal::Crowded)),
                (Here::Absent, None) => Verdict::Do(change(value)),
                (Here::Behind, None) => Verdict::Beside(change(value)),
            })
        }
    }
}

/// Whether a request was executed here, or what it made was seen: under which revision.
fn was_here<S: Storage>(
    draft: &Draft<'_, Making<'_, S>>,
    id: RequestId,
    birth: Tagged,
) -> Result<Option<Revision>, Trouble<S::Error>> {
    match requests::known(&*draft.rows, id)? {
        Some((birth, _)) => Ok(Some(birth)),
        None => seen(draft, birth),
    }
}

/// The revision of a birth that was seen here.
fn seen<S: Storage>(draft: &Draft<'_, Making<'_, S>>, birth: Tagged) -> Result<Option<Revision>, Trouble<S::Error>> {
    let found = contexts::resolve(&*draft.rows, birth)?.ok();
    // Nothing is born before the first change.
    Ok(found.filter(|birth| birth.number > 0))
}

/// What the key of a sibling says of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Here {
    /// The sibling is here, with this birth.
    Known(Revision),
    /// The key has another value of this request.
    Reused,
    /// The key has nothing.
    Absent,
    /// The key has others, and room.
    Behind,
    /// The key has others, and no room.
    Crowded,
}

fn look(siblings: &[Sibling<Slice<'_>>], id: RequestId, birth: Tagged, value: Option<&[u8]>) -> Here {
    let mut own = siblings.iter().filter(|sibling| sibling.request == id).peekable();
    if own.peek().is_some() {
        let same = own.find(|sibling| sibling.value.map(|value| value.0) == value);
        return same.map_or(Here::Reused, |sibling| Here::Known(sibling.birth));
    }
    if let Some(sibling) = siblings.iter().find(|sibling| sibling.birth.tagged() == birth) {
        return Here::Known(sibling.birth);
    }
    let Some((_, conflicts)) = siblings.split_first() else { return Here::Absent };
    let size = |value: Option<&[u8]>| value.map_or(0, <[u8]>::len);
    // The value is not counted: a write may put a longer one in its place.
    let bytes: usize = conflicts.iter().map(|sibling| size(sibling.value.map(|value| value.0))).sum();
    let is_full = siblings.len() >= SIBLINGS || bytes + size(value) > ENTRY;
    if is_full { Here::Crowded } else { Here::Behind }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
