//! The order of claims, and nothing else (protocol §7).

use crate::ident::Incarnation;
use crate::time::Wall;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// "I am the leader." A won claim names a reign.
///
/// Claims are totally ordered and the **greater claim is the better one**: the higher epoch; in one epoch the earlier
/// `at`; then the smaller node. Two claims are equal only when every field is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// Grows with every claim; users get it as the fencing token.
    pub epoch: u64,
    /// The claimant's wall clock, raised above every claim time that it has seen. It breaks ties and nothing else.
    pub at: Wall,
    /// Who claims, and which start of it.
    pub node: Incarnation,
}

impl Ord for Claim {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch.cmp(&other.epoch).then_with(|| other.at.cmp(&self.at)).then_with(|| other.node.cmp(&self.node))
    }
}

impl PartialOrd for Claim {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}@{}by{:?}", self.epoch, self.at.0 % 10_000_000_000, self.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::{BootId, NodeId};

    fn claim(epoch: u64, at: u64, id: u128, boot: u64) -> Claim {
        Claim { epoch, at: Wall(at), node: Incarnation { id: NodeId(uuid::Uuid::from_u128(id)), boot: BootId(boot) } }
    }

    #[test]
    fn one_field_at_a_time_decides() {
        let base = claim(5, 100, 10, 10);
        for (other, expected, why) in [
            (claim(4, 100, 10, 10), Ordering::Greater, "the higher epoch is better"),
            (claim(6, 100, 10, 10), Ordering::Less, "the higher epoch is better"),
            (claim(4, 1, 1, 1), Ordering::Greater, "the epoch comes before everything"),
            (claim(5, 101, 10, 10), Ordering::Greater, "in one epoch the earlier is better"),
            (claim(5, 99, 99, 99), Ordering::Less, "the time comes before the node"),
            (claim(5, 100, 11, 10), Ordering::Greater, "then the smaller id"),
            (claim(5, 100, 9, 99), Ordering::Less, "the id comes before the boot"),
            (claim(5, 100, 10, 11), Ordering::Greater, "then the smaller boot"),
            (claim(5, 100, 10, 10), Ordering::Equal, "only the same claim is equal"),
        ] {
            assert_eq!(base.cmp(&other), expected, "{why}");
            assert_eq!(other.cmp(&base), expected.reverse(), "{why}");
            assert_eq!(base == other, expected == Ordering::Equal, "{why}");
        }
    }
}
