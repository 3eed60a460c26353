//! What the fuzzer plays, as functions of bytes: each calls what the program calls with what arrives from outside.
//!
//! The targets of `fuzz_targets/` are one line each, and `tests/fuzz.rs` of the program replays the corpus through the
//! same functions, so that a plain `cargo test` finds again whatever was found here.

mod api;
mod made;
mod play;

pub use api::local_api;
pub use play::{ROLES, datagram, frame};

/// A configuration file.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(why) = tanist::agent::config::check_text(std::path::Path::new("t.toml"), text) {
        let why = why.to_string();
        assert!(!why.contains('\n') && why.starts_with("t.toml:") || why.contains("TANIST_"), "not one line: {why:?}");
    }
}
