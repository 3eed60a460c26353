//! What the figures were taken on.

use std::fs;

/// One paragraph: processors, memory, kernel, the day, and the command.
pub(crate) fn described(command: &str) -> String {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let only = if words.is_empty() { String::new() } else { format!(", only {}", words.join(" and ")) };
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let count = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let now = tanist::view::Stamp(tanist::agent::clock::now().wall).to_string();
    let day = now.split('T').next().unwrap_or_default();
    format!(
        "{day}, {count} × {model}, {} GiB of memory, Linux {}, load {load} when it ended: `{command}`{only}\n",
        kib.div_ceil(1 << 20),
        kernel.trim()
    )
}
