//! Configured peers: names become addresses, at the start and again while the agent runs. A machine may boot before
//! anybody answers for names, and addresses change.

use super::clock::{self, within};
use super::config::Peer;
use super::journal::{Journal, Level};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the start waits for names at most.
const START: Duration = Duration::from_secs(2);

/// How many addresses of one name are greeted.
const ADDRESSES: usize = 4;

/// How many names are looked up at one time: each takes a thread while nobody answers.
const LOOKUPS: usize = 8;

/// The pauses between two looks while a name has no address: they double.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How often all names are looked up again.
const AGAIN: Duration = Duration::from_secs(300);

/// How many changes wait for the loop.
const CHANGES: usize = 1;

/// One peer, and where it is.
struct Known {
    peer: Peer,
    /// An address needs no lookup.
    name: bool,
    addresses: Vec<SocketAddr>, // bound: ADDRESSES
    /// Why it has none.
    why: String,
}

/// All of them.
pub(super) struct Peers {
    port: u16,
    all: Vec<Known>, // bound: PEERS of the configuration
}

impl Peers {
    /// Looks all names up, for 2 s at most. One that has no address by then is named in the log, and looked up again.
    pub(super) async fn find(peers: Vec<Peer>, port: u16, journal: &Journal) -> Peers {
        let known = |peer: Peer| match peer.host.parse::<IpAddr>() {
            Ok(ip) => {
                let addresses = vec![SocketAddr::new(ip, peer.port.unwrap_or(port))];
                Known { peer, name: false, addresses, why: String::new() }
            }
            Err(_) => Known { peer, name: true, addresses: Vec::new(), why: "there was no answer yet".to_owned() },
        };
        let mut peers = Peers { port, all: peers.into_iter().map(known).collect() };
        let _ = within(START, peers.look(true)).await;
        for missing in peers.all.iter().filter(|k| k.addresses.is_empty()) {
            let text = format!(
                "peer {} is not greeted yet, and looked up again: its address is not known: {}",
                missing.peer.host, missing.why
            );
            journal.line(Level::Warn, text, Vec::new());
        }
        peers
    }

    /// Where they all are, as far as that is known.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.all.iter().flat_map(|k| k.addresses.iter().copied()).collect()
    }

    /// The IPv4 multicast groups among them.
    pub(super) fn groups(&self) -> Vec<Ipv4Addr> {
        let group = |peer: &SocketAddr| match peer.ip() {
            IpAddr::V4(ip) if ip.is_multicast() => Some(ip),
            _ => None,
        };
        self.addresses().iter().filter_map(group).collect()
    }

    /// Goes on looking. What comes out is where they all are, whenever that changed.
    pub(super) fn follow(self, journal: Journal) -> mpsc::Receiver<Vec<SocketAddr>> {
        let (changes, receiver) = mpsc::channel(CHANGES);
        if self.all.iter().any(|k| k.name) {
            tokio::spawn(self.look_again(journal, changes));
        }
        receiver
    }

    async fn look_again(mut self, journal: Journal, changes: mpsc::Sender<Vec<SocketAddr>>) {
        let (mut pause, mut looked) = (PAUSES.0, clock::time());
        loop {
            let missing = self.all.iter().any(|k| k.addresses.is_empty());
            tokio::select! {
                () = clock::pause(if missing { pause } else { AGAIN }) => {}
                () = changes.closed() => return,
            }
            pause = (pause * 2).min(PAUSES.1);
            let all = clock::time().since(looked) >= AGAIN;
            if all {
                looked = clock::time();
            }
            let before = self.addresses();
            for host in self.look(all).await {
                journal.line(Level::Info, format!("the address of peer {host} is known now"), Vec::new());
            }
            let now = self.addresses();
            if now != before && changes.send(now).await.is_err() {
                return;
            }
        }
    }

    /// Looks up all names, or those that have no address. What is found counts at once, and a name that is not found
    /// keeps what it had. Gives back the names that had no address before.
    async fn look(&mut self, all: bool) -> Vec<String> {
        let mut found = Vec::new();
        let due: Vec<usize> =
            (0..self.all.len()).filter(|i| self.all[*i].name && (all || self.all[*i].addresses.is_empty())).collect();
        for some in due.chunks(LOOKUPS) {
            let ask = |i: &usize| {
                let peer = &self.all[*i].peer;
                let asks = (peer.host.clone(), peer.port.unwrap_or(self.port));
                tokio::spawn(async move { tokio::net::lookup_host(asks).await.map(Iterator::collect) })
            };
            let asked: Vec<_> = some.iter().map(ask).collect();
            for (i, asked) in some.iter().zip(asked) {
                let answer: Result<Vec<SocketAddr>, String> = match asked.await {
                    Ok(answer) => answer.map_err(|e| e.to_string()),
                    Err(e) => Err(e.to_string()),
                };
                if self.all[*i].answered(answer) {
                    found.push(self.all[*i].peer.host.clone());
                }
            }
        }
        found
    }
}

impl Known {
    /// Takes in an answer; true when there was no address before.
    fn answered(&mut self, answer: Result<Vec<SocketAddr>, String>) -> bool {
        match answer {
            Ok(mut found) if !found.is_empty() => {
                // Whoever answers for names may turn their order.
                found.sort_unstable();
                found.dedup();
                found.truncate(ADDRESSES);
                std::mem::replace(&mut self.addresses, found).is_empty()
            }
            Ok(_) => false,
            Err(why) => {
                self.why = why;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> SocketAddr {
        ([10, 0, 0, last], 8264).into()
    }

    #[test]
    fn a_name_keeps_its_addresses_until_there_are_others() {
        let peer = Peer { host: "pc-7".to_owned(), port: None };
        let mut known = Known { peer, name: true, addresses: Vec::new(), why: String::new() };
        assert!(!known.answered(Err("nobody answers".to_owned())));
        assert_eq!((known.addresses.len(), known.why.as_str()), (0, "nobody answers"));
        assert!(known.answered(Ok(vec![at(2), at(1), at(2)])), "known for the first time");
        assert!(!known.answered(Ok(vec![at(1), at(2)])), "in whatever order");
        assert!(!known.answered(Err("nobody answers".to_owned())));
        assert!(!known.answered(Ok(Vec::new())));
        assert_eq!(known.addresses, [at(1), at(2)]);
        assert!(!known.answered(Ok((3..90).map(at).collect())));
        assert_eq!(known.addresses, [at(3), at(4), at(5), at(6)]);
    }

    #[tokio::test]
    async fn addresses_need_no_lookup_and_groups_are_known() {
        let (journal, _) = Journal::start(Level::Error).expect("a thread");
        let peer = |host: &str, port| Peer { host: host.to_owned(), port };
        let all = vec![peer("10.0.0.1", None), peer("239.1.2.3", Some(9)), peer("fe80::1", None)];
        let peers = Peers::find(all, 8264, &journal).await;
        let expected: Vec<SocketAddr> =
            ["10.0.0.1:8264", "239.1.2.3:9", "[fe80::1]:8264"].iter().map(|a| a.parse().expect("one")).collect();
        assert_eq!(peers.addresses(), expected);
        assert_eq!(peers.groups(), [Ipv4Addr::new(239, 1, 2, 3)]);
        assert_eq!(peers.follow(journal).recv().await, None, "nothing will change");
    }
}
