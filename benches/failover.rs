//! How long a cluster is without a leader that everybody names: `cargo bench --bench failover` (see docs/benchmarks.md).

#[path = "bench/mod.rs"]
mod bench;

fn main() -> std::process::ExitCode {
    bench::main("failover")
}
