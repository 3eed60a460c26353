//! `GET /`: the status page, one file that asks this agent and nobody else.

use super::problem::later;
use crate::agent::identity::random;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The page. `NONCE` stands where the browser is told what it may run.
const PAGE: &str = include_str!("page.html");

pub(super) async fn get() -> Response {
    let Ok(nonce) = random() else {
        return later(StatusCode::SERVICE_UNAVAILABLE, "no random number could be had: try again");
    };
    let nonce = format!("{nonce:032x}");
    // Nothing but what this file holds, and questions to this agent: what others are called is text, whatever it says.
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let heads = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (heads, PAGE.replace("NONCE", &nonce)).into_response()
}
