//! What this machine takes at least for what an agent at rest hears and says: a thread that reads and does nothing, and a
//! process that sends and does nothing.

use super::commands::within;
use super::net::name;
use nix::net::if_::if_nametoindex;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Has this program send for so many seconds, and say what that took.
const SPEAK: &str = "TANIST_BENCH_SPEAK";

/// Everybody of `Lan::office`.
const OFFICE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 255);

/// Nobody listens there.
const PORT: u16 = 9;

/// About as long as a heartbeat.
const DATAGRAM: [u8; 200] = [7; 200];

/// Time of this thread on a processor, in seconds.
fn ran() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ran| ran.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}

/// A thread that reads as many datagrams as a follower hears (two every 250 ms, and an answer every second), for so many
/// seconds: what that took, in seconds on a processor.
pub(crate) fn reader(during: usize) -> JoinHandle<f64> {
    let (mouth, ear) = UnixDatagram::pair().expect("a pair of sockets");
    thread::spawn(move || {
        for quarter in 0..during * 4 {
            thread::sleep(Duration::from_millis(250));
            for _ in 0..if quarter % 4 == 0 { 3 } else { 2 } {
                mouth.send(&DATAGRAM).expect("somebody listens");
            }
        }
        mouth.send(&[]).expect("somebody listens");
    });
    thread::spawn(move || {
        let (begun, mut heard) = (ran(), [0; 400]);
        while ear.recv(&mut heard).is_ok_and(|length| length > 0) {}
        ran() - begun
    })
}

/// A process on this machine of the LAN that sends what a leader sends (a broadcast of IPv4 and one of IPv6 every 250 ms),
/// for so many seconds: what that took, in seconds on a processor. A virtual switch works in its sender's time.
///
/// # Errors
/// When it could not send.
pub(crate) async fn sender(machine: usize, during: usize) -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = within(Some(&name(machine)), &program.display().to_string());
    let output = command.env(SPEAK, during.to_string()).output().await.map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    said.trim().parse().map_err(|_| format!("it sent nothing: {said}{}", String::from_utf8_lossy(&output.stderr)))
}

/// When this process was started to send: sends, and prints what that took.
pub(crate) fn speaks() -> bool {
    let Some(during) = std::env::var(SPEAK).ok().and_then(|text| text.parse::<usize>().ok()) else { return false };
    let (four, six) = (UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)), UdpSocket::bind("[::]:0"));
    let (four, six) = (four.expect("a socket"), six.expect("a socket"));
    four.set_broadcast(true).expect("a socket");
    let link = if_nametoindex("eth0").expect("it has a cable");
    let group = SocketAddrV6::new("ff12::8264".parse().expect("a group"), PORT, 0, link);
    let begun = ran();
    for _ in 0..during * 4 {
        thread::sleep(Duration::from_millis(250));
        four.send_to(&DATAGRAM, (OFFICE, PORT)).expect("it sends");
        six.send_to(&DATAGRAM, SocketAddr::V6(group)).expect("it sends");
    }
    println!("{}", ran() - begun);
    true
}
