//! The embedded store (skeleton).
