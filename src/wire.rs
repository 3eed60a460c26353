//! Bytes and messages (skeleton).
