//! Standard output and standard error: colour only where somebody looks, and no fuss when nobody reads on.

use super::{Fail, NO};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;

/// Standard output.
#[derive(Clone, Copy)]
pub(super) struct Out {
    colour: bool,
    terminal: bool,
}

/// How a word stands out.
#[derive(Clone, Copy)]
pub(super) enum Tint {
    Plain,
    Strong,
    Faint,
    Good,
    Bad,
}

impl Out {
    pub(super) fn new() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = std::io::stdout().is_terminal();
        Self { colour: terminal && !set("NO_COLOR") && !dumb, terminal }
    }

    /// Whether somebody looks.
    pub(super) fn terminal(self) -> bool {
        self.terminal
    }

    /// The text, with its colour where there are colours.
    pub(super) fn tint(self, tint: Tint, text: &str) -> String {
        let code = match tint {
            Tint::Plain => return text.to_owned(),
            Tint::Strong => "1",
            Tint::Faint => "2",
            Tint::Good => "32",
            Tint::Bad => "33",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// One line, or several.
    pub(super) fn line(self, text: impl Display) -> Result<(), Fail> {
        let mut stdout = std::io::stdout().lock();
        let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
        written.map_err(|error| unwritten(&error))
    }

    /// Waits until nobody can read standard output any more.
    pub(super) async fn reader_gone(self) {
        let (tell, gone) = tokio::sync::oneshot::channel();
        // It ends with the process, which waits for no thread.
        std::thread::spawn(move || {
            let stdout = std::io::stdout();
            loop {
                // Errors are told of whether asked for or not, and nothing else is asked for.
                let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
                match poll(&mut fds, PollTimeout::NONE) {
                    Ok(_) if fds[0].any() == Some(true) => break,
                    Ok(_) | Err(Errno::EINTR) => {}
                    Err(_) => std::thread::park(),
                }
            }
            let _ = tell.send(());
        });
        let _ = gone.await;
    }

    /// A value as one line of JSON.
    pub(super) fn json(self, value: &impl Serialize) -> Result<(), Fail> {
        let text = serde_json::to_string(value).map_err(|error| Fail::new(NO, format!("no JSON: {error}")))?;
        self.line(text)
    }

    /// Bytes as they are.
    pub(super) fn bytes(self, bytes: &[u8]) -> Result<(), Fail> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| unwritten(&error))
    }
}

/// A reader that went away has seen enough; anything else is an error.
fn unwritten(error: &std::io::Error) -> Fail {
    match error.kind() {
        ErrorKind::BrokenPipe => Fail::silent(0),
        _ => Fail::new(NO, format!("could not write to standard output: {error}")),
    }
}

/// One line on standard error; when even that is gone there is nobody to tell.
pub(super) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "tanist: {line}");
}
