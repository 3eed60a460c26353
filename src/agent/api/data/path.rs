//! Keys and topics in paths, and parameters behind them.

use super::super::problem;
use crate::ledger::limits::{KEY, TOPIC};
use axum::extract::FromRequestParts;
use axum::extract::Query;
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::de::DeserializeOwned;

/// The key of a path, `/v1/keys/{key}`: all that is left of it.
pub(super) fn key(uri: &Uri) -> Result<String, Box<Response>> {
    named("key", uri.path().strip_prefix("/v1/keys/").unwrap_or_default(), KEY)
}

/// The topic of a path, `/v1/records/{topic}` or `/v1/records/{topic}/{id}`.
pub(super) fn topic(uri: &Uri) -> Result<String, Box<Response>> {
    let rest = uri.path().strip_prefix("/v1/records/").unwrap_or_default();
    named("topic", rest.split('/').next().unwrap_or_default(), TOPIC)
}

/// Checks a topic that is a parameter.
pub(super) fn check_topic(topic: &str) -> Result<(), Box<Response>> {
    check("topic", topic, TOPIC)
}

fn named(what: &str, text: &str, most: usize) -> Result<String, Box<Response>> {
    let bytes = decoded(text).ok_or_else(|| {
        let detail = format!("the {what} {text:?} has a % without two hexadecimal digits: a % itself is %25");
        Box::new(problem(StatusCode::BAD_REQUEST, detail))
    })?;
    let name = String::from_utf8(bytes).map_err(|_| {
        let detail = format!("the {what} {text:?} is not UTF-8 once its percent signs are decoded");
        Box::new(problem(StatusCode::BAD_REQUEST, detail))
    })?;
    check(what, &name, most).map(|()| name)
}

fn check(what: &str, name: &str, most: usize) -> Result<(), Box<Response>> {
    let (status, detail) = match name.len() {
        0 => (StatusCode::BAD_REQUEST, format!("the {what} is empty: name one in the path")),
        len if len > most => {
            (StatusCode::PAYLOAD_TOO_LARGE, format!("the {what} has {len} bytes, and may have {most}: shorten it"))
        }
        _ if name.contains('\0') => (StatusCode::BAD_REQUEST, format!("the {what} has a NUL (%00): leave it out")),
        _ => return Ok(()),
    };
    Err(Box::new(problem(status, detail)))
}

/// Percent-decoding, which takes no nonsense.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push((high << 4 | low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

/// The parameters of a call. An unknown one is an error and is not ignored in silence.
pub(super) struct Parameters<T>(pub(super) T);

/// What a call takes, in words.
pub(super) trait Takes: DeserializeOwned {
    const TAKES: &'static str;
}

/// What a list takes that goes on behind a `next`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    pub(super) after: Option<String>,
    pub(super) limit: Option<usize>,
    pub(super) at_least: Option<String>,
}

impl Takes for Page {
    const TAKES: &'static str = "after (a next), limit (a number) and at_least (a cursor)";
}

impl<T: Takes, S: Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        Query::try_from_uri(&parts.uri).map(|Query(read)| Self(read)).map_err(|error| {
            let detail = format!("{} takes {}: {}", parts.uri.path(), T::TAKES, error.body_text());
            problem(StatusCode::BAD_REQUEST, detail)
        })
    }
}

/// A call without parameters.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

impl Takes for Nothing {
    const TAKES: &'static str = "no parameters with this method";
}

/// How many things a page has when nobody says it, and at the most.
const PAGE: usize = super::scan::ROWS;

/// The length of a page that was asked for.
pub(super) fn limit(asked: Option<usize>) -> Result<usize, Box<Response>> {
    match asked {
        Some(0) => {
            let detail = format!("limit=0 asks for nothing: leave it out, or ask for 1 to {PAGE}");
            Err(Box::new(problem(StatusCode::BAD_REQUEST, detail)))
        }
        asked => Ok(asked.unwrap_or(PAGE).min(PAGE)),
    }
}

pub(super) async fn no_topic() -> Response {
    problem(StatusCode::BAD_REQUEST, "the topic is empty: name one, as in /v1/records/jobs")
}

pub(super) async fn no_key() -> Response {
    problem(StatusCode::BAD_REQUEST, "the key is empty: name one, as in /v1/keys/config; /v1/keys lists them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_are_decoded_or_refused() {
        for (text, bytes) in [
            ("", Some(&b""[..])),
            ("a/b", Some(b"a/b")),
            ("a%2Fb%2f+%20", Some(b"a/b/+ ")),
            ("%c3%bc", Some("ü".as_bytes())),
            ("ü", Some("ü".as_bytes())),
            ("%ff%00", Some(b"\xff\0")),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("%+1", None),
            ("100%", None),
        ] {
            assert_eq!(decoded(text).as_deref(), bytes, "{text}");
        }
    }
}
