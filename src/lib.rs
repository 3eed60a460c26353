//! tanist: the machines of a LAN agree on one leader, with a successor named in advance.
#![deny(missing_docs, unreachable_pub)]
#![forbid(unsafe_code)]

pub mod agent;
pub mod change;
pub mod claim;
pub mod cli;
pub mod client;
pub mod event;
pub mod ident;
pub mod message;
pub mod protocol;
pub mod settings;
pub mod store;
pub mod time;
pub mod view;
pub mod wire;
