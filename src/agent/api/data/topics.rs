//! `GET /v1/topics`.

use super::super::Api;
use super::path::{self, Page, Parameters};
use super::told::Target;
use super::{read, tables};
use crate::ledger::lists;
use crate::view::Stamp;
use crate::view::data::{Topic, Topics};
use axum::extract::State;
use axum::response::Response;
use std::ops::ControlFlow;

pub(super) async fn list(State(api): State<Api>, Parameters(page): Parameters<Page>) -> Response {
    let listed = async {
        let access = api.access()?;
        let limit = path::limit(page.limit)?;
        read::at_least(&api, access, page.at_least.as_deref(), |read| matches!(read, Target::Topic(_))).await?;
        read::page(access, move |snapshot| {
            let (mut topics, mut next) = (Vec::<Topic>::new(), None);
            lists::topics(snapshot, page.after.as_deref(), &mut |topic, view| {
                if topics.len() == limit {
                    next = topics.last().map(|last| last.topic.clone());
                    return ControlFlow::Break(());
                }
                topics.push(Topic {
                    topic: topic.to_owned(),
                    records: view.counts.records,
                    bytes: view.counts.bytes,
                    oldest: Stamp(view.oldest),
                    newest: Stamp(view.counts.newest),
                });
                ControlFlow::Continue(())
            })?;
            let cursor = tables::position(snapshot)?.into();
            Ok((cursor, Topics { topics, cursor, next }))
        })
        .await
    };
    listed.await.unwrap_or_else(|response| *response)
}
