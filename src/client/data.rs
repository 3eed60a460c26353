//! The data: records, keys, topics, conflicts, and the stream of changes.
//!
//! A call that is cut off, or told to come back, is made again for [`PATIENCE`], a write with the id that it had: so it
//! is done once, however often it was sent.

mod conflicts;
mod trim;

pub use trim::Trim;

use super::lines::Lines;
use super::transport::{self, Answer, Call};
use super::{Client, Error};
use crate::data::Condition;
use crate::view::data::{Added, Keys, Line, Point, Records, Topics, Written};
use bytes::Bytes;
use hyper::{HeaderMap, Method, header};
use serde::de::DeserializeOwned;
use std::time::Duration;
use uuid::Uuid;

/// How long a call is made again and again before it fails.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// How often an update begins anew before it fails.
pub const UPDATES: u32 = 10;

/// The first pause before a call is made again, and the longest. Each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The longest while no agent listens: to ask costs nothing then, and one that is started again is there in a moment.
const LISTENS_AGAIN: Duration = Duration::from_millis(50);

/// The longest line of the stream that is taken, in bytes: a value of a mebibyte in which every byte is six in JSON.
const LINE_MAX: usize = 7 << 20;

/// The value of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value {
    /// The value.
    pub value: Bytes,
    /// Its version: what a write names that is to replace it and no other.
    pub version: Point,
    /// The point up to which the agent that answered knows everything.
    pub cursor: Point,
}

/// How up to date an answer has to be. Without anything: what the agent holds, which may lag.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Reading {
    /// As the leader has it.
    pub fresh: bool,
    /// The agent has seen this point.
    pub at_least: Option<Point>,
}

/// Which changes a stream tells of. Without a topic and a prefix: all.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Watch {
    /// Records of this topic.
    pub topic: Option<String>,
    /// Keys that begin so.
    pub prefix: Option<String>,
    /// Those behind this point. Without it, first everything that there is.
    pub after: Option<Point>,
}

/// Changes as they come. Dropping it ends the stream.
#[derive(Debug)]
pub struct Changes(Lines);

impl Changes {
    /// The next line as it was sent, without its end; none when the agent ended the stream. May be given up at any await
    /// without losing a line. Whoever keeps the cursor of the last change can go on from there.
    ///
    /// # Errors
    /// [`Error::Broken`] when the stream breaks.
    pub async fn next_text(&mut self) -> Result<Option<String>, Error> {
        self.0.next().await
    }

    /// The next change, or whatever else the stream says; none when the agent ended it.
    ///
    /// # Errors
    /// As [`Changes::next_text`]; and when a line is not one of this stream.
    pub async fn next(&mut self) -> Result<Option<Line>, Error> {
        let Some(text) = self.next_text().await? else { return Ok(None) };
        let line = serde_json::from_str(&text);
        line.map(Some).map_err(|error| Error::Strange { why: format!("not a line of a stream of changes: {error}") })
    }
}

impl Client {
    /// Adds a record.
    ///
    /// # Errors
    /// [`Error::Refused`] with the reason; [`Error::Later`] when there is no leader; or when no agent answers.
    pub async fn add(&self, topic: &str, value: impl Into<Bytes>) -> Result<Added, Error> {
        self.add_as(Uuid::now_v7(), topic, value).await
    }

    /// Adds a record with this id. A program that keeps the id may do so again after a crash of its own: there is one
    /// record then.
    ///
    /// # Errors
    /// As [`Client::add`]; and when the id is that of another record.
    pub async fn add_as(&self, id: Uuid, topic: &str, value: impl Into<Bytes>) -> Result<Added, Error> {
        let path = format!("/v1/records/{}", encoded(topic, ""));
        let call = Call::new(Method::POST, &path).with("idempotency-key", id).body(value.into());
        self.json(call).await
    }

    /// A page of the records of a topic, behind a cursor. There are no more when it is empty.
    ///
    /// # Errors
    /// [`Error::Refused`] with the status 410 when the cursor means nothing any more; or when no agent answers.
    pub async fn records(&self, topic: &str, after: Option<Point>) -> Result<Records, Error> {
        let mut path = format!("/v1/records/{}", encoded(topic, ""));
        path.extend(after.map(|after| format!("?after={after}")));
        self.json(Call::new(Method::GET, &path)).await
    }

    /// The content of a record; none when there is none.
    ///
    /// # Errors
    /// When no agent answers.
    pub async fn record(&self, topic: &str, id: Uuid) -> Result<Option<Bytes>, Error> {
        let path = format!("/v1/records/{}/{id}", encoded(topic, ""));
        Ok(present(self.whole(&Call::new(Method::GET, &path)).await)?.map(|(_, value)| value))
    }

    /// Writes a key on a condition.
    ///
    /// # Errors
    /// [`Error::Refused`] with the status 412 when the condition does not hold, or with another reason;
    /// [`Error::Later`] when there is no leader; or when no agent answers.
    pub async fn put(&self, key: &str, value: impl Into<Bytes>, condition: Condition) -> Result<Written, Error> {
        self.put_as(Uuid::now_v7(), key, value, condition).await
    }

    /// The same with this id. A program that keeps the id may do so again after a crash of its own: it is done once.
    ///
    /// # Errors
    /// As [`Client::put`]; and when the id is that of another request.
    pub async fn put_as(
        &self,
        id: Uuid,
        key: &str,
        value: impl Into<Bytes>,
        condition: Condition,
    ) -> Result<Written, Error> {
        let path = key_path(key);
        let call = Call::new(Method::PUT, &path).with("idempotency-key", id).on(condition).body(value.into());
        self.json(call).await
    }

    /// The value of a key; none when it has none.
    ///
    /// # Errors
    /// [`Error::Later`] when the agent is not up to date as is asked for; or when no agent answers.
    pub async fn get(&self, key: &str, how: Reading) -> Result<Option<Value>, Error> {
        let mut path = key_path(key);
        let fresh = how.fresh.then(|| "fresh=true".to_owned());
        let asked = [fresh, how.at_least.map(|cursor| format!("at_least={cursor}"))];
        for (n, parameter) in asked.into_iter().flatten().enumerate() {
            path.push(if n == 0 { '?' } else { '&' });
            path.push_str(&parameter);
        }
        let Some((heads, value)) = present(self.whole(&Call::new(Method::GET, &path)).await)? else { return Ok(None) };
        let point = |name: &str| heads.get(name)?.to_str().ok()?.trim_matches('"').parse().ok();
        match (point("etag"), point("tanist-cursor")) {
            (Some(version), Some(cursor)) => Ok(Some(Value { value, version, cursor })),
            _ => Err(Error::Strange { why: "the agent gave a value without a version".to_owned() }),
        }
    }

    /// Deletes the value of a key on a condition.
    ///
    /// # Errors
    /// [`Error::Refused`] with the status 404 when it has none, 412 when the condition does not hold, or with another
    /// reason; [`Error::Later`] when there is no leader; or when no agent answers.
    pub async fn delete(&self, key: &str, condition: Condition) -> Result<Written, Error> {
        let path = key_path(key);
        let call = Call::new(Method::DELETE, &path).with("idempotency-key", Uuid::now_v7()).on(condition);
        self.json(call).await
    }

    /// A page of the keys that begin so, behind the `next` of another.
    ///
    /// # Errors
    /// When no agent answers.
    pub async fn keys(&self, prefix: &str, after: Option<&str>) -> Result<Keys, Error> {
        let mut path = format!("/v1/keys?prefix={}", encoded(prefix, "/"));
        path.extend(after.map(|after| format!("&after={}", encoded(after, "/"))));
        self.json(Call::new(Method::GET, &path)).await
    }

    /// A page of the topics, behind the `next` of another.
    ///
    /// # Errors
    /// When no agent answers.
    pub async fn topics(&self, after: Option<&str>) -> Result<Topics, Error> {
        let after = after.map_or_else(String::new, |after| format!("?after={}", encoded(after, "/")));
        let path = format!("/v1/topics{after}");
        self.json(Call::new(Method::GET, &path)).await
    }

    /// Changes behind a point, as they happen.
    ///
    /// # Errors
    /// [`Error::Refused`] with the status 410 when the point means nothing any more; [`Error::Later`] when the agent has
    /// too many watchers; or when no agent answers.
    pub async fn watch_data(&self, watch: &Watch) -> Result<Changes, Error> {
        let text = |name: &str, value: &Option<String>| value.as_ref().map(|v| format!("{name}={}", encoded(v, "/")));
        let after = watch.after.map(|after| format!("after={after}"));
        let asked = [text("topic", &watch.topic), text("prefix", &watch.prefix), after];
        let asked: Vec<String> = asked.into_iter().flatten().collect();
        let path = format!("/v1/watch?{}", asked.join("&"));
        let answer = self.open(&Call::new(Method::GET, &path)).await?;
        Ok(Changes(Lines::new(answer, LINE_MAX)))
    }

    /// Writes what `change` makes of the value of a key, or of none. When others have written in between, it begins anew,
    /// at most [`UPDATES`] times and with growing pauses.
    ///
    /// # Errors
    /// What `change` fails with; [`Error::Refused`] with the status 412 when others always were faster; and as
    /// [`Client::get`] and [`Client::put`].
    pub async fn update<E: From<Error>>(
        &self,
        key: &str,
        mut change: impl AsyncFnMut(Option<Bytes>) -> Result<Bytes, E>,
    ) -> Result<Written, E> {
        let mut wait = FIRST_PAUSE;
        for _ in 1..UPDATES {
            match self.update_once(key, &mut change).await? {
                Ok(written) => return Ok(written),
                Err(_) => pause(&mut wait).await,
            }
        }
        let last = self.update_once(key, &mut change).await?;
        last.map_err(|mut problem| {
            problem.detail = format!("others wrote the key {key:?} in between, {UPDATES} times: try again");
            Error::Refused { problem }.into()
        })
    }

    /// Inside: the refusal when others have written in between.
    async fn update_once<E: From<Error>>(
        &self,
        key: &str,
        change: &mut impl AsyncFnMut(Option<Bytes>) -> Result<Bytes, E>,
    ) -> Result<Result<Written, crate::view::Problem>, E> {
        let (value, condition) = match self.get(key, Reading::default()).await? {
            Some(Value { value, version, .. }) => (Some(value), Condition::Is(version.0)),
            None => (None, Condition::Absent),
        };
        let value = change(value).await?;
        match self.put(key, value, condition).await {
            Ok(written) => Ok(Ok(written)),
            Err(Error::Refused { problem }) if problem.status == 412 => Ok(Err(problem)),
            Err(error) => Err(error.into()),
        }
    }

    /// The whole answer to a call, which is made again until it is answered well or refused.
    async fn whole(&self, call: &Call<'_>) -> Result<(HeaderMap, Bytes), Error> {
        let mut tries = Tries::new();
        let trying = async {
            loop {
                let answered = match transport::call(&self.sockets, call, PATIENCE).await {
                    Ok(mut answer) => {
                        let heads = std::mem::take(&mut answer.heads);
                        transport::whole(answer).await.map(|body| (heads, body))
                    }
                    Err(error) => Err(error),
                };
                match answered {
                    Ok(answered) => return Ok(answered),
                    Err(error) => tries.again(error).await?,
                }
            }
        };
        let tried = tokio::time::timeout(PATIENCE, trying).await;
        tried.unwrap_or_else(|_| Err(tries.over()))
    }

    /// The same, as JSON.
    async fn json<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Error> {
        transport::parsed(&self.whole(&call).await?.1)
    }

    /// The beginning of the answer to a call, which is made again until there is one.
    pub(super) async fn open(&self, call: &Call<'_>) -> Result<Answer, Error> {
        let mut tries = Tries::new();
        let trying = async {
            loop {
                match transport::call(&self.sockets, call, PATIENCE).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => tries.again(error).await?,
                }
            }
        };
        let tried = tokio::time::timeout(PATIENCE, trying).await;
        tried.unwrap_or_else(|_| Err(tries.over()))
    }
}

/// The tries of a call.
struct Tries {
    /// Why the last one failed that reached an agent.
    last: Option<Error>,
    wait: Duration,
}

impl Tries {
    fn new() -> Self {
        Self { last: None, wait: FIRST_PAUSE }
    }

    /// Waits for the next try, when there is hope after this error.
    async fn again(&mut self, error: Error) -> Result<(), Error> {
        match &error {
            Error::Later { .. } | Error::Broken { .. } => self.last = Some(error),
            // An agent that answered a moment ago is being started again.
            Error::NoAgent { .. } if self.last.is_some() => self.wait = self.wait.min(LISTENS_AGAIN),
            _ => return Err(error),
        }
        pause(&mut self.wait).await;
        Ok(())
    }

    /// Why there is no answer in the end.
    fn over(self) -> Error {
        self.last.unwrap_or_else(|| Error::Broken {
            why: format!("the agent gave no answer for {} s: try again", PATIENCE.as_secs()),
        })
    }
}

/// Nothing there is an answer too.
fn present<T>(found: Result<T, Error>) -> Result<Option<T>, Error> {
    match found {
        Err(Error::Refused { problem }) if problem.status == 404 => Ok(None),
        found => found.map(Some),
    }
}

fn key_path(key: &str) -> String {
    format!("/v1/keys/{}", encoded(key, "/"))
}

/// Percent signs for what a path or a parameter may not hold as it is.
pub(super) fn encoded(text: &str, allowed: &str) -> String {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || allowed.as_bytes().contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Waits, and doubles the next wait. Those who began at one moment do not come back at one moment.
#[expect(clippy::disallowed_methods, reason = "a client that sleeps with its machine loses nothing")]
async fn pause(wait: &mut Duration) {
    let chance = getrandom::u32().unwrap_or(0) % 512;
    tokio::time::sleep(*wait * (512 + chance) / 1024).await;
    *wait = (*wait * 2).min(LONGEST_PAUSE);
}

impl Call<'_> {
    /// On a condition.
    fn on(self, condition: Condition) -> Self {
        match condition {
            Condition::None => self,
            Condition::Absent => self.with(header::IF_NONE_MATCH.as_str(), "*"),
            Condition::Is(version) => self.with(header::IF_MATCH.as_str(), format_args!("\"{version}\"")),
        }
    }
}
