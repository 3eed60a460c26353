//! One request as any program may make it: bytes on the local socket, once.

use std::path::Path;
use std::time::Duration;
use tanist::view::Problem;
use tanist::view::data::Added;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use uuid::Uuid;

/// Longer than an agent lets a request wait (10 s) and any fault here stops its process.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of a request, as far as the one that asked was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Told {
    /// It is done.
    Done { copies: u8 },
    /// It was not done.
    NotDone(String),
    /// It may be done, or not.
    MayBe(String),
    /// No answer of this interface to such a request.
    Strange(String),
}

/// Adds a record, without trying again.
pub(super) async fn ask_once(socket: &Path, id: Uuid, topic: &str, text: &str) -> Told {
    let Ok(mut stream) = UnixStream::connect(socket).await else {
        return Told::NotDone("nobody took the connection".to_owned());
    };
    let length = text.len();
    let request = format!(
        "POST /v1/records/{topic} HTTP/1.1\r\nHost: tanist\r\nIdempotency-Key: {id}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{text}"
    );
    let mut answer = Vec::new();
    let asking = async {
        stream.write_all(request.as_bytes()).await?;
        stream.read_to_end(&mut answer).await
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Err(_) => Told::Strange(format!("nothing for {PATIENCE:?}")),
        Ok(Err(why)) => Told::MayBe(format!("the connection broke: {why}")),
        Ok(Ok(_)) if answer.is_empty() => Told::MayBe("the connection ended without an answer".to_owned()),
        Ok(Ok(_)) => judge(&String::from_utf8_lossy(&answer), id),
    }
}

fn judge(answer: &str, id: Uuid) -> Told {
    let strange = || Told::Strange(answer.to_owned());
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return Told::MayBe(format!("the answer broke off: {answer}"));
    };
    let Some(status) = head.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok()) else { return strange() };
    if status == 201 {
        return match serde_json::from_str::<Added>(body) {
            Ok(added) if added.id == id && matches!(added.copies, 1 | 2) => Told::Done { copies: added.copies },
            _ => strange(),
        };
    }
    let Ok(problem) = serde_json::from_str::<Problem>(body) else { return strange() };
    let why = format!("{status}: {}", problem.detail);
    match status {
        429 | 507 => Told::NotDone(why),
        503 => Told::MayBe(why),
        _ => strange(),
    }
}
