//! `GET /v1/leader` and `GET /v1/is-leader`: answered from the published status alone, without the loop where that came
//! by lately, because programs ask these on every request of their own.

use super::{Api, problem, problem::later};
use crate::protocol::RoleName;
use crate::view::{IsLeader, Leader, epoch};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::time::Duration;

/// The longest wait for a leader; a longer one is cut to it.
const WAIT_MAX: Duration = Duration::from_secs(3600);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    #[serde(default)]
    wait_ms: u64,
}

pub(super) async fn get(State(api): State<Api>, query: Result<Query<Wait>, QueryRejection>) -> Response {
    let wait = match query {
        Ok(Query(Wait { wait_ms })) => Duration::from_millis(wait_ms).min(WAIT_MAX),
        Err(error) => {
            let detail = format!("/v1/leader takes wait_ms, a number of milliseconds: {}", error.body_text());
            return problem(StatusCode::BAD_REQUEST, detail);
        }
    };
    let now = match api.stands().await {
        Ok(status) => Leader::new(&status),
        Err(response) => return *response,
    };
    match now {
        Some(leader) => Json(leader).into_response(),
        None if wait.is_zero() => none("there is no leader now"),
        None => waited(&api, wait).await,
    }
}

async fn waited(api: &Api, wait: Duration) -> Response {
    let _place = match api.watcher() {
        Ok(place) => place,
        Err(response) => return *response,
    };
    let mut status = api.shared.status.clone();
    let known = async {
        loop {
            // From here on every change is heard.
            status.mark_unchanged();
            if let Some(leader) = Leader::new(&*api.stands().await?) {
                return Ok::<_, Box<Response>>(leader);
            }
            status.changed().await.map_err(|_| Box::new(problem::no_answer()))?;
        }
    };
    tokio::select! {
        known = tokio::time::timeout(wait, known) => match known {
            Ok(Ok(leader)) => Json(leader).into_response(),
            Ok(Err(response)) => *response,
            Err(_) => none(&format!("there was no leader for {} ms", wait.as_millis())),
        },
        () = api.stop.cancelled() => none("the agent is stopping"),
    }
}

fn none(why: &str) -> Response {
    later(StatusCode::SERVICE_UNAVAILABLE, format!("{why}: try again, or wait for one with wait_ms"))
}

pub(super) async fn is_leader(State(api): State<Api>) -> Response {
    let status = match api.stands().await {
        Ok(status) => status,
        Err(response) => return *response,
    };
    if status.role == RoleName::Leading {
        return Json(IsLeader { leads: true, epoch: epoch(&status) }).into_response();
    }
    let detail = match &status.leader {
        Some(leader) => format!("this machine does not lead, {} does", leader.name),
        None => "this machine does not lead, and there is no leader now".to_owned(),
    };
    problem(StatusCode::SERVICE_UNAVAILABLE, detail)
}
