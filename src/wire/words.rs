//! Which word stands for which message. The words are the format: they are never given another meaning.

use super::{Unread, cut_word};
use crate::message::{Cast, Changes, Frame, Holds, Outcomes, Piece, Requests, Wanted};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A body without fields.
const NIL: u8 = 0xc0;

macro_rules! words {
    (
        $(#[$doc:meta])* $message:ident, $all:ident, $word:ident, $put:ident, $get:ident:
        { $($with:ident = $with_word:literal,)* }
        { $($raw:ident = $raw_word:literal,)* }
        { $($plain:ident = $plain_word:literal,)* }
    ) => {
        /// Every word, in the order of the table below.
        pub const $all: &[&str] = &[$($with_word,)* $($raw_word,)* $($plain_word,)*];

        $(#[$doc])*
        pub fn $word(message: &$message) -> &'static str {
            match message {
                $($message::$with(_) => $with_word,)*
                $($message::$raw(_) => $raw_word,)*
                $($message::$plain => $plain_word,)*
            }
        }

        /// Appends the body of a message.
        pub(super) fn $put(out: &mut Vec<u8>, message: &$message) {
            match message {
                $($message::$with(body) => put(out, body),)*
                $($message::$raw(body) => put(out, body),)*
                $($message::$plain => out.push(NIL),)*
            }
        }

        /// Makes a message from its word and its parts, as far as it has them.
        pub(super) fn $get(word: &str, body: Option<&[u8]>, raw: Option<Bytes>) -> Result<$message, Unread> {
            match word {
                $($with_word => Ok($message::$with(get(body)?)),)*
                $($raw_word => {
                    let mut message = get(body)?;
                    take_raw(&mut message, raw)?;
                    Ok($message::$raw(message))
                })*
                $($plain_word => Ok($message::$plain),)*
                _ => {
                    drop(raw);
                    Err(Unread::Unknown(cut_word(word)))
                }
            }
        }
    };
}

words! {
    /// The word of a datagram.
    Cast, CASTS, cast_word, put_cast, get_cast: {
        Hello = "hello",
        Hi = "hi",
        Welcome = "welcome",
        Heartbeat = "heartbeat",
        Notice = "notice",
        Goodbye = "goodbye",
        Question = "question",
        Answer = "answer",
    } {} {}
}

words! {
    /// The word of a frame.
    Frame, FRAMES, frame_word, put_frame, get_frame: {
        Open = "open",
        Question = "question",
        Answer = "answer",
        Join = "join",
        Joined = "joined",
        NotJoined = "not_joined",
        Ping = "ping",
        Pong = "pong",
        Members = "members",
        Beat = "beat",
        Named = "named",
        Reigns = "reigns",
        Yields = "yields",
        Report = "report",
        Tell = "tell",
        Told = "told",
        Canvass = "canvass",
        Voice = "voice",
        Abdicate = "abdicate",
        Meet = "meet",
        Decided = "decided",
        Check = "check",
        Checked = "checked",
        Handover = "handover",
        HandoverDone = "handover_done",
        Forget = "forget",
        Look = "look",
        Reunited = "reunited",
        Committed = "committed",
        Digest = "digest",
        Stored = "stored",
        Via = "via",
        ViaFailed = "via_failed",
    } {
        Requests = "requests",
        Outcomes = "outcomes",
        Holds = "holds",
        Wanted = "wanted",
        Piece = "piece",
        Changes = "changes",
    } {
        Covered = "covered",
        Taken = "taken",
        Anew = "anew",
        Leaves = "leaves",
        ViaReady = "via_ready",
    }
}

/// What a frame carries as it is, if it does.
pub(super) fn frame_raw(frame: &Frame) -> Option<&Bytes> {
    match frame {
        Frame::Requests(requests) => Some(&requests.body),
        Frame::Outcomes(outcomes) => Some(&outcomes.body),
        Frame::Holds(holds) => Some(&holds.body),
        Frame::Wanted(wanted) => Some(&wanted.body),
        Frame::Piece(piece) => Some(&piece.body),
        Frame::Changes(changes) => Some(&changes.body),
        _ => None,
    }
}

/// What carries something as it is.
trait Raw {
    fn body(&mut self) -> &mut Bytes;
}

macro_rules! raw {
    ($($message:ident),*) => {
        $(impl Raw for $message {
            fn body(&mut self) -> &mut Bytes {
                &mut self.body
            }
        })*
    };
}

raw!(Requests, Outcomes, Holds, Wanted, Piece, Changes);

fn take_raw(message: &mut impl Raw, raw: Option<Bytes>) -> Result<(), Unread> {
    *message.body() = raw.ok_or(Unread::Malformed("a part is missing"))?;
    Ok(())
}

/// Appends a value as MessagePack with named fields.
pub(super) fn put(out: &mut Vec<u8>, value: &impl Serialize) {
    rmp_serde::encode::write_named(out, value).expect("plain values always have an encoding");
}

/// Reads a value from the bytes of exactly one.
pub(super) fn get<T: DeserializeOwned>(bytes: Option<&[u8]>) -> Result<T, Unread> {
    let bytes = bytes.ok_or(Unread::Malformed("a part is missing"))?;
    rmp_serde::from_slice(bytes).map_err(|error| match error {
        // A later version may have added a word to a list of choices: that is news, not noise.
        rmp_serde::decode::Error::Syntax(text) if text.starts_with("unknown variant") => {
            Unread::Unknown(cut_word(text.split('`').nth(1).unwrap_or_default()))
        }
        _ => Unread::Malformed("a part does not have the form that its kind asks for"),
    })
}
