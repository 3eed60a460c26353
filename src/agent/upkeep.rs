//! What others may take away from a running agent: the socket's file, which is made anew, and the state directory, which
//! cannot be.

use super::clock::pause;
use super::door::{self, Door, Stands};
use super::journal::{Journal, Level};
use super::shared::Command;
use crate::store::store_path;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Looks after them. The socket's file is taken away when this is dropped.
pub(super) struct Upkeep {
    door: Door,
    /// Where a socket goes that was made anew.
    anew: mpsc::Sender<UnixListener>, // bound: ONE at a time
    /// What was said of the socket while it cannot be made.
    said: String,
    store: PathBuf,
    /// The store's file; none once it was said that it is gone.
    known: Option<(u64, u64)>,
    commands: mpsc::Sender<Command>, // bound: COMMANDS
    journal: Journal,
}

impl Upkeep {
    /// For a socket and a state directory as they are now.
    pub(super) fn new(
        door: Door,
        state: &Path,
        anew: mpsc::Sender<UnixListener>,
        commands: mpsc::Sender<Command>,
        journal: Journal,
    ) -> Self {
        let store = store_path(state);
        let known = door::id(&store);
        Self { door, anew, said: String::new(), store, known, commands, journal }
    }

    /// Until `stop` is cancelled.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while stop.run_until_cancelled(pause(LOOK)).await.is_some() {
            self.look().await;
        }
    }

    async fn look(&mut self) {
        self.look_at_the_socket().await;
        self.look_at_the_store().await;
    }

    async fn look_at_the_socket(&mut self) {
        let path = self.door.path().to_owned();
        let said = match self.door.stands() {
            Stands::Open => String::new(),
            Stands::Anothers => format!(
                "another file is in the place of the socket {}: nobody reaches this agent until it is removed",
                path.display()
            ),
            Stands::Gone if self.door.is_passed() => format!(
                "the socket {} of tanist.socket was removed: nobody reaches this agent: stop tanist.service, and start it \
                 again",
                path.display()
            ),
            Stands::Gone => match door::open(&path) {
                Ok((listener, door)) => {
                    // The new file may have the number of the one that is gone.
                    std::mem::replace(&mut self.door, door).forget();
                    let _ = self.anew.send(listener).await;
                    let text = format!("the socket {} was removed: it is made anew", path.display());
                    self.journal.line(Level::Warn, text, Vec::new());
                    String::new()
                }
                Err(failure) => format!("nobody reaches this agent, its socket was removed: {}", failure.line),
            },
        };
        if said != self.said && !said.is_empty() {
            self.journal.line(Level::Error, said.clone(), Vec::new());
        }
        self.said = said;
    }

    /// The store goes on in a file that has no name any more, and no write of it fails.
    async fn look_at_the_store(&mut self) {
        let Some(known) = self.known else { return };
        let path = self.store.clone();
        // A disk that hangs must not hold up the loop.
        let Ok(found) = tokio::task::spawn_blocking(move || door::id(&path)).await else { return };
        if found == Some(known) {
            return;
        }
        self.known = None;
        let gone = match found {
            None => "is gone",
            Some(_) => "is another one",
        };
        let text = format!(
            "the store {} {gone}: what this agent remembers and holds is lost when it ends: put the state directory back \
             as it was, or stop the agent, and start it with an empty one",
            self.store.display()
        );
        let _ = self.commands.send(Command::StoreTrouble { text }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    /// A socket and a store that are there.
    fn place() -> (tempfile::TempDir, Upkeep, mpsc::Receiver<UnixListener>, mpsc::Receiver<Command>) {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("state")).expect("made");
        std::fs::write(store_path(&dir.path().join("state")), "a store").expect("written");
        let (_, door) = door::open(&dir.path().join("run/sock")).expect("a socket");
        let (anew, listeners) = mpsc::channel(1);
        let (commands, asked) = mpsc::channel(1);
        let (journal, _) = Journal::start(Level::Error).expect("a thread");
        let upkeep = Upkeep::new(door, &dir.path().join("state"), anew, commands, journal);
        (dir, upkeep, listeners, asked)
    }

    #[tokio::test]
    async fn a_socket_that_was_removed_is_made_anew_and_anothers_is_left_alone() {
        let (dir, mut upkeep, mut listeners, _commands) = place();
        let socket = dir.path().join("run/sock");
        upkeep.look().await;
        assert!(listeners.try_recv().is_err(), "it is there");
        std::fs::remove_dir_all(dir.path().join("run")).expect("removed");
        upkeep.look().await;
        let listener = listeners.try_recv().expect("a new one");
        UnixStream::connect(&socket).expect("whoever asks is heard");
        upkeep.look().await;
        assert!(listeners.try_recv().is_err());
        std::fs::remove_file(&socket).expect("removed");
        std::fs::write(&socket, "precious").expect("written");
        upkeep.look().await;
        assert!(listeners.try_recv().is_err() && upkeep.said.contains("another file"), "{}", upkeep.said);
        drop((upkeep, listener));
        assert_eq!(std::fs::read_to_string(&socket).expect("still there"), "precious");
    }

    #[tokio::test]
    async fn a_socket_of_the_service_manager_is_neither_made_anew_nor_taken_away() {
        let (dir, mut upkeep, mut listeners, _commands) = place();
        let socket = dir.path().join("passed");
        let kept = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
        let passed = door::Passed::for_tests(kept.try_clone().expect("a copy"), socket.clone());
        let (listener, door) = passed.open().expect("it listens");
        upkeep.door = door;
        upkeep.look().await;
        assert_eq!(upkeep.said, "", "it is there");
        std::fs::remove_file(&socket).expect("removed");
        upkeep.look().await;
        assert!(upkeep.said.contains("was removed: nobody reaches this agent: stop tanist.service"), "{}", upkeep.said);
        assert!(listeners.try_recv().is_err() && !socket.exists());
        let _again = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
        drop((upkeep, listener));
        assert!(socket.exists());
    }

    #[tokio::test]
    async fn a_store_that_is_gone_or_another_is_said_once() {
        for put_back in [false, true] {
            let (dir, mut upkeep, _listeners, mut commands) = place();
            upkeep.look().await;
            assert!(commands.try_recv().is_err(), "it is there");
            let store = store_path(&dir.path().join("state"));
            let kept = dir.path().join("kept");
            std::fs::rename(&store, &kept).expect("moved");
            if put_back {
                std::fs::copy(&kept, &store).expect("a copy is another file");
            }
            upkeep.look().await;
            let Ok(Command::StoreTrouble { text }) = commands.try_recv() else { panic!("it is told") };
            assert!(text.contains(if put_back { "is another one" } else { "is gone" }), "{text}");
            upkeep.look().await;
            assert!(commands.try_recv().is_err(), "once");
        }
    }
}
