//! Where the file of an import comes from: its client, or the disk, where it is kept until all of it is checked.

use super::Stop;
use super::cut::Line;
use crate::agent::clock;
use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use nix::sys::statvfs::fstatvfs;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

/// How long a client may send nothing in the middle of a file.
pub(super) const STALLS: Duration = Duration::from_secs(10);

/// Bytes that are read of a kept file at one time.
const CHUNK: usize = 256 << 10;

/// A kept file leaves as much room on the disk as it takes, and at least so much.
const LEAVES: u64 = 64 << 20;

/// Does what may block on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Stop> + Send + 'static,
) -> Result<T, Stop> {
    tokio::task::spawn_blocking(act).await.unwrap_or(Err(Stop::Ends))
}

fn fails(error: &io::Error) -> Stop {
    Stop::NoRoom(format!("the state directory of this machine cannot keep the file until it is checked ({error})"))
}

/// Where the file comes from.
pub(super) enum Source {
    Client(Body),
    Spool(File),
}

impl Source {
    /// What comes next; nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Stop> {
        let body = match self {
            Source::Client(body) => body,
            Source::Spool(file) => {
                let mut file = file.try_clone().map_err(|error| fails(&error))?;
                return blocking(move || {
                    let mut bytes = vec![0; CHUNK];
                    let read = file.read(&mut bytes).map_err(|error| fails(&error))?;
                    bytes.truncate(read);
                    Ok((read > 0).then(|| bytes.into()))
                })
                .await;
            }
        };
        loop {
            match clock::within(STALLS, body.frame()).await {
                None => return Err(Stop::Stalled),
                Some(None) => return Ok(None),
                Some(Some(Err(_))) => return Err(Stop::BrokeOff),
                Some(Some(Ok(frame))) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }
}

/// A file without a name: it is gone when it is closed, also when the agent is killed.
pub(super) struct Spool {
    file: BufWriter<File>,
    /// How many bytes it may take yet.
    room: u64,
}

impl Spool {
    pub(super) fn new(dir: &Path) -> Result<Self, Stop> {
        let open = || {
            let path = dir.join(format!("import-{}", Uuid::new_v4()));
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
            fs::remove_file(&path)?;
            let disk = fstatvfs(&file)?;
            Ok((file, disk.blocks_available().saturating_mul(disk.fragment_size())))
        };
        let (file, free) = open().map_err(|error| fails(&error))?;
        Ok(Self { file: BufWriter::new(file), room: (free / 2).min(free.saturating_sub(LEAVES)) })
    }

    /// Keeps lines.
    pub(super) fn keep(&mut self, lines: &[Line]) -> Result<(), Stop> {
        for text in lines.iter().filter_map(|line| line.text.as_ref()) {
            let Some(room) = self.room.checked_sub(text.len() as u64 + 1) else {
                let why = "the file is too large to be kept on the disk of this machine until it is checked";
                return Err(Stop::NoRoom(why.to_owned()));
            };
            self.room = room;
            let kept = self.file.write_all(text).and_then(|()| self.file.write_all(b"\n"));
            kept.map_err(|error| fails(&error))?;
        }
        Ok(())
    }

    /// All that was kept, from the beginning.
    pub(super) fn rewound(self) -> Result<File, Stop> {
        let file = self.file.into_inner().map_err(|error| fails(error.error()));
        file.and_then(|mut file| {
            file.seek(SeekFrom::Start(0)).map_err(|error| fails(&error))?;
            Ok(file)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_has_no_name_and_comes_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut spool = Spool::new(dir.path()).expect("kept");
        assert_eq!(fs::read_dir(dir.path()).expect("it is there").count(), 0);
        let line = |text: &'static str| Line { number: 1, text: Some(Bytes::from_static(text.as_bytes())) };
        spool.keep(&[line("a"), line("")]).expect("there is room");
        spool.keep(&[line("b")]).expect("there is room");
        let mut source = Source::Spool(spool.rewound().expect("from the beginning"));
        assert_eq!(source.next().await.expect("it reads"), Some(Bytes::from_static(b"a\n\nb\n")));
        assert_eq!(source.next().await.expect("it reads"), None);
    }

    #[test]
    fn what_is_too_large_and_what_cannot_be_kept_is_said() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut spool = Spool { room: 3, ..Spool::new(dir.path()).expect("kept") };
        let line = |text: &'static str| Line { number: 1, text: Some(Bytes::from_static(text.as_bytes())) };
        spool.keep(&[line("ab")]).expect("it just fits");
        assert!(matches!(spool.keep(&[line("")]), Err(Stop::NoRoom(why)) if why.contains("too large")));
        let nowhere = Spool::new(&dir.path().join("nowhere"));
        assert!(matches!(nowhere, Err(Stop::NoRoom(why)) if why.contains("cannot keep")));
    }
}
