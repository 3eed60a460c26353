//! The manual pages that are no command's: the configuration file and the log, made from what the program itself says.

use crate::protocol::Trouble;
use clap::{Arg, Command};
use clap_mangen::roff::{Roff, bold, roman};
use std::io;
use std::path::{Path, PathBuf};

/// What an administrator meets in the log, and what it means.
const WORDS: [(&str, &str); 7] = [
    ("epoch", "The number of a reign. It grows with each, so the higher one is the later."),
    ("claim", "A machine's wish to lead the next epoch."),
    ("backed", "So many others agree: the old leader is gone for them too."),
    ("successor", "The machine that takes over when the leader goes; it holds everything that was acknowledged."),
    ("suspected, answered", "The leader was not heard, and was asked. When it answers, nothing changes."),
    ("handover", "A change of leader that was asked for: by a person, by a stop, or by a disk that does not work."),
    ("reunion", "Two leaders met after a split, and one of them yields. The line says for how long both had led."),
];

/// Which part of the log to read, and how.
const READING: [(&str, &str); 4] = [
    ("journalctl -u tanist -p warning", "who was lost, why, and who leads since; and whatever is the matter"),
    ("journalctl -u tanist TANIST_EVENT=leading", "the times at which this machine took over"),
    ("tanist status", "how this machine stands, and what is the matter with it"),
    ("tanist history", "every change of leader that this machine saw, with the reason"),
];

/// Where a page of a section goes: beside `man1`, when the directory is called so.
fn place(dir: &Path, section: u8) -> PathBuf {
    if dir.file_name().is_some_and(|name| name == "man1") {
        dir.with_file_name(format!("man{section}"))
    } else {
        dir.to_owned()
    }
}

/// Writes both pages.
///
/// # Errors
/// What cannot be written.
pub(super) fn write(dir: &Path, agent: &Command) -> io::Result<()> {
    for (section, name, page) in [(5, "tanist.toml.5", settings(agent)), (7, "tanist.7", log())] {
        let dir = place(dir, section);
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join(name), page.render())?;
    }
    Ok(())
}

fn begin(title: &str, section: &str, about: &str) -> Roff {
    let mut page = Roff::new();
    page.control("TH", [title, section, "", concat!("tanist ", env!("CARGO_PKG_VERSION"))]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{} - {about}", title.to_lowercase()))]);
    page
}

fn list(page: &mut Roff, all: impl IntoIterator<Item = (String, String)>) {
    for (word, text) in all {
        page.control("TP", []);
        page.text([bold(word)]);
        page.text([roman(text)]);
    }
}

/// The keys of the file are the flags of the agent.
fn settings(agent: &Command) -> Roff {
    let mut page = begin("TANIST.TOML", "5", "configuration of the tanist agent");
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(
        "Nothing needs to be configured. The agent reads /etc/tanist/tanist.toml if it exists, or what --config names. A \
         variable TANIST_... overrules the file, and a flag overrules both. Texts and durations stand in quotes; where \
         several values are allowed a list takes them: peer = [\"10.0.2.7\"]. tanist-check(1) names what is wrong, by line \
         and key.",
    )]);
    page.control("SH", ["KEYS"]);
    let key = |arg: &Arg| {
        let long = arg.get_long().filter(|long| !["config", "help", "version"].contains(long))?;
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        Some((long.replace('-', "_"), help))
    };
    list(&mut page, agent.get_arguments().filter_map(key));
    page.control("SH", ["SEE ALSO"]);
    page.text([roman("tanist-agent(1), tanist-check(1), tanist(7)")]);
    page
}

fn log() -> Roff {
    let own = |all: &[(&str, &str)]| -> Vec<(String, String)> {
        all.iter().map(|(word, text)| ((*word).to_owned(), (*text).to_owned())).collect()
    };
    let mut page = begin("TANIST", "7", "what the agent's log says, and what may be the matter");
    page.control("SH", ["READING"]);
    list(&mut page, own(&READING));
    page.control("SH", ["WORDS"]);
    list(&mut page, own(&WORDS));
    page.control("SH", ["TROUBLE"]);
    page.text([roman("What tanist-status(1) and systemctl status show when something is the matter.")]);
    list(&mut page, Trouble::ALL.map(|trouble| (trouble.as_str().to_owned(), trouble.text().to_owned())));
    page.control("SH", ["SEE ALSO"]);
    page.text([roman("tanist(1), tanist-status(1), tanist-history(1), tanist.toml(5)")]);
    page
}
