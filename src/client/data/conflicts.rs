//! Conflicts: what a reunion found beside the value of a key.

use super::super::transport::Call;
use super::super::{Client, Error};
use super::encoded;
use crate::data::{Condition, Keep};
use crate::view::data::{Conflicts, Point, Settlement, Written};
use hyper::{Method, header};
use uuid::Uuid;

impl Client {
    /// A page of the conflicts, behind the `next` of another.
    ///
    /// # Errors
    /// When no agent answers.
    pub async fn conflicts(&self, after: Option<&str>) -> Result<Conflicts, Error> {
        let after = after.map_or_else(String::new, |after| format!("?after={}", encoded(after, "/")));
        let path = format!("/v1/conflicts{after}");
        self.json(Call::new(Method::GET, &path)).await
    }

    /// Settles a conflict: it and the value of its key are replaced by what is kept. The condition is about the value: its
    /// version, or that there is none, as the author has read it. Without one, it is whatever the agent shows now.
    ///
    /// # Errors
    /// [`Error::Refused`] with the status 404 when there is no such conflict any more, 412 when the value is another than
    /// the author has read, or with another reason; [`Error::Later`] when there is no leader; or when no agent answers.
    pub async fn resolve(&self, conflict: Point, keep: &Keep, condition: Condition) -> Result<Written, Error> {
        self.resolve_as(Uuid::now_v7(), conflict, keep, condition).await
    }

    /// The same with this id. A program that keeps the id may do so again after a crash of its own: it is done once.
    ///
    /// # Errors
    /// As [`Client::resolve`]; and when the id is that of another request.
    pub async fn resolve_as(
        &self,
        id: Uuid,
        conflict: Point,
        keep: &Keep,
        condition: Condition,
    ) -> Result<Written, Error> {
        let path = format!("/v1/conflicts/{conflict}");
        let body = serde_json::to_vec(&Settlement::from(keep)).expect("memory takes everything");
        let call = Call::new(Method::POST, &path).with("idempotency-key", id).on(condition);
        self.json(call.with(header::CONTENT_TYPE.as_str(), "application/json").body(body.into())).await
    }
}
