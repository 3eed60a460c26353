//! Trimming: old records of a topic are dropped.

use super::super::transport::Call;
use super::super::{Client, Error};
use super::encoded;
use crate::view::data::{Point, Trimmed};
use hyper::Method;
use std::time::Duration;
use uuid::Uuid;

/// Which records of a topic are dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trim {
    /// Those that a reader at this cursor has seen.
    Before(Point),
    /// All but so many of the latest. More are kept when a reunion brought several under one number.
    Keep(u64),
    /// Those that are older than this, in milliseconds.
    Older(Duration),
}

impl Client {
    /// Drops old records of a topic, for ever and on every machine: how many. They do not come back from a machine that was
    /// away.
    ///
    /// An agent drops as many as it can in five seconds; this goes on until all are gone. When it fails half way it may be
    /// called again, and says how many it dropped then.
    ///
    /// # Errors
    /// [`Error::Refused`] with the status 410 when the cursor means nothing any more, 409 when as many trims as may be are
    /// remembered, or with another reason; [`Error::Later`] when there is no leader; or when no agent answers.
    pub async fn trim(&self, topic: &str, old: Trim) -> Result<Trimmed, Error> {
        let which = match old {
            Trim::Before(cursor) => format!("before={cursor}"),
            Trim::Keep(keep) => format!("keep={keep}"),
            Trim::Older(age) => format!("older_ms={}", u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        };
        let path = format!("/v1/records/{}?{which}", encoded(topic, ""));
        let mut all = self.trim_once(&path).await?;
        while all.more {
            all = all.and(self.trim_once(&path).await?);
        }
        Ok(all)
    }

    async fn trim_once(&self, path: &str) -> Result<Trimmed, Error> {
        self.json(Call::new(Method::DELETE, path).with("idempotency-key", Uuid::now_v7())).await
    }
}
