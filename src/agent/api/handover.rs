//! `POST /v1/handover`.

use super::{Api, BODY, BODY_MAX, problem, problem::later};
use crate::agent::shared::Command;
use crate::claim::Claim;
use crate::protocol::{Who, named};
use crate::view::{HandoverRequest, Leader};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a handover may take; the protocol gives up long before.
const HANDOVER: Duration = Duration::from_secs(20);

/// How long after a handover succeeded this agent may take to hear the new leader.
const HEARD: Duration = Duration::from_secs(1);

pub(super) async fn post(State(api): State<Api>, body: Body) -> Response {
    let request = match read(body).await {
        Ok(request) => request,
        Err(response) => return *response,
    };
    let _place = match api.watcher() {
        Ok(place) => place,
        Err(response) => return *response,
    };
    let (before, to) = (api.shared.status.borrow().shown, request.to.clone());
    let (reply, answer) = oneshot::channel();
    if api.shared.commands.try_send(Command::Handover { to: request.to, reply }).is_err() {
        return problem::no_answer();
    }
    let answered = tokio::select! {
        answered = tokio::time::timeout(HANDOVER, answer) => answered,
        () = api.stop.cancelled() => return problem::no_answer(),
    };
    match answered {
        Ok(Ok(Ok(()))) => served(&api, before, to.as_deref()).await,
        Ok(Ok(Err(why))) => problem(StatusCode::CONFLICT, why),
        Ok(Err(_)) => problem::no_answer(),
        Err(_) => {
            let waited = HANDOVER.as_secs();
            problem(StatusCode::CONFLICT, format!("nobody said for {waited} s how the handover ended: see the status"))
        }
    }
}

async fn read(body: Body) -> Result<HandoverRequest, Box<Response>> {
    let bad = |status, why: String| Err(Box::new(problem(status, why)));
    let whole = match tokio::time::timeout(BODY, axum::body::to_bytes(body, BODY_MAX)).await {
        Ok(Ok(whole)) => whole,
        Ok(Err(_)) => {
            return bad(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {BODY_MAX} bytes"));
        }
        Err(_) => return bad(StatusCode::REQUEST_TIMEOUT, "the body did not come in time".to_owned()),
    };
    if whole.trim_ascii().is_empty() {
        return Ok(HandoverRequest::default());
    }
    let wrong = |why: String| {
        bad(StatusCode::BAD_REQUEST, format!(r#"the body is {{"to":NAME}}, or empty for the successor: {why}"#))
    };
    // A list with the fields in their order would be taken too.
    if !whole.trim_ascii_start().starts_with(b"{") {
        return wrong("this is no JSON object".to_owned());
    }
    serde_json::from_slice(&whole).or_else(|error| wrong(error.to_string()))
}

/// The handover was done; the answer waits until this agent shows the new reign.
async fn served(api: &Api, before: Option<Claim>, to: Option<&str>) -> Response {
    let mut status = api.shared.status.clone();
    // The one that is to lead may do so already.
    let meant =
        |leader: &Who| to.is_some_and(|to| !named(to, [(leader.node.id, leader.name.as_str())].into_iter()).is_empty());
    let shows = status.wait_for(|s| s.leader.as_ref().is_some_and(|leader| s.shown != before || meant(leader)));
    // In time or not: what is said is how it stands.
    let _ = tokio::time::timeout(HEARD, shows).await;
    let stands = match api.stands().await {
        Ok(status) => status,
        Err(response) => return *response,
    };
    match Leader::new(&stands) {
        Some(leader) => Json(leader).into_response(),
        None => later(StatusCode::SERVICE_UNAVAILABLE, "the role was handed over; the new leader was not heard yet"),
    }
}
