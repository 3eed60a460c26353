//! `GET /v1/status`.

use super::{Api, data};
use crate::view::{Standing, Status};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

pub(super) async fn get(State(api): State<Api>) -> Response {
    let facts = &api.shared.facts;
    let standing =
        Standing { cluster: &facts.cluster, version: &facts.version, quorum: facts.quorum, keyed: facts.keyed };
    let status = match api.stands().await {
        Ok(status) => status,
        Err(response) => return *response,
    };
    let data::State { revision, digest, conflicts, kept_aside } = api.state();
    Json(Status { revision, digest, conflicts, kept_aside, ..Status::new(&status, standing) }).into_response()
}
