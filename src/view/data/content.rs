//! Values in JSON: text as it is, anything else in base64.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use thiserror::Error;

/// A value: `value` when it is UTF-8, else `value_base64`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// It is text.
    Text {
        /// The text.
        value: String,
    },
    /// It is not.
    Binary {
        /// The bytes.
        value_base64: Base64,
    },
}

impl Content {
    /// A value as JSON has it.
    pub fn new(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Content::Text { value: text.to_owned() },
            Err(_) => Content::Binary { value_base64: Base64(Bytes::copy_from_slice(bytes)) },
        }
    }

    /// The same; but text that would be longer in JSON than in base64, for all that has to be escaped, is in base64 too.
    pub fn short(bytes: &[u8]) -> Self {
        let escaped: usize = bytes.iter().map(|byte| in_json(*byte)).sum();
        match std::str::from_utf8(bytes) {
            Ok(text) if escaped <= bytes.len().div_ceil(3) * 4 => Content::Text { value: text.to_owned() },
            _ => Content::Binary { value_base64: Base64(Bytes::copy_from_slice(bytes)) },
        }
    }

    /// The value itself.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Content::Text { value } => value.as_bytes(),
            Content::Binary { value_base64 } => &value_base64.0,
        }
    }

    /// The value itself, without a copy.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Content::Text { value } => value.into(),
            Content::Binary { value_base64 } => value_base64.0,
        }
    }
}

/// How many bytes this one of a text has in JSON.
pub(super) fn in_json(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

/// Bytes that are base64 in JSON: that of RFC 4648 §4, with padding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Base64(pub Bytes);

/// A text that is no base64.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("not base64 as RFC 4648 has it, with padding")]
pub struct NotBase64;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl fmt::Display for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(self.0.len().div_ceil(3) * 4);
        for three in self.0.chunks(3) {
            let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for digit in 0..4 {
                let sextet = bits >> (18 - 6 * digit) & 63;
                text.push(if digit <= three.len() { char::from(DIGITS[sextet as usize]) } else { '=' });
            }
        }
        f.write_str(&text)
    }
}

impl std::str::FromStr for Base64 {
    type Err = NotBase64;

    fn from_str(text: &str) -> Result<Self, NotBase64> {
        let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
        let (fours, rest) = text.as_bytes().as_chunks::<4>();
        if !rest.is_empty() {
            return Err(NotBase64);
        }
        for (n, four) in fours.iter().enumerate() {
            let is_last = n + 1 == fours.len();
            let padding = four.iter().rev().take_while(|digit| **digit == b'=').count();
            if padding > if is_last { 2 } else { 0 } {
                return Err(NotBase64);
            }
            let mut bits = 0;
            for digit in &four[..4 - padding] {
                bits = bits << 6 | sextet(*digit).ok_or(NotBase64)?;
            }
            bits <<= 6 * padding;
            // What is left over is zero, or two texts would mean one value.
            if bits & ((1 << (8 * padding)) - 1) != 0 {
                return Err(NotBase64);
            }
            bytes.extend_from_slice(&bits.to_be_bytes()[1..4 - padding]);
        }
        Ok(Self(bytes.into()))
    }
}

fn sextet(digit: u8) -> Option<u32> {
    Some(match digit {
        b'A'..=b'Z' => u32::from(digit - b'A'),
        b'a'..=b'z' => u32::from(digit - b'a') + 26,
        b'0'..=b'9' => u32::from(digit - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}
