//! One HTTP request over a Unix socket.

use super::{Error, Tried};
use crate::view::Problem;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
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
            Ok((response, connection)) => return judge(response, connection, limit).await,
            Err(Lost::Unanswered(why)) if why.kind() == io::ErrorKind::PermissionDenied => {
                let why = format!("not allowed to use {}: run this as a user who may, or with sudo", socket.display());
                return Err(Error::NotAllowed { why });
            }
            Err(Lost::HungUp) => {
                let why =
                    format!("{} hung up without an answer: it is ending, or has too many clients", socket.display());
                return Err(Error::Later { why, busy: true });
            }
            Err(Lost::Broken(error)) => {
                let why = format!("the connection to {} broke ({error}): try again", socket.display());
                return Err(Error::Broken { why });
            }
            Err(Lost::Unanswered(why)) => tried.push(Tried { path: socket.clone(), why }),
        }
    }
    let takes = |tried: &&Tried| matches!(tried.why.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
    if let Some(busy) = tried.iter().find(takes) {
        let why = format!("{busy}: that agent stands still, or has too much to do: try again");
        return Err(Error::Later { why, busy: true });
    }
    Err(Error::NoAgent { tried })
}

async fn one(socket: &Path, call: &Call<'_>, limit: Duration) -> Result<(Response<Incoming>, Connection), Lost> {
    let asked = async {
        let stream = UnixStream::connect(socket).await.map_err(Lost::Unanswered)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Lost::Broken)?;
        let connection = Connection(tokio::spawn(async move {
            // Its failure shows itself where the answer is read.
            let _ = connection.await;
        }));
        let mut request = Request::builder().method(call.method.clone()).uri(call.path).header(header::HOST, "tanist");
        for (name, value) in &call.heads {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(call.body.clone()));
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
async fn judge(response: Response<Incoming>, connection: Connection, limit: Duration) -> Result<Answer, Error> {
    let status = response.status();
    let heads = response.headers().clone();
    let answer = Answer { body: response.into_body(), heads, limit, _connection: connection };
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
