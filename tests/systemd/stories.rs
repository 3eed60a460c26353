//! What happens to packages and services on machines.

use super::ground::{built, package, sh, story};
use super::machine::Machine;
use super::office::{DEADLINE, Office};
use super::tree::{BOOKWORM, TRIXIE};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// An installation on fresh machines ends with "active, and a leader known" within this, and so does a start.
const KNOWN: Duration = Duration::from_secs(5);

/// A request on a machine that is being upgraded waits for less.
const RESTART: Duration = Duration::from_secs(1);

/// Others wait for less when a machine falls silent: three heartbeats of 250 ms, and the election.
const SILENCE: Duration = Duration::from_millis(2500);

/// The unit is there, and what it waits for is told.
const STATE: &str = "systemctl is-active tanist.service tanist.socket || true";

/// The same package as a later version.
fn next(dir: &Path) -> PathBuf {
    let (package, dir) = (package().expect("looked for"), dir.display());
    sh(&format!(
        "dpkg-deb --raw-extract {} {dir}/next
         sed -i 's/^Version: .*/&.1/' {dir}/next/DEBIAN/control
         dpkg-deb --build -Zgzip -z1 {dir}/next {dir}/next.deb",
        package.display()
    ));
    Path::new(&dir.to_string()).join("next.deb")
}

/// What a machine has of this package beside what dpkg itself remembers.
fn left(machine: &Machine) -> Vec<String> {
    let find = "find / -xdev \\( -path /var/lib/dpkg -o -path /proc -o -path /sys -o -path /root -o -path /var/log \\) \
                -prune -o -name '*tanist*' -print; find /run -name '*tanist*'";
    let mut found: Vec<String> = machine.run(find).lines().map(str::to_owned).collect();
    found.sort();
    found
}

fn installed(dir: &Path, tree: &Path) -> Office {
    let office = Office::booted(3, dir, tree);
    office.put(&package().expect("looked for"), "root/tanist.deb");
    let begun = Instant::now();
    office.run("dpkg --install /root/tanist.deb && systemctl is-active tanist.service tanist.socket");
    office.leader();
    let took = begun.elapsed();
    // Ten times the exposure that the service may have.
    office.machines[0]
        .run("systemd-analyze security --offline=true --threshold=15 /usr/lib/systemd/system/tanist.service");
    println!("systemd | installed on three machines, and a leader known, after {took:.2?}");
    assert!(took < KNOWN, "{took:?}");
    office
}

/// One machine after the other gets the next version, the leader where it comes, while users write on all: nobody fails.
fn upgraded(office: &mut Office, dir: &Path) {
    office.put(&next(dir), "root/next.deb");
    for k in 0..3 {
        let what = format!("upgrade of {}", office.machines[k].name);
        let days = office.under_writes(&what, k, RESTART, |machine| {
            machine.run("dpkg --install /root/next.deb");
        });
        assert!(days.failed.is_empty(), "{what}: {:#?}", days.failed);
        assert!(days.worst < RESTART, "{what}: users waited for {:?}", days.worst);
        assert!(office.machines[k].run("dpkg --status tanist").contains("-1.1\n"));
    }
    office.leader();
}

/// What ends a service, or a machine: the others go on, and it comes back, unless somebody stopped it.
fn ends(office: &mut Office) {
    let leader = office.leader();
    let days = office.under_writes("kill -9", leader, RESTART, |machine| {
        machine.run("systemctl kill --signal=KILL tanist.service");
        machine.until(KNOWN, "it is started again", || machine.fails("tanist leader").0 == Some(0));
    });
    assert!(days.failed.len() <= 1, "all but what was on its way waits: {:#?}", days.failed);
    assert!(days.worst < RESTART, "kill -9: users waited for {:?}", days.worst);
    let leader = office.leader();
    office.under_writes("systemctl stop", leader, RESTART, |machine| {
        machine.run("systemctl stop tanist.service");
        // Users go on asking; nobody's question starts it again.
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(machine.run(STATE), "inactive\ninactive\n");
        assert_eq!(machine.fails("tanist status").0, Some(69));
        machine.run("systemctl start tanist.service");
        machine.until(KNOWN, "it knows the leader", || machine.fails("tanist leader").0 == Some(0));
    });
    let leader = office.leader();
    office.under_writes("hard power-off", leader, SILENCE, |machine| {
        machine.power_off_hard();
        machine.switch_on();
        machine.booted();
    });
    let leader = office.leader();
    office.under_writes("reboot", leader, RESTART, Machine::reboot);
    office.leader();
}

/// Removal leaves the state and its owner, purge nothing; the machine as a fresh one can get it again.
fn removed(machine: &Machine) {
    machine.run("dpkg --remove tanist");
    assert_eq!(left(machine), ["/var/lib/tanist", "/var/lib/tanist/tanist.redb"]);
    machine.run(
        "dpkg --install /root/tanist.deb && systemctl is-active tanist.service && systemctl is-enabled tanist.service",
    );
    machine
        .run("mkdir /etc/tanist && echo 'priority = 50' > /etc/tanist/tanist.toml && systemctl restart tanist.service");
    machine.run("dpkg --purge tanist");
    assert_eq!(left(machine), [""; 0]);
    assert_eq!(machine.fails("getent passwd tanist").0, Some(2), "its user is gone");
    assert_eq!(machine.run("systemctl --failed --quiet --no-legend"), "");
}

/// The tarball installs, upgrades and removes the same below `/usr/local`.
fn unpacked(machine: &Machine) {
    let tarball = built("tar.xz").expect("made with the others");
    sh(&format!(
        "mkdir {0}/root/t && tar -C {0}/root/t -xf {1} --strip-components=1",
        machine.root.display(),
        tarball.display()
    ));
    machine.run("/root/t/install.sh && systemctl is-active tanist.service tanist.socket && tanist leader --wait=5s");
    machine.run("systemd-analyze verify /usr/local/lib/systemd/system/tanist.service 2>&1 | grep -v Unknown; true");
    machine.run("/root/t/install.sh && systemctl is-active tanist.service && tanist leader --wait=5s");
    machine.run("/root/t/install.sh remove");
    assert_eq!(left(machine), ["/var/lib/tanist", "/var/lib/tanist/tanist.redb"]);
    machine.run("/root/t/install.sh && systemctl is-active tanist.service && /root/t/install.sh purge");
    assert_eq!(left(machine), [""; 0]);
}

/// The life of a package on three machines with systemd 252.
#[test]
fn the_package_on_debian_12() {
    story("stories::the_package_on_debian_12", BOOKWORM, |dir, tree| {
        let mut office = installed(dir, tree);
        upgraded(&mut office, dir);
        ends(&mut office);
        office.nothing_is_lost();
        removed(&office.machines[0]);
        unpacked(&office.machines[0]);
    });
}

/// The same with systemd 257.
#[test]
fn the_package_on_debian_13() {
    story("stories::the_package_on_debian_13", TRIXIE, |dir, tree| {
        let mut office = installed(dir, tree);
        upgraded(&mut office, dir);
        ends(&mut office);
        office.nothing_is_lost();
        let machine = &office.machines[0];
        let units = "/usr/lib/systemd/system/tanist.*";
        assert_eq!(machine.run(&format!("systemd-analyze verify {units}")), "", "nothing to remark");
        removed(machine);
    });
}

/// What may be wrong where it is installed: one line says so where an administrator looks first.
#[test]
fn what_is_wrong_is_said_in_one_line() {
    story("stories::what_is_wrong_is_said_in_one_line", TRIXIE, |dir, tree| {
        let office = Office::booted(1, dir, tree);
        let machine = &office.machines[0];
        office.put(&package().expect("looked for"), "root/tanist.deb");
        another_program_has_the_port(machine);
        state_of_a_later_version(machine);
        a_socket_without_service(machine);
        a_service_without_socket(machine);
    });
}

/// How often a line is in the journal of the unit.
fn said(machine: &Machine, unit: &str, line: &str) -> usize {
    machine.run(&format!("journalctl --quiet --no-pager -o cat -u {unit}")).matches(line).count()
}

/// The installation does not wait for that program to end, and the agent does.
fn another_program_has_the_port(machine: &Machine) {
    machine.run(
        "dpkg-deb --fsys-tarfile /root/tanist.deb | tar -xO ./usr/bin/tanist > /root/other && chmod +x /root/other",
    );
    machine.run(
        "systemd-run --quiet --unit=other /root/other agent --cluster other --state-dir /run/other --socket /run/other/sock",
    );
    machine.until(DEADLINE, "the other one has the port", || machine.fails("test -S /run/other/sock").0 == Some(0));
    let begun = Instant::now();
    machine.run("dpkg --install /root/tanist.deb");
    assert!(begun.elapsed() < KNOWN, "{:?}", begun.elapsed());
    let line =
        "TCP port 8264 cannot be used: another program, or another agent, has it: stop that one, or choose another";
    assert!(machine.run("systemctl status tanist.service").contains(&format!("Status: \"waiting: {line}")));
    machine.run("systemctl stop other.service");
    machine.run("tanist leader --wait=10s");
    assert_eq!(said(machine, "tanist.service", line), 1);
    assert_eq!(machine.run("systemctl show --property=NRestarts --value tanist.service"), "0\n");
}

/// After a downgrade: refused once, and left as it is.
fn state_of_a_later_version(machine: &Machine) {
    let format =
        |n: u8| format!("printf '\\{n:03o}' | dd of=/var/lib/tanist/tanist.redb bs=1 seek=64 conv=notrunc status=none");
    machine
        .run(&format!("systemctl stop tanist.service && cp /var/lib/tanist/tanist.redb /root/whole && {}", format(77)));
    assert_eq!(machine.fails("systemctl start tanist.service").0, Some(1));
    // Longer than the pause after which it would be started again.
    std::thread::sleep(Duration::from_secs(1));
    let status = machine.fails("systemctl status tanist.service").1;
    let line = "/var/lib/tanist/tanist.redb was written by a later version of tanist (format 77): install that one";
    assert!(status.contains(line) && status.contains("status=65"), "{status}");
    assert_eq!(machine.run("systemctl show --property=NRestarts --value tanist.service"), "0\n");
    assert_eq!(said(machine, "tanist.service", line), 1);
    assert_eq!(machine.run(STATE), "failed\ninactive\n", "users are not kept waiting");
    machine.run(
        "cp /root/whole /var/lib/tanist/tanist.redb && systemctl start tanist.service && tanist leader --wait=10s",
    );
}

/// A socket unit whose service is not to be had does not take what nobody would answer.
fn a_socket_without_service(machine: &Machine) {
    machine.run("systemctl stop tanist.service && systemctl mask --quiet tanist.service");
    assert_eq!(machine.fails("systemctl start tanist.socket").0, Some(1));
    assert!(said(machine, "tanist.socket", "Socket service tanist.service not loaded, refusing.") > 0);
    assert_eq!(machine.fails("tanist status").0, Some(69));
    machine.run("systemctl unmask --quiet tanist.service");
    // With its service, a request starts it.
    machine.run("systemctl start tanist.socket && tanist status && systemctl is-active tanist.service");
}

/// Without the socket unit the agent makes its own, and takes it away.
fn a_service_without_socket(machine: &Machine) {
    machine
        .run("systemctl stop tanist.service && systemctl mask --quiet tanist.socket && systemctl start tanist.service");
    machine.run("tanist leader --wait=10s && systemctl restart tanist.service && tanist leader --wait=10s");
    assert_eq!(machine.run(STATE), "active\ninactive\n");
    machine.run("systemctl stop tanist.service && ! test -e /run/tanist/tanist.sock");
    machine.run("systemctl unmask --quiet tanist.socket && systemctl start tanist.service");
    assert_eq!(machine.run(STATE), "active\nactive\n");
}
