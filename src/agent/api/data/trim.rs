//! `DELETE /v1/records/{topic}`: old records are dropped.

use super::super::{Api, problem};
use super::path::{self, Parameters, Takes};
use super::told::Target;
use super::{Access, ask, heads, read};
use crate::agent::clock;
use crate::data::{Answer, Ask, Before, RequestId};
use crate::time::Wall;
use crate::view::data::Trimmed;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::time::Duration;

/// How long one call goes on: the ledger drops a bounded number of records with each change, and a topic may have
/// millions. What is left then goes with the next call.
const LONGEST: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Old {
    before: Option<String>,
    keep: Option<u64>,
    older_ms: Option<u64>,
}

impl Takes for Old {
    const TAKES: &'static str = "before (a cursor), keep (a number) or older_ms (milliseconds) with this method";
}

impl Old {
    /// Which records go.
    fn before(self) -> Result<Before, Box<Response>> {
        match (self.before, self.keep, self.older_ms) {
            (Some(cursor), None, None) => Ok(Before::Cursor(read::point("before", &cursor)?.0)),
            (None, Some(keep), None) => Ok(Before::Keep(keep)),
            (None, None, Some(ms)) => {
                Ok(Before::Older(Wall(clock::now().wall.0.saturating_sub(ms.saturating_mul(1000)))))
            }
            _ => {
                let detail = "one of before=CURSOR, keep=N and older_ms=N says which records are dropped: name it, and \
                              no other";
                Err(Box::new(problem(StatusCode::BAD_REQUEST, detail)))
            }
        }
    }
}

pub(super) async fn delete(
    State(api): State<Api>,
    uri: Uri,
    Parameters(old): Parameters<Old>,
    headers: HeaderMap,
) -> Response {
    let prepared = api.access().and_then(|access| {
        heads::no_condition(&headers)?;
        Ok((access, path::topic(&uri)?, old.before()?, heads::id(&headers, access)?))
    });
    let (access, topic, before, id) = match prepared {
        Ok(prepared) => prepared,
        Err(response) => return *response,
    };
    let response = match trim(&api, access, id, &topic, before).await {
        Ok(trimmed) => answered(&trimmed),
        Err(response) => *response,
    };
    ask::with_id(response, id)
}

fn answered(trimmed: &Trimmed) -> Response {
    let cursor = trimmed.cursor.map(|cursor| [(heads::CURSOR, heads::cursor(cursor))]);
    (cursor, Json(trimmed)).into_response()
}

/// Asks the leader to drop records until all are gone that are to go.
///
/// A trim that comes again drops what is left to drop, so its id need not be remembered, and each part has one of its own.
async fn trim(
    api: &Api,
    access: &Access,
    mut id: RequestId,
    topic: &str,
    before: Before,
) -> Result<Trimmed, Box<Response>> {
    let begun = clock::time();
    let mut all: Option<Trimmed> = None;
    loop {
        let part = match (part(api, access, id, topic, before).await, all) {
            (Ok(part), None) => part,
            (Ok(part), Some(before)) => before.and(part),
            // What was dropped is said. Whoever sends it again is told why it does not go on.
            (Err(_), Some(before)) => return Ok(Trimmed { more: true, ..before }),
            (Err(response), None) => return Err(response),
        };
        if !part.more || clock::time().since(begun) >= LONGEST {
            return Ok(part);
        }
        all = Some(part);
        id = access.new_id();
    }
}

/// As many as go at once.
async fn part(
    api: &Api,
    access: &Access,
    id: RequestId,
    topic: &str,
    before: Before,
) -> Result<Trimmed, Box<Response>> {
    let (target, request) = (Target::Topic(topic), Ask::Trim { topic: topic.to_owned(), before });
    let ask::Judged { answer, copies, epoch } = ask::judged(api, access, id, target, request).await?;
    let Answer::Trimmed { revision, dropped, more } = answer else { return Err(ask::not_done(answer, target, id)) };
    let point = revision.map(Into::into);
    Ok(Trimmed { topic: topic.to_owned(), dropped, more, revision: point, cursor: point, epoch, copies })
}
