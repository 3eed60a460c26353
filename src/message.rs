//! What agents say to one another: plain values, no behaviour (protocol §5 to §10, §12).
//!
//! Datagrams find and announce; everything that must be heard is a [`Frame`] on a TCP connection.

mod cast;
mod data;
mod frame;

pub use cast::*;
pub use data::*;
pub use frame::*;
