//! Where a demo plays: addresses, a port, a name and a directory that nobody else uses.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Ports below those that kernels give out by themselves.
const PORTS: std::ops::Range<u64> = 20_000..32_000;

/// How many places are tried before the demo gives up.
const TRIES: usize = 100;

/// The longest path that a Unix socket can have, its end included.
const SOCKET_PATH: usize = 107;

/// A place for a demo.
#[derive(Debug)]
pub(super) struct Ground {
    /// The agents' addresses, one after the other.
    pub(super) addresses: Vec<Ipv4Addr>,
    /// Their port.
    pub(super) port: u16,
    /// Their cluster.
    pub(super) cluster: String,
    /// Holds everything that they write; it is removed at the end.
    pub(super) dir: Dir,
}

impl Ground {
    /// A place for so many agents.
    pub(super) fn find(agents: usize) -> Result<Self, String> {
        for _ in 0..TRIES {
            let (net, host, port) = (draw(1..255)?, draw(1..255)?, draw(PORTS)?);
            let port = u16::try_from(port).unwrap_or(u16::MAX);
            let address = |n: usize| Ipv4Addr::new(127, low(net), low(host), low(n as u64 + 1));
            let addresses: Vec<Ipv4Addr> = (0..agents).map(address).collect();
            if addresses.iter().all(|address| is_free(*address, port)) {
                let cluster = format!("demo-{:08x}", draw(0..1 << 32)?);
                return Ok(Self { addresses, port, cluster, dir: Dir::new()? });
            }
        }
        Err(format!("no port is free on {agents} loopback addresses: is there a loopback interface, and is it up?"))
    }
}

fn low(n: u64) -> u8 {
    u8::try_from(n).unwrap_or(u8::MAX)
}

/// Nobody has this port for UDP or TCP.
fn is_free(address: Ipv4Addr, port: u16) -> bool {
    UdpSocket::bind((address, port)).is_ok() && TcpListener::bind((address, port)).is_ok()
}

/// A number from the range.
fn draw(range: std::ops::Range<u64>) -> Result<u64, String> {
    let random = getrandom::u64().map_err(|error| format!("no random numbers: {error}"))?;
    Ok(range.start + random % (range.end - range.start))
}

/// A directory that goes with its owner.
#[derive(Debug)]
pub(super) struct Dir(PathBuf);

impl Dir {
    fn new() -> Result<Self, String> {
        let name = format!("tanist-demo-{:08x}", draw(0..1 << 32)?);
        // Only the first of these may be long.
        let mut homes = vec![std::env::temp_dir()];
        homes.extend(std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from));
        homes.push(PathBuf::from("/tmp"));
        let fits = |home: &PathBuf| home.join(&name).join("pc-12/sock").as_os_str().len() < SOCKET_PATH;
        let home = homes.into_iter().find(fits).unwrap_or_else(|| PathBuf::from("/tmp"));
        let dir = home.join(name);
        let made = std::fs::DirBuilder::new().mode(0o700).create(&dir);
        made.map_err(|error| format!("could not make {}: {error}; name another place with TMPDIR", dir.display()))?;
        Ok(Self(dir))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // Whatever stays behind is in the directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_places_have_nothing_in_common_and_go_away() {
        let (one, other) = (Ground::find(3).expect("a place"), Ground::find(3).expect("a place"));
        assert_eq!(one.addresses.len(), 3);
        assert!(one.addresses.iter().all(|address| address.is_loopback() && address.octets()[1] != 0));
        assert_ne!(one.cluster, other.cluster);
        assert_ne!(one.dir.path(), other.dir.path());
        let path = one.dir.path().to_owned();
        assert!(path.is_dir());
        drop(one);
        assert!(!path.exists());
    }

    #[test]
    fn a_port_that_somebody_has_is_not_free() {
        let held = UdpSocket::bind((Ipv4Addr::new(127, 9, 9, 9), 0)).expect("a port");
        let port = held.local_addr().expect("an address").port();
        assert!(!is_free(Ipv4Addr::new(127, 9, 9, 9), port));
    }
}
