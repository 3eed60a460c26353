//! A machine: a disk in memory over the tree, a cable to the switch, and systemd as its first process.

use super::ground::{end, remove, sh};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a machine may take to boot, and to shut down.
const BOOT: Duration = Duration::from_secs(30);

/// How `systemd-nspawn` ends when the machine reboots.
const REBOOTS: i32 = 133;

/// See the module.
pub(crate) struct Machine {
    pub(crate) name: String,
    number: usize,
    /// Its disk, as the machine sees it.
    pub(crate) root: PathBuf,
    /// Its first process's keeper, when it is on.
    nspawn: Option<Child>,
}

impl Machine {
    /// A new one, switched off, with a cable to the switch `lan`.
    pub(crate) fn new(number: usize, dir: &Path, tree: &Path) -> Self {
        let name = format!("pc-{number}");
        let (disk, tree) = (dir.join(&name), tree.display());
        let disk = disk.display();
        let id = uuid::Uuid::new_v4().simple();
        sh(&format!(
            "mkdir {disk} && mount -t tmpfs -o size=256m tmpfs {disk} && mkdir -p {disk}/upper/etc {disk}/work {disk}/root
             echo {id} > {disk}/upper/etc/machine-id
             echo {name} > {disk}/upper/etc/hostname
             mount -t overlay -o lowerdir={tree},upperdir={disk}/upper,workdir={disk}/work {name} {disk}/root
             ip netns add {name}
             ip link add p{number} type veth peer name host0 netns {name}
             ip link set p{number} master lan up
             ip -n {name} link set lo up
             ip -n {name} address add 10.88.0.{number}/24 brd + dev host0
             ip -n {name} link set host0 up"
        ));
        Self { name, number, root: dir.join(format!("pc-{number}/root")), nspawn: None }
    }

    fn group(&self) -> PathBuf {
        Path::new("/sys/fs/cgroup").join(&self.name)
    }

    /// Switches it on. [`Machine::booted`] waits for the rest.
    pub(crate) fn switch_on(&mut self) {
        assert!(remove(&self.group()) || !self.group().exists(), "{} is off", self.name);
        fs::create_dir(self.group()).expect("a control group");
        sh(&format!("ip link set p{} up", self.number));
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$1\"/cgroup.procs && shift && exec \"$@\"", "sh"]).arg(self.group());
        command.args(["systemd-nspawn", "--quiet", "--settings=no", "--boot", "--register=no", "--keep-unit"]);
        command.args(["--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe"]);
        command.arg(format!("--network-namespace-path=/run/netns/{}", self.name));
        command.arg(format!("--directory={}", self.root.display())).arg(format!("--machine={}", self.name));
        let console = fs::File::create(self.root.with_file_name("console")).expect("a file");
        command.stdin(Stdio::null()).stdout(console.try_clone().expect("a copy")).stderr(console);
        self.nspawn = Some(command.spawn().expect("`sh` runs"));
    }

    /// Waits until it has booted.
    pub(crate) fn booted(&self) {
        self.until(BOOT, "it has booted", || {
            let state = self.try_run("systemctl is-system-running").map(|output| output.stdout).unwrap_or_default();
            let state = String::from_utf8_lossy(&state).trim().to_owned();
            ["running", "degraded"].contains(&state.as_str())
        });
    }

    /// Pulls its plug.
    pub(crate) fn power_off_hard(&mut self) {
        // Nothing that is still on its way arrives, and no kernel answers for it.
        sh(&format!("ip link set p{} down", self.number));
        end(&self.group());
        let _ = self.nspawn.take().map(|mut nspawn| nspawn.wait());
    }

    /// Restarts it in order, and waits until it has booted again.
    pub(crate) fn reboot(&mut self) {
        let _ = self.try_run("systemctl --no-block reboot");
        let mut nspawn = self.nspawn.take().expect("it is on");
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = nspawn.try_wait().expect("a child") {
                break status;
            }
            assert!(begun.elapsed() < BOOT, "{} does not shut down", self.name);
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(status.code(), Some(REBOOTS), "{} reboots", self.name);
        self.switch_on();
        self.booted();
    }

    /// Its first process, as it is called here.
    pub(crate) fn init(&self) -> Option<u32> {
        let payload = self.group().join("payload");
        let first = |id: &u32| {
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            let ids = status.lines().find(|line| line.starts_with("NSpid:")).unwrap_or_default();
            ids.ends_with("\t1")
        };
        let groups = [payload.join("init.scope/cgroup.procs"), payload.join("cgroup.procs")];
        let ids = groups.iter().flat_map(fs::read_to_string).collect::<String>();
        ids.lines().filter_map(|id| id.parse().ok()).find(first)
    }

    /// Its local socket, as it is reached from here; none when it is off.
    pub(crate) fn socket(&self) -> Option<PathBuf> {
        Some(PathBuf::from(format!("/proc/{}/root/run/tanist/tanist.sock", self.init()?)))
    }

    /// Runs a few lines of shell on it; none when it is off.
    pub(crate) fn try_run(&self, script: &str) -> Option<Output> {
        let init = self.init()?.to_string();
        let group = self.group().join("payload/user");
        let _ = fs::create_dir(&group);
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$1\"/cgroup.procs && shift && exec \"$@\"", "sh"]).arg(group);
        command.args(["nsenter", "-t", &init, "-m", "-u", "-i", "-n", "-p", "-C", "--", "env", "-i"]);
        command.args(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]);
        command.args(["DEBIAN_FRONTEND=noninteractive", "sh", "-c", script]).stdin(Stdio::null());
        command.output().ok()
    }

    /// Runs a few lines of shell on it: what they say.
    ///
    /// # Panics
    /// When they fail.
    pub(crate) fn run(&self, script: &str) -> String {
        let output = self.try_run(script).unwrap_or_else(|| panic!("{} is off", self.name));
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}: {script}: {}\n{err}\n{out}", self.name, output.status);
        format!("{out}{err}")
    }

    /// Runs a few lines of shell that may fail: their exit status, and what they say.
    pub(crate) fn fails(&self, script: &str) -> (Option<i32>, String) {
        let output = self.try_run(script).unwrap_or_else(|| panic!("{} is off", self.name));
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), format!("{out}{err}"))
    }

    /// Puts a file on its disk.
    pub(crate) fn put(&self, file: &Path, place: &str) {
        fs::copy(file, self.root.join(place)).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    }

    /// Waits until something is so.
    ///
    /// # Panics
    /// When it takes longer than `limit`.
    pub(crate) fn until(&self, limit: Duration, what: &str, mut so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !so() {
            assert!(begun.elapsed() < limit, "{}: {what}: not within {limit:?}", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What its service logged last.
    pub(crate) fn journal(&self) -> String {
        let read = "journalctl --quiet --no-pager -o short-precise -n 60 -u tanist.service -u tanist.socket";
        self.try_run(read).map_or_else(String::new, |output| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
