//! `GET /v1/keys`, and `PUT`, `GET` and `DELETE /v1/keys/{key}`.

use super::super::{Api, problem};
use super::path::{self, Nothing, Parameters, Takes};
use super::told::Target;
use super::{ask, heads, read, tables};
use crate::data::{Ask, RequestId};
use crate::ledger::lists;
use crate::view::Stamp;
use crate::view::data::{Key, Keys, Written};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::ops::ControlFlow;

pub(super) async fn put(
    State(api): State<Api>,
    uri: Uri,
    _: Parameters<Nothing>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let prepared = api.access().and_then(|access| {
        let (key, condition) = (path::key(&uri)?, heads::condition(&headers)?);
        Ok((access, key, condition, heads::id(&headers, access)?))
    });
    let (access, key, condition, id) = match prepared {
        Ok(prepared) => prepared,
        Err(response) => return *response,
    };
    let put = async {
        let (value, _place) = ask::value(access, &headers, body).await?;
        let request = Ask::Put { key: key.clone(), value, condition };
        ask::write(&api, access, id, Target::Key(&key), request).await
    };
    match put.await {
        Ok(done) => written(key, &done, id),
        Err(response) => ask::with_id(*response, id),
    }
}

pub(super) async fn delete(State(api): State<Api>, uri: Uri, _: Parameters<Nothing>, headers: HeaderMap) -> Response {
    let prepared = api.access().and_then(|access| {
        let (key, condition) = (path::key(&uri)?, heads::condition(&headers)?);
        Ok((access, key, condition, heads::id(&headers, access)?))
    });
    let (access, key, condition, id) = match prepared {
        Ok(prepared) => prepared,
        Err(response) => return *response,
    };
    let request = Ask::Delete { key: key.clone(), condition };
    match ask::write(&api, access, id, Target::Key(&key), request).await {
        Ok(done) => answered(key, &done, id),
        Err(response) => ask::with_id(*response, id),
    }
}

/// The answer to a write of a value.
pub(super) fn written(key: String, done: &ask::Done, id: RequestId) -> Response {
    let mut response = answered(key, done, id);
    response.headers_mut().insert(header::ETAG, heads::etag(done.birth));
    response
}

/// The answer to a write.
fn answered(key: String, done: &ask::Done, id: RequestId) -> Response {
    let point = done.birth.into();
    let written =
        Written { key, version: point, revision: point, cursor: point, epoch: done.epoch, copies: done.copies };
    ask::with_id(([(heads::CURSOR, heads::cursor(point))], Json(written)).into_response(), id)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct One {
    #[serde(default)]
    fresh: bool,
    at_least: Option<String>,
}

impl Takes for One {
    const TAKES: &'static str = "fresh (true or false) and at_least (a cursor)";
}

pub(super) async fn get(
    State(api): State<Api>,
    uri: Uri,
    Parameters(asked): Parameters<One>,
    headers: HeaderMap,
) -> Response {
    let found = async {
        let access = api.access()?;
        let key = path::key(&uri)?;
        read::at_least(&api, access, asked.at_least.as_deref(), |read| read == Target::Key(&key)).await?;
        if asked.fresh {
            read::fresh(&api, access, &key).await?;
        }
        let name = key.clone();
        let (present, position) = read::read(access, move |snapshot| {
            let entry = lists::key(snapshot, &name)?;
            Ok((entry.and_then(|(_, entry)| entry.present().cloned()), tables::position(snapshot)?))
        })
        .await?;
        let value = present.and_then(|present| Some((present.birth, present.value?)));
        Ok::<_, Box<Response>>((key, value, position))
    };
    let (key, found, position) = match found.await {
        Ok(found) => found,
        Err(response) => return *response,
    };
    let mut response = match found {
        None => problem(StatusCode::NOT_FOUND, format!("the key {key:?} has no value")),
        Some((version, value)) => {
            let tag = [(header::ETAG, heads::etag(version))];
            if heads::has(&headers, version) {
                (StatusCode::NOT_MODIFIED, tag).into_response()
            } else {
                (tag, [(header::CONTENT_TYPE, "application/octet-stream")], value).into_response()
            }
        }
    };
    response.headers_mut().insert(heads::CURSOR, heads::cursor(position));
    response
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    #[serde(default)]
    prefix: String,
    after: Option<String>,
    limit: Option<usize>,
    at_least: Option<String>,
}

impl Takes for Page {
    const TAKES: &'static str = "prefix, after (a next), limit (a number) and at_least (a cursor)";
}

pub(super) async fn list(State(api): State<Api>, Parameters(page): Parameters<Page>) -> Response {
    let listed = async {
        let access = api.access()?;
        let limit = path::limit(page.limit)?;
        let reads = |read: Target<'_>| matches!(read, Target::Key(key) if key.starts_with(&page.prefix));
        read::at_least(&api, access, page.at_least.as_deref(), reads).await?;
        read::page(access, move |snapshot| {
            let (mut keys, mut next) = (Vec::<Key>::new(), None);
            lists::keys(snapshot, &page.prefix, page.after.as_deref(), &mut |revision, entry| {
                // One whose value was deleted may have conflicts, and is no key with a value for all that.
                let Some(present) = entry.present() else { return ControlFlow::Continue(()) };
                if keys.len() == limit {
                    next = keys.last().map(|last| last.key.clone());
                    return ControlFlow::Break(());
                }
                keys.push(Key {
                    key: entry.key.to_owned(),
                    version: present.birth.into(),
                    revision: revision.into(),
                    at: Stamp(present.at),
                    node: present.node,
                    size: present.value.map_or(0, |value| value.0.len() as u64),
                    conflicts: entry.siblings.len() - 1,
                });
                ControlFlow::Continue(())
            })?;
            let cursor = tables::position(snapshot)?.into();
            Ok((cursor, Keys { keys, cursor, next }))
        })
        .await
    };
    listed.await.unwrap_or_else(|response| *response)
}
