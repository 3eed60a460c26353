//! One HTTP request over a Unix socket.

use super::{Error, Tried};
use crate::view::Problem;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

/// The largest answer that is read as a whole: thousands of members and reigns fit.
const ANSWER_MAX: usize = 16 << 20;

/// The connection that an answer comes on ends with it.
#[derive(Debug)]
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer whose head has come, and was good.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Incoming,
    pub(super) heads: HeaderMap,
    /// Where it came from.
    pub(super) socket: PathBuf,
    /// When the body must have come, for those that are read as a whole.
    limit: Duration,
    _connection: Connection,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    method: Method,
    path: &'a str,
    /// A few.
    heads: Vec<(&'static str, String)>,
    body: Bytes,
}

impl<'a> Call<'a> {
    pub(super) fn new(method: Method, path: &'a str) -> Self {
        Self { method, path, heads: Vec::new(), body: Bytes::new() }
    }

    /// With a header.
    pub(super) fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.heads.push((name, value.to_string()));
        self
    }

    /// With these bytes.
    pub(super) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    /// As a request with this body.
    fn request<B>(&self, body: B) -> Result<Request<B>, hyper::http::Error> {
        let mut request = Request::builder().method(self.method.clone()).uri(self.path).header(header::HOST, "tanist");
        for (name, value) in &self.heads {
            request = request.header(*name, value);
        }
        request.body(body)
    }
}

/// Why there is no answer.
enum Lost {
    /// Nobody took the connection ([`io::ErrorKind::TimedOut`], [`io::ErrorKind::WouldBlock`]: somebody is there), or nobody
    /// answered in time.
    Unanswered(io::Error),
    /// Somebody took the connection, and closed it again.
    HungUp,
    /// It broke.
    Broken(hyper::Error),
}

impl Lost {
    /// Another socket may be tried, or what went wrong for good.
    fn at(self, socket: &Path) -> Result<Tried, Error> {
        match self {
            Lost::Unanswered(why) if why.kind() == io::ErrorKind::PermissionDenied => {
                let why = format!("not allowed to use {}: run this as a user who may, or with sudo", socket.display());
                Err(Error::NotAllowed { why })
            }
            Lost::HungUp => {
                let why =
                    format!("{} hung up without an answer: it is ending, or has too many clients", socket.display());
                Err(Error::Later { why, busy: true })
            }
            Lost::Broken(error) => {
                let why = format!("the connection to {} broke ({error}): try again", socket.display());
                Err(Error::Broken { why })
            }
            Lost::Unanswered(why) => Ok(Tried { path: socket.to_owned(), why }),
        }
    }
}

pub(super) async fn get(sockets: &[PathBuf], path: &str, limit: Duration) -> Result<Answer, Error> {
    call(sockets, &Call::new(Method::GET, path), limit).await
}

pub(super) async fn post(sockets: &[PathBuf], path: &str, body: String, limit: Duration) -> Result<Answer, Error> {
    let post = Call::new(Method::POST, path).with(header::CONTENT_TYPE.as_str(), "application/json");
    call(sockets, &post.body(body.into()), limit).await
}

/// The answer's body, which is one JSON value.
pub(super) async fn json<T: DeserializeOwned>(answer: Answer) -> Result<T, Error> {
    parsed(&whole(answer).await?)
}

/// A body that is one JSON value.
pub(super) fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Strange {
        why: format!("the agent's answer is not what this version expects ({error}): are both of one version?"),
    })
}

/// The answer's body.
pub(super) async fn whole(answer: Answer) -> Result<Bytes, Error> {
    let read = Limited::new(answer.body, ANSWER_MAX).collect();
    match tokio::time::timeout(answer.limit, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) => Err(Error::Broken { why: format!("the agent's answer broke off ({error}): try again") }),
        Err(_) => Err(Error::Broken { why: "the agent's answer did not come to an end: try again".to_owned() }),
    }
}

/// Asks at each socket in turn until one is answered.
pub(super) async fn call(sockets: &[PathBuf], call: &Call<'_>, limit: Duration) -> Result<Answer, Error> {
    let mut tried = Vec::new();
    for socket in sockets {
        match one(socket, call, limit).await {
            Ok((response, connection)) => return judge(response, connection, socket, limit).await,
            Err(lost) => tried.push(lost.at(socket)?),
        }
    }
    Err(nobody(tried))
}

/// Begins a call whose body comes piece by piece, at the first socket that takes the connection. The answer may come before
/// all of the body is sent; what it says must come within `limit` then.
pub(super) async fn stream<B>(
    sockets: &[PathBuf],
    call: &Call<'_>,
    body: B,
    limit: Duration,
) -> Result<JoinHandle<Result<Answer, Error>>, Error>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn error::Error + Send + Sync>>,
{
    let mut tried = Vec::new();
    for socket in sockets {
        let connected = tokio::time::timeout(limit, connect::<B>(socket)).await;
        match connected.unwrap_or_else(|_| Err(Lost::Unanswered(io::ErrorKind::TimedOut.into()))) {
            Ok((mut sender, connection)) => {
                let request = call.request(body).map_err(|error| Error::Strange { why: error.to_string() })?;
                let socket = socket.clone();
                return Ok(tokio::spawn(async move {
                    match sender.send_request(request).await {
                        Ok(response) => judge(response, connection, &socket, limit).await,
                        Err(error) => {
                            let why = format!("the connection to {} broke ({error}): try again", socket.display());
                            Err(Error::Broken { why })
                        }
                    }
                }));
            }
            Err(lost) => tried.push(lost.at(socket)?),
        }
    }
    Err(nobody(tried))
}

/// No socket led anywhere.
fn nobody(tried: Vec<Tried>) -> Error {
    let takes = |tried: &&Tried| matches!(tried.why.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
    if let Some(busy) = tried.iter().find(takes) {
        let why = format!("{busy}: that agent stands still, or has too much to do: try again");
        return Error::Later { why, busy: true };
    }
    Error::NoAgent { tried }
}

async fn connect<B>(socket: &Path) -> Result<(SendRequest<B>, Connection), Lost>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn error::Error + Send + Sync>>,
{
    let stream = UnixStream::connect(socket).await.map_err(Lost::Unanswered)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Lost::Broken)?;
    let connection = Connection(tokio::spawn(async move {
        // Its failure shows itself where the answer is read.
        let _ = connection.await;
    }));
    Ok((sender, connection))
}

async fn one(socket: &Path, call: &Call<'_>, limit: Duration) -> Result<(Response<Incoming>, Connection), Lost> {
    let asked = async {
        let (mut sender, connection) = connect(socket).await?;
        let request = call.request(Full::new(call.body.clone()));
        let request = request.map_err(|error| Lost::Unanswered(io::Error::other(error)))?;
        let response = sender.send_request(request).await.map_err(|error| {
            if error.is_incomplete_message() || error.is_canceled() { Lost::HungUp } else { Lost::Broken(error) }
        })?;
        Ok((response, connection))
    };
    let in_time = tokio::time::timeout(limit, asked).await;
    in_time.unwrap_or_else(|_| Err(Lost::Unanswered(io::ErrorKind::TimedOut.into())))
}

/// A good answer is given on; any other becomes its error.
async fn judge(
    response: Response<Incoming>,
    connection: Connection,
    socket: &Path,
    limit: Duration,
) -> Result<Answer, Error> {
    let status = response.status();
    let heads = response.headers().clone();
    let socket = socket.to_owned();
    let answer = Answer { body: response.into_body(), heads, socket, limit, _connection: connection };
    if status.is_success() {
        return Ok(answer);
    }
    let body = whole(answer).await?;
    let problem = serde_json::from_slice(&body).unwrap_or_else(|_| Problem {
        kind: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or_default().to_owned(),
        status: status.as_u16(),
        detail: format!("the agent answered {status}: {}", String::from_utf8_lossy(&body).trim()),
    });
    Err(match status {
        StatusCode::TOO_MANY_REQUESTS => Error::Later { why: problem.detail, busy: true },
        StatusCode::SERVICE_UNAVAILABLE => Error::Later { why: problem.detail, busy: false },
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Error::NotAllowed { why: problem.detail },
        _ => Error::Refused { problem },
    })
}
