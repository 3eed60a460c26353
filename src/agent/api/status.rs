//! `GET /v1/status`.

use super::Api;
use crate::view::{Standing, Status};
use axum::Json;
use axum::extract::State;

pub(super) async fn get(State(api): State<Api>) -> Json<Status> {
    let facts = &api.shared.facts;
    let standing =
        Standing { cluster: &facts.cluster, version: &facts.version, quorum: facts.quorum, keyed: facts.keyed };
    let status = api.shared.status.borrow().clone();
    let (revision, digest) = api.state();
    Json(Status { revision, digest, ..Status::new(&status, standing) })
}
