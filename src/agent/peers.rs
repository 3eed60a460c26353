//! Configured peers: names become addresses once, at the start.

use super::clock::within;
use super::config::Peer;
use super::journal::{Journal, Level};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How long the start waits for names at most.
const NAMES: Duration = Duration::from_secs(2);

/// How many addresses of one name are greeted.
const ADDRESSES: usize = 4;

/// The addresses of the peers. A name that has none now is named in the log and left out.
pub(super) async fn resolve(peers: &[Peer], port: u16, journal: &Journal) -> Vec<SocketAddr> {
    let asked: Vec<_> = peers
        .iter()
        .map(|peer| {
            let asks = (peer.host.clone(), peer.port.unwrap_or(port));
            (peer, tokio::spawn(async move { tokio::net::lookup_host(asks).await.map(|found| found.collect()) }))
        })
        .collect();
    let mut all = Vec::new();
    let answers = within(NAMES, async {
        for (peer, asked) in asked {
            let found: Result<Vec<SocketAddr>, String> = match asked.await {
                Ok(found) => found.map_err(|e| e.to_string()),
                Err(e) => Err(e.to_string()),
            };
            match found {
                Ok(found) => all.extend(found.into_iter().take(ADDRESSES)),
                Err(why) => {
                    let text = format!("peer {} is not greeted: its address is not known: {why}", peer.host);
                    journal.line(Level::Warn, text, Vec::new());
                }
            }
        }
    });
    if answers.await.is_none() {
        journal.line(Level::Warn, "names of peers were not found in 2 s: those are not greeted", Vec::new());
    }
    all
}

/// The IPv4 multicast groups among the peers.
pub(super) fn groups(peers: &[SocketAddr]) -> Vec<Ipv4Addr> {
    let group = |peer: &SocketAddr| match peer.ip() {
        IpAddr::V4(ip) if ip.is_multicast() => Some(ip),
        _ => None,
    };
    peers.iter().filter_map(group).collect()
}
