//! `GET /v1/members`, `DELETE /v1/members/{id}`.

use super::{Api, LOOP, problem, problem::later};
use crate::agent::clock;
use crate::agent::shared::{Command, Snapshot};
use crate::message::MemberState;
use crate::protocol::{RoleName, named};
use crate::view::{Forgotten, Members};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the leader has for that.
const LOOK: Duration = Duration::from_millis(250);

pub(super) async fn get(State(api): State<Api>) -> Response {
    refresh(&api).await;
    let snapshot = match snapshot(&api).await {
        Ok(snapshot) => snapshot,
        Err(response) => return *response,
    };
    let mut members = Members::new(&snapshot.status, &snapshot.members);
    members.here(api.revision());
    Json(members).into_response()
}

/// Has a follower ask its leader for what the list does not tell of yet. A leader that does not answer costs a moment.
async fn refresh(api: &Api) {
    if api.shared.status.borrow().role != RoleName::Following {
        return;
    }
    let (reply, answer) = oneshot::channel();
    if api.shared.commands.try_send(Command::Refresh { reply }).is_ok() {
        let _ = clock::within(LOOK, answer).await;
    }
}

/// How everything stands now, or the answer that this took too long.
pub(super) async fn snapshot(api: &Api) -> Result<Snapshot, Box<Response>> {
    loop {
        api.stands().await?;
        let (reply, answer) = oneshot::channel();
        if api.shared.commands.try_send(Command::Snapshot { reply }).is_err() {
            return Err(Box::new(problem::no_answer()));
        }
        match clock::within(LOOP, answer).await {
            Some(Ok(snapshot)) if snapshot.status.sure => return Ok(snapshot),
            // It stood still just now.
            Some(Ok(_)) => {}
            _ => return Err(Box::new(problem::no_answer())),
        }
    }
}

/// The leader takes them out of its list, and tells all.
pub(super) async fn delete(State(api): State<Api>, Path(who): Path<String>) -> Response {
    let _place = match api.watcher() {
        Ok(place) => place,
        Err(response) => return *response,
    };
    let before = match snapshot(&api).await {
        Ok(snapshot) => snapshot,
        Err(response) => return *response,
    };
    if before.status.leader.is_none() {
        return later(StatusCode::SERVICE_UNAVAILABLE, "there is no leader that could do it: try again");
    }
    let those = named(&who, before.members.iter().map(|v| (v.member.node.id, v.member.name.as_str())));
    let (reply, answer) = oneshot::channel();
    if api.shared.commands.try_send(Command::Forget { who, reply }).is_err() {
        return problem::no_answer();
    }
    match clock::within(LOOP, answer).await {
        Some(Ok(Ok(()))) => {
            let gone =
                |id| before.members.iter().find(|v| v.member.node.id == id && v.member.state != MemberState::Alive);
            let forgotten = those.into_iter().filter_map(gone).map(|v| (&v.member).into()).collect();
            Json(Forgotten { forgotten }).into_response()
        }
        Some(Ok(Err(why))) if those.is_empty() => problem::problem(StatusCode::NOT_FOUND, why),
        Some(Ok(Err(why))) => problem::problem(StatusCode::CONFLICT, why),
        Some(Err(_)) => problem::no_answer(),
        None => later(StatusCode::SERVICE_UNAVAILABLE, "the leader did not say whether it was done: try again"),
    }
}
