//! The local API: HTTP/1.1 on the Unix socket, one small file a resource.
//!
//! Nothing here decides anything: answers are made from what the loop publishes, and requests are passed to it. What
//! one client does never costs another: connections, watchers and waiting are bounded, and a client that neither speaks
//! nor reads is cut off.

mod body;
mod data;
mod events;
mod handover;
mod history;
mod leader;
mod lines;
mod members;
mod patience;
mod places;
mod problem;
mod reload;
mod rights;
mod runners;
mod status;

use super::clock;
use super::closing::SETTLED;
use super::data::Data;
use super::shared::{Command, Shared};
use crate::protocol::Status;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{BoxError, Router};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use patience::Patient;
use places::{Bounds, Full, Place, Places};
use problem::problem;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Streams of events and requests that wait (protocol §11).
const WATCHERS: Bounds = Bounds { all: 256, each: 192, kept: 16 };

/// Connections that are served at one time.
const CONNECTIONS: Bounds = Bounds { all: 512, each: 384, kept: 32 };

/// Connections beyond those that are told to come back, at one time; any further one waits to be taken.
const TURNED_AWAY: usize = 256;

/// How long one that is turned away may take to ask.
const ASKS: Duration = Duration::from_secs(1);

/// How long a client may take for the head of a request, and how long a connection may lie idle between two.
const HEAD: Duration = Duration::from_secs(10);

/// How long a client may leave what is sent to it unread.
const UNREAD: Duration = Duration::from_secs(10);

/// The longest body of a request, in bytes, and how long it may take.
const BODY_MAX: usize = 64 << 10;
const BODY: Duration = Duration::from_secs(5);

/// The largest head of a request, in bytes.
const HEAD_MAX: usize = 16 << 10;

/// How long the loop may take to answer a request that needs no waiting.
const LOOP: Duration = Duration::from_secs(4);

/// How long connections get to say what they have to say when the agent stops.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// What every handler gets.
#[derive(Clone)]
struct Api {
    shared: Shared,
    /// The data, when this agent serves it.
    data: Option<Arc<data::Access>>,
    /// Bounds streams and waiting requests to [`WATCHERS`].
    watchers: Places,
    stop: CancellationToken,
}

impl Api {
    /// How this agent stands now: never how it stood before it stood still. Waits for the loop where that has not come by
    /// for as long as others need to replace a leader, and for a leader's check of its own stall (protocol §6); or the
    /// answer that this took too long.
    async fn stands(&self) -> Result<Arc<Status>, Box<Response>> {
        let mut status = self.shared.status.clone();
        let known = async {
            loop {
                // First what is said, then its age: the other way round an old word would count as young.
                let said = status.borrow_and_update().clone();
                if !self.shared.pulse.is_young(clock::time()) {
                    let (reply, looked) = oneshot::channel();
                    self.shared.commands.send(Command::Look { reply }).await.ok()?;
                    looked.await.ok()?;
                } else if said.sure {
                    return Some(said);
                } else {
                    status.changed().await.ok()?;
                }
            }
        };
        clock::within(LOOP, known).await.flatten().ok_or_else(|| Box::new(problem::no_answer()))
    }

    /// A place among the watchers for the user that asks, or the answer that there is none.
    fn watcher(&self) -> Result<Place, Box<Response>> {
        let user = USER.try_with(|user| *user).unwrap_or_default();
        self.watchers.take(user, clock::time()).map_err(|full| {
            let detail = format!("{full} that watch or wait: end one of them, or try again later");
            Box::new(problem::later(StatusCode::TOO_MANY_REQUESTS, detail))
        })
    }
}

tokio::task_local! {
    /// Whose connection the present task serves.
    static USER: u32;
}

/// How the API ends.
#[derive(Clone, Debug)]
pub struct Ends {
    /// No more connections are taken; a moment later each ends with what it asks already. Streams go on.
    pub soon: CancellationToken,
    /// All that is left ends.
    pub now: CancellationToken,
}

impl From<CancellationToken> for Ends {
    /// At once.
    fn from(now: CancellationToken) -> Self {
        Self { soon: CancellationToken::new(), now }
    }
}

/// Serves the API until `stop` is cancelled; returns once every connection has ended.
pub async fn serve(listener: UnixListener, shared: Shared, data: Option<Data>, stop: CancellationToken) {
    let (_, none) = mpsc::channel(1);
    serve_on(listener, none, shared, data, stop.into()).await;
}

/// The same; a socket that comes out of `anew` takes the place of the one before.
pub async fn serve_on(
    mut listener: UnixListener,
    mut anew: mpsc::Receiver<UnixListener>, // bound: ONE at a time
    shared: Shared,
    data: Option<Data>,
    ends: Ends,
) {
    let router = with_data(shared, data, ends.now.clone());
    let places = Places::new(CONNECTIONS);
    let beyond = Arc::new(Semaphore::new(TURNED_AWAY));
    let tasks = TaskTracker::new();
    loop {
        // Whoever is taken is answered: nobody is taken, only to be hung up on.
        let answered = async { (Arc::clone(&beyond).acquire_owned().await, listener.accept().await) };
        let (turned, accepted) = tokio::select! {
            biased;
            () = ends.now.cancelled() => break,
            () = ends.soon.cancelled() => break,
            Some(made) = anew.recv() => {
                listener = made;
                continue;
            }
            answered = answered => answered,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("the local API could not take a connection: {error}");
                // Out of descriptors, most likely: they come back when connections end, not by trying at once.
                clock::pause(Duration::from_millis(100)).await;
                continue;
            }
        };
        // The kernel knows whose connection it is; whoever it does not know gets no place that is kept.
        let user = stream.peer_cred().map_or(u32::MAX, |who| who.uid());
        match places.take(user, clock::time()) {
            Ok(place) => drop(tasks.spawn(USER.scope(user, seated(stream, router.clone(), place, ends.clone())))),
            Err(full) => drop(tasks.spawn(turned_away(stream, full, turned, ends.clone()))),
        }
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

/// The calls of the API, of an agent that does not serve the data.
pub fn router(shared: Shared, stop: CancellationToken) -> Router {
    with_data(shared, None, stop)
}

/// The calls of the API.
pub fn with_data(shared: Shared, data: Option<Data>, stop: CancellationToken) -> Router {
    let data = data.map(|data| Arc::new(data::Access::new(data)));
    let api = Api { shared, data, watchers: Places::new(WATCHERS), stop };
    Router::new()
        .route("/v1/status", get(status::get))
        .route("/v1/is-leader", get(leader::is_leader))
        .route("/v1/members", get(members::get))
        .route("/v1/history", get(history::get))
        .route("/v1/events", get(events::get))
        .route("/v1/handover", post(handover::post))
        .route("/v1/members/{id}", delete(members::delete))
        .route("/v1/runners", post(runners::post))
        .route("/v1/reload", post(reload::post))
        .route_layer(from_fn(without_parameters))
        .route("/v1/leader", get(leader::get))
        .merge(data::routes())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(api.clone(), rights::checked))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(api)
}

/// Serves one client until it hangs up, is too slow, or `stop` is cancelled.
pub async fn client(stream: UnixStream, router: Router, stop: CancellationToken) {
    served(stream, TowerToHyperService::new(router), HEAD, stop.into()).await;
}

/// Serves one client for as long as it has its place.
async fn seated(stream: UnixStream, router: Router, place: Place, ends: Ends) {
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
async fn turned_away<T>(stream: UnixStream, full: Full, _turn: T, ends: Ends) {
    let service = service_fn(move |_| async move {
        let detail = format!("{full}: close some of them, or try again later");
        let mut response = problem::later(StatusCode::TOO_MANY_REQUESTS, detail);
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        Ok::<_, Infallible>(response)
    });
    let _ = clock::within(ASKS, served(stream, service, ASKS, ends)).await;
}

async fn served<S, B>(stream: UnixStream, service: S, head: Duration, ends: Ends)
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

/// A misspelt parameter is not ignored in silence.
async fn without_parameters(request: Request, next: Next) -> Response {
    match request.uri().query() {
        None | Some("") => next.run(request).await,
        Some(query) => {
            let detail = format!("{} takes no parameters, and got `{query}`", request.uri().path());
            problem(StatusCode::BAD_REQUEST, detail)
        }
    }
}

async fn no_such_path(uri: Uri) -> Response {
    problem(StatusCode::NOT_FOUND, format!("there is no {} in this API", uri.path()))
}

async fn no_such_method(method: Method, uri: Uri) -> Response {
    problem(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
}

#[cfg(test)]
pub(super) mod tests;
