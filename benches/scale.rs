//! Two hundred agents, and what one agent can answer: `cargo bench --bench scale` (see docs/benchmarks.md).

#[path = "bench/mod.rs"]
mod bench;

fn main() -> std::process::ExitCode {
    bench::main("scale")
}
