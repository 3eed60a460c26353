//! The configuration is read again while the agent runs: what can change without losing the role does, and a file that is
//! wrong changes nothing.

use super::config::{self, Config, Options};
use super::journal::{Journal, Level};
use super::rights::Rights;
use super::shared::{Command, Reload};
use crate::view::Reloaded;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Reads the configuration again and again.
pub(super) struct Reloader {
    /// The flags and variables of the start: they overrule the file as they did then.
    options: Options,
    config: watch::Sender<Arc<Config>>,
    group: watch::Sender<Option<String>>,
    asked: mpsc::Receiver<Reload>, // bound: ONE
    hung_up: mpsc::Receiver<()>,   // bound: ONE
}

impl Reloader {
    /// For an agent that was started with this configuration; with it, who may change something, and where users ask.
    pub(super) fn new(
        options: Options,
        config: Arc<Config>,
        hung_up: mpsc::Receiver<()>, // bound: ONE
    ) -> (Self, Rights, mpsc::Sender<Reload>) {
        let (reloads, asked) = mpsc::channel(1);
        let group = watch::Sender::new(config.write_group.clone());
        let rights = Rights::new(group.subscribe());
        (Self { options, config: watch::Sender::new(config), group, asked, hung_up }, rights, reloads)
    }

    /// The configuration as it is now and later.
    pub(super) fn config(&self) -> watch::Receiver<Arc<Config>> {
        self.config.subscribe()
    }

    /// Until `stop` is cancelled: for users that ask, and for SIGHUP.
    pub(super) async fn run(mut self, commands: mpsc::Sender<Command>, journal: Journal, stop: CancellationToken) {
        loop {
            let reply = tokio::select! {
                () = stop.cancelled() => return,
                Some(reply) = self.asked.recv() => Some(reply),
                Some(()) = self.hung_up.recv() => None,
            };
            let done = self.reload(&commands, &journal).await;
            if let Some(reply) = reply {
                // One that went away finds it in the log.
                let _ = reply.send(done);
            }
        }
    }

    async fn reload(&self, commands: &mpsc::Sender<Command>, journal: &Journal) -> Result<Reloaded, String> {
        // A disk that hangs must not hold up the loop.
        let options = self.options.clone();
        let read = tokio::task::spawn_blocking(move || config::load(options)).await;
        let read = read.map_err(|error| error.to_string()).and_then(|read| read.map_err(|error| error.to_string()));
        let new = match read {
            Ok(new) => new,
            Err(why) => {
                let text = format!("the configuration stays as it was: {why}");
                journal.line(Level::Error, text.clone(), Vec::new());
                return Err(text);
            }
        };
        let old = self.config.borrow().clone();
        let reloaded = changed(&old, &new);
        for warning in &new.warnings {
            journal.line(Level::Warn, warning.to_string(), Vec::new());
        }
        journal.set_level(new.log);
        self.apply(&old, new, commands).await;
        journal.line(Level::Info, words(&reloaded), Vec::new());
        Ok(reloaded)
    }

    async fn apply(&self, old: &Config, new: Config, commands: &mpsc::Sender<Command>) {
        self.group.send_replace(new.write_group.clone());
        let name = (!new.host_name).then(|| new.name.clone());
        let settings = Box::new(new.settings.clone());
        // The loop is there for as long as this is.
        let _ = commands.send(Command::Set { settings, name }).await;
        // What counts from the next start on is still to be said the next time.
        let settings = new.settings.with_heartbeat(old.settings.heartbeat());
        self.config.send_replace(Arc::new(Config {
            name: new.name,
            host_name: new.host_name,
            settings,
            log: new.log,
            write_group: new.write_group,
            hooks: new.hooks,
            ..old.clone()
        }));
    }
}

/// The keys whose values differ.
fn changed(old: &Config, new: &Config) -> Reloaded {
    let differs = |all: &[(&str, bool)]| -> Vec<String> {
        all.iter().filter(|(_, differs)| *differs).map(|(key, _)| (*key).to_owned()).collect()
    };
    let (was, is) = (&old.settings, &new.settings);
    let applied = [
        ("name", (old.host_name, &old.name) != (new.host_name, &new.name) && !(old.host_name && new.host_name)),
        ("priority", was.priority != is.priority),
        ("lone_after", was.lone_after != is.lone_after),
        ("forget_after", was.forget_after != is.forget_after),
        ("log", old.log != new.log),
        ("write_group", old.write_group != new.write_group),
        ("hooks", old.hooks != new.hooks),
    ];
    let restart = [
        ("cluster", old.cluster != new.cluster),
        ("state_dir", old.state_dir != new.state_dir),
        ("socket", old.socket != new.socket),
        ("port", old.port != new.port),
        ("bind", old.rules.bind != new.rules.bind),
        ("interface", old.rules.only != new.rules.only),
        ("deny_interfaces", old.rules.deny != new.rules.deny),
        ("peer", old.peers != new.peers),
        ("heartbeat", was.heartbeat() != is.heartbeat()),
        ("http", old.http != new.http),
        ("write_timeout", old.write_timeout != new.write_timeout),
    ];
    Reloaded { applied: differs(&applied), restart: differs(&restart) }
}

/// What is said of it.
fn words(reloaded: &Reloaded) -> String {
    let Reloaded { applied, restart } = reloaded;
    let later = format!("from the next start on: {}", restart.join(", "));
    match (applied.is_empty(), restart.is_empty()) {
        (true, true) => "the configuration was read again: nothing has changed".to_owned(),
        (false, true) => format!("the configuration was read again: changed {}", applied.join(", ")),
        (true, false) => format!("the configuration was read again: {later}"),
        (false, false) => format!("the configuration was read again: changed {}; {later}", applied.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::fs;
    use std::path::Path;
    use tokio::sync::oneshot;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        options: Options,
    }

    fn options(file: &Path) -> Options {
        let file = file.display().to_string();
        let flags = ["tanist", "--config", &file, "--state-dir", "/s", "--socket", "/s/sock", "--name", "pc-1"];
        Flags::try_parse_from(flags).expect("good flags").options
    }

    #[tokio::test]
    async fn what_can_change_does_and_a_wrong_file_changes_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("t.toml");
        fs::write(&file, "priority = 90\n").expect("written");
        let first = Arc::new(config::load(options(&file)).expect("it is right"));
        let (commands, mut told) = mpsc::channel(4);
        let (journal, _) = Journal::start(Level::Error).expect("a thread");
        let (_hup, hung_up) = mpsc::channel(1);
        let (reloader, _, asks) = Reloader::new(options(&file), first, hung_up);
        let (set, may) = (reloader.config(), reloader.group.subscribe());
        let running = tokio::spawn(reloader.run(commands, journal, CancellationToken::new()));
        let reload = async || {
            let (reply, done) = oneshot::channel();
            asks.send(reply).await.expect("it runs");
            done.await.expect("it answers")
        };
        assert_eq!(reload().await, Ok(Reloaded::default()), "nothing has changed");
        told.recv().await.expect("the same again");
        let text = "priority = 7\nport = 9000\nwrite_group = 'root'\nlog = 'debug'\n[hooks]\nleading = '/bin/true'\n";
        fs::write(&file, text).expect("written");
        let done = reload().await.expect("it is right");
        assert_eq!(done.applied, ["priority", "log", "write_group", "hooks"]);
        assert_eq!(done.restart, ["port"]);
        let Some(Command::Set { settings, name }) = told.recv().await else { panic!("the loop is told") };
        assert_eq!((settings.priority, name.as_deref()), (7, Some("pc-1")));
        assert_eq!((set.borrow().port, may.borrow().as_deref()), (8264, Some("root")), "the port is still the old one");
        assert_eq!(reload().await.expect("it is right").restart, ["port"], "until it is started anew");
        told.recv().await.expect("the same again");
        fs::write(&file, "priority = 300\n").expect("written");
        let why = reload().await.expect_err("it is wrong");
        assert!(why.contains("t.toml:1: priority: 300 is out of bounds"), "{why}");
        assert!(told.try_recv().is_err() && set.borrow().settings.priority == 7, "nothing changed");
        running.abort();
    }
}
