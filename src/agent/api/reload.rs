//! `POST /v1/reload`: the configuration is read again.

use super::{Api, LOOP, problem};
use crate::agent::clock;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

pub(super) async fn post(State(api): State<Api>) -> Response {
    let (reply, done) = oneshot::channel();
    if api.shared.reloads.try_send(reply).is_err() {
        return problem::later(StatusCode::TOO_MANY_REQUESTS, "the configuration is being read already");
    }
    match clock::within(LOOP, done).await {
        Some(Ok(Ok(reloaded))) => Json(reloaded).into_response(),
        Some(Ok(Err(why))) => problem(StatusCode::CONFLICT, why),
        _ => problem::no_answer(),
    }
}
