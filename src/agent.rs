//! The real host: sockets, files, clocks and signals around the pure node.

pub mod api;
pub mod clock;
pub mod config;
mod datagrams;
mod disk;
mod journal;
pub mod links;
mod sessions;
pub mod shared;

pub use disk::History;
pub use journal::Level;
