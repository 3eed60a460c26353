//! What is in the packages, without a machine to install them on.

use super::ground::{built, skip};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn tanist() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tanist"))
}

/// The example names every key with what it is when it is not set, and is valid with each of them in effect.
#[test]
fn the_example_is_a_valid_configuration_and_has_every_key() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/tanist.toml");
    let text = std::fs::read_to_string(&example).expect("it is there");
    let keys: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix('#')).filter(|line| !line.starts_with(' ')).collect();
    let keys: Vec<&str> = keys.into_iter().filter(|line| line.contains(" = ") || line.starts_with('[')).collect();
    let dir = tempfile::tempdir().expect("a directory");
    let in_effect = dir.path().join("tanist.toml");
    // One address and lists of interfaces have no effect together.
    let together: Vec<&str> = keys.iter().copied().filter(|line| !line.starts_with("bind ")).collect();
    std::fs::write(&in_effect, together.join("\n")).expect("written");
    for file in [&example, &in_effect] {
        let checked = tanist().arg("check").arg(file).output().expect("it runs");
        let said = String::from_utf8_lossy(&checked.stdout);
        assert!(
            checked.status.success() && !said.contains("WARN"),
            "{said}{}",
            String::from_utf8_lossy(&checked.stderr)
        );
    }
    let help = tanist().args(["agent", "--help"]).output().expect("it runs").stdout;
    let help = String::from_utf8_lossy(&help);
    let flags = help.lines().filter_map(|line| line.trim().strip_prefix("--")?.split([' ', '=', '<', '[']).next());
    let flags: BTreeSet<String> = flags.filter(|flag| *flag != "config").map(|flag| flag.replace('-', "_")).collect();
    // The table of hooks comes last, and is no flag.
    let own = keys.iter().take_while(|line| !line.starts_with('['));
    let named: BTreeSet<String> = own.filter_map(|line| Some(line.split_once(" = ")?.0.to_owned())).collect();
    assert_eq!(named, flags);
    let defaults = [("cluster", "\"office\""), ("port", "8264"), ("heartbeat", "\"250ms\""), ("priority", "100")];
    for (key, value) in defaults {
        assert!(keys.contains(&format!("{key} = {value}").as_str()), "{key}");
    }
}

/// The files in a tree, or that a program lists, without folders.
fn list(command: &mut Command) -> BTreeSet<String> {
    let output = command.output().unwrap_or_else(|why| panic!("{:?}: {why}", command.get_program()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let files = lines.lines().map(|line| line.trim_start_matches('.').trim_start_matches('/').to_owned());
    files.filter(|file| !file.is_empty() && !file.ends_with('/')).collect()
}

/// The three packages hold the same.
#[test]
fn all_packages_hold_the_same_files() {
    let name = "files::all_packages_hold_the_same_files";
    let (rpm, tarball) = match (built("rpm"), built("tar.xz")) {
        (Ok(rpm), Ok(tarball)) => (rpm, tarball),
        (Err(why), _) | (_, Err(why)) => return skip(name, &why),
    };
    if Command::new("rpm").arg("--version").output().is_err() {
        return skip(name, "there is no rpm here");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/package/root");
    let files = list(Command::new("find").current_dir(&root).args([".", "-type", "f"]));
    let wanted = [
        "usr/bin/tanist",
        "usr/lib/systemd/system/tanist.service",
        "usr/lib/systemd/system/tanist.socket",
        "usr/lib/sysusers.d/tanist.conf",
        "usr/lib/firewalld/services/tanist.xml",
        "usr/share/tanist/ufw",
        "usr/share/tanist/tanist.toml",
        "usr/share/man/man1/tanist-agent.1.gz",
        "usr/share/man/man5/tanist.toml.5.gz",
        "usr/share/man/man7/tanist.7.gz",
        "usr/share/bash-completion/completions/tanist",
        "usr/share/zsh/site-functions/_tanist",
        "usr/share/fish/vendor_completions.d/tanist.fish",
        "usr/share/doc/tanist/LICENSE-MIT",
        "usr/share/doc/tanist/LICENSE-APACHE",
    ];
    assert!(wanted.iter().all(|file| files.contains(*file)), "{files:#?}");
    // What the package says that it holds, and what comes out of it.
    assert_eq!(list(Command::new("rpm").args(["-qpl"]).arg(&rpm)), files);
    let unpacked = tempfile::tempdir().expect("a directory");
    let mut unpack = Command::new("sh");
    unpack.args(["-ec", "rpm2cpio \"$1\" | cpio --quiet -idm && find . -type f", "sh"]).arg(&rpm);
    assert_eq!(list(unpack.current_dir(unpacked.path())), files);
    let scripts = Command::new("rpm").args(["-qp", "--scripts"]).arg(&rpm).output().expect("it runs").stdout;
    let scripts = String::from_utf8_lossy(&scripts);
    for script in ["postinstall scriptlet", "preuninstall scriptlet", "postuninstall scriptlet"] {
        assert!(scripts.contains(script), "{scripts}");
    }
    let inside = |path: String| path.split_once('/').map_or(String::new(), |(_, rest)| rest.to_owned());
    let packed: BTreeSet<String> = list(Command::new("tar").arg("-tf").arg(&tarball)).into_iter().map(inside).collect();
    let more: Vec<&String> = packed.symmetric_difference(&files).collect();
    assert_eq!(more, ["install.sh"]);
}
