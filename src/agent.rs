//! The real host: sockets, files, clocks and signals around the pure node.

pub mod api;
pub mod clock;
mod disk;
pub mod shared;

pub use disk::History;
