//! argv -> agent or cli.

fn main() -> std::process::ExitCode {
    tanist::cli::main()
}
