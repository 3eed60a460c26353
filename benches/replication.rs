//! How fast what is written is durable on two machines, and what faults cost its writers: `cargo bench --bench
//! replication` (see docs/benchmarks.md).

#[path = "bench/mod.rs"]
mod bench;

fn main() -> std::process::ExitCode {
    bench::main("replication")
}
