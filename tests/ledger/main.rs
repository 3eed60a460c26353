//! The ledger under an oracle: random lives of 3 to 5 members with crashes that lose what was not synced, splits, broken
//! offers, retries on both sides, watchers, compare-and-set and trims; and properties.
//!
//! `cargo test --test ledger` plays 10,000 lives; `TANIST_LIVES=N` (and `TANIST_FIRST_LIFE=N`) plays more, and
//! `TANIST_LIFE=N TANIST_PROFILE=strict cargo test --test ledger one_life -- --nocapture` plays one again and tells of it.
//!
//! The oracle keeps what it knows outside of the ledger: for each position what was executed before it, and what was
//! replaced by something that had seen it; and a store for each position, made batch by batch.

mod adopting;
mod clients;
mod committing;
mod dice;
mod ghost;
mod importing;
mod joined;
mod lives;
mod member;
mod offering;
mod properties;
mod watching;
mod world;
