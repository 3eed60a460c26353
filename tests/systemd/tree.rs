//! The tree that machines begin with: a small Debian, made once.

use super::ground::sh;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The releases, and their systemd: 252 and 257.
pub(crate) const BOOKWORM: &str = "bookworm";
pub(crate) const TRIXIE: &str = "trixie";

/// Where the tree of a release is. The first call makes those that are missing, all at once.
///
/// # Panics
/// When one cannot be made.
pub(crate) fn of(suite: &str) -> PathBuf {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        std::thread::scope(|scope| {
            for suite in [BOOKWORM, TRIXIE] {
                scope.spawn(move || make(suite));
            }
        });
    });
    place(suite)
}

fn place(suite: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("systemd").join(suite)
}

/// In memory first: what is made there need not be synced file by file.
fn make(suite: &str) {
    let place = place(suite);
    if place.exists() {
        return;
    }
    let place = place.display();
    sh(&format!(
        "rm -rf {place}.new && mkdir -p {place}.new && exec unshare --mount sh -ec '
         mount -t tmpfs tmpfs /mnt
         debootstrap --variant=minbase --include=systemd-sysv {suite} /mnt/tree > /mnt/log 2>&1 || {{ tail /mnt/log >&2; exit 1; }}
         cd /mnt/tree
         rm -rf var/cache/apt/* var/lib/apt/lists/* usr/share/doc/* usr/share/locale/* etc/hostname etc/machine-id
         mkdir -p var/log/journal
         systemctl --quiet --root=. mask console-getty.service getty.target systemd-logind.service apt-daily.timer \
           apt-daily-upgrade.timer dpkg-db-backup.timer
         cp -a . {place}.new && mv {place}.new {place}'"
    ));
}
