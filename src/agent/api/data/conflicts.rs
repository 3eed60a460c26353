//! `GET /v1/conflicts` and `POST /v1/conflicts/{id}`.

use super::super::{Api, problem};
use super::path::{self, Nothing, Page, Parameters};
use super::scan::BYTES;
use super::told::Target;
use super::{Access, ask, heads, keys, read, tables};
use crate::agent::data::Snapshot;
use crate::data::{Answer, Ask, Condition, Keep, KeyEntry, Refusal, RequestId, Revision, Sibling, Tagged};
use crate::ledger::limits::VALUE;
use crate::ledger::{Trouble, lists};
use crate::view::Stamp;
use crate::view::data::{Conflict, Conflicts, Content, Point, Present, Settlement};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use std::ops::ControlFlow;
use std::str::FromStr;
use tokio::sync::OwnedSemaphorePermit;

/// The longest body that settles a conflict: a value in which every byte is six in JSON, and what stands around it.
const BODY: usize = 6 * VALUE + 1024;

/// Behind which conflict a page begins: its id and its key, for a key may have more conflicts than a page has room for.
struct Behind {
    id: Tagged,
    key: String,
}

impl FromStr for Behind {
    type Err = Box<Response>;

    fn from_str(text: &str) -> Result<Self, Box<Response>> {
        let parts = text.split_once(' ').and_then(|(id, key)| Some((id.parse().ok()?, key.to_owned())));
        let (id, key) = parts.ok_or_else(|| {
            let detail =
                format!("after={text:?} is no next of a page of conflicts: leave it out to begin with the first");
            Box::new(problem(StatusCode::BAD_REQUEST, detail))
        })?;
        Ok(Self { id, key })
    }
}

/// A page that is being filled.
struct Filling {
    conflicts: Vec<Conflict>, // bound: ROWS of a page
    limit: usize,
    bytes: usize,
    next: Option<String>,
}

impl Filling {
    /// Takes the conflicts of a key, those behind one of them.
    fn take<T: AsRef<str>, V: AsRef<[u8]>>(
        &mut self,
        entry: &KeyEntry<T, V>,
        behind: Option<Tagged>,
    ) -> ControlFlow<()> {
        let Some((first, conflicts)) = entry.siblings.split_first() else { return ControlFlow::Continue(()) };
        // One that was settled since is behind nothing: then the others of the key come again.
        let from = behind.and_then(|behind| conflicts.iter().position(|other| other.birth.tagged() == behind));
        for other in conflicts.iter().skip(from.map_or(0, |from| from + 1)) {
            if self.conflicts.len() == self.limit || self.bytes >= BYTES {
                self.next = self.conflicts.last().map(|last| format!("{} {}", last.id, last.key));
                return ControlFlow::Break(());
            }
            self.bytes += entry.key.as_ref().len() + size(first) + size(other);
            self.conflicts.push(Conflict {
                id: other.birth.into(),
                key: entry.key.as_ref().to_owned(),
                at: Stamp(other.at),
                node: other.node,
                deleted: other.value.is_none(),
                content: content(other),
                present: Present {
                    version: first.value.is_some().then_some(first.birth.into()),
                    at: Stamp(first.at),
                    node: first.node,
                    deleted: first.value.is_none(),
                    content: content(first),
                },
            });
        }
        ControlFlow::Continue(())
    }
}

fn size<V: AsRef<[u8]>>(sibling: &Sibling<V>) -> usize {
    sibling.value.as_ref().map_or(0, |value| value.as_ref().len())
}

fn content<V: AsRef<[u8]>>(sibling: &Sibling<V>) -> Option<Content> {
    sibling.value.as_ref().map(|value| Content::new(value.as_ref()))
}

fn fill(snapshot: &Snapshot, limit: usize, behind: Option<&Behind>) -> Result<Conflicts, Trouble<String>> {
    let mut page = Filling { conflicts: Vec::new(), limit, bytes: 0, next: None };
    if let Some(behind) = behind
        && let Some((_, entry)) = lists::key(snapshot, &behind.key)?
    {
        let _ = page.take(&entry, Some(behind.id));
    }
    if page.next.is_none() {
        lists::conflicts(snapshot, behind.map(|behind| behind.key.as_str()), &mut |_, entry| page.take(entry, None))?;
    }
    Ok(Conflicts { conflicts: page.conflicts, cursor: tables::position(snapshot)?.into(), next: page.next })
}

pub(super) async fn list(State(api): State<Api>, Parameters(page): Parameters<Page>) -> Response {
    let listed = async {
        let access = api.access()?;
        let limit = path::limit(page.limit)?;
        let behind = page.after.as_deref().map(Behind::from_str).transpose()?;
        read::at_least(&api, access, page.at_least.as_deref(), |read| matches!(read, Target::Key(_))).await?;
        read::page(access, move |snapshot| {
            let page = fill(snapshot, limit, behind.as_ref())?;
            Ok((page.cursor, page))
        })
        .await
    };
    listed.await.unwrap_or_else(|response| *response)
}

pub(super) async fn settle(
    State(api): State<Api>,
    uri: Uri,
    _: Parameters<Nothing>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let prepared = api.access().and_then(|access| {
        let (conflict, condition) = (conflict(&uri)?, heads::condition(&headers)?);
        Ok((access, conflict, condition, heads::id(&headers, access)?))
    });
    let (access, conflict, condition, id) = match prepared {
        Ok(prepared) => prepared,
        Err(response) => return *response,
    };
    let settled = async {
        let (keep, _place) = keep(access, &headers, body).await?;
        settled(&api, access, id, conflict, condition, keep).await
    };
    match settled.await {
        Ok((key, done)) => keys::written(key, &done, id),
        Err(response) => ask::with_id(*response, id),
    }
}

/// The conflict of a path, `/v1/conflicts/{id}`.
fn conflict(uri: &Uri) -> Result<Tagged, Box<Response>> {
    let text = uri.path().rsplit('/').next().unwrap_or_default();
    let read: Result<Point, _> = text.parse();
    read.map(|point| point.0).map_err(|why| {
        let detail = format!("{text:?} is no id of a conflict, as /v1/conflicts lists them: {why}");
        Box::new(problem(StatusCode::BAD_REQUEST, detail))
    })
}

/// What the key is to be, and its place among the values on their way.
async fn keep(access: &Access, headers: &HeaderMap, body: Body) -> Result<(Keep, OwnedSemaphorePermit), Box<Response>> {
    let (body, place) = ask::sent(access, headers, body, BODY).await?;
    let wrong = |why: String| {
        let takes = r#"the body is {"keep":"present"}, {"keep":"other"}, {"value":TEXT}, {"value":null} or {"value_base64":TEXT}"#;
        Box::new(problem(StatusCode::BAD_REQUEST, format!("{takes}: {why}")))
    };
    // A list with the fields in their order would be taken too.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(wrong("this is no JSON object".to_owned()));
    }
    let said: Settlement = serde_json::from_slice(&body).map_err(|error| wrong(error.to_string()))?;
    match Keep::try_from(said).map_err(|error| wrong(error.to_string()))? {
        Keep::Value(Some(value)) if value.len() > VALUE => Err(ask::too_large()),
        keep => Ok((keep, place)),
    }
}

/// Settles a conflict: the key, and what was done.
///
/// Its author has read the conflict, and the value that the condition names; without one, the value that this agent shows
/// now. The leader refuses it when another is there.
async fn settled(
    api: &Api,
    access: &Access,
    id: RequestId,
    conflict: Tagged,
    condition: Condition,
    keep: Keep,
) -> Result<(String, ask::Done), Box<Response>> {
    let none = || {
        let detail =
            format!("there is no conflict {conflict}, or no more: `tanist conflicts` lists those that there are");
        Box::new(problem(StatusCode::NOT_FOUND, detail))
    };
    read::at_least(api, access, None, |read| matches!(read, Target::Key(_))).await?;
    // Also of one that is settled: this may be the request that did it, and came again.
    let found = read::read(access, move |snapshot| lists::written(snapshot, conflict)).await?;
    let lists::KeyNow { key, present: here } = found.ok_or_else(none)?;
    let present = match condition {
        Condition::None => here.map(Revision::tagged),
        Condition::Absent => None,
        Condition::Is(version) => Some(version),
    };
    let (target, request) = (Target::Key(&key), Ask::Resolve { key: key.clone(), conflict, present, keep });
    let ask::Judged { answer, copies, epoch } = ask::judged(api, access, id, target, request).await?;
    match answer {
        Answer::Done(birth) | Answer::Known(birth) => Ok((key, ask::Done { birth, copies, epoch })),
        Answer::Refused(Refusal::Missing) => Err(none()),
        other => Err(ask::not_done(other, target, id)),
    }
}
