//! All processes of a command: its children and theirs, also those that went away from it. This process adopts whatever loses
//! its parent, so that nobody gets lost.

use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getpid};
use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::process::Child;

/// Between two looks at whether all have ended.
const LOOK: Duration = Duration::from_millis(5);

/// How long the kernel may take to end what was killed. A process that hangs in a disk may take for ever.
const KILLED: Duration = Duration::from_secs(2);

/// The processes that descend from this one. There is one of it, and one command at a time.
#[derive(Debug)]
pub struct Tree {
    /// The command's own process, which is waited for elsewhere.
    first: Option<Pid>,
}

impl Tree {
    /// From now on, whatever loses its parent among the descendants of this process is this one's.
    ///
    /// # Errors
    /// Never on a Linux of this century.
    pub fn adopt() -> io::Result<Tree> {
        set_child_subreaper(true)?;
        Ok(Tree { first: None })
    }

    /// The command was started.
    pub fn of(&mut self, child: &Child) {
        self.first = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    }

    /// Takes leave of adopted processes that have ended.
    pub fn reap(&self) {
        let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(ended) = waitid(Id::All, peek) {
            match ended.pid() {
                Some(pid) if Some(pid) != self.first && ended != WaitStatus::StillAlive => {
                    if waitpid(pid, Some(WaitPidFlag::WNOHANG)).is_err() {
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    /// Stops all: SIGTERM for those that run, and SIGKILL when the grace is over or `hurry` is done. All have ended when this
    /// returns, but for those that the kernel cannot end.
    pub async fn stop(&mut self, mut child: Option<&mut Child>, grace: Duration, hurry: impl Future<Output = ()>) {
        #[expect(clippy::disallowed_methods, reason = "a grace of seconds, which a machine that sleeps lengthens")]
        let began = Instant::now();
        let (mut told, mut hurried) = (false, false);
        let mut hurry = pin!(hurry);
        loop {
            if let Some(child) = child.as_deref_mut()
                && !matches!(child.try_wait(), Ok(None))
            {
                self.first = None;
            }
            if child.is_none() {
                self.first = None;
            }
            self.reap();
            let living = descendants();
            if living.is_empty() && self.first.is_none() {
                return;
            }
            if hurried || began.elapsed() >= grace {
                if began.elapsed() >= grace + KILLED {
                    return;
                }
                for pid in &living {
                    let _ = kill(*pid, Signal::SIGKILL);
                }
            } else if !std::mem::replace(&mut told, true) {
                // Whatever they start to end with is let do its work. One that was stopped hears of it when it goes on.
                for pid in &living {
                    let _ = kill(*pid, Signal::SIGTERM);
                    let _ = kill(*pid, Signal::SIGCONT);
                }
            }
            #[expect(clippy::disallowed_methods, reason = "a program that sleeps with its machine loses nothing")]
            let look = tokio::time::sleep(LOOK);
            tokio::select! {
                () = look => {}
                () = &mut hurry, if !hurried => hurried = true,
            }
        }
    }
}

/// All living processes that descend from this one.
fn descendants() -> Vec<Pid> {
    let mut children: BTreeMap<Pid, Vec<Pid>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        if let Some(parent) = parent(&stat) {
            children.entry(Pid::from_raw(parent)).or_default().push(Pid::from_raw(pid));
        }
    }
    let (mut found, mut next) = (Vec::new(), vec![getpid()]);
    while let Some(pid) = next.pop() {
        let own = children.remove(&pid).unwrap_or_default();
        found.extend(&own);
        next.extend(own);
    }
    found
}

/// The parent of a process that lives, from its line in `/proc`: behind its name, which may contain anything, stand its state
/// and its parent.
fn parent(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    (!matches!(state, 'Z' | 'X')).then_some(parent)
}

#[cfg(test)]
mod tests {
    use super::parent;

    #[test]
    fn the_parent_is_read_whatever_a_process_is_called() {
        assert_eq!(parent("12 (sh) S 7 12 12 0"), Some(7));
        assert_eq!(parent("12 (a) R 9 (b) T 8 12"), Some(8));
        assert_eq!(parent("12 (sh) Z 7 12"), None, "it has ended");
        assert_eq!(parent("12"), None);
    }
}
