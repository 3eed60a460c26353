//! What a machine of the simulated LAN does for the core of its agent.

use crate::lan::Lan;
use crate::network::{M, Owner};
use std::net::SocketAddr;
use tanist::event::Event;
use tanist::ident::{ConnId, JobId, Ticket};
use tanist::message::{Cast, Frame};
use tanist::protocol::{Host, Job, Outcome, To, Write};

/// The host of one machine's agent.
pub(crate) struct At<'a> {
    pub(crate) lan: &'a mut Lan,
    pub(crate) m: M,
}

impl Host for At<'_> {
    fn cast(&mut self, to: To, cast: Cast) {
        self.lan.sent.cast(&cast);
        self.lan.cast(self.m, to, &cast);
    }

    fn dial(&mut self, conn: ConnId, to: SocketAddr) {
        self.lan.dial(self.m, Owner::Core(conn), to);
    }

    fn send(&mut self, to: &[ConnId], frame: Frame) {
        self.lan.send(self.m, to, &frame);
    }

    fn close(&mut self, conn: ConnId) {
        self.lan.close(self.m, conn);
    }

    fn pipe(&mut self, conn: ConnId, to: SocketAddr) {
        self.lan.pipe(self.m, conn, to);
    }

    fn persist(&mut self, ticket: Ticket, writes: Vec<Write>) {
        self.lan.persist(self.m, ticket, &writes);
    }

    fn job(&mut self, id: JobId, job: Job) {
        self.lan.data_job(self.m, id, job);
    }

    fn tell(&mut self, event: Event) {
        self.lan.tally.event(&event);
        self.lan.oracle.event(self.m, self.lan.now, &event);
    }

    fn reply(&mut self, request: u64, refused: Option<String>) {
        self.lan.oracle.replies.push((self.m, request, refused));
    }

    fn answer(&mut self, request: u64, outcome: Outcome) {
        self.lan.data_answer(self.m, request, outcome);
    }

    fn stopped(&mut self) {
        self.lan.stopped(self.m);
    }
}
