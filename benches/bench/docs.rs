//! Puts what a benchmark found into the documents.

use std::fs;
use std::path::{Path, PathBuf};

/// Asks for it.
const WRITE: &str = "TANIST_BENCH_WRITE";

/// Prints a part, and writes it between its marks into `docs/benchmarks.md` when the user asked for that.
///
/// # Errors
/// When the file cannot be written, or lacks the marks.
pub(crate) fn part(name: &str, markdown: &str) -> Result<(), String> {
    println!("{markdown}");
    if !wanted() {
        return Ok(());
    }
    let path = root().join("docs/benchmarks.md");
    let failed = |why: &str| format!("{}: {why}", path.display());
    let text = fs::read_to_string(&path).map_err(|e| failed(&e.to_string()))?;
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let missing = || failed(&format!("there is no {begin}"));
    let (before, rest) = text.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    let text = format!("{before}{begin}\n{}\n\n{end}{after}", markdown.trim());
    fs::write(&path, text).map_err(|e| failed(&e.to_string()))
}

/// Writes a picture, when the user asked for that.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn picture(name: &str, svg: &str) -> Result<(), String> {
    if !wanted() {
        return Ok(());
    }
    let path = root().join("docs/img").join(name);
    fs::write(&path, svg).map_err(|e| format!("{}: {e}", path.display()))
}

fn wanted() -> bool {
    std::env::var_os(WRITE).is_some_and(|value| value == "1")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
