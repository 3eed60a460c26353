//! Bodies of requests that are one JSON object.

use super::{BODY, BODY_MAX, problem};
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use serde::de::DeserializeOwned;

/// What a body says, or nothing when it is empty. `shape` tells whoever sends something else what it is to be.
pub(super) async fn object<T: DeserializeOwned>(body: Body, shape: &str) -> Result<Option<T>, Box<Response>> {
    let bad = |status, why: String| Err(Box::new(problem(status, why)));
    let whole = match tokio::time::timeout(BODY, axum::body::to_bytes(body, BODY_MAX)).await {
        Ok(Ok(whole)) => whole,
        Ok(Err(_)) => {
            return bad(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {BODY_MAX} bytes"));
        }
        Err(_) => return bad(StatusCode::REQUEST_TIMEOUT, "the body did not come in time".to_owned()),
    };
    if whole.trim_ascii().is_empty() {
        return Ok(None);
    }
    let wrong = |why: String| bad(StatusCode::BAD_REQUEST, format!("the body is {shape}: {why}"));
    // A list with the fields in their order would be taken too.
    if !whole.trim_ascii_start().starts_with(b"{") {
        return wrong("this is no JSON object".to_owned());
    }
    serde_json::from_slice(&whole).map(Some).or_else(|error| wrong(error.to_string()))
}
