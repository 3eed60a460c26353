//! The command line: clients of the local API, and nothing else (the agent itself excepted, which is only started here).

mod check;
mod conflicts;
mod demo;
mod input;
mod keys;
mod leash;
mod members;
mod out;
mod pages;
mod progress;
mod records;
mod role;
mod run;
mod shell;
mod show;
mod table;
mod transfer;
mod watch;
mod who;

use crate::agent;
use crate::client::{Client, Error};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand};
use out::Out;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Let the machines of a LAN agree on one leader, with a successor named in advance.
///
/// Start `tanist agent` on every machine; nothing needs to be configured. To see it work on one machine, type
/// `tanist demo`. What is written with `tanist put` and `tanist add` is on every machine.
///
/// Exit status: 0 done; 1 no, with the reason (a key without a value, a refused condition); 2 wrong usage; 65 state of a later version; 69 no agent is there; 75 try later;
/// 77 not allowed; 78 wrong configuration.
#[derive(Parser)]
#[command(name = "tanist", version, max_term_width = 100)]
#[command(arg_required_else_help = true, subcommand_required = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the agent in the foreground (what the service unit starts)
    Agent(Box<agent::config::Options>),
    /// Watch real agents elect a leader on this machine, kill it or cut their network, and see that no record is lost
    ///
    /// The live view names its keys: k kills the chosen agent, f freezes and thaws it, s stops it, r starts it again, h hands
    /// over. x cuts the network in two, and mends it: each side has a leader of its own meanwhile, and a key that both sides
    /// changed is a conflict afterwards.
    Demo(demo::Options),
    /// Show how this agent stands: role, epoch, leader, successor, members
    Status(Asking),
    /// Print name, address and epoch of the leader
    Leader(role::LeaderOptions),
    /// Tell by the exit status alone whether this machine leads (0) or not (1)
    IsLeader(Asked),
    /// List the members, in the order of succession
    Members(members::ListOptions),
    /// List past reigns, and why each began
    History(Asking),
    /// Print events, or the changes of keys, as they happen, one line each
    Watch(watch::Options),
    /// Move the role to the successor, or to a named machine
    Handover(role::HandoverOptions),
    /// Run a command while, and only while, this machine leads
    ///
    /// The command is started when this machine begins to lead. It and all its children are stopped before the role is given to
    /// another machine on purpose, which waits for that for the grace, and at once when the role is lost or the agent dies. A
    /// command that ends is started again after a pause that grows from 100 ms to 30 s.
    ///
    /// Exit status: 69 when the agent died; with --once, that of the command; 126 or 127 when it cannot be run; 0 after SIGTERM.
    Run(run::Options),
    /// Take members that left, or are silent, out of every list
    Forget(members::ForgetOptions),
    /// Add a record to a topic, and print its id
    Add(records::AddOptions),
    /// List the records of a topic, in the order in which they were added
    Records(records::ListOptions),
    /// List the topics: how many records, how large, how old
    Topics(Asking),
    /// Drop old records of a topic, for ever and on every machine
    Trim(records::TrimOptions),
    /// Write a key, and print the version of its new value
    Put(keys::PutOptions),
    /// Print the value of a key, byte for byte
    Get(keys::GetOptions),
    /// Delete the value of a key
    Delete(keys::DeleteOptions),
    /// List the keys
    Keys(keys::ListOptions),
    /// Pass the value of a key through a command, and write back what comes out
    ///
    /// When somebody else has written the key in between, it begins anew, at most 10 times and with growing pauses.
    /// Nothing is written when the command fails.
    Update(keys::UpdateOptions),
    /// Write all records and keys to a file, as JSON lines: a backup
    Export(transfer::ExportOptions),
    /// Take in what an export has saved; what is here already stays as it is
    Import(transfer::ImportOptions),
    /// List what a reunion could not decide: keys that were written on both sides; `resolve` settles one
    Conflicts(conflicts::Options),
    /// Have the agent read its configuration again, without losing the role
    ///
    /// Prints which keys have changed, and which count from the next start on. A configuration that is wrong changes nothing.
    Reload(Asking),
    /// Validate a configuration file
    Check(check::Options),
    /// Print a completion script for a shell
    Completions(shell::CompletionsOptions),
    /// Write the manual pages
    Man(shell::ManOptions),
}

/// Which agent is asked.
#[derive(Args)]
struct Asked {
    /// Ask the agent that listens here
    ///
    /// Without it, the first that answers of $XDG_RUNTIME_DIR/tanist.sock and /run/tanist/tanist.sock.
    #[arg(long, env = crate::client::SOCKET_VARIABLE, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl Asked {
    fn client(&self) -> Result<Client, Fail> {
        Ok(self.find()?)
    }

    fn find(&self) -> Result<Client, Error> {
        Client::find(self.socket.as_deref())
    }
}

/// Which agent is asked, and how the answer is printed.
#[derive(Args)]
struct Asking {
    #[command(flatten)]
    asked: Asked,
    /// Print JSON as the local API gives it
    #[arg(long)]
    json: bool,
}

/// How a command ended, other than well: a status, and one line for standard error unless there is nothing to say.
#[derive(Debug)]
struct Fail {
    code: u8,
    line: Option<String>,
}

const NO: u8 = 1;
const USAGE: u8 = 2;
const NO_AGENT: u8 = 69;
const LATER: u8 = 75;
const NOT_ALLOWED: u8 = 77;
const BAD_CONFIG: u8 = 78;

impl Fail {
    fn new(code: u8, line: impl Into<String>) -> Self {
        Self { code, line: Some(line.into()) }
    }

    fn silent(code: u8) -> Self {
        Self { code, line: None }
    }

    fn runtime(error: &std::io::Error) -> Self {
        Self::new(NO, format!("could not start: {error}"))
    }
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::NoAgent { .. } | Error::Broken { .. } | Error::Strange { .. } => NO_AGENT,
            Error::NotAllowed { .. } => NOT_ALLOWED,
            Error::Later { .. } => LATER,
            Error::Refused { .. } => NO,
        };
        Self::new(code, error.to_string())
    }
}

/// Does what the arguments of this process say, and gives back its exit status.
pub fn main() -> ExitCode {
    let fail = match Cli::try_parse() {
        Ok(cli) => match run(cli.command) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(fail) => fail,
        },
        Err(error) => match usage(&error) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(fail) => fail,
        },
    };
    if let Some(line) = fail.line {
        out::complain(&line);
    }
    ExitCode::from(fail.code)
}

fn run(command: Command) -> Result<(), Fail> {
    match command {
        Command::Agent(options) => {
            leash::hold()?;
            agent::run(*options).map_err(|failure| Fail::new(failure.code, failure.line))
        }
        Command::Demo(options) => demo::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Completions(options) => shell::completions(&options),
        Command::Man(options) => shell::man(&options),
        client => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| Fail::runtime(&error))?.block_on(ask(client))
        }
    }
}

async fn ask(command: Command) -> Result<(), Fail> {
    let out = Out::new();
    match command {
        Command::Status(options) => who::status(&options, out).await,
        Command::Members(options) => members::list(&options, out).await,
        Command::Forget(options) => members::forget(&options, out).await,
        Command::History(options) => who::history(&options, out).await,
        Command::Leader(options) => role::leader(&options, out).await,
        Command::IsLeader(options) => role::is_leader(&options).await,
        Command::Handover(options) => role::handover(&options, out).await,
        Command::Run(options) => run::run(options).await,
        Command::Reload(options) => check::reload(&options, out).await,
        Command::Watch(options) => watch::run(&options, out).await,
        Command::Add(options) => records::add(options, out).await,
        Command::Records(options) => records::list(&options, out).await,
        Command::Topics(options) => records::topics(&options, out).await,
        Command::Trim(options) => records::trim(&options, out).await,
        Command::Put(options) => keys::put(options, out).await,
        Command::Get(options) => keys::get(options, out).await,
        Command::Delete(options) => keys::delete(&options, out).await,
        Command::Keys(options) => keys::list(&options, out).await,
        Command::Update(options) => keys::update(&options, out).await,
        Command::Export(options) => transfer::export(&options, out).await,
        Command::Import(options) => transfer::import(&options, out).await,
        Command::Conflicts(options) => conflicts::run(options, out).await,
        Command::Agent(_) | Command::Demo(_) | Command::Check(_) | Command::Completions(_) | Command::Man(_) => {
            unreachable!("done without a client")
        }
    }
}

/// Help and version go to standard output; wrong usage becomes one line.
fn usage(error: &clap::Error) -> Result<(), Fail> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // As colourful as the terminal allows; a reader that went away has seen enough.
            let _ = error.print();
            Ok(())
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            Err(Fail::silent(USAGE))
        }
        _ => {
            let text = error.render().to_string();
            let what: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let what = what.join(" ");
            let what = what.strip_prefix("error: ").unwrap_or(&what);
            if let Some(variable) = from_environment(error) {
                // Not typed by whoever starts it: a service must not be started again and again for that.
                let why = what.split_once(": ").map_or(what, |(_, why)| why);
                let value = std::env::var_os(&variable).unwrap_or_default();
                let value = value.to_string_lossy();
                let why = if value.is_empty() { "it is empty: unset it, or give it a value" } else { why };
                return Err(Fail::new(BAD_CONFIG, format!("{variable}={value} in the environment: {why}")));
            }
            let given: Vec<String> = std::env::args().skip(1).collect();
            let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
            let tip = equals(error, &given).or_else(|| tip.map(str::to_owned));
            let tip = tip.map_or_else(String::new, |tip| format!(": {tip}"));
            Err(Fail::new(USAGE, format!("{what}{tip}: see `{}`", help(&given))))
        }
    }
}

/// The help that says more: that of the command that was given.
fn help(given: &[String]) -> String {
    let known = command();
    let name = given.iter().find(|word| !word.starts_with('-')).filter(|word| known.find_subcommand(word).is_some());
    name.map_or_else(|| "tanist --help".to_owned(), |name| format!("tanist {name} --help"))
}

/// What to write when the value of `--wait`, which needs none, stands apart from it.
fn equals(error: &clap::Error, given: &[String]) -> Option<String> {
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidArg) else { return None };
    let apart = given.windows(2).any(|pair| pair[0] == "--wait" && pair[1] == *wrong);
    apart.then(|| format!("write --wait={wrong}"))
}

/// The environment variable that a wrong value came from, when it did not come from an argument.
fn from_environment(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return None };
    let flag = argument.split_whitespace().next()?;
    let typed = |given: OsString| given.to_str().is_some_and(|given| given.split('=').next() == Some(flag));
    let variable = format!("TANIST_{}", flag.strip_prefix("--")?.replace('-', "_").to_uppercase());
    (std::env::var_os(&variable).is_some() && !std::env::args_os().any(typed)).then_some(variable)
}

/// The whole command line, for completions and manual pages.
fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests;
