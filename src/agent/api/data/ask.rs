//! Writes: a request goes to the loop, and its outcome becomes an answer.

use super::super::problem::{self, later};
use super::super::{Api, BODY, LOOP, problem as refuse};
use super::heads::{IDEMPOTENCY_KEY, etag, plain_id};
use super::told::{SHOWN, Target};
use super::{Access, IN_FLIGHT, read};
use crate::agent::clock;
use crate::agent::data::{Asked, Outcome};
use crate::agent::metrics::Wrote;
use crate::data::{Answer, Ask, Refusal, Request, RequestId, Revision};
use crate::ledger::limits::VALUE;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::LengthLimitError;
use std::error::Error;
use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// A request that was judged and had its effect.
pub(super) struct Done {
    /// The birth of what it wrote.
    pub(super) birth: Revision,
    pub(super) copies: u8,
    pub(super) epoch: u64,
}

/// What the leader said of a request.
pub(super) struct Judged {
    pub(super) answer: Answer,
    pub(super) copies: u8,
    pub(super) epoch: u64,
}

/// The answer to a value that is too large.
pub(super) fn too_large() -> Box<Response> {
    let detail = format!("a value has at most {VALUE} bytes (1 MiB): split it, or keep the name of a file in it");
    Box::new(refuse(StatusCode::PAYLOAD_TOO_LARGE, detail))
}

/// The value that a client sends, and its place among those on their way. The place is to be held until the answer.
pub(super) async fn value(
    access: &Access,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Bytes, OwnedSemaphorePermit), Box<Response>> {
    sent(access, headers, body, VALUE).await
}

/// The same of a body of so many bytes at the most, which has a value in it.
pub(super) async fn sent(
    access: &Access,
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<(Bytes, OwnedSemaphorePermit), Box<Response>> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    // One that was told so before it sends anything need not send it.
    let size = match declared {
        Some(size) if size > most => return Err(too_large()),
        Some(size) => size,
        None => most,
    };
    let place = Arc::clone(&access.in_flight).try_acquire_many_owned(u32::try_from(size).unwrap_or(u32::MAX));
    let Ok(place) = place else {
        let detail = format!("{IN_FLIGHT} bytes of values are on their way already: try again in a second");
        return Err(Box::new(later(StatusCode::TOO_MANY_REQUESTS, detail)));
    };
    match tokio::time::timeout(BODY, axum::body::to_bytes(body, most)).await {
        Ok(Ok(value)) => Ok((value, place)),
        Ok(Err(error)) if error.source().is_some_and(|why| why.is::<LengthLimitError>()) => Err(too_large()),
        Ok(Err(_)) => Err(Box::new(refuse(StatusCode::BAD_REQUEST, "the value broke off: nothing was written"))),
        Err(_) => {
            let detail = format!("the value did not come within {} s: nothing was written", BODY.as_secs());
            Err(Box::new(refuse(StatusCode::REQUEST_TIMEOUT, detail)))
        }
    }
}

/// Passes a request on and waits for what becomes of it.
pub(super) async fn ask(api: &Api, access: &Access, id: RequestId, ask: Ask) -> Result<Outcome, Box<Response>> {
    let node = api.shared.status.borrow().node.id;
    let begun = clock::now();
    let request = Request { id, at: begun.wall, node, ask };
    let (reply, outcome) = oneshot::channel();
    match access.data.asks.try_send(Asked { request, reply }) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) => {
            let detail = "too many requests wait already: nothing was written, try again in a second";
            return Err(Box::new(later(StatusCode::TOO_MANY_REQUESTS, detail)));
        }
        Err(TrySendError::Closed(_)) => return Err(Box::new(problem::no_answer())),
    }
    // The loop keeps to the time itself: this is for one that stands still.
    let patience = access.data.write_timeout + LOOP;
    let outcome = tokio::select! {
        outcome = clock::within(patience, outcome) => outcome,
        () = api.stop.cancelled() => None,
    };
    match outcome {
        Some(Ok(outcome)) => {
            api.shared.metrics.wrote(wrote(&outcome), clock::time().since(begun.time));
            Ok(outcome)
        }
        _ => Err(Box::new(again("the agent is stopping, or too busy to answer", id))),
    }
}

/// What is counted of it.
fn wrote(outcome: &Outcome) -> Wrote {
    match outcome {
        Outcome::Judged { answer: Answer::Refused(_), .. } => Wrote::Refused,
        Outcome::Judged { .. } => Wrote::Acknowledged,
        Outcome::Later(_) => Wrote::Later,
        Outcome::Busy(_) => Wrote::Busy,
        Outcome::NoSpace(_) => Wrote::NoSpace,
    }
}

/// Nobody knows whether it was done, or it was not: either way it may come again.
fn again(why: &str, id: RequestId) -> Response {
    let detail = format!("{why}: send it again with the header Idempotency-Key: {id}, and it is done once");
    later(StatusCode::SERVICE_UNAVAILABLE, detail)
}

/// Does a write: what it did, or the answer that says why not.
pub(super) async fn write(
    api: &Api,
    access: &Access,
    id: RequestId,
    target: Target<'_>,
    request: Ask,
) -> Result<Done, Box<Response>> {
    let Judged { answer, copies, epoch } = judged(api, access, id, target, request).await?;
    match answer {
        Answer::Done(birth) | Answer::Known(birth) => Ok(Done { birth, copies, epoch }),
        other => Err(not_done(other, target, id)),
    }
}

/// Has a request judged, and keeps in mind what its client is told of.
pub(super) async fn judged(
    api: &Api,
    access: &Access,
    id: RequestId,
    target: Target<'_>,
    request: Ask,
) -> Result<Judged, Box<Response>> {
    let (answer, copies, epoch) = match ask(api, access, id, request).await? {
        Outcome::Judged { answer, copies, epoch } => (answer, copies, epoch),
        Outcome::Later(why) => return Err(Box::new(again(&why, id))),
        Outcome::Busy(why) => {
            let detail = format!("{why}: nothing was written, try again in a second");
            return Err(Box::new(later(StatusCode::TOO_MANY_REQUESTS, detail)));
        }
        Outcome::NoSpace(why) => {
            let detail = format!("{why}, and nobody else can take it: make room on the disk of the leader");
            return Err(Box::new(refuse(StatusCode::INSUFFICIENT_STORAGE, detail)));
        }
    };
    let shows = match answer {
        Answer::Done(birth) | Answer::Known(birth) | Answer::Beside(birth) => Some(birth),
        Answer::Trimmed { revision, .. } => revision,
        Answer::Refused(Refusal::Changed(present)) => present,
        Answer::Refused(_) => None,
    };
    if let Some(revision) = shows
        && !access.tells(target, revision)
    {
        read::shown(access, revision, SHOWN).await;
    }
    Ok(Judged { answer, copies, epoch })
}

/// The answer to a request that did not do what it was to do.
pub(super) fn not_done(answer: Answer, target: Target<'_>, id: RequestId) -> Box<Response> {
    Box::new(match answer {
        Answer::Refused(refusal) => refused(refusal, target, id),
        _ => refuse(StatusCode::INTERNAL_SERVER_ERROR, "the leader did something else than it was asked for"),
    })
}

/// The answer to a request that had no effect.
fn refused(refusal: Refusal, target: Target<'_>, id: RequestId) -> Response {
    let name = match target {
        Target::Topic(topic) => format!("the topic {topic:?}"),
        Target::Key(key) => format!("the key {key:?}"),
    };
    match refusal {
        Refusal::Reused => refuse(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("the id {id} belongs to another request already: send this one with an Idempotency-Key of its own"),
        ),
        Refusal::Changed(None) => refuse(
            StatusCode::PRECONDITION_FAILED,
            format!("{name} has no value now: read it again, and decide anew (If-None-Match: * writes a first value)"),
        ),
        Refusal::Changed(Some(present)) => {
            let detail = format!("{name} has the version {present} now: read it again, and decide anew");
            let mut response = refuse(StatusCode::PRECONDITION_FAILED, detail);
            response.headers_mut().insert(header::ETAG, etag(present));
            response
        }
        Refusal::Missing => refuse(StatusCode::NOT_FOUND, format!("{name} has no value: there is nothing to delete")),
        Refusal::Malformed(why) if why.ends_with("too long") => refuse(StatusCode::PAYLOAD_TOO_LARGE, why),
        Refusal::Malformed(why) => refuse(StatusCode::BAD_REQUEST, why),
        Refusal::Forgotten => read::forgotten("the cursor"),
        Refusal::Full => refuse(
            StatusCode::CONFLICT,
            format!("{name} cannot be trimmed: as many trims as may be are remembered; trim fewer topics"),
        ),
        Refusal::Crowded => refuse(StatusCode::CONFLICT, format!("{name} has as many values as it may have")),
    }
}

/// Any answer to a write says by which id it can be sent again.
pub(super) fn with_id(mut response: Response, id: RequestId) -> Response {
    response.headers_mut().insert(IDEMPOTENCY_KEY, plain_id(id));
    response
}
