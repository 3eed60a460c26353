//! `GET /v1/export`: everything that this machine holds, one line of JSON each.
//!
//! Each piece is read from a snapshot of its own, so none is held while a client reads. All the same every record and key
//! that was there when the export began is in it: keys are passed through in the order of their names, which no write
//! changes, and each is told once, as it is when its turn comes; records of a topic are passed through in the order of
//! their revisions, which only grow. Records that were added since are left out, or an export would not end while others
//! write.

use super::super::{Api, lines};
use super::path::{Parameters, Takes};
use super::scan::{BYTES, LOOKS};
use super::{read, tables};
use crate::agent::clock;
use crate::agent::data::Snapshot;
use crate::data::{KeyEntry, Record, Revision, Slice};
use crate::ledger::{Trouble, lists};
use crate::view::Stamp;
use crate::view::data::Content;
use crate::view::data::export::{self, End, FORMAT, Header, Line};
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::sync::mpsc;
use uuid::Uuid;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    at_least: Option<String>,
}

impl Takes for Asked {
    const TAKES: &'static str = "at_least (a cursor)";
}

/// Pieces that are ready for one reader and not yet taken by its connection.
const READY: usize = 1;

pub(super) async fn get(State(api): State<Api>, Parameters(asked): Parameters<Asked>) -> Response {
    let began = async {
        let access = Arc::clone(api.access()?);
        let place = api.watcher()?;
        read::at_least(&api, &access, asked.at_least.as_deref(), |_| true).await?;
        let (cluster, node) = (api.shared.facts.cluster.clone(), api.shared.status.borrow().node.id);
        let at = Stamp(clock::now().wall);
        let export = read::read(&access, move |snapshot| {
            let began = tables::position(snapshot)?;
            let header = Header { tanist_export: FORMAT, at, cluster, node, cursor: began.into() };
            let mut export = Export::new(began);
            export.push(&Line::Header(header));
            export.piece(snapshot)?;
            Ok(export)
        });
        // What cannot be read is told by the status, not by a file that is cut off.
        Ok::<_, Box<Response>>((export.await?, access, place))
    };
    let (mut export, access, place) = match began.await {
        Ok(began) => began,
        Err(response) => return *response,
    };
    let (lines, body) = mpsc::channel(READY);
    tokio::spawn(async move {
        let _place = place;
        let tell = async {
            loop {
                let piece: Bytes = std::mem::take(&mut export.bytes).into();
                let ended = matches!(export.place, Place::Ended);
                if !piece.is_empty() && lines.send(piece).await.is_err() || ended {
                    return;
                }
                let next = read::read(&access, move |snapshot| {
                    export.piece(snapshot)?;
                    Ok(export)
                });
                // A file without its last line says by itself that it is cut off.
                export = match next.await {
                    Ok(next) => next,
                    Err(_) => return,
                };
            }
        };
        tokio::select! {
            () = tell => {}
            () = api.stop.cancelled() => {}
        }
    });
    lines::answer(body)
}

/// How far an export is.
struct Export {
    /// What was the last change when it began.
    began: Revision,
    place: Place,
    /// What was told.
    told: End,
    /// Lines that were not sent, as long as a piece of [`super::scan`], or as one LINE.
    bytes: Vec<u8>,
}

/// What comes next.
enum Place {
    /// The first topic behind this one.
    Topics(Option<String>),
    /// The records of a topic behind this revision.
    Records(String, Revision),
    /// The keys behind this one.
    Keys(Option<String>),
    /// What reunions refused, behind this revision.
    Kept(Option<Revision>),
    /// Nothing.
    Ended,
}

impl Export {
    fn new(began: Revision) -> Self {
        let told = End { end: true, records: 0, keys: 0, conflicts: 0 };
        Self { began, place: Place::Topics(None), told, bytes: Vec::new() }
    }

    fn push(&mut self, line: &Line) {
        serde_json::to_writer(&mut self.bytes, line).expect("memory takes everything");
        self.bytes.push(b'\n');
    }

    /// The next piece.
    fn piece(&mut self, store: &Snapshot) -> Result<(), Trouble<String>> {
        let mut looks = 0;
        while looks < LOOKS && self.bytes.len() < BYTES {
            match std::mem::replace(&mut self.place, Place::Ended) {
                Place::Topics(after) => {
                    let mut next = None;
                    lists::topics(store, after.as_deref(), &mut |topic, _| {
                        next = Some(topic.to_owned());
                        ControlFlow::Break(())
                    })?;
                    looks += 1;
                    self.place = next.map_or(Place::Keys(None), |topic| Place::Records(topic, Revision::ZERO));
                }
                Place::Records(topic, after) => self.records(store, topic, after, &mut looks)?,
                Place::Keys(after) => self.keys(store, after, &mut looks)?,
                Place::Kept(after) => self.kept(store, after, &mut looks)?,
                Place::Ended => break,
            }
        }
        Ok(())
    }

    fn records(
        &mut self,
        store: &Snapshot,
        topic: String,
        after: Revision,
        looks: &mut usize,
    ) -> Result<(), Trouble<String>> {
        let mut stopped = None;
        lists::records(store, &topic, &Default::default(), Some(after), &mut |revision, record| {
            // Numbers grow: what has a higher one than the last change that there was came later.
            if record.births.first().is_some_and(|birth| birth.number <= self.began.number) {
                self.told.records += 1;
                self.push(&record_line(record));
            }
            *looks += 1;
            if *looks < LOOKS && self.bytes.len() < BYTES {
                return ControlFlow::Continue(());
            }
            stopped = Some(revision);
            ControlFlow::Break(())
        })?;
        self.place = match stopped {
            Some(at) => Place::Records(topic, at),
            None => Place::Topics(Some(topic)),
        };
        Ok(())
    }

    fn keys(&mut self, store: &Snapshot, after: Option<String>, looks: &mut usize) -> Result<(), Trouble<String>> {
        let mut stopped = None;
        lists::keys(store, "", after.as_deref(), &mut |_, entry| {
            self.told.keys += 1;
            self.told.conflicts += entry.siblings.len() as u64 - 1;
            self.push(&key_line(entry, false));
            *looks += 1;
            if *looks < LOOKS && self.bytes.len() < BYTES {
                return ControlFlow::Continue(());
            }
            stopped = Some(entry.key.to_owned());
            ControlFlow::Break(())
        })?;
        self.place = if stopped.is_some() { Place::Keys(stopped) } else { Place::Kept(None) };
        Ok(())
    }

    fn kept(&mut self, store: &Snapshot, after: Option<Revision>, looks: &mut usize) -> Result<(), Trouble<String>> {
        let mut stopped = None;
        lists::kept(store, after, &mut |revision, entry| {
            self.told.keys += 1;
            self.told.conflicts += entry.siblings.len() as u64 - 1;
            self.push(&key_line(entry, true));
            *looks += 1;
            if *looks < LOOKS && self.bytes.len() < BYTES {
                return ControlFlow::Continue(());
            }
            stopped = Some(revision);
            ControlFlow::Break(())
        })?;
        if stopped.is_some() {
            self.place = Place::Kept(stopped);
        } else {
            let end = self.told;
            self.push(&Line::End(end));
        }
        Ok(())
    }
}

fn record_line(record: &Record<&str, Slice<'_>>) -> Line {
    Line::Record(export::Record {
        record: Uuid::from_u128(record.id.0),
        topic: record.topic.to_owned(),
        birth: record.birth().into(),
        at: Stamp(record.at),
        node: record.node,
        content: Content::short(record.value.0),
    })
}

fn key_line(entry: &KeyEntry<&str, Slice<'_>>, kept_aside: bool) -> Line {
    let siblings = entry.siblings.iter().map(|sibling| export::Sibling {
        birth: sibling.birth.into(),
        id: Uuid::from_u128(sibling.request.0),
        at: Stamp(sibling.at),
        node: sibling.node,
        content: sibling.value.map(|value| Content::short(value.0)),
        deleted: sibling.value.is_none(),
    });
    Line::Key(export::Key { key: entry.key.to_owned(), siblings: siblings.collect(), kept_aside })
}
