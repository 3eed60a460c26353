//! What travels on connections, how they end, and what follows without a choice.

use super::*;

impl World {
    pub(super) fn frame(&mut self, i: usize, end: usize) {
        let m = self.conns[i].ends[end].m;
        if !self.conns[i].accepted && end == 1 {
            if self.members[m].process.is_none() {
                Rc::make_mut(&mut self.conns[i]).queues[1].clear();
                return self.ends(i, 0, Closed::Refused);
            }
            let process = self.member(m).process.as_mut().expect("looked at");
            let id = ConnId(process.next_accepted);
            process.next_accepted += 1;
            let conn = Rc::make_mut(&mut self.conns[i]);
            conn.accepted = true;
            conn.ends[1] = End { m, id, open: true };
            let (from, dialled) = (conn.ends[0].m, conn.ends[0].id);
            self.step(m, Input::Accepted { conn: id, from: SocketAddr::new(address(from).ip(), 40_000) });
            self.step(from, Input::Connected { conn: dialled });
        }
        let id = self.conns[i].ends[end].id;
        // Who speaks and what it says come together.
        while self.conns[i].ends[end].open {
            let queue = &mut Rc::make_mut(&mut self.conns[i]).queues[end];
            let Some(frame) = queue.pop_front() else { return self.ends(i, end, Closed::Reset) };
            let more = matches!(*frame, Frame::Open(_)) && !queue.is_empty();
            self.step(m, Input::Frame { conn: id, frame: (*frame).clone() });
            if !more {
                return;
            }
        }
    }

    /// One end hears that the connection is over.
    pub(super) fn ends(&mut self, i: usize, end: usize, how: Closed) {
        let conn = Rc::make_mut(&mut self.conns[i]);
        if !conn.ends[end].open {
            return;
        }
        conn.ends[end].open = false;
        conn.queues[end].clear();
        if !conn.accepted {
            conn.queues[1].clear();
        }
        let End { m, id, .. } = conn.ends[end];
        self.step(m, Input::Closed { conn: id, how });
    }

    pub(super) fn break_(&mut self, i: usize) {
        self.breaks += 1;
        let how = if self.conns[i].accepted { Closed::Reset } else { Closed::Local };
        for queue in &mut Rc::make_mut(&mut self.conns[i]).queues {
            queue.clear();
        }
        self.ends(i, 0, how);
        self.ends(i, 1, how);
    }

    /// What follows without a choice: small talk is heard, a connection that was closed is closed at both ends, what
    /// needs a third member (a way through it, a reunion) fails, and a write that no promise depends on is durable.
    pub(super) fn tidy(&mut self) {
        loop {
            if let Some(m) = (0..N).find(|m| self.idle_write(*m)) {
                self.disk(m);
            } else if let Some(i) = self.conns.iter().position(|c| c.silent && c.ends[0].open && !c.accepted) {
                self.ends(i, 0, Closed::Local);
            } else if let Some((i, end)) = self.heard_at_once() {
                self.frame(i, end);
            } else if let Some((i, end)) = self.closed_at_once() {
                self.ends(i, end, Closed::Reset);
            } else {
                break;
            }
        }
        self.conns.retain(|c| c.ends.iter().any(|e| e.open) || !c.accepted && !c.queues[1].is_empty());
    }

    pub(super) fn idle_write(&self, m: M) -> bool {
        let counts = |w: &Write| matches!(w, Write::Shown(_) | Write::Promised(_));
        let first = self.members[m].process.as_ref().and_then(|p| p.writes.front());
        first.is_some_and(|(_, writes)| !writes.iter().any(counts))
    }

    pub(super) fn heard_at_once(&self) -> Option<(usize, usize)> {
        // An answer comes behind its speaker's first words.
        let prompt = |c: &Conn, end: usize| {
            let said = c.queues[end].iter().find(|f| !matches!(***f, Frame::Open(_)));
            said.is_some_and(|f| small_talk(f) || self.bounds.prompt && can_be_prompt(f))
        };
        let there =
            |c: &Conn, end: usize| c.ends[end].open || !c.accepted && self.members[c.ends[1].m].process.is_some();
        let talk = |c: &Conn, end: usize| there(c, end) && prompt(c, end);
        (0..self.conns.len()).find_map(|i| (0..2).find(|end| talk(&self.conns[i], *end)).map(|end| (i, end)))
    }

    pub(super) fn closed_at_once(&self) -> Option<(usize, usize)> {
        let over = |c: &Conn, end: usize| {
            c.accepted && !c.dead && c.ends[end].open && !c.ends[1 - end].open && c.queues[end].is_empty()
        };
        (0..self.conns.len()).find_map(|i| (0..2).find(|end| over(&self.conns[i], *end)).map(|end| (i, end)))
    }
}
