//! `run`: a command that runs while, and only while, this machine leads.

mod program;

use super::{Asked, Fail, NO, NO_AGENT};
use crate::client::{Client, Error, Runner, Turn};
use crate::processes::Tree;
use clap::Args;
use nix::sys::signal::Signal;
use program::Program;
use std::ffi::OsString;
use std::process::ExitStatus;
use std::time::{Duration, Instant};
use tokio::signal::unix::{self, SignalKind, signal};

/// The first pause before a command that ended is started again, and the longest. Each is twice as long as the one before;
/// after a command that ran for longer than the longest they begin anew.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long an agent that ended may take to come back while nothing runs here: an upgrade needs a second.
const COMES_BACK: Duration = Duration::from_secs(30);

/// Between two tries to reach it.
const AGAIN: Duration = Duration::from_millis(50);

#[derive(Args)]
pub(super) struct Options {
    /// How long the command may take to end after SIGTERM, 60s at most; a handover waits for it, and then it is killed
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = grace)]
    grace: Duration,
    /// End when the command ends, and with its status
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    asked: Asked,
    /// Become the command, tied to the process that starts this
    #[arg(long, hide = true)]
    tied: bool,
    /// The command; TANIST_EPOCH and TANIST_SOCKET are in its environment
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

fn grace(text: &str) -> Result<Duration, String> {
    let grace = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if grace > Duration::from_secs(60) { Err("it is 60s at most".to_owned()) } else { Ok(grace) }
}

/// How the life of a command ended.
enum End {
    /// The role is not here any more, or is given away: it has stopped.
    Stopped,
    /// It ended by itself, and is not to be started again.
    Ended(ExitStatus),
    /// The agent died: it was stopped.
    NoAgent,
    /// This process was told to end: it has stopped.
    Told(Signal),
}

pub(super) async fn run(options: Options) -> Result<(), Fail> {
    if options.tied {
        return program::become_command(&options.command);
    }
    let program = Program::find(options.command)?;
    let mut signals = Signals::new()?;
    let client = options.asked.client()?;
    let mut runner = client.runner(&program.label(), options.grace).await?;
    let mut tree = Tree::adopt().map_err(|error| Fail::runtime(&error))?;
    loop {
        let turn = tokio::select! {
            turn = runner.next() => turn,
            signal = signals.next() => return ended(signal),
        };
        if let Ok(Some(Turn::Start(epoch))) = turn {
            let program = program.of(epoch, runner.socket());
            let service = Service { program, grace: options.grace, once: options.once, tree: &mut tree };
            match service.play(&mut runner, &mut signals).await? {
                End::Stopped => {}
                End::Ended(status) => return with_status(status),
                End::NoAgent => {
                    return Err(Fail::new(NO_AGENT, "the agent died: the command was stopped; start both again"));
                }
                End::Told(signal) => return ended(signal),
            }
        }
        // The end of this stream says that nothing runs here any more.
        drop(runner);
        let again = attached_again(&client, &program, options.grace);
        runner = tokio::select! {
            again = again => again?,
            signal = signals.next() => return ended(signal),
        };
    }
}

/// Reaches the agent again, which may be on its way back.
#[expect(clippy::disallowed_methods, reason = "a program that sleeps with its machine loses nothing")]
async fn attached_again(client: &Client, program: &Program, grace: Duration) -> Result<Runner, Fail> {
    let end = Instant::now() + COMES_BACK;
    loop {
        match client.runner(&program.label(), grace).await {
            Ok(runner) => return Ok(runner),
            Err(error @ (Error::NoAgent { .. } | Error::Broken { .. } | Error::Later { .. })) => {
                if Instant::now() > end {
                    return Err(error.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The command while the role is here.
struct Service<'a> {
    program: program::Started<'a>,
    grace: Duration,
    once: bool,
    tree: &'a mut Tree,
}

impl Service<'_> {
    /// Runs it, and again when it ends, until it is to stop.
    async fn play(mut self, runner: &mut Runner, signals: &mut Signals) -> Result<End, Fail> {
        let mut pause = FIRST_PAUSE;
        loop {
            #[expect(clippy::disallowed_methods, reason = "how long a command ran is for the next pause alone")]
            let began = Instant::now();
            let mut child = self.program.start()?;
            self.tree.of(&child);
            let status = loop {
                tokio::select! {
                    status = child.wait() => break status.map_err(|error| {
                        Fail::new(NO, format!("{} cannot be waited for: {error}", self.program.name()))
                    })?,
                    turn = runner.next() => return Ok(self.stops(&turn, &mut child, signals).await),
                    told = signals.any() => match told {
                        None => self.tree.reap(),
                        Some(signal) => {
                            self.tree.stop(Some(&mut child), self.grace, signals.hurry()).await;
                            return Ok(End::Told(signal));
                        }
                    }
                }
            };
            // Whatever it has left behind ends with it.
            self.tree.stop(None, self.grace, signals.hurry()).await;
            if self.once {
                return Ok(End::Ended(status));
            }
            if began.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            let text = format!("{} ended with {status}: it is started again in {pause:?}", self.program.name());
            super::out::complain(&text);
            #[expect(clippy::disallowed_methods, reason = "a program that sleeps with its machine loses nothing")]
            let over = tokio::time::sleep(pause);
            tokio::select! {
                () = over => pause = (pause * 2).min(LONGEST_PAUSE),
                turn = runner.next() => return Ok(if agent_lives(&turn) { End::Stopped } else { End::NoAgent }),
                signal = signals.next() => return Ok(End::Told(signal)),
            }
        }
    }

    /// It is to stop, and has when this returns.
    async fn stops(
        &mut self,
        turn: &Result<Option<Turn>, Error>,
        child: &mut tokio::process::Child,
        signals: &mut Signals,
    ) -> End {
        let (why, end) = match turn {
            Ok(Some(Turn::Stop(why))) => (why.as_str(), End::Stopped),
            _ => ("the agent died", End::NoAgent),
        };
        super::out::complain(&format!("{} is stopped: {why}", self.program.name()));
        self.tree.stop(Some(child), self.grace, signals.hurry()).await;
        end
    }
}

fn agent_lives(turn: &Result<Option<Turn>, Error>) -> bool {
    matches!(turn, Ok(Some(_)))
}

/// The end of this process with the status of the command.
fn with_status(status: ExitStatus) -> Result<(), Fail> {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    if code == 0 { Ok(()) } else { Err(Fail::silent(u8::try_from(code).unwrap_or(1))) }
}

/// The end of this process after a signal: that of a service manager is no failure.
fn ended(signal: Signal) -> Result<(), Fail> {
    match signal {
        Signal::SIGTERM => Ok(()),
        signal => Err(Fail::silent(128 + u8::try_from(signal as i32).unwrap_or(0))),
    }
}

/// What this process is told by its terminal, its manager and the kernel.
pub(super) struct Signals {
    term: unix::Signal,
    int: unix::Signal,
    hup: unix::Signal,
    child: unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, Fail> {
        let take = |kind| signal(kind).map_err(|error| Fail::runtime(&error));
        Ok(Self {
            term: take(SignalKind::terminate())?,
            int: take(SignalKind::interrupt())?,
            hup: take(SignalKind::hangup())?,
            child: take(SignalKind::child())?,
        })
    }

    /// The next one that asks this process to end.
    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.term.recv() => Signal::SIGTERM,
            _ = self.int.recv() => Signal::SIGINT,
            _ = self.hup.recv() => Signal::SIGHUP,
        }
    }

    /// Somebody is in a hurry.
    async fn hurry(&mut self) {
        self.next().await;
    }

    /// The same, or none: a child has ended.
    async fn any(&mut self) -> Option<Signal> {
        tokio::select! {
            _ = self.term.recv() => Some(Signal::SIGTERM),
            _ = self.int.recv() => Some(Signal::SIGINT),
            _ = self.hup.recv() => Some(Signal::SIGHUP),
            _ = self.child.recv() => None,
        }
    }
}
