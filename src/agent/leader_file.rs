//! The leader's name and address in a file, for programs that ask nobody: replaced as a whole, and empty while there is none.

use super::journal::{Journal, Level};
use crate::protocol::Status;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Follows the status until `stop` is cancelled, and leaves an empty file.
pub(super) async fn keep(
    path: PathBuf,
    mut status: watch::Receiver<Arc<Status>>,
    journal: Journal,
    stop: CancellationToken,
) {
    let (mut written, mut failing) = (None, false);
    loop {
        let said = text(&status.borrow_and_update());
        if written.as_ref() != Some(&said) {
            let failed = put(&path, &said).err();
            if let Some(error) = failed.as_ref().filter(|_| !failing) {
                let text =
                    format!("{} cannot be written: {error}: whoever reads it sees an old leader", path.display());
                journal.line(Level::Warn, text, Vec::new());
            }
            failing = failed.is_some();
            written = (!failing).then_some(said);
        }
        let changed = stop.run_until_cancelled(status.changed()).await;
        if !matches!(changed, Some(Ok(()))) {
            let _ = put(&path, "");
            return;
        }
    }
}

/// One line: the name, and the address where one is known.
fn text(status: &Status) -> String {
    match &status.leader {
        None => String::new(),
        Some(leader) => {
            let address = leader.address.map_or_else(String::new, |address| format!(" {address}"));
            format!("{}{address}\n", leader.name)
        }
    }
}

/// A few bytes into memory: nobody waits for that.
fn put(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::super::api::tests::standing;
    use super::*;
    use crate::protocol::RoleName;
    use std::time::Duration;

    #[tokio::test]
    async fn the_file_says_who_leads_and_is_empty_while_nobody_does() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("leader");
        let (shows, status) = watch::channel(standing(RoleName::Listening, 0, None));
        let (journal, _) = Journal::start(Level::Error).expect("a thread");
        let stop = CancellationToken::new();
        let keeps = tokio::spawn(keep(path.clone(), status, journal, stop.clone()));
        let says = async |wanted: &str| {
            let look = async {
                while fs::read_to_string(&path).ok().as_deref() != Some(wanted) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(5), look).await.unwrap_or_else(|_| panic!("no {wanted:?}"));
        };
        says("").await;
        shows.send_replace(standing(RoleName::Following, 3, Some(2)));
        says("pc-2 127.0.0.2:8264\n").await;
        shows.send_replace(standing(RoleName::Leading, 4, Some(1)));
        says("pc-1 127.0.0.1:8264\n").await;
        stop.cancel();
        keeps.await.expect("it ends");
        says("").await;
        assert_eq!(fs::read_dir(dir.path()).expect("read").count(), 1, "nothing else is left");
    }
}
