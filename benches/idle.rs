//! What an agent costs while nothing happens: `cargo bench --bench idle` (see docs/benchmarks.md).

#[path = "bench/mod.rs"]
mod bench;

fn main() -> std::process::ExitCode {
    bench::main("idle")
}
