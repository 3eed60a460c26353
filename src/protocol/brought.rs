//! What members bring to a leader's data when groups meet, as users are told of it (protocol §10).

use super::notices::Fields;
use super::role::Role;
use super::{BroughtReport, Node, Write, limits};
use crate::event::Kind;
use crate::ident::{ConnId, NodeId};
use crate::message::{Brought, Frame, Reunited};

fn counted(count: u64, one: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {one}{ending}")
}

/// Keys in a row; of more than are named it says that there are more.
fn listed(keys: &[String], count: u64) -> String {
    let more = if count > keys.len() as u64 { ", …" } else { "" };
    format!("{}{more}", keys.join(", "))
}

fn fields(with: &str, brought: &Brought) -> Fields {
    vec![
        ("with", with.into()),
        ("records", brought.records.into()),
        ("keys", brought.keys.into()),
        ("conflicts", brought.conflicts.into()),
        ("kept_aside", brought.kept_aside.into()),
    ]
}

/// In words, behind the one that brought it.
fn told(brought: &Brought) -> String {
    let mut text = format!("brought {} and {}", counted(brought.records, "record"), counted(brought.keys, "key"));
    if brought.conflicts > 0 {
        let keys = listed(&brought.conflicting, brought.conflicts);
        text += &format!("; {} in conflict: {keys}", counted(brought.conflicts, "key"));
    }
    if brought.kept_aside > 0 {
        let keys = listed(&brought.refused, brought.kept_aside);
        text += &format!("; {} beyond a limit, kept aside: {keys}", counted(brought.kept_aside, "key"));
    }
    text
}

impl Node {
    /// What a member offered was joined. Users are told when it is acknowledged.
    pub(super) fn brought(&mut self, reunited: Reunited) {
        let Role::Leading(l) = &mut self.role else { return };
        let Some(primary) = &l.data else { return };
        if !reunited.brought.is_nothing() && l.copies.untold.len() < limits::OTHERS {
            l.copies.untold.push((primary.position(), reunited));
        }
        self.tell_brought();
    }

    /// What was brought and is acknowledged now is told to users here, and to all followers.
    pub(super) fn tell_brought(&mut self) {
        let Role::Leading(l) = &mut self.role else { return };
        let Some(committed) =
            l.data.as_ref().map(|primary| primary.committed()).filter(|_| !l.copies.untold.is_empty())
        else {
            return;
        };
        let (due, rest) =
            std::mem::take(&mut l.copies.untold).into_iter().partition(|(number, _)| *number <= committed);
        l.copies.untold = rest;
        let followers: Vec<ConnId> = l.sessions.values().map(|served| served.conn).collect();
        for (_, reunited) in due {
            self.base.send_all(followers.clone(), Frame::Reunited(reunited.clone()));
            self.tell_reunited(reunited);
        }
    }

    /// The leader says what a member brought.
    pub(super) fn leader_was_brought(&mut self, conn: ConnId, reunited: Reunited) {
        if self.on_session(conn) {
            self.tell_reunited(reunited);
        }
    }

    fn tell_reunited(&mut self, reunited: Reunited) {
        let Reunited { with, reign, brought } = reunited;
        let name = self.name_in_words(with);
        let text = format!("{name} {}", told(&brought));
        let facts = fields(&name, &brought);
        self.base.info(Kind::Reunion, text.clone(), facts.clone());
        if brought.conflicts > 0 {
            let keys = listed(&brought.conflicting, brought.conflicts);
            let text = format!(
                "{} in conflict since {name} is back: {keys}; 'tanist conflicts' shows both values",
                counted(brought.conflicts, "key")
            );
            self.base.warn(Kind::Conflict, text, [facts.clone(), vec![("named", keys.into())]].concat());
        }
        if brought.kept_aside > 0 {
            let keys = listed(&brought.refused, brought.kept_aside);
            let text = format!(
                "what {name} had of {} is beyond a limit and kept aside: {keys}; 'tanist export' has it",
                counted(brought.kept_aside, "key")
            );
            self.base.warn(Kind::ItemKeptAside, text, [facts, vec![("named", keys.into())]].concat());
        }
        let (at, epoch) = (self.base.wall, self.base.promises.shown_epoch());
        let report = BroughtReport { at, with, name, epoch, reign, brought, text };
        self.base.persist(vec![Write::Brought(report)], super::writes::Then::Nothing);
    }

    fn name_in_words(&self, id: NodeId) -> String {
        if id == self.base.me.node.id { "this machine".to_owned() } else { self.base.name(id) }
    }
}
