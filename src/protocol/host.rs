//! What every host does with the outputs of a step: each goes to the function that performs it.

use super::{Job, Outcome, Output, To, Write};
use crate::event::Event;
use crate::ident::{ConnId, JobId, Ticket};
use crate::message::{Cast, Frame};
use std::net::SocketAddr;

/// A host, as the core's outputs see it. Each function is one [`Output`], whose contract stands there. None has a default:
/// a host that forgets an output does not compile.
pub trait Host {
    /// [`Output::Cast`].
    fn cast(&mut self, to: To, cast: Cast);
    /// [`Output::Dial`].
    fn dial(&mut self, conn: ConnId, to: SocketAddr);
    /// [`Output::Send`]: the same frame to all of these, in this order.
    fn send(&mut self, to: &[ConnId], frame: Frame);
    /// [`Output::Close`].
    fn close(&mut self, conn: ConnId);
    /// [`Output::Pipe`].
    fn pipe(&mut self, conn: ConnId, to: SocketAddr);
    /// [`Output::Persist`].
    fn persist(&mut self, ticket: Ticket, writes: Vec<Write>);
    /// [`Output::Job`].
    fn job(&mut self, id: JobId, job: Job);
    /// [`Output::Event`].
    fn tell(&mut self, event: Event);
    /// [`Output::Reply`].
    fn reply(&mut self, request: u64, refused: Option<String>);
    /// [`Output::Answer`].
    fn answer(&mut self, request: u64, outcome: Outcome);
    /// [`Output::Stopped`].
    fn stopped(&mut self);
}

impl Output {
    /// Performs this output.
    pub fn perform(self, host: &mut impl Host) {
        match self {
            Output::Cast { to, cast } => host.cast(to, cast),
            Output::Dial { conn, to } => host.dial(conn, to),
            Output::Send { to, frame } => host.send(to.conns(), frame),
            Output::Close { conn } => host.close(conn),
            Output::Pipe { conn, to } => host.pipe(conn, to),
            Output::Persist { ticket, writes } => host.persist(ticket, writes),
            Output::Job { id, job } => host.job(id, job),
            Output::Event(event) => host.tell(event),
            Output::Reply { request, refused } => host.reply(request, refused),
            Output::Answer { request, outcome } => host.answer(request, outcome),
            Output::Stopped => host.stopped(),
        }
    }
}
