//! The calls of the data over a real socket, before a loop that is played.

mod conflicts;
mod errors;
mod points;
mod streams;
mod transfers;
mod trims;
mod writes;

use super::for_tests::{Mood, Stage, WAIT, in_time, reign};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// The value of a header.
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    fn field(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_else(|| panic!("{name}: {self:?}")).to_owned()
    }

    /// The sentence of a problem, which has every field that a problem has.
    fn detail(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(
            (problem["status"].as_u64(), &problem["type"]),
            (Some(u64::from(self.status)), &"about:blank".into())
        );
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()));
        self.field("detail")
    }
}

async fn connect(stage: &Stage) -> UnixStream {
    UnixStream::connect(&stage.socket).await.expect("the API listens")
}

fn head(method: &str, path: &str, heads: &[(&str, &str)], length: usize) -> String {
    let heads: String = heads.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nHost: tanist\r\nConnection: close\r\nContent-Length: {length}\r\n{heads}\r\n")
}

async fn ask_with(stage: &Stage, method: &str, path: &str, heads: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = connect(stage).await;
    stream.write_all(head(method, path, heads, body.len()).as_bytes()).await.expect("sent");
    // An answer may come before all is sent.
    let _ = stream.write_all(body).await;
    read(&mut stream).await
}

async fn read(stream: &mut UnixStream) -> Answer {
    let mut answer = Vec::new();
    // Behind its answer, an agent that was not to be sent more resets the connection.
    let ended = in_time(stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok() || !answer.is_empty(), "{ended:?}");
    parsed(&answer)
}

fn parsed(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).expect("text");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head, body: answer[end + 4..].to_vec() }
}

async fn ask(stage: &Stage, method: &str, path: &str, body: &str) -> Answer {
    ask_with(stage, method, path, &[], body.as_bytes()).await
}

async fn get(stage: &Stage, path: &str) -> Answer {
    ask(stage, "GET", path, "").await
}

/// Writes, which is to succeed.
async fn done(stage: &Stage, method: &str, path: &str, body: &str) -> Answer {
    let answer = ask(stage, method, path, body).await;
    assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
    answer
}

#[tokio::test]
async fn an_agent_without_data_says_so() {
    let stage = Stage::new();
    let router = crate::agent::api::router(stage.shared.clone(), stage.stop.clone());
    let (mut near, far) = UnixStream::pair().expect("a pair");
    tokio::spawn(crate::agent::api::client(far, router, stage.stop.clone()));
    near.write_all(head("GET", "/v1/keys/a", &[], 0).as_bytes()).await.expect("sent");
    let answer = read(&mut near).await;
    assert_eq!(answer.status, 503);
    assert!(answer.detail().contains("does not serve the data"), "{answer:?}");
    stage.end().await;
}
