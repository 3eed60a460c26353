//! `POST /v1/handover`.

use super::{Api, body, problem, problem::later};
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

/// How long a handover may take: programs that follow the role may need a minute to end, and the protocol gives up long
/// before the rest.
const HANDOVER: Duration = Duration::from_secs(80);

/// How long after a handover succeeded this agent may take to hear the new leader.
const HEARD: Duration = Duration::from_secs(1);

pub(super) async fn post(State(api): State<Api>, body: Body) -> Response {
    let shape = r#"{"to":NAME}, or empty for the successor"#;
    let request = match body::object::<HandoverRequest>(body, shape).await {
        Ok(request) => request.unwrap_or_default(),
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
