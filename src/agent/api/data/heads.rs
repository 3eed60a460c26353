//! Headers of the data's calls.

use super::super::problem;
use super::Access;
use crate::data::{Condition, RequestId, Revision, Tagged};
use crate::view::data::Point;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use uuid::Uuid;

/// The id of a request: what makes it the same when it is sent again.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The point up to which an answer knows everything.
pub(super) const CURSOR: HeaderName = HeaderName::from_static("tanist-cursor");

fn malformed(detail: String) -> Box<Response> {
    Box::new(problem(StatusCode::BAD_REQUEST, detail))
}

/// The text of a header that may come once.
fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Box<Response>> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => match one.to_str() {
            Ok(one) => Ok(Some(one.trim().to_owned())),
            Err(_) => Err(malformed(format!("the header {name} is not plain text"))),
        },
        (Some(_), Some(_)) => Err(malformed(format!("the header {name} came more than once"))),
    }
}

/// The id of a request: the client's, or one that is made here.
pub(super) fn id(headers: &HeaderMap, access: &Access) -> Result<RequestId, Box<Response>> {
    let Some(text) = text(headers, &IDEMPOTENCY_KEY)? else { return Ok(access.new_id()) };
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&text);
    match Uuid::try_parse(bare) {
        Ok(id) => Ok(RequestId(id.as_u128())),
        Err(_) => Err(malformed(format!("the Idempotency-Key is a UUID, and {text} is none: make one for each write"))),
    }
}

/// What a write demands of the present value.
pub(super) fn condition(headers: &HeaderMap) -> Result<Condition, Box<Response>> {
    match (text(headers, &header::IF_MATCH)?, text(headers, &header::IF_NONE_MATCH)?) {
        (None, None) => Ok(Condition::None),
        (Some(version), None) => version_of(&version).map(Condition::Is).ok_or_else(|| {
            malformed(format!(
                "If-Match takes one version in quotes, as an ETag has it (\"5210.0a1b2c3d\"), and got {version}"
            ))
        }),
        (None, Some(star)) if star == "*" => Ok(Condition::Absent),
        (None, Some(other)) => {
            Err(malformed(format!("If-None-Match takes * here (write only when there is no value), and got {other}")))
        }
        (Some(_), Some(_)) => {
            Err(malformed("If-Match and If-None-Match contradict each other: send one of them".to_owned()))
        }
    }
}

/// Records have no versions.
pub(super) fn no_condition(headers: &HeaderMap) -> Result<(), Box<Response>> {
    match condition(headers)? {
        Condition::None => Ok(()),
        _ => Err(malformed("a record is added and never changed: leave If-Match and If-None-Match out".to_owned())),
    }
}

/// Whether a reader has this version already.
pub(super) fn has(headers: &HeaderMap, version: Revision) -> bool {
    let listed = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut listed = listed.flat_map(|value| value.split(',')).map(str::trim);
    listed.any(|tag| tag == "*" || version_of(tag.strip_prefix("W/").unwrap_or(tag)) == Some(version.tagged()))
}

/// The version of an ETag.
fn version_of(tag: &str) -> Option<Tagged> {
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

/// A version as an ETag.
pub(super) fn etag(version: Revision) -> HeaderValue {
    plain(&format!("\"{version}\""))
}

/// A point as a header.
pub(super) fn cursor(point: impl Into<Point>) -> HeaderValue {
    plain(&point.into().to_string())
}

/// An id as a header.
pub(super) fn plain_id(id: RequestId) -> HeaderValue {
    plain(&id.to_string())
}

fn plain(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("digits are plain text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn conditions_are_read_or_refused() {
        let version = Tagged { number: 5, tag: 0xa };
        for (of, expected) in [
            (&[][..], Some(Condition::None)),
            (&[("if-match", "\"5.0000000a\"")], Some(Condition::Is(version))),
            (&[("if-none-match", "*")], Some(Condition::Absent)),
            (&[("if-match", "5.0000000a")], None),
            (&[("if-match", "*")], None),
            (&[("if-match", "W/\"5.0000000a\"")], None),
            (&[("if-match", "\"5.0000000a\", \"6.0000000a\"")], None),
            (&[("if-match", "\"5.0000000a\""), ("if-match", "\"5.0000000a\"")], None),
            (&[("if-none-match", "\"5.0000000a\"")], None),
            (&[("if-match", "\"5.0000000a\""), ("if-none-match", "*")], None),
        ] {
            let mut all = HeaderMap::new();
            of.iter().for_each(|(name, value)| {
                all.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            });
            assert_eq!(condition(&all).ok(), expected, "{of:?}");
        }
    }

    #[test]
    fn a_reader_that_has_the_version_is_known() {
        let version = Revision::new(crate::data::ReignId(0xa << 32), 5);
        for (tag, has_it) in [
            ("\"5.0000000a\"", true),
            ("W/\"5.0000000a\"", true),
            ("\"4.0000000a\", \"5.0000000a\"", true),
            ("*", true),
            ("\"6.0000000a\"", false),
            ("5.0000000a", false),
        ] {
            assert_eq!(has(&headers(&[("if-none-match", tag)]), version), has_it, "{tag}");
        }
        assert!(!has(&HeaderMap::new(), version));
    }
}
