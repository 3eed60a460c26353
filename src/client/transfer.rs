//! Export and import: files that are streams.

use super::lines::Lines;
use super::transport::{self, Answer, Call};
use super::{ANSWER, Client, Error, PATIENCE};
use crate::view::data::Imported;
use crate::view::data::export::{End, LINE};
use bytes::Bytes;
use hyper::body::{Body, Frame};
use hyper::{Method, header};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// For how long an agent may neither give nor take anything in the middle of a file: twice as long as an import waits for a
/// leader.
const STALLS: Duration = Duration::from_secs(60);

/// Bytes a second of the slowest import: so long an agent that was sent all of a file may take until it has all of it in.
const SLOWEST: u64 = 128 << 10;

/// An export, line by line. Dropping it ends the stream.
#[derive(Debug)]
pub struct Export {
    lines: Lines,
    end: Option<End>,
}

impl Export {
    /// The next line as it was sent, without its end; none behind the last one.
    ///
    /// # Errors
    /// [`Error::Broken`] when the stream breaks, or ends without its last line: what came is no whole export.
    pub async fn next(&mut self) -> Result<Option<String>, Error> {
        let broken = |why: &str| Err(Error::Broken { why: format!("{why}: it is not whole, so make it again") });
        match tokio::time::timeout(STALLS, self.lines.next()).await {
            Err(_) => broken("the agent gives nothing more of the export"),
            Ok(Err(Error::Broken { .. })) => broken("the export broke off, as when its agent dies"),
            Ok(Err(error)) => Err(error),
            Ok(Ok(None)) if self.end.is_none() => {
                broken("the export ended before its last line, as when its agent ends")
            }
            Ok(Ok(line)) => {
                let end = line.as_ref().filter(|line| line.starts_with("{\"end\""));
                self.end = self.end.or(end.and_then(|line| serde_json::from_str(line).ok()));
                Ok(line)
            }
        }
    }

    /// What the last line says, when it has come.
    pub fn end(&self) -> Option<End> {
        self.end
    }
}

/// An import that is being sent. Dropping it breaks it off: what was sent may be in, and is known when it is sent again.
#[derive(Debug)]
pub struct Import {
    /// The file, and none behind its end. One piece waits.
    pieces: mpsc::Sender<Option<Bytes>>,
    answer: JoinHandle<Result<Answer, Error>>,
    /// The answer, when it came before the end of the file.
    said: Option<Result<Answer, Error>>,
    sent: u64,
}

impl Drop for Import {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

impl Import {
    /// Sends the next bytes of the file, however they are divided. False when the agent has answered already and takes no
    /// more: [`Import::finish`] says why.
    ///
    /// # Errors
    /// [`Error::Broken`] when the agent takes nothing any more.
    pub async fn send(&mut self, bytes: impl Into<Bytes>) -> Result<bool, Error> {
        let bytes = bytes.into();
        self.sent += bytes.len() as u64;
        self.put(Some(bytes)).await
    }

    async fn put(&mut self, piece: Option<Bytes>) -> Result<bool, Error> {
        if self.said.is_some() {
            return Ok(false);
        }
        let broken = || Error::Broken { why: "the agent takes no more of the file: import it again".to_owned() };
        let putting = async {
            tokio::select! {
                put = self.pieces.send(piece) => if put.is_ok() {
                    return true;
                },
                said = &mut self.answer => {
                    self.said = Some(ended(said));
                    return false;
                }
            }
            // Nobody takes it any more: there is an answer, or the connection broke.
            self.said = Some(ended((&mut self.answer).await));
            false
        };
        tokio::time::timeout(STALLS, putting).await.map_err(|_| broken())
    }

    /// What became of the file, all of which was sent.
    ///
    /// # Errors
    /// [`Error::Refused`] when nothing was imported, or not all, and why; [`Error::Later`] when there was no leader;
    /// [`Error::Broken`] when the agent went away. What is in is known when the file is imported again.
    pub async fn finish(mut self) -> Result<Imported, Error> {
        self.put(None).await?;
        let answer = match self.said.take() {
            Some(said) => said?,
            None => {
                let limit = PATIENCE * 4 + Duration::from_secs(self.sent / SLOWEST);
                let said = tokio::time::timeout(limit, &mut self.answer).await;
                let silent = "the agent has the file, and does not say that it is in: import it again";
                said.map_err(|_| Error::Broken { why: silent.to_owned() }).and_then(ended)?
            }
        };
        transport::json(answer).await
    }
}

fn ended(said: Result<Result<Answer, Error>, tokio::task::JoinError>) -> Result<Answer, Error> {
    said.unwrap_or_else(|error| Err(Error::Broken { why: format!("the import failed here ({error}): try again") }))
}

/// The receiving end of the pieces, as a body. One that is not ended breaks the connection: half a file must not look like
/// a whole one.
struct Pieces(mpsc::Receiver<Option<Bytes>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(cx).map(|piece| match piece {
            Some(Some(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(None) => None,
            None => Some(Err(io::ErrorKind::UnexpectedEof.into())),
        })
    }
}

impl Client {
    /// Everything that the agent holds, as the lines of a file.
    ///
    /// # Errors
    /// [`Error::Later`] when the agent has too many watchers; or when no agent answers.
    pub async fn export(&self) -> Result<Export, Error> {
        let answer = self.open(&Call::new(Method::GET, "/v1/export")).await?;
        Ok(Export { lines: Lines::new(answer, LINE), end: None })
    }

    /// Begins an import: the file is sent with [`Import::send`], and [`Import::finish`] says what became of it. With
    /// `all_or_nothing` the agent checks all of it first, and imports nothing of a file with a broken line.
    ///
    /// # Errors
    /// When no agent answers.
    pub async fn import(&self, all_or_nothing: bool) -> Result<Import, Error> {
        let path = format!("/v1/import?all_or_nothing={all_or_nothing}");
        let call = Call::new(Method::POST, &path).with(header::CONTENT_TYPE.as_str(), "application/x-ndjson");
        let (pieces, body) = mpsc::channel(1);
        let answer = transport::stream(&self.sockets, &call, Pieces(body), ANSWER).await?;
        Ok(Import { pieces, answer, said: None, sent: 0 })
    }
}
