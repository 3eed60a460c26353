//! The local API: HTTP/1.1 on the Unix socket, and on TCP where that is wanted; one small file a resource.
//!
//! Nothing here decides anything: answers are made from what the loop publishes, and requests are passed to it. What
//! one client does never costs another: connections, watchers and waiting are bounded, and a client that neither speaks
//! nor reads is cut off.

mod body;
mod clients;
mod data;
mod events;
mod handover;
mod history;
mod leader;
mod lines;
mod members;
mod metrics;
mod page;
mod patience;
mod places;
mod problem;
mod reload;
mod rights;
mod runners;
mod status;
mod tcp;

pub use tcp::Tcp;

use super::clock;
use super::data::Data;
use super::shared::{Command, Shared};
use crate::protocol::Status;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{delete, get, post};
use clients::Clients;
use hyper_util::service::TowerToHyperService;
use places::{Bounds, Place, Places};
use problem::problem;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Streams of events and requests that wait (protocol §11).
const WATCHERS: Bounds = Bounds { all: 256, each: 192, kept: 16 };

/// Connections that are served at one time.
const CONNECTIONS: Bounds = Bounds { all: 512, each: 384, kept: 32 };

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
    fn new(shared: Shared, data: Option<Data>, stop: CancellationToken) -> Self {
        let data = data.map(|data| Arc::new(data::Access::new(data)));
        Self { shared, data, watchers: Places::new(WATCHERS), stop }
    }

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
    serve_on(Listeners { unix: listener, anew: none, tcp: None }, shared, data, stop.into()).await;
}

/// Where the API is served.
#[derive(Debug)]
pub struct Listeners {
    /// The Unix socket.
    pub unix: UnixListener,
    /// A socket that comes out of it takes the place of the one before.
    pub anew: mpsc::Receiver<UnixListener>, // bound: ONE at a time
    /// On TCP too.
    pub tcp: Option<Tcp>,
}

/// The same on all of these.
pub async fn serve_on(listeners: Listeners, shared: Shared, data: Option<Data>, ends: Ends) {
    let Listeners { unix, anew, tcp } = listeners;
    let api = Api::new(shared, data, ends.now.clone());
    let on_tcp = tcp.map(|tcp| {
        // Those that come by TCP take nothing from those that come by the socket.
        let router = routes(Api { watchers: Places::new(tcp::WATCHERS), ..api.clone() });
        tokio::spawn(tcp.serve(router, ends.clone()))
    });
    serve_unix(unix, anew, routes(api), ends).await;
    if let Some(ended) = on_tcp {
        // It may have panicked; it ended either way.
        let _ = ended.await;
    }
}

async fn serve_unix(
    mut listener: UnixListener,
    mut anew: mpsc::Receiver<UnixListener>, // bound: ONE at a time
    router: Router,
    ends: Ends,
) {
    let clients = Clients::new(router, CONNECTIONS, ends.clone());
    loop {
        let (turn, accepted) = tokio::select! {
            biased;
            () = ends.now.cancelled() => break,
            () = ends.soon.cancelled() => break,
            Some(made) = anew.recv() => {
                listener = made;
                continue;
            }
            next = clients.next(listener.accept()) => next,
        };
        match accepted {
            Ok((stream, _)) => {
                // The kernel knows whose connection it is; whoever it does not know gets no place that is kept.
                let user = stream.peer_cred().map_or(u32::MAX, |who| who.uid());
                clients.serve(stream, user, turn);
            }
            Err(error) => clients.missed(&error).await,
        }
    }
    drop(listener);
    clients.end().await;
}

/// The calls of the API, of an agent that does not serve the data.
pub fn router(shared: Shared, stop: CancellationToken) -> Router {
    routes(Api::new(shared, None, stop))
}

/// The calls of the API.
fn routes(api: Api) -> Router {
    Router::new()
        .route("/", get(page::get))
        .route("/metrics", get(metrics::get))
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
    clients::served(stream, TowerToHyperService::new(router), clients::HEAD, stop.into()).await;
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
