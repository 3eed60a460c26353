//! What tells a state from others.

use super::*;
use crate::canon::canonical;

/// Where texts are written, again and again.
#[derive(Default)]
pub(crate) struct Scratch {
    text: String,
    out: Vec<u8>,
}

impl World {
    /// What tells this world from others.
    pub(crate) fn print(&mut self, scratch: &mut Scratch) -> u128 {
        let mut print = Print::default();
        for m in 0..N {
            if self.members[m].print == 0 {
                let (value, names) = self.members[m].fingerprint(scratch);
                let member = Rc::make_mut(&mut self.members[m]);
                (member.print, member.names) = (value, names);
            }
            print.add(self.members[m].print);
        }
        let mut conns: Vec<(M, usize, &Conn)> =
            self.conns.iter().map(|c| (c.ends[0].m, self.rank(c, 0), &**c)).collect();
        conns.sort_by_key(|(m, rank, _)| (*m, *rank));
        let Scratch { text, out } = scratch;
        out.clear();
        for (m, rank, conn) in conns {
            let state =
                (m, rank, conn.ends[1].m, self.rank(conn, 1), conn.ends.map(|e| e.open), conn.accepted, conn.dead);
            text.clear();
            write!(text, "{state:?}{:?}", conn.queues).expect("memory");
            canonical_beside(text, &self.members[m].names, out);
        }
        print.text(out);
        self.casts.iter().for_each(|(_, _, p)| print.add(*p));
        let counts = (self.crashes, self.breaks, self.handovers);
        text.clear();
        write!(text, "{counts:?}{:?}", self.won).expect("memory");
        print.text(text.as_bytes());
        print.value()
    }

    fn rank(&self, conn: &Conn, end: usize) -> usize {
        let end = conn.ends[end];
        self.members[end.m].names.conn(end.id.0)
    }
}

impl Member {
    fn fingerprint(&self, Scratch { text, out }: &mut Scratch) -> (u128, Names) {
        let mut print = Print::default();
        let mut names = Names::default();
        let kept = (&self.durable.shown, &self.durable.promised, self.boots, self.claims, self.timers);
        text.clear();
        out.clear();
        write!(text, "{kept:?}{:?}{:?}", self.said, self.promises).expect("memory");
        canonical_beside(text, &names, out);
        if let Some(process) = &self.process {
            text.clear();
            write!(text, "{:?}", process.node).expect("memory");
            names = canonical(text, process.now, out);
            for (_, writes) in &process.writes {
                for write in writes.iter().filter(|w| matches!(w, Write::Shown(_) | Write::Promised(_))) {
                    text.clear();
                    write!(text, "{write:?}").expect("memory");
                    out.extend_from_slice(text.as_bytes());
                }
                out.push(b';');
            }
        }
        print.text(out);
        // Zero says that it is not known.
        (print.value() | 1, names)
    }
}
