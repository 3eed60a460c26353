//! tanist: the machines of a LAN agree on one leader, with a successor named in advance.
//!
//! An agent runs on every machine. The agents find one another by UDP broadcast, agree over TCP on which of them holds
//! the *server role*, and name in every heartbeat who takes over when it goes: in milliseconds when its process dies,
//! after three missed heartbeats when its machine falls silent. Nothing is configured. `docs/protocol.md` says exactly
//! what is promised and how, `docs/architecture.md` why, `docs/operations.md` how to run it, `docs/api.md` how to use it.
//!
//! # The tour
//!
//! The protocol is pure: [`protocol::Node::step`] takes the time and what arrived together, and gives back what is to be
//! done. Two hosts drive it, the real one ([`agent`]) and the simulated one of the tests (`tests/sim/`), which runs
//! the same [`wire`] and [`store`] through crashes, cuts, sleep and failing disks. To read the code, begin with
//! [`message`] (what agents say), then [`protocol`] (what goes in and out, and every contract), then `protocol/role.rs`.
//! Programs that want to know who leads need [`client`] and [`view`], [`processes`], and nothing else.
//!
//! # The floors
//!
//! A file imports lower floors, or its own folder:
//!
//! | floor | |
//! |---|---|
//! | 7 | this file, and `main` |
//! | 6 | [`cli`]: the command line, clients of the local API |
//! | 5 | [`agent`]: the real host; [`client`]: the local API as Rust functions |
//! | 4 | [`store`]: what is durable; [`wire`]: bytes and messages; [`view`]: what the API says |
//! | 3 | [`protocol`]: the core |
//! | 2 | [`ledger`]: the rules of the data |
//! | 1 | [`message`], [`data`], [`claim`], [`settings`], [`event`]: plain values |
//! | 0 | [`ident`], [`time`] |
//!
//! # The words
//!
//! - **Leader, follower, successor**: who has the role, who follows it, who was named to take over. The **line of
//!   succession** is everybody who could, in order.
//! - **Claim**: "I am the leader", `{epoch, at, node}`. The better one has the higher epoch, then the earlier time stamp.
//!   A won claim is a **reign**. The **epoch** grows with every claim; users get it as a fencing token.
//! - **Suspicion** is doubt about the leader; it costs one question, the **interrogation**.
//! - **Canvass**: a claimant asks the others to back it. A **promise** is durable before it is said.
//! - **Handover** is a planned change of leader; in a **reunion** two leaders meet, and one yields.
//! - **Via**: a member that reaches the leader only through another goes through it, one hop and never more.
//!
//! Comments cite the paragraphs of `docs/protocol.md` (§7.3).
#![deny(missing_docs, unreachable_pub)]
#![forbid(unsafe_code)]

// What unit tests and the tests of the client share names this crate as any other does.
#[cfg(test)]
extern crate self as tanist;

pub mod agent;
pub mod claim;
pub mod cli;
pub mod client;
pub mod data;
pub mod event;
pub mod ident;
pub mod ledger;
pub mod message;
pub mod processes;
pub mod protocol;
pub mod settings;
pub mod store;
pub mod time;
pub mod view;
pub mod wire;
