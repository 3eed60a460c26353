//! The packages on booted machines: each is a Debian of its own with a real systemd as its first process (systemd-nspawn),
//! and three of them share an Ethernet bridge.
//!
//! How to run: `systemd/package/build`, then `cargo test --test systemd` as root. It needs the programs `debootstrap`,
//! `systemd-nspawn` (systemd-container), `unshare`, `nsenter`, `ip`, `timeout`, `dpkg-deb`, and the network once: the trees
//! of the machines, Debian 12 (systemd 252) and 13 (257), are kept in `target/tmp/systemd/`. Where something is missing the
//! tests say so and skip, unless `TANIST_TESTS_MUST_RUN=1`: then they fail.
//!
//! Nothing touches this machine's own network or units: a test starts itself again inside private namespaces and a control
//! group of its own, the machines write to memory, and all that they are ends with that group.

#![expect(clippy::disallowed_methods, reason = "tests of real machines have real deadlines")]

mod files;
mod ground;
mod machine;
mod office;
mod stories;
mod tree;
mod units;
mod users;
