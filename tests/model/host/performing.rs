//! What the model does with the outputs of a step.

use super::{Conn, End, M, N, World, address};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use tanist::event::Event;
use tanist::ident::{ConnId, JobId, Ticket};
use tanist::message::{Cast, Frame, Sender};
use tanist::protocol::{Host, Input, Job, Outcome, To, Write};

/// One member, while the outputs of a step of it are performed.
pub(super) struct Performing<'a> {
    pub(super) world: &'a mut World,
    pub(super) m: M,
    pub(super) sender: Sender,
    /// What the data's thread says: it has no data.
    pub(super) reports: Vec<Input>,
}

impl Host for Performing<'_> {
    fn cast(&mut self, _: To, cast: Cast) {
        if !matches!(cast, Cast::Heartbeat(_) | Cast::Notice(_)) {
            return;
        }
        self.world.says_own(self.m, &self.sender, &cast);
        if self.world.bounds.heard {
            self.world.cast(self.m, &self.sender, cast);
        }
    }

    fn dial(&mut self, conn: ConnId, to: SocketAddr) {
        let to = (0..N).find(|n| address(*n) == to).expect("one of the three");
        let ends = [End { m: self.m, id: conn, open: true }, End { m: to, id: ConnId(0), open: false }];
        let queues = [VecDeque::new(), VecDeque::new()];
        self.world.conns.push(Rc::new(Conn { ends, accepted: false, queues, silent: true, dead: false }));
    }

    fn send(&mut self, to: &[ConnId], frame: Frame) {
        let frame = Rc::new(frame);
        for conn in to {
            self.world.says(self.m, &self.sender, &frame);
            if matches!(*frame, Frame::Beat(_)) && !self.world.bounds.heard {
                continue;
            }
            if let Some((conn, end)) = self.world.conn(self.m, *conn) {
                conn.silent = matches!(*frame, Frame::Via(_));
                conn.queues[1 - end].push_back(frame.clone());
            }
        }
    }

    fn close(&mut self, conn: ConnId) {
        if let Some((conn, end)) = self.world.conn(self.m, conn) {
            conn.ends[end].open = false;
            conn.queues[end].clear();
        }
    }

    fn persist(&mut self, ticket: Ticket, writes: Vec<Write>) {
        self.world.persist(self.m, &self.sender, ticket, writes);
    }

    fn tell(&mut self, _: Event) {}

    fn reply(&mut self, _: u64, _: Option<String>) {}

    fn pipe(&mut self, _: ConnId, _: SocketAddr) {
        unreachable!("nobody goes through another")
    }

    fn job(&mut self, id: JobId, job: Job) {
        self.reports.extend(job.without_data().map(|report| Input::Report { job: id, report }));
        self.reports.push(Input::Done { through: id });
    }

    fn answer(&mut self, _: u64, _: Outcome) {
        unreachable!("nobody asks for data")
    }

    fn stopped(&mut self) {
        unreachable!("nobody stops")
    }
}
