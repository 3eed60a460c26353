//! How private namespaces are made here.

use std::io::Read;
use std::process::Command;
use std::sync::OnceLock;

/// New namespaces: network, mounts, host name, processes. The first process is the test; with it everything ends.
const PRIVATE: [&str; 6] = ["--net", "--mount", "--uts", "--pid", "--fork", "--kill-child"];
const AS_USER: [&str; 2] = ["--user", "--map-root-user"];

/// All that the harness needs, tried once.
const TRY: &str = "set -e
mount -t tmpfs tmpfs /run
ip netns add try
ip link add lan type bridge
ip link add end1 type veth peer name end2 netns try
nsenter --net=/run/netns/try ip link set lo up
nft 'add table bridge t'
nft 'add chain bridge t c { type filter hook forward priority -300; }'
nft 'add rule bridge t c meta l4proto udp numgen random mod 100 < 30 drop'";

/// The flags for `unshare` with which everything works here, or why nothing does.
pub(crate) fn way() -> &'static Result<Vec<&'static str>, String> {
    static WAY: OnceLock<Result<Vec<&'static str>, String>> = OnceLock::new();
    WAY.get_or_init(|| {
        let mut ways: Vec<Vec<&str>> = vec![[&AS_USER[..], &PRIVATE[..]].concat()];
        if nix::unistd::geteuid().is_root() {
            ways.insert(0, PRIVATE.to_vec());
        }
        let mut why = String::new();
        for way in ways {
            let tried = Command::new("timeout").args(["20", "unshare"]).args(&way).args(["sh", "-c", TRY]).output();
            match tried {
                Ok(output) if output.status.success() => return Ok(way),
                Ok(output) => why = String::from_utf8_lossy(&output.stderr).trim().to_owned(),
                Err(error) => why = format!("timeout: {error}"),
            }
        }
        Err(format!("no LAN can be made of network namespaces here: {why}"))
    })
}

/// Ends this process when the other end of its standard input closes, however the process there dies.
pub(crate) fn end_with_parent() {
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut rest);
        eprintln!("the process that started this one is gone");
        std::process::exit(1);
    });
}
