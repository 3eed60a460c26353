//! One HTTP request over a Unix socket.

use super::{Error, Tried};
use crate::view::Problem;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
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
    /// When the body must have come, for those that are read as a whole.
    limit: Duration,
    _connection: Connection,
}

pub(super) async fn get(sockets: &[PathBuf], path: &str, limit: Duration) -> Result<Answer, Error> {
    call(sockets, &Method::GET, path, Bytes::new(), limit).await
}

pub(super) async fn post(sockets: &[PathBuf], path: &str, body: String, limit: Duration) -> Result<Answer, Error> {
    call(sockets, &Method::POST, path, body.into(), limit).await
}

/// The answer's body, which is one JSON value.
pub(super) async fn json<T: DeserializeOwned>(answer: Answer) -> Result<T, Error> {
    let whole = whole(answer).await?;
    serde_json::from_slice(&whole).map_err(|error| Error::Strange {
        why: format!("the agent's answer is not what this version expects ({error}): are both of one version?"),
    })
}

async fn whole(answer: Answer) -> Result<Bytes, Error> {
    let read = Limited::new(answer.body, ANSWER_MAX).collect();
    match tokio::time::timeout(answer.limit, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) => Err(Error::Strange { why: format!("the agent's answer broke off: {error}") }),
        Err(_) => Err(Error::Strange { why: "the agent's answer did not come to an end".to_owned() }),
    }
}

/// Asks at each socket in turn until one is answered.
async fn call(sockets: &[PathBuf], method: &Method, path: &str, body: Bytes, limit: Duration) -> Result<Answer, Error> {
    let mut tried = Vec::new();
    for socket in sockets {
        match one(socket, method, path, body.clone(), limit).await {
            Ok((response, connection)) => return judge(response, connection, limit).await,
            Err(why) if why.kind() == io::ErrorKind::PermissionDenied => {
                let why = format!("not allowed to use {}: run this as a user who may, or with sudo", socket.display());
                return Err(Error::NotAllowed { why });
            }
            // Somebody took the connection, and closed it again.
            Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => {
                let why =
                    format!("{} hung up without an answer: it is ending, or has too many clients", socket.display());
                return Err(Error::Later { why, busy: true });
            }
            Err(why) => tried.push(Tried { path: socket.clone(), why }),
        }
    }
    Err(Error::NoAgent { tried })
}

async fn one(
    socket: &Path,
    method: &Method,
    path: &str,
    body: Bytes,
    limit: Duration,
) -> io::Result<(Response<Incoming>, Connection)> {
    let asked = async {
        let stream = UnixStream::connect(socket).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let connection = Connection(tokio::spawn(async move {
            // Its failure shows itself where the answer is read.
            let _ = connection.await;
        }));
        let request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(header::HOST, "tanist")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(io::Error::other)?;
        let response = sender.send_request(request).await.map_err(|error| {
            if error.is_incomplete_message() || error.is_canceled() {
                io::Error::from(io::ErrorKind::UnexpectedEof)
            } else {
                io::Error::other(error)
            }
        })?;
        Ok((response, connection))
    };
    tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A good answer is given on; any other becomes its error.
async fn judge(response: Response<Incoming>, connection: Connection, limit: Duration) -> Result<Answer, Error> {
    let status = response.status();
    let answer = Answer { body: response.into_body(), limit, _connection: connection };
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
