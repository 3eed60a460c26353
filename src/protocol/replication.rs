//! The data between members, as the core sees it (protocol §10): requests, the order that a leader gives them, and what is
//! acknowledged. What requests and changes say is bytes here; only the ledger reads them.
//!
//! Nothing in here sees a role: it takes what happens and says what is to be done.

mod backup;
mod copies;
mod primary;
mod remote;
mod requests;

pub(super) use backup::Backup;
pub(super) use copies::{Copies, Next, Stated};
pub(super) use primary::{Answered, Origin, Primary, Progress};
pub(super) use requests::Requests;
