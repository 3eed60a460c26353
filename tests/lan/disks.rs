//! Small disks, and what fills them.

use super::lan::Lan;
use super::net::name;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Gives a folder of a machine's agent, such as its state, a file system of its own, of so many MiB.
pub(crate) fn small_disk(lan: &Lan, machine: usize, folder: &str, size: u32) -> PathBuf {
    let state = lan.machines[machine - 1].agent.dir.join(folder);
    std::fs::create_dir_all(&state).expect("a directory");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", &format!("size={size}m,mode=700"), "tmpfs"])
        .arg(&state)
        .status();
    assert!(mounted.is_ok_and(|status| status.success()), "a file system of its own for {}", name(machine));
    state
}

/// Takes all the space that there is on a disk. Whoever removes the file gives it back.
pub(crate) fn fill(state: &Path) -> PathBuf {
    let path = state.join("fill");
    let mut file = std::fs::File::create(&path).expect("it has space");
    for size in [1 << 16, 512] {
        let full = loop {
            if let Err(why) = file.write_all(&vec![1; size]) {
                break why;
            }
        };
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }
    path
}
