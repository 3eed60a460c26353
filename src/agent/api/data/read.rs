//! Reads: a snapshot, a thread that may block, and the point that a reader names.

use super::super::{Api, LOOP, problem, problem::later};
use super::told::Target;
use super::{Access, ask, heads, tables};
use crate::agent::clock;
use crate::agent::data::{Outcome, Snapshot};
use crate::data::{Answer, Ask, Condition, Context, Refusal, Revision, Tagged};
use crate::ledger::{Trouble, Unknown, context_at, lists, resolve};
use crate::view::data::Point;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// How long a fresh read waits until this member holds what the leader said, before it asks the leader again.
const CATCHES_UP: Duration = Duration::from_millis(250);

/// Reads a snapshot as it is now, on a thread of its own.
pub(super) async fn read<T: Send + 'static>(
    access: &Access,
    look: impl FnOnce(&Snapshot) -> Result<T, Trouble<String>> + Send + 'static,
) -> Result<T, Box<Response>> {
    let source = Arc::clone(&access.data.source);
    let failed = |why: String| {
        let detail = format!("the data on this machine cannot be read: {why}: ask another machine, or try again");
        Box::new(later(StatusCode::SERVICE_UNAVAILABLE, detail))
    };
    let Some(Ok(place)) = clock::within(LOOP, Arc::clone(&access.readers).acquire_owned()).await else {
        return Err(failed("others read for too long".to_owned()));
    };
    let reading = tokio::task::spawn_blocking(move || {
        // The place goes with the thread, which reads to its end also when nobody waits for it any more.
        let _place = place;
        let snapshot = source()?;
        look(&snapshot).map_err(|trouble| match trouble {
            Trouble::Storage(why) => why,
            trouble => trouble.to_string(),
        })
    });
    match reading.await {
        Ok(read) => read.map_err(failed),
        Err(_) => Err(failed("reading it failed".to_owned())),
    }
}

/// Reads a page, and makes its JSON where it is read: a page may be long, and the loop has no time for it.
pub(super) async fn page<T: Serialize>(
    access: &Access,
    look: impl FnOnce(&Snapshot) -> Result<(Point, T), Trouble<String>> + Send + 'static,
) -> Result<Response, Box<Response>> {
    let (cursor, page) = read(access, move |snapshot| {
        let (cursor, page) = look(snapshot)?;
        Ok((cursor, serde_json::to_vec(&page).expect("memory takes everything")))
    })
    .await?;
    let kind = (header::CONTENT_TYPE, "application/json");
    Ok(([(heads::CURSOR, heads::cursor(cursor))], [kind], page).into_response())
}

/// Waits until readers here see a revision. Says whether they do.
pub(super) async fn shown(access: &Access, revision: Revision, limit: Duration) -> bool {
    let mut visible = access.data.visible.clone();
    let seen = async {
        loop {
            let here = *visible.borrow_and_update();
            if here.reign == revision.reign && here.number >= revision.number {
                return true;
            }
            // In a later reign a greater number alone says nothing: two groups may have given it.
            if here.number >= revision.number
                && read(access, move |snapshot| tables::has_seen(snapshot, revision)).await.unwrap_or(false)
            {
                return true;
            }
            if visible.changed().await.is_err() {
                return false;
            }
        }
    };
    clock::within(limit, seen).await.unwrap_or(false)
}

/// What a point means in a store.
enum Found {
    /// It is there: the revision, and what had been seen at it.
    Here(Revision, Context),
    /// It is not there yet, as it seems: the store is at this position.
    Ahead(Revision),
    /// It is not there.
    Gone,
}

fn find(snapshot: &Snapshot, point: Tagged) -> Result<Found, Trouble<String>> {
    let here = tables::position(snapshot)?;
    let unknown = match resolve(snapshot, point)? {
        Ok(revision) => match context_at(snapshot, revision)? {
            Ok(context) => return Ok(Found::Here(revision, context)),
            Err(unknown) => unknown,
        },
        Err(unknown) => unknown,
    };
    Ok(match unknown {
        Unknown::Ahead => Found::Ahead(here),
        // Of a reign that has just begun elsewhere nothing may have come yet.
        Unknown::Reign if point.number > here.number => Found::Ahead(here),
        Unknown::Reign => Found::Gone,
    })
}

/// Waits until this member has seen a point: the revision, and what had been seen at it.
pub(super) async fn locate(
    api: &Api,
    access: &Access,
    what: &str,
    point: Point,
) -> Result<(Revision, Context), Box<Response>> {
    let mut visible = access.data.visible.clone();
    let (mut place, mut last) = (None, Revision::ZERO);
    let wait = async {
        loop {
            visible.mark_unchanged();
            match read(access, move |snapshot| find(snapshot, point.0)).await? {
                Found::Here(revision, context) => return Ok((revision, context)),
                Found::Gone => return Err(Box::new(forgotten(&format!("{what} {point}")))),
                Found::Ahead(here) => last = here,
            }
            if place.is_none() {
                place = Some(api.watcher()?);
            }
            if visible.changed().await.is_err() {
                return Err(Box::new(problem::no_answer()));
            }
        }
    };
    let limit = access.data.write_timeout;
    tokio::select! {
        found = clock::within(limit, wait) => found.unwrap_or_else(|| {
            let waited = limit.as_millis();
            let detail = format!(
                "this machine has not seen {what} {point} within {waited} ms, it is at {last}: try again, or ask another"
            );
            Err(Box::new(later(StatusCode::SERVICE_UNAVAILABLE, detail)))
        }),
        () = api.stop.cancelled() => Err(Box::new(problem::no_answer())),
    }
}

/// The answer to a point that means nothing here.
pub(super) fn forgotten(what: &str) -> Response {
    let detail = format!(
        "{what} is of a reign that is not known here, or no more: begin anew, without a cursor: list what there is, and \
         go on from the cursor of the first page"
    );
    problem(StatusCode::GONE, detail)
}

/// A cursor that a client sent.
pub(super) fn point(name: &str, text: &str) -> Result<Point, Box<Response>> {
    text.parse().map_err(|why| Box::new(problem(StatusCode::BAD_REQUEST, format!("{name}={text:?}: {why}"))))
}

/// Waits until readers here see what clients of this agent were told of, as far as it is read, and what a read wants to
/// have seen.
pub(super) async fn at_least(
    api: &Api,
    access: &Access,
    cursor: Option<&str>,
    reads: impl Fn(Target<'_>) -> bool,
) -> Result<(), Box<Response>> {
    if let Some((revision, left)) = access.owes(reads) {
        shown(access, revision, left).await;
    }
    if let Some(cursor) = cursor {
        locate(api, access, "at_least", point("at_least", cursor)?).await?;
    }
    Ok(())
}

/// Waits for the leader's word on a key, and until this member holds what the leader said.
///
/// The leader is asked for what it must refuse: to delete the key when its value was born before all changes. The
/// refusal tells the birth of the present value, comes once what it was judged by is acknowledged, and leaves no trace.
pub(super) async fn fresh(api: &Api, access: &Access, key: &str) -> Result<(), Box<Response>> {
    let word = async {
        loop {
            let never = Ask::Delete { key: key.to_owned(), condition: Condition::Is(Revision::ZERO.tagged()) };
            let Outcome::Judged { answer, .. } = ask::ask(api, access, access.new_id(), never).await? else {
                return Ok(false);
            };
            let Answer::Refused(Refusal::Changed(birth)) = answer else { return Ok(false) };
            if clock::within(CATCHES_UP, holds(access, key.to_owned(), birth)).await.transpose()?.is_some() {
                return Ok(true);
            }
        }
    };
    match clock::within(access.data.write_timeout, word).await {
        Some(Ok(true)) => Ok(()),
        Some(Err(response)) => Err(response),
        Some(Ok(false)) | None => Err(Box::new(later(
            StatusCode::SERVICE_UNAVAILABLE,
            "the leader's word did not come in time: try again, or read without fresh what this machine holds",
        ))),
    }
}

/// Waits until the value of a key is the one with this birth, or a later one.
async fn holds(access: &Access, key: String, birth: Option<Revision>) -> Result<(), Box<Response>> {
    let mut visible = access.data.visible.clone();
    loop {
        visible.mark_unchanged();
        let name = key.clone();
        let here = read(access, move |snapshot| {
            let entry = lists::key(snapshot, &name)?;
            Ok(entry.and_then(|(_, entry)| entry.present().map(|present| present.birth)))
        })
        .await?;
        let later = birth.zip(here).is_some_and(|(birth, here)| here.number > birth.number);
        if here == birth || later {
            return Ok(());
        }
        visible.changed().await.map_err(|_| Box::new(problem::no_answer()))?;
    }
}
