//! Errors: `application/problem+json` (RFC 9457).

use crate::view::Problem;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// An answer that is an error.
pub(super) fn problem(status: StatusCode, detail: impl Into<String>) -> Response {
    let problem = Problem {
        kind: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or("Error").to_owned(),
        status: status.as_u16(),
        detail: detail.into(),
    };
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    (status, [kind], body).into_response()
}

/// An error that passes: it names a pause of one second.
pub(super) fn later(status: StatusCode, detail: impl Into<String>) -> Response {
    let mut response = problem(status, detail);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The loop did not answer in time, or is gone.
pub(super) fn no_answer() -> Response {
    later(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping, or too busy to answer: try again")
}
