//! Those who may change something are let through.

use super::{Api, USER, problem};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

/// Lets those pass who may do what they ask for.
pub(super) async fn checked(State(api): State<Api>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let user = USER.try_with(|user| *user).unwrap_or(u32::MAX);
    match api.shared.rights.may(user).await {
        Ok(()) => next.run(request).await,
        Err(group) => {
            let what = format!("{} {}", request.method(), request.uri().path());
            let todo = format!("add the user to it (usermod -aG {group} USER)");
            problem(
                StatusCode::FORBIDDEN,
                format!("{what} is for members of the group {group} on this machine: {todo}"),
            )
        }
    }
}
