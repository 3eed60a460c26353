//! The house rules that no compiler checks: which file may import which, how long files and functions are, which words
//! pure code may not use, that everything that grows names its bound where it is declared, and that every paragraph of
//! the protocol that is cited exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The longest file, in lines.
const FILE_MAX: usize = 500;
/// The longest function, in lines.
const FUNCTION_MAX: usize = 70;
/// The floor of the plain values.
const VALUES: u8 = 1;
/// The floors below this one are pure: no clock, no thread, no randomness of their own, no printing.
const IMPURE: u8 = 4;

/// Words that pure floors may not use outside comments and tests.
const BANNED: [&str; 20] = [
    "Instant",
    "SystemTime",
    "std::thread",
    "tokio",
    "tracing",
    "HashMap",
    "HashSet",
    "rand::random",
    "getrandom",
    "println!",
    "eprintln!",
    "dbg!",
    "std::fs",
    "std::process",
    "std::env",
    "TcpStream",
    "UdpSocket",
    "Mutex",
    "RwLock",
    "thread_local!",
];

/// Folders whose files import one another in no circle, and the path of each folder in its crate.
const NO_CIRCLES: [(&str, &str); 5] = [
    ("benches/bench", "crate::bench::"),
    ("src/agent", "crate::agent::"),
    ("src/protocol", "crate::protocol::"),
    ("src/store", "crate::store::"),
    ("src/wire", "crate::wire::"),
];

/// Where paragraphs of the protocol are cited: folders, and files that stand alone.
const CITING: [&str; 6] = ["src", "tests", "benches", "fuzz/src", "fuzz/fuzz_targets", "docs"];
const CITING_ALONE: [&str; 3] = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"];

/// Types that grow.
const GROWING: [&str; 9] =
    ["Vec<", "VecDeque<", "BTreeMap<", "BTreeSet<", "BinaryHeap<", "Sender<", "Receiver<", "JoinSet<", "IndexMap<"];

/// The floor of a module by its first name, from the bottom.
fn floor(module: &str) -> Option<u8> {
    Some(match module {
        "ident" | "time" => 0,
        "message" | "data" | "claim" | "settings" | "event" => 1,
        "ledger" => 2,
        "protocol" => 3,
        "store" | "wire" | "view" | "processes" => 4,
        "agent" | "client" => 5,
        "cli" => 6,
        "lib" | "main" => 7,
        _ => return None,
    })
}

struct File {
    path: PathBuf,
    module: String,
    text: String,
}

impl File {
    /// The lines that are code of the program: without comments, and without the tests at the end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        let program = lines.take_while(|(_, line)| line.trim() != "#[cfg(test)]" || self.tests_are_elsewhere());
        program.filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(n, line)| (n + 1, line))
    }

    fn tests_are_elsewhere(&self) -> bool {
        !self.text.contains("#[cfg(test)]\nmod tests {")
    }

    fn is_test(&self) -> bool {
        self.path.components().any(|part| part.as_os_str().to_string_lossy().trim_end_matches(".rs") == "tests")
            || self.path.file_name().is_some_and(|name| name.to_string_lossy().contains("test"))
    }

    fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

/// The program's sources.
fn files() -> Vec<File> {
    let found = below("src", &["rs"]);
    assert!(found.len() > 20, "the sources were not found");
    found
}

/// Everything that is written in Rust here.
fn everything() -> Vec<File> {
    let found: Vec<File> = ["src", "tests", "benches", "fuzz/src", "fuzz/fuzz_targets"]
        .into_iter()
        .flat_map(|f| below(f, &["rs"]))
        .collect();
    assert!(found.len() > 100, "the tests were not found");
    found
}

/// The files below a folder whose names end so.
fn below(folder: &str, ends: &[&str]) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    let mut dirs = vec![root.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("it is there") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| ends.iter().any(|end| e == *end)) {
                let inside = path.strip_prefix(&root).expect("found below it");
                let first = inside.components().next().expect("a name").as_os_str().to_string_lossy();
                let module = first.trim_end_matches(".rs").to_owned();
                let text = fs::read_to_string(&path).expect("source is text");
                found.push(File { path: Path::new(folder).join(inside), module, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn none(what: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{what}:\n  {}", broken.join("\n  "));
}

#[test]
fn a_file_imports_lower_floors_or_its_own_folder() {
    let mut broken = Vec::new();
    for file in files().iter().filter(|f| !f.is_test()) {
        let Some(own) = floor(&file.module) else {
            broken.push(format!("{}: tests/house.rs knows no floor for `{}`", file.path.display(), file.module));
            continue;
        };
        for (n, line) in file.code() {
            for (at, _) in line.match_indices("crate::").chain(line.match_indices("tanist::")) {
                let rest = line[at..].split_once("::").map_or("", |(_, rest)| rest);
                let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                // The plain values of floor 1 are made of one another.
                let above = floor(&name).is_some_and(|other| other > own || other == own && own != VALUES);
                let above = above && name != file.module;
                if above {
                    broken.push(format!("{} (floor {own}) uses {name}", file.at(n)));
                }
            }
        }
    }
    none("imports go down", &broken);
}

#[test]
fn no_file_imports_in_a_circle() {
    let mut broken = Vec::new();
    for (folder, path) in NO_CIRCLES {
        let imports = imports(folder, path);
        assert!(!imports.is_empty(), "no imports were found in {folder}");
        for Import { from, to, at } in &imports {
            if reached(to, &imports).contains(from.as_str()) {
                broken.push(format!("{at}: {from} uses {to}, which leads back to it"));
            }
        }
    }
    none("move what they share into a file below them all", &broken);
}

/// One file of a folder names another of it.
struct Import {
    from: String,
    to: String,
    at: String,
}

/// Who names whom in a folder. A file and the folder of its name are one; the file that declares all others is none.
fn imports(folder: &str, path: &str) -> Vec<Import> {
    let files: Vec<File> =
        below(folder, &["rs"]).into_iter().filter(|f| !["mod", "main", "lib"].contains(&f.module.as_str())).collect();
    let known: BTreeSet<&str> = files.iter().map(|f| f.module.as_str()).collect();
    let mut found = Vec::new();
    for file in &files {
        let depth = file.path.components().count() - Path::new(folder).components().count();
        let (numbers, lines): (Vec<usize>, Vec<&str>) = file.code().unzip();
        let code = lines.join("\n");
        for start in ["super::".repeat(depth).as_str(), path] {
            // In the middle of a longer path the word means another folder.
            let whole = |at: &usize| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            for at in code.match_indices(start).map(|(at, _)| at).filter(whole) {
                let at_line = file.at(numbers[code[..at].matches('\n').count()]);
                for to in firsts(&code[at + start.len()..]).filter(|to| known.contains(to) && *to != file.module) {
                    found.push(Import { from: file.module.clone(), to: to.to_owned(), at: at_line.clone() });
                }
            }
        }
    }
    found
}

/// The first name of a path, or of each path in braces.
fn firsts(rest: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let end = rest.find(|c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0 && !(c.is_alphanumeric() || c == '_')
    });
    let all = rest[..end.unwrap_or(rest.len())].trim_start_matches('{');
    let mut inside = 0;
    let paths = all.split(move |c: char| {
        inside += i32::from(c == '{') - i32::from(c == '}');
        inside == 0 && c == ','
    });
    paths.filter_map(|path| path.trim_start().split(|c: char| !(c.is_alphanumeric() || c == '_')).next())
}

/// All that a file uses, itself or through others.
fn reached<'a>(from: &'a str, imports: &'a [Import]) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(one) = open.pop() {
        let next = imports.iter().filter(|import| import.from == one).map(|import| import.to.as_str());
        open.extend(next.filter(|to| seen.insert(*to)));
    }
    seen
}

#[test]
fn files_and_functions_are_short() {
    let mut broken = Vec::new();
    for file in &everything() {
        let lines = file.text.lines().count();
        if lines >= FILE_MAX {
            broken.push(format!("{} has {lines} lines; at most {}", file.path.display(), FILE_MAX - 1));
        }
        let mut open: Option<(usize, usize, String)> = None;
        for (n, line) in file.text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            if let Some((start, depth, name)) = &open {
                if indent == *depth && line.trim_start().starts_with('}') {
                    if n - start + 1 >= FUNCTION_MAX {
                        broken.push(format!("{}: {name} has {} lines", file.at(start + 1), n - start + 1));
                    }
                    open = None;
                }
            } else if let Some(name) = function(line) {
                let ends_here = line.trim_end().ends_with('}') || line.trim_end().ends_with(';');
                open = (!ends_here).then_some((n, indent, name));
            }
        }
    }
    none("short files, short functions", &broken);
}

fn function(line: &str) -> Option<String> {
    let line = line.trim_start();
    let line = line.strip_prefix("pub").map_or(line, |rest| rest.split_once(' ').map_or(rest, |(_, rest)| rest));
    let line = line.strip_prefix("const ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    let name = line.strip_prefix("fn ")?;
    Some(name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
}

#[test]
fn pure_floors_use_no_clock_thread_disk_or_chance() {
    let mut broken = Vec::new();
    for file in files().iter().filter(|f| floor(&f.module).is_some_and(|n| n < IMPURE) && !f.is_test()) {
        for (n, line) in file.code() {
            for word in BANNED.iter().filter(|word| line.contains(*word)) {
                broken.push(format!("{}: {word}", file.at(n)));
            }
        }
    }
    none("pure floors are pure", &broken);
}

#[test]
fn whatever_grows_names_its_bound_where_it_is_declared() {
    let mut broken = Vec::new();
    let grows = |f: &&File| ["ledger", "protocol", "agent"].contains(&f.module.as_str()) && !f.is_test();
    for file in files().iter().filter(grows) {
        let mut comment = String::new();
        let mut inside: Option<usize> = None;
        for (n, line) in file.text.lines().enumerate() {
            let code = line.trim_start();
            let indent = line.len() - code.len();
            match inside {
                None if declares_fields(code) => inside = Some(indent),
                Some(depth) if indent <= depth && code.starts_with('}') => inside = None,
                _ => {}
            }
            if code.starts_with("//") {
                comment.push_str(code);
                continue;
            }
            if inside.is_some()
                && is_field(code)
                && !code.contains("watch::")
                && GROWING.iter().any(|t| code.contains(t))
            {
                let said = format!("{comment} {}", code.split_once("//").map_or("", |(_, said)| said));
                if !names_a_bound(&said) {
                    broken.push(format!("{}: {}", file.at(n + 1), code.trim_end_matches(',')));
                }
            }
            if !code.starts_with("#[") {
                comment.clear();
            }
        }
    }
    none("name the bound (a constant) in the comment of the field", &broken);
}

fn declares_fields(code: &str) -> bool {
    let bare = code.trim_start_matches("pub(super) ").trim_start_matches("pub(crate) ").trim_start_matches("pub ");
    bare.starts_with("struct ") && code.ends_with('{')
}

fn is_field(code: &str) -> bool {
    let name = code.split(':').next().unwrap_or("").split(' ').next_back().unwrap_or("");
    code.contains(": ")
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
}

/// A word in capitals, at least three letters long, as constants have; or a remark that the type bounds itself.
fn names_a_bound(said: &str) -> bool {
    let lower = said.to_lowercase();
    let constant = said.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|word| {
        word.len() > 2
            && word.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit())
            && word.chars().any(|c| c.is_ascii_uppercase())
    });
    constant && !lower.is_empty()
}

#[test]
fn every_cited_paragraph_of_the_protocol_exists() {
    let protocol = alone("docs/protocol.md");
    let headings = protocol.text.lines().filter(|line| line.starts_with('#'));
    let paragraphs: BTreeSet<&str> = headings.filter_map(|line| number(line.trim_start_matches('#'))).collect();
    assert!(paragraphs.len() > 10, "the protocol's headings were not found");
    let folders = CITING.into_iter().flat_map(|folder| below(folder, &["rs", "mutant", "md"]));
    let (mut seen, mut broken) = (0, Vec::new());
    for file in folders.chain(CITING_ALONE.map(alone)) {
        for (n, line) in file.text.lines().enumerate() {
            for cited in citations(line) {
                seen += 1;
                if !paragraphs.contains(cited) {
                    broken.push(format!("{} cites §{cited}", file.at(n + 1)));
                }
            }
        }
    }
    assert!(seen > 100, "the citations were not found");
    none("docs/protocol.md has no such paragraph", &broken);
}

/// A file by its path.
fn alone(path: &str) -> File {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("it is there");
    File { path: PathBuf::from(path), module: String::new(), text }
}

/// The paragraphs of the protocol that a line cites. One of another document stands behind its name, as in `RFC 9457 §3`.
fn citations(line: &str) -> impl Iterator<Item = &str> {
    let ours = |before: &str| {
        let mut words = before.split_whitespace().rev();
        let number = words.next().is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit() || b == b','));
        !(number && words.next().is_some_and(|word| word.ends_with("RFC")))
    };
    let signs = line.match_indices('§').filter(move |(at, _)| ours(&line[..*at]));
    signs.filter_map(|(at, sign)| number(&line[at + sign.len()..]))
}

/// The number that a text begins with, such as 7 or 7.3.
fn number(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    Some(text[..end].trim_end_matches('.')).filter(|number| !number.is_empty())
}
