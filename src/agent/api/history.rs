//! `GET /v1/history`.

use super::{Api, LOOP, problem, problem::later};
use crate::view::History;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// The most reigns, and the most reunions, that one answer holds.
const LIMIT: usize = 1000;

pub(super) async fn get(State(api): State<Api>) -> Response {
    let store = &api.shared.store;
    let read = async { Ok((store.reigns(LIMIT).await?, store.reunions(LIMIT).await?)) };
    let read: Result<Result<_, String>, _> = tokio::time::timeout(LOOP, read).await;
    match read {
        Ok(Ok((reigns, (reunions, brought)))) => {
            let own = api.shared.status.borrow().node.id;
            Json(History::new(own, &reigns, &reunions, &brought)).into_response()
        }
        Ok(Err(why)) => later(StatusCode::SERVICE_UNAVAILABLE, format!("the store could not be read: {why}")),
        Err(_) => problem::no_answer(),
    }
}
