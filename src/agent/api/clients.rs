//! The clients of one listener: each gets a place and is served, or is told that there is none.

use super::patience::Patient;
use super::places::{Bounds, Full, Place, Places};
use super::{Ends, HEAD_MAX, LAST_WORDS, UNREAD, USER, problem};
use crate::agent::clock;
use crate::agent::closing::SETTLED;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::{BoxError, Router};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

/// Connections beyond those that have a place and are told to come back, at one time; any further one waits to be taken.
const TURNED_AWAY: usize = 256;

/// How long one that is turned away may take to ask.
const ASKS: Duration = Duration::from_secs(1);

/// How long a client may take for the head of a request, and how long a connection may lie idle between two.
pub(super) const HEAD: Duration = Duration::from_secs(10);

/// A connection to a client.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// See the module.
pub(super) struct Clients {
    router: Router,
    places: Places,
    /// Bounds those that are turned away to [`TURNED_AWAY`].
    beyond: Arc<Semaphore>,
    tasks: TaskTracker,
    ends: Ends,
}

impl Clients {
    pub(super) fn new(router: Router, bounds: Bounds, ends: Ends) -> Self {
        let beyond = Arc::new(Semaphore::new(TURNED_AWAY));
        Self { router, places: Places::new(bounds), beyond, tasks: TaskTracker::new(), ends }
    }

    /// The next connection, with the right to turn it away. Nobody is taken, only to be hung up on.
    pub(super) async fn next<C>(&self, accept: impl Future<Output = io::Result<C>>) -> (Turn, io::Result<C>) {
        (Turn(Arc::clone(&self.beyond).acquire_owned().await.ok()), accept.await)
    }

    /// A connection could not be taken: says so, and waits. Out of descriptors, most likely: they come back when
    /// connections end, not by trying at once.
    pub(super) async fn missed(&self, error: &io::Error) {
        tracing::warn!("the local API could not take a connection: {error}");
        clock::pause(Duration::from_millis(100)).await;
    }

    /// Serves a client that counts as this user's.
    pub(super) fn serve(&self, stream: impl Stream, user: u32, turn: Turn) {
        let ends = self.ends.clone();
        match self.places.take(user, clock::time()) {
            Ok(place) => drop(self.tasks.spawn(USER.scope(user, seated(stream, self.router.clone(), place, ends)))),
            Err(full) => drop(self.tasks.spawn(turned_away(stream, full, turn, ends))),
        }
    }

    /// Until every connection has ended.
    pub(super) async fn end(self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The right to turn one client away, until it is dropped.
pub(super) struct Turn(#[expect(dead_code, reason = "it is held")] Option<OwnedSemaphorePermit>);

/// Serves one client for as long as it has its place.
async fn seated(stream: impl Stream, router: Router, place: Place, ends: Ends) {
    let end = place.end.clone();
    let place = Arc::new(place);
    place.is_idle(Some(clock::time()));
    let seat = Arc::clone(&place);
    let service = service_fn(move |request| {
        let asking = Asking::new(Arc::clone(&seat));
        let answer = TowerToHyperService::new(router.clone()).call(request);
        async move { answer.await.map(|answer| answer.map(|body| Answered { body, _asking: asking })) }
    });
    tokio::select! {
        () = served(stream, service, HEAD, ends) => {}
        () = end.cancelled() => {}
    }
}

/// Serves one client that has no place: whatever it asks, it is told so.
async fn turned_away(stream: impl Stream, full: Full, _turn: Turn, ends: Ends) {
    let service = service_fn(move |_| async move {
        let detail = format!("{full}: close some of them, or try again later");
        let mut response = problem::later(StatusCode::TOO_MANY_REQUESTS, detail);
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        Ok::<_, Infallible>(response)
    });
    let _ = clock::within(ASKS, served(stream, service, ASKS, ends)).await;
}

/// Serves one client until it hangs up, is too slow, or the API ends.
pub(super) async fn served<S, B>(stream: impl Stream, service: S, head: Duration, ends: Ends)
where
    S: Service<hyper::Request<Incoming>, Response = hyper::Response<B>>,
    S::Error: Into<BoxError>,
    B: hyper::body::Body + 'static,
    B::Error: Into<BoxError>,
{
    let io = TokioIo::new(Patient::new(stream, UNREAD));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(HEAD_MAX);
    let served = builder.serve_connection(io, service);
    tokio::pin!(served);
    let soon = async {
        ends.soon.cancelled().await;
        clock::pause(SETTLED).await;
    };
    // How a connection ended concerns its client alone, and that one knows. What was sent is read before anything ends.
    tokio::select! {
        biased;
        _ = &mut served => return,
        () = ends.now.cancelled() => {}
        () = soon => {
            served.as_mut().graceful_shutdown();
            if ends.now.run_until_cancelled(&mut served).await.is_some() {
                return;
            }
        }
    }
    served.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(LAST_WORDS, served).await;
}

/// A client is asking or being answered, until this is dropped.
struct Asking(Arc<Place>);

impl Asking {
    fn new(place: Arc<Place>) -> Self {
        place.is_idle(None);
        Self(place)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.is_idle(Some(clock::time()));
    }
}

/// The body of an answer, which is being given until all of it was taken.
struct Answered {
    body: Body,
    _asking: Asking,
}

impl hyper::body::Body for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}
