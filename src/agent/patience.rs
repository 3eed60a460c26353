//! What stops a start and may pass by itself is waited for, here and not by the service manager: that gives up, or waits
//! longer than it must.

use super::clock::{pause, within};
use super::failure::Failure;
use super::journal::{Journal, Level};
use super::service;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

/// The first pause between two tries, and the longest; each is twice the one before.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// A pause from which on nobody is kept waiting for the start: it may take for ever.
const LONG: Duration = Duration::from_secs(1);

/// Tries something, as one part of the start, until it is done. Why it has to wait is said once, and again when that
/// becomes something else. None when the agent was told to stop meanwhile.
///
/// # Errors
/// What does not pass by itself.
pub(super) async fn until_done<T>(
    stop: &mut Receiver<()>,
    journal: &Journal,
    mut part: impl FnMut() -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    let (mut said, mut next) = (String::new(), FIRST);
    loop {
        let line = match part() {
            Ok(done) => return Ok(Some(done)),
            Err(failure) if !failure.passes => return Err(failure),
            Err(failure) => failure.line,
        };
        if line != said {
            journal.line(Level::Warn, format!("{line}; waiting for it to pass"), Vec::new());
            service::waits(&line);
            said = line;
        }
        if next > LONG {
            service::waits_for_long();
        }
        // The thread of the signals has ended: nobody could stop it any more, and the pause is all that is left.
        let told = within(next, stop.recv()).await;
        match told {
            Some(Some(())) => return Ok(None),
            Some(None) => pause(next).await,
            None => {}
        }
        next = (next * 2).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error, ErrorKind};
    use tokio::sync::mpsc;

    fn failing(kind: ErrorKind) -> Failure {
        Failure::io("the port cannot be used", &Error::from(kind), "choose another")
    }

    #[tokio::test]
    async fn what_passes_is_waited_for_and_the_rest_is_a_failure() {
        let (_thread, mut stop) = mpsc::channel(1);
        let (journal, _log) = Journal::start(Level::Error).expect("a thread");
        let mut tries = 0;
        let done = until_done(&mut stop, &journal, || {
            tries += 1;
            if tries < 3 { Err(failing(ErrorKind::AddrInUse)) } else { Ok(tries) }
        });
        assert_eq!(done.await, Ok(Some(3)));
        let never = until_done(&mut stop, &journal, || Err::<(), _>(failing(ErrorKind::PermissionDenied))).await;
        assert_eq!(never, Err(failing(ErrorKind::PermissionDenied)));
    }

    #[tokio::test]
    async fn who_waits_can_be_told_to_stop() {
        let (thread, mut stop) = mpsc::channel(1);
        let (journal, _log) = Journal::start(Level::Error).expect("a thread");
        thread.try_send(()).expect("room");
        let done = until_done(&mut stop, &journal, || Err::<(), _>(failing(ErrorKind::StorageFull))).await;
        assert_eq!(done, Ok(None));
    }
}
