//! `GET /v1/watch`: what changes, one line of JSON each, from any point on.

use super::super::{Api, lines};
use super::path::{self, Parameters, Takes};
use super::scan::{End, EntryHere, ROWS, Reader, Told, Wanted};
use super::{Access, read};
use crate::data::{Entry, Revision};
use crate::view::Stamp;
use crate::view::data::{Change, Content, Line, Op};
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use std::sync::Arc;
use tokio::sync::mpsc;
use uuid::Uuid;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    topic: Option<String>,
    prefix: Option<String>,
    after: Option<String>,
}

impl Takes for Which {
    const TAKES: &'static str = "topic (its records), prefix (keys that begin so) and after (a cursor)";
}

/// Pieces of the stream that are ready for one watcher and not yet taken by its connection.
const READY: usize = 1;

/// Lines that a watcher has not been sent, and where they bring it.
struct Piece {
    reader: Reader,
    /// As long as a piece of [`super::scan`], or as one value in JSON.
    bytes: Vec<u8>, // bound: BYTES of a piece, and VALUE of the ledger
    end: End,
}

pub(super) async fn get(State(api): State<Api>, Parameters(which): Parameters<Which>) -> Response {
    let began = async {
        let access = Arc::clone(api.access()?);
        which.topic.as_deref().map_or(Ok(()), path::check_topic)?;
        let wanted = Wanted { topic: which.topic, prefix: which.prefix };
        let place = api.watcher()?;
        let reader = match &which.after {
            None => Reader::new(wanted),
            Some(after) => {
                let point = read::point("after", after)?;
                let (position, seen) = read::locate(&api, &access, "the cursor", point).await?;
                Reader::after(wanted, position, seen)
            }
        };
        // What cannot be read is told by the status, not by a stream that breaks off.
        let first = piece(&access, reader).await?;
        Ok::<_, Box<Response>>((access, first, place))
    };
    let (access, first, place) = match began.await {
        Ok(began) => began,
        Err(response) => return *response,
    };
    let (lines, body) = mpsc::channel(READY);
    tokio::spawn(async move {
        let _place = place;
        tokio::select! {
            () = tell(&access, first, &lines) => {}
            () = api.stop.cancelled() => {}
        }
    });
    lines::answer(body)
}

/// Tells a watcher what it has not been told, until it goes. One that is told it some time after it happened gets the
/// latest of each key, and may go on from the cursor of any line when the stream ends.
async fn tell(access: &Access, first: Piece, lines: &mpsc::Sender<Bytes>) {
    let mut visible = access.data.visible.clone();
    let (mut next, mut caught_up) = (first, false);
    loop {
        let Piece { reader, mut bytes, end } = next;
        if let (End::All(here), false) = (end, caught_up) {
            caught_up = true;
            push(&mut bytes, &Line::CaughtUp { caught_up: here.into() });
        }
        if !bytes.is_empty() && lines.send(bytes.into()).await.is_err() {
            return;
        }
        if end != End::More {
            tokio::select! {
                () = lines.closed() => return,
                changed = visible.changed() => if changed.is_err() {
                    return;
                },
            }
        }
        next = match piece(access, reader).await {
            Ok(piece) => piece,
            Err(_) => return,
        };
    }
}

async fn piece(access: &Access, mut reader: Reader) -> Result<Piece, Box<Response>> {
    read::read(access, move |snapshot| {
        let mut bytes = Vec::new();
        let end = reader.piece(snapshot, ROWS, |told| {
            let before = bytes.len();
            push(&mut bytes, &line(told));
            bytes.len() - before
        })?;
        Ok(Piece { reader, bytes, end })
    })
    .await
}

fn push(bytes: &mut Vec<u8>, line: &Line) {
    serde_json::to_writer(&mut *bytes, line).expect("memory takes everything");
    bytes.push(b'\n');
}

fn line(told: Told<'_>) -> Line {
    match told {
        Told::Again(common) => Line::Again { again_from: common.into() },
        Told::Only(only, after, through) => Line::Only { only, after, through },
        Told::Entry(revision, entry) => Line::Change(Box::new(change(revision, entry))),
    }
}

fn change(revision: Revision, entry: &EntryHere<'_>) -> Change {
    let blank = Change {
        cursor: revision.into(),
        revision: revision.into(),
        op: Op::Delete,
        topic: None,
        key: None,
        version: None,
        id: None,
        at: None,
        node: None,
        content: None,
    };
    match entry {
        Entry::Record(record) => Change {
            op: Op::Add,
            topic: Some(record.topic.to_owned()),
            id: Some(Uuid::from_u128(record.id.0)),
            at: Some(Stamp(record.at)),
            node: Some(record.node),
            content: Some(Content::new(record.value.0)),
            ..blank
        },
        Entry::Key(entry) => {
            let first = entry.siblings.first();
            let value = first.and_then(|first| first.value);
            Change {
                op: if value.is_some() { Op::Put } else { Op::Delete },
                key: Some(entry.key.to_owned()),
                version: first.filter(|_| value.is_some()).map(|first| first.birth.into()),
                id: first.map(|first| Uuid::from_u128(first.request.0)),
                at: first.map(|first| Stamp(first.at)),
                node: first.map(|first| first.node),
                content: value.map(|value| Content::new(value.0)),
                ..blank
            }
        }
    }
}
