//! Floods of every socket of a leader and a follower, from a machine on their LAN and from programs on their own: the
//! heartbeats go on, nobody loses the leader, memory and log stay bounded.
//!
//! Every flood has an end, in time and in count.

mod local;
mod tcp;
mod udp;

use crate::ground::story;
use crate::lan::{Lan, SETTLE, SLACK};
use crate::net::name;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tanist::ident::NodeId;
use tanist::message::{Cast, Datagram};
use tanist::wire::Wire;

/// The default interval.
const INTERVAL: Duration = Duration::from_millis(250);

/// How long a flood lasts.
const FLOOD: Duration = Duration::from_secs(3);

/// What the flooding machine is called, and another name of it that nobody can answer.
const HERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);
const NOWHERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 253);

/// What an agent may grow by while it is flooded, in KiB: 256 first frames of 64 KiB and the kernel of an allocator.
const GROWTH: u64 = 40 * 1024;

/// Datagrams that are kept to be sent again.
const KEPT: usize = 512;

/// What is flooded, and for how long.
struct Prey {
    /// The leader's and a follower's.
    addresses: Vec<SocketAddr>,
    sockets: Vec<PathBuf>,
    /// Real datagrams, heard a moment ago.
    heard: Vec<Vec<u8>>,
    end: Instant,
    chance: u64,
}

impl Prey {
    fn goes_on(&self) -> bool {
        Instant::now() < self.end
    }

    /// Draws that repeat themselves late (xorshift).
    fn draw(&mut self) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| (self.draw() >> 24) as u8).collect()
    }

    fn address(&mut self) -> SocketAddr {
        let index = self.draw() as usize % self.addresses.len();
        self.addresses[index]
    }

    fn socket(&mut self) -> PathBuf {
        let index = self.draw() as usize % self.sockets.len();
        self.sockets[index].clone()
    }
}

/// A pause between two pieces of a flood.
fn breathe() {
    std::thread::sleep(Duration::from_millis(1));
}

/// Listens to what is broadcast on the LAN.
struct Ear {
    heard: Arc<Mutex<Heard>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What was heard.
#[derive(Default)]
struct Heard {
    /// At most `KEPT`.
    datagrams: Vec<Vec<u8>>,
    /// When each leader's heartbeats came.
    beats: BTreeMap<NodeId, Vec<Instant>>,
}

impl Ear {
    fn new() -> Self {
        let socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8264))).expect("a free port");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a time");
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let stop: Arc<AtomicBool> = Arc::default();
        let (mine, over) = (heard.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let wire = Wire::new("office");
            let mut bytes = [0; 2048];
            while !over.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut bytes) else { continue };
                if [HERE, NOWHERE].map(IpAddr::V4).contains(&from.ip()) {
                    continue;
                }
                let at = Instant::now();
                let mut heard = mine.lock().unwrap_or_else(PoisonError::into_inner);
                if heard.datagrams.len() < KEPT {
                    heard.datagrams.push(bytes[..length].to_vec());
                }
                if let Ok(Datagram { from, cast: Cast::Heartbeat(_) }) = wire.read_datagram(&bytes[..length]) {
                    heard.beats.entry(from.node.id).or_default().push(at);
                }
            }
        });
        Self { heard, stop, thread: Some(thread) }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The longest pause between two heartbeats since a moment.
    fn longest_pause(&self, leader: NodeId, since: Instant) -> Duration {
        let heard = self.heard();
        let beats: Vec<Instant> = heard.beats[&leader].iter().copied().filter(|at| *at >= since - INTERVAL).collect();
        let pauses = beats.windows(2).map(|two| two[1] - two[0]);
        pauses.chain(beats.last().map(|last| last.elapsed())).max().expect("there are heartbeats")
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

type Flood = (&'static str, fn(&mut Prey));

/// Three machines, flooded in one way after the other.
async fn flooded(lan: &mut Lan, floods: &[Flood]) {
    lan.office(3).await;
    // The flooding machine is the switch itself.
    crate::commands::ip(None, "addr add 10.77.0.254/24 brd + dev office\naddr add 10.77.0.253/32 dev office\n").await;
    let ear = Ear::new();
    let all = lan.all();
    lan.start(&all);
    let reign = lan.settled(&all, SETTLE + SLACK).await;
    let follower = lan.but(&[reign.leader])[0];
    let leader = lan.status(reign.leader).await.expect("it answers").node.id;
    lan.quiet(2 * INTERVAL).await;
    let before: Vec<u64> = all.iter().map(|machine| lan.resident(*machine)).collect();
    for (what, flood) in floods {
        let at = Instant::now();
        lan.note(what);
        let both = [reign.leader, follower];
        let mut prey = Prey {
            addresses: both.map(|m| SocketAddr::from((Ipv4Addr::new(10, 77, 0, m as u8), 8264))).to_vec(),
            sockets: both.map(|m| lan.socket(m)).to_vec(),
            heard: ear.heard().datagrams.clone(),
            end: at + FLOOD,
            chance: 0x5eed_5eed,
        };
        let flood = *flood;
        let flooding = tokio::task::spawn_blocking(move || flood(&mut prey));
        lan.quiet(FLOOD + 2 * INTERVAL).await;
        lan.until(SLACK, "the flood is over", async |_| flooding.is_finished().then_some(())).await;
        flooding.await.expect("it floods");
        let pause = ear.longest_pause(leader, at);
        let grown = all.iter().zip(&before).map(|(m, before)| lan.resident(*m).saturating_sub(*before)).max();
        let grown = grown.expect("there are agents");
        lan.say(&format!("{what}: heartbeats {pause:.1?} apart at most, memory grown by {grown} KiB at most"));
        assert!(pause <= 2 * INTERVAL, "{what}: a heartbeat was {:?} late", pause - INTERVAL);
        assert!(grown <= GROWTH, "{what}: an agent grew by {grown} KiB");
        for machine in &all {
            assert!(!lan.has_told(*machine, "leader-lost", at), "{what}: {} lost its leader", name(*machine));
            let most = lan.most_lines(*machine, at);
            let seconds = at.elapsed().as_secs() as usize + 2;
            assert!(most.0 <= seconds, "{what}: {} logged {} lines like {:?}", name(*machine), most.0, most.1);
        }
        assert_eq!(lan.settled(&all, SLACK).await, reign, "{what}: nobody is deposed");
    }
}

#[test]
fn floods_of_datagrams() {
    story("floods::floods_of_datagrams", async |lan| flooded(lan, &udp::FLOODS).await);
}

#[test]
fn floods_of_connections() {
    story("floods::floods_of_connections", async |lan| {
        // What goes back to that address is lost.
        let rule = "add rule inet nowhere in ip daddr 10.77.0.253 drop";
        let hook = "{ type filter hook input priority 0; }";
        crate::commands::nft(None, &format!("add table inet nowhere\nadd chain inet nowhere in {hook}\n{rule}\n"))
            .await;
        flooded(lan, &tcp::FLOODS).await;
    });
}

#[test]
fn floods_of_the_local_socket() {
    story("floods::floods_of_the_local_socket", async |lan| flooded(lan, &local::FLOODS).await);
}
