//! Random draws from the host's seed, and numbers that are never used twice in one boot.

use crate::ident::{BootId, NodeId};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::time::Duration;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Chance {
    draws: ChaCha8Rng,
    last_nonce: u64,
    last_beat: u64,
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self { draws: ChaCha8Rng::seed_from_u64(seed), last_nonce: 0, last_beat: 0 }
    }

    /// A random duration up to `most`.
    pub(super) fn duration(&mut self, most: Duration) -> Duration {
        let us = u64::try_from(most.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(self.draws.next_u64() % (us + 1))
    }

    pub(super) fn id(&mut self) -> NodeId {
        NodeId::from_random(u128::from(self.draws.next_u64()) << 64 | u128::from(self.draws.next_u64()))
    }

    pub(super) fn nonce(&mut self, boot: BootId) -> u64 {
        self.last_nonce += 1;
        // Guessing it is no use to anybody, but two starts must not share them.
        boot.0.rotate_left(17) ^ self.last_nonce
    }

    /// The number of the next heartbeat.
    pub(super) fn beat(&mut self) -> u64 {
        self.last_beat += 1;
        self.last_beat
    }
}
