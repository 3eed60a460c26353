//! The local API: HTTP/1.1 on the Unix socket, one small file a resource.
//!
//! Nothing here decides anything: answers are made from what the loop publishes, and requests are passed to it. What
//! one client does never costs another: connections, watchers and waiting are bounded, and a client that neither speaks
//! nor reads is cut off.

mod data;
mod events;
mod handover;
mod history;
mod leader;
mod lines;
mod members;
mod patience;
mod problem;
mod status;

use super::data::Data;
use super::shared::Shared;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{delete, get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use patience::Patient;
use problem::problem;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Streams of events and requests that wait, all together (protocol §11).
const WATCHERS: usize = 256;

/// Connections that are served at one time.
const CONNECTIONS: usize = 512;

/// Connections beyond those that are told to come back; any further one is closed at once.
const TURNED_AWAY: usize = 32;

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
    watchers: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Api {
    /// A place among the watchers, or the answer that there is none.
    fn watcher(&self) -> Result<OwnedSemaphorePermit, Box<Response>> {
        Arc::clone(&self.watchers).try_acquire_owned().map_err(|_| {
            Box::new(problem::later(
                StatusCode::TOO_MANY_REQUESTS,
                format!("{WATCHERS} clients watch or wait already: end one of them, or try again later"),
            ))
        })
    }
}

/// Serves the API until `stop` is cancelled; returns once every connection has ended.
pub async fn serve(listener: UnixListener, shared: Shared, data: Option<Data>, stop: CancellationToken) {
    let router = with_data(shared, data, stop.clone());
    let busy = Router::new().fallback(turned_away);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let beyond = Arc::new(Semaphore::new(TURNED_AWAY));
    let tasks = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("the local API could not take a connection: {error}");
                    // Out of descriptors, most likely: they come back when connections end, not by trying at once.
                    crate::agent::clock::pause(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            tasks.spawn(connection(stream, router.clone(), place, stop.clone()));
        } else if let Ok(place) = Arc::clone(&beyond).try_acquire_owned() {
            tasks.spawn(connection(stream, busy.clone(), place, stop.clone()));
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
    Router::new()
        .route("/v1/status", get(status::get))
        .route("/v1/is-leader", get(leader::is_leader))
        .route("/v1/members", get(members::get))
        .route("/v1/history", get(history::get))
        .route("/v1/events", get(events::get))
        .route("/v1/handover", post(handover::post))
        .route("/v1/members/{id}", delete(members::delete))
        .route_layer(from_fn(without_parameters))
        .route("/v1/leader", get(leader::get))
        .merge(data::routes())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(Api { shared, data, watchers: Arc::new(Semaphore::new(WATCHERS)), stop })
}

async fn connection(stream: UnixStream, router: Router, place: OwnedSemaphorePermit, stop: CancellationToken) {
    client(stream, router, stop).await;
    drop(place);
}

/// Serves one client until it hangs up, is too slow, or `stop` is cancelled.
pub async fn client(stream: UnixStream, router: Router, stop: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let io = TokioIo::new(Patient::new(stream, UNREAD));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_MAX);
    let served = builder.serve_connection(io, service);
    tokio::pin!(served);
    // How a connection ended concerns its client alone, and that one knows.
    tokio::select! {
        _ = &mut served => {}
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(LAST_WORDS, served).await;
        }
    }
}

async fn turned_away() -> Response {
    let mut response = problem::later(
        StatusCode::TOO_MANY_REQUESTS,
        format!("{CONNECTIONS} clients are connected already: close some of them, or try again later"),
    );
    response.headers_mut().insert(axum::http::header::CONNECTION, axum::http::HeaderValue::from_static("close"));
    response
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
mod tests;
