//! One connection: reads and writes at the same time, each as far as the socket lets it.

use super::{Common, Handle, dial};
use crate::agent::clock::within;
use crate::agent::journal::Ignored;
use crate::ident::ConnId;
use crate::message::Frame;
use crate::protocol::Closed;
use crate::wire::{FRAME_MAX, Unread};
use bytes::{BufMut, Bytes, BytesMut};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, copy_buf};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::codec::{Decoder, LengthDelimitedCodec};
use tokio_util::sync::CancellationToken;

/// The length prefix of a frame, in bytes.
pub(super) const PREFIX: usize = 4;

/// The first frame of a connection must be whole within this.
const FIRST: Duration = Duration::from_secs(5);

/// The first frame of a connection is at most this long, in bytes: nobody has said yet who it is.
const FIRST_MAX: usize = 64 * 1024;

/// There is room for so much, in bytes, before anything is read: almost every frame comes whole, and in one call.
const READ: usize = 1024;

/// What is to be sent is gathered up to about this, in bytes.
const GATHER: usize = 64 * 1024;

/// A connection that was closed here may take this long to send what it was given.
const LINGER: Duration = Duration::from_secs(2);

/// The buffer of a connection that is passed on, each way, in bytes (§11).
const PIPE_BUFFER: usize = 64 * 1024;

/// What the loop wants of a connection.
#[derive(Debug)]
pub(super) enum Order {
    /// Send this.
    Frame(Bytes),
    /// Connect it to that member.
    Pipe(SocketAddr),
}

/// What a connection tells the loop.
#[derive(Debug)]
pub(in crate::agent) enum Report {
    /// Somebody connected and said this.
    Accepted { conn: ConnId, from: SocketAddr, handle: Handle, first: Frame },
    /// A dial succeeded.
    Connected(ConnId),
    /// A frame came.
    Frame(ConnId, Frame),
    /// It ended.
    Closed(ConnId, Closed),
}

/// The task's end of a connection.
pub(super) struct Task {
    pub(super) common: Common,
    pub(super) conn: ConnId,
    pub(super) queue: mpsc::Receiver<Order>, // bound: FRAMES
    pub(super) waiting: Arc<AtomicUsize>,
    pub(super) cut: CancellationToken,
}

/// An open socket, what was read from it and is not yet used, and what is to be written to it.
pub(super) struct Open {
    stream: TcpStream,
    from: SocketAddr,
    codec: LengthDelimitedCodec,
    read: BytesMut,
    write: BytesMut,
    /// This agent dialled it.
    dialled: bool,
    /// A place among those that may be in the middle of a long frame.
    large: Option<OwnedSemaphorePermit>,
}

/// What ends a round of reading and writing.
enum Turn {
    /// The other end, or this one's dislike of what came.
    Ended(Closed),
    /// The loop let go of it.
    Released,
    /// The loop passes it on.
    Pipe(SocketAddr),
}

impl Open {
    fn new(stream: TcpStream, from: SocketAddr, longest: usize) -> Open {
        let codec = LengthDelimitedCodec::builder().max_frame_length(longest).new_codec();
        let dialled = longest == FRAME_MAX;
        Open { stream, from, codec, read: BytesMut::new(), write: BytesMut::new(), dialled, large: None }
    }

    /// Whether what was read and makes no whole frame yet may stay in memory: a few connections that others opened may
    /// be in the middle of a long one, and any that was dialled.
    fn fits(&mut self, common: &Common) -> bool {
        if self.dialled || self.read.len() <= FIRST_MAX {
            self.large = None;
            return true;
        }
        if self.large.is_none() {
            self.large = common.large.clone().try_acquire_owned().ok();
        }
        self.large.is_some()
    }

    /// The next frame of what was read; none when more must be read.
    fn next(&mut self, common: &Common) -> Result<Option<Frame>, Closed> {
        loop {
            let ignored = |what, why: &str| common.counts.ignored(what, Some(self.from), why);
            let bytes = match self.codec.decode(&mut self.read) {
                Ok(Some(bytes)) => bytes.freeze(),
                Ok(None) => return Ok(None),
                Err(_) => {
                    ignored(Ignored::Malformed, "a frame is too long");
                    return Err(Closed::Local);
                }
            };
            match common.wire.read_shared(&bytes) {
                Ok(frame) => return Ok(Some(frame)),
                Err(why) => {
                    ignored((&why).into(), &why.to_string());
                    if !matches!(why, Unread::Unknown(_)) {
                        return Err(Closed::Local);
                    }
                }
            }
        }
    }

    fn put(&mut self, frame: &Bytes) {
        self.write.reserve(PREFIX + frame.len());
        self.write.put_u32(u32::try_from(frame.len()).unwrap_or(u32::MAX));
        self.write.put_slice(frame);
    }

    /// Sends the rest and waits for the other end to close, but not for long: a socket that is closed with something
    /// unread would take back what it sent.
    async fn finish(mut self) {
        let _ = within(LINGER, async {
            self.stream.write_all_buf(&mut self.write).await?;
            self.stream.shutdown().await?;
            while {
                self.read.clear();
                self.read.reserve(READ);
                self.stream.read_buf(&mut self.read).await? > 0
            } {}
            io::Result::Ok(())
        })
        .await;
    }
}

impl Task {
    /// Waits for the first frame. The queue is not looked at: the loop does not know of this connection yet.
    pub(super) async fn first(&self, stream: TcpStream, from: SocketAddr) -> Option<(Open, Frame)> {
        let mut open = Open::new(stream, from, FIRST_MAX);
        let read = within(FIRST, async {
            loop {
                if let Some(frame) = open.next(&self.common).ok()? {
                    return Some(frame);
                }
                open.read.reserve(READ);
                if open.stream.read_buf(&mut open.read).await.ok()? == 0 {
                    return None;
                }
            }
        })
        .await;
        if read.is_none() {
            self.common.counts.ignored(Ignored::Silent, Some(from), "a connection did not say who it is in 5 s");
        }
        let frame = read??;
        open.codec.set_max_frame_length(FRAME_MAX);
        Some((open, frame))
    }

    /// Runs a connection that was accepted and has spoken.
    pub(super) async fn accepted(mut self, open: Open, from: SocketAddr, first: Frame, handle: Handle) {
        let report = Report::Accepted { conn: self.conn, from, handle, first };
        if self.common.reports.send(report).await.is_ok() {
            self.live(open).await;
        }
    }

    /// Opens a connection and runs it.
    pub(super) async fn dial(mut self, to: SocketAddr) {
        let dialer = self.common.dialer.clone();
        let stream = tokio::select! {
            biased;
            () = self.cut.cancelled() => return,
            stream = dialer.dial(to) => stream,
        };
        match stream {
            Ok(stream) => {
                self.report(Report::Connected(self.conn)).await;
                self.live(Open::new(stream, to, FRAME_MAX)).await;
            }
            Err((how, _)) => self.report(Report::Closed(self.conn, how)).await,
        }
    }

    async fn report(&self, report: Report) {
        // Nobody to tell: the agent is ending.
        let _ = self.common.reports.send(report).await;
    }

    async fn live(&mut self, open: Open) {
        let (cut, cable, ip) = (self.cut.clone(), self.common.dialer.cut.clone(), open.from.ip());
        tokio::select! {
            // What is cut says nothing more, ready as it may be.
            biased;
            () = cut.cancelled() => {}
            () = cable.carries(ip, self.turns(open)) => {}
        }
    }

    async fn turns(&mut self, mut open: Open) {
        loop {
            match self.exchange(&mut open).await {
                Turn::Ended(how) => return self.report(Report::Closed(self.conn, how)).await,
                Turn::Released => return open.finish().await,
                Turn::Pipe(to) => match self.pipe(open, to).await {
                    Some(again) => open = again,
                    None => return self.report(Report::Closed(self.conn, Closed::Reset)).await,
                },
            }
        }
    }

    /// Reads and writes until something else is to be done.
    async fn exchange(&mut self, open: &mut Open) -> Turn {
        loop {
            loop {
                match open.next(&self.common) {
                    Ok(Some(frame)) => self.report(Report::Frame(self.conn, frame)).await,
                    Ok(None) => break,
                    Err(how) => return Turn::Ended(how),
                }
            }
            if !open.fits(&self.common) {
                self.common.counts.ignored(Ignored::NoRoom, Some(open.from), "too many long frames are under way");
                return Turn::Ended(Closed::Local);
            }
            open.read.reserve(READ);
            let (mut reader, mut writer) = open.stream.split();
            tokio::select! {
                read = reader.read_buf(&mut open.read) => match read {
                    Ok(0) => return Turn::Ended(Closed::Reset),
                    Ok(_) => {}
                    Err(e) => return Turn::Ended(dial::ended(&e)),
                },
                order = self.queue.recv(), if open.write.len() < GATHER => match order {
                    Some(Order::Frame(frame)) => open.put(&frame),
                    Some(Order::Pipe(to)) => return Turn::Pipe(to),
                    None => return Turn::Released,
                },
                written = writer.write_buf(&mut open.write), if !open.write.is_empty() => match written {
                    Ok(n) => drop(self.waiting.fetch_sub(n, Ordering::Relaxed)),
                    Err(e) => return Turn::Ended(dial::ended(&e)),
                },
            }
        }
    }

    /// Connects this connection to another member's. Gives it back, with the reason sent, when that fails.
    async fn pipe(&mut self, mut open: Open, to: SocketAddr) -> Option<Open> {
        let pipes = self.common.pipes.clone();
        let far = match pipes.try_acquire() {
            Ok(place) => self.common.dialer.dial(to).await.map(|far| (place, far)).map_err(|(_, e)| e.to_string()),
            Err(_) => Err("too many connections are passed on already".to_owned()),
        };
        let answer = match &far {
            Ok(_) => Frame::ViaReady,
            Err(why) => Frame::ViaFailed(format!("{to}: {why}")),
        };
        let bytes = self.common.wire.frame(&answer).ok()?;
        self.waiting.fetch_add(bytes.len() + PREFIX, Ordering::Relaxed);
        open.put(&bytes);
        let Ok((_place, far)) = far else { return Some(open) };
        // What the loop may still want to send has no place on a connection that is another's; its end has.
        let queue = &mut self.queue;
        let cable = &self.common.dialer.cut;
        tokio::select! {
            _ = cable.carries(to.ip(), pass(open, far)) => {}
            () = async { while queue.recv().await.is_some() {} } => {}
        }
        None
    }
}

/// Copies both ways until either ends, then for a moment what is still under way the other way.
async fn pass(mut near: Open, mut far: TcpStream) -> io::Result<()> {
    near.stream.write_all_buf(&mut near.write).await?;
    far.write_all_buf(&mut near.read).await?;
    let (near_reads, near_writes) = near.stream.split();
    let (far_reads, far_writes) = far.split();
    let there = one_way(near_reads, far_writes);
    let back = one_way(far_reads, near_writes);
    tokio::pin!(there, back);
    let (done, other) = tokio::select! {
        done = &mut there => (done, back),
        done = &mut back => (done, there),
    };
    done?;
    within(LINGER, other).await.unwrap_or(Ok(()))
}

async fn one_way(from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
    copy_buf(&mut BufReader::with_capacity(PIPE_BUFFER, from), &mut to).await?;
    to.shutdown().await
}
