//! Real agents on the real kernel: every test is a LAN of its own, with one network namespace for each machine, Ethernet
//! bridges as switches, and packet filters in the switches as broken cables.
//!
//! How to run: `cargo test --test lan`, as root or as a user who may make user namespaces. It needs the programs `unshare`,
//! `nsenter` (util-linux), `ip` (iproute2), `nft` (nftables) and `timeout`; where they or the permission are missing, the
//! tests say so and skip, unless `TANIST_TESTS_MUST_RUN=1`: then they fail. `cargo test --test lan -- --nocapture` prints
//! the times of each failover; a test that fails prints what every machine told, in order.
//!
//! `TANIST_CHAOS_SECONDS` and `TANIST_CHAOS_SEED` are for the faults at random, in `chaos.rs`; `TANIST_DATA_SECONDS` and
//! the same seed for the data, in `data.rs`. `target/tmp/lan/` has the whole log of each test.
//!
//! Nothing touches the machine's own network: a test starts itself again inside private namespaces (network, mounts and
//! processes), the stores of its agents in memory, and all that it made disappears with its last process.
//!
//! No agent here is given an interface, a peer or a heartbeat unless that is what the test is about.

#![expect(clippy::disallowed_methods, reason = "tests of real processes have real deadlines")]

mod agents;
mod cards;
mod chaos;
mod commands;
mod crowd;
mod cuts;
mod data;
mod deaths;
mod disks;
mod elections;
mod floods;
mod freezer;
mod ground;
mod lan;
mod links;
mod net;
mod subnets;
mod told;
mod watch;
mod way;
