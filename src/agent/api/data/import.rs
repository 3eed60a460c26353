//! `POST /v1/import`: what an export saved comes in, line by line, as it arrives.
//!
//! Lines become requests like those of any client, some hundred at a time, which the leader judges one by one. So an
//! import that breaks off leaves behind what came before, and may be made again: what is in is known by its id.

mod course;
mod cut;
mod file;
mod rounds;

use super::super::problem::{self, later};
use super::super::{Api, problem as refuse};
use super::path::{Parameters, Takes};
use super::read;
use super::told::SHOWN;
use crate::view::data::Fault;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use course::{Course, Item};
use cut::Cut;
use file::{Source, Spool};
use rounds::Rounds;
use serde::Deserialize;
use std::sync::Arc;

/// Imports at one time: each may hold a few of the longest lines.
pub(super) const IMPORTS: usize = 4;

/// Lines of a piece, whose requests are under way at one time.
const LINES: usize = 512;

/// Bytes of a piece before its last line is added.
const PIECE: usize = 256 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct How {
    #[serde(default)]
    all_or_nothing: bool,
}

impl Takes for How {
    const TAKES: &'static str = "all_or_nothing (true or false)";
}

/// Why an import ended before its file did.
#[derive(Debug)]
enum Stop {
    /// The client sends nothing any more.
    Stalled,
    /// The client is gone, or sent no HTTP.
    BrokeOff,
    /// The file is of a later version.
    Later(String),
    /// A line is broken, and nothing was to be imported then.
    Broken(Fault),
    /// The file cannot be kept until it is checked.
    NoRoom(String),
    /// There was no leader in time.
    NoLeader(String),
    /// The disk of the leader is full, or fails.
    NoSpace(String),
    /// The agent is ending.
    Ends,
}

pub(super) async fn post(State(api): State<Api>, Parameters(how): Parameters<How>, body: Body) -> Response {
    let began = api.access().and_then(|access| {
        let place = api.watcher()?;
        let Ok(turn) = Arc::clone(&access.imports).try_acquire_owned() else {
            let detail = format!("{IMPORTS} imports are under way on this machine already: try again when one is over");
            return Err(Box::new(later(StatusCode::TOO_MANY_REQUESTS, detail)));
        };
        Ok((access, place, turn))
    });
    let (access, _place, _turn) = match began {
        Ok(began) => began,
        Err(response) => return *response,
    };
    let mut rounds = Rounds::new(access);
    let mut reading = Reading::new(Source::Client(body));
    let imported = async {
        if how.all_or_nothing {
            reading = checked(&api, &mut reading).await?;
        }
        let mut last = false;
        while !last {
            let piece = reading.piece().await?;
            last = piece.last;
            rounds.broken(piece.faults);
            rounds.send(piece.items, piece.bytes).await?;
        }
        Ok(())
    };
    let ended = tokio::select! {
        ended = imported => ended,
        () = api.stop.cancelled() => Err(Stop::Ends),
    };
    if let Err(stop) = ended {
        let came = rounds.began().then(|| reading.line());
        return stopped(stop, came);
    }
    if let Some(last) = rounds.last() {
        read::shown(access, last, SHOWN).await;
    }
    let here = *access.data.visible.borrow();
    Json(rounds.imported(reading.course.is_complete(), here)).into_response()
}

/// The file, which has no broken line, from its beginning.
async fn checked(api: &Api, reading: &mut Reading) -> Result<Reading, Stop> {
    let dir = api.shared.facts.state_dir.clone();
    reading.spool = Some(file::blocking(move || Spool::new(&dir)).await?);
    loop {
        let piece = reading.piece().await?;
        if let Some(fault) = piece.faults.into_iter().next() {
            return Err(Stop::Broken(fault));
        }
        if piece.last {
            let spool = reading.spool.take().ok_or(Stop::Ends)?;
            return Ok(Reading::new(Source::Spool(file::blocking(|| spool.rewound()).await?)));
        }
    }
}

/// The answer to an import that ended before its file did. Leaders were asked for lines up to this one, if for any.
fn stopped(stop: Stop, came: Option<u64>) -> Response {
    let done = match came {
        None => "nothing was imported".to_owned(),
        Some(line) => format!("of the lines up to {line} all or some are in: import the file again"),
    };
    match stop {
        Stop::Stalled => {
            let waited = file::STALLS.as_secs();
            refuse(StatusCode::REQUEST_TIMEOUT, format!("the file did not go on within {waited} s: {done}"))
        }
        Stop::BrokeOff => refuse(StatusCode::BAD_REQUEST, format!("the file broke off: {done}")),
        Stop::Later(why) => refuse(StatusCode::UNPROCESSABLE_ENTITY, format!("{why}: {done}")),
        Stop::Broken(Fault { line, reason }) => {
            refuse(StatusCode::UNPROCESSABLE_ENTITY, format!("line {line}: {reason}: nothing was imported"))
        }
        Stop::NoRoom(why) => {
            let detail = format!("{why}: {done}; without all_or_nothing an import needs no room");
            refuse(StatusCode::INSUFFICIENT_STORAGE, detail)
        }
        Stop::NoLeader(why) => later(StatusCode::SERVICE_UNAVAILABLE, format!("{why}: {done}")),
        Stop::NoSpace(why) => {
            let detail = format!("{why}, and nobody else can take it: make room on the disk of the leader; {done}");
            refuse(StatusCode::INSUFFICIENT_STORAGE, detail)
        }
        Stop::Ends => problem::no_answer(),
    }
}

/// Lines that were read.
struct Piece {
    items: Vec<Item>,   // bound: LINES
    faults: Vec<Fault>, // bound: LINES, and one more at the end
    /// The length of the lines.
    bytes: usize,
    /// There are no more.
    last: bool,
}

/// A file that is being read.
struct Reading {
    source: Source,
    cut: Cut,
    course: Course,
    /// Where its lines are kept until all of them are checked.
    spool: Option<Spool>,
}

impl Reading {
    fn new(source: Source) -> Self {
        Self { source, cut: Cut::default(), course: Course::default(), spool: None }
    }

    /// The last line that was read.
    fn line(&self) -> u64 {
        self.course.line()
    }

    /// The next piece. Lines may be long, so they are read on a thread that may block.
    async fn piece(&mut self) -> Result<Piece, Stop> {
        let (mut lines, mut bytes, mut last) = (Vec::new(), 0, false);
        while lines.len() < LINES && bytes < PIECE {
            if let Some(line) = self.cut.next() {
                bytes += line.text.as_ref().map_or(0, |text| text.len());
                lines.push(line);
            } else if let Some(more) = self.source.next().await? {
                self.cut.take(&more);
            } else {
                lines.extend(self.cut.rest());
                last = true;
                break;
            }
        }
        let (mut course, mut spool) = (std::mem::take(&mut self.course), self.spool.take());
        let read = file::blocking(move || {
            if let Some(spool) = &mut spool {
                spool.keep(&lines)?;
            }
            let read = course.read(lines, last);
            Ok((read, course, spool))
        });
        let (read, course, spool) = read.await?;
        (self.course, self.spool) = (course, spool);
        let (items, faults) = read.map_err(Stop::Later)?;
        Ok(Piece { items, faults, bytes, last })
    }
}
