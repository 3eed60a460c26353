//! `POST /v1/runners`: a stream that tells a program when this machine leads, and when it does not any more. Its end says that
//! the program has stopped.

use super::events::SIGN_OF_LIFE;
use super::{Api, body, lines, problem};
use crate::agent::clock;
use crate::agent::shared::{Command, TURNS};
use crate::view::{RunnerRequest, Turn};
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::oneshot;

/// The longest that a program may need to end: a handover waits for it.
const GRACE_MAX: Duration = Duration::from_secs(60);

/// The longest name, in bytes.
const NAME_MAX: usize = 64;

/// Lines that are ready and not yet taken by the connection.
const READY: usize = 4;

pub(super) async fn post(State(api): State<Api>, body: Body) -> Response {
    match attach(&api, body).await {
        Ok(response) => response,
        Err(response) => *response,
    }
}

async fn attach(api: &Api, body: Body) -> Result<Response, Box<Response>> {
    let refuse = |why: String| Box::new(problem(StatusCode::BAD_REQUEST, why));
    let shape = r#"{"name":TEXT,"grace_ms":NUMBER}"#;
    let request: Option<RunnerRequest> = body::object(body, shape).await?;
    let RunnerRequest { name, grace_ms } =
        request.ok_or_else(|| refuse(format!("the body is {shape}: it is empty")))?;
    if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(refuse(format!("name has 1 to {NAME_MAX} bytes, and no control characters")));
    }
    let grace = Duration::from_millis(grace_ms);
    if grace > GRACE_MAX {
        return Err(refuse(format!("grace_ms is at most {}: a handover waits so long", GRACE_MAX.as_millis())));
    }
    let place = api.watcher()?;
    let (turns, told) = mpsc::channel(TURNS);
    let (reply, attached) = oneshot::channel();
    let no_answer = || Box::new(problem::no_answer());
    api.shared.commands.try_send(Command::Attach { grace, turns, reply }).map_err(|_| no_answer())?;
    // The loop answers, or its end does.
    match attached.await {
        Ok(Ok(())) => {}
        Ok(Err(why)) => return Err(Box::new(problem::later(StatusCode::TOO_MANY_REQUESTS, why))),
        Err(_) => return Err(no_answer()),
    }
    let (lines, body) = mpsc::channel(READY);
    let commands = api.shared.commands.clone();
    tokio::spawn(async move {
        let _place = place;
        pass_on(told, lines).await;
        let _ = commands.send(Command::Detached).await;
    });
    tracing::debug!("{name} follows the role, and may need {} ms to end", grace.as_millis());
    Ok(lines::answer(body))
}

/// Until the runner hangs up, or the agent ends.
async fn pass_on(mut told: Receiver<Turn>, lines: Sender<Bytes>) {
    loop {
        let line = tokio::select! {
            () = lines.closed() => return,
            turn = told.recv() => match turn {
                Some(turn) => line(&turn),
                None => return,
            },
            () = clock::pause(SIGN_OF_LIFE) => Bytes::from_static(b"\n"),
        };
        if lines.send(line).await.is_err() {
            return;
        }
    }
}

fn line(turn: &Turn) -> Bytes {
    let mut text = serde_json::to_vec(turn).unwrap_or_default();
    text.push(b'\n');
    text.into()
}
