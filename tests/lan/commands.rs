//! Runs `ip`, `nft` and the like, without stopping the ears that listen to the agents meanwhile.

use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// A command in a machine's namespace, or in the switches' own.
pub(crate) fn within(machine: Option<&str>, program: &str) -> Command {
    match machine {
        None => Command::new(program),
        Some(name) => {
            let mut command = Command::new("nsenter");
            command.arg(format!("--net=/run/netns/{name}")).arg(program);
            command
        }
    }
}

/// Runs a program that reads what to do from its standard input.
///
/// # Panics
/// When it fails: the message has what it said and what it was to do.
pub(crate) async fn feed(machine: Option<&str>, program: &str, arguments: &[&str], input: &str) -> String {
    let mut command = within(machine, program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().expect("it was piped");
    stdin.write_all(input.as_bytes()).await.unwrap_or_else(|error| panic!("{program}: {error}"));
    drop(stdin);
    let output = child.wait_with_output().await.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?} in {machine:?}: {said}\n{input}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `ip`, one command a line.
pub(crate) async fn ip(machine: Option<&str>, lines: &str) {
    feed(machine, "ip", &["-batch", "-"], lines).await;
}

/// `nft`: all of it at once, or nothing.
pub(crate) async fn nft(machine: Option<&str>, lines: &str) -> String {
    feed(machine, "nft", &["-f", "-"], lines).await
}
