//! The configuration file, with the line of every value kept for the message about it.

use super::hooks::Table;
use super::{ConfigError, From, Place};
use serde::Deserialize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

/// No configuration is longer than this, in bytes.
const LENGTH: u64 = 1024 * 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    name: Option<Spanned<String>>,
    cluster: Option<Spanned<String>>,
    state_dir: Option<Spanned<String>>,
    socket: Option<Spanned<String>>,
    port: Option<Spanned<i64>>,
    bind: Option<Spanned<String>>,
    interface: Option<Spanned<List>>,
    deny_interfaces: Option<Spanned<List>>,
    peer: Option<Spanned<List>>,
    heartbeat: Option<Spanned<String>>,
    priority: Option<Spanned<i64>>,
    lone_after: Option<Spanned<String>>,
    forget_after: Option<Spanned<String>>,
    write_timeout: Option<Spanned<String>>,
    http: Option<Spanned<String>>,
    http_writes: Option<bool>,
    log: Option<Spanned<String>>,
    quorum: Option<Spanned<i64>>,
    write_group: Option<Spanned<String>>,
    hooks: Table,
}

/// A list may be written as one value.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
pub(super) enum List {
    One(String),
    Many(Vec<String>),
}

impl Keys {
    fn text(&self, key: &str) -> Option<&Spanned<String>> {
        match key {
            "name" => self.name.as_ref(),
            "cluster" => self.cluster.as_ref(),
            "state_dir" => self.state_dir.as_ref(),
            "socket" => self.socket.as_ref(),
            "bind" => self.bind.as_ref(),
            "heartbeat" => self.heartbeat.as_ref(),
            "lone_after" => self.lone_after.as_ref(),
            "forget_after" => self.forget_after.as_ref(),
            "write_timeout" => self.write_timeout.as_ref(),
            "http" => self.http.as_ref(),
            "log" => self.log.as_ref(),
            "write_group" => self.write_group.as_ref(),
            _ => unreachable!("no text has the key {key}"),
        }
    }

    fn number(&self, key: &str) -> Option<&Spanned<i64>> {
        match key {
            "port" => self.port.as_ref(),
            "priority" => self.priority.as_ref(),
            "quorum" => self.quorum.as_ref(),
            _ => unreachable!("no number has the key {key}"),
        }
    }

    fn list(&self, key: &str) -> Option<&Spanned<List>> {
        match key {
            "interface" => self.interface.as_ref(),
            "deny_interfaces" => self.deny_interfaces.as_ref(),
            "peer" => self.peer.as_ref(),
            _ => unreachable!("no list has the key {key}"),
        }
    }
}

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct File {
    path: PathBuf,
    text: String,
    keys: Keys,
}

impl File {
    /// Reads it; a missing one says nothing, unless it `must` be there.
    pub(super) fn read(path: &Path, must: bool) -> Result<File, ConfigError> {
        let refuse = |reason: String| ConfigError { place: path.display().to_string(), reason, denied: false };
        let text = match std::fs::metadata(path) {
            Ok(facts) if facts.len() > LENGTH => return Err(refuse("is no configuration: it is too long".into())),
            Ok(_) => std::fs::read_to_string(path),
            Err(e) => Err(e),
        };
        match text {
            Ok(text) => File::parse(path, text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !must => Ok(File::default()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Err(refuse("there is no such file; an agent needs none, it has good defaults".to_owned()))
            }
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
                let reason = "may not be read: run this as a user who may, or change its permissions".to_owned();
                Err(ConfigError { denied: true, ..refuse(reason) })
            }
            Err(e) => Err(refuse(format!("cannot be read: {e}"))),
        }
    }

    pub(super) fn parse(path: &Path, text: String) -> Result<File, ConfigError> {
        match toml::from_str(&text) {
            Ok(keys) => Ok(File { path: path.to_owned(), text, keys }),
            Err(e) => Err(syntax(path, &text, &e)),
        }
    }

    /// The table of hooks, by event.
    pub(super) fn hooks(&self) -> &Table {
        &self.keys.hooks
    }

    pub(super) fn place<T>(&self, value: &Spanned<T>) -> Place {
        Place::Line(self.path.clone(), line(&self.text, value.span().start).0)
    }

    pub(super) fn text(&self, key: &'static str, given: Option<String>) -> Option<From<String>> {
        given.map(|value| From { value, place: Place::Given }).or_else(|| {
            let found = self.keys.text(key)?;
            Some(From { value: found.get_ref().clone(), place: self.place(found) })
        })
    }

    pub(super) fn path(&self, key: &'static str) -> Option<From<PathBuf>> {
        let found = self.text(key, None)?;
        Some(From { value: found.value.into(), place: found.place })
    }

    /// Yes or no, where the file says so.
    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        match key {
            "http_writes" => self.keys.http_writes,
            _ => unreachable!("no flag has the key {key}"),
        }
    }

    /// A list; empty entries are left out.
    pub(super) fn list(&self, key: &'static str, given: Vec<String>) -> (&'static str, From<Vec<String>>) {
        let (mut value, place) = match self.keys.list(key) {
            Some(found) if given.is_empty() => {
                let value = match found.get_ref().clone() {
                    List::One(one) => vec![one],
                    List::Many(many) => many,
                };
                (value, self.place(found))
            }
            _ => (given, Place::Given),
        };
        value.retain(|entry| !entry.is_empty());
        (key, From { value, place })
    }

    /// A value that is written as text in the file.
    pub(super) fn parsed<T>(
        &self,
        key: &'static str,
        given: Option<T>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        match (given, self.keys.text(key)) {
            (Some(value), _) => Ok(Some(value)),
            (None, None) => Ok(None),
            (None, Some(found)) => parse(found.get_ref())
                .map(Some)
                .map_err(|why| self.place(found).refuse(key, format!("{:?} {why}", found.get_ref()))),
        }
    }

    pub(super) fn duration(
        &self,
        key: &'static str,
        given: Option<Duration>,
        default: Duration,
    ) -> Result<From<Duration>, ConfigError> {
        let place = match (given, self.keys.text(key)) {
            (Some(_), _) => Place::Given,
            (None, Some(found)) => self.place(found),
            (None, None) => Place::Default,
        };
        let parse =
            |text: &str| humantime::parse_duration(text).map_err(|e| format!("is no duration like 250ms or 3s: {e}"));
        Ok(From { value: self.parsed(key, given, parse)?.unwrap_or(default), place })
    }

    pub(super) fn number<T: TryFrom<u64>>(
        &self,
        key: &'static str,
        given: Option<T>,
        default: T,
        bounds: RangeInclusive<u64>,
    ) -> Result<From<T>, ConfigError> {
        if let Some(value) = given {
            return Ok(From { value, place: Place::Given });
        }
        let Some(found) = self.keys.number(key) else { return Ok(From { value: default, place: Place::Default }) };
        let place = self.place(found);
        let value =
            u64::try_from(*found.get_ref()).ok().filter(|n| bounds.contains(n)).and_then(|n| T::try_from(n).ok());
        match value {
            Some(value) => Ok(From { value, place }),
            None => {
                let (n, low, high) = (found.get_ref(), bounds.start(), bounds.end());
                Err(place.refuse(key, format!("{n} is out of bounds: it may be {low} to {high}")))
            }
        }
    }
}

/// The line of a byte, from 1, and that line's text.
fn line(text: &str, at: usize) -> (usize, &str) {
    let at = text.floor_char_boundary(at.min(text.len()));
    let begins = text[..at].rfind('\n').map_or(0, |i| i + 1);
    (text[..at].matches('\n').count() + 1, text[begins..].lines().next().unwrap_or(""))
}

fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let (number, content) = line(text, error.span().map_or(0, |span| span.start));
    let message = error.message().replace("unknown field", "unknown key").replace('\n', "; ");
    let key = content.split_once('=').map(|(key, _)| key.trim()).filter(|_| !message.contains("unknown key"));
    let place = format!("{}:{number}", path.display());
    let place = key.map_or(place.clone(), |key| format!("{place}: {key}"));
    let value = content.split_once('=').map_or("", |(_, value)| value.trim());
    let reason = key.and_then(|key| unquoted(key, value, &message)).unwrap_or(message);
    ConfigError { place, reason, denied: false }
}

/// Keys whose values stand without quotes.
const BARE: [&str; 4] = ["port", "priority", "quorum", "http_writes"];

/// What to do when the text of a key was written without quotes.
fn unquoted(key: &str, value: &str, message: &str) -> Option<String> {
    let word = value.split([' ', '\t', '#']).next().filter(|word| word.starts_with(|c: char| c.is_alphanumeric()))?;
    if BARE.contains(&key) {
        return None;
    }
    let number = word.bytes().all(|b| b.is_ascii_digit());
    match key {
        "heartbeat" | "lone_after" | "forget_after" | "write_timeout" if number => {
            Some(format!("it must be in quotes, and have a unit: {key} = \"{word}ms\""))
        }
        _ if number && !message.contains("expected a string") => None,
        _ => Some(format!("it must be in quotes: {key} = \"{word}\"")),
    }
}
