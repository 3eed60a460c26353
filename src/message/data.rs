//! Frames of the data (protocol §10). What they carry is bytes to everybody but the ledger.

use crate::claim::Claim;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Changes in their leader's order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Changes {
    /// The reign in which they were ordered.
    pub claim: Claim,
    /// The number of the first change.
    pub first: u64,
    /// The number of the last change.
    pub last: u64,
    /// The changes. They travel as they are, behind the fields, and are not copied when they arrive. At most
    /// [`BODY_MAX`] bytes.
    #[serde(skip)]
    pub body: Bytes,
}

/// The longest body of a frame, in bytes.
pub const BODY_MAX: usize = 2 * 1024 * 1024;
