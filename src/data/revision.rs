//! Where a change stands in the order of all changes.

use super::bounded::number;
use crate::claim::Claim;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

/// Names a reign: a hash of its claim. Two of the 65,536 reigns that a store remembers share one with a probability of
/// one in ten thousand million.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReignId(pub u64);

impl ReignId {
    /// No reign: that of [`Revision::ZERO`].
    pub const NONE: ReignId = ReignId(0);

    /// The reign that this claim began.
    pub fn of(claim: &Claim) -> ReignId {
        let mut form = [0; 40];
        form[..8].copy_from_slice(&claim.epoch.to_be_bytes());
        form[8..16].copy_from_slice(&claim.at.0.to_be_bytes());
        form[16..32].copy_from_slice(claim.node.id.0.as_bytes());
        form[32..].copy_from_slice(&claim.node.boot.0.to_be_bytes());
        ReignId(xxh3_64(&form).max(1))
    }

    /// The part of it that users see.
    pub fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl fmt::Debug for ReignId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// The place of a change in the order of all changes. The order is by number and then by reign.
///
/// A leader's next number is above every number that it has seen or was told of, so in one store no number stands twice.
/// The revision under which a value or a record was first written is its *birth* and never changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Revision {
    /// Grows through all reigns, from 1 and below [`crate::ledger::limits::NUMBERS`].
    #[serde(deserialize_with = "number")]
    pub number: u64,
    /// The reign whose leader gave the number.
    pub reign: ReignId,
}

impl Revision {
    /// Before the first change.
    pub const ZERO: Revision = Revision { number: 0, reign: ReignId::NONE };

    /// A revision of a reign.
    pub fn new(reign: ReignId, number: u64) -> Revision {
        Revision { number, reign }
    }

    /// The form that users see.
    pub fn tagged(self) -> Tagged {
        Tagged { number: self.number, tag: self.reign.tag() }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tagged().fmt(f)
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:?}", self.number, self.reign)
    }
}

/// A revision as users see it and send it back: `NUMBER.TAG`, the tag being the upper half of the reign's id as eight
/// hexadecimal digits. A store finds the reign among those that it knows ([`crate::ledger::resolve`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Tagged {
    /// The number of the revision.
    pub number: u64,
    /// The upper half of the reign's id.
    pub tag: u32,
}

impl fmt::Display for Tagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:08x}", self.number, self.tag)
    }
}

/// A text that is no revision.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a version or cursor is a number, a point and eight hexadecimal digits, as in 5210.0a1b2c3d")]
pub struct Malformed;

impl FromStr for Tagged {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Tagged, Malformed> {
        let (number, tag) = text.split_once('.').ok_or(Malformed)?;
        let digits = |text: &str, all: fn(&u8) -> bool| !text.is_empty() && text.bytes().all(|b| all(&b));
        if !digits(number, u8::is_ascii_digit) || !digits(tag, u8::is_ascii_hexdigit) || tag.len() != 8 {
            return Err(Malformed);
        }
        let number = number.parse().map_err(|_| Malformed)?;
        let tag = u32::from_str_radix(tag, 16).map_err(|_| Malformed)?;
        Ok(Tagged { number, tag })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::{BootId, Incarnation, NodeId};
    use crate::time::Wall;
    use uuid::Uuid;

    fn claim(epoch: u64, at: u64, id: u128, boot: u64) -> Claim {
        Claim { epoch, at: Wall(at), node: Incarnation { id: NodeId(Uuid::from_u128(id)), boot: BootId(boot) } }
    }

    #[test]
    fn every_field_of_a_claim_makes_another_reign() {
        let base = ReignId::of(&claim(5, 100, 10, 10));
        assert_eq!(base, ReignId::of(&claim(5, 100, 10, 10)));
        for other in [claim(6, 100, 10, 10), claim(5, 101, 10, 10), claim(5, 100, 11, 10), claim(5, 100, 10, 11)] {
            assert_ne!(base, ReignId::of(&other), "{other:?}");
        }
        assert_eq!(
            base.0, 1_439_958_552_775_748_135,
            "what was stored once must be found again by every later version"
        );
    }

    #[test]
    fn the_number_comes_before_the_reign() {
        let (a, b) = (ReignId(1), ReignId(2));
        assert!(Revision::new(b, 1) < Revision::new(a, 2));
        assert!(Revision::new(a, 2) < Revision::new(b, 2));
        assert!(Revision::ZERO < Revision::new(a, 1));
    }

    #[test]
    fn what_users_see_can_be_read_back() {
        let revision = Revision::new(ReignId(0x0a1b_2c3d_ffff_ffff), 5210);
        assert_eq!(revision.to_string(), "5210.0a1b2c3d");
        assert_eq!("5210.0a1b2c3d".parse(), Ok(revision.tagged()));
        let wrong =
            ["", ".", "5210", "5210.", ".0a1b2c3d", "+1.0a1b2c3d", "1.0a1b2c3", "1.+a1b2c3d", "1.0a1b2c3d ", "1.2.0"];
        for text in wrong.into_iter().chain(["18446744073709551616.00000000", "-1.00000000", "1.0A1B2C3G"]) {
            assert_eq!(text.parse::<Tagged>(), Err(Malformed), "{text:?}");
        }
    }
}
