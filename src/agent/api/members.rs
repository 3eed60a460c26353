//! `GET /v1/members`.

use super::{Api, LOOP, problem};
use crate::agent::shared::Command;
use crate::view::Members;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

pub(super) async fn get(State(api): State<Api>) -> Response {
    let (reply, answer) = oneshot::channel();
    if api.shared.commands.try_send(Command::Snapshot { reply }).is_err() {
        return problem::no_answer();
    }
    match tokio::time::timeout(LOOP, answer).await {
        Ok(Ok(snapshot)) => {
            let mut members = Members::new(&snapshot.status, &snapshot.members);
            members.here(api.revision());
            Json(members).into_response()
        }
        _ => problem::no_answer(),
    }
}
