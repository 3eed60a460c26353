//! The simulated host: real nodes, the real wire and the real store on a LAN, a disk and clocks that exist only in
//! memory, in virtual time, from a seed.
//!
//! `cargo test --test sim` runs every story and a swarm of 500 seeds; `TANIST_SEEDS=N` (and `TANIST_FIRST_SEED=N`) runs
//! more; `TANIST_SEED=N cargo test --test sim replay -- --nocapture` runs one seed of the swarm again and writes its
//! transcript, and with a story's name in place of `replay` one seed of that story.

mod clocks;
mod data;
mod dice;
mod disk;
mod future;
mod host;
mod lan;
mod machine;
mod network;
mod oracle;
mod power;
mod scale;
mod script;
mod store_crash;
mod stories;
mod swarm;
mod tally;
mod tcp;
mod transcript;
mod users;
