//! Bytes and messages (protocol §12): MessagePack with named fields, a version in every header.
//!
//! A datagram is the map `{v, c, t, f, b}`: version, cluster, type, sender and body. A frame has no `f`, for a
//! connection states its sender once; its length prefix is the host's. A frame that carries data has it in a part of its
//! own, `d`, as bytes that nothing here looks into or copies. Unknown fields are skipped and unknown types are
//! told apart from garbage, so that versions can be mixed during an upgrade.
//!
//! Nothing that arrives can panic here, recurse deeply, or make more of itself than it is: a message is walked over
//! before anything is built from it, and every text and list has a limit.
//!
//! What asks by datagram is padded to [`ASK_SIZE`], and is not believed when it is shorter: no answer is larger than
//! what asked for it, so an agent cannot be made to amplify a flood.

mod limits;
mod raw;
pub mod samples;
#[cfg(test)]
mod tests;
mod words;

use crate::message::{Cast, Datagram, Frame, Sender};
use bytes::Bytes;
use limits::{Check, Cut};
use raw::Reader;
use thiserror::Error;

/// The longest datagram, in bytes.
pub const DATAGRAM_MAX: usize = 1200;
/// The longest frame without its length prefix, in bytes.
pub const FRAME_MAX: usize = 10 * 1024 * 1024 + 64 * 1024;
/// The exact size of a datagram that asks (Hello, Question), and the least that one is believed with, in bytes. Hi,
/// Welcome and Answer are never longer.
pub const ASK_SIZE: usize = 768;
/// The version that this program writes. Later ones add fields, types and choices, which this one skips.
pub const VERSION: u8 = 1;
/// Where versions begin that do more than add: they cannot be read.
pub const VERSION_END: u64 = 100;
/// How much of a cluster's name counts, in bytes; configuration refuses longer ones.
pub const CLUSTER_MAX: usize = 64;
/// How much of a program's version travels, in bytes.
pub const VERSION_MAX: usize = 64;
/// How much of a reason travels, in bytes.
pub const REASON_MAX: usize = 512;
/// How much of the name that a handover asks for travels, in bytes.
pub const ASKED_MAX: usize = 256;
/// How much of an unknown word is told, in characters.
const WORD_MAX: usize = 32;

/// Encodes and decodes for one cluster.
#[derive(Clone, Debug)]
pub struct Wire {
    cluster: String,
}

/// Why a message was not read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unread {
    /// It belongs to another cluster.
    #[error("it belongs to another cluster")]
    OtherCluster,
    /// It was written in a format that only later versions can read.
    #[error("it has the format {0}, which this version of tanist cannot read")]
    Version(u64),
    /// A type, or a choice within one, that only later versions know: the word, at most 32 characters of it.
    #[error("it says {0:?}, which this version of tanist does not know")]
    Unknown(String),
    /// It is garbage, and why.
    #[error("{0}")]
    Malformed(&'static str),
    /// It is longer than a datagram or a frame may be.
    #[error("it is too long")]
    TooLong,
}

/// A frame that is beyond a limit and cannot be cut: a list of members, or the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a message is too long to be sent: {0}")]
pub struct TooLong(pub &'static str);

/// The parts of the outermost map.
struct Parts<'a> {
    word: &'a str,
    from: Option<&'a [u8]>,
    body: Option<&'a [u8]>,
    raw: Option<&'a [u8]>,
}

impl Wire {
    /// For the cluster of this name, of which the first [`CLUSTER_MAX`] bytes count.
    pub fn new(cluster: &str) -> Wire {
        Wire { cluster: cluster[..cluster.floor_char_boundary(CLUSTER_MAX)].to_owned() }
    }

    /// The bytes of a datagram, at most [`DATAGRAM_MAX`]. Names beyond their limits are cut.
    pub fn datagram(&self, from: &Sender, cast: &Cast) -> Vec<u8> {
        let mut check = Check::default();
        check.sender(from);
        check.cast(cast);
        if check.over().is_some() {
            let (mut from, mut cast, mut cut) = (from.clone(), cast.clone(), Cut::default());
            cut.sender(&mut from);
            cut.cast(&mut cast);
            assert!(cut.over().is_none(), "a datagram lists no members");
            return self.datagram(&from, &cast);
        }
        let asks = asks(cast);
        let mut out = Vec::with_capacity(if asks { ASK_SIZE } else { 320 });
        raw::put_map(&mut out, if asks { 6 } else { 5 });
        self.put_head(&mut out, words::cast_word(cast));
        raw::put_text(&mut out, "f");
        words::put(&mut out, from);
        raw::put_text(&mut out, "b");
        words::put_cast(&mut out, cast);
        if asks {
            raw::put_text(&mut out, "p");
            raw::put_padding(&mut out, ASK_SIZE);
        }
        assert!(out.len() <= DATAGRAM_MAX, "the limits keep a datagram short");
        out
    }

    /// Reads a datagram.
    ///
    /// # Errors
    /// Says why it was not read; nothing else has happened.
    pub fn read_datagram(&self, bytes: &[u8]) -> Result<Datagram, Unread> {
        if bytes.len() > DATAGRAM_MAX {
            return Err(Unread::TooLong);
        }
        let parts = self.parts(bytes)?;
        let cast = words::get_cast(parts.word, parts.body, None)?;
        let from: Sender = words::get(parts.from)?;
        if asks(&cast) && bytes.len() < ASK_SIZE {
            return Err(Unread::Malformed("what asks must be padded"));
        }
        let mut check = Check::default();
        check.sender(&from);
        check.cast(&cast);
        check.over().map_or(Ok(Datagram { from, cast }), |what| Err(Unread::Malformed(what)))
    }

    /// The bytes of a frame, without its length prefix. Text beyond its limit is cut.
    ///
    /// # Errors
    /// When it lists too many members, or would be longer than [`FRAME_MAX`].
    pub fn frame(&self, frame: &Frame) -> Result<Bytes, TooLong> {
        let mut check = Check::default();
        check.frame(frame);
        if check.over().is_some() {
            let (mut frame, mut cut) = (frame.clone(), Cut::default());
            cut.frame(&mut frame);
            return cut.over().map_or_else(|| self.frame(&frame), |what| Err(TooLong(what)));
        }
        let data = words::frame_raw(frame);
        let mut out = Vec::with_capacity(256 + data.map_or(0, Bytes::len));
        raw::put_map(&mut out, if data.is_some() { 5 } else { 4 });
        self.put_head(&mut out, words::frame_word(frame));
        raw::put_text(&mut out, "b");
        words::put_frame(&mut out, frame);
        if let Some(data) = data {
            raw::put_text(&mut out, "d");
            raw::put_bytes(&mut out, data);
        }
        if out.len() > FRAME_MAX { Err(TooLong("the frame is too long")) } else { Ok(out.into()) }
    }

    /// Reads a frame, given without its length prefix. Data that it carries is copied.
    ///
    /// # Errors
    /// Says why it was not read; nothing else has happened.
    pub fn read_frame(&self, bytes: &[u8]) -> Result<Frame, Unread> {
        self.read(bytes, Bytes::copy_from_slice)
    }

    /// Reads a frame, given without its length prefix. Data that it carries stays where it is.
    ///
    /// # Errors
    /// Says why it was not read; nothing else has happened.
    pub fn read_shared(&self, bytes: &Bytes) -> Result<Frame, Unread> {
        self.read(bytes, |data| bytes.slice_ref(data))
    }

    fn read(&self, bytes: &[u8], share: impl Fn(&[u8]) -> Bytes) -> Result<Frame, Unread> {
        if bytes.len() > FRAME_MAX {
            return Err(Unread::TooLong);
        }
        let parts = self.parts(bytes)?;
        let frame = words::get_frame(parts.word, parts.body, parts.raw.map(share))?;
        let mut check = Check::default();
        check.frame(&frame);
        check.over().map_or(Ok(frame), |what| Err(Unread::Malformed(what)))
    }

    fn put_head(&self, out: &mut Vec<u8>, word: &str) {
        raw::put_text(out, "v");
        raw::put_small(out, VERSION);
        raw::put_text(out, "c");
        raw::put_text(out, &self.cluster);
        raw::put_text(out, "t");
        raw::put_text(out, word);
    }

    /// Takes the outermost map apart and looks at the header.
    fn parts<'a>(&self, bytes: &'a [u8]) -> Result<Parts<'a>, Unread> {
        let broken = |_| Unread::Malformed("it is not a message, or a part of it is cut off");
        let mut whole = Reader::new(bytes);
        whole.value().map_err(broken)?;
        if !whole.is_empty() {
            return Err(Unread::Malformed("something follows the message"));
        }
        let mut reader = Reader::new(bytes);
        let (mut version, mut cluster, mut word) = (None, None, None);
        let (mut from, mut body, mut data) = (None, None, None);
        for _ in 0..reader.map().map_err(broken)? {
            let again = match reader.text().map_err(broken)? {
                "v" => version.replace(reader.unsigned().map_err(broken)?).is_some(),
                "c" => cluster.replace(reader.text().map_err(broken)?).is_some(),
                "t" => word.replace(reader.text().map_err(broken)?).is_some(),
                "f" => from.replace(reader.value().map_err(broken)?).is_some(),
                "b" => body.replace(reader.value().map_err(broken)?).is_some(),
                "d" => data.replace(reader.bytes().map_err(broken)?).is_some(),
                _ => reader.value().map(|_| false).map_err(broken)?,
            };
            if again {
                return Err(Unread::Malformed("a part is there twice"));
            }
        }
        match version {
            None | Some(0) => return Err(Unread::Malformed("it has no version")),
            Some(version) if version >= VERSION_END => return Err(Unread::Version(version)),
            Some(_) => {}
        }
        if cluster.ok_or(Unread::Malformed("it has no cluster"))? != self.cluster {
            return Err(Unread::OtherCluster);
        }
        Ok(Parts { word: word.ok_or(Unread::Malformed("it has no type"))?, from, body, raw: data })
    }
}

/// Whether a datagram asks for an answer by datagram.
fn asks(cast: &Cast) -> bool {
    matches!(cast, Cast::Hello(_) | Cast::Question(_))
}

/// The beginning of a word that somebody else chose.
fn cut_word(word: &str) -> String {
    word.chars().take(WORD_MAX).collect()
}
