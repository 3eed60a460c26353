//! `POST` and `GET /v1/records/{topic}`, `GET /v1/records/{topic}/{id}`.

use super::super::{Api, problem};
use super::path::{self, Nothing, Parameters, Takes};
use super::scan::{Reader, Told, Wanted};
use super::told::Target;
use super::{ask, heads, read, tables};
use crate::data::{Ask, Context, Entry, RequestId, Revision};
use crate::ledger::lists;
use crate::view::Stamp;
use crate::view::data::{Added, Content, Record, Records};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use uuid::Uuid;

/// Percent signs for what a path may not hold as it is.
fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

pub(super) async fn add(
    State(api): State<Api>,
    uri: Uri,
    _: Parameters<Nothing>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let prepared = api.access().and_then(|access| {
        heads::no_condition(&headers)?;
        Ok((access, path::topic(&uri)?, heads::id(&headers, access)?))
    });
    let (access, topic, id) = match prepared {
        Ok(prepared) => prepared,
        Err(response) => return *response,
    };
    let written = async {
        let (value, _place) = ask::value(access, &headers, body).await?;
        let request = Ask::Add { topic: topic.clone(), value };
        ask::write(&api, access, id, Target::Topic(&topic), request).await
    };
    let response = match written.await {
        Err(response) => *response,
        Ok(done) => {
            let place = format!("/v1/records/{}/{id}", encoded(&topic));
            let added = Added {
                id: Uuid::from_u128(id.0),
                topic,
                revision: done.birth.into(),
                cursor: done.birth.into(),
                epoch: done.epoch,
                copies: done.copies,
            };
            let heads = [(header::LOCATION, place)];
            (StatusCode::CREATED, heads, [(heads::CURSOR, heads::cursor(done.birth))], Json(added)).into_response()
        }
    };
    ask::with_id(response, id)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    after: Option<String>,
    limit: Option<usize>,
    at_least: Option<String>,
}

impl Takes for Page {
    const TAKES: &'static str = "after (a cursor), limit (a number) and at_least (a cursor)";
}

pub(super) async fn list(State(api): State<Api>, uri: Uri, Parameters(page): Parameters<Page>) -> Response {
    let listed = async {
        let access = api.access()?;
        let (topic, limit) = (path::topic(&uri)?, path::limit(page.limit)?);
        read::at_least(&api, access, page.at_least.as_deref(), |read| read == Target::Topic(&topic)).await?;
        let (position, seen) = match &page.after {
            Some(after) => read::locate(&api, access, "the cursor", read::point("after", after)?).await?,
            None => (Revision::ZERO, Context::new()),
        };
        read::page(access, move |snapshot| {
            let wanted = Wanted { topic: Some(topic), prefix: None };
            let mut reader = Reader::after(wanted, position, seen);
            let mut records = Vec::new();
            let position = reader.page(snapshot, limit, |told| match told {
                Told::Entry(revision, Entry::Record(record)) => {
                    records.push(Record {
                        id: Uuid::from_u128(record.id.0),
                        topic: record.topic.to_owned(),
                        at: Stamp(record.at),
                        node: record.node,
                        revision: revision.into(),
                        content: Content::new(record.value.0),
                    });
                    record.value.0.len()
                }
                _ => 0,
            })?;
            Ok((position.into(), Records { records, cursor: position.into() }))
        })
        .await
    };
    listed.await.unwrap_or_else(|response| *response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct One {
    at_least: Option<String>,
}

impl Takes for One {
    const TAKES: &'static str = "at_least (a cursor)";
}

pub(super) async fn one(State(api): State<Api>, uri: Uri, Parameters(asked): Parameters<One>) -> Response {
    let found = async {
        let access = api.access()?;
        let (topic, last) = (path::topic(&uri)?, uri.path().rsplit('/').next().unwrap_or_default());
        let Ok(id) = Uuid::try_parse(last) else {
            let detail = format!("the id of a record is a UUID, and {last:?} is none");
            return Err(Box::new(problem(StatusCode::BAD_REQUEST, detail)));
        };
        read::at_least(&api, access, asked.at_least.as_deref(), |read| read == Target::Topic(&topic)).await?;
        let wanted = RequestId(id.as_u128());
        let (found, position) =
            read::read(access, move |snapshot| Ok((lists::record(snapshot, wanted)?, tables::position(snapshot)?)))
                .await?;
        match found.filter(|(_, record)| record.topic == topic) {
            Some((_, record)) => Ok((record.value, position)),
            None => {
                let detail = format!("the topic {topic:?} has no record {id}: it was never added, or trimmed");
                Err(Box::new(problem(StatusCode::NOT_FOUND, detail)))
            }
        }
    };
    match found.await {
        Ok((value, position)) => {
            let kind = (header::CONTENT_TYPE, "application/octet-stream");
            ([(heads::CURSOR, heads::cursor(position))], [kind], value).into_response()
        }
        Err(response) => *response,
    }
}
