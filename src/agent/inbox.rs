//! Everything that can happen to the loop, from one place.

use super::clock::Alarm;
use super::connections::Report;
use super::data::Asked;
use super::links::Found;
use super::shared::Command;
use crate::message::Datagram;
use crate::protocol::Input;
use crate::time::Time;
use std::net::SocketAddr;
use tokio::sync::mpsc::Receiver;

/// One thing that happened.
#[derive(Debug)]
pub(super) enum Happened {
    /// The process is to end.
    Stop,
    /// The disk finished something.
    Disk(Input),
    /// A connection has something to say.
    Session(Report),
    /// A user asks.
    Command(Command),
    /// A user has a request of the data.
    Asked(Asked),
    /// The interfaces changed.
    Links(Found),
    /// Names of configured peers stand for other addresses now.
    Peers(Vec<SocketAddr>),
    /// A datagram came.
    Datagram(SocketAddr, Datagram),
    /// It is time.
    Tick,
}

/// All that the loop listens to. Each channel is bounded where it is made.
pub(super) struct Inbox {
    pub(super) alarm: Alarm,
    pub(super) stop: Receiver<()>,                          // bound: SIGNALS
    pub(super) disk: Receiver<Input>,                       // bound: disk::REPORTS
    pub(super) sessions: Receiver<Report>,                  // bound: connections::REPORTS
    pub(super) replica: Receiver<Input>,                    // bound: replica::REPORTS
    pub(super) commands: Receiver<Command>,                 // bound: COMMANDS
    pub(super) asks: Receiver<Asked>,                       // bound: ASKS
    pub(super) links: Receiver<Found>,                      // bound: links::CHANGES
    pub(super) peers: Receiver<Vec<SocketAddr>>,            // bound: peers::CHANGES
    pub(super) datagrams: Receiver<(SocketAddr, Datagram)>, // bound: DATAGRAMS
}

impl Inbox {
    /// Waits for the next thing, until the deadline at most. What is rare or costly to leave waiting comes first.
    pub(super) async fn next(&mut self, deadline: Option<Time>) -> Happened {
        self.alarm.set(deadline);
        tokio::select! {
            biased;
            Some(()) = self.stop.recv() => Happened::Stop,
            Some(input) = self.disk.recv() => Happened::Disk(input),
            Some(report) = self.sessions.recv() => Happened::Session(report),
            Some(input) = self.replica.recv() => Happened::Disk(input),
            Some(command) = self.commands.recv() => Happened::Command(command),
            Some(asked) = self.asks.recv() => Happened::Asked(asked),
            Some(links) = self.links.recv() => Happened::Links(links),
            Some(peers) = self.peers.recv() => Happened::Peers(peers),
            Some((from, datagram)) = self.datagrams.recv() => Happened::Datagram(from, datagram),
            () = self.alarm.rings() => Happened::Tick,
        }
    }

    /// The next thing that is already there.
    pub(super) fn ready(&mut self) -> Option<Happened> {
        self.stop
            .try_recv()
            .map(|()| Happened::Stop)
            .or_else(|_| self.disk.try_recv().map(Happened::Disk))
            .or_else(|_| self.sessions.try_recv().map(Happened::Session))
            .or_else(|_| self.replica.try_recv().map(Happened::Disk))
            .or_else(|_| self.commands.try_recv().map(Happened::Command))
            .or_else(|_| self.asks.try_recv().map(Happened::Asked))
            .or_else(|_| self.links.try_recv().map(Happened::Links))
            .or_else(|_| self.peers.try_recv().map(Happened::Peers))
            .or_else(|_| self.datagrams.try_recv().map(|(from, datagram)| Happened::Datagram(from, datagram)))
            .ok()
    }
}
