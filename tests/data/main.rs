//! The data as programs and people meet it: the client library and the commands of the real binary, over a real socket,
//! before a loop that is played (no agent, no network).

#![expect(clippy::disallowed_methods, reason = "tests of real processes have real deadlines")]

mod client;
mod commands;
mod docs;
#[allow(dead_code, reason = "the unit tests of the API use the rest of it")]
#[path = "../../src/agent/api/data/for_tests.rs"]
mod for_tests;
mod transfer;
mod upkeep;
