//! Reads all of the data now and then: damage that nobody comes across would be noticed only when it is the last copy.

use super::clock::pause;
use super::journal::{Journal, Level};
use crate::store::data::Reader;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Everything is read so long after the start for the first time.
const FIRST: Duration = Duration::from_secs(600);

/// And then so often.
const AGAIN: Duration = Duration::from_secs(24 * 3600);

/// How often it is looked at whether other readers came across damage.
const LOOK: Duration = Duration::from_secs(10);

/// Until `stop` is cancelled.
pub(super) async fn run(reader: Reader, journal: Journal, stop: CancellationToken) {
    let (mut left, mut told) = (FIRST, None);
    while stop.run_until_cancelled(pause(LOOK)).await.is_some() {
        left = left.saturating_sub(LOOK);
        if left.is_zero() {
            left = AGAIN;
            stop.run_until_cancelled(read_all(reader.clone())).await;
        }
        let doubt = reader.doubt();
        if doubt != told {
            told = doubt;
            if let Some(why) = &told {
                let text = format!(
                    "the data on this machine is damaged: {why}: reading that is an error until another machine's copy \
                     takes its place"
                );
                journal.line(Level::Error, text, Vec::new());
            }
        }
    }
}

/// Reads all of it, in a thread for which nobody waits when the agent ends. The reader knows what it came across.
async fn read_all(reader: Reader) {
    let (done, is_done) = oneshot::channel();
    let read = move || {
        let _ = reader.snapshot().and_then(|snapshot| snapshot.check());
        let _ = done.send(());
    };
    if std::thread::Builder::new().name("rereading".into()).spawn(read).is_ok() {
        let _ = is_done.await;
    }
}
