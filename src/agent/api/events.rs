//! `GET /v1/events`: what happens, one line of JSON each, until the client hangs up or the agent stops.

use super::{Api, lines as stream};
use crate::agent::clock;
use crate::view::{Event, Line};
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

/// Lines that are ready for one watcher and not yet taken by its connection. Behind it is the ring of the broadcast
/// channel, which tells a watcher that lags how much it missed.
const READY: usize = 16;

/// An empty line is sent when nothing happened for so long: whoever hears nothing for longer has no agent any more.
pub(super) const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

pub(super) async fn get(State(api): State<Api>) -> Response {
    let place = match api.watcher() {
        Ok(place) => place,
        Err(response) => return *response,
    };
    // First the ear, then the look: what happens in between is told twice rather than not at all.
    let mut happening = api.shared.events.subscribe();
    let present = match api.stands().await {
        Ok(status) => Event::present(&status),
        Err(response) => return *response,
    };
    let (lines, body) = mpsc::channel(READY);
    tokio::spawn(async move {
        let _place = place;
        if lines.send(encode(&Line::Event(present))).await.is_err() {
            return;
        }
        loop {
            // What has happened comes before the end of the agent, so that watchers hear its goodbye.
            let line = tokio::select! {
                biased;
                () = lines.closed() => return,
                received = happening.recv() => match received {
                    Ok(event) => encode(&Line::Event(Event::from(&*event))),
                    Err(RecvError::Lagged(lagged)) => encode(&Line::Lagged { lagged }),
                    Err(RecvError::Closed) => return,
                },
                () = api.stop.cancelled() => return,
                () = clock::pause(SIGN_OF_LIFE) => Bytes::from_static(b"\n"),
            };
            if lines.send(line).await.is_err() {
                return;
            }
        }
    });
    stream::answer(body)
}

fn encode(line: &Line) -> Bytes {
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    text.into()
}
