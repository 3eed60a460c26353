//! `export` and `import`.

use super::out::Out;
use super::progress::Progress;
use super::{Asked, Asking, Fail, NO};
use crate::view::data::{Imported, Taken};
use bytes::Bytes;
use clap::Args;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Bytes that are written, or read and sent, at one time.
const CHUNK: usize = 256 << 10;

#[derive(Args)]
pub(super) struct ExportOptions {
    /// The file; standard output with `-` or without one
    ///
    /// It is written under another name beside it, and takes its name when it is complete.
    file: Option<PathBuf>,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Args)]
pub(super) struct ImportOptions {
    /// The file; standard input with `-` or without one
    file: Option<PathBuf>,
    /// Import nothing when a line is broken; without this the other lines are imported
    #[arg(long)]
    all_or_nothing: bool,
    #[command(flatten)]
    asking: Asking,
}

/// The file that is named, when it is not a standard stream.
fn named(file: Option<&Path>) -> Option<&Path> {
    file.filter(|file| *file != Path::new("-"))
}

pub(super) async fn export(options: &ExportOptions, out: Out) -> Result<(), Fail> {
    let client = options.asked.client()?;
    let mut sink = match named(options.file.as_deref()) {
        Some(file) => Sink::new(file)?,
        None => Sink::Out(out),
    };
    let mut export = client.export().await?;
    let mut progress = Progress::new(None);
    let copied = async {
        let mut piece = Vec::with_capacity(2 * CHUNK);
        loop {
            let line = export.next().await?;
            let is_last = line.is_none();
            if let Some(line) = line {
                piece.extend_from_slice(line.as_bytes());
                piece.push(b'\n');
            }
            if is_last || piece.len() >= CHUNK {
                sink.write(&piece)?;
                progress.add(&piece);
                piece.clear();
            }
            if is_last {
                return Ok(());
            }
        }
    };
    let copied = tokio::select! {
        copied = copied => copied,
        () = interrupted() => Err(Fail::new(NO, "interrupted: the export is not whole")),
    };
    drop(progress);
    copied.and_then(|()| sink.complete())
}

/// Somebody ends this process in order.
async fn interrupted() {
    let wait = async |kind| match signal(kind) {
        Ok(mut signal) => _ = signal.recv().await,
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}

/// Where an export goes.
enum Sink {
    Out(Out),
    /// What is no file, a device or a pipe.
    Other(PathBuf, File),
    File(Part),
}

/// A file that is being written beside the one whose place it takes.
struct Part {
    file: File,
    part: PathBuf,
    to: PathBuf,
}

impl Drop for Part {
    fn drop(&mut self) {
        // It has another name when it is complete.
        let _ = fs::remove_file(&self.part);
    }
}

fn unwritten(path: &Path, error: &io::Error) -> Fail {
    Fail::new(NO, format!("could not write {}: {error}", path.display()))
}

impl Sink {
    fn new(path: &Path) -> Result<Self, Fail> {
        let there = fs::metadata(path).ok();
        let open = |path: &Path| OpenOptions::new().write(true).open(path);
        if there.as_ref().is_some_and(|there| !there.is_file()) {
            return open(path).map(|file| Sink::Other(path.to_owned(), file)).map_err(|error| unwritten(path, &error));
        }
        // The name of a link goes on leading to its file.
        let to = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let name = to.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let part = to.with_file_name(format!(".{name}.{}.part", std::process::id()));
        // One of this name is left of a process that was killed; nobody else's is followed.
        let _ = fs::remove_file(&part);
        let made = OpenOptions::new().write(true).create_new(true).open(&part).and_then(|file| {
            // A user that could not read the one before must not read this one.
            there.map_or(Ok(()), |there| file.set_permissions(there.permissions()))?;
            Ok(file)
        });
        let file = made.map_err(|error| unwritten(&part, &error))?;
        Ok(Sink::File(Part { file, part, to }))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fail> {
        match self {
            Sink::Out(out) => out.bytes(bytes),
            Sink::Other(path, file) => file.write_all(bytes).map_err(|error| unwritten(path, &error)),
            Sink::File(part) => part.file.write_all(bytes).map_err(|error| unwritten(&part.part, &error)),
        }
    }

    /// All of it is written: a file is on the disk, under its name.
    fn complete(self) -> Result<(), Fail> {
        let Sink::File(part) = self else { return Ok(()) };
        let dir = part.to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let kept = part.file.sync_all().and_then(|()| fs::rename(&part.part, &part.to));
        kept.and_then(|()| File::open(dir)?.sync_all()).map_err(|error| unwritten(&part.to, &error))
    }
}

pub(super) async fn import(options: &ImportOptions, out: Out) -> Result<(), Fail> {
    let client = options.asking.asked.client()?;
    let (mut pieces, whole) = read(named(options.file.as_deref()))?;
    let mut import = client.import(options.all_or_nothing).await?;
    let mut progress = Progress::new(whole);
    while let Some(piece) = pieces.recv().await {
        let piece = piece.map_err(|error| {
            let name = named(options.file.as_deref()).map_or("standard input".into(), Path::to_string_lossy);
            Fail::new(NO, format!("could not read {name}: {error}; some of it may be in: import it again"))
        })?;
        progress.add(&piece);
        if !import.send(piece).await? {
            break;
        }
    }
    progress.wait();
    let imported = import.finish().await;
    drop(progress);
    let imported = imported?;
    if options.asking.json {
        out.json(&imported)?
    } else {
        report(&imported).iter().try_for_each(|line| out.line(line))?
    }
    if imported.is_whole() { Ok(()) } else { Err(Fail::new(NO, lacks(&imported))) }
}

/// Reads a file, or standard input, on a thread of its own: one that waits for input must not hold up the end of the
/// process. Says how long the file is.
fn read(path: Option<&Path>) -> Result<(mpsc::Receiver<io::Result<Bytes>>, Option<u64>), Fail> {
    let failed = |path: &Path, error: io::Error| Fail::new(NO, format!("could not read {}: {error}", path.display()));
    let (mut from, whole): (Box<dyn Read + Send>, _) = match path {
        None => (Box::new(io::stdin()), None),
        Some(path) => {
            let file = File::open(path).map_err(|error| failed(path, error))?;
            let there = file.metadata().map_err(|error| failed(path, error))?;
            if there.is_dir() {
                return Err(failed(path, io::ErrorKind::IsADirectory.into()));
            }
            (Box::new(file), there.is_file().then_some(there.len()))
        }
    };
    let (pieces, read) = mpsc::channel(1);
    std::thread::spawn(move || {
        loop {
            let mut piece = vec![0; CHUNK];
            let piece = match from.read(&mut piece) {
                Ok(0) => return,
                Ok(length) => Ok({
                    piece.truncate(length);
                    piece.into()
                }),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_over = piece.is_err();
            if pieces.blocking_send(piece).is_err() || is_over {
                return;
            }
        }
    });
    Ok((read, whole))
}

/// What an import did, and each line that did not come in.
fn report(imported: &Imported) -> Vec<String> {
    let Taken { added, known } = imported.records;
    let keys = imported.keys;
    let mut lines = vec![format!(
        "records: {added} added, {known} known; keys: {} added, {} known; conflicts: {}",
        keys.added, keys.known, imported.conflicts
    )];
    let faults = [("broken", &imported.broken), ("refused", &imported.refused)];
    for (what, faults) in faults {
        lines.extend(faults.iter().map(|fault| format!("line {}: {what}: {}", fault.line, fault.reason)));
    }
    if imported.unnamed > 0 {
        lines.push(format!("and {} more lines that were broken or refused", imported.unnamed));
    }
    lines
}

/// Why an import is not whole, in one line.
fn lacks(imported: &Imported) -> String {
    let faults = imported.broken.len() as u64 + imported.refused.len() as u64 + imported.unnamed;
    let what = match (faults, imported.complete) {
        (0, _) => "the file is not complete".to_owned(),
        (1, true) => "1 line did not come in".to_owned(),
        (many, true) => format!("{many} lines did not come in"),
        (_, false) => "the file is not complete, or lines of it did not come in".to_owned(),
    };
    format!("{what}: mend the file and import it again; what is in is known then")
}
