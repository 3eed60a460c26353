//! The outermost map of a message, read and written by hand: it decides what the rest is, so it is looked at before
//! anything is built from the input.
//!
//! [`value`] walks over one value without recursion and without allocating, and refuses a declared length that the
//! input cannot hold. Whatever serde reads afterwards is therefore known to be complete and no larger than the input.

/// How deep values may be nested; the deepest message has 8 levels.
pub(super) const DEPTH_MAX: usize = 32;

/// The input ends early, or declares more than it holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// A cursor on input that nobody has judged yet.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Broken> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len()).ok_or(Broken)?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// A big-endian number of `n` bytes, at most 8.
    fn number(&mut self, n: usize) -> Result<u64, Broken> {
        Ok(self.take(n)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn length(&mut self, n: usize) -> Result<usize, Broken> {
        usize::try_from(self.number(n)?).map_err(|_| Broken)
    }

    /// The number of entries of a map.
    pub(super) fn map(&mut self) -> Result<usize, Broken> {
        match self.take(1)?[0] {
            marker @ 0x80..=0x8f => Ok(usize::from(marker & 0x0f)),
            0xde => self.length(2),
            0xdf => self.length(4),
            _ => Err(Broken),
        }
    }

    /// A string.
    pub(super) fn text(&mut self) -> Result<&'a str, Broken> {
        let length = match self.take(1)?[0] {
            marker @ 0xa0..=0xbf => usize::from(marker & 0x1f),
            0xd9 => self.length(1)?,
            0xda => self.length(2)?,
            0xdb => self.length(4)?,
            _ => return Err(Broken),
        };
        std::str::from_utf8(self.take(length)?).map_err(|_| Broken)
    }

    /// A binary value.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let length = match self.take(1)?[0] {
            0xc4 => self.length(1)?,
            0xc5 => self.length(2)?,
            0xc6 => self.length(4)?,
            _ => return Err(Broken),
        };
        self.take(length)
    }

    /// A number that is not negative.
    pub(super) fn unsigned(&mut self) -> Result<u64, Broken> {
        match self.take(1)?[0] {
            small @ 0x00..=0x7f => Ok(u64::from(small)),
            0xcc => self.number(1),
            0xcd => self.number(2),
            0xce => self.number(4),
            0xcf => self.number(8),
            _ => Err(Broken),
        }
    }

    /// The bytes of exactly one value of any kind.
    pub(super) fn value(&mut self) -> Result<&'a [u8], Broken> {
        let start = self.at;
        // How many values are still to come on each open level.
        let mut open = [0_usize; DEPTH_MAX];
        let mut depth = 0;
        open[0] = 1;
        loop {
            while open[depth] == 0 {
                if depth == 0 {
                    return Ok(&self.bytes[start..self.at]);
                }
                depth -= 1;
            }
            open[depth] -= 1;
            let inside = self.one()?;
            if inside > 0 {
                // Every value has at least one byte.
                if inside > self.bytes.len() - self.at || depth + 1 == DEPTH_MAX {
                    return Err(Broken);
                }
                depth += 1;
                open[depth] = inside;
            }
        }
    }

    /// Steps over one value, or over the head of an array or map: then the number of values inside comes back.
    fn one(&mut self) -> Result<usize, Broken> {
        let (skip, inside) = match self.take(1)?[0] {
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => (0, 0),
            marker @ 0x80..=0x8f => (0, 2 * usize::from(marker & 0x0f)),
            marker @ 0x90..=0x9f => (0, usize::from(marker & 0x0f)),
            marker @ 0xa0..=0xbf => (usize::from(marker & 0x1f), 0),
            0xc1 => return Err(Broken),
            0xc4 | 0xd9 => (self.length(1)?, 0),
            0xc5 | 0xda => (self.length(2)?, 0),
            0xc6 | 0xdb => (self.length(4)?, 0),
            0xc7 => (self.length(1)? + 1, 0),
            0xc8 => (self.length(2)? + 1, 0),
            0xc9 => (self.length(4)?.checked_add(1).ok_or(Broken)?, 0),
            0xcc | 0xd0 => (1, 0),
            0xcd | 0xd1 | 0xd4 => (2, 0),
            0xd5 => (3, 0),
            0xca | 0xce | 0xd2 => (4, 0),
            0xd6 => (5, 0),
            0xcb | 0xcf | 0xd3 => (8, 0),
            0xd7 => (9, 0),
            0xd8 => (17, 0),
            0xdc => (0, self.length(2)?),
            0xdd => (0, self.length(4)?),
            0xde => (0, self.length(2)? * 2),
            0xdf => (0, self.length(4)?.checked_mul(2).ok_or(Broken)?),
        };
        self.take(skip)?;
        Ok(inside)
    }
}

/// Writes a string of at most 255 bytes.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    assert!(text.len() <= 255, "header strings are short");
    if text.len() < 32 {
        out.push(0xa0 | text.len() as u8);
    } else {
        out.extend([0xd9, text.len() as u8]);
    }
    out.extend_from_slice(text.as_bytes());
}

/// Writes the head of a map of at most 15 entries.
pub(super) fn put_map(out: &mut Vec<u8>, entries: u8) {
    assert!(entries < 16, "headers are small");
    out.push(0x80 | entries);
}

/// Writes a number under 128.
pub(super) fn put_small(out: &mut Vec<u8>, n: u8) {
    assert!(n < 128, "a number of one byte");
    out.push(n);
}

/// Writes a binary value of at most 4 GiB.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a frame is shorter");
    out.push(0xc6);
    out.extend(length.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Fills up to `size` bytes with a binary value of zeros. Its head is 3 bytes long, so `out` must be that much shorter.
pub(super) fn put_padding(out: &mut Vec<u8>, size: usize) {
    let zeros = u16::try_from(size - out.len() - 3).expect("a datagram is short");
    out.push(0xc5);
    out.extend(zeros.to_be_bytes());
    out.resize(size, 0);
}
