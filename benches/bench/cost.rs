//! What processes cost: processor, memory, and packets where they enter the switch.

use super::commands::nft;
use super::net::port;
use std::fs;

/// Time on a processor since the process began, in seconds: of all its threads.
///
/// # Errors
/// When there is no such process.
pub(crate) fn processor(pid: i32) -> Result<f64, String> {
    let mut nanoseconds = 0.0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).map_err(|e| format!("process {pid}: {e}"))? {
        let path = task.map_err(|e| e.to_string())?.path().join("schedstat");
        // A thread may end meanwhile.
        let text = fs::read_to_string(path).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|ran| ran.parse::<f64>().ok()).unwrap_or(0.0);
    }
    Ok(nanoseconds / 1e9)
}

/// Resident memory, and this process's share of what it shares with others, in megabytes (10⁶ bytes).
///
/// # Errors
/// When there is no such process.
pub(crate) fn memory(pid: i32) -> Result<(f64, f64), String> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).map_err(|e| format!("process {pid}: {e}"))?;
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    Ok((kib("Rss:") * 1024.0 / 1e6, kib("Pss:") * 1024.0 / 1e6))
}

/// Kinds of packets, and how the switch knows them.
pub(crate) const KINDS: [(&str, &str); 5] = [
    ("IPv4 datagrams", "ether type ip meta l4proto udp"),
    ("IPv6 datagrams", "ether type ip6 meta l4proto udp"),
    ("TCP packets", "meta l4proto tcp"),
    ("all packets", ""),
    ("TCP packets that carry something", "meta l4proto tcp tcp flags & psh == psh"),
];

/// The place of what is said on connections among them.
pub(crate) const TCP: usize = 2;

/// The place of all packets among them.
pub(crate) const ALL: usize = 3;

/// Has the switch count what comes from machines.
pub(crate) async fn count(machines: &[usize]) {
    let mut lines = String::from("add chain bridge lan count { type filter hook prerouting priority -300; }\n");
    for machine in machines {
        for (_, kind) in KINDS {
            let port = port(*machine, "eth0");
            lines.push_str(&format!("add rule bridge lan count iifname \"{port}\" {kind} counter\n"));
        }
    }
    nft(None, &lines).await;
}

/// What was counted: for each machine in turn, packets and bytes of each kind.
pub(crate) async fn counted() -> Vec<Vec<(f64, f64)>> {
    let text = nft(None, "list chain bridge lan count\n").await;
    let number = |line: &str, after: &str| {
        let rest = line.split_once(after).map_or("", |(_, rest)| rest);
        rest.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
    };
    let rules = text.lines().filter(|line| line.contains(" counter packets "));
    let all: Vec<(f64, f64)> = rules.map(|line| (number(line, " counter packets "), number(line, " bytes "))).collect();
    all.chunks(KINDS.len()).map(<[(f64, f64)]>::to_vec).collect()
}
