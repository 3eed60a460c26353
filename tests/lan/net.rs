//! Machines, cables and switches: namespaces, pairs of virtual Ethernet ends, and bridges in the test's own namespace.
//! What goes wrong between machines is a packet filter in the switches, so that no machine can notice it by itself.

use super::commands::{ip, nft};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// A machine's name by its number.
pub(crate) fn name(machine: usize) -> String {
    format!("pc-{machine}")
}

/// The switch's end of a cable.
pub(crate) fn port(machine: usize, device: &str) -> String {
    format!("p{machine}-{device}")
}

/// The cables, and what is wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Net {
    /// Machine and device of each cable.
    cables: Vec<(usize, String)>,
    /// From whom to whom nothing passes.
    cuts: BTreeSet<(usize, usize)>,
    /// Ports of switches through which nothing passes, and which have carrier.
    pub(crate) dead: BTreeSet<String>,
    /// Ports through which packets longer than so many bytes do not pass.
    pub(crate) narrow: BTreeMap<String, u32>,
    /// So many of a hundred datagrams are lost.
    loss: u32,
    /// So many of a hundred packets of every kind are lost.
    pub(crate) loss_of_all: u32,
}

/// Puts an empty file system in memory at a directory, for this test and what it starts alone.
pub(crate) fn in_memory(dir: &Path) {
    let made = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(dir).status();
    assert!(made.is_ok_and(|status| status.success()), "a file system in memory at {}", dir.display());
}

impl Net {
    /// A LAN without anything.
    pub(crate) async fn new() -> Self {
        in_memory("/run".as_ref());
        // Before the kernel hands bridged packets to the filters of routed ones: it may take them out of the way here.
        nft(None, "add table bridge lan\nadd chain bridge lan forward { type filter hook forward priority -300; }\n")
            .await;
        // A switch does not ask a firewall about every packet. Where this module is not loaded there is nothing to write.
        for table in ["arptables", "iptables", "ip6tables"] {
            let _ = std::fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{table}"), "0");
        }
        Net::default()
    }

    /// A switch.
    pub(crate) async fn switch(&self, switch: &str) {
        ip(None, &format!("link add {switch} type bridge\nlink set {switch} up\n")).await;
    }

    /// A machine without a cable.
    pub(crate) async fn machine(&self, machine: usize) {
        let name = name(machine);
        ip(None, &format!("netns add {name}\n")).await;
        ip(Some(&name), "link set lo up\n").await;
    }

    /// A cable from a machine's new device to a switch; without an address beyond IPv6's own.
    pub(crate) async fn cable(&mut self, machine: usize, device: &str, switch: &str) {
        let (name, port) = (name(machine), port(machine, device));
        let lines = format!(
            "link add {port} type veth peer name {device} netns {name}\nlink set {port} master {switch}\n\
             link set {port} up\n"
        );
        ip(None, &lines).await;
        ip(Some(&name), &format!("link set {device} up\n")).await;
        self.cables.push((machine, device.to_owned()));
    }

    /// Cuts, or mends, what goes from some machines to others.
    pub(crate) async fn cut(&mut self, from: &[usize], to: &[usize], cut: bool) {
        for pair in from.iter().flat_map(|from| to.iter().map(|to| (*from, *to))) {
            if cut {
                self.cuts.insert(pair);
            } else {
                self.cuts.remove(&pair);
            }
        }
        self.filter().await;
    }

    /// Mends everything. Every kind of fault must have hit something, or the test has shown nothing.
    pub(crate) async fn mend(&mut self) {
        let rules = nft(None, "list chain bridge lan forward\n").await;
        assert!(rules.contains(" counter packets ") && !rules.contains(" packets 0 "), "nothing was lost: {rules}");
        self.heal().await;
    }

    /// Mends everything, whether or not anything was lost.
    pub(crate) async fn heal(&mut self) {
        self.cuts.clear();
        self.dead.clear();
        self.narrow.clear();
        (self.loss, self.loss_of_all) = (0, 0);
        self.filter().await;
    }

    /// Loses so many of a hundred datagrams on their way through the switches.
    pub(crate) async fn lose(&mut self, percent: u32) {
        self.loss = percent;
        self.filter().await;
    }

    /// Writes the filter anew, in one transaction.
    pub(crate) async fn filter(&self) {
        let mut lines = String::from("flush chain bridge lan forward\n");
        for (which, loss) in [("meta l4proto udp ", self.loss), ("", self.loss_of_all)] {
            if loss > 0 {
                let rule = format!("{which}numgen random mod 100 < {loss} counter drop");
                lines.push_str(&format!("add rule bridge lan forward {rule}\n"));
            }
        }
        let ports = |machine: usize| self.cables.iter().filter(move |(m, _)| *m == machine).map(|(m, d)| port(*m, d));
        let pairs: Vec<String> = self
            .cuts
            .iter()
            .flat_map(|(from, to)| ports(*from).flat_map(|from| ports(*to).map(move |to| (from.clone(), to))))
            .map(|(from, to)| format!("\"{from}\" . \"{to}\""))
            .collect();
        if !pairs.is_empty() {
            let pairs = pairs.join(", ");
            lines.push_str(&format!("add rule bridge lan forward iifname . oifname {{ {pairs} }} counter drop\n"));
        }
        let dead = self.dead.iter().map(|port| (port, String::new()));
        let narrow = self.narrow.iter().map(|(port, longest)| (port, format!("meta length > {longest} ")));
        for (port, which) in dead.chain(narrow) {
            for side in ["iifname", "oifname"] {
                lines.push_str(&format!("add rule bridge lan forward {side} \"{port}\" {which}counter drop\n"));
            }
        }
        nft(None, &lines).await;
    }
}
