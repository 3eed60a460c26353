//! The kernel's freezer.

use super::agents::{Agent, Life};
use std::path::{Path, PathBuf};

impl Agent {
    /// Freezes it, or lets it go on, by the kernel's freezer, which a process cannot notice. False when this user has
    /// no control group to do that with.
    pub(crate) fn freeze(&mut self, frozen: bool) -> bool {
        let test = self.dir.parent().expect("the test's directory");
        let Some(group) = groups(test).map(|groups| groups.join(&self.name)) else { return false };
        if frozen {
            let pid = self.pid.expect("it runs").to_string();
            let made = std::fs::create_dir_all(&group).and_then(|()| std::fs::write(group.join("cgroup.procs"), pid));
            if made.is_err() {
                return false;
            }
        }
        if std::fs::write(group.join("cgroup.freeze"), if frozen { "1" } else { "0" }).is_err() {
            return false;
        }
        self.life = if frozen { Life::Frozen } else { Life::Running };
        true
    }
}

/// The directory of a test's control groups, one for each agent, in this process's own, where version 2 is mounted.
fn groups(test: &Path) -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4)?.to_owned();
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?.to_owned();
    let test = test.file_name()?.to_str()?.trim_start_matches('.').to_owned();
    Some(Path::new(&mount).join(own).join(format!("tanist-lan-{test}")))
}

/// Removes the control groups of a test that has ended.
pub(crate) fn thaw_all(dir: &Path) {
    let Some(groups) = groups(dir) else { return };
    // Most tests have none.
    let Ok(inside) = std::fs::read_dir(&groups) else { return };
    for group in inside.flatten().filter(|entry| entry.path().is_dir()) {
        let _ = std::fs::remove_dir(group.path());
    }
    let _ = std::fs::remove_dir(groups);
}
