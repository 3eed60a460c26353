//! Short byte strings without memory of their own: most keys of rows are 16 bytes long.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// How many bytes fit in place.
const IN_PLACE: usize = 22;

/// Bytes, ordered as such.
#[derive(Clone)]
pub(super) enum Small {
    /// So many of these.
    Here(u8, [u8; IN_PLACE]),
    /// More than fit in place.
    Elsewhere(Arc<[u8]>),
}

impl Small {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Small::Here(length, bytes) => &bytes[..usize::from(*length)],
            Small::Elsewhere(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Small {
    fn from(bytes: &[u8]) -> Small {
        if bytes.len() > IN_PLACE {
            return Small::Elsewhere(bytes.into());
        }
        let mut here = [0; IN_PLACE];
        here[..bytes.len()].copy_from_slice(bytes);
        Small::Here(bytes.len() as u8, here)
    }
}

impl Borrow<[u8]> for Small {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Ord for Small {
    fn cmp(&self, other: &Small) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl PartialOrd for Small {
    fn partial_cmp(&self, other: &Small) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Small {
    fn eq(&self, other: &Small) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Small {}

impl fmt::Debug for Small {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_slice().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_it_was_made_of_and_sorts_as_that() {
        let all: Vec<Vec<u8>> = [0, 1, IN_PLACE - 1, IN_PLACE, IN_PLACE + 1, 300]
            .into_iter()
            .flat_map(|length| [vec![0; length], vec![7; length], (0..length).map(|n| n as u8).collect()])
            .collect();
        for a in &all {
            assert_eq!(Small::from(&a[..]).as_slice(), a);
            for b in &all {
                let (small_a, small_b) = (Small::from(&a[..]), Small::from(&b[..]));
                assert_eq!(small_a.cmp(&small_b), a.cmp(b), "{a:?} {b:?}");
                assert_eq!(small_a == small_b, a == b);
            }
        }
    }
}
