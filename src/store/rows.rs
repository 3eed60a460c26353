//! The rows of the store: MessagePack with named fields, so that later versions can add some; unknown ones are skipped.

use super::StoreError;
use crate::claim::Claim;
use crate::ident::NodeId;
use crate::protocol::Remembered;
use crate::time::Wall;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A remembered member. Its address is text, for that keeps the scope of a link-local address, by number.
#[derive(Serialize, Deserialize)]
struct MemberRow {
    id: NodeId,
    name: String,
    address: String,
    heard: Wall,
    #[serde(default)]
    left: bool,
}

/// The length of a reign's key.
pub(super) const REIGN_KEY: usize = 40;

/// A claim as a key: keys are ordered as claims are, the best last.
pub(super) fn reign_key(claim: &Claim) -> [u8; REIGN_KEY] {
    let mut key = [0; REIGN_KEY];
    key[..8].copy_from_slice(&claim.epoch.to_be_bytes());
    key[8..16].copy_from_slice(&(!claim.at.0).to_be_bytes());
    key[16..32].copy_from_slice(&(!claim.node.id.0.as_u128()).to_be_bytes());
    key[32..].copy_from_slice(&(!claim.node.boot.0).to_be_bytes());
    key
}

/// The bytes of a row.
pub(super) fn put(row: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec_named(row).expect("plain values always have an encoding")
}

/// A row from its bytes.
pub(super) fn get<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    rmp_serde::from_slice(bytes).map_err(|error| StoreError::Damaged(format!("a row cannot be read: {error}")))
}

/// The bytes of a remembered member.
pub(super) fn put_member(member: &Remembered) -> Vec<u8> {
    let Remembered { id, name, address, heard, left } = member;
    put(&MemberRow { id: *id, name: name.clone(), address: address.to_string(), heard: *heard, left: *left })
}

/// A remembered member from its bytes.
pub(super) fn get_member(bytes: &[u8]) -> Result<Remembered, StoreError> {
    let MemberRow { id, name, address, heard, left } = get(bytes)?;
    let address = address
        .parse()
        .map_err(|_| StoreError::Damaged(format!("a member has the address {address:?}, which is none")))?;
    Ok(Remembered { id, name, address, heard, left })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::{BootId, Incarnation};
    use proptest::prelude::*;

    fn claims() -> impl Strategy<Value = Claim> {
        (0..3_u64, 0..3_u64, 0..3_u128, 0..3_u64).prop_map(|(epoch, at, id, boot)| Claim {
            epoch,
            at: Wall(at),
            node: Incarnation { id: NodeId(uuid::Uuid::from_u128(id)), boot: BootId(boot) },
        })
    }

    proptest! {
        #[test]
        fn keys_are_ordered_as_claims_are(a in claims(), b in claims()) {
            prop_assert_eq!(reign_key(&a).cmp(&reign_key(&b)), a.cmp(&b));
        }
    }
}
