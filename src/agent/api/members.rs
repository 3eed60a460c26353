//! `GET /v1/members`, `DELETE /v1/members/{id}`.

use super::{Api, LOOP, problem, problem::later};
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
    look(&api).await;
    let Some(snapshot) = snapshot(&api).await else { return problem::no_answer() };
    let mut members = Members::new(&snapshot.status, &snapshot.members);
    members.here(api.revision());
    Json(members).into_response()
}

/// Has a follower ask its leader for what the list does not tell of yet. A leader that does not answer costs a moment.
async fn look(api: &Api) {
    if api.shared.status.borrow().role != RoleName::Following {
        return;
    }
    let (reply, answer) = oneshot::channel();
    if api.shared.commands.try_send(Command::Look { reply }).is_ok() {
        let _ = tokio::time::timeout(LOOK, answer).await;
    }
}

async fn snapshot(api: &Api) -> Option<Snapshot> {
    let (reply, answer) = oneshot::channel();
    api.shared.commands.try_send(Command::Snapshot { reply }).ok()?;
    tokio::time::timeout(LOOP, answer).await.ok()?.ok()
}

/// The leader takes them out of its list, and tells all.
pub(super) async fn delete(State(api): State<Api>, Path(who): Path<String>) -> Response {
    let _place = match api.watcher() {
        Ok(place) => place,
        Err(response) => return *response,
    };
    let Some(before) = snapshot(&api).await else { return problem::no_answer() };
    if before.status.leader.is_none() {
        return later(StatusCode::SERVICE_UNAVAILABLE, "there is no leader that could do it: try again");
    }
    let those = named(&who, before.members.iter().map(|v| (v.member.node.id, v.member.name.as_str())));
    let (reply, answer) = oneshot::channel();
    if api.shared.commands.try_send(Command::Forget { who, reply }).is_err() {
        return problem::no_answer();
    }
    match tokio::time::timeout(LOOP, answer).await {
        Ok(Ok(Ok(()))) => {
            let gone =
                |id| before.members.iter().find(|v| v.member.node.id == id && v.member.state != MemberState::Alive);
            let forgotten = those.into_iter().filter_map(gone).map(|v| (&v.member).into()).collect();
            Json(Forgotten { forgotten }).into_response()
        }
        Ok(Ok(Err(why))) if those.is_empty() => problem::problem(StatusCode::NOT_FOUND, why),
        Ok(Ok(Err(why))) => problem::problem(StatusCode::CONFLICT, why),
        Ok(Err(_)) => problem::no_answer(),
        Err(_) => later(StatusCode::SERVICE_UNAVAILABLE, "the leader did not say whether it was done: try again"),
    }
}
