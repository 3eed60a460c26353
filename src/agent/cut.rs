//! A network that is cut, for `tanist demo` alone: agents on loopback addresses of one machine, between which there is no
//! cable to pull. A file names the addresses that are out of reach, one a line. What goes on there is what goes on behind
//! a cut cable, which is silence: nobody is refused, and nothing ends.

use super::clock::pause;
use std::collections::BTreeSet;
use std::fs::File;
use std::future::Future;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;
use tokio::sync::watch;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How much of the file is read, in bytes: more addresses than a demo has agents.
const FILE: u64 = 4096;

/// Which addresses are out of reach; none ever, unless it follows a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Cut(Option<watch::Receiver<BTreeSet<IpAddr>>>);

impl Cut {
    /// What the file says, now and from now on. Needs a tokio runtime.
    pub(super) fn follow(file: PathBuf) -> Cut {
        let (said, listed) = watch::channel(read(&file));
        tokio::spawn(async move {
            while !said.is_closed() {
                pause(LOOK).await;
                let now = read(&file);
                said.send_if_modified(|listed| std::mem::replace(listed, now.clone()) != now);
            }
        });
        Cut(Some(listed))
    }

    /// Whether this address is out of reach.
    pub(super) fn has(&self, ip: IpAddr) -> bool {
        self.0.as_ref().is_some_and(|listed| listed.borrow().contains(&ip))
    }

    /// Waits until this address is out of reach, or is in reach.
    async fn until(&self, ip: IpAddr, out_of_reach: bool) {
        match &self.0 {
            // An error would mean that nobody looks at the file any more: the agent is ending.
            Some(listed) => drop(listed.clone().wait_for(|listed| listed.contains(&ip) == out_of_reach).await),
            None if out_of_reach => std::future::pending().await,
            None => {}
        }
    }

    /// What `future` gives, which stands still while this address is out of reach. Its timers go on.
    pub(super) async fn carries<F: Future>(&self, ip: IpAddr, future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            self.until(ip, false).await;
            tokio::select! {
                biased;
                () = self.until(ip, true) => {}
                output = &mut future => return output,
            }
        }
    }
}

/// The addresses in the file; none when it is not there. A line that is no address names nobody.
fn read(file: &Path) -> BTreeSet<IpAddr> {
    let mut text = String::new();
    // What cannot be read cuts nothing.
    let _ = File::open(file).and_then(|file| file.take(FILE).read_to_string(&mut text));
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::clock::within;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 3));

    /// Longer than any of these may take.
    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn a_file_names_addresses_and_a_strange_one_names_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("cut");
        assert_eq!(read(&file), BTreeSet::new(), "it is not there");
        for (text, expected) in [("", &[][..]), ("127.0.0.2\nnobody\n 127.0.0.3 \n\n", &[HERE, THERE])] {
            std::fs::write(&file, text).expect("written");
            assert_eq!(read(&file), expected.iter().copied().collect(), "{text:?}");
        }
    }

    #[tokio::test]
    async fn what_goes_to_an_address_stands_still_while_it_is_listed() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("cut");
        std::fs::write(&file, "127.0.0.3\n").expect("written");
        let cut = Cut::follow(file.clone());
        assert!(cut.has(THERE) && !cut.has(HERE), "it is known at once");
        assert_eq!(cut.carries(HERE, async { 1 }).await, 1);
        let stands = within(LOOK * 4, cut.carries(THERE, async { 2 })).await;
        assert_eq!(stands, None, "it is ready, and nothing comes of it");
        let goes_on = async {
            std::fs::write(&file, "").expect("written");
        };
        let (carried, ()) = tokio::join!(within(LONG, cut.carries(THERE, async { 3 })), goes_on);
        assert_eq!((carried, cut.has(THERE)), (Some(3), false));
        std::fs::remove_file(&file).expect("removed");
        // What is under way is held up too.
        let (begins, mut goes) = tokio::sync::mpsc::channel::<u8>(1);
        let listed = async {
            std::fs::write(&file, "127.0.0.3").expect("written");
            within(LONG, cut.until(THERE, true)).await.expect("it is seen");
            begins.send(4).await.expect("room");
            within(LOOK * 4, std::future::pending::<()>()).await
        };
        let held = tokio::select! {
            biased;
            none = listed => none,
            got = cut.carries(THERE, goes.recv()) => unreachable!("{got:?} came through"),
        };
        assert_eq!(held, None);
    }

    #[tokio::test]
    async fn without_a_file_everybody_is_in_reach() {
        let cut = Cut::default();
        assert!(!cut.has(HERE));
        assert_eq!(cut.carries(HERE, async { 5 }).await, 5);
        assert_eq!(within(Duration::from_millis(1), cut.until(HERE, true)).await, None);
    }
}
